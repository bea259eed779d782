/* Verification: ROC, equal error rate, true accepts at few false accepts, and accuracy as LFW reports it. */
#include "match/match_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

const double thaw_match_rates[THAW_MATCH_RATES] = {1e-1, 1e-2, 1e-3, 1e-4};

float thaw_match_score(const thaw_embeddings *a, int64_t i, const thaw_embeddings *b, int64_t j) {
  const float *x = a->value + (size_t)i * (size_t)a->width, *y = b->value + (size_t)j * (size_t)b->width;
  double product = 0, xx = 0, yy = 0;
  for (int32_t k = 0; k < a->width; k++) {
    product += (double)x[k] * y[k];
    xx += (double)x[k] * x[k];
    yy += (double)y[k] * y[k];
  }
  return (float)(xx > 0 && yy > 0 ? product / sqrt(xx * yy) : 0);
}

void thaw_verification_clear(thaw_verification *v) {
  thaw_free(v->fold_accuracy);
  thaw_free(v->fold_threshold);
  thaw_free(v->score);
  thaw_curve_clear(&v->curve);
  *v = (thaw_verification){0};
}

/* Where the false accept rate meets the false reject rate, on the straight line between two points of the curve. */
static void find_equal_error(const thaw_curve *curve, double *rate, double *threshold) {
  int64_t k = 1;
  *rate = *threshold = NAN;
  while (k < curve->count && curve->false_rate[k] < 1 - curve->true_rate[k]) k++;
  if (k >= curve->count) return;
  double below = curve->false_rate[k - 1] - (1 - curve->true_rate[k - 1]);
  double above = curve->false_rate[k] - (1 - curve->true_rate[k]), share = below / (below - above);
  *rate = curve->false_rate[k - 1] + share * (curve->false_rate[k] - curve->false_rate[k - 1]);
  *threshold = curve->threshold[k];
}

static void find_accept_rates(thaw_verification *v) {
  for (int i = 0; i < THAW_MATCH_RATES; i++) {
    v->true_accept[i] = v->threshold[i] = NAN;
    if ((double)v->different * thaw_match_rates[i] < 1 - 1e-9) continue;
    v->true_accept[i] = 0;
    for (int64_t k = 0; k < v->curve.count && v->curve.false_rate[k] <= thaw_match_rates[i]; k++) {
      v->true_accept[i] = v->curve.true_rate[k];
      v->threshold[i] = v->curve.threshold[k];
    }
  }
}

static void measure_fold(const match_ranked *ranked, int64_t count, int32_t fold, double threshold, double *accuracy) {
  int64_t pairs = 0, right = 0;
  for (int64_t i = 0; i < count; i++) {
    if (ranked[i].fold != fold) continue;
    pairs++;
    right += ((double)ranked[i].score >= threshold) == ranked[i].same;
  }
  *accuracy = pairs ? (double)right / (double)pairs : NAN;
}

/* J. Huang et al., "Labeled Faces in the Wild", 2007: mean and standard error of the mean over the folds. */
static void measure_accuracy(thaw_verification *v, const match_ranked *ranked, int64_t count, double given) {
  double sum = 0, square = 0;
  int64_t best;
  v->given = !isnan(given);
  for (int32_t fold = 0; fold < v->folds; fold++) {
    v->fold_threshold[fold] = v->given ? given : match_best_threshold(ranked, count, v->folds > 1 ? fold : -1, &best);
    measure_fold(ranked, count, fold, v->fold_threshold[fold], &v->fold_accuracy[fold]);
    sum += v->fold_accuracy[fold];
  }
  v->accuracy = sum / v->folds;
  for (int32_t fold = 0; fold < v->folds; fold++)
    square += (v->fold_accuracy[fold] - v->accuracy) * (v->fold_accuracy[fold] - v->accuracy);
  v->accuracy_error = v->folds > 1 ? sqrt(square / (v->folds - 1) / v->folds) : NAN;
}

/* score [pairs] */
static void score_pairs(const thaw_embeddings *e, const thaw_pairs *pairs, float *score) {
  for (int64_t i = 0; i < pairs->count; i++) score[i] = thaw_match_score(e, pairs->pair[i].a, e, pairs->pair[i].b);
}

static match_ranked *rank_pairs(const thaw_pairs *pairs, const float *score) {
  match_ranked *ranked = thaw_new((size_t)pairs->count, sizeof *ranked);
  for (int64_t i = 0; ranked && i < pairs->count; i++)
    ranked[i] = (match_ranked){score[i], pairs->pair[i].fold, pairs->pair[i].same};
  if (ranked) match_rank(ranked, pairs->count);
  return ranked;
}

static thaw_status judge_folds(const thaw_pairs *pairs, double threshold, thaw_verification *v) {
  v->accuracy = v->accuracy_error = NAN;
  if (!v->folds) return THAW_OK;
  match_ranked *ranked = rank_pairs(pairs, v->score);
  if (!ranked) return THAW_ERR_MEMORY;
  measure_accuracy(v, ranked, pairs->count, threshold);
  thaw_free(ranked);
  return THAW_OK;
}

static thaw_status make_curve(const thaw_pairs *pairs, thaw_verification *v) {
  uint8_t *truth = thaw_new((size_t)pairs->count, 1);
  thaw_binary binary = {0};
  if (!truth) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < pairs->count; i++) truth[i] = pairs->pair[i].same;
  thaw_status status = thaw_binary_create(v->score, 1, truth, NULL, pairs->count, &binary);
  if (status == THAW_OK) {
    v->same = binary.positives;
    v->different = binary.negatives;
    v->auc = thaw_auroc(&binary, NULL);
    status = thaw_curve_create(&binary, &v->curve);
    thaw_binary_clear(&binary);
  }
  thaw_free(truth);
  return status;
}

static thaw_status verify(const thaw_embeddings *e, const thaw_pairs *pairs, double threshold, thaw_verification *v) {
  size_t folds = (size_t)pairs->folds;
  v->folds = pairs->folds;
  v->score = thaw_new((size_t)pairs->count, sizeof *v->score);
  v->fold_accuracy = thaw_new(folds, sizeof *v->fold_accuracy);
  v->fold_threshold = thaw_new(folds, sizeof *v->fold_threshold);
  if (!v->score || !v->fold_accuracy || !v->fold_threshold) return THAW_ERR_MEMORY;
  score_pairs(e, pairs, v->score);
  THAW_TRY(judge_folds(pairs, threshold, v));
  THAW_TRY(make_curve(pairs, v));
  find_equal_error(&v->curve, &v->eer, &v->eer_threshold);
  find_accept_rates(v);
  return THAW_OK;
}

thaw_status thaw_verify(const thaw_embeddings *e, const thaw_pairs *pairs, double threshold, thaw_verification *out) {
  *out = (thaw_verification){0};
  thaw_status status = verify(e, pairs, threshold, out);
  if (status != THAW_OK) thaw_verification_clear(out);
  return status;
}

thaw_status thaw_verify_threshold(const thaw_embeddings *e, const thaw_pairs *pairs, double *out) {
  int64_t best;
  float *score = thaw_new((size_t)pairs->count, sizeof *score);
  if (!score) return THAW_ERR_MEMORY;
  score_pairs(e, pairs, score);
  match_ranked *ranked = rank_pairs(pairs, score);
  if (ranked) *out = match_best_threshold(ranked, pairs->count, -1, &best);
  thaw_free(ranked);
  thaw_free(score);
  return ranked ? THAW_OK : THAW_ERR_MEMORY;
}
