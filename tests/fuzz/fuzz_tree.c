/* Well-formed HDF5 files of any content, made from lines of text, so that what is looked for lies in our readers:
 *
 *     group PATH
 *     data PATH TYPE DIM,DIM,...       TYPE: u8 u16 i32 i64 f16 f32 f64; values count up, `nan` instead of TYPE: NaN
 *     words PATH WORD,WORD,...         a dataset of strings
 *     text PATH NAME anything          attributes of a group or dataset
 *     list PATH NAME WORD,WORD,...
 *     int PATH NAME NUMBER
 *     float PATH NAME NUMBER
 *
 * Lines that cannot be carried out are passed over. */
#include "fuzz.h"
#include "readers.h"
#include "thaw/h5.h"

#include <math.h>

enum { MOST_VALUES = 4096, MOST_LINES = 256 };

/* The next word of the line, up to a space; "" at the end. */
static char *word(char **at) {
  char *start = *at + strspn(*at, " ");
  *at = start + strcspn(start, " ");
  if (**at) *(*at)++ = 0;
  return start;
}

static thaw_strings split(char *text) {
  thaw_strings list = {0};
  for (char *next = text; next; text = next) {
    next = strchr(text, ',');
    if (next) *next++ = 0;
    if (thaw_strings_add(&list, text) != THAW_OK) break;
  }
  return list;
}

static thaw_status add_data(thaw_h5 *file, const char *path, const char *type, char *dims) {
  static const char *const types[] = {"u8", "u16", "i32", "i64", "f16", "f32", "f64"};
  static double values[MOST_VALUES];
  thaw_h5_layout layout = {.type = THAW_H5_F32};
  int64_t count = 1;
  for (int i = 0; i < 7; i++)
    if (strcmp(type, types[i]) == 0) layout.type = (thaw_h5_type)i;
  thaw_strings list = split(dims);
  for (size_t i = 0; i < list.count && layout.rank < THAW_H5_MAX_RANK && list.item[i][0]; i++) {
    int64_t dim = strtol(list.item[i], NULL, 10);
    count = dim < 0 || dim > MOST_VALUES ? -1 : count * dim;
    layout.dim[layout.rank++] = dim;
    if (count < 0 || count > MOST_VALUES) break;
  }
  thaw_strings_clear(&list);
  if (count < 0 || count > MOST_VALUES) return THAW_OK;
  for (int64_t i = 0; i < count; i++) {
    if (layout.type == THAW_H5_F32)
      ((float *)values)[i] = strcmp(type, "nan") == 0 ? NAN : (float)i / 8;
    else if (layout.type == THAW_H5_F64)
      values[i] = (double)i / 8;
    else
      ((uint8_t *)values)[i] = (uint8_t)i;
  }
  return thaw_h5_write(file, path, &layout, values);
}

static thaw_status add_list(thaw_h5 *file, const char *path, const char *name, char *text) {
  thaw_strings list = split(text);
  thaw_status status = name ? thaw_h5_set_strings(file, path, name, &list) : thaw_h5_write_strings(file, path, &list);
  thaw_strings_clear(&list);
  return status;
}

static thaw_status add_line(thaw_h5 *file, char *line) {
  const char *what = word(&line), *path = word(&line);
  if (strcmp(what, "group") == 0) return thaw_h5_create_group(file, path);
  if (strcmp(what, "words") == 0) return add_list(file, path, NULL, line);
  const char *name = word(&line);
  if (strcmp(what, "data") == 0) return add_data(file, path, name, line);
  if (strcmp(what, "text") == 0) return thaw_h5_set_text(file, path, name, line);
  if (strcmp(what, "list") == 0) return add_list(file, path, name, line);
  if (strcmp(what, "int") == 0) return thaw_h5_set_int(file, path, name, strtol(line, NULL, 10));
  if (strcmp(what, "float") == 0) return thaw_h5_set_double(file, path, name, strtod(line, NULL));
  return THAW_OK;
}

static thaw_status write_tree(const char *path, char *text) {
  thaw_h5 *file;
  THAW_TRY(thaw_h5_create(path, &file));
  int lines = 0;
  for (char *next = text; next && lines < MOST_LINES; text = next, lines++) {
    next = strchr(text, '\n');
    if (next) *next++ = 0;
    fuzz_expect(add_line(file, text));
  }
  return thaw_h5_publish(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = thaw_new(size + 1, 1);
  if (!text) return 0;
  if (size) memcpy(text, data, size);
  const char *path = fuzz_file(NULL, 0, ".h5");
  if (write_tree(path, text) == THAW_OK) fuzz_read_everything(path);
  thaw_free(text);
  return 0;
}
