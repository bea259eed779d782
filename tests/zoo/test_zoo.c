/* The architectures against keras.applications' counts, shapes and names. */
#include "thaw_test.h"

#include "thaw/zoo.h"

typedef struct expectation {
  const char *name;
  int32_t layers; /* of the Keras model, input included */
  int64_t parameters;
  int32_t h, c;         /* last map at the default size */
  double gmac;          /* at the default size */
  const char *some[10]; /* names that must exist */
} expectation;

static const expectation expected[] = {
    {"vgg16", 19, 14714688, 7, 512, 15.35, {"block1_conv1", "block3_pool", "block5_conv3", "block5_pool"}},
    {"vgg19", 22, 20024384, 7, 512, 19.51, {"block3_conv4", "block5_conv4"}},
    {"resnet50",
     175,
     23587712,
     7,
     2048,
     3.86,
     {"conv1_pad", "conv1_conv", "pool1_pool", "conv2_block1_0_conv", "conv3_block4_2_bn", "conv5_block3_out"}},
    {"mobilenetv2",
     154,
     2257984,
     7,
     1280,
     0.30,
     {"Conv1", "bn_Conv1", "expanded_conv_depthwise", "block_1_pad", "block_10_project_BN", "block_13_expand_relu",
      "block_16_project_BN", "Conv_1_bn", "out_relu"}},
    {"densenet121",
     427,
     7037504,
     7,
     1024,
     2.83,
     {"zero_padding2d", "conv1_conv", "zero_padding2d_1", "conv2_block1_0_bn", "conv4_block24_concat", "pool4_pool",
      "bn", "relu"}},
};

static thaw_shape square(int32_t size) {
  return (thaw_shape){.rank = 3, .h = size, .w = size, .c = 3};
}

static double convolution_gmac(const thaw_graph *graph) {
  double flops = 0;
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    const thaw_layer *layer = &thaw_graph_view(graph, i)->layer;
    if (layer->ops == &thaw_layer_conv2d || layer->ops == &thaw_layer_depthwise_conv2d)
      flops += layer->ops->flops(layer);
  }
  return flops / 2e9;
}

static void test_spellings(void **state) {
  (void)state;
  const char *spelling[] = {"mobilenetv2", "mobilenet_v2", "MobileNetV2"};
  for (size_t i = 0; i < 3; i++) assert_string_equal(thaw_architecture_find(spelling[i])->title, "MobileNetV2");
  const char *wrong[] = {"mobilenetv", "mobilenetv22", "", "vgg"};
  for (size_t i = 0; i < 4; i++) assert_null(thaw_architecture_find(wrong[i]));
}

static void test_architectures(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
    const expectation *e = &expected[i];
    const thaw_architecture *architecture = thaw_architecture_find(e->name);
    thaw_graph *graph;
    int32_t last;
    assert_non_null(architecture);
    assert_thaw_ok(thaw_zoo_build(e->name, square(architecture->default_size), NULL, &graph, &last));
    assert_int_equal(thaw_graph_count(graph), e->layers);
    assert_int_equal(last, e->layers - 1);
    assert_int_equal(thaw_graph_param_count(graph, false), e->parameters);
    assert_int_equal(architecture->parameters, e->parameters);
    assert_int_equal(thaw_graph_param_count(graph, true), 0);
    thaw_shape shape = thaw_graph_view(graph, last)->layer.output;
    assert_int_equal(shape.h, e->h);
    assert_int_equal(shape.w, e->h);
    assert_int_equal(shape.c, e->c);
    assert_true(fabs(convolution_gmac(graph) - e->gmac) < 0.01 * e->gmac + 0.005);
    for (int32_t j = 0; j < 10 && e->some[j]; j++) assert_true(thaw_graph_find(graph, e->some[j]) > 0);
    thaw_graph_destroy(graph);
  }
}

static void test_cut(void **state) {
  (void)state;
  thaw_graph *graph;
  int32_t last;
  assert_thaw_ok(thaw_zoo_build("mobilenetv2", square(224), "block_10_project_BN", &graph, &last));
  assert_string_equal(thaw_graph_view(graph, last)->layer.name, "block_10_project_BN");
  assert_int_equal(last, thaw_graph_count(graph) - 1);
  assert_int_equal(thaw_graph_param_count(graph, false), 317120);
  thaw_graph_destroy(graph);
  /* A layer inside a residual block: the branch that it does not depend on goes. */
  assert_thaw_ok(thaw_zoo_build("resnet50", square(64), "conv2_block1_3_bn", &graph, &last));
  assert_int_equal(thaw_graph_find(graph, "conv2_block1_0_conv"), -1);
  assert_true(thaw_graph_find(graph, "conv2_block1_3_conv") > 0);
  assert_int_equal(thaw_graph_view(graph, last)->layer.index, last);
  thaw_graph_destroy(graph);
}

static void test_errors(void **state) {
  (void)state;
  thaw_graph *graph;
  int32_t last;
  assert_thaw_fails(thaw_zoo_build("vgg61", square(224), NULL, &graph, &last), THAW_ERR_USAGE, "vgg16");
  assert_thaw_fails(thaw_zoo_build("transformer", square(224), NULL, &graph, &last), THAW_ERR_USAGE, "densenet121");
  assert_thaw_fails(thaw_zoo_build("vgg16", square(31), NULL, &graph, &last), THAW_ERR_USAGE, "32x32");
  assert_thaw_fails(thaw_zoo_build("vgg16", square(64), "block4_pol", &graph, &last), THAW_ERR_USAGE, "block4_pool");
  assert_null(graph);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_architectures),
      cmocka_unit_test(test_spellings),
      cmocka_unit_test(test_cut),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
