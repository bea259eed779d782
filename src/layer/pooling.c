/* MaxPooling2D and AveragePooling2D. */
#include "layer/layer_private.h"

#include <string.h>

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  THAW_TRY(thaw_layer_need_map(layer, input));
  thaw_pool2d_config *config = layer->config;
  if (config->pool_w == 0) config->pool_w = config->pool_h;
  if (config->stride_h == 0) config->stride_h = config->pool_h;
  if (config->stride_w == 0) config->stride_w = config->stride_h;
  int32_t h, w, before, after;
  char text[48];
  if (!thaw_layer_window(input->h, config->pool_h, config->stride_h, config->padding, &h, &before, &after) ||
      !thaw_layer_window(input->w, config->pool_w, config->stride_w, config->padding, &w, &before, &after))
    return thaw_fail(THAW_ERR_USAGE, "layer '%s' (%s): its %dx%d window is larger than its input %s", layer->name,
                     layer->ops->keras_class, config->pool_h, config->pool_w, thaw_shape_text(*input, text));
  *output = thaw_shape_map(h, w, input->c);
  return THAW_OK;
}

thaw_pool_desc thaw_layer_pool_desc(const thaw_layer *layer) {
  const thaw_pool2d_config *config = layer->config;
  thaw_shape in = layer->input[0];
  thaw_pool_desc desc = {.h = in.h,
                         .w = in.w,
                         .c = in.c,
                         .kh = config->pool_h,
                         .kw = config->pool_w,
                         .stride_h = config->stride_h,
                         .stride_w = config->stride_w,
                         .average = layer->ops == &thaw_layer_average_pooling};
  int32_t out;
  thaw_layer_window(in.h, desc.kh, desc.stride_h, config->padding, &out, &desc.pad_top, &desc.pad_bottom);
  thaw_layer_window(in.w, desc.kw, desc.stride_w, config->padding, &out, &desc.pad_left, &desc.pad_right);
  return desc;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  thaw_pool_desc desc = thaw_layer_pool_desc(layer);
  thaw_pool(io->isa, &desc, io->x[0], io->n, io->y);
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  (void)gradient;
  if (!dx[0]) return;
  thaw_pool_desc desc = thaw_layer_pool_desc(layer);
  memset(dx[0], 0, (size_t)io->n * thaw_shape_count(layer->input[0]) * sizeof(float));
  thaw_pool_backward(&desc, io->x[0], dy, io->n, dx[0]);
}

static double flops(const thaw_layer *layer) {
  const thaw_pool2d_config *config = layer->config;
  return (double)thaw_shape_count(layer->output) * config->pool_h * config->pool_w;
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  const thaw_pool2d_config *config = layer->config;
  thaw_layer_json_pair(json, "pool_size", config->pool_h, config->pool_w);
  thaw_layer_json_pair(json, "strides", config->stride_h, config->stride_w);
  thaw_layer_json_text(json, "padding", thaw_padding_names[config->padding]);
  thaw_layer_json_text(json, "data_format", "channels_last");
}

static const thaw_field fields[] = {
    {.name = "pool_size",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_pool2d_config, pool_h),
     .low = 1,
     .high = 4096,
     .fallback = 2,
     .help = "height and width of the window"},
    {.name = "pool_width",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_pool2d_config, pool_w),
     .low = 0,
     .high = 4096,
     .fallback = 0,
     .help = "width of the window; 0: as pool_size"},
    {.name = "strides",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_pool2d_config, stride_h),
     .low = 0,
     .high = 4096,
     .fallback = 0,
     .help = "step of the window; 0: as pool_size"},
    {.name = "stride_width",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_pool2d_config, stride_w),
     .low = 0,
     .high = 4096,
     .fallback = 0,
     .help = "horizontal step; 0: as strides"},
    {.name = "padding",
     .kind = THAW_FIELD_CHOICE,
     .offset = offsetof(thaw_pool2d_config, padding),
     .choices = thaw_padding_names,
     .fallback = THAW_VALID,
     .help = "whether windows may hang over the border"},
};
const thaw_schema thaw_max_pooling_schema = {.name = "max_pooling",
                                             .size = sizeof(thaw_pool2d_config),
                                             .fields = fields,
                                             .count = FIELD_COUNT(fields),
                                             .help = "largest value of each window"};
const thaw_schema thaw_average_pooling_schema = {.name = "average_pooling",
                                                 .size = sizeof(thaw_pool2d_config),
                                                 .fields = fields,
                                                 .count = FIELD_COUNT(fields),
                                                 .help = "mean of each window"};
const thaw_layer_ops thaw_layer_max_pooling = {.schema = &thaw_max_pooling_schema,
                                               .keras_class = "MaxPooling2D",
                                               .min_inputs = 1,
                                               .max_inputs = 1,
                                               .infer = infer,
                                               .forward = forward,
                                               .backward = backward,
                                               .flops = flops,
                                               .keras_config = keras_config};
const thaw_layer_ops thaw_layer_average_pooling = {.schema = &thaw_average_pooling_schema,
                                                   .keras_class = "AveragePooling2D",
                                                   .min_inputs = 1,
                                                   .max_inputs = 1,
                                                   .infer = infer,
                                                   .forward = forward,
                                                   .backward = backward,
                                                   .flops = flops,
                                                   .keras_config = keras_config};
