/* One yes-or-no question: samples by falling score, the areas under its two curves. */
#include "thaw/memory.h"
#include "thaw/score.h"

#include <math.h>
#include <stdlib.h>

typedef struct row {
  float score;
  uint8_t truth;
  int64_t sample;
} row;

/* By falling score; equal scores by sample, so that the order is one. */
static int compare_rows(const void *a, const void *b) {
  const row *x = a, *y = b;
  if (x->score != y->score) return x->score > y->score ? -1 : 1;
  return (x->sample > y->sample) - (x->sample < y->sample);
}

static thaw_status collect(const float *score, int32_t stride, const uint8_t *truth, const int64_t *sample,
                           int64_t count, row *rows, thaw_binary *out) {
  for (int64_t i = 0; i < count; i++) {
    float value = score[(size_t)i * (size_t)stride];
    if (isnan(value)) return thaw_fail(THAW_ERR_DATA, "prediction %lld is not a number", (long long)i);
    if (truth[i] == THAW_UNKNOWN) {
      out->unknown++;
      continue;
    }
    rows[out->count++] = (row){value, truth[i] != 0, sample ? sample[i] : i};
    if (truth[i])
      out->positives++;
    else
      out->negatives++;
  }
  return THAW_OK;
}

thaw_status thaw_binary_create(const float *score, int32_t stride, const uint8_t *truth, const int64_t *sample,
                               int64_t count, thaw_binary *out) {
  *out = (thaw_binary){0};
  row *rows = thaw_new((size_t)count, sizeof *rows);
  thaw_status status = rows ? collect(score, stride, truth, sample, count, rows, out) : THAW_ERR_MEMORY;
  if (status == THAW_OK) {
    qsort(rows, (size_t)out->count, sizeof *rows, compare_rows);
    out->sample = thaw_new((size_t)out->count, sizeof *out->sample);
    out->score = thaw_new((size_t)out->count, sizeof *out->score);
    out->truth = thaw_new((size_t)out->count, sizeof *out->truth);
    if (!out->sample || !out->score || !out->truth) status = THAW_ERR_MEMORY;
  }
  for (int64_t i = 0; status == THAW_OK && i < out->count; i++) {
    out->sample[i] = rows[i].sample;
    out->score[i] = rows[i].score;
    out->truth[i] = rows[i].truth;
  }
  thaw_free(rows);
  if (status != THAW_OK) thaw_binary_clear(out);
  return status;
}

void thaw_binary_clear(thaw_binary *binary) {
  thaw_free(binary->sample);
  thaw_free(binary->score);
  thaw_free(binary->truth);
  *binary = (thaw_binary){0};
}

/* The weight of positives and negatives in the run of equal scores that begins at `at`; returns its end. */
static int64_t tied(const thaw_binary *b, const double *weight, int64_t at, double *positive, double *negative) {
  float score = b->score[at];
  *positive = *negative = 0;
  for (; at < b->count && b->score[at] == score; at++) {
    double w = weight ? weight[b->sample[at]] : 1;
    if (b->truth[at])
      *positive += w;
    else
      *negative += w;
  }
  return at;
}

/* Each negative below a positive counts 1, each of equal score 1/2 (Mann-Whitney). */
double thaw_auroc(const thaw_binary *binary, const double *weight) {
  double area = 0, positives = 0, negatives = 0, p, n;
  for (int64_t at = 0; at < binary->count;) {
    at = tied(binary, weight, at, &p, &n);
    area += n * (positives + p / 2);
    positives += p;
    negatives += n;
  }
  return positives > 0 && negatives > 0 ? area / (positives * negatives) : NAN;
}

double thaw_average_precision(const thaw_binary *binary, const double *weight) {
  double sum = 0, positives = 0, all = 0, p, n;
  for (int64_t at = 0; at < binary->count;) {
    at = tied(binary, weight, at, &p, &n);
    positives += p;
    all += p + n;
    if (p > 0) sum += p * positives / all;
  }
  return positives > 0 ? sum / positives : NAN;
}

thaw_status thaw_curve_create(const thaw_binary *binary, thaw_curve *out) {
  *out = (thaw_curve){0};
  size_t room = (size_t)binary->count + 1;
  out->threshold = thaw_new(room, sizeof(double));
  out->true_rate = thaw_new(room, sizeof(double));
  out->false_rate = thaw_new(room, sizeof(double));
  out->precision = thaw_new(room, sizeof(double));
  if (!out->threshold || !out->true_rate || !out->false_rate || !out->precision) {
    thaw_curve_clear(out);
    return THAW_ERR_MEMORY;
  }
  double positives = 0, negatives = 0, p, n;
  out->threshold[0] = INFINITY;
  out->precision[0] = 1;
  out->count = 1;
  for (int64_t at = 0; at < binary->count;) {
    int64_t first = at, i = out->count++;
    at = tied(binary, NULL, at, &p, &n);
    positives += p;
    negatives += n;
    out->threshold[i] = (double)binary->score[first];
    out->true_rate[i] = binary->positives ? positives / (double)binary->positives : NAN;
    out->false_rate[i] = binary->negatives ? negatives / (double)binary->negatives : NAN;
    out->precision[i] = positives / (positives + negatives);
  }
  return THAW_OK;
}

void thaw_curve_clear(thaw_curve *curve) {
  thaw_free(curve->threshold);
  thaw_free(curve->true_rate);
  thaw_free(curve->false_rate);
  thaw_free(curve->precision);
  *curve = (thaw_curve){0};
}
