/* thaw_job -> the effective job: YAML that reads back to the same job. */
#include "config/config_private.h"

#include <stdio.h>

/* What cannot change results is not part of the digest: names and places of files (the content of data and weights has
 * digests of its own), limits of time, and how work is spread and saved. */
static const char *const digest_top[] = {"name", "output", NULL};
static const char *const digest_backbone[] = {"weights", "file", NULL};
static const char *const digest_data[] = {"train", "validation", "test", "stage", "stage_keep", "leaks", NULL};
static const char *const digest_full[] = {"train",          "validation", "test",       "shuffle", "shuffle_chunk",
                                          "shuffle_window", "stage",      "stage_keep", "leaks",   NULL};
static const char *const digest_training[] = {"metrics",     "tensorboard",      "recompute", "threads",
                                              "max_minutes", "watchdog_seconds", NULL};
static const char *const plain_training[] = {"metrics", NULL};
static const char *const digest_checkpoint[] = {"every_epochs", "every_minutes", "keep_last", NULL};

static void echo_block(const thaw_schema *schema, const void *config, const char *const *skip, const char *indent,
                       thaw_text *out) {
  thaw_text pairs = {0};
  char separator[16];
  snprintf(separator, sizeof separator, "\n%s", indent);
  if (config_echo_fields(schema, config, skip, separator, &pairs)) thaw_text_add(out, "%s", indent);
  if (pairs.length) thaw_text_add(out, "%s\n", pairs.data);
  if (pairs.failed) out->failed = true;
  thaw_text_clear(&pairs);
}

static void echo_choice(const char *key, const thaw_choice *choice, thaw_text *out) {
  thaw_text pairs = {0};
  thaw_text_add(out, "{%s: %s", key, choice->schema->name);
  if (choice->label) {
    thaw_text_add(out, ", name: ");
    config_echo_text(choice->label, out);
  }
  if (config_echo_fields(choice->schema, choice->config, NULL, ", ", &pairs)) thaw_text_add(out, ", %s", pairs.data);
  if (pairs.failed) out->failed = true;
  thaw_text_add(out, "}\n");
  thaw_text_clear(&pairs);
}

static void echo_flow(const char *indent, const thaw_schema *schema, const void *config, const char *const *skip,
                      thaw_text *out) {
  thaw_text_add(out, "%s%s: {", indent, schema->name);
  config_echo_fields(schema, config, skip, ", ", out);
  thaw_text_add(out, "}\n");
}

static void echo_backbone(const thaw_backbone_config *backbone, bool digest_only, thaw_text *out) {
  thaw_text_add(out, "backbone:\n");
  echo_block(&config_backbone_schema, backbone, digest_only ? digest_backbone : NULL, "  ", out);
  if (backbone->input[0])
    thaw_text_add(out, "  input: [%d, %d, %d]\n", backbone->input[0], backbone->input[1], backbone->input[2]);
  if (digest_only && backbone->file) thaw_text_add(out, "  file: given\n");
  if (digest_only) thaw_text_add(out, "  weights: %s\n", backbone->weights ? "given" : "random");
}

static void echo_data(const thaw_data_config *data, bool digest_only, thaw_text *out) {
  thaw_text_add(out, "data:\n");
  echo_block(&config_data_schema, data, digest_only ? data->shuffle ? digest_data : digest_full : NULL, "  ", out);
  if (digest_only && data->validation) thaw_text_add(out, "  validation: given\n");
  if (data->augment.enabled) echo_flow("  ", &config_augment_schema, &data->augment, NULL, out);
}

static void echo_cache(const thaw_cache_config *cache, bool digest_only, thaw_text *out) {
  if (!digest_only)
    echo_flow("", &config_cache_schema, cache, NULL, out);
  else if (cache->enabled && cache->storage)
    thaw_text_add(out, "cache: {storage: float16}\n");
}

static void echo_class_weights(const thaw_class_weights_config *weights, thaw_text *out) {
  if (!weights->enabled) return;
  thaw_text_add(out, "  class_weights: %s", weights->balanced ? "balanced" : "{");
  for (int32_t i = 0; i < weights->name.count; i++) {
    if (i) thaw_text_add(out, ", ");
    config_echo_text(weights->name.item[i], out);
    thaw_text_add(out, ": ");
    config_echo_number(weights->weight.item[i], out);
  }
  thaw_text_add(out, weights->balanced ? "\n" : "}\n");
}

static bool uses_auto(const thaw_training_config *training) {
  bool any = false;
  for (int32_t i = 0; i < training->phase_count; i++) any |= thaw_phase_is_auto(&training->phases[i]);
  return any;
}

static void echo_texts(const char *lead, const thaw_text_list *list, thaw_text *out) {
  thaw_text_add(out, "%s: [", lead);
  for (int32_t i = 0; i < list->count; i++) {
    if (i) thaw_text_add(out, ", ");
    config_echo_text(list->item[i], out);
  }
  thaw_text_add(out, "]\n");
}

static void echo_layers(const char *indent, const thaw_choice *layer, int32_t count, thaw_text *out) {
  for (int32_t i = 0; i < count; i++) {
    thaw_text_add(out, "%s- ", indent);
    echo_choice("layer", &layer[i], out);
  }
}

static void echo_heads(const thaw_job *job, thaw_text *out) {
  static const char *const lists[] = {"name", "labels", "metrics", NULL};
  if (job->head_count) thaw_text_add(out, "head:\n");
  echo_layers("  ", job->head, job->head_count, out);
  if (job->heads_count) thaw_text_add(out, "heads:\n");
  for (int32_t h = 0; h < job->heads_count; h++) {
    const thaw_head_config *head = &job->heads[h];
    thaw_text_add(out, "  - name: ");
    config_echo_text(head->name, out);
    thaw_text_add(out, "\n    loss: ");
    echo_choice("name", &head->loss, out);
    echo_block(&config_head_schema, head, lists, "    ", out);
    echo_texts("    labels", &head->labels, out);
    echo_texts("    metrics", &head->metrics, out);
    thaw_text_add(out, "    layers:\n");
    echo_layers("      ", head->layers, head->layer_count, out);
  }
}

static void echo_training(const thaw_job *job, bool digest_only, thaw_text *out) {
  const thaw_training_config *training = &job->training;
  thaw_text_add(out, "training:\n");
  if (!job->heads_count) {
    thaw_text_add(out, "  loss: ");
    echo_choice("name", &training->loss, out);
  }
  echo_block(&config_training_schema, training, digest_only ? digest_training : plain_training, "  ", out);
  if (!job->heads_count) echo_texts("  metrics", &training->metrics, out);
  echo_class_weights(&training->class_weights, out);
  if (training->early_stopping.enabled)
    echo_flow("  ", &config_early_stopping_schema, &training->early_stopping, NULL, out);
  if (uses_auto(training)) echo_flow("  ", &config_auto_unfreeze_schema, &training->auto_unfreeze, NULL, out);
  if (training->reduce_lr.enabled) echo_flow("  ", &config_reduce_lr_schema, &training->reduce_lr, NULL, out);
  echo_flow("  ", &config_checkpoint_schema, &training->checkpoint, digest_only ? digest_checkpoint : NULL, out);
  thaw_text_add(out, "  phases:\n");
  for (int32_t i = 0; i < training->phase_count; i++) {
    thaw_text_add(out, "    - optimizer: ");
    echo_choice("name", &training->phases[i].optimizer, out);
    if (training->phases[i].schedule.schema) {
      thaw_text_add(out, "      schedule: ");
      echo_choice("name", &training->phases[i].schedule, out);
    }
    echo_block(&config_phase_schema, &training->phases[i], NULL, "      ", out);
  }
}

thaw_status thaw_job_echo(const thaw_job *job, bool digest_only, thaw_text *out) {
  echo_block(&config_top_schema, job, digest_only ? digest_top : NULL, "", out);
  echo_backbone(&job->backbone, digest_only, out);
  echo_heads(job, out);
  echo_data(&job->data, digest_only, out);
  echo_cache(&job->cache, digest_only, out);
  echo_training(job, digest_only, out);
  return out->failed ? thaw_fail(THAW_ERR_MEMORY, "out of memory while writing the effective job") : THAW_OK;
}

/* ------------------------------------------------------------------ help */

static void help_section(const char *title, const thaw_schema *schema, const char *more, thaw_text *out) {
  thaw_text_add(out, "%s: %s\n%s", title, schema->help, more);
  thaw_schema_help(schema, out);
  thaw_text_add(out, "\n");
}

static void help_list(const char *title, const thaw_schema_list *list, thaw_text *out) {
  for (const thaw_schema *const *schema = list->schemas; schema && *schema; schema++) {
    thaw_text_add(out, "%s {%s: %s}: %s\n", title, list->key, (*schema)->name, (*schema)->help ? (*schema)->help : "");
    thaw_schema_help(*schema, out);
  }
  thaw_text_add(out, "\n");
}

void thaw_job_help(const thaw_job_schemas *schemas, thaw_text *out) {
  help_section("job", &config_top_schema, "", out);
  help_section("backbone", &config_backbone_schema,
               "  input ([height, width, channels], default as the architecture was trained): size of the images\n",
               out);
  help_section(
      "heads", &config_head_schema,
      "  layers (list of layers, required): from what `head`, which all share, or the backbone gives; the last "
      "one is called as the head\n"
      "  loss (a loss, required): its name, or {name: ..., ...}\n",
      out);
  help_section("data", &config_data_schema, "", out);
  help_section("data.augment", &config_augment_schema, "", out);
  help_section("training", &config_training_schema,
               "  loss (a loss, required): its name, or {name: ..., ...}\n"
               "  optimizer (an optimizer): its name, or {name: ..., ...}\n"
               "  schedule (a schedule): of the learning rate in every phase that has none of its own\n"
               "  class_weights (balanced, or a map from class names to weights): factors of the losses of samples, as "
               "Keras' class_weight; balanced: samples / (classes * samples of the class); default: none\n"
               "  phases (list): or, for a single phase, its keys directly in training\n",
               out);
  help_section("training.phases", &config_phase_schema,
               "  optimizer (an optimizer): default: that of the phase before, or of training\n"
               "  schedule (a schedule): of the learning rate; default: that of the phase before, or of training\n",
               out);
  help_section("training.early_stopping", &config_early_stopping_schema, "", out);
  help_section("training.auto_unfreeze", &config_auto_unfreeze_schema, "", out);
  help_section("training.reduce_lr", &config_reduce_lr_schema, "", out);
  help_section("training.checkpoint", &config_checkpoint_schema, "", out);
  help_section("cache", &config_cache_schema, "", out);
  thaw_text_add(out, "head: a list of layers; with heads: those that they share, may be absent\n\n");
  help_list("layer", &schemas->layers, out);
  help_list("loss", &schemas->losses, out);
  help_list("optimizer", &schemas->optimizers, out);
  help_list("schedule", &schemas->schedules, out);
}
