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
  part t = {.v_row = r->v_row, .m_row = r->m_row, .length = d->c};
  for (int p = 0; p < POINTS; p++) {
    int from = r->range ? r->range[p].first : 0, tiles = r->range ? r->range[p].count : count;
    int groups = tile_groups(tiles);
    if (groups) t.soon.step = PANEL * sizeof(float) / (size_t)groups;
    for (int32_t k = 0; k < width && groups; k += PANEL) {
      bool narrow = d->k - first_k - k <= LANES, last = k + PANEL >= width;
      size_t panel = (size_t)((first_k + k) / PANEL - r->first_panel);
      const float *plane = r->u + (size_t)p * r->u_plane;
      const float *next =
          last ? plane + r->u_plane + (size_t)(first_k / PANEL - r->first_panel) * size : plane + (panel + 1) * size;
      t.u = plane + panel * size;
      for (int g = 0; g < groups; g++) {
        int q = from + tiles * g / groups, rows = from + tiles * (g + 1) / groups - q;
        t.v = r->v + (size_t)p * r->v_plane + (size_t)q * r->v_row;
        t.m = r->m + (size_t)p * r->m_plane + (size_t)q * r->m_row + k;
        t.soon.next = (const char *)next + (size_t)g * t.soon.step * (size_t)d->c;
        (narrow ? product_narrow : product_wide)(rows, &t);
      }
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
