/* score_private.h: what the files of src/score share. */
#ifndef THAW_SCORE_PRIVATE_H
#define THAW_SCORE_PRIVATE_H

#include "thaw/score.h"

/* Outputs are in 0 .. 1, and sum to 1 where one of several classes is true. */
bool score_are_probabilities(const thaw_scored *scored);
/* One row of outputs at a temperature; exactly the outputs at temperature 1. */
void score_at_temperature(thaw_label_kind kind, const float *y, int32_t outputs, double temperature, double *out);

/* Percentile intervals of `values` figures from replicates of the groups of `scored` that have members (of `weight`,
 * where it is given). A pure function of the seed. Fewer than 2 groups: no interval. */
typedef struct score_resampling {
  const thaw_scored *scored;
  const double *weight; /* [count] or NULL */
  int32_t values, replicates;
  uint64_t seed;
  const void *context;
  /* value [values]; weight [count] or NULL; whole [values]: of all members, NULL while these are computed. */
  void (*compute)(const void *context, const double *weight, const double *whole, double *value);
} score_resampling;
thaw_status score_estimate(const score_resampling *resampling, thaw_estimate_of *out) THAW_CHECKED;

#endif
