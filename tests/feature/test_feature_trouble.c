/* The feature cache in trouble, on any number of ranks: damaged and missing blocks, full disks, limits. */
#include "cache_test.h"

#include "thaw/memory.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ damage */
static void flip(const char *path, int64_t at) {
  int file = open(path, O_RDWR);
  unsigned char byte;
  assert_true(file >= 0 && pread(file, &byte, 1, at) == 1);
  byte ^= (unsigned char)(1u << at % 8);
  assert_int_equal(pwrite(file, &byte, 1, at), 1);
  close(file);
}

/* Rank 0 damages block files; then every rank must read the right bits all the same. */
static void damage(int kind, uint32_t seed) {
  assert_thaw_ok(thaw_comm_barrier(comm));
  if (thaw_comm_rank(comm) == 0) {
    thaw_strings blocks = {0};
    assert_thaw_ok(fixture_blocks(&f, &blocks));
    assert_true(blocks.count > 3);
    const char *path = blocks.item[seed % blocks.count];
    int64_t size = thaw_file_size(path);
    if (kind == 0) flip(path, (int64_t)(seed * 2654435761u % (uint32_t)size));
    if (kind == 1) assert_int_equal(truncate(path, (off_t)(seed * 2654435761u % (uint32_t)size)), 0);
    if (kind == 2) assert_int_equal(unlink(path), 0);
    if (kind == 3) assert_int_equal(rename(blocks.item[(seed + 1) % blocks.count], path), 0);
    if (kind == 4) assert_thaw_ok(thaw_file_write(path, "not HDF5 at all", 15));
    thaw_strings_clear(&blocks);
  }
  assert_thaw_ok(thaw_comm_barrier(comm));
}

static void test_damage_before_opening(void **context) {
  (void)context;
  assert_thaw_ok(fixture_expected(&f, -1, expected));
  run(-1, expected);
  for (uint32_t i = 0; i < 60; i++) {
    damage(i < 40 ? 0 : i < 50 ? 1 : (int)i % 3 + 2, i * 31 + 7);
    run(-1, expected);
  }
  assert_int_equal(run(-1, expected), 0); /* all is mended on the disk */
}

static void test_damage_after_filling(void **context) {
  (void)context;
  assert_thaw_ok(fixture_expected(&f, -1, expected));
  for (int kind = 0; kind < 5; kind++) {
    run(-1, expected);
    thaw_features *features;
    assert_thaw_ok(fixture_features(&f, comm, &features));
    assert_thaw_ok(thaw_features_fill(features, comm, -1, NULL));
    thaw_views_clear(features); /* as if no block had been opened yet */
    thaw_view *view;
    assert_thaw_ok(thaw_view_get(features, -1, &view));
    view->ready = true;
    damage(kind, (uint32_t)kind * 13 + 5);
    check_all(features, -1, expected);
    thaw_features_close(features);
  }
}

static void test_incomplete_entry_is_completed(void **context) {
  (void)context;
  assert_thaw_ok(fixture_expected(&f, -1, expected));
  run(-1, expected);
  if (thaw_comm_rank(comm) == 0) {
    thaw_strings blocks = {0};
    assert_thaw_ok(fixture_blocks(&f, &blocks));
    for (size_t i = 0; i < 3; i++) unlink(blocks.item[i * 5]);
    char *left = thaw_format("%s.tmp-otherhost-1", blocks.item[0]);
    assert_thaw_ok(thaw_file_write(left, "half", 4));
    thaw_free(left);
    thaw_strings_clear(&blocks);
  }
  assert_thaw_ok(thaw_comm_barrier(comm));
  assert_int_equal(run(-1, expected), 3 * 8);
}

/* ------------------------------------------------------------------ disks and limits */
/* Files may grow to 4 kB only: HDF5's write fails as on a full disk. */
static void test_full_disk(void **context) {
  (void)context;
  struct rlimit old, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small = old;
  small.rlim_cur = 2048;
  signal(SIGXFSZ, SIG_IGN);
  thaw_features *features;
  assert_thaw_ok(fixture_expected(&f, 0, expected));
  assert_thaw_ok(fixture_features(&f, comm, &features));
  if (thaw_comm_rank(comm) == thaw_comm_size(comm) - 1) assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  assert_thaw_ok(thaw_features_fill(features, comm, 0, NULL));
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  assert_false(features->caching); /* on every rank */
  check_all(features, 0, expected);
  assert_thaw_ok(thaw_features_fill(features, comm, 1, NULL)); /* does nothing now */
  thaw_features_close(features);
  assert_thaw_ok(thaw_comm_barrier(comm));
  thaw_strings blocks = {0};
  assert_thaw_ok(fixture_blocks(&f, &blocks));
  assert_int_equal(blocks.count, 0); /* the room was given back */
  thaw_strings_clear(&blocks);
}

static void test_unwritable_folder(void **context) {
  (void)context;
  char *old = f.cache;
  f.cache = thaw_path_join(f.shard, "below-a-file");
  thaw_features *features;
  assert_thaw_ok(fixture_expected(&f, -1, expected));
  assert_thaw_ok(fixture_features(&f, comm, &features));
  assert_thaw_ok(thaw_features_fill(features, comm, -1, NULL));
  assert_false(features->caching);
  check_all(features, -1, expected);
  thaw_features_close(features);
  thaw_free(f.cache);
  f.cache = old;
}

static size_t count_entries(void) {
  thaw_entries entries;
  assert_thaw_ok(thaw_entries_read(f.cache, &entries));
  size_t count = entries.count;
  thaw_entries_clear(&entries);
  assert_thaw_ok(thaw_comm_barrier(comm));
  return count;
}

/* Room for two entries: the third removes the one that was used least recently. */
static void test_limit(void **context) {
  (void)context;
  float *right[3];
  for (int32_t view = 0; view < 3; view++) {
    right[view] = thaw_new(VALUES, sizeof(float));
    assert_thaw_ok(fixture_expected(&f, view, right[view]));
  }
  run(0, right[0]);
  thaw_entries entries;
  assert_thaw_ok(thaw_entries_read(f.cache, &entries));
  f.config.limit_gb = 2.6e-9 * (double)entries.item[0].bytes;
  thaw_entries_clear(&entries);
  usleep(120000);
  run(1, right[1]);
  usleep(120000);
  assert_int_equal(run(0, right[0]), 0); /* now view 1 is the older one */
  assert_int_equal(count_entries(), 2);
  usleep(120000);
  assert_int_equal(run(2, right[2]), FIXTURE_SAMPLES);
  assert_int_equal(count_entries(), 2);
  assert_int_equal(run(0, right[0]), 0);
  f.config.limit_gb /= 10; /* no room for a single view: not cached, still right */
  usleep(120000);
  int64_t everywhere = FIXTURE_SAMPLES * thaw_comm_size(comm);
  assert_int_equal(run(1, right[1]), everywhere);
  for (int view = 0; view < 3; view++) thaw_free(right[view]);
}

static void test_small_disk(void **context) {
  (void)context;
  if (thaw_comm_size(comm) != 1 || geteuid() != 0) skip();
  char command[160];
  assert_true(mkdir(f.cache, 0777) == 0 || thaw_folder_exists(f.cache));
  snprintf(command, sizeof command, "mount -t tmpfs -o size=256k thaw-test %s 2>/dev/null", f.cache);
  if (system(command) != 0) skip(); /* not allowed here */
  thaw_features *features;
  assert_thaw_ok(fixture_expected(&f, -1, expected));
  assert_thaw_ok(fixture_features(&f, comm, &features));
  thaw_status status = thaw_features_fill(features, comm, -1, NULL);
  bool caching = features->caching;
  snprintf(command, sizeof command, "umount %s", f.cache);
  assert_int_equal(system(command), 0);
  assert_thaw_ok(status);
  assert_false(caching);
  check_all(features, -1, expected);
  thaw_features_close(features);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_damage_before_opening, empty_cache),
      cmocka_unit_test_setup(test_damage_after_filling, empty_cache),
      cmocka_unit_test_setup(test_incomplete_entry_is_completed, empty_cache),
      cmocka_unit_test_setup(test_full_disk, empty_cache),
      cmocka_unit_test_setup(test_unwritable_folder, empty_cache),
      cmocka_unit_test_setup(test_limit, empty_cache),
      cmocka_unit_test_setup(test_small_disk, empty_cache),
  };
  return cache_tests(argc, argv, "feature_trouble", tests, sizeof tests / sizeof *tests);
}
