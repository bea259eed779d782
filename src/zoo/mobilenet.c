/* MobileNet (Howard et al., 2017) of several widths, with keras.applications' names. */
#include "zoo/builder.h"

static void norm_relu(thaw_builder *b, const char *norm, const char *relu) {
  thaw_build_batch_norm(b, norm);
  thaw_build_re_lu(b, relu, 6);
}

static void block(thaw_builder *b, int32_t index, int32_t filters, int32_t stride) {
  thaw_build_prefix(b, "conv_pad_%d", index);
  if (stride == 2) thaw_build_pad(b, "", 0, 1, 1);
  thaw_build_prefix(b, "conv_dw_%d", index);
  thaw_build_depthwise(b, "", 3, stride, stride == 2 ? THAW_VALID : THAW_SAME);
  norm_relu(b, "_bn", "_relu");
  thaw_build_prefix(b, "conv_pw_%d", index);
  thaw_build_conv(b, "", (thaw_build_conv_options){.filters = filters, .kernel = 1, .padding = THAW_SAME});
  norm_relu(b, "_bn", "_relu");
}

static thaw_status build(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out) {
  static const int32_t filters[13] = {64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024};
  thaw_builder b = {.graph = graph, .epsilon = 1e-3, .momentum = 0.99};
  thaw_build_conv(&b, "conv1",
                  (thaw_build_conv_options){
                      .filters = (int32_t)(32 * self->width), .kernel = 3, .stride = 2, .padding = THAW_SAME});
  norm_relu(&b, "conv1_bn", "conv1_relu");
  for (int32_t i = 1; i <= 13; i++) {
    bool halves = i == 2 || i == 4 || i == 6 || i == 12;
    block(&b, i, (int32_t)(filters[i - 1] * self->width), halves ? 2 : 1);
  }
  *last_out = b.last;
  return b.status;
}

const thaw_architecture thaw_mobilenet = {.name = "mobilenet",
                                          .title = "MobileNet",
                                          .preprocessing = THAW_PREPROCESS_TF,
                                          .default_size = 224,
                                          .minimum_size = 32,
                                          .parameters = 3228864,
                                          .weights_url = "mobilenet_1_0_224_tf_no_top.h5",
                                          .width = 1.0,
                                          .build = build};
const thaw_architecture thaw_mobilenet_075 = {.name = "mobilenet_0.75",
                                              .title = "MobileNet 0.75",
                                              .preprocessing = THAW_PREPROCESS_TF,
                                              .default_size = 224,
                                              .minimum_size = 32,
                                              .parameters = 1832976,
                                              .weights_url = "mobilenet_7_5_224_tf_no_top.h5",
                                              .width = 0.75,
                                              .build = build};
const thaw_architecture thaw_mobilenet_05 = {.name = "mobilenet_0.5",
                                             .title = "MobileNet 0.5",
                                             .preprocessing = THAW_PREPROCESS_TF,
                                             .default_size = 224,
                                             .minimum_size = 32,
                                             .parameters = 829536,
                                             .weights_url = "mobilenet_5_0_224_tf_no_top.h5",
                                             .width = 0.5,
                                             .build = build};
const thaw_architecture thaw_mobilenet_025 = {.name = "mobilenet_0.25",
                                              .title = "MobileNet 0.25",
                                              .preprocessing = THAW_PREPROCESS_TF,
                                              .default_size = 224,
                                              .minimum_size = 32,
                                              .parameters = 218544,
                                              .weights_url = "mobilenet_2_5_224_tf_no_top.h5",
                                              .width = 0.25,
                                              .build = build};
