/* A chunk's way: every rank of a node puts its terms into memory shared on the node; each adds a part of the chunk over
 * all ranks of the node; with several nodes the node's rank 0 adds over nodes (exchange.c); every rank fetches the
 * result. pipeline_run.c has the steps; this file makes the pipeline and feeds it. */
#include "comm/direct.h"
#include "comm/pipeline_private.h"
#include "thaw/memory.h"

#include <string.h>

/* ------------------------------------------------------------------ create */

static size_t shared_bytes(const comm_pipeline *p) {
  size_t words = (size_t)p->slots * (size_t)(p->ranks + 1) * PIPELINE_CHUNK * sizeof(int64_t);
  return sizeof(pipeline_counts) * PIPELINE_SLOTS + words + (size_t)p->slots * PIPELINE_CHUNK * sizeof(float);
}

static void place_slots(comm_pipeline *p) {
  char *at = p->own ? p->own : thaw_shared_data(p->shared);
  pipeline_counts *counts = (pipeline_counts *)at;
  at += sizeof(pipeline_counts) * PIPELINE_SLOTS;
  for (int32_t s = 0; s < p->slots; s++) {
    p->slot[s].counts = &counts[s];
    p->slot[s].terms = (int64_t *)at;
    p->slot[s].total = p->slot[s].terms + (size_t)p->ranks * PIPELINE_CHUNK;
    p->slot[s].value = (float *)(p->slot[s].total + PIPELINE_CHUNK);
    at = (char *)(p->slot[s].value + PIPELINE_CHUNK);
  }
  for (int32_t s = 0; s < PIPELINE_SLOTS; s++)
    for (int i = 0; i < 2; i++) p->slot[s].request[i] = MPI_REQUEST_NULL;
  if (p->rank == 0) memset(counts, 0, sizeof *counts * PIPELINE_SLOTS);
}

/* [collective] Where a node has no room to share, each of all ranks is a node of its own. */
static thaw_status make_room(thaw_comm *comm, comm_pipeline *p) {
  int64_t several = comm->node_size < comm->size, refused;
  p->ranks = comm->node_size;
  p->rank = comm->node_rank;
  THAW_TRY(thaw_comm_max_int(comm, &several, 1));
  p->slots = several ? PIPELINE_SLOTS : 2;
  THAW_TRY(thaw_shared_create(comm, shared_bytes(p), &p->shared));
  refused = thaw_shared_is_private(p->shared);
  THAW_TRY(thaw_comm_max_int(comm, &refused, 1));
  if (!refused) return THAW_OK;
  p->ranks = 1;
  p->rank = 0;
  p->slots = PIPELINE_SLOTS;
  p->own = thaw_new(shared_bytes(p), 1);
  return thaw_agree(comm, p->own ? THAW_OK : THAW_ERR_MEMORY);
}

/* [collective] Those who speak for a node get a communicator. */
static thaw_status find_nodes(thaw_comm *comm, comm_pipeline *p) {
  comm_enter(comm, "MPI_Comm_split");
  int code = MPI_Comm_split(comm->world, p->rank == 0 ? 0 : MPI_UNDEFINED, comm->rank, &p->leaders);
  THAW_TRY(comm_check(comm, code, "MPI_Comm_split"));
  int64_t nodes = 1;
  if (p->leaders != MPI_COMM_NULL) {
    MPI_Comm_set_errhandler(p->leaders, MPI_ERRORS_RETURN);
    MPI_Comm_size(p->leaders, &p->nodes);
    MPI_Comm_rank(p->leaders, &p->node);
    nodes = p->nodes;
  }
  THAW_TRY(thaw_comm_max_int(comm, &nodes, 1));
  p->nodes = (int)nodes;
  bool exchanges = p->rank == 0 && p->nodes > 1;
  if (exchanges) p->scratch = thaw_new((size_t)p->slots * PIPELINE_CHUNK, sizeof *p->scratch);
  return thaw_agree(comm, exchanges && !p->scratch ? THAW_ERR_MEMORY : THAW_OK);
}

thaw_status comm_pipeline_prepare(thaw_comm *comm) {
  if (comm->pipeline || comm->size == 1) return THAW_OK;
  comm_pipeline *p = thaw_new(1, sizeof *p);
  THAW_TRY(thaw_agree(comm, p ? THAW_OK : THAW_ERR_MEMORY));
  p->leaders = MPI_COMM_NULL;
  p->comm = comm;
  comm->pipeline = p;
  THAW_TRY(make_room(comm, p));
  THAW_TRY(find_nodes(comm, p));
  place_slots(p);
  THAW_TRY(thaw_comm_barrier(comm)); /* the counters are zero */
  if (p->nodes > 1 && comm->serialized) comm_progress_start(p);
  return THAW_OK;
}

void comm_pipeline_destroy(thaw_comm *comm) {
  comm_pipeline *p = comm->pipeline;
  if (!p) return;
  comm_direct_destroy(comm);
  comm_progress_stop(p);
  thaw_shared_destroy(p->shared);
  if (p->leaders != MPI_COMM_NULL && !comm->broken) MPI_Comm_free(&p->leaders);
  thaw_free(p->own);
  thaw_free(p->scratch);
  thaw_free(p);
  comm->pipeline = NULL;
}

/* ------------------------------------------------------------------ use */

bool comm_pipeline_under_way(const thaw_comm *comm) {
  return comm->pipeline && comm->pipeline->under_way;
}

bool comm_pipeline_pays_early(const thaw_comm *comm, size_t words) {
  return comm->pipeline && comm->pipeline->nodes > 1 && words >= PIPELINE_BEHIND;
}

void comm_pipeline_begin(thaw_comm *comm, const comm_sum *sum) {
  comm_pipeline *p = comm->pipeline;
  pthread_mutex_lock(&comm->gate);
  p->sum = *sum;
  p->ready = p->loaded = p->done = 0;
  p->under_way = true;
  pthread_mutex_unlock(&comm->gate);
}

void comm_pipeline_ready(thaw_comm *comm, size_t ready) {
  comm_pipeline *p = comm->pipeline;
  pthread_mutex_lock(&comm->gate);
  if (ready > p->ready) p->ready = ready;
  if (p->progress)
    comm_progress_wake(p);
  else
    pipeline_poll(p);
  pthread_mutex_unlock(&comm->gate);
}

void comm_pipeline_poll(thaw_comm *comm) {
  comm_pipeline *p = comm->pipeline;
  if (!p || p->progress || !p->under_way) return;
  pthread_mutex_lock(&comm->gate);
  pipeline_poll(p);
  pthread_mutex_unlock(&comm->gate);
}

thaw_status comm_pipeline_finish(thaw_comm *comm) {
  comm_pipeline *p = comm->pipeline;
  comm_enter(comm, "the sum of gradients"); /* keeps the thread out */
  p->ready = p->sum.count;
  for (int idle = 0; p->done < p->sum.count && p->code == MPI_SUCCESS;) {
    idle = pipeline_poll(p) ? 0 : idle + 1;
    if (idle) pipeline_rest(p, idle);
  }
  p->under_way = false;
  return comm_check(comm, p->code, p->call ? p->call : "MPI");
}
