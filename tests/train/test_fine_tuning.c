/* Twenty steps with the top of a real backbone thawed, through session, features and step as a run takes them, against
 * Keras (tests/golden/thawing_*.h5): every loss and the final predictions. Needs the weight files. */
#include "thaw_mpi_test.h"

#include "thaw/h5.h"
#include "thaw/memory.h"
#include "train/train_private.h"

#include <stdlib.h>
#include <unistd.h>

enum { SAMPLES = 24, STEPS = 20, BATCH = 8, PER_EPOCH = 3, CLASSES = 4, MOST_SIDE = 64 };

typedef struct network {
  const char *golden, *architecture, *weights, *live;
  int32_t side;
} network;

static const network networks[] = {
    {THAW_TEST_DATA "/../golden/thawing_vgg16.h5", "vgg16", THAW_SHARED_DATA "/weights/vgg16_imagenet_notop.h5",
     "block5", 32},
    {THAW_TEST_DATA "/../golden/thawing_mobilenet_v2.h5", "mobilenetv2",
     THAW_SHARED_DATA "/weights/mobilenet_v2_nsfwjs_1.0_224_notop_gz.h5", "[block_16, Conv_1]", 64},
};

static const struct {
  const char *name, *optimizer, *options;
} optimizers[] = {{"sgd", "sgd", ""},
                  {"sgd_momentum", "sgd", ", momentum: 0.9"},
                  {"sgd_nesterov", "sgd", ", momentum: 0.9, nesterov: true"},
                  {"adam", "adam", ""},
                  {"adamw", "adamw", ", weight_decay: 0.05"},
                  {"rmsprop", "rmsprop", ""}};
enum { OPTIMIZERS = sizeof optimizers / sizeof *optimizers };

static char folder[64];

/* Rank 0 turns the golden images into a shard. */
static thaw_status write_shard(thaw_h5 *golden, const network *n) {
  uint8_t *pixels = thaw_new((size_t)SAMPLES * MOST_SIDE * MOST_SIDE * 3, 1);
  int32_t labels[SAMPLES];
  char name[SAMPLES][12], *ids[SAMPLES], path[128], digest[65];
  if (!pixels) return THAW_ERR_MEMORY;
  thaw_status status =
      thaw_h5_read(golden, "/data/images", THAW_H5_U8, (int64_t)SAMPLES * n->side * n->side * 3, pixels);
  if (status == THAW_OK) status = thaw_h5_read(golden, "/data/index", THAW_H5_I32, SAMPLES, labels);
  thaw_dataset_info info = {.count = SAMPLES,
                            .h = n->side,
                            .w = n->side,
                            .c = 3,
                            .bits = 8,
                            .value_max = 255,
                            .label_kind = THAW_LABEL_CLASS,
                            .label_width = 1};
  for (int i = 0; i < CLASSES && status == THAW_OK; i++) {
    snprintf(name[0], sizeof name[0], "%d", i);
    status = thaw_strings_add(&info.classes, name[0]);
  }
  for (int i = 0; i < SAMPLES; i++) {
    snprintf(name[i], sizeof name[i], "%d", i);
    ids[i] = name[i];
  }
  thaw_shard_rows rows = {.count = SAMPLES, .pixels = pixels, .labels = labels, .ids = ids};
  snprintf(path, sizeof path, "%s/%s.h5", folder, n->architecture);
  if (status == THAW_OK) status = thaw_shard_write(path, &info, &rows, 0, digest);
  thaw_strings_clear(&info.classes);
  thaw_free(pixels);
  return status;
}

typedef struct fixture {
  const network *network;
  thaw_h5 *golden;
  thaw_job *job;
  thaw_session *session;
  train_state state;
  train_step step;
} fixture;

static thaw_status make_job(fixture *f, int optimizer, bool batch_norm, double rate) {
  const network *n = f->network;
  char *text =
      thaw_format("name: test\nbackbone: {architecture: %s, weights: %s, input: [%d, %d, 3]}\nhead:\n"
                  "  - {layer: global_average_pooling}\n"
                  "  - {layer: dense, name: hidden, units: 8, activation: relu}\n"
                  "  - {layer: dense, name: output, units: 4, activation: softmax}\n"
                  "data: {train: %s/%s.h5}\ncache: {enabled: false}\ntraining:\n"
                  "  loss: categorical_crossentropy\n  batch_size: %d\n  slice: 4\n  metrics: []\n"
                  "  phases: [{epochs: 7, unfreeze: %s, train_batch_norm: %s, optimizer: {name: %s, "
                  "learning_rate: %.17g%s}}]\n",
                  n->architecture, n->weights, n->side, n->side, folder, n->architecture, BATCH, n->live,
                  batch_norm ? "true" : "false", optimizers[optimizer].optimizer, rate, optimizers[optimizer].options);
  if (!text) return THAW_ERR_MEMORY;
  thaw_job_schemas schemas = {thaw_layer_head_schemas(), thaw_loss_schemas(), thaw_optim_schemas(),
                              thaw_schedule_schemas()};
  thaw_status status = thaw_job_parse("job.yaml", text, strlen(text), &schemas, &f->job);
  thaw_free(text);
  return status;
}

static thaw_status start_values(fixture *f) {
  static const char *const layers[] = {"hidden", "output"};
  for (int i = 0; i < 2; i++) {
    thaw_layer *layer = &thaw_graph_node(f->session->graph, thaw_graph_find(f->session->graph, layers[i]))->layer;
    for (int32_t p = 0; p < layer->params; p++) {
      char path[64];
      snprintf(path, sizeof path, "/start/%s/%s", layers[i], layer->param[p].name);
      THAW_TRY(thaw_h5_read(f->golden, path, THAW_H5_F32, (int64_t)thaw_param_count(&layer->param[p]),
                            layer->param[p].value));
    }
  }
  return THAW_OK;
}

static thaw_status make(fixture *f, const char *name, int optimizer, bool batch_norm) {
  char object[64];
  double rate;
  snprintf(object, sizeof object, "/%s", name);
  THAW_TRY(thaw_h5_open(f->network->golden, &f->golden));
  THAW_TRY(thaw_h5_get_double(f->golden, object, "learning_rate", &rate));
  THAW_TRY(make_job(f, optimizer, batch_norm, rate));
  thaw_session_options options = {.train = true, .labels_needed = true};
  THAW_TRY(thaw_session_create(test_comm, f->job, &options, NULL, &f->session));
  THAW_TRY(start_values(f));
  THAW_TRY(thaw_session_phase(f->session, test_comm, 0, NULL));
  const thaw_choice *choice = &f->job->training.phases[0].optimizer;
  THAW_TRY(train_state_add_live(&f->state, f->session->graph));
  THAW_TRY(train_state_fit_slots(&f->state, choice));
  f->state.rate = thaw_optim_learning_rate(choice->config);
  return train_step_create(&f->step, f->session, test_comm, &f->state);
}

static void clear(fixture *f) {
  train_step_clear(&f->step);
  train_state_clear(&f->state);
  thaw_session_destroy(f->session);
  thaw_job_destroy(f->job);
  thaw_h5_close(f->golden);
}

/* In stored order; the features come from the cut as in a run. */
static thaw_status take_steps(fixture *f, float *loss_out) {
  thaw_epoch epoch = {.samples = SAMPLES, .batch = BATCH, .slice = 4};
  for (int64_t s = 0; s < STEPS; s++) {
    int64_t flags[THAW_EXACT_FLAGS] = {0}, failed = 0;
    if (s % PER_EPOCH == 0) THAW_TRY(train_step_epoch(&f->step, &epoch, -1, 0));
    memset(f->state.sum, 0, sizeof f->state.sum);
    THAW_TRY(train_step_run(&f->step, &f->state, &f->job->training.phases[0].optimizer, s % PER_EPOCH, flags));
    THAW_TRY(thaw_wide_reduce(test_comm, f->state.sum, 1, &failed));
    loss_out[s] = (float)(thaw_wide_value(&f->state.sum[0]) / BATCH);
  }
  return THAW_OK;
}

static thaw_status follow(const network *n, const char *name, int optimizer, bool batch_norm, double *worst_loss,
                          double *worst_output) {
  fixture f = {.network = n};
  float loss[STEPS], golden_loss[STEPS], golden_output[SAMPLES * CLASSES];
  char path[64];
  thaw_evaluation evaluation = {0};
  thaw_status status = make(&f, name, optimizer, batch_norm);
  if (status == THAW_OK) status = take_steps(&f, loss);
  snprintf(path, sizeof path, "/%s/loss", name);
  if (status == THAW_OK) status = thaw_h5_read(f.golden, path, THAW_H5_F32, STEPS, golden_loss);
  snprintf(path, sizeof path, "/%s/output", name);
  if (status == THAW_OK) status = thaw_h5_read(f.golden, path, THAW_H5_F32, SAMPLES * CLASSES, golden_output);
  /* 20 steps leave an epoch unfinished: the features that were announced for its last step are taken first. */
  if (status == THAW_OK) status = thaw_session_phase(f.session, test_comm, 0, NULL);
  if (status == THAW_OK)
    status = thaw_session_evaluate(f.session, test_comm, &f.session->train, NULL, true, NULL, &evaluation);
  for (int s = 0; s < STEPS && status == THAW_OK; s++)
    *worst_loss = fmax(*worst_loss, fabs((double)loss[s] - golden_loss[s]) / golden_loss[s]);
  if (status == THAW_OK && evaluation.prediction)
    *worst_output = thaw_test_max_difference(evaluation.prediction, golden_output, SAMPLES * CLASSES);
  thaw_evaluation_clear(&evaluation);
  clear(&f);
  return status;
}

static bool network_is_followed(const network *n, bool batch_norm) {
  bool ok = true;
  for (int i = 0; i < OPTIMIZERS; i++) {
    char name[64];
    double loss = 0, output = 0;
    snprintf(name, sizeof name, "%s%s", optimizers[i].name, batch_norm ? "_batch_norm" : "");
    thaw_status status = follow(n, name, i, batch_norm, &loss, &output);
    bool close = status == THAW_OK && loss < 1e-4 && output < 1e-3;
    if (thaw_comm_rank(test_comm) == 0)
      printf("%s %s: %s, loss %.2g, output %.2g\n", n->architecture, name,
             status != THAW_OK ? thaw_message()
             : close           ? "close"
                               : "far",
             loss, output);
    ok &= close;
  }
  return ok;
}

static void prepare(const network *n) {
  thaw_h5 *golden = NULL;
  if (!thaw_file_exists(n->weights)) {
    printf("skipped: %s is not there\n", n->weights);
    skip();
  }
  thaw_status status = thaw_comm_rank(test_comm) == 0 ? thaw_h5_open(n->golden, &golden) : THAW_OK;
  if (golden) status = write_shard(golden, n);
  thaw_h5_close(golden);
  assert_all_ranks(thaw_agree(test_comm, status) == THAW_OK);
}

static void vgg16_is_followed(void **state) {
  (void)state;
  prepare(&networks[0]);
  assert_all_ranks(network_is_followed(&networks[0], false));
}

static void mobilenet_v2_is_followed(void **state) {
  (void)state;
  prepare(&networks[1]);
  assert_all_ranks(network_is_followed(&networks[1], false));
}

static void trained_batch_norm_is_followed(void **state) {
  (void)state;
  prepare(&networks[1]);
  assert_all_ranks(network_is_followed(&networks[1], true));
}

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/thaw-fine-XXXXXX");
  bool made = thaw_comm_rank(test_comm) != 0 || mkdtemp(folder);
  return made && thaw_comm_broadcast(test_comm, 0, folder, sizeof folder) == THAW_OK ? 0 : 1;
}

static int remove_folder(void **state) {
  (void)state;
  for (int i = 0; i < 2 && thaw_comm_rank(test_comm) == 0; i++) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s.h5", folder, networks[i].architecture);
    unlink(path);
  }
  if (thaw_comm_rank(test_comm) == 0) rmdir(folder);
  return 0;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vgg16_is_followed),
      cmocka_unit_test(mobilenet_v2_is_followed),
      cmocka_unit_test(trained_batch_norm_is_followed),
  };
  alarm(300);
  if (thaw_comm_create(&argc, &argv, &test_comm) != THAW_OK) return 1;
  int64_t failures = cmocka_run_group_tests(tests, make_folder, remove_folder);
  if (thaw_comm_max_int(test_comm, &failures, 1) != THAW_OK) failures = 1;
  thaw_comm_destroy(test_comm);
  return failures != 0;
}
