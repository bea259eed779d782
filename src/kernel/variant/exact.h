/* exact.h: floats of a vector rounded to multiples of a power of two and added as int64.
 *
 * A float times a power of two is exact in double. Adding 1.5 * 2^52 (here divided by the factor, and the float left as
 * it is: the same mantissa) rounds it once to the nearest integer, ties to even, which then stands in the low bits of
 * the mantissa. */
#ifndef THAW_KERNEL_EXACT_H
#define THAW_KERNEL_EXACT_H

#include "kernel/variant/simd.h"

#include <stdbool.h>
#include <string.h>

enum { WIDE = LANES / 2 };

/* Sums modulo 2^64: those of a slice that is too large overflow and are not used. */
typedef uint64_t lvec __attribute__((vector_size(4 * LANES)));
#ifdef __AVX512F__
typedef __m512d dvec;
ALWAYS_INLINE dvec dbroadcast(double a) {
  return _mm512_set1_pd(a);
}
ALWAYS_INLINE dvec widen(vec a, int half) {
  return _mm512_cvtps_pd(half ? _mm512_extractf32x8_ps(a, 1) : _mm512_castps512_ps256(a));
}
ALWAYS_INLINE ivec larger(ivec a, ivec b) {
  return (ivec)_mm512_max_epi32((__m512i)a, (__m512i)b);
}
ALWAYS_INLINE lvec load_integers(const int64_t *p) {
  return (lvec)_mm512_loadu_si512(p);
}
ALWAYS_INLINE void store_integers(int64_t *p, lvec a) {
  _mm512_storeu_si512(p, (__m512i)a);
}
/* Past the caches; p on a boundary of 64 bytes. */
ALWAYS_INLINE void stream_integers(int64_t *p, lvec a) {
  _mm512_stream_si512((__m512i *)p, (__m512i)a);
}
/* sums = a, or += a; `count` of them, at least one. */
ALWAYS_INLINE void put_integers(int64_t *sums, lvec a, int count, bool add) {
  __mmask8 m = count >= WIDE ? 0xff : (__mmask8)((1u << count) - 1);
  if (add) a += (lvec)_mm512_maskz_loadu_epi64(m, sums);
  _mm512_mask_storeu_epi64(sums, m, (__m512i)a);
}
#else
typedef __m256d dvec;
ALWAYS_INLINE dvec dbroadcast(double a) {
  return _mm256_set1_pd(a);
}
ALWAYS_INLINE dvec widen(vec a, int half) {
  return _mm256_cvtps_pd(half ? _mm256_extractf128_ps(a, 1) : _mm256_castps256_ps128(a));
}
ALWAYS_INLINE ivec larger(ivec a, ivec b) {
  return (ivec)_mm256_max_epi32((__m256i)a, (__m256i)b);
}
ALWAYS_INLINE lvec load_integers(const int64_t *p) {
  return (lvec)_mm256_loadu_si256((const __m256i *)p);
}
ALWAYS_INLINE void store_integers(int64_t *p, lvec a) {
  _mm256_storeu_si256((__m256i *)p, (__m256i)a);
}
ALWAYS_INLINE void stream_integers(int64_t *p, lvec a) {
  _mm256_stream_si256((__m256i *)p, (__m256i)a);
}
ALWAYS_INLINE void put_integers(int64_t *sums, lvec a, int count, bool add) {
  __m256i m = _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
  if (add) a += (lvec)_mm256_maskload_epi64((const long long *)sums, m);
  _mm256_maskstore_epi64((long long *)sums, m, (__m256i)a);
}
#endif

/* Keeps the compiler from taking the same step of all sums first, for which there are not enough registers. */
ALWAYS_INLINE void in_order(vec *sum, ivec *most) {
  __asm__ volatile("" : "+v"(*sum), "+v"(*most));
}

/* The bits of a double. */
ALWAYS_INLINE int64_t bits_of(double a) {
  int64_t bits;
  memcpy(&bits, &a, sizeof bits);
  return bits;
}

/* The largest of all lanes. */
ALWAYS_INLINE uint32_t largest_lane(const ivec *most) {
  uint32_t largest = 0;
  for (int i = 0; i < LANES; i++)
    if ((uint32_t)(*most)[i] > largest) largest = (uint32_t)(*most)[i];
  return largest;
}

/* to[0 .. LANES] = or += round(a * factor), and what |a| adds to the largest bits; magic: 1.5 * 2^52 / factor. */
ALWAYS_INLINE void put_rounded(vec a, double magic, bool add, int64_t *to, ivec *most) {
  in_order(&a, most);
#pragma GCC unroll 2
  for (int half = 0; half < 2; half++) {
    lvec rounded = (lvec)(widen(a, half) + dbroadcast(magic)) - (uint64_t)bits_of(magic);
    if (add) rounded += load_integers(to + half * WIDE);
    store_integers(to + half * WIDE, rounded);
  }
  *most = larger(*most, (ivec)a & ((ivec){0} + INT32_MAX));
}

/* A packed block of sums, [rows][PANEL], to where it belongs: `columns` of each row, rows `step` apart. */
ALWAYS_INLINE void put_block(const int64_t *block, int rows, int columns, bool add, size_t step, int64_t *to) {
  bool stream = !add && columns >= PANEL && ((uintptr_t)to & 63) == 0 && step % 8 == 0;
  for (int i = 0; i < rows; i++, to += step, block += PANEL)
    for (int j = 0; j < PANEL && j < columns; j += WIDE) {
      lvec a = load_integers(block + j);
      if (stream)
        stream_integers(to + j, a);
      else
        put_integers(to + j, a, columns - j, add);
    }
}

#endif
