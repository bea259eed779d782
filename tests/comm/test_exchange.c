/* The exchange between nodes, played through for every number of nodes without MPI: messages must have partners of
 * equal length, and every node must end up with all sums. */
#include "comm/exchange.h"
#include "thaw_test.h"

#include "thaw/memory.h"

#include <string.h>

enum { MOST_NODES = 70 };

typedef struct world {
  int nodes;
  size_t count;
  int64_t *total[MOST_NODES];
  float *value[MOST_NODES];
  int step[MOST_NODES];
  bool ended[MOST_NODES];
  exchange_step now[MOST_NODES];
} world;

static void next(world *w, int node, bool integers) {
  w->ended[node] = !exchange_step_at(w->nodes, node, w->count, integers, w->step[node]++, &w->now[node]);
}

/* Both partners stand at the steps that belong together. */
static bool meets(const world *w, int node) {
  const exchange_step *mine = &w->now[node];
  if (mine->from < 0) return true;
  const exchange_step *other = &w->now[mine->from];
  return !w->ended[mine->from] && other->to == node && other->kind == mine->kind &&
         other->send_count == mine->keep_count && other->send_first == mine->keep_first;
}

/* What the message brings, from the sender's memory as it was at the beginning of the round. */
static void receive(world *w, int node, bool integers, int64_t *const *total, float *const *value) {
  const exchange_step *s = &w->now[node];
  for (size_t i = s->keep_first; i < s->keep_first + s->keep_count; i++) {
    if (s->kind == EXCHANGE_CONVERT)
      w->value[node][i] = (float)w->total[node][i];
    else if (s->from >= 0 && s->kind == EXCHANGE_ADD)
      w->total[node][i] += total[s->from][i];
    else if (s->from >= 0 && integers)
      w->total[node][i] = total[s->from][i];
    else if (s->from >= 0)
      w->value[node][i] = value[s->from][i];
  }
}

/* In rounds: every node whose partner stands ready does its step. A node goes on when its message left and came. */
static void play(int nodes, size_t count, bool integers) {
  world w = {.nodes = nodes, .count = count};
  int64_t *total[MOST_NODES], expected = (int64_t)nodes * (nodes + 1) / 2;
  float *value[MOST_NODES];
  for (int n = 0; n < nodes; n++) {
    w.total[n] = thaw_new(count, sizeof(int64_t));
    w.value[n] = thaw_new(count, sizeof(float));
    total[n] = thaw_new(count, sizeof(int64_t));
    value[n] = thaw_new(count, sizeof(float));
    assert_true(w.total[n] && w.value[n] && total[n] && value[n]);
    for (size_t i = 0; i < count; i++) w.total[n][i] = (n + 1) * (int64_t)(i + 1);
    next(&w, n, integers);
  }
  for (int round = 0;; round++) {
    bool moved = false;
    bool may[MOST_NODES] = {false};
    for (int n = 0; n < nodes; n++) {
      memcpy(total[n], w.total[n], count * sizeof(int64_t));
      memcpy(value[n], w.value[n], count * sizeof(float));
      int to = w.ended[n] ? -1 : w.now[n].to;
      may[n] = !w.ended[n] && meets(&w, n) && (to < 0 || (!w.ended[to] && w.now[to].from == n && meets(&w, to)));
    }
    /* Of partners either both go or none. */
    for (bool again = true; again;) {
      again = false;
      for (int n = 0; n < nodes; n++) {
        const exchange_step *s = &w.now[n];
        bool alone = may[n] && ((s->from >= 0 && !may[s->from]) || (s->to >= 0 && !may[s->to]));
        if (alone) may[n] = false;
        again = again || alone;
      }
    }
    for (int n = 0; n < nodes; n++) {
      if (!may[n]) continue;
      receive(&w, n, integers, total, value);
      next(&w, n, integers);
      moved = true;
    }
    if (!moved) break;
    assert_true(round < 10 * MOST_NODES);
  }
  for (int n = 0; n < nodes; n++) {
    assert_true(w.ended[n]);
    for (size_t i = 0; i < count; i++) {
      int64_t sum = expected * (int64_t)(i + 1);
      assert_true(integers ? w.total[n][i] == sum : w.value[n][i] == (float)sum);
    }
    thaw_free(w.total[n]);
    thaw_free(w.value[n]);
    thaw_free(total[n]);
    thaw_free(value[n]);
  }
}

static void few_values(void **state) {
  (void)state;
  for (int nodes = 2; nodes <= MOST_NODES; nodes++) {
    play(nodes, 1, false);
    play(nodes, 37, false);
    play(nodes, 37, true);
  }
}

/* Large parts go round a ring where the number of nodes is no power of two. */
static void many_values(void **state) {
  (void)state;
  static const int nodes[] = {2, 3, 5, 6, 7, 8, 12};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) play(nodes[i], 8192 * 7 + 5, false);
}

/* Bytes that a node sends, where all are equal: 8 + 4 per value, less its own part. */
static void bytes_are_few(void **state) {
  (void)state;
  static const int nodes[] = {2, 8, 64, 12};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
    const size_t count = 2048 * 192;
    exchange_step step;
    double bytes = 0;
    for (int index = 0; exchange_step_at(nodes[i], 1, count, false, index, &step); index++)
      if (step.to >= 0) bytes += (double)step.send_count * (step.kind == EXCHANGE_ADD ? 8 : 4);
    assert_true(bytes == 12.0 * (double)count * (nodes[i] - 1) / nodes[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(few_values),
      cmocka_unit_test(many_values),
      cmocka_unit_test(bytes_are_few),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
