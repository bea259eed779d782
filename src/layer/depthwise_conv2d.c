/* DepthwiseConv2D with depth multiplier 1, in the live part: each channel with its own kernel
 * (depthwise_loops.c). Kernel [kh][kw][c][1]. */
#include "layer/conv_private.h"

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  const thaw_conv2d_config *config = layer->config;
  THAW_TRY(thaw_conv_infer(layer, input, input->c, output));
  thaw_layer_param(layer, "depthwise_kernel", THAW_PARAM_TRAINABLE, 4,
                   (int32_t[]){config->kernel_h, config->kernel_w, input->c, 1});
  layer->param[0].l1 = config->kernel_l1;
  layer->param[0].l2 = config->kernel_l2;
  if (config->use_bias) thaw_layer_param(layer, "bias", THAW_PARAM_TRAINABLE, 1, (int32_t[]){input->c});
  return THAW_OK;
}

static size_t scratch_bytes(const thaw_layer *layer, const thaw_isa *isa, int32_t n) {
  (void)isa;
  (void)n;
  return thaw_depthwise_scratch_bytes(layer);
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  float *z = thaw_conv_keeps_logits(layer) && io->saved ? io->saved : io->y;
  thaw_depthwise_forward(layer, io->n, io->x[0], layer->param[0].value, z, io->scratch);
  thaw_conv_finish(layer, io, z);
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *const *dx,
                     float *const *gradient) {
  if (gradient[0]) thaw_depthwise_kernel_gradient(layer, io->n, io->x[0], dz, gradient[0]);
  if (layer->params > 1 && gradient[1]) thaw_conv_bias_gradient(layer, io->n, dz, gradient[1]);
  if (dx[0]) thaw_depthwise_input_gradient(layer, io->n, dz, layer->param[0].value, dx[0], io->scratch);
}

/* Keras' fans of a depthwise kernel [kh][kw][c][1]: kh kw c in, kh kw out. */
static void initialize(thaw_layer *layer, uint64_t seed) {
  const thaw_param *kernel = &layer->param[0];
  double field = (double)kernel->dim[0] * kernel->dim[1];
  thaw_layer_fill(kernel->value, thaw_param_count(kernel), THAW_GLOROT_UNIFORM, field * kernel->dim[2], field, seed,
                  layer->index, 0);
  if (layer->params > 1)
    thaw_layer_fill(layer->param[1].value, (size_t)layer->output.c, THAW_ZEROS, 1, 1, seed, layer->index, 1);
}

static double flops(const thaw_layer *layer) {
  const thaw_conv2d_config *config = layer->config;
  return 2.0 * (double)thaw_shape_count(layer->output) * config->kernel_h * config->kernel_w;
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  const thaw_conv2d_config *config = layer->config;
  thaw_conv_keras_config(layer, json);
  thaw_text_add(json, ", \"depth_multiplier\": 1");
  thaw_layer_json_regularizer(json, "depthwise_regularizer", config->kernel_l1, config->kernel_l2);
}

const thaw_schema thaw_depthwise_conv2d_schema = {.name = "depthwise_conv2d",
                                                  .size = sizeof(thaw_conv2d_config),
                                                  .fields = thaw_conv2d_fields + THAW_DEPTHWISE_FIELDS_AT,
                                                  .count = THAW_DEPTHWISE_FIELD_COUNT,
                                                  .help = "convolution of each channel by itself"};
const thaw_layer_ops thaw_layer_depthwise_conv2d = {.schema = &thaw_depthwise_conv2d_schema,
                                                    .keras_class = "DepthwiseConv2D",
                                                    .min_inputs = 1,
                                                    .max_inputs = 1,
                                                    .infer = infer,
                                                    .forward = forward,
                                                    .backward = backward,
                                                    .saved_bytes = thaw_conv_saved_bytes,
                                                    .activation_backward = thaw_conv_activation_backward,
                                                    .scratch_bytes = scratch_bytes,
                                                    .initialize = initialize,
                                                    .flops = flops,
                                                    .keras_config = keras_config};
