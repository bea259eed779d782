/* shard_private.h: what the files of src/shard share. */
#ifndef THAW_SHARD_PRIVATE_H
#define THAW_SHARD_PRIVATE_H

#include "thaw/h5.h"
#include "thaw/job.h"
#include "thaw/shard.h"

enum { THAW_SHARD_VERSION = 1, THAW_CATALOG_VERSION = 1, SHARD_OPEN_LIMIT = 8 };

/* One line of the catalogue: a thaw shard, or datasets of a foreign HDF5 file used in place. */
typedef struct shard_entry {
  char *file;                           /* as the catalogue names it */
  char *path;                           /* resolved */
  char *labels_path;                    /* NULL: the same file */
  char *images, *labels, *ids, *groups; /* dataset names; NULL where the file has none */
  bool foreign;
  int64_t first, count; /* count -1: not told, found by opening */
  char digest[65];      /* "" when the catalogue tells none */
  int32_t line;
} shard_entry;

/* An open shard. */
typedef struct shard_handle {
  thaw_h5 *images;
  thaw_h5 *labels; /* the same handle as `images`, another file's, or NULL */
  int32_t shard;   /* -1: free */
  uint64_t used;   /* for least-recently-used replacement */
} shard_handle;

struct thaw_catalog {
  char *path;
  thaw_dataset_info info;
  shard_entry *entry;
  size_t entries, entry_capacity;
  shard_handle handle[SHARD_OPEN_LIMIT];
  uint64_t clock;
  int64_t classes;    /* a number of classes without names; 0: not told */
  bool told;          /* nothing has to be found by opening the shards */
  void *label_memory; /* NULL until asked for */
  thaw_labels labels; /* of label_memory */
  bool labels_read;
  int64_t total;   /* samples of all shards */
  int64_t *select; /* [info.count] of a selection: their places among all; NULL: all */
};

extern const char *const thaw_shard__kinds[5]; /* by thaw_label_kind */

/* catalog.c: the shard's handle, opened and checked; the least recently used one makes room. */
thaw_status thaw_shard__handle(thaw_catalog *catalog, int32_t shard, shard_handle **out) THAW_CHECKED;

/* catalog_yaml.c: fills path, info and entries from the text; what the text does not tell is left 0 (count -1). */
thaw_status thaw_catalog__parse(thaw_catalog *catalog, const char *text, size_t size) THAW_CHECKED;
void thaw_shard__clear_entry(shard_entry *entry);

/* shard_file.c */
thaw_status thaw_shard__open(const shard_entry *entry, shard_handle *out) THAW_CHECKED;
void thaw_shard__close(shard_handle *handle);
/* Fills from the file what the catalogue did not tell (h 0, label_kind NONE, count -1, digest ""). Where no class names
 * are known, *classes is raised to the largest class index + 1. */
thaw_status thaw_shard__probe(shard_entry *entry, shard_handle *handle, thaw_dataset_info *info,
                              int64_t *classes) THAW_CHECKED;
/* The file agrees with the catalogue. */
thaw_status thaw_shard__check(const shard_entry *entry, shard_handle *handle,
                              const thaw_dataset_info *info) THAW_CHECKED;
/* Rows' labels as float [rows][label_width], checked. */
thaw_status thaw_shard__labels(const shard_entry *entry, shard_handle *handle, const thaw_dataset_info *info,
                               int64_t first, int64_t rows, float *out) THAW_CHECKED;
/* columns.c: the description of mixed labels fits and is parsed into info->column; and rows of such labels fit it. */
thaw_status thaw_shard__check_columns(const char *path, thaw_dataset_info *info) THAW_CHECKED;
thaw_status thaw_shard__check_mixed(const char *path, const thaw_dataset_info *info, int64_t first, int64_t rows,
                                    const float *value) THAW_CHECKED;
/* shard_verify.c: digest over pixels, labels, ids and groups, as thaw_shard_write makes it. */
thaw_status thaw_shard__digest(const shard_entry *entry, shard_handle *handle, const thaw_dataset_info *info,
                               char out[65]) THAW_CHECKED;
/* Digest of size and time of change, for foreign files whose content digest the catalogue does not tell. */
thaw_status thaw_shard__identity(const shard_entry *entry, char out[65]) THAW_CHECKED;

#endif
