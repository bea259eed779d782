/* transpose.h: square blocks of floats, LANES to a side, turned over in registers. */
#ifndef THAW_KERNEL_TRANSPOSE_H
#define THAW_KERNEL_TRANSPOSE_H

#include "kernel/variant/simd.h"

#ifdef __AVX512F__
/* r[i][j] = r[j][i]: pairs, then quarters of a register, then whole quarters. */
ALWAYS_INLINE void transpose_square(vec r[LANES]) {
  vec t[LANES];
#pragma GCC unroll 4
  for (int i = 0; i < LANES; i += 4) {
    vec a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
    vec c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
    t[i] = _mm512_shuffle_ps(a, c, 0x44), t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
    t[i + 2] = _mm512_shuffle_ps(b, d, 0x44), t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    vec a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88), b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
    vec c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88), d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
    r[i] = _mm512_shuffle_f32x4(a, c, 0x88), r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
    r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88), r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
}
#else
ALWAYS_INLINE void transpose_square(vec r[LANES]) {
  vec t[LANES];
#pragma GCC unroll 2
  for (int i = 0; i < LANES; i += 4) {
    vec a = _mm256_unpacklo_ps(r[i], r[i + 1]), b = _mm256_unpackhi_ps(r[i], r[i + 1]);
    vec c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
    t[i] = _mm256_shuffle_ps(a, c, 0x44), t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
    t[i + 2] = _mm256_shuffle_ps(b, d, 0x44), t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    r[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
    r[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
  }
}
#endif

/* to[j * to_row + i] = from[i * from_row + j] for i < rows, j < columns (both at most LANES); zeros for rows <= i <
 * LANES. Writes whole vectors. */
ALWAYS_INLINE void transpose(const float *from, size_t from_row, int rows, int columns, float *to, size_t to_row) {
  vec r[LANES];
#pragma GCC unroll 16
  for (int i = 0; i < LANES; i++) r[i] = i < rows ? load_some(from + (size_t)i * from_row, columns) : zero();
  transpose_square(r);
#pragma GCC unroll 16
  for (int j = 0; j < LANES; j++)
    if (j < columns) store(to + (size_t)j * to_row, r[j]);
}

#endif
