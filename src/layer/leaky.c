/* LeakyReLU, ELU and PReLU: activations with numbers of their own. */
#include "layer/layer_private.h"

static size_t values_of(const thaw_layer *layer, int32_t n) {
  return (size_t)n * thaw_shape_count(layer->output);
}

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)layer;
  (void)inputs;
  *output = input[0];
  return THAW_OK;
}

static double flops(const thaw_layer *layer) {
  return 2 * (double)thaw_shape_count(layer->output);
}

/* ------------------------------------------------------------------ LeakyReLU */

static float slope_of(const thaw_layer *layer) {
  return (float)((const thaw_leaky_re_lu_config *)layer->config)->negative_slope;
}

static void leaky_forward(const thaw_layer *layer, const thaw_layer_io *io) {
  const float *x = io->x[0], slope = slope_of(layer);
  for (size_t i = 0, count = values_of(layer, io->n); i < count; i++) io->y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

static void leaky_backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                           float *const *gradient) {
  (void)gradient;
  const float *x = io->x[0], slope = slope_of(layer);
  if (!dx[0]) return;
  for (size_t i = 0, count = values_of(layer, io->n); i < count; i++) dx[0][i] = x[i] > 0 ? dy[i] : slope * dy[i];
}

static void leaky_config(const thaw_layer *layer, thaw_text *json) {
  thaw_text_add(json, ", \"negative_slope\": %.17g", ((const thaw_leaky_re_lu_config *)layer->config)->negative_slope);
}

/* ------------------------------------------------------------------ ELU */

static float alpha_of(const thaw_layer *layer) {
  return (float)((const thaw_elu_config *)layer->config)->alpha;
}

static void elu_forward(const thaw_layer *layer, const thaw_layer_io *io) {
  float *y = io->y, alpha = alpha_of(layer);
  size_t count = values_of(layer, io->n);
  thaw_activate(io->isa, THAW_ELU, io->x[0], (size_t)io->n, (int32_t)thaw_shape_count(layer->output), y);
  for (size_t i = 0; i < count; i++) y[i] = y[i] > 0 ? y[i] : alpha * y[i];
}

static void elu_backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                         float *const *gradient) {
  (void)gradient;
  const float *y = io->y, alpha = alpha_of(layer);
  if (!dx[0]) return;
  for (size_t i = 0, count = values_of(layer, io->n); i < count; i++)
    dx[0][i] = io->x[0][i] > 0 ? dy[i] : (y[i] + alpha) * dy[i];
}

static void elu_config(const thaw_layer *layer, thaw_text *json) {
  thaw_text_add(json, ", \"alpha\": %.17g", ((const thaw_elu_config *)layer->config)->alpha);
}

/* ------------------------------------------------------------------ PReLU */

/* Steps of alpha along height, width and channels: 0 where one number is shared. */
typedef struct strides {
  size_t h, w, c;
} strides;

static strides strides_of(const thaw_layer *layer) {
  const int32_t *dim = layer->param[0].dim;
  if (layer->param[0].rank == 1) return (strides){.c = dim[0] > 1};
  return (strides){
      .h = dim[0] > 1 ? (size_t)dim[1] * (size_t)dim[2] : 0, .w = dim[1] > 1 ? (size_t)dim[2] : 0, .c = dim[2] > 1};
}

static thaw_status p_re_lu_infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  const thaw_p_re_lu_config *config = layer->config;
  const int32_t shared[] = {config->share_height, config->share_width, config->share_channels};
  int32_t dim[] = {input->h, input->w, input->c};
  for (int i = 0; i < 3; i++)
    if (shared[i]) dim[i] = 1;
  *output = input[0];
  thaw_layer_param(layer, "alpha", THAW_PARAM_TRAINABLE, input->rank == 3 ? 3 : 1, input->rank == 3 ? dim : dim + 2);
  return THAW_OK;
}

static void p_re_lu_forward(const thaw_layer *layer, const thaw_layer_io *io) {
  thaw_shape shape = layer->output;
  strides step = strides_of(layer);
  const float *x = io->x[0], *alpha = layer->param[0].value;
  size_t i = 0;
  for (int32_t n = 0; n < io->n; n++)
    for (size_t h = 0; h < (size_t)shape.h; h++)
      for (size_t w = 0; w < (size_t)shape.w; w++)
        for (size_t c = 0; c < (size_t)shape.c; c++, i++)
          io->y[i] = x[i] > 0 ? x[i] : alpha[h * step.h + w * step.w + c * step.c] * x[i];
}

static void p_re_lu_backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                             float *const *gradient) {
  thaw_shape shape = layer->output;
  strides step = strides_of(layer);
  const float *x = io->x[0], *alpha = layer->param[0].value;
  float *sum = gradient[0];
  size_t i = 0;
  for (size_t j = 0; sum && j < thaw_param_count(&layer->param[0]); j++) sum[j] = 0;
  for (int32_t n = 0; n < io->n; n++)
    for (size_t h = 0; h < (size_t)shape.h; h++)
      for (size_t w = 0; w < (size_t)shape.w; w++)
        for (size_t c = 0; c < (size_t)shape.c; c++, i++) {
          size_t at = h * step.h + w * step.w + c * step.c;
          if (dx[0]) dx[0][i] = x[i] > 0 ? dy[i] : alpha[at] * dy[i];
          if (sum && !(x[i] > 0)) sum[at] += x[i] * dy[i];
        }
}

static void p_re_lu_config(const thaw_layer *layer, thaw_text *json) {
  const thaw_p_re_lu_config *config = layer->config;
  const bool shared[] = {config->share_height, config->share_width, config->share_channels};
  const char *between = "";
  thaw_text_add(json, ", \"shared_axes\": ");
  if (layer->output.rank != 3 || !(shared[0] || shared[1] || shared[2])) {
    thaw_text_add(json, layer->output.rank != 3 && shared[2] ? "[1]" : "null");
    return;
  }
  thaw_text_add(json, "[");
  for (int i = 0; i < 3; i++) {
    if (!shared[i]) continue;
    thaw_text_add(json, "%s%d", between, i + 1);
    between = ", ";
  }
  thaw_text_add(json, "]");
}

/* ------------------------------------------------------------------ the types */

static const thaw_schema leaky_schema = {
    .name = "leaky_re_lu", .size = sizeof(thaw_leaky_re_lu_config), .help = "negative values times a slope"};
static const thaw_schema elu_schema = {
    .name = "elu", .size = sizeof(thaw_elu_config), .help = "alpha (e^x - 1) for negative x"};
static const thaw_schema p_re_lu_schema = {
    .name = "p_re_lu", .size = sizeof(thaw_p_re_lu_config), .help = "negative values times slopes that are trained"};
const thaw_layer_ops thaw_layer_leaky_re_lu = {.schema = &leaky_schema,
                                               .keras_class = "LeakyReLU",
                                               .min_inputs = 1,
                                               .max_inputs = 1,
                                               .infer = infer,
                                               .forward = leaky_forward,
                                               .backward = leaky_backward,
                                               .flops = flops,
                                               .keras_config = leaky_config};
const thaw_layer_ops thaw_layer_elu = {.schema = &elu_schema,
                                       .keras_class = "ELU",
                                       .min_inputs = 1,
                                       .max_inputs = 1,
                                       .infer = infer,
                                       .forward = elu_forward,
                                       .backward = elu_backward,
                                       .flops = flops,
                                       .keras_config = elu_config};
const thaw_layer_ops thaw_layer_p_re_lu = {.schema = &p_re_lu_schema,
                                           .keras_class = "PReLU",
                                           .min_inputs = 1,
                                           .max_inputs = 1,
                                           .infer = p_re_lu_infer,
                                           .forward = p_re_lu_forward,
                                           .backward = p_re_lu_backward,
                                           .flops = flops,
                                           .keras_config = p_re_lu_config};
