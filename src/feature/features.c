#include "feature/feature_private.h"
#include "thaw/graph.h"
#include "thaw/kernel.h"
#include "thaw/memory.h"

#include <string.h>

/* A block is the unit of work, of writing and of loss by a kill: about 64 of them in small data, of 256 samples in
 * larger, fewer of images beyond 512 x 512, at most 4,096 in all; never more than 32 MB. A pure function of data and
 * job, so that every rank count agrees. */
enum { SMALL_BLOCKS = 64, BLOCK_ROWS = 256, BLOCK_PIXELS = 256 * 512 * 512, MOST_BLOCKS = 4096, ROWS_MULTIPLE = 8 };
static const size_t block_bytes = (size_t)32 << 20;

static int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

static int64_t choose_unit_rows(int64_t samples, int64_t pixels) {
  int64_t rows = divide_up(samples, SMALL_BLOCKS), most = BLOCK_PIXELS / (pixels > 0 ? pixels : 1);
  if (rows > BLOCK_ROWS) rows = BLOCK_ROWS;
  if (rows > most) rows = most / ROWS_MULTIPLE * ROWS_MULTIPLE;
  if (rows < divide_up(samples, MOST_BLOCKS)) rows = divide_up(samples, MOST_BLOCKS);
  return rows < 1 ? ROWS_MULTIPLE : divide_up(rows, ROWS_MULTIPLE) * ROWS_MULTIPLE;
}

/* A part of the unit, so that blocks of different cuts end together again and again. */
static int64_t choose_block_rows(int64_t unit, size_t row_bytes) {
  int64_t parts = 1, most = (int64_t)(block_bytes / row_bytes);
  while (parts < unit && (unit % parts || unit / parts > most)) parts++;
  return unit / parts;
}

static thaw_status set_up(thaw_features *f, const thaw_features_desc *desc) {
  f->catalog = desc->catalog;
  f->data = thaw_catalog_info(desc->catalog);
  f->input = *desc->input;
  f->plan = desc->plan;
  f->floats = desc->floats;
  f->input_floats = (size_t)f->input.h * (size_t)f->input.w * (size_t)f->input.c;
  f->batch = desc->batch < 1 ? 1 : desc->batch;
  /* Without a plan the "features" are the inputs themselves: reading the shards is cheaper than caching those. */
  f->caching = desc->cache->enabled && desc->plan;
  f->storage = f->caching ? desc->cache->storage : THAW_STORE_F32;
  f->kernel_revision = THAW_KERNEL_REVISION;
  f->limit_bytes = desc->cache->limit_gb * 1e9;
  f->opened = thaw_wall_clock() - 0.05; /* file times may lag by a clock tick */
  f->row_bytes = f->floats * (f->storage == THAW_STORE_F16 ? sizeof(uint16_t) : sizeof(float));
  f->plan_floats = desc->plan ? thaw_plan_output_floats(desc->plan) : f->floats;
  f->unit_rows = choose_unit_rows(f->data->count, (int64_t)f->input.h * f->input.w);
  f->block_rows = choose_block_rows(f->unit_rows, f->row_bytes ? f->row_bytes : 1);
  f->blocks = (int32_t)divide_up(f->data->count, f->block_rows);
  f->cut_name = thaw_copy_text(desc->cut_name);
  f->weights_digest = thaw_copy_text(desc->weights_digest);
  f->cache_folder = thaw_copy_text(desc->cache_folder ? desc->cache_folder : "cache");
  f->half = thaw_new(f->floats, sizeof *f->half);
  if (!f->cut_name || !f->weights_digest || !f->cache_folder || !f->half) return THAW_ERR_MEMORY;
  return f->caching ? thaw_later_create(f, desc) : THAW_OK;
}

thaw_status thaw_features_create(const thaw_features_desc *desc, thaw_log *log, thaw_features **out) {
  *out = thaw_new(1, sizeof **out);
  if (!*out) return THAW_ERR_MEMORY;
  (*out)->log = log;
  return set_up(*out, desc);
}

thaw_status thaw_features_open(thaw_comm *comm, const thaw_features_desc *desc, thaw_log *log, thaw_features **out) {
  thaw_features *f = NULL;
  thaw_status status = thaw_agree(comm, thaw_features_create(desc, log, &f));
  if (status == THAW_OK)
    *out = f;
  else
    thaw_features_close(f);
  return status;
}

void thaw_features_close(thaw_features *f) {
  if (!f) return;
  thaw_feature_stop_reading(f);
  thaw_views_clear(f);
  thaw_later_clear(f);
  thaw_free(f->expected);
  thaw_free(f->selected);
  thaw_free(f->pixels);
  thaw_free(f->wide);
  thaw_free(f->half);
  thaw_free(f->block_float);
  thaw_free(f->cut_name);
  thaw_free(f->weights_digest);
  thaw_free(f->cache_folder);
  thaw_free(f);
}

void thaw_features_set_stop(thaw_features *f, bool (*stop)(const void *context), const void *context) {
  f->stop = stop;
  f->stop_context = context;
}

size_t thaw_features_floats(const thaw_features *f) {
  return f->floats;
}

/* ------------------------------------------------------------------ reading */
/* Opens the block, making it anew where it is damaged, foreign or gone. */
static thaw_status open_or_make(thaw_features *f, thaw_view *view, int32_t block) {
  bool missing;
  thaw_status status = thaw_block_open(f, view, block, &missing);
  if (status == THAW_OK || status == THAW_ERR_MEMORY) return status;
  if (!missing) {
    f->rebuilt++;
    f->reported += f->log != NULL;
    thaw_warn(f->log, "feature cache: %s; the block is computed anew", thaw_message());
  }
  THAW_TRY(thaw_block_make(f, view, block, NULL));
  return thaw_block_open(f, view, block, &missing);
}

/* The stored row, after at most one rebuilding of its block. */
static thaw_status find_row(thaw_features *f, thaw_view *view, uint64_t sample, const void **out) {
  int32_t block = (int32_t)((int64_t)sample / f->block_rows);
  int64_t row = (int64_t)sample % f->block_rows;
  for (int attempt = 0; attempt < 2; attempt++) {
    THAW_TRY(open_or_make(f, view, block));
    *out = thaw_block_row(f, view, block, row);
    if (*out) return THAW_OK;
    thaw_fail(THAW_ERR_DATA, "%s/block-%06d.h5: row %lld does not match its checksum", view->folder, block,
              (long long)row);
    thaw_block_close(&view->block[block]);
    if (attempt) break;
    f->rebuilt++;
    f->reported += f->log != NULL;
    thaw_warn(f->log, "feature cache: %s; the block is computed anew", thaw_message());
    THAW_TRY(thaw_block_make(f, view, block, NULL));
  }
  return THAW_ERR_DATA;
}

/* Rows of shuffled samples lie anywhere: the memory is asked for the one after the next while this one is copied. */
static void announce_row(const thaw_features *f, const thaw_view *view, uint64_t sample) {
  enum { LINE = 64, MOST = 16384 };
  const thaw_block *block = &view->block[(int64_t)sample / f->block_rows];
  if (!block->map) return;
  const char *row = block->rows + (size_t)((int64_t)sample % f->block_rows) * f->row_bytes;
  size_t bytes = f->row_bytes < MOST ? f->row_bytes : MOST;
  for (size_t at = 0; at < bytes; at += LINE) __builtin_prefetch(row + at);
}

static thaw_status read_cached(thaw_features *f, thaw_view *view, const uint64_t *sample, int32_t count, float *out) {
  enum { AHEAD = 2 };
  for (int32_t i = 0; i < count; i++) {
    const void *row;
    if (i + AHEAD < count) announce_row(f, view, sample[i + AHEAD]);
    THAW_TRY(find_row(f, view, sample[i], &row));
    float *to = out + (size_t)i * f->floats;
    if (f->storage == THAW_STORE_F16)
      thaw_from_half(row, f->floats, to);
    else
      memcpy(to, row, f->row_bytes);
  }
  f->stats.cached += count;
  return THAW_OK;
}

/* What the cache would have given, without it: with float16 storage the same rounding. */
static thaw_status read_computed(thaw_features *f, const uint64_t *sample, int32_t count, int32_t view, float *out) {
  THAW_TRY(thaw_feature_compute(f, sample, count, view, out));
  for (int32_t i = 0; f->storage == THAW_STORE_F16 && i < count; i++) {
    float *row = out + (size_t)i * f->floats;
    thaw_to_half(row, f->floats, f->half);
    thaw_from_half(f->half, f->floats, row);
  }
  return THAW_OK;
}

void thaw_features_select(thaw_features *f, const int64_t *sample) {
  f->select = sample;
}

/* The caller's samples as numbers among all. */
static thaw_status find_selected(thaw_features *f, const uint64_t **sample, int32_t count) {
  if (!f->select || count == 0) return THAW_OK;
  if ((size_t)count > f->selected_capacity) {
    thaw_free(f->selected);
    f->selected_capacity = 0;
    f->selected = thaw_new((size_t)count, sizeof *f->selected);
    if (!f->selected) return THAW_ERR_MEMORY;
    f->selected_capacity = (size_t)count;
  }
  for (int32_t i = 0; i < count; i++) f->selected[i] = (uint64_t)f->select[(*sample)[i]];
  *sample = f->selected;
  return THAW_OK;
}

thaw_status thaw_features_read(thaw_features *f, const uint64_t *sample, int32_t count, int32_t number, float *out) {
  THAW_TRY(find_selected(f, &sample, count));
  thaw_view *view = thaw_view_ready(f, number);
  if (!view) return read_computed(f, sample, count, number, out);
  thaw_status status = read_cached(f, view, sample, count, out);
  if (status != THAW_ERR_DISK && status != THAW_ERR_DATA) return status;
  /* A block can neither be read nor written: go on without it. */
  thaw_warn(f->log, "feature cache: %s; features are computed whenever they are needed", thaw_message());
  view->bypassed = true;
  thaw_view_close_blocks(f, view);
  return read_computed(f, sample, count, number, out);
}

thaw_status thaw_features_expect(thaw_features *f, const uint64_t *sample, int32_t count, int32_t number) {
  if (count == 0 || thaw_view_ready(f, number)) return THAW_OK;
  THAW_TRY(find_selected(f, &sample, count));
  return thaw_feature_announce(f, sample, count, number);
}

thaw_features_stats thaw_features_statistics(const thaw_features *f) {
  thaw_features_stats stats = f->stats;
  if (f->prefetch) stats.stall_seconds += thaw_prefetch_statistics(f->prefetch).stall_seconds;
  return stats;
}
