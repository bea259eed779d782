/* The job file -> thaw_job. */
#include "config/config_private.h"
#include "thaw/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { JOB_LIMIT = 1 << 20, MAX_PHASES = 100 };

typedef struct reader {
  config_source source;
  const thaw_job_schemas *schemas;
  const thaw_yaml *root;
  thaw_job *job;
} reader;

/* A section that may be absent, `true` (all defaults), `false` or a map. *present tells whether it is to be used. */
static thaw_status read_section(const reader *r, const thaw_schema *schema, const thaw_yaml *parent, const char *place,
                                const char *const *also, void *config, bool *present) {
  const thaw_yaml *node = thaw_yaml_get(parent, schema->name);
  char inner[CONFIG_PLACE_SIZE];
  THAW_TRY(config_defaults(schema, config, r->source.arena));
  *present = false;
  if (config_is_null(node) || config_read_bool(node, present)) return THAW_OK;
  *present = true;
  return config_read_fields(&r->source, schema, node, config_place(inner, place, schema->name), also, config);
}

static thaw_status need(const reader *r, const char *key, const thaw_yaml **out) {
  *out = thaw_yaml_get(r->root, key);
  if (config_is_null(*out)) return config_fail(&r->source, r->root->line, "", "'%s' is missing", key);
  return THAW_OK;
}

/* Relative input files are looked for beside the job file; owned by the arena. */
static thaw_status resolve(const reader *r, char **path) {
  if (!*path || **path == '/') return THAW_OK;
  const char *name = *path;
  while (!strncmp(name, "./", 2)) name += 2;
  char *joined = thaw_path_join(r->job->folder, name);
  if (!joined) return THAW_ERR_MEMORY;
  *path = thaw_arena_text(r->source.arena, joined);
  thaw_free(joined);
  return *path ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status read_input(const reader *r, const thaw_yaml *node) {
  static const int64_t most[3] = {8192, 8192, 16};
  int32_t *input = r->job->backbone.input;
  if (config_is_null(node)) return THAW_OK;
  int32_t i = 0;
  if (node->kind != THAW_YAML_LIST || node->count != 3)
    return config_fail(&r->source, node->line, "backbone.input", "expected [height, width, channels]");
  for (const thaw_yaml *item = node->child; item; item = item->next, i++) {
    int64_t value = 0;
    bool number = item->kind == THAW_YAML_SCALAR && !item->quoted && thaw_parse_int(item->value, &value) == THAW_OK;
    if (!number || value < 1 || value > most[i])
      return config_fail(&r->source, item->line, "backbone.input",
                         "expected [height, width, channels], each at least 1, height and width at most 8192");
    input[i] = (int32_t)value;
  }
  return THAW_OK;
}

static thaw_status read_backbone(const reader *r) {
  static const char *const also[] = {"input", NULL};
  thaw_backbone_config *backbone = &r->job->backbone;
  const thaw_yaml *node;
  THAW_TRY(need(r, "backbone", &node));
  THAW_TRY(config_defaults(&config_backbone_schema, backbone, r->source.arena));
  if (node->kind == THAW_YAML_SCALAR) {
    backbone->architecture = thaw_arena_text(r->source.arena, node->value);
    return backbone->architecture ? THAW_OK : THAW_ERR_MEMORY;
  }
  THAW_TRY(config_read_fields(&r->source, &config_backbone_schema, node, "backbone", also, backbone));
  THAW_TRY(read_input(r, thaw_yaml_get(node, "input")));
  if (!backbone->architecture == !backbone->file)
    return config_fail(&r->source, node->line, "backbone", "expected either an architecture or a model file");
  THAW_TRY(resolve(r, &backbone->file));
  return resolve(r, &backbone->weights);
}

static thaw_status read_head(const reader *r) {
  const thaw_yaml *node = thaw_yaml_get(r->root, "head");
  if (config_is_null(node) && !config_is_null(thaw_yaml_get(r->root, "heads"))) return THAW_OK;
  THAW_TRY(need(r, "head", &node));
  return config_read_layers(&r->source, &r->schemas->layers, node, "head", &r->job->head, &r->job->head_count);
}

static thaw_status read_data(const reader *r) {
  static const char *const also[] = {"augment", NULL};
  thaw_data_config *data = &r->job->data;
  const thaw_yaml *node;
  THAW_TRY(need(r, "data", &node));
  THAW_TRY(config_defaults(&config_data_schema, data, r->source.arena));
  THAW_TRY(config_read_fields(&r->source, &config_data_schema, node, "data", also, data));
  bool present;
  THAW_TRY(read_section(r, &config_augment_schema, node, "data", NULL, &data->augment, &present));
  data->augment.enabled = present;
  if (!present) data->augment.views = 1;
  THAW_TRY(resolve(r, &data->train));
  THAW_TRY(resolve(r, &data->validation));
  return resolve(r, &data->test);
}

/* `optimizer` or `schedule` of a phase or of the section above; absent: *out stays. */
static thaw_status read_choice(const reader *r, const thaw_schema_list *list, const thaw_yaml *parent,
                               const char *place, thaw_choice *out) {
  const thaw_yaml *node = list->schemas ? thaw_yaml_get(parent, list->what) : NULL;
  char inner[CONFIG_PLACE_SIZE];
  if (config_is_null(node)) return THAW_OK;
  return config_read_choice(&r->source, list, node, config_place(inner, place, list->what), out);
}

/* A phase without `unfreeze` or `train_batch_norm` keeps what the phase before had; so with the
 * optimizer and the schedule, whose first defaults are training.optimizer and training.schedule. */
static thaw_status read_phase(const reader *r, const thaw_yaml *node, const char *place, const char *const *also,
                              const thaw_phase_config *before, thaw_phase_config *phase) {
  THAW_TRY(config_defaults(&config_phase_schema, phase, r->source.arena));
  THAW_TRY(config_read_fields(&r->source, &config_phase_schema, node, place, also, phase));
  phase->line = node->line;
  if (config_is_null(thaw_yaml_get(node, "unfreeze"))) phase->unfreeze = before->unfreeze;
  if (config_is_null(thaw_yaml_get(node, "train_batch_norm"))) phase->train_batch_norm = before->train_batch_norm;
  if (config_is_null(thaw_yaml_get(node, "layer_decay")) && before->line) phase->layer_decay = before->layer_decay;
  phase->optimizer = before->optimizer;
  phase->schedule = before->schedule;
  THAW_TRY(read_choice(r, &r->schemas->optimizers, node, place, &phase->optimizer));
  THAW_TRY(read_choice(r, &r->schemas->schedules, node, place, &phase->schedule));
  if (!phase->optimizer.schema) return config_fail(&r->source, node->line, place, "'optimizer' is missing");
  return THAW_OK;
}

bool thaw_phase_is_auto(const thaw_phase_config *phase) {
  return phase->unfreeze.count == 1 && !strcmp(phase->unfreeze.item[0], "auto");
}

static const char *const training_keys[] = {
    "loss",          "optimizer",      "schedule",         "phases",      "class_weights",
    "epochs",        "unfreeze",       "train_batch_norm", "layer_decay", "refreeze",
    "auto_unfreeze", "early_stopping", "reduce_lr",        "checkpoint",  NULL};

/* Without `phases`, the section itself is the only phase. */
static thaw_status read_single_phase(const reader *r, const thaw_yaml *node) {
  static const char *const sections[] = {"loss",           "optimizer", "schedule",   "phases",       "class_weights",
                                         "early_stopping", "reduce_lr", "checkpoint", "auto_unfreeze"};
  const char *also[64];
  size_t count = 0;
  for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) also[count++] = sections[i];
  for (int32_t i = 0; i < config_training_schema.count; i++) also[count++] = config_training_schema.fields[i].name;
  also[count] = NULL;
  const thaw_phase_config none = {0};
  if (config_is_null(thaw_yaml_get(node, "epochs")))
    return config_fail(&r->source, node->line, "training", "'phases' (or 'epochs' and 'optimizer') is missing");
  r->job->training.phases = thaw_arena_new(r->source.arena, 1, sizeof none);
  if (!r->job->training.phases) return THAW_ERR_MEMORY;
  r->job->training.phase_count = 1;
  return read_phase(r, node, "training", also, &none, &r->job->training.phases[0]);
}

static thaw_status read_phases(const reader *r, const thaw_yaml *training) {
  static const char *const misplaced[] = {"epochs", "unfreeze", "refreeze", "train_batch_norm", "layer_decay"};
  static const char *const also[] = {"optimizer", "schedule", NULL};
  const thaw_yaml *node = thaw_yaml_get(training, "phases");
  if (config_is_null(node)) return read_single_phase(r, training);
  for (size_t i = 0; i < sizeof misplaced / sizeof *misplaced; i++) {
    const thaw_yaml *key = thaw_yaml_get(training, misplaced[i]);
    if (key) return config_fail(&r->source, key->line, "training", "'%s' belongs into the phases", misplaced[i]);
  }
  if (node->kind != THAW_YAML_LIST || node->count < 1 || node->count > MAX_PHASES)
    return config_fail(&r->source, node->line, "training.phases", "expected a list of 1 .. %d phases", (int)MAX_PHASES);
  thaw_phase_config before = {0};
  THAW_TRY(read_choice(r, &r->schemas->optimizers, training, "training", &before.optimizer));
  THAW_TRY(read_choice(r, &r->schemas->schedules, training, "training", &before.schedule));
  r->job->training.phases = thaw_arena_new(r->source.arena, (size_t)node->count, sizeof before);
  if (!r->job->training.phases) return THAW_ERR_MEMORY;
  for (const thaw_yaml *item = node->child; item; item = item->next) {
    int32_t index = r->job->training.phase_count++;
    char place[CONFIG_PLACE_SIZE];
    snprintf(place, sizeof place, "training.phases[%d]", index);
    THAW_TRY(read_phase(r, item, place, also, &before, &r->job->training.phases[index]));
    before = r->job->training.phases[index];
    /* What was frozen again or thawed by itself is not thawed anew by inheritance. */
    if (before.refreeze.count || thaw_phase_is_auto(&before)) before.unfreeze = before.refreeze = (thaw_text_list){0};
  }
  return THAW_OK;
}

/* `balanced`, or a map from class names to weights. */
static thaw_status read_class_weights(const reader *r, const thaw_yaml *node, thaw_class_weights_config *out) {
  static const char place[] = "training.class_weights";
  static const thaw_field field = {.name = "class_weights", .high = 1e9};
  *out = (thaw_class_weights_config){0};
  if (config_is_null(node)) return THAW_OK;
  out->enabled = true;
  out->balanced = node->kind == THAW_YAML_SCALAR && !strcmp(node->value, "balanced");
  if (out->balanced) return THAW_OK;
  if (node->kind != THAW_YAML_MAP || !node->count)
    return config_fail(&r->source, node->line, place, "expected 'balanced' or a map from class names to weights");
  out->name.item = thaw_arena_new(r->source.arena, (size_t)node->count, sizeof *out->name.item);
  out->weight.item = thaw_arena_new(r->source.arena, (size_t)node->count, sizeof *out->weight.item);
  if (!out->name.item || !out->weight.item) return THAW_ERR_MEMORY;
  for (const thaw_yaml *item = node->child; item; item = item->next) {
    out->name.item[out->name.count++] = item->key;
    THAW_TRY(config_read_number(&r->source, &field, item, place, &out->weight.item[out->weight.count++]));
  }
  return THAW_OK;
}

/* What a loss is watched by, by its name: accuracy where there are classes, nothing where there are embeddings. */
const char *config_default_metric(const char *loss) {
  if (strstr(loss, "crossentropy") || !strcmp(loss, "arcface") || !strcmp(loss, "cosface")) return "accuracy";
  return strcmp(loss, "triplet") ? "mae" : NULL;
}

static thaw_status default_metrics(const reader *r, const thaw_yaml *node) {
  thaw_training_config *training = &r->job->training;
  const char *metric = config_default_metric(training->loss.schema->name);
  if (!metric || !config_is_null(thaw_yaml_get(node, "metrics"))) return THAW_OK;
  training->metrics.item = thaw_arena_new(r->source.arena, 1, sizeof *training->metrics.item);
  if (!training->metrics.item) return THAW_ERR_MEMORY;
  training->metrics.item[0] = metric;
  training->metrics.count = 1;
  return THAW_OK;
}

static thaw_status read_loss(const reader *r, const thaw_yaml *node) {
  const thaw_yaml *loss = thaw_yaml_get(node, "loss");
  if (config_is_null(loss)) return config_fail(&r->source, node->line, "training", "'loss' is missing");
  THAW_TRY(config_read_choice(&r->source, &r->schemas->losses, loss, "training.loss", &r->job->training.loss));
  return default_metrics(r, node);
}

static thaw_status read_training(const reader *r) {
  thaw_training_config *training = &r->job->training;
  const thaw_yaml *node;
  THAW_TRY(need(r, "training", &node));
  THAW_TRY(config_defaults(&config_training_schema, training, r->source.arena));
  THAW_TRY(config_read_fields(&r->source, &config_training_schema, node, "training", training_keys, training));
  THAW_TRY(r->job->heads_count ? config_heads_training(&r->source, node, r->job) : read_loss(r, node));
  THAW_TRY(read_class_weights(r, thaw_yaml_get(node, "class_weights"), &training->class_weights));
  THAW_TRY(read_phases(r, node));
  bool present;
  THAW_TRY(read_section(r, &config_early_stopping_schema, node, "training", NULL, &training->early_stopping, &present));
  training->early_stopping.enabled = present;
  THAW_TRY(read_section(r, &config_auto_unfreeze_schema, node, "training", NULL, &training->auto_unfreeze, &present));
  THAW_TRY(read_section(r, &config_reduce_lr_schema, node, "training", NULL, &training->reduce_lr, &present));
  training->reduce_lr.enabled = present;
  return read_section(r, &config_checkpoint_schema, node, "training", NULL, &training->checkpoint, &present);
}

static thaw_status read_cache(const reader *r) {
  bool present;
  thaw_cache_config *cache = &r->job->cache;
  const thaw_yaml *node = thaw_yaml_get(r->root, "cache");
  THAW_TRY(read_section(r, &config_cache_schema, r->root, "", NULL, cache, &present));
  if (!config_is_null(node) && !present) cache->enabled = false;
  if (cache->folder) return THAW_OK;
  char *parent = thaw_path_folder(r->job->output), *above = parent ? thaw_path_folder(parent) : NULL;
  char *folder = above ? thaw_path_join(strcmp(above, ".") ? above : "", "cache") : NULL;
  cache->folder = folder ? thaw_arena_text(r->source.arena, folder) : NULL;
  thaw_free(parent);
  thaw_free(above);
  thaw_free(folder);
  return cache->folder ? THAW_OK : THAW_ERR_MEMORY;
}

/* name: the file's name without its ending; output: runs/<name>. */
static thaw_status name_run(const reader *r) {
  thaw_job *job = r->job;
  if (!job->name) {
    job->name = thaw_arena_text(job->arena, thaw_path_name(job->path));
    if (!job->name) return THAW_ERR_MEMORY;
    char *dot = strrchr(job->name, '.');
    if (dot && dot != job->name) *dot = 0;
  }
  const thaw_yaml *node = thaw_yaml_get(r->root, "name");
  if (*job->name == '.' || strchr(job->name, '/') || strlen(job->name) > 100)
    return config_fail(&r->source, node ? node->line : r->root->line, "name",
                       "'%.60s' cannot name a folder: no '/', no leading '.', at most 100 bytes", job->name);
  if (job->output) return THAW_OK;
  char *output = thaw_path_join("runs", job->name);
  job->output = output ? thaw_arena_text(job->arena, output) : NULL;
  thaw_free(output);
  return job->output ? THAW_OK : THAW_ERR_MEMORY;
}

/* The absolute folder of the job file, so that the job's copy in the run folder means the same files. */
static thaw_status find_folder(thaw_job *job) {
  char here[4096];
  char *folder = thaw_path_folder(job->path), *whole = NULL;
  if (!folder) return THAW_ERR_MEMORY;
  if (*folder != '/' && !getcwd(here, sizeof here)) {
    thaw_free(folder);
    return thaw_fail(THAW_ERR_RUN, "the current folder cannot be told");
  }
  if (*folder == '/' || !strcmp(folder, "."))
    job->folder = thaw_arena_text(job->arena, *folder == '/' ? folder : here);
  else if ((whole = thaw_path_join(here, folder)))
    job->folder = thaw_arena_text(job->arena, whole);
  thaw_free(whole);
  thaw_free(folder);
  return job->folder ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status read_job(reader *r) {
  static const char *const also[] = {"backbone", "head", "heads", "data", "cache", "training", NULL};
  const thaw_yaml *sweep = thaw_yaml_get(r->root, "sweep");
  if (sweep)
    return config_fail(&r->source, sweep->line, "sweep", "is for thaw sweep, which trains this job many times");
  THAW_TRY(config_defaults(&config_top_schema, r->job, r->source.arena));
  THAW_TRY(config_read_fields(&r->source, &config_top_schema, r->root, "", also, r->job));
  THAW_TRY(name_run(r));
  THAW_TRY(read_backbone(r));
  THAW_TRY(read_head(r));
  THAW_TRY(config_read_heads(&r->source, r->schemas, r->root, r->job));
  THAW_TRY(read_data(r));
  THAW_TRY(read_training(r));
  THAW_TRY(read_cache(r));
  return config_check_job(&r->source, r->root, r->job);
}

static thaw_status parse_into(thaw_job *job, const char *path, const char *text, size_t size,
                              const thaw_job_schemas *schemas) {
  thaw_yaml *root;
  job->path = thaw_arena_text(job->arena, path);
  if (!job->path) return THAW_ERR_MEMORY;
  THAW_TRY(find_folder(job));
  if (size > JOB_LIMIT)
    return thaw_fail(THAW_ERR_USAGE, "%s: %zu bytes is too large for a job file (at most %d)", path, size,
                     (int)JOB_LIMIT);
  THAW_TRY(thaw_yaml_parse(path, text, size, job->arena, &root));
  reader r = {.source = {.file = job->path, .arena = job->arena}, .schemas = schemas, .root = root, .job = job};
  return read_job(&r);
}

static thaw_status parse_tree_into(thaw_job *job, const char *path, const thaw_yaml *root,
                                   const thaw_job_schemas *schemas) {
  job->path = thaw_arena_text(job->arena, path);
  if (!job->path) return THAW_ERR_MEMORY;
  THAW_TRY(find_folder(job));
  reader r = {.source = {.file = job->path, .arena = job->arena}, .schemas = schemas, .root = root, .job = job};
  return read_job(&r);
}

static thaw_job *new_job(void) {
  thaw_arena *arena = thaw_arena_create();
  thaw_job *job = arena ? thaw_arena_new(arena, 1, sizeof *job) : NULL;
  if (job)
    job->arena = arena;
  else
    thaw_arena_destroy(arena);
  return job;
}

thaw_status thaw_job_parse(const char *path, const char *text, size_t size, const thaw_job_schemas *schemas,
                           thaw_job **out) {
  thaw_job *job = new_job();
  if (!job) return THAW_ERR_MEMORY;
  thaw_status status = parse_into(job, path, text, size, schemas);
  if (status == THAW_OK)
    *out = job;
  else
    thaw_job_destroy(job);
  return status;
}

thaw_status thaw_job_parse_tree(const char *path, const thaw_yaml *root, const thaw_job_schemas *schemas,
                                thaw_job **out) {
  thaw_job *job = new_job();
  if (!job) return THAW_ERR_MEMORY;
  thaw_status status = parse_tree_into(job, path, root, schemas);
  if (status == THAW_OK)
    *out = job;
  else
    thaw_job_destroy(job);
  return status;
}

void thaw_job_destroy(thaw_job *job) {
  if (job) thaw_arena_destroy(job->arena); /* the job itself lies in it */
}
