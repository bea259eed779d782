/* What the tests of the cache share: see cache_test.h. */
#include "cache_test.h"

#include "thaw/memory.h"

#include <stdlib.h>

thaw_comm *comm;
fixture f;
float *expected, *got;

static char folder[64] = "/tmp/thaw-feature-XXXXXX";

static int set_up(void **context) {
  (void)context;
  thaw_status status = THAW_OK;
  if (thaw_comm_rank(comm) == 0) {
    if (!mkdtemp(folder)) return -1;
    status = fixture_write_shard(folder);
  }
  if (thaw_agree(comm, status) != THAW_OK) print_error("%s\n", thaw_message());
  if (thaw_comm_broadcast(comm, 0, folder, sizeof folder) != THAW_OK) return -1;
  expected = thaw_new(VALUES, sizeof *expected);
  got = thaw_new(VALUES, sizeof *got);
  status = fixture_open(folder, &f);
  if (status != THAW_OK) print_error("%s\n", thaw_message());
  return status == THAW_OK ? 0 : -1;
}

static int tear_down(void **context) {
  (void)context;
  fixture_close(&f);
  thaw_free(expected), thaw_free(got);
  if (thaw_comm_barrier(comm) != THAW_OK) return -1;
  if (thaw_comm_rank(comm) == 0) fixture_remove_tree(folder);
  return 0;
}

/* Each test starts with an empty cache and the plain configuration. */
int empty_cache(void **context) {
  (void)context;
  f.config = (thaw_cache_config){.enabled = true};
  f.input.augment.enabled = true;
  f.input.augment.rotation[1] = 15;
  if (thaw_comm_barrier(comm) != THAW_OK) return -1;
  if (thaw_comm_rank(comm) == 0) fixture_remove_tree(f.cache);
  return thaw_comm_barrier(comm) == THAW_OK ? 0 : -1;
}

/* Reads everything in a scattered order, in lists of many lengths, and compares every bit. */
void check_all(thaw_features *features, int32_t view, const float *right) {
  uint64_t list[64];
  memset(got, 0, VALUES * sizeof *got);
  for (int32_t at = 0, count = 1; at < FIXTURE_SAMPLES; at += count, count = count * 5 % 37 + 1) {
    if (count > FIXTURE_SAMPLES - at) count = FIXTURE_SAMPLES - at;
    for (int32_t i = 0; i < count; i++) list[i] = (uint64_t)((at + i) * 100) % FIXTURE_SAMPLES;
    if (at % 2) assert_thaw_ok(thaw_features_expect(features, list, count, view));
    float part[64 * FIXTURE_FLOATS];
    assert_thaw_ok(thaw_features_read(features, list, count, view, part));
    for (int32_t i = 0; i < count; i++)
      memcpy(got + list[i] * FIXTURE_FLOATS, part + i * FIXTURE_FLOATS, FIXTURE_FLOATS * sizeof *got);
  }
  assert_memory_equal(got, right, VALUES * sizeof *got);
}

int64_t total_computed(const thaw_features *features) {
  int64_t computed = thaw_features_statistics(features).computed;
  assert_thaw_ok(thaw_comm_sum_int(comm, &computed, 1));
  return computed;
}

/* Opens, fills, checks, closes; returns how many samples all ranks together computed. */
int64_t run(int32_t view, const float *right) {
  thaw_features *features;
  assert_thaw_ok(fixture_features(&f, comm, &features));
  assert_thaw_ok(thaw_features_fill(features, comm, view, NULL));
  check_all(features, view, right);
  int64_t computed = total_computed(features);
  thaw_features_close(features);
  return computed;
}

int cache_tests(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t count) {
  if (thaw_comm_create(&argc, &argv, &comm) != THAW_OK) {
    fprintf(stderr, "%s\n", thaw_message());
    return 1;
  }
  int failed = _cmocka_run_group_tests(name, tests, count, set_up, tear_down);
  thaw_comm_destroy(comm);
  return failed;
}
