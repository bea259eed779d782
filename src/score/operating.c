/* From which score on a sample is called positive, and what that costs. */
#include "thaw/score.h"

#include <math.h>
#include <string.h>

static bool read_value(const char *text, const char *key, double *out) {
  size_t length = strlen(key);
  return strncmp(text, key, length) == 0 && text[length] == '=' && thaw_parse_double(text + length + 1, out) == THAW_OK;
}

thaw_status thaw_operating_parse(const char *text, thaw_operating_point *out) {
  *out = (thaw_operating_point){THAW_OPERATE_YOUDEN, 0};
  if (strcmp(text, "youden") == 0) return THAW_OK;
  out->rule = THAW_OPERATE_F1;
  if (strcmp(text, "f1") == 0) return THAW_OK;
  out->rule = THAW_OPERATE_SENSITIVITY;
  bool rate = read_value(text, "sensitivity", &out->value);
  if (!rate) {
    out->rule = THAW_OPERATE_SPECIFICITY;
    rate = read_value(text, "specificity", &out->value);
  }
  if (rate && out->value > 0 && out->value <= 1) return THAW_OK;
  out->rule = THAW_OPERATE_FIXED;
  if (!rate && thaw_parse_double(text, &out->value) == THAW_OK) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE,
                   "operating point '%s': expected youden, f1, sensitivity=0.95, specificity=0.9 or a threshold", text);
}

static double f1_of(double tp, double fp, double positives) {
  return 2 * tp / (tp + fp + positives);
}

/* Goes down the scores; `better` replaces the threshold only when it is better, so the highest of equals stays. */
double thaw_operating_choose(const thaw_binary *b, const thaw_operating_point *point) {
  if (point->rule == THAW_OPERATE_FIXED) return point->value;
  if (!b->positives || !b->negatives) return NAN;
  double tp = 0, fp = 0, positives = (double)b->positives, negatives = (double)b->negatives, best = -INFINITY;
  double threshold = NAN;
  for (int64_t i = 0; i < b->count; i++) {
    if (b->truth[i])
      tp++;
    else
      fp++;
    if (i + 1 < b->count && b->score[i + 1] == b->score[i]) continue;
    double sensitivity = tp / positives, specificity = 1 - fp / negatives, value = -INFINITY;
    switch (point->rule) {
    case THAW_OPERATE_YOUDEN:
      value = sensitivity + specificity - 1;
      break;
    case THAW_OPERATE_F1:
      value = f1_of(tp, fp, positives);
      break;
    case THAW_OPERATE_SENSITIVITY:
      value = sensitivity >= point->value ? 1 : -INFINITY;
      break;
    case THAW_OPERATE_SPECIFICITY:
      value = specificity >= point->value ? sensitivity : -INFINITY;
      break;
    case THAW_OPERATE_FIXED:
      break;
    }
    if (value > best) best = value, threshold = (double)b->score[i];
  }
  /* Nothing is specific enough: call nobody positive. */
  return isnan(threshold) ? nextafter((double)b->score[0], INFINITY) : threshold;
}

thaw_counts thaw_counts_at(const thaw_binary *b, const double *weight, double threshold) {
  thaw_counts c = {0};
  for (int64_t i = 0; i < b->count; i++) {
    double w = weight ? weight[b->sample[i]] : 1;
    bool positive = (double)b->score[i] >= threshold;
    if (b->truth[i])
      *(positive ? &c.tp : &c.fn) += w;
    else
      *(positive ? &c.fp : &c.tn) += w;
  }
  return c;
}
