/* Flatten: [h][w][c] -> [h*w*c], the same numbers. */
#include "layer/layer_private.h"

#include <string.h>

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  size_t count = thaw_shape_count(*input);
  char text[48];
  if (count > INT32_MAX)
    return thaw_fail(THAW_ERR_USAGE, "layer '%s': %s is too large to flatten", layer->name,
                     thaw_shape_text(*input, text));
  *output = thaw_shape_vector((int32_t)count);
  return THAW_OK;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  memcpy(io->y, io->x[0], (size_t)io->n * (size_t)layer->output.c * sizeof(float));
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  (void)gradient;
  if (dx[0]) memcpy(dx[0], dy, (size_t)io->n * (size_t)layer->output.c * sizeof(float));
}

const thaw_schema thaw_flatten_schema = {.name = "flatten", .help = "height, width and channels as one vector"};
const thaw_layer_ops thaw_layer_flatten = {.schema = &thaw_flatten_schema,
                                           .keras_class = "Flatten",
                                           .min_inputs = 1,
                                           .max_inputs = 1,
                                           .infer = infer,
                                           .forward = forward,
                                           .backward = backward};
