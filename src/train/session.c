/* A job made ready to run: what must be known before the first step. */
#include "thaw/digest.h"
#include "thaw/memory.h"
#include "thaw/train.h"
#include "thaw/weights.h"
#include "train/train_private.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ the network */

/* How many layers of the head an embedding has. */
static int32_t embedding_layers(const thaw_job *job) {
  int32_t count = job->head_count;
  return count > 1 && job->head[count - 1].schema == thaw_layer_cosine_dense.schema ? count - 1 : count;
}

static bool is_layer(const thaw_session *s, int32_t node, const char *name) {
  return name && strcmp(thaw_graph_view(s->graph, node)->layer.name, name) == 0;
}

static thaw_status no_such_layer(const thaw_session *s, int32_t first, const char *layer) {
  thaw_text names = {0};
  for (int32_t n = first; n < thaw_graph_count(s->graph); n++)
    thaw_text_add(&names, "%s%s", n > first ? ", " : "", thaw_graph_view(s->graph, n)->layer.name);
  thaw_status status = thaw_fail(THAW_ERR_USAGE, "%s: the head has no layer '%s', but %s", s->job->path, layer,
                                 names.data ? names.data : "none");
  thaw_text_clear(&names);
  return status;
}

static thaw_status add_heads(thaw_session *s, int32_t first, int32_t trunk, const char *layer) {
  if (layer) return thaw_fail(THAW_ERR_USAGE, "%s: a layer as output does not go with several heads", s->job->path);
  THAW_TRY(train_heads_build(s, trunk));
  thaw_graph_mark_head(s->graph, first);
  return THAW_OK;
}

/* The head, up to `layer` unless that is NULL. */
static thaw_status add_head(thaw_session *s, int32_t last, const char *layer) {
  const thaw_job *job = s->job;
  int32_t first = thaw_graph_count(s->graph), count = s->embedding ? embedding_layers(job) : job->head_count;
  bool found = !layer;
  if (layer) count = job->head_count;
  for (int32_t i = 0; i < count && !(layer && found); i++) {
    const thaw_choice *choice = &job->head[i];
    thaw_status status = thaw_graph_add(s->graph, choice->schema->name, choice->config, choice->label, &last, 1, &last);
    if (status != THAW_OK) return thaw_fail_in(status, "%s:%d: head[%d]: ", job->path, choice->line, i);
    found = found || is_layer(s, last, layer);
  }
  if (!found) return no_such_layer(s, first, layer);
  if (job->heads_count) return add_heads(s, first, last, layer);
  thaw_shape shape = thaw_graph_view(s->graph, last)->layer.output;
  char text[48];
  if (shape.rank != 1)
    return thaw_fail(THAW_ERR_USAGE,
                     "%s: the head ends with shape %s; its last layer must give one row per sample (put a "
                     "global_average_pooling or flatten before the dense layers)",
                     job->path, thaw_shape_text(shape, text));
  s->outputs = shape.c;
  s->part = thaw_graph_count(s->graph) - first < job->head_count;
  if (!s->part) THAW_TRY(train_targets_add_layer(s, last));
  thaw_graph_mark_head(s->graph, first);
  return THAW_OK;
}

/* What stands for an architecture when the network comes from a model file. */
static const thaw_architecture model_file = {
    .name = "model file", .title = "model file", .preprocessing = THAW_PREPROCESS_RAW, .default_size = 224};

static thaw_status build_from_file(thaw_session *s, const char *layer) {
  const thaw_backbone_config *b = &s->job->backbone;
  thaw_shape input = {3, b->input[0], b->input[1], b->input[2]};
  int32_t last;
  s->architecture = &model_file;
  thaw_status status = thaw_weights_read_model(b->file, b->input[0] > 0 ? &input : NULL, b->cut, &s->graph, &last);
  if (status == THAW_OK && thaw_graph_view(s->graph, 0)->layer.output.rank != 3)
    status = thaw_fail(THAW_ERR_DATA, "%s: the model does not take images", b->file);
  if (status != THAW_OK) return thaw_fail_in(status, "%s: backbone: ", s->job->path);
  THAW_TRY(add_head(s, last, layer));
  return thaw_graph_bind(s->graph);
}

/* [local] */
static thaw_status build_network(thaw_session *s, const char *layer) {
  const thaw_job *job = s->job;
  const thaw_backbone_config *b = &job->backbone;
  bool given = b->input[0] > 0;
  if (b->file) return build_from_file(s, layer);
  s->architecture = thaw_architecture_find(b->architecture);
  int32_t size = s->architecture ? s->architecture->default_size : 224;
  thaw_shape input = {3, given ? b->input[0] : size, given ? b->input[1] : size, given ? b->input[2] : 3};
  int32_t last;
  thaw_status status = thaw_zoo_build(b->architecture, input, b->cut, &s->graph, &last);
  if (status != THAW_OK) return thaw_fail_in(status, "%s: backbone: ", job->path);
  THAW_TRY(add_head(s, last, layer));
  return thaw_graph_bind(s->graph);
}

static thaw_status read_weights(thaw_session *s, thaw_log *log) {
  const thaw_backbone_config *b = &s->job->backbone;
  const char *path = b->weights ? b->weights : b->file;
  thaw_graph_initialize(s->graph, (uint64_t)s->job->seed, path != NULL);
  if (path) return thaw_weights_load(s->graph, path, log, s->weights_digest);
  thaw_warn(log, "backbone.weights is not given: the backbone starts from random numbers and stays untrained");
  return thaw_weights_digest(s->graph, false, s->weights_digest);
}

static thaw_status describe_input(thaw_session *s) {
  const thaw_job *job = s->job;
  thaw_shape shape = thaw_graph_view(s->graph, 0)->layer.output;
  s->input = (thaw_input){.h = shape.h,
                          .w = shape.w,
                          .c = shape.c,
                          .preprocessing = s->architecture->preprocessing,
                          .augment = job->data.augment,
                          .seed = (uint64_t)job->seed,
                          .allow_resize = job->data.resize == 0};
  if (job->backbone.weights && thaw_weights_are_torch(job->backbone.weights))
    s->input.preprocessing = THAW_PREPROCESS_TORCH; /* VGG16 of torchvision is not VGG16 of Keras in this */
  if (!job->backbone.preprocessing) return THAW_OK;
  for (int32_t i = 0; thaw_preprocessing_names[i]; i++)
    if (strcmp(thaw_preprocessing_names[i], job->backbone.preprocessing) == 0) {
      s->input.preprocessing = (thaw_preprocessing)i;
      return THAW_OK;
    }
  return thaw_fail(THAW_ERR_USAGE, "%s: backbone.preprocessing: '%s' is none of raw, caffe, tf, torch", job->path,
                   job->backbone.preprocessing);
}

/* The slices of a batch dealt evenly. */
static int32_t largest_share(const thaw_training_config *training, int64_t batch, int ranks) {
  int64_t slices = (batch + training->slice - 1) / training->slice;
  return (int32_t)((slices + ranks - 1) / ranks * training->slice);
}

int32_t train_parts(const thaw_session *s) {
  if (s->job->training.accumulate <= 1) return 1;
  for (int32_t n = 0; n < thaw_graph_count(s->graph); n++) {
    const thaw_node *node = thaw_graph_view(s->graph, n);
    if (!node->frozen && node->layer.ops->forward_sums) return s->job->training.accumulate;
  }
  return 1;
}

int32_t train_share_samples(const thaw_session *s, int ranks) {
  const thaw_training_config *training = &s->job->training;
  int32_t parts = train_parts(s);
  return largest_share(training, (int64_t)training->batch_size * training->accumulate / parts, ranks) * parts;
}

/* Losses that are meant for one kind of last layer. */
static thaw_status check_loss(const thaw_session *s) {
  const thaw_training_config *training = &s->job->training;
  const char *path = s->job->path, *name = s->loss->schema->name;
  const thaw_schema *last = s->job->head_count ? s->job->head[s->job->head_count - 1].schema : NULL;
  bool cosines = last == thaw_layer_cosine_dense.schema;
  if (s->loss->probabilities && !cosines)
    return thaw_fail(THAW_ERR_USAGE,
                     "%s: training.loss: %s needs cosines: the head has to end with {layer: cosine_dense, units: "
                     "<number of classes>}, not with %s",
                     path, name, last ? last->name : "nothing");
  if (cosines && !s->loss->probabilities)
    return thaw_fail(THAW_ERR_USAGE,
                     "%s: training.loss: a cosine_dense at the end goes with arcface and cosface, not %s", path, name);
  if (!s->loss->evaluate_batch) return THAW_OK;
  if (training->metrics.count)
    return thaw_fail(THAW_ERR_USAGE, "%s: training.metrics: %s trains embeddings, which '%s' does not judge", path,
                     name, training->metrics.item[0]);
  if (training->mixup > 0 || training->class_weights.enabled || training->accumulate > 1)
    return thaw_fail(THAW_ERR_USAGE, "%s: training.%s: does not go with %s, which compares the samples of a batch",
                     path,
                     training->mixup > 0               ? "mixup"
                     : training->class_weights.enabled ? "class_weights"
                                                       : "accumulate",
                     name);
  return THAW_OK;
}

static thaw_status choose_loss(thaw_session *s) {
  const thaw_training_config *training = &s->job->training;
  if (s->heads) return train_heads_losses(s);
  s->loss = thaw_loss_find(training->loss.schema->name);
  if (training->metrics.count > 8) return thaw_fail(THAW_ERR_USAGE, "%s: training.metrics: at most 8", s->job->path);
  for (int32_t i = 0; i < training->metrics.count; i++) {
    thaw_status status = thaw_metric_parse(training->metrics.item[i], &s->metric[i]);
    if (status != THAW_OK) return thaw_fail_in(status, "%s: training.metrics: ", s->job->path);
  }
  s->metrics = training->metrics.count;
  return check_loss(s);
}

/* ------------------------------------------------------------------ the data */

/* An embedding has no output for each class: whoever labels name, it need not have been trained on. */
static thaw_status check_labels(const thaw_session *s, const thaw_dataset_info *info, const char *path) {
  if (!s->embedding) return thaw_labels_check(s->loss, info, s->outputs, path);
  return info->label_kind == THAW_LABEL_CLASS ? THAW_OK : thaw_fail(THAW_ERR_DATA, "%s: has no class per sample", path);
}

static thaw_status open_data(thaw_session *s, const char *path, bool labels_needed, thaw_session_data *data) {
  THAW_TRY(thaw_catalog_open(path, &data->catalog));
  data->info = thaw_catalog_info(data->catalog);
  if (data->info->count < 1) return thaw_fail(THAW_ERR_DATA, "%s: holds no samples", path);
  THAW_TRY(thaw_input_check(&s->input, data->info, path));
  thaw_status fit = s->heads ? train_heads_open(s, data) : check_labels(s, data->info, path);
  return labels_needed ? fit : THAW_OK;
}

/* [collective] Each rank opens and checks its part of the shards and reads their labels; then all have all labels. The
 * catalogue is the same everywhere. */
static thaw_status read_data(thaw_session *s, thaw_comm *comm, thaw_session_data *data) {
  if (!data->catalog) return THAW_OK;
  int rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  bool labels =
      s->heads ? data->head != NULL : check_labels(s, data->info, thaw_catalog_path(data->catalog)) == THAW_OK;
  THAW_TRY(thaw_agree(comm, thaw_catalog_read_part(data->catalog, rank, ranks, labels)));
  if (!labels) return THAW_OK;
  for (int part = 0; part < ranks; part++) {
    size_t bytes;
    void *place = thaw_catalog_labels_part(data->catalog, part, ranks, &bytes);
    THAW_TRY(thaw_comm_broadcast(comm, part, place, bytes));
  }
  return thaw_catalog_labels(data->catalog, &data->labels);
}

/* Groups of one class: what of the training data has too few samples for that is told. */
static thaw_status warn_small_classes(const thaw_session *s, thaw_log *log) {
  const thaw_dataset_info *info = s->train.info;
  int32_t wanted = s->job->data.samples_per_class, small = 0, single = 0;
  if (!wanted || !s->train.labels || info->label_kind != THAW_LABEL_CLASS || !log) return THAW_OK;
  int64_t *count = thaw_new(info->classes.count, sizeof *count);
  if (!count) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < info->count; i++) count[(size_t)thaw_label(s->train.labels, (uint64_t)i, 0)]++;
  for (size_t c = 0; c < info->classes.count; c++) {
    small += count[c] > 0 && count[c] < wanted;
    single += count[c] == 1;
  }
  if (small)
    thaw_warn(
        log,
        "data.samples_per_class: %d of %zu classes have fewer than %d samples, %d of them one, which makes no pair",
        small, info->classes.count, wanted, single);
  thaw_free(count);
  return THAW_OK;
}

thaw_status train_same_classes(const thaw_strings *x, const char *xp, const thaw_strings *y, const char *yp) {
  if (x->count != y->count)
    return thaw_fail(THAW_ERR_DATA, "%s has %zu classes, %s has %zu", xp, x->count, yp, y->count);
  for (size_t i = 0; i < x->count; i++)
    if (strcmp(x->item[i], y->item[i]) != 0)
      return thaw_fail(THAW_ERR_DATA, "class %zu is '%s' in %s and '%s' in %s", i, x->item[i], xp, y->item[i], yp);
  return THAW_OK;
}

static thaw_status same_classes(const thaw_session_data *a, const thaw_session_data *b) {
  if (!a->catalog || !b->catalog) return THAW_OK;
  return train_same_classes(&a->info->classes, thaw_catalog_path(a->catalog), &b->info->classes,
                            thaw_catalog_path(b->catalog));
}

/* The first data opened names the classes. */
static thaw_status copy_classes(thaw_session *s) {
  const thaw_session_data *data[] = {&s->train, &s->validation, &s->test};
  for (int i = 0; i < 3 && s->heads && s->classes.count == 0; i++)
    if (data[i]->head) THAW_TRY(train_heads_names(s, data[i]));
  for (int i = 0; i < 3 && s->classes.count == 0 && !s->heads; i++)
    for (size_t c = 0; data[i]->catalog && c < data[i]->info->classes.count; c++)
      THAW_TRY(thaw_strings_add(&s->classes, data[i]->info->classes.item[c]));
  return THAW_OK;
}

/* [local] */
static thaw_status open_all_data(thaw_session *s, const thaw_session_options *o) {
  const thaw_data_config *data = &s->job->data;
  const char *test = o->catalog ? o->catalog : data->test;
  if (o->train) THAW_TRY(open_data(s, data->train, true, &s->train));
  const char *validation = data->folds ? data->train : data->validation;
  if (o->validation && validation) THAW_TRY(open_data(s, validation, true, &s->validation));
  THAW_TRY(train_folds_open(s));
  if (o->test && test) THAW_TRY(open_data(s, test, o->labels_needed, &s->test));
  if (s->heads) {
    THAW_TRY(train_heads_same(s, &s->train, &s->validation));
    THAW_TRY(train_heads_same(s, &s->train, &s->test));
  } else if (!s->loss->evaluate_batch) { /* triplets can be judged on persons that were not trained on */
    THAW_TRY(same_classes(&s->train, &s->validation));
    THAW_TRY(same_classes(&s->train, &s->test));
  }
  return copy_classes(s);
}

static const char *data_digest(const thaw_session_data *data) {
  return data->catalog ? data->info->digest : "";
}

/* [collective] What every rank must have the same, or the same bits cannot be promised. */
static thaw_status agree_on_inputs(thaw_session *s, thaw_comm *comm) {
  thaw_text job = {0};
  char program[THAW_DIGEST_TEXT] = "unknown";
  thaw_status status = thaw_agree(comm, thaw_job_echo(s->job, true, &job));
  if (status == THAW_OK) status = thaw_agree_same(comm, "program version", THAW_VERSION);
  /* Two builds of one version, as by compilers of different age, may differ in the last bits. */
  if (status == THAW_OK && thaw_comm_size(comm) > 1) {
    if (thaw_digest_file("/proc/self/exe", program) != THAW_OK) snprintf(program, sizeof program, "unreadable");
    status = thaw_agree_same(comm, "the program's SHA-256", program);
  }
  if (status == THAW_OK) status = thaw_agree_same(comm, "job", job.data);
  if (status == THAW_OK) status = thaw_agree_same(comm, "backbone weights", s->weights_digest);
  if (status == THAW_OK) status = thaw_agree_same(comm, "training data", data_digest(&s->train));
  if (status == THAW_OK) status = thaw_agree_same(comm, "validation data", data_digest(&s->validation));
  if (status == THAW_OK) status = thaw_agree_same(comm, "test data", data_digest(&s->test));
  thaw_text_clear(&job);
  return status;
}

/* [local] Everything up to the first agreement. */
static thaw_status make_ready(thaw_session *s, const thaw_session_options *options, int ranks, thaw_log *log) {
  THAW_TRY(thaw_isa_select(options->isa, &s->isa));
  THAW_TRY(build_network(s, options->layer));
  THAW_TRY(describe_input(s));
  THAW_TRY(choose_loss(s));
  s->max_samples = s->share_samples = largest_share(&s->job->training, s->job->training.batch_size, ranks);
  THAW_TRY(open_all_data(s, options));
  return options->dry ? THAW_OK : read_weights(s, log);
}

thaw_status thaw_session_create(thaw_comm *comm, const thaw_job *job, const thaw_session_options *options,
                                thaw_log *log, thaw_session **out) {
  thaw_session *s = thaw_new(1, sizeof *s);
  thaw_status status = s ? THAW_OK : THAW_ERR_MEMORY;
  if (s) {
    s->job = job;
    s->phase = -1;
    s->ahead = options->ahead;
    s->embedding = options->embedding && !job->heads_count;
    s->labels_needed = options->labels_needed;
    status = make_ready(s, options, thaw_comm_size(comm), log);
  }
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = agree_on_inputs(s, comm);
  if (status == THAW_OK) status = train_stage(s, comm, options, log);
  if (status == THAW_OK && options->leaks) status = train_check_leaks(s, comm, log);
  if (status == THAW_OK) status = read_data(s, comm, &s->train);
  if (status == THAW_OK) status = read_data(s, comm, &s->validation);
  if (status == THAW_OK) status = read_data(s, comm, &s->test);
  if (status == THAW_OK) status = train_folds_apply(s, comm);
  if (status == THAW_OK && s->heads) status = thaw_agree(comm, train_heads_read(s));
  if (status == THAW_OK) status = thaw_agree(comm, train_check_labels(s, options, log));
  if (status == THAW_OK) status = thaw_agree(comm, warn_small_classes(s, log));
  if (status == THAW_OK) status = thaw_agree(comm, train_targets_fit(s));
  if (status != THAW_OK) {
    thaw_session_destroy(s);
    return status;
  }
  *out = s;
  return THAW_OK;
}

static void close_data(const thaw_session *s, thaw_session_data *data) {
  train_heads_close(s, data);
  thaw_features_close(data->features);
  thaw_catalog_close(data->catalog);
  thaw_catalog_close(data->whole);
}

void thaw_session_destroy(thaw_session *s) {
  if (!s) return;
  thaw_session_leave_phase(s);
  close_data(s, &s->train);
  close_data(s, &s->validation);
  close_data(s, &s->test);
  thaw_stage_close(s->stage, !s->job->data.stage_keep);
  thaw_strings_clear(&s->classes);
  thaw_free(s->target);
  for (int32_t h = 0; h < s->heads; h++) thaw_free(s->head[h].target);
  thaw_free(s->head);
  thaw_graph_destroy(s->graph);
  thaw_free(s);
}

/* ------------------------------------------------------------------ evaluation */

thaw_status thaw_session_evaluate(thaw_session *s, thaw_comm *comm, thaw_session_data *data, const char *title,
                                  bool keep_predictions, thaw_log *log, thaw_evaluation *out) {
  THAW_TRY(thaw_features_fill(data->features, comm, -1, log));
  thaw_evaluate_desc desc = {.features = data->features,
                             .live = s->live,
                             .labels = data->labels,
                             .head = s->head,
                             .head_data = data->labels ? data->head : NULL,
                             .heads = s->heads,
                             .data = data->info,
                             .loss = &s->job->training.loss,
                             .target = s->target,
                             .metric = s->metric,
                             .metrics = s->metrics,
                             .outputs = s->outputs,
                             .slice = s->job->training.slice,
                             .max_samples = s->max_samples,
                             .keep_predictions = keep_predictions,
                             .title = title,
                             .batch = s->job->training.batch_size,
                             .samples_per_class = s->job->data.samples_per_class,
                             .seed = (uint64_t)s->job->seed};
  THAW_TRY(thaw_evaluate(comm, &desc, log, out));
  if (out->prediction) thaw_session_probabilities(s, out->count, out->prediction);
  out->loss += train_regularization(s); /* as Keras reports it; the same on every rank */
  return THAW_OK;
}

void thaw_session_probabilities(const thaw_session *s, int64_t rows, float *y) {
  if (s->loss->probabilities && !s->embedding)
    s->loss->probabilities(s->job->training.loss.config, rows, s->outputs, y);
}
