/* BatchNormalization over the last axis, with Keras' semantics.
 *
 *     training: y = gamma (x - mean) / sqrt(variance + epsilon) + beta, mean and population variance over the whole
 *               global batch; moving = momentum * moving + (1 - momentum) * batch, once per step
 *     else:     the same with the moving statistics
 *
 * Ioffe and Szegedy, "Batch normalization", 2015. With N values per channel and xhat = (x - mean) / sqrt(variance +
 * epsilon): dx = gamma / sqrt(variance + epsilon) * (dy - sum(dy)/N - xhat * sum(dy xhat)/N). */
#include "layer/layer_private.h"

#include <math.h>

static const thaw_batch_norm_config *config_of(const thaw_layer *layer) {
  return layer->config;
}

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  const thaw_batch_norm_config *config = config_of(layer);
  int32_t dim[] = {input->c};
  *output = *input;
  if (config->scale) thaw_layer_param(layer, "gamma", THAW_PARAM_TRAINABLE, 1, dim);
  if (config->center) thaw_layer_param(layer, "beta", THAW_PARAM_TRAINABLE, 1, dim);
  thaw_layer_param(layer, "moving_mean", 0, 1, dim);
  thaw_layer_param(layer, "moving_variance", 0, 1, dim);
  return THAW_OK;
}

static size_t pixels_of(const thaw_layer *layer, int32_t n) {
  return (size_t)n * (size_t)layer->output.h * (size_t)layer->output.w;
}

/* Mean and 1/sqrt(variance + epsilon) of channel j: of the batch when its totals are given, else moving. */
typedef struct moments {
  double mean, inverse;
} moments;
static moments moments_of(const thaw_layer *layer, const double *totals, int64_t batch, int32_t j) {
  double epsilon = config_of(layer)->epsilon, mean, variance;
  if (totals) {
    double count = (double)batch * layer->output.h * layer->output.w;
    mean = totals[j] / count;
    variance = totals[layer->output.c + j] / count - mean * mean;
    if (variance < 0) variance = 0;
  } else {
    mean = thaw_layer_value(layer, "moving_mean")[j];
    variance = thaw_layer_value(layer, "moving_variance")[j];
  }
  return (moments){.mean = mean, .inverse = 1 / sqrt(variance + epsilon)};
}

static size_t scratch_bytes(const thaw_layer *layer, const thaw_isa *isa, int32_t n) {
  (void)isa;
  (void)n;
  return 5 * ((size_t)layer->output.c * sizeof(double) + THAW_ALIGN);
}

static void make_affine(const thaw_layer *layer, const double *totals, int64_t batch, float *scale, float *shift) {
  const float *gamma = thaw_layer_value(layer, "gamma"), *beta = thaw_layer_value(layer, "beta");
  for (int32_t j = 0; j < layer->output.c; j++) {
    moments m = moments_of(layer, totals, batch, j);
    double factor = (gamma ? gamma[j] : 1.0) * m.inverse;
    scale[j] = (float)factor;
    shift[j] = (float)((beta ? beta[j] : 0.0) - m.mean * factor);
  }
}

void thaw_layer_norm_affine(const thaw_layer *layer, float *scale, float *shift) {
  make_affine(layer, NULL, 0, scale, shift);
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  int32_t c = layer->output.c;
  thaw_carver carver = {.base = io->scratch};
  float *scale = thaw_carve(&carver, (size_t)c * sizeof(float)),
        *shift = thaw_carve(&carver, (size_t)c * sizeof(float));
  make_affine(layer, io->training ? io->statistics : NULL, io->batch, scale, shift);
  thaw_affine(io->isa, THAW_LINEAR, io->x[0], scale, shift, NULL, pixels_of(layer, io->n), c, 0, 0, io->y);
}

static int32_t sums_count(const thaw_layer *layer) {
  return 2 * layer->output.c;
}

static void add_forward_sums(const thaw_layer *layer, const thaw_layer_io *io, double *sums) {
  size_t pixels = pixels_of(layer, io->n), c = (size_t)layer->output.c;
  const float *x = io->x[0];
  for (size_t p = 0; p < pixels; p++, x += c)
    for (size_t j = 0; j < c; j++) {
      sums[j] += x[j];
      sums[c + j] += (double)x[j] * x[j];
    }
}

/* Scratch: the moments of every channel and what sums and gradients need, in double. */
typedef struct channels {
  double *mean, *inverse, *factor, *first, *second;
} channels;

static channels carve_channels(const thaw_layer *layer, void *scratch) {
  thaw_carver carver = {.base = scratch};
  size_t bytes = (size_t)layer->output.c * sizeof(double);
  channels m;
  double **field[] = {&m.mean, &m.inverse, &m.factor, &m.first, &m.second};
  for (size_t i = 0; i < sizeof field / sizeof *field; i++) *field[i] = thaw_carve(&carver, bytes);
  return m;
}

/* Sums from zero over the pixels, in their order: first[j] = sum of dy, second[j] = sum of dy * xhat. */
static channels sum_channels(const thaw_layer *layer, const thaw_layer_io *io, const float *dy) {
  size_t pixels = pixels_of(layer, io->n), c = (size_t)layer->output.c;
  const double *totals = io->training ? io->statistics : NULL;
  channels m = carve_channels(layer, io->scratch);
  for (size_t j = 0; j < c; j++) {
    moments moment = moments_of(layer, totals, io->batch, (int32_t)j);
    m.mean[j] = moment.mean, m.inverse[j] = moment.inverse;
    m.first[j] = m.second[j] = 0;
  }
  const float *x = io->x[0];
  const double *restrict mean = m.mean, *restrict inverse = m.inverse;
  double *restrict sum = m.first, *restrict dot = m.second;
  for (size_t p = 0; p < pixels; p++, x += c, dy += c)
    for (size_t j = 0; j < c; j++) {
      sum[j] += dy[j];
      dot[j] += dy[j] * ((x[j] - mean[j]) * inverse[j]);
    }
  return m;
}

/* sums[j] += sum of dy, sums[c + j] += sum of dy * xhat. */
static void add_backward_sums(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, double *sums) {
  size_t c = (size_t)layer->output.c;
  channels m = sum_channels(layer, io, dy);
  for (size_t j = 0; j < c; j++) {
    sums[j] += m.first[j];
    sums[c + j] += m.second[j];
  }
}

/* Statistics that are constants: dx = factor * dy. */
static void backward_scale(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *dx) {
  const float *gamma = thaw_layer_value(layer, "gamma");
  float *scale = io->scratch;
  for (int32_t j = 0; j < layer->output.c; j++) {
    moments m = moments_of(layer, io->training ? io->statistics : NULL, io->batch, j);
    scale[j] = (float)((gamma ? gamma[j] : 1.0) * m.inverse);
  }
  thaw_affine(io->isa, THAW_LINEAR, dy, scale, NULL, NULL, pixels_of(layer, io->n), layer->output.c, 0, 0, dx);
}

static void backward_coupled(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *dx) {
  size_t pixels = pixels_of(layer, io->n), c = (size_t)layer->output.c;
  const double *back = io->backward_statistics;
  const float *gamma = thaw_layer_value(layer, "gamma"), *x = io->x[0];
  double count = (double)io->batch * layer->output.h * layer->output.w;
  channels m = carve_channels(layer, io->scratch);
  for (size_t j = 0; j < c; j++) {
    moments moment = moments_of(layer, io->statistics, io->batch, (int32_t)j);
    m.mean[j] = moment.mean;
    m.factor[j] = (gamma ? gamma[j] : 1.0) * moment.inverse;
    m.first[j] = back[j] / count;
    m.second[j] = back[c + j] / count * moment.inverse;
  }
  const double *restrict mean = m.mean, *restrict factor = m.factor, *restrict mean_dy = m.first,
                         *restrict slope = m.second;
  for (size_t p = 0; p < pixels; p++, x += c, dy += c, dx += c)
    for (size_t j = 0; j < c; j++) dx[j] = (float)(factor[j] * (dy[j] - mean_dy[j] - (x[j] - mean[j]) * slope[j]));
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  const thaw_batch_norm_config *config = config_of(layer);
  float *dgamma = config->scale ? gradient[0] : NULL, *dbeta = config->center ? gradient[config->scale] : NULL;
  if (dgamma || dbeta) {
    channels m = sum_channels(layer, io, dy);
    for (int32_t j = 0; j < layer->output.c; j++) {
      if (dgamma) dgamma[j] = (float)m.second[j];
      if (dbeta) dbeta[j] = (float)m.first[j];
    }
  }
  if (!dx[0]) return;
  if (io->training && io->statistics && io->backward_statistics)
    backward_coupled(layer, io, dy, dx[0]);
  else
    backward_scale(layer, io, dy, dx[0]);
}

static void update_statistics(thaw_layer *layer, const double *totals, int64_t batch) {
  int32_t c = layer->output.c;
  double count = (double)batch * layer->output.h * layer->output.w, momentum = config_of(layer)->momentum;
  float *mean = layer->param[layer->params - 2].value, *variance = layer->param[layer->params - 1].value;
  for (int32_t j = 0; j < c; j++) {
    double batch_mean = totals[j] / count, batch_variance = totals[c + j] / count - batch_mean * batch_mean;
    if (batch_variance < 0) batch_variance = 0;
    mean[j] = (float)(momentum * mean[j] + (1 - momentum) * batch_mean);
    variance[j] = (float)(momentum * variance[j] + (1 - momentum) * batch_variance);
  }
}

static void initialize(thaw_layer *layer, uint64_t seed) {
  (void)seed;
  for (int32_t i = 0; i < layer->params; i++) {
    const thaw_param *param = &layer->param[i];
    bool one = (config_of(layer)->scale && i == 0) || i == layer->params - 1; /* gamma and the variance */
    for (int32_t j = 0; j < param->dim[0]; j++) param->value[j] = one ? 1 : 0;
  }
}

static double flops(const thaw_layer *layer) {
  return 2.0 * (double)thaw_shape_count(layer->output);
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  const thaw_batch_norm_config *config = config_of(layer);
  thaw_text_add(json, ", \"axis\": %d, \"momentum\": %.17g, \"epsilon\": %.17g", layer->output.rank == 1 ? 1 : 3,
                config->momentum, config->epsilon);
  thaw_layer_json_bool(json, "center", config->center);
  thaw_layer_json_bool(json, "scale", config->scale);
}

static const thaw_field fields[] = {
    {.name = "momentum",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(thaw_batch_norm_config, momentum),
     .low = 0,
     .high = 1,
     .fallback = 0.99,
     .help = "weight of the past in the moving statistics"},
    {.name = "epsilon",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(thaw_batch_norm_config, epsilon),
     .low = 0,
     .high = 1,
     .open_low = true,
     .fallback = 1e-3,
     .help = "added to the variance"},
    {.name = "center",
     .kind = THAW_FIELD_BOOL,
     .offset = offsetof(thaw_batch_norm_config, center),
     .fallback = 1,
     .help = "whether beta is added"},
    {.name = "scale",
     .kind = THAW_FIELD_BOOL,
     .offset = offsetof(thaw_batch_norm_config, scale),
     .fallback = 1,
     .help = "whether gamma multiplies"},
};
const thaw_schema thaw_batch_normalization_schema = {.name = "batch_normalization",
                                                     .size = sizeof(thaw_batch_norm_config),
                                                     .fields = fields,
                                                     .count = FIELD_COUNT(fields),
                                                     .help = "zero mean and unit variance per channel"};
const thaw_layer_ops thaw_layer_batch_normalization = {.schema = &thaw_batch_normalization_schema,
                                                       .keras_class = "BatchNormalization",
                                                       .min_inputs = 1,
                                                       .max_inputs = 1,
                                                       .infer = infer,
                                                       .forward = forward,
                                                       .backward = backward,
                                                       .scratch_bytes = scratch_bytes,
                                                       .initialize = initialize,
                                                       .forward_sums = sums_count,
                                                       .add_forward_sums = add_forward_sums,
                                                       .backward_sums = sums_count,
                                                       .add_backward_sums = add_backward_sums,
                                                       .update_statistics = update_statistics,
                                                       .flops = flops,
                                                       .keras_config = keras_config};
