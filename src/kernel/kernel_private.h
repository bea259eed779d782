/* kernel_private.h: the table of functions that each instruction set brings, and the plan of a frozen convolution. */
#ifndef THAW_KERNEL_PRIVATE_H
#define THAW_KERNEL_PRIVATE_H

#include "thaw/kernel.h"

/* The largest slices whose weight gradients are quantised in registers: pixels of a 1x1, tiles of a 3x3 convolution. */
enum { THAW_EXACT_ROWS = 2048, THAW_EXACT_TILES = 128 };

/* Rows of the packed arrays start on 64-byte boundaries: 16 floats. */
enum { THAW_ALIGN_FLOATS = 16 };

/* The plan. `desc` holds resolved strides (never 0). Offsets are floats from the start of the packed block. */
struct thaw_conv {
  const thaw_isa *isa;
  thaw_conv_desc desc;
  thaw_conv_algorithm algorithm;
  int32_t h_conv, w_conv; /* output of the convolution, before the fused pooling */
  int32_t block;   /* winograd: most tiles per block; gemm: most output pixels (flat) or rows (strips) per block */
  int32_t k_block; /* winograd: output channels between two output transforms */
  bool pool_after; /* pooling by a second pass over one image (algorithms that cannot fuse it) */
  size_t u_plane;  /* winograd: floats between the weights of two of the 36 points */
  size_t bias_at, scale_at, shift_at, packed_floats;
  size_t conv_scratch; /* floats, without the image of `pool_after` */
  size_t scratch_floats;
};

struct thaw_isa {
  const char *name;
  int32_t lanes; /* floats per vector */
  int32_t rows;  /* of the microkernel; its width is two vectors */
  /* [36][panels][c][panel], planes u_plane apart */
  void (*winograd_pack)(const thaw_conv *conv, const float *kernel, bool turned, float *to);
  size_t (*winograd_live_scratch)(const thaw_conv *conv);
  void (*winograd_live)(const thaw_conv *conv, const float *kernel, const float *bias, bool turned, const float *x,
                        int32_t n, float *y, float *scratch);
  void (*winograd)(const thaw_conv *conv, const float *packed, const float *x, int32_t n, const float *residual,
                   float *y, float *scratch);
  void (*conv_gemm)(const thaw_conv *conv, const float *packed, const float *x, int32_t n, const float *residual,
                    float *y, float *scratch);
  size_t (*conv_gradient_scratch)(const thaw_conv_desc *desc, int32_t n);
  void (*conv_gradient)(const thaw_conv_desc *desc, const float *x, const float *dy, int32_t n, float *gradient,
                        float *scratch);
  void (*depthwise)(const thaw_conv *conv, const float *packed, const float *x, int32_t n, const float *residual,
                    float *y, float *scratch);
  /* Output rows first .. first + rows of one image, the first of them at y; without prologue and residual. */
  void (*depthwise_rows)(const thaw_conv *conv, const float *packed, const float *image, int32_t first, int32_t rows,
                         float *y);
  /* conv_gemm of any number of pixels, for 1x1 convolutions that thaw_conv_flat tells. */
  void (*pointwise)(const thaw_conv *conv, const float *packed, const float *x, int64_t pixels, const float *residual,
                    float *y, float *scratch);
  void (*pool)(const thaw_pool_desc *desc, const float *x, int32_t n, float *y);
  void (*global_pool)(bool average, const float *x, int32_t n, int32_t pixels, int32_t c, int32_t x_stride, float *y);
  void (*affine)(thaw_activation activation, const float *x, const float *scale, const float *shift, const float *add,
                 size_t pixels, int32_t c, int32_t x_stride, int32_t y_stride, float *y);
  void (*epilogue)(const thaw_epilogue *epilogue, size_t pixels, int32_t c, float *y);
  void (*epilogue_backward)(const thaw_epilogue *epilogue, const float *y, const float *dy, size_t pixels, int32_t c,
                            float *dx, float *dadd, bool accumulate);
  void (*activate)(thaw_activation activation, const float *x, size_t rows, int32_t width, float *y);
  void (*activate_backward)(thaw_activation activation, const float *x, const float *y, const float *dy, size_t rows,
                            int32_t width, float *dx);
  size_t (*gemm_scratch)(const thaw_gemm_desc *desc);
  void (*gemm)(const thaw_gemm_desc *desc, const float *a, const float *b, float *c, float *scratch);
  void (*dense_gradient)(const float *x, const float *dy, const int32_t *slice_start, int32_t slices, int32_t pixels,
                         int32_t c, int32_t k, const thaw_exact_terms *terms);
  size_t (*pointwise_gradient_scratch)(const thaw_conv_desc *desc);
  void (*pointwise_gradient)(const thaw_conv_desc *desc, const float *x, const float *dy, const int32_t *slice_start,
                             int32_t slices, const thaw_exact_terms *terms, float *scratch);
  size_t (*winograd_gradient_exact_scratch)(const thaw_conv_desc *desc);
  void (*winograd_gradient_exact)(const thaw_conv_desc *desc, const float *x, const float *dy,
                                  const int32_t *slice_start, int32_t slices, const thaw_exact_terms *terms,
                                  float *scratch);
  void (*random_keep)(const uint32_t key[2], const uint32_t counter[4], uint32_t limit, size_t count, uint32_t *mask);
};

extern const thaw_isa thaw_isa_avx2, thaw_isa_avx512;

/* Lengths of the winograd work space, shared by the plan and the kernels: floats between rows (tiles) of the
 * transformed input, and between its 36 planes. Neither is a multiple of 4096 bytes, so that rows and planes spread
 * over cache sets. */
size_t thaw_winograd_row(int32_t channels);
size_t thaw_winograd_plane(int32_t tiles, size_t row);
/* Tiles per block of the weight gradient of n images: a function of the shape alone, not of this machine. */
int32_t thaw_conv_gradient_block(const thaw_conv_desc *desc, int32_t n);

static inline size_t thaw_round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/* Input rows that a strip of `rows` output rows reads, and the padded width of one such row in pixels. */
static inline int32_t thaw_strip_height(const thaw_conv_desc *d, int32_t rows) {
  return (rows - 1) * d->stride_h + d->kh;
}
static inline int32_t thaw_strip_width(const thaw_conv_desc *d) {
  return d->w + d->pad_left + d->pad_right;
}

/* A 1x1 convolution without padding reads pixels where they lie: no strip is copied (unless there is a prologue). */
static inline bool thaw_conv_pointwise(const thaw_conv_desc *d) {
  return d->kh == 1 && d->kw == 1 && d->pad_top == 0 && d->pad_left == 0 && d->pad_bottom == 0 && d->pad_right == 0;
}
static inline bool thaw_conv_flat(const thaw_conv_desc *d) {
  return thaw_conv_pointwise(d) && d->stride_h == 1 && d->stride_w == 1;
}

#endif
