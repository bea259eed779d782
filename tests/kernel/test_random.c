/* Many draws at once: the words of thaw_random4 (Random123's Philox), one by one, and nothing written behind them. */
#include "kernel_testing.h"

#include <stddef.h>
#include <stdint.h>

enum { MOST = 700, BEHIND = 40 };

static void compare(const thaw_isa *isa, const thaw_draw *position, uint32_t limit, size_t count) {
  uint32_t mask[MOST + BEHIND], word[4] = {0};
  for (size_t i = 0; i < MOST + BEHIND; i++) mask[i] = 0xdeadbeef;
  thaw_random_keep(isa, position, limit, count, mask);
  for (size_t i = 0; i < count; i++) {
    if (i % 4 == 0) thaw_random4(position, (uint32_t)(i / 4), word);
    if (mask[i] != (word[i % 4] >= limit ? UINT32_MAX : 0))
      fail_msg("%s: mask %zu of %zu is %x, the random word is %x, the limit %x", thaw_isa_name(isa), i, count, mask[i],
               word[i % 4], limit);
  }
  for (size_t i = count; i < count + BEHIND; i++) assert_int_equal(mask[i], 0xdeadbeef);
}

static void masks_are_those_of_single_draws(void **context) {
  (void)context;
  const thaw_isa *isas[2];
  int variants = testing_isas(isas);
  thaw_draw position = {.purpose = THAW_RNG_DROPOUT};
  for (size_t count = 0; count <= MOST; count += count < 150 ? 1 : 61) {
    position.seed = position.seed * 0x9E3779B97F4A7C15u + count;
    position.epoch = (uint32_t)(position.seed >> 40);
    position.sample = position.seed >> 16;
    position.lane = (uint32_t)count * 37 & 0xffff;
    for (int i = 0; i < variants; i++) compare(isas[i], &position, (uint32_t)count * 0x9E3779B9u, count);
  }
}

/* Every word decides by all its 32 bits: a limit that is the word itself keeps it, one more drops it. */
static void limits_are_sharp(void **context) {
  (void)context;
  const thaw_isa *isas[2];
  int variants = testing_isas(isas);
  thaw_draw position = {
      .seed = UINT64_MAX, .purpose = THAW_RNG_TEST, .epoch = 0xffffff, .sample = 0xffffffffffff, .lane = 0xffff};
  for (size_t i = 0; i < 300; i++) {
    uint32_t word[4], mask[300];
    thaw_random4(&position, (uint32_t)(i / 4), word);
    for (int v = 0; v < variants; v++) {
      thaw_random_keep(isas[v], &position, word[i % 4], i + 1, mask);
      assert_int_equal(mask[i], UINT32_MAX);
      thaw_random_keep(isas[v], &position, word[i % 4] + 1, i + 1, mask);
      assert_int_equal(mask[i], word[i % 4] == UINT32_MAX ? UINT32_MAX : 0);
    }
  }
  for (int v = 0; v < variants; v++) {
    compare(isas[v], &position, 0, 257);
    compare(isas[v], &position, UINT32_MAX, 257);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(masks_are_those_of_single_draws),
      cmocka_unit_test(limits_are_sharp),
  };
  return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
