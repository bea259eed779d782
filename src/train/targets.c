/* Regression targets standardised by the training data: what is learnt is (target - mean) / deviation, and a last layer
 * of the network, a Rescaling, gives its outputs the targets' own units. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <math.h>
#include <string.h>

static const char layer_name[] = "target_rescaling";

thaw_status train_targets_add_rescaling(thaw_session *s, const char *name, int32_t outputs, int32_t *last) {
  if (outputs > THAW_RESCALING_MAX)
    return thaw_fail(THAW_ERR_USAGE, "%s: target_scaling: goes with at most %d outputs, the head has %d", s->job->path,
                     THAW_RESCALING_MAX, outputs);
  thaw_rescaling_config *config = thaw_new(1, sizeof *config);
  if (!config) return THAW_ERR_MEMORY;
  config->scales = config->offsets = outputs;
  for (int32_t i = 0; i < outputs; i++) config->scale[i] = 1;
  thaw_status status = thaw_graph_add(s->graph, "rescaling", config, name, last, 1, last);
  thaw_free(config);
  return status;
}

thaw_status train_targets_add_layer(thaw_session *s, int32_t last) {
  if (!s->job->training.target_scaling) return THAW_OK;
  return train_targets_add_rescaling(s, layer_name, s->outputs, &last);
}

bool train_targets_wanted(const thaw_session *s) {
  bool any = s->job->training.target_scaling != 0;
  for (int32_t h = 0; h < s->heads; h++) any |= s->head[h].scaled;
  return any;
}

/* Means and deviations of `outputs` outputs, `stride` apart, into their rescaling. */
static void set_layer(thaw_session *s, int32_t node, const double *target, int32_t outputs, size_t stride) {
  thaw_rescaling_config *config = thaw_graph_node(s->graph, node)->layer.config;
  memcpy(config->offset, target, (size_t)outputs * sizeof *target);
  memcpy(config->scale, target + stride, (size_t)outputs * sizeof *target);
}

static thaw_status set_head(thaw_session *s, thaw_head *head) {
  size_t outputs = (size_t)head->outputs, all = (size_t)s->outputs;
  if (!head->scaled) return THAW_OK;
  if (!head->target && !(head->target = thaw_new(2 * outputs, sizeof *head->target))) return THAW_ERR_MEMORY;
  memcpy(head->target, s->target + head->first, outputs * sizeof *head->target);
  memcpy(head->target + outputs, s->target + all + head->first, outputs * sizeof *head->target);
  set_layer(s, head->node, s->target + head->first, head->outputs, all);
  return THAW_OK;
}

thaw_status train_targets_set(thaw_session *s, const double *target) {
  size_t n = (size_t)s->outputs;
  if (!s->target && !(s->target = thaw_new(2 * n, sizeof *s->target))) return THAW_ERR_MEMORY;
  memcpy(s->target, target, 2 * n * sizeof *target);
  for (int32_t h = 0; h < s->heads; h++) THAW_TRY(set_head(s, &s->head[h]));
  if (!s->heads) set_layer(s, thaw_graph_find(s->graph, layer_name), target, s->outputs, n);
  return THAW_OK;
}

/* How sums of numbers up to `largest` are scaled so that thaw_wide holds them: |term| below 1, 60 bits after the
 * point. */
static int exponent_of(double largest) {
  int exponent;
  frexp(largest, &exponent);
  return exponent;
}

/* What is measured: all labels, or those that a head knows. */
typedef struct column {
  const char *path;
  const thaw_labels *labels;
  const thaw_head_data *head; /* NULL: all */
  int32_t index;
  int64_t count, known;
} column;

/* The i-th label; false: not known. */
static bool value_of(const column *c, int64_t i, double *out) {
  if (c->head && !thaw_head_knows(c->head, (uint64_t)i)) return false;
  *out = thaw_label(c->labels, (uint64_t)i, c->index);
  return true;
}

/* Mean and (population) deviation of a column. Sums are exact; the values are float32, so a term of the mean loses
 * nothing and a square is rounded once. */
static thaw_status measure(const column *c, double *mean, double *deviation) {
  double largest = 0, spread = 0, value;
  thaw_wide sum = {0}, squares = {0};
  for (int64_t i = 0; i < c->count; i++) {
    if (!value_of(c, i, &value)) continue;
    if (!isfinite(value))
      return thaw_fail(THAW_ERR_DATA, "%s: sample %lld: target %d is not finite", c->path, (long long)i, c->index + 1);
    largest = fmax(largest, fabs(value));
  }
  int exponent = exponent_of(largest);
  for (int64_t i = 0; i < c->count; i++)
    if (value_of(c, i, &value)) (void)thaw_wide_add(&sum, ldexp(value, -exponent));
  *mean = ldexp(thaw_wide_value(&sum) / (double)c->known, exponent);
  for (int64_t i = 0; i < c->count; i++)
    if (value_of(c, i, &value)) spread = fmax(spread, fabs(value - *mean));
  exponent = exponent_of(spread);
  for (int64_t i = 0; i < c->count; i++) {
    if (!value_of(c, i, &value)) continue;
    double apart = ldexp(value - *mean, -exponent);
    (void)thaw_wide_add(&squares, apart * apart);
  }
  *deviation = ldexp(sqrt(thaw_wide_value(&squares) / (double)c->known), exponent);
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

/* Columns of `labels` one by one into target[0 ..] and target[stride ..]. */
static thaw_status fit(column c, const thaw_strings *names, int32_t columns, double *target, size_t stride) {
  for (c.index = 0; c.index < columns; c.index++) {
    size_t i = (size_t)c.index;
    THAW_TRY(measure(&c, &target[i], &target[stride + i]));
    if (target[stride + i] > 0) continue; /* float32 targets that differ do so by 2^-24 of their size */
    bool named = i < names->count;
    return thaw_fail(
        THAW_ERR_DATA, "%s: target %d%s%s%s is %.9g in all %lld samples: a constant cannot be standardised", c.path,
        c.index + 1, named ? " (" : "", named ? names->item[i] : "", named ? ")" : "", target[i], (long long)c.known);
  }
  return THAW_OK;
}

static thaw_status fit_all(thaw_session *s, double *target) {
  const thaw_session_data *data = &s->train;
  column c = {thaw_catalog_path(data->catalog), data->labels, NULL, 0, data->info->count, data->info->count};
  if (!s->heads) return fit(c, &data->info->classes, s->outputs, target, (size_t)s->outputs);
  for (int32_t i = 0; i < s->outputs; i++) target[s->outputs + i] = 1;
  for (int32_t h = 0; h < s->heads; h++) {
    if (!s->head[h].scaled) continue;
    c.head = &data->head[h];
    c.labels = &c.head->labels;
    c.known = c.head->known;
    THAW_TRY(fit(c, &c.head->info.classes, s->head[h].outputs, target + s->head[h].first, (size_t)s->outputs));
  }
  return THAW_OK;
}

thaw_status train_targets_fit(thaw_session *s) {
  if (!train_targets_wanted(s) || !s->train.catalog || !s->train.labels) return THAW_OK;
  if (!s->heads) THAW_TRY(check(s));
  double *target = thaw_new(2 * (size_t)s->outputs, sizeof *target);
  thaw_status status = target ? fit_all(s, target) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = train_targets_set(s, target);
  thaw_free(target);
  return status;
}
