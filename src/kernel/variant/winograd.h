/* winograd.h: the steps of F(4x4, 3x3), shared by frozen and live convolutions.
 *
 * A tile is 4x4 outputs, read from 6x6 inputs. v [36][tiles][c] transformed inputs, u [36][panels][c][PANEL]
 * transformed weights, m [36][tiles][k_block] products, y = A^T m A. Transforms: A. Lavin, S. Gray, "Fast Algorithms
 * for Convolutional Neural Networks", CVPR 2016, points 0, 1, -1, 2, -2. Rows and planes of v and m are padded
 * (thaw_winograd_row, thaw_winograd_plane).
 */
#ifndef THAW_KERNEL_WINOGRAD_H
#define THAW_KERNEL_WINOGRAD_H

#include "kernel/variant/simd.h"
#include "kernel/variant/variant.h"

enum { POINTS = 36, TILE = 4, WINDOW = 6 };

/* The tiles that take part in a point's products. */
typedef struct winograd_range {
  int first, count;
} winograd_range;

/* One call's constants. */
typedef struct winograd_run {
  const thaw_conv *conv;
  const winograd_range *range; /* [36]; NULL: all tiles at every point */
  const float *u, *bias, *scale, *shift;
  const float *x, *residual;
  float *y, *v, *m;
  int32_t rows, columns; /* tiles of one image */
  int32_t first_panel;   /* in u */
  size_t u_plane, v_row, v_plane, m_row, m_plane;
  vec low, high; /* bounds of the activation */
} winograd_run;

/* Sets everything but the operands: tiles, strides of v (block tiles of c channels) and m (k_block channels), bounds.
 */
winograd_run THAW_VARIANT(thaw_winograd_run)(const thaw_conv *conv);
/* v = B^T x B for `count` tiles from `first` on. */
void THAW_VARIANT(thaw_winograd_input)(const winograd_run *r, int64_t first, int count);
/* m = v * u for the output channels first_k .. first_k + width, of `count` tiles or those of r->range. */
void THAW_VARIANT(thaw_winograd_products)(const winograd_run *r, int count, int32_t first_k, int32_t width);
/* y = activation(A^T m A + bias + residual), pooled where the plan says so. */
void THAW_VARIANT(thaw_winograd_output)(const winograd_run *r, int64_t first, int count, int32_t first_k,
                                        int32_t width);

/* u = G g G^T of the panel of output channels from `first` on: [36][c][PANEL], planes `plane` floats apart. Kernel
 * [3][3][c][k]; `turned`: [3][3][k][c], and rotated by 180 degrees. */
void THAW_VARIANT(thaw_winograd_panel)(const thaw_conv_desc *d, const float *kernel, bool turned, int32_t first,
                                       float *u, size_t plane);

#endif
