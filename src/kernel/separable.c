/* separable.c: a depthwise and a pointwise convolution band by band.
 *
 * A band is some rows of one image, or, where images are small, some whole images: as many pixels as leave what passes
 * between the two a part of the second-level cache, so the wide product reads it from there and memory never sees it.
 */
#include "kernel/conv_plan.h"

bool thaw_separable_fits(const thaw_conv_desc *depthwise, const thaw_conv_desc *pointwise) {
  return depthwise->depthwise && !depthwise->residual && !depthwise->pool && !depthwise->prologue &&
         !pointwise->depthwise && thaw_conv_flat(pointwise) && !pointwise->prologue && !pointwise->pool;
}

/* An odd number of cache lines, so that pixels spread over cache sets. */
int32_t thaw_separable_stride(int32_t c) {
  return (int32_t)thaw_winograd_row(c);
}

/* At least one row. */
static int32_t band_pixels(const thaw_conv *depthwise) {
  int32_t pixels = thaw_separable_pixels(&depthwise->desc);
  return pixels < depthwise->w_conv ? depthwise->w_conv : pixels;
}

size_t thaw_separable_scratch_bytes(const thaw_conv *depthwise, const thaw_conv *pointwise) {
  (void)pointwise;
  return (size_t)band_pixels(depthwise) * (size_t)thaw_separable_stride(depthwise->desc.c) * sizeof(float);
}

typedef struct separable_run {
  const thaw_conv *depthwise, *pointwise;
  const float *depthwise_packed, *pointwise_packed, *x, *residual;
  float *y, *middle;
  size_t image; /* floats of x */
} separable_run;

/* The pointwise half for `pixels` pixels in the middle, the first of them pixel `at` of y. */
static void multiply(const separable_run *r, int64_t at, int64_t pixels) {
  const thaw_conv_desc *d = &r->pointwise->desc;
  const float *residual = r->residual && d->residual ? r->residual + at * d->k : NULL;
  r->pointwise->isa->pointwise(r->pointwise, r->pointwise_packed, r->middle, pixels, residual, r->y + at * d->y_stride,
                               NULL);
}

static void run_images(const separable_run *r, int32_t n, int32_t together) {
  const thaw_conv *first = r->depthwise;
  int64_t pixels = (int64_t)first->h_conv * first->w_conv;
  for (int32_t i = 0; i < n; i += together) {
    int32_t images = n - i < together ? n - i : together;
    first->isa->depthwise(first, r->depthwise_packed, r->x + (size_t)i * r->image, images, NULL, r->middle, NULL);
    multiply(r, i * pixels, images * pixels);
  }
}

static void run_rows(const separable_run *r, int32_t n, int32_t rows) {
  const thaw_conv *first = r->depthwise;
  int32_t h = first->h_conv, bands = (h + rows - 1) / rows;
  for (int32_t i = 0; i < n; i++)
    for (int32_t b = 0; b < bands; b++) {
      int32_t from = h * b / bands, end = h * (b + 1) / bands;
      first->isa->depthwise_rows(first, r->depthwise_packed, r->x + (size_t)i * r->image, from, end - from, r->middle);
      multiply(r, ((int64_t)i * h + from) * first->w_conv, (int64_t)(end - from) * first->w_conv);
    }
}

void thaw_separable_run(const thaw_conv *depthwise, const void *depthwise_packed, const thaw_conv *pointwise,
                        const void *pointwise_packed, const float *x, int32_t n, const float *residual, float *y,
                        void *scratch) {
  const thaw_conv_desc *d = &depthwise->desc;
  separable_run r = {.depthwise = depthwise,
                     .pointwise = pointwise,
                     .depthwise_packed = depthwise_packed,
                     .pointwise_packed = pointwise_packed,
                     .x = x,
                     .residual = residual,
                     .y = y,
                     .middle = scratch,
                     .image = (size_t)d->h * (size_t)d->w * (size_t)d->x_stride};
  int32_t pixels = band_pixels(depthwise), image = depthwise->h_conv * depthwise->w_conv;
  if (pixels >= image) {
    run_images(&r, n, pixels / image);
  } else {
    run_rows(&r, n, pixels / depthwise->w_conv);
  }
}
