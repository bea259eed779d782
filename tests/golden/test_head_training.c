/* Heads trained for 20 steps follow Keras' losses, parameters and predictions (training.h5). */
#include "keras_case.h"

typedef struct head_case {
  keras_case training;
  const char *labels;
  size_t width;
  int32_t outputs, activation, hidden_activation;
  bool batch_norm, regularized;
} head_case;

#define CROSSENTROPY "categorical_crossentropy"
static const head_case cases[] = {
    {{"sgd", "sgd", CROSSENTROPY, {{"learning_rate", 0.1}}, {0}},
     "one_hot",
     4,
     4,
     THAW_SOFTMAX,
     THAW_RELU,
     false,
     false},
    {{"sgd_momentum", "sgd", CROSSENTROPY, {{"learning_rate", 0.05}, {"momentum", 0.9}}, {0}},
     "one_hot",
     4,
     4,
     THAW_SOFTMAX,
     THAW_RELU,
     false,
     false},
    {{"sgd_nesterov", "sgd", CROSSENTROPY, {{"learning_rate", 0.05}, {"momentum", 0.9}, {"nesterov", 1}}, {0}},
     "one_hot",
     4,
     4,
     THAW_SOFTMAX,
     THAW_RELU,
     false,
     false},
    {{"adam", "adam", CROSSENTROPY, {{"learning_rate", 0.01}}, {0}},
     "one_hot",
     4,
     4,
     THAW_SOFTMAX,
     THAW_RELU,
     false,
     false},
    {{"adamw", "adamw", CROSSENTROPY, {{"learning_rate", 0.01}, {"weight_decay", 0.05}}, {0}},
     "one_hot",
     4,
     4,
     THAW_SOFTMAX,
     THAW_RELU,
     false,
     false},
    {{"rmsprop", "rmsprop", CROSSENTROPY, {{"learning_rate", 0.01}}, {0}},
     "one_hot",
     4,
     4,
     THAW_SOFTMAX,
     THAW_RELU,
     false,
     false},
    {{"sparse", "adam", "sparse_categorical_crossentropy", {{"learning_rate", 0.01}}, {0}},
     "index",
     1,
     4,
     THAW_SOFTMAX,
     THAW_RELU,
     false,
     false},
    {{"label_smoothing", "adam", CROSSENTROPY, {{"learning_rate", 0.01}}, {"label_smoothing", 0.1}},
     "one_hot",
     4,
     4,
     THAW_SOFTMAX,
     THAW_RELU,
     false,
     false},
    {{"regularized", "adam", CROSSENTROPY, {{"learning_rate", 0.01}}, {0}},
     "one_hot",
     4,
     4,
     THAW_SOFTMAX,
     THAW_RELU,
     false,
     true},
    {{"batch_normalization", "adam", CROSSENTROPY, {{"learning_rate", 0.01}}, {0}},
     "one_hot",
     4,
     4,
     THAW_SOFTMAX,
     THAW_RELU,
     true,
     false},
    {{"binary", "adam", "binary_crossentropy", {{"learning_rate", 0.01}}, {0}},
     "multi",
     3,
     3,
     THAW_SIGMOID,
     THAW_RELU,
     false,
     false},
    {{"regression", "adam", "mean_squared_error", {{"learning_rate", 0.01}}, {0}},
     "target",
     2,
     2,
     THAW_LINEAR,
     THAW_TANH,
     false,
     false},
    {{"regression_huber", "adam", "huber", {{"learning_rate", 0.01}}, {0}},
     "target",
     2,
     2,
     THAW_LINEAR,
     THAW_TANH,
     false,
     false},
    {{"regression_absolute", "adam", "mean_absolute_error", {{"learning_rate", 0.01}}, {0}},
     "target",
     2,
     2,
     THAW_LINEAR,
     THAW_TANH,
     false,
     false},
};

static thaw_graph *build(const head_case *c, thaw_h5 *h5) {
  thaw_graph *graph;
  int32_t node = 0;
  thaw_batch_norm_config norm = {.momentum = 0.9, .epsilon = 1e-3, .center = true, .scale = true};
  thaw_dense_config hidden = {.units = 8, .activation = c->hidden_activation, .use_bias = true};
  thaw_dense_config output = {.units = c->outputs, .activation = c->activation, .use_bias = true};
  if (c->regularized) {
    hidden.kernel_l1 = 1e-3;
    hidden.kernel_l2 = hidden.bias_l2 = 1e-2;
  }
  assert_thaw_ok(thaw_graph_create((thaw_shape){.rank = 1, .h = 1, .w = 1, .c = 16}, &graph));
  if (c->batch_norm)
    assert_thaw_ok(thaw_graph_add(graph, "batch_normalization", &norm, "normalization", &node, 1, &node));
  assert_thaw_ok(thaw_graph_add(graph, "dense", &hidden, "hidden", &node, 1, &node));
  assert_thaw_ok(thaw_graph_add(graph, "dense", &output, "output", &node, 1, &node));
  thaw_graph_mark_head(graph, 1);
  assert_thaw_ok(thaw_graph_bind(graph));
  assert_thaw_ok(thaw_graph_unfreeze(graph, NULL, 0, false));
  char *start = thaw_format("/%s/start", c->training.name);
  for (int32_t i = 1; i < thaw_graph_count(graph); i++) keras_read_layer(h5, start, &thaw_graph_node(graph, i)->layer);
  thaw_free(start);
  return graph;
}

/* Largest difference of a parameter from Keras' after the last step. */
static double end_error(const head_case *c, thaw_h5 *h5, const thaw_graph *graph) {
  double worst = 0;
  for (int32_t i = 1; i < thaw_graph_count(graph); i++) {
    const thaw_layer *layer = &thaw_graph_view(graph, i)->layer;
    for (int32_t p = 0; p < layer->params; p++) {
      char *dataset = thaw_format("/%s/end/%s/%s", c->training.name, layer->name, layer->param[p].name);
      size_t count = thaw_param_count(&layer->param[p]);
      float *expected = keras_read(h5, dataset, count);
      worst = fmax(worst, thaw_test_max_difference(layer->param[p].value, expected, count));
      thaw_free(expected);
      thaw_free(dataset);
    }
  }
  return worst;
}

static void follow(thaw_h5 *h5, const head_case *c) {
  char *labels = thaw_format("/data/%s", c->labels), *losses = thaw_format("/%s/loss", c->training.name);
  char *outputs = thaw_format("/%s/output", c->training.name);
  float *x = keras_read(h5, "/data/x", 40 * 16), *label;
  if (c->width == 1) { /* stored as whole numbers */
    int32_t index[40];
    assert_thaw_ok(thaw_h5_read(h5, labels, THAW_H5_I32, 40, index));
    label = thaw_new(40, sizeof *label);
    for (int i = 0; i < 40; i++) label[i] = (float)index[i];
  } else {
    label = keras_read(h5, labels, 40 * c->width);
  }
  float *expected = keras_read(h5, losses, KERAS_STEPS), *prediction = keras_read(h5, outputs, 40 * (size_t)c->outputs);
  keras_data data = {.features = x,
                     .label = label,
                     .floats = 16,
                     .width = c->width,
                     .samples = 40,
                     .batch = 12,
                     .outputs = c->outputs};
  thaw_graph *graph = build(c, h5);
  thaw_cut cut;
  assert_thaw_ok(thaw_graph_cut(graph, &cut));
  keras_run run = keras_begin(graph, &cut, &c->training, 12, 1);
  double loss = keras_train(&run, &data, expected), error = keras_prediction_error(&run, &data, prediction);
  double parameters = end_error(c, h5, graph);
  print_message("%-20s loss %.1e (relative), predictions %.1e, parameters %.1e\n", c->training.name, loss, error,
                parameters);
  assert_true(loss <= 1e-5);
  assert_true(error <= 1e-5);
  assert_true(parameters <= 1e-5);
  keras_end(&run);
  thaw_cut_clear(&cut);
  thaw_graph_destroy(graph);
  thaw_free(x);
  thaw_free(label);
  thaw_free(expected);
  thaw_free(prediction);
  thaw_free(labels);
  thaw_free(losses);
  thaw_free(outputs);
}

static void heads_follow_keras(void **state) {
  (void)state;
  thaw_h5 *h5;
  assert_thaw_ok(thaw_h5_open(THAW_TEST_DATA "/training.h5", &h5));
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) follow(h5, &cases[i]);
  thaw_h5_close(h5);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(heads_follow_keras)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
