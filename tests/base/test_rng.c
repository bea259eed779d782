#include "thaw_test.h"

#include "thaw/memory.h"
#include "thaw/rng.h"

/* Known-answer vector of the Random123 distribution (tests/kat_vectors): philox4x32 10 rounds. */
static void philox_known_answer(void **state) {
  (void)state;
  uint32_t out[4];
  thaw_draw zero = {0};
  thaw_random4(&zero, 0, out);
  const uint32_t expected[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  assert_memory_equal(out, expected, sizeof out);
  thaw_draw ones = {.seed = UINT64_MAX, .purpose = 0xff, .epoch = 0xffffff, .sample = 0xffffffffffff, .lane = 0xffff};
  thaw_random4(&ones, 0xffffffff, out);
  const uint32_t expected_ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
  assert_memory_equal(out, expected_ones, sizeof out);
}

static void uniform_and_normal_moments(void **state) {
  (void)state;
  enum { N = 200001 };
  float *value = thaw_new(N, sizeof *value);
  thaw_draw at = {.seed = 7, .purpose = THAW_RNG_TEST, .sample = 3};
  thaw_random_uniform(&at, value, N);
  double mean = 0, square = 0;
  for (int i = 0; i < N; i++) {
    assert_true(value[i] >= 0 && value[i] < 1);
    mean += value[i] / N;
  }
  assert_true(fabs(mean - 0.5) < 0.004); /* six standard errors */
  thaw_random_normal(&at, value, N);
  mean = 0;
  for (int i = 0; i < N; i++) mean += value[i] / N, square += (double)value[i] * value[i] / N;
  assert_true(fabs(mean) < 0.014 && fabs(square - 1) < 0.02);
  thaw_free(value);
}

static void streams_differ(void **state) {
  (void)state;
  thaw_draw base = {.seed = 1, .purpose = THAW_RNG_DROPOUT, .epoch = 1, .sample = 1, .lane = 1};
  thaw_draw other[5] = {base, base, base, base, base};
  other[0].seed = 2, other[1].purpose = THAW_RNG_INIT, other[2].epoch = 2, other[3].sample = 2, other[4].lane = 2;
  uint32_t a[4], b[4];
  thaw_random4(&base, 0, a);
  for (int i = 0; i < 5; i++) {
    thaw_random4(&other[i], 0, b);
    assert_memory_not_equal(a, b, sizeof a);
  }
}

static void permutation_is_a_bijection(void **state) {
  (void)state;
  const uint64_t sizes[] = {1, 2, 3, 5, 16, 17, 1000, 4097};
  for (int s = 0; s < 8; s++) {
    uint64_t n = sizes[s], moved = 0;
    unsigned char *seen = thaw_new(n, 1);
    for (uint64_t i = 0; i < n; i++) {
      uint64_t j = thaw_permute(11, 4, n, i);
      assert_true(j < n);
      assert_int_equal(seen[j]++, 0);
      moved += j != i;
    }
    if (n >= 1000) assert_true(moved > n * 9 / 10);
    thaw_free(seen);
  }
}

/* Of every size of the network, also where a value passes it several times, and in ranges of all lengths. */
static void ranges_are_the_same_permutation(void **state) {
  (void)state;
  enum { MOST = 200 };
  const uint64_t sizes[] = {1, 2, 5, 16, 17, 65, 1000, 4097, 10000019, (UINT64_C(1) << 40) + 7};
  uint64_t out[MOST + 1];
  for (int s = 0; s < 10; s++)
    for (uint64_t count = 0; count <= MOST && count <= sizes[s]; count += count < 70 ? 1 : 37) {
      uint64_t first = (sizes[s] - count) / 3;
      out[count] = 99;
      thaw_permute_range(12345678901, 3, sizes[s], first, count, out);
      for (uint64_t i = 0; i < count; i++) assert_int_equal(out[i], thaw_permute(12345678901, 3, sizes[s], first + i));
      assert_int_equal(out[count], 99);
    }
}

static void permutations_of_epochs_differ(void **state) {
  (void)state;
  int same = 0;
  for (uint64_t i = 0; i < 1000; i++) same += thaw_permute(11, 1, 1000, i) == thaw_permute(11, 2, 1000, i);
  assert_true(same < 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(philox_known_answer),
                                     cmocka_unit_test(uniform_and_normal_moments),
                                     cmocka_unit_test(streams_differ),
                                     cmocka_unit_test(permutation_is_a_bijection),
                                     cmocka_unit_test(ranges_are_the_same_permutation),
                                     cmocka_unit_test(permutations_of_epochs_differ)};
  return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
