/* Weight files that people have by mistake: of another network, with a classification top, in other types. (What is cut
 * off is in bad_input.sh; NaN and broken files in the tests of each format.) */
#include "thaw_test.h"

#include "thaw/memory.h"
#include "thaw/weights.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/thaw-bad-input-XXXXXX";
static const thaw_shape image = {.rank = 3, .h = 32, .w = 32, .c = 3};

static thaw_graph *build(const char *architecture, const char *cut) {
  thaw_graph *graph;
  int32_t last;
  assert_thaw_ok(thaw_zoo_build(architecture, image, cut, &graph, &last));
  assert_thaw_ok(thaw_graph_bind(graph));
  return graph;
}

/* A file of the architecture's weights, random; thaw_free. */
static char *write_weights(const char *architecture, const char *cut) {
  char *path = thaw_path_join(folder, "weights.h5");
  thaw_graph *graph = build(architecture, cut);
  thaw_graph_initialize(graph, 1, false);
  assert_thaw_ok(thaw_weights_save(graph, path, false));
  thaw_graph_destroy(graph);
  return path;
}

static void expect(const char *architecture, const char *cut, const char *path, const char *refusal) {
  thaw_graph *graph = build(architecture, cut);
  char digest[65];
  if (refusal)
    assert_thaw_fails(thaw_weights_load(graph, path, NULL, digest), THAW_ERR_DATA, refusal);
  else
    assert_thaw_ok(thaw_weights_load(graph, path, NULL, digest));
  thaw_graph_destroy(graph);
}

static void wrong_architecture(void **state) {
  (void)state;
  char *path = write_weights("mobilenetv2_0.35", NULL);
  expect("vgg16", NULL, path, "the file holds MobileNetV2");
  expect("mobilenetv2", NULL, path, "layer 'Conv1': kernel: expected shape (3, 3, 3, 32), found (3, 3, 3, 16)");
  expect("mobilenetv2_0.35", "block_3_project_BN", path, NULL);
  thaw_free(path);
  path = write_weights("vgg16", "block4_pool");
  expect("vgg16", NULL, path, "has no layer 'block5_conv1' (10 of the network's 13 layers found");
  expect("vgg16", "block3_pool", path, NULL);
  thaw_free(path);
}

/* Every layer is there, by name and shape, but between them are some that the network has not. */
static void larger_network_of_the_family(void **state) {
  (void)state;
  char *path = write_weights("vgg19", "block4_conv4");
  expect("vgg16", "block4_conv3", path,
         "it holds VGG19, whose layer 'block3_conv4' before 'block4_conv3' has no place");
  expect("vgg16", "block3_conv3", path, NULL); /* nothing of VGG19 is missing up to there */
  expect("vgg19", "block4_conv1", path, NULL);
  thaw_free(path);
  path = write_weights("resnet34", NULL);
  expect("resnet18", NULL, path, "whose layer 'layer1.2.conv1' before 'layer4.1.bn2' has no place");
  expect("resnet18", "layer1.1.relu_1", path, NULL);
  thaw_free(path);
  path = write_weights("efficientnetb1", NULL);
  expect("efficientnetb0", NULL, path, "it holds EfficientNetB1");
  thaw_free(path);
  path = write_weights("resnet50", "conv3_block1_out");
  expect("resnet50", "conv2_block3_1_relu", path, NULL); /* inside a block: its shortcut is not needed */
  expect("resnet50", "conv3_block1_2_relu", path, NULL);
  thaw_free(path);
}

static void top_is_left_aside(void **state) {
  (void)state;
  static const char said[] = "its classification top (2 dense layers) is left aside";
  thaw_graph *graph;
  int32_t node;
  char *path = thaw_path_join(folder, "top.h5"), *text = NULL, digest[65];
  size_t size;
  assert_thaw_ok(thaw_zoo_build("vgg16", image, "block1_pool", &graph, &node));
  assert_thaw_ok(thaw_graph_add(graph, "flatten", NULL, "flatten", &node, 1, &node));
  assert_thaw_ok(
      thaw_graph_add(graph, "dense", &(thaw_dense_config){.units = 4, .use_bias = true}, "fc1", &node, 1, &node));
  assert_thaw_ok(thaw_graph_add(graph, "dense", &(thaw_dense_config){.units = 3, .use_bias = true}, "predictions",
                                &node, 1, &node));
  assert_thaw_ok(thaw_graph_bind(graph));
  thaw_graph_initialize(graph, 1, false);
  assert_thaw_ok(thaw_weights_export(graph, path, NULL));
  thaw_graph_destroy(graph);

  FILE *stream = open_memstream(&text, &size);
  thaw_log *log;
  assert_non_null(stream);
  assert_thaw_ok(thaw_log_create(stream, THAW_NORMAL, &log));
  graph = build("vgg16", "block1_pool");
  assert_thaw_ok(thaw_weights_load(graph, path, log, digest));
  thaw_graph_destroy(graph);
  thaw_log_destroy(log);
  fclose(stream);
  if (!strstr(text, said)) fail_msg("'%s' lacks '%s'", text, said);
  free(text);
  thaw_free(path);
}

/* ------------------------------------------------------------------ types, in safetensors (of HDF5: test_weights.c) */

/* One tensor of one kernel, shape [2, 1, 1, 1]; `bytes` are its values. */
static char *write_kernel(const char *dtype, const void *bytes, size_t size) {
  char *path = thaw_path_join(folder, "types.safetensors"), header[128] = {0};
  snprintf(header + 8, sizeof header - 8,
           "{\"conv.weight\": {\"dtype\": \"%s\", \"shape\": [2, 1, 1, 1], \"data_offsets\": [0, %zu]}}", dtype, size);
  size_t length = strlen(header + 8);
  header[0] = (char)length;
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  fwrite(header, 1, 8 + length, file);
  fwrite(bytes, 1, size, file);
  assert_int_equal(fclose(file), 0);
  return path;
}

static void check_kernel(const char *dtype, const void *bytes, size_t size, float first, float second) {
  thaw_graph *graph;
  int32_t node = 0;
  const thaw_conv2d_config conv = {.filters = 2, .kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1};
  char *path = write_kernel(dtype, bytes, size), digest[65];
  assert_thaw_ok(thaw_graph_create((thaw_shape){.rank = 3, .h = 4, .w = 4, .c = 1}, &graph));
  assert_thaw_ok(thaw_graph_add(graph, "conv2d", &conv, "conv", &node, 1, &node));
  assert_thaw_ok(thaw_graph_bind(graph));
  if (isnan(first)) {
    assert_thaw_fails(thaw_weights_load(graph, path, NULL, digest), THAW_ERR_DATA,
                      "layer 'conv': conv.weight: element 0");
  } else {
    assert_thaw_ok(thaw_weights_load(graph, path, NULL, digest));
    const float *value = thaw_graph_view(graph, 1)->layer.param[0].value;
    assert_true(value[0] == first && value[1] == second);
  }
  thaw_graph_destroy(graph);
  thaw_free(path);
}

static void types_are_converted(void **state) {
  (void)state;
  check_kernel("F32", (const float[]){1.5f, -0.1f}, 8, 1.5f, -0.1f);
  check_kernel("F64", (const double[]){1.5, -0.1}, 16, 1.5f, -0.1f);
  check_kernel("F16", (const uint16_t[]){0x3e00, 0x0001}, 4, 1.5f, ldexpf(1, -24)); /* the smallest half */
  check_kernel("BF16", (const uint16_t[]){0x3fc0, 0xbdcd}, 4, 1.5f, -0.10009765625f);
  check_kernel("F16", (const uint16_t[]){0x7e00, 0x3e00}, 4, NAN, 0);
  check_kernel("BF16", (const uint16_t[]){0x7fc0, 0x3fc0}, 4, NAN, 0);
  check_kernel("F64", (const double[]){1e300, 1}, 16, NAN, 0); /* no float32 holds it */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wrong_architecture),
      cmocka_unit_test(larger_network_of_the_family),
      cmocka_unit_test(top_is_left_aside),
      cmocka_unit_test(types_are_converted),
  };
  if (!mkdtemp(folder)) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  char *command = thaw_format("rm -rf '%s'", folder);
  if (system(command) != 0) failed++;
  thaw_free(command);
  return failed;
}
