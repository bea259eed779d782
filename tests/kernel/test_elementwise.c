/* Pooling, affine maps, activations, batch-norm folding and float16 against slow twins, the C library and by
 * definition. */
#include "kernel_testing.h"
#include "thaw/memory.h"
#include <math.h>
#include <string.h>

static void check_pool(const thaw_pool_desc *d, int32_t n) {
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  int32_t h, w;
  thaw_pool_output(d, &h, &w);
  size_t x_count = (size_t)(n * d->h * d->w * (d->x_stride ? d->x_stride : d->c));
  size_t y_count = (size_t)(n * h * w * (d->y_stride ? d->y_stride : d->c));
  float *x = testing_numbers(x_count, 1, 3), *expected = testing_unwritten(y_count), *first = NULL;
  thaw_ref_pool(d, x, n, expected);
  for (int i = 0; i < count; i++) {
    float *y = testing_unwritten(y_count);
    thaw_pool(isas[i], d, x, n, y);
    testing_close("pool", y, expected, y_count, 1e-6);
    if (first) testing_same("pool", first, y, y_count * sizeof *y);
    thaw_free(first);
    first = y;
  }
  thaw_free(x), thaw_free(expected), thaw_free(first);
}

static void pool_matches_twin(void **state) {
  (void)state;
  static const int32_t shapes[][8] = {/* h w c k stride before after n */
                                      {8, 8, 64, 2, 2, 0, 0, 2}, {7, 9, 17, 3, 2, 1, 1, 3},  {5, 5, 3, 2, 1, 0, 1, 1},
                                      {6, 4, 40, 3, 1, 1, 1, 2}, {112, 9, 5, 3, 2, 0, 1, 1}, {4, 4, 1, 4, 4, 0, 0, 5}};
  for (int average = 0; average < 2; average++)
    for (int i = 0; i < 6; i++) {
      const int32_t *s = shapes[i];
      thaw_pool_desc d = {.h = s[0], .w = s[1], .c = s[2], .kh = s[3], .kw = s[3], .stride_h = s[4], .stride_w = s[4]};
      d.pad_top = d.pad_left = s[5], d.pad_bottom = d.pad_right = s[6], d.average = average;
      check_pool(&d, s[7]);
      d.x_stride = d.c + 2, d.y_stride = d.c + 7;
      check_pool(&d, s[7]);
    }
}

/* The derivative of sum(w * pool(x)) by finite differences. */
static void pool_backward_is_the_derivative(void **state) {
  (void)state;
  for (int average = 0; average < 2; average++) {
    thaw_pool_desc d = {.h = 5, .w = 6, .c = 3, .kh = 3, .kw = 2, .stride_h = 2, .stride_w = 1, .average = average};
    d.pad_top = 1, d.pad_right = 1;
    int32_t h, w;
    thaw_pool_output(&d, &h, &w);
    size_t nx = 2 * 5 * 6 * 3, ny = (size_t)(2 * h * w * 3);
    float *x = testing_numbers(nx, 1, 1), *weight = testing_numbers(ny, 2, 1), *dx = thaw_new(nx, sizeof *dx);
    float *up = testing_unwritten(ny), *down = testing_unwritten(ny);
    thaw_pool_backward(&d, x, weight, 2, dx);
    for (size_t i = 0; i < nx; i++) {
      float old = x[i];
      double slope = 0;
      x[i] = old + 1.f / 8192, thaw_ref_pool(&d, x, 2, up);
      x[i] = old - 1.f / 8192, thaw_ref_pool(&d, x, 2, down);
      x[i] = old;
      for (size_t j = 0; j < ny; j++) slope += ((double)up[j] - down[j]) * weight[j] * 4096;
      if (fabs(slope - dx[i]) > 2e-3)
        fail_msg("average %d, dx[%zu] is %g, expected %g", average, i, (double)dx[i], slope);
    }
    thaw_free(x), thaw_free(weight), thaw_free(dx), thaw_free(up), thaw_free(down);
  }
}

static void first_maximum_takes_the_gradient(void **state) {
  (void)state;
  thaw_pool_desc d = {.h = 2, .w = 2, .c = 1, .kh = 2, .kw = 2, .stride_h = 2, .stride_w = 2};
  float x[4] = {1, 2, 2, 0}, dy = 3, dx[4] = {0};
  thaw_pool_backward(&d, x, &dy, 1, dx);
  const float expected[4] = {0, 3, 0, 0};
  testing_same("dx", dx, expected, sizeof dx);
}

/* Each window's gradient by plain loops, for more channels than the kernel takes at a time. */
static void plain_pool_backward(const thaw_pool_desc *d, const float *x, const float *dy, float *dx) {
  int32_t h, w;
  thaw_pool_output(d, &h, &w);
  for (int32_t o = 0; o < h * w * d->c; o++) {
    int32_t c = o % d->c, top = o / d->c / w * d->stride_h - d->pad_top,
            left = o / d->c % w * d->stride_w - d->pad_left;
    int32_t best = -1, inside = 0;
    for (int pass = 0; pass < 2; pass++) /* what the window holds, then the gradients */
      for (int32_t i = 0; i < d->kh * d->kw; i++) {
        int32_t y = top + i / d->kw, z = left + i % d->kw, at = (y * d->w + z) * d->c + c;
        if (y < 0 || y >= d->h || z < 0 || z >= d->w) continue;
        if (pass == 0) inside++;
        if (pass == 0 && (best < 0 || x[at] > x[best])) best = at;
        if (pass == 1 && d->average) dx[at] += dy[o] / (float)inside;
        if (pass == 1 && !d->average && at == best) dx[at] += dy[o];
      }
  }
}

static void pool_backward_is_the_plain_loop(void **state) {
  (void)state;
  for (int average = 0; average < 2; average++)
    for (int32_t c = 1; c < 160; c += 23) {
      thaw_pool_desc d = {.h = 9, .w = 7, .c = c, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .average = average};
      d.pad_top = d.pad_left = d.pad_bottom = d.pad_right = 1;
      size_t count = (size_t)(d.h * d.w * c);
      float *x = testing_numbers(count, 3, 2), *dy = testing_numbers(count, 4, 1);
      float *dx = testing_numbers(count, 5, 0), *expected = testing_numbers(count, 5, 0);
      for (size_t i = 0; i < count; i++) x[i] = floorf(x[i] * 2); /* equal maxima */
      thaw_pool_backward(&d, x, dy, 1, dx);
      plain_pool_backward(&d, x, dy, expected);
      testing_close("dx", dx, expected, count, 0);
      thaw_free(x), thaw_free(dy), thaw_free(dx), thaw_free(expected);
    }
}

static void global_pool_sums_pixels(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  enum { N = 3, P = 49, C = 37, S = 41 };
  float *x = testing_numbers(N * P * S, 1, 1), y[2][N * C];
  for (int average = 0; average < 2; average++) {
    for (int i = 0; i < count; i++) {
      thaw_global_pool(isas[i], average, x, N, P, C, S, y[i]);
      for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++) {
          double sum = 0, largest = -9;
          for (int p = 0; p < P; p++) {
            double a = x[(n * P + p) * S + c];
            sum += a / P;
            largest = fmax(largest, a);
          }
          assert_true(fabs(y[i][n * C + c] - (average ? sum : largest)) < 1e-6);
        }
    }
    if (count == 2) testing_same("global pool", y[0], y[1], sizeof y[0]);
  }
  thaw_free(x);
}

static double definition(thaw_activation a, double x) {
  switch (a) {
  case THAW_RELU:
    return x > 0 ? x : 0;
  case THAW_RELU6:
    return fmin(fmax(x, 0), 6);
  case THAW_SIGMOID:
    return 1 / (1 + exp(-x));
  case THAW_TANH:
    return tanh(x);
  case THAW_SWISH:
    return x / (1 + exp(-x));
  case THAW_ELU:
    return x > 0 ? x : expm1(x);
  case THAW_SELU:
    return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * expm1(x));
  case THAW_GELU:
    return x * 0.5 * erfc(-x * 0.70710678118654752);
  case THAW_HARD_SIGMOID:
    return fmin(fmax(x + 3, 0), 6) / 6;
  case THAW_HARD_SILU:
    return x * fmin(fmax(x + 3, 0), 6) / 6;
  case THAW_LEAKY_RELU:
    return x > 0 ? x : 0.2 * x;
  default:
    return x;
  }
}

/* Relative error over the whole range, of which a prime step takes samples. */
static void activations_are_accurate(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  enum { BLOCK = 4096 };
  static float x[BLOCK], y[2][BLOCK];
  static const thaw_activation all[] = {THAW_LINEAR, THAW_RELU, THAW_RELU6, THAW_SIGMOID, THAW_TANH, THAW_SWISH};
  for (int a = 0; a < 6; a++) {
    double worst = 0;
    for (uint32_t first = 0; first < 0x42a00000u; first += BLOCK * 997u) { /* up to 80 */
      for (uint32_t i = 0; i < BLOCK; i++) {
        uint32_t bits = (first + i * 997u) | (i % 2 ? 0x80000000u : 0);
        memcpy(&x[i], &bits, 4);
      }
      for (int v = 0; v < count; v++) thaw_activate(isas[v], all[a], x, 1, BLOCK, y[v]);
      if (count == 2) testing_same(thaw_activation_names[all[a]], y[0], y[1], sizeof x);
      for (int i = 0; i < BLOCK; i++) {
        double expected = definition(all[a], x[i]), error = fabs(y[0][i] - expected);
        double least = all[a] == THAW_SWISH ? 6e-37 : 1e-37; /* swish keeps its value at -88 below */
        if (fabs(expected) > least) worst = fmax(worst, error / fabs(expected));
        if (fabs(expected) <= least) assert_true(error < (all[a] == THAW_SWISH ? least : 1e-43 + 2e-7 * least));
      }
    }
    if (worst > (all[a] == THAW_TANH ? 2e-7 : 3e-7))
      fail_msg("%s: relative error %.2e", thaw_activation_names[all[a]], worst);
  }
}

static void rare_activations_are_accurate(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  enum { N = 20001 };
  static float x[N], y[2][N];
  for (int i = 0; i < N; i++) x[i] = (float)ldexp((i % 2 ? 1 : -1) * (1 + i % 97 / 97.0), i % 37 - 30); /* to 64 */
  x[0] = 0;
  for (int a = THAW_ELU; a <= THAW_LEAKY_RELU; a++) {
    for (int v = 0; v < count; v++) thaw_activate(isas[v], (thaw_activation)a, x, 1, N, y[v]);
    if (count == 2) testing_same(thaw_activation_names[a], y[0], y[1], sizeof x);
    for (int i = 0; i < N; i++) {
      double expected = definition((thaw_activation)a, x[i]);
      /* x + 3 is rounded in the two hard ones; the tail of GELU has the rounding of x^2 / 2 in its exponent. */
      double tolerance = 4e-7 * fabs(expected) + (a == THAW_GELU ? 2e-8 : a == THAW_ELU || a == THAW_SELU ? 0 : 1e-7);
      if (!(fabs(y[0][i] - expected) <= tolerance))
        fail_msg("%s(%.9g) is %.9g, expected %.9g", thaw_activation_names[a], (double)x[i], (double)y[0][i], expected);
    }
    x[0] = NAN;
    thaw_activate(isas[0], (thaw_activation)a, x, 1, 1, y[0]);
    assert_true(isnan(y[0][0]));
    x[0] = 0;
  }
}

/* e^x shows through softmax of two: with x = (a, 0), a <= 0, y0 / y1 = e^a to rounding. */
static void softmax_is_accurate(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  for (double a = 0; a > -86; a -= 0.0137) {
    float x[2] = {(float)a, 0}, y[2];
    thaw_activate(isas[0], THAW_SOFTMAX, x, 1, 2, y);
    assert_true(fabs((double)y[0] / y[1] / exp(x[0]) - 1) < 3.5e-7);
  }
  for (int32_t width = 1; width < 70; width += 3) {
    float *x = testing_numbers((size_t)width * 5, 9, 20), *y[2] = {0};
    for (int v = 0; v < count; v++) {
      y[v] = testing_unwritten((size_t)width * 5);
      thaw_activate(isas[v], THAW_SOFTMAX, x, 5, width, y[v]);
      for (int r = 0; r < 5; r++) {
        double sum = 0;
        for (int i = 0; i < width; i++) sum += y[v][r * width + i];
        assert_true(fabs(sum - 1) < 1e-6);
      }
    }
    if (count == 2) testing_same("softmax", y[0], y[1], (size_t)width * 5 * 4);
    thaw_free(x), thaw_free(y[0]), thaw_free(y[1]);
  }
}

static void special_values(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  for (int v = 0; v < count; v++) {
    float x[5] = {NAN, INFINITY, -INFINITY, 200, -200}, y[5];
    thaw_activate(isas[v], THAW_SIGMOID, x, 1, 5, y);
    assert_true(isnan(y[0]) && y[1] == 1 && y[2] == 0 && y[3] == 1 && y[4] == 0);
    thaw_activate(isas[v], THAW_TANH, x, 1, 5, y);
    assert_true(isnan(y[0]) && y[1] == 1 && y[2] == -1 && y[3] == 1 && y[4] == -1);
    thaw_activate(isas[v], THAW_RELU, x, 1, 5, y);
    assert_true(isnan(y[0]) && isinf(y[1]) && y[2] == 0);
    thaw_activate(isas[v], THAW_SOFTMAX, x + 3, 1, 2, y);
    assert_true(y[0] == 1 && y[1] == 0);
    thaw_activate(isas[v], THAW_SOFTMAX, x, 1, 5, y);
    assert_true(isnan(y[0]) && isnan(y[4]));
  }
}

/* d/dx of sum(dy * f(x)) by central differences of the definition. */
static void activation_backward_is_the_derivative(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  enum { W = 21, N = 3 * W };
  float *x = testing_numbers(N, 1, 4), *dy = testing_numbers(N, 2, 1), y[N], dx[2][N];
  for (int a = THAW_LINEAR; a <= THAW_LEAKY_RELU; a++) {
    for (int v = 0; v < count; v++) {
      thaw_activate(isas[v], (thaw_activation)a, x, 3, W, y);
      thaw_activate_backward(isas[v], (thaw_activation)a, x, y, dy, 3, W, dx[v]);
    }
    if (count == 2) testing_same(thaw_activation_names[a], dx[0], dx[1], sizeof dx[0]);
    for (int i = 0; i < N; i++) {
      const double step = 1e-6;
      double slope = 0;
      if (a == THAW_SOFTMAX) {
        const float *row = x + i / W * W;
        double sum[2] = {0}, dot[2] = {0};
        for (int q = 0; q < 2; q++) {
          for (int j = 0; j < W; j++) {
            double e = exp(row[j] + (j == i % W ? (q ? -step : step) : 0));
            sum[q] += e, dot[q] += e * dy[i / W * W + j];
          }
        }
        slope = (dot[0] / sum[0] - dot[1] / sum[1]) / (2 * step);
      } else {
        slope = (definition(a, x[i] + step) - definition(a, x[i] - step)) / (2 * step) * dy[i];
      }
      if (fabs(slope - dx[0][i]) > 1e-5)
        fail_msg("%s: dx[%d] is %g, expected %g", thaw_activation_names[a], i, (double)dx[0][i], slope);
    }
  }
  thaw_free(x), thaw_free(dy);
}

static void affine_by_definition(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  enum { P = 7, C = 37, XS = 40, YS = 45 };
  float *x = testing_numbers(P * XS, 1, 2), *scale = testing_numbers(C, 2, 2), *shift = testing_numbers(C, 3, 2);
  float *add = testing_numbers(P * C, 4, 2), y[2][P * YS];
  for (int which = 0; which < 8; which++) {
    const float *s = which & 1 ? scale : NULL, *t = which & 2 ? shift : NULL, *u = which & 4 ? add : NULL;
    for (int v = 0; v < count; v++) {
      memset(y[v], 0, sizeof y[v]);
      thaw_affine(isas[v], THAW_RELU, x, s, t, u, P, C, XS, YS, y[v]);
      for (int p = 0; p < P; p++)
        for (int c = 0; c < C; c++) {
          double a = (double)x[p * XS + c] * (s ? s[c] : 1) + (t ? t[c] : 0) + (u ? u[p * C + c] : 0);
          assert_true(fabs(y[v][p * YS + c] - fmax(a, 0)) < 1e-6);
        }
    }
    if (count == 2) testing_same("affine", y[0], y[1], sizeof y[0]);
  }
  thaw_free(x), thaw_free(scale), thaw_free(shift), thaw_free(add);
}

/* One pass against the passes that it stands for, bit for bit: bias, normalisation, addition, clamp, and back. */
static void epilogue_is_its_steps(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  enum { P = 7, C = 37, N = P * C };
  static const thaw_activation activations[] = {THAW_LINEAR, THAW_RELU, THAW_RELU6};
  float *z = testing_numbers(N, 1, 9), *dy = testing_numbers(N, 2, 2), *other = testing_numbers(N, 3, 2);
  float *channel[3], *add = testing_numbers(N, 7, 2), y[N], dx[N], dadd[N], step[N];
  for (uint64_t i = 0; i < 3; i++) channel[i] = testing_numbers(C, 4 + i, 2);
  for (int which = 0; which < 3 * 8 * testing_isas(isas); which++) {
    const thaw_isa *isa = isas[which / 24];
    thaw_epilogue e = {.scale = channel[0], .shift = channel[1], .activation = activations[which % 3]};
    e.bias = which / 3 & 1 ? channel[2] : NULL, e.add = which / 3 & 2 ? add : NULL;
    memcpy(y, z, sizeof y), memcpy(dadd, other, sizeof dadd);
    thaw_epilogue_run(isa, &e, P, C, y);
    thaw_epilogue_backward(isa, &e, y, dy, P, C, dx, dadd, which / 3 & 4);
    thaw_affine(isa, THAW_LINEAR, z, NULL, e.bias, NULL, P, C, 0, 0, step);
    thaw_affine(isa, THAW_LINEAR, step, e.scale, e.shift, NULL, P, C, 0, 0, step);
    thaw_affine(isa, THAW_LINEAR, step, NULL, NULL, e.add, P, C, 0, 0, step);
    thaw_activate(isa, e.activation, step, P, C, step);
    testing_same("epilogue", y, step, sizeof y);
    thaw_activate_backward(isa, e.activation, NULL, y, dy, P, C, step);
    for (int i = 0; i < N; i++) assert_true(dadd[i] == (which / 3 & 4 ? other[i] + step[i] : step[i]));
    thaw_affine(isa, THAW_LINEAR, step, e.scale, NULL, NULL, P, C, 0, 0, step);
    testing_same("epilogue backward", dx, step, sizeof dx);
  }
  thaw_free(z), thaw_free(dy), thaw_free(other), thaw_free(add);
  for (int i = 0; i < 3; i++) thaw_free(channel[i]);
}

/* conv then batch-norm equals the folded convolution. */
static void fold_equals_batch_norm(void **state) {
  (void)state;
  enum { INNER = 18, K = 5 };
  float *kernel = testing_numbers(INNER * K, 1, 1), *x = testing_numbers(INNER, 2, 1),
        *gamma = testing_numbers(K, 3, 2);
  float *beta = testing_numbers(K, 4, 1), *mean = testing_numbers(K, 5, 1), *bias = testing_numbers(K, 6, 1);
  float variance[K] = {.1f, 2, .5f, 1, 3}, folded[INNER * K], folded_bias[K];
  thaw_fold_batch_norm(kernel, bias, INNER, K, gamma, beta, mean, variance, 1e-3, folded, folded_bias);
  for (int k = 0; k < K; k++) {
    double plain = bias[k], with = folded_bias[k];
    for (int i = 0; i < INNER; i++) plain += (double)x[i] * kernel[i * K + k], with += (double)x[i] * folded[i * K + k];
    assert_true(fabs((plain - mean[k]) / sqrt(variance[k] + 1e-3) * gamma[k] + beta[k] - with) < 1e-5);
  }
  thaw_free(kernel), thaw_free(x), thaw_free(gamma), thaw_free(beta), thaw_free(mean), thaw_free(bias);
}

static void half_rounds_to_nearest_even(void **state) {
  (void)state;
  const float x[11] = {0, 1, -2.5f, 65504, 65520, 1e-8f, 1.00048828125f, 1.00146484375f, 6e-8f, -0.f, INFINITY};
  const uint16_t expected[11] = {0, 0x3c00, 0xc100, 0x7bff, 0x7c00, 0, 0x3c00, 0x3c02, 1, 0x8000, 0x7c00};
  uint16_t y[11];
  thaw_to_half(x, 11, y);
  testing_same("half", y, expected, sizeof y);
  float back[11];
  thaw_from_half(y, 11, back);
  assert_true(back[1] == 1 && back[2] == -2.5f && back[3] == 65504 && isinf(back[4]));
  for (uint32_t bits = 0; bits < 0x7c00;
       bits += 11) { /* every 11 halves survive the round trip, in whatever position */
    uint16_t in[11], out[11];
    for (uint32_t i = 0; i < 11; i++) in[i] = (uint16_t)(bits + i < 0x7c00 ? bits + i : 0);
    thaw_from_half(in, 11, back);
    thaw_to_half(back, 11, out);
    testing_same("round trip", in, out, sizeof in);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pool_matches_twin),
      cmocka_unit_test(pool_backward_is_the_derivative),
      cmocka_unit_test(pool_backward_is_the_plain_loop),
      cmocka_unit_test(first_maximum_takes_the_gradient),
      cmocka_unit_test(global_pool_sums_pixels),
      cmocka_unit_test(activations_are_accurate),
      cmocka_unit_test(rare_activations_are_accurate),
      cmocka_unit_test(softmax_is_accurate),
      cmocka_unit_test(special_values),
      cmocka_unit_test(activation_backward_is_the_derivative),
      cmocka_unit_test(affine_by_definition),
      cmocka_unit_test(epilogue_is_its_steps),
      cmocka_unit_test(fold_equals_batch_norm),
      cmocka_unit_test(half_rounds_to_nearest_even),
  };
  return cmocka_run_group_tests_name("elementwise", tests, NULL, NULL);
}
