#include "thaw/eval.h"
#include "thaw/loader.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

#include <math.h>
#include <string.h>

enum { MAX_METRICS = THAW_MAX_METRICS, MAX_CONFUSION_CLASSES = 4096 };

/* What one rank keeps while it goes through its samples. */
typedef struct evaluator {
  const thaw_evaluate_desc *desc;
  const thaw_loss_ops *loss;     /* sample by sample; NULL: none */
  const thaw_loss_ops *together; /* of whole batches; NULL: none */
  int64_t first, count;          /* this rank's samples: whole slices of the catalogue's order */
  float *features, *label, *row; /* row: one sample's label */
  double *value;
  uint64_t *sample;
  int32_t *slice_start;
  int64_t *slice;
  float *prediction; /* [count][outputs] or NULL */
  int64_t *confusion;
  thaw_wide sum[1 + MAX_METRICS]; /* loss, metrics */
  bool refused;                   /* a term was not finite */
  thaw_heads_rows rows;           /* of several heads */
} evaluator;

static void evaluator_clear(evaluator *e) {
  thaw_free(e->features);
  thaw_free(e->label);
  thaw_free(e->row);
  thaw_free(e->value);
  thaw_free(e->sample);
  thaw_free(e->slice_start);
  thaw_free(e->slice);
  thaw_free(e->prediction);
  thaw_heads_rows_clear(&e->rows);
}

/* Contiguous runs of whole slices, as even as can be: rank order is sample order. */
static void deal(evaluator *e, int rank, int ranks) {
  int64_t total = e->desc->data->count, slice = e->desc->slice, slices = (total + slice - 1) / slice;
  int64_t begin = slices * rank / ranks * slice, end = slices * (rank + 1) / ranks * slice;
  e->first = begin < total ? begin : total;
  e->count = (end < total ? end : total) - e->first;
}

static thaw_status evaluator_create(evaluator *e, const thaw_evaluate_desc *desc, size_t floats, thaw_comm *comm) {
  e->desc = desc;
  const thaw_loss_ops *loss = desc->labels && !desc->heads ? thaw_loss_find(desc->loss->schema->name) : NULL;
  bool together = loss && loss->evaluate_batch;
  e->loss = together ? NULL : loss;
  e->together = together ? loss : NULL;
  if (desc->metrics > MAX_METRICS) return thaw_fail(THAW_ERR_USAGE, "at most %d metrics can be computed", MAX_METRICS);
  deal(e, thaw_comm_rank(comm), thaw_comm_size(comm));
  size_t rows = (size_t)desc->max_samples, slices = rows / (size_t)desc->slice + 1;
  e->features = thaw_new(rows * floats, sizeof *e->features);
  e->label = thaw_new(rows * (size_t)desc->outputs, sizeof *e->label);
  e->row = thaw_new((size_t)desc->data->label_width, sizeof *e->row);
  e->value = thaw_new(rows, sizeof *e->value);
  e->sample = thaw_new(rows, sizeof *e->sample);
  e->slice_start = thaw_new(slices + 1, sizeof *e->slice_start);
  e->slice = thaw_new(slices, sizeof *e->slice);
  bool keep = desc->keep_predictions || together;
  if (keep) e->prediction = thaw_new((size_t)e->count * (size_t)desc->outputs, sizeof *e->prediction);
  if (desc->heads) THAW_TRY(thaw_heads_rows_create(desc->head, desc->heads, desc->max_samples, false, &e->rows));
  bool complete = e->features && e->label && e->row && e->value && e->sample && e->slice_start && e->slice &&
                  (e->prediction || !keep);
  return complete ? THAW_OK : THAW_ERR_MEMORY;
}

/* The samples of one forward call. */
static int32_t plan_chunk(evaluator *e, int64_t at, uint64_t *sample) {
  int64_t left = e->first + e->count - at, most = e->desc->max_samples / e->desc->slice * e->desc->slice;
  int32_t rows = (int32_t)(left < most ? left : most);
  for (int32_t r = 0; r < rows; r++) sample[r] = (uint64_t)(at + r);
  return rows;
}

static void count_row(evaluator *e, uint64_t sample, const float *y, double loss) {
  const thaw_evaluate_desc *d = e->desc;
  float *label = e->row;
  thaw_label_row(d->labels, sample, label);
  e->refused |= !thaw_wide_add(&e->sum[0], loss);
  for (int32_t m = 0; m < d->metrics; m++)
    e->refused |=
        !thaw_wide_add(&e->sum[1 + m], thaw_metric_row(&d->metric[m], d->data->label_kind, label, y, d->outputs));
  if (!e->confusion) return;
  int32_t predicted = d->outputs == 1 ? y[0] > 0.5f : 0, classes = d->outputs == 1 ? 2 : d->outputs;
  for (int32_t i = 1; i < d->outputs; i++)
    if (y[i] > y[predicted]) predicted = i;
  e->confusion[(int32_t)label[0] * classes + predicted]++;
}

static void count_head_rows(evaluator *e, int32_t rows, const float *y) {
  const thaw_evaluate_desc *d = e->desc;
  thaw_heads_evaluate(d->live, d->head, d->heads, d->head_data, e->sample, rows, 1, 0, &e->rows, NULL);
  for (int32_t r = 0; r < rows; r++) {
    const float *row = y + (size_t)r * (size_t)d->outputs;
    e->refused |= !thaw_wide_add(&e->sum[0], e->rows.value[r]);
    for (int32_t m = 0; m < d->metrics; m++)
      e->refused |= !thaw_wide_add(
          &e->sum[1 + m], thaw_heads_metric_row(&d->metric[m], d->head, d->head_data, e->sample[r], r, row, &e->rows));
  }
}

static thaw_status evaluate_chunk(evaluator *e, int64_t at, int32_t rows) {
  const thaw_evaluate_desc *d = e->desc;
  int32_t slices = 0;
  for (int32_t row = 0; row < rows; row += d->slice, slices++) {
    e->slice_start[slices] = row;
    e->slice[slices] = (at + row) / d->slice;
  }
  e->slice_start[slices] = rows;
  THAW_TRY(thaw_features_read(d->features, e->sample, rows, -1, e->features));
  thaw_share share = {.features = e->features,
                      .sample = e->sample,
                      .samples = rows,
                      .slices = slices,
                      .slice_start = e->slice_start,
                      .slice = e->slice,
                      .batch = rows,
                      .training = false};
  const float *y;
  THAW_TRY(thaw_live_forward(d->live, &share, NULL, &y));
  if (e->prediction)
    memcpy(e->prediction + (size_t)(at - e->first) * (size_t)d->outputs, y,
           (size_t)rows * (size_t)d->outputs * sizeof *y);
  if (d->heads && d->head_data) count_head_rows(e, rows, y);
  if (!e->loss) return THAW_OK;
  thaw_labels_gather(e->loss, d->data, d->labels, e->sample, rows, d->outputs, e->label);
  thaw_labels_standardize(d->target, rows, d->outputs, e->label);
  const float *logits = thaw_live_logits(d->live);
  bool from_logits = logits && e->loss->fused == thaw_live_activation(d->live);
  e->loss->evaluate(d->loss->config, e->label, y, logits, from_logits, rows, d->outputs, 1, e->value, NULL);
  for (int32_t r = 0; r < rows; r++) count_row(e, e->sample[r], y + (size_t)r * (size_t)d->outputs, e->value[r]);
  return THAW_OK;
}

/* [local] All of this rank's samples; the chunk after the present one is announced so that its pixels are read ahead.
 */
static thaw_status evaluate_share(evaluator *e, thaw_log *log) {
  int64_t end = e->first + e->count;
  int32_t view = -1, rows = plan_chunk(e, e->first, e->sample), next = 0;
  if (rows > 0) THAW_TRY(thaw_features_expect(e->desc->features, e->sample, rows, view));
  for (int64_t at = e->first; at < end; at += rows, rows = next) {
    next = plan_chunk(e, at + rows, e->sample);
    if (next > 0) THAW_TRY(thaw_features_expect(e->desc->features, e->sample, next, view));
    plan_chunk(e, at, e->sample);
    THAW_TRY(evaluate_chunk(e, at, rows));
    /* Rank 0 draws for everybody: the ranks' shares are equal. */
    thaw_progress_update(log, (at + rows - e->first) * e->desc->data->count / (e->count ? e->count : 1), NULL);
  }
  return THAW_OK;
}

static thaw_status gather_predictions(evaluator *e, thaw_comm *comm, thaw_evaluation *out) {
  char *all = NULL;
  size_t *sizes = NULL;
  THAW_TRY(
      thaw_comm_gather(comm, e->prediction, (size_t)e->count * (size_t)e->desc->outputs * sizeof(float), &all, &sizes));
  thaw_free(sizes);
  out->prediction = (float *)(void *)all;
  return THAW_OK;
}

/* [local] The loss of all batches of all predictions, weighted by their sizes. */
static thaw_status loss_of_batches(const evaluator *e, const float *prediction, double *loss_out) {
  const thaw_evaluate_desc *d = e->desc;
  int64_t count = d->data->count;
  int32_t most = (int32_t)(count < d->batch ? count : d->batch);
  size_t width = (size_t)d->outputs, rows = (size_t)most;
  uint64_t *order = thaw_new((size_t)count, sizeof *order);
  float *y = thaw_new(rows * width, sizeof *y), *label = thaw_new(rows, sizeof *label);
  double *value = thaw_new(rows, sizeof *value), sum = 0;
  double *scratch = thaw_new(e->together->scratch_doubles(most, d->outputs), sizeof *scratch);
  thaw_status status = order && y && label && value && scratch ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && d->samples_per_class)
    status = thaw_class_order(d->labels, count, d->samples_per_class, d->seed, 0, order);
  for (int64_t i = 0; status == THAW_OK && !d->samples_per_class && i < count; i++)
    order[i] = thaw_permute(d->seed, 0, (uint64_t)count, (uint64_t)i);
  for (int64_t at = 0; status == THAW_OK && at < count; at += most) {
    int32_t n = (int32_t)(count - at < most ? count - at : most);
    for (int32_t i = 0; i < n; i++) {
      uint64_t sample = order[at + i];
      memcpy(y + (size_t)i * width, prediction + (size_t)sample * width, width * sizeof *y);
      label[i] = thaw_label(d->labels, sample, 0);
    }
    e->together->evaluate_batch(d->loss->config, label, y, n, d->outputs, scratch, value, NULL);
    for (int32_t i = 0; i < n; i++) sum += value[i];
  }
  *loss_out = sum / (double)(count > 0 ? count : 1);
  thaw_free(order);
  thaw_free(y);
  thaw_free(label);
  thaw_free(value);
  thaw_free(scratch);
  return status;
}

/* [collective] Rank 0 has all embeddings and finds the loss for everybody. */
static thaw_status combine_together(evaluator *e, thaw_comm *comm, thaw_evaluation *out) {
  THAW_TRY(gather_predictions(e, comm, out));
  THAW_TRY(thaw_agree(comm, out->prediction ? loss_of_batches(e, out->prediction, &out->loss) : THAW_OK));
  THAW_TRY(thaw_comm_broadcast(comm, 0, &out->loss, sizeof out->loss));
  if (e->desc->keep_predictions) return THAW_OK;
  thaw_free(out->prediction);
  out->prediction = NULL;
  return THAW_OK;
}

/* [collective] Sums over ranks, means, predictions. */
static thaw_status combine(evaluator *e, thaw_comm *comm, thaw_evaluation *out) {
  const thaw_evaluate_desc *d = e->desc;
  if (e->together) return combine_together(e, comm, out);
  if (d->heads ? d->head_data != NULL : d->labels != NULL) {
    int64_t refused = e->refused;
    THAW_TRY(thaw_wide_reduce(comm, e->sum, (size_t)(1 + d->metrics), &refused));
    double count = (double)(d->data->count > 0 ? d->data->count : 1);
    out->loss = refused ? NAN : thaw_wide_value(&e->sum[0]) / count;
    int64_t known = d->heads ? 0 : thaw_labels_known(d->data, d->labels);
    for (int32_t m = 0; m < d->metrics; m++) {
      if (d->heads) known = thaw_heads_metric_count(&d->metric[m], d->head_data);
      out->metric[m] = thaw_wide_value(&e->sum[1 + m]) / (double)known;
    }
    if (out->confusion) THAW_TRY(thaw_comm_sum_int(comm, out->confusion, (size_t)out->classes * (size_t)out->classes));
  }
  return d->keep_predictions ? gather_predictions(e, comm, out) : THAW_OK;
}

thaw_status thaw_evaluate(thaw_comm *comm, const thaw_evaluate_desc *desc, thaw_log *log, thaw_evaluation *out) {
  *out = (thaw_evaluation){.count = desc->data->count, .metrics = desc->metrics};
  evaluator e = {0};
  size_t floats = thaw_features_floats(desc->features);
  thaw_status status = evaluator_create(&e, desc, floats, comm);
  bool classes = e.loss && desc->data->label_kind == THAW_LABEL_CLASS && desc->outputs <= MAX_CONFUSION_CLASSES;
  if (status == THAW_OK && classes) {
    out->classes = desc->outputs == 1 ? 2 : desc->outputs;
    out->confusion = e.confusion = thaw_new((size_t)out->classes * (size_t)out->classes, sizeof *out->confusion);
    if (!out->confusion) status = THAW_ERR_MEMORY;
  }
  if (desc->title) thaw_progress_begin(log, desc->title, "samples", desc->data->count);
  if (status == THAW_OK) status = evaluate_share(&e, desc->title ? log : NULL);
  if (desc->title) thaw_progress_end(log, NULL);
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = combine(&e, comm, out);
  evaluator_clear(&e);
  if (status != THAW_OK) thaw_evaluation_clear(out);
  return status;
}

void thaw_evaluation_clear(thaw_evaluation *evaluation) {
  thaw_free(evaluation->confusion);
  thaw_free(evaluation->prediction);
  *evaluation = (thaw_evaluation){0};
}
