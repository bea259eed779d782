/* pipeline.h: a long array of integers added over all ranks, chunk by chunk, while it is still being filled. Private to
 * src/comm. A communicator has one pipeline and at most one sum under way. */
#ifndef COMM_PIPELINE_H
#define COMM_PIPELINE_H

#include "comm/comm_private.h"

/* What is summed. After the sum, `values` floats lie side by side from the beginning of `words` on (value i in the
 * memory of word i / 2), the same on every rank; the words after the first `values` stay integers where they are. */
typedef struct comm_sum {
  int64_t *words;
  size_t count, values;
  /* out[i] = sums[i] as the float of word first + i. Called by any rank for any part of any chunk. */
  void (*convert)(const void *context, size_t first, size_t count, const int64_t *sums, float *out);
  const void *context;
} comm_sum;

/* [collective] Once before the first sum; harmless again. */
thaw_status comm_pipeline_prepare(thaw_comm *comm);
void comm_pipeline_destroy(thaw_comm *comm); /* [collective] */
/* [local] */
bool comm_pipeline_under_way(const thaw_comm *comm);
/* [local] Whether a sum of so many words gains by beginning before all of them are final: where messages between nodes
 * can travel meanwhile. The same on all ranks. */
bool comm_pipeline_pays_early(const thaw_comm *comm, size_t words);
/* [local] Begins a sum, the same one on all ranks in the same order. `sum` is copied, what it points to is borrowed. */
void comm_pipeline_begin(thaw_comm *comm, const comm_sum *sum);
/* [local] The first `ready` words are final on this rank: they may travel from now on. */
void comm_pipeline_ready(thaw_comm *comm, size_t ready);
/* [local] Does what can be done without waiting. Needed only where there is no thread for it. */
void comm_pipeline_poll(thaw_comm *comm);
/* [collective] All words are final; waits for all sums. */
thaw_status comm_pipeline_finish(thaw_comm *comm);

#endif
