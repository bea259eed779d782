#include "thaw_mpi_test.h"

#include "thaw/memory.h"

#include <stdlib.h>

static int rank(void) {
  return thaw_comm_rank(test_comm);
}

static int size(void) {
  return thaw_comm_size(test_comm);
}

static void all_well_is_agreed(void **state) {
  (void)state;
  assert_all_ranks(thaw_agree(test_comm, THAW_OK) == THAW_OK);
}

static void failure_of_one_rank_becomes_everybodys(void **state) {
  (void)state;
  bool ok = true;
  for (int who = 0; who < size(); who++) {
    thaw_status mine = rank() == who ? thaw_fail(THAW_ERR_DATA, "shard %d is broken", who) : THAW_OK;
    ok &= thaw_agree(test_comm, mine) == THAW_ERR_DATA;
    char part[64], prefix[64];
    snprintf(part, sizeof part, "shard %d is broken", who);
    snprintf(prefix, sizeof prefix, "rank %d (", who);
    ok &= strstr(thaw_message(), part) != NULL;
    ok &= (strstr(thaw_message(), prefix) == thaw_message()) == (size() > 1);
  }
  assert_all_ranks(ok);
}

static void worst_failure_wins_and_lowest_rank_among_equals(void **state) {
  (void)state;
  bool ok = true;
  thaw_status mine = thaw_fail(rank() == size() - 1 ? THAW_ERR_DATA : THAW_ERR_RUN, "from %d", rank());
  ok &= thaw_agree(test_comm, mine) == THAW_ERR_DATA;
  char part[32];
  snprintf(part, sizeof part, "from %d", size() - 1);
  ok &= strstr(thaw_message(), part) != NULL;
  mine = rank() >= size() / 2 ? thaw_fail(THAW_ERR_RUN, "from %d", rank()) : THAW_OK;
  ok &= thaw_agree(test_comm, mine) == THAW_ERR_RUN;
  snprintf(part, sizeof part, "from %d", size() / 2);
  ok &= strstr(thaw_message(), part) != NULL;
  assert_all_ranks(ok);
}

static void different_texts_are_found(void **state) {
  (void)state;
  bool ok = thaw_agree_same(test_comm, "the job", "abc") == THAW_OK;
  thaw_status status = thaw_agree_same(test_comm, "the job", rank() == size() - 1 ? "abd" : "abc");
  ok &= size() == 1 ? status == THAW_OK : status == THAW_ERR_RUN;
  if (size() > 1) ok &= strstr(thaw_message(), "the job is 'abd' here, but 'abc' on rank 0") != NULL;
  assert_all_ranks(ok);
}

static void broadcast_brings_bytes_and_length(void **state) {
  (void)state;
  bool ok = true;
  int value = rank() == size() - 1 ? 42 : 0;
  ok &= thaw_comm_broadcast(test_comm, size() - 1, &value, sizeof value) == THAW_OK && value == 42;
  for (size_t length = 0; length < 100000; length = length * 9 + 1) {
    char *mine = thaw_new(length + 1, 1), *data = rank() == 0 ? mine : NULL;
    memset(mine, 'x', length);
    size_t bytes = rank() == 0 ? length : 0;
    ok &= thaw_comm_broadcast_new(test_comm, 0, &data, &bytes) == THAW_OK;
    ok &= bytes == length && strlen(data) == length && strcmp(data, mine) == 0;
    if (data != mine) thaw_free(data);
    thaw_free(mine);
  }
  assert_all_ranks(ok);
}

static void gather_keeps_rank_order_and_sizes(void **state) {
  (void)state;
  char text[64], *all;
  size_t *sizes;
  int length = rank() == 1 ? 0 : snprintf(text, sizeof text, "[from %d]", rank());
  bool ok = thaw_comm_gather(test_comm, text, (size_t)length, &all, &sizes) == THAW_OK;
  if (rank() == 0) {
    const char *at = all;
    for (int r = 0; r < size(); r++) {
      int expected = r == 1 ? 0 : snprintf(text, sizeof text, "[from %d]", r);
      ok &= sizes[r] == (size_t)expected && strncmp(at, text, (size_t)expected) == 0;
      at += expected;
    }
  } else {
    ok &= !all && !sizes;
  }
  thaw_free(all);
  thaw_free(sizes);
  assert_all_ranks(ok);
}

/* Rank r brings r letters. */
static void gather_all_gives_everybody_everything(void **state) {
  (void)state;
  size_t sizes[64];
  char mine[64], all[64 * 64];
  memset(mine, 'a' + rank(), sizeof mine);
  for (int r = 0; r < size(); r++) sizes[r] = (size_t)r;
  bool ok = thaw_comm_gather_all(test_comm, mine, sizes, all) == THAW_OK;
  for (int r = 0, at = 0; r < size(); r++)
    for (int i = 0; i < r; i++) ok &= all[at++] == 'a' + r;
  assert_all_ranks(ok);
}

static void integers_are_added(void **state) {
  (void)state;
  int64_t sum[2] = {rank() + 1, INT64_C(1) << 50}, most[1] = {rank()};
  double highest[1] = {-rank() - 0.5};
  bool ok = thaw_comm_sum_int(test_comm, sum, 2) == THAW_OK && thaw_comm_max_int(test_comm, most, 1) == THAW_OK &&
            thaw_comm_max_double(test_comm, highest, 1) == THAW_OK && thaw_comm_barrier(test_comm) == THAW_OK;
  ok &= sum[0] == size() * (size() + 1) / 2 && sum[1] == size() * (INT64_C(1) << 50) && most[0] == size() - 1;
  assert_all_ranks(ok && highest[0] == -0.5);
}

/* Short and long sums in a row. */
static void many_integers_are_added(void **state) {
  (void)state;
  static const size_t counts[] = {32768, 131072, 131073, 400000, 32769};
  bool ok = true;
  for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
    int64_t *sum = thaw_new(counts[c], sizeof *sum), ranks = size(), all = ranks * (ranks + 1) / 2;
    for (size_t i = 0; sum && i < counts[c]; i++) sum[i] = (rank() + 1) * ((int64_t)i * 1000003 - ((int64_t)c << 40));
    ok &= sum && thaw_comm_sum_int(test_comm, sum, counts[c]) == THAW_OK;
    for (size_t i = 0; sum && i < counts[c]; i++) ok &= sum[i] == all * ((int64_t)i * 1000003 - ((int64_t)c << 40));
    thaw_free(sum);
  }
  assert_all_ranks(ok);
}

static void shared_memory_is_filled_once_and_read_by_all(void **state) {
  (void)state;
  enum { COUNT = 100000 };
  thaw_shared *shared;
  bool ok = thaw_shared_create(test_comm, COUNT * sizeof(int), &shared) == THAW_OK;
  assert_all_ranks(ok);
  int *data = thaw_shared_data(shared);
  ok &= (uintptr_t)data % THAW_ALIGN == 0;
  int64_t fillers = thaw_shared_must_fill(shared);
  if (thaw_shared_must_fill(shared))
    for (int i = 0; i < COUNT; i++) data[i] = 3 * i;
  ok &= thaw_shared_publish(shared) == THAW_OK;
  for (int i = 0; i < COUNT; i++) ok &= data[i] == 3 * i;
  ok &= thaw_comm_sum_int(test_comm, &fillers, 1) == THAW_OK;
  ok &= thaw_shared_is_private(shared) || fillers == 1;
  thaw_shared_destroy(shared);
  assert_all_ranks(ok);
}

static void shared_memory_larger_than_the_machine_falls_back_or_fails_for_all(void **state) {
  (void)state;
  thaw_shared *shared;
  thaw_status status = thaw_shared_create(test_comm, (size_t)1 << 46, &shared);
  if (status == THAW_OK) {
    bool private = thaw_shared_is_private(shared) || size() == 1;
    thaw_shared_destroy(shared);
    assert_all_ranks(private);
  } else {
    assert_all_ranks(status == THAW_ERR_MEMORY);
  }
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_well_is_agreed),
      cmocka_unit_test(failure_of_one_rank_becomes_everybodys),
      cmocka_unit_test(worst_failure_wins_and_lowest_rank_among_equals),
      cmocka_unit_test(different_texts_are_found),
      cmocka_unit_test(broadcast_brings_bytes_and_length),
      cmocka_unit_test(gather_keeps_rank_order_and_sizes),
      cmocka_unit_test(gather_all_gives_everybody_everything),
      cmocka_unit_test(integers_are_added),
      cmocka_unit_test(many_integers_are_added),
      cmocka_unit_test(shared_memory_is_filled_once_and_read_by_all),
      cmocka_unit_test(shared_memory_larger_than_the_machine_falls_back_or_fails_for_all),
  };
  thaw_mpi_main(tests, argc, argv);
}
