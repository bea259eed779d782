/* write.c: shards are dealt over the ranks; rank 0 writes the catalogues when all shards are there. */
#include "import/import_private.h"
#include "thaw/text.h"

#include <string.h>

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
  else if (source->label_kind == THAW_LABEL_TARGET || source->label_kind == THAW_LABEL_MIXED)
    memcpy((float *)labels + (size_t)to * width, source->target + (size_t)from * width, width * sizeof(float));
}

/* What one rank works with while it writes. */
typedef struct shard_writer {
  const import_source *source;
  const import_survey *survey;
  const import_plan *plan;
  const thaw_import_options *options;
  thaw_log *log;
  int64_t done, total, ranks;
} shard_writer;

/* From the images that the survey kept, or decoded again. */
static thaw_status make_row(const shard_writer *w, int64_t i, void *pixels) {
  const import_survey *survey = w->survey;
  const thaw_image *kept = i >= survey->first && i < survey->last ? &survey->kept[i - survey->first] : NULL;
  thaw_image image;
  if (kept && kept->pixels) return thaw_import__row(kept, &w->plan->info, w->options, pixels);
  THAW_TRY(thaw_import__image(w->source, i, &image));
  thaw_status status = thaw_import__fit(w->options, &image);
  if (status == THAW_OK) status = thaw_import__row(&image, &w->plan->info, w->options, pixels);
  thaw_image_clear(&image);
  return status;
}

static thaw_status hash_row(const shard_writer *w, int64_t i, void *pixels) {
  const thaw_dataset_info *info = &w->plan->info;
  const thaw_image image = {.h = info->h, .w = info->w, .c = info->c, .bits = info->bits, .pixels = pixels};
  return thaw_image_hash(&image, &w->plan->look[i]);
}

static thaw_status fill_buffer(shard_writer *w, const import_shard *shard, shard_buffer *buffer) {
  const int64_t *order = w->plan->order[shard->part] + shard->first;
  for (int64_t i = 0; i < shard->count; i++) {
    thaw_status status = make_row(w, order[i], buffer->pixels + (size_t)i * row_bytes(&w->plan->info));
    if (status == THAW_ERR_DATA) return thaw_fail_in(status, "%s changed during the import: ", w->source->id[order[i]]);
    if (status == THAW_OK) status = hash_row(w, order[i], buffer->pixels + (size_t)i * row_bytes(&w->plan->info));
    THAW_TRY(status);
    copy_label(w->source, order[i], i, buffer->labels);
    buffer->ids[i] = w->source->id[order[i]];
    if (w->source->group) buffer->groups[i] = w->source->group[order[i]];
    const int64_t done = ++w->done * w->ranks;
    thaw_progress_update(w->log, done < w->total ? done : w->total, NULL);
  }
  return THAW_OK;
}

static thaw_status write_shard(shard_writer *w, import_shard *shard) {
  const thaw_dataset_info *info = &w->plan->info;
  const size_t count = (size_t)shard->count;
  shard_buffer buffer = {.pixels = thaw_new(count, row_bytes(info)),
                         .labels = thaw_new(count, label_bytes(info)),
                         .ids = thaw_new(count, sizeof(char *)),
                         .groups = thaw_new(count, sizeof(char *))};
  char *path = thaw_path_join(w->plan->folder[shard->part], shard->file);
  const bool whole = buffer.pixels && buffer.labels && buffer.ids && buffer.groups && path;
  thaw_status status = whole ? fill_buffer(w, shard, &buffer) : THAW_ERR_MEMORY;
  const thaw_shard_rows rows = {.count = shard->count,
                                .pixels = buffer.pixels,
                                .labels = buffer.labels,
                                .ids = buffer.ids,
                                .groups = w->source->group ? buffer.groups : NULL};
  if (status == THAW_OK) status = thaw_shard_write(path, info, &rows, w->options->deflate, shard->digest);
  thaw_free(path);
  thaw_free(buffer.groups);
  thaw_free(buffer.ids);
  thaw_free(buffer.labels);
  thaw_free(buffer.pixels);
  return status;
}

/* The rank that writes shard j. Where a part has shards for everyone, in the order of the source, so that a rank meets
 * again most of the images that it kept; else in turn. */
static int owner(const import_plan *plan, int32_t j, int ranks) {
  int32_t first = j, shards = 0;
  while (first > 0 && plan->shard[first - 1].part == plan->shard[j].part) first--;
  for (int32_t i = first; i < plan->shards && plan->shard[i].part == plan->shard[j].part; i++) shards++;
  if (shards < ranks) return j % ranks;
  return (int)((int64_t)(j - first) * ranks / shards);
}

/* [collective] The digests of all shards come together on rank 0. */
static thaw_status gather_digests(thaw_comm *comm, import_plan *plan) {
  const int rank = thaw_comm_rank(comm), size = thaw_comm_size(comm);
  thaw_text mine = {0};
  char *all = NULL;
  size_t *sizes = NULL;
  for (int32_t j = 0; j < plan->shards; j++)
    if (owner(plan, j, size) == rank) thaw_text_add_bytes(&mine, plan->shard[j].digest, 64);
  thaw_status status = thaw_agree(comm, mine.failed ? THAW_ERR_MEMORY : THAW_OK);
  if (status == THAW_OK) status = thaw_comm_gather(comm, mine.data, mine.length, &all, &sizes);
  const char *at = all;
  for (int r = 0; status == THAW_OK && all && r < size; r++)
    for (int32_t j = 0; j < plan->shards; j++) {
      if (owner(plan, j, size) != r) continue;
      memcpy(plan->shard[j].digest, at, 64);
      at += 64;
    }
  thaw_free(sizes);
  thaw_free(all);
  thaw_text_clear(&mine);
  return status;
}

int64_t *thaw_import__count_classes(const import_source *source, const import_plan *plan, int s) {
  int64_t *histogram = thaw_new(source->classes.count, sizeof *histogram);
  for (int64_t i = 0; histogram && i < plan->size[s]; i++) {
    const int64_t sample = plan->order[s][i];
    if (source->label_kind == THAW_LABEL_CLASS) histogram[source->class_index[sample]]++;
    for (int32_t k = 0; source->label_kind == THAW_LABEL_MULTI && k < source->label_width; k++)
      histogram[k] += source->multi[sample * source->label_width + k] == 1;
  }
  return histogram;
}

/* hashes.txt beside the catalogue, under the digest that the catalogue has now. */
static thaw_status write_hashes(const import_plan *plan, int s, const char *catalog_path) {
  thaw_catalog *catalog;
  uint64_t *hash = thaw_new((size_t)plan->size[s], sizeof *hash);
  if (!hash) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < plan->size[s]; i++) hash[i] = plan->look[plan->order[s][i]];
  thaw_status status = thaw_catalog_open(catalog_path, &catalog);
  if (status == THAW_OK) {
    status = thaw_hashes_write(catalog_path, thaw_catalog_info(catalog)->digest, hash, plan->size[s]);
    thaw_catalog_close(catalog);
  }
  thaw_free(hash);
  return status;
}

static thaw_status write_catalog(const import_source *source, const import_plan *plan, int s) {
  if (!plan->folder[s]) return THAW_OK;
  const bool classes = source->label_kind == THAW_LABEL_CLASS || source->label_kind == THAW_LABEL_MULTI;
  int64_t *histogram = classes ? thaw_import__count_classes(source, plan, s) : NULL;
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
  if (status == THAW_OK) status = write_hashes(plan, s, path);
  thaw_free(path);
  thaw_free(entry);
  thaw_free(histogram);
  return status;
}

thaw_status thaw_import__write(thaw_comm *comm, const import_source *source, const import_survey *survey,
                               import_plan *plan, const thaw_import_options *options, thaw_log *log) {
  const int rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  shard_writer writer = {source, survey, plan, options, log, .ranks = ranks};
  thaw_status status = THAW_OK;
  plan->look = thaw_new((size_t)source->count, sizeof *plan->look);
  THAW_TRY(thaw_agree(comm, plan->look ? THAW_OK : THAW_ERR_MEMORY));
  for (int s = 0; s < IMPORT_PARTS; s++) writer.total += plan->size[s];
  thaw_progress_begin(log, "writing", "images", writer.total);
  for (int32_t j = 0; status == THAW_OK && j < plan->shards; j++)
    if (owner(plan, j, ranks) == rank) status = write_shard(&writer, &plan->shard[j]);
  thaw_progress_end(log, NULL);
  THAW_TRY(thaw_agree(comm, status));
  THAW_TRY(gather_digests(comm, plan));
  /* One rank has each sample's hash, the others have 0. */
  THAW_TRY(thaw_comm_sum_int(comm, (int64_t *)(void *)plan->look, (size_t)source->count));
  for (int s = IMPORT_PARTS - 1; rank == 0 && status == THAW_OK && s >= 0; s--) {
    status = thaw_import__write_attributes(source, plan, s);
    if (status == THAW_OK) status = thaw_import__write_recipe(plan, s, options);
    if (status == THAW_OK) status = write_catalog(source, plan, s);
  }
  return thaw_agree(comm, status);
}
