/* The graph's input: its shape is set by the graph, its values are the caller's. */
#include "layer/layer_private.h"

#include <string.h>

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)input;
  (void)inputs;
  *output = layer->output;
  return THAW_OK;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  memcpy(io->y, io->x[0], (size_t)io->n * thaw_shape_count(layer->output) * sizeof(float));
}

static const thaw_schema schema = {.name = "input", .help = "the images"};
const thaw_layer_ops thaw_layer_input = {
    .schema = &schema, .keras_class = "InputLayer", .infer = infer, .forward = forward};
