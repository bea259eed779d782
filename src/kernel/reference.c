/* reference.c: slow twins of pooling and the matrix product, sums in double. For tests. */
#include "thaw/kernel.h"

static double pool_at(const thaw_pool_desc *d, size_t pixel, const float *x, int32_t top, int32_t left) {
  double sum = 0, largest = -1e300;
  int real = 0;
  for (int32_t i = top; i < top + d->kh; i++)
    for (int32_t j = left; j < left + d->kw; j++) {
      if (i < 0 || j < 0 || i >= d->h || j >= d->w) continue;
      double a = x[((size_t)i * (size_t)d->w + (size_t)j) * pixel];
      sum += a;
      largest = a > largest ? a : largest;
      real++;
    }
  return d->average ? sum / real : largest;
}

void thaw_ref_pool(const thaw_pool_desc *d, const float *x, int32_t n, float *y) {
  int32_t h, w;
  thaw_pool_output(d, &h, &w);
  size_t pixel = (size_t)(d->x_stride ? d->x_stride : d->c), y_pixel = (size_t)(d->y_stride ? d->y_stride : d->c);
  for (int32_t i = 0; i < n; i++, x += (size_t)d->h * (size_t)d->w * pixel)
    for (int32_t oy = 0; oy < h; oy++)
      for (int32_t ox = 0; ox < w; ox++, y += y_pixel)
        for (int32_t c = 0; c < d->c; c++)
          y[c] = (float)pool_at(d, pixel, x + c, oy * d->stride_h - d->pad_top, ox * d->stride_w - d->pad_left);
}

void thaw_ref_gemm(const thaw_gemm_desc *d, const float *a, const float *b, float *c) {
  size_t lda = (size_t)d->lda, ldb = (size_t)d->ldb;
  for (int32_t i = 0; i < d->m; i++)
    for (int32_t j = 0; j < d->n; j++) {
      float *to = c + (size_t)i * (size_t)d->ldc + j;
      double s = d->accumulate ? *to : 0;
      for (int32_t p = 0; p < d->k; p++) {
        double left = d->transpose_a ? a[(size_t)p * lda + (size_t)i] : a[(size_t)i * lda + (size_t)p];
        double right = d->transpose_b ? b[(size_t)j * ldb + (size_t)p] : b[(size_t)p * ldb + (size_t)j];
        s += left * right;
      }
      *to = (float)s;
    }
}
