/* winograd_output.c: A^T m A, bias, residual, activation and pooling of 4x4 tiles. */
#include "kernel/variant/vector_math.h"
#include "kernel/variant/winograd.h"

/* A^T m of six values to four */
ALWAYS_INLINE void output_1d(const vec m[WINDOW], vec o[TILE]) {
  vec a = m[1] + m[2], b = m[1] - m[2], e = m[3] + m[4], f = m[3] - m[4];
  o[0] = m[0] + a + e;
  o[1] = fma_of(broadcast(2.f), f, b);
  o[2] = fma_of(broadcast(4.f), e, a);
  o[3] = fma_of(broadcast(8.f), f, b) + m[5];
}

/* Where a tile's outputs go: the tile's corner (top, left) in image `image`, channels from k on. */
typedef struct place {
  int64_t image;
  int32_t top, left, k;
} place;

/* A^T m A of LANES channels, plus bias; m points to the tile's first product. */
ALWAYS_INLINE void output_2d(const winograd_run *r, const float *m, vec bias, vec o[TILE][TILE]) {
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
ALWAYS_INLINE void output_inside(const bool pool, const bool residual, const winograd_run *r, const float *m,
                                 const place *at) {
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
static void output_general(const winograd_run *r, const float *m, const place *at) {
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

static void output_tile(const winograd_run *r, const float *m, const place *at) {
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

void THAW_VARIANT(thaw_winograd_output)(const winograd_run *r, int64_t first, int count, int32_t first_k,
                                        int32_t width) {
  for (int q = 0; q < count; q++) {
    int32_t tile = (int32_t)((first + q) % (r->rows * r->columns));
    place at = {(first + q) / (r->rows * r->columns), tile / r->columns * TILE, tile % r->columns * TILE, 0};
    for (int32_t k = 0; k < width && first_k + k < r->conv->desc.k; k += LANES) {
      at.k = first_k + k;
      output_tile(r, r->m + (size_t)q * r->m_row + k, &at);
    }
  }
}
