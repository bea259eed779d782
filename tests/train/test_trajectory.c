/* Twenty steps of small heads through the trainer's own step, against Keras (tests/golden/training.h5): every loss, the
 * final parameters and the final predictions, on any number of ranks. */
#include "thaw_mpi_test.h"

#include "thaw/h5.h"
#include "thaw/memory.h"
#include "train/train_private.h"

enum { SAMPLES = 40, FEATURES = 16, STEPS = 20, BATCH = 12, PER_EPOCH = 4, SLICE = 4 };
#define GOLDEN THAW_TEST_DATA "/../golden/training.h5"
#define TUNING THAW_TEST_DATA "/../golden/tuning.h5"
#define MULTI  THAW_TEST_DATA "/../golden/multi_label.h5"
#define LABELS "  - {layer: dense, name: output, units: 3, activation: sigmoid}\n"
#define HEAD   "  - {layer: dense, name: hidden, units: 8, activation: relu}\n"
#define OUTPUT "  - {layer: dense, name: output, units: 4, activation: softmax}\n"

typedef struct trajectory {
  const char *name, *head, *loss, *optimizer, *labels;
  thaw_label_kind kind;
  int32_t width;
  const char *more; /* keys of the training section */
  const char *golden;
} trajectory;

static const trajectory cases[] = {
    {"sgd", HEAD OUTPUT, "categorical_crossentropy", "{name: sgd, learning_rate: 0.1}", "index", THAW_LABEL_CLASS, 1,
     NULL, NULL},
    {"sgd_momentum", HEAD OUTPUT, "categorical_crossentropy", "{name: sgd, learning_rate: 0.05, momentum: 0.9}",
     "index", THAW_LABEL_CLASS, 1, NULL, NULL},
    {"sgd_nesterov", HEAD OUTPUT, "categorical_crossentropy",
     "{name: sgd, learning_rate: 0.05, momentum: 0.9, nesterov: true}", "index", THAW_LABEL_CLASS, 1, NULL, NULL},
    {"adam", HEAD OUTPUT, "categorical_crossentropy", "{name: adam, learning_rate: 0.01}", "index", THAW_LABEL_CLASS, 1,
     NULL, NULL},
    {"adamw", HEAD OUTPUT, "categorical_crossentropy", "{name: adamw, learning_rate: 0.01, weight_decay: 0.05}",
     "index", THAW_LABEL_CLASS, 1, NULL, NULL},
    {"rmsprop", HEAD OUTPUT, "categorical_crossentropy", "{name: rmsprop, learning_rate: 0.01}", "index",
     THAW_LABEL_CLASS, 1, NULL, NULL},
    {"sparse", HEAD OUTPUT, "sparse_categorical_crossentropy", "{name: adam, learning_rate: 0.01}", "index",
     THAW_LABEL_CLASS, 1, NULL, NULL},
    {"label_smoothing", HEAD OUTPUT, "{name: categorical_crossentropy, label_smoothing: 0.1}",
     "{name: adam, learning_rate: 0.01}", "index", THAW_LABEL_CLASS, 1, NULL, NULL},
    {"regularized",
     "  - {layer: dense, name: hidden, units: 8, activation: relu, kernel_l1: 0.001, kernel_l2: 0.01, bias_l2: "
     "0.01}\n" OUTPUT,
     "categorical_crossentropy", "{name: adam, learning_rate: 0.01}", "index", THAW_LABEL_CLASS, 1, NULL, NULL},
    {"batch_normalization", "  - {layer: batch_normalization, name: normalization, momentum: 0.9}\n" HEAD OUTPUT,
     "categorical_crossentropy", "{name: adam, learning_rate: 0.01}", "index", THAW_LABEL_CLASS, 1, NULL, NULL},
    {"binary", HEAD "  - {layer: dense, name: output, units: 3, activation: sigmoid}\n", "binary_crossentropy",
     "{name: adam, learning_rate: 0.01}", "multi", THAW_LABEL_MULTI, 3, NULL, NULL},
    {"regression",
     "  - {layer: dense, name: hidden, units: 8, activation: tanh}\n  - {layer: dense, name: output, units: 2}\n",
     "mean_squared_error", "{name: adam, learning_rate: 0.01}", "target", THAW_LABEL_TARGET, 2, NULL, NULL},
    {"regression_huber",
     "  - {layer: dense, name: hidden, units: 8, activation: tanh}\n  - {layer: dense, name: output, units: 2}\n",
     "huber", "{name: adam, learning_rate: 0.01}", "target", THAW_LABEL_TARGET, 2, NULL, NULL},
    {"regression_absolute",
     "  - {layer: dense, name: hidden, units: 8, activation: tanh}\n  - {layer: dense, name: output, units: 2}\n",
     "mean_absolute_error", "{name: adam, learning_rate: 0.01}", "target", THAW_LABEL_TARGET, 2, NULL, NULL},
    {"class_weight", HEAD OUTPUT, "categorical_crossentropy", "{name: adam, learning_rate: 0.01}", "index",
     THAW_LABEL_CLASS, 1, "class_weights: {a: 0.5, c: 2, d: 4}", NULL},
    {"average", HEAD OUTPUT, "categorical_crossentropy", "{name: adam, learning_rate: 0.01}", "index", THAW_LABEL_CLASS,
     1, "ema_momentum: 0.9", TUNING},
    {"clipnorm", HEAD OUTPUT, "categorical_crossentropy",
     "{name: sgd, learning_rate: 0.1, momentum: 0.9, clipnorm: 0.05}", "index", THAW_LABEL_CLASS, 1, "", TUNING},
    {"global_clipnorm", HEAD OUTPUT, "categorical_crossentropy",
     "{name: sgd, learning_rate: 0.1, momentum: 0.9, global_clipnorm: 0.1}", "index", THAW_LABEL_CLASS, 1, "", TUNING},
    {"everything", HEAD OUTPUT, "categorical_crossentropy",
     "{name: adamw, learning_rate: 0.02, weight_decay: 0.05, clipvalue: 0.02}", "index", THAW_LABEL_CLASS, 1,
     "ema_momentum: 0.8\n  schedule: {name: cosine_decay, alpha: 0.1, warmup_epochs: 1}", TUNING},
    {"unknown_ignored", HEAD LABELS, "binary_crossentropy", "{name: adam, learning_rate: 0.01}", "multi_unknown",
     THAW_LABEL_MULTI, 3, NULL, MULTI},
    {"unknown_zeros", HEAD LABELS, "binary_crossentropy", "{name: adam, learning_rate: 0.01}", "multi_unknown",
     THAW_LABEL_MULTI, 3, "unknown_labels: zeros", MULTI},
    {"unknown_ones", HEAD LABELS, "binary_crossentropy", "{name: adam, learning_rate: 0.01}", "multi_unknown",
     THAW_LABEL_MULTI, 3, "unknown_labels: ones", MULTI},
    {"label_weights", HEAD LABELS, "binary_crossentropy", "{name: adam, learning_rate: 0.01}", "multi_unknown",
     THAW_LABEL_MULTI, 3, "class_weights: {a: 3, b: 0.5}", MULTI},
    {"label_weights_balanced", HEAD LABELS, "binary_crossentropy", "{name: adam, learning_rate: 0.01}", "multi_unknown",
     THAW_LABEL_MULTI, 3, "class_weights: balanced", MULTI},
    {"focal_binary", HEAD LABELS,
     "{name: binary_focal_crossentropy, apply_class_balancing: true, alpha: 0.3, gamma: 1.5}",
     "{name: adam, learning_rate: 0.01}", "multi", THAW_LABEL_MULTI, 3, NULL, MULTI},
    {"focal_categorical", HEAD OUTPUT, "categorical_focal_crossentropy", "{name: adam, learning_rate: 0.01}", "index",
     THAW_LABEL_CLASS, 1, NULL, MULTI},
};

/* A session without backbone, catalogue and cache: the features are the golden file's. */
typedef struct fixture {
  thaw_h5 *golden, *tuning; /* data of all cases; what the case expects */
  thaw_job *job;
  thaw_session session;
  thaw_dataset_info info;
  float x[SAMPLES * FEATURES], labels[SAMPLES * 4];
  thaw_labels label;
  train_state state;
  train_step step;
} fixture;

static thaw_status make_job(fixture *f, const trajectory *c) {
  char *text = thaw_format("name: test\nbackbone: {architecture: vgg16}\nhead:\n%sdata: {train: none}\ntraining:\n"
                           "  loss: %s\n  batch_size: %d\n  slice: %d\n  metrics: []\n  %s\n"
                           "  phases: [{epochs: 5, optimizer: %s}]\n",
                           c->head, c->loss, BATCH, SLICE, c->more ? c->more : "", c->optimizer);
  if (!text) return THAW_ERR_MEMORY;
  thaw_job_schemas schemas = {thaw_layer_head_schemas(), thaw_loss_schemas(), thaw_optim_schemas(),
                              thaw_schedule_schemas()};
  thaw_status status = thaw_job_parse("job.yaml", text, strlen(text), &schemas, &f->job);
  thaw_free(text);
  return status;
}

static thaw_status make_network(fixture *f) {
  thaw_session *s = &f->session;
  int32_t last = 0;
  THAW_TRY(thaw_graph_create((thaw_shape){1, 1, 1, FEATURES}, &s->graph));
  for (int32_t i = 0; i < f->job->head_count; i++)
    THAW_TRY(thaw_graph_add(s->graph, f->job->head[i].schema->name, f->job->head[i].config, f->job->head[i].label,
                            &last, 1, &last));
  thaw_graph_mark_head(s->graph, 1);
  THAW_TRY(thaw_graph_bind(s->graph));
  THAW_TRY(thaw_graph_unfreeze(s->graph, NULL, 0, false));
  THAW_TRY(thaw_graph_cut(s->graph, &s->cut));
  s->outputs = thaw_graph_view(s->graph, last)->layer.output.c;
  s->max_samples = 16;
  return thaw_live_create(s->graph, &s->cut, s->isa, s->max_samples, SLICE, &s->live);
}

static thaw_status golden_floats(fixture *f, const char *object, int64_t count, float *out) {
  bool own = f->tuning && thaw_h5_exists(f->tuning, object);
  return thaw_h5_read(own ? f->tuning : f->golden, object, THAW_H5_F32, count, out);
}

/* Copies the golden parameters in, or compares with them; returns the largest difference in *worst. */
static thaw_status parameters(fixture *f, const trajectory *c, const char *when, bool compare, double *worst) {
  for (int32_t n = 1; n < thaw_graph_count(f->session.graph); n++) {
    thaw_layer *layer = &thaw_graph_node(f->session.graph, n)->layer;
    for (int32_t p = 0; p < layer->params; p++) {
      float value[FEATURES * 8];
      size_t count = thaw_param_count(&layer->param[p]);
      char path[128];
      snprintf(path, sizeof path, "/%s/%s/%s/%s", c->name, when, layer->name, layer->param[p].name);
      THAW_TRY(golden_floats(f, path, (int64_t)count, value));
      if (compare)
        *worst = fmax(*worst, thaw_test_max_difference(layer->param[p].value, value, count));
      else
        memcpy(layer->param[p].value, value, count * sizeof *value);
    }
  }
  return THAW_OK;
}

static thaw_status make(fixture *f, const trajectory *c) {
  char path[64];
  THAW_TRY(thaw_h5_open(GOLDEN, &f->golden));
  if (c->golden) THAW_TRY(thaw_h5_open(c->golden, &f->tuning));
  THAW_TRY(make_job(f, c));
  f->session.job = f->job;
  f->session.loss = thaw_loss_find(f->job->training.loss.schema->name);
  THAW_TRY(thaw_isa_select(NULL, &f->session.isa));
  THAW_TRY(make_network(f));
  THAW_TRY(golden_floats(f, "/data/x", SAMPLES * FEATURES, f->x));
  snprintf(path, sizeof path, "/data/%s", c->labels);
  THAW_TRY(golden_floats(f, path, (int64_t)SAMPLES * c->width, f->labels));
  f->info = (thaw_dataset_info){.count = SAMPLES, .label_kind = c->kind, .label_width = c->width};
  static const char *const names[] = {"a", "b", "c", "d"};
  for (int i = 0; i < 4; i++) THAW_TRY(thaw_strings_add(&f->info.classes, names[i]));
  f->label = (thaw_labels){f->labels, c->width, 4};
  f->session.train = (thaw_session_data){.info = &f->info, .labels = &f->label};
  THAW_TRY(parameters(f, c, "start", false, NULL));
  const thaw_choice *optimizer = &f->job->training.phases[0].optimizer;
  THAW_TRY(train_state_add_live(&f->state, f->session.graph));
  THAW_TRY(train_state_fit_slots(&f->state, optimizer));
  f->state.rate = thaw_optim_learning_rate(optimizer->config);
  if (f->job->training.ema_momentum > 0) THAW_TRY(train_averages_begin(&f->state));
  THAW_TRY(train_step_create(&f->step, &f->session, test_comm, &f->state));
  f->step.epoch = (thaw_epoch){.samples = SAMPLES, .batch = BATCH, .slice = SLICE};
  return THAW_OK;
}

static void clear(fixture *f) {
  train_step_clear(&f->step);
  train_state_clear(&f->state);
  thaw_live_destroy(f->session.live);
  thaw_cut_clear(&f->session.cut);
  thaw_graph_destroy(f->session.graph);
  thaw_job_destroy(f->job);
  thaw_strings_clear(&f->info.classes);
  thaw_h5_close(f->golden);
  if (f->tuning) thaw_h5_close(f->tuning);
}

/* One step; *loss_out: the batch's mean loss with regularisation. */
static thaw_status take_step(fixture *f, int64_t index, double *loss_out) {
  thaw_step_share *share = &f->step.share[index % 2];
  int64_t flags[THAW_EXACT_FLAGS] = {0}, failed = 0;
  thaw_step_share_plan(&f->step.epoch, index, thaw_comm_rank(test_comm), thaw_comm_size(test_comm), share);
  for (int32_t i = 0; i < share->samples; i++)
    memcpy(f->step.features + (size_t)i * FEATURES, f->x + share->sample[i] * FEATURES, FEATURES * sizeof(float));
  thaw_labels_gather(f->session.loss, &f->info, &f->label, share->sample, share->samples, f->session.outputs,
                     f->step.label);
  train_settle_unknown(&f->step, share->samples, f->step.label);
  memset(f->state.sum, 0, sizeof f->state.sum);
  THAW_TRY(train_step_apply(&f->step, &f->state, &f->job->training.phases[0].optimizer, index, THAW_OK, flags));
  THAW_TRY(thaw_wide_reduce(test_comm, f->state.sum, 1, &failed));
  *loss_out = thaw_wide_value(&f->state.sum[0]) / (double)share->batch;
  return THAW_OK;
}

static thaw_status predict(fixture *f, float *out) {
  int32_t outputs = f->session.outputs, start[2] = {0, SLICE};
  int64_t slice = 0;
  for (int32_t row = 0; row < SAMPLES; row += SLICE) {
    thaw_share share = {.features = f->x + row * FEATURES,
                        .samples = SLICE,
                        .slices = 1,
                        .slice_start = start,
                        .slice = &slice,
                        .batch = SLICE};
    const float *y;
    THAW_TRY(thaw_live_forward(f->session.live, &share, NULL, &y));
    memcpy(out + row * outputs, y, (size_t)(SLICE * outputs) * sizeof *y);
  }
  return THAW_OK;
}

/* Losses, parameters and predictions as far from Keras' as float32 lets them be. */
static thaw_status follow(fixture *f, const trajectory *c, double *worst_loss, double *worst_parameter,
                          double *worst_output) {
  float loss[STEPS], y[SAMPLES * 4], output[SAMPLES * 4];
  char path[64];
  THAW_TRY(make(f, c));
  snprintf(path, sizeof path, "/%s/loss", c->name);
  THAW_TRY(golden_floats(f, path, STEPS, loss));
  for (int64_t step = 0; step < STEPS; step++) {
    double mine;
    f->state.epoch = step / PER_EPOCH;
    THAW_TRY(take_step(f, step % PER_EPOCH, &mine));
    *worst_loss = fmax(*worst_loss, fabs(mine - loss[step]) / fmax(1e-2, fabs((double)loss[step])));
  }
  train_averages_adopt(&f->state, false);
  THAW_TRY(parameters(f, c, "end", true, worst_parameter));
  snprintf(path, sizeof path, "/%s/output", c->name);
  THAW_TRY(golden_floats(f, path, (int64_t)SAMPLES * f->session.outputs, output));
  THAW_TRY(predict(f, y));
  *worst_output = thaw_test_max_difference(y, output, (size_t)(SAMPLES * f->session.outputs));
  return THAW_OK;
}

static void keras_is_followed(void **state) {
  (void)state;
  bool ok = true;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fixture *f = thaw_new(1, sizeof *f);
    double loss = 0, parameter = 0, output = 0;
    thaw_status status = follow(f, &cases[i], &loss, &parameter, &output);
    bool close = status == THAW_OK && loss < 1e-5 && parameter < 2e-5 && output < 2e-5;
    if (!close)
      fprintf(stderr, "%s: %s, loss %.2g, parameters %.2g, output %.2g\n", cases[i].name,
              status == THAW_OK ? "far" : thaw_message(), loss, parameter, output);
    ok &= close;
    clear(f);
    thaw_free(f);
  }
  assert_all_ranks(ok);
}

/* Without this the test above could not be trusted to fail. */
static void another_rate_is_noticed(void **state) {
  (void)state;
  trajectory wrong = cases[0];
  wrong.optimizer = "{name: sgd, learning_rate: 0.1001}";
  fixture *f = thaw_new(1, sizeof *f);
  double loss = 0, parameter = 0, output = 0;
  bool ok = follow(f, &wrong, &loss, &parameter, &output) == THAW_OK && loss > 1e-5 && parameter > 2e-5;
  clear(f);
  thaw_free(f);
  assert_all_ranks(ok);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(keras_is_followed), cmocka_unit_test(another_rate_is_noticed)};
  thaw_mpi_main(tests, argc, argv);
}
