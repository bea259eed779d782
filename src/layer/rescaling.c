/* Rescaling: x * scale + offset, with one number for all channels or one for each. */
#include "layer/layer_private.h"

#include <string.h>

static const thaw_rescaling_config *config_of(const thaw_layer *layer) {
  return layer->config;
}

static bool fits(int32_t numbers, int32_t channels) {
  return numbers == 1 || (numbers == channels && numbers <= THAW_RESCALING_MAX);
}

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  const thaw_rescaling_config *config = config_of(layer);
  *output = input[0];
  if (fits(config->scales, input->c) && fits(config->offsets, input->c)) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "layer '%s' (Rescaling) has %d scales and %d offsets for %d channels", layer->name,
                   config->scales, config->offsets, input->c);
}

static size_t rows_of(const thaw_layer *layer, int32_t n) {
  return (size_t)n * (size_t)layer->output.h * (size_t)layer->output.w;
}

static float at(const double *number, int32_t count, int32_t channel) {
  return (float)number[count == 1 ? 0 : channel];
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  const thaw_rescaling_config *config = config_of(layer);
  size_t rows = rows_of(layer, io->n);
  int32_t c = layer->output.c;
  for (int32_t k = 0; k < c; k++) {
    float scale = at(config->scale, config->scales, k), offset = at(config->offset, config->offsets, k);
    for (size_t r = 0; r < rows; r++) {
      size_t i = r * (size_t)c + (size_t)k;
      io->y[i] = io->x[0][i] * scale + offset;
    }
  }
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  (void)gradient;
  const thaw_rescaling_config *config = config_of(layer);
  size_t count = rows_of(layer, io->n) * (size_t)layer->output.c;
  if (!dx[0]) return;
  if (io->from_logits) {
    memcpy(dx[0], dy, count * sizeof *dy);
    return;
  }
  for (size_t i = 0; i < count; i++)
    dx[0][i] = dy[i] * at(config->scale, config->scales, (int32_t)(i % (size_t)layer->output.c));
}

static double flops(const thaw_layer *layer) {
  return 2 * (double)thaw_shape_count(layer->output);
}

static void add_numbers(thaw_text *json, const char *key, const double *number, int32_t count) {
  thaw_text_add(json, ", \"%s\": %s", key, count == 1 ? "" : "[");
  for (int32_t i = 0; i < count; i++) thaw_text_add(json, "%s%.17g", i ? ", " : "", number[i]);
  if (count != 1) thaw_text_add(json, "]");
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  const thaw_rescaling_config *config = config_of(layer);
  add_numbers(json, "scale", config->scale, config->scales);
  add_numbers(json, "offset", config->offset, config->offsets);
}

static const thaw_schema schema = {
    .name = "rescaling", .size = sizeof(thaw_rescaling_config), .help = "values times a scale plus an offset"};
const thaw_layer_ops thaw_layer_rescaling = {.schema = &schema,
                                             .keras_class = "Rescaling",
                                             .min_inputs = 1,
                                             .max_inputs = 1,
                                             .infer = infer,
                                             .forward = forward,
                                             .backward = backward,
                                             .flops = flops,
                                             .keras_config = keras_config};
