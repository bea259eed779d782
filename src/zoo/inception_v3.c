/* InceptionV3 (Szegedy et al., 2015) as keras.applications builds it: convolutions and batch-norms have automatic
 * names, so they are added in the order in which Keras creates them. Batch-norms have no gamma. */
#include "zoo/builder.h"

/* rows x columns convolution, batch-norm, ReLU. */
static void unit(thaw_builder *b, int32_t filters, int32_t rows, int32_t columns, int32_t stride, int32_t padding) {
  thaw_conv2d_config conv = {.filters = filters,
                             .kernel_h = rows,
                             .kernel_w = columns,
                             .stride_h = stride,
                             .stride_w = stride,
                             .padding = padding};
  thaw_batch_norm_config norm = {.momentum = b->momentum, .epsilon = b->epsilon, .center = true};
  thaw_build(b, "conv2d", &conv, NULL);
  thaw_build(b, "batch_normalization", &norm, NULL);
  thaw_build_activation(b, NULL, THAW_RELU);
}

static void same(thaw_builder *b, int32_t filters, int32_t rows, int32_t columns) {
  unit(b, filters, rows, columns, 1, THAW_SAME);
}

/* A branch ends: remembers its node and goes back to where the branches start. */
typedef struct branches {
  int32_t input, end[4], count;
} branches;

static branches start(const thaw_builder *b) {
  return (branches){.input = b->last};
}

static void end_branch(thaw_builder *b, branches *all) {
  all->end[all->count++] = b->last;
  b->last = all->input;
}

static void average_branch(thaw_builder *b, branches *all, int32_t filters) {
  thaw_pool2d_config pool = {.pool_h = 3, .pool_w = 3, .stride_h = 1, .stride_w = 1, .padding = THAW_SAME};
  thaw_build(b, "average_pooling", &pool, NULL);
  same(b, filters, 1, 1);
  end_branch(b, all);
}

static void max_branch(thaw_builder *b, branches *all) {
  thaw_build_max_pool(b, NULL, 3, 2);
  end_branch(b, all);
}

static void mix(thaw_builder *b, const branches *all, int32_t index) {
  thaw_build_prefix(b, "mixed%d", index);
  thaw_build_join_all(b, "concatenate", "", all->end, all->count);
  thaw_build_prefix(b, "%s", "");
}

/* 35 x 35 maps at the default size. */
static void mixed_35(thaw_builder *b, int32_t index) {
  branches all = start(b);
  same(b, 64, 1, 1);
  end_branch(b, &all);
  same(b, 48, 1, 1);
  same(b, 64, 5, 5);
  end_branch(b, &all);
  same(b, 64, 1, 1);
  same(b, 96, 3, 3);
  same(b, 96, 3, 3);
  end_branch(b, &all);
  average_branch(b, &all, index == 0 ? 32 : 64);
  mix(b, &all, index);
}

static void reduce_to_17(thaw_builder *b) {
  branches all = start(b);
  unit(b, 384, 3, 3, 2, THAW_VALID);
  end_branch(b, &all);
  same(b, 64, 1, 1);
  same(b, 96, 3, 3);
  unit(b, 96, 3, 3, 2, THAW_VALID);
  end_branch(b, &all);
  max_branch(b, &all);
  mix(b, &all, 3);
}

static void mixed_17(thaw_builder *b, int32_t index, int32_t filters) {
  branches all = start(b);
  same(b, 192, 1, 1);
  end_branch(b, &all);
  same(b, filters, 1, 1);
  same(b, filters, 1, 7);
  same(b, 192, 7, 1);
  end_branch(b, &all);
  same(b, filters, 1, 1);
  same(b, filters, 7, 1);
  same(b, filters, 1, 7);
  same(b, filters, 7, 1);
  same(b, 192, 1, 7);
  end_branch(b, &all);
  average_branch(b, &all, 192);
  mix(b, &all, index);
}

static void reduce_to_8(thaw_builder *b) {
  branches all = start(b);
  same(b, 192, 1, 1);
  unit(b, 320, 3, 3, 2, THAW_VALID);
  end_branch(b, &all);
  same(b, 192, 1, 1);
  same(b, 192, 1, 7);
  same(b, 192, 7, 1);
  unit(b, 192, 3, 3, 2, THAW_VALID);
  end_branch(b, &all);
  max_branch(b, &all);
  mix(b, &all, 8);
}

/* 1x3 and 3x1 side by side. */
static void split_branch(thaw_builder *b, const char *name) {
  int32_t input = b->last;
  same(b, 384, 1, 3);
  int32_t first = b->last;
  b->last = input;
  same(b, 384, 3, 1);
  thaw_build_join(b, "concatenate", name, first, b->last);
}

static void mixed_8(thaw_builder *b, int32_t index) {
  branches all = start(b);
  same(b, 320, 1, 1);
  end_branch(b, &all);
  same(b, 384, 1, 1);
  split_branch(b, index == 9 ? "mixed9_0" : "mixed9_1");
  end_branch(b, &all);
  same(b, 448, 1, 1);
  same(b, 384, 3, 3);
  split_branch(b, NULL);
  end_branch(b, &all);
  average_branch(b, &all, 192);
  mix(b, &all, index);
}

static thaw_status build(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out) {
  (void)self;
  static const int32_t filters[4] = {128, 160, 160, 192};
  thaw_builder b = {.graph = graph, .epsilon = 1e-3, .momentum = 0.99};
  unit(&b, 32, 3, 3, 2, THAW_VALID);
  unit(&b, 32, 3, 3, 1, THAW_VALID);
  same(&b, 64, 3, 3);
  thaw_build_max_pool(&b, NULL, 3, 2);
  unit(&b, 80, 1, 1, 1, THAW_VALID);
  unit(&b, 192, 3, 3, 1, THAW_VALID);
  thaw_build_max_pool(&b, NULL, 3, 2);
  for (int32_t i = 0; i < 3; i++) mixed_35(&b, i);
  reduce_to_17(&b);
  for (int32_t i = 0; i < 4; i++) mixed_17(&b, 4 + i, filters[i]);
  reduce_to_8(&b);
  for (int32_t i = 9; i < 11; i++) mixed_8(&b, i);
  *last_out = b.last;
  return b.status;
}

const thaw_architecture thaw_inceptionv3 = {.name = "inceptionv3",
                                            .title = "InceptionV3",
                                            .preprocessing = THAW_PREPROCESS_TF,
                                            .default_size = 299,
                                            .minimum_size = 75,
                                            .parameters = 21802784,
                                            .weights_url = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                            .build = build};
