/* DepthwiseConv2D with depth multiplier 1, in the live part: each channel with its own kernel, as plain loops with the
 * channels innermost. Kernel [kh][kw][c][1]. */
#include "layer/conv_private.h"

#include <string.h>

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

/* What one tap of the kernel meets: calls for each (output pixel, input pixel) pair in a fixed order. */
typedef struct tap {
  size_t out, in, kernel; /* float offsets of the channel vectors */
} tap;
typedef void tap_function(const tap *at, size_t c, const float *a, const float *b, float *result);

static void for_each_tap(const thaw_layer *layer, int32_t n, tap_function *visit, const float *a, const float *b,
                         float *result) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  int32_t out_h = layer->output.h, out_w = layer->output.w;
  size_t c = (size_t)d.c;
  for (int32_t image = 0; image < n; image++)
    for (int32_t oh = 0; oh < out_h; oh++)
      for (int32_t ow = 0; ow < out_w; ow++)
        for (int32_t i = 0; i < d.kh; i++)
          for (int32_t j = 0; j < d.kw; j++) {
            int32_t h = oh * d.stride_h - d.pad_top + i, w = ow * d.stride_w - d.pad_left + j;
            if (h < 0 || h >= d.h || w < 0 || w >= d.w) continue;
            tap at = {.out = (((size_t)image * (size_t)out_h + (size_t)oh) * (size_t)out_w + (size_t)ow) * c,
                      .in = (((size_t)image * (size_t)d.h + (size_t)h) * (size_t)d.w + (size_t)w) * c,
                      .kernel = (size_t)(i * d.kw + j) * c};
            visit(&at, c, a, b, result);
          }
}

/* result += a * b, the same two roundings whatever the vector width. */
__attribute__((target_clones("avx512f", "avx2", "default"))) static void
add_products(size_t c, const float *restrict a, const float *restrict b, float *restrict result) {
  for (size_t k = 0; k < c; k++) result[k] += a[k] * b[k];
}

static void tap_forward(const tap *at, size_t c, const float *x, const float *kernel, float *y) {
  add_products(c, x + at->in, kernel + at->kernel, y + at->out);
}

static void tap_kernel(const tap *at, size_t c, const float *x, const float *dz, float *gradient) {
  add_products(c, x + at->in, dz + at->out, gradient + at->kernel);
}

static void tap_input(const tap *at, size_t c, const float *dz, const float *kernel, float *dx) {
  add_products(c, dz + at->out, kernel + at->kernel, dx + at->in);
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  float *z = thaw_conv_keeps_logits(layer) && io->saved ? io->saved : io->y;
  memset(z, 0, (size_t)io->n * thaw_shape_count(layer->output) * sizeof(float));
  for_each_tap(layer, io->n, tap_forward, io->x[0], layer->param[0].value, z);
  thaw_conv_finish(layer, io, z);
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *const *dx,
                     float *const *gradient) {
  if (gradient[0]) {
    memset(gradient[0], 0, thaw_param_count(&layer->param[0]) * sizeof(float));
    for_each_tap(layer, io->n, tap_kernel, io->x[0], dz, gradient[0]);
  }
  if (layer->params > 1 && gradient[1]) thaw_conv_bias_gradient(layer, io->n, dz, gradient[1]);
  if (dx[0]) {
    memset(dx[0], 0, (size_t)io->n * thaw_shape_count(layer->input[0]) * sizeof(float));
    for_each_tap(layer, io->n, tap_input, dz, layer->param[0].value, dx[0]);
  }
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
                                                    .initialize = initialize,
                                                    .flops = flops,
                                                    .keras_config = keras_config};
