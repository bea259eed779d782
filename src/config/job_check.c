/* Checks across the sections of a job, and the defaults that depend on other sections. */
#include "config/config_private.h"

#include <stdio.h>
#include <string.h>

enum { MAX_METRICS = 8, MONITOR_SIZE = 112 };

typedef struct checker {
  const config_source *source;
  const thaw_yaml *training; /* the section in the file */
  thaw_job *job;
} checker;

/* `monitor` is the loss or a metric, with "val_" in front for the validation data's. */
static thaw_status check_monitor(const checker *c, const char *section, char **monitor) {
  const thaw_training_config *training = &c->job->training;
  bool has_validation = c->job->data.validation != NULL || c->job->data.folds;
  if (!*monitor) {
    *monitor = thaw_arena_text(c->job->arena, has_validation ? "val_loss" : "loss");
    return *monitor ? THAW_OK : THAW_ERR_MEMORY;
  }
  const thaw_yaml *node = thaw_yaml_get(thaw_yaml_get(c->training, section), "monitor");
  int32_t line = node ? node->line : c->training->line;
  char place[CONFIG_PLACE_SIZE], known[2 * (THAW_MAX_METRICS + 1)][MONITOR_SIZE];
  const char *names[2 * (THAW_MAX_METRICS + 1)];
  size_t count = 0;
  snprintf(place, sizeof place, "training.%s.monitor", section);
  for (int32_t i = -1; i < training->metrics.count; i++)
    for (int validation = 0; validation < 2; validation++) {
      snprintf(known[count], MONITOR_SIZE, "%s%s", validation ? "val_" : "",
               i < 0 ? "loss" : training->metrics.item[i]);
      names[count] = known[count];
      count++;
    }
  size_t i = 0;
  while (i < count && strcmp(names[i], *monitor)) i++;
  if (i == count) return config_fail_unknown(c->source, line, place, "value", *monitor, names, count);
  if (i % 2 && !has_validation) return config_fail(c->source, line, place, "'%s' needs data.validation", *monitor);
  return THAW_OK;
}

static thaw_status check_metrics(const checker *c) {
  const thaw_text_list *metrics = &c->job->training.metrics;
  const thaw_yaml *node = thaw_yaml_get(c->training, "metrics");
  int32_t line = node ? node->line : c->training->line;
  if (c->job->heads_count) return THAW_OK; /* checked head by head */
  if (metrics->count > MAX_METRICS)
    return config_fail(c->source, line, "training.metrics", "more than %d metrics", (int)MAX_METRICS);
  for (int32_t i = 0; i < metrics->count; i++)
    for (int32_t j = 0; j < i; j++)
      if (!strcmp(metrics->item[i], metrics->item[j]))
        return config_fail(c->source, line, "training.metrics", "'%s' is listed twice", metrics->item[i]);
  return THAW_OK;
}

static thaw_status check_labels(const checker *c) {
  const thaw_job *job = c->job;
  for (int32_t i = 0; i < job->head_count; i++)
    for (int32_t j = 0; j < i && job->head[i].label; j++)
      if (job->head[j].label && !strcmp(job->head[i].label, job->head[j].label)) {
        char place[CONFIG_PLACE_SIZE];
        snprintf(place, sizeof place, "head[%d].name", i);
        return config_fail(c->source, job->head[i].line, place, "'%s' already names head[%d]", job->head[i].label, j);
      }
  return THAW_OK;
}

static thaw_status check_samples_per_class(const checker *c, const thaw_yaml *root) {
  const thaw_data_config *data = &c->job->data;
  const thaw_yaml *node = thaw_yaml_get(thaw_yaml_get(root, "data"), "samples_per_class");
  int32_t line = node ? node->line : root->line;
  const thaw_yaml *sampling = thaw_yaml_get(thaw_yaml_get(root, "data"), "sampling");
  if (data->sampling && data->shuffle)
    return config_fail(c->source, sampling ? sampling->line : root->line, "data.sampling",
                       "balanced does not go with shuffle: chunked");
  if (data->samples_per_class == 0) return THAW_OK;
  if (data->sampling)
    return config_fail(c->source, line, "data.samples_per_class", "does not go with sampling: balanced");
  if (c->job->training.batch_size % data->samples_per_class)
    return config_fail(c->source, line, "data.samples_per_class", "%d does not divide training.batch_size, %d",
                       data->samples_per_class, c->job->training.batch_size);
  if (data->shuffle) return config_fail(c->source, line, "data.samples_per_class", "does not go with shuffle: chunked");
  return THAW_OK;
}

static thaw_status check_crop(const checker *c, const thaw_yaml *root) {
  const thaw_augment_config *augment = &c->job->data.augment;
  const thaw_yaml *node = thaw_yaml_get(thaw_yaml_get(thaw_yaml_get(root, "data"), "augment"), "crop");
  if (augment->crop == 0 || augment->crop >= 0.05) return THAW_OK;
  return config_fail(c->source, node ? node->line : root->line, "data.augment.crop",
                     "%.15g is out of range: 0 (off), or the smallest kept fraction, 0.05 .. 1", augment->crop);
}

static thaw_status check_folds(const checker *c, const thaw_yaml *root) {
  const thaw_data_config *data = &c->job->data;
  const thaw_yaml *section = thaw_yaml_get(root, "data"), *node = thaw_yaml_get(section, "folds");
  int32_t line = node ? node->line : section ? section->line : root->line;
  if (!data->folds) return THAW_OK;
  if (data->folds < 2) return config_fail(c->source, line, "data.folds", "expected 2 folds at least, or 0");
  if (data->fold > data->folds)
    return config_fail(c->source, line, "data.fold", "%d of %d folds", data->fold, data->folds);
  if (data->validation)
    return config_fail(c->source, line, "data.folds", "goes without data.validation: the fold is the validation data");
  return THAW_OK;
}

/* `auto` decides by itself: it stands alone, once, and nothing is frozen again in its phase. */
static thaw_status check_auto(const checker *c) {
  int32_t seen = 0;
  const thaw_training_config *training = &c->job->training;
  for (int32_t p = 0; p < training->phase_count; p++) {
    const thaw_phase_config *phase = &training->phases[p];
    char place[CONFIG_PLACE_SIZE];
    snprintf(place, sizeof place, "training.phases[%d].unfreeze", p);
    if (thaw_phase_is_auto(phase) && seen++)
      return config_fail(c->source, phase->line, place, "'auto' can be in one phase only");
    for (int32_t i = 0; i < phase->unfreeze.count; i++)
      if (!strcmp(phase->unfreeze.item[i], "auto") && (phase->unfreeze.count > 1 || phase->refreeze.count))
        return config_fail(c->source, phase->line, place, "'auto' goes with no other word and not with refreeze");
  }
  return THAW_OK;
}

static thaw_status check_accumulate(const checker *c) {
  enum { MOST = 1 << 26 };
  const thaw_training_config *training = &c->job->training;
  const thaw_yaml *node = thaw_yaml_get(c->training, "accumulate");
  int64_t samples = (int64_t)training->batch_size * training->accumulate;
  if (samples <= MOST) return THAW_OK;
  return config_fail(c->source, node ? node->line : c->training->line, "training.accumulate",
                     "%d batches of %d samples are more than %d for one update", training->accumulate,
                     training->batch_size, (int)MOST);
}

/* Both set the learning rate; Keras refuses the pair, too. */
static thaw_status check_reduce_lr(const checker *c) {
  const thaw_training_config *training = &c->job->training;
  for (int32_t i = 0; i < training->phase_count && training->reduce_lr.enabled; i++) {
    const thaw_choice *schedule = &training->phases[i].schedule;
    if (schedule->schema && strcmp(schedule->schema->name, "constant"))
      return config_fail(c->source, schedule->line, "training.reduce_lr",
                         "cannot go with the schedule '%s' of phase %d: both set the learning rate",
                         schedule->schema->name, i + 1);
  }
  return THAW_OK;
}

thaw_status config_check_job(const config_source *source, const thaw_yaml *root, thaw_job *job) {
  checker c = {.source = source, .training = thaw_yaml_get(root, "training"), .job = job};
  THAW_TRY(config_check_heads(source, root, job));
  THAW_TRY(check_metrics(&c));
  THAW_TRY(check_labels(&c));
  THAW_TRY(check_crop(&c, root));
  THAW_TRY(check_folds(&c, root));
  THAW_TRY(check_samples_per_class(&c, root));
  THAW_TRY(check_reduce_lr(&c));
  THAW_TRY(check_accumulate(&c));
  THAW_TRY(check_auto(&c));
  THAW_TRY(check_monitor(&c, "auto_unfreeze", &job->training.auto_unfreeze.monitor));
  THAW_TRY(check_monitor(&c, "early_stopping", &job->training.early_stopping.monitor));
  THAW_TRY(check_monitor(&c, "reduce_lr", &job->training.reduce_lr.monitor));
  return check_monitor(&c, "checkpoint", &job->training.checkpoint.monitor);
}
