/* pack.c: weights of frozen convolutions in the order in which the kernels read them, done once. */
#include "kernel/kernel_private.h"
#include <string.h>

enum { MOST_PANEL = 32 };

/* [k / panel][depth][panel] from [depth][k], zeros beyond k. */
static void pack_panels(const float *kernel, size_t depth, size_t k, size_t panel, float *to) {
  for (size_t first = 0; first < k; first += panel)
    for (size_t p = 0; p < depth; p++, to += panel)
      for (size_t j = 0; j < panel; j++) to[j] = first + j < k ? kernel[p * k + first + j] : 0;
}

/* U = G g G^T for `count` output channels at once, in double; g [3][3] at `step` floats, u[36][MOST_PANEL]. */
static void transform(const float *g, size_t step, size_t count, double u[36][MOST_PANEL]) {
  static const double matrix[6][3] = {{1 / 4., 0, 0},
                                      {-1 / 6., -1 / 6., -1 / 6.},
                                      {-1 / 6., 1 / 6., -1 / 6.},
                                      {1 / 24., 1 / 12., 1 / 6.},
                                      {1 / 24., -1 / 12., 1 / 6.},
                                      {0, 0, 1}};
  double t[6][3][MOST_PANEL];
  for (int i = 0; i < 6; i++)
    for (int j = 0; j < 3; j++)
      for (size_t k = 0; k < count; k++)
        t[i][j][k] = matrix[i][0] * g[(size_t)j * step + k] + matrix[i][1] * g[(size_t)(3 + j) * step + k] +
                     matrix[i][2] * g[(size_t)(6 + j) * step + k];
  for (int i = 0; i < 6; i++)
    for (int j = 0; j < 6; j++)
      for (size_t k = 0; k < count; k++)
        u[i * 6 + j][k] = t[i][0][k] * matrix[j][0] + t[i][1][k] * matrix[j][1] + t[i][2][k] * matrix[j][2];
}

/* [36][k / panel][c][panel] from [3][3][c][k]. */
static void pack_winograd(const thaw_conv *conv, const float *kernel, float *to) {
  size_t c = (size_t)conv->desc.c, k = (size_t)conv->desc.k, panel = 2 * (size_t)conv->isa->lanes;
  size_t panels = thaw_round_up(k, panel) / panel;
  double u[36][MOST_PANEL];
  for (size_t q = 0; q < panels; q++)
    for (size_t ci = 0; ci < c; ci++) {
      size_t count = k - q * panel < panel ? k - q * panel : panel;
      transform(kernel + ci * k + q * panel, c * k, count, u);
      for (size_t p = 0; p < 36; p++) {
        float *row = to + ((p * panels + q) * c + ci) * panel;
        for (size_t j = 0; j < panel; j++) row[j] = j < count ? (float)u[p][j] : 0;
      }
    }
}

static void copy_or_zero(const float *from, size_t count, size_t room, float *to) {
  memset(to, 0, room * sizeof *to);
  if (from) memcpy(to, from, count * sizeof *to);
}

void thaw_conv_pack(const thaw_conv *conv, const float *kernel, const float *bias, const float *scale,
                    const float *shift, void *packed) {
  const thaw_conv_desc *d = &conv->desc;
  float *to = packed;
  size_t taps = (size_t)d->kh * (size_t)d->kw, c = (size_t)d->c, k = (size_t)d->k;
  if (conv->algorithm == THAW_CONV_WINOGRAD) {
    pack_winograd(conv, kernel, to);
  } else if (d->depthwise) {
    size_t row = thaw_round_up(c, THAW_ALIGN_FLOATS);
    for (size_t i = 0; i < taps; i++) copy_or_zero(kernel + i * c, c, row, to + i * row);
  } else {
    pack_panels(kernel, taps * c, k, 2 * (size_t)conv->isa->lanes, to);
  }
  copy_or_zero(bias, k, conv->scale_at - conv->bias_at, to + conv->bias_at);
  if (!d->prologue) return;
  copy_or_zero(scale, c, conv->shift_at - conv->scale_at, to + conv->scale_at);
  copy_or_zero(shift, c, conv->packed_floats - conv->shift_at, to + conv->shift_at);
}
