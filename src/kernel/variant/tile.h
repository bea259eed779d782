/* tile.h: the microkernel. rows x (vectors * LANES) sums in registers, every one a chain of fused multiply-adds over p
 * in increasing order, whatever surrounds it.
 *
 * `rows` and `vectors` are constants at every call, so that the sums live in registers.
 */
#ifndef THAW_KERNEL_TILE_H
#define THAW_KERNEL_TILE_H

#include "kernel/variant/simd.h"

/* Memory that will be needed soon: one prefetch into the second-level cache per step over p. */
typedef struct ahead {
  const char *next; /* NULL: none */
  size_t step;      /* bytes */
} ahead;

/* s[i][j] += a[i*row_step + p*p_step] * b[p*ldb + j*LANES ..] for p < length. */
ALWAYS_INLINE void tile_multiply(const int rows, const int vectors, const float *a, size_t row_step, size_t p_step,
                                 const float *b, size_t ldb, int length, ahead soon, vec s[ROWS][2]) {
  for (int p = 0; p < length; p++, a += p_step, b += ldb) {
    vec b0 = load(b), b1 = vectors > 1 ? load(b + LANES) : zero();
    if (soon.next) {
      __builtin_prefetch(soon.next, 0, 2);
      soon.next += soon.step;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
      vec ai = broadcast(a[(size_t)i * row_step]);
      s[i][0] = fma_of(ai, b0, s[i][0]);
      if (vectors > 1) s[i][1] = fma_of(ai, b1, s[i][1]);
    }
  }
}

ALWAYS_INLINE void tile_clear(const int rows, vec s[ROWS][2]) {
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++) s[i][0] = s[i][1] = zero();
}

/* Splits `count` rows into groups of at most ROWS that differ by at most one, so that no group is too short to keep the
 * multipliers busy. Returns the number of groups; group g starts at count * g / groups. */
ALWAYS_INLINE int tile_groups(int count) {
  return (count + ROWS - 1) / ROWS;
}

#endif
