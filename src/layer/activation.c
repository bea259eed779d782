/* Activation (any of Keras' activations) and ReLU (with an upper limit). */
#include "layer/layer_private.h"

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)layer;
  (void)inputs;
  *output = input[0];
  return THAW_OK;
}

static size_t rows_of(const thaw_layer *layer, int32_t n) {
  return (size_t)n * (size_t)layer->output.h * (size_t)layer->output.w;
}

static void activation_forward(const thaw_layer *layer, const thaw_layer_io *io) {
  thaw_activate(io->isa, thaw_layer_last_activation(layer), io->x[0], rows_of(layer, io->n), layer->output.c, io->y);
}

static void activation_backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                                float *const *gradient) {
  (void)gradient;
  if (!dx[0]) return;
  thaw_activation activation = io->from_logits ? THAW_LINEAR : thaw_layer_last_activation(layer);
  thaw_activate_backward(io->isa, activation, io->x[0], io->y, dy, rows_of(layer, io->n), layer->output.c, dx[0]);
}

static double top_of(const thaw_layer *layer) {
  return ((const thaw_re_lu_config *)layer->config)->max_value;
}

/* The same operations on each element, some at once: the same bits. */
__attribute__((target_clones("avx512f", "avx2", "default"))) static void clamp(const float *restrict x, float top,
                                                                               size_t count, float *restrict y) {
  for (size_t i = 0; i < count; i++) y[i] = x[i] < 0 ? 0 : x[i] > top ? top : x[i]; /* NaN stays NaN */
}

__attribute__((target_clones("avx512f", "avx2", "default"))) static void
clamp_backward(const float *restrict y, const float *restrict dy, float top, size_t count, float *restrict dx) {
  for (size_t i = 0; i < count; i++) dx[i] = (y[i] > 0) & (y[i] < top) ? dy[i] : 0;
}

static float limit_of(const thaw_layer *layer) {
  return top_of(layer) > 0 ? (float)top_of(layer) : (float)1e38;
}

static void re_lu_forward(const thaw_layer *layer, const thaw_layer_io *io) {
  clamp(io->x[0], limit_of(layer), rows_of(layer, io->n) * (size_t)layer->output.c, io->y);
}

static void re_lu_backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                           float *const *gradient) {
  (void)gradient;
  if (dx[0]) clamp_backward(io->y, dy, limit_of(layer), rows_of(layer, io->n) * (size_t)layer->output.c, dx[0]);
}

static double flops(const thaw_layer *layer) {
  return (double)thaw_shape_count(layer->output);
}

static void activation_config(const thaw_layer *layer, thaw_text *json) {
  thaw_layer_json_text(json, "activation", thaw_activation_names[thaw_layer_last_activation(layer)]);
}

static void re_lu_config(const thaw_layer *layer, thaw_text *json) {
  if (top_of(layer) > 0)
    thaw_text_add(json, ", \"max_value\": %.17g", top_of(layer));
  else
    thaw_text_add(json, ", \"max_value\": null");
  thaw_text_add(json, ", \"negative_slope\": 0.0, \"threshold\": 0.0");
}

static const thaw_field activation_fields[] = {
    {.name = "activation",
     .kind = THAW_FIELD_CHOICE,
     .offset = offsetof(thaw_activation_config, activation),
     .choices = thaw_activation_names,
     .required = true,
     .help = "the function"},
};
static const thaw_field re_lu_fields[] = {
    {.name = "max_value",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(thaw_re_lu_config, max_value),
     .low = 0,
     .high = 1e9,
     .fallback = 0,
     .help = "upper limit; 0: none"},
};
const thaw_schema thaw_activation_schema = {.name = "activation",
                                            .size = sizeof(thaw_activation_config),
                                            .fields = activation_fields,
                                            .count = FIELD_COUNT(activation_fields),
                                            .help = "an activation function by itself"};
const thaw_schema thaw_re_lu_schema = {.name = "re_lu",
                                       .size = sizeof(thaw_re_lu_config),
                                       .fields = re_lu_fields,
                                       .count = FIELD_COUNT(re_lu_fields),
                                       .help = "max(x, 0), limited above"};
const thaw_layer_ops thaw_layer_activation = {.schema = &thaw_activation_schema,
                                              .keras_class = "Activation",
                                              .min_inputs = 1,
                                              .max_inputs = 1,
                                              .infer = infer,
                                              .forward = activation_forward,
                                              .backward = activation_backward,
                                              .flops = flops,
                                              .keras_config = activation_config};
const thaw_layer_ops thaw_layer_re_lu = {.schema = &thaw_re_lu_schema,
                                         .keras_class = "ReLU",
                                         .min_inputs = 1,
                                         .max_inputs = 1,
                                         .infer = infer,
                                         .forward = re_lu_forward,
                                         .backward = re_lu_backward,
                                         .flops = flops,
                                         .keras_config = re_lu_config};
