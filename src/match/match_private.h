/* match_private.h: what the files of src/match share. */
#ifndef THAW_MATCH_PRIVATE_H
#define THAW_MATCH_PRIVATE_H

#include "thaw/match.h"

bool match_ends_with(const char *text, const char *end);
/* CSV and NumPy (embeddings_text.c). */
thaw_status match_write_csv(const char *path, const thaw_embeddings *e, bool values) THAW_CHECKED;
thaw_status match_write_npy(const char *path, const thaw_embeddings *e) THAW_CHECKED;
thaw_status match_read_csv(const char *path, bool values, thaw_embeddings *e) THAW_CHECKED;
thaw_status match_read_npy(const char *path, thaw_embeddings *e) THAW_CHECKED;

/* Rows in an order of names (persons.c): by `key`, then by id. order [count]. */
typedef struct match_name {
  const char *key, *id;
  int64_t row;
} match_name;
void match_sort_names(match_name *name, int64_t count);
/* A number from 0 for each person of the lists in turn, the same for the same name; -1 where it is not known. number
 * [lists][count of the list]. */
thaw_status match_number_persons(const thaw_embeddings *const *list, int32_t lists, int64_t *const *number,
                                 int64_t *persons_out) THAW_CHECKED;

/* Pairs by falling score, for the choice of thresholds (threshold.c). */
typedef struct match_ranked {
  float score;
  int32_t fold;
  bool same;
} match_ranked;
void match_rank(match_ranked *ranked, int64_t count);
/* Of the pairs outside fold `left_out` (-1: all pairs): the threshold of the best accuracy, half-way between the lowest
 * accepted and the next score; `best_out` pairs of them are right. */
double match_best_threshold(const match_ranked *ranked, int64_t count, int32_t left_out, int64_t *best_out);

#endif
