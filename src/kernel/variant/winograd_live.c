/* winograd_live.c: 3x3 convolutions whose maps have few tiles, with weights that change at every step: these are
 * transformed on their way to the products, and tiles that reach over the map's end take fewer of those.
 *
 * A map of 7 pixels is 4 + 3. For 3 outputs the points 0, 1, -1, 2 and infinity are enough, F(3, 3), and the
 * transformed weights at a point are the same but for a factor, which is put into B^T: a tile that is short in one
 * direction needs 30 of the 36 products, in both 25. With M = x (x - 1) (x + 1) (x - 2), B^T has the coefficients of (a
 * + 2) M / (x - a) in the row of point a, and of M in that of infinity. */
#include "kernel/variant/rows.h"
#include "kernel/variant/tile.h"
#include "kernel/variant/vector_math.h"
#include "kernel/variant/winograd.h"

enum { LEFT_OUT = 4 /* the point -2 */, SHORT = TILE - 1 };
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

/* A tile, and whether it has no more than SHORT outputs in a direction. */
typedef struct spot {
  int64_t image;
  int32_t top, left;
  bool short_down, short_across;
} spot;

/* The tiles of a block of images in four classes, each in one piece, so that the tiles of every point are neighbours.
 */
static void list_tiles(const winograd_run *r, int64_t image, int64_t end, spot *list, winograd_range *range) {
  static const struct { bool down, across; } class[] = {{false, true}, {false, false}, {true, false}, {true, true}};
  int start[5] = {0}, count = 0;
  for (int k = 0; k < 4; k++) {
    for (int64_t i = image; i < end; i++)
      for (int32_t t = 0; t < r->rows * r->columns; t++) {
        spot s = {.image = i, .top = t / r->columns * TILE, .left = t % r->columns * TILE};
        s.short_down = r->conv->h_conv - s.top <= SHORT, s.short_across = r->conv->w_conv - s.left <= SHORT;
        if (s.short_down == class[k].down && s.short_across == class[k].across) list[count++] = s;
      }
    start[k + 1] = count;
  }
  for (int p = 0; p < POINTS; p++) {
    bool down = p / WINDOW == LEFT_OUT, across = p % WINDOW == LEFT_OUT;
    range[p].first = across ? start[1] : 0;
    range[p].count = start[down ? 2 : across ? 3 : 4] - range[p].first;
  }
}

/* ------------------------------------------------------------------ transforms; o may be d */

/* B^T d of six values, or of five to all points but the one left out. */
ALWAYS_INLINE void input_1d(const bool few, const vec d[WINDOW], vec o[WINDOW]) {
  const vec two = broadcast(2.f), three = broadcast(3.f), four = broadcast(4.f), minus_two = broadcast(-2.f);
  if (few) {
    vec up = d[3] - d[1], first = fma_of(four, d[0] - d[2], two * up), last = fma_of(minus_two, up, d[4] - d[2]);
    vec one = three * fma_of(minus_two, d[1], d[3] - d[2]);
    o[2] = fma_of(two, d[1], fma_of(broadcast(-3.f), d[2], d[3]));
    o[0] = first, o[1] = one, o[3] = four * up, o[5] = last;
    return;
  }
  const vec minus_four = broadcast(-4.f), minus_five = broadcast(-5.f);
  vec first = fma_of(four, d[0], fma_of(minus_five, d[2], d[4])),
      last = fma_of(four, d[1], fma_of(minus_five, d[3], d[5]));
  vec a = fma_of(minus_four, d[2], d[4]), b = fma_of(minus_four, d[1], d[3]), e = d[4] - d[2], f = d[3] - d[1];
  o[0] = first, o[1] = a + b, o[2] = a - b, o[3] = fma_of(two, f, e), o[4] = fma_of(minus_two, f, e), o[5] = last;
}

/* A^T m of six values to four, or of all but the one left out to three. */
ALWAYS_INLINE void output_1d(const bool few, const vec m[WINDOW], vec o[TILE]) {
  const vec two = broadcast(2.f), four = broadcast(4.f);
  vec a = m[1] + m[2], b = m[1] - m[2];
  if (few) {
    o[0] = m[0] + a + m[3];
    o[1] = fma_of(two, m[3], b);
    o[2] = fma_of(four, m[3], a) + m[5];
    return;
  }
  vec e = m[3] + m[4], f = m[3] - m[4];
  o[0] = m[0] + a + e;
  o[1] = fma_of(two, f, b);
  o[2] = fma_of(four, e, a);
  o[3] = fma_of(broadcast(8.f), f, b) + m[5];
}

/* v = B^T x B of one tile, all channels. */
ALWAYS_INLINE void input_tile(const bool down, const bool across, const winograd_run *r, const spot *s, float *v) {
  const thaw_conv_desc *d = &r->conv->desc;
  int32_t top = s->top - d->pad_top, left = s->left - d->pad_left;
  ptrdiff_t row = (ptrdiff_t)d->w * d->x_stride, corner = top * row + (ptrdiff_t)left * d->x_stride;
  const float *image = r->x + (ptrdiff_t)s->image * d->h * row;
  for (int32_t c = 0; c < d->c; c += LANES, v += LANES) {
    vec window[WINDOW][WINDOW]; /* column by column */
#pragma GCC unroll 6
    for (int j = 0; j < WINDOW - across; j++) {
#pragma GCC unroll 6
      for (int i = 0; i < WINDOW; i++) {
        bool inside = top + i >= 0 && top + i < d->h && left + j >= 0 && left + j < d->w;
        window[j][i] = zero();
        if (inside) window[j][i] = load_some(image + (corner + i * row + (ptrdiff_t)j * d->x_stride + c), d->c - c);
      }
      input_1d(down, window[j], window[j]);
    }
#pragma GCC unroll 6
    for (int i = 0; i < WINDOW; i++) {
      if (down && i == LEFT_OUT) continue;
      vec o[WINDOW], line[WINDOW];
#pragma GCC unroll 6
      for (int j = 0; j < WINDOW - across; j++) line[j] = window[j][i];
      input_1d(across, line, o);
#pragma GCC unroll 6
      for (int j = 0; j < WINDOW; j++)
        if (!(across && j == LEFT_OUT)) store(v + (size_t)(i * WINDOW + j) * r->v_plane, o[j]);
    }
  }
}

/* y = activation(A^T m A + bias) of one tile, LANES channels from k on; m: the tile's first product. */
ALWAYS_INLINE void output_tile(const bool down, const bool across, const winograd_run *r, const spot *s, int32_t k,
                               const float *m) {
  const thaw_conv_desc *d = &r->conv->desc;
  int32_t h = r->conv->h_conv, w = r->conv->w_conv;
  vec t[WINDOW][TILE];
#pragma GCC unroll 6
  for (int j = 0; j < WINDOW; j++) {
    if (across && j == LEFT_OUT) continue;
    vec column[WINDOW];
#pragma GCC unroll 6
    for (int i = 0; i < WINDOW; i++)
      if (!(down && i == LEFT_OUT)) column[i] = load(m + (size_t)(i * WINDOW + j) * r->m_plane);
    output_1d(down, column, t[j]);
  }
  float *y = r->y + (((size_t)s->image * (size_t)h + (size_t)s->top) * (size_t)w + (size_t)s->left) * (size_t)d->k + k;
#pragma GCC unroll 4
  for (int i = 0; i < TILE - down; i++) {
    vec line[WINDOW], o[TILE];
#pragma GCC unroll 6
    for (int j = 0; j < WINDOW; j++)
      if (!(across && j == LEFT_OUT)) line[j] = t[j][i];
    output_1d(across, line, o);
#pragma GCC unroll 4
    for (int j = 0; j < TILE - across; j++)
      if (s->top + i < h && s->left + j < w)
        store_some(y + ((size_t)i * (size_t)w + (size_t)j) * (size_t)d->k,
                   max_of(r->low, min_of(r->high, o[j] + load(r->bias + k))), d->k - k);
  }
}

static void transform_input(const winograd_run *r, const spot *list, int count) {
  float *v = r->v;
  for (int q = 0; q < count; q++, v += r->v_row) {
    const spot *s = &list[q];
    if (s->short_down && s->short_across)
      input_tile(true, true, r, s, v);
    else if (s->short_down)
      input_tile(true, false, r, s, v);
    else if (s->short_across)
      input_tile(false, true, r, s, v);
    else
      input_tile(false, false, r, s, v);
  }
}

static void transform_output(const winograd_run *r, const spot *list, int count, int32_t first_k, int32_t width) {
  for (int q = 0; q < count; q++) {
    const spot *s = &list[q];
    for (int32_t k = 0; k < width && first_k + k < r->conv->desc.k; k += LANES) {
      const float *m = r->m + (size_t)q * r->m_row + k;
      if (s->short_down && s->short_across)
        output_tile(true, true, r, s, first_k + k, m);
      else if (s->short_down)
        output_tile(true, false, r, s, first_k + k, m);
      else if (s->short_across)
        output_tile(false, true, r, s, first_k + k, m);
      else
        output_tile(false, false, r, s, first_k + k, m);
    }
  }
}

/* ------------------------------------------------------------------ a call */

/* The images image .. end, which have LIVE_TILES tiles at most. */
static void run_images(winograd_run *r, const float *kernel, bool turned, int64_t image, int64_t end, float *u) {
  const thaw_conv *live = r->conv;
  spot list[LIVE_TILES];
  winograd_range range[POINTS];
  int count = (int)(end - image) * r->rows * r->columns;
  list_tiles(r, image, end, list, range);
  r->range = range;
  transform_input(r, list, count);
  for (int32_t k = 0; k < live->desc.k; k += live->k_block) {
    int32_t width = live->desc.k - k < live->k_block ? live->desc.k - k : live->k_block;
    r->first_panel = k / PANEL;
    for (int32_t j = 0; j < width; j += PANEL) THAW_VARIANT(thaw_winograd_panel)
    (&live->desc, kernel, turned, k + j, u + (size_t)j * (size_t)live->desc.c, live->u_plane);
    THAW_VARIANT(thaw_winograd_products)(r, count, k, width);
    transform_output(r, list, count, k, width);
  }
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
  int64_t most = LIVE_TILES / (r.rows * r.columns), blocks = (n + most - 1) / most;
  for (int64_t b = 0; b < blocks; b++) run_images(&r, kernel, turned, n * b / blocks, n * (b + 1) / blocks, u);
}
