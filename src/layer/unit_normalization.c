/* UnitNormalization: y = x / |x|_2 over the channels, as Keras' ops.normalize has it: x * min(1 / |x|, 1e12). A row of
 * zeros stays zero and passes no gradient. */
#include "layer/layer_private.h"

#include <math.h>

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)layer;
  (void)inputs;
  *output = input[0];
  return THAW_OK;
}

static size_t rows_of(const thaw_layer *layer, int32_t n) {
  return (size_t)n * (size_t)layer->output.h * (size_t)layer->output.w;
}

static double product(const float *a, const float *b, size_t c) {
  double sum = 0;
  for (size_t k = 0; k < c; k++) sum += (double)a[k] * b[k];
  return sum;
}

/* 1 / |x|, 0 for a row of zeros. */
static double inverse_norm(const float *x, size_t c) {
  double square = product(x, x, c), inverse = square > 0 ? 1 / sqrt(square) : 0;
  return inverse < 1e12 ? inverse : 1e12;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  size_t rows = rows_of(layer, io->n), c = (size_t)layer->output.c;
  for (size_t r = 0; r < rows; r++) {
    const float *x = io->x[0] + r * c;
    double inverse = inverse_norm(x, c);
    for (size_t k = 0; k < c; k++) io->y[r * c + k] = (float)(x[k] * inverse);
  }
}

/* dx = (dy - y (y . dy)) / |x| */
static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  (void)gradient;
  size_t rows = rows_of(layer, io->n), c = (size_t)layer->output.c;
  for (size_t r = 0; dx[0] && r < rows; r++) {
    const float *y = io->y + r * c, *d = dy + r * c;
    double inverse = inverse_norm(io->x[0] + r * c, c), along = product(y, d, c);
    for (size_t k = 0; k < c; k++) dx[0][r * c + k] = (float)((d[k] - y[k] * along) * inverse);
  }
}

static double flops(const thaw_layer *layer) {
  return 3 * (double)thaw_shape_count(layer->output);
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  (void)layer;
  thaw_text_add(json, ", \"axis\": -1");
}

const thaw_schema thaw_unit_normalization_schema = {
    .name = "unit_normalization", .help = "each sample divided by its length: the end of an embedding"};
const thaw_layer_ops thaw_layer_unit_normalization = {.schema = &thaw_unit_normalization_schema,
                                                      .keras_class = "UnitNormalization",
                                                      .min_inputs = 1,
                                                      .max_inputs = 1,
                                                      .infer = infer,
                                                      .forward = forward,
                                                      .backward = backward,
                                                      .flops = flops,
                                                      .keras_config = keras_config};
