/* A sum on one node costs its memory traffic. Here each rank adds its gradients up in shared memory at once, so that a
 * sum needs two meetings and no copy: when all have put their terms, each rank adds a part of all messages and turns it
 * into floats; when all have added, everybody reads the floats.
 *
 * Nobody writes what others still read. A rank's terms of the next sum are written after it has passed the second
 * meeting of this one, when all have added. Floats of the next sum are written after its first meeting, to which a rank
 * comes when it has done with the floats of this one. */
#include "comm/direct.h"
#include "comm/pipeline_private.h"
#include "thaw/memory.h"

#include <string.h>

enum {
  DIRECT_PIECE = 2048, /* words that are added, then converted, in the first-level cache */
  DIRECT_LINE = 16     /* parts begin at cache lines, of floats too */
};

typedef struct direct_counts {
  _Alignas(64) atomic_llong put;
  _Alignas(64) atomic_llong added;
} direct_counts;

struct comm_direct {
  thaw_shared *shared;
  const void *tenant;
  size_t room; /* words per rank */
  direct_counts *counts;
  int64_t *terms; /* [ranks][room] */
  float *value;   /* [room] */
  int64_t *total; /* of the integers, this rank's own memory */
  size_t integers;
  long long uses;
};

static size_t to_lines(size_t words) {
  return (words + DIRECT_LINE - 1) / DIRECT_LINE * DIRECT_LINE;
}

static void place(thaw_comm *comm, comm_direct *d) {
  char *at = thaw_shared_data(d->shared);
  d->counts = (direct_counts *)at;
  d->terms = (int64_t *)(at + sizeof *d->counts);
  d->value = (float *)(d->terms + (size_t)comm->size * d->room);
  if (comm->node_rank == 0) memset(d->counts, 0, sizeof *d->counts);
  /* Touched now, by the rank that will write it: on its NUMA node, and before others take the space. */
  size_t rank = (size_t)comm->node_rank, ranks = (size_t)comm->size, first = d->room * rank / ranks;
  memset(d->terms + rank * d->room, 0, d->room * sizeof *d->terms);
  memset(d->value + first, 0, (d->room * (rank + 1) / ranks - first) * sizeof *d->value);
}

/* [collective] */
static thaw_status make_room(thaw_comm *comm, size_t room) {
  comm_direct *d = thaw_new(1, sizeof *d);
  THAW_TRY(thaw_agree(comm, d ? THAW_OK : THAW_ERR_MEMORY));
  comm->direct = d;
  d->room = room;
  size_t bytes = sizeof *d->counts + room * ((size_t)comm->size * sizeof *d->terms + sizeof *d->value);
  THAW_TRY(thaw_shared_create(comm, bytes, &d->shared));
  int64_t refused = thaw_shared_is_private(d->shared);
  THAW_TRY(thaw_comm_max_int(comm, &refused, 1));
  if (refused) {
    comm_direct_destroy(comm);
    return THAW_OK;
  }
  place(comm, d);
  return thaw_comm_barrier(comm); /* the counters are zero */
}

/* [collective] */
static thaw_status make_totals(thaw_comm *comm, size_t integers) {
  comm_direct *d = comm->direct;
  if (d->integers >= integers) return THAW_OK;
  thaw_free(d->total);
  d->total = thaw_new(integers, sizeof *d->total);
  d->integers = d->total ? integers : 0;
  return thaw_agree(comm, d->total ? THAW_OK : THAW_ERR_MEMORY);
}

thaw_status comm_direct_connect(thaw_comm *comm, const void *tenant, size_t words, size_t integers,
                                int64_t **message_out) {
  *message_out = NULL;
  if (comm->size == 1 || comm->pipeline->nodes > 1) return THAW_OK;
  int64_t taken = comm->direct && comm->direct->tenant && comm->direct->tenant != tenant;
  THAW_TRY(thaw_comm_max_int(comm, &taken, 1));
  if (taken) return THAW_OK;
  if (comm->direct && comm->direct->room < to_lines(words)) comm_direct_destroy(comm);
  if (!comm->direct) THAW_TRY(make_room(comm, to_lines(words)));
  comm_direct *d = comm->direct;
  if (!d) return THAW_OK;
  THAW_TRY(make_totals(comm, integers));
  d->tenant = tenant;
  *message_out = d->terms + (size_t)comm->node_rank * d->room;
  return THAW_OK;
}

void comm_direct_release(thaw_comm *comm, const void *tenant) {
  if (comm->direct && comm->direct->tenant == tenant) comm->direct->tenant = NULL;
}

void comm_direct_destroy(thaw_comm *comm) {
  if (!comm->direct) return;
  thaw_shared_destroy(comm->direct->shared);
  thaw_free(comm->direct->total);
  thaw_free(comm->direct);
  comm->direct = NULL;
}

/* ------------------------------------------------------------------ a sum */

static void meet(thaw_comm *comm, atomic_llong *count) {
  long long all = comm->direct->uses * comm->size;
  atomic_fetch_add_explicit(count, 1, memory_order_release);
  for (int idle = 1; atomic_load_explicit(count, memory_order_acquire) < all; idle++)
    pipeline_rest(comm->pipeline, idle);
}

static void add_over_ranks(const thaw_comm *comm, size_t first, size_t count, int64_t *restrict total) {
  const comm_direct *d = comm->direct;
  memcpy(total, d->terms + first, count * sizeof *total);
  for (int r = 1; r < comm->size; r++) {
    const int64_t *restrict term = d->terms + (size_t)r * d->room + first;
    for (size_t i = 0; i < count; i++) total[i] += term[i];
  }
}

static void add_values(const thaw_comm *comm, const comm_sum *sum, size_t first, size_t end) {
  int64_t total[DIRECT_PIECE];
  for (size_t at = first, count; at < end; at += count) {
    count = end - at < DIRECT_PIECE ? end - at : DIRECT_PIECE;
    add_over_ranks(comm, at, count, total);
    sum->convert(sum->context, at, count, total, comm->direct->value + at);
  }
}

/* The first word of a rank's part of the values. */
static size_t part_of(const comm_sum *sum, int rank, int ranks) {
  return rank == ranks ? sum->values : sum->values * (size_t)rank / (size_t)ranks / DIRECT_LINE * DIRECT_LINE;
}

thaw_status comm_direct_sum(thaw_comm *comm, const comm_sum *sum, const float **values_out) {
  comm_direct *d = comm->direct;
  size_t integers = sum->count - sum->values;
  comm_enter(comm, "the sum of gradients");
  d->uses++;
  meet(comm, &d->counts->put);
  add_values(comm, sum, part_of(sum, comm->node_rank, comm->size), part_of(sum, comm->node_rank + 1, comm->size));
  add_over_ranks(comm, sum->values, integers, d->total); /* each rank by itself, for they are few */
  meet(comm, &d->counts->added);
  memcpy(sum->words + sum->values, d->total, integers * sizeof *d->total); /* nobody reads this message any more */
  *values_out = d->value;
  return comm_check(comm, MPI_SUCCESS, "");
}
