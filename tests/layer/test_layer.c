/* Shapes, names, options, initialisers and random masks of layers. */
#include "thaw_test.h"

#include "thaw/graph.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

static thaw_shape map(int32_t h, int32_t w, int32_t c) {
  return (thaw_shape){.rank = 3, .h = h, .w = w, .c = c};
}

static void test_names(void **state) {
  (void)state;
  static const char *const expected[][2] = {{"GlobalAveragePooling2D", "global_average_pooling2d"},
                                            {"ReLU", "re_lu"},
                                            {"Dense", "dense"},
                                            {"DepthwiseConv2D", "depthwise_conv2d"},
                                            {"BatchNormalization", "batch_normalization"},
                                            {"ZeroPadding2D", "zero_padding2d"}};
  char name[64];
  for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
    const thaw_layer_ops *ops = thaw_layer_find_keras(expected[i][0]);
    assert_non_null(ops);
    assert_string_equal(thaw_layer_auto_name(ops, name), expected[i][1]);
  }
  assert_null(thaw_layer_find("densse"));
  assert_ptr_equal(thaw_layer_find("dense"), &thaw_layer_dense);
}

static void test_automatic_names_in_a_graph(void **state) {
  (void)state;
  thaw_graph *graph;
  int32_t last = 0;
  thaw_dense_config dense = {.units = 4, .use_bias = true};
  assert_thaw_ok(thaw_graph_create(map(2, 2, 3), &graph));
  assert_thaw_ok(thaw_graph_add(graph, "flatten", NULL, NULL, &last, 1, &last));
  assert_thaw_ok(thaw_graph_add(graph, "dense", &dense, NULL, &last, 1, &last));
  assert_thaw_ok(thaw_graph_add(graph, "dense", &dense, NULL, &last, 1, &last));
  assert_string_equal(thaw_graph_view(graph, 2)->layer.name, "dense");
  assert_string_equal(thaw_graph_view(graph, 3)->layer.name, "dense_1");
  assert_thaw_fails(thaw_graph_add(graph, "dense", &dense, "dense_1", &last, 1, NULL), THAW_ERR_USAGE, "dense_1");
  assert_thaw_fails(thaw_graph_add(graph, "global_average_pooling", NULL, NULL, &last, 1, NULL), THAW_ERR_USAGE,
                    "(None, 4)");
  thaw_graph_destroy(graph);
}

static void test_shape_errors(void **state) {
  (void)state;
  thaw_graph *graph;
  int32_t input = 0, small, both[2];
  assert_thaw_ok(thaw_graph_create(map(4, 4, 3), &graph));
  thaw_pool2d_config pool = {.pool_h = 5};
  assert_thaw_fails(thaw_graph_add(graph, "max_pooling", &pool, NULL, &input, 1, NULL), THAW_ERR_USAGE, "5x5");
  pool.pool_h = 2;
  assert_thaw_ok(thaw_graph_add(graph, "max_pooling", &pool, NULL, &input, 1, &small));
  both[0] = input;
  both[1] = small;
  assert_thaw_fails(thaw_graph_add(graph, "add", NULL, NULL, both, 2, NULL), THAW_ERR_USAGE, "(None, 2, 2, 3)");
  assert_thaw_fails(thaw_graph_add(graph, "concatenate", NULL, NULL, both, 2, NULL), THAW_ERR_USAGE, "(None, 2, 2, 3)");
  assert_thaw_fails(thaw_graph_add(graph, "add", NULL, NULL, both, 1, NULL), THAW_ERR_USAGE, "inputs");
  thaw_conv2d_config conv = {.filters = 0, .kernel_h = 3, .stride_h = 1};
  assert_thaw_fails(thaw_graph_add(graph, "conv2d", &conv, NULL, &input, 1, NULL), THAW_ERR_USAGE, "filters");
  assert_thaw_fails(thaw_graph_add(graph, "transformer", NULL, NULL, &input, 1, NULL), THAW_ERR_USAGE, "transformer");
  thaw_graph_destroy(graph);
}

/* Glorot's limit and variance, He's truncated variance; the same numbers every time; other layers, other numbers. */
static void test_initializers(void **state) {
  (void)state;
  thaw_graph *graph;
  int32_t last = 0;
  static const int32_t kinds[] = {THAW_GLOROT_UNIFORM, THAW_HE_NORMAL};
  assert_thaw_ok(thaw_graph_create((thaw_shape){.rank = 1, .h = 1, .w = 1, .c = 200}, &graph));
  for (int i = 0; i < 3; i++) {
    thaw_dense_config dense = {.units = 200, .use_bias = true, .kernel_initializer = kinds[i % 2]};
    assert_thaw_ok(thaw_graph_add(graph, "dense", &dense, NULL, &last, 1, &last));
  }
  assert_thaw_ok(thaw_graph_bind(graph));
  thaw_graph_initialize(graph, 7, false);
  for (int32_t i = 1; i <= 2; i++) {
    const thaw_param *kernel = &thaw_graph_view(graph, i)->layer.param[0];
    double sum = 0, square = 0, largest = 0;
    for (size_t j = 0; j < 40000; j++) {
      sum += kernel->value[j];
      square += (double)kernel->value[j] * kernel->value[j];
      largest = fmax(largest, fabs((double)kernel->value[j]));
    }
    double variance = i == 1 ? 2.0 / 400 : 2.0 / 200;
    double limit = i == 1 ? sqrt(6.0 / 400) : 2 * sqrt(variance) / 0.87962566103423978;
    assert_true(fabs(sum / 40000) < 4 * sqrt(variance / 40000));
    assert_true(fabs(square / 40000 / variance - 1) < 0.03);
    assert_true(largest <= limit * (1 + 1e-6) && largest > 0.98 * limit);
  }
  const float *first = thaw_graph_view(graph, 1)->layer.param[0].value;
  assert_true(memcmp(first, thaw_graph_view(graph, 3)->layer.param[0].value, 40000 * sizeof(float)) != 0);
  float before = first[123];
  thaw_graph_initialize(graph, 8, false);
  assert_true(first[123] != before);
  thaw_graph_initialize(graph, 7, false);
  assert_true(first[123] == before);
  thaw_graph_destroy(graph);
}

/* A mask depends on the sample, not on its place in a slice; kept values are scaled; the rate is met. */
static void test_dropout(void **state) {
  const thaw_isa *isa;
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  (void)state;
  enum { N = 40, WIDTH = 101 };
  thaw_dropout_config config = {.rate = 0.3};
  thaw_layer layer = {.ops = &thaw_layer_dropout, .name = "dropout", .config = &config, .index = 5, .inputs = 1};
  layer.input[0] = layer.output = (thaw_shape){.rank = 1, .h = 1, .w = 1, .c = WIDTH};
  static float x[N * WIDTH], y[N * WIDTH], other[N * WIDTH], dx[N * WIDTH];
  static uint32_t saved[N * WIDTH];
  uint64_t sample[N];
  for (int i = 0; i < N * WIDTH; i++) x[i] = 1 + (float)i;
  for (int i = 0; i < N; i++) sample[i] = 1000 + 7 * (uint64_t)i;
  const float *input = x;
  float *target = dx;
  thaw_layer_io io = {.isa = isa,
                      .x = &input,
                      .y = y,
                      .saved = saved,
                      .n = N,
                      .sample = sample,
                      .seed = 3,
                      .epoch = 2,
                      .training = true,
                      .batch = N};
  layer.ops->forward(&layer, &io);
  int kept = 0;
  for (int i = 0; i < N * WIDTH; i++) {
    if (y[i] == 0) continue;
    kept++;
    assert_true(fabsf(y[i] - x[i] / 0.7f) < 1e-6f * x[i]);
  }
  assert_true(fabs(kept / (double)(N * WIDTH) - 0.7) < 0.04);
  layer.ops->backward(&layer, &io, x, &target, NULL);
  assert_memory_equal(dx, y, sizeof y);
  /* The last ten samples by themselves. */
  thaw_layer_io part = io;
  const float *tail = x + 30 * WIDTH;
  part.x = &tail;
  part.y = other;
  part.n = 10;
  part.sample = sample + 30;
  layer.ops->forward(&layer, &part);
  assert_memory_equal(other, y + 30 * WIDTH, 10 * WIDTH * sizeof(float));
  io.epoch = 3;
  io.y = other;
  layer.ops->forward(&layer, &io);
  assert_true(memcmp(other, y, sizeof y) != 0);
  io.training = false;
  layer.ops->forward(&layer, &io);
  assert_memory_equal(other, x, sizeof x);
}

typedef struct conv_results {
  float *y, *dx, *kernel, *bias;
} conv_results;

static conv_results run_conv(thaw_layer *layer, const thaw_isa *isa, thaw_arena *arena, int32_t n, const float *x,
                             const float *dy, bool winograd) {
  const thaw_layer_ops *ops = layer->ops;
  size_t out = (size_t)n * thaw_shape_count(layer->output);
  conv_results r = {.y = thaw_arena_new(arena, out, sizeof(float)),
                    .dx = thaw_arena_new(arena, (size_t)n * thaw_shape_count(layer->input[0]), sizeof(float)),
                    .kernel = thaw_arena_new(arena, thaw_param_count(&layer->param[0]), sizeof(float)),
                    .bias = thaw_arena_new(arena, thaw_param_count(&layer->param[1]), sizeof(float))};
  thaw_layer_io io = {.x = &x, .y = r.y, .n = n, .isa = isa, .training = true};
  io.scratch = thaw_arena_new(arena, ops->scratch_bytes(layer, isa, n), 1);
  io.saved = thaw_arena_new(arena, ops->saved_bytes(layer), (size_t)n);
  void *block = NULL;
  if (winograd) {
    assert_thaw_ok(ops->workspace_create(layer, isa, arena, true, &io.workspace));
    assert_non_null(io.workspace);
    block = thaw_arena_new(arena, ops->workspace_bytes(io.workspace), 1);
    ops->workspace_refresh(layer, io.workspace, false, block);
  }
  float *dx[] = {r.dx}, *gradient[] = {r.kernel, r.bias};
  ops->forward(layer, &io);
  if (winograd) ops->workspace_refresh(layer, io.workspace, true, block);
  float *dz = thaw_arena_new(arena, out, sizeof(float));
  memcpy(dz, dy, out * sizeof *dz);
  ops->activation_backward(layer, &io, dz);
  ops->backward(layer, &io, dz, dx, gradient);
  if (winograd) ops->workspace_destroy(io.workspace);
  return r;
}

static float *random_floats(thaw_arena *arena, size_t count, uint64_t stream) {
  thaw_draw position = {.seed = 3, .purpose = THAW_RNG_TEST, .sample = stream};
  float *out = thaw_arena_new(arena, count, sizeof(float));
  thaw_random_uniform(&position, out, (uint32_t)count);
  for (size_t i = 0; i < count; i++) out[i] -= 0.5f;
  return out;
}

/* Forward and both gradients in Winograd's domain against the matrix product of patches, and with every instruction set
 * the same bits. */
static void test_winograd(void **state) {
  (void)state;
  static const struct {
    int32_t h, w, c, k, padding, activation, n;
  } cases[] = {{14, 14, 32, 48, THAW_SAME, THAW_RELU, 3},
               {9, 6, 17, 19, THAW_VALID, THAW_LINEAR, 5},
               {3, 3, 16, 16, THAW_VALID, THAW_SWISH, 2},
               {7, 5, 40, 16, THAW_SAME, THAW_SIGMOID, 33},
               {28, 30, 16, 33, THAW_SAME, THAW_RELU6, 2}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    thaw_arena *arena = thaw_arena_create();
    const thaw_isa *isa, *other;
    thaw_conv2d_config config = {.filters = cases[i].k,
                                 .kernel_h = 3,
                                 .stride_h = 1,
                                 .padding = cases[i].padding,
                                 .activation = cases[i].activation,
                                 .use_bias = true};
    thaw_layer layer = {.ops = &thaw_layer_conv2d, .name = "conv", .config = &config, .inputs = 1};
    layer.input[0] = map(cases[i].h, cases[i].w, cases[i].c);
    int32_t n = cases[i].n;
    assert_thaw_ok(thaw_isa_select(NULL, &isa));
    assert_thaw_ok(layer.ops->infer(&layer, layer.input, 1, &layer.output));
    layer.param[0].value = random_floats(arena, thaw_param_count(&layer.param[0]), 1);
    layer.param[1].value = random_floats(arena, (size_t)cases[i].k, 2);
    size_t in = (size_t)n * thaw_shape_count(layer.input[0]), out = (size_t)n * thaw_shape_count(layer.output);
    size_t kernel = thaw_param_count(&layer.param[0]);
    float *x = random_floats(arena, in, 3), *dy = random_floats(arena, out, 4);
    conv_results plain = run_conv(&layer, isa, arena, n, x, dy, false);
    conv_results fast = run_conv(&layer, isa, arena, n, x, dy, true);
    assert_true(thaw_test_relative_l2(fast.y, plain.y, out) < 2e-6);
    /* A ReLU at zero may open in one and not in the other. */
    bool kinked = config.activation == THAW_RELU || config.activation == THAW_RELU6;
    assert_true(thaw_test_relative_l2(fast.dx, plain.dx, in) < (kinked ? 1e-2 : 2e-6));
    assert_true(thaw_test_relative_l2(fast.kernel, plain.kernel, kernel) < (kinked ? 1e-2 : 5e-6));
    if (thaw_isa_select("avx2", &other) == THAW_OK && other != isa) {
      conv_results narrow = run_conv(&layer, other, arena, n, x, dy, true);
      assert_memory_equal(narrow.y, fast.y, out * sizeof(float));
      assert_memory_equal(narrow.dx, fast.dx, in * sizeof(float));
      assert_memory_equal(narrow.kernel, fast.kernel, kernel * sizeof(float));
    }
    thaw_arena_destroy(arena);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),        cmocka_unit_test(test_automatic_names_in_a_graph),
      cmocka_unit_test(test_shape_errors), cmocka_unit_test(test_initializers),
      cmocka_unit_test(test_dropout),      cmocka_unit_test(test_winograd),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
