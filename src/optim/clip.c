/* Gradient clipping (keras/src/optimizers/base_optimizer.py):
 *     clipnorm         g * clipnorm / max(|g|, clipnorm), each tensor by itself
 *     global_clipnorm  g * clipnorm * min(1 / |all g|, 1 / clipnorm)
 *     clipvalue        min(max(g, -clipvalue), clipvalue)  */
#include "thaw/optim.h"

#include <math.h>

thaw_status thaw_optim_check(const thaw_choice *optimizer) {
  const thaw_optim_common *c = optimizer->config;
  if ((c->clipnorm > 0) + (c->global_clipnorm > 0) + (c->clipvalue > 0) <= 1) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "more than one of clipnorm, global_clipnorm and clipvalue is given");
}

/* Eight running sums, so that the additions need not wait for one another. */
double thaw_square_sum(const float *x, size_t n) {
  enum { LANES = 8 };
  double sum[LANES] = {0}, total = 0;
  for (size_t i = 0; i < n; i++) sum[i % LANES] += (double)x[i] * x[i];
  for (int lane = 0; lane < LANES; lane++) total += sum[lane];
  return total;
}

static void scale(double factor, float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = (float)(factor * x[i]);
}

void thaw_optim_clip(const void *config, double square_sum, float *gradient, size_t n) {
  const thaw_optim_common *c = config;
  if (c->clipnorm > 0) {
    double norm = sqrt(thaw_square_sum(gradient, n));
    if (norm > c->clipnorm) scale(c->clipnorm / norm, gradient, n);
  } else if (c->global_clipnorm > 0) {
    double norm = sqrt(square_sum);
    if (norm > c->global_clipnorm) scale(c->global_clipnorm / norm, gradient, n);
  } else if (c->clipvalue > 0) {
    float limit = (float)c->clipvalue;
    for (size_t i = 0; i < n; i++)
      gradient[i] = gradient[i] > limit ? limit : gradient[i] < -limit ? -limit : gradient[i];
  }
}
