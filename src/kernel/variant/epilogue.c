/* epilogue.c: bias, batch normalisation in inference mode, addition and a clamp in one pass, and back. */
#include "kernel/variant/simd.h"
#include "kernel/variant/variant.h"
#include "kernel/variant/vector_math.h"

ALWAYS_INLINE void forward_row(const thaw_activation activation, const bool biased, const bool adds,
                               const thaw_epilogue *e, const float *add, int32_t c, float *y) {
  for (int32_t i = 0; i < c; i += LANES) {
    int count = c - i;
    vec a = load_some(y + i, count);
    if (biased) a = a + load_some(e->bias + i, count);
    a = fma_of(a, load_some(e->scale + i, count), load_some(e->shift + i, count));
    if (adds) a = a + load_some(add + i, count);
    store_some(y + i, activation_of(activation, a), count);
  }
}

ALWAYS_INLINE void forward_rows(const thaw_activation activation, const bool biased, const bool adds,
                                const thaw_epilogue *e, size_t pixels, int32_t c, float *y) {
  for (size_t p = 0; p < pixels; p++)
    forward_row(activation, biased, adds, e, adds ? e->add + p * (size_t)c : NULL, c, y + p * (size_t)c);
}

ALWAYS_INLINE void forward_all(const thaw_activation activation, const thaw_epilogue *e, size_t pixels, int32_t c,
                               float *y) {
  if (e->bias && e->add)
    forward_rows(activation, true, true, e, pixels, c, y);
  else if (e->bias)
    forward_rows(activation, true, false, e, pixels, c, y);
  else if (e->add)
    forward_rows(activation, false, true, e, pixels, c, y);
  else
    forward_rows(activation, false, false, e, pixels, c, y);
}

void THAW_VARIANT(thaw_epilogue_run)(const thaw_epilogue *e, size_t pixels, int32_t c, float *y) {
  if (e->activation == THAW_RELU)
    forward_all(THAW_RELU, e, pixels, c, y);
  else if (e->activation == THAW_RELU6)
    forward_all(THAW_RELU6, e, pixels, c, y);
  else
    forward_all(THAW_LINEAR, e, pixels, c, y);
}

/* f'(.) where the clamp gave y. */
ALWAYS_INLINE vec slope_of(const thaw_activation activation, vec y) {
  const vec one = broadcast(1.f);
  vec slope = select_of(less(zero(), y), one, zero());
  if (activation == THAW_RELU6) slope = select_of(less(y, broadcast(6.f)), slope, zero());
  return slope;
}

ALWAYS_INLINE void backward_row(const thaw_activation activation, const float *scale, const float *y, const float *dy,
                                int32_t c, float *dx, float *dadd, bool accumulate) {
  for (int32_t i = 0; i < c; i += LANES) {
    int count = c - i;
    vec d = load_some(dy + i, count);
    if (activation != THAW_LINEAR) d = d * slope_of(activation, load_some(y + i, count));
    if (dx) store_some(dx + i, d * load_some(scale + i, count), count);
    if (dadd && accumulate) d = load_some(dadd + i, count) + d;
    if (dadd) store_some(dadd + i, d, count);
  }
}

ALWAYS_INLINE void backward_rows(const thaw_activation activation, const thaw_epilogue *e, const float *y,
                                 const float *dy, size_t pixels, int32_t c, float *dx, float *dadd, bool accumulate) {
  for (size_t p = 0; p < pixels; p++) {
    size_t at = p * (size_t)c;
    backward_row(activation, e->scale, y + at, dy + at, c, dx ? dx + at : NULL, dadd ? dadd + at : NULL, accumulate);
  }
}

void THAW_VARIANT(thaw_epilogue_backward)(const thaw_epilogue *e, const float *y, const float *dy, size_t pixels,
                                          int32_t c, float *dx, float *dadd, bool accumulate) {
  if (e->activation == THAW_RELU)
    backward_rows(THAW_RELU, e, y, dy, pixels, c, dx, dadd, accumulate);
  else if (e->activation == THAW_RELU6)
    backward_rows(THAW_RELU6, e, y, dy, pixels, c, dx, dadd, accumulate);
  else
    backward_rows(THAW_LINEAR, e, y, dy, pixels, c, dx, dadd, accumulate);
}
