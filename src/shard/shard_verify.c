/* shard_verify.c: a shard's content against its digest. */
#include "shard/shard_private.h"
#include "thaw/digest.h"
#include "thaw/memory.h"

#include <string.h>

enum { BLOCK_BYTES = 16 << 20 };

/* Adds a dataset of numbers, block by block, as it is in memory. */
static thaw_status add_rows(thaw_h5 *file, const char *dataset, thaw_h5_type type, size_t row_bytes, int64_t count,
                            thaw_digest *digest) {
  int64_t step = (int64_t)(BLOCK_BYTES / row_bytes) + 1;
  if (step > count) step = count;
  char *block = thaw_new((size_t)step, row_bytes);
  thaw_status status = block ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t first = 0; status == THAW_OK && first < count; first += step) {
    const int64_t rows = count - first < step ? count - first : step;
    status = thaw_h5_read_rows(file, dataset, type, first, rows, block);
    if (status == THAW_OK) thaw_digest_add(digest, block, (size_t)rows * row_bytes);
  }
  thaw_free(block);
  return status;
}

static thaw_status add_strings(thaw_h5 *file, const char *dataset, int64_t count, thaw_digest *digest) {
  thaw_strings rows = {0};
  if (!dataset || !thaw_h5_exists(file, dataset)) return THAW_OK;
  thaw_status status = thaw_h5_read_strings(file, dataset, 0, count, &rows);
  for (size_t i = 0; status == THAW_OK && i < rows.count; i++) thaw_digest_add_text(digest, rows.item[i]);
  thaw_strings_clear(&rows);
  return status;
}

static thaw_status add_labels(const shard_entry *entry, shard_handle *handle, const thaw_dataset_info *info,
                              thaw_digest *digest) {
  const size_t width = (size_t)info->label_width;
  switch (info->label_kind) {
  case THAW_LABEL_CLASS:
    return add_rows(handle->labels, entry->labels, THAW_H5_I32, sizeof(int32_t), entry->count, digest);
  case THAW_LABEL_MULTI:
    return add_rows(handle->labels, entry->labels, THAW_H5_U8, width, entry->count, digest);
  case THAW_LABEL_TARGET:
  case THAW_LABEL_MIXED:
    return add_rows(handle->labels, entry->labels, THAW_H5_F32, width * sizeof(float), entry->count, digest);
  case THAW_LABEL_NONE:
    break;
  }
  return THAW_OK;
}

thaw_status thaw_shard__digest(const shard_entry *entry, shard_handle *handle, const thaw_dataset_info *info,
                               char out[65]) {
  const thaw_h5_type type = info->bits == 16 ? THAW_H5_U16 : THAW_H5_U8;
  const size_t row = (size_t)info->h * (size_t)info->w * (size_t)info->c * (info->bits == 16 ? 2 : 1);
  thaw_digest *digest = NULL;
  THAW_TRY(thaw_digest_create(&digest));
  thaw_status status = add_rows(handle->images, entry->images, type, row, entry->count, digest);
  if (status == THAW_OK) status = add_labels(entry, handle, info, digest);
  if (status == THAW_OK) status = add_strings(handle->images, entry->ids, entry->count, digest);
  if (status == THAW_OK) status = add_strings(handle->images, entry->groups, entry->count, digest);
  thaw_digest_finish(digest, out);
  return status;
}
