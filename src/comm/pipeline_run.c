/* The steps of a chunk. None of them waits: a rank polls counters in the shared memory and its own MPI requests, so
 * several chunks are on their way at once. A slot of shared memory serves every slots-th chunk and its counters only
 * grow: what a rank may do in a slot's use number n is decided by counts of n and n + 1 times the ranks of the node. */
#include "comm/pipeline_private.h"

#include <sched.h>
#include <string.h>
#include <time.h>

static bool all_did(const comm_pipeline *p, const atomic_llong *count, long long uses) {
  return atomic_load_explicit(count, memory_order_acquire) >= uses * p->ranks;
}

static void did(atomic_llong *count) {
  atomic_fetch_add_explicit(count, 1, memory_order_release);
}

/* ------------------------------------------------------------------ inside a node */

/* The next chunk: none crosses the border between values and integers. */
static size_t next_count(const comm_pipeline *p) {
  size_t end = p->loaded < p->sum.values ? p->sum.values : p->sum.count, left = end - p->loaded;
  return left < PIPELINE_CHUNK ? left : PIPELINE_CHUNK;
}

/* The slot must have been left by all, and the words be final. */
static bool load(comm_pipeline *p, pipeline_slot *slot) {
  if (p->loaded == p->sum.count || slot != &p->slot[p->turn]) return false;
  size_t count = next_count(p);
  if (p->ready < p->loaded + count || !all_did(p, &slot->counts->fetched, slot->uses)) return false;
  int64_t *to = p->ranks == 1 ? slot->total : slot->terms + (size_t)p->rank * PIPELINE_CHUNK;
  memcpy(to, p->sum.words + p->loaded, count * sizeof *to);
  slot->first = p->loaded;
  slot->count = count;
  slot->integers = p->loaded >= p->sum.values;
  slot->stage = STAGE_PUT;
  did(&slot->counts->put);
  p->loaded += count;
  p->turn = (p->turn + 1) % p->slots;
  return true;
}

/* This rank's part of the chunk over the ranks of the node; with one node that is the whole sum. */
static bool add(comm_pipeline *p, pipeline_slot *slot) {
  if (!all_did(p, &slot->counts->put, slot->uses + 1)) return false;
  size_t ranks = (size_t)p->ranks, rank = (size_t)p->rank;
  size_t first = slot->count * rank / ranks, count = slot->count * (rank + 1) / ranks - first;
  int64_t *restrict total = slot->total + first;
  if (ranks > 1) memcpy(total, slot->terms + first, count * sizeof *total);
  for (size_t r = 1; r < ranks; r++) {
    const int64_t *restrict term = slot->terms + r * PIPELINE_CHUNK + first;
    for (size_t i = 0; i < count; i++) total[i] += term[i];
  }
  if (p->nodes == 1 && !slot->integers)
    p->sum.convert(p->sum.context, slot->first + first, count, total, slot->value + first);
  slot->stage = STAGE_ADDED;
  did(&slot->counts->added);
  return true;
}

static bool fetch(comm_pipeline *p, pipeline_slot *slot) {
  if (slot->integers)
    memcpy(p->sum.words + slot->first, slot->total, slot->count * sizeof *slot->total);
  else
    memcpy((float *)p->sum.words + slot->first, slot->value, slot->count * sizeof *slot->value);
  p->done += slot->count;
  slot->uses++;
  slot->stage = STAGE_FREE;
  did(&slot->counts->fetched);
  return true;
}

/* ------------------------------------------------------------------ between nodes */

static int64_t *scratch_of(const comm_pipeline *p, const pipeline_slot *slot) {
  return p->scratch + (size_t)(slot - p->slot) * PIPELINE_CHUNK;
}

static void note_failure(comm_pipeline *p, int code, const char *call) {
  if (code == MPI_SUCCESS || p->code != MPI_SUCCESS) return;
  p->code = code;
  p->call = call;
}

/* Starts the messages of the present step. A slot's steps follow each other on both sides: its number is the tag. */
static void post(comm_pipeline *p, pipeline_slot *slot) {
  const exchange_step *step = &slot->now;
  int tag = (int)(slot - p->slot);
  bool floats = step->kind == EXCHANGE_COPY && !slot->integers;
  MPI_Datatype type = floats ? MPI_FLOAT : MPI_INT64_T;
  if (step->from >= 0) {
    void *to = floats                        ? (void *)(slot->value + step->keep_first)
               : step->kind == EXCHANGE_COPY ? slot->total + step->keep_first
                                             : scratch_of(p, slot);
    int code = MPI_Irecv(to, (int)step->keep_count, type, step->from, tag, p->leaders, &slot->request[0]);
    note_failure(p, code, "MPI_Irecv");
  }
  if (step->to >= 0) {
    const void *from = floats ? (const void *)(slot->value + step->send_first) : slot->total + step->send_first;
    int code = MPI_Isend(from, (int)step->send_count, type, step->to, tag, p->leaders, &slot->request[1]);
    note_failure(p, code, "MPI_Isend");
  }
}

/* What follows the messages of the present step. */
static void conclude(comm_pipeline *p, pipeline_slot *slot) {
  const exchange_step *step = &slot->now;
  if (step->kind == EXCHANGE_CONVERT) {
    p->sum.convert(p->sum.context, slot->first + step->keep_first, step->keep_count, slot->total + step->keep_first,
                   slot->value + step->keep_first);
  } else if (step->kind == EXCHANGE_ADD && step->from >= 0) {
    int64_t *restrict total = slot->total + step->keep_first;
    const int64_t *restrict term = scratch_of(p, slot);
    for (size_t i = 0; i < step->keep_count; i++) total[i] += term[i];
  }
}

static bool begin_exchange(comm_pipeline *p, pipeline_slot *slot) {
  if (!all_did(p, &slot->counts->added, slot->uses + 1)) return false;
  slot->step = -1;
  slot->stage = STAGE_EXCHANGE;
  return true;
}

static bool exchange(comm_pipeline *p, pipeline_slot *slot) {
  int complete = 1;
  if (slot->step >= 0) {
    note_failure(p, MPI_Testall(2, slot->request, &complete, MPI_STATUSES_IGNORE), "MPI_Testall");
    if (!complete || p->code != MPI_SUCCESS) return false;
    conclude(p, slot);
  }
  if (exchange_step_at(p->nodes, p->node, slot->count, slot->integers, ++slot->step, &slot->now)) {
    post(p, slot);
    return true;
  }
  slot->stage = STAGE_READY;
  did(&slot->counts->ready);
  return true;
}

/* ------------------------------------------------------------------ all chunks */

static bool wait_for_sum(const comm_pipeline *p, pipeline_slot *slot) {
  bool there = p->nodes == 1 ? all_did(p, &slot->counts->added, slot->uses + 1)
                             : atomic_load_explicit(&slot->counts->ready, memory_order_acquire) > slot->uses;
  if (there) slot->stage = STAGE_READY;
  return there;
}

static bool move(comm_pipeline *p, pipeline_slot *slot) {
  switch (slot->stage) {
  case STAGE_FREE:
    return load(p, slot);
  case STAGE_PUT:
    return add(p, slot);
  case STAGE_ADDED:
    return p->nodes > 1 && p->rank == 0 ? begin_exchange(p, slot) : wait_for_sum(p, slot);
  case STAGE_EXCHANGE:
    return exchange(p, slot);
  case STAGE_READY:
    return fetch(p, slot);
  }
  return false;
}

bool pipeline_poll(comm_pipeline *p) {
  bool moved = false;
  for (int32_t s = 0; s < p->slots && p->code == MPI_SUCCESS; s++)
    while (p->code == MPI_SUCCESS && move(p, &p->slot[s])) moved = true;
  return moved;
}

bool pipeline_has_work(const comm_pipeline *p) {
  if (!p->under_way || p->code != MPI_SUCCESS) return false;
  return p->done < p->loaded || (p->loaded < p->sum.count && p->ready >= p->loaded + next_count(p));
}

/* Alone on its node a rank waits in MPI. With others it gives way, so that they may go on even on the same core, and
 * after a while it sleeps. */
void pipeline_rest(comm_pipeline *p, int idle) {
  enum { SPINS = 64, YIELDS = 4096, NANOSECONDS = 50000 };
  if (p->ranks == 1) {
    MPI_Request request[2 * PIPELINE_SLOTS];
    int which;
    for (int32_t s = 0; s < p->slots; s++) memcpy(&request[2 * s], p->slot[s].request, sizeof p->slot[s].request);
    note_failure(p, MPI_Waitany(2 * p->slots, request, &which, MPI_STATUS_IGNORE), "MPI_Waitany");
    for (int32_t s = 0; s < p->slots; s++) memcpy(p->slot[s].request, &request[2 * s], sizeof p->slot[s].request);
  } else if (idle > YIELDS) {
    nanosleep(&(struct timespec){.tv_nsec = NANOSECONDS}, NULL);
  } else if (idle > SPINS) {
    sched_yield();
  }
}
