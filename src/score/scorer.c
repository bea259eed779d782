/* Every figure of one evaluation as one vector of numbers, for all samples, for a subgroup, for a bootstrap replicate.
 */
#include "score/score_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

enum { MAX_MICRO = 1 << 28 };

struct thaw_scorer {
  const thaw_scored *scored;
  int32_t questions, classes; /* classes: of the confusion; 0: none */
  double *threshold;          /* [questions] */
  thaw_binary *binary;        /* [questions] */
  thaw_binary micro;          /* all questions together; count 0 with one question */
  int32_t *predicted;         /* [count]; NULL without classes */
  double *confusion;          /* [classes][classes], scratch */
};

const char *thaw_stat_name(thaw_stat stat) {
  static const char *const name[] = {"auroc", "auprc", "sensitivity", "specificity", "ppv", "npv", "f1", "youden"};
  return name[stat];
}

const char *thaw_overall_name(thaw_overall overall) {
  static const char *const name[] = {"macro_auroc",       "macro_auprc", "micro_auroc", "micro_auprc",     "accuracy",
                                     "balanced_accuracy", "macro_f1",    "kappa",       "quadratic_kappa", "mcc"};
  return name[overall];
}

/* All (sample, question) pairs as one question. */
static thaw_status pool(thaw_scorer *s) {
  const thaw_scored *d = s->scored;
  int64_t pairs = d->count * s->questions, at = 0;
  if (s->questions < 2 || pairs > MAX_MICRO) return THAW_OK;
  float *score = thaw_new((size_t)pairs, sizeof *score);
  uint8_t *truth = thaw_new((size_t)pairs, sizeof *truth);
  int64_t *sample = thaw_new((size_t)pairs, sizeof *sample);
  thaw_status status = score && truth && sample ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t q = 0; status == THAW_OK && q < s->questions; q++)
    for (int64_t i = 0; i < s->binary[q].count; i++, at++) {
      score[at] = s->binary[q].score[i];
      truth[at] = s->binary[q].truth[i];
      sample[at] = s->binary[q].sample[i];
    }
  if (status == THAW_OK) status = thaw_binary_create(score, 1, truth, sample, at, &s->micro);
  thaw_free(score);
  thaw_free(truth);
  thaw_free(sample);
  return status;
}

static void predict(const thaw_scored *d, int32_t *predicted) {
  for (int64_t i = 0; i < d->count; i++) {
    const float *y = d->y + (size_t)i * (size_t)d->outputs;
    predicted[i] = d->outputs == 1 ? y[0] > 0.5f : 0;
    for (int32_t k = 1; k < d->outputs; k++)
      if (y[k] > y[predicted[i]]) predicted[i] = k;
  }
}

static thaw_status fill(thaw_scorer *s, const double *threshold) {
  const thaw_scored *d = s->scored;
  s->questions = thaw_scored_questions(d);
  s->classes = d->kind != THAW_LABEL_CLASS ? 0 : d->outputs == 1 ? 2 : d->outputs;
  s->threshold = thaw_new((size_t)s->questions, sizeof *s->threshold);
  s->binary = thaw_new((size_t)s->questions, sizeof *s->binary);
  s->predicted = thaw_new((size_t)d->count, sizeof *s->predicted);
  s->confusion = thaw_new((size_t)s->classes * (size_t)s->classes, sizeof *s->confusion);
  if (!s->threshold || !s->binary || !s->predicted || !s->confusion) return THAW_ERR_MEMORY;
  memcpy(s->threshold, threshold, (size_t)s->questions * sizeof *threshold);
  if (s->classes) predict(d, s->predicted);
  for (int32_t q = 0; q < s->questions; q++) THAW_TRY(thaw_scored_binary(d, q, &s->binary[q]));
  return pool(s);
}

thaw_status thaw_scorer_create(const thaw_scored *scored, const double *threshold, thaw_scorer **out) {
  *out = NULL;
  thaw_scorer *s = thaw_new(1, sizeof *s);
  if (!s) return THAW_ERR_MEMORY;
  s->scored = scored;
  thaw_status status = fill(s, threshold);
  if (status == THAW_OK)
    *out = s;
  else
    thaw_scorer_destroy(s);
  return status;
}

void thaw_scorer_destroy(thaw_scorer *s) {
  if (!s) return;
  for (int32_t q = 0; s->binary && q < s->questions; q++) thaw_binary_clear(&s->binary[q]);
  thaw_binary_clear(&s->micro);
  thaw_free(s->binary);
  thaw_free(s->threshold);
  thaw_free(s->predicted);
  thaw_free(s->confusion);
  thaw_free(s);
}

int32_t thaw_scorer_values(const thaw_scorer *scorer) {
  return THAW_OVERALL + scorer->questions * THAW_STATS;
}

const thaw_binary *thaw_scorer_binary(const thaw_scorer *scorer, int32_t question) {
  return &scorer->binary[question];
}

static double ratio(double part, double rest) {
  return part + rest > 0 ? part / (part + rest) : NAN;
}

static void compute_question(const thaw_scorer *s, int32_t q, const double *weight, double *out) {
  const thaw_binary *b = &s->binary[q];
  thaw_counts c = thaw_counts_at(b, weight, s->threshold[q]);
  out[THAW_STAT_AUROC] = thaw_auroc(b, weight);
  out[THAW_STAT_AUPRC] = thaw_average_precision(b, weight);
  out[THAW_STAT_SENSITIVITY] = ratio(c.tp, c.fn);
  out[THAW_STAT_SPECIFICITY] = ratio(c.tn, c.fp);
  out[THAW_STAT_PPV] = ratio(c.tp, c.fp);
  out[THAW_STAT_NPV] = ratio(c.tn, c.fn);
  out[THAW_STAT_F1] = c.tp + c.fn > 0 ? 2 * c.tp / (2 * c.tp + c.fp + c.fn) : NAN;
  out[THAW_STAT_YOUDEN] = out[THAW_STAT_SENSITIVITY] + out[THAW_STAT_SPECIFICITY] - 1;
}

/* Whether a question has lost a figure that it has in `whole`. */
static bool lost(const thaw_scorer *s, thaw_stat stat, const double *whole, const double *value) {
  for (int32_t q = 0; q < s->questions; q++) {
    const int32_t at = THAW_OVERALL + q * THAW_STATS + (int32_t)stat;
    if (!isnan(whole[at]) && isnan(value[at])) return true;
  }
  return false;
}

static void compute_confusion(const thaw_scorer *s, const double *weight, const double *whole, double *value) {
  const thaw_scored *d = s->scored;
  memset(s->confusion, 0, (size_t)s->classes * (size_t)s->classes * sizeof *s->confusion);
  for (int64_t i = 0; i < d->count; i++)
    s->confusion[(size_t)d->label[i] * (size_t)s->classes + (size_t)s->predicted[i]] += weight ? weight[i] : 1;
  thaw_agreement a = thaw_agreement_of(s->confusion, s->classes);
  value[THAW_ACCURACY] = a.accuracy;
  value[THAW_BALANCED_ACCURACY] = a.balanced_accuracy;
  value[THAW_MACRO_F1] = a.macro_f1;
  value[THAW_KAPPA] = a.kappa;
  value[THAW_QUADRATIC_KAPPA] = a.quadratic_kappa;
  value[THAW_MCC] = a.mcc;
  /* A class occurs where its sensitivity is defined; of a single question's two, the other one's is the specificity. */
  if (whole && (lost(s, THAW_STAT_SENSITIVITY, whole, value) ||
                (s->questions == 1 && lost(s, THAW_STAT_SPECIFICITY, whole, value))))
    value[THAW_BALANCED_ACCURACY] = value[THAW_MACRO_F1] = NAN;
}

static double macro(const thaw_scorer *s, thaw_stat stat, const double *whole, const double *value) {
  double sum = 0;
  int32_t defined = 0;
  if (whole && lost(s, stat, whole, value)) return NAN;
  for (int32_t q = 0; q < s->questions; q++) {
    double v = value[THAW_OVERALL + q * THAW_STATS + (int32_t)stat];
    if (isnan(v)) continue;
    sum += v;
    defined++;
  }
  return defined ? sum / defined : NAN;
}

void thaw_scorer_compute(const thaw_scorer *s, const double *weight, const double *whole, double *value) {
  for (int32_t i = 0; i < thaw_scorer_values(s); i++) value[i] = NAN;
  for (int32_t q = 0; q < s->questions; q++)
    compute_question(s, q, weight, value + THAW_OVERALL + (size_t)q * THAW_STATS);
  value[THAW_MACRO_AUROC] = macro(s, THAW_STAT_AUROC, whole, value);
  value[THAW_MACRO_AUPRC] = macro(s, THAW_STAT_AUPRC, whole, value);
  if (s->micro.count) {
    value[THAW_MICRO_AUROC] = thaw_auroc(&s->micro, weight);
    value[THAW_MICRO_AUPRC] = thaw_average_precision(&s->micro, weight);
  }
  if (s->classes)
    compute_confusion(s, weight, whole, value);
  else
    value[THAW_MACRO_F1] = macro(s, THAW_STAT_F1, whole, value);
}

static void compute_any(const void *scorer, const double *weight, const double *whole, double *value) {
  thaw_scorer_compute(scorer, weight, whole, value);
}

thaw_status thaw_scorer_estimate(const thaw_scorer *scorer, const double *weight, int32_t replicates, uint64_t seed,
                                 thaw_estimate_of *out) {
  const score_resampling resampling = {.scored = scorer->scored,
                                       .weight = weight,
                                       .values = thaw_scorer_values(scorer),
                                       .replicates = replicates,
                                       .seed = seed,
                                       .context = scorer,
                                       .compute = compute_any};
  return score_estimate(&resampling, out);
}
