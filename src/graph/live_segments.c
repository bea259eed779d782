/* live_segments.c: which activations are kept from the forward pass to the backward pass: all, or, with recomputation,
 * only those between segments. The others of a segment lie in a block that all segments share; the backward pass runs
 * the layers of a segment forward again before it goes back through them (T. Chen et al., "Training Deep Nets with
 * Sublinear Memory Cost", 2016). */
#include "graph/live_private.h"

#include "thaw/memory.h"

enum { ALIGNMENT = 64, TRIALS = 64 };

static size_t round_up(size_t bytes) {
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t y_bytes(const thaw_live *live, int32_t index) {
  if (live_is_inner(&live->node[index], index)) return 0;
  return round_up(live->node[index].count * (size_t)live->max_samples * sizeof(float));
}

static size_t saved_bytes(const thaw_live *live, int32_t index) {
  return round_up(live->node[index].saved_bytes * (size_t)live->max_samples);
}

/* Places where exactly one tensor goes on: after node i, nothing of the live part before i is read any more. */
static void find_necks(const thaw_live *live, bool *neck) {
  int32_t farthest = -1; /* last reader of any node so far */
  for (int32_t i = 0; i < live->count; i++) {
    neck[i] = live->node[i].live && farthest <= i && i < live->count - 1;
    for (int32_t reader = i + 1; live->node[i].live && reader < live->count; reader++)
      for (int32_t j = 0; j < live->graph->node[reader]->layer.inputs; j++)
        if (live->graph->node[reader]->input[j] == i && reader > farthest) farthest = reader;
  }
}

/* A segment ends at the first neck after `least` bytes. Returns the memory that this takes. */
static size_t divide(thaw_live *live, const bool *neck, size_t least) {
  size_t kept = 0, block = 0, segment = 0;
  live->segments = 1;
  for (int32_t i = 0; i < live->count; i++) {
    live_node *node = &live->node[i];
    node->segment = live->segments - 1;
    node->kept = false;
    if (!node->live) continue;
    segment += saved_bytes(live, i);
    if (neck[i] && segment + y_bytes(live, i) >= least) {
      node->kept = true;
      kept += y_bytes(live, i);
      if (segment > block) block = segment;
      segment = 0;
      live->segments++;
    } else {
      segment += y_bytes(live, i);
    }
  }
  return kept + (segment > block ? segment : block);
}

thaw_status live_choose_segments(thaw_live *live) {
  bool *neck = thaw_new((size_t)live->count, sizeof *neck);
  if (!neck) return THAW_ERR_MEMORY;
  size_t total = divide(live, neck, 0), best = total, least = SIZE_MAX;
  find_necks(live, neck);
  for (size_t trial = 0; live->recompute && trial < TRIALS; trial++) {
    size_t bytes = divide(live, neck, total / TRIALS * trial);
    if (bytes >= best) continue;
    best = bytes;
    least = total / TRIALS * trial;
  }
  divide(live, neck, least);
  thaw_free(neck);
  return THAW_OK;
}

/* Gives a node's activations their places, those that are not kept from *offset on. `block` NULL: only counts. */
static void place(thaw_live *live, int32_t index, char *block, size_t *offset) {
  live_node *node = &live->node[index];
  if (!node->kept) {
    if (block && !live_is_inner(node, index)) node->y = (float *)(block + *offset);
    *offset += y_bytes(live, index);
  }
  if (block && node->saved_bytes) node->saved = block + *offset;
  *offset += saved_bytes(live, index);
}

size_t live_place_segments(thaw_live *live, char *block) {
  size_t most = 0, offset = 0;
  for (int32_t i = 0, segment = 0; i < live->count; i++) {
    if (!live->node[i].live) continue;
    if (live->node[i].segment != segment) offset = 0;
    segment = live->node[i].segment;
    place(live, i, block, &offset);
    if (offset > most) most = offset;
  }
  return most;
}
