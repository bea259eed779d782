/* RMSprop (keras/src/optimizers/rmsprop.py):
 *     v = rho * v + (1 - rho) * g^2;  centered: a = rho * a + (1 - rho) * g, d = v - a^2 + epsilon;  else d = v +
 * epsilon i = lr * g / sqrt(d);  momentum: m = momentum * m + i, w -= m;  else w -= i  */
#include "optim/optim_private.h"

#include <math.h>

typedef struct rmsprop_config {
  thaw_optim_common common;
  double rho, momentum, epsilon, weight_decay;
  bool centered;
} rmsprop_config;

static const thaw_field fields[] = {
    {.name = "learning_rate",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(rmsprop_config, common.learning_rate),
     .high = 1000,
     .fallback = 0.001,
     .help = "step size"},
    {.name = "rho",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(rmsprop_config, rho),
     .high = 1,
     .fallback = 0.9,
     .help = "decay of the mean of squared gradients"},
    {.name = "momentum",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(rmsprop_config, momentum),
     .high = 1,
     .help = "share of the last step that is kept"},
    {.name = "epsilon",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(rmsprop_config, epsilon),
     .high = 1,
     .open_low = true,
     .fallback = 1e-7,
     .help = "added to the mean square"},
    {.name = "centered",
     .kind = THAW_FIELD_BOOL,
     .offset = offsetof(rmsprop_config, centered),
     .help = "divide by the estimated variance instead of the mean square"},
    {.name = "weight_decay",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(rmsprop_config, weight_decay),
     .high = 1,
     .help = "share of each weight, times the learning rate, that is taken away at each step"},
    THAW_CLIPPING,
};
const thaw_schema thaw_rmsprop_schema = {"rmsprop", sizeof(rmsprop_config), fields, sizeof fields / sizeof *fields,
                                         "gradient divided by its running root mean square"};

static int32_t slots(const void *config) {
  const rmsprop_config *rmsprop = config;
  return 1 + (rmsprop->momentum > 0) + rmsprop->centered;
}

/* velocity, then momentum, then average_gradient: those that are in use. */
static const char *slot_name(const void *config, int32_t slot) {
  const rmsprop_config *rmsprop = config;
  if (slot == 0) return "velocity";
  return slot == 1 && rmsprop->momentum > 0 ? "momentum" : "average_gradient";
}

/* Runs over blocks that stay in the first-level cache; the increment goes through a small buffer so that each variant
 * is a simple loop. */
enum { BLOCK = 512 };

static void scaled(float rho, float rest, float epsilon, float rate, const float *restrict g, float *restrict v,
                   float *restrict increment, size_t n) {
  for (size_t i = 0; i < n; i++) {
    v[i] = rho * v[i] + rest * (g[i] * g[i]);
    increment[i] = rate * g[i] / sqrtf(v[i] + epsilon);
  }
}

static void centered(float rho, float rest, float epsilon, float rate, const float *restrict g, float *restrict v,
                     float *restrict a, float *restrict increment, size_t n) {
  for (size_t i = 0; i < n; i++) {
    v[i] = rho * v[i] + rest * (g[i] * g[i]);
    a[i] = rho * a[i] + rest * g[i];
    increment[i] = rate * g[i] / sqrtf(v[i] - a[i] * a[i] + epsilon);
  }
}

static void add_momentum(float momentum, float *restrict m, float *restrict increment, size_t n) {
  for (size_t i = 0; i < n; i++) increment[i] = m[i] = momentum * m[i] + increment[i];
}

static void subtract(float *restrict w, const float *restrict increment, size_t n) {
  for (size_t i = 0; i < n; i++) w[i] -= increment[i];
}

static void update(const void *config, double rate, int64_t step, float *value, const float *gradient,
                   float *const *slot, size_t n) {
  (void)step;
  const rmsprop_config *rmsprop = config;
  float lr = (float)rate, rho = (float)rmsprop->rho, rest = (float)(1 - rmsprop->rho);
  float epsilon = (float)rmsprop->epsilon, increment[BLOCK];
  bool momentum = rmsprop->momentum > 0;
  thaw_weight_decay((float)rmsprop->weight_decay, lr, value, n);
  for (size_t first = 0; first < n; first += BLOCK) {
    size_t count = n - first < BLOCK ? n - first : BLOCK;
    const float *g = gradient + first;
    if (rmsprop->centered)
      centered(rho, rest, epsilon, lr, g, slot[0] + first, slot[momentum ? 2 : 1] + first, increment, count);
    else
      scaled(rho, rest, epsilon, lr, g, slot[0] + first, increment, count);
    if (momentum) add_momentum((float)rmsprop->momentum, slot[1] + first, increment, count);
    subtract(value + first, increment, count);
  }
}

const thaw_optim_ops thaw_rmsprop_ops = {&thaw_rmsprop_schema, slots, slot_name, update, NULL};
