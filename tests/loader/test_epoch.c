/* The order of samples and their division over ranks: every sample exactly once, whatever the sizes. */
#include "thaw_test.h"

#include "thaw/loader.h"
#include "thaw/memory.h"

#include <stdlib.h>

static uint32_t next(uint32_t *state, uint32_t below) {
  *state = *state * 1664525u + 1013904223u;
  return (uint32_t)((uint64_t)*state * below >> 32);
}

static void check_share(const thaw_epoch *epoch, const thaw_step_share *share) {
  assert_int_equal(share->slice_start[0], 0);
  assert_int_equal(share->slice_start[share->slices], share->samples);
  for (int32_t s = 0; s < share->slices; s++) {
    int32_t size = share->slice_start[s + 1] - share->slice_start[s];
    assert_true(size >= 1 && size <= epoch->slice);
    if (share->slice[s] + 1 < share->slices_global) assert_int_equal(size, epoch->slice); /* only the last is short */
    if (s) assert_int_equal(share->slice[s], share->slice[s - 1] + 1);
  }
}

/* Walks one epoch on `ranks` ranks; order_out[position] = sample. */
static void walk(const thaw_epoch *epoch, int ranks, uint64_t *order_out) {
  thaw_step_share *share = thaw_new((size_t)ranks, sizeof *share);
  for (int r = 0; r < ranks; r++) assert_thaw_ok(thaw_step_share_create(epoch, ranks, &share[r]));
  int64_t position = 0;
  for (int64_t step = 0; step < thaw_epoch_steps(epoch); step++) {
    int64_t slices = 0, batch = 0;
    int32_t fewest = INT32_MAX, most = 0;
    for (int r = 0; r < ranks; r++) {
      thaw_step_share_plan(epoch, step, r, ranks, &share[r]);
      check_share(epoch, &share[r]);
      for (int32_t s = 0; s < share[r].slices; s++) assert_int_equal(share[r].slice[s], slices + s);
      slices += share[r].slices;
      batch += share[r].samples;
      fewest = share[r].slices < fewest ? share[r].slices : fewest;
      most = share[r].slices > most ? share[r].slices : most;
      for (int32_t i = 0; i < share[r].samples; i++) order_out[position++] = share[r].sample[i];
    }
    assert_int_equal(slices, share[0].slices_global);
    assert_int_equal(batch, share[0].batch);
    assert_true(most - fewest <= 1);
  }
  assert_int_equal(position, epoch->samples);
  for (int r = 0; r < ranks; r++) thaw_step_share_clear(&share[r]);
  thaw_free(share);
}

static void test_every_sample_once(void **context) {
  (void)context;
  uint32_t state = 5;
  for (int trial = 0; trial < 300; trial++) {
    thaw_epoch epoch = {.seed = trial,
                        .epoch = next(&state, 100),
                        .samples = 1 + next(&state, 300),
                        .batch = 1 + (int32_t)next(&state, 70),
                        .slice = 1 + (int32_t)next(&state, 12),
                        .shuffle = next(&state, 2),
                        .chunk = (int32_t)(next(&state, 2) * next(&state, 40)),
                        .window = 1 + (int32_t)next(&state, 6)};
    uint64_t *one = thaw_new((size_t)epoch.samples, sizeof *one), *many = thaw_new((size_t)epoch.samples, sizeof *many);
    bool *seen = thaw_new((size_t)epoch.samples, sizeof *seen);
    walk(&epoch, 1, one);
    walk(&epoch, 1 + (int)next(&state, 20), many);
    assert_memory_equal(one, many, (size_t)epoch.samples * sizeof *one);
    for (int64_t i = 0; i < epoch.samples; i++) {
      assert_true(one[i] < (uint64_t)epoch.samples);
      assert_false(seen[one[i]]);
      seen[one[i]] = true;
      if (!epoch.shuffle) assert_int_equal(one[i], i);
      assert_int_equal(one[i], thaw_epoch_sample(&epoch, (uint64_t)i));
    }
    thaw_free(one), thaw_free(many), thaw_free(seen);
  }
}

/* Shares are drawn many at once; one at a time is the definition. Whole blocks, a short one, fewer than one block. */
static void test_one_at_a_time_is_the_same(void **context) {
  (void)context;
  static const int64_t samples[] = {200, 2048, 10007, 40960};
  for (size_t s = 0; s < sizeof samples / sizeof *samples; s++)
    for (int32_t chunk = 0; chunk <= 256; chunk += 256) {
      thaw_epoch epoch = {.seed = 3,
                          .epoch = 2,
                          .samples = samples[s],
                          .batch = 3000,
                          .slice = 8,
                          .shuffle = true,
                          .chunk = chunk,
                          .window = 8};
      uint64_t *order = thaw_new((size_t)epoch.samples, sizeof *order);
      walk(&epoch, 3, order);
      for (int64_t i = 0; i < epoch.samples; i++) assert_int_equal(order[i], thaw_epoch_sample(&epoch, (uint64_t)i));
      thaw_free(order);
    }
}

static void test_more_ranks_than_slices(void **context) {
  (void)context;
  thaw_epoch epoch = {.samples = 10, .batch = 64, .slice = 8};
  int with_work = 0;
  for (int r = 0; r < 7; r++) {
    thaw_step_share share;
    assert_thaw_ok(thaw_step_share_create(&epoch, 7, &share));
    thaw_step_share_plan(&epoch, 0, r, 7, &share);
    assert_int_equal(share.batch, 10);
    assert_int_equal(share.slices_global, 2);
    with_work += share.slices > 0;
    thaw_step_share_clear(&share);
  }
  assert_int_equal(with_work, 2);
}

static void test_epochs_differ(void **context) {
  (void)context;
  thaw_epoch epoch = {.seed = 7, .samples = 1000, .batch = 64, .slice = 8, .shuffle = true};
  uint64_t first[1000], second[1000];
  walk(&epoch, 3, first);
  epoch.epoch = 1;
  walk(&epoch, 3, second);
  int same = 0;
  for (int i = 0; i < 1000; i++) same += first[i] == second[i];
  assert_true(same < 20); /* expected: 1 */
}

/* A window of positions holds the samples of few blocks, in an order that is not theirs, and each epoch has others. */
static void test_chunks_stay_together(void **context) {
  (void)context;
  enum { CHUNK = 16, WINDOW = 4, SAMPLES = 5000 };
  thaw_epoch epoch = {
      .seed = 9, .samples = SAMPLES, .batch = 64, .slice = 8, .shuffle = true, .chunk = CHUNK, .window = WINDOW};
  uint64_t order[SAMPLES], other[SAMPLES];
  walk(&epoch, 3, order);
  int in_order = 0, stayed = 0;
  for (int first = 0; first + CHUNK * WINDOW <= SAMPLES; first += CHUNK * WINDOW) {
    bool block[SAMPLES / CHUNK + 1] = {false};
    int blocks = 0;
    for (int i = first; i < first + CHUNK * WINDOW; i++) {
      if (!block[order[i] / CHUNK]) blocks++;
      block[order[i] / CHUNK] = true;
      in_order += i > first && order[i] == order[i - 1] + 1;
      stayed += order[i] == (uint64_t)i;
    }
    assert_true(blocks <= WINDOW + 2); /* behind the short block the windows' borders cut one more */
  }
  assert_true(in_order < SAMPLES / 20 && stayed < SAMPLES / 100); /* expected: 1/64 and 1/5000 of the samples */
  epoch.epoch = 1;
  walk(&epoch, 3, other);
  int same = 0;
  for (int i = 0; i < SAMPLES; i++) same += order[i] == other[i];
  assert_true(same < SAMPLES / 100);
}

/* Ten million samples: nothing is stored, so only some positions are asked; the map is still one to one. */
static void test_ten_million(void **context) {
  (void)context;
  enum { SAMPLES = 10000019, FIRST = 9990000 };
  thaw_epoch epoch = {.seed = 3, .samples = SAMPLES, .batch = 256, .slice = 8, .shuffle = true, .window = 8};
  uint8_t *seen = thaw_new(SAMPLES / 8 + 1, 1);
  assert_non_null(seen);
  for (epoch.chunk = 0; epoch.chunk <= 256; epoch.chunk += 256) {
    memset(seen, 0, SAMPLES / 8 + 1);
    for (uint64_t p = FIRST; p < SAMPLES; p++) {
      uint64_t sample = thaw_epoch_sample(&epoch, p);
      assert_true(sample < SAMPLES && !(seen[sample / 8] >> sample % 8 & 1));
      seen[sample / 8] |= (uint8_t)(1 << sample % 8);
    }
  }
  thaw_free(seen);
}

/* Classes of 1, 5, 40, 160 and 7 samples in groups of 4: each sample once, whole groups of one class up to the rests, a
 * large class spread over the whole epoch, and other orders in other epochs. */
static void test_class_order(void **state) {
  (void)state;
  static const int32_t size[] = {1, 5, 40, 160, 7};
  enum { SAMPLES = 213, GROUP = 4, WHOLE = (0 + 1 + 10 + 40 + 1) * GROUP };
  uint16_t label[SAMPLES];
  uint64_t order[SAMPLES], again[SAMPLES];
  int32_t at = 0, quarter[5][4] = {{0}};
  bool seen[SAMPLES] = {0};
  for (int32_t c = 0; c < 5; c++)
    for (int32_t i = 0; i < size[c]; i++) label[(at++ * 100) % SAMPLES] = (uint16_t)c; /* 100 and 213 have no factor */
  const thaw_labels labels = {.value = label, .width = 1, .bytes = 2};
  assert_thaw_ok(thaw_class_order(&labels, SAMPLES, GROUP, 9, 3, order));
  thaw_epoch epoch = {.samples = SAMPLES, .batch = 16, .slice = 4, .shuffle = true, .order = order};
  for (int32_t i = 0; i < SAMPLES; i++) {
    uint64_t sample = thaw_epoch_sample(&epoch, (uint64_t)i);
    assert_true(sample < SAMPLES && !seen[sample]);
    seen[sample] = true;
    if (i >= WHOLE) continue;
    assert_int_equal(label[sample], label[order[i / GROUP * GROUP]]);
    quarter[label[sample]][i * 4 / WHOLE]++;
  }
  for (int32_t q = 0; q < 4; q++) {
    assert_true(abs(quarter[3][q] - 40) <= 8);
    assert_true(abs(quarter[2][q] - 10) <= 8);
  }
  assert_thaw_ok(thaw_class_order(&labels, SAMPLES, GROUP, 9, 3, again));
  assert_memory_equal(order, again, sizeof order);
  assert_thaw_ok(thaw_class_order(&labels, SAMPLES, GROUP, 9, 4, again));
  assert_memory_not_equal(order, again, sizeof order);
}

/* Classes of 1, 0, 7, 40 and 13 samples: 40 draws of each but the empty one; uses are even in one epoch and in all. */
static void test_balanced_order(void **state) {
  (void)state;
  static const int32_t size[] = {1, 0, 7, 40, 13};
  enum { SAMPLES = 61, DRAWS = 160, EPOCHS = 9 };
  uint8_t label[SAMPLES];
  uint64_t order[DRAWS], again[DRAWS];
  int64_t total[SAMPLES] = {0};
  int32_t at = 0, first_half = 0;
  for (int32_t c = 0; c < 5; c++)
    for (int32_t i = 0; i < size[c]; i++) label[(at++ * 17) % SAMPLES] = (uint8_t)c;
  const thaw_labels labels = {.value = label, .width = 1, .bytes = 1};
  thaw_balance balance;
  assert_thaw_ok(thaw_balance_count(&labels, SAMPLES, 5, &balance));
  assert_int_equal(balance.draws, DRAWS);
  assert_int_equal(balance.each, 40);
  for (uint32_t e = 0; e < EPOCHS; e++) {
    int64_t uses[SAMPLES] = {0};
    assert_thaw_ok(thaw_balanced_order(&labels, SAMPLES, &balance, 5, e, order));
    for (int i = 0; i < DRAWS; i++) {
      assert_true(order[i] < SAMPLES);
      uses[order[i]]++;
      first_half += i < DRAWS / 2 && label[order[i]] == 3;
    }
    for (int i = 0; i < SAMPLES; i++) {
      total[i] += uses[i];
      int64_t least = 40 / size[label[i]], sum = 40 * (int64_t)(e + 1) / size[label[i]];
      assert_true(uses[i] == least || uses[i] == least + (40 % size[label[i]] != 0));
      assert_true(total[i] == sum || total[i] == sum + (40 * (e + 1) % (uint32_t)size[label[i]] != 0));
    }
  }
  assert_true(abs(first_half - 20 * EPOCHS) < 40); /* classes are mixed */
  assert_thaw_ok(thaw_balanced_order(&labels, SAMPLES, &balance, 5, EPOCHS - 1, again));
  assert_memory_equal(order, again, sizeof order);
  assert_thaw_ok(thaw_balanced_order(&labels, SAMPLES, &balance, 6, EPOCHS - 1, again));
  assert_memory_not_equal(order, again, sizeof order);
  thaw_balance_clear(&balance);
  label[5] = 5;
  assert_thaw_fails(thaw_balance_count(&labels, SAMPLES, 5, &balance), THAW_ERR_INTERNAL, "class 5 of 5");
  thaw_balance_clear(&balance);
}

/* Parts of a batch: each is dealt to all ranks by itself, has its own last slice, and together they are the batch. */
static void parts_are_batches(void **state) {
  (void)state;
  enum { RANKS = 3 };
  thaw_epoch epoch = {.samples = 50, .batch = 30, .slice = 4, .parts = 3};
  for (int64_t step = 0; step < 2; step++) {
    bool seen[50] = {false};
    int64_t slices[3] = {0}, samples[3] = {0};
    for (int r = 0; r < RANKS; r++) {
      thaw_step_share share;
      assert_thaw_ok(thaw_step_share_create(&epoch, RANKS, &share));
      thaw_step_share_plan(&epoch, step, r, RANKS, &share);
      assert_int_equal(share.batch, step ? 20 : 30);
      assert_int_equal(share.parts, step ? 2 : 3);
      assert_int_equal(share.slices_global, step ? 6 : 9);
      assert_int_equal(share.part_start[share.parts], share.slices);
      for (int32_t p = 0; p < share.parts; p++) {
        assert_int_equal(share.part_batch[p], 10);
        slices[p] += share.part_start[p + 1] - share.part_start[p];
        assert_int_equal(share.part_start[p + 1] - share.part_start[p], 1); /* three slices on three ranks */
        for (int32_t s = share.part_start[p]; s < share.part_start[p + 1]; s++) {
          assert_int_equal(share.slice[s] / 3, p);
          for (int32_t i = share.slice_start[s]; i < share.slice_start[s + 1]; i++) {
            assert_int_equal(share.sample[i] / 10, 3 * step + p);
            assert_false(seen[share.sample[i]]);
            seen[share.sample[i]] = true;
            samples[p]++;
          }
        }
      }
      thaw_step_share_clear(&share);
    }
    for (int p = 0; p < (step ? 2 : 3); p++) {
      assert_int_equal(slices[p], 3);
      assert_int_equal(samples[p], 10);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_sample_once),
                                     cmocka_unit_test(test_more_ranks_than_slices),
                                     cmocka_unit_test(test_one_at_a_time_is_the_same),
                                     cmocka_unit_test(test_epochs_differ),
                                     cmocka_unit_test(test_chunks_stay_together),
                                     cmocka_unit_test(test_ten_million),
                                     cmocka_unit_test(test_class_order),
                                     cmocka_unit_test(test_balanced_order),
                                     cmocka_unit_test(parts_are_batches)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
