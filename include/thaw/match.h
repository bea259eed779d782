/* match.h: embeddings compared: are two images of one person (verification), and of whom is an image (identification)?
 * The words are those of faces; a "person" may be any class that is told apart by distances.
 *
 * Works on all embeddings at once (rank 0), in double, so that nothing depends on the number of ranks. A value that is
 * not defined is NaN, never 0. All functions are [local].
 */
#ifndef THAW_MATCH_H
#define THAW_MATCH_H

#include "thaw/file.h"
#include "thaw/score.h"

/* ------------------------------------------------------------------ embeddings */
typedef struct thaw_embeddings {
  int64_t count;
  int32_t width;
  float *value;             /* [count][width] */
  thaw_strings id, person;  /* [count] each; a person that is not known is "" */
  thaw_strings failed, why; /* images without an embedding, and the reason of each */
  char *source;             /* of what network: run, layer, digest; NULL: not told */
} thaw_embeddings;
void thaw_embeddings_clear(thaw_embeddings *embeddings);
/* HDF5 (".h5": /embeddings float32 [count][width], /ids, /persons, /failed, /failed_why; attributes format, version,
 * source), NumPy (".npy": the values; ids and persons go into a CSV beside it, ".npy.csv"), or CSV (any other name: id,
 * person, e0, e1, ... with the nine digits that give a float back). Whole or absent. */
thaw_status thaw_embeddings_write(const char *path, const thaw_embeddings *embeddings) THAW_CHECKED;
/* Any of these three. THAW_ERR_DATA, naming the image, for numbers that are not finite. */
thaw_status thaw_embeddings_read(const char *path, thaw_embeddings *out) THAW_CHECKED;
/* Divides each by its length, in double. A row of zeros is THAW_ERR_DATA, naming the image. */
thaw_status thaw_embeddings_normalize(thaw_embeddings *embeddings) THAW_CHECKED;
/* Cosine of two embeddings, rounded to float once. */
float thaw_match_score(const thaw_embeddings *a, int64_t i, const thaw_embeddings *b, int64_t j);

/* ------------------------------------------------------------------ pairs */
typedef struct thaw_pair {
  int64_t a, b; /* rows */
  int32_t fold; /* from 0 */
  bool same;
} thaw_pair;
typedef struct thaw_pairs {
  thaw_pair *pair;
  int64_t count, capacity;
  int32_t folds;        /* 0: pairs of all rows, without folds */
  thaw_strings missing; /* "line 17: Ann_Other_0003": pairs of the file that name an image without an embedding */
} thaw_pairs;
void thaw_pairs_clear(thaw_pairs *pairs);
/* A file in the layout of LFW's pairs.txt ("10\t300", then for each fold 300 lines "name n1 n2" of one person and 300
 * lines "name1 n1 name2 n2" of two) or of pairsDevTrain.txt and pairsDevTest.txt ("1100", one fold). Image n of a name
 * is the one whose id, without folders and extension, is name_000n. A pair that names an image without an embedding is
 * left out and listed in `missing`. THAW_ERR_DATA names the line: another layout or number of lines, a name that fits
 * two images, a fold that has no pair left of one of both kinds. */
thaw_status thaw_pairs_read(const char *path, const thaw_embeddings *embeddings, thaw_pairs *out) THAW_CHECKED;
/* All pairs of rows whose persons are known. THAW_ERR_DATA above 2^24 pairs, or where one kind is missing. */
enum { THAW_MOST_PAIRS = 1 << 24 };
thaw_status thaw_pairs_all(const thaw_embeddings *embeddings, thaw_pairs *out) THAW_CHECKED;

/* ------------------------------------------------------------------ verification: one person or two? */
enum { THAW_MATCH_RATES = 4 };                          /* 1e-1, 1e-2, 1e-3, 1e-4 */
extern const double thaw_match_rates[THAW_MATCH_RATES]; /* false accept rates, false positive identification rates */
typedef struct thaw_verification {
  int64_t same, different; /* pairs */
  double auc, eer, eer_threshold;
  /* TAR at FAR: the largest true accept rate whose false accept rate is at most the given one; NaN with fewer
   * different pairs than 1 / FAR. The threshold is the lowest accepted score. */
  double true_accept[THAW_MATCH_RATES], threshold[THAW_MATCH_RATES];
  /* Accuracy as LFW reports it: the threshold of a fold is the best on the other folds (of several the highest, and
   * half-way down to the next score); mean over the folds and its standard error, deviation / sqrt(folds). With one
   * fold the threshold is chosen on the same pairs, unless `given`. */
  int32_t folds; /* 0: none */
  double *fold_accuracy, *fold_threshold;
  double accuracy, accuracy_error; /* NaN without folds; the error with one fold */
  bool given;
  float *score; /* [pairs] */
  thaw_curve curve;
} thaw_verification;
/* threshold NaN: chosen as said; else given, from other pairs (LFW's view 1). */
thaw_status thaw_verify(const thaw_embeddings *embeddings, const thaw_pairs *pairs, double threshold,
                        thaw_verification *out) THAW_CHECKED;
void thaw_verification_clear(thaw_verification *verification);
/* The threshold of the best accuracy on all of these pairs. */
thaw_status thaw_verify_threshold(const thaw_embeddings *embeddings, const thaw_pairs *pairs, double *out) THAW_CHECKED;

/* ------------------------------------------------------------------ identification: who is it? */
typedef struct thaw_identification {
  int64_t persons, gallery; /* persons in the gallery, and their images */
  int64_t probes;           /* mated: of persons in the gallery */
  int64_t strangers;        /* probes of persons that are not */
  int32_t ranks;            /* length of cmc: persons, at most 100 */
  double *cmc;              /* share of mated probes whose person is among the first r + 1; ties count against it */
  /* Open set: the threshold at which at most this share of strangers is taken for somebody, and the share of mated
   * probes that are then still found, at rank 1. NaN with fewer strangers than 1 / rate. */
  double found[THAW_MATCH_RATES], threshold[THAW_MATCH_RATES];
} thaw_identification;
/* Row by row: is it in the gallery (1), a probe (2), or neither (0)? The first image of each person (by id) that has
 * several is the gallery, the others are probes; a person's only image is a stranger's probe. */
enum { THAW_LEFT_OUT, THAW_GALLERY, THAW_PROBE };
thaw_status thaw_gallery_split(const thaw_embeddings *embeddings, uint8_t *role) THAW_CHECKED;
/* Probes against a gallery, whose score for a person is its highest; role NULL: all rows. Rows without a person take no
 * part. */
thaw_status thaw_identify(const thaw_embeddings *gallery, const uint8_t *gallery_role, const thaw_embeddings *probe,
                          const uint8_t *probe_role, thaw_identification *out) THAW_CHECKED;
void thaw_identification_clear(thaw_identification *identification);

/* Persons with one image: their number, and the names of the first ones in `names`. */
int64_t thaw_single_images(const thaw_embeddings *embeddings, int32_t names_wanted, thaw_strings *names);

#endif
