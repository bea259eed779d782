/* GlobalAveragePooling2D and GlobalMaxPooling2D: [h][w][c] -> [c]. */
#include "layer/layer_private.h"

static bool keeps_dimensions(const thaw_layer *layer) {
  return ((const thaw_global_pool_config *)layer->config)->keepdims;
}

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  THAW_TRY(thaw_layer_need_map(layer, input));
  *output = thaw_shape_vector(input->c);
  if (keeps_dimensions(layer)) *output = thaw_shape_map(1, 1, input->c);
  return THAW_OK;
}

static int32_t pixels_of(const thaw_layer *layer) {
  return layer->input[0].h * layer->input[0].w;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  thaw_global_pool(io->isa, layer->ops == &thaw_layer_global_average_pooling, io->x[0], io->n, pixels_of(layer),
                   layer->output.c, 0, io->y);
}

static void backward_average(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                             float *const *gradient) {
  (void)gradient;
  int32_t pixels = pixels_of(layer), c = layer->output.c;
  float *out = dx[0];
  if (!out) return;
  float factor = 1.0f / (float)pixels;
  for (int32_t i = 0; i < io->n; i++, dy += c)
    for (int32_t p = 0; p < pixels; p++, out += c)
      for (int32_t j = 0; j < c; j++) out[j] = dy[j] * factor;
}

/* Equal maxima share the gradient equally, as TensorFlow's reduce_max does. */
static void backward_max(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                         float *const *gradient) {
  (void)gradient;
  int32_t pixels = pixels_of(layer), c = layer->output.c;
  if (!dx[0]) return;
  for (int32_t i = 0; i < io->n; i++) {
    const float *x = io->x[0] + (size_t)i * (size_t)pixels * (size_t)c, *y = io->y + (size_t)i * (size_t)c;
    float *out = dx[0] + (size_t)i * (size_t)pixels * (size_t)c;
    for (int32_t j = 0; j < c; j++) {
      int32_t ties = 0;
      for (int32_t p = 0; p < pixels; p++) ties += x[(size_t)p * (size_t)c + (size_t)j] == y[j];
      float share = ties ? dy[(size_t)i * (size_t)c + (size_t)j] / (float)ties : 0;
      for (int32_t p = 0; p < pixels; p++) {
        size_t at = (size_t)p * (size_t)c + (size_t)j;
        out[at] = x[at] == y[j] ? share : 0;
      }
    }
  }
}

static double flops(const thaw_layer *layer) {
  return (double)thaw_shape_count(layer->input[0]);
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  thaw_layer_json_text(json, "data_format", "channels_last");
  thaw_layer_json_bool(json, "keepdims", keeps_dimensions(layer));
}

static const thaw_field fields[] = {
    {.name = "keepdims",
     .kind = THAW_FIELD_BOOL,
     .offset = offsetof(thaw_global_pool_config, keepdims),
     .quiet = true,
     .help = "whether the result is a map of one pixel"},
};
const thaw_schema thaw_global_average_pooling_schema = {.name = "global_average_pooling",
                                                        .size = sizeof(thaw_global_pool_config),
                                                        .fields = fields,
                                                        .count = FIELD_COUNT(fields),
                                                        .help = "mean of each channel over the map"};
const thaw_schema thaw_global_max_pooling_schema = {.name = "global_max_pooling",
                                                    .size = sizeof(thaw_global_pool_config),
                                                    .fields = fields,
                                                    .count = FIELD_COUNT(fields),
                                                    .help = "largest value of each channel over the map"};
const thaw_layer_ops thaw_layer_global_average_pooling = {.schema = &thaw_global_average_pooling_schema,
                                                          .keras_class = "GlobalAveragePooling2D",
                                                          .min_inputs = 1,
                                                          .max_inputs = 1,
                                                          .infer = infer,
                                                          .forward = forward,
                                                          .backward = backward_average,
                                                          .flops = flops,
                                                          .keras_config = keras_config};
const thaw_layer_ops thaw_layer_global_max_pooling = {.schema = &thaw_global_max_pooling_schema,
                                                      .keras_class = "GlobalMaxPooling2D",
                                                      .min_inputs = 1,
                                                      .max_inputs = 1,
                                                      .infer = infer,
                                                      .forward = forward,
                                                      .backward = backward_max,
                                                      .flops = flops,
                                                      .keras_config = keras_config};
