/* The live part's matrix product and the quantised weight gradient. */
#include "kernel_testing.h"
#include "thaw/memory.h"
#include <math.h>
#include <string.h>

static float *run(const thaw_isa *isa, const thaw_gemm_desc *d, const float *a, const float *b, const float *c) {
  size_t count = (size_t)d->m * (size_t)d->ldc;
  float *out = testing_unwritten(count);
  memcpy(out, c, count * sizeof *out);
  void *scratch = thaw_new(thaw_gemm_scratch_bytes(isa, d), 1);
  thaw_gemm(isa, d, a, b, out, scratch);
  thaw_free(scratch);
  return out;
}

/* Row i computed alone has the bits that it has among the others. */
static void check_rows(const thaw_isa *isa, const thaw_gemm_desc *d, const float *a, const float *b, const float *c,
                       const float *whole) {
  for (int32_t i = 0; i < d->m; i += 1 + d->m / 5) {
    thaw_gemm_desc one = *d;
    one.m = 1;
    float *row =
        run(isa, &one, a + (size_t)i * (size_t)(d->transpose_a ? 1 : d->lda), b, c + (size_t)i * (size_t)d->ldc);
    testing_same("gemm row", row, whole + (size_t)i * (size_t)d->ldc, (size_t)d->n * sizeof *row);
    thaw_free(row);
  }
}

static void check(int32_t m, int32_t n, int32_t k, int flags) {
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  thaw_gemm_desc d = {
      .m = m, .n = n, .k = k, .transpose_a = flags & 1, .transpose_b = flags & 2, .accumulate = flags & 4};
  d.lda = (d.transpose_a ? m : k) + (flags & 8 ? 3 : 0), d.ldb = (d.transpose_b ? k : n) + (flags & 8 ? 5 : 0);
  d.ldc = n + (flags & 8 ? 2 : 0);
  float *a = testing_numbers((size_t)(d.transpose_a ? k : m) * (size_t)d.lda, 1, 1);
  float *b = testing_numbers((size_t)(d.transpose_b ? n : k) * (size_t)d.ldb, 2, 1);
  size_t size = (size_t)m * (size_t)d.ldc;
  float *c = testing_numbers(size, 3, 1), *expected = testing_numbers(size, 3, 1), *first = NULL;
  thaw_ref_gemm(&d, a, b, expected);
  for (int v = 0; v < count; v++) {
    float *out = run(isas[v], &d, a, b, c);
    testing_close("gemm", out, expected, size, 2e-6);
    check_rows(isas[v], &d, a, b, c, out);
    if (first) testing_same("gemm", first, out, size * sizeof *out);
    thaw_free(first);
    first = out;
  }
  thaw_free(a), thaw_free(b), thaw_free(c), thaw_free(expected), thaw_free(first);
}

static void gemm_matches_twin(void **state) {
  (void)state;
  static const int32_t shapes[][3] = {{1, 1, 1},    {8, 128, 512}, {8, 10, 128},   {8, 512, 128},  {13, 33, 7},
                                      {17, 16, 40}, {40, 50, 60},  {512, 20, 8},   {3, 100, 700},  {64, 48, 520},
                                      {7, 5, 1030}, {33, 31, 1},   {230, 2100, 9}, {210, 40, 1100}};
  for (int s = 0; s < 14; s++)
    for (int flags = 0; flags < 16; flags++) check(shapes[s][0], shapes[s][1], shapes[s][2], flags);
}

static uint32_t bits_of(float value) {
  uint32_t bits;
  value = fabsf(value);
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* The chain by hand: fmaf over the slice's rows, then llrint of the product with the factor. */
static void chain(const float *x, const float *dy, int32_t c, int32_t k, const int32_t *start, int32_t slices,
                  int32_t pixels, double factor, int64_t *sums, uint32_t *largest) {
  for (int32_t s = 0; s < slices; s++) {
    largest[s] = 0;
    for (int32_t i = 0; i < c; i++)
      for (int32_t j = 0; j < k; j++) {
        float sum = 0;
        for (int32_t r = start[s] * pixels; r < start[s + 1] * pixels; r++)
          sum = fmaf(x ? x[r * c + i] : 1, dy[r * k + j], sum);
        sums[i * k + j] += llrint(sum * factor);
        if (bits_of(sum) > largest[s]) largest[s] = bits_of(sum);
      }
  }
}

static void check_gradient(int32_t c, int32_t k, const int32_t *start, int32_t slices, int32_t pixels, bool ones) {
  bool fresh = c % 2 == 0;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  const double factor = 0x1p30;
  size_t rows = (size_t)(start[slices] * pixels), size = (size_t)(c * k), some = (size_t)slices;
  float *x = ones ? NULL : testing_numbers(rows * (size_t)c, 1, 2), *dy = testing_numbers(rows * (size_t)k, 2, .3f);
  int64_t *expected = thaw_new(size, sizeof *expected), *sums = thaw_new(size + 8, sizeof *sums);
  uint32_t *largest = thaw_new(some, sizeof *largest), *most = thaw_new(some, sizeof *most);
  for (int v = 0; v < count; v++) {
    for (size_t i = 0; i < size + 8; i++) sums[i] = (int64_t)i - 7;
    for (size_t i = 0; i < size; i++) expected[i] = fresh ? 0 : (int64_t)i - 7;
    chain(x, dy, c, k, start, slices, pixels, factor, expected, most);
    thaw_exact_terms terms = {.factor = factor, .sums = sums, .fresh = fresh, .largest = largest};
    thaw_dense_gradient_exact(isas[v], x, dy, start, slices, pixels, c, k, &terms);
    testing_same("gradient", sums, expected, size * sizeof *sums);
    testing_same("largest", largest, most, some * sizeof *most);
    for (size_t i = size; i < size + 8; i++) assert_int_equal(sums[i], (int64_t)i - 7);
  }
  thaw_free(x), thaw_free(dy), thaw_free(expected), thaw_free(sums), thaw_free(largest), thaw_free(most);
}

static void gradient_is_exact(void **state) {
  (void)state;
  const int32_t even[] = {0, 8, 16, 24}, odd[] = {0, 1, 4, 4, 12}, long_slices[] = {0, 300, 310, 800};
  int32_t many[71];
  for (int32_t i = 0; i < 71; i++) many[i] = 5 * i;
  static const int32_t shapes[][2] = {{1, 1}, {12, 32}, {13, 10}, {64, 33}, {7, 24}, {30, 100}, {5, 7}, {9, 15}};
  for (int i = 0; i < 8; i++) {
    check_gradient(shapes[i][0], shapes[i][1], even, 3, 1, false);
    check_gradient(shapes[i][0], shapes[i][1], odd, 4, 9, false);
    check_gradient(shapes[i][0], shapes[i][1], long_slices, 3, 1, false);
    check_gradient(shapes[i][0], shapes[i][1], many, 70, 1, false);
    check_gradient(1, shapes[i][1], odd, 4, 1, true);
    check_gradient(1, shapes[i][1], many, 70, 3, true);
  }
}

static void gradient_ties_go_to_even(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  const int32_t start[] = {0, 1, 2};
  float x[2] = {1, 1}, dy[12] = {.5f, 1.5f, 2.5f, -.5f, -1.5f, -2.5f, .5f, .5f, .5f, .5f, .5f, .5f};
  const int64_t expected[6] = {0, 2, 2, 0, -2, -2};
  for (int v = 0; v < count; v++) {
    int64_t sums[6] = {0};
    uint32_t largest[2];
    thaw_exact_terms terms = {.factor = 1, .sums = sums, .largest = largest};
    thaw_dense_gradient_exact(isas[v], x, dy, start, 2, 1, 1, 6, &terms);
    testing_same("ties", sums, expected, sizeof sums);
  }
}

static void gradient_holds_the_widest_terms(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  const int32_t start[] = {0, 1, 2, 3};
  const float most = 0x1.fffffep50f;
  float x[3] = {1, 1, 1}, dy[3] = {most, most, most};
  for (int v = 0; v < count; v++)
    for (int sign = -1; sign <= 1; sign += 2) {
      int64_t sum = sign;
      uint32_t largest[3];
      x[0] = x[1] = x[2] = (float)sign;
      thaw_exact_terms terms = {.factor = 1, .sums = &sum, .largest = largest};
      thaw_dense_gradient_exact(isas[v], x, dy, start, 3, 1, 1, 1, &terms);
      assert_int_equal(sum, sign * (3 * (int64_t)most + 1));
    }
}

static void gradient_shows_what_is_not_finite(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  const int32_t start[] = {0, 2, 4, 6};
  enum { C = 20, K = 37 };
  for (int v = 0; v < count; v++)
    for (int where = 0; where < K; where += 6) {
      float x[6 * C], dy[6 * K];
      int64_t sums[C * K] = {0};
      uint32_t largest[3];
      for (int i = 0; i < 6 * C; i++) x[i] = 1;
      for (int i = 0; i < 6 * K; i++) dy[i] = 1;
      dy[4 * K + where] = -4;
      x[2 * C + 17] = NAN;
      x[0] = INFINITY;
      thaw_exact_terms terms = {.factor = 4, .sums = sums, .largest = largest};
      thaw_dense_gradient_exact(isas[v], x, dy, start, 3, 1, C, K, &terms);
      assert_true(largest[0] >= 0x7f800000);
      assert_true(largest[1] >= 0x7f800000);
      assert_int_equal(largest[2], bits_of(3));
    }
}

static void isa_choice(void **state) {
  (void)state;
  const thaw_isa *isa;
  assert_int_equal(thaw_isa_select(NULL, &isa), THAW_OK);
  assert_int_equal(thaw_isa_select("avx2", &isa), THAW_OK);
  assert_string_equal(thaw_isa_name(isa), "avx2");
  assert_int_equal(thaw_isa_select("sse", &isa), THAW_ERR_USAGE);
  assert_non_null(strstr(thaw_message(), "sse"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gemm_matches_twin),
      cmocka_unit_test(gradient_is_exact),
      cmocka_unit_test(gradient_ties_go_to_even),
      cmocka_unit_test(gradient_holds_the_widest_terms),
      cmocka_unit_test(gradient_shows_what_is_not_finite),
      cmocka_unit_test(isa_choice),
  };
  return cmocka_run_group_tests_name("gemm", tests, NULL, NULL);
}
