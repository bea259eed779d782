/* MobileNetV2 (Sandler et al., 2018) of several widths, with keras.applications' names. */
#include "zoo/builder.h"

static void expand(thaw_builder *b, int32_t filters) {
  thaw_build_conv(b, "expand", (thaw_build_conv_options){.filters = filters, .kernel = 1, .padding = THAW_SAME});
  thaw_build_batch_norm(b, "expand_BN");
  thaw_build_re_lu(b, "expand_relu", 6);
}

static void block(thaw_builder *b, int32_t index, int32_t filters, int32_t stride, int32_t expansion) {
  if (b->status != THAW_OK) return;
  int32_t input = b->last, channels = thaw_build_shape(b).c;
  if (index > 0)
    thaw_build_prefix(b, "block_%d_", index);
  else
    thaw_build_prefix(b, "expanded_conv_");
  if (index > 0) expand(b, expansion * channels);
  if (stride == 2) thaw_build_pad_for_stride(b, "pad", 3);
  thaw_build_depthwise(b, "depthwise", 3, stride, stride == 2 ? THAW_VALID : THAW_SAME);
  thaw_build_batch_norm(b, "depthwise_BN");
  thaw_build_re_lu(b, "depthwise_relu", 6);
  thaw_build_conv(b, "project", (thaw_build_conv_options){.filters = filters, .kernel = 1, .padding = THAW_SAME});
  thaw_build_batch_norm(b, "project_BN");
  if (stride == 1 && channels == filters) thaw_build_join(b, "add", "add", input, b->last);
}

static thaw_status build(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out) {
  static const int32_t stage[7][4] = {/* filters, stride of the first, expansion, blocks */
                                      {16, 1, 1, 1}, {24, 2, 6, 2},  {32, 2, 6, 3}, {64, 2, 6, 4},
                                      {96, 1, 6, 3}, {160, 2, 6, 3}, {320, 1, 6, 1}};
  thaw_builder b = {.graph = graph, .epsilon = 1e-3, .momentum = 0.999};
  thaw_build_conv(&b, "Conv1",
                  (thaw_build_conv_options){
                      .filters = thaw_build_round(32 * self->width), .kernel = 3, .stride = 2, .padding = THAW_SAME});
  thaw_build_batch_norm(&b, "bn_Conv1");
  thaw_build_re_lu(&b, "Conv1_relu", 6);
  int32_t index = 0;
  for (int32_t s = 0; s < 7; s++)
    for (int32_t i = 0; i < stage[s][3]; i++)
      block(&b, index++, thaw_build_round((int32_t)(stage[s][0] * self->width)), i == 0 ? stage[s][1] : 1, stage[s][2]);
  thaw_build_prefix(&b, "%s", "");
  int32_t last = self->width > 1 ? thaw_build_round(1280 * self->width) : 1280;
  thaw_build_conv(&b, "Conv_1", (thaw_build_conv_options){.filters = last, .kernel = 1});
  thaw_build_batch_norm(&b, "Conv_1_bn");
  thaw_build_re_lu(&b, "out_relu", 6);
  *last_out = b.last;
  return b.status;
}

const thaw_architecture thaw_mobilenetv2 = {.name = "mobilenetv2",
                                            .title = "MobileNetV2",
                                            .preprocessing = THAW_PREPROCESS_TF,
                                            .default_size = 224,
                                            .minimum_size = 32,
                                            .parameters = 2257984,
                                            .weights_url =
                                                "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
                                            .width = 1.0,
                                            .build = build};
const thaw_architecture thaw_mobilenetv2_035 = {
    .name = "mobilenetv2_0.35",
    .title = "MobileNetV2 0.35",
    .preprocessing = THAW_PREPROCESS_TF,
    .default_size = 224,
    .minimum_size = 32,
    .parameters = 410208,
    .weights_url = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5",
    .width = 0.35,
    .build = build};
const thaw_architecture thaw_mobilenetv2_05 = {.name = "mobilenetv2_0.5",
                                               .title = "MobileNetV2 0.5",
                                               .preprocessing = THAW_PREPROCESS_TF,
                                               .default_size = 224,
                                               .minimum_size = 32,
                                               .parameters = 706224,
                                               .weights_url =
                                                   "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.5_224_no_top.h5",
                                               .width = 0.5,
                                               .build = build};
const thaw_architecture thaw_mobilenetv2_075 = {
    .name = "mobilenetv2_0.75",
    .title = "MobileNetV2 0.75",
    .preprocessing = THAW_PREPROCESS_TF,
    .default_size = 224,
    .minimum_size = 32,
    .parameters = 1382064,
    .weights_url = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.75_224_no_top.h5",
    .width = 0.75,
    .build = build};
const thaw_architecture thaw_mobilenetv2_13 = {.name = "mobilenetv2_1.3",
                                               .title = "MobileNetV2 1.3",
                                               .preprocessing = THAW_PREPROCESS_TF,
                                               .default_size = 224,
                                               .minimum_size = 32,
                                               .parameters = 3766048,
                                               .weights_url =
                                                   "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.3_224_no_top.h5",
                                               .width = 1.3,
                                               .build = build};
const thaw_architecture thaw_mobilenetv2_14 = {.name = "mobilenetv2_1.4",
                                               .title = "MobileNetV2 1.4",
                                               .preprocessing = THAW_PREPROCESS_TF,
                                               .default_size = 224,
                                               .minimum_size = 32,
                                               .parameters = 4363712,
                                               .weights_url =
                                                   "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_224_no_top.h5",
                                               .width = 1.4,
                                               .build = build};
