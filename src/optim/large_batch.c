/* Optimisers for large batches: the step of each tensor has a norm in proportion to the tensor's own.
 *
 * LARS (You, Gitman, Ginsburg, "Large batch training of convolutional networks", 2017), with w, g, v of one tensor:
 *     l = trust_coefficient * |w| / (|g| + weight_decay * |w|)
 *     v = momentum * v + rate * l * (g + weight_decay * w);  w -= v
 * LAMB (You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", 2020), Keras' Lamb
 * without weight decay:
 *     m, v as Adam's, corrected by 1 - beta^t;  u = m / (sqrt(v) + epsilon) + weight_decay * w
 *     w -= rate * |w| / |u| * u
 * A ratio with |w| = 0 or |u| = 0 is 1. Vectors (biases, batch-norm scales and offsets) have the ratio 1 and no decay,
 * as in both papers' programs, unless adapt_vectors is set. Norms are sums in double in an order that depends on the
 * size alone. */
#include "optim/optim_private.h"

#include <math.h>

typedef struct large_batch_config {
  thaw_optim_common common;
  double momentum, trust_coefficient, beta_1, beta_2, epsilon, weight_decay;
  bool adapt_vectors;
} large_batch_config;

#define NUMBER(key, most, standard, text)                                                                              \
  {                                                                                                                    \
    .name = #key, .kind = THAW_FIELD_FLOAT, .offset = offsetof(large_batch_config, key), .high = most,                 \
    .fallback = standard, .help = text                                                                                 \
  }
#define LEARNING_RATE(standard)                                                                                        \
  {                                                                                                                    \
    .name = "learning_rate", .kind = THAW_FIELD_FLOAT, .offset = offsetof(large_batch_config, common.learning_rate),   \
    .high = 1000, .fallback = standard, .help = "step size"                                                            \
  }
#define ADAPT_VECTORS                                                                                                  \
  {                                                                                                                    \
    .name = "adapt_vectors", .kind = THAW_FIELD_BOOL, .offset = offsetof(large_batch_config, adapt_vectors),           \
    .help = "biases and batch normalisation are scaled and decayed like the rest"                                      \
  }

static const thaw_field lars_fields[] = {
    LEARNING_RATE(1),
    NUMBER(momentum, 1, 0.9, "share of the last step that is kept"),
    NUMBER(trust_coefficient, 1000, 0.001, "norm of a step, as a share of the parameter's norm, at learning rate 1"),
    NUMBER(weight_decay, 1, 0, "share of each weight that is added to its gradient"),
    ADAPT_VECTORS,
    THAW_CLIPPING};
static const thaw_field lamb_fields[] = {LEARNING_RATE(0.001),
                                         NUMBER(beta_1, 0.999999, 0.9, "decay of the mean of gradients"),
                                         NUMBER(beta_2, 0.999999, 0.999, "decay of the mean of squared gradients"),
                                         NUMBER(epsilon, 1, 1e-7, "added to the root of the mean square"),
                                         NUMBER(weight_decay, 1, 0, "share of each weight that is added to its step"),
                                         ADAPT_VECTORS,
                                         THAW_CLIPPING};
const thaw_schema thaw_lars_schema = {"lars", sizeof(large_batch_config), lars_fields,
                                      sizeof lars_fields / sizeof *lars_fields,
                                      "momentum with a step in proportion to each parameter's norm, for large batches"};
const thaw_schema thaw_lamb_schema = {"lamb", sizeof(large_batch_config), lamb_fields,
                                      sizeof lamb_fields / sizeof *lamb_fields,
                                      "Adam with a step in proportion to each parameter's norm, for large batches"};

/* ------------------------------------------------------------------ LARS */

static int32_t lars_slots(const void *config) {
  (void)config;
  return 1;
}

static const char *lars_slot_name(const void *config, int32_t slot) {
  (void)config, (void)slot;
  return "momentum";
}

static void lars_step(const large_batch_config *c, double rate, double local, double decay, float *value,
                      const float *gradient, float *velocity, size_t n) {
  for (size_t i = 0; i < n; i++) {
    velocity[i] = (float)(c->momentum * velocity[i] + rate * local * (gradient[i] + decay * value[i]));
    value[i] -= velocity[i];
  }
}

static void lars(const void *config, double rate, int64_t step, float *value, const float *gradient, float *const *slot,
                 size_t n) {
  (void)step;
  const large_batch_config *c = config;
  double w = sqrt(thaw_square_sum(value, n)), g = sqrt(thaw_square_sum(gradient, n)), below = g + c->weight_decay * w;
  double local = w > 0 && below > 0 ? c->trust_coefficient * w / below : 1;
  lars_step(c, rate, local, c->weight_decay, value, gradient, slot[0], n);
}

static void lars_vector(const void *config, double rate, int64_t step, float *value, const float *gradient,
                        float *const *slot, size_t n) {
  const large_batch_config *c = config;
  if (c->adapt_vectors)
    lars(config, rate, step, value, gradient, slot, n);
  else
    lars_step(c, rate, 1, 0, value, gradient, slot[0], n);
}

/* ------------------------------------------------------------------ LAMB */

static int32_t lamb_slots(const void *config) {
  (void)config;
  return 2;
}

static const char *lamb_slot_name(const void *config, int32_t slot) {
  (void)config;
  return slot == 0 ? "momentum" : "velocity";
}

typedef struct lamb_factors {
  float mean, square, epsilon, decay; /* what corrects the means of few steps */
} lamb_factors;

static lamb_factors corrections(const large_batch_config *c, int64_t step, double decay) {
  return (lamb_factors){.mean = (float)(1 - pow(c->beta_1, (double)step)),
                        .square = (float)(1 - pow(c->beta_2, (double)step)),
                        .epsilon = (float)c->epsilon,
                        .decay = (float)decay};
}

static float lamb_direction(lamb_factors f, float m, float v, float w) {
  return m / f.mean / (sqrtf(v / f.square) + f.epsilon) + f.decay * w;
}

static void lamb_means(const large_batch_config *c, const float *restrict g, float *restrict m, float *restrict v,
                       size_t n) {
  float rest_1 = (float)(1 - c->beta_1), rest_2 = (float)(1 - c->beta_2);
  for (size_t i = 0; i < n; i++) {
    m[i] += (g[i] - m[i]) * rest_1;
    v[i] += (g[i] * g[i] - v[i]) * rest_2;
  }
}

static void lamb_step(lamb_factors f, float rate, float *restrict w, const float *restrict m, const float *restrict v,
                      size_t n) {
  for (size_t i = 0; i < n; i++) w[i] -= rate * lamb_direction(f, m[i], v[i], w[i]);
}

static void lamb(const void *config, double rate, int64_t step, float *value, const float *gradient, float *const *slot,
                 size_t n) {
  enum { BLOCK = 512 };
  const large_batch_config *c = config;
  lamb_factors f = corrections(c, step, c->weight_decay);
  double w = sqrt(thaw_square_sum(value, n)), squares = 0;
  lamb_means(c, gradient, slot[0], slot[1], n);
  for (size_t first = 0; first < n; first += BLOCK) {
    size_t count = n - first < BLOCK ? n - first : BLOCK;
    float direction[BLOCK];
    for (size_t i = 0; i < count; i++)
      direction[i] = lamb_direction(f, slot[0][first + i], slot[1][first + i], value[first + i]);
    squares += thaw_square_sum(direction, count);
  }
  double ratio = w > 0 && squares > 0 ? w / sqrt(squares) : 1;
  lamb_step(f, (float)(rate * ratio), value, slot[0], slot[1], n);
}

static void lamb_vector(const void *config, double rate, int64_t step, float *value, const float *gradient,
                        float *const *slot, size_t n) {
  const large_batch_config *c = config;
  if (c->adapt_vectors) {
    lamb(config, rate, step, value, gradient, slot, n);
    return;
  }
  lamb_means(c, gradient, slot[0], slot[1], n);
  lamb_step(corrections(c, step, 0), (float)rate, value, slot[0], slot[1], n);
}

const thaw_optim_ops thaw_lars_ops = {&thaw_lars_schema, lars_slots, lars_slot_name, lars, lars_vector};
const thaw_optim_ops thaw_lamb_ops = {&thaw_lamb_schema, lamb_slots, lamb_slot_name, lamb, lamb_vector};
