/* Intervals of any vector of figures: replicates of whole groups, percentiles of those in which a figure is defined. */
#include "score/score_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

typedef struct resampler {
  const score_resampling *of;
  int64_t groups, members; /* members: groups to draw from */
  int64_t *member;         /* [groups] */
  double *taken;           /* [groups] */
  double *replicate;       /* [count] weights */
  double *column;          /* [values][replicates] */
  double *whole, *value;   /* [values]: of all members, of one replicate */
} resampler;

static int64_t group_of(const thaw_scored *d, int64_t sample) {
  return d->group ? d->group[sample] : sample;
}

static thaw_status resampler_create(resampler *r) {
  const thaw_scored *d = r->of->scored;
  size_t groups = (size_t)r->groups, values = (size_t)r->of->values;
  r->member = thaw_new(groups, sizeof *r->member);
  r->taken = thaw_new(groups, sizeof *r->taken);
  r->replicate = thaw_new((size_t)d->count, sizeof *r->replicate);
  r->column = thaw_new(values * (size_t)r->of->replicates, sizeof *r->column);
  r->whole = thaw_new(values, sizeof *r->whole);
  r->value = thaw_new(values, sizeof *r->value);
  return r->member && r->taken && r->replicate && r->column && r->whole && r->value ? THAW_OK : THAW_ERR_MEMORY;
}

static void resampler_clear(resampler *r) {
  thaw_free(r->member);
  thaw_free(r->taken);
  thaw_free(r->replicate);
  thaw_free(r->column);
  thaw_free(r->whole);
  thaw_free(r->value);
}

static void find_members(resampler *r) {
  const thaw_scored *d = r->of->scored;
  for (int64_t i = 0; i < d->count; i++)
    if (!r->of->weight || r->of->weight[i] > 0) r->taken[group_of(d, i)] = 1;
  for (int64_t g = 0; g < r->groups; g++)
    if (r->taken[g] > 0) r->member[r->members++] = g;
}

static void resample(resampler *r, int32_t replicate) {
  const score_resampling *of = r->of;
  memset(r->taken, 0, (size_t)r->groups * sizeof *r->taken);
  thaw_bootstrap_draw(of->seed, replicate, r->member, r->members, r->taken);
  for (int64_t i = 0; i < of->scored->count; i++)
    r->replicate[i] = r->taken[group_of(of->scored, i)] * (of->weight ? of->weight[i] : 1);
  of->compute(of->context, r->replicate, r->whole, r->value);
  for (int32_t v = 0; v < of->values; v++)
    r->column[(size_t)v * (size_t)of->replicates + (size_t)replicate] = r->value[v];
}

static void interval(resampler *r, int32_t index, thaw_estimate_of *out) {
  double *column = r->column + (size_t)index * (size_t)r->of->replicates;
  int64_t defined = 0;
  for (int32_t i = 0; i < r->of->replicates; i++)
    if (!isnan(column[i])) column[defined++] = column[i];
  out->undefined = r->of->replicates - defined;
  out->low = thaw_quantile(column, defined, 0.025);
  out->high = thaw_quantile(column, defined, 0.975);
}

thaw_status score_estimate(const score_resampling *of, thaw_estimate_of *out) {
  resampler r = {.of = of, .groups = of->scored->group ? of->scored->groups : of->scored->count};
  thaw_status status = resampler_create(&r);
  if (status == THAW_OK) {
    of->compute(of->context, of->weight, NULL, r.whole);
    for (int32_t v = 0; v < of->values; v++) out[v] = (thaw_estimate_of){.value = r.whole[v], .low = NAN, .high = NAN};
    find_members(&r);
    bool possible = of->replicates > 0 && r.members > 1;
    for (int32_t i = 0; possible && i < of->replicates; i++) resample(&r, i);
    for (int32_t v = 0; possible && v < of->values; v++)
      if (!isnan(out[v].value)) interval(&r, v, &out[v]);
  }
  resampler_clear(&r);
  return status;
}
