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

/* Where the window's first maximum of channel c lies. */
static size_t first_maximum(const thaw_pool_desc *d, const float *x, size_t pixel, window w, int32_t c) {
  size_t best = ((size_t)w.top * (size_t)d->w + (size_t)w.left) * pixel + (size_t)c;
  for (int32_t i = w.top; i < w.bottom; i++)
    for (int32_t j = w.left; j < w.right; j++) {
      size_t at = ((size_t)i * (size_t)d->w + (size_t)j) * pixel + (size_t)c;
      if (x[at] > x[best]) best = at;
    }
  return best;
}

static void average_backward(const thaw_pool_desc *d, window w, size_t pixel, int32_t c, float share, float *dx) {
  for (int32_t i = w.top; i < w.bottom; i++)
    for (int32_t j = w.left; j < w.right; j++) dx[((size_t)i * (size_t)d->w + (size_t)j) * pixel + (size_t)c] += share;
}

void thaw_pool_backward(const thaw_pool_desc *d, const float *x, const float *dy, int32_t n, float *dx) {
  int32_t h, w;
  thaw_pool_output(d, &h, &w);
  size_t pixel = (size_t)(d->x_stride ? d->x_stride : d->c), y_pixel = (size_t)(d->y_stride ? d->y_stride : d->c);
  size_t image = (size_t)d->h * (size_t)d->w * pixel;
  for (int32_t i = 0; i < n; i++, x = x ? x + image : NULL, dx += image)
    for (int32_t oy = 0; oy < h; oy++)
      for (int32_t ox = 0; ox < w; ox++, dy += y_pixel) {
        window v = clip(d, oy, ox);
        float area = (float)((v.bottom - v.top) * (v.right - v.left));
        for (int32_t c = 0; c < d->c; c++) {
          if (d->average) {
            average_backward(d, v, pixel, c, dy[c] / area, dx);
          } else {
            dx[first_maximum(d, x, pixel, v, c)] += dy[c];
          }
        }
      }
}
