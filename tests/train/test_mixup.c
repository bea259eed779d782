/* The share of mixup: a pure function of (seed, epoch, sample), distributed as Beta(alpha, alpha). */
#include "thaw_test.h"

#include "train/train_private.h"

enum { DRAWS = 40000 };

/* The variance of Beta(a, a) is 1 / (4 (2 a + 1)); folding at 1/2 does not change (share - 1/2)^2. */
static void test_distribution(void **context) {
  (void)context;
  const double alpha[] = {0.01, 0.2, 0.4, 1, 5};
  for (size_t i = 0; i < sizeof alpha / sizeof *alpha; i++) {
    double square = 0, variance = 1 / (4 * (2 * alpha[i] + 1));
    for (uint64_t sample = 0; sample < DRAWS; sample++) {
      double share = train_mixup_share(alpha[i], 7, 3, sample);
      assert_true(share >= 0.5 && share <= 1);
      square += (share - 0.5) * (share - 0.5) / DRAWS;
    }
    if (fabs(square - variance) > 0.02 * variance) fail_msg("alpha %g: %g, expected %g", alpha[i], square, variance);
  }
}

static void test_purity(void **context) {
  (void)context;
  double first = train_mixup_share(0.4, 7, 3, 11);
  assert_true(train_mixup_share(0.4, 7, 3, 12) != first);
  assert_true(train_mixup_share(0.4, 7, 4, 11) != first);
  assert_true(train_mixup_share(0.4, 8, 3, 11) != first);
  assert_true(train_mixup_share(0.4, 7, 3, 11) == first);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_distribution), cmocka_unit_test(test_purity)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
