/* Computing what is missing: unit by unit, within a unit in short pieces that cross no block of any cut. The frozen
 * network runs once for all cuts; a block is written when its last row is there. */
#include "feature/fill.h"
#include "thaw/memory.h"

#include <stdio.h>

/* Ranks compute freely for about this many seconds, then tell each other whether to go on. */
static const double round_seconds = 5;

static int64_t unit_end(const filler *w, int64_t unit) {
  int64_t end = (unit + 1) * w->unit_rows, samples = w->features->data->count;
  return end < samples ? end : samples;
}

static bool wants(const fill_cut *cut, int64_t block) {
  return cut->block[block] == FILL_MISSING && !cut->dropped;
}

/* The first piece from sample `at` on, before `end`, that belongs to a missing block; its rows, 0 when there is none.
 */
static int64_t find_piece(const filler *w, int64_t at, int64_t end, int64_t *first_out) {
  while (at < end) {
    int64_t stop = end;
    bool wanted = false;
    for (int32_t c = 0; c < w->cuts; c++) {
      int64_t rows = w->cut[c].features->block_rows, block = at / rows;
      if ((block + 1) * rows < stop) stop = (block + 1) * rows;
      wanted |= wants(&w->cut[c], block);
    }
    *first_out = at;
    if (wanted) return stop - at < w->piece_rows ? stop - at : w->piece_rows;
    at = stop;
  }
  return 0;
}

static int64_t unit_samples(const filler *w, int64_t unit) {
  int64_t rows = 0, piece, first = 0, at = unit * w->unit_rows, end = unit_end(w, unit);
  while ((piece = find_piece(w, at, end, &first)) > 0) {
    rows += piece;
    at = first + piece;
  }
  return rows;
}

void thaw_fill_choose_units(filler *w) {
  w->count = 0;
  for (int64_t u = 0; u < w->units; u++)
    if (unit_samples(w, u) > 0) w->unit[w->count++] = u;
}

static void count_rows(const filler *w, fill_share *s) {
  for (int64_t i = 0; i < w->count; i++) {
    int64_t rows = unit_samples(w, w->unit[i]);
    s->total += rows;
    if (i >= s->begin && i < s->end) s->rows += rows;
  }
}

static uint64_t *list_samples(int64_t first, int64_t count) {
  uint64_t *sample = thaw_new((size_t)count, sizeof *sample);
  for (int64_t i = 0; sample && i < count; i++) sample[i] = (uint64_t)(first + i);
  return sample;
}

/* [local] The piece after sample `at` of unit s->next, which may lie in a later one of the share. */
static thaw_status read_ahead(filler *w, fill_share *s, int64_t at) {
  s->piece_rows = 0;
  for (; s->next < s->end; s->next++) {
    int64_t start = w->unit[s->next] * w->unit_rows;
    s->piece_rows = find_piece(w, at > start ? at : start, unit_end(w, w->unit[s->next]), &s->piece);
    if (s->piece_rows) break;
  }
  if (!s->piece_rows) return THAW_OK;
  uint64_t *sample = list_samples(s->piece, s->piece_rows);
  if (!sample) return THAW_ERR_MEMORY;
  thaw_status status = thaw_feature_announce(w->features, sample, (int32_t)s->piece_rows, w->cut[0].view->view);
  thaw_free(sample);
  return status;
}

/* [local] The rows of a piece into the blocks of every cut. */
static thaw_status compute_piece(filler *w, int64_t first, int64_t rows) {
  float *own = NULL;
  for (int32_t c = 0; c < w->cuts; c++) {
    fill_cut *cut = &w->cut[c];
    thaw_features *f = cut->features;
    THAW_TRY(thaw_block_buffer(f));
    float *to = f->block_float + (size_t)(first % f->block_rows) * f->floats;
    if (cut->later)
      cut->later->collect = wants(cut, first / f->block_rows) ? to : NULL;
    else
      own = to;
  }
  uint64_t *sample = list_samples(first, rows);
  if (!sample) return THAW_ERR_MEMORY;
  thaw_status status = thaw_feature_compute(w->features, sample, (int32_t)rows, w->cut[0].view->view, own);
  thaw_free(sample);
  for (int32_t c = 0; c < w->cuts; c++)
    if (w->cut[c].later) w->cut[c].later->collect = NULL;
  return status;
}

/* [local] Writes the blocks that end with sample `end`. Without room for a later cut, its phase will compute it. */
static thaw_status finish_blocks(filler *w, int64_t end) {
  for (int32_t c = 0; c < w->cuts; c++) {
    fill_cut *cut = &w->cut[c];
    const thaw_features *f = cut->features;
    int64_t block = (end - 1) / f->block_rows;
    if (!wants(cut, block) || end < thaw_block_first(f, (int32_t)block) + thaw_block_count(f, (int32_t)block)) continue;
    thaw_status status = thaw_block_finish(cut->features, cut->view, (int32_t)block, &cut->error);
    if (status == THAW_OK) {
      cut->block[block] = FILL_MADE;
      continue;
    }
    if (status != THAW_ERR_DISK || !cut->later) return status;
    thaw_warn(w->log, "feature cache: %s; a later phase computes the features of %s", thaw_message(), f->cut_name);
    cut->dropped = true;
    thaw_fill_remove(cut);
  }
  return THAW_OK;
}

/* [local] The piece that is read ahead. */
static thaw_status make_piece(filler *w, fill_share *s) {
  int64_t first = s->piece, rows = s->piece_rows;
  THAW_TRY(read_ahead(w, s, first + rows));
  THAW_TRY(compute_piece(w, first, rows));
  THAW_TRY(finish_blocks(w, first + rows));
  s->done += rows;
  /* The ranks' shares are equal: rank 0 draws for everybody. */
  thaw_progress_update(w->log, (int64_t)((double)s->done / (double)s->rows * (double)s->total), NULL);
  return THAW_OK;
}

/* [local] Until the round is over. */
static void make_some(filler *w, fill_share *s) {
  double end = thaw_seconds() + round_seconds;
  while (s->piece_rows && s->status == THAW_OK && !thaw_feature_stop_wanted(w->features)) {
    s->status = make_piece(w, s);
    if (thaw_seconds() >= end) break;
  }
  s->cut_short = s->status == THAW_STOPPED; /* between two runs of the plan; the wish stays */
  if (s->cut_short) s->status = THAW_OK;
}

/* [collective] */
static thaw_status make_rounds(filler *w, fill_share *s, bool *stopped_out) {
  enum { STOP, FAILED, LEFT, FLAGS };
  int64_t flags[FLAGS];
  s->status = read_ahead(w, s, 0);
  do {
    make_some(w, s);
    flags[STOP] = thaw_feature_stop_wanted(w->features);
    flags[FAILED] = s->status != THAW_OK;
    flags[LEFT] = s->piece_rows > 0 || s->cut_short;
    THAW_TRY(thaw_comm_max_int(w->comm, flags, FLAGS));
  } while (!flags[STOP] && !flags[FAILED] && flags[LEFT] > 0);
  *stopped_out = flags[STOP] && !flags[FAILED] && flags[LEFT] > 0;
  return THAW_OK;
}

thaw_status thaw_fill_compute(filler *w, fill_share *s, bool *stopped_out) {
  thaw_features *f = w->features;
  double stalled = f->stats.stall_seconds;
  char title[64], note[64];
  int32_t view = w->cut[0].view->view;
  count_rows(w, s);
  snprintf(title, sizeof title, view < 0 ? "features" : "features of view %d", view);
  thaw_progress_begin(w->log, title, "images", s->total);
  thaw_status status = make_rounds(w, s, stopped_out);
  thaw_feature_stop_reading(f);
  snprintf(note, sizeof note, "waited %.2f s for images", f->stats.stall_seconds - stalled);
  thaw_progress_end(w->log, note);
  return status;
}
