/* Properties that every split must have: exact counts, class proportions, groups undivided, no dependence on order. */
#include "import/import_private.h"
#include "thaw_test.h"

#include <stdlib.h>

enum { MOST = 3000 };

/* A made-up data set. */
typedef struct sample_set {
  int64_t count;
  char *id[MOST], *group[MOST];
  int32_t class_index[MOST];
  uint8_t part[MOST];
} sample_set;

static sample_set *create_set(int64_t count, int32_t classes, int64_t group_size) {
  sample_set *set = thaw_new(1, sizeof *set);
  set->count = count;
  for (int64_t i = 0; i < count; i++) {
    set->id[i] = thaw_format("image-%lld", (long long)i);
    /* Class k is about k + 1 times as frequent as class 0; every seventh sample stands alone. */
    int32_t k = (int32_t)(i * 2654435761u % (uint32_t)(classes * (classes + 1) / 2));
    for (set->class_index[i] = 0; k > set->class_index[i]; set->class_index[i]++) k -= set->class_index[i] + 1;
    set->group[i] = thaw_format(i % 7 == 0 ? "" : "patient-%lld", (long long)(i / group_size));
  }
  return set;
}

static void destroy_set(sample_set *set) {
  for (int64_t i = 0; i < set->count; i++) {
    thaw_free(set->id[i]);
    thaw_free(set->group[i]);
  }
  thaw_free(set);
}

static import_split request_of(const sample_set *set, int32_t classes, bool grouped, double a, double b, double c) {
  return (import_split){.count = set->count,
                        .id = set->id,
                        .group = grouped ? set->group : NULL,
                        .class_index = classes > 1 ? set->class_index : NULL,
                        .classes = classes,
                        .share = {a, b, c},
                        .seed = 42};
}

static void count_parts(const sample_set *set, int32_t class_index, int64_t out[4]) {
  memset(out, 0, 4 * sizeof *out);
  for (int64_t i = 0; i < set->count; i++) {
    assert_in_range(set->part[i], 0, 3);
    if (class_index < 0 || set->class_index[i] == class_index) out[set->part[i]]++;
  }
}

static void counts_are_exact_and_classes_in_proportion(void **state) {
  (void)state;
  const int32_t classes = 7;
  const double shares[][3] = {{0.8, 0.1, 0.1}, {0.5, 0.25, 0.25}, {0.7, 0.3, 0}, {1000, 200, 300}, {1, 2, 2000}};
  for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
    sample_set *set = create_set(2503, classes, 1);
    const import_split request = request_of(set, classes, false, shares[s][0], shares[s][1], shares[s][2]);
    int64_t all[4];
    assert_thaw_ok(thaw_import__split(&request, set->part));
    count_parts(set, -1, all);
    for (int p = 0; p < 3; p++) {
      const double wanted = s < 3 ? shares[s][p] * 2503 : shares[s][p];
      assert_true(fabs((double)all[p] - wanted) <= (s < 3 ? 1 : 0));
    }
    if (s < 3) assert_int_equal(all[3], 0);
    for (int32_t k = 0; k < classes; k++) {
      int64_t of[4], total;
      count_parts(set, k, of);
      total = of[0] + of[1] + of[2] + of[3];
      for (int p = 0; p < 4; p++)
        if (fabs((double)of[p] - (double)total * (double)all[p] / 2503) > 2)
          fail_msg("class %d part %d: %d of %d", (int)k, p, (int)of[p], (int)total);
    }
    destroy_set(set);
  }
}

static void groups_are_never_divided(void **state) {
  (void)state;
  for (int64_t size = 1; size <= 64; size *= 4) {
    sample_set *set = create_set(2000, 3, size);
    const import_split request = request_of(set, 3, true, 0.7, 0.15, 0.15);
    int64_t all[4];
    assert_thaw_ok(thaw_import__split(&request, set->part));
    for (int64_t i = 1; i < set->count; i++)
      for (int64_t j = i - 1; j >= 0 && j / size == i / size; j--)
        if (set->group[i][0] && set->group[j][0]) assert_int_equal(set->part[i], set->part[j]);
    count_parts(set, -1, all);
    const double wanted[3] = {1400, 300, 300};
    for (int p = 0; p < 3; p++)
      if (fabs((double)all[p] - wanted[p]) > (double)size)
        fail_msg("groups of %d: part %d has %d", (int)size, p, (int)all[p]);
    destroy_set(set);
  }
}

static void the_order_of_samples_does_not_matter(void **state) {
  (void)state;
  const int64_t count = 1111, step = 456; /* coprime: i -> i * step mod count is a permutation */
  sample_set *set = create_set(count, 5, 4), *mixed = thaw_new(1, sizeof *mixed);
  mixed->count = count;
  for (int64_t i = 0; i < count; i++) {
    const int64_t from = i * step % count;
    mixed->id[i] = thaw_copy_text(set->id[from]);
    mixed->group[i] = thaw_copy_text(set->group[from]);
    mixed->class_index[i] = set->class_index[from];
  }
  const import_split a = request_of(set, 5, true, 0.6, 0.2, 0.2), b = request_of(mixed, 5, true, 0.6, 0.2, 0.2);
  assert_thaw_ok(thaw_import__split(&a, set->part));
  assert_thaw_ok(thaw_import__split(&b, mixed->part));
  for (int64_t i = 0; i < count; i++) assert_int_equal(mixed->part[i], set->part[i * step % count]);
  destroy_set(mixed);
  destroy_set(set);
}

static void the_seed_decides(void **state) {
  (void)state;
  sample_set *set = create_set(1000, 2, 1);
  uint8_t again[1000], other[1000];
  import_split request = request_of(set, 2, false, 0.5, 0.5, 0);
  assert_thaw_ok(thaw_import__split(&request, set->part));
  assert_thaw_ok(thaw_import__split(&request, again));
  assert_memory_equal(again, set->part, 1000);
  request.seed = 43;
  assert_thaw_ok(thaw_import__split(&request, other));
  int same = 0;
  for (int i = 0; i < 1000; i++) same += other[i] == set->part[i];
  assert_in_range(same, 400, 600);
  destroy_set(set);
}

static void impossible_shares_are_refused(void **state) {
  (void)state;
  sample_set *set = create_set(100, 2, 1);
  const double bad[][3] = {{0.5, 0.2, 0.2}, {90, 20, 0}, {-1, 101, 0}, {1.5, 2, 0}, {0.5, 0.6, 0}};
  for (size_t s = 0; s < sizeof bad / sizeof *bad; s++) {
    const import_split request = request_of(set, 2, false, bad[s][0], bad[s][1], bad[s][2]);
    assert_thaw_fails(thaw_import__split(&request, set->part), THAW_ERR_USAGE, "split");
  }
  const import_split whole = request_of(set, 2, false, 1, 0, 0), all = request_of(set, 2, false, 60, 40, 0);
  assert_thaw_ok(thaw_import__split(&whole, set->part));
  for (int i = 0; i < 100; i++) assert_int_equal(set->part[i], 0);
  assert_thaw_ok(thaw_import__split(&all, set->part));
  destroy_set(set);
}

static void a_handful_of_samples(void **state) {
  (void)state;
  for (int64_t count = 1; count < 12; count++) {
    sample_set *set = create_set(count, 3, 2);
    const import_split request = request_of(set, 3, true, 0.8, 0.1, 0.1);
    int64_t all[4];
    assert_thaw_ok(thaw_import__split(&request, set->part));
    count_parts(set, -1, all);
    assert_int_equal(all[3], 0);
    destroy_set(set);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_are_exact_and_classes_in_proportion),
      cmocka_unit_test(groups_are_never_divided),
      cmocka_unit_test(the_order_of_samples_does_not_matter),
      cmocka_unit_test(the_seed_decides),
      cmocka_unit_test(impossible_shares_are_refused),
      cmocka_unit_test(a_handful_of_samples),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
