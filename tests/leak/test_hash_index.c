/* The index against a look at every hash; the file of hashes beside a catalogue. */
#include "thaw/leak.h"
#include "thaw_test.h"

#include <stdlib.h>

enum { COUNT = 3000, QUERIES = 600 };

static uint64_t state_of_random = 12345;

static uint64_t next_random(void) { /* splitmix64 */
  uint64_t z = state_of_random += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static uint64_t flip(uint64_t hash, int bits) {
  for (int i = 0; i < bits; i++) hash ^= (uint64_t)1 << next_random() % 64;
  return hash;
}

static int64_t look_at_all(const uint64_t *hash, int64_t count, uint64_t wanted, int32_t most, int32_t *distance) {
  int64_t best = -1;
  int32_t least = most + 1;
  for (int64_t i = 0; wanted && i < count; i++)
    if (hash[i] && thaw_hash_distance(hash[i], wanted) < least) {
      least = thaw_hash_distance(hash[i], wanted);
      best = i;
    }
  *distance = least;
  return best;
}

static void the_nearest_is_found_at_every_distance(void **state) {
  (void)state;
  static uint64_t hash[COUNT];
  for (int i = 0; i < COUNT; i++)
    hash[i] = i % 50 == 49 ? 0
              : i % 3      ? flip(hash[next_random() % (uint64_t)i], (int)(next_random() % 7))
                           : next_random();
  for (int32_t distance = 0; distance <= THAW_HASH_DISTANCE; distance++) {
    thaw_hash_index *index;
    int found = 0;
    assert_thaw_ok(thaw_hash_index_create(hash, COUNT, distance, &index));
    for (int q = 0; q < QUERIES; q++) {
      const uint64_t wanted = q % 20 == 0 ? 0 : flip(hash[next_random() % COUNT], q / 20 % 20);
      int32_t expected_distance, got_distance = 0;
      const int64_t expected = look_at_all(hash, COUNT, wanted, distance, &expected_distance);
      const int64_t got = thaw_hash_index_nearest(index, wanted, &got_distance);
      if (got != expected) fail_msg("distance %d, query %d: %d, expected %d", distance, q, (int)got, (int)expected);
      if (got >= 0) assert_int_equal(got_distance, expected_distance);
      found += got >= 0;
    }
    assert_in_range(found, 10, QUERIES - 20);
    thaw_hash_index_destroy(index);
  }
}

/* From 131,072 hashes on the index has wider parts; 16 bits apart and more are looked at in 35,000 places. */
static void the_nearest_of_many_is_found(void **state) {
  (void)state;
  enum { MANY = 140000, EACH = 120 };
  static const int32_t distances[] = {0, 2, 3, 4, 8, 16};
  uint64_t *hash = calloc(MANY, sizeof *hash);
  for (int i = 0; i < MANY; i++) /* few values of the lowest part, and the same hash many times: buckets are long */
    hash[i] = i % 50 == 49 ? 0
              : i % 3      ? flip(hash[next_random() % (uint64_t)i], (int)(next_random() % 5))
                           : next_random() & ~(uint64_t)0x1ffff;
  for (size_t d = 0; d < sizeof distances / sizeof *distances; d++) {
    thaw_hash_index *index;
    int found = 0;
    assert_thaw_ok(thaw_hash_index_create(hash, MANY, distances[d], &index));
    for (int q = 0; q < EACH; q++) {
      const uint64_t wanted = flip(hash[next_random() % MANY], q % 20);
      int32_t expected_distance, got_distance = 0;
      const int64_t expected = look_at_all(hash, MANY, wanted, distances[d], &expected_distance);
      const int64_t got = thaw_hash_index_nearest(index, wanted, &got_distance);
      if (got != expected) fail_msg("distance %d, query %d: %d, expected %d", distances[d], q, (int)got, (int)expected);
      if (got >= 0) assert_int_equal(got_distance, expected_distance);
      found += got >= 0;
    }
    assert_in_range(found, 3, EACH);
    thaw_hash_index_destroy(index);
  }
  free(hash);
}

static void limits_are_named(void **state) {
  (void)state;
  thaw_hash_index *index;
  int32_t distance;
  const uint64_t one = 5;
  assert_thaw_fails(thaw_hash_index_create(&one, 1, 17, &index), THAW_ERR_USAGE, "a distance of 17 bits: 0 to 16");
  assert_thaw_fails(thaw_hash_index_create(&one, 1, -1, &index), THAW_ERR_USAGE, "a distance of -1 bits");
  assert_thaw_ok(thaw_hash_index_create(NULL, 0, 4, &index));
  assert_int_equal(thaw_hash_index_nearest(index, 5, &distance), -1);
  thaw_hash_index_destroy(index);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_nearest_is_found_at_every_distance),
                                     cmocka_unit_test(the_nearest_of_many_is_found),
                                     cmocka_unit_test(limits_are_named)};
  return cmocka_run_group_tests_name("hash_index", tests, NULL, NULL);
}
