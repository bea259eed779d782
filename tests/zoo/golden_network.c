#include "golden_network.h"

#include "thaw/memory.h"

#include <stdlib.h>

enum { MOST_LINE = 512 };

uint32_t golden_hash(uint32_t value, const char *text) {
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

void golden_fill(thaw_graph *graph, golden_name *name) {
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    thaw_layer *layer = &thaw_graph_node(graph, i)->layer;
    char index[16], made[64];
    const char *called = name ? name(layer->name, made) : layer->name;
    for (int32_t p = 0; p < layer->params; p++) {
      snprintf(index, sizeof index, "/%d", p);
      uint32_t start = golden_hash(golden_hash(GOLDEN_SEED, called), index);
      double offset, scale;
      scale_of(&layer->param[p], &offset, &scale);
      for (size_t j = 0; j < thaw_param_count(&layer->param[p]); j++)
        layer->param[p].value[j] = (float)(offset + scale * uniform(start, j));
    }
  }
}

float *golden_image(const golden_network *e, int32_t channels) {
  size_t count = (size_t)e->h * (size_t)e->w * (size_t)channels;
  float *x = thaw_new(count, sizeof *x);
  assert_non_null(x);
  uint32_t start = golden_hash(GOLDEN_SEED, "input");
  bool raw = thaw_architecture_find(e->name)->preprocessing == THAW_PREPROCESS_RAW;
  for (size_t i = 0; i < count; i++) x[i] = (float)(raw ? 127.5 * (uniform(start, i) + 1) : 2 * uniform(start, i));
  return x;
}

static void compare_layer(const golden_network *network, const golden_layer *e, const float *y) {
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

/* The node that the golden values' layer is. */
static int32_t find_node(const thaw_graph *graph, const char *wanted, golden_name *name) {
  for (int32_t i = 1; name && i < thaw_graph_count(graph); i++) {
    char made[64];
    const char *called = name(thaw_graph_view(graph, i)->layer.name, made);
    if (strcmp(called, wanted) == 0) return i;
  }
  return thaw_graph_find(graph, wanted);
}

void golden_compare(const golden_network *e, const thaw_graph *graph, const float *x, int32_t first,
                    golden_name *name) {
  int32_t node[GOLDEN_LAYERS], count = e->count - first;
  const thaw_isa *isa;
  thaw_plan *plan;
  for (int32_t i = 0; i < count; i++) {
    node[i] = find_node(graph, e->layer[first + i].name, name);
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

static bool read_layer(const char *line, golden_layer *e) {
  return sscanf(line, "layer %63s %zu %lf %lf %lf %lf %lf %lf", e->name, &e->count, &e->mean, &e->absolute,
                &e->value[0], &e->value[1], &e->value[2], &e->value[3]) == 8;
}

static bool read_network(const char *line, golden_network *e) {
  *e = (golden_network){0};
  return sscanf(line, "network %31s %d %d %d %ld %x", e->name, &e->h, &e->w, &e->a, &e->parameters, &e->b) == 6;
}

int golden_each(const char *path, void (*check)(const golden_network *e)) {
  FILE *file = fopen(path, "r");
  char line[MOST_LINE];
  golden_network e = {0};
  int networks = 0;
  const char *only = getenv("THAW_TEST_ARCHITECTURE");
  assert_non_null(file);
  for (bool more = true; more;) {
    more = fgets(line, sizeof line, file) != NULL;
    if (more && strncmp(line, "layer", 5) == 0) {
      assert_true(e.count < GOLDEN_LAYERS && read_layer(line, &e.layer[e.count]));
      e.count++;
      continue;
    }
    if (e.count > 0 && (!only || strcmp(only, e.name) == 0)) check(&e);
    networks += e.count > 0;
    if (more) assert_true(read_network(line, &e));
  }
  fclose(file);
  return networks;
}
