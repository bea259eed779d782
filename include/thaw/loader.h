/* loader.h: which sample when, and from stored pixels to network input. Knows nothing of MPI. All [local]. */
#ifndef THAW_LOADER_H
#define THAW_LOADER_H

#include "thaw/job.h"
#include "thaw/shard.h"
#include "thaw/zoo.h"

/* ------------------------------------------------------------------ order */
typedef struct thaw_epoch {
  uint64_t seed;
  uint32_t epoch;
  int64_t samples;
  int32_t batch, slice;
  int32_t parts; /* of a batch, consecutive samples each, that go through the live layers one after the other; 0: 1 */
  bool shuffle;
  /* 0: one permutation of all samples. Else blocks of `chunk` consecutive samples are permuted, then the samples within
   * each window of `window` * `chunk` positions: those that are read together lie in few places. */
  int32_t chunk, window;
  const uint64_t *order; /* [samples]: the sample at each position, in place of all that; NULL: none */
} thaw_epoch;
int64_t thaw_epoch_steps(const thaw_epoch *epoch); /* ceil(samples / batch): the last may be short */

/* The sample at `position` of the epoch: a bijection of 0 .. samples-1 in O(1) time and memory. */
uint64_t thaw_epoch_sample(const thaw_epoch *epoch, uint64_t position);

/* An order for thaw_epoch.order in which `per_class` samples of a class follow one another and classes take turns; what
 * is left of each class comes last. Each sample once; a pure function of the class indices, seed and epoch. */
thaw_status thaw_class_order(const thaw_labels *labels, int64_t samples, int32_t per_class, uint64_t seed,
                             uint32_t epoch, uint64_t *order) THAW_CHECKED;

/* Balanced classes: an epoch draws as many samples of every class as the largest has. */
typedef struct thaw_balance {
  int64_t classes, *size; /* [classes] samples of each */
  int64_t each, draws;    /* per class that has samples, and per epoch */
} thaw_balance;
thaw_status thaw_balance_count(const thaw_labels *labels, int64_t samples, int64_t classes,
                               thaw_balance *out) THAW_CHECKED;
void thaw_balance_clear(thaw_balance *balance);
/* An order [draws] for thaw_epoch.order, with epoch.samples = draws. In one epoch, and from the first one to the end of
 * any, two samples of one class differ by one use at most. A pure function of class indices, seed and epoch. */
thaw_status thaw_balanced_order(const thaw_labels *labels, int64_t samples, const thaw_balance *balance, uint64_t seed,
                                uint32_t epoch, uint64_t *order) THAW_CHECKED;

/* The share of `rank` in global step `step`: of each part whole slices, dealt in contiguous runs, as even as can be. */
typedef struct thaw_step_share {
  int64_t batch; /* samples in this global step */
  int64_t slices_global;
  int32_t slices, samples; /* of this rank; may be 0 */
  int32_t *slice_start;    /* [slices + 1] */
  int64_t *slice;          /* [slices] index in the global batch */
  uint64_t *sample;        /* [samples] global sample indices */
  int32_t parts;           /* fewer than epoch.parts when the batch is short */
  int32_t *part_start;     /* [parts + 1] this rank's slices of each part */
  int64_t *part_batch;     /* [parts] samples of each part, of all ranks */
} thaw_step_share;
/* Allocates for the largest share that any step can have. */
thaw_status thaw_step_share_create(const thaw_epoch *epoch, int ranks, thaw_step_share *out) THAW_CHECKED;
void thaw_step_share_clear(thaw_step_share *share);
void thaw_step_share_plan(const thaw_epoch *epoch, int64_t step, int rank, int ranks, thaw_step_share *share);

/* ------------------------------------------------------------------ pixels -> input */
typedef struct thaw_input {
  int32_t h, w, c; /* of the network */
  thaw_preprocessing preprocessing;
  thaw_augment_config augment; /* identity when not enabled */
  uint64_t seed;
  bool allow_resize;
} thaw_input;
/* Checks that the data can become the network's input (shape, channels, resize policy). */
thaw_status thaw_input_check(const thaw_input *input, const thaw_dataset_info *data, const char *path) THAW_CHECKED;
/* Words that determine the result besides pixels and view: for cache keys. */
void thaw_input_key(const thaw_input *input, thaw_text *out);
/* One sample: pixels [h0][w0][c0] as stored -> out [h][w][c] preprocessed float. Values are scaled so that value_max
 * maps to 255, resized, augmented as a pure function of (seed, view, sample), then preprocessed. view < 0: no
 * augmentation. */
thaw_status thaw_input_make(const thaw_input *input, const thaw_dataset_info *data, const void *pixels, int64_t sample,
                            int32_t view, float *out) THAW_CHECKED;

/* ------------------------------------------------------------------ reading ahead */
/* A background thread that owns the catalogue's HDF5 reads and decodes ahead of the compute. Ranges are announced in
 * the order in which they will be taken. */
typedef struct thaw_prefetch thaw_prefetch;
typedef struct thaw_prefetch_stats {
  double stall_seconds; /* time that take() waited */
  double read_seconds;
  int64_t samples;
} thaw_prefetch_stats;
thaw_status thaw_prefetch_create(thaw_catalog *catalog, const thaw_input *input, int32_t depth,
                                 thaw_prefetch **out) THAW_CHECKED;
void thaw_prefetch_destroy(thaw_prefetch *prefetch);
/* Queues samples (copied list); never blocks. */
thaw_status thaw_prefetch_want(thaw_prefetch *prefetch, const uint64_t *sample, int32_t count,
                               int32_t view) THAW_CHECKED;
/* The next queued list's inputs [count][h][w][c], in order of want(); blocks until ready. */
thaw_status thaw_prefetch_take(thaw_prefetch *prefetch, int32_t count, float *out) THAW_CHECKED;
thaw_prefetch_stats thaw_prefetch_statistics(const thaw_prefetch *prefetch);

/* In place: pixels [pixels][c] of 0 .. 255 as the mode wants them; where c is not 3, the mean of the three colours'
 * constants stands for each. */
void thaw_preprocess(thaw_preprocessing mode, float *x, size_t pixels, int32_t c);

#endif
