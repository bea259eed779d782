/* ONNX models that PyTorch and others wrote, against onnxruntime (make_onnx.py), and models that must be refused. */
#include "thaw_test.h"

#include "thaw/file.h"
#include "thaw/memory.h"
#include "thaw/weights.h"

#include <stdlib.h>
#include <unistd.h>

static const char folder[] = THAW_TEST_DATA "/models/";

/* The network's result for the image sin(i); returns how many numbers. */
static size_t compute(thaw_graph *graph, int32_t last, const char *path, float *y, size_t most) {
  char digest[65];
  const thaw_isa *isa;
  thaw_plan *plan;
  assert_thaw_ok(thaw_graph_bind(graph));
  assert_thaw_ok(thaw_weights_load(graph, path, NULL, digest));
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_plan_create(graph, &last, 1, isa, &(thaw_plan_options){.batch = 1, .threads = 1}, &plan));
  size_t inputs = thaw_shape_count(thaw_graph_view(graph, 0)->layer.output), outputs = thaw_plan_output_floats(plan);
  void *packed = thaw_new(thaw_plan_packed_bytes(plan), 1);
  float *x = thaw_new(inputs, sizeof *x);
  assert_true(packed && x && outputs <= most);
  assert_thaw_ok(thaw_plan_pack(plan, packed));
  thaw_plan_use(plan, packed);
  for (size_t i = 0; i < inputs; i++) x[i] = (float)sin((double)i);
  thaw_plan_run(plan, x, 1, y);
  thaw_free(x);
  thaw_free(packed);
  thaw_plan_destroy(plan);
  return outputs;
}

static void check_golden(const char *name) {
  enum { MOST = 64 };
  float y[MOST], expected[MOST];
  char path[512];
  thaw_graph *graph;
  int h, w;
  int32_t last;
  snprintf(path, sizeof path, "%s%s.txt", folder, name);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%d %d", &h, &w), 2);
  snprintf(path, sizeof path, "%s%s.onnx", folder, name);
  thaw_shape input = {.rank = 3, .h = h, .w = w, .c = 3};
  assert_thaw_ok(thaw_weights_read_model(path, &input, NULL, &graph, &last));
  size_t count = compute(graph, last, path, y, MOST);
  for (size_t i = 0; i < count; i++) assert_int_equal(fscanf(file, "%f", &expected[i]), 1);
  fclose(file);
  double error = thaw_test_relative_l2(y, expected, count);
  if (!(error <= 1e-5)) fail_msg("%s: relative error %.3g", name, error);
  thaw_graph_destroy(graph);
}

static void test_golden(void **state) {
  (void)state;
  check_golden("torch_mixed");
  check_golden("torch_program");
  check_golden("torch_more");
  check_golden("hand_made");
}

/* By a layer's name, a node's, or a value's; the head then goes on top, and what follows does not matter. */
static void test_cut(void **state) {
  (void)state;
  static const char *const names[] = {"norm2", "/norm2/BatchNormalization", "/norm2/BatchNormalization_output_0"};
  char path[512];
  snprintf(path, sizeof path, "%storch_mixed.onnx", folder);
  for (size_t i = 0; i < 3; i++) {
    thaw_graph *graph;
    int32_t last;
    thaw_shape other = {.rank = 3, .h = 30, .w = 22, .c = 3};
    assert_thaw_ok(thaw_weights_read_model(path, &other, names[i], &graph, &last));
    assert_string_equal(thaw_graph_view(graph, last)->layer.name, "norm2");
    assert_int_equal(thaw_graph_view(graph, last)->layer.output.h, 15);
    assert_int_equal(thaw_graph_view(graph, last)->layer.output.c, 20);
    float *y = thaw_new(15 * 11 * 20, sizeof *y);
    assert_non_null(y);
    assert_int_equal(compute(graph, last, path, y, 15 * 11 * 20), 15 * 11 * 20);
    thaw_free(y);
    thaw_graph_destroy(graph);
  }
  snprintf(path, sizeof path, "%sbad_operator.onnx", folder);
  thaw_graph *graph;
  int32_t last;
  assert_thaw_ok(thaw_weights_read_model(path, NULL, "conv", &graph, &last));
  thaw_graph_destroy(graph);
  assert_thaw_fails(thaw_weights_read_model(path, NULL, "convolution", &graph, &last), THAW_ERR_DATA, "'celu' (Celu)");
  snprintf(path, sizeof path, "%storch_mixed.onnx", folder);
  assert_thaw_fails(thaw_weights_read_model(path, NULL, "norm3", &graph, &last), THAW_ERR_USAGE, "no layer 'norm3'");
}

static thaw_status read_and_load(const char *path) {
  thaw_graph *graph;
  int32_t last;
  char digest[65];
  THAW_TRY(thaw_weights_read_model(path, NULL, NULL, &graph, &last));
  thaw_status status = thaw_graph_bind(graph);
  if (status == THAW_OK) status = thaw_weights_load(graph, path, NULL, digest);
  thaw_graph_destroy(graph);
  return status;
}

static void test_bad_models(void **state) {
  (void)state;
  static const struct {
    const char *name, *message;
  } bad[] = {
      {"operator", "node 1 'celu' (Celu): this operator is not supported"},
      {"cycle", "node 0 'a' (Add): reads 'b', which no node before it makes"},
      {"inputs", "several inputs ('image', 'image1')"},
      {"dilation", "node 0 'conv' (Conv): dilations are not supported"},
      {"rank", "has 2 dimensions, expected 4"},
      {"channels", "do not fit an input of 4 channels"},
      {"nan", "layer 'conv': kernel: element 2 is nan"},
      {"size", "tensor 'kernel' holds 6 values, its shape says 12"},
      {"absurd", "its size is absurd"},
      {"negative", "its size is absurd"},
      {"outside", "which is not in the model's folder"},
      {"path", "which is not in the model's folder"},
      {"missing", "which is not in the model's folder"},
      {"short", "is it complete?"},
  };
  char path[512];
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    snprintf(path, sizeof path, "%sbad_%s.onnx", folder, bad[i].name);
    assert_thaw_fails(read_and_load(path), THAW_ERR_DATA, bad[i].message);
  }
}

static void write_bytes(const char *path, const char *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  fclose(file);
}

/* Parts of a model are refused; changed models are refused or read, and nothing worse. */
static void test_damaged_models(void **state) {
  (void)state;
  char path[512], *bytes;
  size_t size;
  snprintf(path, sizeof path, "%storch_mixed.onnx", folder);
  assert_thaw_ok(thaw_file_read(path, 1 << 20, &bytes, &size));
  for (size_t cut = 0; cut < size; cut += 61) {
    write_bytes("test_damaged.onnx", bytes, cut);
    assert_int_equal(read_and_load("test_damaged.onnx"), THAW_ERR_DATA);
  }
  for (size_t at = 0; at < size; at += 13) {
    char was = bytes[at];
    bytes[at] = (char)(bytes[at] ^ 1 << at % 8);
    write_bytes("test_damaged.onnx", bytes, size);
    thaw_status status = read_and_load("test_damaged.onnx");
    assert_true(status == THAW_OK || status == THAW_ERR_DATA || status == THAW_ERR_USAGE);
    bytes[at] = was;
  }
  unlink("test_damaged.onnx");
  thaw_free(bytes);
}

/* Every layer type out and in again; that others read the same is onnx_compare's affair. */
static void test_export(void **state) {
  (void)state;
  enum { MOST = 1 << 16 };
  static const char *const models[] = {"all_layers.keras", "torch_mixed.onnx", "torch_more.onnx"};
  static float expected[MOST], y[MOST];
  const thaw_strings classes = {.item = (char *[]){(char *)"left \"one\"", (char *)"right"}, .count = 2};
  const thaw_export_options options = {.name = "test", .preprocessing = "caffe", .classes = &classes};
  char path[512];
  for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
    thaw_graph *graph, *back;
    int32_t last;
    thaw_model_facts facts;
    snprintf(path, sizeof path, "%s%s", folder, models[i]);
    assert_thaw_ok(thaw_weights_read_model(path, NULL, NULL, &graph, &last));
    size_t count = compute(graph, last, path, expected, MOST);
    assert_thaw_ok(thaw_weights_export_onnx(graph, "test_export.onnx", &options));
    assert_thaw_ok(thaw_weights_read_model("test_export.onnx", NULL, NULL, &back, &last));
    assert_int_equal(compute(back, last, "test_export.onnx", y, MOST), count);
    double error = thaw_test_relative_l2(y, expected, count);
    if (!(error <= 1e-6)) fail_msg("%s: relative error %.3g", models[i], error);
    for (int32_t n = 1; n < thaw_graph_count(graph); n++) { /* layers with weights keep their names */
      const thaw_layer *layer = &thaw_graph_view(graph, n)->layer;
      if (layer->params == 0 || strstr("separable_conv2d normalization", layer->ops->schema->name)) continue;
      char linear[256];
      snprintf(linear, sizeof linear, "%s.linear", layer->name);
      if (thaw_graph_find(back, layer->name) < 1 && thaw_graph_find(back, linear) < 1)
        fail_msg("%s: layer '%s' has another name", models[i], layer->name);
    }
    assert_thaw_ok(thaw_weights_read_facts("test_export.onnx", &facts));
    assert_string_equal(facts.preprocessing, "caffe");
    assert_int_equal(facts.classes.count, 2);
    assert_string_equal(facts.classes.item[0], "left \"one\"");
    thaw_model_facts_clear(&facts);
    thaw_graph_destroy(graph);
    thaw_graph_destroy(back);
  }
  unlink("test_export.onnx");
}

static void test_describe(void **state) {
  (void)state;
  char path[512];
  thaw_text text = {0};
  snprintf(path, sizeof path, "%shand_made.onnx", folder);
  assert_true(thaw_weights_recognize(path));
  assert_thaw_ok(thaw_weights_describe(path, &text));
  assert_non_null(strstr(text.data, "ONNX model, operators of version 10, 6 layers with weights"));
  assert_non_null(strstr(text.data, "float16"));
  thaw_text_clear(&text);
}

static int skip_without_onnx(void) {
  thaw_graph *graph;
  int32_t last;
  char path[512];
  snprintf(path, sizeof path, "%sbad_rank.onnx", folder);
  if (thaw_weights_read_model(path, NULL, NULL, &graph, &last) == THAW_OK || !strstr(thaw_message(), "without ONNX"))
    return 0;
  print_message("%s: skipped\n", thaw_message());
  return 77;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_golden),         cmocka_unit_test(test_cut),      cmocka_unit_test(test_bad_models),
      cmocka_unit_test(test_damaged_models), cmocka_unit_test(test_describe), cmocka_unit_test(test_export),
  };
  int skip = skip_without_onnx();
  return skip ? skip : cmocka_run_group_tests(tests, NULL, NULL);
}
