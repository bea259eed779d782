/* Keras' weight initialisers (keras/src/initializers/random_initializers.py, VarianceScaling) from counter-based
 * streams, so that a value depends on seed, layer and element alone. */
#include "layer/layer_private.h"
#include "thaw/rng.h"

#include <math.h>

const char *const thaw_initializer_names[] = {"glorot_uniform", "he_normal", "he_uniform",
                                              "glorot_normal",  "zeros",     NULL};

/* Standard normal cut off at two deviations: redrawn, as Keras does; attempt k reads the stream's "epoch" k. */
static double truncated_normal(thaw_draw position, uint32_t element) {
  for (position.epoch = 0; position.epoch < 1000; position.epoch++) {
    uint32_t word[4];
    thaw_random4(&position, element, word);
    double radius = sqrt(-2 * log((word[0] + 0.5) * 0x1p-32));
    double z = radius * cos(2 * 3.14159265358979323846 * (word[1] * 0x1p-32));
    if (fabs(z) < 2) return z;
  }
  return 0;
}

static void fill_uniform(float *value, size_t count, double limit, const thaw_draw *position) {
  thaw_random_uniform(position, value, (uint32_t)count);
  for (size_t i = 0; i < count; i++) value[i] = (float)((2.0 * value[i] - 1.0) * limit);
}

static void fill_normal(float *value, size_t count, double variance, const thaw_draw *position) {
  /* 0.8796...: the deviation of a standard normal cut off at 2 (Keras' constant). */
  double deviation = sqrt(variance) / 0.87962566103423978;
  for (size_t i = 0; i < count; i++) value[i] = (float)(deviation * truncated_normal(*position, (uint32_t)i));
}

void thaw_layer_fill(float *value, size_t count, thaw_initializer initializer, double fan_in, double fan_out,
                     uint64_t seed, uint32_t index, uint32_t lane) {
  thaw_draw position = {.seed = seed, .purpose = THAW_RNG_INIT, .sample = index, .lane = lane};
  switch (initializer) {
  case THAW_GLOROT_UNIFORM:
    fill_uniform(value, count, sqrt(6.0 / (fan_in + fan_out)), &position);
    return;
  case THAW_HE_UNIFORM:
    fill_uniform(value, count, sqrt(6.0 / fan_in), &position);
    return;
  case THAW_HE_NORMAL:
    fill_normal(value, count, 2.0 / fan_in, &position);
    return;
  case THAW_GLOROT_NORMAL:
    fill_normal(value, count, 2.0 / (fan_in + fan_out), &position);
    return;
  case THAW_ZEROS:
    break;
  }
  for (size_t i = 0; i < count; i++) value[i] = 0;
}
