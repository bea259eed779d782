/* The feature cache on any number of ranks: the same bits cold, warm and off; keys; cuts of later phases. */
#include "cache_test.h"

#include "thaw/kernel.h"
#include "thaw/memory.h"

#include <unistd.h>

/* ------------------------------------------------------------------ the same bits */
static void test_cold_warm_off(void **context) {
  (void)context;
  for (int32_t view = -1; view < 2; view++) {
    assert_thaw_ok(fixture_expected(&f, view, expected));
    assert_int_equal(run(view, expected), FIXTURE_SAMPLES);
    assert_int_equal(run(view, expected), 0);
  }
  f.config.enabled = false;
  assert_int_equal(run(1, expected), FIXTURE_SAMPLES * thaw_comm_size(comm));
}

static void test_views_differ(void **context) {
  (void)context;
  assert_thaw_ok(fixture_expected(&f, 0, expected));
  assert_thaw_ok(fixture_expected(&f, 1, got));
  assert_memory_not_equal(expected, got, VALUES * sizeof *got);
  f.input.augment.enabled = false; /* then every view is the plain one */
  assert_thaw_ok(fixture_expected(&f, -1, expected));
  assert_int_equal(run(3, expected), FIXTURE_SAMPLES);
  assert_int_equal(run(-1, expected), 0);
}

static void test_one_open_cache_many_views(void **context) {
  (void)context;
  thaw_features *features;
  assert_thaw_ok(fixture_features(&f, comm, &features));
  for (int epoch = 0; epoch < 6; epoch++) {
    int32_t view = epoch % 3;
    assert_thaw_ok(thaw_features_fill(features, comm, view, NULL));
    assert_thaw_ok(fixture_expected(&f, view, expected));
    check_all(features, view, expected);
  }
  assert_int_equal(total_computed(features), 3 * FIXTURE_SAMPLES);
  thaw_features_close(features);
}

/* ------------------------------------------------------------------ keys */
static void expect_key_change(bool changes) {
  assert_thaw_ok(fixture_expected(&f, -1, expected));
  assert_int_equal(run(-1, expected), changes ? FIXTURE_SAMPLES : 0);
}

static void test_keys(void **context) {
  (void)context;
  expect_key_change(true);
  f.input.augment.rotation[1] = 20; /* concerns augmented views only */
  expect_key_change(false);
  f.input.seed++;
  expect_key_change(false);
  f.weights_digest[0] = '9';
  expect_key_change(true);
  f.input.preprocessing = THAW_PREPROCESS_TORCH;
  expect_key_change(true);
  f.input.preprocessing = THAW_PREPROCESS_TF;
  f.weights_digest[0] = '0';
  expect_key_change(false);
  f.input.seed--;
  assert_thaw_ok(fixture_expected(&f, 2, expected));
  assert_int_equal(run(2, expected), FIXTURE_SAMPLES);
  f.input.seed++;
  assert_thaw_ok(fixture_expected(&f, 2, expected));
  assert_int_equal(run(2, expected), FIXTURE_SAMPLES); /* another seed, other views */
  f.input.seed--;
}

/* As run(), by a program whose kernels have another revision. */
static int64_t run_with_revision(int32_t revision, const float *right) {
  thaw_features *features;
  assert_thaw_ok(fixture_features(&f, comm, &features));
  assert_int_equal(features->kernel_revision, THAW_KERNEL_REVISION);
  features->kernel_revision = revision;
  assert_thaw_ok(thaw_features_fill(features, comm, -1, NULL));
  check_all(features, -1, right);
  int64_t computed = total_computed(features);
  thaw_features_close(features);
  return computed;
}

/* Other kernels, other numbers: all weights times two stand for them. */
static void scale_weights(float factor) {
  float *packed = f.packed;
  for (size_t i = 0; i < thaw_plan_packed_bytes(f.plan) / sizeof *packed; i++) packed[i] *= factor;
}

/* Puts every entry's block files into every other entry, as a copy with the wrong name would. */
static void exchange_blocks(void) {
  assert_thaw_ok(thaw_comm_barrier(comm));
  if (thaw_comm_rank(comm) == 0) {
    thaw_strings blocks = {0};
    assert_thaw_ok(fixture_blocks(&f, &blocks));
    size_t half = blocks.count / 2; /* two entries of the same files, sorted */
    assert_true(half > 0 && blocks.count == 2 * half);
    for (size_t i = 0; i < half; i++) {
      char *aside = thaw_format("%s/aside", f.folder);
      assert_int_equal(rename(blocks.item[i], aside), 0);
      assert_int_equal(rename(blocks.item[half + i], blocks.item[i]), 0);
      assert_int_equal(rename(aside, blocks.item[half + i]), 0);
      thaw_free(aside);
    }
    thaw_strings_clear(&blocks);
  }
  assert_thaw_ok(thaw_comm_barrier(comm));
}

/* What kernels of another revision computed is never read: not beside this revision's entry, not in its place. */
static void test_kernel_revision(void **context) {
  (void)context;
  enum { OTHER = THAW_KERNEL_REVISION + 1 };
  float *other = thaw_new(VALUES, sizeof *other);
  assert_thaw_ok(fixture_expected(&f, -1, expected));
  scale_weights(2);
  assert_thaw_ok(fixture_expected(&f, -1, other));
  assert_memory_not_equal(expected, other, VALUES * sizeof *other);
  assert_int_equal(run_with_revision(OTHER, other), FIXTURE_SAMPLES);
  assert_int_equal(run_with_revision(OTHER, other), 0);
  scale_weights(0.5f);
  assert_int_equal(run(-1, expected), FIXTURE_SAMPLES); /* nothing of the other revision's */
  assert_int_equal(run(-1, expected), 0);
  exchange_blocks();
  assert_int_equal(run(-1, expected), FIXTURE_SAMPLES);
  scale_weights(2);
  assert_int_equal(run_with_revision(OTHER, other), FIXTURE_SAMPLES);
  scale_weights(0.5f);
  assert_int_equal(run(-1, expected), 0);
  thaw_free(other);
}

/* ------------------------------------------------------------------ cuts of later phases */
enum { CONV_FLOATS = FIXTURE_SIDE * FIXTURE_SIDE * FIXTURE_FLOATS };

/* Opens the features of `outputs` nodes: of the last one, and of those before it as cuts of later phases. */
static thaw_features *open_cuts(const int32_t *node, int32_t outputs, thaw_plan **plan, void **packed) {
  const thaw_isa *isa;
  const thaw_features_later conv = {"conv", CONV_FLOATS, f.weights_digest, 0, 2};
  thaw_plan_options options = {.batch = FIXTURE_BATCH, .threads = 1};
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_plan_create(f.graph, node, outputs, isa, &options, plan));
  *packed = thaw_new(1, thaw_plan_packed_bytes(*plan));
  assert_thaw_ok(thaw_plan_pack(*plan, *packed));
  thaw_plan_use(*plan, *packed);
  thaw_features_desc desc = {.catalog = f.catalog,
                             .input = &f.input,
                             .plan = *plan,
                             .cut_name = node[0] == 1 ? "conv" : "pool",
                             .floats = node[0] == 1 ? CONV_FLOATS : FIXTURE_FLOATS,
                             .weights_digest = f.weights_digest,
                             .cache = &f.config,
                             .cache_folder = f.cache,
                             .batch = FIXTURE_BATCH,
                             .later = &conv,
                             .later_count = outputs - 1};
  thaw_features *features;
  assert_thaw_ok(thaw_features_open(comm, &desc, NULL, &features));
  return features;
}

/* As if rows were so large that a block holds fewer. */
static void use_blocks(thaw_features *features, int64_t rows) {
  features->block_rows = rows;
  features->blocks = (int32_t)((FIXTURE_SAMPLES + rows - 1) / rows);
}

static void close_cuts(thaw_features *features, thaw_plan *plan, void *packed) {
  thaw_features_close(features);
  thaw_plan_destroy(plan);
  thaw_free(packed);
}

static float *read_conv(thaw_features *features, int32_t view) {
  float *out = thaw_new((size_t)FIXTURE_SAMPLES * CONV_FLOATS, sizeof *out);
  uint64_t list[FIXTURE_SAMPLES];
  for (int i = 0; i < FIXTURE_SAMPLES; i++) list[i] = (uint64_t)i;
  assert_thaw_ok(thaw_features_read(features, list, FIXTURE_SAMPLES, view, out));
  return out;
}

static bool stop_after(const void *context) {
  const thaw_features *features = context;
  return features->stats.computed > 20;
}

/* One pass makes both; the later cut's own features then find all, with blocks of any relation to each other. */
static void check_later(int32_t view, int64_t pool_rows, int64_t conv_rows, bool stop) {
  const int32_t both[] = {2, 1};
  thaw_plan *plan;
  void *packed;
  thaw_features *features = open_cuts(both, 2, &plan, &packed);
  use_blocks(features, pool_rows);
  use_blocks(features->later[0].features, conv_rows);
  if (stop) {
    thaw_features_set_stop(features, stop_after, features);
    assert_int_equal(thaw_features_fill(features, comm, view, NULL), THAW_STOPPED);
    thaw_features_set_stop(features, NULL, NULL);
  }
  assert_thaw_ok(thaw_features_fill(features, comm, view, NULL));
  check_all(features, view, expected);
  int64_t twice = total_computed(features) - FIXTURE_SAMPLES; /* of blocks that were not whole */
  assert_in_range(twice, 0, stop ? thaw_comm_size(comm) * (pool_rows > conv_rows ? pool_rows : conv_rows) : 0);
  close_cuts(features, plan, packed);

  features = open_cuts(both + 1, 1, &plan, &packed);
  use_blocks(features, conv_rows);
  float *computed = read_conv(features, view); /* not filled: from the images */
  int64_t before = total_computed(features);
  assert_thaw_ok(thaw_features_fill(features, comm, view, NULL));
  float *kept = read_conv(features, view);
  assert_int_equal(total_computed(features), before);
  assert_memory_equal(kept, computed, (size_t)FIXTURE_SAMPLES * CONV_FLOATS * sizeof *kept);
  thaw_free(kept);
  thaw_free(computed);
  close_cuts(features, plan, packed);
}

static void test_later_cuts(void **context) {
  const int64_t rows[][2] = {{8, 8}, {8, 2}, {4, 8}, {1, 4}, {8, 1}};
  for (int i = 0; i < 5; i++) {
    assert_thaw_ok(fixture_expected(&f, i % 2, expected));
    empty_cache(context);
    check_later(i % 2, rows[i][0], rows[i][1], i > 2);
  }
}

/* The pool's blocks are there, of the later cut only some. */
static void test_later_cut_is_completed(void **context) {
  (void)context;
  assert_thaw_ok(fixture_expected(&f, 1, expected));
  assert_int_equal(run(1, expected), FIXTURE_SAMPLES);
  check_later(1, 8, 8, true);
}

/* Rank 0 wishes to stop from the fifth look on. */
static bool stop_one_rank(const void *context) {
  int *looks = (int *)(uintptr_t)context;
  return ++*looks >= 5 && thaw_comm_rank(comm) == 0;
}

/* A block may take an hour: the wish of one rank ends all, before its first block is whole. */
static void test_stop_within_a_block(void **context) {
  (void)context;
  enum { ROWS = 64, BLOCKS = (FIXTURE_SAMPLES + ROWS - 1) / ROWS };
  const int32_t pool[] = {2};
  thaw_plan *plan;
  void *packed;
  thaw_strings blocks = {0};
  assert_thaw_ok(fixture_expected(&f, 1, expected));
  thaw_features *features = open_cuts(pool, 1, &plan, &packed);
  use_blocks(features, ROWS);
  int looks = 0;
  thaw_features_set_stop(features, stop_one_rank, &looks);
  assert_int_equal(thaw_features_fill(features, comm, 1, NULL), THAW_STOPPED);
  if (thaw_comm_rank(comm) == 0) assert_in_range(features->stats.computed, 1, ROWS - 1);
  assert_thaw_ok(thaw_comm_barrier(comm));
  assert_thaw_ok(fixture_blocks(&f, &blocks));
  assert_true(blocks.count < BLOCKS);
  thaw_strings_clear(&blocks);
  assert_thaw_ok(thaw_comm_barrier(comm));
  thaw_features_set_stop(features, NULL, NULL);
  assert_thaw_ok(thaw_features_fill(features, comm, 1, NULL));
  check_all(features, 1, expected);
  close_cuts(features, plan, packed);
}

/* Without the cache, a step's images are given up between two runs of the network. */
static void test_stop_without_the_cache(void **context) {
  (void)context;
  const int32_t pool[] = {2};
  thaw_plan *plan;
  void *packed;
  uint64_t list[FIXTURE_SAMPLES];
  f.config.enabled = false;
  thaw_features *features = open_cuts(pool, 1, &plan, &packed);
  int looks = 0;
  thaw_features_set_stop(features, stop_one_rank, &looks);
  for (int i = 0; i < FIXTURE_SAMPLES; i++) list[i] = (uint64_t)i;
  thaw_status status = thaw_features_read(features, list, FIXTURE_SAMPLES, 1, got);
  assert_int_equal(status, thaw_comm_rank(comm) == 0 ? THAW_STOPPED : THAW_OK);
  thaw_features_set_stop(features, NULL, NULL);
  assert_thaw_ok(fixture_expected(&f, 1, expected));
  check_all(features, 1, expected);
  close_cuts(features, plan, packed);
}

static void test_later_room(void **context) {
  (void)context;
  const int32_t both[] = {2, 1};
  const double conv = 1e-9 * FIXTURE_SAMPLES * CONV_FLOATS * sizeof(float); /* in GB; pool: a hundredth */
  const double limits[] = {0, 1.5 * conv, 2.2 * conv, 0.9 * conv};
  const int32_t views[] = {1, 1, 2, 1}, fits[] = {1, 1, 1, 0};
  for (int i = 0; i < 4; i++) {
    thaw_plan *plan;
    void *packed;
    int32_t fit;
    f.config.limit_gb = limits[i];
    thaw_features *features = open_cuts(both, 2, &plan, &packed);
    assert_thaw_ok(thaw_features_limit_later(features, comm, views[i], 0, NULL, &fit));
    assert_int_equal(fit, fits[i]);
    assert_thaw_ok(thaw_features_limit_later(features, comm, 3, 0, NULL, &fit));
    assert_int_equal(fit, limits[i] == 0 || limits[i] > 2 * conv); /* of three views the later phase reads two */
    close_cuts(features, plan, packed);
  }
}

/* ------------------------------------------------------------------ float16 */
static void test_half(void **context) {
  (void)context;
  float *exact = thaw_new(VALUES, sizeof *exact);
  assert_thaw_ok(fixture_expected(&f, -1, exact));
  f.config.storage = THAW_STORE_F16;
  thaw_features *features;
  assert_thaw_ok(fixture_features(&f, comm, &features));
  uint64_t list[FIXTURE_SAMPLES];
  for (int i = 0; i < FIXTURE_SAMPLES; i++) list[i] = (uint64_t)i;
  assert_thaw_ok(thaw_features_read(features, list, FIXTURE_SAMPLES, -1, expected)); /* computed, rounded alike */
  assert_true(thaw_test_relative_l2(expected, exact, VALUES) < 5e-4);
  assert_memory_not_equal(expected, exact, VALUES * sizeof *exact);
  thaw_features_close(features);
  assert_int_equal(run(-1, expected), FIXTURE_SAMPLES);
  assert_int_equal(run(-1, expected), 0);
  thaw_free(exact);
}

static void test_describe(void **context) {
  (void)context;
  thaw_text text = {0};
  assert_thaw_ok(fixture_expected(&f, 1, expected));
  run(1, expected);
  assert_thaw_ok(thaw_cache_describe(f.cache, &text));
  assert_non_null(strstr(text.data, "pool"));
  assert_non_null(strstr(text.data, "26/26"));
  assert_non_null(strstr(text.data, "float32"));
  assert_non_null(strstr(text.data, "data.h5"));
  assert_non_null(strstr(text.data, "1 entry"));
  thaw_text_clear(&text);
  assert_thaw_fails(thaw_cache_describe("/nonexistent", &text), THAW_ERR_DATA, "/nonexistent: no such folder");
}

/* Known answers of XXH64. */
static void test_checksum(void **context) {
  (void)context;
  assert_true(thaw_checksum("", 0, 0) == 0xEF46DB3751D8E999u);
  assert_true(thaw_checksum("abc", 3, 0) == 0x44BC2CF5AD770999u);
  const char *text = "Nobody inspects the spammish repetition";
  assert_true(thaw_checksum(text, strlen(text), 0) == 0xFBCEA83C8A378BF1u);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_checksum, empty_cache),
      cmocka_unit_test_setup(test_cold_warm_off, empty_cache),
      cmocka_unit_test_setup(test_views_differ, empty_cache),
      cmocka_unit_test_setup(test_one_open_cache_many_views, empty_cache),
      cmocka_unit_test_setup(test_keys, empty_cache),
      cmocka_unit_test_setup(test_kernel_revision, empty_cache),
      cmocka_unit_test_setup(test_later_cuts, empty_cache),
      cmocka_unit_test_setup(test_later_cut_is_completed, empty_cache),
      cmocka_unit_test_setup(test_stop_within_a_block, empty_cache),
      cmocka_unit_test_setup(test_stop_without_the_cache, empty_cache),
      cmocka_unit_test_setup(test_later_room, empty_cache),
      cmocka_unit_test_setup(test_half, empty_cache),
      cmocka_unit_test_setup(test_describe, empty_cache),
  };
  return cache_tests(argc, argv, "feature", tests, sizeof tests / sizeof *tests);
}
