/* gradient_exact.c: the weight gradient of 1x1 convolutions, quantised to int64 as soon as a tile of it is complete
 * (exact.h).
 *
 *     for each slice: sums [c][k] += round(factor * x^T dy), x [rows][c] the pixels that the kernel sees, dy [rows][k]
 *
 * Blocks as in gemm.c: panels of dy are packed for as many slices as fit together, a block of columns of x stays in the
 * second-level cache while they pass by, and the integers of a block and a panel are added over the slices before they
 * go to memory. */
#include "kernel/variant/exact.h"
#include "kernel/variant/rows.h"
#include "kernel/variant/tile.h"
#include "kernel/variant/variant.h"

enum { BLOCK_GROUPS = 8, MOST_COLUMNS = 512, MOST_SLICES = 64, AHEAD = 8 /* rows */ };

/* Consecutive slices, and one part of the columns of dy. */
typedef struct work {
  const thaw_conv_desc *desc;
  int32_t w, pixels; /* of the output */
  const int32_t *start;
  int slices, rows; /* rows: of all slices */
  const float *x, *dy;
  int32_t column, columns;
  double magic;
  int64_t *sums;
  bool add;
  float *packed_x, *packed_dy;
  int64_t *block;
  ivec *most; /* [slices] */
} work;

/* Floats from one group of the packed x to the next: packing writes a few beyond. */
static size_t group_floats(int rows) {
  return (size_t)rows * ROWS + LANES;
}

static int32_t group_start(const thaw_conv_desc *d, int32_t group) {
  return (int32_t)((int64_t)d->c * group / tile_groups(d->c));
}

/* Rows lie pages apart, where no hardware looks ahead: asks for a part of one of the next rows. */
ALWAYS_INLINE void fetch(const float *row, size_t floats) {
  for (size_t i = 0; i < floats; i += THAW_ALIGN_FLOATS) __builtin_prefetch(row + i);
}

/* [panel][rows][PANEL], zeros beyond the last column; CHUNK panels of each row at a time. */
static void pack_dy(const work *t) {
  enum { CHUNK = 4 * PANEL };
  size_t k = (size_t)t->desc->k, panel = (size_t)t->rows * PANEL;
  for (int32_t first = 0; first < t->columns; first += CHUNK) {
    int32_t end = first + CHUNK < t->columns ? first + CHUNK : t->columns;
    const float *from = t->dy + t->column;
    for (int row = 0; row < t->rows; row++, from += k) {
      if (row + AHEAD < t->rows) fetch(from + AHEAD * k + first, (size_t)(end - first));
      float *to = t->packed_dy + (size_t)(first / PANEL) * panel + (size_t)row * PANEL;
      for (int32_t j = first; j < end; j += PANEL, to += panel)
#pragma GCC unroll 2
        for (int i = 0; i < PANEL; i += LANES)
          store(to + i, end - j > i ? load_some(from + j + i, end - j - i) : zero());
    }
  }
}

/* Where a 1x1 convolution reads its output pixel `row`. */
ALWAYS_INLINE const float *pixel_of(const work *t, int32_t row) {
  const thaw_conv_desc *d = t->desc;
  int32_t place = row % t->pixels, y = place / t->w * d->stride_h, x = place % t->w * d->stride_w;
  return t->x + (((size_t)(row / t->pixels) * (size_t)d->h + (size_t)y) * (size_t)d->w + (size_t)x) * (size_t)d->c;
}

/* [group][rows][ROWS] of the groups first .. end. */
static void pack_x(const work *t, int32_t first, int32_t end) {
  const thaw_conv_desc *d = t->desc;
  int32_t start[BLOCK_GROUPS + 1];
  for (int32_t g = first; g <= end; g++) start[g - first] = group_start(d, g);
  size_t floats = (size_t)(start[end - first] - start[0]), step = group_floats(t->rows);
  float *to = t->packed_x;
  for (int32_t i = 0; i < t->rows; i++, to += ROWS) {
    if (i + AHEAD < t->rows) fetch(pixel_of(t, i + AHEAD) + start[0], floats);
    const float *from = pixel_of(t, i);
    for (int32_t g = 0; g < end - first; g++)
      store(to + (size_t)g * step, load_some(from + start[g], start[g + 1] - start[g]));
  }
}

/* The gradient of one slice: some columns of x by a panel of dy. */
typedef struct part {
  const float *x, *dy;
  int length;
  double magic;
  bool add;
  int64_t *block;
  ivec *most;
  ahead soon;
} part;

ALWAYS_INLINE void multiply(const int rows, const part *t) {
  vec s[ROWS][2];
  tile_clear(rows, s);
  tile_multiply(rows, 2, t->x, 1, ROWS, t->dy, PANEL, t->length, t->soon, s);
  ivec most = *t->most;
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) put_rounded(s[i][j], t->magic, t->add, t->block + i * PANEL + j * LANES, &most);
  *t->most = most;
}

static void multiply_any(int rows, const part *t) {
#define CALL(R) multiply(R, t)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

/* The groups first .. end of x times one panel of dy, all slices. */
static void multiply_panel(const work *t, int32_t first, int32_t end, const float *dy) {
  const thaw_conv_desc *d = t->desc;
  int32_t row = group_start(d, first);
  part p = {.magic = t->magic};
  p.soon.step = PANEL * sizeof(float) / (size_t)(end - first);
  for (int s = 0; s < t->slices; s++) {
    size_t at = (size_t)(t->start[s] - t->start[0]) * (size_t)t->pixels;
    p.length = (t->start[s + 1] - t->start[s]) * t->pixels;
    p.dy = dy + at * PANEL;
    p.add = s > 0;
    p.most = &t->most[s];
    for (int32_t g = first; g < end; g++) {
      int32_t from = group_start(d, g);
      p.x = t->packed_x + (size_t)(g - first) * group_floats(t->rows) + at * ROWS;
      p.block = t->block + (size_t)(from - row) * PANEL;
      p.soon.next =
          (const char *)(p.dy + (size_t)t->rows * PANEL) + p.soon.step * (size_t)p.length * (size_t)(g - first);
      multiply_any(group_start(d, g + 1) - from, &p);
    }
  }
}

static void multiply_columns(const work *t) {
  const thaw_conv_desc *d = t->desc;
  int32_t groups = tile_groups(d->c), blocks = (groups + BLOCK_GROUPS - 1) / BLOCK_GROUPS;
  pack_dy(t);
  for (int32_t b = 0; b < blocks; b++) {
    int32_t first = groups * b / blocks, end = groups * (b + 1) / blocks;
    int32_t row = group_start(d, first), rows = group_start(d, end) - row;
    pack_x(t, first, end);
    for (int32_t j = 0; j < t->columns; j += PANEL) {
      multiply_panel(t, first, end, t->packed_dy + (size_t)j * (size_t)t->rows);
      put_block(t->block, rows, t->columns - j, t->add, (size_t)d->k,
                t->sums + (size_t)row * (size_t)d->k + (size_t)(t->column + j));
    }
  }
}

static int slices_together(const int32_t *start, int32_t slices, int32_t pixels) {
  int count = 1;
  while (count < slices && count < MOST_SLICES && (start[count + 1] - start[0]) * pixels <= THAW_EXACT_ROWS) count++;
  return count;
}

static size_t block_bytes(void) {
  return (size_t)BLOCK_GROUPS * ROWS * PANEL * sizeof(int64_t);
}

static size_t x_floats(void) {
  return thaw_round_up(BLOCK_GROUPS * group_floats(THAW_EXACT_ROWS), THAW_ALIGN_FLOATS);
}

size_t THAW_VARIANT(thaw_pointwise_gradient_scratch)(const thaw_conv_desc *d) {
  size_t columns = d->k < MOST_COLUMNS ? (size_t)d->k : MOST_COLUMNS;
  return block_bytes() / sizeof(float) + x_floats() + THAW_EXACT_ROWS * thaw_round_up(columns, PANEL);
}

void THAW_VARIANT(thaw_pointwise_gradient)(const thaw_conv_desc *d, const float *x, const float *dy,
                                           const int32_t *slice_start, int32_t slices, const thaw_exact_terms *terms,
                                           float *scratch) {
  ivec most[MOST_SLICES];
  int32_t h, w;
  thaw_conv_output(d, &h, &w);
  work t = {.desc = d, .w = w, .pixels = h * w, .magic = 0x1.8p52 / terms->factor, .sums = terms->sums, .most = most};
  t.block = (int64_t *)scratch;
  t.packed_x = scratch + block_bytes() / sizeof *scratch, t.packed_dy = t.packed_x + x_floats();
  for (int32_t done = 0; done < slices; done += t.slices) {
    t.start = slice_start + done;
    t.slices = slices_together(t.start, slices - done, t.pixels);
    t.rows = (t.start[t.slices] - t.start[0]) * t.pixels;
    t.x = x + (size_t)t.start[0] * (size_t)d->h * (size_t)d->w * (size_t)d->c;
    t.dy = dy + (size_t)t.start[0] * (size_t)t.pixels * (size_t)d->k;
    t.add = done > 0 || !terms->fresh;
    memset(most, 0, (size_t)t.slices * sizeof *most);
    for (t.column = 0; t.column < d->k; t.column += MOST_COLUMNS) {
      t.columns = d->k - t.column < MOST_COLUMNS ? d->k - t.column : MOST_COLUMNS;
      multiply_columns(&t);
    }
    for (int s = 0; s < t.slices; s++) terms->largest[done + s] = largest_lane(&most[s]);
  }
  _mm_sfence(); /* streamed sums, before another thread is told of them */
}
