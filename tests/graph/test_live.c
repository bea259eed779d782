/* The live executor: gradients by finite differences, slices and ranks, batch-coupled layers, logits, cut tensors. */
#include "live_case.h"

#include <malloc.h>

static void test_gradients(void **state) {
  (void)state;
  live_case l;
  begin(&l, branching_network());
  check_gradients(&l);
  end(&l);
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
      cmocka_unit_test(test_gradients), cmocka_unit_test(test_batch_norm_gradients),
      cmocka_unit_test(test_shares),    cmocka_unit_test(test_batch_norm_statistics),
      cmocka_unit_test(test_logits),    cmocka_unit_test(test_cut_in_the_middle),
      cmocka_unit_test(test_edges),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
