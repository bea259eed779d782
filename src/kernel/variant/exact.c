/* exact.c: weight gradients of a dense layer, quantised to int64 while they are in registers.
 *
 * A slice's gradient x^T dy is a float chain over the slice's rows; times a power of two it is exact in double, then
 * rounded once to the nearest integer, ties to even. */
#include "kernel/variant/rows.h"
#include "kernel/variant/tile.h"
#include "kernel/variant/variant.h"

/* Doubles and 64-bit integers: half a vec. */
enum { WIDE = LANES / 2 };

#ifdef __AVX512F__
typedef __m512d dvec;
ALWAYS_INLINE dvec dbroadcast(double a) {
  return _mm512_set1_pd(a);
}
ALWAYS_INLINE dvec widen_low(vec a) {
  return _mm512_cvtps_pd(_mm512_castps512_ps256(a));
}
ALWAYS_INLINE dvec widen_high(vec a) {
  return _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
}
/* sums[0 .. count) += round(d); returns the lanes (a bit each) where |d| <= limit does not hold. */
ALWAYS_INLINE int add_rounded(int64_t *sums, dvec d, dvec limit, int count) {
  __mmask8 m = count >= WIDE ? 0xff : (__mmask8)((1u << count) - 1);
  __m512i q = _mm512_add_epi64(_mm512_maskz_loadu_epi64(m, sums), _mm512_cvtpd_epi64(d));
  _mm512_mask_storeu_epi64(sums, m, q);
  return _mm512_mask_cmp_pd_mask(m, _mm512_abs_pd(d), limit, _CMP_NLE_UQ);
}
#else
typedef __m256d dvec;
ALWAYS_INLINE dvec dbroadcast(double a) {
  return _mm256_set1_pd(a);
}
ALWAYS_INLINE dvec widen_low(vec a) {
  return _mm256_cvtps_pd(_mm256_castps256_ps128(a));
}
ALWAYS_INLINE dvec widen_high(vec a) {
  return _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1));
}
/* As above. Adding 1.5 * 2^52 rounds a double below 2^51 to an integer that then stands in the low mantissa bits. */
ALWAYS_INLINE int add_rounded(int64_t *sums, dvec d, dvec limit, int count) {
  const dvec magic = dbroadcast(6755399441055744.0);
  __m256i m = _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
  __m256i q = _mm256_sub_epi64(_mm256_castpd_si256(_mm256_add_pd(d, magic)), _mm256_castpd_si256(magic));
  dvec size = _mm256_andnot_pd(dbroadcast(-0.0), d);
  if (count >= WIDE) {
    _mm256_storeu_si256((__m256i *)sums, _mm256_add_epi64(_mm256_loadu_si256((const __m256i *)sums), q));
  } else {
    __m256i old = _mm256_maskload_epi64((const long long *)sums, m);
    _mm256_maskstore_epi64((long long *)sums, m, _mm256_add_epi64(old, q));
  }
  return _mm256_movemask_pd(_mm256_and_pd(_mm256_cmp_pd(size, limit, _CMP_NLE_UQ), _mm256_castsi256_pd(m)));
}
#endif

typedef struct quantiser {
  dvec factor, limit;
} quantiser;

ALWAYS_INLINE int quantise(const quantiser *q, vec a, int64_t *sums, int count) {
  int bad = add_rounded(sums, widen_low(a) * q->factor, q->limit, count);
  if (count > WIDE) bad |= add_rounded(sums + WIDE, widen_high(a) * q->factor, q->limit, count - WIDE);
  return bad;
}

/* One slice's gradient of `rows` inputs times up to PANEL outputs. x, dy: the slice's first row at the tile's corner.
 */
ALWAYS_INLINE int slice_tile(const int rows, const int vectors, const float *x, const float *dy, int length, int32_t c,
                             int32_t k, const quantiser *q, int64_t *sums, int count) {
  vec s[ROWS][2];
  tile_clear(rows, s);
  for (int p = 0; p < length; p++, x += c, dy += k) {
    vec b[2];
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++) b[j] = load_some(dy + j * LANES, count - j * LANES);
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
      vec a = broadcast(x[i]);
#pragma GCC unroll 2
      for (int j = 0; j < vectors; j++) s[i][j] = fma_of(a, b[j], s[i][j]);
    }
  }
  int bad = 0;
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++)
      bad |= quantise(q, s[i][j], sums + (size_t)i * (size_t)k + j * LANES, count - j * LANES);
  return bad;
}

static int slice_any(int rows, const float *x, const float *dy, int length, int32_t c, int32_t k, const quantiser *q,
                     int64_t *sums, int count) {
  int bad = 0;
#define CALL(R)                                                                                                        \
  bad = count > LANES ? slice_tile(R, 2, x, dy, length, c, k, q, sums, count)                                          \
                      : slice_tile(R, 1, x, dy, length, c, k, q, sums, count)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
  return bad;
}

int32_t THAW_VARIANT(thaw_dense_gradient)(const float *x, const float *dy, const int32_t *slice_start, int32_t slices,
                                          int32_t c, int32_t k, double factor, int64_t limit, int64_t *sums) {
  const int64_t most = ((int64_t)1 << 51) - 1;
  quantiser q = {dbroadcast(factor), dbroadcast((double)(limit < most ? limit : most))};
  int32_t first_bad = slices;
  for (int32_t row = 0; row < c; row += ROWS)
    for (int32_t column = 0; column < k; column += PANEL)
      for (int32_t s = 0; s < slices; s++) {
        size_t from = (size_t)slice_start[s];
        int length = slice_start[s + 1] - slice_start[s], rows = c - row < ROWS ? c - row : ROWS;
        int count = k - column < PANEL ? k - column : PANEL;
        int bad = slice_any(rows, x + from * (size_t)c + row, dy + from * (size_t)k + column, length, c, k, &q,
                            sums + (size_t)row * (size_t)k + column, count);
        if (bad && s < first_bad) first_bad = s;
      }
  return first_bad < slices ? first_bad : -1;
}
