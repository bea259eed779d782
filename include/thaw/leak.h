/* leak.h: what is in two data sets that should have nothing in common: patients, images by name, images by look. An
 * evaluation on what was trained on is worth nothing. */
#ifndef THAW_LEAK_H
#define THAW_LEAK_H

#include "thaw/comm.h"
#include "thaw/image.h"
#include "thaw/log.h"
#include "thaw/shard.h"
#include "thaw/text.h"

/* ------------------------------------------------------------------ the nearest of many hashes
 * Multi-index hashing (Norouzi, Punjani, Fleet 2012): hashes within distance d agree in one of four parts to within
 * d / 4 bits, so a table per part finds all of them without looking at the rest. Exact. All functions are [local]. */
typedef struct thaw_hash_index thaw_hash_index;
enum { THAW_HASH_DISTANCE = 16 /* largest distance */, THAW_LEAK_DISTANCE = 4 /* a sensible one */ };
/* `hash` [count] is borrowed; zeros are like nothing and left out. */
thaw_status thaw_hash_index_create(const uint64_t *hash, int64_t count, int32_t distance,
                                   thaw_hash_index **out) THAW_CHECKED;
void thaw_hash_index_destroy(thaw_hash_index *index); /* accepts NULL */
/* The nearest hash within the index's distance, of equals the first; -1: none. */
int64_t thaw_hash_index_nearest(const thaw_hash_index *index, uint64_t hash, int32_t *distance_out);

/* ------------------------------------------------------------------ hashes of a data set
 * hashes.txt beside a catalogue: thaw_image_hash of every sample's stored pixels in order, made by the import. */
/* [local] */
thaw_status thaw_hashes_write(const char *catalog_path, const char *digest, const uint64_t *hash,
                              int64_t count) THAW_CHECKED;
/* [local] New [count], thaw_free; *out NULL where there is no file or it belongs to another content. */
thaw_status thaw_hashes_read(const thaw_catalog *catalog, uint64_t **out) THAW_CHECKED;

/* ------------------------------------------------------------------ between data sets */
typedef enum thaw_leak_kind {
  THAW_LEAK_GROUP, /* a patient, lot or person: one leak per group */
  THAW_LEAK_ID,    /* the same name of an image */
  THAW_LEAK_IMAGE, /* an image that looks like one of the other set: one leak per image of the second set */
  THAW_LEAK_KINDS
} thaw_leak_kind;
typedef struct thaw_leak {
  int32_t kind, distance; /* distance: of IMAGE, in bits */
  int32_t set[2];         /* set[0] < set[1] */
  int32_t padding;
  int64_t sample[2]; /* the first of each set; of IMAGE the nearest of set[0] */
  int64_t samples;   /* of set[1] that are concerned */
} thaw_leak;
typedef struct thaw_leak_set {
  const char *name;
  thaw_catalog *catalog;
} thaw_leak_set;
enum { THAW_LEAK_SETS = 16, THAW_LEAK_NO_IMAGES = -1 };
typedef struct thaw_leak_options {
  int32_t distance; /* images at most so many bits apart are alike; THAW_LEAK_NO_IMAGES: not compared */
  bool stored_only; /* images are compared where both sets have hashes.txt; nothing is computed */
} thaw_leak_options;
typedef struct thaw_leaks {
  thaw_leak *leak; /* rank 0 only: by kind, sets, sample of the second set */
  size_t count;
  int64_t found[THAW_LEAK_KINDS]; /* on every rank */
  int64_t blank;                  /* images without detail, which are not compared */
  int64_t unhashed;               /* sets whose images were not compared */
  uint32_t apart[THAW_LEAK_SETS]; /* rank 0 only; bit a of apart[b]: the names of sets a < b are hashes under different
                                     keys, or of one of them alone, so that no group or id can be found in both */
} thaw_leaks;
/* [collective] Ranks share the reading. Groups are compared only between sets that have groups. */
thaw_status thaw_leaks_find(thaw_comm *comm, const thaw_leak_set *set, int32_t sets, const thaw_leak_options *options,
                            thaw_log *log, thaw_leaks *out) THAW_CHECKED;
void thaw_leaks_clear(thaw_leaks *leaks);
/* [local] "3 groups, 1 id and 14 images" or "" where there is none. */
void thaw_leaks_summary(const thaw_leaks *leaks, thaw_text *out);
/* [local] rank 0: a line for each pair of sets and kind with its count and the first `limit` of them by name, and one
 * for each pair whose names cannot be compared. */
thaw_status thaw_leaks_describe(const thaw_leaks *leaks, const thaw_leak_set *set, int64_t limit,
                                thaw_text *out) THAW_CHECKED;
/* [local] rank 0: a warning for each pair of sets and kind. */
thaw_status thaw_leaks_warn(const thaw_leaks *leaks, const thaw_leak_set *set, thaw_log *log) THAW_CHECKED;
/* [local] rank 0: every leak as a row: kind,set,name,other_set,other_name,samples,distance. */
thaw_status thaw_leaks_write(const thaw_leaks *leaks, const thaw_leak_set *set, const char *path) THAW_CHECKED;

#endif
