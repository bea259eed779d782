/* builder.h: adds layers one after the other; the first failure sticks, so that builders read like layer lists. */
#ifndef THAW_ZOO_BUILDER_H
#define THAW_ZOO_BUILDER_H

#include "thaw/zoo.h"

typedef struct thaw_builder {
  thaw_graph *graph;
  int32_t last; /* the node that the next layer reads */
  thaw_status status;
  double epsilon, momentum; /* of batch-norm */
  char prefix[48];          /* of the next names */
} thaw_builder;

void thaw_build_prefix(thaw_builder *b, const char *format, ...) THAW_PRINTF(2, 3);
/* Each adds a layer called prefix + name (name NULL: Keras' automatic name) after b->last. */
void thaw_build(thaw_builder *b, const char *type, const void *config, const char *name);
typedef struct thaw_build_conv_options {
  int32_t filters, kernel, stride, padding, activation;
  bool use_bias;
} thaw_build_conv_options;
void thaw_build_conv(thaw_builder *b, const char *name, thaw_build_conv_options options);
void thaw_build_depthwise(thaw_builder *b, const char *name, int32_t kernel, int32_t stride, int32_t padding);
void thaw_build_batch_norm(thaw_builder *b, const char *name);
void thaw_build_activation(thaw_builder *b, const char *name, thaw_activation activation);
void thaw_build_re_lu(thaw_builder *b, const char *name, double max_value);
void thaw_build_pad(thaw_builder *b, const char *name, int32_t before, int32_t after_h, int32_t after_w);
void thaw_build_max_pool(thaw_builder *b, const char *name, int32_t size, int32_t stride);
/* What SAME would pad before a convolution with stride 2 (keras.applications.imagenet_utils.correct_pad). */
void thaw_build_pad_for_stride(thaw_builder *b, const char *name, int32_t kernel);
/* A width rounded to a multiple of 8, down by at most a tenth (make_divisible of the MobileNet authors). */
int32_t thaw_build_round(double filters);
/* A layer of several nodes, such as "concatenate". */
void thaw_build_join_all(thaw_builder *b, const char *type, const char *name, const int32_t *input, int32_t inputs);
/* "add", "multiply" or "concatenate" of two nodes. */
void thaw_build_join(thaw_builder *b, const char *type, const char *name, int32_t first, int32_t second);
thaw_shape thaw_build_shape(const thaw_builder *b); /* of b->last */

extern const thaw_architecture thaw_vgg16, thaw_vgg19, thaw_resnet50, thaw_resnet101, thaw_resnet152, thaw_resnet50v2,
    thaw_resnet101v2, thaw_resnet152v2, thaw_resnet18, thaw_resnet34, thaw_resnet50_torch, thaw_densenet121,
    thaw_densenet169, thaw_densenet201, thaw_inceptionv3, thaw_xception, thaw_mobilenet, thaw_mobilenet_075,
    thaw_mobilenet_05, thaw_mobilenet_025, thaw_mobilenetv2, thaw_mobilenetv2_035, thaw_mobilenetv2_05,
    thaw_mobilenetv2_075, thaw_mobilenetv2_13, thaw_mobilenetv2_14, thaw_efficientnetb0, thaw_efficientnetb1,
    thaw_efficientnetb2, thaw_efficientnetb3;

#endif
