/* winograd_pack.c: weights of frozen 3x3 convolutions into Winograd's domain, done once (live ones: once per step). In
 * double, so that a weight is rounded only once. */
#include "kernel/variant/winograd.h"

enum { SIDE = 3 };

/* G g of three rows of PANEL weights each */
ALWAYS_INLINE void weights_1d(double g[SIDE][PANEL], double o[WINDOW][PANEL]) {
  for (int k = 0; k < PANEL; k++) {
    double sum = (g[0][k] + g[2][k]) * (1 / 6.), middle = g[1][k] * (1 / 6.);
    double far = g[0][k] * (1 / 24.) + g[2][k] * (1 / 6.), half = g[1][k] * (1 / 12.);
    o[0][k] = g[0][k] * .25;
    o[1][k] = -(sum + middle);
    o[2][k] = middle - sum;
    o[3][k] = far + half;
    o[4][k] = far - half;
    o[5][k] = g[2][k];
  }
}

/* G g G^T of PANEL output channels; plane: floats between the 36 results. */
static void weights_2d(double g[SIDE][SIDE][PANEL], float *u, size_t plane) {
  double down[SIDE][WINDOW][PANEL];
  for (int q = 0; q < SIDE; q++) weights_1d(g[q], down[q]);
  for (int i = 0; i < WINDOW; i++) {
    double across[SIDE][PANEL], o[WINDOW][PANEL];
    for (int q = 0; q < SIDE; q++)
      for (int k = 0; k < PANEL; k++) across[q][k] = down[q][i][k];
    weights_1d(across, o);
    for (int j = 0; j < WINDOW; j++)
      for (int k = 0; k < PANEL; k++) u[(size_t)(i * WINDOW + j) * plane + (size_t)k] = (float)o[j][k];
  }
}

void THAW_VARIANT(thaw_winograd_pack)(const thaw_conv *conv, const float *kernel, float *to) {
  size_t c = (size_t)conv->desc.c, k = (size_t)conv->desc.k, panels = thaw_round_up(k, PANEL) / PANEL;
  for (size_t first = 0; first < k; first += PANEL)
    for (size_t ci = 0; ci < c; ci++, to += PANEL) {
      double g[SIDE][SIDE][PANEL] = {{{0}}}; /* column by column */
      size_t count = k - first < PANEL ? k - first : PANEL;
      for (size_t t = 0; t < SIDE * SIDE; t++)
        for (size_t j = 0; j < count; j++) g[t % SIDE][t / SIDE][j] = kernel[(t * c + ci) * k + first + j];
      weights_2d(g, to, panels * c * PANEL);
    }
}
