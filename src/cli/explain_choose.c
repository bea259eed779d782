/* Which samples `thaw explain` shows. */
#include "cli/explain.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct loss_row {
  double loss;
  int64_t sample;
} loss_row;

/* The largest first, then in order; what cannot be compared (NaN) comes last. */
static int by_loss(const void *left, const void *right) {
  const loss_row *a = left, *b = right;
  double la = isnan(a->loss) ? -INFINITY : a->loss, lb = isnan(b->loss) ? -INFINITY : b->loss;
  if (la != lb) return la > lb ? -1 : 1;
  return (a->sample > b->sample) - (a->sample < b->sample);
}

/* label and z: room for one row each. */
static double loss_of(const thaw_session *s, int64_t sample, const float *y, float *label, float *z) {
  const uint64_t index = (uint64_t)sample;
  double value = NAN;
  thaw_labels_gather(s->loss, s->test.info, s->test.labels, &index, 1, s->outputs, label);
  if (s->loss->probabilities) return -log(fmax(y[(size_t)label[0]], 1e-30)); /* y: softmax of the cosines, no margin */
  thaw_labels_standardize(s->target, 1, s->outputs, label);
  memcpy(z, y, (size_t)s->outputs * sizeof *z);
  thaw_labels_standardize(s->target, 1, s->outputs, z);
  s->loss->evaluate(s->job->training.loss.config, label, z, NULL, false, 1, s->outputs, 1, &value, NULL);
  return value;
}

/* [local] rank 0, after an evaluation that kept its predictions. */
static thaw_status take_top_losses(explain *e, const thaw_evaluation *evaluation) {
  const thaw_session *s = e->session;
  loss_row *row = thaw_new((size_t)evaluation->count, sizeof *row);
  float *label = thaw_new((size_t)s->loss->label_width(s->outputs), sizeof *label);
  float *z = thaw_new((size_t)s->outputs, sizeof *z);
  thaw_status status = row && label && z ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t i = 0; status == THAW_OK && i < evaluation->count; i++)
    row[i] = (loss_row){loss_of(s, i, evaluation->prediction + (size_t)i * (size_t)s->outputs, label, z), i};
  if (status == THAW_OK) qsort(row, (size_t)evaluation->count, sizeof *row, by_loss);
  for (int32_t i = 0; status == THAW_OK && i < e->count; i++) {
    e->sample[i].index = row[i].sample;
    e->sample[i].loss = row[i].loss;
  }
  thaw_free(row);
  thaw_free(label);
  thaw_free(z);
  return status;
}

static thaw_status choose_top_losses(explain *e) {
  thaw_session *s = e->session;
  thaw_evaluation evaluation;
  if (e->images || !s->test.labels)
    return thaw_fail(THAW_ERR_USAGE, "--top-losses needs a catalogue with labels; %s has none", e->cli->argument[1]);
  if (!s->loss->evaluate)
    return thaw_fail(THAW_ERR_USAGE, "--top-losses: the loss %s is one of whole batches, not of samples",
                     s->loss->schema->name);
  THAW_TRY(thaw_session_evaluate(s, e->cli->comm, &s->test, "evaluate", true, e->cli->log, &evaluation));
  thaw_status status = cli_is_root(e->cli) ? take_top_losses(e, &evaluation) : THAW_OK;
  thaw_evaluation_clear(&evaluation);
  return cli_share_status(e->cli, status);
}

/* [local] rank 0 */
static thaw_status name_samples(explain *e) {
  const thaw_session_data *data = &e->session->test;
  for (int32_t i = 0; i < e->count; i++) {
    explain_sample *sample = &e->sample[i];
    thaw_strings id = {0};
    sample->label = -1;
    if (e->images) {
      sample->id = thaw_copy_text(thaw_import_reader_ids(e->images)->item[sample->index]);
    } else {
      THAW_TRY(thaw_catalog_ids(data->catalog, sample->index, 1, &id));
      sample->id = thaw_copy_text(id.item[0]);
      thaw_strings_clear(&id);
      if (data->labels && data->info->label_kind == THAW_LABEL_CLASS)
        sample->label = (int32_t)thaw_label(data->labels, (uint64_t)sample->index, 0);
    }
    if (!sample->id) return THAW_ERR_MEMORY;
  }
  return THAW_OK;
}

/* As the data says, else (images alone) as the loss does. */
static thaw_label_kind find_kind(const explain *e) {
  const thaw_session *s = e->session;
  const char *loss = s->loss->schema->name;
  if (s->test.info && s->test.info->label_kind != THAW_LABEL_NONE) return s->test.info->label_kind;
  if (s->train.info && s->train.info->label_kind != THAW_LABEL_NONE) return s->train.info->label_kind;
  if (strstr(loss, "binary")) return s->outputs > 1 ? THAW_LABEL_MULTI : THAW_LABEL_CLASS;
  bool classes = strstr(loss, "categorical") || strstr(loss, "face") || strstr(loss, "triplet");
  return classes || s->loss->fused != THAW_LINEAR ? THAW_LABEL_CLASS : THAW_LABEL_TARGET;
}

thaw_status explain_choose(explain *e) {
  int64_t total = e->images ? (int64_t)thaw_import_reader_ids(e->images)->count : e->session->test.info->count;
  if (total < 1) return thaw_fail(THAW_ERR_DATA, "%s: holds no samples", e->cli->argument[1]);
  e->count = (int32_t)(total < e->options->count ? total : e->options->count);
  e->kind = find_kind(e);
  e->sample = thaw_new((size_t)e->count, sizeof *e->sample);
  if (!e->sample) return THAW_ERR_MEMORY;
  for (int32_t i = 0; i < e->count; i++) e->sample[i] = (explain_sample){.index = i * total / e->count, .loss = NAN};
  if (e->options->top_losses) THAW_TRY(choose_top_losses(e));
  return cli_share_status(e->cli, cli_is_root(e->cli) ? name_samples(e) : THAW_OK);
}
