/* The comparison: values of both, intervals of their differences, tests. */
#include "cli/compare.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

void comparison_clear(comparison *c) {
  thaw_scorer_destroy(c->scorer_a);
  thaw_scorer_destroy(c->scorer_b);
  thaw_free(c->group);
  thaw_free(c->value_a);
  thaw_free(c->value_b);
  thaw_free(c->low);
  thaw_free(c->high);
  thaw_free(c->delong);
  thaw_free(c->wilcoxon);
}

/* Whether the prediction is right: the class, or all known labels at 0.5. */
static uint8_t is_right(const evaluated *e, int64_t i) {
  const float *y = e->y + (size_t)i * (size_t)e->outputs;
  if (e->scored.kind == THAW_LABEL_CLASS) {
    int32_t best = e->outputs == 1 ? y[0] > 0.5f : 0;
    for (int32_t k = 1; k < e->outputs; k++)
      if (y[k] > y[best]) best = k;
    return best == (int32_t)e->label[i];
  }
  const float *label = e->label + (size_t)i * (size_t)e->outputs;
  for (int32_t k = 0; k < e->outputs; k++)
    if (label[k] != THAW_UNKNOWN && (y[k] > 0.5f) != (label[k] > 0.5f)) return 0;
  return 1;
}

static thaw_status test_right(comparison *c) {
  uint8_t *right_a = thaw_new((size_t)c->a->count, 1), *right_b = thaw_new((size_t)c->a->count, 1);
  bool complete = right_a && right_b;
  for (int64_t i = 0; complete && i < c->a->count; i++) {
    right_a[i] = is_right(c->a, i);
    right_b[i] = is_right(c->b, i);
  }
  if (complete) c->mcnemar = thaw_mcnemar_test(right_a, right_b, c->a->count);
  thaw_free(right_a);
  thaw_free(right_b);
  return complete ? THAW_OK : THAW_ERR_MEMORY;
}

/* All values of one of the two; weight NULL: of the samples as they are, which come first. */
static void compute(const comparison *c, bool of_a, const double *weight, double *value) {
  if (c->regression)
    thaw_regression_compute(of_a ? &c->a->scored : &c->b->scored, weight, value);
  else
    thaw_scorer_compute(of_a ? c->scorer_a : c->scorer_b, weight,
                        !weight ? NULL
                        : of_a  ? c->value_a
                                : c->value_b,
                        value);
}

/* The same replicates of whole groups for both; percentiles of the differences. */
static thaw_status resample(comparison *c, uint64_t seed) {
  size_t values = (size_t)c->values, replicates = (size_t)c->replicates;
  double *difference = thaw_new(values * replicates, sizeof *difference), *taken = thaw_new((size_t)c->groups, 8);
  double *weight = thaw_new((size_t)c->a->count, sizeof *weight), *x = thaw_new(values, 8), *y = thaw_new(values, 8);
  bool complete = difference && taken && weight && x && y;
  for (int32_t r = 0; complete && r < c->replicates; r++) {
    memset(taken, 0, (size_t)c->groups * sizeof *taken);
    thaw_bootstrap_draw(seed, r, NULL, c->groups, taken);
    for (int64_t i = 0; i < c->a->count; i++) weight[i] = taken[c->group[i]];
    compute(c, true, weight, x);
    compute(c, false, weight, y);
    for (size_t v = 0; v < values; v++) difference[v * replicates + (size_t)r] = x[v] - y[v];
  }
  for (size_t v = 0; complete && v < values; v++) {
    double *row = difference + v * replicates;
    int64_t defined = 0;
    for (size_t r = 0; r < replicates; r++)
      if (!isnan(row[r])) row[defined++] = row[r];
    c->low[v] = thaw_quantile(row, defined, 0.025);
    c->high[v] = thaw_quantile(row, defined, 0.975);
  }
  thaw_free(difference), thaw_free(taken), thaw_free(weight), thaw_free(x), thaw_free(y);
  return complete ? THAW_OK : THAW_ERR_MEMORY;
}

/* One scorer for each, with thresholds of 0.5. */
static thaw_status make_scorers(comparison *c) {
  int32_t questions = thaw_scored_questions(&c->a->scored);
  double *threshold = thaw_new((size_t)questions, sizeof *threshold);
  if (!threshold) return THAW_ERR_MEMORY;
  for (int32_t q = 0; q < questions; q++) threshold[q] = 0.5;
  thaw_status status = thaw_scorer_create(&c->a->scored, threshold, &c->scorer_a);
  if (status == THAW_OK) status = thaw_scorer_create(&c->b->scored, threshold, &c->scorer_b);
  thaw_free(threshold);
  return status;
}

static thaw_status test_areas(comparison *c) {
  int32_t questions = thaw_scored_questions(&c->a->scored);
  c->delong = thaw_new((size_t)questions, sizeof *c->delong);
  if (!c->delong) return THAW_ERR_MEMORY;
  for (int32_t q = 0; q < questions; q++)
    THAW_TRY(thaw_delong_test(thaw_scorer_binary(c->scorer_a, q), thaw_scorer_binary(c->scorer_b, q), &c->delong[q]));
  return THAW_OK;
}

/* Absolute errors of each target, paired. */
static thaw_status test_errors(comparison *c) {
  size_t count = (size_t)c->a->count, outputs = (size_t)c->a->outputs;
  double *a = thaw_new(count, sizeof *a), *b = thaw_new(count, sizeof *b);
  c->wilcoxon = thaw_new(outputs, sizeof *c->wilcoxon);
  thaw_status status = a && b && c->wilcoxon ? THAW_OK : THAW_ERR_MEMORY;
  for (size_t o = 0; o < outputs && status == THAW_OK; o++) {
    for (size_t i = 0; i < count; i++) {
      size_t at = i * outputs + o;
      a[i] = fabs((double)c->a->y[at] - c->a->label[at]);
      b[i] = fabs((double)c->b->y[at] - c->b->label[at]);
    }
    status = thaw_wilcoxon_test(a, b, c->a->count, &c->wilcoxon[o]);
  }
  thaw_free(a);
  thaw_free(b);
  return status;
}

thaw_status comparison_make(const evaluated *a, const evaluated *b, int32_t replicates, uint64_t seed, comparison *c) {
  *c = (comparison){.a = a, .b = b, .replicates = replicates, .regression = a->scored.kind == THAW_LABEL_TARGET};
  if (!c->regression) THAW_TRY(make_scorers(c));
  THAW_TRY(thaw_group_numbers(&a->groups, &c->group, &c->groups));
  c->grouped = c->groups < a->count;
  c->values = c->regression ? (a->outputs + 1) * THAW_REGRESSION_STATS : thaw_scorer_values(c->scorer_a);
  size_t values = (size_t)c->values;
  c->value_a = thaw_new(values, sizeof(double)), c->value_b = thaw_new(values, sizeof(double));
  c->low = thaw_new(values, sizeof(double)), c->high = thaw_new(values, sizeof(double));
  if (!c->value_a || !c->value_b || !c->low || !c->high) return THAW_ERR_MEMORY;
  compute(c, true, NULL, c->value_a);
  compute(c, false, NULL, c->value_b);
  if (c->regression) {
    THAW_TRY(test_errors(c));
  } else {
    THAW_TRY(test_areas(c));
    THAW_TRY(test_right(c));
  }
  return resample(c, seed);
}
