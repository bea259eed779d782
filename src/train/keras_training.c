/* A job's loss, metrics and last optimiser in Keras' words, so that Keras can go on training an exported model. Option
 * tables have Keras' argument names, so one loop serves them all. */
#include "thaw/train.h"

#include <ctype.h>
#include <string.h>

static void add_number(const char *name, double value, thaw_text *out) {
  /* Keras' optimisers take None, not 0, for what is off. */
  bool none =
      value == 0 && (strncmp(name, "clip", 4) == 0 || strstr(name, "_clip") || strcmp(name, "weight_decay") == 0);
  if (none)
    thaw_text_add(out, "null");
  else
    thaw_text_add(out, "%.17g", value);
}

/* {"learning_rate": 0.001, ...} of numbers and switches. */
static void add_options(const thaw_choice *choice, thaw_text *out) {
  const thaw_schema *schema = choice->schema;
  thaw_text_add(out, "{");
  for (int32_t i = 0, written = 0; i < schema->count; i++) {
    const thaw_field *field = &schema->fields[i];
    const char *at = (const char *)choice->config + field->offset;
    if (field->kind != THAW_FIELD_BOOL && field->kind != THAW_FIELD_INT && field->kind != THAW_FIELD_FLOAT) continue;
    thaw_text_add(out, "%s\"%s\": ", written++ ? ", " : "", field->name);
    if (field->kind == THAW_FIELD_BOOL) thaw_text_add(out, "%s", *(const bool *)at ? "true" : "false");
    if (field->kind == THAW_FIELD_INT) thaw_text_add(out, "%d", *(const int32_t *)at);
    if (field->kind == THAW_FIELD_FLOAT) add_number(field->name, *(const double *)at, out);
  }
  thaw_text_add(out, "}");
}

/* "binary_crossentropy" -> BinaryCrossentropy */
static void add_class(const char *name, thaw_text *out) {
  for (bool start = true; *name; name++) {
    if (*name == '_')
      start = true;
    else {
      thaw_text_add(out, "%c", start ? toupper((unsigned char)*name) : *name);
      start = false;
    }
  }
}

static void add_loss(const thaw_choice *loss, thaw_text *out) {
  if (loss->schema->count == 0) {
    thaw_text_add_json(out, loss->schema->name);
    return;
  }
  thaw_text_add(out, "{\"module\": \"keras.losses\", \"class_name\": \"");
  add_class(loss->schema->name, out);
  thaw_text_add(out, "\", \"config\": ");
  add_options(loss, out);
  thaw_text_add(out, ", \"registered_name\": null}");
}

/* Those that Keras knows by a name. */
static void add_metrics(const thaw_text_list *metrics, thaw_text *out) {
  static const char *const known[] = {
      "accuracy", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy", "mae", "mse", NULL};
  thaw_text_add(out, "[");
  for (int32_t i = 0, written = 0; i < metrics->count; i++)
    for (int32_t k = 0; known[k]; k++)
      if (strcmp(metrics->item[i], known[k]) == 0) thaw_text_add(out, "%s\"%s\"", written++ ? ", " : "", known[k]);
  thaw_text_add(out, "]");
}

static const char *optimizer_class(const char *name) {
  static const char *const classes[][2] = {
      {"sgd", "SGD"}, {"adam", "Adam"}, {"adamw", "AdamW"}, {"rmsprop", "RMSprop"}};
  for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
    if (strcmp(classes[i][0], name) == 0) return classes[i][1];
  return NULL;
}

/* {"diagnosis": ..., "age": ...} of each, by the names of the model's outputs. */
static void add_heads(const thaw_job *job, thaw_keras_training_text *out) {
  thaw_text *text[] = {&out->loss, &out->metrics, &out->loss_weights};
  for (int32_t h = 0; h < job->heads_count; h++) {
    for (size_t i = 0; i < 3; i++) {
      thaw_text_add(text[i], h ? ", " : "{");
      thaw_text_add_json(text[i], job->heads[h].name);
      thaw_text_add(text[i], ": ");
    }
    add_loss(&job->heads[h].loss, &out->loss);
    add_metrics(&job->heads[h].metrics, &out->metrics);
    thaw_text_add(&out->loss_weights, "%.17g", job->heads[h].weight);
  }
  for (size_t i = 0; i < 3; i++) thaw_text_add(text[i], "}");
}

thaw_status thaw_keras_training(const thaw_job *job, int32_t phase, thaw_keras_training_text *out) {
  const thaw_training_config *training = &job->training;
  int32_t last = training->phase_count - 1; /* a finished run stands behind its last phase */
  const thaw_choice *optimizer = &training->phases[phase < 0 ? 0 : phase > last ? last : phase].optimizer;
  *out = (thaw_keras_training_text){.optimizer_class = optimizer_class(optimizer->schema->name)};
  if (!out->optimizer_class)
    return thaw_fail(THAW_ERR_INTERNAL, "the optimizer '%s' has no name in Keras", optimizer->schema->name);
  add_options(optimizer, &out->optimizer_config);
  if (job->heads_count) {
    add_heads(job, out);
  } else {
    add_loss(&training->loss, &out->loss);
    add_metrics(&training->metrics, &out->metrics);
  }
  bool failed = out->optimizer_config.failed || out->loss.failed || out->metrics.failed || out->loss_weights.failed;
  return failed ? THAW_ERR_MEMORY : THAW_OK;
}

void thaw_keras_training_clear(thaw_keras_training_text *text) {
  thaw_text_clear(&text->optimizer_config);
  thaw_text_clear(&text->loss);
  thaw_text_clear(&text->metrics);
  thaw_text_clear(&text->loss_weights);
}
