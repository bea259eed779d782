/* One number that makes outputs less sure, or more (Guo et al., "On calibration of modern neural networks", 2017). The
 * logits are recovered from the outputs: log y of a softmax (up to a constant, which softmax ignores), log y/(1-y) of a
 * sigmoid. */
#include "score/score_private.h"
#include "thaw/memory.h"

#include <math.h>

static const double least = 1e-15, coldest = 0.05, hottest = 20;

static double clip(double p) {
  return p < least ? least : p;
}

static double logit(double p) {
  return log(clip(p)) - log(clip(1 - p));
}

static double sigmoid(double z) {
  return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

/* softmax(beta log y) into out. */
static void power(const float *y, int32_t n, double beta, double *out) {
  double largest = -INFINITY, sum = 0;
  for (int32_t k = 0; k < n; k++) {
    out[k] = beta * log(clip((double)y[k]));
    largest = fmax(largest, out[k]);
  }
  for (int32_t k = 0; k < n; k++) sum += out[k] = exp(out[k] - largest);
  for (int32_t k = 0; k < n; k++) out[k] /= sum;
}

void score_at_temperature(thaw_label_kind kind, const float *y, int32_t outputs, double temperature, double *out) {
  bool distribution = kind == THAW_LABEL_CLASS && outputs > 1;
  for (int32_t k = 0; k < outputs; k++) out[k] = (double)y[k];
  if (temperature == 1) return;
  if (distribution)
    power(y, outputs, 1 / temperature, out);
  else
    for (int32_t k = 0; k < outputs; k++) out[k] = sigmoid(logit((double)y[k]) / temperature);
}

/* d(log loss)/d(beta) of one row, beta = 1/T: the mean logit under the model less the logit of the truth. It grows with
 * beta, because the loss is convex in it. */
static double slope_of_row(const thaw_scored *s, int64_t i, double beta, double *p, int64_t *answers) {
  const float *y = s->y + (size_t)i * (size_t)s->outputs;
  double slope = 0;
  if (s->kind == THAW_LABEL_CLASS && s->outputs > 1) {
    power(y, s->outputs, beta, p);
    for (int32_t k = 0; k < s->outputs; k++) slope += p[k] * log(clip((double)y[k]));
    ++*answers;
    return slope - log(clip((double)y[(int32_t)s->label[i]]));
  }
  const float *label = s->label + (size_t)i * (size_t)(s->kind == THAW_LABEL_CLASS ? 1 : s->outputs);
  for (int32_t k = 0; k < s->outputs; k++) {
    if (s->kind == THAW_LABEL_MULTI && label[k] == THAW_UNKNOWN) continue;
    double z = logit((double)y[k]);
    slope += z * (sigmoid(beta * z) - (label[k] > 0.5f));
    ++*answers;
  }
  return slope;
}

static double slope(const thaw_scored *s, double beta, double *p, int64_t *answers) {
  double sum = 0;
  *answers = 0;
  for (int64_t i = 0; i < s->count; i++) sum += slope_of_row(s, i, beta, p, answers);
  return sum;
}

thaw_status thaw_temperature_fit(const thaw_scored *scored, double *out) {
  *out = NAN;
  if (!score_are_probabilities(scored)) return THAW_OK;
  double *p = thaw_new((size_t)scored->outputs, sizeof *p);
  if (!p) return THAW_ERR_MEMORY;
  double low = log(1 / hottest), high = log(1 / coldest); /* of beta */
  int64_t answers = 0;
  for (int32_t step = 0; step < 50; step++) {
    double middle = (low + high) / 2;
    if (slope(scored, exp(middle), p, &answers) > 0)
      high = middle;
    else
      low = middle;
  }
  thaw_free(p);
  if (answers) *out = exp(-(low + high) / 2);
  return THAW_OK;
}
