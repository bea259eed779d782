/* ResNet18, 34 and 50 as torchvision builds them (torchvision/models/resnet.py): padding is explicit, so it is the same
 * on both sides where Keras' "same" would pad on one; the stride is on the 3x3 convolution (in ResNet50, "version
 * 1.5"); no convolution has a bias. Layers are called as torchvision's modules and graph nodes are
 * (torchvision.models.feature_extraction.get_graph_node_names); "<name>_pad" is the padding of the layer after it. */
#include "zoo/builder.h"

static void pad(thaw_builder *b, const char *name, int32_t size) {
  thaw_build_pad(b, name, size, size, size);
}

static void conv(thaw_builder *b, const char *name, int32_t filters, int32_t kernel, int32_t stride) {
  thaw_build_conv(
      b, name,
      (thaw_build_conv_options){
          .filters = filters, .kernel = kernel, .stride = stride, .padding = stride == 1 ? THAW_SAME : THAW_VALID});
}

/* Three by three with a padding of 1; with stride 1 that is what "same" means. */
static void conv3x3(thaw_builder *b, const char *name, const char *pad_name, int32_t filters, int32_t stride) {
  if (stride > 1) pad(b, pad_name, 1);
  conv(b, name, filters, 3, stride);
}

/* The shortcut of a block with another shape than its input; b->last stays. */
static int32_t downsample(thaw_builder *b, int32_t input, int32_t filters, int32_t stride) {
  int32_t main_branch = b->last;
  b->last = input;
  conv(b, "downsample.0", filters, 1, stride);
  thaw_build_batch_norm(b, "downsample.1");
  int32_t shortcut = b->last;
  b->last = main_branch;
  return shortcut;
}

static void add(thaw_builder *b, int32_t shortcut, const char *relu) {
  thaw_build_join(b, "add", "add", b->last, shortcut);
  thaw_build_activation(b, relu, THAW_RELU);
}

static void basic_block(thaw_builder *b, int32_t filters, int32_t stride, bool projects) {
  int32_t input = b->last;
  conv3x3(b, "conv1", "conv1_pad", filters, stride);
  thaw_build_batch_norm(b, "bn1");
  thaw_build_activation(b, "relu", THAW_RELU);
  conv3x3(b, "conv2", NULL, filters, 1);
  thaw_build_batch_norm(b, "bn2");
  add(b, projects ? downsample(b, input, filters, stride) : input, "relu_1");
}

static void bottleneck(thaw_builder *b, int32_t filters, int32_t stride, bool projects) {
  int32_t input = b->last;
  conv(b, "conv1", filters, 1, 1);
  thaw_build_batch_norm(b, "bn1");
  thaw_build_activation(b, "relu", THAW_RELU);
  conv3x3(b, "conv2", "conv2_pad", filters, stride);
  thaw_build_batch_norm(b, "bn2");
  thaw_build_activation(b, "relu_1", THAW_RELU);
  conv(b, "conv3", 4 * filters, 1, 1);
  thaw_build_batch_norm(b, "bn3");
  add(b, projects ? downsample(b, input, 4 * filters, stride) : input, "relu_2");
}

static thaw_status build(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out, bool deep) {
  thaw_builder b = {.graph = graph, .epsilon = 1e-5, .momentum = 0.9};
  pad(&b, "conv1_pad", 3);
  conv(&b, "conv1", 64, 7, 2);
  thaw_build_batch_norm(&b, "bn1");
  thaw_build_activation(&b, "relu", THAW_RELU);
  pad(&b, "maxpool_pad", 1);
  thaw_build_max_pool(&b, "maxpool", 3, 2);
  for (int32_t stage = 0; stage < 4; stage++)
    for (int32_t i = 0; i < self->depth[stage]; i++) {
      int32_t stride = i == 0 && stage > 0 ? 2 : 1;
      thaw_build_prefix(&b, "layer%d.%d.", stage + 1, i);
      if (deep)
        bottleneck(&b, 64 << stage, stride, i == 0);
      else
        basic_block(&b, 64 << stage, stride, stride > 1);
    }
  *last_out = b.last;
  return b.status;
}

static thaw_status build_basic(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out) {
  return build(self, graph, last_out, false);
}

static thaw_status build_deep(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out) {
  return build(self, graph, last_out, true);
}

const thaw_architecture thaw_resnet18 = {.name = "resnet18",
                                         .title = "ResNet18",
                                         .preprocessing = THAW_PREPROCESS_TORCH,
                                         .default_size = 224,
                                         .minimum_size = 32,
                                         .parameters = 11186112,
                                         .weights_url = "resnet18.safetensors (torchvision's or timm's names)",
                                         .depth = {2, 2, 2, 2},
                                         .build = build_basic};
const thaw_architecture thaw_resnet34 = {.name = "resnet34",
                                         .title = "ResNet34",
                                         .preprocessing = THAW_PREPROCESS_TORCH,
                                         .default_size = 224,
                                         .minimum_size = 32,
                                         .parameters = 21301696,
                                         .weights_url = "resnet34.safetensors (torchvision's or timm's names)",
                                         .depth = {3, 4, 6, 3},
                                         .build = build_basic};
const thaw_architecture thaw_resnet50_torch = {.name = "resnet50v1.5",
                                               .title = "ResNet50 v1.5",
                                               .preprocessing = THAW_PREPROCESS_TORCH,
                                               .default_size = 224,
                                               .minimum_size = 32,
                                               .parameters = 23561152,
                                               .weights_url = "resnet50.safetensors (torchvision's or timm's names)",
                                               .depth = {3, 4, 6, 3},
                                               .build = build_deep};
