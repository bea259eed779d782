/* pool.c: pooling windows and whole images. */
#include "kernel/variant/simd.h"
#include "kernel/variant/variant.h"

/* A window clipped to the image. */
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

ALWAYS_INLINE vec combine(const bool average, vec a, vec b) {
  if (average) return a + b;
  return max_of(a, b);
}

/* A window of 3x3 that lies inside the image, the most frequent one: the same sums as below, without a branch. */
ALWAYS_INLINE void pool_3x3(const bool average, const thaw_pool_desc *d, size_t pixel, const float *corner, float *y) {
  size_t row = pixel * (size_t)d->w;
  for (int32_t c = 0; c < d->c; c += LANES) {
    int32_t at = c + LANES <= d->c ? c : d->c - LANES; /* a tail with some channels before it */
    vec s = average ? zero() : load(corner + at);
#pragma GCC unroll 3
    for (size_t i = 0; i < 3; i++)
#pragma GCC unroll 3
      for (size_t j = 0; j < 3; j++) s = combine(average, s, load(corner + i * row + j * pixel + at));
    if (average) s = s / broadcast(9.f);
    store(y + at, s);
  }
}

ALWAYS_INLINE void pool_pixel(const bool average, const thaw_pool_desc *d, size_t pixel, const float *image, window w,
                              float *y) {
  size_t row = pixel * (size_t)d->w;
  vec area = broadcast((float)((w.bottom - w.top) * (w.right - w.left)));
  if (w.bottom - w.top == 3 && w.right - w.left == 3 && d->c >= LANES) {
    pool_3x3(average, d, pixel, image + (size_t)w.top * row + (size_t)w.left * pixel, y);
    return;
  }
  for (int32_t c = 0; c < d->c; c += LANES) {
    int count = d->c - c;
    const float *corner = image + (size_t)w.top * row + (size_t)w.left * pixel + c;
    vec s = average ? zero() : load_some(corner, count);
    for (int32_t i = w.top; i < w.bottom; i++)
      for (int32_t j = w.left; j < w.right; j++) {
        vec a = load_some(image + (size_t)i * row + (size_t)j * pixel + c, count);
        s = combine(average, s, a);
      }
    if (average) s = s / area;
    store_some(y + c, s, count);
  }
}

void THAW_VARIANT(thaw_pool)(const thaw_pool_desc *d, const float *x, int32_t n, float *y) {
  int32_t h, w;
  thaw_pool_output(d, &h, &w);
  size_t pixel = (size_t)(d->x_stride ? d->x_stride : d->c), y_pixel = (size_t)(d->y_stride ? d->y_stride : d->c);
  for (int32_t i = 0; i < n; i++, x += (size_t)d->h * (size_t)d->w * pixel)
    for (int32_t oy = 0; oy < h; oy++)
      for (int32_t ox = 0; ox < w; ox++, y += y_pixel) {
        if (d->average) {
          pool_pixel(true, d, pixel, x, clip(d, oy, ox), y);
        } else {
          pool_pixel(false, d, pixel, x, clip(d, oy, ox), y);
        }
      }
}

/* Sums of many pixels go through four chains per channel (pixel i to chain i mod 4), added as (0+1)+(2+3). */
void THAW_VARIANT(thaw_global_pool)(bool average, const float *x, int32_t n, int32_t pixels, int32_t c,
                                    int32_t x_stride, float *y) {
  size_t pixel = (size_t)(x_stride ? x_stride : c);
  for (int32_t i = 0; i < n; i++, x += (size_t)pixels * pixel, y += c)
    for (int32_t k = 0; k < c; k += LANES) {
      int count = c - k;
      vec s[4];
      for (int q = 0; q < 4; q++) s[q] = average ? zero() : load_some(x + k, count);
      int32_t p = 0;
      for (; p + 4 <= pixels && count >= LANES; p += 4)
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) s[q] = combine(average, s[q], load(x + (size_t)(p + q) * pixel + k));
      for (; p < pixels; p += 4)
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++)
          if (p + q < pixels) s[q] = combine(average, s[q], load_some(x + (size_t)(p + q) * pixel + k, count));
      vec all = combine(average, combine(average, s[0], s[1]), combine(average, s[2], s[3]));
      if (average) all = all / broadcast((float)pixels);
      store_some(y + k, all, count);
    }
}
