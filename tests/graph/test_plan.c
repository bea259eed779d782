/* The frozen plan: what is fused gives the same numbers as the layers one by one; the same bits for any batch, number
 * of threads and instruction set; memory; no allocation while running. */
#include "graph_test.h"

#include <malloc.h>

typedef struct plan_case {
  thaw_plan *plan;
  void *packed;
} plan_case;

static const thaw_isa *isa_of(const char *name) {
  const thaw_isa *isa = NULL;
  if (thaw_isa_select(name, &isa) != THAW_OK) return NULL;
  return isa;
}

static plan_case make_plan(const thaw_graph *graph, const int32_t *outputs, int32_t count, const char *isa,
                           thaw_plan_options options) {
  plan_case c;
  assert_thaw_ok(thaw_plan_create(graph, outputs, count, isa_of(isa), &options, &c.plan));
  c.packed = thaw_new(thaw_plan_packed_bytes(c.plan), 1);
  assert_thaw_ok(thaw_plan_pack(c.plan, c.packed));
  thaw_plan_use(c.plan, c.packed);
  return c;
}

static void end_plan(plan_case *c) {
  thaw_plan_destroy(c->plan);
  thaw_free(c->packed);
}

/* Results for n images, in runs of at most options.batch. */
static float *run_plan(const thaw_graph *graph, const int32_t *outputs, int32_t count, const char *isa,
                       thaw_plan_options options, const float *x, int32_t n) {
  plan_case c = make_plan(graph, outputs, count, isa, options);
  size_t in = thaw_shape_count(thaw_graph_view(graph, 0)->layer.output), out = thaw_plan_output_floats(c.plan);
  float *y = thaw_new((size_t)n * out, sizeof(float));
  for (int32_t i = 0; i < n; i += options.batch)
    thaw_plan_run(c.plan, x + (size_t)i * in, n - i < options.batch ? n - i : options.batch, y + (size_t)i * out);
  end_plan(&c);
  return y;
}

static size_t floats_of(const thaw_graph *graph, const int32_t *outputs, int32_t count) {
  size_t floats = 0;
  for (int32_t i = 0; i < count; i++) floats += thaw_shape_count(thaw_graph_view(graph, outputs[i])->layer.output);
  return floats;
}

/* Fused against layer by layer, and every variant of running it against the first, bit by bit. */
static void check_graph(thaw_graph *graph, const int32_t *outputs, int32_t count, double tolerance) {
  enum { N = 5 };
  size_t in = thaw_shape_count(thaw_graph_view(graph, 0)->layer.output), all = N * floats_of(graph, outputs, count);
  float *x = thaw_new(N * in, sizeof(float));
  test_fill(x, N * in, 99, -1, 1);
  float *fused = run_plan(graph, outputs, count, NULL, (thaw_plan_options){.batch = N, .threads = 1}, x, N);
  float *plain =
      run_plan(graph, outputs, count, NULL, (thaw_plan_options){.batch = N, .threads = 1, .no_fusion = true}, x, N);
  double difference = thaw_test_relative_l2(fused, plain, all);
  if (!(difference < tolerance)) fail_msg("fused and plain differ by %g", difference);
  float *other = run_plan(graph, outputs, count, NULL, (thaw_plan_options){.batch = 1, .threads = 1}, x, N);
  assert_memory_equal(other, fused, all * sizeof(float));
  thaw_free(other);
  other = run_plan(graph, outputs, count, NULL, (thaw_plan_options){.batch = 4, .threads = 2}, x, N);
  assert_memory_equal(other, fused, all * sizeof(float));
  thaw_free(other);
  for (int i = 0; i < 2; i++) {
    const char *name = i ? "avx512" : "avx2";
    if (!isa_of(name)) continue;
    other = run_plan(graph, outputs, count, name, (thaw_plan_options){.batch = 3, .threads = 1}, x, N);
    assert_memory_equal(other, fused, all * sizeof(float));
    thaw_free(other);
  }
  thaw_free(plain);
  thaw_free(fused);
  thaw_free(x);
}

static void check_last(thaw_graph *graph) {
  int32_t last = thaw_graph_count(graph) - 1;
  assert_thaw_ok(thaw_graph_bind(graph));
  test_randomize(graph);
  check_graph(graph, &last, 1, 3e-6);
  thaw_graph_destroy(graph);
}

static void test_convolution_chains(void **state) {
  (void)state;
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(19, 17, 3), &g));
  int32_t at =
      test_add(g, "zero_padding", &(thaw_padding2d_config){.top = 3, .bottom = 2, .left = 1, .right = 0}, NULL, 0);
  at = test_conv(g, at, 10, 7, 2, THAW_VALID, THAW_LINEAR);
  at = test_activation(g, test_norm(g, at), THAW_RELU);
  at = test_add(g, "zero_padding", &(thaw_padding2d_config){.top = 1, .bottom = 1, .left = 1, .right = 1}, NULL, at);
  at = test_pool(g, at, "max_pooling", 3, 2, THAW_VALID);
  thaw_conv2d_config depthwise = {.kernel_h = 3, .stride_h = 1, .padding = THAW_SAME};
  at = test_add(g, "depthwise_conv2d", &depthwise, NULL, at);
  at = test_add(g, "re_lu", &(thaw_re_lu_config){.max_value = 6}, NULL, test_norm(g, at));
  at = test_conv(g, at, 12, 3, 1, THAW_SAME, THAW_SWISH);
  at = test_pool(g, at, "max_pooling", 2, 2, THAW_VALID);
  at = test_conv(g, at, 4, 1, 1, THAW_VALID, THAW_SIGMOID);
  check_last(g);
}

static void test_residual_and_heads(void **state) {
  (void)state;
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(8, 8, 4), &g));
  int32_t stem = test_conv(g, 0, 16, 3, 1, THAW_SAME, THAW_RELU);
  int32_t branch = test_norm(g, test_conv(g, stem, 16, 3, 1, THAW_SAME, THAW_LINEAR));
  int32_t sum = test_activation(g, test_join(g, "add", stem, branch), THAW_RELU);
  int32_t twice = test_join(g, "add", sum, sum);                      /* one value added to itself */
  int32_t norm = test_activation(g, test_norm(g, twice), THAW_RELU6); /* batch-norm without a convolution */
  int32_t tanh = test_activation(g, norm, THAW_TANH);                 /* no fused form */
  int32_t more = test_join(g, "add", test_conv(g, tanh, 16, 1, 1, THAW_VALID, THAW_LINEAR), tanh);
  int32_t pooled = test_add(g, "global_average_pooling", NULL, NULL, more);
  pooled = test_dense(g, test_add(g, "dropout", &(thaw_dropout_config){.rate = 0.5}, NULL, pooled), 9, THAW_RELU);
  test_dense(g, pooled, 5, THAW_SOFTMAX);
  check_last(g);
}

/* Dense blocks, a concatenation inside another, a part that two of them want, an input that is a part. */
static void test_concatenations(void **state) {
  (void)state;
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(6, 7, 3), &g));
  int32_t block = test_conv(g, 0, 8, 3, 1, THAW_SAME, THAW_LINEAR);
  for (int i = 0; i < 3; i++) {
    int32_t at = test_activation(g, test_norm(g, block), THAW_RELU);
    at = test_activation(g, test_norm(g, test_conv(g, at, 16, 1, 1, THAW_VALID, THAW_LINEAR)), THAW_RELU);
    block = test_join(g, "concatenate", block, test_conv(g, at, 6, 3, 1, THAW_SAME, THAW_LINEAR));
  }
  int32_t pooled = test_pool(g, block, "average_pooling", 3, 1, THAW_SAME);
  int32_t maximum = test_pool(g, block, "max_pooling", 3, 1, THAW_SAME);
  int32_t both = test_join(g, "concatenate", pooled, maximum);
  int32_t again = test_join(g, "concatenate", maximum, 0);
  int32_t all = test_join(g, "concatenate", both, again);
  test_activation(g, test_norm(g, all), THAW_RELU);
  check_last(g);
}

static void test_several_outputs(void **state) {
  (void)state;
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(9, 8, 3), &g));
  int32_t first = test_conv(g, 0, 8, 3, 1, THAW_SAME, THAW_LINEAR);
  int32_t norm = test_norm(g, first);
  int32_t relu = test_activation(g, norm, THAW_RELU);
  int32_t second = test_conv(g, relu, 8, 3, 2, THAW_SAME, THAW_RELU);
  int32_t wide = test_join(g, "concatenate", relu, first);
  int32_t flat = test_add(g, "flatten", NULL, NULL, second);
  assert_thaw_ok(thaw_graph_bind(g));
  test_randomize(g);
  check_graph(g, (int32_t[]){relu, wide, flat}, 3, 3e-6);
  check_graph(g, (int32_t[]){first, second}, 2, 3e-6);
  check_graph(g, (int32_t[]){norm}, 1, 3e-6);
  check_graph(g, (int32_t[]){0, relu}, 2, 3e-6);
  check_graph(g, (int32_t[]){flat}, 1, 3e-6);
  thaw_graph_destroy(g);
}

static void check_network(const char *name, int32_t size, const char *cut) {
  thaw_graph *g;
  int32_t last;
  assert_thaw_ok(thaw_zoo_build(name, test_map(size, size, 3), cut, &g, &last));
  assert_thaw_ok(thaw_graph_bind(g));
  test_randomize(g);
  check_graph(g, &last, 1, 1e-5);
  thaw_graph_destroy(g);
}

static void test_networks(void **state) {
  (void)state;
  check_network("vgg16", 32, "block4_conv2");
  check_network("mobilenetv2", 64, NULL);
  check_network("mobilenetv2", 37, "block_6_depthwise_BN");
  check_network("resnet50", 48, "conv4_block1_2_relu");
  check_network("densenet121", 33, "conv4_block3_concat");
}

static int32_t count_ops(const thaw_plan *plan, const char *algorithm) {
  int32_t count = 0;
  for (int32_t i = 0; i < thaw_plan_op_count(plan); i++)
    count += strstr(thaw_plan_op_view(plan, i)->algorithm, algorithm) != NULL;
  return count;
}

/* What must be gone: padding, batch-norm, activation, addition, pooling where convolutions take them in. */
static void test_fusion(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int32_t ops, affine, added, pooled, prologues;
  } expected[] = {{"vgg16", 13, 0, 0, 5, 0},
                  {"resnet50", 54, 0, 16, 0, 0},
                  {"mobilenetv2", 35, 0, 10, 0, 0}, /* depthwise convolutions go into those that read them */
                  /* 120 convolutions, 4 + 1 poolings and the last norm, 58 concatenations that copy nothing */
                  {"densenet121", 183, 1, 0, 0, 61}};
  for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
    thaw_graph *g;
    int32_t last;
    thaw_plan *plan;
    thaw_plan_options options = {.batch = 8, .threads = 1};
    assert_thaw_ok(thaw_zoo_build(expected[i].name, test_map(224, 224, 3), NULL, &g, &last));
    assert_thaw_ok(thaw_plan_create(g, &last, 1, isa_of(NULL), &options, &plan));
    assert_int_equal(thaw_plan_op_count(plan), expected[i].ops);
    assert_int_equal(count_ops(plan, "affine"), expected[i].affine);
    assert_int_equal(count_ops(plan, "+add"), expected[i].added);
    assert_int_equal(count_ops(plan, "+pool"), expected[i].pooled);
    assert_int_equal(count_ops(plan, " pre"), expected[i].prologues);
    assert_true((double)thaw_plan_activation_bytes(plan) <= 1.1 * (double)thaw_plan_lower_bound_bytes(plan));
    assert_true(thaw_plan_activation_bytes(plan) >= thaw_plan_lower_bound_bytes(plan));
    thaw_plan_destroy(plan);
    thaw_graph_destroy(g);
  }
}

static void test_no_allocation(void **state) {
  (void)state;
  thaw_graph *g;
  int32_t last;
  assert_thaw_ok(thaw_zoo_build("mobilenetv2", test_map(64, 64, 3), NULL, &g, &last));
  assert_thaw_ok(thaw_graph_bind(g));
  test_randomize(g);
  plan_case c = make_plan(g, &last, 1, NULL, (thaw_plan_options){.batch = 2, .threads = 2});
  float *x = thaw_new(2 * 64 * 64 * 3, sizeof(float)),
        *y = thaw_new(2 * thaw_plan_output_floats(c.plan), sizeof(float));
  thaw_plan_run(c.plan, x, 2, y);
  struct mallinfo2 before = mallinfo2();
  for (int i = 0; i < 3; i++) thaw_plan_run(c.plan, x, 2, y);
  struct mallinfo2 after = mallinfo2();
  assert_int_equal(before.uordblks, after.uordblks);
  assert_int_equal(before.hblkhd, after.hblkhd);
  end_plan(&c);
  thaw_free(x);
  thaw_free(y);
  thaw_graph_destroy(g);
}

/* The packed block is all that a plan reads: the parameters may go, and the block may move. */
static void test_parameters_may_go(void **state) {
  (void)state;
  thaw_graph *g;
  assert_thaw_ok(thaw_graph_create(test_map(8, 8, 3), &g));
  int32_t at = test_norm(g, test_conv(g, 0, 8, 3, 1, THAW_SAME, THAW_LINEAR));
  at = test_dense(g, test_add(g, "flatten", NULL, NULL, at), 7, THAW_TANH);
  assert_thaw_ok(thaw_graph_bind(g));
  test_randomize(g);
  plan_case c = make_plan(g, &at, 1, NULL, (thaw_plan_options){.batch = 1, .threads = 1});
  float x[8 * 8 * 3], y[7], z[7];
  test_fill(x, 8 * 8 * 3, 5, -1, 1);
  thaw_plan_run(c.plan, x, 1, y);
  bool constant[] = {true, true, true, true, true};
  thaw_graph_release_constant(g, constant);
  void *moved = thaw_new(thaw_plan_packed_bytes(c.plan), 1);
  memcpy(moved, c.packed, thaw_plan_packed_bytes(c.plan));
  memset(c.packed, 0xff, thaw_plan_packed_bytes(c.plan));
  thaw_plan_use(c.plan, moved);
  thaw_plan_run(c.plan, x, 1, z);
  assert_memory_equal(y, z, sizeof y);
  end_plan(&c);
  thaw_free(moved);
  thaw_graph_destroy(g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_convolution_chains), cmocka_unit_test(test_residual_and_heads),
      cmocka_unit_test(test_concatenations),     cmocka_unit_test(test_several_outputs),
      cmocka_unit_test(test_networks),           cmocka_unit_test(test_fusion),
      cmocka_unit_test(test_no_allocation),      cmocka_unit_test(test_parameters_may_go),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
