/* depthwise.c: one small filter per channel. Each output is one chain over the filter's positions in row-major order;
 * positions in the padding are left out (the chain is the same in every variant). Weights are packed as [kh*kw][c].
 *
 * Filters of 3x3 and 5x5 have instances of their own with sizes known to the compiler; `kh` and `kw` are constants
 * there. */
#include "kernel/variant/simd.h"
#include "kernel/variant/variant.h"
#include "kernel/variant/vector_math.h"
#include <math.h>

enum { AHEAD = 4 }; /* neighbouring outputs computed together, so that their chains overlap */

/* One call's constants. */
typedef struct run {
  const thaw_conv *conv;
  const float *w, *bias, *residual;
  float *y;
  size_t w_row;  /* floats between filter positions */
  vec low, high; /* bounds of the activation */
} run;

/* The filter positions of one output coordinate that lie inside the image. */
typedef struct span {
  int32_t first, end;
} span;

static span valid(int32_t start, int32_t kernel, int32_t size) {
  span s = {start < 0 ? -start : 0, size - start < kernel ? size - start : kernel};
  return s;
}

/* What an instance knows when it is compiled: whole vectors and no residual, with a clamp or swish after the sum; or
 * nothing. */
typedef enum mode { CLAMP, SWISH, GENERAL } mode;

ALWAYS_INLINE void finish(const mode m, const run *r, vec s, size_t pixel, int32_t c) {
  const thaw_conv_desc *d = &r->conv->desc;
  float *y = r->y + pixel * (size_t)d->y_stride + c;
  s = s + load(r->bias + c);
  if (m == CLAMP) {
    store(y, max_of(r->low, min_of(r->high, s)));
  } else if (m == SWISH) {
    store(y, swish_of(s));
  } else {
    if (r->residual) s = s + load_some(r->residual + pixel * (size_t)d->k + c, d->c - c);
    store_some(y, activation_of(d->activation, s), d->c - c);
  }
}

/* `count` outputs whose windows lie inside the image but for the rows outside `rows`; x: corner of the first window. */
ALWAYS_INLINE void outputs(const int kh, const int kw, const int count, const mode m, const run *r, const float *x,
                           span rows, int32_t c, vec s[AHEAD]) {
  const thaw_conv_desc *d = &r->conv->desc;
  ptrdiff_t pixel = d->x_stride, step = d->stride_w * pixel, row = d->w * pixel;
  for (int a = 0; a < count; a++) s[a] = zero();
#pragma GCC unroll 5
  for (int i = 0; i < kh; i++) {
    if (i < rows.first || i >= rows.end) continue;
#pragma GCC unroll 5
    for (int j = 0; j < kw; j++) {
      vec weight = load(r->w + (size_t)(i * kw + j) * r->w_row + c);
#pragma GCC unroll 4
      for (int a = 0; a < count; a++) {
        const float *p = x + (i * row + j * pixel + a * step + c);
        s[a] = fma_of(m != GENERAL ? load(p) : load_some(p, d->c - c), weight, s[a]);
      }
    }
  }
}

/* One output whose window may leave the image on any side; (top, left): its corner. */
ALWAYS_INLINE vec output_edge(const int kh, const int kw, const mode m, const run *r, const float *image, span rows,
                              int32_t top, int32_t left, int32_t c) {
  const thaw_conv_desc *d = &r->conv->desc;
  ptrdiff_t corner = ((ptrdiff_t)top * d->w + left) * d->x_stride + c;
  vec s = zero();
#pragma GCC unroll 5
  for (int32_t i = 0; i < kh; i++) {
    if (i < rows.first || i >= rows.end) continue;
#pragma GCC unroll 5
    for (int32_t j = 0; j < kw; j++) {
      if (left + j < 0 || left + j >= d->w) continue;
      const float *p = image + (corner + ((ptrdiff_t)i * d->w + j) * d->x_stride);
      vec a = m != GENERAL ? load(p) : load_some(p, d->c - c);
      s = fma_of(a, load(r->w + (size_t)(i * kw + j) * r->w_row + c), s);
    }
  }
  return s;
}

/* Asks for the input rows below the windows of AHEAD outputs, and for the outputs' lines. */
ALWAYS_INLINE void fetch(const int kh, const run *r, const float *x, size_t pixel, int32_t c) {
  const thaw_conv_desc *d = &r->conv->desc;
  for (int a = 0; a < AHEAD; a++) __builtin_prefetch(r->y + (pixel + (size_t)a) * (size_t)d->y_stride + c, 1);
  for (int i = 0; i < d->stride_h; i++)
    for (int j = 0; j < AHEAD * d->stride_w; j++)
      __builtin_prefetch(x + ((size_t)(kh + i) * (size_t)d->w + (size_t)j) * (size_t)d->x_stride + c);
}

/* LANES channels from c on of one output row; its outputs inside .. end have windows inside the image horizontally. */
ALWAYS_INLINE void row_channels(const int kh, const int kw, const mode m, const run *r, const float *image,
                                size_t pixel, int32_t oy, span inside, int32_t c) {
  const thaw_conv_desc *d = &r->conv->desc;
  int32_t top = oy * d->stride_h - d->pad_top;
  span rows = valid(top, kh, d->h);
  for (int32_t ox = 0; ox < r->conv->w_conv; ox++) {
    if (ox == inside.first && inside.first < inside.end) ox = inside.end;
    if (ox >= r->conv->w_conv) break;
    vec s = output_edge(kh, kw, m, r, image, rows, top, ox * d->stride_w - d->pad_left, c);
    finish(m, r, s, pixel + (size_t)ox, c);
  }
  const float *x = image + ((ptrdiff_t)top * d->w + inside.first * d->stride_w - d->pad_left) * d->x_stride;
  ptrdiff_t step = (ptrdiff_t)d->stride_w * d->x_stride;
  int32_t ox = inside.first;
  for (; ox + AHEAD <= inside.end; ox += AHEAD, x += AHEAD * step) {
    vec s[AHEAD];
    fetch(kh, r, x, pixel + (size_t)ox, c);
    outputs(kh, kw, AHEAD, m, r, x, rows, c, s);
#pragma GCC unroll 4
    for (int a = 0; a < AHEAD; a++) finish(m, r, s[a], pixel + (size_t)(ox + a), c);
  }
  for (; ox < inside.end; ox++, x += step) {
    vec s[AHEAD];
    outputs(kh, kw, 1, m, r, x, rows, c, s);
    finish(m, r, s[0], pixel + (size_t)ox, c);
  }
}

/* The instances. */
#define CHANNELS(name, kh, kw, m)                                                                                      \
  static void name(const run *r, const float *image, size_t pixel, int32_t oy, span inside, int32_t c) {               \
    row_channels(kh, kw, m, r, image, pixel, oy, inside, c);                                                           \
  }
CHANNELS(clamp_3x3, 3, 3, CLAMP)
CHANNELS(clamp_5x5, 5, 5, CLAMP)
CHANNELS(swish_3x3, 3, 3, SWISH)
CHANNELS(swish_5x5, 5, 5, SWISH)
CHANNELS(any_size, r->conv->desc.kh, r->conv->desc.kw, GENERAL)
#undef CHANNELS

typedef void channels_fn(const run *r, const float *image, size_t pixel, int32_t oy, span inside, int32_t c);

/* The last channels of a tail go together with some before them, which come out the same a second time. */
static void output_row(const run *r, const float *image, size_t pixel, int32_t oy) {
  const thaw_conv_desc *d = &r->conv->desc;
  bool swish = d->activation == THAW_SWISH;
  channels_fn *channels = any_size;
  if (!r->residual && d->c >= LANES && d->kh == 3 && d->kw == 3) channels = swish ? swish_3x3 : clamp_3x3;
  if (!r->residual && d->c >= LANES && d->kh == 5 && d->kw == 5) channels = swish ? swish_5x5 : clamp_5x5;
  span inside = {0, r->conv->w_conv};
  while (inside.first < inside.end && inside.first * d->stride_w < d->pad_left) inside.first++;
  while (inside.end > inside.first && (inside.end - 1) * d->stride_w - d->pad_left + d->kw > d->w) inside.end--;
  for (int32_t c = 0; c < d->c; c += LANES) {
    bool tail = c + LANES > d->c && channels != any_size;
    channels(r, image, pixel, oy, inside, tail ? d->c - LANES : c);
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

static run start(const thaw_conv *conv, const float *packed, const float *residual, float *y) {
  const thaw_conv_desc *d = &conv->desc;
  run r = {.conv = conv, .w = packed, .bias = packed + conv->bias_at, .residual = residual, .y = y};
  r.w_row = thaw_round_up((size_t)d->c, THAW_ALIGN_FLOATS);
  r.low = broadcast(d->activation == THAW_LINEAR ? -INFINITY : 0.f);
  r.high = broadcast(d->activation == THAW_RELU6 ? 6.f : INFINITY);
  return r;
}

void THAW_VARIANT(thaw_depthwise)(const thaw_conv *conv, const float *packed, const float *x, int32_t n,
                                  const float *residual, float *y, float *scratch) {
  const thaw_conv_desc *d = &conv->desc;
  run r = start(conv, packed, residual, y);
  for (int32_t i = 0; i < n; i++) {
    const float *image = x + (size_t)i * (size_t)d->h * (size_t)d->w * (size_t)d->x_stride;
    if (d->prologue) image = map_image(conv, packed, image, scratch);
    for (int32_t oy = 0; oy < conv->h_conv; oy++) {
      size_t pixel = ((size_t)i * (size_t)conv->h_conv + (size_t)oy) * (size_t)conv->w_conv;
      output_row(&r, image, pixel, oy);
    }
  }
}

void THAW_VARIANT(thaw_depthwise_rows)(const thaw_conv *conv, const float *packed, const float *image, int32_t first,
                                       int32_t rows, float *y) {
  run r = start(conv, packed, NULL, y);
  for (int32_t i = 0; i < rows; i++) output_row(&r, image, (size_t)i * (size_t)conv->w_conv, first + i);
}
