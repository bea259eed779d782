/* Every architecture against Keras or torchvision: names and order of layers, parameters, and what its layers compute,
 * with weights and input from a formula that both sides know (golden/make_architectures.py and make_torchvision.py say
 * how they are made). */
#include "golden_network.h"

#include "thaw/memory.h"
#include "weights/weights_private.h"

static bool is_padding(const thaw_graph *graph, int32_t node) {
  return strcmp(thaw_graph_view(graph, node)->layer.ops->schema->name, "zero_padding") == 0;
}

/* The graph's own order without padding, which torchvision has inside its layers. */
static int32_t torch_order(const thaw_graph *graph, int32_t *order) {
  int32_t count = 0;
  for (int32_t i = 0; i < thaw_graph_count(graph); i++)
    if (!is_padding(graph, i)) order[count++] = i;
  return count;
}

/* The names of model.layers, one after the other. */
static uint32_t order_of(const thaw_graph *graph, bool torch, int32_t *count_out) {
  int32_t *order = thaw_new((size_t)thaw_graph_count(graph), sizeof *order), count;
  uint32_t hash = GOLDEN_SEED;
  assert_non_null(order);
  if (torch)
    count = torch_order(graph, order);
  else
    assert_thaw_ok(thaw_weight_keras_order(graph, order, &count));
  *count_out = count;
  for (int32_t i = 1; i < count; i++) {
    if (i > 1) hash = golden_hash(hash, "\n");
    hash = golden_hash(hash, thaw_graph_view(graph, order[i])->layer.name);
  }
  thaw_free(order);
  return hash;
}

/* In a golden file's line of a network, `a` is how many layers there are and `b` a hash of their names. */
static void check_network(const golden_network *e, bool torch) {
  const thaw_architecture *architecture = thaw_architecture_find(e->name);
  thaw_graph *graph;
  int32_t last, layers;
  if (!architecture) fail_msg("there is no architecture '%s'", e->name);
  assert_int_equal(architecture->parameters, e->parameters);
  assert_thaw_ok(thaw_zoo_build(e->name, (thaw_shape){.rank = 3, .h = e->h, .w = e->w, .c = 3}, NULL, &graph, &last));
  uint32_t order = order_of(graph, torch, &layers);
  if (layers != e->a || thaw_graph_param_count(graph, false) != e->parameters)
    fail_msg("%s: %d layers (%d expected), %lld parameters (%ld)", e->name, layers, e->a,
             (long long)thaw_graph_param_count(graph, false), e->parameters);
  if (order != e->b) fail_msg("%s: names or order of layers differ", e->name);
  assert_thaw_ok(thaw_graph_bind(graph));
  golden_fill(graph, NULL);
  float *x = golden_image(e, 3);
  golden_compare(e, graph, x, 0, NULL);
  golden_compare(e, graph, x, e->count - 1, NULL);
  thaw_free(x);
  thaw_graph_destroy(graph);
}

static void check_keras(const golden_network *e) {
  check_network(e, false);
}

static void check_torch(const golden_network *e) {
  check_network(e, true);
}

static void test_golden(void **state) {
  (void)state;
  int known = 0;
  int networks = golden_each(THAW_TEST_DATA "/golden/architectures.txt", check_keras) +
                 golden_each(THAW_TEST_DATA "/golden/torchvision.txt", check_torch);
  while (thaw_architectures[known]) known++;
  assert_int_equal(networks, known); /* each has its lines */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_golden),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
