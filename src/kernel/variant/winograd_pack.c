/* winograd_pack.c: weights of 3x3 convolutions into Winograd's domain: for frozen ones once, for live ones in every
 * step. In double, so that a weight is rounded only once. */
#include "kernel/variant/transpose.h"
#include "kernel/variant/winograd.h"

enum { SIDE = 3, TAPS = 9, HALF = LANES / 2, AHEAD = 8 /* input channels, whose weights lie pages apart */ };
typedef float half_vec __attribute__((vector_size(HALF * sizeof(float)), aligned(4)));
typedef double wide_vec __attribute__((vector_size(HALF * sizeof(double))));

/* G g of three values */
ALWAYS_INLINE void weights_1d(const wide_vec g[SIDE], wide_vec o[WINDOW]) {
  wide_vec sum = (g[0] + g[2]) * (1 / 6.), middle = g[1] * (1 / 6.);
  wide_vec far = g[0] * (1 / 24.) + g[2] * (1 / 6.), half = g[1] * (1 / 12.);
  o[0] = g[0] * .25;
  o[1] = -(sum + middle);
  o[2] = middle - sum;
  o[3] = far + half;
  o[4] = far - half;
  o[5] = g[2];
}

/* u = G g G^T of PANEL output channels; row[t]: their weights at tap t; plane: floats between the 36 results. */
static void weights_2d(const float *const row[TAPS], float *u, size_t plane) {
  for (size_t k = 0; k < PANEL; k += HALF) {
    wide_vec down[SIDE][WINDOW];
#pragma GCC unroll 3
    for (int q = 0; q < SIDE; q++) {
      wide_vec column[SIDE];
#pragma GCC unroll 3
      for (int i = 0; i < SIDE; i++)
        column[i] = __builtin_convertvector(*(const half_vec *)(row[i * SIDE + q] + k), wide_vec);
      weights_1d(column, down[q]);
    }
#pragma GCC unroll 6
    for (int i = 0; i < WINDOW; i++) {
      wide_vec across[SIDE] = {down[0][i], down[1][i], down[2][i]}, o[WINDOW];
      weights_1d(across, o);
#pragma GCC unroll 6
      for (int j = 0; j < WINDOW; j++)
        *(half_vec *)(u + (size_t)(i * WINDOW + j) * plane + k) = __builtin_convertvector(o[j], half_vec);
    }
  }
}

/* Kernel [9][c][k] as it is: `count` input channels, one panel of output channels from `first` on. */
static void panel_straight(const thaw_conv_desc *d, const float *kernel, size_t first, float *u, size_t plane) {
  size_t c = (size_t)d->c, k = (size_t)d->k, width = k - first < PANEL ? k - first : PANEL;
  float padded[TAPS][PANEL] = {{0}};
  for (size_t ci = 0; ci < c; ci++, u += PANEL) {
    const float *row[TAPS];
    for (size_t t = 0; t < TAPS; t++) {
      row[t] = kernel + (t * c + ci) * k + first;
      for (size_t j = 0; j < PANEL && ci + AHEAD < c; j += THAW_ALIGN_FLOATS)
        __builtin_prefetch(row[t] + AHEAD * k + j);
      if (width == PANEL) continue;
      for (size_t j = 0; j < width; j++) padded[t][j] = row[t][j];
      row[t] = padded[t];
    }
    weights_2d(row, u, plane);
  }
}

/* Kernel [9][k][c] turned by 180 degrees, input and output channels exchanged: the same panel from the transposed
 * side, LANES input channels at a time. */
static void panel_turned(const thaw_conv_desc *d, const float *kernel, size_t first, float *u, size_t plane) {
  size_t c = (size_t)d->c, k = (size_t)d->k, width = k - first < PANEL ? k - first : PANEL;
  float turned[TAPS][LANES][PANEL];
  for (size_t ci = 0; ci < c; ci += LANES) {
    size_t count = c - ci < LANES ? c - ci : LANES;
    for (size_t t = 0; t < TAPS; t++)
      for (size_t j = 0; j < PANEL; j += LANES) {
        const float *from = kernel + ((TAPS - 1 - t) * k + first + j) * c + ci;
        int rows = j < width ? (int)(width - j) : 0;
        transpose(from, c, rows < LANES ? rows : LANES, (int)count, &turned[t][0][j], PANEL);
      }
    for (size_t i = 0; i < count; i++, u += PANEL) {
      const float *row[TAPS];
      for (size_t t = 0; t < TAPS; t++) row[t] = turned[t][i];
      weights_2d(row, u, plane);
    }
  }
}

void THAW_VARIANT(thaw_winograd_panel)(const thaw_conv_desc *d, const float *kernel, bool turned, int32_t first,
                                       float *u, size_t plane) {
  (turned ? panel_turned : panel_straight)(d, kernel, (size_t)first, u, plane);
}

void THAW_VARIANT(thaw_winograd_pack)(const thaw_conv *conv, const float *kernel, bool turned, float *to) {
  const thaw_conv_desc *d = &conv->desc;
  for (int32_t k = 0; k < d->k; k += PANEL)
    THAW_VARIANT(thaw_winograd_panel)(d, kernel, turned, k, to + (size_t)k * (size_t)d->c, conv->u_plane);
}
