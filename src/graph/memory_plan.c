/* Placing blocks with known lifetimes in one arena. */
#include "graph/graph_private.h"

static bool alive_together(const thaw_interval *a, const thaw_interval *b) {
  return a->first <= b->last && b->first <= a->last;
}

/* Indices by falling size; ties by index, so the result is the same everywhere. Insertion sort: a few hundred blocks.
 */
static void sort_by_size(const thaw_interval *interval, int32_t count, int32_t *order) {
  for (int32_t i = 0; i < count; i++) {
    int32_t at = i;
    for (; at > 0 && interval[order[at - 1]].bytes < interval[i].bytes; at--) order[at] = order[at - 1];
    order[at] = i;
  }
}

/* The lowest offset at which block `index` meets none of the `placed` blocks that live at the same time. */
static size_t lowest_offset(const thaw_interval *interval, const int32_t *order, int32_t placed, int32_t index) {
  size_t offset = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (int32_t i = 0; i < placed; i++) {
      const thaw_interval *other = &interval[order[i]];
      if (!other->bytes || !alive_together(&interval[index], other)) continue;
      bool apart = offset + interval[index].bytes <= other->offset || other->offset + other->bytes <= offset;
      if (apart) continue;
      offset = other->offset + other->bytes;
      moved = true;
    }
  }
  return offset;
}

size_t thaw_plan_offsets(thaw_interval *interval, int32_t count, int32_t *order) {
  size_t end = 0;
  for (int32_t i = 0; i < count; i++)
    interval[i].bytes = (interval[i].bytes + THAW_ALIGN - 1) / THAW_ALIGN * THAW_ALIGN;
  sort_by_size(interval, count, order);
  for (int32_t i = 0; i < count; i++) {
    thaw_interval *block = &interval[order[i]];
    block->offset = block->bytes ? lowest_offset(interval, order, i, order[i]) : 0;
    if (block->bytes && block->offset + block->bytes > end) end = block->offset + block->bytes;
  }
  return end;
}

size_t thaw_plan_bound(const thaw_interval *interval, int32_t count, int32_t steps) {
  size_t most = 0;
  for (int32_t step = 0; step < steps; step++) {
    size_t alive = 0;
    for (int32_t i = 0; i < count; i++)
      if (interval[i].first <= step && step <= interval[i].last) alive += interval[i].bytes;
    if (alive > most) most = alive;
  }
  return most;
}
