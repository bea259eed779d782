/* Add: the sum of inputs of one shape, added from the first to the last. */
#include "layer/layer_private.h"

#include <string.h>

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  char first[48], other[48];
  for (int32_t i = 1; i < inputs; i++)
    if (memcmp(&input[i], &input[0], sizeof input[0]) != 0)
      return thaw_fail(THAW_ERR_USAGE, "layer '%s' adds inputs of different shapes: %s and %s", layer->name,
                       thaw_shape_text(input[0], first), thaw_shape_text(input[i], other));
  *output = input[0];
  return THAW_OK;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  size_t count = (size_t)io->n * thaw_shape_count(layer->output);
  for (size_t i = 0; i < count; i++) io->y[i] = io->x[0][i] + io->x[1][i];
  for (int32_t j = 2; j < layer->inputs; j++)
    for (size_t i = 0; i < count; i++) io->y[i] += io->x[j][i];
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  (void)gradient;
  for (int32_t j = 0; j < layer->inputs; j++)
    if (dx[j]) memcpy(dx[j], dy, (size_t)io->n * thaw_shape_count(layer->output) * sizeof(float));
}

static double flops(const thaw_layer *layer) {
  return (double)thaw_shape_count(layer->output) * (layer->inputs - 1);
}

static const thaw_schema schema = {.name = "add", .help = "sum of several inputs"};
const thaw_layer_ops thaw_layer_add = {.schema = &schema,
                                       .keras_class = "Add",
                                       .min_inputs = 2,
                                       .max_inputs = THAW_MAX_INPUTS,
                                       .infer = infer,
                                       .forward = forward,
                                       .backward = backward,
                                       .flops = flops};
