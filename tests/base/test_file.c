#include "thaw_test.h"

#include "thaw/file.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/thaw-file-XXXXXX";

static void written_file_reads_back(void **state) {
  (void)state;
  char *path = thaw_path_join(folder, "a.txt"), *text;
  size_t size;
  assert_thaw_ok(thaw_file_write(path, "hello", 5));
  assert_thaw_ok(thaw_file_append_line(path, " world"));
  assert_thaw_ok(thaw_file_read(path, 100, &text, &size));
  assert_string_equal(text, "hello world\n");
  assert_int_equal(size, 12);
  thaw_free(text);
  assert_thaw_fails(thaw_file_read(path, 11, &text, &size), THAW_ERR_DATA, "larger than the 11 bytes");
  thaw_free(path);
}

static void no_temporary_file_stays(void **state) {
  (void)state;
  thaw_strings names = {0};
  assert_thaw_ok(thaw_folder_list(folder, &names));
  for (size_t i = 0; i < names.count; i++) assert_null(strstr(names.item[i], ".tmp-"));
  thaw_strings_clear(&names);
}

static void failure_names_path_and_reason(void **state) {
  (void)state;
  char *text;
  assert_thaw_fails(thaw_file_read("/no/such/file", 10, &text, NULL), THAW_ERR_DATA,
                    "/no/such/file: cannot be read: No such");
  assert_thaw_fails(thaw_file_write("/no/such/file", "x", 1), THAW_ERR_DISK, "No such file");
  assert_thaw_fails(thaw_folder_create("/proc/nothing/here"), THAW_ERR_DISK, "/proc/nothing");
}

static void folders_are_made_with_parents(void **state) {
  (void)state;
  char *path = thaw_path_join(folder, "x/y//z");
  assert_thaw_ok(thaw_folder_create(path));
  assert_thaw_ok(thaw_folder_create(path));
  assert_true(thaw_folder_exists(path));
  assert_true(thaw_disk_free(path) > 0);
  thaw_free(path);
}

static void paths(void **state) {
  (void)state;
  const char *in[] = {"a/b/c", "/a", "a", "/", "a/b/"}, *out[] = {"a/b", "/", ".", "/", "a"};
  for (int i = 0; i < 5; i++) {
    char *parent = thaw_path_folder(in[i]);
    assert_string_equal(parent, out[i]);
    thaw_free(parent);
  }
  char *joined = thaw_path_join("a/", "/b");
  assert_string_equal(joined, "/b");
  thaw_free(joined);
  assert_string_equal(thaw_path_name("a/b.h5"), "b.h5");
}

int main(void) {
  if (!mkdtemp(folder)) return 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(written_file_reads_back),
                                     cmocka_unit_test(no_temporary_file_stays),
                                     cmocka_unit_test(failure_names_path_and_reason),
                                     cmocka_unit_test(folders_are_made_with_parents), cmocka_unit_test(paths)};
  int failed = cmocka_run_group_tests_name("file", tests, NULL, NULL);
  char command[64];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command) != 0 ? 1 : failed;
}
