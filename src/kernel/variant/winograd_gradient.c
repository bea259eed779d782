/* winograd_gradient.c: the gradient of a 3x3 stride-1 convolution's weights by the adjoint of its Winograd transforms,
 * a quarter of the multiplications:
 *
 *   y = A^T [(G g G^T) . (B^T x B)] A summed over input channels, so with dm = A dy A^T
 *   dg = G^T [sum over tiles of (B^T x B) . dm] G
 *
 * Block sizes are the same for every instruction set, since the sums go block by block. */
#include "kernel/variant/exact.h"
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
  ahead soon;
} sums;

ALWAYS_INLINE void sum_tiles(const int rows, const int vectors, const sums *t) {
  vec s[ROWS][2];
  tile_clear(rows, s);
  tile_multiply(rows, vectors, t->v, 1, t->v_row, t->m, t->m_row, t->count, t->soon, s);
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

/* o = G^T u G of one vector of channels; u: its first point, points `plane` floats apart. */
ALWAYS_INLINE void weights_back_2d(const float *u, size_t plane, vec o[SIDE][SIDE]) {
  vec t[WINDOW][SIDE];
#pragma GCC unroll 6
  for (int q = 0; q < WINDOW; q++) {
    vec column[WINDOW];
#pragma GCC unroll 6
    for (int i = 0; i < WINDOW; i++) column[i] = load(u + (size_t)(i * WINDOW + q) * plane);
    weights_back_1d(column, t[q]);
  }
#pragma GCC unroll 3
  for (int i = 0; i < SIDE; i++) {
    vec across[WINDOW] = {t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]};
    weights_back_1d(across, o[i]);
  }
}

/* gradient [9][c][k] (+)= G^T u G for the panel's `count` channels from `first` on. */
static void finish_gradient(const thaw_conv_desc *d, const float *u, size_t plane, int32_t first, bool accumulate,
                            float *gradient) {
  size_t c = (size_t)d->c, k = (size_t)d->k;
  for (size_t ci = 0; ci < c; ci++)
    for (int j = 0; j < PANEL && first + j < d->k; j += LANES) {
      vec o[SIDE][SIDE];
      weights_back_2d(u + ci * PANEL + j, plane, o);
#pragma GCC unroll 3
      for (int i = 0; i < SIDE; i++)
#pragma GCC unroll 3
        for (int q = 0; q < SIDE; q++) {
          float *to = gradient + ((size_t)(i * SIDE + q) * c + ci) * k + first + j;
          int count = d->k - first - j;
          store_some(to, accumulate ? o[i][q] + load_some(to, count) : o[i][q] + zero(), count);
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

/* ------------------------------------------------------------------ quantised, all slices together
 * Slices of at most THAW_EXACT_TILES tiles, which are one block above. m [panel][36][tiles][PANEL] of the slices is
 * made once; then STRIP input channels at a time go through all panels: v [36][tiles][STRIP] stays in the second-level
 * cache. For each slice, ROWS channels by a panel of sums over tiles go back from Winograd's domain and are rounded. */

enum { STRIP = 32, MOST_COLUMNS = 512, MOST_SLICES = 64, TAPS = SIDE * SIDE };

typedef struct exact_layout {
  size_t v, m, u, block, total; /* floats */
  size_t v_plane, m_plane, u_plane;
} exact_layout;

static exact_layout lay_out_exact(const thaw_conv_desc *d) {
  size_t columns = d->k < MOST_COLUMNS ? (size_t)d->k : MOST_COLUMNS, panels = (columns + PANEL - 1) / PANEL;
  exact_layout w = {.v_plane = thaw_winograd_plane(THAW_EXACT_TILES, thaw_winograd_row(STRIP)),
                    .m_plane = thaw_winograd_plane(THAW_EXACT_TILES, PANEL),
                    .u_plane = ROWS * PANEL};
  w.m = w.v + POINTS * w.v_plane;
  w.u = w.m + panels * POINTS * w.m_plane;
  w.block = w.u + POINTS * w.u_plane;
  w.total = w.block + TAPS * STRIP * PANEL * sizeof(int64_t) / sizeof(float);
  return w;
}

size_t THAW_VARIANT(thaw_winograd_gradient_exact_scratch)(const thaw_conv_desc *d) {
  return lay_out_exact(d).total;
}

/* Consecutive slices. */
typedef struct exact_work {
  winograd_run r;    /* of all channels */
  winograd_run part; /* of STRIP input channels */
  exact_layout w;
  const float *dy;
  const int32_t *start; /* samples */
  int slices, tiles;    /* tiles: of one image */
  int32_t column, columns;
  double magic;
  bool add;
  float *scratch;
  int64_t *sums;
  ivec *most; /* [slices] */
} exact_work;

static int all_tiles(const exact_work *t) {
  return (t->start[t->slices] - t->start[0]) * t->tiles;
}

/* Channels beyond the last one. */
static void clear_column(const winograd_run *r, int count, int column) {
  for (int p = 0; p < POINTS; p++)
    for (int q = 0; q < count; q++) store(r->m + (size_t)p * r->m_plane + (size_t)q * r->m_row + column, zero());
}

static void transform_columns(exact_work *t) {
  for (int32_t j = 0; j < t->columns; j += PANEL) {
    winograd_run r = t->r;
    r.m = t->scratch + t->w.m + (size_t)(j / PANEL) * POINTS * t->w.m_plane;
    r.m_row = PANEL, r.m_plane = t->w.m_plane;
    for (int i = 0; i < PANEL; i += LANES) {
      if (i < t->columns - j)
        transform_gradient(&r, t->dy, 0, all_tiles(t), t->column + j + i, i);
      else
        clear_column(&r, all_tiles(t), i);
    }
  }
}

/* Sums over the tiles of one slice for group `g` of the strip's input channels; m: the panel's first point. Meanwhile
 * the next slice's gradients, or the next panel's, are fetched, a part by each group. */
static void sum_slice(const exact_work *t, int slice, int g, const float *m) {
  int count = t->part.conv->desc.c, groups = tile_groups(count), row = count * g / groups;
  size_t at = (size_t)(t->start[slice] - t->start[0]) * (size_t)t->tiles;
  sums s = {.v_row = t->part.v_row, .m_row = PANEL, .count = (t->start[slice + 1] - t->start[slice]) * t->tiles};
  const float *next = slice + 1 < t->slices ? m + (at + (size_t)s.count) * PANEL : m + POINTS * t->w.m_plane;
  s.soon.step = PANEL * sizeof(float) / (size_t)groups;
  for (int p = 0; p < POINTS; p++) {
    s.v = t->part.v + (size_t)p * t->part.v_plane + at * s.v_row + (size_t)row;
    s.m = m + (size_t)p * t->w.m_plane + at * PANEL;
    s.u = t->scratch + t->w.u + (size_t)p * t->w.u_plane;
    s.soon.next = (const char *)(next + (size_t)p * t->w.m_plane) + s.soon.step * (size_t)(s.count * g);
    sum_tiles_any(count * (g + 1) / groups - row, false, &s);
  }
}

/* One slice's gradient of a group of the strip's input channels. */
static void gradient_rows(const exact_work *t, int slice, int g, const float *m) {
  int count = t->part.conv->desc.c, groups = tile_groups(count), row = count * g / groups;
  int rows = count * (g + 1) / groups - row;
  const float *u = t->scratch + t->w.u;
  int64_t *block = (int64_t *)(t->scratch + t->w.block);
  sum_slice(t, slice, g, m);
  ivec most = t->most[slice];
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < PANEL; j += LANES) {
      vec o[SIDE][SIDE];
      weights_back_2d(u + i * PANEL + j, t->w.u_plane, o);
#pragma GCC unroll 9
      for (int tap = 0; tap < TAPS; tap++)
        put_rounded(o[tap / SIDE][tap % SIDE], t->magic, slice > 0, block + (tap * STRIP + row + i) * PANEL + j, &most);
    }
  t->most[slice] = most;
}

/* The gradient of `count` input channels from `first` on. */
static void gradient_strip(exact_work *t, int32_t first, int32_t count) {
  size_t c = (size_t)t->r.conv->desc.c, k = (size_t)t->r.conv->desc.k;
  thaw_conv conv = *t->r.conv;
  conv.desc.c = count;
  t->part.conv = &conv;
  t->part.x = t->r.x + first;
  THAW_VARIANT(thaw_winograd_input)(&t->part, 0, all_tiles(t));
  int groups = tile_groups(count);
  for (int32_t j = 0; j < t->columns; j += PANEL) {
    const float *m = t->scratch + t->w.m + (size_t)(j / PANEL) * POINTS * t->w.m_plane;
    for (int s = 0; s < t->slices; s++)
      for (int g = 0; g < groups; g++) gradient_rows(t, s, g, m);
    for (size_t tap = 0; tap < TAPS; tap++)
      put_block((int64_t *)(t->scratch + t->w.block) + tap * STRIP * PANEL, count, t->columns - j, t->add, k,
                t->sums + (tap * c + (size_t)first) * k + (size_t)(t->column + j));
  }
}

static int slices_together(const int32_t *start, int32_t slices, int tiles) {
  int count = 1;
  while (count < slices && count < MOST_SLICES && (start[count + 1] - start[0]) * tiles <= THAW_EXACT_TILES) count++;
  return count;
}

static void gradient_slices(exact_work *t) {
  const thaw_conv_desc *d = &t->r.conv->desc;
  for (t->column = 0; t->column < d->k; t->column += MOST_COLUMNS) {
    t->columns = d->k - t->column < MOST_COLUMNS ? d->k - t->column : MOST_COLUMNS;
    transform_columns(t);
    for (int32_t c = 0; c < d->c; c += STRIP) gradient_strip(t, c, d->c - c < STRIP ? d->c - c : STRIP);
  }
}

void THAW_VARIANT(thaw_winograd_gradient_exact)(const thaw_conv_desc *desc, const float *x, const float *dy,
                                                const int32_t *slice_start, int32_t slices,
                                                const thaw_exact_terms *terms, float *scratch) {
  ivec most[MOST_SLICES];
  thaw_conv conv = plan(desc, 1);
  exact_work t = {.r = THAW_VARIANT(thaw_winograd_run)(&conv), .w = lay_out_exact(desc), .scratch = scratch};
  t.part = t.r;
  t.part.v = scratch + t.w.v, t.part.v_row = thaw_winograd_row(STRIP), t.part.v_plane = t.w.v_plane;
  t.tiles = t.r.rows * t.r.columns;
  t.magic = 0x1.8p52 / terms->factor;
  t.sums = terms->sums, t.most = most;
  for (int32_t done = 0; done < slices; done += t.slices) {
    t.start = slice_start + done;
    t.slices = slices_together(t.start, slices - done, t.tiles);
    t.r.x = x + (size_t)t.start[0] * (size_t)desc->h * (size_t)desc->w * (size_t)desc->c;
    t.dy = dy + (size_t)t.start[0] * (size_t)conv.h_conv * (size_t)conv.w_conv * (size_t)desc->k;
    t.add = done > 0 || !terms->fresh;
    memset(most, 0, (size_t)t.slices * sizeof *most);
    gradient_slices(&t);
    for (int s = 0; s < t.slices; s++) terms->largest[done + s] = largest_lane(&most[s]);
  }
  _mm_sfence(); /* streamed sums, before another thread is told of them */
}
