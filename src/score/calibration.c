/* Whether outputs are the frequencies they claim to be. */
#include "score/score_private.h"
#include "thaw/memory.h"

#include <math.h>

bool score_are_probabilities(const thaw_scored *s) {
  bool distribution = s->kind == THAW_LABEL_CLASS && s->outputs > 1;
  for (int64_t i = 0; i < s->count; i++) {
    const float *y = s->y + (size_t)i * (size_t)s->outputs;
    double sum = 0;
    for (int32_t k = 0; k < s->outputs; k++) {
      if (!(y[k] >= 0 && y[k] <= 1)) return false;
      sum += (double)y[k];
    }
    if (distribution && fabs(sum - 1) > 1e-3) return false;
  }
  return true;
}

typedef struct tally {
  thaw_calibration *out;
  double brier, log_loss;
  int64_t rows;
} tally;

static double clipped_log(double p) {
  return log(p < 1e-15 ? 1e-15 : p);
}

static void add_answer(tally *t, double confidence, bool right) {
  int32_t bin = (int32_t)ceil(confidence * THAW_CALIBRATION_BINS) - 1;
  if (bin < 0) bin = 0;
  if (bin >= THAW_CALIBRATION_BINS) bin = THAW_CALIBRATION_BINS - 1;
  t->out->answers++;
  t->out->count[bin]++;
  t->out->confidence[bin] += confidence;
  t->out->frequency[bin] += right;
}

static void add_classes(tally *t, const double *p, int32_t classes, int32_t truth) {
  int32_t best = 0;
  for (int32_t k = 0; k < classes; k++) {
    double error = p[k] - (k == truth);
    t->brier += error * error;
    if (p[k] > p[best]) best = k;
  }
  t->log_loss -= clipped_log(p[truth]);
  t->rows++;
  add_answer(t, p[best], best == truth);
}

static void add_yes_or_no(tally *t, double p, bool truth) {
  t->brier += (p - truth) * (p - truth);
  t->log_loss -= clipped_log(truth ? p : 1 - p);
  t->rows++;
  add_answer(t, p, truth);
}

static void add_row(tally *t, const thaw_scored *s, int64_t sample, const double *p) {
  const float *label = s->label + (size_t)sample * (size_t)(s->kind == THAW_LABEL_CLASS ? 1 : s->outputs);
  if (s->kind == THAW_LABEL_CLASS && s->outputs > 1)
    add_classes(t, p, s->outputs, (int32_t)label[0]);
  else
    for (int32_t k = 0; k < s->outputs; k++)
      if (label[k] != THAW_UNKNOWN || s->kind == THAW_LABEL_CLASS) add_yes_or_no(t, p[k], label[k] > 0.5f);
}

static void finish(tally *t) {
  thaw_calibration *c = t->out;
  c->brier = t->rows ? t->brier / (double)t->rows : NAN;
  c->log_loss = t->rows ? t->log_loss / (double)t->rows : NAN;
  for (int32_t b = 0; b < THAW_CALIBRATION_BINS; b++) {
    double n = (double)c->count[b];
    c->confidence[b] = n > 0 ? c->confidence[b] / n : NAN;
    c->frequency[b] = n > 0 ? c->frequency[b] / n : NAN;
    if (!(n > 0)) continue;
    double gap = fabs(c->confidence[b] - c->frequency[b]);
    c->ece += gap * n / (double)c->answers;
    c->mce = fmax(c->mce, gap);
  }
}

thaw_status thaw_calibrate(const thaw_scored *scored, double temperature, thaw_calibration *out) {
  *out = (thaw_calibration){0};
  if (!score_are_probabilities(scored)) return THAW_OK;
  double *p = thaw_new((size_t)scored->outputs, sizeof *p);
  if (!p) return THAW_ERR_MEMORY;
  tally t = {.out = out};
  out->probabilities = true;
  for (int64_t i = 0; i < scored->count; i++) {
    score_at_temperature(scored->kind, scored->y + (size_t)i * (size_t)scored->outputs, scored->outputs, temperature,
                         p);
    add_row(&t, scored, i, p);
  }
  finish(&t);
  thaw_free(p);
  return THAW_OK;
}
