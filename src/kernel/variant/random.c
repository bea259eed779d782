/* random.c: Philox4x32-10 (Salmon et al., SC'11) for many consecutive draws at once, with the bits of thaw_random4.
 *
 * Each 64-bit lane holds one word of one draw in its lower half. The 32x32->64 multiplication reads just that half, so
 * the lower half of a product is the product itself and its upper half one shift; what then stands above is never read.
 */
#include "kernel/variant/simd.h"
#include "kernel/variant/variant.h"

typedef uint64_t wide __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));

/* Draws of one vector, and vectors at once: as many as registers hold, for the multiplications take their time. */
enum { DRAWS = LANES / 2, VECTORS = LANES == 16 ? 4 : 2, ROUNDS = 10 };

#ifdef __AVX512F__
/* The draw of each lane: so that pairs of neighbouring lanes come out in order (see put_vector). */
static const wide draw_of_lane = {0, 4, 1, 5, 2, 6, 3, 7};
ALWAYS_INLINE wide multiply(wide a, wide b) {
  return (wide)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}
ALWAYS_INLINE wide lower_halves(wide a, wide b) {
  return (wide)_mm512_mask_shuffle_epi32((__m512i)a, 0xaaaa, (__m512i)b, _MM_PERM_CCAA);
}
ALWAYS_INLINE words even_lanes(wide a, wide b) {
  return (words)_mm512_unpacklo_epi64((__m512i)a, (__m512i)b);
}
ALWAYS_INLINE words odd_lanes(wide a, wide b) {
  return (words)_mm512_unpackhi_epi64((__m512i)a, (__m512i)b);
}
#else
static const wide draw_of_lane = {0, 2, 1, 3};
ALWAYS_INLINE wide multiply(wide a, wide b) {
  return (wide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}
ALWAYS_INLINE wide lower_halves(wide a, wide b) {
  return (wide)_mm256_blend_epi32((__m256i)a, _mm256_slli_epi64((__m256i)b, 32), 0xaa);
}
ALWAYS_INLINE words even_lanes(wide a, wide b) {
  return (words)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b);
}
ALWAYS_INLINE words odd_lanes(wide a, wide b) {
  return (words)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b);
}
#endif

ALWAYS_INLINE void rounds(wide state[VECTORS][4], const uint32_t key[2]) {
  const wide multiplier0 = (wide){0} + 0xD2511F53u, multiplier1 = (wide){0} + 0xCD9E8D57u;
  uint32_t key0 = key[0], key1 = key[1];
  for (int round = 0; round < ROUNDS; round++, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
    wide k0 = (wide){0} + key0, k1 = (wide){0} + key1;
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
      wide product0 = multiply(state[v][0], multiplier0), product1 = multiply(state[v][2], multiplier1);
      state[v][0] = product1 >> 32 ^ state[v][1] ^ k0;
      state[v][1] = product1;
      state[v][2] = product0 >> 32 ^ state[v][3] ^ k1;
      state[v][3] = product0;
    }
  }
}

/* Masks of the first `count` words, count > 0. */
ALWAYS_INLINE void put_words(words word, words limit, ptrdiff_t count, uint32_t *out) {
  words kept = (words)(word >= limit);
  store_some((float *)out, (vec)kept, count < LANES ? (int)count : LANES);
}

ALWAYS_INLINE void put_vector(const wide state[4], words limit, ptrdiff_t count, uint32_t *out) {
  wide first = lower_halves(state[0], state[1]), second = lower_halves(state[2], state[3]);
  if (count > 0) put_words(even_lanes(first, second), limit, count, out);
  if (count > LANES) put_words(odd_lanes(first, second), limit, count - LANES, out + LANES);
}

void THAW_VARIANT(thaw_random_keep)(const uint32_t key[2], const uint32_t counter[4], uint32_t limit, size_t count,
                                    uint32_t *out) {
  const words limits = (words){0} + limit;
  uint32_t draw = counter[0];
  for (size_t done = 0; done < count; done += VECTORS * PANEL, draw += VECTORS * DRAWS) {
    wide state[VECTORS][4];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
      state[v][0] = draw_of_lane + (uint64_t)draw + (uint64_t)(v * DRAWS);
#pragma GCC unroll 3
      for (int i = 1; i < 4; i++) state[v][i] = (wide){0} + counter[i];
    }
    rounds(state, key);
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++)
      put_vector(state[v], limits, (ptrdiff_t)(count - done) - v * PANEL, out + done + (size_t)v * PANEL);
  }
}
