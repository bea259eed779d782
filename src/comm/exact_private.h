/* The inner loops of exact sums, one set per instruction set. All [local]. */
#ifndef EXACT_PRIVATE_H
#define EXACT_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

typedef struct exact_loops {
  /* The largest |x[i]| as the bits of a float; above 0x7f800000 when one is NaN. */
  uint32_t (*largest)(const float *x, size_t count);
  /* sums[i] += x[i] * factor rounded to nearest even; |x[i] * factor| < 2^51. set: the first term. */
  void (*set)(const float *x, size_t count, double factor, int64_t *sums);
  void (*add)(const float *x, size_t count, double factor, int64_t *sums);
  /* out[i] = (float)((double)sums[i] * factor) */
  void (*get)(const int64_t *sums, size_t count, double factor, float *out);
} exact_loops;

const exact_loops *exact_loops_select(void);

#endif
