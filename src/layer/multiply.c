/* Multiply: the product of inputs. One pixel stands for a whole map, as Keras broadcasts it: [h][w][c] * [1][1][c] is
 * the last step of a squeeze-and-excitation block (Hu et al., 2017). */
#include "layer/layer_private.h"

#include <string.h>

static bool is_pixel(const thaw_shape *shape) {
  return shape->h == 1 && shape->w == 1;
}

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  char first[48], other[48];
  *output = input[0];
  for (int32_t i = 1; i < inputs; i++)
    if (is_pixel(output)) *output = input[i];
  for (int32_t i = 0; i < inputs; i++) {
    bool same_map = input[i].h == output->h && input[i].w == output->w;
    if (input[i].rank == output->rank && input[i].c == output->c && (same_map || is_pixel(&input[i]))) continue;
    return thaw_fail(THAW_ERR_USAGE, "layer '%s' multiplies inputs of shapes that do not fit: %s and %s", layer->name,
                     thaw_shape_text(*output, first), thaw_shape_text(input[i], other));
  }
  return THAW_OK;
}

static size_t pixels_of(const thaw_shape *shape) {
  return (size_t)shape->h * (size_t)shape->w;
}

/* The factor that input j gives to pixel p of sample i. */
static const float *factor(const thaw_layer *layer, const thaw_layer_io *io, int32_t j, int32_t i, size_t p) {
  size_t pixels = pixels_of(&layer->input[j]), c = (size_t)layer->output.c;
  return io->x[j] + ((size_t)i * pixels + (pixels == 1 ? 0 : p)) * c;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  size_t pixels = pixels_of(&layer->output), c = (size_t)layer->output.c;
  float *y = io->y;
  for (int32_t i = 0; i < io->n; i++)
    for (size_t p = 0; p < pixels; p++, y += c) {
      const float *a = factor(layer, io, 0, i, p), *b = factor(layer, io, 1, i, p);
      for (size_t k = 0; k < c; k++) y[k] = a[k] * b[k];
      for (int32_t j = 2; j < layer->inputs; j++) {
        const float *more = factor(layer, io, j, i, p);
        for (size_t k = 0; k < c; k++) y[k] *= more[k];
      }
    }
}

/* dx[j] = dy times all other factors, summed over the pixels that input j was repeated for. */
static void add_gradient(const thaw_layer *layer, const thaw_layer_io *io, int32_t j, const float *dy, float *dx) {
  size_t pixels = pixels_of(&layer->output), c = (size_t)layer->output.c, own = pixels_of(&layer->input[j]);
  memset(dx, 0, (size_t)io->n * own * c * sizeof(float));
  for (int32_t i = 0; i < io->n; i++)
    for (size_t p = 0; p < pixels; p++, dy += c) {
      float *to = dx + ((size_t)i * own + (own == 1 ? 0 : p)) * c;
      for (size_t k = 0; k < c; k++) {
        float product = dy[k];
        for (int32_t other = 0; other < layer->inputs; other++)
          if (other != j) product *= factor(layer, io, other, i, p)[k];
        to[k] += product;
      }
    }
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  (void)gradient;
  for (int32_t j = 0; j < layer->inputs; j++)
    if (dx[j]) add_gradient(layer, io, j, dy, dx[j]);
}

static double flops(const thaw_layer *layer) {
  return (double)thaw_shape_count(layer->output) * (layer->inputs - 1);
}

static const thaw_schema schema = {.name = "multiply", .help = "product of several inputs"};
const thaw_layer_ops thaw_layer_multiply = {.schema = &schema,
                                            .keras_class = "Multiply",
                                            .min_inputs = 2,
                                            .max_inputs = THAW_MAX_INPUTS,
                                            .infer = infer,
                                            .forward = forward,
                                            .backward = backward,
                                            .flops = flops};
