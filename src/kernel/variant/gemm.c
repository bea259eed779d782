/* gemm.c: matrix product for the live part. Every element is one chain of fused multiply-adds over k in increasing
 * order, starting from 0 or, when accumulating, from what c holds.
 *
 * b is read in place when its rows are contiguous and few rows of a use it; else a panel of it is packed first. With a
 * transposed b and few rows of a, the roles change: a is packed transposed and the vectors run over its rows. */
#include "kernel/variant/rows.h"
#include "kernel/variant/tile.h"
#include "kernel/variant/transpose.h"
#include "kernel/variant/variant.h"

enum { DEPTH = 512 /* k per packed panel: DEPTH * PANEL floats stay in cache */ };

/* A group of rows times one panel: a by (row_step, p_step), b [length][ldb]. */
typedef struct part {
  const float *a, *b;
  size_t row_step, p_step, ldb, ldc;
  int length, count; /* count: columns to write */
  bool accumulate;
  float *c;
} part;

ALWAYS_INLINE void multiply(const int rows, const int vectors, const part *t) {
  vec s[ROWS][2];
  tile_clear(rows, s);
  if (t->accumulate) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
      for (int j = 0; j < vectors; j++)
        s[i][j] = load_some(t->c + (size_t)i * t->ldc + j * LANES, t->count - j * LANES);
  }
  tile_multiply(rows, vectors, t->a, t->row_step, t->p_step, t->b, t->ldb, t->length, (ahead){0}, s);
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++) store_some(t->c + (size_t)i * t->ldc + j * LANES, s[i][j], t->count - j * LANES);
}

static void multiply_wide(int rows, const part *t) {
#define CALL(R) multiply(R, 2, t)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

static void multiply_narrow(int rows, const part *t) {
#define CALL(R) multiply(R, 1, t)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

/* to [length][PANEL] = op(b)[first ..][column .. column + count], zeros beyond. */
static void pack_panel(const thaw_gemm_desc *d, const float *b, int32_t first, int length, int32_t column, int count,
                       float *to) {
  size_t ldb = (size_t)d->ldb;
  if (!d->transpose_b) {
    for (int p = 0; p < length; p++)
      for (int j = 0; j < PANEL; j += LANES) {
        const float *from = b + (size_t)(first + p) * ldb + (size_t)(column + j);
        store(to + (size_t)p * PANEL + j, count > j ? load_some(from, count - j) : zero());
      }
    return;
  }
  for (int p = 0; p < length; p += LANES)
    for (int j = 0; j < PANEL; j += LANES) {
      int rows = count - j < LANES ? count - j : LANES, columns = length - p < LANES ? length - p : LANES;
      transpose(b + (size_t)(column + j) * ldb + (size_t)(first + p), ldb, rows, columns, to + (size_t)p * PANEL + j,
                PANEL);
    }
}

/* Vectors over the rows of a (at most LANES of them), broadcasts from b: op(b) is transposed, so its rows are
 * contiguous. */
static void gemm_few_rows_transposed(const thaw_gemm_desc *d, const float *a, const float *b, float *c,
                                     float *scratch) {
  float *packed = scratch, *column = scratch + (size_t)d->k * LANES;
  size_t ldc = (size_t)d->ldc;
  for (int32_t p = 0; p < d->k; p++)
    for (int i = 0; i < LANES; i++) packed[(size_t)p * LANES + i] = i < d->m ? a[(size_t)i * (size_t)d->lda + p] : 0;
  int rows;
  for (int32_t j = 0; j < d->n; j += rows) {
    rows = d->n - j < ROWS ? d->n - j : ROWS;
    if (d->accumulate)
      for (int i = 0; i < d->m; i++)
        for (int q = 0; q < rows; q++) column[q * LANES + i] = c[(size_t)i * ldc + (size_t)(j + q)];
    part t = {.a = b + (size_t)j * (size_t)d->ldb, .b = packed, .row_step = (size_t)d->ldb, .p_step = 1, .ldb = LANES};
    t.ldc = LANES, t.length = d->k, t.count = LANES, t.accumulate = d->accumulate, t.c = column;
    multiply_narrow(rows, &t);
    for (int i = 0; i < d->m; i++)
      for (int q = 0; q < rows; q++) c[(size_t)i * ldc + (size_t)(j + q)] = column[q * LANES + i];
  }
}

static bool few_rows_transposed(const thaw_gemm_desc *d) {
  return d->transpose_b && !d->transpose_a && d->m <= LANES;
}

size_t THAW_VARIANT(thaw_gemm_scratch)(const thaw_gemm_desc *d) {
  if (few_rows_transposed(d)) return ((size_t)d->k + ROWS) * LANES;
  return (size_t)(d->k < DEPTH ? d->k : DEPTH) * PANEL;
}

static void gemm_panel(const thaw_gemm_desc *d, const float *a, const part *common) {
  int groups = tile_groups(d->m);
  for (int g = 0; g < groups; g++) {
    int32_t row = (int32_t)((int64_t)d->m * g / groups), rows = (int32_t)((int64_t)d->m * (g + 1) / groups) - row;
    part t = *common;
    t.a = a + (size_t)row * t.row_step;
    t.c = common->c + (size_t)row * t.ldc;
    (t.count <= LANES ? multiply_narrow : multiply_wide)(rows, &t);
  }
}

static void clear(const thaw_gemm_desc *d, float *c) {
  for (int32_t i = 0; i < d->m; i++)
    for (int32_t j = 0; j < d->n; j += LANES) store_some(c + (size_t)i * (size_t)d->ldc + j, zero(), d->n - j);
}

void THAW_VARIANT(thaw_gemm)(const thaw_gemm_desc *d, const float *a, const float *b, float *c, float *scratch) {
  if (d->k == 0 && !d->accumulate) clear(d, c);
  if (few_rows_transposed(d)) {
    if (d->k > 0) gemm_few_rows_transposed(d, a, b, c, scratch);
    return;
  }
  bool in_place = !d->transpose_b && d->m <= 2 * LANES;
  part t = {.row_step = d->transpose_a ? 1 : (size_t)d->lda, .p_step = d->transpose_a ? (size_t)d->lda : 1};
  t.ldc = (size_t)d->ldc;
  for (int32_t first = 0; first < d->k; first += DEPTH)
    for (int32_t column = 0; column < d->n; column += PANEL) {
      t.length = d->k - first < DEPTH ? d->k - first : DEPTH;
      t.count = d->n - column < PANEL ? d->n - column : PANEL;
      t.accumulate = d->accumulate || first > 0;
      t.c = c + column;
      if (in_place && (t.count == PANEL || t.count == LANES)) {
        t.b = b + (size_t)first * (size_t)d->ldb + (size_t)column, t.ldb = (size_t)d->ldb;
      } else {
        pack_panel(d, b, first, t.length, column, t.count, scratch);
        t.b = scratch, t.ldb = PANEL;
      }
      gemm_panel(d, a + (size_t)first * t.p_step, &t);
    }
}
