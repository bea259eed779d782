#include "thaw/rng.h"

#include <Random123/philox.h>
#include <math.h>

void thaw_random_counter(const thaw_draw *position, uint32_t key[2], uint32_t counter[4]) {
  key[0] = (uint32_t)position->seed;
  key[1] = (uint32_t)(position->seed >> 32);
  counter[0] = 0;
  counter[1] = (position->epoch & 0xffffffu) | (uint32_t)position->purpose << 24;
  counter[2] = (uint32_t)position->sample;
  counter[3] = (uint32_t)(position->sample >> 32 & 0xffffu) | position->lane << 16;
}

void thaw_random4(const thaw_draw *position, uint32_t draw, uint32_t out[4]) {
  philox4x32_key_t key;
  philox4x32_ctr_t counter;
  thaw_random_counter(position, key.v, counter.v);
  counter.v[0] = draw;
  philox4x32_ctr_t random = philox4x32(counter, key);
  for (int i = 0; i < 4; i++) out[i] = random.v[i];
}

static float unit(uint32_t bits) {
  return (float)(bits >> 8) * 0x1p-24f;
}

void thaw_random_uniform(const thaw_draw *position, float *out, uint32_t count) {
  for (uint32_t i = 0; i < count; i += 4) {
    uint32_t word[4];
    thaw_random4(position, i / 4, word);
    for (uint32_t j = 0; j < 4 && i + j < count; j++) out[i + j] = unit(word[j]);
  }
}

void thaw_random_normal(const thaw_draw *position, float *out, uint32_t count) {
  for (uint32_t i = 0; i < count; i += 4) {
    uint32_t word[4];
    thaw_random4(position, i / 4, word);
    for (uint32_t j = 0; j < 4 && i + j < count; j++) {
      uint32_t pair = j & ~1u;
      double radius = sqrt(-2 * log((word[pair] + 0.5) * 0x1p-32)), angle = 2 * M_PI * (word[pair + 1] * 0x1p-32);
      out[i + j] = (float)(radius * (j & 1 ? sin(angle) : cos(angle)));
    }
  }
}

/* One Feistel pass over 2*half bits; eight rounds of a Philox round function. */
static uint64_t feistel(const thaw_draw *position, int half, uint64_t value) {
  uint64_t mask = (UINT64_C(1) << half) - 1, left = value >> half, right = value & mask;
  for (uint32_t round = 0; round < 8; round++) {
    thaw_draw at = *position;
    at.sample = right;
    uint32_t word[4];
    thaw_random4(&at, round, word);
    uint64_t next = left ^ (((uint64_t)word[1] << 32 | word[0]) & mask);
    left = right;
    right = next;
  }
  return left << half | right;
}

uint64_t thaw_permute(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t i) {
  int half = 1;
  while (half < 32 && UINT64_C(1) << 2 * half < n) half++;
  thaw_draw position = {.seed = seed, .purpose = THAW_RNG_SHUFFLE, .epoch = epoch};
  /* Cycle walking: the domain is less than four times n, so a few passes are enough on average; as a bijection of the
   * domain it returns to 0..n-1 for sure. */
  do i = feistel(&position, half, i);
  while (i >= n);
  return i;
}
