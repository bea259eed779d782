/* The whole job file: what is read, the exact words of every kind of error, and the effective job. */
#include "thaw_test.h"

#include "test_registry.h"

#include "thaw/memory.h"

#include <stdlib.h>

static const char tutorial[] = "name: chest-vgg16\n"                                                /* 1 */
                               "seed: 7\n"                                                          /* 2 */
                               "backbone:\n"                                                        /* 3 */
                               "  architecture: vgg16\n"                                            /* 4 */
                               "  weights: vgg16.h5\n"                                              /* 5 */
                               "head:\n"                                                            /* 6 */
                               "  - {layer: global_average_pooling}\n"                              /* 7 */
                               "  - {layer: dense, units: 128, activation: relu}\n"                 /* 8 */
                               "  - {layer: dropout, rate: 0.5}\n"                                  /* 9 */
                               "  - {layer: Dense, name: out, units: 10, activation: softmax}\n"    /* 10 */
                               "data:\n"                                                            /* 11 */
                               "  train: shards/train/catalog.yaml\n"                               /* 12 */
                               "  validation: /abs/catalog.yaml\n"                                  /* 13 */
                               "  augment: {horizontal_flip: true, rotation: 10}\n"                 /* 14 */
                               "training:\n"                                                        /* 15 */
                               "  loss: categorical_crossentropy\n"                                 /* 16 */
                               "  batch_size: 64\n"                                                 /* 17 */
                               "  phases:\n"                                                        /* 18 */
                               "    - {epochs: 10, optimizer: {name: adam, learning_rate: 1e-4}}\n" /* 19 */
                               "    - epochs: 5\n"                                                  /* 20 */
                               "      unfreeze: block5\n"                                           /* 21 */
                               "      optimizer: {name: sgd, learning_rate: 1.0e-5}\n"              /* 22 */
                               "    - {epochs: 1}\n";                                               /* 23 */

static thaw_status parse(const char *path, const char *text, thaw_job **out) {
  thaw_job_schemas schemas = test_schemas();
  return thaw_job_parse(path, text, strlen(text), &schemas, out);
}

/* The tutorial with its first `from` replaced by `to`; free it. */
static char *edit(const char *from, const char *to) {
  const char *at = strstr(tutorial, from);
  assert_non_null(at);
  char *text = thaw_format("%.*s%s%s", (int)(at - tutorial), tutorial, to, at + strlen(from));
  assert_non_null(text);
  return text;
}

static void refuses(const char *from, const char *to, const char *message) {
  thaw_job *job = NULL;
  char *text = edit(from, to);
  assert_int_equal(parse("jobs/job.yaml", text, &job), THAW_ERR_USAGE);
  assert_string_equal(thaw_message(), message);
  assert_null(job);
  thaw_free(text);
}

static thaw_job *accepts(const char *from, const char *to) {
  thaw_job *job = NULL;
  char *text = edit(from, to);
  assert_thaw_ok(parse("/jobs/job.yaml", text, &job));
  thaw_free(text);
  return job;
}

static void test_tutorial(void **state) {
  (void)state;
  thaw_job *job;
  assert_thaw_ok(parse("/jobs/job.yaml", tutorial, &job));
  assert_string_equal(job->name, "chest-vgg16");
  assert_int_equal(job->seed, 7);
  assert_string_equal(job->output, "runs/chest-vgg16");
  assert_string_equal(job->folder, "/jobs");
  assert_string_equal(job->backbone.architecture, "vgg16");
  assert_string_equal(job->backbone.weights, "/jobs/vgg16.h5");
  assert_int_equal(job->head_count, 4);
  assert_string_equal(job->head[0].schema->name, "global_average_pooling2d");
  const dense_config *dense = job->head[1].config;
  assert_int_equal(dense->units, 128);
  assert_int_equal(dense->activation, 1);
  assert_true(((const rate_config *)job->head[2].config)->rate == 0.5);
  assert_string_equal(job->head[3].label, "out");
  assert_int_equal(job->head[3].line, 10);
  assert_string_equal(job->data.train, "/jobs/shards/train/catalog.yaml");
  assert_string_equal(job->data.validation, "/abs/catalog.yaml");
  assert_true(job->data.augment.enabled && job->data.augment.horizontal_flip);
  assert_true(job->data.augment.rotation[0] == -10 && job->data.augment.rotation[1] == 10);
  assert_int_equal(job->data.augment.views, 8);
  assert_true(job->cache.enabled);
  assert_string_equal(job->cache.folder, "cache");
  thaw_job_destroy(job);
}

static void test_training(void **state) {
  (void)state;
  thaw_job *job;
  assert_thaw_ok(parse("/jobs/job.yaml", tutorial, &job));
  const thaw_training_config *training = &job->training;
  assert_int_equal(training->batch_size, 64);
  assert_int_equal(training->slice, 8);
  assert_string_equal(training->loss.schema->name, "categorical_crossentropy");
  assert_int_equal(training->metrics.count, 1);
  assert_string_equal(training->metrics.item[0], "accuracy");
  assert_int_equal(training->phase_count, 3);
  assert_true(((const optimizer_config *)training->phases[0].optimizer.config)->learning_rate == 1e-4);
  assert_int_equal(training->phases[0].unfreeze.count, 0);
  assert_string_equal(training->phases[1].unfreeze.item[0], "block5");
  assert_string_equal(training->phases[2].unfreeze.item[0], "block5"); /* as in the phase before */
  assert_string_equal(training->phases[2].optimizer.schema->name, "sgd");
  assert_true(((const optimizer_config *)training->phases[2].optimizer.config)->learning_rate == 1e-5);
  assert_false(training->early_stopping.enabled);
  assert_string_equal(training->checkpoint.monitor, "val_loss");
  assert_int_equal(training->checkpoint.keep_last, 2);
  thaw_job_destroy(job);
}

static void test_short_forms(void **state) {
  (void)state;
  static const char text[] = "backbone: mobilenet_v2\nhead: [GlobalAveragePooling2D, {layer: dense, units: 2}]\n"
                             "data: {train: ./t.yaml, augment: off}\n"
                             "cache: false\n"
                             "training: {loss: mse, optimizer: adam, epochs: 3, unfreeze: [a, b], "
                             "early_stopping: true, reduce_lr: {factor: 0.5}}\n";
  thaw_job *job;
  assert_thaw_ok(parse("folder/my.run.yaml", text, &job));
  assert_string_equal(job->name, "my.run");
  assert_true(job->folder[0] == '/');
  assert_non_null(strstr(job->data.train, "/folder/t.yaml"));
  assert_false(job->data.augment.enabled);
  assert_int_equal(job->data.augment.views, 1);
  assert_false(job->cache.enabled);
  assert_null(job->backbone.weights);
  assert_int_equal(job->training.phase_count, 1);
  assert_int_equal(job->training.phases[0].epochs, 3);
  assert_int_equal(job->training.phases[0].unfreeze.count, 2);
  assert_string_equal(job->training.metrics.item[0], "mae");
  assert_true(job->training.early_stopping.enabled && job->training.reduce_lr.enabled);
  assert_string_equal(job->training.early_stopping.monitor, "loss"); /* no validation data */
  assert_true(job->training.reduce_lr.factor == 0.5);
  thaw_job_destroy(job);
}

static void test_places(void **state) {
  (void)state;
  thaw_job *job = accepts("name: chest-vgg16", "name: a\noutput: /scratch/me/runs/a");
  assert_string_equal(job->output, "/scratch/me/runs/a");
  assert_string_equal(job->cache.folder, "/scratch/me/cache");
  thaw_job_destroy(job);
  job = accepts("seed: 7", "cache: {folder: ~, storage: float16}");
  assert_string_equal(job->cache.folder, "cache");
  assert_int_equal(job->cache.storage, 1);
  thaw_job_destroy(job);
}

static void test_unknown_keys(void **state) {
  (void)state;
  refuses("learning_rate: 1e-4", "learning_rte: 1e-4",
          "jobs/job.yaml:19: training.phases[0].optimizer: unknown key 'learning_rte' (did you mean 'learning_rate'?)");
  refuses("seed: 7", "sed: 7", "jobs/job.yaml:2: unknown key 'sed' (did you mean 'seed'?)");
  refuses("units: 128", "unit: 128", "jobs/job.yaml:8: head[1]: unknown key 'unit' (did you mean 'units'?)");
  refuses("rotation: 10", "rotation_range: 10",
          "jobs/job.yaml:14: data.augment: unknown key 'rotation_range' (did you mean 'rotation'?)");
  refuses("weights:", "wurst:",
          "jobs/job.yaml:5: backbone: unknown key 'wurst' (known: input, architecture, file, weights, "
          "cut, preprocessing)");
  refuses("unfreeze:", "unfreze:",
          "jobs/job.yaml:21: training.phases[1]: unknown key 'unfreze' (did you mean 'unfreeze'?)");
}

static void test_unknown_choices(void **state) {
  (void)state;
  refuses("layer: dropout", "layer: droput",
          "jobs/job.yaml:9: head[2]: unknown layer 'droput' (did you mean 'dropout'?)");
  refuses("name: adam", "name: adm",
          "jobs/job.yaml:19: training.phases[0].optimizer: unknown optimizer 'adm' (did you mean 'adam'?)");
  refuses("loss: categorical_crossentropy", "loss: hinge",
          "jobs/job.yaml:16: training.loss: unknown loss 'hinge' (known: categorical_crossentropy, "
          "mean_squared_error)");
  refuses("activation: relu", "activation: rellu",
          "jobs/job.yaml:8: head[1].activation: unknown value 'rellu' (did you mean 'relu'?)");
  refuses("weights: vgg16.h5", "preprocessing: cafe",
          "jobs/job.yaml:5: backbone.preprocessing: unknown value 'cafe' (did you mean 'caffe'?)");
}

static void test_types(void **state) {
  (void)state;
  refuses("batch_size: 64", "batch_size: 64.5",
          "jobs/job.yaml:17: training.batch_size: expected a whole number, found '64.5'");
  refuses("batch_size: 64", "batch_size: \"64\"",
          "jobs/job.yaml:17: training.batch_size: expected a whole number, found the text '64'");
  refuses("batch_size: 64", "batch_size: [64]",
          "jobs/job.yaml:17: training.batch_size: expected a whole number, found a list");
  refuses("rate: 0.5", "rate: {a: 1}", "jobs/job.yaml:9: head[2].rate: expected a number, found a map");
  refuses("rate: 0.5", "rate: 0x1p-1", "jobs/job.yaml:9: head[2].rate: expected a number, found '0x1p-1'");
  refuses("rate: 0.5", "rate: .inf", "jobs/job.yaml:9: head[2].rate: expected a number, found '.inf'");
  refuses("rate: 0.5", "rate: nan", "jobs/job.yaml:9: head[2].rate: expected a number, found 'nan'");
  refuses("horizontal_flip: true", "horizontal_flip: 1",
          "jobs/job.yaml:14: data.augment.horizontal_flip: expected true or false, found '1'");
  refuses("train: shards/train/catalog.yaml", "train: [a, b]",
          "jobs/job.yaml:12: data.train: expected text, found a list");
  refuses("unfreeze: block5", "unfreeze: {block5: true}",
          "jobs/job.yaml:21: training.phases[1].unfreeze: expected text or a list of texts, found a map");
  refuses("rotation: 10", "rotation: [1, 2, 3]",
          "jobs/job.yaml:14: data.augment.rotation: expected a number or a list of two numbers, found a list");
  refuses("loss: categorical_crossentropy", "loss: [a]",
          "jobs/job.yaml:16: training.loss: expected the name of the loss, or {name: ..., ...}, found a list");
}

static void test_ranges(void **state) {
  (void)state;
  refuses("batch_size: 64", "batch_size: 0", "jobs/job.yaml:17: training.batch_size: 0 is out of range 1 .. 1048576");
  refuses("rate: 0.5", "rate: 1.5", "jobs/job.yaml:9: head[2].rate: 1.5 is out of range 0 .. 1");
  refuses("learning_rate: 1e-4", "learning_rate: 0",
          "jobs/job.yaml:19: training.phases[0].optimizer.learning_rate: 0 is out of range: above 0, at most 1000");
  refuses("rotation: 10", "rotation: 400", "jobs/job.yaml:14: data.augment.rotation: 400 is out of range -360 .. 360");
  refuses("rotation: 10", "rotation: [5, -5]",
          "jobs/job.yaml:14: data.augment.rotation: the first of [5, -5] is larger than the second");
  refuses("seed: 7", "seed: -1", "jobs/job.yaml:2: seed: -1 is out of range 0 .. 1e+15");
  refuses("units: 128", "units: 99999999999999999999",
          "jobs/job.yaml:8: head[1].units: expected a whole number, found '99999999999999999999'");
  refuses(
      "rotation: 10", "crop: 0.01",
      "jobs/job.yaml:14: data.augment.crop: 0.01 is out of range: 0 (off), or the smallest kept fraction, 0.05 .. 1");
  refuses("weights: vgg16.h5", "input: [0, 224, 3]",
          "jobs/job.yaml:5: backbone.input: expected [height, width, channels], each at least 1, height and width at "
          "most 8192");
  refuses("weights: vgg16.h5", "input: 224", "jobs/job.yaml:5: backbone.input: expected [height, width, channels]");
}

static void test_missing(void **state) {
  (void)state;
  refuses("units: 128, ", "", "jobs/job.yaml:8: head[1]: 'units' is missing");
  refuses("units: 128", "units: ~", "jobs/job.yaml:8: head[1]: 'units' is missing");
  refuses("layer: dropout, ", "", "jobs/job.yaml:9: head[2]: 'layer' is missing");
  refuses("  train: shards/train/catalog.yaml\n", "", "jobs/job.yaml:11: data: 'train' is missing");
  refuses("  loss: categorical_crossentropy\n", "", "jobs/job.yaml:15: training: 'loss' is missing");
  refuses(", optimizer: {name: adam, learning_rate: 1e-4}", "",
          "jobs/job.yaml:19: training.phases[0]: 'optimizer' is missing");
  refuses("backbone:\n  architecture: vgg16\n  weights: vgg16.h5\n", "", "jobs/job.yaml:1: 'backbone' is missing");
}

static void test_cross_checks(void **state) {
  (void)state;
  refuses("batch_size: 64", "early_stopping: {monitor: val_acuracy}",
          "jobs/job.yaml:17: training.early_stopping.monitor: unknown value 'val_acuracy' (did you mean "
          "'val_accuracy'?)");
  refuses("  validation: /abs/catalog.yaml\n  augment: {horizontal_flip: true, rotation: 10}\ntraining:\n",
          "training:\n  reduce_lr: {monitor: val_loss}\n",
          "jobs/job.yaml:14: training.reduce_lr.monitor: 'val_loss' needs data.validation");
  refuses("batch_size: 64", "metrics: [accuracy, accuracy]",
          "jobs/job.yaml:17: training.metrics: 'accuracy' is listed twice");
  refuses("rate: 0.5", "rate: 0.5, name: out", "jobs/job.yaml:10: head[3].name: 'out' already names head[2]");
  refuses("batch_size: 64", "epochs: 3", "jobs/job.yaml:17: training: 'epochs' belongs into the phases");
  refuses("name: chest-vgg16", "name: a/b",
          "jobs/job.yaml:1: name: 'a/b' cannot name a folder: no '/', no leading '.', at most 100 bytes");
  refuses("name: chest-vgg16", "name: ..",
          "jobs/job.yaml:1: name: '..' cannot name a folder: no '/', no leading '.', at most 100 bytes");
}

static void test_whole_files(void **state) {
  (void)state;
  thaw_job *job = NULL;
  assert_int_equal(parse("job.yaml", "", &job), THAW_ERR_USAGE);
  assert_string_equal(thaw_message(), "job.yaml: the file is empty");
  assert_int_equal(parse("job.yaml", "hello", &job), THAW_ERR_USAGE);
  assert_string_equal(thaw_message(), "job.yaml:1: expected a map of keys and values, found 'hello'");
  assert_int_equal(parse("job.yaml", "- 1\n", &job), THAW_ERR_USAGE);
  assert_string_equal(thaw_message(), "job.yaml:1: expected a map of keys and values, found a list");
  thaw_text huge = {0};
  for (int i = 0; i < 200000; i++) thaw_text_add(&huge, "# filler\n");
  assert_int_equal(parse("job.yaml", huge.data, &job), THAW_ERR_USAGE);
  assert_string_equal(thaw_message(), "job.yaml: 1800000 bytes is too large for a job file (at most 1048576)");
  thaw_text_clear(&huge);
  assert_null(job);
}

/* The effective job reads back to the same job, and says so in the same words. */
static void check_round_trip(const char *text) {
  thaw_job *job, *again;
  thaw_text first = {0}, second = {0}, digest = {0}, digest_again = {0};
  assert_thaw_ok(parse("/jobs/job.yaml", text, &job));
  assert_thaw_ok(thaw_job_echo(job, false, &first));
  if (parse("/elsewhere/run/job.yaml", first.data, &again) != THAW_OK)
    fail_msg("the effective job is refused: %s\n%s", thaw_message(), first.data);
  assert_thaw_ok(thaw_job_echo(again, false, &second));
  assert_string_equal(first.data, second.data);
  assert_thaw_ok(thaw_job_echo(job, true, &digest));
  assert_thaw_ok(thaw_job_echo(again, true, &digest_again));
  assert_string_equal(digest.data, digest_again.data);
  thaw_text_clear(&first);
  thaw_text_clear(&second);
  thaw_text_clear(&digest);
  thaw_text_clear(&digest_again);
  thaw_job_destroy(job);
  thaw_job_destroy(again);
}

static void test_round_trip(void **state) {
  (void)state;
  check_round_trip(tutorial);
  static const char *const edits[][2] = {
      {"batch_size: 64", "metrics: []\n  early_stopping: {patience: 3}\n  reduce_lr: true"},
      {"seed: 7", "cache: {enabled: no, storage: float16, folder: \"c \\\" #: d\", limit_gb: 12.5}"},
      {"name: chest-vgg16", "name: \"true\"\noutput: \"- weird: [x]\""},
      {"name: chest-vgg16", "name: \"Gef\xc3\xa4\xc3\x9f 1\""},
      {"rotation: 10", "zoom: [-0.1, 0.30000000000000004], noise: 1e-17, fill_mode: reflect"},
      {"unfreeze: block5", "unfreeze: [block5, \"null\", \"1\"]\n      train_batch_norm: yes"},
      {"weights: vgg16.h5", "input: [96, 64, 1]\n  cut: block4_pool\n  preprocessing: raw"},
      {"learning_rate: 1e-4", "learning_rate: 0.00012345678901234567"},
  };
  for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
    char *text = edit(edits[i][0], edits[i][1]);
    check_round_trip(text);
    thaw_free(text);
  }
}

static char *digest_of(const char *from, const char *to) {
  thaw_job *job = accepts(from, to);
  thaw_text text = {0};
  assert_thaw_ok(thaw_job_echo(job, true, &text));
  thaw_job_destroy(job);
  return text.data;
}

/* The digest text changes with what determines the result, and with nothing else. */
static void test_digest_text(void **state) {
  (void)state;
  static const char *const same[][2] = {
      {"name: chest-vgg16", "name: other\noutput: somewhere"},
      {"seed: 7", "seed: 7\ncache: {enabled: false, folder: x}"},
      {"batch_size: 64", "batch_size: 64\n  threads: 4\n  max_minutes: 10\n  checkpoint: {keep_last: 9}"},
      {"weights: vgg16.h5", "weights: /other/place.h5"},
      {"train: shards/train/catalog.yaml", "train: moved/catalog.yaml\n  test: some.yaml"},
      {"learning_rate: 1e-4", "learning_rate: 0.0001"},
  };
  static const char *const different[][2] = {
      {"seed: 7", "seed: 8"},
      {"seed: 7", "seed: 7\ncache: {storage: float16}"},
      {"batch_size: 64", "batch_size: 32"},
      {"  weights: vgg16.h5\n", ""},
      {"  validation: /abs/catalog.yaml\n", ""},
      {"rotation: 10", "rotation: 11"},
      {"epochs: 10", "epochs: 11"},
      {"units: 128", "units: 129"},
      {"unfreeze: block5", "unfreeze: block4"},
  };
  char *base = digest_of("seed: 7", "seed: 7");
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    char *text = digest_of(same[i][0], same[i][1]);
    assert_string_equal(base, text);
    thaw_free(text);
  }
  for (size_t i = 0; i < sizeof different / sizeof *different; i++) {
    char *text = digest_of(different[i][0], different[i][1]);
    if (!strcmp(base, text)) fail_msg("'%s' -> '%s' does not change the digest", different[i][0], different[i][1]);
    thaw_free(text);
  }
  thaw_free(base);
}

/* Whatever happens to a file, the answer is a job or a message: cut it at every byte, and break every byte. */
static void test_damage(void **state) {
  (void)state;
  thaw_job_schemas schemas = test_schemas();
  size_t size = strlen(tutorial);
  for (size_t cut = 0; cut < size; cut++) {
    thaw_job *job = NULL;
    if (thaw_job_parse("job.yaml", tutorial, cut, &schemas, &job) != THAW_OK)
      assert_non_null(strstr(thaw_message(), "job.yaml:"));
    thaw_job_destroy(job);
  }
  static const char damage[] = {'\0', '\t', '{', '[', '"', ':', '-', '*', '\xff', '9'};
  for (size_t i = 0; i < size * sizeof damage; i++) {
    char *text = thaw_copy_text(tutorial);
    text[i / sizeof damage] = damage[i % sizeof damage];
    thaw_job *job = NULL;
    if (thaw_job_parse("job.yaml", text, size, &schemas, &job) != THAW_OK)
      assert_non_null(strstr(thaw_message(), "job.yaml:"));
    thaw_job_destroy(job);
    thaw_free(text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tutorial),     cmocka_unit_test(test_training),     cmocka_unit_test(test_short_forms),
      cmocka_unit_test(test_places),       cmocka_unit_test(test_unknown_keys), cmocka_unit_test(test_unknown_choices),
      cmocka_unit_test(test_types),        cmocka_unit_test(test_ranges),       cmocka_unit_test(test_missing),
      cmocka_unit_test(test_cross_checks), cmocka_unit_test(test_whole_files),  cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_digest_text),  cmocka_unit_test(test_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
