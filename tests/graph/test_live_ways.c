/* The live executor's ways of doing the same: slices together or one by one, layers in one pass, recomputation,
 * fewer samples at a time. */
#include "live_case.h"

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

/* Blocks as ResNet's and MobileNet's: convolutions of every kind, with a shortcut as it is and through a convolution,
 * with the addition's inputs in either order; and what must not be taken in: a value that two read, a sum with what
 * comes later, an activation that is no clamp. */
static thaw_graph *residual_network(void) {
  thaw_graph *g;
  thaw_conv2d_config depthwise = {.kernel_h = 3, .stride_h = 1, .padding = THAW_SAME, .use_bias = false};
  assert_thaw_ok(thaw_graph_create(test_map(7, 7, 19), &g));
  int32_t side = test_norm(g, test_conv(g, 0, 19, 1, 1, THAW_VALID, THAW_LINEAR));
  int32_t at = test_activation(g, test_norm(g, test_conv(g, 0, 19, 3, 1, THAW_SAME, THAW_LINEAR)), THAW_RELU);
  at = test_norm(g, test_add(g, "depthwise_conv2d", &depthwise, NULL, at));
  at = test_activation(g, at, THAW_RELU6);
  at = test_norm(g, test_conv(g, at, 19, 1, 1, THAW_VALID, THAW_LINEAR));
  at = test_activation(g, test_join(g, "add", side, at), THAW_RELU);
  int32_t before = at;
  at = test_activation(g, test_norm(g, test_conv(g, at, 23, 3, 1, THAW_SAME, THAW_LINEAR)), THAW_SWISH);
  at = test_norm(g, test_conv(g, at, 19, 1, 1, THAW_VALID, THAW_LINEAR));
  at = test_activation(g, test_join(g, "add", at, before), THAW_RELU);
  int32_t early = test_norm(g, test_conv(g, at, 19, 1, 1, THAW_VALID, THAW_LINEAR));
  int32_t late = test_conv(g, at, 19, 3, 1, THAW_SAME, THAW_TANH);
  at = test_join(g, "add", early, late);
  int32_t shared = test_conv(g, at, 6, 3, 2, THAW_SAME, THAW_LINEAR);
  at = test_join(g, "concatenate", test_norm(g, shared), shared);
  test_dense(g, test_add(g, "global_average_pooling", NULL, NULL, at), 3, THAW_SOFTMAX);
  thaw_graph_mark_head(g, 1);
  for (int32_t i = 1; i < thaw_graph_count(g); i++)
    if (thaw_graph_node(g, i)->layer.ops == &thaw_layer_batch_normalization) thaw_graph_node(g, i)->frozen = true;
  return g;
}

/* A forward and a backward pass in another way, against what `begin` made: the same bits in less memory. */
static void check_other_way(thaw_graph *graph, thaw_live_options options, double share) {
  live_case l;
  begin(&l, graph);
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
  options.max_samples = SAMPLES, options.slice = SLICE;
  assert_thaw_ok(thaw_live_create_within(l.graph, &l.cut, isa, &options, &l.live));
  assert_true((double)thaw_live_bytes(l.live) < (double)bytes * share);
  assert_thaw_ok(thaw_live_forward(l.live, &l.share, &l.hooks, &y));
  assert_memory_equal(y, whole, sizeof whole);
  assert_thaw_ok(thaw_live_backward(l.live, &l.share, &l.hooks, l.dy, false));
  for (int32_t t = 0; t < thaw_live_tensors(l.live); t++) {
    assert_memory_equal(kept[t], l.c.gradient[t], l.c.size[t] * sizeof(float));
    thaw_free(kept[t]);
  }
  end(&l);
}

static void test_recompute(void **state) {
  (void)state;
  check_other_way(deep_network(), (thaw_live_options){.recompute = true}, 0.75);
}

static void test_fuse(void **state) {
  (void)state;
  check_other_way(residual_network(), (thaw_live_options){.fuse = true}, 0.95);
  check_other_way(residual_network(), (thaw_live_options){.fuse = true, .recompute = true}, 1);
  check_other_way(deep_network(), (thaw_live_options){.fuse = true}, 1.001); /* nothing to take in */
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layers_round_like_the_trainer),
      cmocka_unit_test(test_wide_convolutions_go_together),
      cmocka_unit_test(test_recompute),
      cmocka_unit_test(test_fuse),
      cmocka_unit_test(test_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
