/* The live executor: gradients by finite differences, slices and ranks, batch-coupled layers, logits, cut tensors. */
#include "graph_test.h"

#include <malloc.h>

enum { SAMPLES = 10, SLICE = 4, MAX_TENSORS = 32 };

/* What a rank would collect: gradients summed over its slices, batch sums exchanged with the other "ranks". */
typedef struct collector {
  float *gradient[MAX_TENSORS];
  size_t size[MAX_TENSORS];
  int64_t slices_seen;
  double sums[256];
} collector;

static void collect_gradient(void *context, int32_t tensor, const float *value, int64_t slice) {
  collector *c = context;
  assert_true(slice >= 0);
  for (size_t i = 0; i < c->size[tensor]; i++) c->gradient[tensor][i] += value[i];
  c->slices_seen++;
}

static void add_sums(void *context, const double *values, int32_t count) {
  collector *c = context;
  for (int32_t i = 0; i < count; i++) c->sums[i] += values[i];
}

static thaw_status reduce_sums(void *context, double *totals, int32_t count) {
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

static void begin(live_case *l, thaw_graph *graph) {
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

static void end(live_case *l) {
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
static double loss_of(live_case *l) {
  const float *y;
  assert_thaw_ok(thaw_live_forward(l->live, &l->share, &l->hooks, &y));
  double loss = 0;
  for (size_t i = 0; i < SAMPLES * l->outputs; i++) loss += (double)y[i] * l->dy[i];
  return loss;
}

/* Along a random direction of each tensor: the derivative of the loss, by central differences, against the gradient. */
static void check_gradients(live_case *l) {
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
static thaw_graph *branching_network(void) {
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

static void test_gradients(void **state) {
  (void)state;
  live_case l;
  begin(&l, branching_network());
  check_gradients(&l);
  end(&l);
}

/* Gradients rounded and added as the trainer does, either way: slice by slice from floats, or by the layers themselves.
 */
typedef struct exact_sums {
  int64_t *sums[MAX_TENSORS];
  uint32_t largest[MAX_TENSORS][3];
  size_t size[MAX_TENSORS];
  int32_t by_layers;
} exact_sums;
static const double exact_factor = 0x1p30;

static void round_slice(void *context, int32_t tensor, const float *value, int64_t slice) {
  exact_sums *e = context;
  for (size_t i = 0; i < e->size[tensor]; i++) {
    uint32_t bits;
    memcpy(&bits, &value[i], sizeof bits);
    if ((bits & INT32_MAX) > e->largest[tensor][slice]) e->largest[tensor][slice] = bits & INT32_MAX;
    e->sums[tensor][i] += llrint(value[i] * exact_factor);
  }
}

static int64_t *give_sums(void *context, int32_t tensor, double *factor_out, bool *fresh_out) {
  exact_sums *e = context;
  *factor_out = exact_factor;
  *fresh_out = tensor % 2 == 1;
  if (*fresh_out) memset(e->sums[tensor], 0xcd, e->size[tensor] * sizeof(int64_t));
  return e->sums[tensor];
}

static void note_largest(void *context, int32_t tensor, int64_t slice, uint32_t largest) {
  exact_sums *e = context;
  e->largest[tensor][slice] = largest;
  e->by_layers++;
}

static void check_rounding(thaw_graph *graph, int32_t layers) {
  live_case l;
  begin(&l, graph);
  exact_sums e[2] = {0};
  for (int way = 0; way < 2; way++) {
    thaw_live_hooks hooks = {.context = &e[way], .gradient = round_slice};
    if (way) hooks.sums = give_sums, hooks.note = note_largest;
    const float *y;
    for (int32_t t = 0; t < thaw_live_tensors(l.live); t++) {
      e[way].size[t] = l.c.size[t];
      e[way].sums[t] = thaw_new(l.c.size[t], sizeof(int64_t));
    }
    assert_thaw_ok(thaw_live_forward(l.live, &l.share, &hooks, &y));
    assert_thaw_ok(thaw_live_backward(l.live, &l.share, &hooks, l.dy, false));
  }
  assert_int_equal(e[0].by_layers, 0);
  assert_int_equal(e[1].by_layers, layers * 2 * 3); /* kernel and bias, three slices */
  for (int32_t t = 0; t < thaw_live_tensors(l.live); t++) {
    assert_memory_equal(e[1].sums[t], e[0].sums[t], l.c.size[t] * sizeof(int64_t));
    assert_memory_equal(e[1].largest[t], e[0].largest[t], sizeof e[0].largest[t]);
    thaw_free(e[0].sums[t]);
    thaw_free(e[1].sums[t]);
  }
  end(&l);
}

static thaw_graph *convolutions(void) {
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(9, 7, 3), &g));
  int32_t a = test_conv(g, 0, 18, 1, 2, THAW_VALID, THAW_RELU);
  int32_t b = test_conv(g, a, 35, 3, 1, THAW_SAME, THAW_TANH);
  int32_t c = test_conv(g, b, 17, 3, 1, THAW_VALID, THAW_LINEAR);
  test_dense(g, test_add(g, "flatten", NULL, NULL, c), 5, THAW_SOFTMAX);
  thaw_graph_mark_head(g, a);
  return g;
}

static void test_layers_round_like_the_trainer(void **state) {
  (void)state;
  check_rounding(branching_network(), 4);
  check_rounding(convolutions(), 4);
}

static void refuse_floats(void *context, int32_t tensor, const float *value, int64_t slice) {
  (void)context, (void)value;
  fail_msg("tensor %d, slice %lld went through memory as floats", tensor, (long long)slice);
}

/* ResNet50's widest 3x3 convolution, four slices: its scratch must not be taken for a reason to go slice by slice. */
static void test_wide_convolutions_go_together(void **state) {
  (void)state;
  enum { WIDE_SAMPLES = 32, WIDE_SLICE = 8, CHANNELS = 512, FLOATS = 7 * 7 * CHANNELS };
  const thaw_isa *isa;
  thaw_graph *g;
  thaw_cut cut;
  thaw_live *live;
  assert_thaw_ok(thaw_graph_create(test_map(7, 7, CHANNELS), &g));
  thaw_graph_mark_head(g, test_conv(g, 0, CHANNELS, 3, 1, THAW_SAME, THAW_LINEAR));
  assert_thaw_ok(thaw_graph_bind(g));
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_graph_cut(g, &cut));
  assert_thaw_ok(thaw_live_create(g, &cut, isa, WIDE_SAMPLES, WIDE_SLICE, &live));
  exact_sums e = {0};
  for (int32_t t = 0; t < thaw_live_tensors(live); t++) {
    e.size[t] = thaw_param_count(thaw_live_tensor(live, t, NULL));
    e.sums[t] = thaw_new(e.size[t], sizeof(int64_t));
  }
  static const int32_t wide_starts[] = {0, 8, 16, 24, 32};
  static const int64_t wide_slices[] = {0, 1, 2, 0}; /* note_largest keeps three */
  static const uint64_t wide_sample[WIDE_SAMPLES];
  float *x = thaw_new((size_t)WIDE_SAMPLES * FLOATS, sizeof *x),
        *dy = thaw_new((size_t)WIDE_SAMPLES * FLOATS, sizeof *dy);
  thaw_share share = {.features = x, .sample = wide_sample, .samples = WIDE_SAMPLES, .slices = 4, .training = true};
  share.slice_start = wide_starts, share.slice = wide_slices, share.batch = WIDE_SAMPLES;
  thaw_live_hooks hooks = {.context = &e, .gradient = refuse_floats, .sums = give_sums, .note = note_largest};
  const float *y;
  assert_thaw_ok(thaw_live_forward(live, &share, &hooks, &y));
  assert_thaw_ok(thaw_live_backward(live, &share, &hooks, dy, false));
  assert_int_equal(e.by_layers, 2 * 4); /* kernel and bias, four slices */
  for (int32_t t = 0; t < thaw_live_tensors(live); t++) thaw_free(e.sums[t]);
  thaw_free(x), thaw_free(dy);
  thaw_live_destroy(live);
  thaw_cut_clear(&cut);
  thaw_graph_destroy(g);
}

static thaw_graph *normed_network(void) {
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(4, 4, 3), &g));
  int32_t at = test_norm(g, test_conv(g, 0, 5, 3, 1, THAW_SAME, THAW_TANH));
  at = test_norm(g, test_dense(g, test_add(g, "flatten", NULL, NULL, at), 7, THAW_LINEAR));
  test_dense(g, test_activation(g, at, THAW_TANH), 4, THAW_SIGMOID);
  thaw_graph_mark_head(g, 1);
  return g;
}

static void test_batch_norm_gradients(void **state) {
  (void)state;
  live_case l;
  begin(&l, normed_network());
  check_gradients(&l);
  end(&l);
}

/* One rank with three slices, and the slices by themselves in another order with the sums exchanged: the same. */
static void test_shares(void **state) {
  (void)state;
  live_case l;
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(6, 6, 3), &g));
  int32_t at = test_conv(g, 0, 8, 3, 1, THAW_SAME, THAW_RELU);
  at = test_pool(g, at, "max_pooling", 2, 2, THAW_VALID);
  at = test_dense(g, test_add(g, "global_max_pooling", NULL, NULL, at), 16, THAW_RELU);
  at = test_add(g, "dropout", &(thaw_dropout_config){.rate = 0.4}, NULL, at);
  test_dense(g, at, 3, THAW_SOFTMAX);
  thaw_graph_mark_head(g, 1);
  begin(&l, g);
  const float *y;
  float whole[SAMPLES * 3];
  assert_thaw_ok(thaw_live_forward(l.live, &l.share, &l.hooks, &y));
  memcpy(whole, y, sizeof whole);
  assert_thaw_ok(thaw_live_backward(l.live, &l.share, &l.hooks, l.dy, false));
  assert_int_equal(l.c.slices_seen, 3 * thaw_live_tensors(l.live));
  float *kept[MAX_TENSORS];
  for (int32_t t = 0; t < thaw_live_tensors(l.live); t++) {
    kept[t] = l.c.gradient[t];
    l.c.gradient[t] = thaw_new(l.c.size[t], sizeof(float));
  }
  for (int32_t s = 0; s < 3; s++) {
    int32_t first = starts[s], n = starts[s + 1] - first;
    thaw_share part = l.share;
    part.features += (size_t)first * l.cut.floats;
    part.sample += first;
    part.samples = n;
    part.slices = 1;
    part.slice_start = (int32_t[]){0, n};
    part.slice = slices + s;
    assert_thaw_ok(thaw_live_forward(l.live, &part, &l.hooks, &y));
    assert_memory_equal(y, whole + first * 3, (size_t)n * 3 * sizeof(float));
    assert_thaw_ok(thaw_live_backward(l.live, &part, &l.hooks, l.dy + first * 3, false));
  }
  for (int32_t t = 0; t < thaw_live_tensors(l.live); t++) {
    assert_memory_equal(kept[t], l.c.gradient[t], l.c.size[t] * sizeof(float));
    thaw_free(kept[t]);
  }
  end(&l);
}

/* The batch's own statistics in training, the moving ones outside it; the update of the moving ones. */
static void test_batch_norm_statistics(void **state) {
  (void)state;
  live_case l;
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create((thaw_shape){.rank = 1, .h = 1, .w = 1, .c = 3}, &g));
  test_norm(g, 0);
  thaw_graph_mark_head(g, 1);
  begin(&l, g);
  thaw_layer *layer = &thaw_graph_node(g, 1)->layer;
  const float *y;
  float before_mean = layer->param[2].value[1], before_variance = layer->param[3].value[1];
  assert_thaw_ok(thaw_live_forward(l.live, &l.share, &l.hooks, &y));
  double mean = 0, variance = 0;
  for (int i = 0; i < SAMPLES; i++) mean += l.features[i * 3 + 1] / (double)SAMPLES;
  for (int i = 0; i < SAMPLES; i++) variance += pow(l.features[i * 3 + 1] - mean, 2) / SAMPLES;
  for (int i = 0; i < SAMPLES; i++) {
    double expected =
        (l.features[i * 3 + 1] - mean) / sqrt(variance + 1e-3) * layer->param[0].value[1] + layer->param[1].value[1];
    assert_true(fabs(expected - y[i * 3 + 1]) < 2e-6);
  }
  thaw_live_update_statistics(l.live);
  assert_true(fabs(layer->param[2].value[1] - (0.9 * before_mean + 0.1 * mean)) < 1e-7);
  assert_true(fabs(layer->param[3].value[1] - (0.9 * before_variance + 0.1 * variance)) < 1e-7);
  l.share.training = false;
  assert_thaw_ok(thaw_live_forward(l.live, &l.share, &l.hooks, &y));
  double expected =
      (l.features[1] - layer->param[2].value[1]) / sqrt(layer->param[3].value[1] + 1e-3) * layer->param[0].value[1] +
      layer->param[1].value[1];
  assert_true(fabs(expected - y[1]) < 2e-6);
  end(&l);
}

/* Residual blocks with live batch-norm and dropout. */
static thaw_graph *deep_network(void) {
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(9, 9, 16), &g));
  int32_t at = test_conv(g, 0, 16, 3, 1, THAW_SAME, THAW_SWISH);
  for (int i = 0; i < 6; i++) {
    int32_t side = test_conv(g, test_norm(g, at), 16, 3, 1, THAW_SAME, THAW_SIGMOID);
    side = test_add(g, "dropout", &(thaw_dropout_config){.rate = 0.3}, NULL, side);
    at = test_activation(g, test_join(g, "add", at, side), THAW_RELU);
  }
  test_dense(g, test_add(g, "global_average_pooling", NULL, NULL, at), 3, THAW_SOFTMAX);
  thaw_graph_mark_head(g, 1);
  return g;
}

/* Activations computed again in the backward pass: less memory, the same bits. */
static void test_recompute(void **state) {
  (void)state;
  live_case l;
  begin(&l, deep_network());
  const float *y;
  float whole[SAMPLES * 3];
  assert_thaw_ok(thaw_live_forward(l.live, &l.share, &l.hooks, &y));
  memcpy(whole, y, sizeof whole);
  assert_thaw_ok(thaw_live_backward(l.live, &l.share, &l.hooks, l.dy, false));
  size_t bytes = thaw_live_bytes(l.live);
  float *kept[MAX_TENSORS];
  for (int32_t t = 0; t < thaw_live_tensors(l.live); t++) {
    kept[t] = l.c.gradient[t];
    l.c.gradient[t] = thaw_new(l.c.size[t], sizeof(float));
  }
  thaw_live_destroy(l.live);
  const thaw_isa *isa;
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  thaw_live_options options = {.max_samples = SAMPLES, .slice = SLICE, .recompute = true};
  assert_thaw_ok(thaw_live_create_within(l.graph, &l.cut, isa, &options, &l.live));
  assert_true(thaw_live_bytes(l.live) < bytes * 3 / 4);
  assert_thaw_ok(thaw_live_forward(l.live, &l.share, &l.hooks, &y));
  assert_memory_equal(y, whole, sizeof whole);
  assert_thaw_ok(thaw_live_backward(l.live, &l.share, &l.hooks, l.dy, false));
  for (int32_t t = 0; t < thaw_live_tensors(l.live); t++) {
    assert_memory_equal(kept[t], l.c.gradient[t], l.c.size[t] * sizeof(float));
    thaw_free(kept[t]);
  }
  end(&l);
}

/* Under a limit the live part takes fewer samples at a time, whole slices, unless a layer joins the batch. */
static void test_limit(void **state) {
  (void)state;
  const thaw_isa *isa;
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  for (int joins = 0; joins < 2; joins++) {
    thaw_cut cut;
    thaw_live *live;
    thaw_graph *graph = joins ? deep_network() : branching_network();
    assert_thaw_ok(thaw_graph_bind(graph));
    assert_thaw_ok(thaw_graph_cut(graph, &cut));
    thaw_live_options options = {.max_samples = 40, .slice = SLICE, .limit = 1};
    assert_thaw_ok(thaw_live_create_within(graph, &cut, isa, &options, &live));
    assert_int_equal(thaw_live_samples(live), joins ? 40 : SLICE);
    thaw_live_destroy(live);
    thaw_cut_clear(&cut);
    thaw_graph_destroy(graph);
  }
}

/* Softmax of the logits is the output, and the gradient from logits skips the softmax, for both ways to write it. */
static void test_logits(void **state) {
  (void)state;
  for (int own = 0; own < 2; own++) {
    live_case l;
    thaw_graph *g;
    assert_thaw_ok(thaw_graph_create((thaw_shape){.rank = 1, .h = 1, .w = 1, .c = 6}, &g));
    int32_t at = test_dense(g, 0, 4, own ? THAW_SOFTMAX : THAW_LINEAR);
    if (!own) test_activation(g, at, THAW_SOFTMAX);
    thaw_graph_mark_head(g, 1);
    begin(&l, g);
    assert_int_equal(thaw_live_activation(l.live), THAW_SOFTMAX);
    const float *y, *z;
    assert_thaw_ok(thaw_live_forward(l.live, &l.share, &l.hooks, &y));
    assert_non_null(z = thaw_live_logits(l.live));
    for (int i = 0; i < SAMPLES; i++) {
      double sum = 0;
      for (int j = 0; j < 4; j++) sum += exp(z[i * 4 + j]);
      for (int j = 0; j < 4; j++) assert_true(fabs(exp(z[i * 4 + j]) / sum - y[i * 4 + j]) < 1e-6);
    }
    assert_thaw_ok(thaw_live_backward(l.live, &l.share, &l.hooks, l.dy, true));
    for (int j = 0; j < 4; j++) { /* the bias' gradient is then the plain sum of dy */
      double sum = 0;
      for (int i = 0; i < SAMPLES; i++) sum += l.dy[i * 4 + j];
      assert_true(fabs(sum - l.c.gradient[1][j]) < 1e-5);
    }
    end(&l);
  }
}

/* The whole network through one plan, and cut in two: the same, for a cut of several tensors too. */
static void test_cut_in_the_middle(void **state) {
  (void)state;
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(8, 8, 3), &g));
  int32_t stem = test_conv(g, 0, 8, 3, 1, THAW_SAME, THAW_RELU);
  int32_t side = test_conv(g, stem, 8, 3, 1, THAW_SAME, THAW_RELU);
  int32_t live = test_conv(g, side, 8, 1, 1, THAW_VALID, THAW_LINEAR);
  int32_t sum = test_activation(g, test_join(g, "add", stem, live), THAW_RELU);
  test_dense(g, test_add(g, "global_average_pooling", NULL, NULL, sum), 5, THAW_LINEAR);
  thaw_graph_mark_head(g, live);
  live_case l;
  begin(&l, g);
  assert_int_equal(l.cut.count, 2);
  const thaw_isa *isa;
  thaw_plan *plan;
  thaw_plan_options options = {.batch = SAMPLES, .threads = 1};
  int32_t last = thaw_graph_count(g) - 1;
  static float x[SAMPLES * 8 * 8 * 3], whole[SAMPLES * 5];
  test_fill(x, SAMPLES * 8 * 8 * 3, 77, -1, 1);
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_plan_create(g, &last, 1, isa, &options, &plan));
  void *packed = thaw_new(thaw_plan_packed_bytes(plan), 1);
  assert_thaw_ok(thaw_plan_pack(plan, packed));
  thaw_plan_use(plan, packed);
  thaw_plan_run(plan, x, SAMPLES, whole);
  const float *y;
  assert_thaw_ok(thaw_live_forward(l.live, &l.share, &l.hooks, &y));
  assert_true(thaw_test_relative_l2(y, whole, SAMPLES * 5) < 2e-6);
  struct mallinfo2 before = mallinfo2();
  assert_thaw_ok(thaw_live_forward(l.live, &l.share, &l.hooks, &y));
  assert_thaw_ok(thaw_live_backward(l.live, &l.share, &l.hooks, l.dy, false));
  assert_int_equal(before.uordblks, mallinfo2().uordblks);
  thaw_plan_destroy(plan);
  thaw_free(packed);
  end(&l);
}

/* A rank without samples takes part; a network without live layers gives its features. */
static void test_edges(void **state) {
  (void)state;
  live_case l;
  begin(&l, normed_network());
  const float *y;
  l.share.samples = l.share.slices = 0;
  assert_thaw_ok(thaw_live_forward(l.live, &l.share, &l.hooks, &y));
  assert_thaw_ok(thaw_live_backward(l.live, &l.share, &l.hooks, l.dy, false));
  assert_int_equal(l.c.slices_seen, 0);
  end(&l);
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(4, 4, 3), &g));
  test_conv(g, 0, 2, 3, 1, THAW_SAME, THAW_RELU);
  begin(&l, g);
  assert_int_equal(thaw_live_tensors(l.live), 0);
  assert_thaw_ok(thaw_live_forward(l.live, &l.share, &l.hooks, &y));
  assert_ptr_equal(y, l.features);
  end(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradients),
      cmocka_unit_test(test_batch_norm_gradients),
      cmocka_unit_test(test_layers_round_like_the_trainer),
      cmocka_unit_test(test_wide_convolutions_go_together),
      cmocka_unit_test(test_shares),
      cmocka_unit_test(test_batch_norm_statistics),
      cmocka_unit_test(test_logits),
      cmocka_unit_test(test_cut_in_the_middle),
      cmocka_unit_test(test_edges),
      cmocka_unit_test(test_recompute),
      cmocka_unit_test(test_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
