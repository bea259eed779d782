/* simd.h: one vector of floats for the instruction set this file is compiled for, and nothing wider than its user
 * needs.
 *
 * Fused multiply-adds are written out (fma_of), never left to the compiler, so that both variants round alike. Tails
 * shorter than a vector go through masked loads and stores: absent lanes read 0 and are not written.
 */
#ifndef THAW_KERNEL_SIMD_H
#define THAW_KERNEL_SIMD_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __AVX512F__
enum { LANES = 16, ROWS = 12 }; /* 12 x 2 accumulators of 32 registers */
typedef __m512 vec;
typedef __mmask16 mask; /* lanes of a tail */
typedef __mmask16 cond; /* outcome of a comparison */
#else
enum { LANES = 8, ROWS = 6 }; /* 6 x 2 accumulators of 16 registers */
typedef __m256 vec;
typedef __m256i mask;
typedef __m256 cond;
#endif
enum { PANEL = 2 * LANES };
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#ifdef __AVX512F__
ALWAYS_INLINE vec load(const float *p) {
  return _mm512_loadu_ps(p);
}
ALWAYS_INLINE void store(float *p, vec a) {
  _mm512_storeu_ps(p, a);
}
ALWAYS_INLINE vec broadcast(float a) {
  return _mm512_set1_ps(a);
}
ALWAYS_INLINE vec zero(void) {
  return _mm512_setzero_ps();
}
/* a * b + c, rounded once */
ALWAYS_INLINE vec fma_of(vec a, vec b, vec c) {
  return _mm512_fmadd_ps(a, b, c);
}
/* Maximum and minimum; where either is NaN (or both are zeros) the second. */
ALWAYS_INLINE vec max_of(vec a, vec b) {
  return _mm512_max_ps(a, b);
}
ALWAYS_INLINE vec min_of(vec a, vec b) {
  return _mm512_min_ps(a, b);
}
ALWAYS_INLINE cond less(vec a, vec b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
ALWAYS_INLINE vec select_of(cond c, vec yes, vec no) {
  return _mm512_mask_blend_ps(c, no, yes);
}
ALWAYS_INLINE mask tail(int count) {
  return (mask)((1u << count) - 1);
}
ALWAYS_INLINE vec load_tail(const float *p, mask m) {
  return _mm512_maskz_loadu_ps(m, p);
}
ALWAYS_INLINE void store_tail(float *p, vec a, mask m) {
  _mm512_mask_storeu_ps(p, m, a);
}
#else
ALWAYS_INLINE vec load(const float *p) {
  return _mm256_loadu_ps(p);
}
ALWAYS_INLINE void store(float *p, vec a) {
  _mm256_storeu_ps(p, a);
}
ALWAYS_INLINE vec broadcast(float a) {
  return _mm256_set1_ps(a);
}
ALWAYS_INLINE vec zero(void) {
  return _mm256_setzero_ps();
}
/* a * b + c, rounded once */
ALWAYS_INLINE vec fma_of(vec a, vec b, vec c) {
  return _mm256_fmadd_ps(a, b, c);
}
/* Maximum and minimum; where either is NaN (or both are zeros) the second. */
ALWAYS_INLINE vec max_of(vec a, vec b) {
  return _mm256_max_ps(a, b);
}
ALWAYS_INLINE vec min_of(vec a, vec b) {
  return _mm256_min_ps(a, b);
}
ALWAYS_INLINE cond less(vec a, vec b) {
  return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
ALWAYS_INLINE vec select_of(cond c, vec yes, vec no) {
  return _mm256_blendv_ps(no, yes, c);
}
ALWAYS_INLINE mask tail(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
ALWAYS_INLINE vec load_tail(const float *p, mask m) {
  return _mm256_maskload_ps(p, m);
}
ALWAYS_INLINE void store_tail(float *p, vec a, mask m) {
  _mm256_maskstore_ps(p, m, a);
}
#endif

/* Loads and stores of `count` floats, at most a vector. */
ALWAYS_INLINE vec load_some(const float *p, int count) {
  return count >= LANES ? load(p) : load_tail(p, tail(count));
}
ALWAYS_INLINE void store_some(float *p, vec a, int count) {
  if (count >= LANES) {
    store(p, a);
  } else {
    store_tail(p, a, tail(count));
  }
}

#endif
