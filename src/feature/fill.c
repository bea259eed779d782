/* Filling a view: every rank looks at a share of the blocks, then computes a share of those that are missing. */
#include "feature/feature_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Left free for checkpoints and the like when the room for a view is reckoned. */
static const double disk_reserve = 64e6;
/* What HDF5 adds to a block file. */
static const double file_overhead = 2600;

typedef struct filler {
  thaw_features *features;
  thaw_comm *comm;
  thaw_view *view;
  thaw_log *log;
  int64_t *missing; /* [blocks] 1: has to be made; then the numbers of the missing blocks in order */
  int64_t count;    /* of missing blocks */
  thaw_half_error error;
} filler;

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
static thaw_status look(filler *w) {
  thaw_features *f = w->features;
  int64_t begin, end, damaged = 0;
  deal(f->blocks, w->comm, &begin, &end);
  for (int64_t b = begin; b < end; b++) {
    bool missing;
    w->missing[b] = thaw_block_open(f, w->view, (int32_t)b, &missing) != THAW_OK;
    damaged += w->missing[b] && !missing;
  }
  THAW_TRY(thaw_comm_max_int(w->comm, w->missing, (size_t)f->blocks));
  THAW_TRY(report_damage(w, damaged));
  w->count = 0;
  for (int64_t b = 0; b < f->blocks; b++)
    if (w->missing[b]) w->missing[w->count++] = b;
  return THAW_OK;
}

static double missing_bytes(const filler *w) {
  const thaw_features *f = w->features;
  double samples = 0;
  for (int64_t i = 0; i < w->count; i++) samples += (double)thaw_block_count(f, (int32_t)w->missing[i]);
  return samples * (double)(f->row_bytes + sizeof(uint64_t)) + file_overhead * (double)w->count;
}

/* [collective] Ends caching for all views, on every rank. */
static void switch_off(filler *w, const char *reason) {
  w->features->caching = false;
  thaw_warn(w->log, "%s; the feature cache is switched off, features are computed whenever they are needed", reason);
}

/* [collective] Is there room, on the disk and under the limit? Rank 0 decides. */
static thaw_status make_room(filler *w, bool *fits_out) {
  thaw_features *f = w->features;
  double needed = missing_bytes(w);
  int64_t verdict = 0; /* 1: over the limit, 2: disk too small */
  thaw_status status = THAW_OK;
  if (thaw_comm_rank(w->comm) == 0) {
    bool fits = true;
    status = thaw_entries_limit(f, w->view, needed, &fits);
    if (status == THAW_OK && !fits)
      verdict = 1;
    else if (status == THAW_OK && (double)thaw_disk_free(f->cache_folder) < needed + disk_reserve)
      verdict = 2;
  }
  THAW_TRY(thaw_agree(w->comm, status));
  THAW_TRY(thaw_comm_max_int(w->comm, &verdict, 1));
  *fits_out = verdict == 0;
  if (verdict == 0) return THAW_OK;
  char bytes[32], reason[512];
  thaw_format_bytes(needed, bytes);
  snprintf(reason, sizeof reason,
           verdict == 1 ? "cache.limit_gb leaves no room for %s more in %s"
                        : "%s are needed for features, the disk of %s has less",
           bytes, f->cache_folder);
  switch_off(w, reason);
  return THAW_OK;
}

static thaw_status announce_block(filler *w, int32_t block) {
  thaw_features *f = w->features;
  int64_t count = thaw_block_count(f, block);
  uint64_t *sample = thaw_new((size_t)count, sizeof *sample);
  if (!sample) return THAW_ERR_MEMORY;
  thaw_block_samples(f, block, sample);
  thaw_status status = thaw_feature_announce(f, sample, (int32_t)count, w->view->view);
  thaw_free(sample);
  return status;
}

/* ------------------------------------------------------------------ rounds of blocks */
/* Ranks compute freely for about this many seconds, then tell each other whether to go on. */
static const double round_seconds = 5;
enum { MOST_PER_ROUND = 1 << 20 };

/* This rank's share of the missing blocks. */
typedef struct block_share {
  int64_t begin, next, end; /* into filler.missing */
  int64_t rows, total;      /* samples of this share, and of all */
  thaw_status status;       /* of this rank's computing */
} block_share;

static void count_rows(const filler *w, block_share *s) {
  for (int64_t i = 0; i < w->count; i++) {
    int64_t rows = thaw_block_count(w->features, (int32_t)w->missing[i]);
    s->total += rows;
    if (i >= s->begin && i < s->end) s->rows += rows;
  }
}

static bool stop_wanted(const thaw_features *f) {
  return f->stop && f->stop(f->stop_context);
}

/* [local] The next block; the one after it is announced ahead. */
static thaw_status make_next(filler *w, block_share *s) {
  int32_t block = (int32_t)w->missing[s->next];
  if (s->next == s->begin) THAW_TRY(announce_block(w, block));
  if (s->next + 1 < s->end) THAW_TRY(announce_block(w, (int32_t)w->missing[s->next + 1]));
  THAW_TRY(thaw_block_make(w->features, w->view, block, &w->error));
  s->next++;
  return THAW_OK;
}

/* [local] At most `most` blocks. */
static void make_some(filler *w, block_share *s, int64_t most) {
  int64_t done = 0;
  for (int64_t i = s->begin; i < s->next; i++) done += thaw_block_count(w->features, (int32_t)w->missing[i]);
  for (int64_t k = 0; k < most && s->next < s->end && s->status == THAW_OK && !stop_wanted(w->features); k++) {
    done += thaw_block_count(w->features, (int32_t)w->missing[s->next]);
    s->status = make_next(w, s);
    /* The ranks' shares are equal: rank 0 draws for everybody. */
    if (s->status == THAW_OK)
      thaw_progress_update(w->log, (int64_t)((double)done / (double)s->rows * (double)s->total), NULL);
  }
}

/* [collective] *stopped_out: a rank was asked to stop. A rank that failed has it in s->status; all then end. */
static thaw_status make_rounds(filler *w, block_share *s, bool *stopped_out) {
  enum { STOP, FAILED, LEFT, FLAGS };
  int64_t most = 1, flags[FLAGS];
  do {
    int64_t before = s->next;
    double started = thaw_seconds(), each = 0;
    make_some(w, s, most);
    if (s->next > before) each = (thaw_seconds() - started) / (double)(s->next - before);
    flags[STOP] = stop_wanted(w->features);
    flags[FAILED] = s->status != THAW_OK;
    flags[LEFT] = s->end - s->next;
    THAW_TRY(thaw_comm_max_int(w->comm, flags, FLAGS));
    THAW_TRY(thaw_comm_max_double(w->comm, &each, 1));
    most = each * MOST_PER_ROUND > round_seconds ? 1 + (int64_t)(round_seconds / each) : MOST_PER_ROUND;
  } while (!flags[STOP] && !flags[FAILED] && flags[LEFT] > 0);
  *stopped_out = flags[STOP] && !flags[FAILED] && flags[LEFT] > 0;
  return THAW_OK;
}

/* [collective] */
static thaw_status compute_share(filler *w, block_share *s, bool *stopped_out) {
  thaw_features *f = w->features;
  double stalled = f->stats.stall_seconds;
  char title[64], note[64];
  count_rows(w, s);
  snprintf(title, sizeof title, w->view->view < 0 ? "features" : "features of view %d", w->view->view);
  thaw_progress_begin(w->log, title, "images", s->total);
  thaw_status status = make_rounds(w, s, stopped_out);
  thaw_feature_stop_reading(f);
  snprintf(note, sizeof note, "waited %.2f s for images", f->stats.stall_seconds - stalled);
  thaw_progress_end(w->log, note);
  return status;
}

/* [collective] A rank whose disk is full ends the cache for all; other failures end the run. */
static thaw_status agree_on_disk(filler *w, thaw_status status, int64_t begin, int64_t made) {
  THAW_TRY(thaw_agree(w->comm, status == THAW_ERR_DISK ? THAW_OK : status));
  thaw_status disk = thaw_agree(w->comm, status == THAW_ERR_DISK ? status : THAW_OK);
  if (disk == THAW_OK) return THAW_OK;
  if (disk != THAW_ERR_DISK) return disk;
  switch_off(w, thaw_message());
  for (int64_t i = begin; i < begin + made; i++) { /* the room is needed for checkpoints now */
    char *path = thaw_block_path(w->features, w->view, (int32_t)w->missing[i]);
    if (path) unlink(path);
    thaw_free(path);
  }
  thaw_view_close_blocks(w->features, w->view);
  return THAW_OK;
}

/* [collective] */
static thaw_status report_half_error(filler *w) {
  if (w->features->storage != THAW_STORE_F16) return THAW_OK;
  thaw_wide sum[2] = {{{0}}};
  int64_t refused = !thaw_wide_add(&sum[0], w->error.square) || !thaw_wide_add(&sum[1], w->error.norm);
  THAW_TRY(thaw_wide_reduce(w->comm, sum, 2, &refused));
  THAW_TRY(thaw_comm_max_double(w->comm, &w->error.largest, 1));
  double norm = thaw_wide_value(&sum[1]);
  if (!refused && norm > 0)
    thaw_info(w->log, "float16 storage: relative L2 error %.2g, largest absolute error %.2g",
              sqrt(thaw_wide_value(&sum[0]) / norm), w->error.largest);
  return THAW_OK;
}

/* [collective] Makes what is missing. */
static thaw_status make_missing(filler *w) {
  block_share s = {0};
  bool stopped = false;
  deal(w->count, w->comm, &s.begin, &s.end);
  s.next = s.begin;
  THAW_TRY(compute_share(w, &s, &stopped));
  THAW_TRY(agree_on_disk(w, s.status, s.begin, s.next - s.begin));
  if (stopped)
    return thaw_fail(THAW_STOPPED, "stopped while features were computed; complete blocks are kept in %s",
                     w->features->cache_folder);
  return w->features->caching ? report_half_error(w) : THAW_OK;
}

/* [collective] */
static thaw_status prepare_entry(filler *w) {
  thaw_status status = THAW_OK;
  if (thaw_comm_rank(w->comm) == 0) status = thaw_entry_prepare(w->features, w->view);
  THAW_TRY(agree_on_disk(w, status, 0, 0));
  if (!w->features->caching) return THAW_OK;
  /* A host that has looked for the folder before may go on for a while believing that there is none (NFS); asking for
   * it to be made asks the server. */
  status = thaw_folder_create(w->view->folder);
  return agree_on_disk(w, status, 0, 0);
}

static thaw_status fill(filler *w) {
  bool fits = true;
  THAW_TRY(prepare_entry(w));
  if (!w->features->caching) return THAW_OK;
  THAW_TRY(look(w));
  if (w->count) THAW_TRY(make_room(w, &fits));
  if (w->count && fits) THAW_TRY(make_missing(w));
  w->view->ready = w->features->caching;
  w->view->bypassed = false;
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

thaw_status thaw_features_fill(thaw_features *f, thaw_comm *comm, int32_t number, thaw_log *log) {
  if (!f->caching) return THAW_OK;
  filler w = {.features = f, .comm = comm, .log = log};
  thaw_status status = thaw_view_get(f, number, &w.view);
  if (status == THAW_OK && !w.view->ready) w.missing = thaw_new((size_t)f->blocks, sizeof *w.missing);
  if (status == THAW_OK && !w.view->ready && !w.missing) status = THAW_ERR_MEMORY;
  status = thaw_agree(comm, status);
  if (status == THAW_OK && w.view->ready) {
    if (thaw_comm_rank(comm) == 0) thaw_entry_touch(w.view);
    return report_damage(&w, 0);
  }
  if (status == THAW_OK) {
    release_others(f, w.view);
    status = fill(&w);
  }
  thaw_free(w.missing);
  thaw_free(f->block_float); /* as large as a block, and seldom needed after filling */
  f->block_float = NULL;
  return status;
}
