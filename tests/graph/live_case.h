/* live_case.h: a small network with its live executor, features, shares and hooks, and the check of its gradients. */
#ifndef LIVE_CASE_H
#define LIVE_CASE_H

#include "graph_test.h"

enum { SAMPLES = 10, SLICE = 4, MAX_TENSORS = 32 };

/* What a rank would collect: gradients summed over its slices, batch sums exchanged with the other "ranks". */
typedef struct collector {
  float *gradient[MAX_TENSORS];
  size_t size[MAX_TENSORS];
  int64_t slices_seen;
  double sums[256];
} collector;

static inline void collect_gradient(void *context, int32_t tensor, const float *value, int64_t slice) {
  collector *c = context;
  assert_true(slice >= 0);
  for (size_t i = 0; i < c->size[tensor]; i++) c->gradient[tensor][i] += value[i];
  c->slices_seen++;
}

static inline void add_sums(void *context, const double *values, int32_t count) {
  collector *c = context;
  for (int32_t i = 0; i < count; i++) c->sums[i] += values[i];
}

static inline thaw_status reduce_sums(void *context, double *totals, int32_t count) {
  collector *c = context;
  memcpy(totals, c->sums, (size_t)count * sizeof(double));
  memset(c->sums, 0, sizeof c->sums);
  return THAW_OK;
}

typedef struct live_case {
  thaw_graph *graph;
  thaw_cut cut;
  thaw_live *live;
  thaw_plan *plan;
  void *packed;
  float *features, *dy;
  size_t outputs;
  uint64_t sample[SAMPLES];
  thaw_share share;
  collector c;
  thaw_live_hooks hooks;
} live_case;

static const int32_t starts[] = {0, 4, 8, 10};
static const int64_t slices[] = {0, 1, 2};

static inline void begin(live_case *l, thaw_graph *graph) {
  const thaw_isa *isa;
  *l = (live_case){.graph = graph};
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_graph_bind(graph));
  test_randomize(graph);
  assert_thaw_ok(thaw_graph_cut(graph, &l->cut));
  assert_thaw_ok(thaw_live_create(graph, &l->cut, isa, SAMPLES, SLICE, &l->live));
  size_t in = thaw_shape_count(thaw_graph_view(graph, 0)->layer.output);
  float *x = thaw_new(SAMPLES * in, sizeof(float));
  test_fill(x, SAMPLES * in, 77, -1, 1);
  l->features = thaw_new(SAMPLES * l->cut.floats, sizeof(float));
  thaw_plan_options options = {.batch = SAMPLES, .threads = 1};
  assert_thaw_ok(thaw_plan_create(graph, l->cut.node, l->cut.count, isa, &options, &l->plan));
  l->packed = thaw_new(thaw_plan_packed_bytes(l->plan), 1);
  assert_thaw_ok(thaw_plan_pack(l->plan, l->packed));
  thaw_plan_use(l->plan, l->packed);
  thaw_plan_run(l->plan, x, SAMPLES, l->features);
  thaw_free(x);
  l->outputs = thaw_shape_count(thaw_graph_view(graph, thaw_graph_count(graph) - 1)->layer.output);
  l->dy = thaw_new(SAMPLES * l->outputs, sizeof(float));
  test_fill(l->dy, SAMPLES * l->outputs, 78, -1, 1);
  for (int32_t i = 0; i < SAMPLES; i++) l->sample[i] = (uint64_t)(100 + i);
  l->share = (thaw_share){.features = l->features,
                          .sample = l->sample,
                          .samples = SAMPLES,
                          .slices = 3,
                          .slice_start = starts,
                          .slice = slices,
                          .batch = SAMPLES,
                          .seed = 4,
                          .training = true};
  for (int32_t t = 0; t < thaw_live_tensors(l->live); t++) {
    l->c.size[t] = thaw_param_count(thaw_live_tensor(l->live, t, NULL));
    l->c.gradient[t] = thaw_new(l->c.size[t], sizeof(float));
  }
  l->hooks = (thaw_live_hooks){
      .context = &l->c, .gradient = collect_gradient, .add_sums = add_sums, .reduce_sums = reduce_sums};
}

static inline void end(live_case *l) {
  for (int32_t t = 0; t < thaw_live_tensors(l->live); t++) thaw_free(l->c.gradient[t]);
  thaw_live_destroy(l->live);
  thaw_plan_destroy(l->plan);
  thaw_free(l->packed);
  thaw_free(l->features);
  thaw_free(l->dy);
  thaw_cut_clear(&l->cut);
  thaw_graph_destroy(l->graph);
}

/* The loss whose gradient with respect to the output is dy. */
static inline double loss_of(live_case *l) {
  const float *y;
  assert_thaw_ok(thaw_live_forward(l->live, &l->share, &l->hooks, &y));
  double loss = 0;
  for (size_t i = 0; i < SAMPLES * l->outputs; i++) loss += (double)y[i] * l->dy[i];
  return loss;
}

/* Along a random direction of each tensor: the derivative of the loss, by central differences, against the gradient. */
static inline void check_gradients(live_case *l) {
  loss_of(l);
  assert_thaw_ok(thaw_live_backward(l->live, &l->share, &l->hooks, l->dy, false));
  for (int32_t t = 0; t < thaw_live_tensors(l->live); t++) {
    const char *name;
    thaw_param *param = thaw_live_tensor(l->live, t, &name);
    float *direction = thaw_new(l->c.size[t], sizeof(float)), *start = thaw_new(l->c.size[t], sizeof(float));
    test_fill(direction, l->c.size[t], 300 + (uint64_t)t, -1, 1);
    memcpy(start, param->value, l->c.size[t] * sizeof(float));
    double expected = 0, norm = 0, step = 2e-3, loss[2];
    for (size_t i = 0; i < l->c.size[t]; i++) {
      expected += (double)direction[i] * l->c.gradient[t][i];
      norm += fabs((double)direction[i] * l->c.gradient[t][i]);
    }
    for (int side = 0; side < 2; side++) {
      for (size_t i = 0; i < l->c.size[t]; i++)
        param->value[i] = start[i] + (float)((side ? -step : step) * direction[i]);
      loss[side] = loss_of(l);
    }
    memcpy(param->value, start, l->c.size[t] * sizeof(float));
    double found = (loss[0] - loss[1]) / (2 * step);
    if (!(fabs(found - expected) < 0.01 * norm + 2e-3))
      fail_msg("%s/%s: gradient %g, differences %g (of %g)", name, param->name, expected, found, norm);
    thaw_free(direction);
    thaw_free(start);
  }
}

/* Smooth activations, so that finite differences mean something everywhere. */
static inline thaw_graph *branching_network(void) {
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(6, 5, 3), &g));
  int32_t frozen = test_conv(g, 0, 4, 3, 1, THAW_SAME, THAW_TANH);
  int32_t a = test_conv(g, frozen, 6, 3, 2, THAW_SAME, THAW_SWISH);
  int32_t b = test_conv(g, a, 6, 1, 1, THAW_VALID, THAW_SIGMOID);
  thaw_conv2d_config depthwise = {.kernel_h = 3, .stride_h = 1, .padding = THAW_SAME, .use_bias = true};
  int32_t c = test_add(g, "depthwise_conv2d", &depthwise, NULL, a);
  int32_t sum = test_join(g, "add", test_join(g, "add", b, c), a);
  int32_t wide = test_join(g, "concatenate", sum, test_pool(g, c, "average_pooling", 3, 1, THAW_SAME));
  int32_t padded =
      test_add(g, "zero_padding", &(thaw_padding2d_config){.top = 1, .bottom = 0, .left = 0, .right = 2}, NULL, wide);
  int32_t pooled = test_add(g, "global_average_pooling", NULL, NULL, padded);
  int32_t flat = test_add(g, "flatten", NULL, NULL, test_conv(g, wide, 3, 1, 1, THAW_VALID, THAW_TANH));
  int32_t joined = test_join(g, "concatenate", pooled, flat);
  int32_t hidden = test_dense(g, joined, 9, THAW_TANH);
  hidden = test_activation(g, hidden, THAW_SWISH);
  test_dense(g, hidden, 5, THAW_SOFTMAX);
  thaw_graph_mark_head(g, a);
  return g;
}

#endif
