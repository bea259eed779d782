/* Twenty steps of three heads with loss weights through the trainer's own step, against Keras' train_on_batch of a
 * model with three outputs (tests/golden/heads.h5): losses and metrics of each head, the final parameters and the final
 * predictions, on any number of ranks; with samples that lack the labels of a head, too. */
#include "thaw_mpi_test.h"

#include "thaw/h5.h"
#include "thaw/memory.h"
#include "train/train_private.h"

enum { SAMPLES = 40, FEATURES = 16, STEPS = 20, BATCH = 12, PER_EPOCH = 4, SLICE = 4, COLUMNS = 5, OUTPUTS = 8 };
enum { NUMBERS = 6 }; /* loss, diagnosis_loss, age_loss, findings_loss, diagnosis_accuracy, age_mae */
#define GOLDEN   THAW_TEST_DATA "/../golden/heads.h5"
#define TRAINING THAW_TEST_DATA "/../golden/training.h5"

static const char job_text[] =
    "name: test\nbackbone: {architecture: vgg16}\n"
    "head: [{layer: dense, name: hidden, units: 8, activation: relu}]\n"
    "heads:\n"
    "  - {name: diagnosis, layers: [{layer: dense, units: 4, activation: softmax}], loss: categorical_crossentropy}\n"
    "  - name: age\n"
    "    layers: [{layer: dense, name: age_hidden, units: 4, activation: tanh}, {layer: dense, name: age, units: 1}]\n"
    "    loss: mse\n"
    "    weight: %g\n"
    "  - name: findings\n"
    "    labels: [edema, effusion, mass]\n"
    "    layers: [{layer: dense, units: 3, activation: sigmoid}]\n"
    "    loss: binary_crossentropy\n"
    "    metrics: []\n"
    "    weight: 0.5\n"
    "data: {train: none}\n"
    "training: {batch_size: 12, slice: 4, phases: [{epochs: 5, optimizer: {name: adam, learning_rate: 0.01}}]}\n";

/* A session without backbone, catalogue and cache: the features are the golden file's. */
typedef struct fixture {
  thaw_h5 *golden, *training;
  thaw_job *job;
  thaw_session session;
  thaw_dataset_info info;
  thaw_head_data data[3];
  float x[SAMPLES * FEATURES], labels[SAMPLES * COLUMNS];
  thaw_labels label;
  train_state state;
  train_step step;
} fixture;

typedef struct distance {
  double number, parameter, output;
} distance;

static thaw_status make_job(fixture *f, double weight) {
  char *text = thaw_format(job_text, weight);
  if (!text) return THAW_ERR_MEMORY;
  thaw_job_schemas schemas = {thaw_layer_head_schemas(), thaw_loss_schemas(), thaw_optim_schemas(),
                              thaw_schedule_schemas()};
  thaw_status status = thaw_job_parse("job.yaml", text, strlen(text), &schemas, &f->job);
  thaw_free(text);
  return status;
}

static thaw_status make_network(fixture *f) {
  thaw_session *s = &f->session;
  const thaw_choice *hidden = &f->job->head[0];
  int32_t last = 0;
  THAW_TRY(thaw_graph_create((thaw_shape){1, 1, 1, FEATURES}, &s->graph));
  THAW_TRY(thaw_graph_add(s->graph, hidden->schema->name, hidden->config, hidden->label, &last, 1, &last));
  THAW_TRY(train_heads_build(s, last));
  THAW_TRY(train_heads_losses(s));
  thaw_graph_mark_head(s->graph, 1);
  THAW_TRY(thaw_graph_bind(s->graph));
  THAW_TRY(thaw_graph_unfreeze(s->graph, NULL, 0, false));
  THAW_TRY(thaw_graph_cut(s->graph, &s->cut));
  s->max_samples = 16;
  return thaw_live_create(s->graph, &s->cut, s->isa, s->max_samples, SLICE, &s->live);
}

static thaw_status make_labels(fixture *f, const char *name) {
  static const char *const columns[] = {"class:4 diagnosis", "label edema", "label effusion", "label mass",
                                        "target age"};
  static const char *const classes[] = {"a", "b", "c", "d"};
  char path[64];
  snprintf(path, sizeof path, "/%s/labels", name);
  THAW_TRY(thaw_h5_read(f->golden, path, THAW_H5_F32, SAMPLES * COLUMNS, f->labels));
  f->info = (thaw_dataset_info){.count = SAMPLES, .label_kind = THAW_LABEL_MIXED, .label_width = COLUMNS};
  for (int i = 0; i < COLUMNS; i++) THAW_TRY(thaw_strings_add(&f->info.columns, columns[i]));
  for (int i = 0; i < 4; i++) THAW_TRY(thaw_strings_add(&f->info.classes, classes[i]));
  f->label = (thaw_labels){f->labels, COLUMNS, 4};
  for (int h = 0; h < 3; h++) {
    THAW_TRY(thaw_head_data_open(&f->session.head[h], &f->info, "labels", &f->data[h]));
    THAW_TRY(thaw_head_data_read(&f->session.head[h], &f->label, SAMPLES, "labels", &f->data[h]));
  }
  f->session.train = (thaw_session_data){.info = &f->info, .labels = &f->label, .head = f->data};
  return THAW_OK;
}

/* Copies the golden parameters in, or compares with them; returns the largest difference in *worst. */
static thaw_status parameters(fixture *f, const char *name, const char *when, double *worst) {
  for (int32_t n = 1; n < thaw_graph_count(f->session.graph); n++) {
    thaw_layer *layer = &thaw_graph_node(f->session.graph, n)->layer;
    for (int32_t p = 0; p < layer->params; p++) {
      float value[FEATURES * 8];
      size_t count = thaw_param_count(&layer->param[p]);
      char path[128];
      snprintf(path, sizeof path, "/%s/%s/%s/%s", name, when, layer->name, layer->param[p].name);
      THAW_TRY(thaw_h5_read(f->golden, path, THAW_H5_F32, (int64_t)count, value));
      if (worst)
        *worst = fmax(*worst, thaw_test_max_difference(layer->param[p].value, value, count));
      else
        memcpy(layer->param[p].value, value, count * sizeof *value);
    }
  }
  return THAW_OK;
}

static thaw_status make(fixture *f, const char *name, double weight) {
  THAW_TRY(thaw_h5_open(GOLDEN, &f->golden));
  THAW_TRY(thaw_h5_open(TRAINING, &f->training));
  THAW_TRY(make_job(f, weight));
  f->session.job = f->job;
  THAW_TRY(thaw_isa_select(NULL, &f->session.isa));
  THAW_TRY(make_network(f));
  THAW_TRY(thaw_h5_read(f->training, "/data/x", THAW_H5_F32, SAMPLES * FEATURES, f->x));
  THAW_TRY(make_labels(f, name));
  THAW_TRY(parameters(f, name, "start", NULL));
  const thaw_choice *optimizer = &f->job->training.phases[0].optimizer;
  THAW_TRY(train_state_add_live(&f->state, f->session.graph));
  THAW_TRY(train_state_fit_slots(&f->state, optimizer));
  f->state.rate = thaw_optim_learning_rate(optimizer->config);
  THAW_TRY(train_step_create(&f->step, &f->session, test_comm, &f->state));
  f->step.epoch = (thaw_epoch){.samples = SAMPLES, .batch = BATCH, .slice = SLICE};
  return THAW_OK;
}

static void clear(fixture *f) {
  train_step_clear(&f->step);
  train_state_clear(&f->state);
  for (int h = 0; h < 3; h++) thaw_head_data_clear(&f->data[h]);
  thaw_live_destroy(f->session.live);
  thaw_cut_clear(&f->session.cut);
  thaw_graph_destroy(f->session.graph);
  thaw_free(f->session.head);
  thaw_job_destroy(f->job);
  thaw_strings_clear(&f->info.classes);
  thaw_strings_clear(&f->info.columns);
  if (f->golden) thaw_h5_close(f->golden);
  if (f->training) thaw_h5_close(f->training);
}

/* Means over the batch's samples, of metrics over those that have the labels. */
static thaw_status take_step(fixture *f, int64_t index, double *number) {
  thaw_step_share *share = &f->step.share[index % 2];
  int64_t flags[THAW_EXACT_FLAGS] = {0}, failed = 0;
  thaw_step_share_plan(&f->step.epoch, index, thaw_comm_rank(test_comm), thaw_comm_size(test_comm), share);
  for (int32_t i = 0; i < share->samples; i++)
    memcpy(f->step.features + (size_t)i * FEATURES, f->x + share->sample[i] * FEATURES, FEATURES * sizeof(float));
  memset(f->state.sum, 0, sizeof f->state.sum);
  THAW_TRY(train_step_apply(&f->step, &f->state, &f->job->training.phases[0].optimizer, index, THAW_OK, flags));
  THAW_TRY(thaw_wide_reduce(test_comm, f->state.sum, NUMBERS, &failed));
  for (int i = 0; i < NUMBERS; i++) {
    int64_t known = share->batch;
    for (int64_t k = 0; i >= 4 && k < share->batch; k++)
      known -= !thaw_head_knows(&f->data[i - 4], (uint64_t)(index * BATCH + k));
    number[i] = thaw_wide_value(&f->state.sum[i]) / (double)known;
  }
  return THAW_OK;
}

static thaw_status predict(fixture *f, float *out) {
  int32_t start[2] = {0, SLICE};
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
    memcpy(out + row * OUTPUTS, y, (size_t)(SLICE * OUTPUTS) * sizeof *y);
  }
  return THAW_OK;
}

static thaw_status follow(fixture *f, const char *name, double weight, distance *out) {
  float want[STEPS * NUMBERS], y[SAMPLES * OUTPUTS], output[SAMPLES * OUTPUTS];
  char path[64];
  THAW_TRY(make(f, name, weight));
  snprintf(path, sizeof path, "/%s/numbers", name);
  THAW_TRY(thaw_h5_read(f->golden, path, THAW_H5_F32, STEPS * NUMBERS, want));
  for (int64_t step = 0; step < STEPS; step++) {
    double mine[NUMBERS];
    f->state.epoch = step / PER_EPOCH;
    THAW_TRY(take_step(f, step % PER_EPOCH, mine));
    for (int i = 0; i < NUMBERS; i++) {
      double keras = want[step * NUMBERS + i];
      out->number = fmax(out->number, fabs(mine[i] - keras) / fmax(1e-2, fabs(keras)));
    }
  }
  THAW_TRY(parameters(f, name, "end", &out->parameter));
  snprintf(path, sizeof path, "/%s/output", name);
  THAW_TRY(thaw_h5_read(f->golden, path, THAW_H5_F32, SAMPLES * OUTPUTS, output));
  THAW_TRY(predict(f, y));
  out->output = thaw_test_max_difference(y, output, SAMPLES * OUTPUTS);
  return THAW_OK;
}

static bool is_followed(const char *name, double weight, double tolerance) {
  fixture *f = thaw_new(1, sizeof *f);
  distance d = {0};
  thaw_status status = follow(f, name, weight, &d);
  bool close = status == THAW_OK && d.number < tolerance && d.parameter < 2 * tolerance && d.output < 2 * tolerance;
  if (status != THAW_OK || !close)
    fprintf(stderr, "%s, weight %g: %s, numbers %.2g, parameters %.2g, output %.2g\n", name, weight,
            status == THAW_OK ? "far" : thaw_message(), d.number, d.parameter, d.output);
  clear(f);
  thaw_free(f);
  return close;
}

static void keras_is_followed(void **state) {
  (void)state;
  assert_all_ranks(is_followed("all", 0.1, 1e-5));
}

static void missing_labels_are_ignored(void **state) {
  (void)state;
  assert_all_ranks(is_followed("missing", 0.1, 1e-5));
}

/* Without this the tests above could not be trusted to fail. */
static void another_weight_is_noticed(void **state) {
  (void)state;
  assert_all_ranks(!is_followed("all", 0.101, 1e-5));
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(keras_is_followed), cmocka_unit_test(missing_labels_are_ignored),
                                     cmocka_unit_test(another_weight_is_noticed)};
  thaw_mpi_main(tests, argc, argv);
}
