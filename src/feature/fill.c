/* Filling a view: every rank looks at a share of the blocks, then computes a share of those that are missing. */
#include "feature/fill.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

/* Share of `count` things: from *begin to *end. Rank 0 has one whenever there is one, so that it can show progress. */
static void deal(int64_t count, thaw_comm *comm, int64_t *begin, int64_t *end) {
  int64_t rank = thaw_comm_rank(comm), size = thaw_comm_size(comm);
  *begin = (count * rank + size - 1) / size;
  *end = (count * (rank + 1) + size - 1) / size;
}

/* [collective] Warns of blocks that were found damaged since the last report. */
static thaw_status report_damage(filler *w, int64_t damaged) {
  thaw_features *f = w->features;
  int64_t total = damaged + f->rebuilt - f->reported;
  f->reported = f->rebuilt;
  THAW_TRY(thaw_comm_sum_int(w->comm, &total, 1));
  if (total)
    thaw_warn(w->log, "feature cache %s: %lld damaged or foreign block%s computed anew", f->cache_folder,
              (long long)total, total == 1 ? "" : "s");
  return THAW_OK;
}

/* [collective] Marks missing blocks, the same on every rank; each rank opens a share of them. */
static thaw_status look_at(filler *w, fill_cut *cut, int64_t *damaged) {
  const thaw_features *f = cut->features;
  int64_t begin, end;
  deal(f->blocks, w->comm, &begin, &end);
  for (int64_t b = begin; b < end; b++) {
    bool missing;
    cut->block[b] = thaw_block_open(f, cut->view, (int32_t)b, &missing) != THAW_OK ? FILL_MISSING : FILL_THERE;
    *damaged += cut->block[b] == FILL_MISSING && !missing;
  }
  return thaw_comm_max_int(w->comm, cut->block, (size_t)f->blocks);
}

/* [collective] */
static thaw_status look(filler *w) {
  int64_t damaged = 0;
  for (int32_t c = 0; c < w->cuts; c++) THAW_TRY(look_at(w, &w->cut[c], &damaged));
  return report_damage(w, damaged);
}

static double missing_bytes(const filler *w) {
  double bytes = 0;
  for (int32_t c = 0; c < w->cuts; c++) {
    const thaw_features *f = w->cut[c].features;
    double each = (double)(f->row_bytes + sizeof(uint64_t));
    for (int32_t b = 0; b < f->blocks; b++)
      if (w->cut[c].block[b] == FILL_MISSING) bytes += (double)thaw_block_count(f, b) * each + THAW_FILE_OVERHEAD;
  }
  return bytes;
}

/* [collective] Ends caching for all views, on every rank. */
static void switch_off(filler *w, const char *reason) {
  w->features->caching = false;
  thaw_warn(w->log, "%s; the feature cache is switched off, features are computed whenever they are needed", reason);
}

enum { FITS, OVER_LIMIT, DISK_TOO_SMALL };

/* [collective] Is there room, on the disk and under the limit? Rank 0 decides. */
static thaw_status find_room(filler *w, double needed, int64_t *verdict_out) {
  thaw_features *f = w->features;
  int64_t verdict = FITS;
  thaw_status status = THAW_OK;
  if (thaw_comm_rank(w->comm) == 0) {
    bool fits = true;
    status = thaw_entries_limit(f, w->cut[0].view, needed, &fits);
    if (status == THAW_OK && !fits)
      verdict = OVER_LIMIT;
    else if (status == THAW_OK && (double)thaw_disk_free(f->cache_folder) < needed + THAW_DISK_RESERVE)
      verdict = DISK_TOO_SMALL;
  }
  THAW_TRY(thaw_agree(w->comm, status));
  THAW_TRY(thaw_comm_max_int(w->comm, &verdict, 1));
  *verdict_out = verdict;
  return THAW_OK;
}

/* [collective] The present cut by itself where it does not fit with the later ones. */
static thaw_status make_room(filler *w, bool *fits_out) {
  double needed = missing_bytes(w);
  int64_t verdict = FITS;
  *fits_out = true;
  if (needed > 0) THAW_TRY(find_room(w, needed, &verdict));
  if (verdict != FITS && w->cuts > 1) {
    w->cuts = 1;
    needed = missing_bytes(w);
    verdict = FITS;
    if (needed > 0) THAW_TRY(find_room(w, needed, &verdict));
    thaw_info(w->log, "feature cache: no room for the features of later phases; they compute them");
  }
  *fits_out = verdict == FITS;
  if (*fits_out) return THAW_OK;
  char bytes[32], reason[512];
  thaw_format_bytes(needed, bytes);
  snprintf(reason, sizeof reason,
           verdict == OVER_LIMIT ? "cache.limit_gb leaves no room for %s more in %s"
                                 : "%s are needed for features, the disk of %s has less",
           bytes, w->features->cache_folder);
  switch_off(w, reason);
  return THAW_OK;
}

/* [collective] Failures other than of the disk end the run; *failed_out: the disk of a rank failed. */
static thaw_status agree_but_for_disk(filler *w, thaw_status status, bool *failed_out) {
  THAW_TRY(thaw_agree(w->comm, status == THAW_ERR_DISK ? THAW_OK : status));
  thaw_status disk = thaw_agree(w->comm, status == THAW_ERR_DISK ? status : THAW_OK);
  *failed_out = disk == THAW_ERR_DISK;
  return *failed_out ? THAW_OK : disk;
}

void thaw_fill_remove(fill_cut *cut) {
  for (int32_t b = 0; b < cut->features->blocks; b++) {
    if (cut->block[b] != FILL_MADE) continue;
    char *path = thaw_block_path(cut->features, cut->view, b);
    if (path) unlink(path);
    thaw_free(path);
  }
  thaw_view_close_blocks(cut->features, cut->view);
}

/* [collective] */
static thaw_status report_half_error(filler *w) {
  for (int32_t c = 0; c < w->cuts && w->features->storage == THAW_STORE_F16; c++) {
    thaw_half_error *error = &w->cut[c].error;
    thaw_wide sum[2] = {{{0}}};
    int64_t refused = !thaw_wide_add(&sum[0], error->square) || !thaw_wide_add(&sum[1], error->norm);
    THAW_TRY(thaw_wide_reduce(w->comm, sum, 2, &refused));
    THAW_TRY(thaw_comm_max_double(w->comm, &error->largest, 1));
    double norm = thaw_wide_value(&sum[1]);
    if (!refused && norm > 0)
      thaw_info(w->log, "float16 storage%s%s: relative L2 error %.2g, largest absolute error %.2g", c ? " of " : "",
                c ? w->cut[c].features->cut_name : "", sqrt(thaw_wide_value(&sum[0]) / norm), error->largest);
  }
  return THAW_OK;
}

/* [collective] Makes what is missing. A rank whose disk is full ends the cache for all: the room is needed for
 * checkpoints now. */
static thaw_status make_missing(filler *w) {
  fill_share s = {0};
  bool stopped = false, full;
  deal(w->count, w->comm, &s.begin, &s.end);
  s.next = s.begin;
  THAW_TRY(thaw_fill_compute(w, &s, &stopped));
  THAW_TRY(agree_but_for_disk(w, s.status, &full));
  if (full) {
    switch_off(w, thaw_message());
    for (int32_t c = 0; c < w->cuts; c++) thaw_fill_remove(&w->cut[c]);
  }
  if (stopped)
    return thaw_fail(THAW_STOPPED, "stopped while features were computed; complete blocks are kept in %s",
                     w->features->cache_folder);
  return w->features->caching ? report_half_error(w) : THAW_OK;
}

/* [collective] *failed_out: not possible on this disk. */
static thaw_status prepare_entry(filler *w, fill_cut *cut, bool *failed_out) {
  thaw_status status = THAW_OK;
  if (thaw_comm_rank(w->comm) == 0) status = thaw_entry_prepare(cut->features, cut->view);
  THAW_TRY(agree_but_for_disk(w, status, failed_out));
  if (*failed_out) return THAW_OK;
  /* A host that has looked for the folder before may go on for a while believing that there is none (NFS); asking for
   * it to be made asks the server. */
  return agree_but_for_disk(w, thaw_folder_create(cut->view->folder), failed_out);
}

static thaw_status prepare_entries(filler *w) {
  for (int32_t c = 0; c < w->cuts; c++) {
    bool failed;
    THAW_TRY(prepare_entry(w, &w->cut[c], &failed));
    if (failed && c == 0) switch_off(w, thaw_message());
    if (failed) w->cuts = c;
  }
  return THAW_OK;
}

static thaw_status fill(filler *w) {
  bool fits;
  THAW_TRY(prepare_entries(w));
  if (!w->features->caching) return THAW_OK;
  THAW_TRY(look(w));
  THAW_TRY(make_room(w, &fits));
  if (fits) {
    thaw_fill_choose_units(w);
    if (w->count) THAW_TRY(make_missing(w));
  }
  w->cut[0].view->ready = w->features->caching;
  w->cut[0].view->bypassed = false;
  return THAW_OK;
}

/* Mapped blocks of other augmented views are let go: an epoch uses one view. */
static void release_others(thaw_features *f, const thaw_view *view) {
  for (size_t i = 0; i < f->views; i++)
    if (&f->view[i] != view && f->view[i].view >= 0) {
      thaw_view_close_blocks(f, &f->view[i]);
      f->view[i].ready = false;
    }
}

static thaw_status add_cut(filler *w, thaw_features *features, thaw_later *later, int32_t number) {
  fill_cut *cut = &w->cut[w->cuts];
  *cut = (fill_cut){.features = features, .later = later};
  THAW_TRY(thaw_view_get(features, number, &cut->view));
  cut->block = thaw_new((size_t)features->blocks, sizeof *cut->block);
  if (!cut->block) return THAW_ERR_MEMORY;
  w->cuts = ++w->made;
  return THAW_OK;
}

/* [local] The present cut, and the later ones that will ask for this view. */
static thaw_status begin(filler *w, int32_t number) {
  thaw_features *f = w->features;
  thaw_view *view;
  THAW_TRY(thaw_view_get(f, number, &view));
  if (view->ready) return THAW_OK;
  w->cut = thaw_new((size_t)f->later_count + 1, sizeof *w->cut);
  if (!w->cut) return THAW_ERR_MEMORY;
  THAW_TRY(add_cut(w, f, NULL, number));
  for (int32_t i = 0; i < f->later_count; i++)
    if (thaw_later_wants(f, &f->later[i], view->view)) THAW_TRY(add_cut(w, f->later[i].features, &f->later[i], number));
  w->unit_rows = w->cuts > 1 ? f->unit_rows : f->block_rows;
  w->piece_rows = 2 * (int64_t)f->batch;
  w->units = (f->data->count + w->unit_rows - 1) / w->unit_rows;
  w->unit = thaw_new((size_t)w->units, sizeof *w->unit);
  return w->unit ? THAW_OK : THAW_ERR_MEMORY;
}

static void end(filler *w) {
  for (int32_t c = 0; c < w->made; c++) {
    thaw_features *f = w->cut[c].features;
    thaw_free(w->cut[c].block);
    thaw_free(f->block_float); /* as large as a block, and seldom needed after filling */
    f->block_float = NULL;
    if (!w->cut[c].later) continue;
    w->cut[c].later->collect = NULL;
    thaw_views_clear(f); /* never read from */
  }
  thaw_free(w->cut);
  thaw_free(w->unit);
}

thaw_status thaw_features_fill(thaw_features *f, thaw_comm *comm, int32_t number, thaw_log *log) {
  if (!f->caching) return THAW_OK;
  filler w = {.features = f, .comm = comm, .log = log};
  thaw_status status = thaw_agree(comm, begin(&w, number));
  if (status == THAW_OK && !w.cut) {
    thaw_view *view;
    THAW_TRY(thaw_view_get(f, number, &view));
    if (thaw_comm_rank(comm) == 0) thaw_entry_touch(view);
    return report_damage(&w, 0);
  }
  if (status == THAW_OK) {
    release_others(f, w.cut[0].view);
    status = fill(&w);
  }
  end(&w);
  return status;
}
