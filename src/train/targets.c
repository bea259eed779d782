/* Regression targets standardised by the training data: what is learnt is (target - mean) / deviation, and a last layer
 * of the network, a Rescaling, gives its outputs the targets' own units. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <math.h>
#include <string.h>

static const char layer_name[] = "target_rescaling";

thaw_status train_targets_add_layer(thaw_session *s, int32_t last) {
  if (!s->job->training.target_scaling) return THAW_OK;
  if (s->outputs > THAW_RESCALING_MAX)
    return thaw_fail(THAW_ERR_USAGE, "%s: training.target_scaling: goes with at most %d outputs, the head has %d",
                     s->job->path, THAW_RESCALING_MAX, s->outputs);
  thaw_rescaling_config *config = thaw_new(1, sizeof *config);
  if (!config) return THAW_ERR_MEMORY;
  config->scales = config->offsets = s->outputs;
  for (int32_t i = 0; i < s->outputs; i++) config->scale[i] = 1;
  thaw_status status = thaw_graph_add(s->graph, "rescaling", config, layer_name, &last, 1, &last);
  thaw_free(config);
  return status;
}

thaw_status train_targets_set(thaw_session *s, const double *target) {
  size_t n = (size_t)s->outputs;
  thaw_rescaling_config *config = thaw_graph_node(s->graph, thaw_graph_find(s->graph, layer_name))->layer.config;
  if (!s->target && !(s->target = thaw_new(2 * n, sizeof *s->target))) return THAW_ERR_MEMORY;
  memcpy(s->target, target, 2 * n * sizeof *target);
  memcpy(config->offset, target, n * sizeof *target);
  memcpy(config->scale, target + n, n * sizeof *target);
  return THAW_OK;
}

/* How sums of numbers up to `largest` are scaled so that thaw_wide holds them: |term| below 1, 60 bits after the
 * point. */
static int exponent_of(double largest) {
  int exponent;
  frexp(largest, &exponent);
  return exponent;
}

/* Mean and (population) deviation of a column. Sums are exact; the values are float32, so a term of the mean loses
 * nothing and a square is rounded once. */
static thaw_status measure(const thaw_session *s, int32_t column, double *mean, double *deviation) {
  const thaw_session_data *data = &s->train;
  int64_t count = data->info->count;
  double largest = 0, spread = 0;
  thaw_wide sum = {0}, squares = {0};
  for (int64_t i = 0; i < count; i++) {
    double value = thaw_label(data->labels, (uint64_t)i, column);
    if (!isfinite(value))
      return thaw_fail(THAW_ERR_DATA, "%s: sample %lld: target %d is not finite", thaw_catalog_path(data->catalog),
                       (long long)i, column + 1);
    largest = fmax(largest, fabs(value));
  }
  int exponent = exponent_of(largest);
  for (int64_t i = 0; i < count; i++)
    (void)thaw_wide_add(&sum, ldexp(thaw_label(data->labels, (uint64_t)i, column), -exponent));
  *mean = ldexp(thaw_wide_value(&sum) / (double)count, exponent);
  for (int64_t i = 0; i < count; i++)
    spread = fmax(spread, fabs(thaw_label(data->labels, (uint64_t)i, column) - *mean));
  exponent = exponent_of(spread);
  for (int64_t i = 0; i < count; i++) {
    double apart = ldexp(thaw_label(data->labels, (uint64_t)i, column) - *mean, -exponent);
    (void)thaw_wide_add(&squares, apart * apart);
  }
  *deviation = ldexp(sqrt(thaw_wide_value(&squares) / (double)count), exponent);
  return THAW_OK;
}

static thaw_status check(const thaw_session *s) {
  const char *path = thaw_catalog_path(s->train.catalog);
  if (s->train.info->label_kind != THAW_LABEL_TARGET)
    return thaw_fail(THAW_ERR_USAGE, "%s: training.target_scaling: %s has classes, not regression targets",
                     s->job->path, path);
  if (strstr(s->loss->schema->name, "crossentropy"))
    return thaw_fail(THAW_ERR_USAGE, "%s: training.target_scaling: goes with regression losses, not with %s",
                     s->job->path, s->loss->schema->name);
  return THAW_OK;
}

thaw_status train_targets_fit(thaw_session *s) {
  if (!s->job->training.target_scaling || !s->train.catalog || !s->train.labels) return THAW_OK;
  THAW_TRY(check(s));
  int32_t n = s->outputs;
  double *target = thaw_new(2 * (size_t)n, sizeof *target);
  thaw_status status = target ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t i = 0; i < n && status == THAW_OK; i++) {
    status = measure(s, i, &target[i], &target[n + i]);
    /* Float32 targets that differ do so by 2^-24 of their size. */
    if (status == THAW_OK && !(target[n + i] > 0))
      status =
          thaw_fail(THAW_ERR_DATA, "%s: target %d%s%s%s is %.9g in all %lld samples: a constant cannot be standardised",
                    thaw_catalog_path(s->train.catalog), i + 1, (size_t)i < s->train.info->classes.count ? " (" : "",
                    (size_t)i < s->train.info->classes.count ? s->train.info->classes.item[i] : "",
                    (size_t)i < s->train.info->classes.count ? ")" : "", target[i], (long long)s->train.info->count);
  }
  if (status == THAW_OK) status = train_targets_set(s, target);
  thaw_free(target);
  return status;
}
