/* rng.h: random numbers as pure functions, so that they cannot depend on ranks, order or history.
 *
 * Philox4x32-10 from Random123 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11). The key is the
 * job's seed; the counter is (draw, purpose and epoch, sample). All functions are [local] and thread-safe.
 */
#ifndef THAW_RNG_H
#define THAW_RNG_H

#include <stdint.h>

typedef enum thaw_purpose {
  THAW_RNG_INIT = 1, /* sample = layer index, draw = element / 4 */
  THAW_RNG_SHUFFLE,
  THAW_RNG_DROPOUT, /* sample = global sample index, purpose_index = layer index */
  THAW_RNG_AUGMENT,
  THAW_RNG_SPLIT,
  THAW_RNG_MIXUP,
  THAW_RNG_TEST,
  THAW_RNG_BOOTSTRAP, /* sample = replicate, draw = draw / 4 */
  THAW_RNG_ANOMALY,   /* sample = channel, draw = projected dimension / 4 */
  THAW_RNG_SWEEP      /* sample = trial, lane = parameter */
} thaw_purpose;

/* One stream position. */
typedef struct thaw_draw {
  uint64_t seed;
  thaw_purpose purpose;
  uint32_t epoch;  /* 0 .. 2^24-1 */
  uint64_t sample; /* global sample index, or whatever the purpose says; 0 .. 2^48-1 */
  uint32_t lane;   /* e.g. the layer index for dropout; 0 .. 2^16-1 */
} thaw_draw;

/* Four uniform 32-bit words number 4*draw .. 4*draw+3 of the stream. */
void thaw_random4(const thaw_draw *position, uint32_t draw, uint32_t out[4]);

/* What Philox makes the words of draw 0 from: the key, and the counter, whose first word is the draw. For functions
 * that make the words of many draws at once. */
void thaw_random_counter(const thaw_draw *position, uint32_t key[2], uint32_t counter[4]);

/* `count` floats uniform in [0, 1) with 24 random bits each: elements 0.. of the stream. */
void thaw_random_uniform(const thaw_draw *position, float *out, uint32_t count);

/* `count` standard normal floats (Box-Muller on the same stream). */
void thaw_random_normal(const thaw_draw *position, float *out, uint32_t count);

/* A bijection of 0..n-1 chosen by (seed, epoch), evaluated at i in O(1) time and memory (a cycle-walking Feistel
 * network); n >= 1, i < n. */
uint64_t thaw_permute(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t i);
/* out[k] = thaw_permute(seed, epoch, n, first + k) for k in 0 .. count-1, many at once. */
void thaw_permute_range(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t first, uint64_t count, uint64_t *out);
/* value[k] = thaw_permute(seed, epoch, n, value[k]) for k in 0 .. count-1, many at once. */
void thaw_permute_each(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t *value, uint64_t count);

#endif
