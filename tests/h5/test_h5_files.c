/* Files written by h5py 3.14 (see make_h5py.py), and files that are damaged. */
#include "thaw_test.h"

#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/text.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const fixture[2] = {THAW_TEST_DATA "/h5py.h5", THAW_TEST_DATA "/latest.h5"};

static thaw_h5 *open_fixture(void **state) {
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_open(*state, &file));
  return file;
}

static void every_number_type_is_read(void **state) {
  thaw_h5 *file = open_fixture(state);
  const char *floats[] = {"/float/f2", "/float/f4", "/float/f8", "/float/>f4", "/float/>f8"};
  for (int i = 0; i < 5; i++) {
    float value[12];
    assert_thaw_ok(thaw_h5_read(file, floats[i], THAW_H5_F32, 12, value));
    for (int k = 0; k < 12; k++) assert_true(value[k] == (float)(k - 6) / 4);
  }
  const char *integers[] = {"/int/i1", "/int/i2", "/int/i4", "/int/i8", "/int/>i2",
                            "/int/u1", "/int/u2", "/int/u4", "/int/u8"};
  const thaw_h5_type types[] = {THAW_H5_I32, THAW_H5_I32, THAW_H5_I32, THAW_H5_I64, THAW_H5_I32,
                                THAW_H5_U8,  THAW_H5_U16, THAW_H5_I64, THAW_H5_I64};
  for (int i = 0; i < 9; i++) {
    thaw_h5_info info;
    int32_t value[3];
    float as_float[3];
    assert_thaw_ok(thaw_h5_describe(file, integers[i], &info));
    assert_int_equal(info.type, types[i]);
    assert_thaw_ok(thaw_h5_read(file, integers[i], THAW_H5_I32, 3, value));
    assert_int_equal(value[0], i < 5 ? -3 : 0);
    assert_int_equal(value[2], i < 5 ? 100 : 200);
    assert_thaw_ok(thaw_h5_read(file, integers[i], THAW_H5_F32, 3, as_float));
    assert_true(as_float[2] == (float)value[2]);
  }
  uint8_t truth[3];
  thaw_h5_info info;
  assert_thaw_ok(thaw_h5_describe(file, "/bool", &info));
  assert_int_equal(info.type, THAW_H5_U8);
  assert_thaw_ok(thaw_h5_read(file, "/bool", THAW_H5_U8, 3, truth));
  assert_int_equal(truth[0] * 100 + truth[1] * 10 + truth[2], 101);
  thaw_h5_close(file);
}

static void odd_shapes_and_types(void **state) {
  thaw_h5 *file = open_fixture(state);
  thaw_h5_info info;
  float value[12];
  int64_t wide[2], offset;
  uint8_t narrow[3];
  assert_thaw_ok(thaw_h5_describe(file, "/scalar", &info));
  assert_int_equal(info.rank, 0);
  assert_int_equal(info.count, 1);
  assert_thaw_ok(thaw_h5_read(file, "/scalar", THAW_H5_F32, 1, value));
  assert_true(value[0] == 1.5f);
  assert_thaw_fails(thaw_h5_read_rows(file, "/scalar", THAW_H5_F32, 0, 1, value), THAW_ERR_DATA, "single value");
  assert_thaw_ok(thaw_h5_read(file, "/empty", THAW_H5_F32, 0, value));
  assert_thaw_ok(thaw_h5_describe(file, "/null", &info));
  assert_int_equal(info.count, 0);
  assert_thaw_ok(thaw_h5_describe(file, "/compound", &info));
  assert_int_equal(info.type, THAW_H5_OTHER);
  assert_thaw_fails(thaw_h5_read(file, "/complex", THAW_H5_F32, 1, value), THAW_ERR_DATA, "another type");
  assert_thaw_fails(thaw_h5_describe(file, "/seven", &info), THAW_ERR_DATA, "7 dimensions, at most 6");
  assert_thaw_fails(thaw_h5_read(file, "/int/too_large", THAW_H5_I64, 2, wide), THAW_ERR_DATA, "/int/too_large");
  assert_thaw_fails(thaw_h5_read(file, "/int/i4", THAW_H5_U8, 3, narrow), THAW_ERR_DATA, "/int/i4");
  assert_thaw_fails(thaw_h5_offset(file, "/float/>f4", &offset), THAW_ERR_DATA, "not stored as one plain block");
  assert_thaw_ok(thaw_h5_offset(file, "/float/f4", &offset));
  assert_thaw_ok(thaw_h5_read_rows(file, "/chunked", THAW_H5_F32, 2, 2, value));
  assert_true(value[0] == 0.0f && value[5] == 1.25f);
  assert_thaw_fails(thaw_h5_describe(file, "/huge", &info), THAW_ERR_DATA, "declares 1000000000000 values but only 0");
  thaw_h5_close(file);
}

static void strings_of_every_kind(void **state) {
  thaw_h5 *file = open_fixture(state);
  thaw_strings text = {0};
  assert_thaw_ok(thaw_h5_read_strings(file, "/strings/variable", 0, 3, &text));
  assert_thaw_ok(thaw_h5_read_strings(file, "/strings/bytes", 1, 2, &text));
  assert_thaw_ok(thaw_h5_read_strings(file, "/strings/ascii", 0, 1, &text));
  const char *expected[] = {"a", "", "\xc3\xa9t\xc3\xa9", "", "long one", "a"};
  assert_int_equal(text.count, 6);
  for (int i = 0; i < 6; i++) assert_string_equal(text.item[i], expected[i]);
  thaw_strings_clear(&text);
  assert_thaw_fails(thaw_h5_read_strings(file, "/strings/table", 0, 1, &text), THAW_ERR_DATA, "in 2 dimensions");
  assert_thaw_fails(thaw_h5_read_strings(file, "/float/f4", 0, 1, &text), THAW_ERR_DATA, "holds float32");
  thaw_h5_close(file);
}

static void attributes_of_every_kind(void **state) {
  thaw_h5 *file = open_fixture(state);
  const char *lists[] = {"layer_names", "variable_names", "split"};
  for (int i = 0; i < 3; i++) {
    thaw_strings names = {0};
    assert_thaw_ok(thaw_h5_get_strings(file, "/", lists[i], &names));
    assert_int_equal(names.count, 3);
    assert_string_equal(names.item[0], "block1_conv1");
    assert_string_equal(names.item[2], "dernier");
    thaw_strings_clear(&names);
  }
  thaw_strings names = {0};
  assert_thaw_ok(thaw_h5_get_strings(file, "/", "weight_names", &names));
  assert_thaw_ok(thaw_h5_get_strings(file, "/", "null", &names));
  assert_int_equal(names.count, 0);
  assert_thaw_fails(thaw_h5_get_strings(file, "/", "nothing", &names), THAW_ERR_DATA, "no attribute 'nothing'");
  assert_thaw_fails(thaw_h5_get_strings(file, "/", "two", &names), THAW_ERR_DATA, "does not hold strings");
  const char *texts[] = {"backend", "tensorflow", "version", "3.15", "fixed", "fixed"};
  for (int i = 0; i < 6; i += 2) {
    char *text;
    assert_thaw_ok(thaw_h5_get_text(file, "/", texts[i], &text));
    assert_string_equal(text, texts[i + 1]);
    thaw_free(text);
  }
  char *config;
  assert_thaw_ok(thaw_h5_get_text(file, "/", "model_config", &config));
  assert_int_equal(strlen(config), 100009);
  thaw_free(config);
  int64_t whole;
  double real;
  assert_thaw_ok(thaw_h5_get_int(file, "/", "int", &whole));
  assert_int_equal(whole, 7);
  assert_thaw_ok(thaw_h5_get_int(file, "/", "one", &whole));
  assert_int_equal(whole, 9);
  assert_thaw_ok(thaw_h5_get_int(file, "/", "bool", &whole));
  assert_int_equal(whole, 1);
  assert_thaw_ok(thaw_h5_get_double(file, "/", "float", &real));
  assert_true(real == 2.5);
  assert_thaw_fails(thaw_h5_get_int(file, "/", "two", &whole), THAW_ERR_DATA, "one whole number");
  assert_thaw_fails(thaw_h5_get_int(file, "/", "backend", &whole), THAW_ERR_DATA, "one whole number");
  thaw_h5_close(file);
}

static void ways_out_of_the_file_are_refused(void **state) {
  thaw_h5 *file = open_fixture(state);
  float value[12];
  thaw_h5_info info;
  assert_thaw_fails(thaw_h5_read(file, "/link/soft/f4", THAW_H5_F32, 12, value), THAW_ERR_DATA, "/link/soft is a soft");
  assert_thaw_fails(thaw_h5_read(file, "/link/external/f4", THAW_H5_F32, 12, value), THAW_ERR_DATA, "/link/external");
  assert_false(thaw_h5_exists(file, "/link/dangling"));
  assert_false(thaw_h5_exists(file, "/link/external"));
  assert_thaw_ok(thaw_h5_read(file, "/link/hard/f4", THAW_H5_F32, 12, value));
  assert_thaw_fails(thaw_h5_describe(file, "/virtual", &info), THAW_ERR_DATA, "is a virtual dataset");
  assert_thaw_fails(thaw_h5_describe(file, "/outside", &info), THAW_ERR_DATA, "keeps its data in other files");
  thaw_h5_close(file);
}

/* Touches everything that can be reached; failures are fine, crashes are not. */
static void read_everything(thaw_h5 *file, const char *group, int depth) {
  thaw_strings names = {0}, text = {0};
  char *value;
  if (depth > 3 || thaw_h5_list(file, group, &names) != THAW_OK) {
    thaw_strings_clear(&names);
    return;
  }
  for (size_t i = 0; i < names.count && i < 64; i++) {
    char *path = thaw_path_join(group, names.item[i]);
    thaw_h5_info info;
    if (thaw_h5_is_group(file, path)) {
      read_everything(file, path, depth + 1);
    } else if (thaw_h5_describe(file, path, &info) == THAW_OK && info.count < 4096) {
      double *data = thaw_new((size_t)info.count, sizeof *data);
      if (data && info.type != THAW_H5_STRING && thaw_h5_read(file, path, THAW_H5_F64, info.count, data) != THAW_OK)
        assert_true(*thaw_message() != 0);
      thaw_free(data);
      if (info.type == THAW_H5_STRING && thaw_h5_read_strings(file, path, 0, info.dim[0], &text) != THAW_OK)
        assert_true(*thaw_message() != 0);
    }
    thaw_free(path);
  }
  const char *attributes[] = {"layer_names", "variable_names", "backend", "model_config"};
  for (int i = 0; i < 2; i++)
    if (thaw_h5_get_strings(file, group, attributes[i], &text) != THAW_OK) assert_true(*thaw_message() != 0);
  for (int i = 2; i < 4; i++) {
    if (thaw_h5_get_text(file, group, attributes[i], &value) != THAW_OK) assert_true(*thaw_message() != 0);
    thaw_free(value);
  }
  thaw_strings_clear(&text);
  thaw_strings_clear(&names);
}

static void try_bytes(const char *path, const char *bytes, size_t size) {
  thaw_h5 *file;
  assert_thaw_ok(thaw_file_write(path, bytes, size));
  if (thaw_h5_open(path, &file) != THAW_OK) return;
  read_everything(file, "/", 0);
  thaw_h5_close(file);
}

/* In a child process, so that a crash is a count and not the end of the test. Returns how many children died. */
static int try_in_child(const char *path, const char *bytes, size_t size) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL); /* not cmocka's handler, which would go on with the next test */
    alarm(20);
    try_bytes(path, bytes, size);
    _exit(0);
  }
  int result;
  assert_int_equal(waitpid(child, &result, 0), child);
  return result != 0;
}

static void truncated_files_never_crash(void **state) {
  char *bytes, path[] = "/tmp/thaw-h5-cut-XXXXXX";
  size_t size;
  close(mkstemp(path));
  assert_thaw_ok(thaw_file_read(*state, 1 << 20, &bytes, &size));
  int died = 0;
  for (size_t cut = 0; cut < size; cut += cut < 2048 ? 64 : 4099) died += try_in_child(path, bytes, cut);
  assert_int_equal(died, 0);
  thaw_free(bytes);
  unlink(path);
}

/* Changes one byte at a time. HDF5 1.10 does not check its global heap, where variable-length strings and virtual
 * datasets lie, so the files tried here have none. */
static void flip_bytes(const char *source) {
  char *bytes, path[] = "/tmp/thaw-h5-flip-XXXXXX";
  const char *number = getenv("THAW_FLIPS");
  int64_t count = 300;
  size_t size;
  if (number) assert_thaw_ok(thaw_parse_int(number, &count));
  close(mkstemp(path));
  assert_thaw_ok(thaw_file_read(source, 1 << 20, &bytes, &size));
  int died = 0;
  uint64_t random = 88172645463325252u; /* xorshift64 (Marsaglia 2003): the same damage in every run */
  for (int64_t i = 0; i < count; i++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    size_t at = random % size;
    char old = bytes[at];
    bytes[at] = (char)(random >> 40);
    int dead = try_in_child(path, bytes, size);
    if (dead) print_message("byte %zu: %d -> %d\n", at, old, bytes[at]);
    died += dead;
    bytes[at] = old;
  }
  assert_int_equal(died, 0);
  thaw_free(bytes);
  unlink(path);
}

static void damaged_weight_files_never_crash(void **state) {
  (void)state;
  flip_bytes(THAW_TEST_DATA "/weights.h5");
}

static void damaged_own_files_never_crash(void **state) {
  (void)state;
  char path[] = "/tmp/thaw-h5-own-XXXXXX";
  const float value[12] = {1, 2, 3};
  thaw_h5_layout layout = {.type = THAW_H5_F32, .rank = 2, .dim = {4, 3}, .chunk_rows = 2, .deflate = 1};
  thaw_strings ids = {0};
  thaw_h5 *file;
  close(mkstemp(path));
  for (int i = 0; i < 4; i++) assert_thaw_ok(thaw_strings_add(&ids, "folder/name"));
  assert_thaw_ok(thaw_h5_create(path, &file));
  assert_thaw_ok(thaw_h5_write(file, "/images", &layout, value));
  assert_thaw_ok(thaw_h5_write_strings(file, "/group/ids", &ids));
  assert_thaw_ok(thaw_h5_set_strings(file, "/", "layer_names", &ids));
  assert_thaw_ok(thaw_h5_set_text(file, "/", "backend", "thaw"));
  assert_thaw_ok(thaw_h5_commit(file));
  thaw_strings_clear(&ids);
  flip_bytes(path);
  unlink(path);
}

/* Sizes in a global heap that make libhdf5 1.10 walk for ever: an object of no size, one whose size wraps round; and
 * one that is longer than the heap. The file is refused before the library reads a string of variable length. */
static void heaps_that_lead_nowhere_are_refused(void **state) {
  static const struct {
    uint16_t index;
    uint64_t size;
  } wrong[] = {{0, 0}, {1, UINT64_MAX - 15}, {1, 8192}, {0, UINT64_MAX}};
  char *bytes, *text, path[] = "/tmp/thaw-h5-heap-XXXXXX";
  size_t size;
  thaw_h5 *file;
  close(mkstemp(path));
  assert_thaw_ok(thaw_file_read(*state, 1 << 20, &bytes, &size));
  char *heap = memmem(bytes, size, "GCOL", 4);
  assert_non_null(heap);
  assert_thaw_ok(thaw_h5_open_image(*state, bytes, size, &file));
  thaw_h5_close(file);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    memcpy(heap + 16, &wrong[i].index, sizeof wrong[i].index);
    memcpy(heap + 24, &wrong[i].size, sizeof wrong[i].size);
    assert_thaw_ok(thaw_file_write(path, bytes, size));
    assert_thaw_ok(thaw_h5_open(path, &file));
    for (int again = 0; again < 2; again++)
      assert_thaw_fails(thaw_h5_get_text(file, "/", "backend", &text), THAW_ERR_DATA, "(a global heap) are damaged");
    thaw_h5_close(file);
    assert_thaw_fails(thaw_h5_open_image(path, bytes, size, &file), THAW_ERR_DATA, "(a global heap) are damaged");
  }
  thaw_free(bytes);
  unlink(path);
}

#define ON_BOTH(test)                                                                                                  \
  cmocka_unit_test_prestate(test, (void *)(uintptr_t)fixture[0]),                                                      \
      cmocka_unit_test_prestate(test, (void *)(uintptr_t)fixture[1])

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_BOTH(every_number_type_is_read),
      ON_BOTH(odd_shapes_and_types),
      ON_BOTH(strings_of_every_kind),
      ON_BOTH(attributes_of_every_kind),
      ON_BOTH(ways_out_of_the_file_are_refused),
      ON_BOTH(truncated_files_never_crash),
      ON_BOTH(heaps_that_lead_nowhere_are_refused),
      cmocka_unit_test(damaged_weight_files_never_crash),
      cmocka_unit_test(damaged_own_files_never_crash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
