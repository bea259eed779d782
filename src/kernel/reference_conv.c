/* reference_conv.c: convolution as its definition, sums in double. For tests. */
#include "thaw/kernel.h"
#include <math.h>

static double input_at(const thaw_conv_desc *d, const float *x, const float *scale, const float *shift, int32_t y,
                       int32_t xx, int32_t c) {
  size_t stride = (size_t)(d->x_stride ? d->x_stride : d->c);
  if (y < 0 || xx < 0 || y >= d->h || xx >= d->w) return 0;
  double a = x[((size_t)y * (size_t)d->w + (size_t)xx) * stride + (size_t)c];
  if (!d->prologue) return a;
  a = a * scale[c] + shift[c];
  return a > 0 ? a : 0;
}

static double activate(thaw_activation activation, double a) {
  switch (activation) {
  case THAW_RELU:
    return a > 0 ? a : 0;
  case THAW_RELU6:
    return a > 0 ? fmin(a, 6) : 0;
  case THAW_SWISH:
    return a / (1 + exp(-a));
  default:
    return a;
  }
}

/* One output before bias; (top, left): corner of its window. */
static double sum_at(const thaw_conv_desc *d, const float *kernel, const float *scale, const float *shift,
                     const float *x, int32_t top, int32_t left, int32_t k) {
  double s = 0;
  for (int32_t i = 0; i < d->kh; i++)
    for (int32_t j = 0; j < d->kw; j++) {
      size_t tap = (size_t)i * (size_t)d->kw + (size_t)j;
      if (d->depthwise) {
        s += input_at(d, x, scale, shift, top + i, left + j, k) * kernel[tap * (size_t)d->c + (size_t)k];
        continue;
      }
      for (int32_t c = 0; c < d->c; c++)
        s += input_at(d, x, scale, shift, top + i, left + j, c) *
             kernel[(tap * (size_t)d->c + (size_t)c) * (size_t)d->k + (size_t)k];
    }
  return s;
}

typedef struct operands {
  const float *kernel, *bias, *scale, *shift, *x, *residual;
} operands;

static double output_at(const thaw_conv_desc *d, const operands *o, int32_t y, int32_t x, int32_t w_conv, int32_t k) {
  double a =
      sum_at(d, o->kernel, o->scale, o->shift, o->x, y * d->stride_h - d->pad_top, x * d->stride_w - d->pad_left, k);
  if (o->bias) a += o->bias[k];
  if (o->residual) a += o->residual[((size_t)y * (size_t)w_conv + (size_t)x) * (size_t)d->k + (size_t)k];
  return activate(d->activation, a);
}

void thaw_ref_conv(const thaw_conv_desc *d, const float *kernel, const float *bias, const float *scale,
                   const float *shift, const float *x, int32_t n, const float *residual, float *y) {
  thaw_conv_desc plain = *d;
  int32_t h, w, h_out, w_out;
  plain.pool = false;
  thaw_conv_output(&plain, &h, &w);
  thaw_conv_output(d, &h_out, &w_out);
  size_t x_stride = (size_t)(d->x_stride ? d->x_stride : d->c), y_stride = (size_t)(d->y_stride ? d->y_stride : d->k);
  operands o = {kernel, bias, scale, shift, x, d->residual ? residual : NULL};
  for (int32_t i = 0; i < n; i++) {
    for (int32_t oy = 0; oy < h_out; oy++)
      for (int32_t ox = 0; ox < w_out; ox++, y += y_stride)
        for (int32_t k = 0; k < d->k; k++) {
          double a;
          if (d->pool) {
            a = fmax(fmax(output_at(d, &o, 2 * oy, 2 * ox, w, k), output_at(d, &o, 2 * oy, 2 * ox + 1, w, k)),
                     fmax(output_at(d, &o, 2 * oy + 1, 2 * ox, w, k), output_at(d, &o, 2 * oy + 1, 2 * ox + 1, w, k)));
          } else {
            a = output_at(d, &o, oy, ox, w, k);
          }
          y[k] = (float)a;
        }
    o.x += (size_t)d->h * (size_t)d->w * x_stride;
    if (o.residual) o.residual += (size_t)h * (size_t)w * (size_t)d->k;
  }
}
