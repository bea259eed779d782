/* import.h: folders of images (also DICOM and NIfTI), CSV lists, NumPy and IDX files -> shards and catalogues. */
#ifndef THAW_IMPORT_H
#define THAW_IMPORT_H

#include "thaw/comm.h"
#include "thaw/file.h"
#include "thaw/image.h"
#include "thaw/log.h"

typedef struct thaw_import_options {
  const char *source; /* folder of class folders, list.csv, x.npy, x.npz, train-images-idx3-ubyte[.gz] */
  const char *labels; /* labels file for .npy and IDX sources, array name in an .npz; NULL: none, or the usual names */
  const char *images; /* array name in an .npz; NULL: the usual names */
  const char *output; /* folder; gets train/ validation/ test/ with catalog.yaml, or one catalogue without split */
  int32_t h, w;       /* 0: as the first image (all must agree) */
  int32_t c;          /* 1 or 3; 0: 3 when any image has colour, else 1 */
  thaw_fit fit;
  double split[3]; /* train, validation, test fractions; sum 1, or counts; {1,0,0}: no split */
  bool stratify;   /* keep class proportions (default) */
  uint64_t seed;
  int64_t first, limit;  /* take `limit` samples (0: all) from `first` in source order, before the split */
  int64_t shard_samples; /* 0: about 64 MB a shard */
  int deflate;           /* 0..9 */
  bool strict;           /* a broken image is an error */
  bool overwrite;
  bool regression;   /* CSV labels are numbers, not classes */
  bool multi_label;  /* CSV labels are class names separated by '|', any number of them */
  int32_t keep_bits; /* 0: as the source, 8: reduce 16-bit sources */
  double value_max;  /* largest value of 16-bit sources, e.g. 4095 for 12-bit detectors; 0: 65535 */
  const char
      *classes; /* "a,b,c": the classes in index order; names found must be among them, numbers index them; NULL */
  const char *label_columns; /* "a,b,c": CSV columns of 1, 0, -1 (unknown) or nothing, a label each; with `regression`
                                of numbers, a target each; NULL */
  const char *class_columns, *target_columns; /* "a,b": CSV columns of class names and of numbers; with either of them,
                                                 and `label_columns`, labels are mixed, for several heads; an empty cell
                                                 is unknown; NULL: none */
  bool blank_unknown;                         /* nothing in such a column means unknown, not 0 */
  const char *attributes;    /* "sex,site": CSV columns for subgroups.csv beside each catalogue; NULL */
  const char *window;        /* of DICOM and NIfTI, see thaw_dicom_view_parse; NULL: "full" */
  int32_t frames;            /* of DICOM and NIfTI: 0 all, 1 the middle one, 2 all with their neighbours as channels */
  int32_t axis;              /* of NIfTI slices: 0 axial, 1 coronal, 2 sagittal */
  bool keep_ids;             /* ids and groups of DICOM and NIfTI files are paths and PatientIDs, not keyed hashes */
  const char *id_key;        /* file with the hashes' secret; made where it is missing; NULL: OUTPUT.id-key */
  const char *id_list;       /* file for id,path of every sample; NULL: none */
  int32_t tile, tile_stride; /* side of the windows that images are cut into, pixels; 0: whole images. stride 0: tile */
  const char *tile_masks;    /* folder: only windows that show the defect keep the image's class; NULL: all do */
  const char *tile_normal;   /* class of the others; NULL: "good" */
  double tile_share;         /* of a window's pixels, above which it shows the defect */
  int32_t group_folder;      /* the n-th part of a path is the group; 0: no */
  const char *path_column, *label_column, *group_column; /* of the CSV header; NULL: "path", "label", "group" */
} thaw_import_options;
void thaw_import_defaults(thaw_import_options *options);
/* [collective] The same files whatever the number of ranks. */
thaw_status thaw_import(thaw_comm *comm, const thaw_import_options *options, thaw_log *log) THAW_CHECKED;

/* ------------------------------------------------------------------ images as an import stores them, without shards */

/* How images were made: import.yaml beside a catalogue, and in the folder of a run that was trained on it. */
typedef struct thaw_import_recipe {
  bool known; /* false: nothing tells it; images are taken as they are, frames as "full", "all", axial */
  char window[160];
  int32_t frames, axis; /* as in thaw_import_options */
  thaw_fit fit;
  int32_t h, w, c, bits; /* as stored */
  double value_max;
  char id_key[16]; /* tells the secrets of ids apart; "": none */
} thaw_import_recipe;
/* [local] Not known where there is no file. */
thaw_status thaw_import_recipe_read(const char *path, thaw_import_recipe *out) THAW_CHECKED;

typedef struct thaw_import_reader thaw_import_reader;
/* [collective] The samples of image files: one each, of DICOM and NIfTI one per frame or slice. */
thaw_status thaw_import_reader_open(thaw_comm *comm, const thaw_strings *paths, const thaw_import_recipe *recipe,
                                    thaw_log *log, thaw_import_reader **out) THAW_CHECKED;
void thaw_import_reader_close(thaw_import_reader *reader); /* accepts NULL */
/* A path, or path#frame, per sample; borrowed. */
const thaw_strings *thaw_import_reader_ids(const thaw_import_reader *reader);
/* [local] One sample as the import would store it; *value_max: the value that means white. THAW_ERR_DATA: broken. */
thaw_status thaw_import_reader_image(thaw_import_reader *reader, int64_t i, thaw_image *out,
                                     double *value_max) THAW_CHECKED;

#endif
