/* thaw's matrix product against somebody else's: OpenBLAS. The library itself does not use it, because its rows change
 * in the last bit with the number of rows in the call and with the kernel it picks for a CPU. */
#include "thaw_test.h"

#include "thaw/kernel.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

#include <cblas.h>

static float *random_floats(size_t count, uint64_t sample) {
  float *x = thaw_new(count, sizeof *x);
  thaw_draw at = {.seed = 5, .purpose = THAW_RNG_TEST, .sample = sample};
  thaw_random_normal(&at, x, (uint32_t)count);
  return x;
}

static void compare(const thaw_isa *isa, const thaw_gemm_desc *d) {
  size_t rows_a = (size_t)(d->transpose_a ? d->k : d->m), rows_b = (size_t)(d->transpose_b ? d->n : d->k);
  float *a = random_floats(rows_a * (size_t)d->lda, 1), *b = random_floats(rows_b * (size_t)d->ldb, 2);
  float *found = random_floats((size_t)d->m * (size_t)d->ldc, 3),
        *expected = random_floats((size_t)d->m * (size_t)d->ldc, 3);
  void *scratch = thaw_new(thaw_gemm_scratch_bytes(isa, d), 1);
  thaw_gemm(isa, d, a, b, found, scratch);
  cblas_sgemm(CblasRowMajor, d->transpose_a ? CblasTrans : CblasNoTrans, d->transpose_b ? CblasTrans : CblasNoTrans,
              d->m, d->n, d->k, 1, a, d->lda, b, d->ldb, d->accumulate ? 1 : 0, expected, d->ldc);
  double error = thaw_test_relative_l2(found, expected, (size_t)d->m * (size_t)d->ldc);
  if (!(error < 1e-6))
    fail_msg("%d x %d x %d, %d%d%d: relative error %g", d->m, d->n, d->k, d->transpose_a, d->transpose_b, d->accumulate,
             error);
  thaw_free(a);
  thaw_free(b);
  thaw_free(found);
  thaw_free(expected);
  thaw_free(scratch);
}

static void product_is_that_of_openblas(void **state) {
  (void)state;
  static const int32_t size[][3] = {{8, 128, 512}, {512, 128, 8}, {1, 1, 1},     {5, 17, 3},
                                    {37, 65, 129}, {8, 10, 128},  {196, 96, 300}};
  const char *variant[] = {"avx2", "avx512"};
  for (int v = 0; v < 2; v++) {
    const thaw_isa *isa;
    if (thaw_isa_select(variant[v], &isa) != THAW_OK) continue; /* this CPU lacks it */
    for (size_t s = 0; s < sizeof size / sizeof *size; s++)
      for (int mode = 0; mode < 8; mode++) {
        thaw_gemm_desc d = {.m = size[s][0],
                            .n = size[s][1],
                            .k = size[s][2],
                            .transpose_a = mode & 1,
                            .transpose_b = mode & 2,
                            .accumulate = mode & 4};
        d.lda = (d.transpose_a ? d.m : d.k) + 3;
        d.ldb = (d.transpose_b ? d.k : d.n) + 1;
        d.ldc = d.n + 2;
        compare(isa, &d);
      }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(product_is_that_of_openblas)};
  return cmocka_run_group_tests_name("gemm against OpenBLAS", tests, NULL, NULL);
}
