/* keras_case.h: one training run of a golden file, repeated with the live executor: fixed order, one process. */
#ifndef KERAS_CASE_H
#define KERAS_CASE_H

#include "thaw_test.h"

#include "thaw/graph.h"
#include "thaw/h5.h"
#include "thaw/loss.h"
#include "thaw/memory.h"
#include "thaw/optim.h"

enum { KERAS_SLICE = 8, KERAS_STEPS = 20 };

typedef struct keras_option {
  const char *name;
  double value;
} keras_option;

typedef struct keras_case {
  const char *name, *optimizer, *loss;
  keras_option optimizer_option[3];
  keras_option loss_option;
} keras_case;

typedef struct keras_data {
  const float *features; /* [samples][floats] */
  const float *label;    /* [samples][width] */
  size_t floats, width;
  int32_t samples, batch, outputs;
} keras_data;

typedef struct keras_run {
  thaw_graph *graph;
  thaw_live *live;
  const thaw_optim_ops *optim;
  const thaw_loss_ops *loss;
  void *optim_config, *loss_config;
  thaw_arena *arena;
  int32_t tensors;
  double **gradient;   /* [tensors], summed over the slices of a step */
  float ***slot;       /* [tensors][slots] */
  int32_t part, parts; /* of an update: batches that are accumulated */
} keras_run;

static inline void keras_set_option(const thaw_schema *schema, void *config, const keras_option *option) {
  for (int32_t i = 0; option->name && i < schema->count; i++) {
    const thaw_field *field = &schema->fields[i];
    if (strcmp(field->name, option->name) != 0) continue;
    if (field->kind == THAW_FIELD_FLOAT)
      memcpy((char *)config + field->offset, &option->value, sizeof(double));
    else
      *((bool *)config + field->offset) = option->value != 0;
    return;
  }
  if (option->name) fail_msg("%s has no option %s", schema->name, option->name);
}

static inline float *keras_read(thaw_h5 *h5, const char *dataset, size_t count) {
  float *value = thaw_new(count, sizeof *value);
  assert_non_null(value);
  assert_thaw_ok(thaw_h5_read(h5, dataset, THAW_H5_F32, (int64_t)count, value));
  return value;
}

/* Dataset "/group/layer/weight" into a layer's parameter. */
static inline void keras_read_layer(thaw_h5 *h5, const char *group, thaw_layer *layer) {
  for (int32_t p = 0; p < layer->params; p++) {
    char *dataset = thaw_format("%s/%s/%s", group, layer->name, layer->param[p].name);
    assert_thaw_ok(
        thaw_h5_read(h5, dataset, THAW_H5_F32, (int64_t)thaw_param_count(&layer->param[p]), layer->param[p].value));
    thaw_free(dataset);
  }
}

static inline void keras_take_gradient(void *context, int32_t tensor, const float *value, int64_t slice) {
  (void)slice;
  keras_run *run = context;
  size_t count = thaw_param_count(thaw_live_tensor(run->live, tensor, NULL));
  for (size_t i = 0; i < count; i++) run->gradient[tensor][i] += (double)value[i];
}

/* The graph must have its values and its live layers marked. */
static inline keras_run keras_begin(thaw_graph *graph, const thaw_cut *cut, const keras_case *c, int32_t batch,
                                    int32_t parts) {
  keras_run run = {.graph = graph, .optim = thaw_optim_find(c->optimizer), .loss = thaw_loss_find(c->loss)};
  thaw_live_options options = {.max_samples = batch, .slice = KERAS_SLICE, .parts = parts};
  run.parts = parts;
  const thaw_isa *isa;
  assert_true(run.optim && run.loss);
  run.arena = thaw_arena_create();
  run.optim_config = thaw_schema_defaults(run.optim->schema, run.arena);
  run.loss_config = thaw_schema_defaults(run.loss->schema, run.arena);
  for (size_t i = 0; i < sizeof c->optimizer_option / sizeof c->optimizer_option[0]; i++)
    keras_set_option(run.optim->schema, run.optim_config, &c->optimizer_option[i]);
  keras_set_option(run.loss->schema, run.loss_config, &c->loss_option);
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_live_create_within(graph, cut, isa, &options, &run.live));
  run.tensors = thaw_live_tensors(run.live);
  run.gradient = thaw_arena_new(run.arena, (size_t)run.tensors, sizeof *run.gradient);
  run.slot = thaw_arena_new(run.arena, (size_t)run.tensors, sizeof *run.slot);
  for (int32_t t = 0; t < run.tensors; t++) {
    size_t count = thaw_param_count(thaw_live_tensor(run.live, t, NULL));
    run.gradient[t] = thaw_arena_new(run.arena, count, sizeof(double));
    run.slot[t] = thaw_arena_new(run.arena, THAW_MAX_SLOTS, sizeof(float *));
    for (int i = 0; i < THAW_MAX_SLOTS; i++) run.slot[t][i] = thaw_arena_new(run.arena, count, sizeof(float));
  }
  return run;
}

static inline void keras_end(keras_run *run) {
  thaw_live_destroy(run->live);
  thaw_arena_destroy(run->arena);
}

/* A share of `samples` rows from `first`, in slices of KERAS_SLICE. */
typedef struct keras_share {
  thaw_share share;
  int32_t slice_start[65];
  int64_t slice[64];
  uint64_t sample[512];
} keras_share;
static inline void keras_make_share(keras_share *s, const keras_data *data, int32_t first, int32_t samples,
                                    bool training) {
  s->share = (thaw_share){.features = data->features + (size_t)first * data->floats,
                          .sample = s->sample,
                          .samples = samples,
                          .slice_start = s->slice_start,
                          .slice = s->slice,
                          .batch = samples,
                          .training = training};
  for (int32_t i = 0; i < samples; i++) s->sample[i] = (uint64_t)(first + i);
  for (int32_t i = 0; i < samples; i += KERAS_SLICE) {
    s->slice[s->share.slices] = s->share.slices;
    s->slice_start[s->share.slices++] = i;
  }
  s->slice_start[s->share.slices] = samples;
}

/* l1 |w| + l2 w^2 of a parameter; adds its gradient. */
static inline double keras_regularize(const thaw_param *param, double *gradient) {
  double sum = 0;
  for (size_t i = 0; i < thaw_param_count(param); i++) {
    double w = (double)param->value[i];
    sum += param->l1 * fabs(w) + param->l2 * w * w;
    gradient[i] += param->l1 * (w > 0 ? 1 : w < 0 ? -1 : 0) + 2 * param->l2 * w;
  }
  return sum;
}

/* Forward and backward of rows first .. first + samples - 1, part run->part of an update; the batch's loss, gradients
 * in run->gradient. */
static inline double keras_gradients(keras_run *run, const keras_data *data, int32_t first, int32_t samples) {
  keras_share s;
  const float *y;
  double loss = 0, value[512];
  float dy[512 * 16];
  thaw_live_hooks hooks = {.context = run, .gradient = keras_take_gradient};
  assert_true(samples * data->outputs <= 512 * 16);
  keras_make_share(&s, data, first, samples, true);
  s.share.part = run->part;
  for (int32_t t = 0; t < run->tensors && run->part == 0; t++)
    memset(run->gradient[t], 0, thaw_param_count(thaw_live_tensor(run->live, t, NULL)) * sizeof(double));
  assert_thaw_ok(thaw_live_forward(run->live, &s.share, &hooks, &y));
  const float *logits = thaw_live_logits(run->live);
  bool from_logits = logits && run->loss->fused == thaw_live_activation(run->live);
  run->loss->evaluate(run->loss_config, data->label + (size_t)first * data->width, y, logits, from_logits, samples,
                      data->outputs, 1.0 / samples / run->parts, value, dy);
  assert_thaw_ok(thaw_live_backward(run->live, &s.share, &hooks, dy, from_logits));
  for (int32_t i = 0; i < samples; i++) loss += value[i] / samples;
  for (int32_t t = 0; t < run->tensors; t++)
    loss += keras_regularize(thaw_live_tensor(run->live, t, NULL), run->gradient[t]);
  return loss;
}

static inline void keras_update(keras_run *run, int64_t step) {
  double rate = thaw_optim_learning_rate(run->optim_config);
  for (int32_t t = 0; t < run->tensors; t++) {
    thaw_param *param = thaw_live_tensor(run->live, t, NULL);
    size_t count = thaw_param_count(param);
    float *gradient = thaw_new(count, sizeof *gradient);
    for (size_t i = 0; i < count; i++) gradient[i] = (float)run->gradient[t][i];
    run->optim->update(run->optim_config, rate, step, param->value, gradient, run->slot[t], count);
    thaw_free(gradient);
  }
  thaw_live_update_statistics(run->live);
}

/* KERAS_STEPS steps over batches in order, again and again; the largest relative difference from `expected`. */
static inline double keras_train(keras_run *run, const keras_data *data, const float *expected) {
  double worst = 0;
  int32_t batches = (data->samples + data->batch - 1) / data->batch;
  for (int32_t step = 0; step < KERAS_STEPS; step++) {
    double loss = 0;
    for (run->part = 0; run->part < run->parts; run->part++) {
      int32_t first = (step * run->parts + run->part) % batches * data->batch, left = data->samples - first;
      loss += keras_gradients(run, data, first, left < data->batch ? left : data->batch) / run->parts;
    }
    run->part = 0;
    double difference = fabs(loss - (double)expected[step]) / fabs((double)expected[step]);
    if (!(difference <= worst)) worst = difference;
    keras_update(run, step + 1);
  }
  return worst;
}

/* Largest difference of the predictions for all samples in inference mode. */
static inline double keras_prediction_error(keras_run *run, const keras_data *data, const float *expected) {
  double worst = 0;
  for (int32_t first = 0; first < data->samples; first += data->batch) {
    keras_share s;
    const float *y;
    int32_t left = data->samples - first, n = left < data->batch ? left : data->batch;
    keras_make_share(&s, data, first, n, false);
    assert_thaw_ok(thaw_live_forward(run->live, &s.share, NULL, &y));
    size_t outputs = (size_t)data->outputs;
    worst = fmax(worst, thaw_test_max_difference(y, expected + (size_t)first * outputs, (size_t)n * outputs));
  }
  return worst;
}

#endif
