/* Resampling of whole groups (patients) with replacement: percentile intervals. */
#include "thaw/memory.h"
#include "thaw/rng.h"
#include "thaw/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void thaw_bootstrap_draw(uint64_t seed, int32_t replicate, const int64_t *member, int64_t members, double *taken) {
  thaw_draw position = {.seed = seed, .purpose = THAW_RNG_BOOTSTRAP, .sample = (uint64_t)replicate};
  for (int64_t i = 0; i < members; i += 4) {
    uint32_t word[4];
    thaw_random4(&position, (uint32_t)(i / 4), word);
    for (int64_t j = 0; j < 4 && i + j < members; j++) {
      int64_t index = (int64_t)((uint64_t)word[j] * (uint64_t)members >> 32);
      taken[member ? member[index] : index]++;
    }
  }
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double thaw_quantile(double *value, int64_t count, double q) {
  if (count <= 0) return NAN;
  qsort(value, (size_t)count, sizeof *value, ascending);
  double place = q * (double)(count - 1), below = floor(place);
  int64_t i = (int64_t)below;
  if (i + 1 >= count) return value[count - 1];
  return value[i] + (place - below) * (value[i + 1] - value[i]);
}
