/* ResNet50, 101 and 152 (He et al., 2015) as keras.applications builds it: the stride is on the first 1x1 convolution
 * and every convolution has a bias. Layers come in the order of Keras' model.layers. */
#include "zoo/builder.h"

static void conv(thaw_builder *b, const char *name, int32_t filters, int32_t kernel, int32_t stride) {
  thaw_build_conv(b, name,
                  (thaw_build_conv_options){.filters = filters,
                                            .kernel = kernel,
                                            .stride = stride,
                                            .padding = kernel == 3 ? THAW_SAME : THAW_VALID,
                                            .use_bias = true});
}

static void block(thaw_builder *b, int32_t filters, int32_t stride, bool projects) {
  int32_t shortcut = b->last, input = b->last;
  conv(b, "_1_conv", filters, 1, stride);
  thaw_build_batch_norm(b, "_1_bn");
  thaw_build_activation(b, "_1_relu", THAW_RELU);
  conv(b, "_2_conv", filters, 3, 1);
  thaw_build_batch_norm(b, "_2_bn");
  thaw_build_activation(b, "_2_relu", THAW_RELU);
  int32_t middle = b->last;
  if (projects) {
    b->last = input;
    conv(b, "_0_conv", 4 * filters, 1, stride);
    shortcut = b->last;
    b->last = middle;
  }
  conv(b, "_3_conv", 4 * filters, 1, 1);
  int32_t third = b->last;
  if (projects) {
    b->last = shortcut;
    thaw_build_batch_norm(b, "_0_bn");
    shortcut = b->last;
    b->last = third;
  }
  thaw_build_batch_norm(b, "_3_bn");
  thaw_build_join(b, "add", "_add", shortcut, b->last);
  thaw_build_activation(b, "_out", THAW_RELU);
}

static thaw_status build(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out) {
  static const int32_t filters[4] = {64, 128, 256, 512};
  thaw_builder b = {.graph = graph, .epsilon = 1.001e-5, .momentum = 0.99};
  thaw_build_pad(&b, "conv1_pad", 3, 3, 3);
  conv(&b, "conv1_conv", 64, 7, 2);
  thaw_build_batch_norm(&b, "conv1_bn");
  thaw_build_activation(&b, "conv1_relu", THAW_RELU);
  thaw_build_pad(&b, "pool1_pad", 1, 1, 1);
  thaw_build_max_pool(&b, "pool1_pool", 3, 2);
  for (int32_t stage = 0; stage < 4; stage++)
    for (int32_t i = 0; i < self->depth[stage]; i++) {
      thaw_build_prefix(&b, "conv%d_block%d", stage + 2, i + 1);
      block(&b, filters[stage], i == 0 && stage > 0 ? 2 : 1, i == 0);
    }
  *last_out = b.last;
  return b.status;
}

const thaw_architecture thaw_resnet50 = {.name = "resnet50",
                                         .title = "ResNet50",
                                         .preprocessing = THAW_PREPROCESS_CAFFE,
                                         .default_size = 224,
                                         .minimum_size = 32,
                                         .parameters = 23587712,
                                         .weights_url = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                         .depth = {3, 4, 6, 3},
                                         .build = build};
const thaw_architecture thaw_resnet101 = {.name = "resnet101",
                                          .title = "ResNet101",
                                          .preprocessing = THAW_PREPROCESS_CAFFE,
                                          .default_size = 224,
                                          .minimum_size = 32,
                                          .parameters = 42658176,
                                          .weights_url = "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                          .depth = {3, 4, 23, 3},
                                          .build = build};
const thaw_architecture thaw_resnet152 = {.name = "resnet152",
                                          .title = "ResNet152",
                                          .preprocessing = THAW_PREPROCESS_CAFFE,
                                          .default_size = 224,
                                          .minimum_size = 32,
                                          .parameters = 58370944,
                                          .weights_url = "resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                          .depth = {3, 8, 36, 3},
                                          .build = build};
