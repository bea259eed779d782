/* Several heads on one backbone: the section `heads` of a job, beside or instead of `head`. */
#include "config/config_private.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 1000, MAX_HEAD_METRICS = 8, MAX_NAME = 32 };

static const char *const target_scaling_names[] = {"none", "standardize", NULL};
static const thaw_field head_fields[] = {
    {.name = "name",
     .kind = THAW_FIELD_TEXT,
     .offset = offsetof(thaw_head_config, name),
     .required = true,
     .help = "of the head, its last layer, its columns in metrics.csv (name_loss, name_accuracy) and its results"},
    {.name = "weight",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(thaw_head_config, weight),
     .high = 1e9,
     .fallback = 1,
     .help = "factor of its loss in the sum that is trained (Keras' loss_weights)"},
    {.name = "labels",
     .kind = THAW_FIELD_TEXTS,
     .offset = offsetof(thaw_head_config, labels),
     .help = "columns of the data's labels: one of classes, or any number of labels, or of targets; default: the name"},
    {.name = "metrics",
     .kind = THAW_FIELD_TEXTS,
     .offset = offsetof(thaw_head_config, metrics),
     .help = "accuracy, top_<k>_accuracy, mae, mse; default: what suits the loss"},
    {.name = "target_scaling",
     .kind = THAW_FIELD_CHOICE,
     .offset = offsetof(thaw_head_config, target_scaling),
     .choices = target_scaling_names,
     .quiet = true,
     .help = "of the head's regression targets, as training.target_scaling"},
};
const thaw_schema config_head_schema = {
    "heads", sizeof(thaw_head_config), head_fields, sizeof head_fields / sizeof *head_fields,
    "several heads on one backbone, in place of training.loss and training.metrics"};

/* A name is that of a layer, of columns of metrics.csv and of a folder. */
static bool is_name(const char *name) {
  if (!isalpha((unsigned char)*name) || strlen(name) > MAX_NAME) return false;
  for (; *name; name++)
    if (!isalnum((unsigned char)*name) && *name != '_' && *name != '-') return false;
  return true;
}

static thaw_status check_name(const config_source *source, const thaw_job *job, const thaw_head_config *head,
                              const char *place) {
  if (!is_name(head->name))
    return config_fail(source, head->line, place,
                       "'%.60s' cannot name a head: letters, digits, '_' and '-', a letter first, at most %d",
                       head->name, (int)MAX_NAME);
  for (int32_t h = 0; h + 1 < job->heads_count; h++)
    if (!strcmp(job->heads[h].name, head->name))
      return config_fail(source, head->line, place, "'%s' already names heads[%d]", head->name, h);
  return THAW_OK;
}

thaw_status config_read_layers(const config_source *source, const thaw_schema_list *layers, const thaw_yaml *node,
                               const char *place, thaw_choice **out, int32_t *count_out) {
  char inner[CONFIG_PLACE_SIZE];
  if (node->kind != THAW_YAML_LIST || !node->count)
    return config_fail(source, node->line, place, "expected a list of at least one layer");
  if (node->count > MAX_LAYERS) return config_fail(source, node->line, place, "more than %d layers", (int)MAX_LAYERS);
  *out = thaw_arena_new(source->arena, (size_t)node->count, sizeof **out);
  if (!*out) return THAW_ERR_MEMORY;
  for (const thaw_yaml *item = node->child; item; item = item->next, ++*count_out) {
    snprintf(inner, sizeof inner, "%s[%d]", place, *count_out);
    THAW_TRY(config_read_choice(source, layers, item, inner, &(*out)[*count_out]));
  }
  return THAW_OK;
}

/* A list of one. */
static thaw_status one_text(const config_source *source, const char *text, thaw_text_list *out) {
  out->item = thaw_arena_new(source->arena, 1, sizeof *out->item);
  if (!out->item) return THAW_ERR_MEMORY;
  out->item[0] = text;
  out->count = 1;
  return THAW_OK;
}

/* `labels` is called as the head, and a head is watched by what suits its loss. */
static thaw_status fill_in(const config_source *source, const thaw_yaml *node, thaw_head_config *head) {
  if (!head->labels.count) THAW_TRY(one_text(source, head->name, &head->labels));
  const char *metric = config_default_metric(head->loss.schema->name);
  if (metric && config_is_null(thaw_yaml_get(node, "metrics"))) THAW_TRY(one_text(source, metric, &head->metrics));
  return THAW_OK;
}

static thaw_status check_metrics(const config_source *source, const thaw_head_config *head, const char *place) {
  char inner[CONFIG_PLACE_SIZE];
  config_place(inner, place, "metrics");
  if (head->metrics.count > MAX_HEAD_METRICS)
    return config_fail(source, head->line, inner, "more than %d metrics", (int)MAX_HEAD_METRICS);
  for (int32_t i = 0; i < head->metrics.count; i++)
    for (int32_t j = 0; j < i; j++)
      if (!strcmp(head->metrics.item[i], head->metrics.item[j]))
        return config_fail(source, head->line, inner, "'%s' is listed twice", head->metrics.item[i]);
  return THAW_OK;
}

static thaw_status read_one(const config_source *source, const thaw_job_schemas *schemas, const thaw_yaml *node,
                            const char *place, thaw_job *job) {
  static const char *const also[] = {"layers", "loss", NULL};
  thaw_head_config *head = &job->heads[job->heads_count++];
  char inner[CONFIG_PLACE_SIZE];
  head->line = node->line;
  THAW_TRY(config_defaults(&config_head_schema, head, source->arena));
  THAW_TRY(config_read_fields(source, &config_head_schema, node, place, also, head));
  THAW_TRY(check_name(source, job, head, place));
  const thaw_yaml *layers = thaw_yaml_get(node, "layers"), *loss = thaw_yaml_get(node, "loss");
  if (config_is_null(layers)) return config_fail(source, node->line, place, "'layers' is missing");
  if (config_is_null(loss)) return config_fail(source, node->line, place, "'loss' is missing");
  config_place(inner, place, "layers");
  THAW_TRY(config_read_layers(source, &schemas->layers, layers, inner, &head->layers, &head->layer_count));
  const char *label = head->layers[head->layer_count - 1].label;
  if (label && strcmp(label, head->name))
    return config_fail(source, head->layers[head->layer_count - 1].line, inner,
                       "the last layer of a head is called as the head, '%s', not '%s'", head->name, label);
  THAW_TRY(config_read_choice(source, &schemas->losses, loss, config_place(inner, place, "loss"), &head->loss));
  THAW_TRY(fill_in(source, node, head));
  return check_metrics(source, head, place);
}

thaw_status config_read_heads(const config_source *source, const thaw_job_schemas *schemas, const thaw_yaml *root,
                              thaw_job *job) {
  const thaw_yaml *node = thaw_yaml_get(root, "heads");
  if (config_is_null(node)) return THAW_OK;
  if (node->kind != THAW_YAML_LIST || node->count < 2 || node->count > THAW_MAX_HEADS)
    return config_fail(source, node->line, "heads", "expected a list of 2 .. %d heads (for one, use head)",
                       (int)THAW_MAX_HEADS);
  job->heads = thaw_arena_new(source->arena, (size_t)node->count, sizeof *job->heads);
  if (!job->heads) return THAW_ERR_MEMORY;
  for (const thaw_yaml *item = node->child; item; item = item->next) {
    char place[CONFIG_PLACE_SIZE];
    snprintf(place, sizeof place, "heads[%d]", job->heads_count);
    THAW_TRY(read_one(source, schemas, item, place, job));
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ with the rest of the job */

/* "diagnosis_loss", then "diagnosis_accuracy", as Keras calls them. */
static thaw_status add_word(thaw_job *job, const char *head, const char *word) {
  thaw_text_list *metrics = &job->training.metrics;
  char name[MAX_NAME + 64];
  if (metrics->count == THAW_MAX_METRICS)
    return thaw_fail(THAW_ERR_USAGE, "%s: heads: more than %d losses and metrics of all heads", job->path,
                     (int)THAW_MAX_METRICS);
  snprintf(name, sizeof name, "%s_%s", head, word);
  metrics->item[metrics->count] = thaw_arena_text(job->arena, name);
  return metrics->item[metrics->count++] ? THAW_OK : THAW_ERR_MEMORY;
}

/* What a run with several heads tells beside its loss. */
static thaw_status name_metrics(thaw_job *job) {
  job->training.metrics.item = thaw_arena_new(job->arena, THAW_MAX_METRICS, sizeof *job->training.metrics.item);
  job->training.metrics.count = 0;
  if (!job->training.metrics.item) return THAW_ERR_MEMORY;
  for (int32_t h = 0; h < job->heads_count; h++) THAW_TRY(add_word(job, job->heads[h].name, "loss"));
  for (int32_t h = 0; h < job->heads_count; h++)
    for (int32_t m = 0; m < job->heads[h].metrics.count; m++)
      THAW_TRY(add_word(job, job->heads[h].name, job->heads[h].metrics.item[m]));
  return THAW_OK;
}

thaw_status config_heads_training(const config_source *source, const thaw_yaml *node, thaw_job *job) {
  static const char *const own[] = {"loss", "metrics", "target_scaling", "class_weights"};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
    const thaw_yaml *key = thaw_yaml_get(node, own[i]);
    if (config_is_null(key)) continue;
    if (i < 3) return config_fail(source, key->line, "training", "'%s' belongs into each of the heads", own[i]);
    return config_fail(source, key->line, "training", "'%s' does not go with heads", own[i]);
  }
  job->training.loss = job->heads[0].loss;
  return name_metrics(job);
}

thaw_status config_check_heads(const config_source *source, const thaw_yaml *root, const thaw_job *job) {
  const thaw_yaml *data = thaw_yaml_get(root, "data"), *training = thaw_yaml_get(root, "training");
  const struct {
    const thaw_yaml *section;
    const char *place, *key;
    bool used;
  } alone[] = {{data, "data", "folds", job->data.folds > 0},
               {data, "data", "samples_per_class", job->data.samples_per_class > 0},
               {data, "data", "sampling", job->data.sampling != 0},
               {training, "training", "mixup", job->training.mixup > 0}};
  for (size_t i = 0; job->heads_count && i < sizeof alone / sizeof *alone; i++) {
    const thaw_yaml *node = thaw_yaml_get(alone[i].section, alone[i].key);
    if (alone[i].used)
      return config_fail(source, node ? node->line : root->line, alone[i].place, "'%s' does not go with heads",
                         alone[i].key);
  }
  return THAW_OK;
}
