/* Normalization: (x - mean) / max(sqrt(variance), 1e-7) per channel, with statistics that Keras' adapt() measured and
 * nothing trains. `count` is the number of values they were measured on; it is kept because Keras' files have it. */
#include "layer/layer_private.h"

#include <math.h>

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  int32_t dim[] = {input->c};
  *output = input[0];
  thaw_layer_param(layer, "mean", 0, 1, dim);
  thaw_layer_param(layer, "variance", 0, 1, dim);
  thaw_layer_param(layer, "count", 0, 0, dim);
  return THAW_OK;
}

static size_t rows_of(const thaw_layer *layer, int32_t n) {
  return (size_t)n * (size_t)layer->output.h * (size_t)layer->output.w;
}

static float deviation(const thaw_layer *layer, int32_t channel) {
  float value = sqrtf(layer->param[1].value[channel]);
  return value > 1e-7f ? value : 1e-7f;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  size_t rows = rows_of(layer, io->n);
  int32_t c = layer->output.c;
  for (int32_t k = 0; k < c; k++) {
    float mean = layer->param[0].value[k], divisor = deviation(layer, k);
    for (size_t r = 0; r < rows; r++) {
      size_t i = r * (size_t)c + (size_t)k;
      io->y[i] = (io->x[0][i] - mean) / divisor;
    }
  }
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  (void)gradient;
  size_t rows = rows_of(layer, io->n);
  int32_t c = layer->output.c;
  for (int32_t k = 0; dx[0] && k < c; k++) {
    float divisor = deviation(layer, k);
    for (size_t r = 0; r < rows; r++) dx[0][r * (size_t)c + (size_t)k] = dy[r * (size_t)c + (size_t)k] / divisor;
  }
}

static void initialize(thaw_layer *layer, uint64_t seed) {
  (void)seed;
  for (int32_t k = 0; k < layer->output.c; k++) {
    layer->param[0].value[k] = 0;
    layer->param[1].value[k] = 1;
  }
  layer->param[2].value[0] = 0;
}

static double flops(const thaw_layer *layer) {
  return 2 * (double)thaw_shape_count(layer->output);
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  (void)layer;
  thaw_text_add(json, ", \"axis\": [%d], \"invert\": false, \"mean\": null, \"variance\": null",
                layer->output.rank == 3 ? 3 : 1);
}

static const thaw_schema schema = {.name = "normalization", .help = "channels minus their mean over their deviation"};
const thaw_layer_ops thaw_layer_normalization = {.schema = &schema,
                                                 .keras_class = "Normalization",
                                                 .min_inputs = 1,
                                                 .max_inputs = 1,
                                                 .infer = infer,
                                                 .forward = forward,
                                                 .backward = backward,
                                                 .initialize = initialize,
                                                 .flops = flops,
                                                 .keras_config = keras_config};
