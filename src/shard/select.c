/* A catalogue reduced to some of its samples. */
#include "shard/shard_private.h"
#include "thaw/digest.h"
#include "thaw/memory.h"

#include <string.h>

static thaw_status select_labels(thaw_catalog *catalog, const int64_t *sample, int64_t count) {
  size_t row = (size_t)catalog->labels.width * (size_t)catalog->labels.bytes;
  if (!catalog->labels_read) return THAW_OK;
  char *kept = thaw_new((size_t)count, row);
  if (!kept) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < count; i++)
    memcpy(kept + (size_t)i * row, (const char *)catalog->label_memory + (size_t)sample[i] * row, row);
  thaw_free(catalog->label_memory);
  catalog->label_memory = kept;
  catalog->labels.value = kept;
  return THAW_OK;
}

/* The selection is part of what the data are. */
static thaw_status select_digest(thaw_catalog *catalog, const int64_t *sample, int64_t count) {
  thaw_digest *digest;
  THAW_TRY(thaw_digest_create(&digest));
  thaw_digest_add_text(digest, catalog->info.digest);
  thaw_digest_add(digest, sample, (size_t)count * sizeof *sample);
  thaw_digest_finish(digest, catalog->info.digest);
  return THAW_OK;
}

thaw_status thaw_catalog_select(thaw_catalog *catalog, const int64_t *sample, int64_t count) {
  if (catalog->select) return thaw_fail(THAW_ERR_INTERNAL, "%s: is a selection already", catalog->path);
  for (int64_t i = 0; i < count; i++)
    if (sample[i] < 0 || sample[i] >= catalog->info.count)
      return thaw_fail(THAW_ERR_INTERNAL, "%s: sample %lld of %lld", catalog->path, (long long)sample[i],
                       (long long)catalog->info.count);
  catalog->select = thaw_new((size_t)count, sizeof *catalog->select);
  if (!catalog->select) return THAW_ERR_MEMORY;
  memcpy(catalog->select, sample, (size_t)count * sizeof *sample);
  THAW_TRY(select_labels(catalog, sample, count));
  THAW_TRY(select_digest(catalog, sample, count));
  catalog->info.count = count;
  return THAW_OK;
}

const int64_t *thaw_catalog_selection(const thaw_catalog *catalog) {
  return catalog->select;
}
