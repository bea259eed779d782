/* Sums between nodes. Many values: reduce-scatter of 64-bit integers, each node turns its part into floats, allgather
 * of floats; (8 + 4) bytes per value leave each node, where the sum of integers alone would send 16. With 2^k nodes by
 * recursive halving and doubling (2k steps), otherwise, if the parts are large, round a ring (2 (nodes - 1) steps).
 * Few values: recursive doubling with integers (k steps). Nodes beyond the largest 2^k fold their terms into a
 * neighbour's and get the result from it. Rabenseifner, "Optimization of collective reduction operations", 2004. */
#include "comm/exchange.h"

enum { RING_LEAST = 8192 }; /* values in a part: below it, a step's latency costs more than folding's bytes */

/* ------------------------------------------------------------------ ring */

static size_t block_start(size_t count, int nodes, int block) {
  return count / (size_t)nodes * (size_t)block + count % (size_t)nodes * (size_t)block / (size_t)nodes;
}

static void set_block(size_t count, int nodes, int block, size_t *first, size_t *length) {
  block = (block % nodes + nodes) % nodes;
  *first = block_start(count, nodes, block);
  *length = block_start(count, nodes, block + 1) - *first;
}

/* Node i begins by sending block i and ends up with the sum of block i + 1. */
static bool ring_step(int nodes, int node, size_t count, int index, exchange_step *out) {
  int turns = nodes - 1;
  if (index > 2 * turns) return false;
  *out = (exchange_step){.kind = EXCHANGE_CONVERT, .to = -1, .from = -1};
  if (index == turns) {
    set_block(count, nodes, node + 1, &out->keep_first, &out->keep_count);
    return true;
  }
  bool adds = index < turns;
  int block = adds ? node - index : node + 1 - (index - turns - 1);
  out->kind = adds ? EXCHANGE_ADD : EXCHANGE_COPY;
  out->to = (node + 1) % nodes;
  out->from = (node + nodes - 1) % nodes;
  set_block(count, nodes, block, &out->send_first, &out->send_count);
  set_block(count, nodes, block - 1, &out->keep_first, &out->keep_count);
  return true;
}

/* ------------------------------------------------------------------ halving and doubling */

typedef struct fold {
  int levels; /* 2^levels nodes take part */
  int extra;  /* nodes beyond: the odd ones of the first 2 * extra fold */
  int active; /* number among those that take part, -1: folded */
} fold;

static fold fold_of(int nodes, int node) {
  fold f = {0};
  while (2 << f.levels <= nodes) f.levels++;
  f.extra = nodes - (1 << f.levels);
  f.active = node >= 2 * f.extra ? node - f.extra : node % 2 ? -1 : node / 2;
  return f;
}

static int node_of(const fold *f, int active) {
  return active < f->extra ? 2 * active : active + f->extra;
}

/* The part of `active` after `halvings`. */
static void set_part(int active, size_t count, int halvings, size_t *first, size_t *length) {
  size_t low = 0, high = count;
  for (int level = 1; level <= halvings; level++) {
    size_t middle = low + (high - low) / 2;
    if (active >> (level - 1) & 1)
      low = middle;
    else
      high = middle;
  }
  *first = low;
  *length = high - low;
}

/* Before and after: folded nodes hand in their terms and get the result. */
static void fold_step(const fold *f, int node, size_t count, bool before, exchange_step *out) {
  *out = (exchange_step){.kind = before ? EXCHANGE_ADD : EXCHANGE_COPY, .to = -1, .from = -1};
  if (node >= 2 * f->extra) return;
  bool sends = (f->active < 0) == before;
  int other = f->active < 0 ? node - 1 : node + 1;
  if (sends) {
    out->to = other;
    out->send_count = count;
  } else {
    out->from = other;
    out->keep_count = count;
  }
}

/* `level` 1 ..: both partners have the same range, one keeps its lower and one its upper half. The first and longest
 * messages go to neighbours, which are likely on the same switch. */
static void halving_step(const fold *f, size_t count, int level, bool adds, exchange_step *out) {
  int partner = f->active ^ 1 << (level - 1);
  out->kind = adds ? EXCHANGE_ADD : EXCHANGE_COPY;
  out->to = out->from = node_of(f, partner);
  set_part(adds ? partner : f->active, count, level, &out->send_first, &out->send_count);
  set_part(adds ? f->active : partner, count, level, &out->keep_first, &out->keep_count);
}

static void doubling_step(const fold *f, size_t count, int level, exchange_step *out) {
  out->kind = EXCHANGE_ADD;
  out->to = out->from = node_of(f, f->active ^ 1 << (f->levels - level));
  out->send_count = out->keep_count = count;
}

static bool fold_steps(int nodes, int node, size_t count, bool integers, int index, exchange_step *out) {
  fold f = fold_of(nodes, node);
  int last = integers ? f.levels + 1 : 2 * f.levels + 2;
  *out = (exchange_step){.kind = EXCHANGE_ADD, .to = -1, .from = -1};
  if (index > last) return false;
  if (index == 0 || index == last) {
    fold_step(&f, node, count, index == 0, out);
  } else if (f.active < 0) {
    return true;
  } else if (integers) {
    doubling_step(&f, count, index, out);
  } else if (index == f.levels + 1) {
    out->kind = EXCHANGE_CONVERT;
    set_part(f.active, count, f.levels, &out->keep_first, &out->keep_count);
  } else {
    bool adds = index <= f.levels;
    halving_step(&f, count, adds ? index : last - index, adds, out);
  }
  return true;
}

bool exchange_step_at(int nodes, int node, size_t count, bool integers, int index, exchange_step *out) {
  bool power_of_two = (nodes & (nodes - 1)) == 0;
  if (!integers && !power_of_two && count >= (size_t)nodes * RING_LEAST)
    return ring_step(nodes, node, count, index, out);
  return fold_steps(nodes, node, count, integers, index, out);
}
