/* depthwise_loops.c: depthwise convolutions of the live part. Every sum stays in registers while its terms are added,
 * vector by vector of channels, in one order that is the same for every vector width: a product, rounded, is added.
 *
 *     y[o] = sum of x[o * stride - pad + t] * kernel[t] over taps t;  dkernel[t], dx: the adjoints */
#include "layer/conv_private.h"

enum { VECTOR = 16 };
typedef float vec __attribute__((vector_size(VECTOR * sizeof(float)), aligned(4)));

#define INLINE static inline __attribute__((always_inline))
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))

/* One line of a sum: the channel vectors that meet. */
typedef struct term {
  const float *a, *b;
} term;

CLONES static void sum_terms(const term *restrict t, int32_t count, size_t c, float *restrict y) {
  size_t k = 0;
  for (; k + 2 * VECTOR <= c; k += 2 * VECTOR) {
    vec s0 = {0}, s1 = {0};
    for (int32_t i = 0; i < count; i++) {
      s0 += *(const vec *)(t[i].a + k) * *(const vec *)(t[i].b + k);
      s1 += *(const vec *)(t[i].a + k + VECTOR) * *(const vec *)(t[i].b + k + VECTOR);
    }
    *(vec *)(y + k) = s0;
    *(vec *)(y + k + VECTOR) = s1;
  }
  for (; k < c; k++) {
    float s = 0;
    for (int32_t i = 0; i < count; i++) s += t[i].a[k] * t[i].b[k];
    y[k] = s;
  }
}

/* The terms of output pixel (oh, ow), taps in row-major order. */
static int32_t output_terms(const thaw_conv_desc *d, const float *image, const float *kernel, int32_t oh, int32_t ow,
                            term *t) {
  int32_t count = 0, top = oh * d->stride_h - d->pad_top, left = ow * d->stride_w - d->pad_left;
  for (int32_t i = top < 0 ? -top : 0; i < d->kh && top + i < d->h; i++)
    for (int32_t j = left < 0 ? -left : 0; j < d->kw && left + j < d->w; j++)
      t[count++] = (term){image + ((size_t)(top + i) * (size_t)d->w + (size_t)(left + j)) * (size_t)d->c,
                          kernel + (size_t)(i * d->kw + j) * (size_t)d->c};
  return count;
}

/* The terms of the gradient of input pixel (h, w), outputs in row-major order. */
static int32_t input_terms(const thaw_conv_desc *d, int32_t out_h, int32_t out_w, const float *dy, const float *kernel,
                           int32_t h, int32_t w, term *t) {
  int32_t count = 0, below = h + d->pad_top, right = w + d->pad_left; /* o * stride + tap = this */
  for (int32_t oh = below < d->kh ? 0 : (below - d->kh) / d->stride_h + 1; oh < out_h; oh++) {
    int32_t i = below - oh * d->stride_h;
    if (i < 0) break;
    for (int32_t ow = right < d->kw ? 0 : (right - d->kw) / d->stride_w + 1; ow < out_w; ow++) {
      int32_t j = right - ow * d->stride_w;
      if (j < 0) break;
      t[count++] = (term){dy + ((size_t)oh * (size_t)out_w + (size_t)ow) * (size_t)d->c,
                          kernel + (size_t)(i * d->kw + j) * (size_t)d->c};
    }
  }
  return count;
}

size_t thaw_depthwise_scratch_bytes(const thaw_layer *layer) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  return (size_t)d.kh * (size_t)d.kw * sizeof(term);
}

void thaw_depthwise_forward(const thaw_layer *layer, int32_t n, const float *x, const float *kernel, float *y,
                            void *scratch) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  int32_t out_h = layer->output.h, out_w = layer->output.w;
  size_t image = (size_t)d.h * (size_t)d.w * (size_t)d.c;
  for (int32_t row = 0; row < n * out_h; row++)
    for (int32_t ow = 0; ow < out_w; ow++, y += d.c) {
      int32_t count = output_terms(&d, x + (size_t)(row / out_h) * image, kernel, row % out_h, ow, scratch);
      sum_terms(scratch, count, (size_t)d.c, y);
    }
}

void thaw_depthwise_input_gradient(const thaw_layer *layer, int32_t n, const float *dy, const float *kernel, float *dx,
                                   void *scratch) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  int32_t out_h = layer->output.h, out_w = layer->output.w;
  size_t map = (size_t)out_h * (size_t)out_w * (size_t)d.c;
  for (int32_t row = 0; row < n * d.h; row++)
    for (int32_t w = 0; w < d.w; w++, dx += d.c) {
      int32_t count = input_terms(&d, out_h, out_w, dy + (size_t)(row / d.h) * map, kernel, row % d.h, w, scratch);
      sum_terms(scratch, count, (size_t)d.c, dx);
    }
}

/* The gradient of 3x3 weights for VECTOR channels: nine sums in registers. */
INLINE void gradient_3x3(const thaw_conv_desc *d, int32_t rows, int32_t out_h, int32_t out_w, const float *x,
                         const float *dy, float *gradient) {
  size_t c = (size_t)d->c;
  vec s[9] = {{0}};
  for (int32_t row = 0; row < rows; row++) {
    int32_t top = row % out_h * d->stride_h - d->pad_top;
    const float *image = x + (size_t)(row / out_h) * (size_t)d->h * (size_t)d->w * c;
    for (int32_t ow = 0; ow < out_w; ow++, dy += c) {
      int32_t left = ow * d->stride_w - d->pad_left;
      vec g = *(const vec *)dy;
#pragma GCC unroll 3
      for (int i = 0; i < 3; i++) {
        if (top + i < 0 || top + i >= d->h) continue;
        const float *from = image + (ptrdiff_t)((top + i) * d->w + left) * (ptrdiff_t)c;
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++)
          if (left + j >= 0 && left + j < d->w) s[i * 3 + j] += *(const vec *)(from + (ptrdiff_t)j * (ptrdiff_t)c) * g;
      }
    }
  }
#pragma GCC unroll 9
  for (int t = 0; t < 9; t++) *(vec *)(gradient + (size_t)t * c) = s[t];
}

CLONES static void gradient_vectors(const thaw_conv_desc *d, int32_t rows, int32_t out_h, int32_t out_w, const float *x,
                                    const float *dy, float *gradient) {
  for (size_t k = 0; k + VECTOR <= (size_t)d->c; k += VECTOR)
    gradient_3x3(d, rows, out_h, out_w, x + k, dy + k, gradient + k);
}

/* Channels from `first` on, any kernel. */
CLONES static void gradient_rest(const thaw_conv_desc *d, int32_t rows, int32_t out_h, int32_t out_w,
                                 const float *restrict x, const float *restrict dy, size_t first,
                                 float *restrict gradient) {
  size_t c = (size_t)d->c;
  for (int32_t t = 0; t < d->kh * d->kw; t++)
    for (size_t k = first; k < c; k++) gradient[(size_t)t * c + k] = 0;
  for (int32_t row = 0; row < rows && first < c; row++)
    for (int32_t ow = 0; ow < out_w; ow++)
      for (int32_t t = 0; t < d->kh * d->kw; t++) {
        int32_t h = row % out_h * d->stride_h - d->pad_top + t / d->kw, w = ow * d->stride_w - d->pad_left + t % d->kw;
        if (h < 0 || h >= d->h || w < 0 || w >= d->w) continue;
        const float *a = x + ((size_t)(row / out_h * d->h + h) * (size_t)d->w + (size_t)w) * c;
        const float *b = dy + ((size_t)row * (size_t)out_w + (size_t)ow) * c;
        float *to = gradient + (size_t)t * c;
        for (size_t k = first; k < c; k++) to[k] += a[k] * b[k];
      }
}

void thaw_depthwise_kernel_gradient(const thaw_layer *layer, int32_t n, const float *x, const float *dy,
                                    float *gradient) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  int32_t rows = n * layer->output.h;
  bool fast = d.kh == 3 && d.kw == 3;
  if (fast) gradient_vectors(&d, rows, layer->output.h, layer->output.w, x, dy, gradient);
  gradient_rest(&d, rows, layer->output.h, layer->output.w, x, dy, fast ? (size_t)(d.c / VECTOR * VECTOR) : 0,
                gradient);
}
