/* shard.h: shard files and the dataset catalogue (formats: src/shard/README.md).
 *
 * A catalogue is a list of HDF5 shards; its samples have global indices 0 .. count-1 in catalogue order. All functions
 * are [local]; a catalogue is used by one thread at a time.
 */
#ifndef THAW_SHARD_H
#define THAW_SHARD_H

#include "thaw/file.h"
#include "thaw/status.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum thaw_label_kind {
  THAW_LABEL_CLASS,  /* int32 class index per sample */
  THAW_LABEL_MULTI,  /* uint8 [classes] per sample, 255 = unknown */
  THAW_LABEL_TARGET, /* float32 [targets] per sample */
  THAW_LABEL_NONE,
  THAW_LABEL_MIXED /* float32 [columns] per sample, columns of different kinds for several heads; NaN = unknown */
} thaw_label_kind;

/* One column of the labels. */
typedef struct thaw_label_column {
  const char *name;       /* borrowed; "class" of CLASS; "" where nothing names it */
  thaw_label_kind kind;   /* CLASS: a class index; MULTI: 0, 1 or unknown; TARGET: a number */
  int32_t first, classes; /* CLASS: its names in info->classes */
} thaw_label_column;

typedef struct thaw_dataset_info {
  int64_t count;
  int32_t h, w, c;
  int32_t bits;     /* 8 or 16 */
  double value_max; /* of the stored values, e.g. 255, 4095, 65535: maps to 255 for the network */
  thaw_label_kind label_kind;
  int32_t label_width;  /* values per sample: 1 for CLASS and NONE, classes for MULTI, targets for TARGET */
  thaw_strings classes; /* names, one per class for CLASS ("0", "1", ... where nothing tells them); else may be empty;
                           of MIXED those of all class columns, one column after the other */
  thaw_strings columns; /* of MIXED: what each column means, see thaw_label_column_text; else empty */
  thaw_label_column *column; /* the same, [label_width], once a catalogue is open, which owns it; else NULL */
  char digest[65];           /* over the content digests of all shards in order */
} thaw_dataset_info;

/* What a column of any labels means; `info` is borrowed from an open catalogue, or at least complete. */
thaw_label_column thaw_label_column_of(const thaw_dataset_info *info, int32_t index);
/* As info->columns has it: "class:3 diagnosis", "label edema", "target age"; thaw_free. NULL: no memory. */
char *thaw_label_column_text(const thaw_label_column *column);

typedef struct thaw_catalog thaw_catalog;
/* Opens catalog.yaml (or one shard .h5, or a folder holding catalog.yaml); opens each shard lazily where the catalogue
 * tells all (as written by thaw_catalog_write), else every shard once. Checks counts and shapes as shards are opened;
 * messages name the shard. */
thaw_status thaw_catalog_open(const char *path, thaw_catalog **out) THAW_CHECKED;
void thaw_catalog_close(thaw_catalog *catalog); /* accepts NULL */
const thaw_dataset_info *thaw_catalog_info(const thaw_catalog *catalog);
const char *thaw_catalog_path(const thaw_catalog *catalog);
/* Opens every shard once and checks it against the catalogue. */
thaw_status thaw_catalog_check(thaw_catalog *catalog) THAW_CHECKED;
/* Reads all of one shard: THAW_ERR_DATA where its content is not what its digest says (a thaw shard) or a block's
 * checksum is wrong. */
thaw_status thaw_catalog_verify(thaw_catalog *catalog, int32_t shard) THAW_CHECKED;
int32_t thaw_catalog_shards(const thaw_catalog *catalog);
const char *thaw_catalog_shard(const thaw_catalog *catalog, int32_t shard, int64_t *first_out, int64_t *count_out);

/* `count` consecutive samples from `first`: pixels [count][h][w][c] in the stored width (uint8_t or uint16_t). */
thaw_status thaw_catalog_pixels(thaw_catalog *catalog, int64_t first, int64_t count, void *pixels) THAW_CHECKED;
/* All labels [count][width] in the narrowest type that holds their kind: 1 byte (uint8_t) for 0/1/255 and up to 256
 * classes, 2 (uint16_t) for up to 65,536 classes, else 4 (float: targets, and larger class indices, exact to 2^24). */
typedef struct thaw_labels {
  const void *value;
  int32_t width, bytes;
} thaw_labels;
/* Class index, 0/1/255 or target; zero for NONE. */
static inline float thaw_label(const thaw_labels *labels, uint64_t sample, int32_t column) {
  size_t at = (size_t)sample * (size_t)labels->width + (size_t)column;
  if (labels->bytes == 1) return (float)((const uint8_t *)labels->value)[at];
  if (labels->bytes == 2) return (float)((const uint16_t *)labels->value)[at];
  return ((const float *)labels->value)[at];
}
/* One sample's row [width]. */
static inline void thaw_label_row(const thaw_labels *labels, uint64_t sample, float *out) {
  for (int32_t i = 0; i < labels->width; i++) out[i] = thaw_label(labels, sample, i);
}
/* Read once, then borrowed. A class index outside 0 .. classes-1 is THAW_ERR_DATA naming shard and row. */
thaw_status thaw_catalog_labels(thaw_catalog *catalog, const thaw_labels **out) THAW_CHECKED;
/* Opening every shard takes long where there are many: `parts` processes share it. Checks shards number
 * floor(S part / parts) .. floor(S (part+1) / parts) - 1 against the catalogue and, where `labels`, reads theirs. */
thaw_status thaw_catalog_read_part(thaw_catalog *catalog, int part, int parts, bool labels) THAW_CHECKED;
/* Where the labels of a part are kept, to be filled with what the process of that part has read; after all parts
 * thaw_catalog_labels has them. Only after thaw_catalog_read_part with `labels`. */
void *thaw_catalog_labels_part(thaw_catalog *catalog, int part, int parts, size_t *bytes_out);
thaw_status thaw_catalog_ids(thaw_catalog *catalog, int64_t first, int64_t count, thaw_strings *out) THAW_CHECKED;
thaw_status thaw_catalog_groups(thaw_catalog *catalog, int64_t first, int64_t count, thaw_strings *out) THAW_CHECKED;
/* Whether a shard has groups; where it has none, thaw_catalog_groups makes up one per sample. */
thaw_status thaw_catalog_grouped(thaw_catalog *catalog, int32_t shard, bool *out) THAW_CHECKED;

/* From now on the catalogue is `count` of its samples, in this order, under indices 0 .. count-1: count, digest, labels
 * (where they were read before), ids, groups and pixels. Once. */
thaw_status thaw_catalog_select(thaw_catalog *catalog, const int64_t *sample, int64_t count) THAW_CHECKED;
/* [count] Their indices among all samples; NULL: no selection. Borrowed. */
const int64_t *thaw_catalog_selection(const thaw_catalog *catalog);
/* Cross-validation: fold [count] 0 .. folds-1 of every sample. Groups stay whole, the classes' shares are even, as
 * scikit-learn's StratifiedGroupKFold makes them; a pure function of labels and groups. THAW_ERR_DATA when there are
 * fewer groups than folds. */
enum { THAW_MAX_FOLDS = 100 };
thaw_status thaw_catalog_folds(thaw_catalog *catalog, int32_t folds, uint8_t *fold) THAW_CHECKED;

/* ------------------------------------------------------------------ staging
 * Copies of shards on a disk of this node, in FOLDER/thaw-stage-UID. A copy is proved by reading it back, and a thaw
 * shard's also by the digest that the catalogue tells; it is used again while its source has the same size and time of
 * change and its bytes have the digest noted beside it. Processes that use copies hold a shared lock; only the last one
 * removes them. One process per node copies, the others only say thaw_catalog_use_stage. */
typedef struct thaw_stage thaw_stage;
/* Makes the folder. THAW_ERR_DISK when it cannot be made or belongs to somebody else. */
thaw_status thaw_stage_open(const char *folder, thaw_stage **out) THAW_CHECKED;
const char *thaw_stage_folder(const thaw_stage *stage); /* borrowed */
/* Adds what the catalogue's files need there: all bytes, and those that are not there yet. */
thaw_status thaw_stage_measure(const thaw_stage *stage, const thaw_catalog *catalog, int64_t *bytes,
                               int64_t *missing) THAW_CHECKED;
typedef struct thaw_stage_progress {
  bool (*stop)(const void *context); /* asked now and then; NULL: never */
  const void *context;
  void (*copied)(void *log, int64_t bytes); /* told now and then; NULL: nobody */
  void *log;
  int64_t files, reused, bytes; /* made, found, bytes copied so far */
} thaw_stage_progress;
/* Makes every copy of the catalogue whole. THAW_STOPPED when told to stop: what is whole stays. */
thaw_status thaw_stage_copy(thaw_stage *stage, const thaw_catalog *catalog, thaw_stage_progress *progress) THAW_CHECKED;
/* From now on the catalogue reads the copies in a stage's folder. */
thaw_status thaw_catalog_use_stage(thaw_catalog *catalog, const char *stage_folder) THAW_CHECKED;
/* `remove`: the copies that this process made or found go, unless another process uses the folder. Accepts NULL. */
void thaw_stage_close(thaw_stage *stage, bool remove);

/* ------------------------------------------------------------------ writing */
typedef struct thaw_shard_rows {
  int64_t count;
  const void *pixels; /* [count][h][w][c] */
  const void *labels; /* int32_t [count], uint8_t (MULTI) or float [count][label_width] */
  char *const *ids;
  char *const *groups; /* may be NULL */
} thaw_shard_rows;
/* Writes one whole shard atomically; digest_out: SHA-256 over pixels, labels, ids, groups. */
thaw_status thaw_shard_write(const char *path, const thaw_dataset_info *info, const thaw_shard_rows *rows, int deflate,
                             char digest_out[65]) THAW_CHECKED;
typedef struct thaw_shard_entry {
  char *file; /* relative to the catalogue */
  int64_t count;
  char digest[65];
} thaw_shard_entry;
thaw_status thaw_catalog_write(const char *path, const thaw_dataset_info *info, const thaw_shard_entry *shards,
                               int32_t count, const int64_t *histogram) THAW_CHECKED;

#endif
