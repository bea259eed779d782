/* winograd.c: 3x3 stride-1 convolution by Winograd F(4x4, 3x3): 36 products replace 144. A block of tiles goes through
 * input transform, 36 matrix products and output transform while it is in cache. */
#include "kernel/variant/winograd.h"
#include "kernel/variant/rows.h"
#include "kernel/variant/tile.h"
#include <math.h>

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
void THAW_VARIANT(thaw_winograd_products)(const winograd_run *r, int count, int32_t first_k, int32_t width) {
  const thaw_conv_desc *d = &r->conv->desc;
  size_t size = (size_t)d->c * PANEL;
  int groups = tile_groups(count);
  part t = {.v_row = r->v_row, .m_row = r->m_row, .length = d->c};
  t.soon.step = PANEL * sizeof(float) / (size_t)groups;
  for (int p = 0; p < POINTS; p++)
    for (int32_t k = 0; k < width; k += PANEL) {
      bool narrow = d->k - first_k - k <= LANES, last = k + PANEL >= width;
      size_t panel = (size_t)((first_k + k) / PANEL - r->first_panel);
      const float *plane = r->u + (size_t)p * r->u_plane;
      const float *next =
          last ? plane + r->u_plane + (size_t)(first_k / PANEL - r->first_panel) * size : plane + (panel + 1) * size;
      t.u = plane + panel * size;
      for (int g = 0; g < groups; g++) {
        int q = count * g / groups, rows = count * (g + 1) / groups - q;
        t.v = r->v + (size_t)p * r->v_plane + (size_t)q * r->v_row;
        t.m = r->m + (size_t)p * r->m_plane + (size_t)q * r->m_row + k;
        t.soon.next = (const char *)next + (size_t)g * t.soon.step * (size_t)d->c;
        (narrow ? product_narrow : product_wide)(rows, &t);
      }
    }
}

winograd_run THAW_VARIANT(thaw_winograd_run)(const thaw_conv *conv) {
  const thaw_conv_desc *d = &conv->desc;
  winograd_run r = {.conv = conv};
  r.rows = (conv->h_conv + TILE - 1) / TILE, r.columns = (conv->w_conv + TILE - 1) / TILE;
  r.u_plane = conv->u_plane;
  r.v_row = thaw_winograd_row(d->c), r.v_plane = thaw_winograd_plane(conv->block, r.v_row);
  r.m_row = thaw_winograd_row(conv->k_block), r.m_plane = thaw_winograd_plane(conv->block, r.m_row);
  r.low = broadcast(d->activation == THAW_LINEAR ? -INFINITY : 0.f);
  r.high = broadcast(d->activation == THAW_RELU6 ? 6.f : INFINITY);
  return r;
}

void THAW_VARIANT(thaw_winograd)(const thaw_conv *conv, const float *packed, const float *x, int32_t n,
                                 const float *residual, float *y, float *scratch) {
  const thaw_conv_desc *d = &conv->desc;
  winograd_run r = THAW_VARIANT(thaw_winograd_run)(conv);
  r.u = packed, r.bias = packed + conv->bias_at;
  r.scale = packed + conv->scale_at, r.shift = packed + conv->shift_at;
  r.x = x, r.residual = residual, r.y = y;
  r.v = scratch, r.m = scratch + POINTS * r.v_plane;
  int64_t tiles = (int64_t)n * r.rows * r.columns, blocks = (tiles + conv->block - 1) / conv->block;
  for (int64_t b = 0; b < blocks; b++) {
    int64_t first = tiles * b / blocks;
    int count = (int)(tiles * (b + 1) / blocks - first);
    THAW_VARIANT(thaw_winograd_input)(&r, first, count);
    for (int32_t k = 0; k < d->k; k += conv->k_block) {
      int32_t width = d->k - k < conv->k_block ? d->k - k : conv->k_block;
      THAW_VARIANT(thaw_winograd_products)(&r, count, k, width);
      THAW_VARIANT(thaw_winograd_output)(&r, first, count, k, width);
    }
  }
}

/* ------------------------------------------------------------------ live: weights on their way */

enum { LIVE_TILES = 128, LIVE_CHANNELS = 128 };

typedef struct live_scratch {
  size_t v, m, u, bias, total; /* floats */
} live_scratch;

/* The convolution in blocks of up to LIVE_TILES tiles and LIVE_CHANNELS output channels: a point's transformed input
 * comes from the third-level cache once per such block of weights. */
static thaw_conv live_plan(const thaw_conv *conv) {
  thaw_conv live = *conv;
  size_t channels = thaw_round_up((size_t)conv->desc.k, PANEL);
  if (channels > LIVE_CHANNELS) channels = LIVE_CHANNELS;
  live.block = LIVE_TILES;
  live.k_block = (int32_t)channels;
  live.u_plane = thaw_winograd_plane(1, (size_t)conv->desc.c * channels);
  return live;
}

static live_scratch lay_out_live(const thaw_conv *live) {
  const thaw_conv_desc *d = &live->desc;
  live_scratch s = {0};
  s.m = POINTS * thaw_winograd_plane(live->block, thaw_winograd_row(d->c));
  s.u = s.m + POINTS * thaw_winograd_plane(live->block, thaw_winograd_row(live->k_block));
  s.bias = s.u + POINTS * live->u_plane;
  s.total = s.bias + thaw_round_up((size_t)d->k, PANEL);
  return s;
}

size_t THAW_VARIANT(thaw_winograd_live_scratch)(const thaw_conv *conv) {
  thaw_conv live = live_plan(conv);
  return lay_out_live(&live).total;
}

void THAW_VARIANT(thaw_winograd_live)(const thaw_conv *conv, const float *kernel, const float *bias, bool turned,
                                      const float *x, int32_t n, float *y, float *scratch) {
  thaw_conv live = live_plan(conv);
  const thaw_conv_desc *d = &live.desc;
  live_scratch s = lay_out_live(&live);
  winograd_run r = THAW_VARIANT(thaw_winograd_run)(&live);
  float *u = scratch + s.u, *padded = scratch + s.bias;
  for (size_t k = 0; k < thaw_round_up((size_t)d->k, PANEL); k++) padded[k] = bias && k < (size_t)d->k ? bias[k] : 0;
  r.u = u, r.bias = padded, r.x = x, r.y = y;
  r.v = scratch + s.v, r.m = scratch + s.m;
  int64_t tiles = (int64_t)n * r.rows * r.columns, blocks = (tiles + live.block - 1) / live.block;
  for (int64_t b = 0; b < blocks; b++) {
    int64_t first = tiles * b / blocks;
    int count = (int)(tiles * (b + 1) / blocks - first);
    THAW_VARIANT(thaw_winograd_input)(&r, first, count);
    for (int32_t k = 0; k < d->k; k += live.k_block) {
      int32_t width = d->k - k < live.k_block ? d->k - k : live.k_block;
      r.first_panel = k / PANEL;
      for (int32_t j = 0; j < width; j += PANEL)
        THAW_VARIANT(thaw_winograd_panel)(d, kernel, turned, k + j, u + (size_t)j * (size_t)d->c, live.u_plane);
      THAW_VARIANT(thaw_winograd_products)(&r, count, k, width);
      THAW_VARIANT(thaw_winograd_output)(&r, first, count, k, width);
    }
  }
}
