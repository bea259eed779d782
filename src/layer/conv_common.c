#include "layer/conv_private.h"

const thaw_conv2d_config *thaw_conv_config(const thaw_layer *layer) {
  return layer->config;
}

thaw_status thaw_conv_infer(thaw_layer *layer, const thaw_shape *input, int32_t channels, thaw_shape *output) {
  THAW_TRY(thaw_layer_need_map(layer, input));
  thaw_conv2d_config *config = layer->config;
  if (config->kernel_w == 0) config->kernel_w = config->kernel_h;
  if (config->stride_w == 0) config->stride_w = config->stride_h;
  if (channels < 1 || config->kernel_h < 1 || config->stride_h < 1)
    return thaw_fail(THAW_ERR_USAGE, "layer '%s': filters, kernel_size and strides must be at least 1", layer->name);
  if (config->activation == THAW_SOFTMAX)
    return thaw_fail(THAW_ERR_USAGE, "layer '%s': softmax is applied by an activation layer of its own", layer->name);
  int32_t h, w, before, after;
  char text[48];
  if (!thaw_layer_window(input->h, config->kernel_h, config->stride_h, config->padding, &h, &before, &after) ||
      !thaw_layer_window(input->w, config->kernel_w, config->stride_w, config->padding, &w, &before, &after))
    return thaw_fail(THAW_ERR_USAGE, "layer '%s' (%s): its %dx%d kernel is larger than its input %s", layer->name,
                     layer->ops->keras_class, config->kernel_h, config->kernel_w, thaw_shape_text(*input, text));
  *output = thaw_shape_map(h, w, channels);
  return THAW_OK;
}

thaw_conv_desc thaw_layer_conv_desc(const thaw_layer *layer) {
  const thaw_conv2d_config *config = layer->config;
  thaw_shape in = layer->input[0];
  thaw_conv_desc desc = {.h = in.h,
                         .w = in.w,
                         .c = in.c,
                         .k = layer->output.c,
                         .kh = config->kernel_h,
                         .kw = config->kernel_w,
                         .stride_h = config->stride_h,
                         .stride_w = config->stride_w,
                         .depthwise = layer->ops == &thaw_layer_depthwise_conv2d};
  int32_t out;
  thaw_layer_window(in.h, desc.kh, desc.stride_h, config->padding, &out, &desc.pad_top, &desc.pad_bottom);
  thaw_layer_window(in.w, desc.kw, desc.stride_w, config->padding, &out, &desc.pad_left, &desc.pad_right);
  return desc;
}

size_t thaw_conv_pixels(const thaw_layer *layer) {
  return (size_t)layer->output.h * (size_t)layer->output.w;
}

bool thaw_conv_keeps_logits(const thaw_layer *layer) {
  thaw_activation activation = (thaw_activation)thaw_conv_config(layer)->activation;
  return activation == THAW_SIGMOID || thaw_activation_needs_input(activation);
}

size_t thaw_conv_saved_bytes(const thaw_layer *layer) {
  return thaw_conv_keeps_logits(layer) ? thaw_shape_count(layer->output) * sizeof(float) : 0;
}

bool thaw_conv_fuses(const thaw_layer *layer) {
  int32_t activation = thaw_conv_config(layer)->activation;
  return activation == THAW_LINEAR || activation == THAW_RELU || activation == THAW_RELU6;
}

void thaw_conv_finish(const thaw_layer *layer, const thaw_layer_io *io, float *z) {
  thaw_activation activation = (thaw_activation)thaw_conv_config(layer)->activation;
  bool simple = thaw_conv_fuses(layer);
  size_t rows = (size_t)io->n * thaw_conv_pixels(layer);
  const float *bias = thaw_layer_value(layer, "bias");
  if (io->after) {
    thaw_epilogue after = *io->after;
    after.bias = bias;
    thaw_epilogue_run(io->isa, &after, rows, layer->output.c, io->y);
    return;
  }
  if (bias || (simple && activation != THAW_LINEAR))
    thaw_affine(io->isa, simple ? activation : THAW_LINEAR, z, NULL, bias, NULL, rows, layer->output.c, 0, 0, z);
  if (!simple) thaw_activate(io->isa, activation, z, rows, layer->output.c, io->y);
}

void thaw_conv_activation_backward(const thaw_layer *layer, const thaw_layer_io *io, float *dy) {
  thaw_activation activation = (thaw_activation)thaw_conv_config(layer)->activation;
  if (activation == THAW_LINEAR) return;
  thaw_activate_backward(io->isa, activation, io->saved, io->y, dy, (size_t)io->n * thaw_conv_pixels(layer),
                         layer->output.c, dy);
}

__attribute__((target_clones("avx512f", "avx2", "default"))) static void sum_rows(const float *restrict x, size_t rows,
                                                                                  size_t k, float *restrict out) {
  for (size_t j = 0; j < k; j++) out[j] = 0;
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < k; j++) out[j] += x[r * k + j];
}

void thaw_conv_bias_gradient(const thaw_layer *layer, int32_t n, const float *dz, float *out) {
  sum_rows(dz, (size_t)n * thaw_conv_pixels(layer), (size_t)layer->output.c, out);
}

void thaw_conv_keras_config(const thaw_layer *layer, thaw_text *json) {
  const thaw_conv2d_config *config = layer->config;
  thaw_layer_json_pair(json, "kernel_size", config->kernel_h, config->kernel_w);
  thaw_layer_json_pair(json, "strides", config->stride_h, config->stride_w);
  thaw_layer_json_text(json, "padding", thaw_padding_names[config->padding]);
  thaw_layer_json_text(json, "data_format", "channels_last");
  thaw_layer_json_pair(json, "dilation_rate", 1, 1);
  thaw_layer_json_text(json, "activation", thaw_activation_names[config->activation]);
  thaw_layer_json_bool(json, "use_bias", config->use_bias);
}
