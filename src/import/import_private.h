/* import_private.h: what the files of src/import share. */
#ifndef THAW_IMPORT_PRIVATE_H
#define THAW_IMPORT_PRIVATE_H

#include "thaw/csv.h"
#include "thaw/dicom.h"
#include "thaw/import.h"
#include "thaw/leak.h"
#include "thaw/memory.h"
#include "thaw/nifti.h"
#include "thaw/shard.h"
#include "thaw/text.h"

enum { IMPORT_PARTS = 3, IMPORT_UNUSED = 3 };

/* A block of bytes with its way to be released. */
typedef struct import_block {
  const unsigned char *data;
  size_t size;
  void *owned;  /* thaw_free */
  void *mapped; /* munmap of `size` bytes */
} import_block;
void thaw_import__release(import_block *block);
/* The whole file, mapped read-only. */
thaw_status thaw_import__map(const char *path, import_block *out) THAW_CHECKED;
/* The whole file, inflated where it is gzip. */
thaw_status thaw_import__inflate(const char *path, import_block *out) THAW_CHECKED;

/* Numbers in one block of memory, C order. */
typedef struct import_array {
  import_block block;
  const unsigned char *data; /* first element */
  char kind;                 /* 'u', 'i', 'f' */
  int size;                  /* bytes of an element */
  bool big_endian;
  int rank;
  int64_t dim[5];
} import_array;
/* `name` is for messages; the block passes to `out` also on failure. */
thaw_status thaw_idx__parse(const char *name, import_block *block, import_array *out) THAW_CHECKED;
thaw_status thaw_npy__parse(const char *name, import_block *block, import_array *out) THAW_CHECKED;
/* One array of an .npz; `wanted` NULL: the first of the usual names that is there. */
thaw_status thaw_npz__read(const char *path, const char *wanted, const char *const *usual,
                           import_array *out) THAW_CHECKED;

/* Windows of images as samples (tiles.c). */
typedef struct import_tiles import_tiles;

/* The samples of the source in source order; the same on every rank. */
typedef struct import_source {
  const char *name;  /* of the file or folder, for messages */
  thaw_arena *arena; /* owns ids, groups and paths */
  int64_t count;
  char **id;    /* [count] */
  char **group; /* [count] or NULL */
  char **path;  /* [count] image files, or NULL: `images` */
  import_array images;
  thaw_label_kind label_kind;
  int32_t label_width;
  thaw_strings classes;
  int32_t *class_index; /* [count] CLASS; of MIXED the first column of classes, one more class for unknown, or NULL */
  uint8_t *multi;       /* [count][label_width] MULTI */
  float *target;        /* [count][label_width] TARGET, MIXED */
  thaw_strings columns; /* of MIXED, as in thaw_dataset_info */
  thaw_strings attribute_names;
  char ***attribute; /* [count][attribute_names.count]; NULL: none */
  int32_t *frame;    /* [count] of a DICOM or NIfTI file; -1: another image; NULL: none of these at all */
  thaw_dicom_view view;
  thaw_axis axis;
  int64_t (*neighbour)[2];  /* [count] samples before and behind in the series, of 2.5-D stacks over files; or NULL */
  struct import_open *open; /* files of frames that were read last */
  import_tiles *tiles;      /* NULL: samples are whole images */
  char key[16];             /* see import_plan */
  bool in_folders;          /* ids are paths below a folder of class folders */
  bool hide_paths;          /* paths may name people: ids stand for them in messages */
} import_source;

/* ------------------------------------------------------------------ DICOM and NIfTI */
enum { FRAMES_ALL, FRAMES_MIDDLE, FRAMES_STACK };
/* The secret of ids. */
typedef struct import_key {
  char *bytes; /* NULL: names stay as they are */
  size_t size;
} import_key;
/* [collective] id_key.c: the secret of --id-key, or of OUTPUT.id-key, made when it is not there. */
thaw_status thaw_import__share_key(thaw_comm *comm, const thaw_import_options *options, thaw_log *log,
                                   import_key *key) THAW_CHECKED;
/* [local] Appends the keyed hash of `text`, or `text`; `what` keeps hashes of different things apart. */
thaw_status thaw_import__keyed(const import_key *key, const char *what, const char *text, thaw_text *out) THAW_CHECKED;
/* [local] medical_header.c: whether it is a file of frames. */
bool thaw_import__is_medical(const char *path);
/* [local] What the header of file `i` says, as zero-terminated words: "n" (no such file); "b", id (broken); or "d" and
 * frames, "c" or "g" (colour, grey), id, group, "p" or "s" (where the group is from), series, position, number in the
 * series, attributes. */
enum { MEDICAL_WORDS = 8 };
thaw_status thaw_import__header(const import_source *source, int64_t i, const import_key *key,
                                const thaw_strings *attributes, thaw_text *out) THAW_CHECKED;
/* [collective] source_medical.c: DICOM and NIfTI files of the source become samples, one per frame. */
thaw_status thaw_import__medical(thaw_comm *comm, const thaw_import_options *options, thaw_log *log,
                                 import_source *source) THAW_CHECKED;
/* [local] distinct.c: the second and later samples of an id become ID~2, ID~3 ...; says how many. */
thaw_status thaw_import__distinct(import_source *source, thaw_log *log) THAW_CHECKED;
/* [local] series.c: neighbours of samples whose files are the slices of one series. */
typedef struct import_place {
  const char *series; /* "": none */
  double position;    /* along the normal of the image's plane */
  int64_t number;     /* InstanceNumber */
  bool has_position, has_number;
} import_place;
thaw_status thaw_import__series(import_source *source, const import_place *place, thaw_log *log) THAW_CHECKED;
/* [local] medical_image.c */
thaw_status thaw_import__medical_image(const import_source *source, int64_t i, thaw_image *out) THAW_CHECKED;
thaw_status thaw_import__open_files(import_source *source) THAW_CHECKED;
void thaw_import__close_files(import_source *source);
/* [collective] survey.c: every rank's bytes, one after the other, on every rank (thaw_free). */
thaw_status thaw_import__share_bytes(thaw_comm *comm, const void *mine, size_t size, char **all,
                                     size_t *total) THAW_CHECKED;

/* ------------------------------------------------------------------ csv_columns.c; all [local] */
typedef struct import_columns {
  thaw_strings name;
  int32_t *index; /* [name.count] */
} import_columns;
/* "a,b,c" -> names. */
thaw_status thaw_import__split_names(const char *text, thaw_strings *out) THAW_CHECKED;
/* The columns of the header that `names` lists; NULL: none. */
thaw_status thaw_import__find_columns(const thaw_csv *csv, const char *names, import_columns *out) THAW_CHECKED;
thaw_status thaw_import__take_cells(const thaw_csv *csv, const import_columns *columns, char ***out) THAW_CHECKED;
/* Labels of a source from cells of 1, 0, -1 (unknown) or nothing. */
thaw_status thaw_import__answers(const import_columns *columns, char ***cell, const int64_t *line, size_t count,
                                 bool blank_unknown, import_source *out) THAW_CHECKED;

/* One such cell: 0, 1 or 255; false: something else. */
bool thaw_import__answer(const char *cell, bool blank_unknown, uint8_t *out);

/* csv_mixed.c; [local]: the columns of --class-columns, --label-columns and --target-columns, in this order, and labels
 * of a source from their cells. */
thaw_status thaw_import__find_mixed(const thaw_csv *csv, const thaw_import_options *options,
                                    import_columns *out) THAW_CHECKED;
thaw_status thaw_import__mixed(const import_columns *columns, char ***cell, const int64_t *line, size_t count,
                               const thaw_import_options *options, import_source *out) THAW_CHECKED;
/* source_csv.c; [local]: the distinct names that are not empty, in order, and the place of each label among them, -1
 * for an empty one. label [count] is left as it is. */
thaw_status thaw_import__name_classes(char *const *label, size_t count, thaw_strings *classes,
                                      int32_t *index) THAW_CHECKED;

/* [collective] tiles.c: with --tile, the images of the source become their windows. */
thaw_status thaw_import__tile(thaw_comm *comm, const thaw_import_options *options, thaw_log *log,
                              import_source *source) THAW_CHECKED;
/* [local] */
thaw_status thaw_import__tile_image(const import_source *source, int64_t i, thaw_image *out) THAW_CHECKED;
void thaw_import__free_tiles(import_source *source);

/* [collective] Dispatch by what `options->source` is; applies first, limit and class names. */
thaw_status thaw_import__open(thaw_comm *comm, const thaw_import_options *options, thaw_log *log,
                              import_source *out) THAW_CHECKED;
void thaw_import__close(import_source *source);
/* [collective] each; fill an empty source. */
thaw_status thaw_import__open_folder(thaw_comm *comm, const thaw_import_options *options, thaw_log *log,
                                     import_source *out) THAW_CHECKED;
thaw_status thaw_import__open_csv(thaw_comm *comm, const thaw_import_options *options, import_source *out) THAW_CHECKED;
/* [local] */
thaw_status thaw_import__open_arrays(const thaw_import_options *options, import_source *out) THAW_CHECKED;
/* [local] Parses the text of a CSV list; paths are relative to `folder`. */
thaw_status thaw_import__parse_csv(const char *name, const char *text, size_t size, const char *folder,
                                   const thaw_import_options *options, import_source *out) THAW_CHECKED;
/* [local] Decodes sample i. */
thaw_status thaw_import__image(const import_source *source, int64_t i, thaw_image *out) THAW_CHECKED;

/* ------------------------------------------------------------------ survey: every image decoded once */
typedef struct import_record {
  uint64_t hash; /* of shape and pixels */
  int32_t h, w, c, bits;
  int32_t broken;
  int32_t padding;
} import_record;
typedef struct import_survey {
  import_record *record; /* [count] */
  char **reason;         /* [count]; NULL where the image is fine */
  thaw_strings reasons;
  int64_t broken;
  /* Decoded and fitted images of this rank's share, kept while memory lasts so that they are not decoded again. */
  int64_t first, last;
  thaw_image *kept; /* [last - first]; pixels NULL: not kept */
} import_survey;
/* [collective] Ranks decode contiguous shares; all get all records. */
thaw_status thaw_import__survey(thaw_comm *comm, const import_source *source, const thaw_import_options *options,
                                thaw_log *log, import_survey *out) THAW_CHECKED;
void thaw_import__clear_survey(import_survey *survey);

/* ------------------------------------------------------------------ split */
typedef struct import_split {
  int64_t count;
  char *const *id;
  char *const *group;         /* NULL, or per sample a name; "" means a group of its own */
  const int32_t *class_index; /* NULL: not stratified */
  int32_t classes;
  double share[IMPORT_PARTS]; /* fractions with sum 1, or counts */
  uint64_t seed;
} import_split;
/* [local] part[count]: 0, 1, 2 or IMPORT_UNUSED; a pure function of the request. */
thaw_status thaw_import__split(const import_split *request, uint8_t *part) THAW_CHECKED;
/* True when the shares say that all samples go into one undivided catalogue. */
bool thaw_import__undivided(const double share[IMPORT_PARTS]);

/* ------------------------------------------------------------------ plan and writing */
typedef struct import_shard {
  int32_t part;
  int64_t first, count; /* in order[part] */
  char *file;           /* name inside the part's folder */
  char digest[65];
} import_shard;
typedef struct import_plan {
  thaw_dataset_info info;       /* classes borrowed from the source */
  int64_t *order[IMPORT_PARTS]; /* source indices, ascending */
  int64_t size[IMPORT_PARTS];
  char *folder[IMPORT_PARTS];
  import_shard *shard;
  int32_t shards;
  char key[16];   /* first digits of the id key's own hash; "": plain ids */
  uint64_t *look; /* [source count] thaw_image_hash of what was stored; after thaw_import__write on every rank */
} import_plan;
/* [local] The same on every rank. */
thaw_status thaw_import__plan(const import_source *source, const import_survey *survey,
                              const thaw_import_options *options, import_plan *out) THAW_CHECKED;
void thaw_import__clear_plan(import_plan *plan);
/* [local] row.c: the steps before the depth of the output is known: `options->h` x `options->w`, and grey where asked.
 */
thaw_status thaw_import__fit(const thaw_import_options *options, thaw_image *image) THAW_CHECKED;
/* [local] The fitted image as it is stored. */
thaw_status thaw_import__row(const thaw_image *fitted, const thaw_dataset_info *info,
                             const thaw_import_options *options, void *pixels) THAW_CHECKED;
/* [local] recipe.c: import.yaml beside a part's catalogue. */
thaw_status thaw_import__write_recipe(const import_plan *plan, int part,
                                      const thaw_import_options *options) THAW_CHECKED;
/* [local] subgroups.csv beside a part's catalogue. */
thaw_status thaw_import__write_attributes(const import_source *source, const import_plan *plan, int part) THAW_CHECKED;
/* [collective] Shards, then catalogues. */
thaw_status thaw_import__write(thaw_comm *comm, const import_source *source, const import_survey *survey,
                               import_plan *plan, const thaw_import_options *options, thaw_log *log) THAW_CHECKED;
/* [local] Samples, or positives, of each class in part `s`; new, thaw_free. */
int64_t *thaw_import__count_classes(const import_source *source, const import_plan *plan, int s);
/* [collective] leaks.c: warns of images that are alike in different parts, of which an evaluation would know nothing.
 */
void thaw_import__warn_same(const import_source *source, const import_survey *survey, const import_plan *plan,
                            thaw_log *log);
thaw_status thaw_import__warn_alike(thaw_comm *comm, const import_source *source, const import_plan *plan,
                                    thaw_log *log) THAW_CHECKED;
/* [collective] Refuses or clears what is there; makes the folders. */
thaw_status thaw_import__prepare(thaw_comm *comm, const import_plan *plan,
                                 const thaw_import_options *options) THAW_CHECKED;

#endif
