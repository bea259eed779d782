/* SeparableConv2D with depth multiplier 1: a depthwise convolution, then a 1x1 convolution (Chollet, "Xception", 2016).
 * Here in the live part, with depthwise_loops.c and a matrix product; thaw_plan has both parts as packed convolutions.
 *
 *     middle [rows][c] = depthwise(x),  y [rows][k] = middle * pointwise (+ bias)
 *
 * The backward pass computes `middle` again instead of keeping it. */
#include "layer/conv_private.h"

#include <string.h>

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  const thaw_conv2d_config *config = layer->config;
  THAW_TRY(thaw_conv_infer(layer, input, config->filters, output));
  thaw_layer_param(layer, "depthwise_kernel", THAW_PARAM_TRAINABLE, 4,
                   (int32_t[]){config->kernel_h, config->kernel_w, input->c, 1});
  thaw_layer_param(layer, "pointwise_kernel", THAW_PARAM_TRAINABLE, 4, (int32_t[]){1, 1, input->c, config->filters});
  if (config->use_bias) thaw_layer_param(layer, "bias", THAW_PARAM_TRAINABLE, 1, (int32_t[]){config->filters});
  return THAW_OK;
}

void thaw_layer_separable_descs(const thaw_layer *layer, thaw_conv_desc *depthwise, thaw_conv_desc *pointwise) {
  *depthwise = thaw_layer_conv_desc(layer);
  depthwise->depthwise = true;
  depthwise->k = depthwise->c;
  *pointwise = (thaw_conv_desc){.h = layer->output.h,
                                .w = layer->output.w,
                                .c = layer->input[0].c,
                                .k = layer->output.c,
                                .kh = 1,
                                .kw = 1,
                                .stride_h = 1,
                                .stride_w = 1};
}

/* ------------------------------------------------------------------ the three products of the pointwise part */

static thaw_gemm_desc forward_gemm(const thaw_layer *layer, int32_t rows) {
  int32_t c = layer->input[0].c, k = layer->output.c;
  return (thaw_gemm_desc){.m = rows, .n = k, .k = c, .lda = c, .ldb = k, .ldc = k};
}

static thaw_gemm_desc middle_gemm(const thaw_layer *layer, int32_t rows) {
  int32_t c = layer->input[0].c, k = layer->output.c;
  return (thaw_gemm_desc){.m = rows, .n = c, .k = k, .transpose_b = true, .lda = k, .ldb = k, .ldc = c};
}

static thaw_gemm_desc kernel_gemm(const thaw_layer *layer, int32_t rows) {
  int32_t c = layer->input[0].c, k = layer->output.c;
  return (thaw_gemm_desc){.m = c, .n = k, .k = rows, .transpose_a = true, .lda = c, .ldb = k, .ldc = k};
}

typedef struct separable_scratch {
  float *middle, *dmiddle;
  void *gemm, *taps;
} separable_scratch;

static int32_t rows_of(const thaw_layer *layer, int32_t n) {
  return n * (int32_t)thaw_conv_pixels(layer);
}

static separable_scratch carve(const thaw_layer *layer, const thaw_isa *isa, int32_t n, thaw_carver *carver) {
  int32_t rows = rows_of(layer, n);
  thaw_gemm_desc descs[] = {forward_gemm(layer, rows), middle_gemm(layer, rows), kernel_gemm(layer, rows)};
  size_t most = 0, middle = (size_t)rows * (size_t)layer->input[0].c * sizeof(float);
  for (int i = 0; i < 3; i++) {
    size_t bytes = thaw_gemm_scratch_bytes(isa, &descs[i]);
    if (bytes > most) most = bytes;
  }
  separable_scratch scratch;
  scratch.middle = thaw_carve(carver, middle);
  scratch.dmiddle = thaw_carve(carver, middle);
  scratch.gemm = thaw_carve(carver, most);
  scratch.taps = thaw_carve(carver, thaw_depthwise_scratch_bytes(layer));
  return scratch;
}

static size_t scratch_bytes(const thaw_layer *layer, const thaw_isa *isa, int32_t n) {
  thaw_carver carver = {0};
  carve(layer, isa, n, &carver);
  return carver.used;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  thaw_carver carver = {.base = io->scratch};
  separable_scratch scratch = carve(layer, io->isa, io->n, &carver);
  thaw_gemm_desc desc = forward_gemm(layer, rows_of(layer, io->n));
  float *z = thaw_conv_keeps_logits(layer) && io->saved ? io->saved : io->y;
  thaw_depthwise_forward(layer, io->n, io->x[0], layer->param[0].value, scratch.middle, scratch.taps);
  thaw_gemm(io->isa, &desc, scratch.middle, layer->param[1].value, z, scratch.gemm);
  thaw_conv_finish(layer, io, z);
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *const *dx,
                     float *const *gradient) {
  thaw_carver carver = {.base = io->scratch};
  separable_scratch scratch = carve(layer, io->isa, io->n, &carver);
  int32_t rows = rows_of(layer, io->n);
  if (gradient[1]) {
    thaw_gemm_desc desc = kernel_gemm(layer, rows);
    thaw_depthwise_forward(layer, io->n, io->x[0], layer->param[0].value, scratch.middle, scratch.taps);
    thaw_gemm(io->isa, &desc, scratch.middle, dz, gradient[1], scratch.gemm);
  }
  if (layer->params > 2 && gradient[2]) thaw_conv_bias_gradient(layer, io->n, dz, gradient[2]);
  thaw_gemm_desc desc = middle_gemm(layer, rows);
  thaw_gemm(io->isa, &desc, dz, layer->param[1].value, scratch.dmiddle, scratch.gemm);
  if (gradient[0]) thaw_depthwise_kernel_gradient(layer, io->n, io->x[0], scratch.dmiddle, gradient[0]);
  if (dx[0]) thaw_depthwise_input_gradient(layer, io->n, scratch.dmiddle, layer->param[0].value, dx[0], scratch.taps);
}

static void initialize(thaw_layer *layer, uint64_t seed) {
  for (int32_t p = 0; p < 2; p++) {
    const thaw_param *kernel = &layer->param[p];
    double field = (double)kernel->dim[0] * kernel->dim[1];
    thaw_layer_fill(kernel->value, thaw_param_count(kernel), THAW_GLOROT_UNIFORM, field * kernel->dim[2],
                    field * kernel->dim[3], seed, layer->index, (uint32_t)p);
  }
  if (layer->params > 2)
    thaw_layer_fill(layer->param[2].value, (size_t)layer->output.c, THAW_ZEROS, 1, 1, seed, layer->index, 2);
}

static double flops(const thaw_layer *layer) {
  const thaw_conv2d_config *config = layer->config;
  double pixels = (double)thaw_conv_pixels(layer), c = layer->input[0].c;
  return 2 * pixels * c * ((double)config->kernel_h * config->kernel_w + layer->output.c);
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  const thaw_conv2d_config *config = layer->config;
  thaw_text_add(json, ", \"filters\": %d, \"depth_multiplier\": 1", config->filters);
  thaw_conv_keras_config(layer, json);
}

static const thaw_schema schema = {.name = "separable_conv2d",
                                   .size = sizeof(thaw_conv2d_config),
                                   .help = "depthwise convolution, then a convolution of one pixel"};
const thaw_layer_ops thaw_layer_separable_conv2d = {.schema = &schema,
                                                    .keras_class = "SeparableConv2D",
                                                    .min_inputs = 1,
                                                    .max_inputs = 1,
                                                    .infer = infer,
                                                    .forward = forward,
                                                    .backward = backward,
                                                    .activation_backward = thaw_conv_activation_backward,
                                                    .saved_bytes = thaw_conv_saved_bytes,
                                                    .scratch_bytes = scratch_bytes,
                                                    .initialize = initialize,
                                                    .flops = flops,
                                                    .keras_config = keras_config};
