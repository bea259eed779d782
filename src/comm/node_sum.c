/* Sums of large integer arrays in two levels: inside a node through shared memory, between nodes by one rank of each.
 * Integers, so that the way of adding does not show in the result. MPI's own sum moves the data several times. */
#include "comm/comm_private.h"
#include "thaw/memory.h"

#include <string.h>

enum { ROUND = 1 << 17 }; /* integers of one rank in one round: 1 MiB, small enough for a cache */

struct comm_node_sum {
  thaw_shared *shared; /* two buffers of node_size + 1 blocks: the ranks' terms, the sum */
  MPI_Comm leaders;    /* rank 0 of each node; MPI_COMM_NULL elsewhere, and with one node */
  bool usable, many_nodes;
};

/* [collective] Whether every node has room for the shared buffers. */
static thaw_status find_out(thaw_comm *comm, comm_node_sum *sum) {
  size_t bytes = (size_t)2 * (size_t)(comm->node_size + 1) * ROUND * sizeof(int64_t);
  int64_t most[2] = {0, comm->node_size}; /* a node without room; ranks of the largest node */
  THAW_TRY(thaw_shared_create(comm, bytes, &sum->shared));
  most[0] = comm->node_size > 1 && thaw_shared_is_private(sum->shared);
  THAW_TRY(thaw_comm_max_int(comm, most, 2));
  /* Nodes of one rank only have nothing to share. */
  sum->usable = !most[0] && most[1] > 1;
  sum->many_nodes = comm->node_size < comm->size;
  if (!sum->usable || !sum->many_nodes) return THAW_OK;
  int color = comm->node_rank == 0 ? 0 : MPI_UNDEFINED;
  comm_enter(comm, "MPI_Comm_split");
  THAW_TRY(comm_check(comm, MPI_Comm_split(comm->world, color, comm->rank, &sum->leaders), "MPI_Comm_split"));
  if (sum->leaders != MPI_COMM_NULL) MPI_Comm_set_errhandler(sum->leaders, MPI_ERRORS_RETURN);
  return THAW_OK;
}

/* [collective] */
static thaw_status prepare(thaw_comm *comm) {
  comm_node_sum *sum = thaw_new(1, sizeof *sum);
  THAW_TRY(thaw_agree(comm, sum ? THAW_OK : THAW_ERR_MEMORY));
  sum->leaders = MPI_COMM_NULL;
  comm->node_sum = sum;
  return find_out(comm, sum);
}

static thaw_status meet(thaw_comm *comm) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  comm_enter(comm, "MPI_Barrier");
  return comm_check(comm, MPI_Barrier(comm->node), "MPI_Barrier");
}

/* This rank's part of the round, added over the ranks of the node. */
static void add_part(const thaw_comm *comm, int64_t *buffer, size_t count) {
  size_t ranks = (size_t)comm->node_size, rank = (size_t)comm->node_rank;
  size_t first = count * rank / ranks, end = count * (rank + 1) / ranks;
  int64_t *restrict total = buffer + ranks * ROUND;
  memcpy(total + first, buffer + first, (end - first) * sizeof *total);
  for (size_t r = 1; r < ranks; r++) {
    const int64_t *restrict term = buffer + r * ROUND;
    for (size_t i = first; i < end; i++) total[i] += term[i];
  }
}

static thaw_status add_nodes(thaw_comm *comm, int64_t *total, size_t count) {
  const comm_node_sum *sum = comm->node_sum;
  if (!sum->many_nodes) return THAW_OK;
  if (comm->node_rank == 0) {
    comm_enter(comm, "MPI_Allreduce");
    int code = MPI_Allreduce(MPI_IN_PLACE, total, (int)count, MPI_INT64_T, MPI_SUM, sum->leaders);
    THAW_TRY(comm_check(comm, code, "MPI_Allreduce"));
  }
  return meet(comm);
}

/* Two buffers in turn: a rank may bring the next terms while others still fetch the last sum. */
static thaw_status run_rounds(thaw_comm *comm, int64_t *values, size_t count) {
  int64_t *base = thaw_shared_data(comm->node_sum->shared);
  size_t ranks = (size_t)comm->node_size, turn = 0;
  for (size_t done = 0, part; done < count; done += part, turn ^= 1) {
    int64_t *buffer = base + turn * (ranks + 1) * ROUND;
    part = count - done < ROUND ? count - done : ROUND;
    memcpy(buffer + (size_t)comm->node_rank * ROUND, values + done, part * sizeof *values);
    THAW_TRY(meet(comm));
    add_part(comm, buffer, part);
    THAW_TRY(meet(comm));
    THAW_TRY(add_nodes(comm, buffer + ranks * ROUND, part));
    memcpy(values + done, buffer + ranks * ROUND, part * sizeof *values);
  }
  return THAW_OK;
}

thaw_status comm_node_sum_int(thaw_comm *comm, int64_t *values, size_t count, bool *done_out) {
  *done_out = false;
  if (comm->size == 1 || count < COMM_NODE_SUM_LEAST) return THAW_OK;
  if (!comm->node_sum) THAW_TRY(prepare(comm));
  if (!comm->node_sum->usable) return THAW_OK;
  *done_out = true;
  return run_rounds(comm, values, count);
}

void comm_node_sum_destroy(thaw_comm *comm) {
  comm_node_sum *sum = comm->node_sum;
  if (!sum) return;
  thaw_shared_destroy(sum->shared);
  if (sum->leaders != MPI_COMM_NULL && !comm->broken) MPI_Comm_free(&sum->leaders);
  thaw_free(sum);
  comm->node_sum = NULL;
}
