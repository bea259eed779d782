/* Adam and AdamW (keras/src/optimizers/adam.py; Kingma and Ba 2014, the form before section 2.1):
 *     alpha = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t)
 *     m += (g - m) * (1 - beta_1);  v += (g^2 - v) * (1 - beta_2);  amsgrad: v' = max(v', v)
 *     w -= m * alpha / (sqrt(v) + epsilon)
 * All in float32, the powers included, as Keras does. AdamW differs only in its default weight decay. */
#include "optim/optim_private.h"

#include <math.h>

typedef struct adam_config {
  thaw_optim_common common;
  double beta_1, beta_2, epsilon, weight_decay;
  bool amsgrad;
} adam_config;

/* The options that both share; the default weight decay is what tells them apart. */
#define RATE                                                                                                           \
  {                                                                                                                    \
    .name = "learning_rate", .kind = THAW_FIELD_FLOAT, .offset = offsetof(adam_config, common.learning_rate),          \
    .high = 1000, .fallback = 0.001, .help = "step size"                                                               \
  }
#define BETA_1                                                                                                         \
  {                                                                                                                    \
    .name = "beta_1", .kind = THAW_FIELD_FLOAT, .offset = offsetof(adam_config, beta_1), .high = 0.999999,             \
    .fallback = 0.9, .help = "decay of the mean of gradients"                                                          \
  }
#define BETA_2                                                                                                         \
  {                                                                                                                    \
    .name = "beta_2", .kind = THAW_FIELD_FLOAT, .offset = offsetof(adam_config, beta_2), .high = 0.999999,             \
    .fallback = 0.999, .help = "decay of the mean of squared gradients"                                                \
  }
#define EPSILON                                                                                                        \
  {                                                                                                                    \
    .name = "epsilon", .kind = THAW_FIELD_FLOAT, .offset = offsetof(adam_config, epsilon), .high = 1,                  \
    .open_low = true, .fallback = 1e-7, .help = "added to the root of the mean square"                                 \
  }
#define AMSGRAD                                                                                                        \
  {                                                                                                                    \
    .name = "amsgrad", .kind = THAW_FIELD_BOOL, .offset = offsetof(adam_config, amsgrad),                              \
    .help = "divide by the largest mean square so far"                                                                 \
  }
#define DECAY(default)                                                                                                 \
  {                                                                                                                    \
    .name = "weight_decay", .kind = THAW_FIELD_FLOAT, .offset = offsetof(adam_config, weight_decay), .high = 1,        \
    .fallback = (default), .help = "share of each weight, times the learning rate, that is taken away at each step"    \
  }
static const thaw_field adam_fields[] = {RATE, BETA_1, BETA_2, EPSILON, AMSGRAD, DECAY(0), THAW_CLIPPING};
static const thaw_field adamw_fields[] = {RATE, BETA_1, BETA_2, EPSILON, AMSGRAD, DECAY(0.004), THAW_CLIPPING};

const thaw_schema thaw_adam_schema = {"adam", sizeof(adam_config), adam_fields,
                                      sizeof adam_fields / sizeof *adam_fields, "Adam"};
const thaw_schema thaw_adamw_schema = {"adamw", sizeof(adam_config), adamw_fields,
                                       sizeof adamw_fields / sizeof *adamw_fields, "Adam with decoupled weight decay"};

static int32_t slots(const void *config) {
  return ((const adam_config *)config)->amsgrad ? 3 : 2;
}

static const char *slot_name(const void *config, int32_t slot) {
  (void)config;
  static const char *const name[] = {"momentum", "velocity", "velocity_hat"};
  return name[slot];
}

typedef struct adam_factors {
  float alpha, one_minus_beta_1, one_minus_beta_2, epsilon;
} adam_factors;

/* The same operations on each element, four, eight or sixteen at once: the same bits. */
__attribute__((target_clones("avx512f", "avx2", "default"))) static void
plain(adam_factors f, float *restrict w, const float *restrict g, float *restrict m, float *restrict v, size_t n) {
  for (size_t i = 0; i < n; i++) {
    m[i] += (g[i] - m[i]) * f.one_minus_beta_1;
    v[i] += (g[i] * g[i] - v[i]) * f.one_minus_beta_2;
    w[i] -= m[i] * f.alpha / (sqrtf(v[i]) + f.epsilon);
  }
}

static void with_amsgrad(adam_factors f, float *restrict w, const float *restrict g, float *restrict m,
                         float *restrict v, float *restrict largest, size_t n) {
  for (size_t i = 0; i < n; i++) {
    m[i] += (g[i] - m[i]) * f.one_minus_beta_1;
    v[i] += (g[i] * g[i] - v[i]) * f.one_minus_beta_2;
    largest[i] = largest[i] > v[i] ? largest[i] : v[i];
    w[i] -= m[i] * f.alpha / (sqrtf(largest[i]) + f.epsilon);
  }
}

static void update(const void *config, double rate, int64_t step, float *value, const float *gradient,
                   float *const *slot, size_t n) {
  const adam_config *adam = config;
  float lr = (float)rate, t = (float)step;
  float power_1 = powf((float)adam->beta_1, t), power_2 = powf((float)adam->beta_2, t);
  adam_factors factors = {.alpha = lr * sqrtf(1 - power_2) / (1 - power_1),
                          .one_minus_beta_1 = (float)(1 - adam->beta_1),
                          .one_minus_beta_2 = (float)(1 - adam->beta_2),
                          .epsilon = (float)adam->epsilon};
  thaw_weight_decay((float)adam->weight_decay, lr, value, n);
  if (adam->amsgrad)
    with_amsgrad(factors, value, gradient, slot[0], slot[1], slot[2], n);
  else
    plain(factors, value, gradient, slot[0], slot[1], n);
}

const thaw_optim_ops thaw_adam_ops = {&thaw_adam_schema, slots, slot_name, update, NULL};
const thaw_optim_ops thaw_adamw_ops = {&thaw_adamw_schema, slots, slot_name, update, NULL};
