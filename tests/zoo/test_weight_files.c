/* Weight files that do not fit a network as they are, against Keras: the first generation of ResNet50 as a whole, and
 * three-channel weights for images of other channels (golden/make_weight_files.py). */
#include "golden_network.h"

#include "thaw/h5.h"
#include "thaw/memory.h"
#include "weights/weights_private.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/thaw-weight-files-XXXXXX";

/* ------------------------------------------------------------------ the first generation of ResNet50 */

static const char *old_name(const char *name, char out[64]) {
  int stage, block;
  if (thaw_weight_old_resnet_name(name, out)) return out;
  if (sscanf(name, "conv%d_block%d_out", &stage, &block) != 2 || !strstr(name, "_out")) return name;
  snprintf(out, 64, "out%d%c", stage, 'a' + block - 1);
  return out;
}

/* "res2a_branch2a_W:0", as Keras 1 wrote it. */
static char *old_variable(const char *layer, const char *param) {
  static const char *const known[][2] = {
      {"kernel", "W"}, {"bias", "b"}, {"moving_mean", "running_mean"}, {"moving_variance", "running_std"}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strcmp(param, known[i][0]) == 0) param = known[i][1];
  return thaw_format("%s_%s:0", layer, param);
}

static void write_old_layer(thaw_h5 *h5, const thaw_layer *layer, const char *name) {
  char *group = thaw_format("/%s", name);
  thaw_strings variables = {0};
  assert_thaw_ok(thaw_h5_create_group(h5, group));
  for (int32_t p = 0; p < layer->params; p++) {
    const thaw_param *param = &layer->param[p];
    char *variable = old_variable(name, param->name), *dataset = thaw_format("%s/%s", group, variable);
    thaw_h5_layout layout = {.type = THAW_H5_F32, .rank = param->rank};
    for (int i = 0; i < param->rank; i++) layout.dim[i] = param->dim[i];
    assert_thaw_ok(thaw_h5_write(h5, dataset, &layout, param->value));
    assert_thaw_ok(thaw_strings_add(&variables, variable));
    thaw_free(variable);
    thaw_free(dataset);
  }
  assert_thaw_ok(thaw_h5_set_strings(h5, group, "weight_names", &variables));
  thaw_strings_clear(&variables);
  thaw_free(group);
}

static int compare_texts(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Layers in an order that is neither the network's nor Keras': only names can tell. */
static char *write_old_file(const thaw_graph *graph) {
  char *path = thaw_path_join(folder, "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5");
  thaw_h5 *h5;
  thaw_strings layers = {0};
  assert_thaw_ok(thaw_h5_create(path, &h5));
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    const thaw_layer *layer = &thaw_graph_view(graph, i)->layer;
    char made[64];
    if (layer->params == 0) continue;
    const char *name = old_name(layer->name, made);
    write_old_layer(h5, layer, name);
    assert_thaw_ok(thaw_strings_add(&layers, name));
  }
  qsort(layers.item, layers.count, sizeof *layers.item, compare_texts);
  assert_thaw_ok(thaw_h5_set_strings(h5, "/", "layer_names", &layers));
  assert_thaw_ok(thaw_h5_commit(h5));
  thaw_strings_clear(&layers);
  return path;
}

static thaw_graph *build(const golden_network *e, int32_t channels) {
  thaw_graph *graph;
  int32_t last;
  assert_thaw_ok(
      thaw_zoo_build(e->name, (thaw_shape){.rank = 3, .h = e->h, .w = e->w, .c = channels}, NULL, &graph, &last));
  assert_thaw_ok(thaw_graph_bind(graph));
  return graph;
}

static void compare(const golden_network *e, thaw_graph *graph, const char *path, int32_t channels, golden_name *name) {
  char digest[65];
  assert_thaw_ok(thaw_weights_load(graph, path, NULL, digest));
  assert_int_equal(thaw_graph_param_count(graph, false), e->parameters);
  float *x = golden_image(e, channels);
  golden_compare(e, graph, x, 0, name);
  golden_compare(e, graph, x, e->count - 1, name);
  thaw_free(x);
  thaw_graph_destroy(graph);
}

static void check_old(const golden_network *e) {
  thaw_graph *graph = build(e, 3);
  golden_fill(graph, old_name);
  char *path = write_old_file(graph);
  thaw_graph_destroy(graph);
  compare(e, build(e, 3), path, 3, old_name);
  assert_int_equal(unlink(path), 0);
  thaw_free(path);
}

/* ------------------------------------------------------------------ other numbers of channels */

static void check_channels(const golden_network *e) {
  thaw_graph *graph = build(e, 3);
  char *path = thaw_path_join(folder, "colours.h5");
  golden_fill(graph, NULL);
  assert_thaw_ok(thaw_weights_save(graph, path, false));
  thaw_graph_destroy(graph);
  compare(e, build(e, e->a), path, e->a, NULL);
  assert_int_equal(unlink(path), 0);
  thaw_free(path);
}

/* A line's `a` is the number of channels; those with three are of the first generation. */
static void check(const golden_network *e) {
  if (e->a == 3)
    check_old(e);
  else
    check_channels(e);
}

static void test_golden(void **state) {
  (void)state;
  assert_int_equal(golden_each(THAW_TEST_DATA "/golden/weight_files.txt", check), 9);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_golden),
  };
  if (!mkdtemp(folder)) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  rmdir(folder);
  return failed;
}
