/* shard_write.c: one shard file from rows in memory. */
#include "shard/shard_private.h"
#include "thaw/digest.h"
#include "thaw/memory.h"

#include <string.h>

enum { CHUNK_BYTES = 256 * 1024 };

static size_t pixel_bytes(const thaw_dataset_info *info) {
  return (size_t)info->h * (size_t)info->w * (size_t)info->c * (info->bits == 16 ? 2 : 1);
}

static size_t label_bytes(const thaw_dataset_info *info) {
  switch (info->label_kind) {
  case THAW_LABEL_CLASS:
    return sizeof(int32_t);
  case THAW_LABEL_MULTI:
    return (size_t)info->label_width;
  case THAW_LABEL_TARGET:
  case THAW_LABEL_MIXED:
    return (size_t)info->label_width * sizeof(float);
  case THAW_LABEL_NONE:
    break;
  }
  return 0;
}

/* Rows of about CHUNK_BYTES, at least one, never more than the dataset has. */
static int64_t chunk_rows(size_t row_bytes, int64_t count) {
  int64_t rows = row_bytes ? (int64_t)(CHUNK_BYTES / row_bytes) : 1;
  if (rows < 1) rows = 1;
  return rows < count ? rows : count;
}

static thaw_status content_digest(const thaw_dataset_info *info, const thaw_shard_rows *rows, char out[65]) {
  thaw_digest *digest = NULL;
  THAW_TRY(thaw_digest_create(&digest));
  thaw_digest_add(digest, rows->pixels, (size_t)rows->count * pixel_bytes(info));
  if (label_bytes(info)) thaw_digest_add(digest, rows->labels, (size_t)rows->count * label_bytes(info));
  for (int64_t i = 0; i < rows->count; i++) thaw_digest_add_text(digest, rows->ids[i]);
  for (int64_t i = 0; rows->groups && i < rows->count; i++) thaw_digest_add_text(digest, rows->groups[i]);
  thaw_digest_finish(digest, out);
  return THAW_OK;
}

static thaw_status write_images(thaw_h5 *file, const thaw_dataset_info *info, const thaw_shard_rows *rows,
                                int deflate) {
  const thaw_h5_layout layout = {.type = info->bits == 16 ? THAW_H5_U16 : THAW_H5_U8,
                                 .rank = 4,
                                 .dim = {rows->count, info->h, info->w, info->c},
                                 .chunk_rows = chunk_rows(pixel_bytes(info), rows->count),
                                 .deflate = deflate};
  return thaw_h5_write(file, "/images", &layout, rows->pixels);
}

static thaw_status write_labels(thaw_h5 *file, const thaw_dataset_info *info, const thaw_shard_rows *rows,
                                int deflate) {
  thaw_h5_layout layout = {.rank = 2,
                           .dim = {rows->count, info->label_width},
                           .chunk_rows = chunk_rows(label_bytes(info), rows->count),
                           .deflate = deflate};
  if (info->label_kind == THAW_LABEL_NONE) return THAW_OK;
  if (info->label_kind == THAW_LABEL_CLASS) {
    layout.type = THAW_H5_I32;
    layout.rank = 1;
  } else {
    layout.type = info->label_kind == THAW_LABEL_MULTI ? THAW_H5_U8 : THAW_H5_F32;
  }
  return thaw_h5_write(file, "/labels", &layout, rows->labels);
}

static thaw_status write_strings(thaw_h5 *file, const char *dataset, char *const *item, int64_t count) {
  const thaw_strings strings = {.item = (char **)item, .count = (size_t)count, .capacity = (size_t)count};
  if (!item) return THAW_OK;
  return thaw_h5_write_strings(file, dataset, &strings);
}

static thaw_status write_attributes(thaw_h5 *file, const thaw_dataset_info *info, const char *digest) {
  THAW_TRY(thaw_h5_set_text(file, "/", "format", "thaw-shard"));
  THAW_TRY(thaw_h5_set_int(file, "/", "version", THAW_SHARD_VERSION));
  THAW_TRY(thaw_h5_set_int(file, "/", "bits", info->bits));
  THAW_TRY(thaw_h5_set_double(file, "/", "value_max", info->value_max));
  THAW_TRY(thaw_h5_set_text(file, "/", "label_kind", thaw_shard__kinds[info->label_kind]));
  THAW_TRY(thaw_h5_set_int(file, "/", "label_width", info->label_width));
  if (info->classes.count) THAW_TRY(thaw_h5_set_strings(file, "/", "classes", &info->classes));
  if (info->columns.count) THAW_TRY(thaw_h5_set_strings(file, "/", "columns", &info->columns));
  return thaw_h5_set_text(file, "/", "digest", digest);
}

static thaw_status write_all(thaw_h5 *file, const thaw_dataset_info *info, const thaw_shard_rows *rows, int deflate,
                             const char *digest) {
  THAW_TRY(write_attributes(file, info, digest));
  THAW_TRY(write_images(file, info, rows, deflate));
  THAW_TRY(write_labels(file, info, rows, deflate));
  THAW_TRY(write_strings(file, "/ids", rows->ids, rows->count));
  return write_strings(file, "/groups", rows->groups, rows->count);
}

thaw_status thaw_shard_write(const char *path, const thaw_dataset_info *info, const thaw_shard_rows *rows, int deflate,
                             char digest_out[65]) {
  thaw_h5 *file = NULL;
  if (rows->count < 1 || info->h < 1 || info->w < 1 || info->c < 1 || (info->bits != 8 && info->bits != 16))
    return thaw_fail(THAW_ERR_INTERNAL, "%s: a shard of %lld images of %dx%dx%d with %d bits", path,
                     (long long)rows->count, (int)info->h, (int)info->w, (int)info->c, (int)info->bits);
  THAW_TRY(content_digest(info, rows, digest_out));
  THAW_TRY(thaw_h5_create(path, &file));
  thaw_status status = write_all(file, info, rows, deflate, digest_out);
  if (status != THAW_OK) {
    thaw_h5_close(file);
    return status;
  }
  return thaw_h5_commit(file);
}
