/* half.c: float16 storage. Compiled for F16C, which every CPU with AVX2 has. */
#include "thaw/kernel.h"
#include <immintrin.h>

void thaw_to_half(const float *x, size_t count, uint16_t *y) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128((__m128i *)(y + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < count; i++) y[i] = _cvtss_sh(x[i], _MM_FROUND_TO_NEAREST_INT);
}

void thaw_from_half(const uint16_t *x, size_t count, float *y) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
  for (; i < count; i++) y[i] = _cvtsh_ss(x[i]);
}
