/* Catalogues and shards that are wrong: one line with file, place and both values. */
#include "shard_support.h"
#include "thaw/h5.h"

static void expect_catalog(const char *text, const char *part) {
  thaw_catalog *catalog = NULL;
  write_text("bad.yaml", text);
  assert_thaw_fails(thaw_catalog_open(in_folder("bad.yaml"), &catalog), THAW_ERR_DATA, part);
  assert_null(catalog);
  if (!strstr(thaw_message(), "bad.yaml")) fail_msg("'%s' does not name the file", thaw_message());
}

#define HEAD "format: thaw-catalog\nversion: 1\n"

static void fields_are_checked(void **state) {
  (void)state;
  expect_catalog("", "empty");
  expect_catalog("a: [1, 2\n", "bad.yaml:");
  expect_catalog("- 1\n- 2\n", "not a catalogue");
  expect_catalog("name: job\n", "'format: thaw-catalog' is missing");
  expect_catalog("format: thaw-catalog\nversion: 2\nshards: [{file: a.h5}]\n", "version 2, this program reads 1");
  expect_catalog(HEAD, "'shards' must be a list");
  expect_catalog(HEAD "shards: []\n", ":3: 'shards' must be a list");
  expect_catalog(HEAD "shrads:\n  - {file: a.h5}\n", ":3: unknown key 'shrads' (did you mean 'shards'?)");
  expect_catalog(HEAD "shards:\n  - {count: 3}\n", ":4: a shard without 'file'");
  expect_catalog(HEAD "shards:\n  - {file: a.h5, count: -1}\n", ":4: 'count' is '-1'");
  expect_catalog(HEAD "shards:\n  - {file: a.h5, count: many}\n", "'count' is 'many'");
  expect_catalog(HEAD "shards:\n  - {file: a.h5, digest: abc}\n", "no SHA-256");
  expect_catalog(HEAD "shards:\n  - {file: a.h5, labels: /y}\n", "need 'images' too");
  expect_catalog(HEAD "shards:\n  - {file: a.h5, images: x}\n", "'/x', not 'x'");
  expect_catalog(HEAD "label: {kind: clas}\nshards:\n  - {file: a.h5}\n", "did you mean 'class'?");
  expect_catalog(HEAD "image: {height: 3, width: 4}\nshards:\n  - {file: a.h5}\n", "height, width and channels");
  expect_catalog(HEAD "image: {height: 3, width: 4, channels: 1, bits: 12}\nshards:\n  - {file: a.h5}\n", "8 or 16");
  expect_catalog(HEAD "image: {height: 3, width: 4, channels: 1, value_max: 0}\nshards:\n  - {file: a.h5}\n",
                 "above 0");
  expect_catalog(HEAD "classes: [[a], b]\nshards:\n  - {file: a.h5}\n", "class name");
}

static void files_are_checked(void **state) {
  (void)state;
  thaw_catalog *catalog = NULL;
  assert_thaw_fails(thaw_catalog_open(in_folder("nowhere.yaml"), &catalog), THAW_ERR_DATA, "no such file");
  assert_thaw_fails(thaw_catalog_open("/proc/self", &catalog), THAW_ERR_DATA, "catalog.yaml");
  write_text("text.h5", "this is no HDF5 file");
  assert_thaw_fails(thaw_catalog_open(in_folder("text.h5"), &catalog), THAW_ERR_DATA, "text.h5");
  write_text("bad.yaml", HEAD "shards:\n  - {file: gone.h5}\n");
  assert_thaw_fails(thaw_catalog_open(in_folder("bad.yaml"), &catalog), THAW_ERR_DATA, "gone.h5");
}

/* catalog.yaml with one text replaced by another of any length. */
static void rewrite_catalog(const char *from, const char *to) {
  char *text = NULL;
  size_t size = 0;
  thaw_text out = {0};
  write_catalog();
  assert_thaw_ok(thaw_file_read(in_folder("catalog.yaml"), 1 << 20, &text, &size));
  char *at = strstr(text, from);
  assert_non_null(at);
  thaw_text_add_bytes(&out, text, (size_t)(at - text));
  thaw_text_add(&out, "%s%s", to, at + strlen(from));
  write_text("catalog.yaml", out.data);
  thaw_text_clear(&out);
  thaw_free(text);
}

static void expect_disagreement(const char *from, const char *to, const char *part) {
  thaw_catalog *catalog = NULL;
  rewrite_catalog(from, to);
  thaw_status status = thaw_catalog_open(folder, &catalog);
  if (status == THAW_OK) status = thaw_catalog_check(catalog);
  assert_thaw_fails(status, THAW_ERR_DATA, part);
  thaw_catalog_close(catalog);
}

static void shards_that_disagree_are_named(void **state) {
  (void)state;
  expect_disagreement("count: 10", "count: 11", "'count' is 11, the shards add up to 10");
  expect_disagreement("height: 5", "height: 6", "a.h5: /images is 5x4x3, the catalogue says 6x4x3");
  expect_disagreement("bits: 8", "bits: 16", "a.h5: /images holds uint8, the catalogue says 16 bits");
  expect_disagreement("value_max: 255", "value_max: 100", "a.h5: largest value 255, the catalogue says 100");
}

static void a_swapped_shard_is_noticed(void **state) {
  (void)state;
  thaw_catalog *catalog = NULL;
  char digest[65];
  write_catalog();
  write_classes("b.h5", 7, 1, NULL, digest);
  assert_thaw_ok(thaw_catalog_open(folder, &catalog));
  assert_thaw_fails(thaw_catalog_check(catalog), THAW_ERR_DATA, "b.h5: digest");
  thaw_catalog_close(catalog);
  write_catalog();
  write_classes("c.h5", 5, 4, NULL, digest);
  assert_thaw_ok(thaw_catalog_open(folder, &catalog));
  assert_thaw_fails(thaw_catalog_check(catalog), THAW_ERR_DATA, "c.h5: /images holds 4 images, the catalogue says 5");
  thaw_catalog_close(catalog);
}

static void labels_out_of_range_name_shard_and_row(void **state) {
  (void)state;
  const int32_t high[4] = {0, 2, 3, 1}, low[4] = {0, 2, 1, -1};
  const thaw_labels *labels = NULL;
  thaw_catalog *catalog = NULL;
  char digest[65];
  write_classes("high.h5", 0, 4, high, digest);
  assert_thaw_ok(thaw_catalog_open(in_folder("high.h5"), &catalog));
  assert_thaw_fails(thaw_catalog_labels(catalog, &labels), THAW_ERR_DATA,
                    "high.h5: /labels row 2: class index 3, there are 3 classes");
  thaw_catalog_close(catalog);
  write_classes("low.h5", 0, 4, low, digest);
  assert_thaw_ok(thaw_catalog_open(in_folder("low.h5"), &catalog));
  assert_thaw_fails(thaw_catalog_labels(catalog, &labels), THAW_ERR_DATA, "low.h5: /labels row 3: class index -1");
  thaw_catalog_close(catalog);
}

static void damage_on_the_disk_is_found(void **state) {
  (void)state;
  thaw_catalog *catalog = NULL;
  char digest[65], *bytes = NULL;
  size_t size = 0;
  uint8_t pixels[4 * SHARD_PIXELS];
  write_classes("hurt.h5", 0, 4, NULL, digest);
  assert_thaw_ok(thaw_file_read(in_folder("hurt.h5"), 1 << 24, &bytes, &size));
  uint8_t row[SHARD_PIXELS];
  for (int i = 0; i < SHARD_PIXELS; i++) row[i] = pixel_of(2, i);
  char *at = memmem(bytes, size, row, sizeof row);
  assert_non_null(at);
  at[5] ^= 1;
  assert_thaw_ok(thaw_file_write(in_folder("hurt.h5"), bytes, size));
  assert_thaw_ok(thaw_catalog_open(in_folder("hurt.h5"), &catalog));
  assert_thaw_fails(thaw_catalog_pixels(catalog, 0, 4, pixels), THAW_ERR_DATA, "hurt.h5");
  assert_thaw_fails(thaw_catalog_verify(catalog, 0), THAW_ERR_DATA, "hurt.h5");
  thaw_catalog_close(catalog);
  for (size_t cut = 0; cut < size; cut += size / 37) {
    assert_thaw_ok(thaw_file_write(in_folder("cut.h5"), bytes, cut));
    if (thaw_catalog_open(in_folder("cut.h5"), &catalog) == THAW_OK) fail_msg("cut to %zu bytes it opens", cut);
    assert_null(catalog);
  }
  thaw_free(bytes);
}

static void expect_foreign(const thaw_h5_layout *images, const thaw_h5_layout *labels, const char *part) {
  static uint8_t zeros[4096];
  thaw_h5 *file = NULL;
  thaw_catalog *catalog = NULL;
  const thaw_labels *read = NULL;
  assert_thaw_ok(thaw_h5_create(in_folder("foreign.h5"), &file));
  assert_thaw_ok(thaw_h5_write(file, "/x", images, zeros));
  if (labels) assert_thaw_ok(thaw_h5_write(file, "/y", labels, zeros));
  assert_thaw_ok(thaw_h5_commit(file));
  thaw_status status = thaw_catalog_open(in_folder("foreign.h5"), &catalog);
  if (status == THAW_OK) status = thaw_catalog_labels(catalog, &read);
  assert_thaw_fails(status, THAW_ERR_DATA, part);
  thaw_catalog_close(catalog);
}

static void foreign_files_of_the_wrong_shape(void **state) {
  (void)state;
  const thaw_h5_layout good = {.type = THAW_H5_U8, .rank = 4, .dim = {3, 4, 4, 1}};
  expect_foreign(&(thaw_h5_layout){.type = THAW_H5_F32, .rank = 4, .dim = {3, 4, 4, 1}}, NULL, "/x holds float32");
  expect_foreign(&(thaw_h5_layout){.type = THAW_H5_U8, .rank = 2, .dim = {3, 4}}, NULL, "/x has 2 dimensions");
  expect_foreign(&good, &(thaw_h5_layout){.type = THAW_H5_U8, .rank = 1, .dim = {2}}, "/y has 2 rows, expected 3");
  expect_foreign(&good, &(thaw_h5_layout){.type = THAW_H5_I32, .rank = 2, .dim = {3, 2}}, "multi-label data is uint8");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fields_are_checked),
      cmocka_unit_test(files_are_checked),
      cmocka_unit_test(shards_that_disagree_are_named),
      cmocka_unit_test(a_swapped_shard_is_noticed),
      cmocka_unit_test(labels_out_of_range_name_shard_and_row),
      cmocka_unit_test(damage_on_the_disk_is_found),
      cmocka_unit_test(foreign_files_of_the_wrong_shape),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
