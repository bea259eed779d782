/* From which score on two images are taken for one person. */
#include "match/match_private.h"

#include <math.h>
#include <stdlib.h>

/* By falling score; what else, does not matter. */
static int by_score(const void *a, const void *b) {
  const match_ranked *x = a, *y = b;
  return x->score > y->score ? -1 : x->score < y->score;
}

void match_rank(match_ranked *ranked, int64_t count) {
  qsort(ranked, (size_t)count, sizeof *ranked, by_score);
}

double match_best_threshold(const match_ranked *ranked, int64_t count, int32_t left_out, int64_t *best_out) {
  int64_t right = 0, best, at = 0, end;
  double threshold = INFINITY, accepted = NAN;
  for (int64_t i = 0; i < count; i++) right += ranked[i].fold != left_out && !ranked[i].same; /* nobody is accepted */
  best = right;
  for (; at < count; at = end) {
    float score = ranked[at].score;
    int64_t here = 0;
    for (end = at; end < count && ranked[end].score == score; end++) {
      if (ranked[end].fold == left_out) continue;
      right += ranked[end].same ? 1 : -1;
      here++;
    }
    if (!here) continue;
    if (!isnan(accepted)) threshold = (accepted + (double)score) / 2; /* the best so far ends above this score */
    accepted = NAN;
    if (right > best) {
      best = right;
      accepted = score;
      threshold = score;
    }
  }
  *best_out = best;
  return threshold;
}
