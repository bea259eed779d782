/* Folds against scikit-learn's StratifiedGroupKFold (tests/golden/folds.h5), and catalogues reduced to some of their
 * samples. */
#include "shard_support.h"

#include "thaw/h5.h"

#define GOLDEN THAW_TEST_DATA "/../golden/folds.h5"

static int32_t *dataset(thaw_h5 *file, const char *group, const char *name, int64_t *count) {
  char *path = thaw_format("/%s/%s", group, name);
  thaw_h5_info info;
  assert_non_null(path);
  assert_thaw_ok(thaw_h5_describe(file, path, &info));
  int32_t *data = thaw_new((size_t)info.count, sizeof *data);
  assert_non_null(data);
  assert_thaw_ok(thaw_h5_read(file, path, THAW_H5_I32, info.count, data));
  if (count) *count = info.count;
  thaw_free(path);
  return data;
}

/* A catalogue of 1 x 1 images in two shards; pixel and id tell the sample. */
static thaw_catalog *make_catalog(const char *name, const int32_t *label, const int32_t *group, int64_t count) {
  char *place = thaw_path_join(folder, name), *path[2], *yaml;
  assert_thaw_ok(thaw_folder_create(place));
  thaw_dataset_info info = {.h = 1, .w = 1, .c = 3, .bits = 8, .value_max = 255, .label_width = 1};
  for (int i = 0; i < 4; i++) assert_thaw_ok(thaw_strings_add(&info.classes, (const char *[]){"a", "b", "c", "d"}[i]));
  thaw_shard_entry entry[2] = {{.file = (char[]){"one.h5"}}, {.file = (char[]){"two.h5"}}};
  int64_t first = 0, histogram[4] = {0};
  for (int64_t i = 0; i < count; i++) histogram[label[i]]++;
  for (int s = 0; s < 2; s++) {
    int64_t rows = s ? count - first : count / 3;
    uint8_t *pixels = thaw_new((size_t)rows, 3);
    char **id = thaw_new((size_t)rows, sizeof *id), **names = thaw_new((size_t)rows, sizeof *names);
    for (int64_t i = 0; i < rows; i++) {
      pixels[3 * i] = (uint8_t)((first + i) % 251);
      id[i] = thaw_format("%s-%lld", name, (long long)(first + i));
      names[i] = thaw_format("p%03d", group[first + i]);
    }
    info.count = entry[s].count = rows;
    path[s] = thaw_path_join(place, entry[s].file);
    const thaw_shard_rows content = {
        .count = rows, .pixels = pixels, .labels = label + first, .ids = id, .groups = names};
    assert_thaw_ok(thaw_shard_write(path[s], &info, &content, 0, entry[s].digest));
    for (int64_t i = 0; i < rows; i++) {
      thaw_free(id[i]);
      thaw_free(names[i]);
    }
    thaw_free(id);
    thaw_free(names);
    thaw_free(pixels);
    thaw_free(path[s]);
    first += rows;
  }
  info.count = count;
  yaml = thaw_path_join(place, "catalog.yaml");
  assert_thaw_ok(thaw_catalog_write(yaml, &info, entry, 2, histogram));
  thaw_catalog *catalog;
  assert_thaw_ok(thaw_catalog_open(yaml, &catalog));
  thaw_strings_clear(&info.classes);
  thaw_free(yaml);
  thaw_free(place);
  return catalog;
}

static void as_scikit_learn(void **state) {
  (void)state;
  static const char *const names[] = {"even", "rare", "big"};
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_open(GOLDEN, &file));
  for (int n = 0; n < 3; n++) {
    int64_t count;
    int32_t *label = dataset(file, names[n], "label", &count), *group = dataset(file, names[n], "group", NULL);
    thaw_catalog *catalog = make_catalog(names[n], label, group, count);
    uint8_t *fold = thaw_new((size_t)count, 1);
    for (int32_t folds = 2; folds <= 5; folds += folds == 2 ? 1 : 2) {
      char key[16];
      snprintf(key, sizeof key, "fold_%d", folds);
      int32_t *truth = dataset(file, names[n], key, NULL);
      assert_thaw_ok(thaw_catalog_folds(catalog, folds, fold));
      for (int64_t i = 0; i < count; i++)
        if (fold[i] != truth[i])
          fail_msg("%s, %d folds: sample %lld is in fold %d, not %d", names[n], folds, (long long)i, fold[i], truth[i]);
      thaw_free(truth);
    }
    if (n == 2)
      assert_thaw_fails(thaw_catalog_folds(catalog, 40, fold), THAW_ERR_DATA,
                        "groups (patients), too few for 40 folds");
    assert_thaw_fails(thaw_catalog_folds(catalog, 1, fold), THAW_ERR_USAGE, "1 folds");
    thaw_free(fold);
    thaw_free(label);
    thaw_free(group);
    thaw_catalog_close(catalog);
  }
  thaw_h5_close(file);
}

static void selection(void **state) {
  (void)state;
  enum { COUNT = 60, KEPT = 25 };
  int32_t label[COUNT], group[COUNT];
  int64_t kept[KEPT], wrong = COUNT;
  for (int32_t i = 0; i < COUNT; i++) label[i] = i % 3, group[i] = i / 4;
  for (int32_t i = 0; i < KEPT; i++) kept[i] = 59 - 2 * i;
  thaw_catalog *catalog = make_catalog("s", label, group, COUNT);
  const thaw_labels *labels;
  char digest[65];
  assert_thaw_ok(thaw_catalog_labels(catalog, &labels));
  snprintf(digest, sizeof digest, "%s", thaw_catalog_info(catalog)->digest);
  assert_null(thaw_catalog_selection(catalog));
  assert_thaw_fails(thaw_catalog_select(catalog, &wrong, 1), THAW_ERR_INTERNAL, "sample 60 of 60");
  assert_thaw_ok(thaw_catalog_select(catalog, kept, KEPT));
  assert_int_equal(thaw_catalog_info(catalog)->count, KEPT);
  assert_string_not_equal(thaw_catalog_info(catalog)->digest, digest);
  assert_thaw_ok(thaw_catalog_labels(catalog, &labels));
  thaw_strings few, groups, many;
  uint8_t pixels[KEPT * 3];
  assert_thaw_ok(thaw_catalog_ids(catalog, 3, 2, &few));
  assert_thaw_ok(thaw_catalog_ids(catalog, 0, KEPT, &many));
  assert_thaw_ok(thaw_catalog_groups(catalog, 0, KEPT, &groups));
  assert_thaw_ok(thaw_catalog_pixels(catalog, 0, KEPT, pixels));
  assert_string_equal(few.item[0], "s-53");
  assert_int_equal(few.count, 2);
  for (int32_t i = 0; i < KEPT; i++) {
    char id[16], name[16];
    snprintf(id, sizeof id, "s-%d", (int)kept[i]);
    snprintf(name, sizeof name, "p%03d", (int)kept[i] / 4);
    assert_string_equal(many.item[i], id);
    assert_string_equal(groups.item[i], name);
    assert_int_equal(pixels[3 * i], kept[i]);
    assert_int_equal((int)thaw_label(labels, (uint64_t)i, 0), kept[i] % 3);
  }
  assert_thaw_fails(thaw_catalog_pixels(catalog, 20, 6, pixels), THAW_ERR_INTERNAL, "of a selection of 25");
  thaw_strings_clear(&few);
  thaw_strings_clear(&many);
  thaw_strings_clear(&groups);
  thaw_catalog_close(catalog);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(as_scikit_learn), cmocka_unit_test(selection)};
  return cmocka_run_group_tests_name("folds", tests, make_folder, remove_folder);
}
