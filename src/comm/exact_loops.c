/* The inner loops of exact sums. One source, compiled for three instruction sets: every operation is an IEEE operation
 * on one element, so all give the same bits. */
#include "comm/exact_private.h"

#include <stdbool.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE uint32_t largest_body(const float *x, size_t count) {
  uint32_t most = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7fffffffu; /* non-negative floats are ordered as their bits */
    most = bits > most ? bits : most;
  }
  return most;
}

/* Adding 1.5 * 2^52 to |v| < 2^51 leaves v, rounded to nearest even, in the low bits of the mantissa. */
ALWAYS_INLINE void add_body(const float *restrict x, size_t count, double factor, int64_t *restrict sums, bool first) {
  const double magic = 0x1.8p52;
  int64_t base;
  memcpy(&base, &magic, sizeof base);
  for (size_t i = 0; i < count; i++) {
    double shifted = (double)x[i] * factor + magic;
    int64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    sums[i] = (first ? 0 : sums[i]) + bits - base;
  }
}

ALWAYS_INLINE void get_body(const int64_t *restrict sums, size_t count, double factor, float *restrict out) {
  for (size_t i = 0; i < count; i++) out[i] = (float)((double)sums[i] * factor);
}

/* clang-format off */
#define LOOPS(name, attribute)                                                                                         \
  attribute static uint32_t largest_##name(const float *x, size_t count) { return largest_body(x, count); }            \
  attribute static void set_##name(const float *x, size_t count, double factor, int64_t *sums) {                       \
    add_body(x, count, factor, sums, true);                                                                            \
  }                                                                                                                    \
  attribute static void add_##name(const float *x, size_t count, double factor, int64_t *sums) {                       \
    add_body(x, count, factor, sums, false);                                                                           \
  }                                                                                                                    \
  attribute static void get_##name(const int64_t *sums, size_t count, double factor, float *out) {                     \
    get_body(sums, count, factor, out);                                                                                \
  }                                                                                                                    \
  static const exact_loops loops_##name = {largest_##name, set_##name, add_##name, get_##name};
LOOPS(plain, )
LOOPS(avx2, __attribute__((target("avx2"))))
LOOPS(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,prefer-vector-width=512"))))
/* clang-format on */

const exact_loops *exact_loops_select(void) {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return &loops_avx512;
  return __builtin_cpu_supports("avx2") ? &loops_avx2 : &loops_plain;
}
