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
/* "add" or "concatenate" of two nodes. */
void thaw_build_join(thaw_builder *b, const char *type, const char *name, int32_t first, int32_t second);
thaw_shape thaw_build_shape(const thaw_builder *b); /* of b->last */

extern const thaw_architecture thaw_vgg16, thaw_vgg19, thaw_resnet50, thaw_mobilenetv2, thaw_densenet121;

#endif
