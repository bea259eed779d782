/* Xception (Chollet, 2016) as keras.applications builds it. */
#include "zoo/builder.h"

#include <stdio.h>

/* SeparableConv2D "sepconvN" and its batch-norm. */
static void separable(thaw_builder *b, int32_t index, int32_t filters) {
  char name[32];
  thaw_conv2d_config config = {
      .filters = filters, .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .padding = THAW_SAME};
  snprintf(name, sizeof name, "sepconv%d", index);
  thaw_build(b, "separable_conv2d", &config, name);
  snprintf(name, sizeof name, "sepconv%d_bn", index);
  thaw_build_batch_norm(b, name);
}

static void relu(thaw_builder *b, int32_t index) {
  char name[32];
  snprintf(name, sizeof name, "sepconv%d_act", index);
  thaw_build_activation(b, name, THAW_RELU);
}

/* The strided shortcut; its layers have automatic names. */
static int32_t shortcut(thaw_builder *b, int32_t filters) {
  int32_t input = b->last;
  thaw_build_conv(b, NULL,
                  (thaw_build_conv_options){.filters = filters, .kernel = 1, .stride = 2, .padding = THAW_SAME});
  thaw_build_batch_norm(b, NULL);
  int32_t end = b->last;
  b->last = input;
  return end;
}

static void reducing_block(thaw_builder *b, int32_t index, int32_t first, int32_t second) {
  thaw_build_prefix(b, "block%d_", index);
  int32_t residual = shortcut(b, second);
  if (index > 2) relu(b, 1);
  separable(b, 1, first);
  relu(b, 2);
  separable(b, 2, second);
  thaw_pool2d_config pool = {.pool_h = 3, .pool_w = 3, .stride_h = 2, .stride_w = 2, .padding = THAW_SAME};
  thaw_build(b, "max_pooling", &pool, "pool");
  thaw_build_join(b, "add", NULL, b->last, residual);
}

static void middle_block(thaw_builder *b, int32_t index) {
  int32_t residual = b->last;
  thaw_build_prefix(b, "block%d_", index);
  for (int32_t i = 1; i <= 3; i++) {
    relu(b, i);
    separable(b, i, 728);
  }
  thaw_build_join(b, "add", NULL, b->last, residual);
}

static thaw_status build(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out) {
  (void)self;
  thaw_builder b = {.graph = graph, .epsilon = 1e-3, .momentum = 0.99};
  thaw_build_prefix(&b, "block1_");
  thaw_build_conv(&b, "conv1", (thaw_build_conv_options){.filters = 32, .kernel = 3, .stride = 2});
  thaw_build_batch_norm(&b, "conv1_bn");
  thaw_build_activation(&b, "conv1_act", THAW_RELU);
  thaw_build_conv(&b, "conv2", (thaw_build_conv_options){.filters = 64, .kernel = 3});
  thaw_build_batch_norm(&b, "conv2_bn");
  thaw_build_activation(&b, "conv2_act", THAW_RELU);
  reducing_block(&b, 2, 128, 128);
  reducing_block(&b, 3, 256, 256);
  reducing_block(&b, 4, 728, 728);
  for (int32_t i = 5; i <= 12; i++) middle_block(&b, i);
  reducing_block(&b, 13, 728, 1024);
  thaw_build_prefix(&b, "block14_");
  separable(&b, 1, 1536);
  relu(&b, 1);
  separable(&b, 2, 2048);
  relu(&b, 2);
  *last_out = b.last;
  return b.status;
}

const thaw_architecture thaw_xception = {.name = "xception",
                                         .title = "Xception",
                                         .preprocessing = THAW_PREPROCESS_TF,
                                         .default_size = 299,
                                         .minimum_size = 71,
                                         .parameters = 20861480,
                                         .weights_url = "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                         .build = build};
