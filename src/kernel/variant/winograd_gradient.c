/* winograd_gradient.c: the gradient of a 3x3 stride-1 convolution's weights by the adjoint of its Winograd transforms,
 * a quarter of the multiplications:
 *
 *   y = A^T [(G g G^T) . (B^T x B)] A summed over input channels, so with dm = A dy A^T
 *   dg = G^T [sum over tiles of (B^T x B) . dm] G
 *
 * Block sizes are the same for every instruction set, since the sums go block by block. */
#include "kernel/variant/rows.h"
#include "kernel/variant/tile.h"
#include "kernel/variant/winograd.h"

enum { SIDE = 3 };

/* Work space of one call, in floats. */
typedef struct workspace {
  size_t v, m, u, total, u_plane;
} workspace;

/* The convolution as the winograd steps see it: plain, dense, one panel of outputs at a time. */
static thaw_conv plan(const thaw_conv_desc *desc, int32_t n) {
  thaw_conv conv = {.desc = *desc, .k_block = PANEL};
  conv.desc.x_stride = desc->c;
  conv.desc.prologue = conv.desc.pool = false;
  thaw_conv_output(&conv.desc, &conv.h_conv, &conv.w_conv);
  conv.block = thaw_conv_gradient_block(&conv.desc, n);
  return conv;
}

static workspace lay_out(const thaw_conv *conv) {
  workspace w = {0};
  w.m = w.v + POINTS * thaw_winograd_plane(conv->block, thaw_winograd_row(conv->desc.c));
  w.u = w.m + POINTS * thaw_winograd_plane(conv->block, thaw_winograd_row(PANEL));
  w.u_plane = thaw_winograd_plane(1, (size_t)conv->desc.c * PANEL);
  w.total = w.u + POINTS * w.u_plane;
  return w;
}

size_t THAW_VARIANT(thaw_conv_gradient_scratch)(const thaw_conv_desc *desc, int32_t n) {
  thaw_conv conv = plan(desc, n);
  return lay_out(&conv).total;
}

/* A d of four values */
ALWAYS_INLINE void gradient_1d(const vec d[TILE], vec o[WINDOW]) {
  vec a = d[0] + d[2], b = d[1] + d[3], e = fma_of(broadcast(4.f), d[2], d[0]);
  vec f = fma_of(broadcast(8.f), d[3], d[1] + d[1]);
  o[0] = d[0];
  o[1] = a + b;
  o[2] = a - b;
  o[3] = e + f;
  o[4] = e - f;
  o[5] = d[3];
}

/* m = A dy A^T for the tiles of a block and LANES channels from k on, stored at column `column` of the panel. */
static void transform_gradient(const winograd_run *r, const float *dy, int64_t first, int count, int32_t k,
                               int column) {
  int32_t h = r->conv->h_conv, w = r->conv->w_conv, channels = r->conv->desc.k;
  for (int q = 0; q < count; q++) {
    int64_t image = (first + q) / (r->rows * r->columns);
    int32_t tile = (int32_t)((first + q) % (r->rows * r->columns));
    int32_t top = tile / r->columns * TILE, left = tile % r->columns * TILE;
    const float *from = dy + ((size_t)image * (size_t)h * (size_t)w) * (size_t)channels + k;
    vec t[TILE][WINDOW];
#pragma GCC unroll 4
    for (int j = 0; j < TILE; j++) {
      vec d[TILE];
#pragma GCC unroll 4
      for (int i = 0; i < TILE; i++) {
        d[i] = zero();
        if (top + i < h && left + j < w)
          d[i] =
              load_some(from + ((size_t)(top + i) * (size_t)w + (size_t)(left + j)) * (size_t)channels, channels - k);
      }
      gradient_1d(d, t[j]);
    }
    float *m = r->m + (size_t)q * r->m_row + column;
#pragma GCC unroll 6
    for (int i = 0; i < WINDOW; i++) {
      vec across[TILE] = {t[0][i], t[1][i], t[2][i], t[3][i]}, o[WINDOW];
      gradient_1d(across, o);
#pragma GCC unroll 6
      for (int j = 0; j < WINDOW; j++) store(m + (size_t)(i * WINDOW + j) * r->m_plane, o[j]);
    }
  }
}

/* Sums over a block's tiles: u [c][PANEL] = v^T m, one point's planes. */
typedef struct sums {
  const float *v, *m;
  size_t v_row, m_row;
  int count; /* tiles */
  float *u;
} sums;

ALWAYS_INLINE void sum_tiles(const int rows, const int vectors, const sums *t) {
  vec s[ROWS][2];
  tile_clear(rows, s);
  tile_multiply(rows, vectors, t->v, 1, t->v_row, t->m, t->m_row, t->count, (ahead){0}, s);
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++) store(t->u + (size_t)i * PANEL + j * LANES, s[i][j]);
}

static void sum_tiles_any(int rows, bool narrow, const sums *t) {
#define CALL(R)                                                                                                        \
  if (narrow) {                                                                                                        \
    sum_tiles(R, 1, t);                                                                                                \
  } else {                                                                                                             \
    sum_tiles(R, 2, t);                                                                                                \
  }
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

static void sum_points(const winograd_run *r, int count, bool narrow, float *u, size_t u_plane) {
  int32_t c = r->conv->desc.c, groups = tile_groups(c);
  for (int p = 0; p < POINTS; p++)
    for (int32_t g = 0; g < groups; g++) {
      int32_t row = (int32_t)((int64_t)c * g / groups), rows = (int32_t)((int64_t)c * (g + 1) / groups) - row;
      sums t = {.v_row = r->v_row, .m_row = r->m_row, .count = count};
      t.v = r->v + (size_t)p * r->v_plane + row;
      t.m = r->m + (size_t)p * r->m_plane;
      t.u = u + (size_t)p * u_plane + (size_t)row * PANEL;
      sum_tiles_any(rows, narrow, &t);
    }
}

/* G^T u of six values */
ALWAYS_INLINE void weights_back_1d(const vec u[WINDOW], vec o[SIDE]) {
  const vec sixth = broadcast(1 / 6.f), minus_sixth = broadcast(-1 / 6.f);
  vec a = (u[1] + u[2]) * minus_sixth, b = u[3] + u[4], e = u[2] - u[1], f = u[3] - u[4];
  o[0] = fma_of(u[0], broadcast(.25f), fma_of(b, broadcast(1 / 24.f), a));
  o[1] = fma_of(e, sixth, f * broadcast(1 / 12.f));
  o[2] = fma_of(b, sixth, a) + u[5];
}

/* gradient [9][c][k] (+)= G^T u G for the panel's `count` channels from `first` on. */
static void finish_gradient(const thaw_conv_desc *d, const float *u, size_t plane, int32_t first, bool accumulate,
                            float *gradient) {
  size_t c = (size_t)d->c, k = (size_t)d->k;
  for (size_t ci = 0; ci < c; ci++)
    for (int j = 0; j < PANEL && first + j < d->k; j += LANES) {
      vec t[WINDOW][SIDE];
#pragma GCC unroll 6
      for (int q = 0; q < WINDOW; q++) {
        vec column[WINDOW];
#pragma GCC unroll 6
        for (int i = 0; i < WINDOW; i++) column[i] = load(u + (size_t)(i * WINDOW + q) * plane + ci * PANEL + j);
        weights_back_1d(column, t[q]);
      }
#pragma GCC unroll 3
      for (int i = 0; i < SIDE; i++) {
        vec across[WINDOW] = {t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]}, o[SIDE];
        weights_back_1d(across, o);
#pragma GCC unroll 3
        for (int q = 0; q < SIDE; q++) {
          float *to = gradient + ((size_t)(i * SIDE + q) * c + ci) * k + first + j;
          int count = d->k - first - j;
          store_some(to, accumulate ? o[q] + load_some(to, count) : o[q] + zero(), count);
        }
      }
    }
}

void THAW_VARIANT(thaw_conv_gradient)(const thaw_conv_desc *desc, const float *x, const float *dy, int32_t n,
                                      float *gradient, float *scratch) {
  thaw_conv conv = plan(desc, n);
  const thaw_conv_desc *d = &conv.desc;
  workspace w = lay_out(&conv);
  winograd_run r = THAW_VARIANT(thaw_winograd_run)(&conv);
  r.v = scratch + w.v, r.m = scratch + w.m, r.x = x;
  int64_t tiles = (int64_t)n * r.rows * r.columns, blocks = (tiles + conv.block - 1) / conv.block;
  for (int64_t b = 0; b < blocks; b++) {
    int64_t first = tiles * b / blocks;
    int count = (int)(tiles * (b + 1) / blocks - first);
    THAW_VARIANT(thaw_winograd_input)(&r, first, count);
    for (int32_t k = 0; k < d->k; k += PANEL) {
      bool narrow = d->k - k <= LANES;
      transform_gradient(&r, dy, first, count, k, 0);
      if (!narrow) transform_gradient(&r, dy, first, count, k + LANES, LANES);
      sum_points(&r, count, narrow, scratch + w.u, w.u_plane);
      finish_gradient(d, scratch + w.u, w.u_plane, k, b > 0, gradient);
    }
  }
}
