/* elementwise.c: affine maps and activations. */
#include "kernel/variant/simd.h"
#include "kernel/variant/variant.h"
#include "kernel/variant/vector_math.h"

ALWAYS_INLINE void affine_row(const thaw_activation activation, const float *x, const float *scale, const float *shift,
                              const float *add, int32_t c, float *y) {
  for (int32_t i = 0; i < c; i += LANES) {
    int count = c - i;
    vec a = load_some(x + i, count);
    if (scale && shift) {
      a = fma_of(a, load_some(scale + i, count), load_some(shift + i, count));
    } else if (scale) {
      a = a * load_some(scale + i, count);
    } else if (shift) {
      a = a + load_some(shift + i, count);
    }
    if (add) a = a + load_some(add + i, count);
    store_some(y + i, activation_of(activation, a), count);
  }
}

void THAW_VARIANT(thaw_affine)(thaw_activation activation, const float *x, const float *scale, const float *shift,
                               const float *add, size_t pixels, int32_t c, int32_t x_stride, int32_t y_stride,
                               float *y) {
  size_t from = (size_t)(x_stride ? x_stride : c), to = (size_t)(y_stride ? y_stride : c);
  for (size_t i = 0; i < pixels; i++, x += from, y += to, add = add ? add + c : NULL) {
    if (activation == THAW_LINEAR) {
      affine_row(THAW_LINEAR, x, scale, shift, add, c, y);
    } else if (activation == THAW_RELU) {
      affine_row(THAW_RELU, x, scale, shift, add, c, y);
    } else {
      affine_row(activation, x, scale, shift, add, c, y);
    }
  }
}

/* One row: e^(x - max) over its sum, the sum in double in increasing order. */
static void softmax_row(const float *x, int32_t width, float *y) {
  float largest = x[0];
  double sum = 0;
  for (int32_t i = 1; i < width; i++) largest = x[i] > largest ? x[i] : largest;
  for (int32_t i = 0; i < width; i += LANES)
    store_some(y + i, exp_of(load_some(x + i, width - i) - broadcast(largest)), width - i);
  for (int32_t i = 0; i < width; i++) sum += y[i];
  vec total = broadcast((float)sum);
  for (int32_t i = 0; i < width; i += LANES) store_some(y + i, load_some(y + i, width - i) / total, width - i);
}

/* The rarer activations, apart from activation_of so that the loops of the common ones stay short. Constants of SELU:
 * G. Klambauer et al., Self-Normalizing Neural Networks, 2017. */
static const float selu_scale = 1.05070098f, selu_alpha = 1.67326324f, leaky_slope = 0.2f;

ALWAYS_INLINE vec rare_activation_of(thaw_activation activation, vec x) {
  switch (activation) {
  case THAW_ELU:
    return select_of(less(zero(), x), x, expm1_of(x));
  case THAW_SELU:
    return broadcast(selu_scale) * select_of(less(zero(), x), x, broadcast(selu_alpha) * expm1_of(x));
  case THAW_GELU:
    return x * normal_of(x);
  case THAW_HARD_SIGMOID:
    return max_of(zero(), min_of(broadcast(6.f), x + broadcast(3.f))) * broadcast(1.f / 6);
  case THAW_HARD_SILU:
    return x * (max_of(zero(), min_of(broadcast(6.f), x + broadcast(3.f))) * broadcast(1.f / 6));
  default: /* THAW_LEAKY_RELU */
    return select_of(less(x, zero()), broadcast(leaky_slope) * x, x);
  }
}

/* f'(x), where y = f(x). */
ALWAYS_INLINE vec rare_slope_of(thaw_activation activation, vec x, vec y) {
  const vec one = broadcast(1.f), sixth = broadcast(1.f / 6);
  switch (activation) {
  case THAW_ELU:
    return select_of(less(zero(), y), one, y + one);
  case THAW_SELU:
    return select_of(less(zero(), y), broadcast(selu_scale), y + broadcast(selu_scale * selu_alpha));
  case THAW_GELU: { /* F(x) + x F'(x), F' = e^(-x^2 / 2) / sqrt(2 pi) */
    vec density = broadcast(0.39894228040143268f) * exp_of(x * x * broadcast(-0.5f));
    return fma_of(x, density, normal_of(x));
  }
  case THAW_HARD_SIGMOID:
    return select_of(less(zero(), y), select_of(less(y, one), sixth, zero()), zero());
  case THAW_HARD_SILU: {
    vec middle = fma_of(x, broadcast(1.f / 3), broadcast(0.5f));
    return select_of(less(broadcast(-3.f), x), select_of(less(x, broadcast(3.f)), middle, one), zero());
  }
  default: /* THAW_LEAKY_RELU */
    return select_of(less(y, zero()), broadcast(leaky_slope), one);
  }
}

static void activate_rarely(thaw_activation activation, const float *x, size_t count, float *y) {
  for (size_t i = 0; i < count; i += LANES) {
    int some = count - i < LANES ? (int)(count - i) : LANES;
    store_some(y + i, rare_activation_of(activation, load_some(x + i, some)), some);
  }
}

static void activate_rarely_backward(thaw_activation activation, const float *x, const float *y, const float *dy,
                                     size_t count, float *dx) {
  for (size_t i = 0; i < count; i += LANES) {
    int some = count - i < LANES ? (int)(count - i) : LANES;
    vec from = thaw_activation_needs_input(activation) ? load_some(x + i, some) : zero();
    store_some(dx + i, load_some(dy + i, some) * rare_slope_of(activation, from, load_some(y + i, some)), some);
  }
}

void THAW_VARIANT(thaw_activate)(thaw_activation activation, const float *x, size_t rows, int32_t width, float *y) {
  if (activation == THAW_SOFTMAX) {
    for (size_t r = 0; r < rows; r++) softmax_row(x + r * (size_t)width, width, y + r * (size_t)width);
    return;
  }
  size_t count = rows * (size_t)width;
  if (activation > THAW_SWISH) {
    activate_rarely(activation, x, count, y);
    return;
  }
  for (size_t i = 0; i < count; i += LANES) {
    int some = count - i < LANES ? (int)(count - i) : LANES;
    store_some(y + i, activation_of(activation, load_some(x + i, some)), some);
  }
}

/* f'(x), where y = f(x). */
ALWAYS_INLINE vec slope_of(thaw_activation activation, vec x, vec y) {
  const vec one = broadcast(1.f);
  switch (activation) {
  case THAW_RELU:
    return select_of(less(zero(), y), one, zero());
  case THAW_RELU6:
    return select_of(less(zero(), y), select_of(less(y, broadcast(6.f)), one, zero()), zero());
  case THAW_SIGMOID:
    return y * (one - y);
  case THAW_TANH:
    return fma_of(bits_to_float((ivec)y ^ (ivec)broadcast(-0.f)), y, one);
  case THAW_SWISH: {
    vec s = sigmoid_of(x); /* f' = s + y (1 - s) */
    return fma_of(y, one - s, s);
  }
  default:
    return one;
  }
}

/* dx_i = y_i (dy_i - sum_j y_j dy_j), the sum in double in increasing order. */
static void softmax_backward(const float *y, const float *dy, int32_t width, float *dx) {
  double sum = 0;
  for (int32_t i = 0; i < width; i++) sum += (double)y[i] * dy[i];
  vec dot = broadcast((float)sum);
  for (int32_t i = 0; i < width; i += LANES) {
    int count = width - i;
    store_some(dx + i, load_some(y + i, count) * (load_some(dy + i, count) - dot), count);
  }
}

void THAW_VARIANT(thaw_activate_backward)(thaw_activation activation, const float *x, const float *y, const float *dy,
                                          size_t rows, int32_t width, float *dx) {
  if (activation == THAW_SOFTMAX) {
    for (size_t r = 0; r < rows; r++) {
      size_t at = r * (size_t)width;
      softmax_backward(y + at, dy + at, width, dx + at);
    }
    return;
  }
  size_t count = rows * (size_t)width;
  if (activation > THAW_SWISH) {
    activate_rarely_backward(activation, x, y, dy, count, dx);
    return;
  }
  for (size_t i = 0; i < count; i += LANES) {
    int some = count - i < LANES ? (int)(count - i) : LANES;
    vec from = activation == THAW_SWISH ? load_some(x + i, some) : zero();
    store_some(dx + i, load_some(dy + i, some) * slope_of(activation, from, load_some(y + i, some)), some);
  }
}
