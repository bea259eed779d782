/* Dropout, inverted: in training a value is kept with probability 1 - rate and divided by it (Keras). The mask is a
 * function of seed, layer, epoch and global sample index, so it does not depend on slices or ranks. */
#include "layer/layer_private.h"
#include "thaw/kernel.h"
#include "thaw/rng.h"

#include <string.h>

static bool drops_samples(const thaw_layer *layer) {
  return ((const thaw_dropout_config *)layer->config)->whole_samples;
}

static double rate_of(const thaw_layer *layer) {
  return ((const thaw_dropout_config *)layer->config)->rate;
}

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)layer;
  (void)inputs;
  *output = input[0];
  return THAW_OK;
}

/* A value is kept when its 32 random bits are not below rate * 2^32: all bits of its mask are then set. */
static void draw_mask(const thaw_layer *layer, const thaw_layer_io *io, uint64_t sample, size_t count, uint32_t *mask) {
  thaw_draw position = {
      .seed = io->seed, .purpose = THAW_RNG_DROPOUT, .epoch = io->epoch, .sample = sample, .lane = layer->index};
  uint32_t limit = (uint32_t)(rate_of(layer) * 0x1p32); /* the rate is below 1 */
  if (!drops_samples(layer)) {
    thaw_random_keep(io->isa, &position, limit, count, mask);
    return;
  }
  uint32_t word[4];
  thaw_random4(&position, 0, word);
  for (size_t i = 0; i < count; i++) mask[i] = word[0] >= limit ? UINT32_MAX : 0;
}

static size_t saved_bytes(const thaw_layer *layer) {
  return thaw_shape_count(layer->output) * sizeof(uint32_t);
}

/* Without branches, so that the compiler can take several values at once. */
static void scale_by_mask(const uint32_t *mask, float factor, const float *x, size_t count, float *y) {
  for (size_t i = 0; i < count; i++) {
    float scaled = x[i] * factor;
    uint32_t bits;
    memcpy(&bits, &scaled, sizeof bits);
    bits &= mask[i];
    memcpy(&y[i], &bits, sizeof bits);
  }
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  size_t count = thaw_shape_count(layer->output);
  if (!io->training || rate_of(layer) == 0) {
    memcpy(io->y, io->x[0], (size_t)io->n * count * sizeof(float));
    return;
  }
  float factor = (float)(1 / (1 - rate_of(layer)));
  for (int32_t i = 0; i < io->n; i++) {
    uint32_t *mask = (uint32_t *)io->saved + (size_t)i * count;
    draw_mask(layer, io, io->sample[i], count, mask);
    scale_by_mask(mask, factor, io->x[0] + (size_t)i * count, count, io->y + (size_t)i * count);
  }
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  (void)gradient;
  size_t count = thaw_shape_count(layer->output);
  if (!dx[0]) return;
  if (!io->training || rate_of(layer) == 0) {
    memcpy(dx[0], dy, (size_t)io->n * count * sizeof(float));
    return;
  }
  float factor = (float)(1 / (1 - rate_of(layer)));
  for (int32_t i = 0; i < io->n; i++)
    scale_by_mask((const uint32_t *)io->saved + (size_t)i * count, factor, dy + (size_t)i * count, count,
                  dx[0] + (size_t)i * count);
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  const char *noise = drops_samples(layer) ? layer->output.rank == 3 ? "[null, 1, 1, 1]" : "[null, 1]" : "null";
  thaw_text_add(json, ", \"rate\": %.17g, \"noise_shape\": %s, \"seed\": null", rate_of(layer), noise);
}

static const thaw_field fields[] = {
    {.name = "rate",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(thaw_dropout_config, rate),
     .low = 0,
     .high = 0.999999,
     .required = true,
     .help = "fraction of values set to zero in training"},
    {.name = "whole_samples",
     .kind = THAW_FIELD_BOOL,
     .offset = offsetof(thaw_dropout_config, whole_samples),
     .quiet = true,
     .help = "whether all values of a sample go together (Keras' noise_shape (None, 1, 1, 1))"},
};
const thaw_schema thaw_dropout_schema = {.name = "dropout",
                                         .size = sizeof(thaw_dropout_config),
                                         .fields = fields,
                                         .count = FIELD_COUNT(fields),
                                         .help = "random zeros in training"};
const thaw_layer_ops thaw_layer_dropout = {.schema = &thaw_dropout_schema,
                                           .keras_class = "Dropout",
                                           .min_inputs = 1,
                                           .max_inputs = 1,
                                           .random = true,
                                           .infer = infer,
                                           .forward = forward,
                                           .backward = backward,
                                           .saved_bytes = saved_bytes,
                                           .keras_config = keras_config};
