/* catalog_labels.c: all labels of a dataset, in the narrowest type, read whole or in parts. */
#include "shard/shard_private.h"
#include "thaw/memory.h"

enum { ROWS_AT_ONCE = 4096 };

static int32_t label_bytes(const thaw_dataset_info *info) {
  if (info->label_kind == THAW_LABEL_CLASS)
    return info->classes.count <= 256 ? 1 : info->classes.count <= 65536 ? 2 : 4;
  return info->label_kind == THAW_LABEL_TARGET || info->label_kind == THAW_LABEL_MIXED ? 4 : 1;
}

static thaw_status make_room(thaw_catalog *catalog) {
  const thaw_dataset_info *info = &catalog->info;
  if (catalog->label_memory) return THAW_OK;
  int32_t bytes = label_bytes(info);
  catalog->label_memory = thaw_new((size_t)info->count, (size_t)info->label_width * (size_t)bytes);
  catalog->labels = (thaw_labels){catalog->label_memory, info->label_width, bytes};
  return catalog->label_memory ? THAW_OK : THAW_ERR_MEMORY;
}

static void narrow(const float *from, size_t count, int32_t bytes, void *to) {
  for (size_t i = 0; i < count && bytes == 1; i++) ((uint8_t *)to)[i] = (uint8_t)from[i];
  for (size_t i = 0; i < count && bytes == 2; i++) ((uint16_t *)to)[i] = (uint16_t)from[i];
  for (size_t i = 0; i < count && bytes == 4; i++) ((float *)to)[i] = from[i];
}

static thaw_status read_shard(thaw_catalog *catalog, int32_t shard, shard_handle *handle, float *rows) {
  const shard_entry *entry = &catalog->entry[shard];
  const size_t row = (size_t)catalog->labels.width * (size_t)catalog->labels.bytes;
  for (int64_t first = 0, count; first < entry->count; first += count) {
    count = entry->count - first < ROWS_AT_ONCE ? entry->count - first : ROWS_AT_ONCE;
    THAW_TRY(thaw_shard__labels(entry, handle, &catalog->info, first, count, rows));
    narrow(rows, (size_t)count * (size_t)catalog->labels.width, catalog->labels.bytes,
           (char *)catalog->label_memory + (size_t)(entry->first + first) * row);
  }
  return THAW_OK;
}

static int32_t first_shard(const thaw_catalog *catalog, int part, int parts) {
  return (int32_t)((int64_t)catalog->entries * part / parts);
}

static thaw_status read_shards(thaw_catalog *catalog, int32_t from, int32_t to, float *rows) {
  for (int32_t shard = from; shard < to; shard++) {
    shard_handle *handle;
    THAW_TRY(thaw_shard__handle(catalog, shard, &handle));
    if (rows) THAW_TRY(read_shard(catalog, shard, handle, rows));
  }
  return THAW_OK;
}

thaw_status thaw_catalog_read_part(thaw_catalog *catalog, int part, int parts, bool labels) {
  float *rows = NULL;
  if (labels) {
    THAW_TRY(make_room(catalog));
    rows = thaw_new(ROWS_AT_ONCE, (size_t)catalog->info.label_width * sizeof *rows);
    if (!rows) return THAW_ERR_MEMORY;
  }
  thaw_status status =
      read_shards(catalog, first_shard(catalog, part, parts), first_shard(catalog, part + 1, parts), rows);
  thaw_free(rows);
  if (status == THAW_OK && labels) catalog->labels_read = true;
  return status;
}

void *thaw_catalog_labels_part(thaw_catalog *catalog, int part, int parts, size_t *bytes_out) {
  const int32_t from = first_shard(catalog, part, parts), to = first_shard(catalog, part + 1, parts);
  const size_t row = (size_t)catalog->labels.width * (size_t)catalog->labels.bytes;
  int64_t first = from < (int32_t)catalog->entries ? catalog->entry[from].first : catalog->info.count;
  int64_t end = to < (int32_t)catalog->entries ? catalog->entry[to].first : catalog->info.count;
  *bytes_out = (size_t)(end - first) * row;
  return (char *)catalog->label_memory + (size_t)first * row;
}

thaw_status thaw_catalog_labels(thaw_catalog *catalog, const thaw_labels **out) {
  if (!catalog->labels_read) THAW_TRY(thaw_catalog_read_part(catalog, 0, 1, true));
  *out = &catalog->labels;
  return THAW_OK;
}
