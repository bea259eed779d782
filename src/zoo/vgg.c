/* VGG16 and VGG19 (Simonyan and Zisserman, 2014) with keras.applications' names. */
#include "zoo/builder.h"

#include <stdio.h>

static thaw_status build(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out) {
  static const int32_t width[5] = {64, 128, 256, 512, 512};
  thaw_builder b = {.graph = graph};
  for (int32_t block = 0; block < 5; block++) {
    thaw_build_prefix(&b, "block%d_", block + 1);
    for (int32_t i = 0; i < self->depth[block]; i++) {
      char name[16];
      snprintf(name, sizeof name, "conv%d", i + 1);
      thaw_build_conv(
          &b, name,
          (thaw_build_conv_options){
              .filters = width[block], .kernel = 3, .padding = THAW_SAME, .activation = THAW_RELU, .use_bias = true});
    }
    thaw_build_max_pool(&b, "pool", 2, 2);
  }
  *last_out = b.last;
  return b.status;
}

const thaw_architecture thaw_vgg16 = {.name = "vgg16",
                                      .title = "VGG16",
                                      .preprocessing = THAW_PREPROCESS_CAFFE,
                                      .default_size = 224,
                                      .minimum_size = 32,
                                      .parameters = 14714688,
                                      .weights_url = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                      .depth = {2, 2, 3, 3, 3},
                                      .build = build};
const thaw_architecture thaw_vgg19 = {.name = "vgg19",
                                      .title = "VGG19",
                                      .preprocessing = THAW_PREPROCESS_CAFFE,
                                      .default_size = 224,
                                      .minimum_size = 32,
                                      .parameters = 20024384,
                                      .weights_url = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
                                      .depth = {2, 2, 4, 4, 4},
                                      .build = build};
