/* Every architecture against Keras or torchvision: names and order of layers, parameters, and what its layers compute,
 * with weights and input from a formula that both sides know (golden/make_architectures.py and make_torchvision.py say
 * how they are made). */
#include "thaw_test.h"

#include "thaw/memory.h"
#include "thaw/zoo.h"
#include "weights/weights_private.h"

#include <stdlib.h>

enum { MOST_LAYERS = 16, MOST_LINE = 512 };

typedef struct expected_layer {
  char name[64];
  size_t count;
  double mean, absolute, value[4];
} expected_layer;

typedef struct expected_network {
  char name[32];
  int h, w, layers;
  long parameters;
  unsigned order;
  expected_layer layer[MOST_LAYERS];
  int32_t count;
} expected_network;

static uint32_t fnv(uint32_t value, const char *text) {
  for (; *text; text++) value = (value ^ (unsigned char)*text) * 0x01000193u;
  return value;
}

static double uniform(uint32_t start, size_t index) {
  uint32_t z = (uint32_t)index * 0x9E3779B9u + start;
  z ^= z >> 16;
  z *= 0x85EBCA6Bu;
  z ^= z >> 13;
  z *= 0xC2B2AE35u;
  z ^= z >> 16;
  return (double)(z >> 8) / 8388608.0 - 1;
}

/* offset + scale * uniform: what kind of parameter it is decides. */
static void scale_of(const thaw_param *param, double *offset, double *scale) {
  *offset = 0;
  *scale = 0.1;
  if (strstr(param->name, "kernel")) {
    double fan = (double)param->dim[0] * param->dim[1] * (param->dim[3] == 1 ? 1 : param->dim[2]);
    *scale = sqrt(6.0 / fan);
  } else if (strcmp(param->name, "gamma") == 0) {
    *offset = 0.6;
    *scale = 0.2;
  } else if (strstr(param->name, "variance")) {
    *offset = 1;
    *scale = 0.3;
  } else if (strcmp(param->name, "count") == 0) {
    *scale = 0;
  }
}

static void fill(thaw_graph *graph) {
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    thaw_layer *layer = &thaw_graph_node(graph, i)->layer;
    for (int32_t p = 0; p < layer->params; p++) {
      char index[16];
      snprintf(index, sizeof index, "/%d", p);
      uint32_t start = fnv(fnv(0x811C9DC5u, layer->name), index);
      double offset, scale;
      scale_of(&layer->param[p], &offset, &scale);
      for (size_t j = 0; j < thaw_param_count(&layer->param[p]); j++)
        layer->param[p].value[j] = (float)(offset + scale * uniform(start, j));
    }
  }
}

static float *make_input(const expected_network *e, const thaw_architecture *architecture) {
  size_t count = (size_t)e->h * (size_t)e->w * 3;
  float *x = thaw_new(count, sizeof *x);
  assert_non_null(x);
  uint32_t start = fnv(0x811C9DC5u, "input");
  bool raw = architecture->preprocessing == THAW_PREPROCESS_RAW;
  for (size_t i = 0; i < count; i++) x[i] = (float)(raw ? 127.5 * (uniform(start, i) + 1) : 2 * uniform(start, i));
  return x;
}

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
  uint32_t hash = 0x811C9DC5u;
  assert_non_null(order);
  if (torch)
    count = torch_order(graph, order);
  else
    assert_thaw_ok(thaw_weight_keras_order(graph, order, &count));
  *count_out = count;
  for (int32_t i = 1; i < count; i++) {
    if (i > 1) hash = fnv(hash, "\n");
    hash = fnv(hash, thaw_graph_view(graph, order[i])->layer.name);
  }
  thaw_free(order);
  return hash;
}

static void compare_layer(const expected_network *network, const expected_layer *e, const float *y) {
  double mean = 0, absolute = 0, tolerance = 1e-4 * e->absolute;
  for (size_t i = 0; i < e->count; i++) {
    mean += y[i];
    absolute += fabs((double)y[i]);
  }
  const float value[] = {y[0], y[e->count / 3], y[2 * e->count / 3], y[e->count - 1]};
  bool close = fabs(mean / (double)e->count - e->mean) <= tolerance &&
               fabs(absolute / (double)e->count - e->absolute) <= tolerance;
  for (int i = 0; i < 4; i++) close = close && fabs(value[i] - e->value[i]) <= tolerance + 1e-4 * fabs(e->value[i]);
  if (close) return;
  fail_msg(
      "%s: layer '%s': mean %.9g (%.9g expected), absolute %.9g (%.9g), values %.9g %.9g %.9g %.9g (%.9g %.9g %.9g "
      "%.9g)",
      network->name, e->name, mean / (double)e->count, e->mean, absolute / (double)e->count, e->absolute,
      (double)value[0], (double)value[1], (double)value[2], (double)value[3], e->value[0], e->value[1], e->value[2],
      e->value[3]);
}

/* Runs the network up to `count` of the sampled layers from `first` on, fused as it is in use. */
static void compare_values(const expected_network *e, const thaw_graph *graph, const float *x, int32_t first) {
  int32_t node[MOST_LAYERS], count = e->count - first;
  const thaw_isa *isa;
  thaw_plan *plan;
  for (int32_t i = 0; i < count; i++) {
    node[i] = thaw_graph_find(graph, e->layer[first + i].name);
    if (node[i] < 1) fail_msg("%s has no layer '%s'", e->name, e->layer[first + i].name);
    assert_int_equal(thaw_shape_count(thaw_graph_view(graph, node[i])->layer.output), e->layer[first + i].count);
  }
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_plan_create(graph, node, count, isa, &(thaw_plan_options){.batch = 1, .threads = 1}, &plan));
  void *packed = thaw_new(thaw_plan_packed_bytes(plan), 1);
  float *y = thaw_new(thaw_plan_output_floats(plan), sizeof *y), *at = y;
  assert_true(packed && y);
  assert_thaw_ok(thaw_plan_pack(plan, packed));
  thaw_plan_use(plan, packed);
  thaw_plan_run(plan, x, 1, y);
  for (int32_t i = 0; i < count; i++) {
    compare_layer(e, &e->layer[first + i], at);
    at += e->layer[first + i].count;
  }
  thaw_free(y);
  thaw_free(packed);
  thaw_plan_destroy(plan);
}

static void check_network(const expected_network *e, bool torch) {
  const thaw_architecture *architecture = thaw_architecture_find(e->name);
  thaw_graph *graph;
  int32_t last, layers;
  if (!architecture) fail_msg("there is no architecture '%s'", e->name);
  assert_int_equal(architecture->parameters, e->parameters);
  assert_thaw_ok(thaw_zoo_build(e->name, (thaw_shape){.rank = 3, .h = e->h, .w = e->w, .c = 3}, NULL, &graph, &last));
  uint32_t order = order_of(graph, torch, &layers);
  if (layers != e->layers || thaw_graph_param_count(graph, false) != e->parameters)
    fail_msg("%s: %d layers (%d expected), %lld parameters (%ld)", e->name, layers, e->layers,
             (long long)thaw_graph_param_count(graph, false), e->parameters);
  if (order != e->order) fail_msg("%s: names or order of layers differ", e->name);
  assert_thaw_ok(thaw_graph_bind(graph));
  fill(graph);
  float *x = make_input(e, architecture);
  compare_values(e, graph, x, 0);
  compare_values(e, graph, x, e->count - 1);
  thaw_free(x);
  thaw_graph_destroy(graph);
}

static bool read_layer(const char *line, expected_layer *e) {
  return sscanf(line, "layer %63s %zu %lf %lf %lf %lf %lf %lf", e->name, &e->count, &e->mean, &e->absolute,
                &e->value[0], &e->value[1], &e->value[2], &e->value[3]) == 8;
}

static bool read_network(const char *line, expected_network *e) {
  *e = (expected_network){0};
  return sscanf(line, "network %31s %d %d %d %ld %x", e->name, &e->h, &e->w, &e->layers, &e->parameters, &e->order) ==
         6;
}

/* The networks of one file; returns how many. */
static int check_file(const char *path, bool torch) {
  FILE *file = fopen(path, "r");
  char line[MOST_LINE];
  expected_network e = {0};
  int networks = 0;
  const char *only = getenv("THAW_TEST_ARCHITECTURE");
  assert_non_null(file);
  for (bool more = true; more;) {
    more = fgets(line, sizeof line, file) != NULL;
    if (more && strncmp(line, "layer", 5) == 0) {
      assert_true(e.count < MOST_LAYERS && read_layer(line, &e.layer[e.count]));
      e.count++;
      continue;
    }
    if (e.count > 0 && (!only || strcmp(only, e.name) == 0)) check_network(&e, torch);
    networks += e.count > 0;
    if (more) assert_true(read_network(line, &e));
  }
  fclose(file);
  return networks;
}

static void test_golden(void **state) {
  (void)state;
  int known = 0;
  int networks = check_file(THAW_TEST_DATA "/golden/architectures.txt", false) +
                 check_file(THAW_TEST_DATA "/golden/torchvision.txt", true);
  while (thaw_architectures[known]) known++;
  assert_int_equal(networks, known); /* each has its lines */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_golden),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
