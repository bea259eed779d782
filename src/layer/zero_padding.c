/* ZeroPadding2D. */
#include "layer/layer_private.h"

#include <string.h>

static const thaw_padding2d_config *config_of(const thaw_layer *layer) {
  return layer->config;
}

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  THAW_TRY(thaw_layer_need_map(layer, input));
  thaw_padding2d_config *config = layer->config;
  if (config->bottom < 0) config->bottom = config->top;
  if (config->left < 0) config->left = config->top;
  if (config->right < 0) config->right = config->left;
  *output = thaw_shape_map(input->h + config->top + config->bottom, input->w + config->left + config->right, input->c);
  return THAW_OK;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  const thaw_padding2d_config *config = config_of(layer);
  thaw_shape in = layer->input[0], out = layer->output;
  size_t row = (size_t)in.w * (size_t)in.c, wide = (size_t)out.w * (size_t)out.c;
  memset(io->y, 0, (size_t)io->n * thaw_shape_count(out) * sizeof(float));
  for (int32_t i = 0; i < io->n; i++)
    for (int32_t h = 0; h < in.h; h++)
      memcpy(io->y + ((size_t)i * (size_t)out.h + (size_t)(h + config->top)) * wide + config->left * out.c,
             io->x[0] + ((size_t)i * (size_t)in.h + (size_t)h) * row, row * sizeof(float));
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  (void)gradient;
  const thaw_padding2d_config *config = config_of(layer);
  thaw_shape in = layer->input[0], out = layer->output;
  size_t row = (size_t)in.w * (size_t)in.c, wide = (size_t)out.w * (size_t)out.c;
  if (!dx[0]) return;
  for (int32_t i = 0; i < io->n; i++)
    for (int32_t h = 0; h < in.h; h++)
      memcpy(dx[0] + ((size_t)i * (size_t)in.h + (size_t)h) * row,
             dy + ((size_t)i * (size_t)out.h + (size_t)(h + config->top)) * wide + config->left * out.c,
             row * sizeof(float));
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  const thaw_padding2d_config *config = config_of(layer);
  thaw_text_add(json, ", \"padding\": [[%d, %d], [%d, %d]], \"data_format\": \"channels_last\"", config->top,
                config->bottom, config->left, config->right);
}

static const thaw_field fields[] = {
    {.name = "padding",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_padding2d_config, top),
     .low = 0,
     .high = 4096,
     .fallback = 1,
     .help = "zeros above, and on every side that has no number of its own"},
    {.name = "bottom",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_padding2d_config, bottom),
     .low = -1,
     .high = 4096,
     .fallback = -1,
     .help = "zeros below; -1: as padding"},
    {.name = "left",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_padding2d_config, left),
     .low = -1,
     .high = 4096,
     .fallback = -1,
     .help = "zeros on the left; -1: as padding"},
    {.name = "right",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_padding2d_config, right),
     .low = -1,
     .high = 4096,
     .fallback = -1,
     .help = "zeros on the right; -1: as left"},
};
const thaw_schema thaw_zero_padding_schema = {.name = "zero_padding",
                                              .size = sizeof(thaw_padding2d_config),
                                              .fields = fields,
                                              .count = FIELD_COUNT(fields),
                                              .help = "zeros around the map"};
const thaw_layer_ops thaw_layer_zero_padding = {.schema = &thaw_zero_padding_schema,
                                                .keras_class = "ZeroPadding2D",
                                                .min_inputs = 1,
                                                .max_inputs = 1,
                                                .infer = infer,
                                                .forward = forward,
                                                .backward = backward,
                                                .keras_config = keras_config};
