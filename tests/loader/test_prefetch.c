/* Reading ahead: the same inputs in the announced order, errors passed on, from a real shard. */
#include "thaw_test.h"

#include "thaw/file.h"
#include "thaw/loader.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <unistd.h>

enum { COUNT = 50, SIDE = 6, PIXELS = SIDE * SIDE * 3 };
static char folder[] = "/tmp/thaw-prefetch-XXXXXX", *shard;
static uint8_t pixels[COUNT][PIXELS];

static int write_shard(void **context) {
  (void)context;
  if (!mkdtemp(folder)) return -1;
  shard = thaw_path_join(folder, "a.h5");
  int32_t labels[COUNT] = {0};
  char *ids[COUNT];
  for (int i = 0; i < COUNT; i++) {
    ids[i] = thaw_format("%d", i);
    for (int j = 0; j < PIXELS; j++) pixels[i][j] = (uint8_t)((i * 131 + j * 17) % 256);
  }
  char *names[] = {"a"}, digest[65];
  thaw_dataset_info info = {.count = COUNT,
                            .h = SIDE,
                            .w = SIDE,
                            .c = 3,
                            .bits = 8,
                            .value_max = 255,
                            .label_kind = THAW_LABEL_CLASS,
                            .label_width = 1,
                            .classes = {.item = names, .count = 1}};
  thaw_shard_rows rows = {.count = COUNT, .pixels = pixels, .labels = labels, .ids = ids};
  thaw_status status = thaw_shard_write(shard, &info, &rows, 0, digest);
  if (status != THAW_OK) print_error("%s\n", thaw_message());
  for (int i = 0; i < COUNT; i++) thaw_free(ids[i]);
  return status == THAW_OK ? 0 : -1;
}

static int remove_shard(void **context) {
  (void)context;
  unlink(shard);
  thaw_free(shard);
  return rmdir(folder);
}

static thaw_input augmented_input(void) {
  return (thaw_input){.h = SIDE,
                      .w = SIDE,
                      .c = 3,
                      .preprocessing = THAW_PREPROCESS_CAFFE,
                      .seed = 5,
                      .allow_resize = true,
                      .augment = {.enabled = true, .horizontal_flip = true, .rotation = {-20, 20}}};
}

static void check_list(thaw_catalog *catalog, const thaw_input *input, const uint64_t *sample, int32_t count,
                       int32_t view, const float *got) {
  float expected[PIXELS];
  for (int32_t i = 0; i < count; i++) {
    assert_thaw_ok(
        thaw_input_make(input, thaw_catalog_info(catalog), pixels[sample[i]], (int64_t)sample[i], view, expected));
    assert_memory_equal(got + i * PIXELS, expected, sizeof expected);
  }
}

/* Lists of many lengths, several announced ahead, through rings shorter and longer than a list. */
static void test_order(void **context) {
  (void)context;
  thaw_catalog *catalog;
  thaw_input input = augmented_input();
  float *got = thaw_new(COUNT, PIXELS * sizeof *got);
  assert_thaw_ok(thaw_catalog_open(shard, &catalog));
  for (int32_t depth = 1; depth <= 80; depth += 13) {
    thaw_prefetch *prefetch;
    uint64_t list[8][COUNT];
    assert_thaw_ok(thaw_prefetch_create(catalog, &input, depth, &prefetch));
    for (int32_t k = 0; k < 8; k++) {
      int32_t count = 1 + k * 7;
      for (int32_t i = 0; i < count; i++) list[k][i] = k % 2 ? (uint64_t)i : (uint64_t)(i * 29 + k) % COUNT;
      assert_thaw_ok(thaw_prefetch_want(prefetch, list[k], count, k - 1));
    }
    for (int32_t k = 0; k < 8; k++) {
      assert_thaw_ok(thaw_prefetch_take(prefetch, 1 + k * 7, got));
      check_list(catalog, &input, list[k], 1 + k * 7, k - 1, got);
    }
    assert_int_equal(thaw_prefetch_statistics(prefetch).samples, 8 + 7 * 28);
    thaw_prefetch_destroy(prefetch);
  }
  thaw_free(got);
  thaw_catalog_close(catalog);
}

static void test_end_with_work_left(void **context) {
  (void)context;
  thaw_catalog *catalog;
  thaw_input input = augmented_input();
  uint64_t list[COUNT];
  for (int i = 0; i < COUNT; i++) list[i] = (uint64_t)i;
  assert_thaw_ok(thaw_catalog_open(shard, &catalog));
  for (int round = 0; round < 20; round++) {
    thaw_prefetch *prefetch;
    assert_thaw_ok(thaw_prefetch_create(catalog, &input, 3, &prefetch));
    assert_thaw_ok(thaw_prefetch_want(prefetch, list, COUNT, -1));
    thaw_prefetch_destroy(prefetch);
  }
  thaw_catalog_close(catalog);
}

static void test_errors_are_passed_on(void **context) {
  (void)context;
  thaw_catalog *catalog;
  thaw_prefetch *prefetch;
  thaw_input input = augmented_input();
  float got[PIXELS];
  uint64_t list[2] = {3, COUNT + 5};
  assert_thaw_ok(thaw_catalog_open(shard, &catalog));
  assert_thaw_ok(thaw_prefetch_create(catalog, &input, 4, &prefetch));
  assert_thaw_fails(thaw_prefetch_take(prefetch, 1, got), THAW_ERR_INTERNAL, "more samples taken than announced");
  assert_thaw_ok(thaw_prefetch_want(prefetch, list, 2, -1));
  assert_thaw_ok(thaw_prefetch_take(prefetch, 1, got));
  assert_thaw_fails(thaw_prefetch_take(prefetch, 1, got), THAW_ERR_INTERNAL, "a.h5");
  assert_thaw_fails(thaw_prefetch_take(prefetch, 1, got), THAW_ERR_INTERNAL, "a.h5");
  thaw_prefetch_destroy(prefetch);
  thaw_catalog_close(catalog);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_end_with_work_left),
      cmocka_unit_test(test_errors_are_passed_on),
  };
  return cmocka_run_group_tests(tests, write_shard, remove_shard);
}
