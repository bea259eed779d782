/* Several heads on one backbone: the network's branches, their labels, and their part in a step. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ the network */

/* One branch from node `from`; its last layer has the head's name. */
static thaw_status add_branch(thaw_session *s, const thaw_head_config *config, int32_t index, int32_t from,
                              thaw_head *head) {
  int32_t first = thaw_graph_count(s->graph), last = from;
  char text[48];
  bool trains = false;
  for (int32_t i = 0; i < config->layer_count; i++) {
    const thaw_choice *choice = &config->layers[i];
    bool final = i + 1 == config->layer_count;
    const char *name = final ? config->target_scaling ? NULL : config->name : choice->label;
    thaw_status status = thaw_graph_add(s->graph, choice->schema->name, choice->config, name, &last, 1, &last);
    if (status != THAW_OK)
      return thaw_fail_in(status, "%s:%d: heads[%d].layers[%d]: ", s->job->path, choice->line, index, i);
  }
  const thaw_layer *layer = &thaw_graph_view(s->graph, last)->layer;
  if (layer->output.rank != 1 || layer->ops == &thaw_layer_cosine_dense)
    return thaw_fail(THAW_ERR_USAGE,
                     "%s:%d: heads[%d]: ends with %s of shape %s; its last layer must give one row of "
                     "predictions per sample",
                     s->job->path, config->line, index, layer->ops->keras_class, thaw_shape_text(layer->output, text));
  head->outputs = layer->output.c;
  for (int32_t n = first; n <= last; n++) trains |= thaw_graph_view(s->graph, n)->layer.params > 0;
  if (!trains)
    return thaw_fail(THAW_ERR_USAGE, "%s:%d: heads[%d]: has no layer that can be trained", s->job->path, config->line,
                     index);
  if (config->target_scaling) THAW_TRY(train_targets_add_rescaling(s, config->name, head->outputs, &last));
  head->node = last;
  return THAW_OK;
}

thaw_status train_heads_build(thaw_session *s, int32_t from) {
  const thaw_job *job = s->job;
  int32_t node[THAW_MAX_HEADS];
  s->head = thaw_new((size_t)job->heads_count, sizeof *s->head);
  if (!s->head) return THAW_ERR_MEMORY;
  s->heads = job->heads_count;
  for (int32_t h = 0; h < s->heads; h++) {
    const thaw_head_config *config = &job->heads[h];
    thaw_head *head = &s->head[h];
    *head = (thaw_head){.name = config->name,
                        .loss = thaw_loss_find(config->loss.schema->name),
                        .config = config->loss.config,
                        .weight = config->weight,
                        .column = config->labels.item,
                        .columns = config->labels.count,
                        .first = s->outputs,
                        .scaled = config->target_scaling != 0};
    THAW_TRY(add_branch(s, config, h, from, head));
    s->outputs += head->outputs;
    node[h] = head->node;
  }
  return thaw_graph_join(s->graph, node, s->heads, "heads");
}

/* ------------------------------------------------------------------ losses and metrics */

static thaw_status add_metric(thaw_session *s, int32_t head, const char *name) {
  thaw_metric *metric = &s->metric[s->metrics];
  if (s->metrics == THAW_MAX_METRICS)
    return thaw_fail(THAW_ERR_USAGE, "%s: heads: more than %d losses and metrics", s->job->path, (int)THAW_MAX_METRICS);
  if (name) {
    thaw_status status = thaw_metric_parse(name, metric);
    if (status != THAW_OK) return thaw_fail_in(status, "%s: heads[%d].metrics: ", s->job->path, head);
  } else {
    *metric = (thaw_metric){.kind = THAW_METRIC_HEAD_LOSS};
  }
  metric->head = head;
  snprintf(metric->name, sizeof metric->name, "%s_%s", s->head[head].name, name ? name : "loss");
  s->metrics++;
  return THAW_OK;
}

thaw_status train_heads_losses(thaw_session *s) {
  for (int32_t h = 0; h < s->heads; h++) {
    const thaw_loss_ops *loss = s->head[h].loss;
    if (loss->evaluate_batch || loss->probabilities)
      return thaw_fail(THAW_ERR_USAGE, "%s:%d: heads[%d].loss: %s trains embeddings, which is for a single head",
                       s->job->path, s->job->heads[h].line, h, loss->schema->name);
    THAW_TRY(add_metric(s, h, NULL));
  }
  for (int32_t h = 0; h < s->heads; h++)
    for (int32_t m = 0; m < s->job->heads[h].metrics.count; m++)
      THAW_TRY(add_metric(s, h, s->job->heads[h].metrics.item[m]));
  s->loss = s->head[0].loss;
  return THAW_OK;
}

/* ------------------------------------------------------------------ labels */

thaw_status train_heads_open(const thaw_session *s, thaw_session_data *data) {
  const char *path = thaw_catalog_path(data->catalog);
  thaw_head_data *head = thaw_new((size_t)s->heads, sizeof *head);
  thaw_status status = head ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t h = 0; h < s->heads && status == THAW_OK; h++)
    status = thaw_head_data_open(&s->head[h], data->info, path, &head[h]);
  data->head = head;
  if (status != THAW_OK) train_heads_close(s, data);
  return status;
}

void train_heads_close(const thaw_session *s, thaw_session_data *data) {
  for (int32_t h = 0; data->head && h < s->heads; h++) thaw_head_data_clear(&data->head[h]);
  thaw_free(data->head);
  data->head = NULL;
}

static thaw_status read_labels(const thaw_session *s, thaw_session_data *data) {
  for (int32_t h = 0; data->head && h < s->heads; h++)
    THAW_TRY(thaw_head_data_read(&s->head[h], data->labels, data->info->count, thaw_catalog_path(data->catalog),
                                 &data->head[h]));
  return THAW_OK;
}

thaw_status train_heads_read(thaw_session *s) {
  THAW_TRY(read_labels(s, &s->train));
  THAW_TRY(read_labels(s, &s->validation));
  return read_labels(s, &s->test);
}

thaw_status train_heads_same(const thaw_session *s, const thaw_session_data *a, const thaw_session_data *b) {
  for (int32_t h = 0; a->head && b->head && h < s->heads; h++) {
    const thaw_strings *x = &a->head[h].info.classes, *y = &b->head[h].info.classes;
    bool same = x->count == y->count && a->head[h].info.label_kind == b->head[h].info.label_kind;
    for (size_t i = 0; same && i < x->count; i++) same = !strcmp(x->item[i], y->item[i]);
    if (!same)
      return thaw_fail(THAW_ERR_DATA, "head '%s' has other classes in %s than in %s", s->head[h].name,
                       thaw_catalog_path(a->catalog), thaw_catalog_path(b->catalog));
  }
  return THAW_OK;
}

/* "diagnosis:normal" for each output; a single number or label is called as its head. */
thaw_status train_heads_names(thaw_session *s, const thaw_session_data *data) {
  for (int32_t h = 0; h < s->heads; h++) {
    const thaw_head *head = &s->head[h];
    const thaw_dataset_info *info = &data->head[h].info;
    bool classes = info->label_kind == THAW_LABEL_CLASS;
    for (int32_t k = 0; k < head->outputs; k++) {
      char number[16];
      size_t index = (size_t)k + (classes && head->outputs == 1 && info->classes.count == 2);
      snprintf(number, sizeof number, "%d", k);
      char *name =
          !classes && head->outputs == 1
              ? thaw_copy_text(head->name)
              : thaw_format("%s:%s", head->name, index < info->classes.count ? info->classes.item[index] : number);
      thaw_status status = name ? thaw_strings_add(&s->classes, name) : THAW_ERR_MEMORY;
      thaw_free(name);
      THAW_TRY(status);
    }
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ a step */

static void count_rows(train_step *step, const thaw_share *part, const float *y) {
  const thaw_session *s = step->session;
  for (int32_t i = 0, slice = 0; i < part->samples; i++) {
    const float *row = y + (size_t)i * (size_t)s->outputs;
    while (part->slice_start[slice + 1] <= i) slice++;
    bool fine = thaw_wide_add(&step->attempt[0], step->rows.value[i]);
    for (int32_t m = 0; m < s->metrics; m++)
      fine &= thaw_wide_add(&step->attempt[1 + m], thaw_heads_metric_row(&s->metric[m], s->head, s->train.head,
                                                                         part->sample[i], i, row, &step->rows));
    if (!fine && step->bad_slice < 0) step->bad_slice = part->slice[slice];
  }
}

thaw_status train_heads_piece(train_step *step, const thaw_share *part, const thaw_live_hooks *hooks, const float *y) {
  const thaw_session *s = step->session;
  thaw_live_source source[THAW_MAX_HEADS];
  thaw_heads_evaluate(s->live, s->head, s->heads, s->train.head, part->sample, part->samples, step->batch,
                      s->job->training.unknown_labels, &step->rows, source);
  count_rows(step, part, y);
  return thaw_live_backward_heads(s->live, part, hooks, source, s->heads);
}
