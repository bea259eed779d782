/* feature.h: the cut's tensors of every sample: computed once, cached, never stale. Format: src/feature/README.md. */
#ifndef THAW_FEATURE_H
#define THAW_FEATURE_H

#include "thaw/comm.h"
#include "thaw/loader.h"
#include "thaw/log.h"

/* The cut of a later phase, nearer to the images: filling keeps its tensors, too, under the key that they have when
 * that phase asks for them. */
typedef struct thaw_features_later {
  const char *cut_name;
  size_t floats;
  const char *weights_digest;
  int32_t first_view,
      views; /* of the augmented views, those that will be read: so many from the first on, cyclically */
} thaw_features_later;
typedef struct thaw_features_desc {
  thaw_catalog *catalog; /* borrowed for the life of the thaw_features */
  const thaw_input *input;
  thaw_plan *plan;                /* up to the cut; NULL when the cut is the input itself */
  const char *cut_name;           /* names of the cut's layers, for the key and messages */
  size_t floats;                  /* per sample */
  const char *weights_digest;     /* of the constant part's parameters */
  const thaw_cache_config *cache; /* enabled = false: compute whenever asked */
  const char *cache_folder;
  int32_t batch;                    /* images per plan run */
  const thaw_features_later *later; /* the plan gives the cut's floats, then theirs, side by side; copied */
  int32_t later_count;
} thaw_features_desc;
typedef struct thaw_features thaw_features;

/* [collective] */
thaw_status thaw_features_open(thaw_comm *comm, const thaw_features_desc *desc, thaw_log *log,
                               thaw_features **out) THAW_CHECKED;
void thaw_features_close(thaw_features *features); /* [local] accepts NULL */
/* [collective] How many later cuts have room, on the disk and under the limit, beside what the present one will need:
 * all `views` views of these samples and `more` samples of other data. The others are not filled along; one line says
 * so. */
thaw_status thaw_features_limit_later(thaw_features *features, thaw_comm *comm, int32_t views, int64_t more,
                                      thaw_log *log, int32_t *fit_out) THAW_CHECKED;
/* [local] From now on samples that are read are numbers in this list, as thaw_catalog_selection has it; borrowed, NULL:
 * all samples. Filling is of all samples. */
void thaw_features_select(thaw_features *features, const int64_t *sample);
/* [local] Floats per sample. */
size_t thaw_features_floats(const thaw_features *features);
/* [collective] Makes view `view` (-1: without augmentation) available: nothing to do when it is cached; else every rank
 * computes its share of blocks, with those of later cuts. A full disk switches the cache off with a warning. Without
 * cache: returns at once. */
thaw_status thaw_features_fill(thaw_features *features, thaw_comm *comm, int32_t view, thaw_log *log) THAW_CHECKED;
/* [local] Filling asks `stop(context)` now and then; once any rank says yes, it ends on every rank with THAW_STOPPED
 * and the blocks that are complete stay for the next run. */
void thaw_features_set_stop(thaw_features *features, bool (*stop)(const void *context), const void *context);
/* [local] out [count][floats] for samples of that view, from the cache or computed now; the same bits either way (with
 * float32 storage). */
thaw_status thaw_features_read(thaw_features *features, const uint64_t *sample, int32_t count, int32_t view,
                               float *out) THAW_CHECKED;
/* [local] A hint of what read() will ask for next, so that pixels are loaded while the trainer computes. */
thaw_status thaw_features_expect(thaw_features *features, const uint64_t *sample, int32_t count,
                                 int32_t view) THAW_CHECKED;
typedef struct thaw_features_stats {
  int64_t computed, cached; /* samples */
  double compute_seconds, stall_seconds;
} thaw_features_stats;
thaw_features_stats thaw_features_statistics(const thaw_features *features);
/* [local] The table of `thaw inspect cache`. */
thaw_status thaw_cache_describe(const char *folder, thaw_text *out) THAW_CHECKED;

#endif
