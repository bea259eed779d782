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

#endif
