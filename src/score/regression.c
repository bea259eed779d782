/* Errors of regression, as scikit-learn defines them: mean_absolute_error, root_mean_squared_error and r2_score, of
 * each output and as the plain mean over outputs (multioutput="uniform_average"). */
#include "score/score_private.h"

#include <math.h>
#include <string.h>

const char *thaw_regression_name(thaw_regression_stat stat) {
  static const char *const name[] = {"mae", "rmse", "r2"};
  return name[stat];
}

typedef struct column_sums {
  double weight, target, absolute, squared, spread;
  int64_t samples;
} column_sums;

static double error_of(const thaw_scored *d, int64_t sample, int32_t output, double *target) {
  size_t at = (size_t)sample * (size_t)d->outputs + (size_t)output;
  *target = d->label[at];
  return (double)d->y[at] - *target;
}

/* R2 = 1 - sum (y - t)^2 / sum (t - mean t)^2; of targets without spread 1 when all are met, else 0 (scikit-learn's
 * force_finite); of fewer than two samples not defined. */
static void finish(const column_sums *s, double *value) {
  value[THAW_REGRESSION_MAE] = s->weight > 0 ? s->absolute / s->weight : NAN;
  value[THAW_REGRESSION_RMSE] = s->weight > 0 ? sqrt(s->squared / s->weight) : NAN;
  double r2 = s->spread > 0 ? 1 - s->squared / s->spread : s->squared > 0 ? 0 : 1;
  value[THAW_REGRESSION_R2] = s->samples > 1 ? r2 : NAN;
}

static void compute_output(const thaw_scored *d, const double *weight, int32_t output, double *value) {
  column_sums s = {0};
  double target;
  for (int64_t i = 0; i < d->count; i++) {
    double w = weight ? weight[i] : 1, error = error_of(d, i, output, &target);
    s.samples += w > 0;
    s.weight += w;
    s.target += w * target;
    s.absolute += w * fabs(error);
    s.squared += w * error * error;
  }
  double mean = s.target / s.weight;
  for (int64_t i = 0; i < d->count; i++) {
    (void)error_of(d, i, output, &target);
    s.spread += (weight ? weight[i] : 1) * (target - mean) * (target - mean);
  }
  finish(&s, value);
}

void thaw_regression_compute(const thaw_scored *scored, const double *weight, double *value) {
  int32_t outputs = scored->outputs;
  double *mean = value + (size_t)outputs * THAW_REGRESSION_STATS;
  memset(mean, 0, THAW_REGRESSION_STATS * sizeof *mean);
  for (int32_t o = 0; o < outputs; o++) {
    double *own = value + (size_t)o * THAW_REGRESSION_STATS;
    compute_output(scored, weight, o, own);
    for (int s = 0; s < THAW_REGRESSION_STATS; s++) mean[s] += own[s] / outputs;
  }
}

static void compute_any(const void *scored, const double *weight, const double *whole, double *value) {
  (void)whole; /* errors need no class */
  thaw_regression_compute(scored, weight, value);
}

thaw_status thaw_regression_estimate(const thaw_scored *scored, const double *weight, int32_t replicates, uint64_t seed,
                                     thaw_estimate_of *out) {
  const score_resampling resampling = {.scored = scored,
                                       .weight = weight,
                                       .values = (scored->outputs + 1) * THAW_REGRESSION_STATS,
                                       .replicates = replicates,
                                       .seed = seed,
                                       .context = scored,
                                       .compute = compute_any};
  return score_estimate(&resampling, out);
}
