/* Whole Keras models into networks: every layer type, nested models, both file formats; Keras' own predictions. */
#include "thaw_test.h"

#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/weights.h"

#define MODELS THAW_TEST_DATA "/models/"

static float *read_floats(const char *dataset, size_t count) {
  thaw_h5 *h5;
  float *value = thaw_new(count, sizeof *value);
  assert_non_null(value);
  assert_thaw_ok(thaw_h5_open(MODELS "expected.h5", &h5));
  assert_thaw_ok(thaw_h5_read(h5, dataset, THAW_H5_F32, (int64_t)count, value));
  thaw_h5_close(h5);
  return value;
}

static void run(const thaw_graph *graph, const float *x, int32_t n, bool no_fusion, float *y) {
  const thaw_isa *isa;
  thaw_plan *plan;
  int32_t last = thaw_graph_count(graph) - 1;
  thaw_plan_options options = {.batch = n, .threads = 1, .no_fusion = no_fusion};
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_plan_create(graph, &last, 1, isa, &options, &plan));
  void *packed = thaw_new(thaw_plan_packed_bytes(plan), 1);
  assert_non_null(packed);
  assert_thaw_ok(thaw_plan_pack(plan, packed));
  thaw_plan_use(plan, packed);
  thaw_plan_run(plan, x, n, y);
  thaw_plan_destroy(plan);
  thaw_free(packed);
}

static void check_model(const char *file, const char *name) {
  enum { N = 3 };
  thaw_graph *graph;
  int32_t last;
  char digest[65], dataset[64];
  assert_thaw_ok(thaw_weights_read_model(file, NULL, NULL, &graph, &last));
  assert_thaw_ok(thaw_graph_bind(graph));
  assert_thaw_ok(thaw_weights_load(graph, file, NULL, digest));
  size_t in = thaw_shape_count(thaw_graph_view(graph, 0)->layer.output);
  size_t out = thaw_shape_count(thaw_graph_view(graph, last)->layer.output);
  snprintf(dataset, sizeof dataset, "/%s/x", name);
  float *x = read_floats(dataset, N * in), y[64] = {0};
  snprintf(dataset, sizeof dataset, "/%s/y", name);
  float *expected = read_floats(dataset, N * out);
  assert_true(N * out <= 64);
  for (int plain = 0; plain < 2; plain++) {
    run(graph, x, N, plain, y);
    double difference = thaw_test_max_difference(y, expected, N * out), largest = 1;
    for (size_t i = 0; i < N * out; i++) largest = fmax(largest, fabs((double)expected[i]));
    if (!(difference <= 1e-6 * largest)) fail_msg("%s: differs by %g", file, difference);
  }
  thaw_free(x);
  thaw_free(expected);
  thaw_graph_destroy(graph);
}

static void test_predictions(void **state) {
  (void)state;
  check_model(MODELS "all_layers.h5", "all_layers");
  check_model(MODELS "all_layers.keras", "all_layers");
  check_model(MODELS "more_layers.h5", "more_layers");
  check_model(MODELS "more_layers.keras", "more_layers");
  check_model(MODELS "shared.h5", "shared");
  check_model(MODELS "shared.keras", "shared");
  check_model(MODELS "nested.h5", "nested");
  check_model(MODELS "nested.keras", "nested");
}

static void test_cut_and_size(void **state) {
  (void)state;
  thaw_graph *graph;
  int32_t last;
  thaw_shape size = {.rank = 3, .h = 20, .w = 16, .c = 3};
  assert_thaw_ok(thaw_weights_read_model(MODELS "nested.keras", &size, "deep", &graph, &last));
  thaw_shape shape = thaw_graph_view(graph, last)->layer.output;
  assert_string_equal(thaw_graph_view(graph, last)->layer.name, "deep");
  assert_true(shape.h == 18 && shape.w == 14 && shape.c == 5);
  thaw_graph_destroy(graph);
}

static void test_refusals(void **state) {
  (void)state;
  thaw_graph *graph;
  int32_t last;
  assert_thaw_fails(thaw_weights_read_model(MODELS "unsupported.h5", NULL, NULL, &graph, &last), THAW_ERR_DATA,
                    "layer 2 'grow': layers of class Conv2DTranspose are not supported");
  assert_thaw_fails(thaw_weights_read_model(MODELS "shared_weights.keras", NULL, NULL, &graph, &last), THAW_ERR_DATA,
                    "layer 1 'twice' (Conv2D): is called several times, which is supported only for layers without "
                    "weights");
  assert_thaw_fails(thaw_weights_read_model(MODELS "nested.h5", NULL, "depp", &graph, &last), THAW_ERR_USAGE, "depp");
  assert_thaw_fails(thaw_weights_read_model(THAW_TEST_DATA "/keras3_flat.weights.h5", NULL, NULL, &graph, &last),
                    THAW_ERR_DATA, "model_config");
  assert_thaw_fails(thaw_weights_read_model(MODELS "missing.keras", NULL, NULL, &graph, &last), THAW_ERR_DATA,
                    "missing.keras");
  assert_null(graph);
}

/* What timm's adapt_input_conv does: the sum for one channel, repeated and scaled for five. */
static void test_channels(void **state) {
  (void)state;
  thaw_graph *graph[3];
  int32_t last, channels[] = {3, 1, 5};
  char digest[65];
  const float *kernel[3];
  for (int i = 0; i < 3; i++) {
    thaw_shape size = {.rank = 3, .h = 12, .w = 12, .c = channels[i]};
    assert_thaw_ok(thaw_weights_read_model(MODELS "nested.h5", &size, "stem", &graph[i], &last));
    assert_thaw_ok(thaw_graph_bind(graph[i]));
    assert_thaw_ok(thaw_weights_load(graph[i], MODELS "nested.h5", NULL, digest));
    kernel[i] = thaw_graph_view(graph[i], last)->layer.param[0].value;
  }
  for (size_t p = 0; p < 9; p++)
    for (size_t k = 0; k < 5; k++) {
      const float *colour = kernel[0] + p * 15 + k;
      assert_true(fabs((double)kernel[1][p * 5 + k] - (colour[0] + colour[5] + colour[10])) < 1e-6);
      for (size_t c = 0; c < 5; c++)
        assert_true(fabs((double)kernel[2][p * 25 + c * 5 + k] - colour[c % 3 * 5] * 0.6) < 1e-6);
    }
  for (int i = 0; i < 3; i++) thaw_graph_destroy(graph[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_predictions),
      cmocka_unit_test(test_cut_and_size),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_channels),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
