/* Dense: y = activation(x W + b) on the last axis. */
#include "layer/layer_private.h"

static const thaw_dense_config *config_of(const thaw_layer *layer) {
  return layer->config;
}

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  const thaw_dense_config *config = config_of(layer);
  if (config->units < 1)
    return thaw_fail(THAW_ERR_USAGE, "layer '%s': units must be at least 1, found %d", layer->name, config->units);
  *output = *input;
  output->c = config->units;
  thaw_layer_param(layer, "kernel", THAW_PARAM_TRAINABLE, 2, (int32_t[]){input->c, config->units});
  layer->param[0].l1 = config->kernel_l1;
  layer->param[0].l2 = config->kernel_l2;
  if (!config->use_bias) return THAW_OK;
  thaw_layer_param(layer, "bias", THAW_PARAM_TRAINABLE, 1, (int32_t[]){config->units});
  layer->param[1].l1 = config->bias_l1;
  layer->param[1].l2 = config->bias_l2;
  return THAW_OK;
}

static int32_t rows_of(const thaw_layer *layer, int32_t n) {
  return n * layer->output.h * layer->output.w;
}

/* The logits are kept where the backward pass or the loss needs them. */
static bool keeps_logits(const thaw_layer *layer) {
  thaw_activation activation = (thaw_activation)config_of(layer)->activation;
  return activation == THAW_SOFTMAX || activation == THAW_SIGMOID || thaw_activation_needs_input(activation);
}

static size_t saved_bytes(const thaw_layer *layer) {
  return keeps_logits(layer) ? thaw_shape_count(layer->output) * sizeof(float) : 0;
}

static thaw_gemm_desc forward_gemm(const thaw_layer *layer, int32_t n) {
  int32_t c = layer->input[0].c, k = layer->output.c;
  return (thaw_gemm_desc){.m = rows_of(layer, n), .n = k, .k = c, .lda = c, .ldb = k, .ldc = k};
}

/* dx [rows][c] = dz [rows][k] * kernel^T */
static thaw_gemm_desc input_gemm(const thaw_layer *layer, int32_t n) {
  int32_t c = layer->input[0].c, k = layer->output.c;
  return (thaw_gemm_desc){.m = rows_of(layer, n), .n = c, .k = k, .transpose_b = true, .lda = k, .ldb = k, .ldc = c};
}

/* dkernel [c][k] = x^T * dz */
static thaw_gemm_desc kernel_gemm(const thaw_layer *layer, int32_t n) {
  int32_t c = layer->input[0].c, k = layer->output.c;
  return (thaw_gemm_desc){.m = c, .n = k, .k = rows_of(layer, n), .transpose_a = true, .lda = c, .ldb = k, .ldc = k};
}

static size_t scratch_bytes(const thaw_layer *layer, const thaw_isa *isa, int32_t n) {
  thaw_gemm_desc descs[] = {forward_gemm(layer, n), input_gemm(layer, n), kernel_gemm(layer, n)};
  size_t most = 0;
  for (int i = 0; i < 3; i++) {
    size_t bytes = thaw_gemm_scratch_bytes(isa, &descs[i]);
    if (bytes > most) most = bytes;
  }
  return most;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  thaw_activation activation = (thaw_activation)config_of(layer)->activation;
  bool simple = activation == THAW_LINEAR || activation == THAW_RELU || activation == THAW_RELU6;
  float *z = keeps_logits(layer) && io->saved ? io->saved : io->y;
  size_t rows = (size_t)rows_of(layer, io->n);
  const float *bias = thaw_layer_value(layer, "bias");
  thaw_gemm_desc desc = forward_gemm(layer, io->n);
  thaw_gemm(io->isa, &desc, io->x[0], layer->param[0].value, z, io->scratch);
  if (bias || (simple && activation != THAW_LINEAR))
    thaw_affine(io->isa, simple ? activation : THAW_LINEAR, z, NULL, bias, NULL, rows, layer->output.c, 0, 0, z);
  if (!simple) thaw_activate(io->isa, activation, z, rows, layer->output.c, io->y);
}

static void bias_gradient(const float *dz, size_t rows, size_t k, float *out) {
  for (size_t j = 0; j < k; j++) out[j] = 0;
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < k; j++) out[j] += dz[r * k + j];
}

static void activation_backward(const thaw_layer *layer, const thaw_layer_io *io, float *dy) {
  thaw_activation activation = (thaw_activation)config_of(layer)->activation;
  if (activation == THAW_LINEAR) return;
  thaw_activate_backward(io->isa, activation, io->saved, io->y, dy, (size_t)rows_of(layer, io->n), layer->output.c, dy);
}

static void input_gradient(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *dx) {
  thaw_gemm_desc desc = input_gemm(layer, io->n);
  if (dx) thaw_gemm(io->isa, &desc, dz, layer->param[0].value, dx, io->scratch);
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *const *dx,
                     float *const *gradient) {
  size_t rows = (size_t)rows_of(layer, io->n), k = (size_t)layer->output.c;
  if (gradient[0]) {
    thaw_gemm_desc desc = kernel_gemm(layer, io->n);
    thaw_gemm(io->isa, &desc, io->x[0], dz, gradient[0], io->scratch);
  }
  if (layer->params > 1 && gradient[1]) bias_gradient(dz, rows, k, gradient[1]);
  input_gradient(layer, io, dz, dx[0]);
}

static void backward_slices(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *const *dx,
                            const int32_t *slice_start, int32_t slices, const thaw_exact_terms *terms) {
  int32_t c = layer->input[0].c, k = layer->output.c, pixels = rows_of(layer, 1);
  if (terms[0].sums) thaw_dense_gradient_exact(io->isa, io->x[0], dz, slice_start, slices, pixels, c, k, &terms[0]);
  if (layer->params > 1 && terms[1].sums)
    thaw_dense_gradient_exact(io->isa, NULL, dz, slice_start, slices, pixels, 1, k, &terms[1]);
  input_gradient(layer, io, dz, dx[0]);
}

static void initialize(thaw_layer *layer, uint64_t seed) {
  const thaw_param *kernel = &layer->param[0];
  thaw_layer_fill(kernel->value, thaw_param_count(kernel), (thaw_initializer)config_of(layer)->kernel_initializer,
                  kernel->dim[0], kernel->dim[1], seed, layer->index, 0);
  if (layer->params > 1)
    thaw_layer_fill(layer->param[1].value, (size_t)layer->output.c, THAW_ZEROS, 1, 1, seed, layer->index, 1);
}

static double flops(const thaw_layer *layer) {
  return 2.0 * rows_of(layer, 1) * layer->input[0].c * layer->output.c;
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  static const char *const initializer_classes[] = {"GlorotUniform", "HeNormal", "HeUniform", "GlorotNormal", "Zeros"};
  const thaw_dense_config *config = config_of(layer);
  thaw_text_add(json, ", \"units\": %d", config->units);
  thaw_layer_json_text(json, "activation", thaw_activation_names[config->activation]);
  thaw_layer_json_bool(json, "use_bias", config->use_bias);
  thaw_text_add(json, ", \"kernel_initializer\": {\"class_name\": \"%s\", \"config\": {}}",
                initializer_classes[config->kernel_initializer]);
  thaw_text_add(json, ", \"bias_initializer\": {\"class_name\": \"Zeros\", \"config\": {}}");
  thaw_layer_json_regularizer(json, "kernel_regularizer", config->kernel_l1, config->kernel_l2);
  thaw_layer_json_regularizer(json, "bias_regularizer", config->bias_l1, config->bias_l2);
}

static const thaw_field fields[] = {
    {.name = "units",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_dense_config, units),
     .low = 1,
     .high = 1 << 20,
     .required = true,
     .help = "width of the output"},
    {.name = "activation",
     .kind = THAW_FIELD_CHOICE,
     .offset = offsetof(thaw_dense_config, activation),
     .choices = thaw_activation_names,
     .fallback = THAW_LINEAR,
     .help = "applied to the result"},
    {.name = "use_bias",
     .kind = THAW_FIELD_BOOL,
     .offset = offsetof(thaw_dense_config, use_bias),
     .fallback = 1,
     .help = "whether a bias is added"},
    {.name = "kernel_initializer",
     .kind = THAW_FIELD_CHOICE,
     .offset = offsetof(thaw_dense_config, kernel_initializer),
     .choices = thaw_initializer_names,
     .fallback = THAW_GLOROT_UNIFORM,
     .help = "start values of the kernel"},
    {.name = "kernel_l1",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(thaw_dense_config, kernel_l1),
     .low = 0,
     .high = 1e6,
     .help = "L1 regularisation of the kernel"},
    {.name = "kernel_l2",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(thaw_dense_config, kernel_l2),
     .low = 0,
     .high = 1e6,
     .help = "L2 regularisation of the kernel"},
    {.name = "bias_l1",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(thaw_dense_config, bias_l1),
     .low = 0,
     .high = 1e6,
     .help = "L1 regularisation of the bias"},
    {.name = "bias_l2",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(thaw_dense_config, bias_l2),
     .low = 0,
     .high = 1e6,
     .help = "L2 regularisation of the bias"},
};
const thaw_schema thaw_dense_schema = {.name = "dense",
                                       .size = sizeof(thaw_dense_config),
                                       .fields = fields,
                                       .count = FIELD_COUNT(fields),
                                       .help = "fully connected layer"};
const thaw_layer_ops thaw_layer_dense = {.schema = &thaw_dense_schema,
                                         .keras_class = "Dense",
                                         .min_inputs = 1,
                                         .max_inputs = 1,
                                         .infer = infer,
                                         .forward = forward,
                                         .backward = backward,
                                         .backward_slices = backward_slices,
                                         .activation_backward = activation_backward,
                                         .saved_bytes = saved_bytes,
                                         .scratch_bytes = scratch_bytes,
                                         .initialize = initialize,
                                         .flops = flops,
                                         .keras_config = keras_config};
