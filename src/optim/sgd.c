/* Stochastic gradient descent (keras/src/optimizers/sgd.py):
 *     no momentum  w -= g * lr
 *     momentum     m = m * momentum - g * lr;  w += m  (nesterov: w += m * momentum - g * lr)  */
#include "optim/optim_private.h"

typedef struct sgd_config {
  thaw_optim_common common;
  double momentum, weight_decay;
  bool nesterov;
} sgd_config;

static const thaw_field fields[] = {
    {.name = "learning_rate",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(sgd_config, common.learning_rate),
     .high = 1000,
     .fallback = 0.01,
     .help = "step size"},
    {.name = "momentum",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(sgd_config, momentum),
     .high = 1,
     .help = "share of the last step that is kept"},
    {.name = "nesterov",
     .kind = THAW_FIELD_BOOL,
     .offset = offsetof(sgd_config, nesterov),
     .help = "look ahead along the momentum"},
    {.name = "weight_decay",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(sgd_config, weight_decay),
     .high = 1,
     .help = "share of each weight, times the learning rate, that is taken away at each step"},
    THAW_CLIPPING,
};
const thaw_schema thaw_sgd_schema = {"sgd", sizeof(sgd_config), fields, sizeof fields / sizeof *fields,
                                     "gradient descent with momentum"};

static int32_t slots(const void *config) {
  return ((const sgd_config *)config)->momentum != 0 ? 1 : 0;
}

static const char *slot_name(const void *config, int32_t slot) {
  (void)config, (void)slot;
  return "momentum";
}

static void plain(float rate, float *restrict w, const float *restrict g, size_t n) {
  for (size_t i = 0; i < n; i++) w[i] -= g[i] * rate;
}

static void with_momentum(float rate, float momentum, float *restrict w, const float *restrict g, float *restrict m,
                          size_t n) {
  for (size_t i = 0; i < n; i++) {
    m[i] = m[i] * momentum - g[i] * rate;
    w[i] += m[i];
  }
}

static void with_nesterov(float rate, float momentum, float *restrict w, const float *restrict g, float *restrict m,
                          size_t n) {
  for (size_t i = 0; i < n; i++) {
    m[i] = m[i] * momentum - g[i] * rate;
    w[i] += m[i] * momentum - g[i] * rate;
  }
}

static void update(const void *config, double rate, int64_t step, float *value, const float *gradient,
                   float *const *slot, size_t n) {
  (void)step;
  const sgd_config *sgd = config;
  float lr = (float)rate, momentum = (float)sgd->momentum;
  thaw_weight_decay((float)sgd->weight_decay, lr, value, n);
  if (momentum == 0)
    plain(lr, value, gradient, n);
  else if (sgd->nesterov)
    with_nesterov(lr, momentum, value, gradient, slot[0], n);
  else
    with_momentum(lr, momentum, value, gradient, slot[0], n);
}

const thaw_optim_ops thaw_sgd_ops = {&thaw_sgd_schema, slots, slot_name, update, NULL};
