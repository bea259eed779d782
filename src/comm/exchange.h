/* exchange.h: who sends what to whom when the nodes add up one chunk. Private to src/comm; knows no MPI. */
#ifndef COMM_EXCHANGE_H
#define COMM_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum exchange_kind {
  EXCHANGE_ADD,     /* integers travel; what arrives is added */
  EXCHANGE_CONVERT, /* nothing travels: the range keep_first, keep_count is complete and becomes floats */
  EXCHANGE_COPY     /* results travel: floats, or integers where the whole exchange is in integers */
} exchange_kind;

typedef struct exchange_step {
  exchange_kind kind;
  int to, from; /* nodes; -1: nothing is sent, nothing arrives */
  size_t send_first, send_count, keep_first, keep_count;
} exchange_step;

/* [local] Step `index` of node `node` of `nodes` in the sum of `count` integers. All of it is made of steps 0, 1, ...
 * until false is returned. With `integers` each node gets the sums as integers (few of them: latency counts), without
 * it as floats (many: bytes count). */
bool exchange_step_at(int nodes, int node, size_t count, bool integers, int index, exchange_step *out);

#endif
