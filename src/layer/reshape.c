/* Reshape: the same numbers in another shape, a vector or a map. */
#include "layer/layer_private.h"

#include <string.h>

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  char from[48], to[48];
  *output = ((const thaw_reshape_config *)layer->config)->target;
  if (thaw_shape_count(*output) == thaw_shape_count(input[0])) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "layer '%s' cannot reshape %s to %s", layer->name, thaw_shape_text(input[0], from),
                   thaw_shape_text(*output, to));
}

static size_t bytes_of(const thaw_layer *layer, int32_t n) {
  return (size_t)n * thaw_shape_count(layer->output) * sizeof(float);
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  memcpy(io->y, io->x[0], bytes_of(layer, io->n));
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  (void)gradient;
  if (dx[0]) memcpy(dx[0], dy, bytes_of(layer, io->n));
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  thaw_shape shape = layer->output;
  if (shape.rank == 3)
    thaw_text_add(json, ", \"target_shape\": [%d, %d, %d]", shape.h, shape.w, shape.c);
  else
    thaw_text_add(json, ", \"target_shape\": [%d]", shape.c);
}

static const thaw_schema schema = {
    .name = "reshape", .size = sizeof(thaw_reshape_config), .help = "the same numbers in another shape"};
const thaw_layer_ops thaw_layer_reshape = {.schema = &schema,
                                           .keras_class = "Reshape",
                                           .min_inputs = 1,
                                           .max_inputs = 1,
                                           .infer = infer,
                                           .forward = forward,
                                           .backward = backward,
                                           .keras_config = keras_config};
