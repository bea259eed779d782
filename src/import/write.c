/* write.c: shards are dealt over the ranks; rank 0 writes the catalogues when all shards are there. */
#include "import/import_private.h"
#include "thaw/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One stored value; 8-bit sources fill the range of 16-bit output. */
static uint32_t convert(uint32_t value, int32_t from_bits, const thaw_dataset_info *info,
                        const thaw_import_options *options) {
  if (from_bits == info->bits) return value;
  if (info->bits == 16) return (uint32_t)floor(value / 255.0 * info->value_max + 0.5);
  const double largest = options->value_max > 0 ? options->value_max : 65535, scaled = value / largest * 255 + 0.5;
  return scaled < 255 ? (uint32_t)floor(scaled) : 255;
}

static void store(const thaw_image *image, const thaw_dataset_info *info, const thaw_import_options *options,
                  void *pixels) {
  const size_t samples = (size_t)info->h * (size_t)info->w * (size_t)info->c;
  if (image->bits == info->bits) {
    memcpy(pixels, image->pixels, samples * (size_t)(info->bits / 8));
    return;
  }
  for (size_t i = 0; i < samples; i++) {
    const uint32_t value =
        image->bits == 16 ? ((const uint16_t *)image->pixels)[i] : ((const uint8_t *)image->pixels)[i];
    const uint32_t stored = convert(value, image->bits, info, options);
    if (info->bits == 16)
      ((uint16_t *)pixels)[i] = (uint16_t)stored;
    else
      ((uint8_t *)pixels)[i] = (uint8_t)stored;
  }
}

/* Resized before grey is repeated to RGB, after RGB is mixed to grey: the cheaper order. */
static thaw_status shape_image(thaw_image *image, const thaw_dataset_info *info, thaw_fit fit) {
  thaw_image next;
  for (int step = 0; step < 2; step++) {
    const bool channels = step == (info->c == 1 ? 0 : 1);
    if (channels ? image->c == info->c : image->h == info->h && image->w == info->w) continue;
    if (channels)
      THAW_TRY(thaw_image_channels(image, info->c, &next));
    else
      THAW_TRY(thaw_image_fit(image, fit, info->h, info->w, &next));
    thaw_image_clear(image);
    *image = next;
  }
  return THAW_OK;
}

thaw_status thaw_import__row(const import_source *source, int64_t i, const thaw_dataset_info *info,
                             const thaw_import_options *options, void *pixels) {
  thaw_image image;
  THAW_TRY(thaw_import__image(source, i, &image));
  thaw_status status = shape_image(&image, info, options->fit);
  if (status == THAW_OK) store(&image, info, options, pixels);
  thaw_image_clear(&image);
  return status;
}

/* Buffers of one shard. */
typedef struct shard_buffer {
  char *pixels;
  void *labels;
  char **ids, **groups;
} shard_buffer;

static size_t row_bytes(const thaw_dataset_info *info) {
  return (size_t)info->h * (size_t)info->w * (size_t)info->c * (size_t)(info->bits / 8);
}

static size_t label_bytes(const thaw_dataset_info *info) {
  return (size_t)info->label_width * (info->label_kind == THAW_LABEL_MULTI ? 1 : sizeof(float));
}

static void copy_label(const import_source *source, int64_t from, int64_t to, void *labels) {
  const size_t width = (size_t)source->label_width;
  if (source->label_kind == THAW_LABEL_CLASS)
    ((int32_t *)labels)[to] = source->class_index[from];
  else if (source->label_kind == THAW_LABEL_MULTI)
    memcpy((uint8_t *)labels + (size_t)to * width, source->multi + (size_t)from * width, width);
  else if (source->label_kind == THAW_LABEL_TARGET)
    memcpy((float *)labels + (size_t)to * width, source->target + (size_t)from * width, width * sizeof(float));
}

typedef struct write_progress {
  thaw_log *log;
  int64_t done, total, ranks;
} write_progress;

static thaw_status fill_buffer(const import_source *source, const import_plan *plan, const import_shard *shard,
                               const thaw_import_options *options, write_progress *progress, shard_buffer *buffer) {
  const int64_t *order = plan->order[shard->part] + shard->first;
  for (int64_t i = 0; i < shard->count; i++) {
    thaw_status status =
        thaw_import__row(source, order[i], &plan->info, options, buffer->pixels + (size_t)i * row_bytes(&plan->info));
    if (status == THAW_ERR_DATA) return thaw_fail_in(status, "changed during the import: ");
    THAW_TRY(status);
    copy_label(source, order[i], i, buffer->labels);
    buffer->ids[i] = source->id[order[i]];
    if (source->group) buffer->groups[i] = source->group[order[i]];
    const int64_t done = ++progress->done * progress->ranks;
    thaw_progress_update(progress->log, done < progress->total ? done : progress->total, NULL);
  }
  return THAW_OK;
}

static thaw_status write_shard(const import_source *source, const import_plan *plan, import_shard *shard,
                               const thaw_import_options *options, write_progress *progress) {
  shard_buffer buffer = {.pixels = thaw_new((size_t)shard->count, row_bytes(&plan->info)),
                         .labels = thaw_new((size_t)shard->count, label_bytes(&plan->info)),
                         .ids = thaw_new((size_t)shard->count, sizeof(char *)),
                         .groups = thaw_new((size_t)shard->count, sizeof(char *))};
  char *path = thaw_path_join(plan->folder[shard->part], shard->file);
  thaw_status status =
      buffer.pixels && buffer.labels && buffer.ids && buffer.groups && path ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = fill_buffer(source, plan, shard, options, progress, &buffer);
  const thaw_shard_rows rows = {.count = shard->count,
                                .pixels = buffer.pixels,
                                .labels = buffer.labels,
                                .ids = buffer.ids,
                                .groups = source->group ? buffer.groups : NULL};
  if (status == THAW_OK) status = thaw_shard_write(path, &plan->info, &rows, options->deflate, shard->digest);
  thaw_free(path);
  thaw_free(buffer.groups);
  thaw_free(buffer.ids);
  thaw_free(buffer.labels);
  thaw_free(buffer.pixels);
  return status;
}

/* [collective] Rank r wrote shards r, r + size, ...: their digests come together on rank 0. */
static thaw_status gather_digests(thaw_comm *comm, import_plan *plan) {
  const int rank = thaw_comm_rank(comm), size = thaw_comm_size(comm);
  thaw_text mine = {0};
  char *all = NULL;
  size_t *sizes = NULL;
  for (int32_t j = rank; j < plan->shards; j += size) thaw_text_add_bytes(&mine, plan->shard[j].digest, 64);
  thaw_status status = thaw_agree(comm, mine.failed ? THAW_ERR_MEMORY : THAW_OK);
  if (status == THAW_OK) status = thaw_comm_gather(comm, mine.data, mine.length, &all, &sizes);
  const char *at = all;
  for (int r = 0; status == THAW_OK && all && r < size; r++)
    for (int32_t j = r; j < plan->shards; j += size, at += 64) memcpy(plan->shard[j].digest, at, 64);
  thaw_free(sizes);
  thaw_free(all);
  thaw_text_clear(&mine);
  return status;
}

static int64_t *count_classes(const import_source *source, const import_plan *plan, int s) {
  int64_t *histogram = thaw_new(source->classes.count, sizeof *histogram);
  for (int64_t i = 0; histogram && i < plan->size[s]; i++) {
    const int64_t sample = plan->order[s][i];
    if (source->label_kind == THAW_LABEL_CLASS) histogram[source->class_index[sample]]++;
    for (int32_t k = 0; source->label_kind == THAW_LABEL_MULTI && k < source->label_width; k++)
      histogram[k] += source->multi[sample * source->label_width + k] == 1;
  }
  return histogram;
}

static thaw_status write_catalog(const import_source *source, const import_plan *plan, int s) {
  if (!plan->folder[s]) return THAW_OK;
  const bool classes = source->label_kind == THAW_LABEL_CLASS || source->label_kind == THAW_LABEL_MULTI;
  int64_t *histogram = classes ? count_classes(source, plan, s) : NULL;
  thaw_shard_entry *entry = thaw_new((size_t)plan->shards, sizeof *entry);
  char *path = thaw_path_join(plan->folder[s], "catalog.yaml");
  int32_t count = 0;
  thaw_status status = path && entry && (histogram || !classes) ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t j = 0; status == THAW_OK && j < plan->shards; j++) {
    if (plan->shard[j].part != s) continue;
    entry[count] = (thaw_shard_entry){.file = plan->shard[j].file, .count = plan->shard[j].count};
    memcpy(entry[count++].digest, plan->shard[j].digest, 65);
  }
  if (status == THAW_OK) status = thaw_catalog_write(path, &plan->info, entry, count, histogram);
  thaw_free(path);
  thaw_free(entry);
  thaw_free(histogram);
  return status;
}

thaw_status thaw_import__write(thaw_comm *comm, const import_source *source, import_plan *plan,
                               const thaw_import_options *options, thaw_log *log) {
  write_progress progress = {.log = log, .ranks = thaw_comm_size(comm)};
  thaw_status status = THAW_OK;
  for (int s = 0; s < IMPORT_PARTS; s++) progress.total += plan->size[s];
  thaw_progress_begin(log, "writing", "images", progress.total);
  for (int32_t j = thaw_comm_rank(comm); status == THAW_OK && j < plan->shards; j += thaw_comm_size(comm))
    status = write_shard(source, plan, &plan->shard[j], options, &progress);
  thaw_progress_end(log, NULL);
  THAW_TRY(thaw_agree(comm, status));
  THAW_TRY(gather_digests(comm, plan));
  for (int s = IMPORT_PARTS - 1; thaw_comm_rank(comm) == 0 && status == THAW_OK && s >= 0; s--)
    status = write_catalog(source, plan, s);
  return thaw_agree(comm, status);
}
