#include "thaw_test.h"

#include "thaw/digest.h"
#include "thaw/h5.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

static char folder[] = "/tmp/thaw-h5-XXXXXX";

static char *in_folder(const char *name) {
  return thaw_path_join(folder, name);
}

static const thaw_h5_layout small = {.type = THAW_H5_F32, .rank = 2, .dim = {4, 3}};

static void fill(float *value, int count) {
  for (int i = 0; i < count; i++) value[i] = (float)i * 0.5f - 1;
}

static void dataset_reads_back_whole_and_by_rows(void **state) {
  (void)state;
  float value[12], back[12];
  double wide[6];
  fill(value, 12);
  char *path = in_folder("rows.h5");
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_create(path, &file));
  assert_thaw_ok(thaw_h5_write(file, "/a/b/plain", &small, value));
  thaw_h5_layout chunked = small;
  chunked.chunk_rows = 3;
  chunked.deflate = 4;
  assert_thaw_ok(thaw_h5_create_dataset(file, "/a/chunked", &chunked));
  for (int row = 3; row >= 0; row--)
    assert_thaw_ok(thaw_h5_write_rows(file, "/a/chunked", THAW_H5_F32, row, 1, value + 3 * row));
  assert_false(thaw_file_exists(path));
  assert_thaw_ok(thaw_h5_commit(file));

  assert_thaw_ok(thaw_h5_open(path, &file));
  const char *name[] = {"/a/b/plain", "/a/chunked"};
  for (int i = 0; i < 2; i++) {
    thaw_h5_info info;
    assert_thaw_ok(thaw_h5_describe(file, name[i], &info));
    assert_int_equal(info.type, THAW_H5_F32);
    assert_int_equal(info.rank, 2);
    assert_int_equal(info.dim[0] * 10 + info.dim[1], 43);
    assert_int_equal(info.count, 12);
    memset(back, 0, sizeof back);
    assert_thaw_ok(thaw_h5_read(file, name[i], THAW_H5_F32, 12, back));
    assert_memory_equal(back, value, sizeof value);
    assert_thaw_ok(thaw_h5_read_rows(file, name[i], THAW_H5_F64, 1, 2, wide));
    for (int k = 0; k < 6; k++) assert_true(wide[k] == (double)value[3 + k]);
  }
  assert_thaw_fails(thaw_h5_read(file, "/a/chunked", THAW_H5_F32, 11, back), THAW_ERR_DATA,
                    "/a/chunked holds 12 values, expected 11");
  assert_thaw_fails(thaw_h5_read_rows(file, "/a/chunked", THAW_H5_F32, 3, 2, back), THAW_ERR_DATA,
                    "has 4 rows, rows 3 to 5");
  assert_thaw_fails(thaw_h5_read(file, "/a/chunked", THAW_H5_I32, 12, back), THAW_ERR_DATA,
                    "holds float32, expected int32");
  assert_thaw_fails(thaw_h5_read(file, "/a/nothing/x", THAW_H5_F32, 12, back), THAW_ERR_DATA, "has no /a/nothing");
  assert_thaw_fails(thaw_h5_read(file, "/a", THAW_H5_F32, 12, back), THAW_ERR_DATA, "/a is a group");
  thaw_h5_close(file);
  thaw_free(path);
}

static void offset_leads_to_the_values(void **state) {
  (void)state;
  float value[12];
  fill(value, 12);
  char *path = in_folder("rows.h5"), *bytes;
  size_t size;
  thaw_h5 *file;
  int64_t offset;
  assert_thaw_ok(thaw_h5_open(path, &file));
  assert_thaw_ok(thaw_h5_offset(file, "/a/b/plain", &offset));
  assert_thaw_ok(thaw_file_read(path, 1 << 20, &bytes, &size));
  assert_memory_equal(bytes + offset, value, sizeof value);
  thaw_free(bytes);
  assert_thaw_fails(thaw_h5_offset(file, "/a/chunked", &offset), THAW_ERR_DATA, "not stored as one plain block");
  thaw_h5_close(file);
  thaw_free(path);
}

static void half_precision_is_exact(void **state) {
  (void)state;
  /* 1, -2, the smallest subnormal, the largest finite value, 1/3 rounded, infinity */
  const uint16_t half[6] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x3555, 0x7c00};
  const float expected[6] = {1, -2, 0x1p-24f, 65504, 0x1.554p-2f, INFINITY};
  float wide[6];
  uint16_t back[6];
  char *path = in_folder("half.h5");
  thaw_h5 *file;
  thaw_h5_layout layout = {.type = THAW_H5_F16, .rank = 1, .dim = {6}};
  assert_thaw_ok(thaw_h5_create(path, &file));
  assert_thaw_ok(thaw_h5_write(file, "/half", &layout, half));
  assert_thaw_ok(thaw_h5_commit(file));
  assert_thaw_ok(thaw_h5_open(path, &file));
  assert_thaw_ok(thaw_h5_read(file, "/half", THAW_H5_F16, 6, back));
  assert_memory_equal(back, half, sizeof half);
  assert_thaw_ok(thaw_h5_read(file, "/half", THAW_H5_F32, 6, wide));
  for (int i = 0; i < 6; i++) assert_true(wide[i] == expected[i]);
  thaw_h5_close(file);
  thaw_free(path);
}

static void too_large_integers_are_refused(void **state) {
  (void)state;
  const int64_t value[2] = {7, 5000000000};
  int32_t narrow[2];
  char *path = in_folder("wide.h5");
  thaw_h5 *file;
  thaw_h5_layout layout = {.type = THAW_H5_I64, .rank = 1, .dim = {2}};
  assert_thaw_ok(thaw_h5_create(path, &file));
  assert_thaw_ok(thaw_h5_write(file, "/y", &layout, value));
  assert_thaw_ok(thaw_h5_commit(file));
  assert_thaw_ok(thaw_h5_open(path, &file));
  assert_thaw_ok(thaw_h5_read_rows(file, "/y", THAW_H5_I32, 0, 1, narrow));
  assert_int_equal(narrow[0], 7);
  assert_thaw_fails(thaw_h5_read(file, "/y", THAW_H5_I32, 2, narrow), THAW_ERR_DATA, "/y");
  thaw_h5_close(file);
  thaw_free(path);
}

static void add(thaw_strings *list, const char *text) {
  assert_thaw_ok(thaw_strings_add(list, text));
}

static void strings_and_attributes_read_back(void **state) {
  (void)state;
  char *path = in_folder("text.h5"), *text;
  thaw_h5 *file;
  thaw_strings ids = {0}, none = {0}, back = {0};
  add(&ids, "b/1.png");
  add(&ids, "");
  add(&ids, "\xc3\xa9t\xc3\xa9");
  char *large = thaw_new(200001, 1);
  memset(large, 'x', 200000);
  assert_thaw_ok(thaw_h5_create(path, &file));
  assert_thaw_ok(thaw_h5_write_strings(file, "/ids", &ids));
  assert_thaw_ok(thaw_h5_write_strings(file, "/none", &none));
  assert_thaw_ok(thaw_h5_set_text(file, "/", "json", large));
  assert_thaw_ok(thaw_h5_set_text(file, "/", "empty", ""));
  assert_thaw_ok(thaw_h5_set_int(file, "/ids", "n", 1));
  assert_thaw_ok(thaw_h5_set_int(file, "/ids", "n", -3));
  assert_thaw_ok(thaw_h5_set_double(file, "/ids", "d", 0.1));
  assert_thaw_ok(thaw_h5_set_strings(file, "/", "layer_names", &ids));
  assert_thaw_ok(thaw_h5_set_strings(file, "/", "weight_names", &none));
  assert_thaw_ok(thaw_h5_commit(file));

  int64_t n;
  double d;
  assert_thaw_ok(thaw_h5_open(path, &file));
  assert_thaw_ok(thaw_h5_read_strings(file, "/ids", 1, 2, &back));
  assert_int_equal(back.count, 2);
  assert_string_equal(back.item[0], "");
  assert_string_equal(back.item[1], "\xc3\xa9t\xc3\xa9");
  thaw_strings_clear(&back);
  assert_thaw_ok(thaw_h5_read_strings(file, "/none", 0, 0, &back));
  assert_thaw_ok(thaw_h5_get_text(file, "/", "json", &text));
  assert_string_equal(text, large);
  thaw_free(text);
  assert_thaw_ok(thaw_h5_get_text(file, "/", "empty", &text));
  assert_string_equal(text, "");
  thaw_free(text);
  assert_thaw_ok(thaw_h5_get_int(file, "/ids", "n", &n));
  assert_int_equal(n, -3);
  assert_thaw_ok(thaw_h5_get_double(file, "/ids", "d", &d));
  assert_true(d == 0.1);
  assert_thaw_ok(thaw_h5_get_double(file, "/ids", "n", &d));
  assert_true(d == -3);
  assert_thaw_fails(thaw_h5_get_int(file, "/ids", "d", &n), THAW_ERR_DATA, "'d' of /ids: does not hold one whole");
  assert_thaw_fails(thaw_h5_get_int(file, "/ids", "m", &n), THAW_ERR_DATA, "/ids has no attribute 'm'");
  assert_thaw_ok(thaw_h5_get_strings(file, "/", "layer_names", &back));
  assert_int_equal(back.count, 3);
  assert_string_equal(back.item[0], "b/1.png");
  thaw_strings_clear(&back);
  assert_thaw_ok(thaw_h5_get_strings(file, "/", "weight_names", &back));
  assert_int_equal(back.count, 0);
  assert_true(thaw_h5_has_attribute(file, "/", "empty"));
  assert_false(thaw_h5_has_attribute(file, "/nothing", "empty"));
  thaw_h5_close(file);
  thaw_strings_clear(&ids);
  thaw_free(large);
  thaw_free(path);
}

static void long_lists_are_split_as_keras_splits_them(void **state) {
  (void)state;
  char *path = in_folder("split.h5"), name[64];
  thaw_h5 *file;
  thaw_strings list = {0}, back = {0};
  for (int i = 0; i < 5000; i++) {
    snprintf(name, sizeof name, "layer_with_a_rather_long_name_%d", i);
    add(&list, name);
  }
  assert_thaw_ok(thaw_h5_create(path, &file));
  assert_thaw_ok(thaw_h5_set_strings(file, "/", "layer_names", &list));
  assert_thaw_ok(thaw_h5_commit(file));
  assert_thaw_ok(thaw_h5_open(path, &file));
  /* 5000 * 34 bytes over 64512: three parts */
  assert_false(thaw_h5_has_attribute(file, "/", "layer_names"));
  assert_true(thaw_h5_has_attribute(file, "/", "layer_names2"));
  assert_false(thaw_h5_has_attribute(file, "/", "layer_names3"));
  assert_thaw_ok(thaw_h5_get_strings(file, "/", "layer_names", &back));
  assert_int_equal(back.count, list.count);
  for (size_t i = 0; i < list.count; i++) assert_string_equal(back.item[i], list.item[i]);
  thaw_h5_close(file);
  thaw_strings_clear(&list);
  thaw_strings_clear(&back);
  thaw_free(path);
}

static void groups_are_listed_by_name(void **state) {
  (void)state;
  char *path = in_folder("groups.h5");
  thaw_h5 *file;
  thaw_strings names = {0};
  assert_thaw_ok(thaw_h5_create(path, &file));
  assert_thaw_ok(thaw_h5_create_group(file, "/z/y"));
  assert_thaw_ok(thaw_h5_create_group(file, "/z/x"));
  assert_thaw_ok(thaw_h5_commit(file));
  assert_thaw_ok(thaw_h5_open(path, &file));
  assert_thaw_ok(thaw_h5_list(file, "/z", &names));
  assert_int_equal(names.count, 2);
  assert_string_equal(names.item[0], "x");
  assert_true(thaw_h5_is_group(file, "/z/y"));
  assert_true(thaw_h5_is_group(file, "/"));
  assert_true(thaw_h5_exists(file, "/z"));
  assert_false(thaw_h5_exists(file, "/z/w"));
  assert_false(thaw_h5_exists(file, "/z/w/v"));
  assert_string_equal(thaw_h5_path(file), path);
  assert_thaw_fails(thaw_h5_create_group(file, "/new"), THAW_ERR_INTERNAL, "opened for reading");
  thaw_h5_close(file);
  thaw_strings_clear(&names);
  thaw_free(path);
}

static void uncommitted_file_leaves_nothing(void **state) {
  (void)state;
  float value[12];
  fill(value, 12);
  char *path = in_folder("never.h5");
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_create(path, &file));
  assert_thaw_ok(thaw_h5_write(file, "/x", &small, value));
  thaw_h5_close(file);
  thaw_strings names = {0};
  assert_thaw_ok(thaw_folder_list(folder, &names));
  for (size_t i = 0; i < names.count; i++) assert_null(strstr(names.item[i], "never"));
  thaw_strings_clear(&names);
  thaw_free(path);
}

static void missing_and_foreign_files_fail_clearly(void **state) {
  (void)state;
  char *path = in_folder("foreign.h5");
  thaw_h5 *file;
  assert_thaw_fails(thaw_h5_open("/no/such/file.h5", &file), THAW_ERR_DATA,
                    "/no/such/file.h5: cannot be read: No such");
  assert_thaw_fails(thaw_h5_open(folder, &file), THAW_ERR_DATA, "is a folder");
  assert_thaw_ok(thaw_file_write(path, "not hdf5", 8));
  assert_thaw_fails(thaw_h5_open(path, &file), THAW_ERR_DATA, "is not an HDF5 file (8 bytes)");
  assert_thaw_fails(thaw_h5_create("/no/such/file.h5", &file), THAW_ERR_DISK, "cannot be created: No such");
  assert_null(file);
  thaw_free(path);
}

static void write_sample(const char *path) {
  float value[12];
  fill(value, 12);
  thaw_h5_layout chunked = small;
  chunked.chunk_rows = 2;
  chunked.deflate = 1;
  thaw_strings names = {0};
  thaw_h5 *file;
  add(&names, "one");
  add(&names, "three");
  assert_thaw_ok(thaw_h5_create(path, &file));
  assert_thaw_ok(thaw_h5_write(file, "/group/plain", &small, value));
  assert_thaw_ok(thaw_h5_write(file, "/group/chunked", &chunked, value));
  assert_thaw_ok(thaw_h5_write_strings(file, "/ids", &names));
  assert_thaw_ok(thaw_h5_set_strings(file, "/group", "names", &names));
  assert_thaw_ok(thaw_h5_set_text(file, "/", "format", "sample"));
  assert_thaw_ok(thaw_h5_set_int(file, "/group/plain", "n", 3));
  assert_thaw_ok(thaw_h5_commit(file));
  thaw_strings_clear(&names);
}

static void same_content_gives_the_same_bytes(void **state) {
  (void)state;
  char *path[2] = {in_folder("first.h5"), in_folder("second.h5")}, *bytes[2];
  size_t size[2];
  for (int i = 0; i < 2; i++) {
    if (i) usleep(1100000); /* time stamps of HDF5 count seconds */
    write_sample(path[i]);
    assert_thaw_ok(thaw_file_read(path[i], 1 << 20, &bytes[i], &size[i]));
  }
  assert_int_equal(size[0], size[1]);
  assert_memory_equal(bytes[0], bytes[1], size[0]);
  for (int i = 0; i < 2; i++) {
    thaw_free(bytes[i]);
    thaw_free(path[i]);
  }
}

/* A flipped bit in checksummed data is an error, not a wrong number. */
static void damaged_chunk_is_noticed(void **state) {
  (void)state;
  char *path = in_folder("damaged.h5"), *bytes;
  size_t size;
  float value[12];
  fill(value, 12);
  thaw_h5_layout chunked = small;
  chunked.chunk_rows = 4;
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_create(path, &file));
  assert_thaw_ok(thaw_h5_write(file, "/x", &chunked, value));
  assert_thaw_ok(thaw_h5_commit(file));
  assert_thaw_ok(thaw_file_read(path, 1 << 20, &bytes, &size));
  char *at = memmem(bytes, size, value, sizeof value);
  assert_non_null(at);
  at[5] ^= 1;
  assert_thaw_ok(thaw_file_write(path, bytes, size));
  assert_thaw_ok(thaw_h5_open(path, &file));
  assert_thaw_fails(thaw_h5_read(file, "/x", THAW_H5_F32, 12, value), THAW_ERR_DATA, "/x: cannot be read");
  thaw_h5_close(file);
  thaw_free(bytes);
  thaw_free(path);
}

/* Writes until the small file system is full; the failure may show at any of the three steps. */
static thaw_status write_too_much(const char *path, const thaw_h5_layout *layout, const void *data) {
  thaw_h5 *file;
  THAW_TRY(thaw_h5_create(path, &file));
  thaw_status status = thaw_h5_write(file, "/x", layout, data);
  if (status == THAW_OK) return thaw_h5_commit(file);
  thaw_h5_close(file);
  return status;
}

static void full_disk_is_reported_and_leaves_the_old_file(void **state) {
  (void)state;
  char *mounted = in_folder("full"), *path = in_folder("full/x.h5"), *old;
  assert_thaw_ok(thaw_folder_create(mounted));
  if (mount("tmpfs", mounted, "tmpfs", 0, "size=256k") != 0) {
    print_message("skipped: only root may mount a small file system\n");
    rmdir(mounted);
    thaw_free(mounted);
    thaw_free(path);
    skip();
  }
  assert_thaw_ok(thaw_file_write(path, "old", 3));
  enum { COUNT = 1 << 18 };
  float *data = thaw_new(COUNT, sizeof *data);
  for (int i = 0; i < COUNT; i++) data[i] = (float)i;
  for (int chunked = 0; chunked < 2; chunked++) {
    thaw_h5_layout layout = {.type = THAW_H5_F32, .rank = 1, .dim = {COUNT}, .chunk_rows = chunked ? 4096 : 0};
    assert_thaw_fails(write_too_much(path, &layout, data), THAW_ERR_DISK, "x.h5");
    assert_thaw_ok(thaw_file_read(path, 10, &old, NULL));
    assert_string_equal(old, "old");
    thaw_free(old);
  }
  thaw_strings names = {0};
  assert_thaw_ok(thaw_folder_list(mounted, &names));
  assert_int_equal(names.count, 1);
  thaw_strings_clear(&names);
  thaw_free(data);
  assert_int_equal(umount(mounted), 0);
  rmdir(mounted);
  thaw_free(mounted);
  thaw_free(path);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  thaw_strings names = {0};
  if (thaw_folder_list(folder, &names) != THAW_OK) return -1;
  for (size_t i = 0; i < names.count; i++) {
    char *path = in_folder(names.item[i]);
    unlink(path);
    thaw_free(path);
  }
  thaw_strings_clear(&names);
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dataset_reads_back_whole_and_by_rows),
      cmocka_unit_test(offset_leads_to_the_values),
      cmocka_unit_test(half_precision_is_exact),
      cmocka_unit_test(too_large_integers_are_refused),
      cmocka_unit_test(strings_and_attributes_read_back),
      cmocka_unit_test(long_lists_are_split_as_keras_splits_them),
      cmocka_unit_test(groups_are_listed_by_name),
      cmocka_unit_test(uncommitted_file_leaves_nothing),
      cmocka_unit_test(missing_and_foreign_files_fail_clearly),
      cmocka_unit_test(same_content_gives_the_same_bytes),
      cmocka_unit_test(damaged_chunk_is_noticed),
      cmocka_unit_test(full_disk_is_reported_and_leaves_the_old_file),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
