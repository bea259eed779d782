/* Embeddings as CSV, and as a NumPy array with a CSV of names beside it. */
#include "match/match_private.h"
#include "thaw/csv.h"
#include "thaw/memory.h"

#include <stdio.h>
#include <string.h>

enum { NPY_FIXED = 10 }; /* bytes before the header: magic, version, length */
static const size_t most_bytes = (size_t)1 << 36;

/* ------------------------------------------------------------------ CSV */

thaw_status match_write_csv(const char *path, const thaw_embeddings *e, bool values) {
  thaw_text text = {0};
  int32_t width = values ? e->width : 0;
  thaw_text_add(&text, "id,person");
  for (int32_t k = 0; k < width; k++) thaw_text_add(&text, ",e%d", k);
  thaw_text_add(&text, "\n");
  for (int64_t i = 0; i < e->count; i++) {
    thaw_csv_add(&text, e->id.item[i]);
    thaw_text_add(&text, ",");
    thaw_csv_add(&text, e->person.item[i]);
    for (int32_t k = 0; k < width; k++)
      thaw_text_add(&text, ",%.9g", (double)e->value[(size_t)i * (size_t)e->width + (size_t)k]);
    thaw_text_add(&text, "\n");
  }
  thaw_status status = text.failed ? THAW_ERR_MEMORY : thaw_file_write(path, text.data, text.length);
  thaw_text_clear(&text);
  return status;
}

static thaw_status read_row(const thaw_csv *csv, bool values, size_t *capacity, thaw_embeddings *e) {
  THAW_TRY(thaw_strings_add(&e->id, csv->field[0]));
  THAW_TRY(thaw_strings_add(&e->person, csv->field[1]));
  if (!values) return THAW_OK;
  size_t width = (size_t)e->width;
  if (thaw_grow((void **)&e->value, (size_t)e->count, capacity, width * sizeof *e->value) != 0) return THAW_ERR_MEMORY;
  for (int32_t k = 0; k < e->width; k++) {
    double number;
    thaw_status status = thaw_parse_double(csv->field[k + 2], &number);
    if (status != THAW_OK)
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: '%s' is no number", csv->name, (long long)csv->line, csv->field[k + 2]);
    e->value[(size_t)e->count * width + (size_t)k] = (float)number;
  }
  e->count++;
  return THAW_OK;
}

static thaw_status read_rows(thaw_csv *csv, bool values, thaw_embeddings *e) {
  bool more;
  size_t capacity = 0;
  THAW_TRY(thaw_csv_row(csv, &more));
  int32_t columns = csv->fields;
  if (!more || columns < (values ? 3 : 2) || strcmp(csv->field[0], "id") || strcmp(csv->field[1], "person"))
    return thaw_fail(THAW_ERR_DATA, "%s: its header does not begin with id,person%s", csv->name,
                     values ? " and numbers" : "");
  if (values) e->width = columns - 2;
  for (;;) {
    THAW_TRY(thaw_csv_row(csv, &more));
    if (!more) return THAW_OK;
    if (csv->fields != columns)
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: %d fields, the header has %d", csv->name, (long long)csv->line,
                       csv->fields, columns);
    THAW_TRY(read_row(csv, values, &capacity, e));
  }
}

thaw_status match_read_csv(const char *path, bool values, thaw_embeddings *e) {
  char *text;
  size_t size;
  THAW_TRY(thaw_file_read(path, most_bytes, &text, &size));
  thaw_arena *arena = thaw_arena_create();
  thaw_csv *csv = arena ? thaw_csv_open(path, text, size, arena) : NULL;
  thaw_status status = csv ? read_rows(csv, values, e) : THAW_ERR_MEMORY;
  thaw_arena_destroy(arena);
  thaw_free(text);
  return status;
}

/* ------------------------------------------------------------------ NumPy's format, version 1.0 */

static char *names_path(const char *path) {
  return thaw_format("%s.csv", path);
}

thaw_status match_write_npy(const char *path, const thaw_embeddings *e) {
  static const char magic[8] = "\x93NUMPY\x01";
  char header[128];
  thaw_text text = {0};
  int length = snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %d), }",
                        (long long)e->count, e->width);
  int padded = (NPY_FIXED + length + 1 + 63) / 64 * 64 - NPY_FIXED;
  const char size[2] = {(char)(padded & 255), (char)(padded >> 8)};
  thaw_text_add_bytes(&text, magic, sizeof magic);
  thaw_text_add_bytes(&text, size, sizeof size);
  thaw_text_add(&text, "%-*s\n", padded - 1, header);
  thaw_text_add_bytes(&text, (const char *)e->value, (size_t)e->count * (size_t)e->width * sizeof *e->value);
  char *names = names_path(path);
  thaw_status status = text.failed || !names ? THAW_ERR_MEMORY : match_write_csv(names, e, false);
  if (status == THAW_OK) status = thaw_file_write(path, text.data, text.length);
  thaw_free(names);
  thaw_text_clear(&text);
  return status;
}

static thaw_status parse_npy(const char *path, const char *data, size_t size, thaw_embeddings *e) {
  long long rows = 0;
  int width = 0;
  if (size < NPY_FIXED || memcmp(data, "\x93NUMPY\x01", 7) != 0)
    return thaw_fail(THAW_ERR_DATA, "%s: is no NumPy file of version 1", path);
  size_t header = (size_t)(unsigned char)data[8] + ((size_t)(unsigned char)data[9] << 8);
  char words[1024];
  if (header >= sizeof words || NPY_FIXED + header > size)
    return thaw_fail(THAW_ERR_DATA, "%s: its NumPy header is cut off or too long", path);
  memcpy(words, data + NPY_FIXED, header);
  words[header] = 0;
  const char *shape = strstr(words, "'shape': (");
  if (!strstr(words, "'<f4'") || !strstr(words, "'fortran_order': False") || !shape ||
      sscanf(shape, "'shape': (%18lld, %9d)", &rows, &width) != 2 || rows < 0 || width < 1)
    return thaw_fail(THAW_ERR_DATA, "%s: is no float32 array of two dimensions in C order", path);
  size_t body = size - NPY_FIXED - header;
  if ((size_t)rows > body / sizeof(float) / (size_t)width || (size_t)rows * (size_t)width * sizeof(float) != body)
    return thaw_fail(THAW_ERR_DATA, "%s: %lld x %d numbers do not fit %zu bytes", path, rows, width, body);
  e->count = rows;
  e->width = width;
  e->value = thaw_new((size_t)rows * (size_t)width, sizeof *e->value);
  if (!e->value) return THAW_ERR_MEMORY;
  memcpy(e->value, data + NPY_FIXED + header, body);
  return THAW_OK;
}

thaw_status match_read_npy(const char *path, thaw_embeddings *e) {
  char *data, *names = names_path(path);
  size_t size;
  thaw_status status = names ? thaw_file_read(path, most_bytes, &data, &size) : THAW_ERR_MEMORY;
  if (status == THAW_OK) {
    status = parse_npy(path, data, size, e);
    thaw_free(data);
  }
  if (status == THAW_OK) status = match_read_csv(names, false, e);
  if (status == THAW_OK && e->id.count != (size_t)e->count)
    status = thaw_fail(THAW_ERR_DATA, "%s: names %zu images, %s has %lld rows", names, e->id.count, path,
                       (long long)e->count);
  thaw_free(names);
  return status;
}
