/* ResNet50V2, 101V2 and 152V2 (He et al., "Identity mappings in deep residual networks", 2016) as keras.applications
 * builds them: batch-norm and ReLU come before the convolutions, the stride is in the last block of a stage, and there
 * is a 1x1 max pooling as shortcut. */
#include "zoo/builder.h"

typedef struct block_options {
  int32_t filters, stride;
  bool projects;
} block_options;

static void block(thaw_builder *b, block_options o) {
  int32_t input = b->last, shortcut = input;
  thaw_build_batch_norm(b, "_preact_bn");
  thaw_build_activation(b, "_preact_relu", THAW_RELU);
  int32_t preact = b->last;
  if (o.projects) {
    thaw_build_conv(b, "_0_conv", (thaw_build_conv_options){.filters = 4 * o.filters, .kernel = 1, .use_bias = true});
    shortcut = b->last;
  } else if (o.stride > 1) {
    b->last = input;
    thaw_build_max_pool(b, NULL, 1, o.stride);
    shortcut = b->last;
  }
  b->last = preact;
  thaw_build_conv(b, "_1_conv", (thaw_build_conv_options){.filters = o.filters, .kernel = 1});
  thaw_build_batch_norm(b, "_1_bn");
  thaw_build_activation(b, "_1_relu", THAW_RELU);
  thaw_build_pad(b, "_2_pad", 1, 1, 1);
  thaw_build_conv(b, "_2_conv", (thaw_build_conv_options){.filters = o.filters, .kernel = 3, .stride = o.stride});
  thaw_build_batch_norm(b, "_2_bn");
  thaw_build_activation(b, "_2_relu", THAW_RELU);
  thaw_build_conv(b, "_3_conv", (thaw_build_conv_options){.filters = 4 * o.filters, .kernel = 1, .use_bias = true});
  thaw_build_join(b, "add", "_out", shortcut, b->last);
}

static thaw_status build(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out) {
  thaw_builder b = {.graph = graph, .epsilon = 1.001e-5, .momentum = 0.99};
  thaw_build_pad(&b, "conv1_pad", 3, 3, 3);
  thaw_build_conv(&b, "conv1_conv",
                  (thaw_build_conv_options){.filters = 64, .kernel = 7, .stride = 2, .use_bias = true});
  thaw_build_pad(&b, "pool1_pad", 1, 1, 1);
  thaw_build_max_pool(&b, "pool1_pool", 3, 2);
  for (int32_t stage = 0; stage < 4; stage++)
    for (int32_t i = 0; i < self->depth[stage]; i++) {
      bool last = i == self->depth[stage] - 1;
      thaw_build_prefix(&b, "conv%d_block%d", stage + 2, i + 1);
      block(&b, (block_options){.filters = 64 << stage, .stride = last && stage < 3 ? 2 : 1, .projects = i == 0});
    }
  thaw_build_prefix(&b, "%s", "");
  thaw_build_batch_norm(&b, "post_bn");
  thaw_build_activation(&b, "post_relu", THAW_RELU);
  *last_out = b.last;
  return b.status;
}

const thaw_architecture thaw_resnet50v2 = {.name = "resnet50v2",
                                           .title = "ResNet50V2",
                                           .preprocessing = THAW_PREPROCESS_TF,
                                           .default_size = 224,
                                           .minimum_size = 32,
                                           .parameters = 23564800,
                                           .weights_url = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                           .depth = {3, 4, 6, 3},
                                           .build = build};
const thaw_architecture thaw_resnet101v2 = {.name = "resnet101v2",
                                            .title = "ResNet101V2",
                                            .preprocessing = THAW_PREPROCESS_TF,
                                            .default_size = 224,
                                            .minimum_size = 32,
                                            .parameters = 42626560,
                                            .weights_url = "resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                            .depth = {3, 4, 23, 3},
                                            .build = build};
const thaw_architecture thaw_resnet152v2 = {.name = "resnet152v2",
                                            .title = "ResNet152V2",
                                            .preprocessing = THAW_PREPROCESS_TF,
                                            .default_size = 224,
                                            .minimum_size = 32,
                                            .parameters = 58331648,
                                            .weights_url = "resnet152v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                            .depth = {3, 8, 36, 3},
                                            .build = build};
