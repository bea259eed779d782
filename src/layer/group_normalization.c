/* LayerNormalization (over the channels of each pixel) and GroupNormalization (over all pixels of some channels): the
 * same in training and after it, so nothing is remembered and samples do not depend on each other.
 *
 *     y = gamma (x - mean) / sqrt(variance + epsilon) + beta
 *
 * With z = (x - mean) / deviation and dz = gamma dy over a set of m values, dx = (dz - mean(dz) - z mean(dz z)) /
 * deviation. Sums are in double, in increasing order. */
#include "layer/layer_private.h"

#include <math.h>

static const thaw_group_norm_config *config_of(const thaw_layer *layer) {
  return layer->config;
}

static void add_params(thaw_layer *layer, int32_t channels) {
  const thaw_group_norm_config *config = config_of(layer);
  if (config->scale) thaw_layer_param(layer, "gamma", THAW_PARAM_TRAINABLE, 1, &channels);
  if (config->center) thaw_layer_param(layer, "beta", THAW_PARAM_TRAINABLE, 1, &channels);
}

static thaw_status layer_infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  *output = input[0];
  add_params(layer, input->c);
  return THAW_OK;
}

static thaw_status group_infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  int32_t groups = config_of(layer)->groups;
  if (groups < 1 || input->c % groups)
    return thaw_fail(THAW_ERR_USAGE, "layer '%s' (GroupNormalization): %d channels cannot be parted into %d groups",
                     layer->name, input->c, groups);
  return layer_infer(layer, input, inputs, output);
}

/* ------------------------------------------------------------------ sets of values that are normalized together */

/* `rows` runs of `run` neighbouring values, one every `step`; `channel` is that of the first value of each. */
typedef struct set {
  size_t first, rows, run, step, channel;
} set;

static size_t sets_of(const thaw_layer *layer, int32_t n) {
  size_t pixels = (size_t)layer->output.h * (size_t)layer->output.w;
  if (layer->ops == &thaw_layer_layer_normalization) return (size_t)n * pixels;
  return (size_t)n * (size_t)config_of(layer)->groups;
}

static set set_at(const thaw_layer *layer, size_t index) {
  size_t pixels = (size_t)layer->output.h * (size_t)layer->output.w, c = (size_t)layer->output.c;
  if (layer->ops == &thaw_layer_layer_normalization)
    return (set){.first = index * c, .rows = 1, .run = c, .step = c, .channel = 0};
  size_t groups = (size_t)config_of(layer)->groups, run = c / groups, group = index % groups;
  return (set){.first = index / groups * pixels * c + group * run,
               .rows = pixels,
               .run = run,
               .step = c,
               .channel = group * run};
}

typedef struct moments {
  double mean, inverse; /* 1 / deviation */
} moments;

static moments moments_of(const thaw_layer *layer, const float *x, set s) {
  double sum = 0, squares = 0, count = (double)(s.rows * s.run);
  for (size_t r = 0; r < s.rows; r++)
    for (size_t i = 0; i < s.run; i++) sum += x[s.first + r * s.step + i];
  double mean = sum / count;
  for (size_t r = 0; r < s.rows; r++)
    for (size_t i = 0; i < s.run; i++) {
      double d = x[s.first + r * s.step + i] - mean;
      squares += d * d;
    }
  return (moments){.mean = mean, .inverse = 1 / sqrt(squares / count + config_of(layer)->epsilon)};
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  const float *x = io->x[0], *gamma = thaw_layer_value(layer, "gamma"), *beta = thaw_layer_value(layer, "beta");
  for (size_t j = 0, sets = sets_of(layer, io->n); j < sets; j++) {
    set s = set_at(layer, j);
    moments m = moments_of(layer, x, s);
    for (size_t r = 0; r < s.rows; r++)
      for (size_t i = 0; i < s.run; i++) {
        size_t at = s.first + r * s.step + i;
        double z = (x[at] - m.mean) * m.inverse;
        if (gamma) z *= gamma[s.channel + i];
        if (beta) z += beta[s.channel + i];
        io->y[at] = (float)z;
      }
  }
}

/* ------------------------------------------------------------------ gradients */

static void input_gradient(const float *x, const float *dy, const float *gamma, set s, moments m, float *dx) {
  double sum = 0, product = 0, count = (double)(s.rows * s.run);
  for (size_t r = 0; r < s.rows; r++)
    for (size_t i = 0; i < s.run; i++) {
      size_t at = s.first + r * s.step + i;
      double dz = gamma ? (double)dy[at] * gamma[s.channel + i] : dy[at];
      sum += dz;
      product += dz * (x[at] - m.mean) * m.inverse;
    }
  for (size_t r = 0; r < s.rows; r++)
    for (size_t i = 0; i < s.run; i++) {
      size_t at = s.first + r * s.step + i;
      double dz = gamma ? (double)dy[at] * gamma[s.channel + i] : dy[at], z = (x[at] - m.mean) * m.inverse;
      dx[at] = (float)((dz - sum / count - z * product / count) * m.inverse);
    }
}

static void add_param_gradients(const float *x, const float *dy, set s, moments m, float *gamma, float *beta) {
  for (size_t r = 0; r < s.rows; r++)
    for (size_t i = 0; i < s.run; i++) {
      size_t at = s.first + r * s.step + i;
      if (gamma) gamma[s.channel + i] += (float)(dy[at] * (x[at] - m.mean) * m.inverse);
      if (beta) beta[s.channel + i] += dy[at];
    }
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  const thaw_group_norm_config *config = config_of(layer);
  const float *x = io->x[0], *gamma = thaw_layer_value(layer, "gamma");
  float *d_gamma = config->scale ? gradient[0] : NULL, *d_beta = config->center ? gradient[config->scale] : NULL;
  for (int32_t i = 0; i < layer->output.c; i++) {
    if (d_gamma) d_gamma[i] = 0;
    if (d_beta) d_beta[i] = 0;
  }
  for (size_t j = 0, sets = sets_of(layer, io->n); j < sets; j++) {
    set s = set_at(layer, j);
    moments m = moments_of(layer, x, s);
    if (dx[0]) input_gradient(x, dy, gamma, s, m, dx[0]);
    if (d_gamma || d_beta) add_param_gradients(x, dy, s, m, d_gamma, d_beta);
  }
}

static void initialize(thaw_layer *layer, uint64_t seed) {
  (void)seed;
  for (int32_t p = 0; p < layer->params; p++)
    for (int32_t i = 0; i < layer->output.c; i++)
      layer->param[p].value[i] = p == 0 && config_of(layer)->scale ? 1.0f : 0.0f;
}

static double flops(const thaw_layer *layer) {
  return 8 * (double)thaw_shape_count(layer->output);
}

static void add_config(const thaw_layer *layer, thaw_text *json) {
  thaw_text_add(json, ", \"epsilon\": %.17g", config_of(layer)->epsilon);
  thaw_layer_json_bool(json, "center", config_of(layer)->center);
  thaw_layer_json_bool(json, "scale", config_of(layer)->scale);
}

static void layer_config(const thaw_layer *layer, thaw_text *json) {
  thaw_text_add(json, ", \"axis\": -1");
  add_config(layer, json);
}

static void group_config(const thaw_layer *layer, thaw_text *json) {
  thaw_text_add(json, ", \"groups\": %d, \"axis\": -1", config_of(layer)->groups);
  add_config(layer, json);
}

static const thaw_schema layer_schema = {.name = "layer_normalization",
                                         .size = sizeof(thaw_group_norm_config),
                                         .help = "each pixel's channels minus their mean over their deviation"};
static const thaw_schema group_schema = {.name = "group_normalization",
                                         .size = sizeof(thaw_group_norm_config),
                                         .help = "groups of channels minus their mean over their deviation"};
const thaw_layer_ops thaw_layer_layer_normalization = {.schema = &layer_schema,
                                                       .keras_class = "LayerNormalization",
                                                       .min_inputs = 1,
                                                       .max_inputs = 1,
                                                       .infer = layer_infer,
                                                       .forward = forward,
                                                       .backward = backward,
                                                       .initialize = initialize,
                                                       .flops = flops,
                                                       .keras_config = layer_config};
const thaw_layer_ops thaw_layer_group_normalization = {.schema = &group_schema,
                                                       .keras_class = "GroupNormalization",
                                                       .min_inputs = 1,
                                                       .max_inputs = 1,
                                                       .infer = group_infer,
                                                       .forward = forward,
                                                       .backward = backward,
                                                       .initialize = initialize,
                                                       .flops = flops,
                                                       .keras_config = group_config};
