/* Real pre-trained networks, weights file to features, against outputs that others computed (see shared/weights). */
#include "thaw_test.h"

#include "thaw/digest.h"
#include "thaw/file.h"
#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/weights.h"
#include "thaw/zoo.h"

#include <stdlib.h>

/* Agreed limits: relative L2 error, and largest absolute error relative to the largest expected value. */
static const double relative_limit = 1e-5, absolute_limit = 1e-3;

typedef struct network {
  thaw_graph *graph;
  thaw_plan *plan;
  void *packed;
} network;

static char *shared_file(const char *name) {
  char *path = thaw_path_join(THAW_SHARED_DATA "/weights", name);
  if (thaw_file_exists(path)) return path;
  print_message("%s is missing: skipped\n", path);
  thaw_free(path);
  return NULL;
}

static float *read_floats(thaw_h5 *h5, const char *dataset, size_t count) {
  float *value = thaw_new(count, sizeof *value);
  assert_non_null(value);
  assert_thaw_ok(thaw_h5_read(h5, dataset, THAW_H5_F32, (int64_t)count, value));
  return value;
}

static network open_network(const char *architecture, const char *weights, const char *output, const char *isa_name,
                            int32_t batch) {
  network net = {0};
  int32_t last;
  const thaw_isa *isa;
  char digest[THAW_DIGEST_TEXT];
  thaw_shape input = {.rank = 3, .h = 224, .w = 224, .c = 3};
  assert_thaw_ok(thaw_zoo_build(architecture, input, output, &net.graph, &last));
  assert_thaw_ok(thaw_graph_bind(net.graph));
  assert_thaw_ok(thaw_weights_load(net.graph, weights, NULL, digest));
  assert_thaw_ok(thaw_isa_select(isa_name, &isa));
  thaw_plan_options options = {.batch = batch, .threads = 1};
  assert_thaw_ok(thaw_plan_create(net.graph, &last, 1, isa, &options, &net.plan));
  net.packed = thaw_new(1, thaw_plan_packed_bytes(net.plan));
  assert_non_null(net.packed);
  assert_thaw_ok(thaw_plan_pack(net.plan, net.packed));
  thaw_plan_use(net.plan, net.packed);
  return net;
}

static void close_network(network *net) {
  thaw_plan_destroy(net->plan);
  thaw_free(net->packed);
  thaw_graph_destroy(net->graph);
}

static void assert_close(const char *what, const float *found, const float *expected, size_t count) {
  double largest = 0;
  for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)expected[i]));
  double relative = thaw_test_relative_l2(found, expected, count);
  double absolute = thaw_test_max_difference(found, expected, count) / largest;
  print_message("%s: relative L2 error %.2e, largest error %.2e of the largest value\n", what, relative, absolute);
  assert_true(relative <= relative_limit);
  assert_true(absolute <= absolute_limit);
}

/* Runs `test` for each variant that this CPU has. */
static void on_every_cpu(void (*test)(const char *isa)) {
  static const char *const names[] = {"avx2", "avx512"};
  for (int i = 0; i < 2; i++) {
    const thaw_isa *isa;
    if (thaw_isa_select(names[i], &isa) == THAW_OK)
      test(names[i]);
    else
      print_message("%s: %s\n", names[i], thaw_message());
  }
}

/* RGB 0..255 -> BGR minus ImageNet's means, as keras.applications.vgg16 does. */
static float *caffe_input(const float *rgb, size_t pixels) {
  static const float mean[3] = {103.939f, 116.779f, 123.68f};
  float *out = thaw_new(3 * pixels, sizeof *out);
  assert_non_null(out);
  for (size_t i = 0; i < pixels; i++)
    for (size_t c = 0; c < 3; c++) out[3 * i + c] = rgb[3 * i + 2 - c] - mean[c];
  return out;
}

enum { PIXELS = 224 * 224 };

static float *vgg_images(thaw_h5 *h5) {
  uint8_t *image = thaw_new((size_t)2 * PIXELS * 3, 1);
  float *rgb = thaw_new((size_t)2 * PIXELS * 3, sizeof *rgb);
  assert_true(image && rgb);
  assert_thaw_ok(thaw_h5_read(h5, "/images", THAW_H5_U8, 2 * PIXELS * 3, image));
  for (size_t i = 0; i < (size_t)2 * PIXELS * 3; i++) rgb[i] = image[i];
  float *input = caffe_input(rgb, (size_t)2 * PIXELS);
  thaw_free(image);
  thaw_free(rgb);
  return input;
}

static void vgg16_on(const char *isa) {
  char *weights = shared_file("vgg16_imagenet_notop.h5"), *golden = shared_file("vgg16_imagenet_golden.h5");
  if (!weights || !golden) skip();
  thaw_h5 *h5;
  assert_thaw_ok(thaw_h5_open(golden, &h5));
  float *x = vgg_images(h5), *expected = read_floats(h5, "/block5_pool", (size_t)2 * 49 * 512);
  float *y = thaw_new((size_t)2 * 49 * 512, sizeof *y);
  network net = open_network("vgg16", weights, NULL, isa, 2);
  thaw_plan_run(net.plan, x, 2, y);
  assert_close(isa, y, expected, (size_t)2 * 49 * 512);
  close_network(&net);
  thaw_h5_close(h5);
  thaw_free(x);
  thaw_free(y);
  thaw_free(expected);
  thaw_free(weights);
  thaw_free(golden);
}

static void vgg16(void **state) {
  (void)state;
  on_every_cpu(vgg16_on);
}

/* Means over the pixels of earlier layers: the cut works in the middle, too. */
static void vgg16_layer(const char *layer, const char *dataset, size_t pixels, size_t channels) {
  char *weights = shared_file("vgg16_imagenet_notop.h5"), *golden = shared_file("vgg16_imagenet_golden.h5");
  if (!weights || !golden) skip();
  thaw_h5 *h5;
  assert_thaw_ok(thaw_h5_open(golden, &h5));
  float *x = vgg_images(h5), *expected = read_floats(h5, dataset, 2 * channels);
  float *y = thaw_new(2 * pixels * channels, sizeof *y), *mean = thaw_new(2 * channels, sizeof *mean);
  network net = open_network("vgg16", weights, layer, NULL, 2);
  thaw_plan_run(net.plan, x, 2, y);
  for (size_t n = 0; n < 2; n++)
    for (size_t c = 0; c < channels; c++) {
      double sum = 0;
      for (size_t p = 0; p < pixels; p++) sum += y[(n * pixels + p) * channels + c];
      mean[n * channels + c] = (float)(sum / (double)pixels);
    }
  assert_close(layer, mean, expected, 2 * channels);
  close_network(&net);
  thaw_h5_close(h5);
  thaw_free(x);
  thaw_free(y);
  thaw_free(mean);
  thaw_free(expected);
  thaw_free(weights);
  thaw_free(golden);
}

static void vgg16_cut_earlier(void **state) {
  (void)state;
  vgg16_layer("block1_conv1", "/block1_conv1_mean", PIXELS, 64);
  vgg16_layer("block3_pool", "/block3_pool_mean", 28 * 28, 256);
  vgg16_layer("block4_pool", "/block4_pool_mean", 14 * 14, 512);
}

static void mobilenet_v2_on(const char *isa) {
  char *weights = shared_file("mobilenet_v2_nsfwjs_1.0_224_notop_gz.h5");
  char *golden = shared_file("mobilenet_v2_nsfwjs_golden.h5");
  if (!weights || !golden) skip();
  thaw_h5 *h5;
  assert_thaw_ok(thaw_h5_open(golden, &h5));
  float *x = read_floats(h5, "/input", (size_t)4 * PIXELS * 3);
  float *expected = read_floats(h5, "/output", (size_t)4 * 49 * 1280), *y = thaw_new((size_t)4 * 49 * 1280, sizeof *y);
  network net = open_network("mobilenetv2", weights, NULL, isa, 4);
  thaw_plan_run(net.plan, x, 4, y);
  assert_close(isa, y, expected, (size_t)4 * 49 * 1280);
  close_network(&net);
  thaw_h5_close(h5);
  thaw_free(x);
  thaw_free(y);
  thaw_free(expected);
  thaw_free(weights);
  thaw_free(golden);
}

static void mobilenet_v2(void **state) {
  (void)state;
  on_every_cpu(mobilenet_v2_on);
}

/* The file that ends at block 10 fits a network cut there, to the same bits as the whole file, and no longer one. */
static void mobilenet_v2_cut_file(void **state) {
  (void)state;
  char *weights = shared_file("mobilenet_v2_imagenet_1.0_224_to_block10.h5");
  char *whole = shared_file("mobilenet_v2_nsfwjs_1.0_224_notop_gz.h5");
  if (!weights || !whole) skip();
  thaw_graph *graph;
  int32_t last;
  thaw_shape input = {.rank = 3, .h = 224, .w = 224, .c = 3};
  char digest[THAW_DIGEST_TEXT], same[THAW_DIGEST_TEXT];
  assert_thaw_ok(thaw_zoo_build("mobilenetv2", input, "block_10_project_BN", &graph, &last));
  assert_thaw_ok(thaw_graph_bind(graph));
  assert_thaw_ok(thaw_weights_load(graph, whole, NULL, same));
  assert_thaw_ok(thaw_weights_load(graph, weights, NULL, digest));
  assert_string_equal(digest, same);
  thaw_graph_destroy(graph);
  assert_thaw_ok(thaw_zoo_build("mobilenetv2", input, NULL, &graph, &last));
  assert_thaw_ok(thaw_graph_bind(graph));
  assert_thaw_fails(thaw_weights_load(graph, weights, NULL, digest), THAW_ERR_DATA,
                    "has no layer 'block_11_expand' (66 of the network's 104 layers found; the file holds MobileNetV2 "
                    "up to block_10_project_BN, 66 of 104 layers)");
  thaw_graph_destroy(graph);
  assert_thaw_ok(thaw_zoo_build("vgg16", input, NULL, &graph, &last));
  assert_thaw_ok(thaw_graph_bind(graph));
  assert_thaw_fails(thaw_weights_load(graph, whole, NULL, digest), THAW_ERR_DATA,
                    "layer 'block1_conv1' from the file's 'Conv1': kernel: expected shape (3, 3, 3, 64), found (3, 3, "
                    "3, 32) (matched by order, since no layer name matches; the file holds MobileNetV2)");
  thaw_graph_destroy(graph);
  thaw_free(weights);
  thaw_free(whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vgg16),
      cmocka_unit_test(vgg16_cut_earlier),
      cmocka_unit_test(mobilenet_v2),
      cmocka_unit_test(mobilenet_v2_cut_file),
  };
  if (!thaw_folder_exists(THAW_SHARED_DATA "/weights")) {
    print_message("%s is missing: skipped\n", THAW_SHARED_DATA "/weights");
    return 77;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
