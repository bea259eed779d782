/* exact.c: weight gradients of a dense layer, quantised to int64 while they are in registers.
 *
 * A slice's gradient x^T dy is a float chain over the slice's rows, rounded as exact.h says. The bits of all slices are
 * added as integers; those of 1.5 * 2^52, once per slice, are taken off at the end. */
#include "kernel/variant/exact.h"
#include "kernel/variant/rows.h"
#include "kernel/variant/variant.h"

/* TILE x 2 vectors of sums stay in registers, with twice as many of integers (on AVX2 some of those in the first-level
 * cache). STRIP columns of x, a cache line of each row, are brought together for all slices of a group. */
enum { TILE = 4, STRIP = 16, GROUP_SLICES = 64, GROUP_ROWS = 256 };

/* Consecutive slices whose rows of x and dy are looked at together. */
typedef struct group {
  const int32_t *start; /* [slices + 1], samples */
  int slices, pixels;   /* pixels: rows per sample */
  size_t x_stride, k;   /* floats between rows of x and of dy */
  double magic;         /* 1.5 * 2^52 / factor */
  bool add;             /* to the sums, instead of overwriting them */
  ivec *most;           /* [slices] per lane, bits of the largest |gradient| */
} group;

/* The gradients of `rows` columns of x by `count` columns of dy; x, dy: at the group's first row. */
ALWAYS_INLINE void multiply(const int rows, const int vectors, const bool full, const group *g, const float *x,
                            const float *dy, int count, int64_t *sums) {
  const dvec magic = dbroadcast(g->magic);
  const ivec positive = (ivec){0} + INT32_MAX;
  lvec total[TILE][4] = {0};
  for (int s = 0; s < g->slices; s++) {
    vec sum[TILE][2];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = zero();
    for (int p = (g->start[s + 1] - g->start[s]) * g->pixels; p > 0; p--, x += g->x_stride, dy += g->k) {
      vec b[2];
#pragma GCC unroll 2
      for (int j = 0; j < vectors; j++)
        b[j] = full ? load(dy + j * LANES) : load_some(dy + j * LANES, count - j * LANES);
#pragma GCC unroll 4
      for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) sum[i][j] = fma_of(broadcast(x[i]), b[j], sum[i][j]);
    }
    ivec most = g->most[s];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
      for (int j = 0; j < vectors; j++) {
        in_order(&sum[i][j], &most);
        total[i][2 * j] += (lvec)(widen(sum[i][j], 0) + magic);
        total[i][2 * j + 1] += (lvec)(widen(sum[i][j], 1) + magic);
        most = larger(most, (ivec)sum[i][j] & positive);
      }
    g->most[s] = most;
  }
  uint64_t base = (uint64_t)bits_of(g->magic) * (uint64_t)g->slices; /* modulo 2^64, as the sums of bits */
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < 2 * vectors; j++)
      if (full || count > j * WIDE)
        put_integers(sums + (size_t)i * g->k + j * WIDE, total[i][j] - base, full ? WIDE : count - j * WIDE, g->add);
}

static void multiply_full(int rows, const group *g, const float *x, const float *dy, int64_t *sums) {
#define CALL(R) multiply(R, 2, true, g, x, dy, PANEL, sums)
  THAW_FOR_FEW_ROWS(rows, CALL)
#undef CALL
}

static void multiply_part(int rows, const group *g, const float *x, const float *dy, int count, int64_t *sums) {
#define CALL(R)                                                                                                        \
  count > LANES ? multiply(R, 2, false, g, x, dy, count, sums) : multiply(R, 1, false, g, x, dy, count, sums)
  THAW_FOR_FEW_ROWS(rows, CALL)
#undef CALL
}

static void multiply_strip(const group *g, const float *x, const float *dy, int columns, int32_t k, int64_t *sums) {
  for (int32_t column = 0; column < k; column += PANEL)
    for (int i = 0; i < columns; i += TILE) {
      int rows = columns - i < TILE ? columns - i : TILE;
      int64_t *to = sums + (size_t)i * g->k + (size_t)column;
      if (k - column >= PANEL)
        multiply_full(rows, g, x + i, dy + column, to);
      else
        multiply_part(rows, g, x + i, dy + column, k - column, to);
    }
}

static void copy_strip(const float *x, size_t c, int rows, int columns, float *to) {
  for (int p = 0; p < rows; p++)
    for (int j = 0; j < columns; j += LANES)
      store_some(to + (size_t)p * STRIP + j, load_some(x + (size_t)p * c + j, columns - j), columns - j);
}

/* x, dy: at the group's first row. */
static void multiply_group(const group *common, const float *x, const float *dy, int32_t c, int32_t k, int64_t *sums) {
  static const float one = 1;
  float strip[GROUP_ROWS * STRIP];
  int rows = (common->start[common->slices] - common->start[0]) * common->pixels;
  for (int32_t row = 0; row < c; row += STRIP) {
    int columns = c - row < STRIP ? c - row : STRIP;
    group g = *common;
    const float *from = x ? x + row : &one;
    g.x_stride = x ? (size_t)c : 0;
    if (x && rows <= GROUP_ROWS && c > STRIP) {
      copy_strip(from, (size_t)c, rows, columns, strip);
      from = strip, g.x_stride = STRIP;
    }
    multiply_strip(&g, from, dy, columns, k, sums + (size_t)row * (size_t)k);
  }
}

static int slices_together(const int32_t *start, int32_t slices, int32_t pixels) {
  int count = 1;
  while (count < slices && count < GROUP_SLICES && (start[count + 1] - start[0]) * pixels <= GROUP_ROWS) count++;
  return count;
}

void THAW_VARIANT(thaw_dense_gradient)(const float *x, const float *dy, const int32_t *slice_start, int32_t slices,
                                       int32_t pixels, int32_t c, int32_t k, const thaw_exact_terms *terms) {
  ivec most[GROUP_SLICES];
  for (int32_t done = 0; done < slices;) {
    group g = {.start = slice_start + done, .pixels = pixels, .k = (size_t)k, .magic = 0x1.8p52 / terms->factor};
    g.slices = slices_together(g.start, slices - done, pixels);
    g.most = most;
    g.add = done > 0 || !terms->fresh;
    memset(most, 0, (size_t)g.slices * sizeof *most);
    size_t row = (size_t)g.start[0] * (size_t)pixels;
    multiply_group(&g, x ? x + row * (size_t)c : NULL, dy + row * (size_t)k, c, k, terms->sums);
    for (int s = 0; s < g.slices; s++) terms->largest[done + s] = largest_lane(&most[s]);
    done += g.slices;
  }
}
