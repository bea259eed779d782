/* winograd.c: 3x3 stride-1 convolution by Winograd F(4x4, 3x3): 36 products replace 144.
 *
 * A tile is 4x4 outputs, read from 6x6 inputs. v [36][tiles][c] transformed inputs, u [36][k / PANEL][c][PANEL] packed
 * weights, m [36][tiles][k_block] products, y = A^T m A. A block of tiles goes through input transform, 36 matrix
 * products and output transform while it is in cache. Transforms: A. Lavin, S. Gray, "Fast Algorithms for Convolutional
 * Neural Networks", CVPR 2016, points 0, 1, -1, 2, -2.
 */
#include "kernel/variant/rows.h"
#include "kernel/variant/tile.h"
#include "kernel/variant/variant.h"
#include "kernel/variant/vector_math.h"

enum { POINTS = 36, TILE = 4, WINDOW = 6 };

/* One call's constants. */
typedef struct run {
  const thaw_conv *conv;
  const float *u, *bias, *scale, *shift;
  const float *x, *residual;
  float *y, *v, *m;
  int32_t rows, columns; /* tiles of one image */
  size_t v_row, v_plane, m_row, m_plane;
} run;

/* B^T d of six values; o may be d. */
ALWAYS_INLINE void input_1d(const vec d[WINDOW], vec o[WINDOW]) {
  const vec four = broadcast(4.f), minus_five = broadcast(-5.f), two = broadcast(2.f), minus_two = broadcast(-2.f);
  const vec minus_four = broadcast(-4.f);
  vec first = fma_of(four, d[0], fma_of(minus_five, d[2], d[4])),
      last = fma_of(four, d[1], fma_of(minus_five, d[3], d[5]));
  vec a = fma_of(minus_four, d[2], d[4]), b = fma_of(minus_four, d[1], d[3]), e = d[4] - d[2], f = d[3] - d[1];
  o[0] = first;
  o[1] = a + b;
  o[2] = a - b;
  o[3] = fma_of(two, f, e);
  o[4] = fma_of(minus_two, f, e);
  o[5] = last;
}

/* A^T m of six values to four */
ALWAYS_INLINE void output_1d(const vec m[WINDOW], vec o[TILE]) {
  vec a = m[1] + m[2], b = m[1] - m[2], e = m[3] + m[4], f = m[3] - m[4];
  o[0] = m[0] + a + e;
  o[1] = fma_of(broadcast(2.f), f, b);
  o[2] = fma_of(broadcast(4.f), e, a);
  o[3] = fma_of(broadcast(8.f), f, b) + m[5];
}

/* B^T d B of the 6x6 window d (column by column) into 36 planes. */
ALWAYS_INLINE void input_2d(vec d[WINDOW][WINDOW], float *v, size_t plane) {
#pragma GCC unroll 6
  for (int j = 0; j < WINDOW; j++) input_1d(d[j], d[j]);
#pragma GCC unroll 6
  for (int i = 0; i < WINDOW; i++) {
    vec across[WINDOW] = {d[0][i], d[1][i], d[2][i], d[3][i], d[4][i], d[5][i]}, o[WINDOW];
    input_1d(across, o);
#pragma GCC unroll 6
    for (int j = 0; j < WINDOW; j++) store(v + (size_t)(i * WINDOW + j) * plane, o[j]);
  }
}

/* A window inside the image, channels a multiple of LANES, no prologue. */
static void input_inside(const run *r, const float *x, float *v) {
  const thaw_conv_desc *d = &r->conv->desc;
  size_t pixel = (size_t)d->x_stride, row = pixel * (size_t)d->w;
  for (int32_t c = 0; c < d->c; c += LANES) {
    vec window[WINDOW][WINDOW];
#pragma GCC unroll 6
    for (int j = 0; j < WINDOW; j++)
#pragma GCC unroll 6
      for (int i = 0; i < WINDOW; i++) window[j][i] = load(x + (size_t)i * row + (size_t)j * pixel + c);
    input_2d(window, v + c, r->v_plane);
  }
}

/* Any window, channel tail and prologue; (top, left) may lie outside the image. */
static void input_general(const run *r, const float *image, int32_t top, int32_t left, float *v) {
  const thaw_conv_desc *d = &r->conv->desc;
  for (int32_t c = 0; c < d->c; c += LANES) {
    vec window[WINDOW][WINDOW];
    int count = d->c - c;
    vec scale = d->prologue ? load(r->scale + c) : zero(), shift = d->prologue ? load(r->shift + c) : zero();
    for (int j = 0; j < WINDOW; j++)
      for (int i = 0; i < WINDOW; i++) {
        int32_t yy = top + i, xx = left + j;
        if (yy < 0 || xx < 0 || yy >= d->h || xx >= d->w) {
          window[j][i] = zero();
          continue;
        }
        vec a = load_some(image + ((size_t)yy * (size_t)d->w + (size_t)xx) * (size_t)d->x_stride + c, count);
        window[j][i] = d->prologue ? max_of(zero(), fma_of(a, scale, shift)) : a;
      }
    input_2d(window, v + c, r->v_plane);
  }
}

static void input_tiles(const run *r, int64_t first, int count) {
  const thaw_conv_desc *d = &r->conv->desc;
  bool plain = !d->prologue && d->c % LANES == 0;
  for (int q = 0; q < count; q++) {
    int64_t image = (first + q) / (r->rows * r->columns);
    int32_t tile = (int32_t)((first + q) % (r->rows * r->columns));
    int32_t top = tile / r->columns * TILE - d->pad_top, left = tile % r->columns * TILE - d->pad_left;
    const float *x = r->x + (size_t)image * (size_t)d->h * (size_t)d->w * (size_t)d->x_stride;
    float *v = r->v + (size_t)q * r->v_row;
    if (plain && top >= 0 && left >= 0 && top + WINDOW <= d->h && left + WINDOW <= d->w) {
      input_inside(r, x + ((size_t)top * (size_t)d->w + (size_t)left) * (size_t)d->x_stride, v);
    } else {
      input_general(r, x, top, left, v);
    }
  }
}

ALWAYS_INLINE void product(const int rows, const int vectors, const float *a, size_t row_step, const float *b,
                           int length, float *o, size_t o_row) {
  vec s[ROWS][2];
  tile_clear(rows, s);
  tile_multiply(rows, vectors, a, row_step, 1, b, PANEL, length, s);
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++) {
    store(o + (size_t)i * o_row, s[i][0]);
    if (vectors > 1) store(o + (size_t)i * o_row + LANES, s[i][1]);
  }
}

static void product_narrow(int rows, const float *a, size_t row_step, const float *b, int length, float *o,
                           size_t o_row) {
#define CALL(R) product(R, 1, a, row_step, b, length, o, o_row)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

static void product_wide(int rows, const float *a, size_t row_step, const float *b, int length, float *o,
                         size_t o_row) {
#define CALL(R) product(R, 2, a, row_step, b, length, o, o_row)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

/* m = v * u for the tiles of a block and the output channels first_k .. first_k + width. */
static void products(const run *r, int count, int32_t first_k, int32_t width) {
  const thaw_conv_desc *d = &r->conv->desc;
  size_t panels = thaw_round_up((size_t)d->k, PANEL) / PANEL;
  int groups = tile_groups(count);
  for (int p = 0; p < POINTS; p++)
    for (int32_t k = 0; k < width; k += PANEL) {
      const float *u = r->u + ((size_t)p * panels + (size_t)((first_k + k) / PANEL)) * (size_t)d->c * PANEL;
      bool narrow = d->k - first_k - k <= LANES;
      for (int g = 0; g < groups; g++) {
        int q = count * g / groups, rows = count * (g + 1) / groups - q;
        const float *v = r->v + (size_t)p * r->v_plane + (size_t)q * r->v_row;
        float *m = r->m + (size_t)p * r->m_plane + (size_t)q * r->m_row + k;
        (narrow ? product_narrow : product_wide)(rows, v, r->v_row, u, d->c, m, r->m_row);
      }
    }
}

/* 2x2 maxima of a 4x4 tile, stored where the pooled image has them. */
static void store_pooled(const run *r, vec o[TILE][TILE], int64_t image, int32_t top, int32_t left, int32_t k) {
  const thaw_conv_desc *d = &r->conv->desc;
  int32_t h = r->conv->h_conv / 2, w = r->conv->w_conv / 2;
  for (int i = 0; i < 2 && top / 2 + i < h; i++)
    for (int j = 0; j < 2 && left / 2 + j < w; j++) {
      vec a =
          max_of(max_of(o[2 * i][2 * j], o[2 * i][2 * j + 1]), max_of(o[2 * i + 1][2 * j], o[2 * i + 1][2 * j + 1]));
      size_t pixel = ((size_t)image * (size_t)h + (size_t)(top / 2 + i)) * (size_t)w + (size_t)(left / 2 + j);
      store_some(r->y + pixel * (size_t)d->y_stride + k, a, d->k - k);
    }
}

/* Bias, residual, activation and pooling of one tile and LANES output channels at k; m points to the tile's products.
 */
ALWAYS_INLINE void output_tile(const run *r, const float *m, int64_t image, int32_t top, int32_t left, int32_t k) {
  const thaw_conv_desc *d = &r->conv->desc;
  int32_t h = r->conv->h_conv, w = r->conv->w_conv;
  vec t[WINDOW][TILE], o[TILE][TILE], bias = load(r->bias + k);
#pragma GCC unroll 6
  for (int j = 0; j < WINDOW; j++) {
    vec column[WINDOW];
#pragma GCC unroll 6
    for (int i = 0; i < WINDOW; i++) column[i] = load(m + (size_t)(i * WINDOW + j) * r->m_plane);
    output_1d(column, t[j]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < TILE; i++) {
    vec across[WINDOW] = {t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]};
    output_1d(across, o[i]);
  }
  for (int i = 0; i < TILE && top + i < h; i++)
    for (int j = 0; j < TILE && left + j < w; j++) {
      size_t pixel = ((size_t)image * (size_t)h + (size_t)(top + i)) * (size_t)w + (size_t)(left + j);
      vec a = o[i][j] + bias;
      if (d->residual) a = a + load_some(r->residual + pixel * (size_t)d->k + k, d->k - k);
      o[i][j] = activation_of(d->activation, a);
      if (!d->pool) store_some(r->y + pixel * (size_t)d->y_stride + k, o[i][j], d->k - k);
    }
  if (d->pool) store_pooled(r, o, image, top, left, k);
}

static void output_tiles(const run *r, int64_t first, int count, int32_t first_k, int32_t width) {
  for (int q = 0; q < count; q++) {
    int64_t image = (first + q) / (r->rows * r->columns);
    int32_t tile = (int32_t)((first + q) % (r->rows * r->columns));
    int32_t top = tile / r->columns * TILE, left = tile % r->columns * TILE;
    for (int32_t k = 0; k < width && first_k + k < r->conv->desc.k; k += LANES)
      output_tile(r, r->m + (size_t)q * r->m_row + k, image, top, left, first_k + k);
  }
}

void THAW_VARIANT(thaw_winograd)(const thaw_conv *conv, const float *packed, const float *x, int32_t n,
                                 const float *residual, float *y, float *scratch) {
  const thaw_conv_desc *d = &conv->desc;
  run r = {.conv = conv, .u = packed, .bias = packed + conv->bias_at, .scale = packed + conv->scale_at};
  r.shift = packed + conv->shift_at;
  r.x = x, r.residual = residual, r.y = y;
  r.rows = (conv->h_conv + TILE - 1) / TILE, r.columns = (conv->w_conv + TILE - 1) / TILE;
  r.v_row = thaw_winograd_row(d->c), r.v_plane = thaw_winograd_plane(conv->block, r.v_row);
  r.m_row = thaw_winograd_row(conv->k_block), r.m_plane = thaw_winograd_plane(conv->block, r.m_row);
  r.v = scratch, r.m = scratch + POINTS * r.v_plane;
  int64_t tiles = (int64_t)n * r.rows * r.columns, blocks = (tiles + conv->block - 1) / conv->block;
  for (int64_t b = 0; b < blocks; b++) {
    int64_t first = tiles * b / blocks;
    int count = (int)(tiles * (b + 1) / blocks - first);
    input_tiles(&r, first, count);
    for (int32_t k = 0; k < d->k; k += conv->k_block) {
      int32_t width = d->k - k < conv->k_block ? d->k - k : conv->k_block;
      products(&r, count, k, width);
      output_tiles(&r, first, count, k, width);
    }
  }
}
