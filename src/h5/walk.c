/* Reads all that a file holds, to find out whether the library survives it. */
#include "h5/h5_private.h"
#include "thaw/memory.h"

#include <string.h>

enum {
  DEEPEST = 32,           /* groups inside groups; a group that holds itself ends here */
  MOST_OBJECTS = 1 << 20, /* in all */
  BLOCK_BYTES = 64 << 20, /* read at a time */
  MOST_ATTRIBUTES = 1 << 16
};

typedef struct walker {
  thaw_h5 *file;
  int64_t objects;
  int64_t bytes_left; /* of datasets, still to be read; small datasets are read whole all the same */
} walker;

static thaw_status walk(walker *w, const char *object, int depth);

/* Names only: what a value is read as depends on the reader, so it is tried as each. */
static void read_attribute(walker *w, const char *object, const char *name) {
  char *text = NULL;
  thaw_strings list = {0};
  int64_t whole;
  double number;
  if (thaw_h5_get_text(w->file, object, name, &text) != THAW_OK)
    if (thaw_h5_get_strings(w->file, object, name, &list) != THAW_OK)
      if (thaw_h5_get_int(w->file, object, name, &whole) != THAW_OK)
        if (thaw_h5_get_double(w->file, object, name, &number) != THAW_OK) H5Eclear2(H5E_DEFAULT);
  thaw_free(text);
  thaw_strings_clear(&list);
}

static herr_t add_attribute(hid_t object, const char *name, const H5A_info_t *info, void *names) {
  (void)object, (void)info;
  thaw_strings *list = names;
  return list->count < MOST_ATTRIBUTES && thaw_strings_add(list, name) == THAW_OK ? 0 : -1;
}

static thaw_status read_attributes(walker *w, const char *object) {
  hid_t id;
  thaw_strings names = {0};
  THAW_TRY(thaw_h5_open_object(w->file, object, &id));
  H5Aiterate2(id, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, add_attribute, &names);
  H5Oclose(id);
  for (size_t i = 0; i < names.count; i++) read_attribute(w, object, names.item[i]);
  thaw_strings_clear(&names);
  return THAW_OK;
}

static thaw_status read_numbers(walker *w, const char *dataset, const thaw_h5_info *info) {
  thaw_h5_type type = info->type == THAW_H5_BF16 ? THAW_H5_F32 : info->type;
  int64_t rows = info->rank ? info->dim[0] : 1, width = (int64_t)thaw_h5_type_size(type);
  if (info->count == 0) return THAW_OK;
  int64_t row_bytes = info->count / rows * width, step = BLOCK_BYTES / row_bytes;
  if (row_bytes > BLOCK_BYTES) step = 1;
  char *block = thaw_new((size_t)(step < rows ? step : rows), (size_t)row_bytes);
  if (!block) return THAW_ERR_MEMORY;
  thaw_status status = info->rank ? THAW_OK : thaw_h5_read(w->file, dataset, type, 1, block);
  for (int64_t first = 0; info->rank && first < rows && status == THAW_OK; first += step) {
    int64_t count = rows - first < step ? rows - first : step;
    status = thaw_h5_read_rows(w->file, dataset, type, first, count, block);
    w->bytes_left -= count * row_bytes;
    if (w->bytes_left < 0) break;
  }
  thaw_free(block);
  return status;
}

static thaw_status read_words(walker *w, const char *dataset, const thaw_h5_info *info) {
  enum { ROWS = 4096 };
  for (int64_t first = 0; info->rank == 1 && first < info->dim[0] && w->bytes_left >= 0; first += ROWS) {
    thaw_strings words = {0};
    int64_t count = info->dim[0] - first < ROWS ? info->dim[0] - first : ROWS;
    thaw_status status = thaw_h5_read_strings(w->file, dataset, first, count, &words);
    for (size_t i = 0; i < words.count; i++) w->bytes_left -= (int64_t)strlen(words.item[i]);
    thaw_strings_clear(&words);
    THAW_TRY(status);
  }
  return THAW_OK;
}

static thaw_status read_dataset(walker *w, const char *dataset) {
  thaw_h5_info info;
  THAW_TRY(thaw_h5_describe(w->file, dataset, &info));
  if (info.type == THAW_H5_STRING) return read_words(w, dataset, &info);
  return info.type == THAW_H5_OTHER ? THAW_OK : read_numbers(w, dataset, &info);
}

static thaw_status read_group(walker *w, const char *group, int depth) {
  thaw_strings names = {0};
  if (depth == DEEPEST)
    return thaw_fail(THAW_ERR_DATA, "%s: %s: groups are nested more than %d deep", w->file->path, group, DEEPEST);
  thaw_status status = thaw_h5_list(w->file, group, &names);
  for (size_t i = 0; i < names.count && status != THAW_ERR_MEMORY && w->objects < MOST_OBJECTS; i++) {
    char *member = thaw_format("%s/%s", group[1] ? group : "", names.item[i]);
    status = member ? walk(w, member, depth + 1) : THAW_ERR_MEMORY;
    thaw_free(member);
  }
  thaw_strings_clear(&names);
  return status;
}

/* What cannot be read is passed over, for its reader may never ask for it; links are not followed. */
static thaw_status walk(walker *w, const char *object, int depth) {
  if (++w->objects > MOST_OBJECTS)
    return thaw_fail(THAW_ERR_DATA, "%s: holds more than %d objects", w->file->path, MOST_OBJECTS);
  thaw_status status = read_attributes(w, object);
  if (status == THAW_OK)
    status = thaw_h5_is_group(w->file, object) ? read_group(w, object, depth) : read_dataset(w, object);
  return status;
}

thaw_status thaw_h5_walk(thaw_h5 *file, int64_t bytes) {
  walker w = {.file = file, .bytes_left = bytes};
  thaw_status status = walk(&w, "/", 0);
  if (file->starved) return THAW_ERR_MEMORY;
  return status == THAW_ERR_MEMORY ? THAW_ERR_DATA : status; /* a block of our own: readers have limits for that */
}
