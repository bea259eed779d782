/* Weight files of every generation into a small network, and what must be refused. */
#include "small_network.h"

#include "thaw/digest.h"
#include "thaw/file.h"
#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/weights.h"
#include "thaw/zoo.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/thaw-weights-XXXXXX";

/* One handmade legacy file; what is left NULL or zero is as Keras 2 writes it. */
typedef struct handmade {
  const char *layer[3];
  const char *weight[8]; /* first: 2, norm: 4, spread: 2 */
  thaw_h5_type type;
  int broken_weight; /* index + 1 of a weight that gets a bad value or shape */
  float bad_value;
  int bad_dim;
  bool top, unannounced, no_layer_names;
} handmade;

static const int shapes[8][5] = {{4, 3, 3, 3, 4}, {1, 4}, {1, 4}, {1, 4}, {1, 4}, {1, 4}, {4, 3, 3, 4, 1}, {1, 4}};
static const int layer_of[8] = {0, 0, 1, 1, 1, 1, 2, 2}, place_of[8] = {0, 1, 0, 1, 2, 3, 0, 1};
static const handmade keras2 = {.layer = {"first", "norm", "spread"},
                                .weight = {"first/kernel:0", "first/bias:0", "norm/gamma:0", "norm/beta:0",
                                           "norm/moving_mean:0", "norm/moving_variance:0", "spread/depthwise_kernel:0",
                                           "spread/bias:0"},
                                .type = THAW_H5_F32};

static uint16_t half_of(float value) { /* for the exact values used here: 0 <= value < 8, multiples of 1/8 */
  if (value == 0) return 0;
  int exponent;
  float fraction = frexpf(value, &exponent);
  return (uint16_t)((exponent + 14) << 10 | (int)((fraction * 2 - 1) * 1024));
}

static void write_weight(thaw_h5 *h5, const handmade *made, int w, const char *dataset) {
  thaw_h5_layout layout = {.type = made->type, .rank = shapes[w][0]};
  size_t count = 1;
  for (int i = 0; i < layout.rank; i++) layout.dim[i] = shapes[w][i + 1];
  if (made->broken_weight == w + 1 && made->bad_dim) layout.dim[layout.rank - 1] = made->bad_dim;
  for (int i = 0; i < layout.rank; i++) count *= (size_t)layout.dim[i];
  float *single = thaw_new(count, sizeof *single);
  double *wide = thaw_new(count, sizeof *wide);
  uint16_t *half = thaw_new(count, sizeof *half);
  int32_t *whole = thaw_new(count, sizeof *whole);
  for (size_t i = 0; i < count; i++) {
    single[i] = small_value(layer_of[w], place_of[w], i);
    if (made->broken_weight == w + 1 && !made->bad_dim && i == 1) single[i] = made->bad_value;
    wide[i] = (double)single[i];
    half[i] = half_of(single[i]);
  }
  const void *data = made->type == THAW_H5_F64   ? (const void *)wide
                     : made->type == THAW_H5_F16 ? (const void *)half
                     : made->type == THAW_H5_I32 ? (const void *)whole
                                                 : (const void *)single;
  assert_thaw_ok(thaw_h5_write(h5, dataset, &layout, data));
  thaw_free(single);
  thaw_free(wide);
  thaw_free(half);
  thaw_free(whole);
}

static void set_names(thaw_h5 *h5, const char *object, const char *attribute, const char *const *name, size_t count) {
  thaw_strings strings = {0};
  for (size_t i = 0; i < count; i++) assert_thaw_ok(thaw_strings_add(&strings, name[i]));
  assert_thaw_ok(thaw_h5_set_strings(h5, object, attribute, &strings));
  thaw_strings_clear(&strings);
}

static void write_top(thaw_h5 *h5) {
  static const char *const names[] = {"predictions/kernel:0"};
  const float kernel[6] = {0};
  thaw_h5_layout layout = {.type = THAW_H5_F32, .rank = 2, .dim = {3, 2}};
  assert_thaw_ok(thaw_h5_write(h5, "/predictions/predictions/kernel:0", &layout, kernel));
  set_names(h5, "/predictions", "weight_names", names, 1);
}

static char *write_handmade(const char *name, const handmade *made) {
  char *path = thaw_path_join(folder, name);
  thaw_h5 *h5;
  assert_thaw_ok(thaw_h5_create(path, &h5));
  for (int l = 0, first = 0; l < 3; l++) {
    const char *names[4];
    char *group = thaw_format("/%s", made->layer[l]);
    size_t count = 0;
    assert_thaw_ok(thaw_h5_create_group(h5, group));
    for (; first < 8 && layer_of[first] == l; first++) {
      char *dataset = thaw_format("%s/%s", group, made->weight[first]);
      if (!made->unannounced || first != 7) write_weight(h5, made, first, dataset);
      thaw_free(dataset);
      names[count++] = made->weight[first];
    }
    set_names(h5, group, "weight_names", names, count);
    thaw_free(group);
  }
  if (made->top) write_top(h5);
  const char *layers[5] = {"input_1", made->layer[0], made->layer[1], made->layer[2], "predictions"};
  assert_thaw_ok(thaw_h5_create_group(h5, "/input_1"));
  set_names(h5, "/input_1", "weight_names", NULL, 0);
  if (!made->no_layer_names) set_names(h5, "/", "layer_names", layers, made->top ? 5 : 4);
  assert_thaw_ok(thaw_h5_commit(h5));
  return path;
}

/* Loads, compares every value, returns the digest. */
static void assert_loads(const char *path, const char *const *names, char digest[THAW_DIGEST_TEXT]) {
  thaw_graph *graph = small_network(names);
  assert_thaw_ok(thaw_weights_load(graph, path, NULL, digest));
  assert_small_values(graph);
  thaw_graph_destroy(graph);
}

static void assert_refused(const handmade *made, const char *part) {
  char *path = write_handmade("refused.h5", made), digest[THAW_DIGEST_TEXT];
  thaw_graph *graph = small_network(NULL);
  assert_thaw_fails(thaw_weights_load(graph, path, NULL, digest), THAW_ERR_DATA, part);
  assert_non_null(strstr(thaw_message(), "refused.h5"));
  thaw_graph_destroy(graph);
  thaw_free(path);
}

static void files_of_keras_3(void **state) {
  (void)state;
  static const char *const name[] = {"keras3_flat.h5", "keras3_nested.h5", "keras3_flat.weights.h5",
                                     "keras3_nested.weights.h5"};
  char first[THAW_DIGEST_TEXT], digest[THAW_DIGEST_TEXT];
  for (int i = 0; i < 4; i++) {
    char *path = thaw_path_join(THAW_TEST_DATA, name[i]);
    assert_loads(path, NULL, digest);
    if (i == 0) memcpy(first, digest, sizeof first);
    assert_string_equal(digest, first); /* the digest is of the values, not of the file */
    thaw_free(path);
  }
}

/* Keras' own file of half-precision layers: bfloat16, which HDF5 knows as bytes only. */
static void bfloat16(void **state) {
  (void)state;
  char digest[THAW_DIGEST_TEXT];
  static const char *const file[] = {"bfloat16.weights.h5", "bfloat16.h5"};
  for (int i = 0; i < 2; i++) {
    char *path = thaw_path_join(THAW_TEST_DATA, file[i]);
    assert_loads(path, NULL, digest);
    thaw_free(path);
  }
}

/* The same groups and values, without attributes: no names of layers. */
static void copy_unnamed(thaw_h5 *from, thaw_h5 *to, const char *group) {
  thaw_strings names = {0};
  assert_thaw_ok(thaw_h5_list(from, group, &names));
  for (size_t i = 0; i < names.count; i++) {
    char *path = thaw_format("%s/%s", group[1] ? group : "", names.item[i]);
    if (thaw_h5_is_group(from, path)) {
      assert_thaw_ok(thaw_h5_create_group(to, path));
      copy_unnamed(from, to, path);
    } else {
      thaw_h5_info info;
      assert_thaw_ok(thaw_h5_describe(from, path, &info));
      thaw_h5_layout layout = {.type = THAW_H5_F32, .rank = info.rank};
      memcpy(layout.dim, info.dim, sizeof layout.dim);
      float *value = thaw_new((size_t)info.count, sizeof *value);
      assert_non_null(value);
      assert_thaw_ok(thaw_h5_read(from, path, THAW_H5_F32, info.count, value));
      assert_thaw_ok(thaw_h5_write(to, path, &layout, value));
      thaw_free(value);
    }
    thaw_free(path);
  }
  thaw_strings_clear(&names);
}

static void strip_names(const char *from_path, const char *to_path) {
  thaw_h5 *from, *to;
  assert_thaw_ok(thaw_h5_open(from_path, &from));
  assert_thaw_ok(thaw_h5_create(to_path, &to));
  copy_unnamed(from, to, "/");
  thaw_h5_close(from);
  assert_thaw_ok(thaw_h5_commit(to));
}

/* Layers of InceptionV3 in Keras' order are not in that of their numbers, and files of early Keras 3 have no names: the
 * weights are found by their place. */
static void unnamed_inception_v3(void **state) {
  (void)state;
  char *path = thaw_path_join(folder, "named.weights.h5"), *bare = thaw_path_join(folder, "bare.weights.h5");
  char digest[THAW_DIGEST_TEXT], again[THAW_DIGEST_TEXT];
  thaw_graph *graph, *copy;
  int32_t last;
  const thaw_shape input = {.rank = 3, .h = 75, .w = 75, .c = 3};
  assert_thaw_ok(thaw_zoo_build("inceptionv3", input, NULL, &graph, &last));
  assert_thaw_ok(thaw_zoo_build("inceptionv3", input, NULL, &copy, &last));
  assert_thaw_ok(thaw_graph_bind(graph));
  assert_thaw_ok(thaw_graph_bind(copy));
  thaw_graph_initialize(graph, 3, false);
  assert_thaw_ok(thaw_weights_digest(graph, false, digest));
  assert_thaw_ok(thaw_weights_save_objects(graph, path));
  assert_thaw_ok(thaw_weights_load(copy, path, NULL, again));
  assert_string_equal(again, digest);
  strip_names(path, bare);
  thaw_graph_initialize(copy, 4, false);
  assert_thaw_ok(thaw_weights_load(copy, bare, NULL, again));
  assert_string_equal(again, digest);
  thaw_graph_destroy(graph);
  thaw_graph_destroy(copy);
  thaw_free(path);
  thaw_free(bare);
}

static void old_names_and_other_types(void **state) {
  (void)state;
  handmade made = keras2;
  char digest[THAW_DIGEST_TEXT];
  const thaw_h5_type types[] = {THAW_H5_F32, THAW_H5_F64, THAW_H5_F16};
  for (int i = 0; i < 3; i++) {
    made.type = types[i];
    char *path = write_handmade("type.h5", &made);
    assert_loads(path, NULL, digest);
    thaw_free(path);
  }
  const handmade keras1 = {.layer = {"first", "norm", "spread"},
                           .weight = {"first_W_1:0", "first_b_1:0", "norm_gamma:0", "norm_beta:0",
                                      "norm_running_mean:0", "norm_running_std:0", "spread_W:0", "spread_b:0"},
                           .type = THAW_H5_F32};
  char *path = write_handmade("keras1.h5", &keras1);
  assert_loads(path, NULL, digest);
  thaw_free(path);
}

static void matched_by_order_and_by_number(void **state) {
  (void)state;
  char digest[THAW_DIGEST_TEXT];
  static const char *const others[] = {"a", "b", "c"}, *const numbered[] = {"conv2d", "batch_normalization",
                                                                            "depthwise"};
  handmade made = keras2;
  made.top = true; /* a classification top is left aside */
  char *path = write_handmade("order.h5", &made);
  assert_loads(path, others, digest);
  thaw_free(path);
  made = (handmade){.layer = {"conv2d_57", "batch_normalization_30", "depthwise_conv2d_2"}, .type = THAW_H5_F32};
  memcpy(made.weight, keras2.weight, sizeof made.weight);
  static const char *const slashed[] = {"conv1_conv", "conv1_bn", "spread"};
  handmade densenet = keras2;
  densenet.layer[0] = "conv1/conv";
  densenet.layer[1] = "conv1/bn";
  path = write_handmade("densenet.h5", &densenet);
  assert_loads(path, slashed, digest);
  thaw_free(path);
  path = write_handmade("numbered.h5", &made);
  assert_loads(path, numbered, digest);
  assert_loads(path, NULL, digest);
  thaw_free(path);
}

/* By order the two kernels would change places. */
static void first_generation_of_resnet50(void **state) {
  (void)state;
  static const char *const names[] = {"conv2_block1_0_conv", "conv5_block3_3_bn", "conv3_block4_2_conv"};
  char digest[THAW_DIGEST_TEXT];
  handmade made = keras2;
  made.layer[0] = "res2a_branch1";
  made.layer[1] = "bn5c_branch2c";
  made.layer[2] = "res3d_branch2b";
  char *path = write_handmade("resnet50.h5", &made);
  thaw_graph *graph = small_network(names);
  thaw_batch_norm_config *norm = thaw_graph_node(graph, 2)->layer.config;
  norm->epsilon = 1.001e-5;
  assert_thaw_ok(thaw_weights_load(graph, path, NULL, digest));
  assert_small_values(graph);
  assert_true(norm->epsilon == 1e-3);
  thaw_graph_destroy(graph);
  thaw_free(path);
}

static void unfit_files_are_refused(void **state) {
  (void)state;
  handmade made = keras2;
  made.broken_weight = 1;
  made.bad_dim = 5;
  assert_refused(&made, "layer 'first': kernel: expected shape (3, 3, 3, 4), found (3, 3, 3, 5)");
  made = keras2;
  made.broken_weight = 3;
  made.bad_value = NAN;
  assert_refused(&made, "layer 'norm': /norm/norm/gamma:0: element 1 is nan");
  made.bad_value = INFINITY;
  assert_refused(&made, "element 1 is inf");
  made.broken_weight = 6;
  made.bad_value = -0.5f;
  assert_refused(&made, "element 1 is -0.5, but a variance is not negative");
  made = keras2;
  made.type = THAW_H5_I32;
  assert_refused(&made, "holds int32, expected float32");
  made = keras2;
  made.unannounced = true;
  assert_refused(&made, "weight 'spread/bias:0' of layer 'spread' is announced but missing");
  made = keras2;
  made.weight[1] = "first/offset:0";
  assert_refused(&made, "layer 'first': bias: expected shape (4), found nothing");
  made = keras2;
  made.layer[2] = "other";
  assert_refused(&made, "has no layer 'spread' (2 of the network's 3 layers found");
  made = keras2;
  made.no_layer_names = true;
  assert_refused(&made, "not a Keras weight file");
}

static void broken_files_are_refused(void **state) {
  (void)state;
  char digest[THAW_DIGEST_TEXT], *path = write_handmade("whole.h5", &keras2), *data;
  size_t size;
  thaw_graph *graph = small_network(NULL);
  assert_thaw_ok(thaw_file_read(path, 1 << 20, &data, &size));
  for (size_t part = 0; part < 20; part++) { /* cut anywhere: an error or the right values, never a crash */
    assert_thaw_ok(thaw_file_write(path, data, size * part / 20));
    assert_thaw_fails(thaw_weights_load(graph, path, NULL, digest), THAW_ERR_DATA, "whole.h5");
  }
  thaw_free(data);
  assert_int_equal(unlink(path), 0);
  assert_thaw_fails(thaw_weights_load(graph, path, NULL, digest), THAW_ERR_DATA, "whole.h5");
  thaw_free(path);
  thaw_graph_destroy(graph);
}

static void saved_files_load_again(void **state) {
  (void)state;
  char *fixture = thaw_path_join(THAW_TEST_DATA, "keras3_flat.h5"), *path = thaw_path_join(folder, "saved.h5");
  char digest[THAW_DIGEST_TEXT], again[THAW_DIGEST_TEXT], with_head[THAW_DIGEST_TEXT];
  thaw_graph *graph = small_network(NULL), *copy = small_network(NULL);
  assert_thaw_ok(thaw_weights_load(graph, fixture, NULL, digest));
  for (int head = 0; head < 2; head++) {
    assert_thaw_ok(thaw_weights_save(graph, path, head));
    assert_thaw_ok(thaw_weights_load(copy, path, NULL, again));
    assert_string_equal(again, digest);
    thaw_h5 *h5;
    assert_thaw_ok(thaw_h5_open(path, &h5));
    assert_int_equal(thaw_h5_exists(h5, "/top/top/kernel:0"), head);
    thaw_h5_close(h5);
  }
  assert_thaw_ok(thaw_weights_export(graph, path, NULL));
  assert_thaw_ok(thaw_weights_load(copy, path, NULL, again));
  assert_string_equal(again, digest);
  assert_thaw_ok(thaw_weights_digest(graph, true, with_head));
  assert_string_not_equal(with_head, digest);
  thaw_graph_node(graph, 2)->layer.param[3].value[1] += 1; /* a moving variance counts */
  assert_thaw_ok(thaw_weights_digest(graph, false, again));
  assert_string_not_equal(again, digest);
  thaw_graph_destroy(graph);
  thaw_graph_destroy(copy);
  thaw_free(fixture);
  thaw_free(path);
}

static void description_is_a_table(void **state) {
  (void)state;
  handmade made = keras2;
  made.broken_weight = 3;
  made.bad_value = NAN;
  char *path = write_handmade("table.h5", &made);
  thaw_text text = {0};
  assert_thaw_ok(thaw_weights_describe(path, &text));
  assert_non_null(strstr(text.data, "Keras legacy HDF5 weights, 3 layers with weights, 168 parameters"));
  assert_non_null(strstr(text.data, "an unknown architecture, first layer 'first'"));
  assert_non_null(strstr(text.data, "first   first/kernel:0 "));
  assert_non_null(strstr(text.data, " (3, 3, 3, 4)  float32 "));
  assert_non_null(strstr(text.data, "1 values are not finite"));
  thaw_text_clear(&text);
  thaw_free(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_of_keras_3),
      cmocka_unit_test(bfloat16),
      cmocka_unit_test(unnamed_inception_v3),
      cmocka_unit_test(old_names_and_other_types),
      cmocka_unit_test(matched_by_order_and_by_number),
      cmocka_unit_test(first_generation_of_resnet50),
      cmocka_unit_test(unfit_files_are_refused),
      cmocka_unit_test(broken_files_are_refused),
      cmocka_unit_test(saved_files_load_again),
      cmocka_unit_test(description_is_a_table),
  };
  if (!mkdtemp(folder)) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  char *command = thaw_format("rm -rf '%s'", folder);
  if (system(command) != 0) failed++;
  thaw_free(command);
  return failed;
}
