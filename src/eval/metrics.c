#include "thaw/eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum metric_kind { METRIC_ACCURACY, METRIC_TOP_K, METRIC_ABSOLUTE, METRIC_SQUARED };

static const struct {
  const char *name;
  enum metric_kind kind;
} plain_metrics[] = {{"accuracy", METRIC_ACCURACY},
                     {"acc", METRIC_ACCURACY},
                     {"categorical_accuracy", METRIC_ACCURACY},
                     {"sparse_categorical_accuracy", METRIC_ACCURACY},
                     {"binary_accuracy", METRIC_ACCURACY},
                     {"mae", METRIC_ABSOLUTE},
                     {"mean_absolute_error", METRIC_ABSOLUTE},
                     {"mse", METRIC_SQUARED},
                     {"mean_squared_error", METRIC_SQUARED}};
enum { PLAIN_METRICS = sizeof plain_metrics / sizeof *plain_metrics };

/* "top_5_accuracy" -> 5, else 0. */
static int32_t top_k(const char *name) {
  char *end;
  if (strncmp(name, "top_", 4) != 0) return 0;
  long k = strtol(name + 4, &end, 10);
  return strcmp(end, "_accuracy") == 0 && k >= 1 && k <= 1000 ? (int32_t)k : 0;
}

thaw_status thaw_metric_parse(const char *name, thaw_metric *out) {
  *out = (thaw_metric){0};
  snprintf(out->name, sizeof out->name, "%s", name);
  for (int i = 0; i < PLAIN_METRICS; i++)
    if (strcmp(name, plain_metrics[i].name) == 0) {
      out->kind = (int32_t)plain_metrics[i].kind;
      return THAW_OK;
    }
  /* Keras' TopKCategoricalAccuracy has k = 5 by default. */
  bool keras_name = strcmp(name, "top_k_categorical_accuracy") == 0;
  out->kind = METRIC_TOP_K;
  out->k = keras_name ? 5 : top_k(name);
  if (out->k) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "unknown metric '%s' (known: accuracy, top_<k>_accuracy, mae, mse)", name);
}

static int32_t largest(const float *y, int32_t count) {
  int32_t best = 0;
  for (int32_t i = 1; i < count; i++)
    if (y[i] > y[best]) best = i;
  return best;
}

static double accuracy(thaw_label_kind kind, const float *label, const float *y, int32_t outputs) {
  if (kind == THAW_LABEL_CLASS && outputs > 1) return largest(y, outputs) == (int32_t)label[0];
  int32_t hits = 0, known = 0;
  for (int32_t i = 0; i < outputs; i++) {
    if (kind == THAW_LABEL_MULTI && label[i] == THAW_LABEL_UNKNOWN) continue;
    hits += (y[i] > 0.5f) == (label[i] > 0.5f);
    known++;
  }
  return known ? (double)hits / known : 0;
}

/* As Keras' in_top_k: right when fewer than k outputs are larger than that of the true class. */
static double in_top(int32_t k, const float *label, const float *y, int32_t outputs) {
  int32_t larger = 0, truth = (int32_t)label[0];
  for (int32_t i = 0; i < outputs; i++) larger += y[i] > y[truth];
  return larger < k;
}

double thaw_metric_row(const thaw_metric *metric, thaw_label_kind kind, const float *label, const float *y,
                       int32_t outputs) {
  if (metric->kind == METRIC_ACCURACY) return accuracy(kind, label, y, outputs);
  if (metric->kind == METRIC_TOP_K) return in_top(metric->k, label, y, outputs);
  bool one_hot = kind == THAW_LABEL_CLASS && outputs > 1;
  double sum = 0;
  int32_t known = 0;
  for (int32_t i = 0; i < outputs; i++) {
    if (kind == THAW_LABEL_MULTI && label[i] == THAW_LABEL_UNKNOWN) continue;
    known++;
    double truth = one_hot ? (int32_t)label[0] == i : label[i], error = y[i] - truth;
    sum += metric->kind == METRIC_ABSOLUTE ? fabs(error) : error * error;
  }
  return known ? sum / known : 0;
}

int64_t thaw_labels_known(const thaw_dataset_info *data, const thaw_labels *labels) {
  if (data->label_kind != THAW_LABEL_MULTI) return data->count;
  int64_t known = 0;
  for (int64_t i = 0; i < data->count; i++) {
    int32_t column = 0;
    while (column < labels->width && thaw_label(labels, (uint64_t)i, column) == THAW_LABEL_UNKNOWN) column++;
    known += column < labels->width;
  }
  return known;
}

thaw_status thaw_labels_check(const thaw_loss_ops *loss, const thaw_dataset_info *data, int32_t outputs,
                              const char *path) {
  const char *name = loss->schema->name;
  if (data->label_kind == THAW_LABEL_NONE)
    return thaw_fail(THAW_ERR_DATA, "%s: has no labels, which %s needs", path, name);
  if (data->label_kind == THAW_LABEL_MIXED)
    return thaw_fail(THAW_ERR_DATA,
                     "%s: its labels are columns of different kinds: each needs a head (heads: in the job)", path);
  if (loss->evaluate_batch) { /* compares samples: the outputs do not stand for classes */
    if (data->label_kind == THAW_LABEL_CLASS) return THAW_OK;
    return thaw_fail(THAW_ERR_DATA, "%s: has no class per sample, which %s needs", path, name);
  }
  bool index_loss = loss->label_width(outputs) == 1;
  if (data->label_kind != THAW_LABEL_CLASS) {
    if (index_loss && outputs > 1)
      return thaw_fail(THAW_ERR_DATA, "%s: labels are rows of %d values, %s expects one class index", path,
                       data->label_width, name);
    if (data->label_width == outputs) return THAW_OK;
    return thaw_fail(THAW_ERR_DATA, "%s: labels have %d values, the network has %d outputs", path, data->label_width,
                     outputs);
  }
  int32_t classes = (int32_t)data->classes.count;
  if (outputs == 1 && classes <= 2) return THAW_OK;
  if (classes > outputs)
    return thaw_fail(THAW_ERR_DATA, "%s: has %d classes, the network has %d output%s", path, classes, outputs,
                     outputs == 1 ? "" : "s");
  return THAW_OK;
}

void thaw_labels_standardize(const double *target, int32_t rows, int32_t outputs, float *label) {
  for (int32_t r = 0; target && r < rows; r++)
    for (int32_t i = 0; i < outputs; i++) {
      float *value = &label[(size_t)r * (size_t)outputs + (size_t)i];
      *value = (float)((*value - target[i]) / target[outputs + i]);
    }
}

void thaw_labels_gather(const thaw_loss_ops *loss, const thaw_dataset_info *data, const thaw_labels *labels,
                        const uint64_t *sample, int32_t rows, int32_t outputs, float *out) {
  int32_t width = loss->label_width(outputs);
  for (int32_t r = 0; r < rows; r++) {
    float *row = out + (size_t)r * (size_t)width, class = thaw_label(labels, sample[r], 0);
    if (data->label_kind == THAW_LABEL_CLASS && width > 1)
      thaw_one_hot(&class, 1, outputs, row);
    else
      for (int32_t i = 0; i < width; i++) row[i] = thaw_label(labels, sample[r], i);
  }
}
