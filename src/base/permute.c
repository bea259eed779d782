/* Many values of thaw_permute at once: the same Feistel network and the same Philox, in lanes that the compiler turns
 * into vectors. */
#include "thaw/rng.h"

#include <stddef.h>

enum { LANES = 64, FEISTEL_ROUNDS = 8, PHILOX_ROUNDS = 10 };

/* The constants of Philox4x32 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3; SC 2011). */
static const uint64_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u}, weyl[2] = {0x9E3779B9u, 0xBB67AE85u};
static const uint64_t low = 0xffffffffu;

/* One Feistel pass in place over `LANES` values of 2 * half bits. `at` is the position of the draws; its sample is the
 * right half. */
__attribute__((target_clones("avx512f", "avx2", "default"))) static void pass(const thaw_draw *at, int half,
                                                                              uint64_t *restrict value) {
  uint64_t left[LANES], right[LANES], mask = (UINT64_C(1) << half) - 1;
  uint32_t key[2], counter[4];
  thaw_random_counter(at, key, counter);
  for (int i = 0; i < LANES; i++) {
    left[i] = value[i] >> half;
    right[i] = value[i] & mask;
  }
  for (uint64_t round = 0; round < FEISTEL_ROUNDS; round++)
    for (int i = 0; i < LANES; i++) {
      uint64_t c0 = round, c1 = counter[1], c2 = right[i] & low, c3 = (right[i] >> 32 & 0xffffu) | counter[3];
      uint64_t k0 = key[0], k1 = key[1];
#pragma GCC unroll 10
      for (int r = 0; r < PHILOX_ROUNDS; r++) {
        uint64_t a = multiplier[0] * c0, b = multiplier[1] * c2;
        c0 = (b >> 32) ^ c1 ^ k0;
        c2 = (a >> 32) ^ c3 ^ k1;
        c1 = b & low;
        c3 = a & low;
        k0 = (k0 + weyl[0]) & low;
        k1 = (k1 + weyl[1]) & low;
      }
      uint64_t next = left[i] ^ ((c1 << 32 | c0) & mask);
      left[i] = right[i];
      right[i] = next;
    }
  for (int i = 0; i < LANES; i++) value[i] = left[i] << half | right[i];
}

/* As thaw_permute, of the values `in`, or of first, first + 1, ... where there are none. Values outside of 0 .. n-1 go
 * through the network again, together with new ones. `out` may be `in`: a value's place is written after it was read.
 */
static void permute(uint64_t seed, uint32_t epoch, uint64_t n, const uint64_t *in, uint64_t first, uint64_t count,
                    uint64_t *out) {
  int half = 1;
  while (half < 32 && UINT64_C(1) << 2 * half < n) half++;
  thaw_draw at = {.seed = seed, .purpose = THAW_RNG_SHUFFLE, .epoch = epoch};
  uint64_t value[LANES] = {0}, place[LANES] = {0}, next = 0;
  for (uint64_t under_way = 0; next < count || under_way > 0;) {
    for (; under_way < LANES && next < count; under_way++, next++) {
      value[under_way] = in ? in[next] : first + next;
      place[under_way] = next;
    }
    pass(&at, half, value);
    uint64_t left = 0;
    for (uint64_t i = 0; i < under_way; i++) {
      if (value[i] < n) {
        out[place[i]] = value[i];
      } else {
        value[left] = value[i];
        place[left++] = place[i];
      }
    }
    under_way = left;
  }
}

void thaw_permute_range(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t first, uint64_t count, uint64_t *out) {
  permute(seed, epoch, n, NULL, first, count, out);
}

void thaw_permute_each(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t *value, uint64_t count) {
  permute(seed, epoch, n, value, 0, count, value);
}
