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
#include <math.h>

enum { POINTS = 36, TILE = 4, WINDOW = 6 };

/* One call's constants. */
typedef struct run {
  const thaw_conv *conv;
  const float *u, *bias, *scale, *shift;
  const float *x, *residual;
  float *y, *v, *m;
  int32_t rows, columns; /* tiles of one image */
  size_t v_row, v_plane, m_row, m_plane;
  vec low, high; /* bounds of the activation */
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
      for (int i = 0; i < WINDOW; i++) {
        const float *p = x + (size_t)i * row + (size_t)j * pixel + c;
        window[j][i] = load(p);
        if (j > 1) __builtin_prefetch(p + TILE * pixel); /* the next tile */
      }
    input_2d(window, v + c, r->v_plane);
  }
}

/* Which of the window's pixels lie inside the image: bit j * WINDOW + i for row i, column j. */
static uint64_t inside_bits(const thaw_conv_desc *d, int32_t top, int32_t left) {
  uint64_t bits = 0;
  for (int j = 0; j < WINDOW; j++)
    for (int i = 0; i < WINDOW; i++)
      if (top + i >= 0 && left + j >= 0 && top + i < d->h && left + j < d->w) bits |= (uint64_t)1 << (j * WINDOW + i);
  return bits;
}

/* A window of which only the pixels in `bits` are inside; `corner`, the place of its first pixel, may lie outside. */
static void input_edge(const run *r, const float *image, ptrdiff_t corner, uint64_t bits, float *v) {
  const thaw_conv_desc *d = &r->conv->desc;
  ptrdiff_t pixel = d->x_stride, row = pixel * d->w;
  for (int32_t c = 0; c < d->c; c += LANES) {
    vec window[WINDOW][WINDOW];
#pragma GCC unroll 6
    for (int j = 0; j < WINDOW; j++)
#pragma GCC unroll 6
      for (int i = 0; i < WINDOW; i++) {
        window[j][i] = zero();
        if (bits >> (j * WINDOW + i) & 1) window[j][i] = load(image + (corner + i * row + j * pixel + c));
      }
    input_2d(window, v + c, r->v_plane);
  }
}

/* As input_edge, for any number of channels and with a prologue. */
static void input_general(const run *r, const float *image, ptrdiff_t corner, uint64_t bits, float *v) {
  const thaw_conv_desc *d = &r->conv->desc;
  ptrdiff_t pixel = d->x_stride, row = pixel * d->w;
  for (int32_t c = 0; c < d->c; c += LANES) {
    vec window[WINDOW][WINDOW];
    int count = d->c - c;
    vec scale = d->prologue ? load(r->scale + c) : zero(), shift = d->prologue ? load(r->shift + c) : zero();
    for (int j = 0; j < WINDOW; j++)
      for (int i = 0; i < WINDOW; i++) {
        window[j][i] = zero();
        if (!(bits >> (j * WINDOW + i) & 1)) continue;
        vec a = load_some(image + (corner + i * row + j * pixel + c), count);
        if (d->prologue) a = max_of(zero(), fma_of(a, scale, shift));
        window[j][i] = a;
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
    ptrdiff_t corner = ((ptrdiff_t)top * d->w + left) * d->x_stride;
    if (plain && top >= 0 && left >= 0 && top + WINDOW <= d->h && left + WINDOW <= d->w) {
      input_inside(r, x + corner, v);
    } else if (plain) {
      input_edge(r, x, corner, inside_bits(d, top, left), v);
    } else {
      input_general(r, x, corner, inside_bits(d, top, left), v);
    }
  }
}

/* Some tiles times one panel of weights. */
typedef struct part {
  const float *v, *u;
  float *m;
  size_t v_row, m_row;
  int length; /* channels */
  ahead soon;
} part;

ALWAYS_INLINE void product(const int rows, const int vectors, const part *t) {
  vec s[ROWS][2];
  tile_clear(rows, s);
  tile_multiply(rows, vectors, t->v, t->v_row, 1, t->u, PANEL, t->length, t->soon, s);
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++) {
    store(t->m + (size_t)i * t->m_row, s[i][0]);
    if (vectors > 1) store(t->m + (size_t)i * t->m_row + LANES, s[i][1]);
  }
}

static void product_narrow(int rows, const part *t) {
#define CALL(R) product(R, 1, t)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

static void product_wide(int rows, const part *t) {
#define CALL(R) product(R, 2, t)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

/* m = v * u for the tiles of a block and the output channels first_k .. first_k + width. While a panel of weights is in
 * use, the next one is fetched. */
static void products(const run *r, int count, int32_t first_k, int32_t width) {
  const thaw_conv_desc *d = &r->conv->desc;
  size_t panels = thaw_round_up((size_t)d->k, PANEL) / PANEL, size = (size_t)d->c * PANEL;
  int groups = tile_groups(count);
  part t = {.v_row = r->v_row, .m_row = r->m_row, .length = d->c};
  t.soon.step = PANEL * sizeof(float) / (size_t)groups;
  for (int p = 0; p < POINTS; p++)
    for (int32_t k = 0; k < width; k += PANEL) {
      bool narrow = d->k - first_k - k <= LANES, last = k + PANEL >= width;
      t.u = r->u + ((size_t)p * panels + (size_t)((first_k + k) / PANEL)) * size;
      const char *next =
          (const char *)(last ? r->u + ((size_t)(p + 1) * panels + (size_t)(first_k / PANEL)) * size : t.u + size);
      for (int g = 0; g < groups; g++) {
        int q = count * g / groups, rows = count * (g + 1) / groups - q;
        t.v = r->v + (size_t)p * r->v_plane + (size_t)q * r->v_row;
        t.m = r->m + (size_t)p * r->m_plane + (size_t)q * r->m_row + k;
        t.soon.next = next + (size_t)g * t.soon.step * (size_t)d->c;
        (narrow ? product_narrow : product_wide)(rows, &t);
      }
    }
}

/* Where a tile's outputs go: the tile's corner (top, left) in image `image`, channels from k on. */
typedef struct place {
  int64_t image;
  int32_t top, left, k;
} place;

/* A^T m A of LANES channels, plus bias; m points to the tile's first product. */
ALWAYS_INLINE void output_2d(const run *r, const float *m, vec bias, vec o[TILE][TILE]) {
  vec t[WINDOW][TILE];
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
#pragma GCC unroll 4
    for (int j = 0; j < TILE; j++) o[i][j] = o[i][j] + bias;
  }
}

ALWAYS_INLINE vec pool_2x2(vec o[TILE][TILE], int i, int j) {
  return max_of(max_of(o[2 * i][2 * j], o[2 * i][2 * j + 1]), max_of(o[2 * i + 1][2 * j], o[2 * i + 1][2 * j + 1]));
}

/* A whole tile, whole vectors, clamped to low .. high (the activations that are a clamp). */
ALWAYS_INLINE void output_inside(const bool pool, const bool residual, const run *r, const float *m, const place *at) {
  const thaw_conv_desc *d = &r->conv->desc;
  size_t h = (size_t)r->conv->h_conv, w = (size_t)r->conv->w_conv, pixel = (size_t)d->y_stride;
  vec o[TILE][TILE];
  output_2d(r, m, load(r->bias + at->k), o);
  size_t corner = ((size_t)at->image * h + (size_t)at->top) * w + (size_t)at->left;
  const float *add = residual ? r->residual + corner * (size_t)d->k + at->k : NULL;
#pragma GCC unroll 4
  for (int i = 0; i < TILE; i++)
#pragma GCC unroll 4
    for (int j = 0; j < TILE; j++) {
      if (residual) o[i][j] = o[i][j] + load(add + ((size_t)i * w + (size_t)j) * (size_t)d->k);
      o[i][j] = max_of(r->low, min_of(r->high, o[i][j]));
      float *y = r->y + (corner + (size_t)i * w + (size_t)j) * pixel + at->k;
      if (pool) continue;
      __builtin_prefetch(y + TILE * pixel, 1); /* the next tile */
      store(y, o[i][j]);
    }
  if (!pool) return;
  corner = ((size_t)at->image * (h / 2) + (size_t)at->top / 2) * (w / 2) + (size_t)at->left / 2;
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++)
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++)
      store(r->y + (corner + (size_t)i * (w / 2) + (size_t)j) * pixel + at->k, pool_2x2(o, i, j));
}

/* Any tile and any activation. */
static void output_general(const run *r, const float *m, const place *at) {
  const thaw_conv_desc *d = &r->conv->desc;
  int32_t h = r->conv->h_conv, w = r->conv->w_conv, count = d->k - at->k;
  vec o[TILE][TILE];
  output_2d(r, m, load(r->bias + at->k), o);
  for (int i = 0; i < TILE && at->top + i < h; i++)
    for (int j = 0; j < TILE && at->left + j < w; j++) {
      size_t pixel = ((size_t)at->image * (size_t)h + (size_t)(at->top + i)) * (size_t)w + (size_t)(at->left + j);
      if (r->residual) o[i][j] = o[i][j] + load_some(r->residual + pixel * (size_t)d->k + at->k, count);
      o[i][j] = activation_of(d->activation, o[i][j]);
      if (!d->pool) store_some(r->y + pixel * (size_t)d->y_stride + at->k, o[i][j], count);
    }
  if (!d->pool) return;
  h /= 2, w /= 2;
  for (int i = 0; i < 2 && at->top / 2 + i < h; i++)
    for (int j = 0; j < 2 && at->left / 2 + j < w; j++) {
      size_t pixel =
          ((size_t)at->image * (size_t)h + (size_t)(at->top / 2 + i)) * (size_t)w + (size_t)(at->left / 2 + j);
      store_some(r->y + pixel * (size_t)d->y_stride + at->k, pool_2x2(o, i, j), count);
    }
}

static void output_tile(const run *r, const float *m, const place *at) {
  const thaw_conv *conv = r->conv;
  bool whole = at->top + TILE <= conv->h_conv && at->left + TILE <= conv->w_conv && conv->desc.k - at->k >= LANES;
  if (!whole || conv->desc.activation == THAW_SWISH) {
    output_general(r, m, at);
  } else if (r->residual && conv->desc.pool) {
    output_inside(true, true, r, m, at);
  } else if (r->residual) {
    output_inside(false, true, r, m, at);
  } else if (conv->desc.pool) {
    output_inside(true, false, r, m, at);
  } else {
    output_inside(false, false, r, m, at);
  }
}

static void output_tiles(const run *r, int64_t first, int count, int32_t first_k, int32_t width) {
  for (int q = 0; q < count; q++) {
    int32_t tile = (int32_t)((first + q) % (r->rows * r->columns));
    place at = {(first + q) / (r->rows * r->columns), tile / r->columns * TILE, tile % r->columns * TILE, 0};
    for (int32_t k = 0; k < width && first_k + k < r->conv->desc.k; k += LANES) {
      at.k = first_k + k;
      output_tile(r, r->m + (size_t)q * r->m_row + k, &at);
    }
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
  r.low = broadcast(d->activation == THAW_LINEAR ? -INFINITY : 0.f);
  r.high = broadcast(d->activation == THAW_RELU6 ? 6.f : INFINITY);
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
