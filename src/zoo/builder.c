#include "zoo/builder.h"

#include <stdarg.h>
#include <stdio.h>

void thaw_build_prefix(thaw_builder *b, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(b->prefix, sizeof b->prefix, format, arguments);
  va_end(arguments);
}

static void add(thaw_builder *b, const char *type, const void *config, const char *name, const int32_t *input,
                int32_t inputs) {
  char full[128];
  if (b->status != THAW_OK) return;
  snprintf(full, sizeof full, "%s%s", b->prefix, name ? name : "");
  b->status = thaw_graph_add(b->graph, type, config, name ? full : NULL, input, inputs, &b->last);
}

void thaw_build(thaw_builder *b, const char *type, const void *config, const char *name) {
  int32_t input = b->last;
  add(b, type, config, name, &input, 1);
}

void thaw_build_join(thaw_builder *b, const char *type, const char *name, int32_t first, int32_t second) {
  add(b, type, NULL, name, (int32_t[]){first, second}, 2);
}

void thaw_build_join_all(thaw_builder *b, const char *type, const char *name, const int32_t *input, int32_t inputs) {
  add(b, type, NULL, name, input, inputs);
}

int32_t thaw_build_round(double filters) {
  int32_t rounded = (int32_t)(filters + 4) / 8 * 8;
  if (rounded < 8) rounded = 8;
  return rounded < 0.9 * filters ? rounded + 8 : rounded;
}

void thaw_build_conv(thaw_builder *b, const char *name, thaw_build_conv_options options) {
  thaw_conv2d_config config = {.filters = options.filters,
                               .kernel_h = options.kernel,
                               .kernel_w = options.kernel,
                               .stride_h = options.stride ? options.stride : 1,
                               .stride_w = options.stride ? options.stride : 1,
                               .padding = options.padding,
                               .activation = options.activation,
                               .use_bias = options.use_bias};
  thaw_build(b, "conv2d", &config, name);
}

void thaw_build_depthwise(thaw_builder *b, const char *name, int32_t kernel, int32_t stride, int32_t padding) {
  thaw_conv2d_config config = {
      .kernel_h = kernel, .kernel_w = kernel, .stride_h = stride, .stride_w = stride, .padding = padding};
  thaw_build(b, "depthwise_conv2d", &config, name);
}

void thaw_build_batch_norm(thaw_builder *b, const char *name) {
  thaw_batch_norm_config config = {.momentum = b->momentum, .epsilon = b->epsilon, .center = true, .scale = true};
  thaw_build(b, "batch_normalization", &config, name);
}

void thaw_build_activation(thaw_builder *b, const char *name, thaw_activation activation) {
  thaw_build(b, "activation", &(thaw_activation_config){.activation = (int32_t)activation}, name);
}

void thaw_build_re_lu(thaw_builder *b, const char *name, double max_value) {
  thaw_build(b, "re_lu", &(thaw_re_lu_config){.max_value = max_value}, name);
}

void thaw_build_pad(thaw_builder *b, const char *name, int32_t before, int32_t after_h, int32_t after_w) {
  thaw_padding2d_config config = {.top = before, .bottom = after_h, .left = before, .right = after_w};
  thaw_build(b, "zero_padding", &config, name);
}

void thaw_build_pad_for_stride(thaw_builder *b, const char *name, int32_t kernel) {
  if (b->status != THAW_OK) return;
  thaw_shape shape = thaw_build_shape(b);
  int32_t half = kernel / 2;
  thaw_padding2d_config config = {
      .top = half - (1 - shape.h % 2), .bottom = half, .left = half - (1 - shape.w % 2), .right = half};
  thaw_build(b, "zero_padding", &config, name);
}

void thaw_build_max_pool(thaw_builder *b, const char *name, int32_t size, int32_t stride) {
  thaw_pool2d_config config = {
      .pool_h = size, .pool_w = size, .stride_h = stride, .stride_w = stride, .padding = THAW_VALID};
  thaw_build(b, "max_pooling", &config, name);
}

thaw_shape thaw_build_shape(const thaw_builder *b) {
  return thaw_graph_view(b->graph, b->last)->layer.output;
}
