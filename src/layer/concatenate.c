/* Concatenate: along the channels. */
#include "layer/layer_private.h"

#include <string.h>

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  *output = input[0];
  char first[48], other[48];
  for (int32_t i = 1; i < inputs; i++) {
    if (input[i].rank != input[0].rank || input[i].h != input[0].h || input[i].w != input[0].w)
      return thaw_fail(THAW_ERR_USAGE, "layer '%s' joins inputs of different height and width: %s and %s", layer->name,
                       thaw_shape_text(input[0], first), thaw_shape_text(input[i], other));
    output->c += input[i].c;
  }
  return THAW_OK;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  size_t pixels = (size_t)io->n * (size_t)layer->output.h * (size_t)layer->output.w, wide = (size_t)layer->output.c;
  size_t offset = 0;
  for (int32_t j = 0; j < layer->inputs; j++) {
    size_t c = (size_t)layer->input[j].c;
    for (size_t p = 0; p < pixels; p++) memcpy(io->y + p * wide + offset, io->x[j] + p * c, c * sizeof(float));
    offset += c;
  }
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  (void)gradient;
  size_t pixels = (size_t)io->n * (size_t)layer->output.h * (size_t)layer->output.w, wide = (size_t)layer->output.c;
  size_t offset = 0;
  for (int32_t j = 0; j < layer->inputs; j++) {
    size_t c = (size_t)layer->input[j].c;
    if (dx[j])
      for (size_t p = 0; p < pixels; p++) memcpy(dx[j] + p * c, dy + p * wide + offset, c * sizeof(float));
    offset += c;
  }
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  (void)layer;
  thaw_text_add(json, ", \"axis\": -1");
}

static const thaw_schema schema = {.name = "concatenate", .help = "inputs side by side along the channels"};
const thaw_layer_ops thaw_layer_concatenate = {.schema = &schema,
                                               .keras_class = "Concatenate",
                                               .min_inputs = 2,
                                               .max_inputs = THAW_MAX_INPUTS,
                                               .infer = infer,
                                               .forward = forward,
                                               .backward = backward,
                                               .keras_config = keras_config};
