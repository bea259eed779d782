/* inflate.c: files that may be gzip (zlib); what is not is read as it is. */
#include "thaw/file.h"
#include "thaw/memory.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

enum { STEP = 1 << 24, BUFFER = 1 << 17 };

static thaw_status open_gzip(const char *path, gzFile *out) {
  if (thaw_folder_exists(path)) return thaw_fail(THAW_ERR_DATA, "%s: is a folder", path);
  *out = gzopen(path, "rbe");
  if (!*out) return thaw_fail(THAW_ERR_DATA, "%s: %s", path, strerror(errno ? errno : ENOMEM));
  gzbuffer(*out, BUFFER);
  return THAW_OK;
}

/* Up to `size` bytes; fewer at the end of the file. */
static thaw_status read_some(const char *path, gzFile file, void *out, int size, int *got) {
  int code = Z_OK;
  *got = gzread(file, out, (unsigned)size);
  const char *reason = gzerror(file, &code);
  if (*got >= 0 && (code == Z_OK || code == Z_STREAM_END)) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: %s", path, code == Z_BUF_ERROR ? "the gzip file ends too early" : reason);
}

/* Makes room for one more step; the buffer doubles. */
static thaw_status grow(unsigned char **data, size_t used, size_t *capacity) {
  if (*capacity - used >= STEP) return THAW_OK;
  const size_t wanted = *capacity ? *capacity * 2 : 2 * (size_t)STEP;
  unsigned char *bigger = thaw_new(wanted, 1);
  if (!bigger) return THAW_ERR_MEMORY;
  if (used) memcpy(bigger, *data, used);
  thaw_free(*data);
  *data = bigger;
  *capacity = wanted;
  return THAW_OK;
}

static thaw_status inflate_all(const char *path, gzFile file, size_t limit, unsigned char **data, size_t *size) {
  size_t capacity = 0;
  for (int got = 1; got > 0; *size += (size_t)got) {
    THAW_TRY(grow(data, *size, &capacity));
    THAW_TRY(read_some(path, file, *data + *size, STEP, &got));
    if (*size + (size_t)got > limit)
      return thaw_fail(THAW_ERR_DATA, "%s: more than %zu bytes when inflated", path, limit);
  }
  return *size ? THAW_OK : thaw_fail(THAW_ERR_DATA, "%s: the file is empty", path);
}

thaw_status thaw_file_inflate(const char *path, size_t limit, unsigned char **out, size_t *size_out) {
  gzFile file;
  *out = NULL;
  *size_out = 0;
  THAW_TRY(open_gzip(path, &file));
  thaw_status status = inflate_all(path, file, limit, out, size_out);
  gzclose_r(file);
  if (status != THAW_OK) {
    thaw_free(*out);
    *out = NULL;
  }
  return status;
}

static thaw_status read_part(const char *path, gzFile file, size_t offset, size_t size, char *out, size_t *got_out) {
  if (offset && gzseek(file, (z_off_t)offset, SEEK_SET) < 0)
    return thaw_fail(THAW_ERR_DATA, "%s: cannot be read from byte %zu on", path, offset);
  for (int got = 1; got > 0 && *got_out < size; *got_out += (size_t)got) {
    const size_t left = size - *got_out;
    THAW_TRY(read_some(path, file, out + *got_out, left < STEP ? (int)left : STEP, &got));
  }
  return THAW_OK;
}

thaw_status thaw_file_read_inflated(const char *path, size_t offset, size_t size, void *out, size_t *got) {
  gzFile file;
  *got = 0;
  THAW_TRY(open_gzip(path, &file));
  thaw_status status = read_part(path, file, offset, size, out, got);
  gzclose_r(file);
  return status;
}
