/* Embeddings with the names of their images and persons, in and out of files. */
#include "match/match_private.h"
#include "thaw/h5.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

void thaw_embeddings_clear(thaw_embeddings *e) {
  thaw_free(e->value);
  thaw_free(e->source);
  thaw_strings_clear(&e->id);
  thaw_strings_clear(&e->person);
  thaw_strings_clear(&e->failed);
  thaw_strings_clear(&e->why);
  *e = (thaw_embeddings){0};
}

bool match_ends_with(const char *text, const char *end) {
  size_t length = strlen(text), size = strlen(end);
  return length >= size && strcmp(text + length - size, end) == 0;
}

/* ------------------------------------------------------------------ HDF5 */

static thaw_status fill_h5(thaw_h5 *file, const thaw_embeddings *e) {
  const thaw_h5_layout rows = {THAW_H5_F32, 2, {e->count, e->width}, 1024, 0};
  THAW_TRY(thaw_h5_set_text(file, "/", "format", "thaw-embeddings"));
  THAW_TRY(thaw_h5_set_int(file, "/", "version", 1));
  if (e->source) THAW_TRY(thaw_h5_set_text(file, "/", "source", e->source));
  THAW_TRY(thaw_h5_write(file, "/embeddings", &rows, e->value));
  THAW_TRY(thaw_h5_write_strings(file, "/ids", &e->id));
  THAW_TRY(thaw_h5_write_strings(file, "/persons", &e->person));
  if (!e->failed.count) return THAW_OK;
  THAW_TRY(thaw_h5_write_strings(file, "/failed", &e->failed));
  return thaw_h5_write_strings(file, "/failed_why", &e->why);
}

static thaw_status write_h5(const char *path, const thaw_embeddings *e) {
  thaw_h5 *file;
  THAW_TRY(thaw_h5_create(path, &file));
  thaw_status status = fill_h5(file, e);
  if (status == THAW_OK) return thaw_h5_commit(file);
  thaw_h5_close(file);
  return status;
}

static thaw_status read_failed(thaw_h5 *file, thaw_embeddings *e) {
  thaw_h5_info info;
  if (!thaw_h5_exists(file, "/failed") || !thaw_h5_exists(file, "/failed_why")) return THAW_OK;
  THAW_TRY(thaw_h5_describe(file, "/failed", &info));
  THAW_TRY(thaw_h5_read_strings(file, "/failed", 0, info.count, &e->failed));
  return thaw_h5_read_strings(file, "/failed_why", 0, info.count, &e->why);
}

static thaw_status fill_from_h5(thaw_h5 *file, const char *path, thaw_embeddings *e) {
  thaw_h5_info info, ids;
  if (!thaw_h5_exists(file, "/embeddings") || !thaw_h5_exists(file, "/ids"))
    return thaw_fail(THAW_ERR_DATA, "%s: holds no /embeddings with /ids: `thaw embed` writes them", path);
  THAW_TRY(thaw_h5_describe(file, "/embeddings", &info));
  THAW_TRY(thaw_h5_describe(file, "/ids", &ids));
  if (info.rank != 2 || info.dim[1] < 1 || info.dim[1] > 1 << 24 || ids.rank != 1 || ids.dim[0] != info.dim[0])
    return thaw_fail(THAW_ERR_DATA, "%s: /embeddings and /ids do not fit together", path);
  e->count = info.dim[0];
  e->width = (int32_t)info.dim[1];
  e->value = thaw_new((size_t)info.count, sizeof *e->value);
  if (!e->value) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_h5_read(file, "/embeddings", THAW_H5_F32, info.count, e->value));
  THAW_TRY(thaw_h5_read_strings(file, "/ids", 0, e->count, &e->id));
  if (thaw_h5_exists(file, "/persons")) THAW_TRY(thaw_h5_read_strings(file, "/persons", 0, e->count, &e->person));
  if (thaw_h5_has_attribute(file, "/", "source")) THAW_TRY(thaw_h5_get_text(file, "/", "source", &e->source));
  return read_failed(file, e);
}

static thaw_status read_h5(const char *path, thaw_embeddings *e) {
  thaw_h5 *file;
  THAW_TRY(thaw_h5_open(path, &file));
  thaw_status status = fill_from_h5(file, path, e);
  thaw_h5_close(file);
  return status;
}

/* ------------------------------------------------------------------ all of them */

thaw_status thaw_embeddings_write(const char *path, const thaw_embeddings *e) {
  if (match_ends_with(path, ".h5") || match_ends_with(path, ".hdf5")) return write_h5(path, e);
  if (match_ends_with(path, ".npy")) return match_write_npy(path, e);
  return match_write_csv(path, e, true);
}

static thaw_status check_values(const char *path, const thaw_embeddings *e) {
  for (int64_t i = 0; i < e->count; i++)
    for (int32_t k = 0; k < e->width; k++)
      if (!isfinite(e->value[(size_t)i * (size_t)e->width + (size_t)k]))
        return thaw_fail(THAW_ERR_DATA, "%s: the embedding of '%s' has a number that is not finite", path,
                         e->id.item[i]);
  return THAW_OK;
}

thaw_status thaw_embeddings_read(const char *path, thaw_embeddings *out) {
  *out = (thaw_embeddings){0};
  thaw_status status = !thaw_file_exists(path) ? thaw_fail(THAW_ERR_DATA, "%s: no such file", path)
                       : match_ends_with(path, ".h5") || match_ends_with(path, ".hdf5") ? read_h5(path, out)
                       : match_ends_with(path, ".npy")                                  ? match_read_npy(path, out)
                                                       : match_read_csv(path, true, out);
  while (status == THAW_OK && out->person.count < (size_t)out->count) status = thaw_strings_add(&out->person, "");
  if (status == THAW_OK && out->count < 1) status = thaw_fail(THAW_ERR_DATA, "%s: holds no embeddings", path);
  if (status == THAW_OK) status = check_values(path, out);
  if (status != THAW_OK) thaw_embeddings_clear(out);
  return status;
}

thaw_status thaw_embeddings_normalize(thaw_embeddings *e) {
  for (int64_t i = 0; i < e->count; i++) {
    float *row = e->value + (size_t)i * (size_t)e->width;
    double square = 0;
    for (int32_t k = 0; k < e->width; k++) square += (double)row[k] * row[k];
    if (!(square > 0))
      return thaw_fail(THAW_ERR_DATA, "the embedding of '%s' is zero: it has no direction", e->id.item[i]);
    double inverse = 1 / sqrt(square);
    for (int32_t k = 0; k < e->width; k++) row[k] = (float)(row[k] * inverse);
  }
  return THAW_OK;
}
