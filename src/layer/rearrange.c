/* Cropping2D, UpSampling2D and Permute: where values lie. */
#include "layer/layer_private.h"

#include <math.h>
#include <string.h>

static thaw_status refuse(const thaw_layer *layer, const thaw_shape *input, const char *why) {
  char text[48];
  return thaw_fail(THAW_ERR_USAGE, "layer '%s' (%s) with an input of %s %s", layer->name, layer->ops->keras_class,
                   thaw_shape_text(*input, text), why);
}

/* ------------------------------------------------------------------ Cropping2D */

static thaw_status cropping_infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  const thaw_padding2d_config *crop = layer->config;
  THAW_TRY(thaw_layer_need_map(layer, input));
  if (crop->top < 0 || crop->left < 0 || crop->bottom < 0 || crop->right < 0)
    return refuse(layer, input, "crops a negative number of pixels");
  if ((int64_t)crop->top + crop->bottom >= input->h || (int64_t)crop->left + crop->right >= input->w)
    return refuse(layer, input, "leaves nothing");
  *output = thaw_shape_map(input->h - crop->top - crop->bottom, input->w - crop->left - crop->right, input->c);
  return THAW_OK;
}

/* The place in the input of row h of image n of the output. */
static size_t cropped_row(const thaw_layer *layer, int32_t n, int32_t h) {
  const thaw_padding2d_config *crop = layer->config;
  thaw_shape in = layer->input[0];
  return (((size_t)n * (size_t)in.h + (size_t)(h + crop->top)) * (size_t)in.w + (size_t)crop->left) * (size_t)in.c;
}

static void cropping_forward(const thaw_layer *layer, const thaw_layer_io *io) {
  thaw_shape out = layer->output;
  size_t row = (size_t)out.w * (size_t)out.c;
  float *y = io->y;
  for (int32_t n = 0; n < io->n; n++)
    for (int32_t h = 0; h < out.h; h++, y += row) memcpy(y, io->x[0] + cropped_row(layer, n, h), row * sizeof *y);
}

static void cropping_backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                              float *const *gradient) {
  (void)gradient;
  thaw_shape out = layer->output;
  size_t row = (size_t)out.w * (size_t)out.c;
  if (!dx[0]) return;
  memset(dx[0], 0, (size_t)io->n * thaw_shape_count(layer->input[0]) * sizeof **dx);
  for (int32_t n = 0; n < io->n; n++)
    for (int32_t h = 0; h < out.h; h++, dy += row) memcpy(dx[0] + cropped_row(layer, n, h), dy, row * sizeof *dy);
}

static void cropping_config(const thaw_layer *layer, thaw_text *json) {
  const thaw_padding2d_config *crop = layer->config;
  thaw_text_add(json, ", \"cropping\": [[%d, %d], [%d, %d]], \"data_format\": \"channels_last\"", crop->top,
                crop->bottom, crop->left, crop->right);
}

/* ------------------------------------------------------------------ UpSampling2D */

static thaw_status sampling_infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  const thaw_up_sampling_config *config = layer->config;
  THAW_TRY(thaw_layer_need_map(layer, input));
  if (config->h < 1 || config->w < 1 || (int64_t)input->h * config->h > 1 << 20 ||
      (int64_t)input->w * config->w > 1 << 20)
    return refuse(layer, input, "grows to an absurd size");
  *output = thaw_shape_map(input->h * config->h, input->w * config->w, input->c);
  return THAW_OK;
}

/* The two pixels between which a pixel of the output lies, and the second one's weight: centres of pixels are half a
 * pixel from their edges (tf.image.resize). */
typedef struct between {
  size_t first, second;
  float weight;
} between;

static between place(const thaw_up_sampling_config *config, int32_t at, int32_t factor, int32_t size) {
  if (!config->bilinear) return (between){(size_t)(at / factor), (size_t)(at / factor), 0};
  float from = ((float)at + 0.5f) / (float)factor - 0.5f, low = floorf(from);
  int32_t first = (int32_t)low, second = first + 1;
  if (first < 0) first = 0;
  if (second > size - 1) second = size - 1;
  return (between){(size_t)first, (size_t)second, from - low};
}

static void sampling_forward(const thaw_layer *layer, const thaw_layer_io *io) {
  const thaw_up_sampling_config *config = layer->config;
  thaw_shape in = layer->input[0], out = layer->output;
  size_t c = (size_t)in.c, row = (size_t)in.w * c;
  float *y = io->y;
  for (int32_t n = 0; n < io->n; n++) {
    const float *x = io->x[0] + (size_t)n * thaw_shape_count(in);
    for (int32_t h = 0; h < out.h; h++) {
      between v = place(config, h, config->h, in.h);
      for (int32_t w = 0; w < out.w; w++, y += c) {
        between u = place(config, w, config->w, in.w);
        const float *top = x + v.first * row, *bottom = x + v.second * row;
        for (size_t k = 0; k < c; k++) {
          float above = top[u.first * c + k] + (top[u.second * c + k] - top[u.first * c + k]) * u.weight;
          float below = bottom[u.first * c + k] + (bottom[u.second * c + k] - bottom[u.first * c + k]) * u.weight;
          y[k] = above + (below - above) * v.weight;
        }
      }
    }
  }
}

static void sampling_backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                              float *const *gradient) {
  (void)gradient;
  const thaw_up_sampling_config *config = layer->config;
  thaw_shape in = layer->input[0], out = layer->output;
  size_t c = (size_t)in.c, row = (size_t)in.w * c;
  if (!dx[0]) return;
  memset(dx[0], 0, (size_t)io->n * thaw_shape_count(in) * sizeof **dx);
  for (int32_t n = 0; n < io->n; n++) {
    float *to = dx[0] + (size_t)n * thaw_shape_count(in);
    for (int32_t h = 0; h < out.h; h++) {
      between v = place(config, h, config->h, in.h);
      for (int32_t w = 0; w < out.w; w++, dy += c) {
        between u = place(config, w, config->w, in.w);
        for (size_t k = 0; k < c; k++) {
          to[v.first * row + u.first * c + k] += dy[k] * (1 - v.weight) * (1 - u.weight);
          to[v.first * row + u.second * c + k] += dy[k] * (1 - v.weight) * u.weight;
          to[v.second * row + u.first * c + k] += dy[k] * v.weight * (1 - u.weight);
          to[v.second * row + u.second * c + k] += dy[k] * v.weight * u.weight;
        }
      }
    }
  }
}

static void sampling_config(const thaw_layer *layer, thaw_text *json) {
  const thaw_up_sampling_config *config = layer->config;
  thaw_layer_json_pair(json, "size", config->h, config->w);
  thaw_layer_json_text(json, "data_format", "channels_last");
  thaw_layer_json_text(json, "interpolation", config->bilinear ? "bilinear" : "nearest");
}

/* ------------------------------------------------------------------ Permute */

static thaw_status permute_infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  const int32_t *axis = ((const thaw_permute_config *)layer->config)->axis;
  const int32_t dim[] = {input->h, input->w, input->c};
  bool seen[3] = {false};
  THAW_TRY(thaw_layer_need_map(layer, input));
  for (int i = 0; i < 3; i++) {
    if (axis[i] < 0 || axis[i] > 2 || seen[axis[i]]) return refuse(layer, input, "has dims that are no permutation");
    seen[axis[i]] = true;
  }
  *output = thaw_shape_map(dim[axis[0]], dim[axis[1]], dim[axis[2]]);
  return THAW_OK;
}

/* Copies between the input's memory and the output's, in the direction asked for. */
static void permute(const thaw_layer *layer, int32_t images, const float *from, float *to, bool back) {
  const int32_t *axis = ((const thaw_permute_config *)layer->config)->axis;
  thaw_shape in = layer->input[0], out = layer->output;
  const size_t step[] = {(size_t)in.w * (size_t)in.c, (size_t)in.c, 1};
  size_t i = 0, image = thaw_shape_count(in);
  for (size_t n = 0; n < (size_t)images; n++)
    for (size_t h = 0; h < (size_t)out.h; h++)
      for (size_t w = 0; w < (size_t)out.w; w++)
        for (size_t c = 0; c < (size_t)out.c; c++, i++) {
          size_t at = n * image + h * step[axis[0]] + w * step[axis[1]] + c * step[axis[2]];
          if (back)
            to[at] = from[i];
          else
            to[i] = from[at];
        }
}

static void permute_forward(const thaw_layer *layer, const thaw_layer_io *io) {
  permute(layer, io->n, io->x[0], io->y, false);
}

static void permute_backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                             float *const *gradient) {
  (void)gradient;
  if (dx[0]) permute(layer, io->n, dy, dx[0], true);
}

static void permute_config(const thaw_layer *layer, thaw_text *json) {
  const int32_t *axis = ((const thaw_permute_config *)layer->config)->axis;
  thaw_text_add(json, ", \"dims\": [%d, %d, %d]", axis[0] + 1, axis[1] + 1, axis[2] + 1);
}

/* ------------------------------------------------------------------ the types */

static const thaw_schema cropping_schema = {
    .name = "cropping", .size = sizeof(thaw_padding2d_config), .help = "the map without its edges"};
static const thaw_schema sampling_schema = {
    .name = "up_sampling", .size = sizeof(thaw_up_sampling_config), .help = "the map enlarged"};
static const thaw_schema permute_schema = {
    .name = "permute", .size = sizeof(thaw_permute_config), .help = "height, width and channels in another order"};
const thaw_layer_ops thaw_layer_cropping = {.schema = &cropping_schema,
                                            .keras_class = "Cropping2D",
                                            .min_inputs = 1,
                                            .max_inputs = 1,
                                            .infer = cropping_infer,
                                            .forward = cropping_forward,
                                            .backward = cropping_backward,
                                            .keras_config = cropping_config};
const thaw_layer_ops thaw_layer_up_sampling = {.schema = &sampling_schema,
                                               .keras_class = "UpSampling2D",
                                               .min_inputs = 1,
                                               .max_inputs = 1,
                                               .infer = sampling_infer,
                                               .forward = sampling_forward,
                                               .backward = sampling_backward,
                                               .keras_config = sampling_config};
const thaw_layer_ops thaw_layer_permute = {.schema = &permute_schema,
                                           .keras_class = "Permute",
                                           .min_inputs = 1,
                                           .max_inputs = 1,
                                           .infer = permute_infer,
                                           .forward = permute_forward,
                                           .backward = permute_backward,
                                           .keras_config = permute_config};
