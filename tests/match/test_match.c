/* Verification and identification against scikit-learn, SciPy and NumPy (tests/golden/make_match.py); lists of pairs
 * with every kind of fault; files of embeddings in and out. */
#include "thaw_test.h"

#include "thaw/h5.h"
#include "thaw/match.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const golden = THAW_TEST_DATA "/../golden/match.h5";

static void load(thaw_embeddings *e) {
  thaw_h5 *file;
  thaw_h5_info info;
  *e = (thaw_embeddings){0};
  assert_thaw_ok(thaw_h5_open(golden, &file));
  assert_thaw_ok(thaw_h5_describe(file, "/embeddings/value", &info));
  e->count = info.dim[0];
  e->width = (int32_t)info.dim[1];
  e->value = thaw_new((size_t)info.count, sizeof *e->value);
  assert_thaw_ok(thaw_h5_read(file, "/embeddings/value", THAW_H5_F32, info.count, e->value));
  assert_thaw_ok(thaw_h5_read_strings(file, "/embeddings/ids", 0, e->count, &e->id));
  assert_thaw_ok(thaw_h5_read_strings(file, "/embeddings/persons", 0, e->count, &e->person));
  thaw_h5_close(file);
}

/* NaN is equal to NaN. */
static void compare(const char *group, const char *name, const double *found, int64_t count, double tolerance) {
  thaw_h5 *file;
  thaw_h5_info info;
  char *path = thaw_format("/%s/%s", group, name);
  assert_thaw_ok(thaw_h5_open(golden, &file));
  assert_thaw_ok(thaw_h5_describe(file, path, &info));
  assert_int_equal(info.count, count);
  double *expected = thaw_new((size_t)count, sizeof *expected);
  assert_thaw_ok(thaw_h5_read(file, path, THAW_H5_F64, count, expected));
  for (int64_t i = 0; i < count; i++)
    if (isnan(found[i]) != isnan(expected[i]) || fabs(found[i] - expected[i]) > tolerance)
      fail_msg("%s[%d]: %.17g, expected %.17g", path, (int)i, found[i], expected[i]);
  thaw_free(expected);
  thaw_free(path);
  thaw_h5_close(file);
}

static void check_verification(const char *group, const char *file, int32_t folds) {
  thaw_embeddings e;
  thaw_pairs pairs;
  thaw_verification v;
  load(&e);
  assert_thaw_ok(thaw_pairs_read(file, &e, &pairs));
  assert_int_equal(pairs.folds, folds);
  assert_int_equal(pairs.missing.count, 0);
  assert_thaw_ok(thaw_verify(&e, &pairs, NAN, &v));
  compare(group, "auc", &v.auc, 1, 1e-12);
  compare(group, "eer", &v.eer, 1, 1e-12);
  compare(group, "tar", v.true_accept, THAW_MATCH_RATES, 1e-12);
  compare(group, "fold_accuracy", v.fold_accuracy, folds, 1e-12);
  compare(group, "fold_threshold", v.fold_threshold, folds, 1e-7);
  compare(group, "accuracy", &v.accuracy, 1, 1e-12);
  compare(group, "accuracy_error", &v.accuracy_error, 1, 1e-12);
  thaw_verification_clear(&v);
  /* A threshold from other pairs is taken as it is. */
  assert_thaw_ok(thaw_verify(&e, &pairs, 2, &v));
  assert_true(v.given);
  assert_float_equal(v.accuracy, 0.5, 0);
  thaw_verification_clear(&v);
  thaw_pairs_clear(&pairs);
  thaw_embeddings_clear(&e);
}

static void test_verification(void **state) {
  (void)state;
  check_verification("ten", THAW_TEST_DATA "/pairs.txt", 10);
  check_verification("one", THAW_TEST_DATA "/pairs_one_fold.txt", 1);
}

static void test_identification(void **state) {
  (void)state;
  thaw_embeddings e;
  thaw_identification d;
  thaw_strings single = {0};
  load(&e);
  uint8_t *role = thaw_new((size_t)e.count, 1);
  assert_thaw_ok(thaw_gallery_split(&e, role));
  assert_thaw_ok(thaw_identify(&e, role, &e, role, &d));
  double count[] = {(double)d.persons, (double)d.probes, (double)d.strangers};
  compare("identification", "persons", &count[0], 1, 0);
  compare("identification", "probes", &count[1], 1, 0);
  compare("identification", "strangers", &count[2], 1, 0);
  compare("identification", "cmc", d.cmc, d.ranks, 1e-12);
  compare("identification", "dir", d.found, THAW_MATCH_RATES, 1e-12);
  assert_int_equal(thaw_single_images(&e, 3, &single), 15);
  assert_int_equal(single.count, 3);
  assert_string_equal(single.item[0], "Person_45");
  thaw_strings_clear(&single);
  thaw_identification_clear(&d);
  thaw_free(role);
  thaw_embeddings_clear(&e);
}

/* ------------------------------------------------------------------ small made-up cases */

static void make(thaw_embeddings *e, const char *const *id, const char *const *person, const float (*value)[2],
                 int64_t count) {
  *e = (thaw_embeddings){.count = count, .width = 2, .value = thaw_new((size_t)count * 2, sizeof(float))};
  memcpy(e->value, value, (size_t)count * 2 * sizeof(float));
  for (int64_t i = 0; i < count; i++) {
    assert_thaw_ok(thaw_strings_add(&e->id, id[i]));
    assert_thaw_ok(thaw_strings_add(&e->person, person[i]));
  }
}

static const char *const ids[] = {"lfw/Al_B/Al_B_0001.jpg", "lfw/Al_B/Al_B_0002.jpg", "lfw/C/C_0001.jpg",
                                  "lfw/C/C_0002.jpg", "lfw/D/D_0001.jpg"};
static const char *const persons[] = {"Al_B", "Al_B", "C", "C", "D"};
static const float values[][2] = {{1, 0}, {2, 0.1f}, {0, 1}, {0.1f, 3}, {-1, -1}};

static void with_file(const char *text, void (*check)(const char *path, const thaw_embeddings *e, const void *context),
                      const void *context) {
  char path[] = "/tmp/thaw-pairs-XXXXXX";
  thaw_embeddings e;
  int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  assert_thaw_ok(thaw_file_write(path, text, strlen(text)));
  make(&e, ids, persons, values, 5);
  check(path, &e, context);
  thaw_embeddings_clear(&e);
  unlink(path);
}

static void check_fails(const char *path, const thaw_embeddings *e, const void *message) {
  thaw_pairs pairs;
  assert_thaw_fails(thaw_pairs_read(path, e, &pairs), THAW_ERR_DATA, message);
}

static void test_bad_lists(void **state) {
  (void)state;
  with_file("", check_fails, "first line");
  with_file("ten 300\n", check_fails, "first line");
  with_file("0\t1\n", check_fails, "first line");
  with_file("1\t-4\n", check_fails, "first line");
  with_file("99999999999999999999\n", check_fails, "first line");
  with_file("2\t1\nC 1 2\n", check_fails, "ends in fold 1");
  with_file("1\nC 1 2\nC 1 D 1\nC 2 D 1\n", check_fails, "more pairs than the 2");
  with_file("1\nC 1 2 3\nC 1 D 1\n", check_fails, ":2: 4 words; a pair of one person");
  with_file("1\nC 1 2\nC 1 D\n", check_fails, ":3: 3 words; a pair of two persons");
  with_file("1\nC one 2\nC 1 D 1\n", check_fails, "'one' is no number");
  with_file("1\nC 1 2\nC 1 C 2\n", check_fails, "names C twice");
  with_file("1\nC 1 9\nC 1 D 1\n", check_fails, "fold 1 has no pair of one person left");
  with_file("2\t1\nC 1 2\nC 1 D 1\nAl_B 1 2\nAl_B 1 E 1\n", check_fails, "fold 2 has no pair of two persons left");
}

static void check_missing(const char *path, const thaw_embeddings *e, const void *context) {
  (void)context;
  thaw_pairs pairs;
  assert_thaw_ok(thaw_pairs_read(path, e, &pairs));
  assert_int_equal(pairs.count, 3);
  assert_int_equal(pairs.missing.count, 1);
  assert_string_equal(pairs.missing.item[0], "line 3: C_0009");
  assert_true(pairs.pair[0].same && pairs.pair[0].a == 0 && pairs.pair[0].b == 1);
  assert_true(!pairs.pair[2].same && pairs.pair[2].a == 2 && pairs.pair[2].b == 4);
  thaw_pairs_clear(&pairs);
}

static void test_missing_images(void **state) {
  (void)state;
  with_file("2\r\nAl_B\t1\t2\r\nC 1 9\nAl_B 2 C 1\n\nC 1 D 1", check_missing, NULL);
}

static void test_ambiguous_images(void **state) {
  (void)state;
  static const char *const twice[] = {"a/C_0001.jpg", "b/C_0001.png", "C_0002.jpg"}, *const who[] = {"C", "C", "C"};
  thaw_embeddings e;
  thaw_pairs pairs;
  char path[] = "/tmp/thaw-pairs-XXXXXX";
  int file = mkstemp(path);
  close(file);
  assert_thaw_ok(thaw_file_write(path, "1\nC 2 1\nC 1 D 1\n", 16));
  make(&e, twice, who, values, 3);
  assert_thaw_fails(thaw_pairs_read(path, &e, &pairs), THAW_ERR_DATA, "'a/C_0001.jpg' and of 'b/C_0001.png'");
  thaw_embeddings_clear(&e);
  unlink(path);
}

/* By hand: two pairs of one person with cosines near 1, eight of two near 0 or below. */
static void test_all_pairs(void **state) {
  (void)state;
  thaw_embeddings e;
  thaw_pairs pairs;
  thaw_verification v;
  make(&e, ids, persons, values, 5);
  assert_thaw_ok(thaw_pairs_all(&e, &pairs));
  assert_int_equal(pairs.count, 10);
  assert_int_equal(pairs.folds, 0);
  assert_thaw_ok(thaw_verify(&e, &pairs, NAN, &v));
  assert_int_equal(v.same, 2);
  assert_float_equal(v.auc, 1, 0);
  assert_float_equal(v.eer, 0, 0);
  assert_true(isnan(v.accuracy) && isnan(v.true_accept[0])); /* 8 are fewer than 10 */
  thaw_verification_clear(&v);
  thaw_pairs_clear(&pairs);
  e.count = 2;
  assert_thaw_fails(thaw_pairs_all(&e, &pairs), THAW_ERR_DATA, "no pair of two persons");
  e.count = 5;
  for (int i = 0; i < 5; i++) e.person.item[i][0] = 0;
  assert_thaw_fails(thaw_pairs_all(&e, &pairs), THAW_ERR_DATA, "the 0 images");
  thaw_identification d;
  assert_thaw_fails(thaw_identify(&e, NULL, &e, NULL, &d), THAW_ERR_DATA, "no image of a person");
  thaw_embeddings_clear(&e);
}

/* A tie with another person counts against the probe; a zero embedding matches nobody. */
static void test_ties(void **state) {
  (void)state;
  static const char *const id[] = {"1", "2", "3"}, *const who[] = {"A", "B", "A"};
  static const float same[][2] = {{1, 1}, {2, 2}, {3, 3}};
  thaw_embeddings e;
  thaw_identification d;
  const uint8_t role[] = {THAW_GALLERY, THAW_GALLERY, THAW_PROBE};
  make(&e, id, who, same, 3);
  assert_thaw_ok(thaw_identify(&e, role, &e, role, &d));
  assert_int_equal(d.ranks, 2);
  assert_float_equal(d.cmc[0], 0, 0);
  assert_float_equal(d.cmc[1], 1, 0);
  thaw_identification_clear(&d);
  memset(e.value, 0, 2 * sizeof(float));
  assert_float_equal(thaw_match_score(&e, 0, &e, 1), 0, 0);
  assert_thaw_fails(thaw_embeddings_normalize(&e), THAW_ERR_DATA, "'1' is zero");
  thaw_embeddings_clear(&e);
}

static void test_files(void **state) {
  (void)state;
  static const char *const names[] = {"e.h5", "e.npy", "e.csv"};
  char folder[] = "/tmp/thaw-match-XXXXXX";
  assert_non_null(mkdtemp(folder));
  thaw_embeddings e, back;
  load(&e);
  for (int i = 0; i < 3; i++) {
    char *path = thaw_path_join(folder, names[i]), *beside = thaw_format("%s.csv", path);
    assert_thaw_ok(thaw_embeddings_write(path, &e));
    assert_thaw_ok(thaw_embeddings_read(path, &back));
    assert_int_equal(back.count, e.count);
    assert_int_equal(back.width, e.width);
    assert_memory_equal(back.value, e.value, (size_t)e.count * (size_t)e.width * sizeof *e.value);
    for (int64_t k = 0; k < e.count; k++) {
      assert_string_equal(back.id.item[k], e.id.item[k]);
      assert_string_equal(back.person.item[k], e.person.item[k]);
    }
    thaw_embeddings_clear(&back);
    e.value[5] = NAN;
    if (i < 2) {
      assert_thaw_ok(thaw_embeddings_write(path, &e));
      assert_thaw_fails(thaw_embeddings_read(path, &back), THAW_ERR_DATA, e.id.item[0]);
    }
    load(&back);
    e.value[5] = back.value[5];
    thaw_embeddings_clear(&back);
    unlink(beside);
    unlink(path);
    thaw_free(beside);
    thaw_free(path);
  }
  char *broken = thaw_path_join(folder, "broken.npy");
  assert_thaw_ok(thaw_file_write(broken, "\x93NUMPY\x01\x00\xff\xff", 10));
  assert_thaw_fails(thaw_embeddings_read(broken, &back), THAW_ERR_DATA, "cut off");
  unlink(broken);
  thaw_free(broken);
  rmdir(folder);
  thaw_embeddings_clear(&e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_verification),
      cmocka_unit_test(test_identification),
      cmocka_unit_test(test_bad_lists),
      cmocka_unit_test(test_missing_images),
      cmocka_unit_test(test_ambiguous_images),
      cmocka_unit_test(test_all_pairs),
      cmocka_unit_test(test_ties),
      cmocka_unit_test(test_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
