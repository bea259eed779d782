/* feature_private.h: what the files of src/feature share. Files and format: src/feature/README.md. */
#ifndef THAW_FEATURE_PRIVATE_H
#define THAW_FEATURE_PRIVATE_H

#include "thaw/digest.h"
#include "thaw/feature.h"

enum { THAW_FEATURE_VERSION = 1, THAW_STORE_F32 = 0, THAW_STORE_F16 = 1 };

/* One file of a view: `rows` samples from `first`. */
typedef struct thaw_block {
  void *map; /* the mapped file, NULL while not open */
  size_t map_bytes;
  const char *rows;   /* inside the map */
  uint64_t *checksum; /* [count] as stored */
  uint8_t *verified;  /* [count] 1: the row has been compared with its checksum */
} thaw_block;

/* One augmentation view of the catalogue under one key: one folder of block files. */
typedef struct thaw_view {
  int32_t view; /* -1: without augmentation */
  char key[THAW_DIGEST_TEXT];
  uint64_t key_bits; /* the beginning of the key, mixed into the checksums */
  char *folder;
  bool ready;    /* filled: read() goes to the blocks; the same on every rank */
  bool bypassed; /* this rank could neither read nor write a block: it computes instead */
  thaw_block *block;
} thaw_view;

/* A list that was announced to the prefetcher and not taken yet. */
typedef struct thaw_expected {
  uint64_t *sample;
  int32_t count, view;
} thaw_expected;

/* The cut of a later phase. `features` is never read from: it knows the key, the blocks and their files. */
typedef struct thaw_later {
  thaw_features *features;
  size_t offset; /* of its floats in the plan's row */
  int32_t first_view, views;
  float *collect; /* where computed rows go; NULL: nowhere */
} thaw_later;

struct thaw_features {
  thaw_catalog *catalog;
  const thaw_dataset_info *data;
  thaw_input input;
  thaw_plan *plan;
  thaw_log *log;
  size_t floats, input_floats, row_bytes, plan_floats;
  int32_t batch;
  char *cut_name, *weights_digest, *cache_folder;
  int32_t storage, kernel_revision; /* of the kernels that computed, or would compute, the views */
  double limit_bytes;               /* 0: none */
  double opened;                    /* wall clock, seconds: entries used since then are in use by this run */

  const int64_t *select; /* the caller's samples among all; NULL: all */
  uint64_t *selected;    /* [selected_capacity] room for one call's samples */
  size_t selected_capacity;

  bool caching;                  /* new views are cached; the same on every rank; a full disk ends it */
  int64_t block_rows, unit_rows; /* whole blocks of every cut make a unit */
  int32_t blocks;
  thaw_later *later;
  int32_t later_count;
  thaw_view *view;
  size_t views, view_capacity;
  int64_t rebuilt, reported; /* damaged blocks made anew by this rank; of those, told in the log */

  bool (*stop)(const void *context); /* NULL: never */
  const void *stop_context;

  thaw_prefetch *prefetch; /* created when first needed */
  thaw_expected *expected; /* in order of announcement */
  size_t expectations, expected_capacity;
  float *pixels;      /* [batch][input_floats] */
  float *wide;        /* [batch][plan_floats], where the plan gives more than `floats` */
  uint16_t *half;     /* [floats] */
  float *block_float; /* [block_rows][floats] */
  thaw_features_stats stats;
};

/* ------------------------------------------------------------------ checksum.c */
/* XXH64 (Collet, xxHash specification 0.1.1). */
uint64_t thaw_checksum(const void *data, size_t size, uint64_t seed);

/* ------------------------------------------------------------------ compute.c: from pixels, without the cache */
thaw_status thaw_feature_announce(thaw_features *features, const uint64_t *sample, int32_t count,
                                  int32_t view) THAW_CHECKED;
/* THAW_STOPPED when there was a wish to stop. */
thaw_status thaw_feature_compute(thaw_features *features, const uint64_t *sample, int32_t count, int32_t view,
                                 float *out) THAW_CHECKED;
bool thaw_feature_stop_wanted(const thaw_features *features);
/* Forgets everything announced and ends the reading thread. */
void thaw_feature_stop_reading(thaw_features *features);

/* ------------------------------------------------------------------ block.c: one block file */
int64_t thaw_block_first(const thaw_features *features, int32_t block);
int64_t thaw_block_count(const thaw_features *features, int32_t block); /* the last one may be short */
char *thaw_block_path(const thaw_features *features, const thaw_view *view, int32_t block);
/* rows [count][floats] as stored (float, or uint16_t halves). */
thaw_status thaw_block_write(const thaw_features *features, const thaw_view *view, int32_t block,
                             const void *rows) THAW_CHECKED;
/* THAW_ERR_DATA when the file is damaged or foreign; *missing_out tells a file that does not exist (no message). */
thaw_status thaw_block_open(const thaw_features *features, thaw_view *view, int32_t block,
                            bool *missing_out) THAW_CHECKED;
void thaw_block_close(thaw_block *block);
/* The stored row after comparing it with its checksum once; NULL when it differs. */
const void *thaw_block_row(const thaw_features *features, thaw_view *view, int32_t block, int64_t row);
/* error_out (may be NULL): what float16 storage lost. */
typedef struct thaw_half_error {
  double square, norm, largest; /* sums of squares of the error and of the values; largest absolute error */
} thaw_half_error;
thaw_status thaw_block_buffer(thaw_features *features) THAW_CHECKED; /* block_float has memory */
/* Stores the rows in block_float and writes them. */
thaw_status thaw_block_finish(thaw_features *features, const thaw_view *view, int32_t block,
                              thaw_half_error *error_out) THAW_CHECKED;
/* Computes a whole block and writes it. */
thaw_status thaw_block_make(thaw_features *features, const thaw_view *view, int32_t block,
                            thaw_half_error *error_out) THAW_CHECKED;
void thaw_block_samples(const thaw_features *features, int32_t block, uint64_t *out);

/* ------------------------------------------------------------------ later.c: the cuts of later phases */
thaw_status thaw_later_create(thaw_features *features, const thaw_features_desc *desc) THAW_CHECKED;
void thaw_later_clear(thaw_features *features);
bool thaw_later_wants(const thaw_features *features, const thaw_later *later, int32_t view);
/* Keeps rows of the plan's output where they are collected: own ones in `out`. */
void thaw_later_deliver(thaw_features *features, int32_t rows, float *out);

/* ------------------------------------------------------------------ view.c: keys, filling */
/* The view that stands for `view` (-1 when nothing is augmented), created when new. */
thaw_status thaw_view_get(thaw_features *features, int32_t view, thaw_view **out) THAW_CHECKED;
enum { THAW_VIEW_NAME = 32 };
/* The name of its folder. */
thaw_status thaw_view_name(const thaw_features *features, int32_t view, char out[THAW_VIEW_NAME + 1]) THAW_CHECKED;
thaw_view *thaw_view_ready(const thaw_features *features, int32_t view); /* NULL unless it can be read */
void thaw_view_close_blocks(const thaw_features *features, thaw_view *view);
void thaw_views_clear(thaw_features *features);

/* ------------------------------------------------------------------ entry.c: the cache folder as a whole */
typedef struct thaw_entry {
  char *name; /* of the sub-folder: the key's first 32 digits */
  int64_t bytes, blocks;
  double last_used; /* wall clock, seconds */
} thaw_entry;
typedef struct thaw_entries {
  thaw_entry *item;
  size_t count, capacity;
} thaw_entries;
thaw_status thaw_entries_read(const char *folder, thaw_entries *out) THAW_CHECKED; /* a missing folder has none */
void thaw_entries_clear(thaw_entries *entries);
/* Creates the view's folder with its entry.yaml and marks it used; removes what killed jobs left behind. */
thaw_status thaw_entry_prepare(const thaw_features *features, const thaw_view *view) THAW_CHECKED;
void thaw_entry_touch(const thaw_view *view);
/* Removes entries, least recently used first, until `needed` more bytes for `view` fit under the limit. *fits_out: they
 * do. */
thaw_status thaw_entries_limit(thaw_features *features, const thaw_view *view, double needed,
                               bool *fits_out) THAW_CHECKED;
double thaw_wall_clock(void);
/* What HDF5 adds to a block file; what is left free for checkpoints and the like. */
#define THAW_FILE_OVERHEAD 2600.0
#define THAW_DISK_RESERVE  64e6

/* ------------------------------------------------------------------ features.c */
thaw_status thaw_features_create(const thaw_features_desc *desc, thaw_log *log, thaw_features **out) THAW_CHECKED;

#endif
