/* catalog_write.c: catalog.yaml from entries. */
#include "shard/shard_private.h"
#include "thaw/memory.h"

static void add_names(thaw_text *out, const char *key, const thaw_strings *classes) {
  if (!classes->count) return;
  thaw_text_add(out, "%s:\n", key);
  for (size_t i = 0; i < classes->count; i++) {
    thaw_text_add(out, "  - ");
    thaw_text_add_json(out, classes->item[i]);
    thaw_text_add(out, "\n");
  }
}

static void add_histogram(thaw_text *out, const int64_t *histogram, int32_t count) {
  thaw_text_add(out, "histogram: [");
  for (int32_t i = 0; i < count; i++) thaw_text_add(out, "%s%lld", i ? ", " : "", (long long)histogram[i]);
  thaw_text_add(out, "]\n");
}

static void add_shards(thaw_text *out, const thaw_shard_entry *shards, int32_t count) {
  thaw_text_add(out, "shards:\n");
  for (int32_t i = 0; i < count; i++) {
    thaw_text_add(out, "  - {file: ");
    thaw_text_add_json(out, shards[i].file);
    thaw_text_add(out, ", count: %lld, digest: %s}\n", (long long)shards[i].count, shards[i].digest);
  }
}

thaw_status thaw_catalog_write(const char *path, const thaw_dataset_info *info, const thaw_shard_entry *shards,
                               int32_t count, const int64_t *histogram) {
  thaw_text text = {0};
  int64_t samples = 0;
  for (int32_t i = 0; i < count; i++) samples += shards[i].count;
  thaw_text_add(&text, "format: thaw-catalog\nversion: %d\ncount: %lld\n", THAW_CATALOG_VERSION, (long long)samples);
  thaw_text_add(&text, "image: {height: %d, width: %d, channels: %d, bits: %d, value_max: %.17g}\n", (int)info->h,
                (int)info->w, (int)info->c, (int)info->bits, info->value_max);
  thaw_text_add(&text, "label: {kind: %s, width: %d}\n", thaw_shard__kinds[info->label_kind], (int)info->label_width);
  add_names(&text, "classes", &info->classes);
  add_names(&text, "columns", &info->columns);
  if (histogram) add_histogram(&text, histogram, (int32_t)info->classes.count);
  add_shards(&text, shards, count);
  thaw_status status = text.failed ? THAW_ERR_MEMORY : thaw_file_write(path, text.data, text.length);
  thaw_text_clear(&text);
  return status;
}
