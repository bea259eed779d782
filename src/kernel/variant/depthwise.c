/* depthwise.c: one small filter per channel. Each output is one chain over the filter's positions in row-major order;
 * positions in the padding are left out (the chain is the same in every variant). Weights are packed as [kh*kw][c]. */
#include "kernel/variant/simd.h"
#include "kernel/variant/variant.h"
#include "kernel/variant/vector_math.h"
#include <string.h>

enum { AHEAD = 4 }; /* neighbouring outputs computed together, so that the chains overlap */

/* The valid filter positions of one output coordinate. */
typedef struct span {
  int32_t first, end;
} span;

static span valid(int32_t start, int32_t kernel, int32_t size) {
  span s = {start < 0 ? -start : 0, size - start < kernel ? size - start : kernel};
  return s;
}

ALWAYS_INLINE void finish(const thaw_conv *conv, const float *packed, const float *residual, vec s, size_t pixel,
                          int32_t c, float *y) {
  const thaw_conv_desc *d = &conv->desc;
  int count = d->c - c;
  s = s + load(packed + conv->bias_at + c);
  if (residual) s = s + load_some(residual + pixel * (size_t)d->k + c, count);
  store_some(y + pixel * (size_t)d->y_stride + c, activation_of(d->activation, s), count);
}

/* `ahead` outputs from column ox on, whose windows all lie inside the image horizontally; x: their input row 0, column
 * 0. */
ALWAYS_INLINE void outputs_inside(const int ahead, const thaw_conv *conv, const float *w, const float *x, span rows,
                                  int32_t c, vec s[AHEAD]) {
  const thaw_conv_desc *d = &conv->desc;
  size_t pixel = (size_t)d->x_stride, step = (size_t)d->stride_w * pixel, row = (size_t)d->w * pixel;
  size_t w_row = thaw_round_up((size_t)d->c, THAW_ALIGN_FLOATS);
  for (int a = 0; a < ahead; a++) s[a] = zero();
  for (int32_t i = rows.first; i < rows.end; i++)
    for (int32_t j = 0; j < d->kw; j++) {
      vec weight = load(w + (size_t)(i * d->kw + j) * w_row + c);
      const float *p = x + (size_t)i * row + (size_t)j * pixel + c;
#pragma GCC unroll 4
      for (int a = 0; a < ahead; a++) s[a] = fma_of(load_some(p + (size_t)a * step, d->c - c), weight, s[a]);
    }
}

/* One output whose window may leave the image; (top, left): its corner. */
static vec output_edge(const thaw_conv *conv, const float *w, const float *image, int32_t top, int32_t left,
                       int32_t c) {
  const thaw_conv_desc *d = &conv->desc;
  size_t w_row = thaw_round_up((size_t)d->c, THAW_ALIGN_FLOATS);
  span rows = valid(top, d->kh, d->h), columns = valid(left, d->kw, d->w);
  vec s = zero();
  for (int32_t i = rows.first; i < rows.end; i++)
    for (int32_t j = columns.first; j < columns.end; j++) {
      const float *p = image + ((size_t)(top + i) * (size_t)d->w + (size_t)(left + j)) * (size_t)d->x_stride + c;
      s = fma_of(load_some(p, d->c - c), load(w + (size_t)(i * d->kw + j) * w_row + c), s);
    }
  return s;
}

static void output_row(const thaw_conv *conv, const float *packed, const float *image, const float *residual,
                       size_t pixel, int32_t oy, float *y) {
  const thaw_conv_desc *d = &conv->desc;
  int32_t top = oy * d->stride_h - d->pad_top, inside = 0, end = conv->w_conv;
  while (inside < end && inside * d->stride_w < d->pad_left) inside++;
  while (end > inside && (end - 1) * d->stride_w - d->pad_left + d->kw > d->w) end--;
  span rows = valid(top, d->kh, d->h);
  for (int32_t c = 0; c < d->c; c += LANES) {
    for (int32_t ox = 0; ox < conv->w_conv; ox++) {
      if (ox >= inside && ox < end) {
        ox = end - 1;
        continue;
      }
      vec s = output_edge(conv, packed, image, top, ox * d->stride_w - d->pad_left, c);
      finish(conv, packed, residual, s, pixel + (size_t)ox, c, y);
    }
    for (int32_t ox = inside; ox < end;) {
      vec s[AHEAD];
      const float *x = image + ((ptrdiff_t)top * d->w + ox * d->stride_w - d->pad_left) * d->x_stride;
      int ahead = end - ox >= AHEAD ? AHEAD : 1;
      if (ahead == AHEAD) {
        outputs_inside(AHEAD, conv, packed, x, rows, c, s);
      } else {
        outputs_inside(1, conv, packed, x, rows, c, s);
      }
      for (int a = 0; a < ahead; a++) finish(conv, packed, residual, s[a], pixel + (size_t)(ox + a), c, y);
      ox += ahead;
    }
  }
}

/* The prologue goes through a copy of the image. */
static const float *map_image(const thaw_conv *conv, const float *packed, const float *image, float *to) {
  const thaw_conv_desc *d = &conv->desc;
  const float *scale = packed + conv->scale_at, *shift = packed + conv->shift_at;
  for (int64_t i = 0; i < (int64_t)d->h * d->w; i++)
    for (int32_t c = 0; c < d->c; c += LANES) {
      vec a = load_some(image + i * d->x_stride + c, d->c - c);
      store_some(to + i * d->x_stride + c, max_of(zero(), fma_of(a, load(scale + c), load(shift + c))), d->c - c);
    }
  return to;
}

void THAW_VARIANT(thaw_depthwise)(const thaw_conv *conv, const float *packed, const float *x, int32_t n,
                                  const float *residual, float *y, float *scratch) {
  const thaw_conv_desc *d = &conv->desc;
  for (int32_t i = 0; i < n; i++) {
    const float *image = x + (size_t)i * (size_t)d->h * (size_t)d->w * (size_t)d->x_stride;
    if (d->prologue) image = map_image(conv, packed, image, scratch);
    for (int32_t oy = 0; oy < conv->h_conv; oy++)
      output_row(conv, packed, image, residual, ((size_t)i * (size_t)conv->h_conv + (size_t)oy) * (size_t)conv->w_conv,
                 oy, y);
  }
}
