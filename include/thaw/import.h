/* import.h: folders of images, CSV lists, NumPy and IDX files -> shards and catalogues. */
#ifndef THAW_IMPORT_H
#define THAW_IMPORT_H

#include "thaw/comm.h"
#include "thaw/image.h"
#include "thaw/log.h"

typedef struct thaw_import_options {
  const char *source; /* folder of class folders, list.csv, x.npy, x.npz, train-images-idx3-ubyte[.gz] */
  const char *labels; /* labels file for .npy and IDX sources; NULL: none */
  const char *output; /* folder; gets train/ validation/ test/ with catalog.yaml, or one catalogue without split */
  int32_t h, w, c;    /* 0: as the first image (all must agree) */
  thaw_fit fit;
  double split[3]; /* train, validation, test fractions; sum 1, or counts when >= 1; {1,0,0}: no split */
  bool stratify;   /* keep class proportions (default) */
  uint64_t seed;
  int64_t first, limit;  /* take `limit` samples (0: all) from `first` in source order, before the split */
  int64_t shard_samples; /* 0: about 64 MB a shard */
  int deflate;
  bool strict; /* a broken image is an error */
  bool overwrite;
  bool regression;   /* CSV labels are numbers, not classes */
  int32_t keep_bits; /* 0: as the source, 8: reduce 16-bit sources */
} thaw_import_options;
void thaw_import_defaults(thaw_import_options *options);
/* [collective] The same files whatever the number of ranks. */
thaw_status thaw_import(thaw_comm *comm, const thaw_import_options *options, thaw_log *log) THAW_CHECKED;

#endif
