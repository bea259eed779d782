/* gemm.c: matrix product for the live part. Every element is one chain of fused multiply-adds over k in increasing
 * order, starting from 0 or, when accumulating, from what c holds.
 *
 * Few rows of a: b is read in place when its rows are contiguous, else a panel of it is packed first. With a transposed
 * b the roles change: a is packed transposed and the vectors run over its rows.
 *
 * Many rows: in blocks as K. Goto and R. van de Geijn ("Anatomy of High-Performance Matrix Multiplication", 2008) cut
 * them. DEPTH steps of k at a time, all panels of b are packed, and a block of a, which then stays in the second-level
 * cache while the panels of b pass by. */
#include "kernel/variant/rows.h"
#include "kernel/variant/tile.h"
#include "kernel/variant/transpose.h"
#include "kernel/variant/variant.h"

enum {
  DEPTH = 512, /* k per packed panel: DEPTH * PANEL floats stay in cache */
  FEW_ROWS = 2 * LANES /* up to which nothing is gained by packing a */,
  BLOCK_GROUPS = 16,  /* groups of at most ROWS rows in a packed block of a */
  MOST_COLUMNS = 2048 /* of b packed together */
};

/* A group of rows times one panel: a by (row_step, p_step), b [length][ldb]. */
typedef struct part {
  const float *a, *b;
  size_t row_step, p_step, ldb, ldc;
  int length, count; /* count: columns to write */
  bool accumulate;
  float *c;
  const float *next_c; /* of the group after this one */
  ahead soon;
} part;

ALWAYS_INLINE void load_sums(const int rows, const int vectors, const part *t, vec s[ROWS][2]) {
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++) s[i][j] = load_some(t->c + (size_t)i * t->ldc + j * LANES, t->count - j * LANES);
}

ALWAYS_INLINE void store_sums(const int rows, const int vectors, const part *t, vec s[ROWS][2]) {
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++) store_some(t->c + (size_t)i * t->ldc + j * LANES, s[i][j], t->count - j * LANES);
}

ALWAYS_INLINE void multiply(const int rows, const int vectors, const part *t) {
  vec s[ROWS][2];
  tile_clear(rows, s);
  if (t->accumulate) load_sums(rows, vectors, t, s);
  tile_multiply(rows, vectors, t->a, t->row_step, t->p_step, t->b, t->ldb, t->length, (ahead){0}, s);
  store_sums(rows, vectors, t, s);
}

static void multiply_wide(int rows, const part *t) {
#define CALL(R) multiply(R, 2, t)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

static void multiply_narrow(int rows, const part *t){
#define CALL(R) multiply(R, 1, t)
    THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

/* The same with a and b packed: a [length][ROWS]. */
ALWAYS_INLINE void multiply_packed(const int rows, const int vectors, const part *t) {
  enum {
    PARTS = 4
  }; /* lines of the next group's c are asked for in parts: there is room for a dozen or two on their way */
  vec s[ROWS][2];
  const float *a = t->a, *b = t->b;
  ahead soon = t->soon;
  tile_clear(rows, s);
  if (t->accumulate) load_sums(rows, vectors, t, s);
  for (int q = 0; q < PARTS; q++) {
    int length = t->length * (q + 1) / PARTS - t->length * q / PARTS;
    for (int i = ROWS * q / PARTS; i < ROWS * (q + 1) / PARTS; i++)
#pragma GCC unroll 2
      for (int j = 0; j < vectors; j++) __builtin_prefetch(t->next_c + (size_t)i * t->ldc + j * LANES, 1);
    tile_multiply(rows, vectors, a, 1, ROWS, b, PANEL, length, soon, s);
    a += length * ROWS, b += length * PANEL, soon.next += soon.step * (size_t)length;
  }
  store_sums(rows, vectors, t, s);
}

static void multiply_packed_wide(int rows, const part *t) {
#define CALL(R) multiply_packed(R, 2, t)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

static void multiply_packed_narrow(int rows, const part *t) {
#define CALL(R) multiply_packed(R, 1, t)
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

/* ------------------------------------------------------------------ many rows */

/* Rows of a in groups of nearly the same size. */
static int32_t group_start(const thaw_gemm_desc *d, int32_t group) {
  return (int32_t)((int64_t)d->m * group / tile_groups(d->m));
}

/* to [length][ROWS] = `rows` rows of op(a) from `row` on, k from `first` on. Writes up to LANES floats beyond. */
static void pack_group(const thaw_gemm_desc *d, const float *a, int32_t row, int rows, int32_t first, int length,
                       float *to) {
  size_t lda = (size_t)d->lda;
  if (d->transpose_a) {
    for (int p = 0; p < length; p++)
      store(to + (size_t)p * ROWS, load_some(a + (size_t)(first + p) * lda + (size_t)row, rows));
    return;
  }
  for (int p = 0; p < length; p += LANES)
    transpose(a + (size_t)row * lda + (size_t)(first + p), lda, rows, length - p < LANES ? length - p : LANES,
              to + (size_t)p * ROWS, ROWS);
}

static int32_t columns_together(const thaw_gemm_desc *d) {
  return d->n < MOST_COLUMNS ? d->n : MOST_COLUMNS;
}

static int32_t depth_of(const thaw_gemm_desc *d) {
  return d->k < DEPTH ? d->k : DEPTH;
}

/* Floats of a packed block of a. */
static size_t block_floats(const thaw_gemm_desc *d) {
  int groups = tile_groups(d->m);
  return (size_t)(groups < BLOCK_GROUPS ? groups : BLOCK_GROUPS) * ROWS * (size_t)depth_of(d) + LANES;
}

/* A packed block of a, groups first_group .. first_group + groups, times the packed panels of b. */
static void multiply_block(const thaw_gemm_desc *d, int32_t first_group, int32_t groups, const float *a,
                           const part *common, int32_t columns, const float *b) {
  size_t panel = (size_t)common->length * PANEL, group = (size_t)common->length * ROWS;
  part t = *common;
  t.soon.step = PANEL * sizeof(float) / (size_t)groups;
  for (int32_t column = 0; column < columns; column += PANEL, b += panel) {
    t.b = b;
    t.count = columns - column < PANEL ? columns - column : PANEL;
    for (int32_t g = 0; g < groups; g++) {
      int32_t row = group_start(d, first_group + g), next = group_start(d, first_group + g + 1);
      t.a = a + (size_t)g * group;
      t.c = common->c + (size_t)row * t.ldc + (size_t)column;
      t.next_c = g + 1 < groups ? t.c + (size_t)(next - row) * t.ldc
                                : common->c + (size_t)group_start(d, first_group) * t.ldc + (size_t)(column + PANEL);
      t.soon.next = (const char *)(b + panel) + t.soon.step * (size_t)common->length * (size_t)g;
      (t.count <= LANES ? multiply_packed_narrow : multiply_packed_wide)(next - row, &t);
    }
  }
}

/* All of a times the columns of b from `column` on, k from `first` on. */
static void multiply_columns(const thaw_gemm_desc *d, const float *a, const float *b, int32_t column, int32_t columns,
                             int32_t first, const part *common, float *scratch) {
  float *packed_a = scratch, *packed_b = scratch + thaw_round_up(block_floats(d), LANES);
  size_t panel = (size_t)common->length * PANEL;
  for (int32_t j = 0; j < columns; j += PANEL)
    pack_panel(d, b, first, common->length, column + j, columns - j < PANEL ? columns - j : PANEL,
               packed_b + (size_t)(j / PANEL) * panel);
  int32_t groups = tile_groups(d->m), blocks = (groups + BLOCK_GROUPS - 1) / BLOCK_GROUPS;
  for (int32_t block = 0; block < blocks; block++) {
    int32_t from = groups * block / blocks, end = groups * (block + 1) / blocks;
    for (int32_t g = from; g < end; g++) {
      int32_t row = group_start(d, g);
      pack_group(d, a, row, group_start(d, g + 1) - row, first, common->length,
                 packed_a + (size_t)(g - from) * (size_t)common->length * ROWS);
    }
    multiply_block(d, from, end - from, packed_a, common, columns, packed_b);
  }
}

static void gemm_many_rows(const thaw_gemm_desc *d, const float *a, const float *b, float *c, float *scratch) {
  part t = {.ldc = (size_t)d->ldc};
  for (int32_t column = 0; column < d->n; column += MOST_COLUMNS)
    for (int32_t first = 0; first < d->k; first += DEPTH) {
      t.length = d->k - first < DEPTH ? d->k - first : DEPTH;
      t.accumulate = d->accumulate || first > 0;
      t.c = c + column;
      multiply_columns(d, a, b, column, d->n - column < MOST_COLUMNS ? d->n - column : MOST_COLUMNS, first, &t,
                       scratch);
    }
}

/* ------------------------------------------------------------------ few rows */

size_t THAW_VARIANT(thaw_gemm_scratch)(const thaw_gemm_desc *d) {
  if (few_rows_transposed(d)) return ((size_t)d->k + ROWS) * LANES;
  if (d->m <= FEW_ROWS) return (size_t)depth_of(d) * PANEL;
  return thaw_round_up(block_floats(d), LANES) +
         (size_t)depth_of(d) * thaw_round_up((size_t)columns_together(d), PANEL);
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
  if (d->m > FEW_ROWS) {
    gemm_many_rows(d, a, b, c, scratch);
    return;
  }
  bool in_place = !d->transpose_b;
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
