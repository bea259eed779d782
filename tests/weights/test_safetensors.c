/* safetensors: a network that PyTorch wrote and computed, and files that must be refused. */
#include "thaw_test.h"

#include "thaw/memory.h"
#include "thaw/weights.h"
#include "thaw/zoo.h"

#include <stdlib.h>
#include <unistd.h>

enum { OUTPUTS = 6 * 5 * 4 };

static int32_t add(thaw_graph *graph, const char *type, const char *name, const void *config) {
  int32_t last = thaw_graph_count(graph) - 1, node;
  assert_thaw_ok(thaw_graph_add(graph, type, config, name, &last, 1, &node));
  return node;
}

static thaw_graph *small_network(int32_t filters) {
  thaw_graph *graph;
  thaw_conv2d_config conv = {.filters = filters, .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1};
  conv.padding = THAW_SAME;
  assert_thaw_ok(thaw_graph_create((thaw_shape){.rank = 3, .h = 6, .w = 5, .c = 3}, &graph));
  add(graph, "conv2d", "conv", &conv);
  add(graph, "batch_normalization", "norm",
      &(thaw_batch_norm_config){.momentum = 0.9, .epsilon = 1e-5, .center = true, .scale = true});
  add(graph, "depthwise_conv2d", "depthwise", &conv);
  conv = (thaw_conv2d_config){.filters = 4, .kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1};
  conv.use_bias = true;
  add(graph, "conv2d", "last", &conv);
  assert_thaw_ok(thaw_graph_bind(graph));
  return graph;
}

static void test_against_torch(void **state) {
  (void)state;
  char digest[65];
  const thaw_isa *isa;
  thaw_plan *plan;
  thaw_graph *graph = small_network(8);
  int32_t last = thaw_graph_count(graph) - 1;
  float x[6 * 5 * 3], y[OUTPUTS], expected[OUTPUTS];
  assert_thaw_ok(thaw_weights_load(graph, THAW_TEST_DATA "/torch_small.safetensors", NULL, digest));
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_plan_create(graph, &last, 1, isa, &(thaw_plan_options){.batch = 1, .threads = 1}, &plan));
  void *packed = thaw_new(thaw_plan_packed_bytes(plan), 1);
  assert_non_null(packed);
  assert_thaw_ok(thaw_plan_pack(plan, packed));
  thaw_plan_use(plan, packed);
  for (int i = 0; i < 6 * 5 * 3; i++) x[i] = (float)sin(i);
  thaw_plan_run(plan, x, 1, y);
  FILE *file = fopen(THAW_TEST_DATA "/torch_small.txt", "r");
  assert_non_null(file);
  for (int i = 0; i < OUTPUTS; i++) assert_int_equal(fscanf(file, "%f", &expected[i]), 1);
  fclose(file);
  assert_true(thaw_test_relative_l2(y, expected, OUTPUTS) < 1e-6);
  thaw_plan_destroy(plan);
  thaw_free(packed);
  thaw_graph_destroy(graph);
}

/* ------------------------------------------------------------------ bad files */

static const char *const bad_path = "test_bad.safetensors";

/* A file with this header and so many bytes of values, all of them `fill`. */
static void write_file(const char *header, size_t announced, size_t bytes, int fill) {
  FILE *file = fopen(bad_path, "wb");
  assert_non_null(file);
  for (int i = 0; i < 8; i++) fputc((int)(announced >> 8 * i & 255), file);
  fwrite(header, 1, strlen(header), file);
  for (size_t i = 0; i < bytes; i++) fputc(fill, file);
  fclose(file);
}

static void check_refused(const char *header, size_t bytes, int fill, const char *message) {
  thaw_graph *graph = small_network(8);
  char digest[65];
  write_file(header, strlen(header), bytes, fill);
  assert_thaw_fails(thaw_weights_load(graph, bad_path, NULL, digest), THAW_ERR_DATA, message);
  unlink(bad_path);
  thaw_graph_destroy(graph);
}

#define TENSOR(dtype, shape, begin, end)                                                                               \
  "{\"dtype\": \"" dtype "\", \"shape\": " shape ", \"data_offsets\": [" #begin ", " #end "]}"

static void test_bad_files(void **state) {
  (void)state;
  check_refused("{\"conv.weight\": ", 0, 0, "JSON is broken");
  check_refused("[1]", 0, 0, "it is no object");
  check_refused("{}", 0, 0, "no layer with weights");
  check_refused("{\"a.weight\": " TENSOR("F99", "[2]", 0, 8) "}", 8, 0, "'F99' is not known");
  check_refused("{\"a.weight\": " TENSOR("F32", "[-2]", 0, 8) "}", 8, 0, "shape is not a list");
  check_refused("{\"a.weight\": " TENSOR("F32", "[1,1,1,1,1,1,2]", 0, 8) "}", 8, 0, "shape is not a list");
  check_refused("{\"a.weight\": " TENSOR("F32", "[4611686018427387904,4]", 0, 8) "}", 8, 0, "shape is not a list");
  check_refused("{\"a.weight\": " TENSOR("F32", "[2]", 8, 0) "}", 8, 0, "two ascending numbers");
  check_refused("{\"a.weight\": " TENSOR("F32", "[2]", 0, 12) "}", 12, 0, "take 8 bytes, its data_offsets say 12");
  check_refused("{\"a.weight\": " TENSOR("F32", "[2]", 0, 8) ", \"a.bias\": " TENSOR("F32", "[2]", 4, 12) "}", 12, 0,
                "begins at byte 4, but the one before it ends at 8");
  check_refused("{\"a.weight\": " TENSOR("F32", "[2]", 0, 8) ", \"a.bias\": " TENSOR("F32", "[2]", 12, 20) "}", 20, 0,
                "begins at byte 12, but the one before it ends at 8");
  check_refused("{\"a.weight\": " TENSOR("F32", "[2]", 0, 8) ", \"a.weight\": " TENSOR("F32", "[2]", 0, 8) "}", 8, 0,
                "JSON is broken");
  check_refused("{\"a.weight\": " TENSOR("F32", "[2]", 0, 8) "}", 5, 0, "is the download complete");
  check_refused("{\"conv.weight\": " TENSOR("F32", "[8, 3, 3, 3]", 0, 864) "}", 864, 0, "has no layer 'norm'");
  check_refused("{\"conv.weight\": " TENSOR("I32", "[8, 3, 3, 3]", 0, 864) "}", 864, 0, "has no layer 'norm'");
  check_refused("{\"first.weight\": " TENSOR("F32", "[8, 3, 5, 5]", 0, 2400) "}", 2400, 0, "has no layer 'norm'");
}

static void test_short_files(void **state) {
  (void)state;
  thaw_graph *graph = small_network(8);
  char digest[65];
  write_file("", 0, 0, 0);
  assert_int_equal(truncate(bad_path, 3), 0);
  assert_thaw_fails(thaw_weights_load(graph, bad_path, NULL, digest), THAW_ERR_DATA, "shorter than 8 bytes");
  write_file("{\"a\"", 4000, 0, 0);
  assert_thaw_fails(thaw_weights_load(graph, bad_path, NULL, digest), THAW_ERR_DATA, "is the download complete");
  write_file("{\"a\"", (size_t)-1, 0, 0);
  assert_thaw_fails(thaw_weights_load(graph, bad_path, NULL, digest), THAW_ERR_DATA, "is the download complete");
  unlink(bad_path);
  thaw_graph_destroy(graph);
}

/* Each first part of a good file is refused, and so is each with one byte of the header changed or read as it is. */
static void test_damaged_files(void **state) {
  (void)state;
  enum { MOST = 1 << 14 };
  static unsigned char good[MOST];
  FILE *file = fopen(THAW_TEST_DATA "/torch_small.safetensors", "rb");
  assert_non_null(file);
  size_t size = fread(good, 1, MOST, file);
  fclose(file);
  thaw_graph *graph = small_network(8);
  char digest[65];
  for (size_t cut = 0; cut < size; cut += 7) {
    file = fopen(bad_path, "wb");
    assert_non_null(file);
    fwrite(good, 1, cut, file);
    fclose(file);
    assert_int_equal(thaw_weights_load(graph, bad_path, NULL, digest), THAW_ERR_DATA);
  }
  for (size_t at = 0; at < 1000 && at < size; at++) {
    unsigned char was = good[at];
    good[at] ^= 1u << at % 8;
    file = fopen(bad_path, "wb");
    assert_non_null(file);
    fwrite(good, 1, size, file);
    fclose(file);
    thaw_status status = thaw_weights_load(graph, bad_path, NULL, digest);
    assert_true(status == THAW_OK || status == THAW_ERR_DATA);
    good[at] = was;
  }
  unlink(bad_path);
  thaw_graph_destroy(graph);
}

static void test_wrong_shape_and_values(void **state) {
  (void)state;
  char digest[65];
  thaw_graph *graph = small_network(16);
  assert_thaw_fails(thaw_weights_load(graph, THAW_TEST_DATA "/torch_small.safetensors", NULL, digest), THAW_ERR_DATA,
                    "layer 'conv': kernel: expected shape (3, 3, 3, 16), found (3, 3, 3, 8)");
  thaw_graph_destroy(graph);
  graph = NULL;
  assert_thaw_ok(thaw_graph_create((thaw_shape){.rank = 3, .h = 6, .w = 5, .c = 3}, &graph));
  add(graph, "conv2d", "conv",
      &(thaw_conv2d_config){.filters = 8, .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1});
  assert_thaw_ok(thaw_graph_bind(graph));
  const char *header = "{\"conv.weight\": " TENSOR("F32", "[8, 3, 3, 3]", 0, 864) "}";
  write_file(header, strlen(header), 864, 255);
  assert_thaw_fails(thaw_weights_load(graph, bad_path, NULL, digest), THAW_ERR_DATA, "layer 'conv': conv.weight");
  header = "{\"conv.weight\": " TENSOR("I32", "[8, 3, 3, 3]", 0, 864) "}";
  write_file(header, strlen(header), 864, 0);
  assert_thaw_fails(thaw_weights_load(graph, bad_path, NULL, digest), THAW_ERR_DATA, "holds int32");
  unlink(bad_path);
  thaw_graph_destroy(graph);
}

static void test_describe(void **state) {
  (void)state;
  thaw_text text = {0};
  assert_true(thaw_weights_recognize(THAW_TEST_DATA "/torch_small.safetensors"));
  assert_true(thaw_weights_are_torch(THAW_TEST_DATA "/torch_small.safetensors"));
  assert_thaw_ok(thaw_weights_describe(THAW_TEST_DATA "/torch_small.safetensors", &text));
  assert_non_null(strstr(text.data, "safetensors with PyTorch's names, 4 layers with weights"));
  assert_non_null(strstr(text.data, "bfloat16"));
  assert_non_null(strstr(text.data, "(3, 3, 3, 8)"));
  thaw_text_clear(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_torch), cmocka_unit_test(test_bad_files),
      cmocka_unit_test(test_short_files),   cmocka_unit_test(test_damaged_files),
      cmocka_unit_test(test_describe),      cmocka_unit_test(test_wrong_shape_and_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
