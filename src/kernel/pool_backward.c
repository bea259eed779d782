/* pool_backward.c: output size and gradient of pooling. */
#include "thaw/kernel.h"

void thaw_pool_output(const thaw_pool_desc *d, int32_t *h_out, int32_t *w_out) {
  *h_out = (d->h + d->pad_top + d->pad_bottom - d->kh) / d->stride_h + 1;
  *w_out = (d->w + d->pad_left + d->pad_right - d->kw) / d->stride_w + 1;
}

typedef struct window {
  int32_t top, bottom, left, right;
} window;

static window clip(const thaw_pool_desc *d, int32_t oy, int32_t ox) {
  window w = {oy * d->stride_h - d->pad_top, 0, ox * d->stride_w - d->pad_left, 0};
  w.bottom = w.top + d->kh < d->h ? w.top + d->kh : d->h;
  w.right = w.left + d->kw < d->w ? w.left + d->kw : d->w;
  w.top = w.top > 0 ? w.top : 0;
  w.left = w.left > 0 ? w.left : 0;
  return w;
}

/* One window seen from its first pixel inside: `row` and `pixel` are steps in floats. */
typedef struct view {
  size_t row, pixel;
  int32_t rows, columns;
} view;

enum { CHANNELS = 64 /* at a time, so that what is known of each stays in the first-level cache */ };

/* The gradient of each channel goes to its first maximum. Every element sees the same operations whatever the vector
 * width. */
__attribute__((target_clones("avx512f", "avx2", "default"))) static void
maximum_backward(const view *v, const float *restrict x, const float *restrict dy, int32_t count, float *restrict dx) {
  float best[CHANNELS];
  int32_t at[CHANNELS];
  for (int32_t c = 0; c < count; c++) best[c] = x[c], at[c] = 0;
  for (int32_t p = 1; p < v->rows * v->columns; p++) {
    const float *other = x + (size_t)(p / v->columns) * v->row + (size_t)(p % v->columns) * v->pixel;
    for (int32_t c = 0; c < count; c++) {
      at[c] = other[c] > best[c] ? p : at[c];
      best[c] = other[c] > best[c] ? other[c] : best[c];
    }
  }
  for (int32_t p = 0; p < v->rows * v->columns; p++) {
    float *to = dx + (size_t)(p / v->columns) * v->row + (size_t)(p % v->columns) * v->pixel;
    for (int32_t c = 0; c < count; c++) to[c] = at[c] == p ? to[c] + dy[c] : to[c];
  }
}

__attribute__((target_clones("avx512f", "avx2", "default"))) static void
average_backward(const view *v, const float *restrict dy, int32_t count, float *restrict dx) {
  float area = (float)(v->rows * v->columns);
  for (int32_t i = 0; i < v->rows; i++)
    for (int32_t j = 0; j < v->columns; j++) {
      float *to = dx + (size_t)i * v->row + (size_t)j * v->pixel;
      for (int32_t c = 0; c < count; c++) to[c] += dy[c] / area;
    }
}

static void window_backward(const thaw_pool_desc *d, window w, size_t pixel, const float *x, const float *dy,
                            float *dx) {
  view v = {(size_t)d->w * pixel, pixel, w.bottom - w.top, w.right - w.left};
  size_t first = (size_t)w.top * v.row + (size_t)w.left * pixel;
  if (d->average) {
    average_backward(&v, dy, d->c, dx + first);
    return;
  }
  for (int32_t c = 0; c < d->c; c += CHANNELS)
    maximum_backward(&v, x + first + c, dy + c, d->c - c < CHANNELS ? d->c - c : CHANNELS, dx + first + c);
}

void thaw_pool_backward(const thaw_pool_desc *d, const float *x, const float *dy, int32_t n, float *dx) {
  int32_t h, w;
  thaw_pool_output(d, &h, &w);
  size_t pixel = (size_t)(d->x_stride ? d->x_stride : d->c), y_pixel = (size_t)(d->y_stride ? d->y_stride : d->c);
  size_t image = (size_t)d->h * (size_t)d->w * pixel;
  for (int32_t i = 0; i < n; i++, x = x ? x + image : NULL, dx += image)
    for (int32_t oy = 0; oy < h; oy++)
      for (int32_t ox = 0; ox < w; ox++, dy += y_pixel) window_backward(d, clip(d, oy, ox), pixel, x, dy, dx);
}
