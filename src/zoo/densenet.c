/* DenseNet121, 169 and 201 (Huang et al., 2016) with keras.applications' names. */
#include "zoo/builder.h"

enum { GROWTH = 32 };

static void norm_relu(thaw_builder *b, const char *norm, const char *relu) {
  thaw_build_batch_norm(b, norm);
  thaw_build_activation(b, relu, THAW_RELU);
}

static void block(thaw_builder *b) {
  int32_t input = b->last;
  norm_relu(b, "_0_bn", "_0_relu");
  thaw_build_conv(b, "_1_conv", (thaw_build_conv_options){.filters = 4 * GROWTH, .kernel = 1});
  norm_relu(b, "_1_bn", "_1_relu");
  thaw_build_conv(b, "_2_conv", (thaw_build_conv_options){.filters = GROWTH, .kernel = 3, .padding = THAW_SAME});
  thaw_build_join(b, "concatenate", "_concat", input, b->last);
}

static void transition(thaw_builder *b) {
  if (b->status != THAW_OK) return;
  int32_t channels = thaw_build_shape(b).c;
  norm_relu(b, "_bn", "_relu");
  thaw_build_conv(b, "_conv", (thaw_build_conv_options){.filters = channels / 2, .kernel = 1});
  thaw_pool2d_config pool = {.pool_h = 2, .pool_w = 2, .stride_h = 2, .stride_w = 2, .padding = THAW_VALID};
  thaw_build(b, "average_pooling", &pool, "_pool");
}

static thaw_status build(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out) {
  thaw_builder b = {.graph = graph, .epsilon = 1.001e-5, .momentum = 0.99};
  thaw_build_pad(&b, NULL, 3, 3, 3);
  thaw_build_conv(&b, "conv1_conv", (thaw_build_conv_options){.filters = 64, .kernel = 7, .stride = 2});
  norm_relu(&b, "conv1_bn", "conv1_relu");
  thaw_build_pad(&b, NULL, 1, 1, 1);
  thaw_build_max_pool(&b, "pool1", 3, 2);
  for (int32_t stage = 0; stage < 4; stage++) {
    for (int32_t i = 0; i < self->depth[stage]; i++) {
      thaw_build_prefix(&b, "conv%d_block%d", stage + 2, i + 1);
      block(&b);
    }
    if (stage == 3) break;
    thaw_build_prefix(&b, "pool%d", stage + 2);
    transition(&b);
  }
  thaw_build_prefix(&b, "%s", "");
  norm_relu(&b, "bn", "relu");
  *last_out = b.last;
  return b.status;
}

const thaw_architecture thaw_densenet121 = {.name = "densenet121",
                                            .title = "DenseNet121",
                                            .preprocessing = THAW_PREPROCESS_TORCH,
                                            .default_size = 224,
                                            .minimum_size = 32,
                                            .parameters = 7037504,
                                            .weights_url = "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                            .depth = {6, 12, 24, 16},
                                            .build = build};
const thaw_architecture thaw_densenet169 = {.name = "densenet169",
                                            .title = "DenseNet169",
                                            .preprocessing = THAW_PREPROCESS_TORCH,
                                            .default_size = 224,
                                            .minimum_size = 32,
                                            .parameters = 12642880,
                                            .weights_url = "densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                            .depth = {6, 12, 32, 32},
                                            .build = build};
const thaw_architecture thaw_densenet201 = {.name = "densenet201",
                                            .title = "DenseNet201",
                                            .preprocessing = THAW_PREPROCESS_TORCH,
                                            .default_size = 224,
                                            .minimum_size = 32,
                                            .parameters = 18321984,
                                            .weights_url = "densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                            .depth = {6, 12, 48, 32},
                                            .build = build};
