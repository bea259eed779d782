/* Errors of regression, as scikit-learn defines them: mean_absolute_error, root_mean_squared_error and r2_score, of
 * each output and as the plain mean over outputs (multioutput="uniform_average"). */
#include "thaw/memory.h"
#include "thaw/score.h"

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

typedef struct resampler {
  const thaw_scored *scored;
  const double *weight;
  int64_t groups, *member, members;
  double *taken, *replicate, *value, *column;
  int32_t values, replicates;
} resampler;

static int64_t group_of(const thaw_scored *d, int64_t sample) {
  return d->group ? d->group[sample] : sample;
}

static thaw_status resampler_create(resampler *r) {
  size_t groups = (size_t)r->groups;
  r->member = thaw_new(groups, sizeof *r->member);
  r->taken = thaw_new(groups, sizeof *r->taken);
  r->replicate = thaw_new((size_t)r->scored->count, sizeof *r->replicate);
  r->value = thaw_new((size_t)r->values, sizeof *r->value);
  r->column = thaw_new((size_t)r->values * (size_t)(r->replicates + 1), sizeof *r->column);
  if (!r->member || !r->taken || !r->replicate || !r->value || !r->column) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < r->scored->count; i++)
    if (!r->weight || r->weight[i] > 0) r->taken[group_of(r->scored, i)] = 1;
  for (int64_t g = 0; g < r->groups; g++)
    if (r->taken[g] > 0) r->member[r->members++] = g;
  return THAW_OK;
}

static void resampler_clear(resampler *r) {
  thaw_free(r->member);
  thaw_free(r->taken);
  thaw_free(r->replicate);
  thaw_free(r->value);
  thaw_free(r->column);
}

static void resample(resampler *r, uint64_t seed, int32_t replicate) {
  memset(r->taken, 0, (size_t)r->groups * sizeof *r->taken);
  thaw_bootstrap_draw(seed, replicate, r->member, r->members, r->taken);
  for (int64_t i = 0; i < r->scored->count; i++)
    r->replicate[i] = r->taken[group_of(r->scored, i)] * (r->weight ? r->weight[i] : 1);
  thaw_regression_compute(r->scored, r->replicate, r->value);
  for (int32_t v = 0; v < r->values; v++)
    r->column[(size_t)v * (size_t)r->replicates + (size_t)replicate] = r->value[v];
}

static void interval(resampler *r, int32_t index, thaw_estimate_of *out) {
  double *column = r->column + (size_t)index * (size_t)r->replicates;
  int64_t defined = 0;
  for (int32_t i = 0; i < r->replicates; i++)
    if (!isnan(column[i])) column[defined++] = column[i];
  out->undefined = r->replicates - defined;
  out->low = thaw_quantile(column, defined, 0.025);
  out->high = thaw_quantile(column, defined, 0.975);
}

thaw_status thaw_regression_estimate(const thaw_scored *scored, const double *weight, int32_t replicates, uint64_t seed,
                                     thaw_estimate_of *out) {
  resampler r = {.scored = scored,
                 .weight = weight,
                 .groups = scored->group ? scored->groups : scored->count,
                 .values = (scored->outputs + 1) * THAW_REGRESSION_STATS,
                 .replicates = replicates};
  thaw_status status = resampler_create(&r);
  if (status == THAW_OK) {
    thaw_regression_compute(scored, weight, r.value);
    for (int32_t v = 0; v < r.values; v++) out[v] = (thaw_estimate_of){.value = r.value[v], .low = NAN, .high = NAN};
    bool possible = replicates > 0 && r.members > 1;
    for (int32_t i = 0; possible && i < replicates; i++) resample(&r, seed, i);
    for (int32_t v = 0; possible && v < r.values; v++)
      if (!isnan(out[v].value)) interval(&r, v, &out[v]);
  }
  resampler_clear(&r);
  return status;
}
