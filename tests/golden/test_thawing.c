/* Fine-tuning the top of a real backbone follows Keras for 20 steps (thawing_*.h5); the frozen part runs compiled. */
#include "keras_case.h"

#include "thaw/digest.h"
#include "thaw/file.h"
#include "thaw/weights.h"
#include "thaw/zoo.h"

enum { SAMPLES = 24, BATCH = 8, OUTPUTS = 4 };
/* Two float32 programs follow each other to this relative difference of the loss. */
static const double loss_limit = 1e-4, prediction_limit = 5e-4, corner_limit = 1e-3;
/* Gradients below this are rounding alone: a shift before a batch-norm in training has none in exact arithmetic. */
static const double smallest_gradient = 3e-8;

typedef struct network {
  const char *architecture, *weights, *golden;
  int32_t size;
  const char *const *live;
  int32_t words;
  bool caffe;
} network;

static const keras_case optimizers[] = {
    {"sgd", "sgd", "categorical_crossentropy", {{0}}, {0}},
    {"sgd_momentum", "sgd", "categorical_crossentropy", {{0}, {"momentum", 0.9}}, {0}},
    {"sgd_nesterov", "sgd", "categorical_crossentropy", {{0}, {"momentum", 0.9}, {"nesterov", 1}}, {0}},
    {"adam", "adam", "categorical_crossentropy", {{0}}, {0}},
    {"adamw", "adamw", "categorical_crossentropy", {{0}, {"weight_decay", 0.05}}, {0}},
    {"rmsprop", "rmsprop", "categorical_crossentropy", {{0}}, {0}},
};

/* Everything of a network that its cases share. */
typedef struct setting {
  const network *net;
  thaw_h5 *h5;
  char *weights;
  float *image, *label; /* [SAMPLES][size][size][3] as the network receives it, [SAMPLES][OUTPUTS] */
} setting;

static void preprocess(const uint8_t *rgb, size_t pixels, bool caffe, float *out) {
  static const float mean[3] = {103.939f, 116.779f, 123.68f};
  for (size_t i = 0; i < 3 * pixels; i++)
    out[i] = caffe ? (float)rgb[i - i % 3 + 2 - i % 3] - mean[i % 3] : (float)rgb[i] / 127.5f - 1;
}

static setting open_setting(const network *net) {
  setting s = {.net = net};
  size_t pixels = (size_t)SAMPLES * (size_t)net->size * (size_t)net->size;
  s.weights = thaw_path_join(THAW_SHARED_DATA "/weights", net->weights);
  if (!thaw_file_exists(s.weights)) {
    print_message("%s is missing: skipped\n", s.weights);
    thaw_free(s.weights);
    skip();
  }
  char *golden = thaw_path_join(THAW_TEST_DATA, net->golden);
  uint8_t *rgb = thaw_new(3 * pixels, 1);
  s.image = thaw_new(3 * pixels, sizeof *s.image);
  assert_true(rgb && s.image);
  assert_thaw_ok(thaw_h5_open(golden, &s.h5));
  assert_thaw_ok(thaw_h5_read(s.h5, "/data/images", THAW_H5_U8, (int64_t)(3 * pixels), rgb));
  preprocess(rgb, pixels, net->caffe, s.image);
  s.label = keras_read(s.h5, "/data/one_hot", (size_t)SAMPLES * OUTPUTS);
  thaw_free(rgb);
  thaw_free(golden);
  return s;
}

static void close_setting(setting *s) {
  thaw_h5_close(s->h5);
  thaw_free(s->weights);
  thaw_free(s->image);
  thaw_free(s->label);
}

static thaw_graph *build(const setting *s, bool train_batch_norm) {
  thaw_graph *graph;
  int32_t node, first;
  char digest[THAW_DIGEST_TEXT];
  thaw_dense_config hidden = {.units = 8, .activation = THAW_RELU, .use_bias = true};
  thaw_dense_config output = {.units = OUTPUTS, .activation = THAW_SOFTMAX, .use_bias = true};
  thaw_shape input = {.rank = 3, .h = s->net->size, .w = s->net->size, .c = 3};
  assert_thaw_ok(thaw_zoo_build(s->net->architecture, input, NULL, &graph, &node));
  first = thaw_graph_count(graph);
  assert_thaw_ok(thaw_graph_add(graph, "global_average_pooling", NULL, NULL, &node, 1, &node));
  assert_thaw_ok(thaw_graph_add(graph, "dense", &hidden, "hidden", &node, 1, &node));
  assert_thaw_ok(thaw_graph_add(graph, "dense", &output, "output", &node, 1, &node));
  thaw_graph_mark_head(graph, first);
  assert_thaw_ok(thaw_graph_bind(graph));
  assert_thaw_ok(thaw_weights_load(graph, s->weights, NULL, digest));
  for (int32_t i = first + 1; i < thaw_graph_count(graph); i++)
    keras_read_layer(s->h5, "/start", &thaw_graph_node(graph, i)->layer);
  assert_thaw_ok(thaw_graph_unfreeze(graph, s->net->live, s->net->words, train_batch_norm));
  return graph;
}

/* The constant part of all images: [SAMPLES][cut floats]. */
static float *make_features(const setting *s, const thaw_graph *graph, const thaw_cut *cut) {
  const thaw_isa *isa;
  thaw_plan *plan;
  thaw_plan_options options = {.batch = SAMPLES, .threads = 1};
  float *features = thaw_new(SAMPLES * cut->floats, sizeof *features);
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_plan_create(graph, cut->node, cut->count, isa, &options, &plan));
  void *packed = thaw_new(1, thaw_plan_packed_bytes(plan));
  assert_true(features && packed);
  assert_thaw_ok(thaw_plan_pack(plan, packed));
  thaw_plan_use(plan, packed);
  thaw_plan_run(plan, s->image, SAMPLES, features);
  thaw_plan_destroy(plan);
  thaw_free(packed);
  return features;
}

/* Element i of the corner (at most the first 8 along each dimension) within the whole parameter. */
static size_t corner_index(const thaw_param *param, size_t i) {
  size_t index = 0, scale = 1;
  for (int d = param->rank - 1; d >= 0; d--) {
    size_t width = param->dim[d] < 8 ? (size_t)param->dim[d] : 8;
    index += i % width * scale;
    i /= width;
    scale *= (size_t)param->dim[d];
  }
  return index;
}

/* Relative L2 error of the corner that Keras stored under /group/layer/weight, of values or of gradients. */
static double corner_error(const setting *s, const char *group, const char *layer, const thaw_param *param,
                           const double *gradient) {
  const char *name = strcmp(param->name, "depthwise_kernel") == 0 ? "kernel" : param->name;
  char *dataset = thaw_format("%s/%s/%s", group, layer, name);
  thaw_h5_info info;
  assert_thaw_ok(thaw_h5_describe(s->h5, dataset, &info));
  size_t count = (size_t)info.count;
  float *expected = keras_read(s->h5, dataset, count), *found = thaw_new(count, sizeof *found);
  for (size_t i = 0; i < count; i++) {
    size_t at = corner_index(param, i);
    found[i] = gradient ? (float)gradient[at] : param->value[at];
  }
  double error = thaw_test_relative_l2(found, expected, count);
  if (gradient && thaw_test_max_difference(found, expected, count) < smallest_gradient) error = 0;
  thaw_free(expected);
  thaw_free(found);
  thaw_free(dataset);
  return error;
}

static double worst_corner(const setting *s, keras_run *run, const char *case_name, const char *what, bool gradients) {
  double worst = 0;
  char *group = thaw_format("/%s/%s", case_name, what);
  for (int32_t t = 0; t < run->tensors; t++) {
    const char *layer;
    const thaw_param *param = thaw_live_tensor(run->live, t, &layer);
    double error = corner_error(s, group, layer, param, gradients ? run->gradient[t] : NULL);
    if (error > corner_limit) print_message("  %s/%s/%s: %.1e\n", group, layer, param->name, error);
    worst = fmax(worst, error);
  }
  thaw_free(group);
  return worst;
}

static void follow(const setting *s, const keras_case *optimizer, bool train_batch_norm) {
  keras_case c = *optimizer;
  char *name = thaw_format("%s%s", c.name, train_batch_norm ? "_batch_norm" : ""), *group = thaw_format("/%s", name);
  char *losses = thaw_format("/%s/loss", name), *outputs = thaw_format("/%s/output", name);
  float *expected = keras_read(s->h5, losses, KERAS_STEPS);
  float *prediction = keras_read(s->h5, outputs, (size_t)SAMPLES * OUTPUTS);
  c.optimizer_option[0].name = "learning_rate";
  assert_thaw_ok(thaw_h5_get_double(s->h5, group, "learning_rate", &c.optimizer_option[0].value));
  bool detailed = strcmp(name, "sgd") == 0 || strcmp(name, "sgd_batch_norm") == 0 || strcmp(name, "adam") == 0;

  thaw_graph *graph = build(s, train_batch_norm);
  thaw_cut cut;
  assert_thaw_ok(thaw_graph_cut(graph, &cut));
  float *features = make_features(s, graph, &cut);
  keras_data data = {.features = features,
                     .label = s->label,
                     .floats = cut.floats,
                     .width = OUTPUTS,
                     .samples = SAMPLES,
                     .batch = BATCH,
                     .outputs = OUTPUTS};
  keras_run run = keras_begin(graph, &cut, &c, BATCH, 1);
  double gradient = 0, end = 0;
  if (detailed) {
    keras_gradients(&run, &data, 0, BATCH);
    gradient = worst_corner(s, &run, name, "gradient", true);
  }
  double loss = keras_train(&run, &data, expected), error = keras_prediction_error(&run, &data, prediction);
  if (detailed) end = worst_corner(s, &run, name, "end", false);
  print_message("%-24s loss %.1e (relative), predictions %.1e, gradients %.1e, parameters %.1e\n", name, loss, error,
                gradient, end);
  assert_true(loss <= loss_limit);
  assert_true(error <= prediction_limit);
  assert_true(gradient <= corner_limit && end <= corner_limit);
  keras_end(&run);
  thaw_cut_clear(&cut);
  thaw_graph_destroy(graph);
  thaw_free(features);
  thaw_free(expected);
  thaw_free(prediction);
  thaw_free(name);
  thaw_free(group);
  thaw_free(losses);
  thaw_free(outputs);
}

/* Two batches per update, each with statistics of its own, as Keras' gradient_accumulation_steps. */
static void follow_accumulated(const setting *s, thaw_h5 *golden, const keras_case *optimizer) {
  keras_case c = *optimizer;
  char *group = thaw_format("/%s", c.name), *losses = thaw_format("/%s/loss", c.name);
  char *outputs = thaw_format("/%s/output", c.name);
  float *expected = keras_read(golden, losses, KERAS_STEPS);
  float *prediction = keras_read(golden, outputs, (size_t)SAMPLES * OUTPUTS);
  c.optimizer_option[0].name = "learning_rate";
  assert_thaw_ok(thaw_h5_get_double(golden, group, "learning_rate", &c.optimizer_option[0].value));
  thaw_graph *graph = build(s, true);
  thaw_cut cut;
  assert_thaw_ok(thaw_graph_cut(graph, &cut));
  float *features = make_features(s, graph, &cut);
  keras_data data = {.features = features,
                     .label = s->label,
                     .floats = cut.floats,
                     .width = OUTPUTS,
                     .samples = SAMPLES,
                     .batch = BATCH,
                     .outputs = OUTPUTS};
  keras_run run = keras_begin(graph, &cut, &c, BATCH, 2);
  double loss = keras_train(&run, &data, expected), error = keras_prediction_error(&run, &data, prediction);
  print_message("%s, accumulated: loss %.1e (relative), predictions %.1e\n", c.name, loss, error);
  assert_true(loss <= loss_limit);
  assert_true(error <= prediction_limit);
  keras_end(&run);
  thaw_cut_clear(&cut);
  thaw_graph_destroy(graph);
  void *owned[] = {features, expected, prediction, group, losses, outputs};
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) thaw_free(owned[i]);
}

static void vgg16_block5(void **state) {
  (void)state;
  static const char *const live[] = {"block5"};
  const network net = {.architecture = "vgg16",
                       .weights = "vgg16_imagenet_notop.h5",
                       .golden = "thawing_vgg16.h5",
                       .size = 32,
                       .live = live,
                       .words = 1,
                       .caffe = true};
  setting s = open_setting(&net);
  for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++) follow(&s, &optimizers[i], false);
  close_setting(&s);
}

static const char *const mobilenet_live[] = {"block_16", "Conv_1"};
static const network mobilenet = {.architecture = "mobilenetv2",
                                  .weights = "mobilenet_v2_nsfwjs_1.0_224_notop_gz.h5",
                                  .golden = "thawing_mobilenet_v2.h5",
                                  .size = 64,
                                  .live = mobilenet_live,
                                  .words = 2};

static void mobilenet_v2_top(bool train_batch_norm) {
  setting s = open_setting(&mobilenet);
  for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++) follow(&s, &optimizers[i], train_batch_norm);
  close_setting(&s);
}

static void mobilenet_v2_batch_norm_frozen(void **state) {
  (void)state;
  mobilenet_v2_top(false);
}

static void mobilenet_v2_batch_norm_trained(void **state) {
  (void)state;
  mobilenet_v2_top(true);
}

static void mobilenet_v2_batch_norm_accumulated(void **state) {
  (void)state;
  setting s = open_setting(&mobilenet);
  char *path = thaw_path_join(THAW_TEST_DATA, "thawing_accumulated.h5");
  thaw_h5 *golden;
  assert_thaw_ok(thaw_h5_open(path, &golden));
  for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++)
    if (strcmp(optimizers[i].name, "sgd") == 0 || strcmp(optimizers[i].name, "adam") == 0)
      follow_accumulated(&s, golden, &optimizers[i]);
  thaw_h5_close(golden);
  thaw_free(path);
  close_setting(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vgg16_block5),
      cmocka_unit_test(mobilenet_v2_batch_norm_frozen),
      cmocka_unit_test(mobilenet_v2_batch_norm_trained),
      cmocka_unit_test(mobilenet_v2_batch_norm_accumulated),
  };
  if (!thaw_folder_exists(THAW_SHARED_DATA "/weights")) {
    print_message("%s is missing: skipped\n", THAW_SHARED_DATA "/weights");
    return 77;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
