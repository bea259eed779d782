/* What is written is read back; samples cross shards; foreign HDF5 in place. */
#include "shard_support.h"
#include "thaw/h5.h"

static void a_catalogue_is_read_back(void **state) {
  (void)state;
  thaw_catalog *catalog = NULL;
  write_catalog();
  assert_thaw_ok(thaw_catalog_open(folder, &catalog));
  const thaw_dataset_info *info = thaw_catalog_info(catalog);
  assert_int_equal(info->count, 10);
  assert_int_equal(info->h, SHARD_H);
  assert_int_equal(info->w, SHARD_W);
  assert_int_equal(info->c, SHARD_C);
  assert_int_equal(info->bits, 8);
  assert_true(info->value_max == 255);
  assert_int_equal(info->label_kind, THAW_LABEL_CLASS);
  assert_int_equal(info->label_width, 1);
  assert_int_equal(info->classes.count, 3);
  assert_string_equal(info->classes.item[2], "m\xc3\xa4use: \"grey\"");
  assert_int_equal(strlen(info->digest), 64);
  assert_int_equal(thaw_catalog_shards(catalog), 3);
  int64_t first = 0, count = 0;
  assert_non_null(strstr(thaw_catalog_shard(catalog, 2, &first, &count), "/c.h5"));
  assert_int_equal(first, 5);
  assert_int_equal(count, 5);
  assert_thaw_ok(thaw_catalog_check(catalog));
  for (int32_t i = 0; i < 3; i++) assert_thaw_ok(thaw_catalog_verify(catalog, i));
  thaw_catalog_close(catalog);
}

static void expect_pixels(const uint8_t *pixels, int64_t sample) {
  for (int i = 0; i < SHARD_PIXELS; i++) assert_int_equal(pixels[i], pixel_of(sample, i));
}

static void every_stretch_has_the_right_samples(void **state) {
  (void)state;
  thaw_catalog *catalog = NULL;
  uint8_t *pixels = thaw_new(10, SHARD_PIXELS);
  write_catalog();
  assert_thaw_ok(thaw_catalog_open(in_folder("catalog.yaml"), &catalog));
  for (int64_t first = 0; first <= 10; first++)
    for (int64_t count = 0; first + count <= 10; count++) {
      thaw_strings ids, groups;
      assert_thaw_ok(thaw_catalog_pixels(catalog, first, count, pixels));
      for (int64_t i = 0; i < count; i++) expect_pixels(pixels + i * SHARD_PIXELS, first + i);
      assert_thaw_ok(thaw_catalog_ids(catalog, first, count, &ids));
      assert_thaw_ok(thaw_catalog_groups(catalog, first, count, &groups));
      assert_int_equal(ids.count, count);
      for (int64_t i = 0; i < count; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "id-%d", (int)(first + i));
        assert_string_equal(ids.item[i], expected);
        snprintf(expected, sizeof expected, "patient-%d", (int)(first + i) / 2);
        assert_string_equal(groups.item[i], expected);
      }
      thaw_strings_clear(&ids);
      thaw_strings_clear(&groups);
    }
  assert_thaw_fails(thaw_catalog_pixels(catalog, 8, 3, pixels), THAW_ERR_INTERNAL, "8..11 of 10");
  const thaw_labels *labels = NULL, *again = NULL;
  assert_thaw_ok(thaw_catalog_labels(catalog, &labels));
  for (int i = 0; i < 10; i++) assert_true(thaw_label(labels, (uint64_t)i, 0) == (float)(i % 3));
  assert_thaw_ok(thaw_catalog_labels(catalog, &again));
  assert_ptr_equal(labels, again);
  thaw_catalog_close(catalog);
  thaw_free(pixels);
}

static void more_shards_than_are_kept_open(void **state) {
  (void)state;
  enum { SHARDS = 30 };
  thaw_shard_entry entry[SHARDS];
  thaw_dataset_info info = class_info();
  thaw_catalog *catalog = NULL;
  for (int i = 0; i < SHARDS; i++) {
    entry[i] = (thaw_shard_entry){.file = thaw_format("many-%02d.h5", i), .count = 2};
    write_classes(entry[i].file, 2 * i, 2, NULL, entry[i].digest);
  }
  assert_thaw_ok(thaw_catalog_write(in_folder("many.yaml"), &info, entry, SHARDS, NULL));
  assert_thaw_ok(thaw_catalog_open(in_folder("many.yaml"), &catalog));
  for (int64_t k = 0; k < 200; k++) {
    uint8_t pixels[SHARD_PIXELS];
    const int64_t sample = k * 37 % (2 * SHARDS);
    assert_thaw_ok(thaw_catalog_pixels(catalog, sample, 1, pixels));
    assert_int_equal(pixels[9], pixel_of(sample, 9));
  }
  for (int parts = 1; parts < 70; parts += 23) { /* also more parts than shards: what the ranks of a job do */
    const thaw_labels *labels = NULL;
    size_t total = 0, bytes;
    thaw_catalog_close(catalog);
    assert_thaw_ok(thaw_catalog_open(in_folder("many.yaml"), &catalog));
    for (int part = 0; part < parts; part++) {
      assert_thaw_ok(thaw_catalog_read_part(catalog, part, parts, true));
      thaw_catalog_labels_part(catalog, part, parts, &bytes);
      total += bytes;
    }
    assert_thaw_ok(thaw_catalog_labels(catalog, &labels));
    assert_int_equal(labels->bytes, 1);
    assert_int_equal(total, 2 * SHARDS);
    for (int i = 0; i < 2 * SHARDS; i++) assert_true(thaw_label(labels, (uint64_t)i, 0) == (float)(i % 3));
  }
  thaw_catalog_close(catalog);
  thaw_strings_clear(&info.classes);
  for (int i = 0; i < SHARDS; i++) thaw_free(entry[i].file);
}

/* Class indices keep their values in every width of memory. */
static void labels_are_as_narrow_as_their_classes(void **state) {
  (void)state;
  static const int32_t classes[] = {256, 257, 65536, 65537};
  static const int32_t bytes[] = {1, 2, 2, 4};
  for (int i = 0; i < 4; i++) {
    thaw_dataset_info info = {.h = 1, .w = 1, .c = 1, .bits = 8, .value_max = 255, .label_width = 1};
    thaw_shard_entry entry = {.file = (char *)"wide.h5", .count = 3};
    const int32_t label[3] = {0, classes[i] - 1, classes[i] / 2};
    char one[] = "one", two[] = "two", three[] = "three", *id[] = {one, two, three};
    const uint8_t pixels[3] = {0};
    const thaw_shard_rows rows = {3, pixels, label, id, NULL};
    const thaw_labels *labels = NULL;
    thaw_catalog *catalog = NULL;
    for (int32_t c = 0; c < classes[i]; c++) {
      char name[16];
      snprintf(name, sizeof name, "c%d", (int)c);
      assert_thaw_ok(thaw_strings_add(&info.classes, name));
    }
    thaw_dataset_info unnamed = info; /* 65,537 names do not fit into an attribute of the shard */
    unnamed.classes = (thaw_strings){0};
    assert_thaw_ok(thaw_shard_write(in_folder("wide.h5"), &unnamed, &rows, 0, entry.digest));
    assert_thaw_ok(thaw_catalog_write(in_folder("wide.yaml"), &info, &entry, 1, NULL));
    assert_thaw_ok(thaw_catalog_open(in_folder("wide.yaml"), &catalog));
    assert_thaw_ok(thaw_catalog_labels(catalog, &labels));
    assert_int_equal(labels->bytes, bytes[i]);
    for (int k = 0; k < 3; k++) assert_true(thaw_label(labels, (uint64_t)k, 0) == (float)label[k]);
    thaw_catalog_close(catalog);
    thaw_strings_clear(&info.classes);
  }
}

static void the_same_rows_give_the_same_bytes(void **state) {
  (void)state;
  char first[65], second[65], *a = NULL, *b = NULL;
  size_t size_a = 0, size_b = 0;
  write_classes("one.h5", 3, 7, NULL, first);
  write_classes("two.h5", 3, 7, NULL, second);
  assert_string_equal(first, second);
  assert_thaw_ok(thaw_file_read(in_folder("one.h5"), 1 << 24, &a, &size_a));
  assert_thaw_ok(thaw_file_read(in_folder("two.h5"), 1 << 24, &b, &size_b));
  assert_int_equal(size_a, size_b);
  assert_memory_equal(a, b, size_a);
  thaw_free(a);
  thaw_free(b);
  write_classes("three.h5", 4, 7, NULL, second);
  assert_string_not_equal(first, second);
}

static void a_single_shard_is_a_dataset(void **state) {
  (void)state;
  thaw_catalog *catalog = NULL;
  char digest[65];
  write_classes("single.h5", 0, 6, NULL, digest);
  assert_thaw_ok(thaw_catalog_open(in_folder("single.h5"), &catalog));
  assert_int_equal(thaw_catalog_info(catalog)->count, 6);
  assert_int_equal(thaw_catalog_info(catalog)->classes.count, 3);
  assert_string_equal(thaw_catalog_info(catalog)->classes.item[1], "dog");
  assert_thaw_ok(thaw_catalog_verify(catalog, 0));
  thaw_catalog_close(catalog);
}

static void write_kind(const char *name, thaw_label_kind kind, int32_t bits, const void *labels) {
  uint16_t pixels[2 * 3 * 3] = {0};
  char one[] = "one", two[] = "two", *id[] = {one, two}, digest[65];
  for (int i = 0; i < 18; i++) pixels[i] = (uint16_t)(i * 1000);
  const thaw_dataset_info info = {.h = 3,
                                  .w = 3,
                                  .c = 1,
                                  .bits = bits,
                                  .value_max = 4095,
                                  .label_kind = kind,
                                  .label_width = kind == THAW_LABEL_NONE ? 1 : 2};
  const thaw_shard_rows rows = {.count = 2, .pixels = pixels, .labels = labels, .ids = id};
  assert_thaw_ok(thaw_shard_write(in_folder(name), &info, &rows, 6, digest));
}

static void other_labels_and_16_bits(void **state) {
  (void)state;
  thaw_catalog *catalog = NULL;
  const thaw_labels *labels = NULL;
  const float target[4] = {0.5f, -1, 2, 1e-3f};
  const uint8_t multi[4] = {0, 1, 255, 0};
  write_kind("multi.h5", THAW_LABEL_MULTI, 16, multi);
  assert_thaw_ok(thaw_catalog_open(in_folder("multi.h5"), &catalog));
  assert_int_equal(thaw_catalog_info(catalog)->label_width, 2);
  assert_true(thaw_catalog_info(catalog)->value_max == 4095);
  assert_thaw_ok(thaw_catalog_labels(catalog, &labels));
  for (int i = 0; i < 4; i++) assert_true(thaw_label(labels, (uint64_t)i / 2, i % 2) == multi[i]);
  uint16_t pixels[18];
  assert_thaw_ok(thaw_catalog_pixels(catalog, 0, 2, pixels));
  assert_int_equal(pixels[17], 17000);
  assert_thaw_ok(thaw_catalog_verify(catalog, 0));
  thaw_catalog_close(catalog);
  write_kind("target.h5", THAW_LABEL_TARGET, 16, target);
  assert_thaw_ok(thaw_catalog_open(in_folder("target.h5"), &catalog));
  assert_thaw_ok(thaw_catalog_labels(catalog, &labels));
  assert_memory_equal(labels->value, target, sizeof target);
  assert_thaw_ok(thaw_catalog_verify(catalog, 0));
  thaw_catalog_close(catalog);
  write_kind("none.h5", THAW_LABEL_NONE, 16, NULL);
  assert_thaw_ok(thaw_catalog_open(in_folder("none.h5"), &catalog));
  assert_int_equal(thaw_catalog_info(catalog)->label_kind, THAW_LABEL_NONE);
  thaw_catalog_close(catalog);
}

/* ------------------------------------------------------------------ foreign files, written by h5py */
static void expect_pcam(thaw_catalog *catalog, const char *second_class) {
  static const float expected[] = {0, 1, 1, 0, 1, 0};
  const thaw_dataset_info *info = thaw_catalog_info(catalog);
  const thaw_labels *labels = NULL;
  uint8_t pixels[3 * 60];
  thaw_strings ids;
  assert_int_equal(info->count, 6);
  assert_int_equal(info->h, 4);
  assert_int_equal(info->w, 5);
  assert_int_equal(info->c, 3);
  assert_int_equal(info->label_kind, THAW_LABEL_CLASS);
  assert_int_equal(info->classes.count, 2);
  assert_string_equal(info->classes.item[1], second_class);
  assert_thaw_ok(thaw_catalog_labels(catalog, &labels));
  for (int i = 0; i < 6; i++) assert_true(thaw_label(labels, (uint64_t)i, 0) == expected[i]);
  assert_thaw_ok(thaw_catalog_pixels(catalog, 2, 3, pixels));
  for (int i = 0; i < 180; i++) assert_int_equal(pixels[i], (120 + i) * 7 % 256);
  assert_thaw_ok(thaw_catalog_ids(catalog, 5, 1, &ids));
  assert_non_null(strstr(ids.item[0], ":5"));
  thaw_strings_clear(&ids);
  assert_thaw_ok(thaw_catalog_verify(catalog, 0));
}

static void patch_camelyon_in_place(void **state) {
  (void)state;
  thaw_catalog *catalog = NULL;
  char text[1024];
  snprintf(
      text, sizeof text,
      "format: thaw-catalog\nshards:\n  - {file: %s/golden/pcam_x.h5, images: /x, labels_file: %s/golden/pcam_y.h5, "
      "labels: /y}\n",
      THAW_TEST_DATA, THAW_TEST_DATA);
  write_text("pcam.yaml", text);
  assert_thaw_ok(thaw_catalog_open(in_folder("pcam.yaml"), &catalog));
  expect_pcam(catalog, "1");
  thaw_catalog_close(catalog);
  snprintf(
      text, sizeof text,
      "format: thaw-catalog\nversion: 1\ncount: 6\nclasses: [normal, tumour]\nimage: {height: 4, width: 5, channels: "
      "3}\nlabel: {kind: class}\nshards:\n  - file: %s/golden/pcam_x.h5\n    images: /x\n    labels_file: "
      "%s/golden/pcam_y.h5\n    labels: /y\n    count: 6\n",
      THAW_TEST_DATA, THAW_TEST_DATA);
  write_text("pcam.yaml", text);
  assert_thaw_ok(thaw_catalog_open(in_folder("pcam.yaml"), &catalog));
  expect_pcam(catalog, "tumour");
  thaw_catalog_close(catalog);
}

static void the_digest_covers_what_matters(void **state) {
  (void)state;
  thaw_catalog *catalog = NULL;
  char before[65], *text = NULL;
  size_t size = 0;
  write_catalog();
  assert_thaw_ok(thaw_catalog_open(folder, &catalog));
  memcpy(before, thaw_catalog_info(catalog)->digest, 65);
  thaw_catalog_close(catalog);
  assert_thaw_ok(thaw_catalog_open(folder, &catalog));
  assert_string_equal(before, thaw_catalog_info(catalog)->digest);
  thaw_catalog_close(catalog);
  assert_thaw_ok(thaw_file_read(in_folder("catalog.yaml"), 1 << 20, &text, &size));
  char *at = strstr(text, "value_max: 255");
  assert_non_null(at);
  memcpy(at, "value_max: 254", 14);
  write_text("catalog.yaml", text);
  thaw_free(text);
  assert_thaw_ok(thaw_catalog_open(folder, &catalog));
  assert_string_not_equal(before, thaw_catalog_info(catalog)->digest);
  thaw_catalog_close(catalog);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_catalogue_is_read_back),          cmocka_unit_test(every_stretch_has_the_right_samples),
      cmocka_unit_test(more_shards_than_are_kept_open),    cmocka_unit_test(labels_are_as_narrow_as_their_classes),
      cmocka_unit_test(the_same_rows_give_the_same_bytes), cmocka_unit_test(a_single_shard_is_a_dataset),
      cmocka_unit_test(other_labels_and_16_bits),          cmocka_unit_test(patch_camelyon_in_place),
      cmocka_unit_test(the_digest_covers_what_matters),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
