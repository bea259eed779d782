/* source_npy.c: NumPy's .npy format (numpy/lib/format.py): magic, version, header dictionary, numbers; .npz is a zip.
 */
#include "import/import_private.h"
#include "thaw/text.h"
#include "thaw/zip.h"

#include <stdio.h>
#include <string.h>

static const size_t member_limit = (size_t)1 << 36;

/* The text after 'key': in the header dictionary, or NULL. */
static const char *find_key(const char *header, const char *key) {
  char quoted[32];
  snprintf(quoted, sizeof quoted, "'%s'", key);
  const char *at = strstr(header, quoted);
  if (!at) return NULL;
  at += strlen(quoted);
  while (*at == ' ') at++;
  if (*at++ != ':') return NULL;
  while (*at == ' ') at++;
  return at;
}

/* '<u2': byte order, kind, size. */
static thaw_status parse_type(const char *name, const char *header, import_array *out) {
  const char *at = find_key(header, "descr");
  if (!at || at[0] != '\'' || !strchr("<>|=", at[1]) || strlen(at) < 5)
    return thaw_fail(THAW_ERR_DATA, "%s: the .npy header has no simple type", name);
  out->kind = at[2];
  out->size = at[3] - '0';
  out->big_endian = at[1] == '>';
  const bool known = strchr("uif", out->kind) && at[4] == '\'' &&
                     (out->size == 1 || out->size == 2 || out->size == 4 || out->size == 8) &&
                     (out->kind != 'f' || out->size >= 4);
  if (!known) return thaw_fail(THAW_ERR_DATA, "%s: arrays of type %.6s are not images or labels", name, at);
  return THAW_OK;
}

static thaw_status parse_order(const char *name, const char *header) {
  const char *at = find_key(header, "fortran_order");
  if (at && strncmp(at, "True", 4) == 0)
    return thaw_fail(THAW_ERR_DATA, "%s: in Fortran order; save numpy.ascontiguousarray(...)", name);
  if (!at || strncmp(at, "False", 5) != 0)
    return thaw_fail(THAW_ERR_DATA, "%s: the .npy header does not tell the order", name);
  return THAW_OK;
}

/* (60000, 28, 28) */
static thaw_status parse_shape(const char *name, const char *header, import_array *out) {
  const char *at = find_key(header, "shape");
  if (!at || *at++ != '(') return thaw_fail(THAW_ERR_DATA, "%s: the .npy header has no shape", name);
  while (*at && *at != ')') {
    int64_t size = 0;
    if (*at < '0' || *at > '9') return thaw_fail(THAW_ERR_DATA, "%s: the .npy header's shape is broken", name);
    for (; *at >= '0' && *at <= '9'; at++) {
      size = size * 10 + (*at - '0');
      if (size > INT64_C(1) << 48) return thaw_fail(THAW_ERR_DATA, "%s: the header claims an impossible size", name);
    }
    if (out->rank == 5) return thaw_fail(THAW_ERR_DATA, "%s: more than 5 dimensions", name);
    out->dim[out->rank++] = size;
    while (*at == ',' || *at == ' ') at++;
  }
  if (out->rank == 0) return thaw_fail(THAW_ERR_DATA, "%s: a single number, not an array", name);
  return THAW_OK;
}

static thaw_status check_size(const char *name, size_t left, const import_array *array) {
  size_t expected = (size_t)array->size;
  for (int i = 0; i < array->rank; i++)
    if (__builtin_mul_overflow(expected, (size_t)array->dim[i], &expected))
      return thaw_fail(THAW_ERR_DATA, "%s: the header claims an impossible size", name);
  if (left != expected)
    return thaw_fail(THAW_ERR_DATA, "%s: holds %zu bytes after the header, its shape asks for %zu", name, left,
                     expected);
  return THAW_OK;
}

static thaw_status parse_header(const char *name, const char *header, size_t left, import_array *out) {
  THAW_TRY(parse_type(name, header, out));
  THAW_TRY(parse_order(name, header));
  THAW_TRY(parse_shape(name, header, out));
  return check_size(name, left, out);
}

static thaw_status parse(const char *name, import_array *out) {
  const unsigned char *bytes = out->block.data;
  const size_t size = out->block.size;
  if (size < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0) return thaw_fail(THAW_ERR_DATA, "%s: not an .npy file", name);
  if (bytes[6] < 1 || bytes[6] > 3)
    return thaw_fail(THAW_ERR_DATA, "%s: .npy version %d, known are 1, 2 and 3", name, bytes[6]);
  const size_t start = bytes[6] == 1 ? 10 : 12;
  size_t length = bytes[8] | (size_t)bytes[9] << 8;
  if (start == 12) length |= size < 12 ? 0 : (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
  if (size < start || length > size - start)
    return thaw_fail(THAW_ERR_DATA, "%s: the file ends inside its header", name);
  char *header = thaw_new(length + 1, 1);
  if (!header) return THAW_ERR_MEMORY;
  memcpy(header, bytes + start, length);
  thaw_status status = parse_header(name, header, size - start - length, out);
  thaw_free(header);
  out->data = bytes + start + length;
  return status;
}

thaw_status thaw_npy__parse(const char *name, import_block *block, import_array *out) {
  *out = (import_array){.block = *block};
  *block = (import_block){0};
  return parse(name, out);
}

/* ------------------------------------------------------------------ .npz */
static bool find_member(const thaw_zip *zip, const char *wanted, const char *const *usual, char *name, size_t size) {
  const char *const given[] = {wanted, NULL};
  for (const char *const *at = wanted ? given : usual; *at; at++) {
    snprintf(name, size, "%s.npy", *at);
    if (thaw_zip_has(zip, name)) return true;
  }
  return false;
}

static thaw_status missing_member(const char *path, const thaw_zip *zip, const char *wanted, const char *usual) {
  thaw_text list = {0};
  for (int64_t i = 0; i < thaw_zip_count(zip) && i < 20; i++)
    thaw_text_add(&list, "%s%s", i ? ", " : "", thaw_zip_name(zip, i));
  thaw_status status = thaw_fail(THAW_ERR_DATA, "%s: no array '%s'; it holds: %s", path, wanted ? wanted : usual,
                                 list.data ? list.data : "nothing");
  thaw_text_clear(&list);
  return status;
}

thaw_status thaw_npz__read(const char *path, const char *wanted, const char *const *usual, import_array *out) {
  char name[256], *data = NULL;
  size_t size = 0;
  thaw_zip *zip;
  *out = (import_array){0};
  THAW_TRY(thaw_zip_open(path, &zip));
  thaw_status status = find_member(zip, wanted, usual, name, sizeof name)
                           ? thaw_zip_read(zip, name, member_limit, &data, &size)
                           : missing_member(path, zip, wanted, usual[0]);
  thaw_zip_close(zip);
  if (status != THAW_OK) return status;
  import_block block = {.data = (unsigned char *)data, .size = size, .owned = (unsigned char *)data};
  return thaw_npy__parse(path, &block, out);
}
