/* What pipeline.c, pipeline_run.c and progress.c share. */
#ifndef COMM_PIPELINE_PRIVATE_H
#define COMM_PIPELINE_PRIVATE_H

#include "comm/exchange.h"
#include "comm/pipeline.h"

enum {
  PIPELINE_CHUNK = 1 << 17, /* integers in a chunk: 1 MiB, small enough for a cache */
  PIPELINE_SLOTS = 4,       /* chunks on their way at once, with several nodes */
  PIPELINE_BEHIND = 1 << 18 /* shorter sums are not worth waking the thread */
};

/* How often the ranks of the node did something in a slot; in shared memory, each on a cache line of its own. */
typedef struct pipeline_counts {
  _Alignas(64) atomic_llong put;
  _Alignas(64) atomic_llong added;
  _Alignas(64) atomic_llong ready; /* by rank 0 of the node, with several nodes */
  _Alignas(64) atomic_llong fetched;
} pipeline_counts;

typedef enum pipeline_stage {
  STAGE_FREE,
  STAGE_PUT,
  STAGE_ADDED,
  STAGE_EXCHANGE, /* rank 0 of the node only */
  STAGE_READY
} pipeline_stage;

typedef struct pipeline_slot {
  pipeline_counts *counts;
  int64_t *terms; /* [ranks of the node][PIPELINE_CHUNK] */
  int64_t *total; /* [PIPELINE_CHUNK] of the node, then of all */
  float *value;   /* [PIPELINE_CHUNK] the same as floats */
  long long uses; /* chunks that this slot has carried before */
  pipeline_stage stage;
  size_t first, count; /* words of the chunk in it */
  bool integers;
  int step; /* of the exchange */
  exchange_step now;
  MPI_Request request[2];
} pipeline_slot;

struct comm_pipeline {
  thaw_comm *comm;
  thaw_shared *shared;
  void *own;        /* instead of `shared` where a node has no room for it */
  int ranks, rank;  /* of the node */
  int nodes, node;  /* node: on its rank 0 */
  MPI_Comm leaders; /* rank 0 of every node; MPI_COMM_NULL elsewhere */
  int64_t *scratch; /* [slots][PIPELINE_CHUNK] what arrives; rank 0 of a node */
  pipeline_slot slot[PIPELINE_SLOTS];
  int32_t slots, turn; /* turn: of the next chunk */
  comm_sum sum;        /* under way */
  bool under_way;
  size_t ready, loaded; /* words: final; put down */
  size_t done;          /* words fetched */
  int code;             /* of the MPI call that failed */
  const char *call;
  comm_progress *progress;
};

/* [local] Whether some chunk can move or waits for others. */
bool pipeline_has_work(const comm_pipeline *p);
/* [local] Moves every chunk as far as it goes; false: nothing moved. */
bool pipeline_poll(comm_pipeline *p);
/* [local] After `idle` polls in vain: lets time pass. */
void pipeline_rest(comm_pipeline *p, int idle);

/* [local] A thread that polls while the rank computes; does without where there can be none. It works between
 * comm_progress_wake and the end of the sum, whenever the main thread is outside MPI. */
void comm_progress_start(comm_pipeline *p);
void comm_progress_stop(comm_pipeline *p);
void comm_progress_wake(comm_pipeline *p); /* with comm->gate held */

#endif
