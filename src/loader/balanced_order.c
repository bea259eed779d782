/* Epochs in which every class comes equally often.
 *
 * The largest class, of n samples, is taken whole, and of every other class as many draws, n. Draw k of epoch e is
 * member (e n + k) mod m of the class's m members in a permutation that stays the same for all epochs: the class goes
 * round and round. So in one epoch two samples of a class differ by one use at most, and at the end of any number of
 * epochs, too. The draws of all classes together are permuted for each epoch. */
#include "thaw/loader.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

static int64_t class_of(const thaw_labels *labels, int64_t sample) {
  return (int64_t)thaw_label(labels, (uint64_t)sample, 0);
}

thaw_status thaw_balance_count(const thaw_labels *labels, int64_t samples, int64_t classes, thaw_balance *out) {
  *out = (thaw_balance){.classes = classes, .size = thaw_new((size_t)classes, sizeof *out->size)};
  if (!out->size) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < samples; i++) {
    int64_t class = class_of(labels, i);
    if (class < 0 || class >= classes)
      return thaw_fail(THAW_ERR_INTERNAL, "sample %lld: class %lld of %lld", (long long)i, (long long)class,
                       (long long)classes);
    if (++out->size[class] > out->each) out->each = out->size[class];
  }
  for (int64_t c = 0; c < classes; c++)
    if (out->size[c]) out->draws += out->each;
  return THAW_OK;
}

void thaw_balance_clear(thaw_balance *balance) {
  thaw_free(balance->size);
  *balance = (thaw_balance){0};
}

static uint64_t seed_of_class(uint64_t seed, int64_t class) {
  enum { LANE = 6 };
  const thaw_draw at = {.seed = seed, .purpose = THAW_RNG_SHUFFLE, .sample = (uint64_t) class, .lane = LANE};
  uint32_t word[4];
  thaw_random4(&at, 0, word);
  return (uint64_t)word[1] << 32 | word[0];
}

/* The samples of all classes, class by class. */
static uint64_t *list_members(const thaw_labels *labels, int64_t samples, const thaw_balance *balance) {
  uint64_t *list = thaw_new((size_t)samples, sizeof *list);
  int64_t *next = thaw_new((size_t)balance->classes, sizeof *next);
  for (int64_t c = 1; list && next && c < balance->classes; c++) next[c] = next[c - 1] + balance->size[c - 1];
  for (int64_t i = 0; list && next && i < samples; i++) list[next[class_of(labels, i)]++] = (uint64_t)i;
  if (!next) {
    thaw_free(list);
    list = NULL;
  }
  thaw_free(next);
  return list;
}

static void draw_class(const thaw_balance *balance, const uint64_t *member, int64_t class, uint64_t seed,
                       uint32_t epoch, uint64_t *out) {
  uint64_t count = (uint64_t)balance->size[class], each = (uint64_t)balance->each;
  uint64_t own = seed_of_class(seed, class), first = (epoch * each) % count;
  for (uint64_t k = 0; k < each; k++) out[k] = member[thaw_permute(own, 0, count, (first + k) % count)];
}

thaw_status thaw_balanced_order(const thaw_labels *labels, int64_t samples, const thaw_balance *balance, uint64_t seed,
                                uint32_t epoch, uint64_t *order) {
  uint64_t *list = list_members(labels, samples, balance);
  uint64_t *draw = thaw_new((size_t)balance->draws, sizeof *draw);
  thaw_status status = list && draw ? THAW_OK : THAW_ERR_MEMORY;
  int64_t at = 0, first = 0;
  for (int64_t c = 0; status == THAW_OK && c < balance->classes; first += balance->size[c++]) {
    if (!balance->size[c]) continue;
    draw_class(balance, list + first, c, seed, epoch, draw + at);
    at += balance->each;
  }
  for (int64_t i = 0; status == THAW_OK && i < balance->draws; i++)
    order[i] = draw[thaw_permute(seed, epoch, (uint64_t)balance->draws, (uint64_t)i)];
  thaw_free(list);
  thaw_free(draw);
  return status;
}
