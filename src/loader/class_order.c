/* Batches of P classes with K samples each (A. Hermans et al., "In defense of the triplet loss for person
 * re-identification", 2017, section 2), in which every sample still comes once in an epoch.
 *
 * The samples of a class, permuted, are divided into groups of K. Group r of a class with R groups gets the key
 * (r + u) / R, u uniform in [0, 1), and the groups follow one another by their keys: each class is spread evenly over
 * the epoch, and between classes of one size the order is random. What a class has beyond its last whole group comes at
 * the end of the epoch. */
#include "thaw/loader.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

#include <stdlib.h>

typedef struct group {
  double key;
  int64_t first; /* in the list of all samples class by class */
  int32_t size;
} group;

typedef struct grouping {
  const thaw_labels *labels;
  int64_t samples, classes;
  uint64_t seed;
  uint32_t epoch;
  int32_t size;
  int64_t *start; /* [classes + 1] */
  uint64_t *list; /* [samples] class by class */
  group *group;
  int64_t groups;
} grouping;

static int64_t class_of(const grouping *g, int64_t sample) {
  return (int64_t)thaw_label(g->labels, (uint64_t)sample, 0);
}

static uint64_t random_of(const grouping *g, uint32_t lane, int64_t index) {
  thaw_draw at = {
      .seed = g->seed, .purpose = THAW_RNG_SHUFFLE, .epoch = g->epoch, .sample = (uint64_t)index, .lane = lane};
  uint32_t word[4];
  thaw_random4(&at, 0, word);
  return (uint64_t)word[1] << 32 | word[0];
}

static thaw_status list_classes(grouping *g) {
  for (int64_t i = 0; i < g->samples; i++)
    if (class_of(g, i) >= g->classes) g->classes = class_of(g, i) + 1;
  g->start = thaw_new((size_t)g->classes + 2, sizeof *g->start);
  g->list = thaw_new((size_t)g->samples, sizeof *g->list);
  if (!g->start || !g->list) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < g->samples; i++) g->start[class_of(g, i) + 2]++;
  for (int64_t c = 0; c < g->classes; c++) g->start[c + 2] += g->start[c + 1];
  for (int64_t i = 0; i < g->samples; i++) g->list[g->start[class_of(g, i) + 1]++] = (uint64_t)i;
  return THAW_OK;
}

static void add_groups(grouping *g, int64_t class) {
  enum { LANE_GROUP = 4 };
  int64_t count = g->start[class + 1] - g->start[class], whole = count / g->size;
  for (int64_t r = 0; r * g->size < count; r++) {
    int64_t first = g->start[class] + r * g->size, left = count - r * g->size;
    double u = (double)(random_of(g, LANE_GROUP, first) >> 11) * 0x1p-53;
    g->group[g->groups++] = (group){.key = r < whole ? ((double)r + u) / (double)whole : 2 + u,
                                    .first = first,
                                    .size = (int32_t)(left < g->size ? left : g->size)};
  }
}

static int by_key(const void *a, const void *b) {
  const group *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return x->first < y->first ? -1 : x->first > y->first;
}

static thaw_status arrange(grouping *g, uint64_t *order) {
  enum { LANE_CLASS = 5 };
  THAW_TRY(list_classes(g));
  g->group = thaw_new((size_t)(g->samples / g->size + g->classes) + 1, sizeof *g->group);
  if (!g->group) return THAW_ERR_MEMORY;
  for (int64_t c = 0; c < g->classes; c++) add_groups(g, c);
  qsort(g->group, (size_t)g->groups, sizeof *g->group, by_key);
  for (int64_t i = 0; i < g->groups; i++) {
    int64_t first = g->group[i].first, class = class_of(g, (int64_t)g->list[first]);
    uint64_t begin = (uint64_t)g->start[class], count = (uint64_t)g->start[class + 1] - begin;
    uint64_t seed = random_of(g, LANE_CLASS, class);
    for (int32_t k = 0; k < g->group[i].size; k++)
      *order++ = g->list[begin + thaw_permute(seed, g->epoch, count, (uint64_t)(first + k) - begin)];
  }
  return THAW_OK;
}

thaw_status thaw_class_order(const thaw_labels *labels, int64_t samples, int32_t per_class, uint64_t seed,
                             uint32_t epoch, uint64_t *order) {
  grouping g = {.labels = labels, .samples = samples, .seed = seed, .epoch = epoch, .size = per_class};
  thaw_status status = arrange(&g, order);
  thaw_free(g.start);
  thaw_free(g.list);
  thaw_free(g.group);
  return status;
}
