/* graph_private.h: the graph's own representation. */
#ifndef THAW_GRAPH_PRIVATE_H
#define THAW_GRAPH_PRIVATE_H

#include "thaw/graph.h"
#include "thaw/memory.h"

struct thaw_graph {
  thaw_arena *arena; /* nodes, names, configs */
  thaw_node **node;
  size_t capacity;
  int32_t count;
  int32_t output[THAW_MAX_INPUTS], outputs; /* of several heads; 0: the last node is the only output */
};

/* One block of memory that is needed from step `first` to step `last` (inclusive). */
typedef struct thaw_interval {
  size_t bytes;
  int32_t first, last;
  size_t offset; /* set by thaw_plan_offsets */
} thaw_interval;
/* Places the blocks in one arena so that blocks alive at once do not overlap; returns the arena's size. Greedy by size
 * (Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020). `order` [count] is work
 * space. */
size_t thaw_plan_offsets(thaw_interval *interval, int32_t count, int32_t *order);
/* The most bytes alive at one step: no placement can need less. */
size_t thaw_plan_bound(const thaw_interval *interval, int32_t count, int32_t steps);

/* True for parameters that are trained in this phase. */
bool thaw_node_trains(const thaw_node *node, int32_t param);

#endif
