/* Layers of Keras models that no built-in network has: from their JSON, forward and backward, against Keras
 * (models/make_layers.py). */
#include "thaw_test.h"

#include "thaw/h5.h"
#include "thaw/memory.h"
#include "weights/weights_private.h"

enum { N = 3 };

typedef struct golden {
  thaw_h5 *file;
  const char *name;
  thaw_graph *graph;
} golden;

static float *read_floats(const golden *g, const char *what, size_t count) {
  char *path = thaw_format("/%s/%s", g->name, what);
  float *value = thaw_new(count, sizeof *value);
  assert_non_null(value);
  thaw_status status = thaw_h5_read(g->file, path, THAW_H5_F32, (int64_t)count, value);
  if (status != THAW_OK) fail_msg("%s: %s", g->name, thaw_message());
  thaw_free(path);
  return value;
}

/* Relative to the largest expected value. */
static void compare(const golden *g, const char *what, const float *found, size_t count) {
  float *expected = read_floats(g, what, count);
  double largest = 0, difference = thaw_test_max_difference(found, expected, count);
  for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)expected[i]));
  if (!(difference <= 3e-6 * fmax(largest, 1e-3)))
    fail_msg("%s/%s: differs by %g of %g", g->name, what, difference, largest);
  thaw_free(expected);
}

static thaw_layer *layer_of(const golden *g) {
  return &thaw_graph_node(g->graph, thaw_graph_count(g->graph) - 1)->layer;
}

/* Keras calls the kernel of DepthwiseConv2D plainly "kernel". */
static const char *variable_of(const thaw_layer *layer, const char *param) {
  return layer->ops == &thaw_layer_depthwise_conv2d && strcmp(param, "depthwise_kernel") == 0 ? "kernel" : param;
}

static void read_graph(golden *g) {
  char *text, *group = thaw_format("/%s", g->name);
  assert_thaw_ok(thaw_h5_get_text(g->file, group, "model", &text));
  if (thaw_weight_parse_model(g->name, text, strlen(text), NULL, NULL, &g->graph) != THAW_OK)
    fail_msg("%s", thaw_message());
  assert_thaw_ok(thaw_graph_bind(g->graph));
  thaw_layer *layer = layer_of(g);
  for (int32_t p = 0; p < layer->params; p++) {
    size_t count = thaw_param_count(&layer->param[p]);
    float *value = read_floats(g, variable_of(layer, layer->param[p].name), count);
    memcpy(layer->param[p].value, value, count * sizeof *value);
    thaw_free(value);
  }
  thaw_free(text);
  thaw_free(group);
}

/* What the layer computes as a frozen one, fused and not. */
static void check_frozen(const golden *g, const thaw_graph *graph, const float *x) {
  const thaw_isa *isa;
  int32_t last = thaw_graph_count(graph) - 1;
  size_t count = N * thaw_shape_count(thaw_graph_view(graph, last)->layer.output);
  float *y = thaw_new(count, sizeof *y);
  assert_non_null(y);
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  for (int plain = 0; plain < 2; plain++) {
    thaw_plan *plan;
    thaw_plan_options options = {.batch = N, .threads = 1, .no_fusion = plain};
    assert_thaw_ok(thaw_plan_create(graph, &last, 1, isa, &options, &plan));
    void *packed = thaw_new(thaw_plan_packed_bytes(plan) + 1, 1);
    assert_non_null(packed);
    assert_thaw_ok(thaw_plan_pack(plan, packed));
    thaw_plan_use(plan, packed);
    thaw_plan_run(plan, x, N, y);
    compare(g, "y", y, count);
    thaw_plan_destroy(plan);
    thaw_free(packed);
  }
  thaw_free(y);
}

static void check_gradients(const golden *g, const thaw_layer *layer, thaw_layer_io *io) {
  size_t in = N * thaw_shape_count(layer->input[0]), out = N * thaw_shape_count(layer->output);
  float *dy = read_floats(g, "dy", out), *dx = thaw_new(in, sizeof *dx), *gradient[THAW_MAX_PARAMS] = {0};
  for (int32_t p = 0; p < layer->params; p++)
    gradient[p] = thaw_new(thaw_param_count(&layer->param[p]), sizeof **gradient);
  assert_non_null(dx);
  if (layer->ops->activation_backward) layer->ops->activation_backward(layer, io, dy);
  layer->ops->backward(layer, io, dy, &dx, gradient);
  compare(g, "dx", dx, in);
  for (int32_t p = 0; p < layer->params; p++) {
    char name[64];
    snprintf(name, sizeof name, "d_%s", variable_of(layer, layer->param[p].name));
    compare(g, name, gradient[p], thaw_param_count(&layer->param[p]));
    thaw_free(gradient[p]);
  }
  thaw_free(dy);
  thaw_free(dx);
}

/* As a live one: forward, keeping what backward needs, and backward. */
static void check_live(const golden *g, const float *x) {
  const thaw_layer *layer = layer_of(g);
  const thaw_layer_ops *ops = layer->ops;
  const thaw_isa *isa;
  thaw_arena *arena = thaw_arena_create();
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  thaw_layer_io io = {.x = &x, .n = N, .training = true, .isa = isa};
  size_t saved = ops->saved_bytes ? N * ops->saved_bytes(layer) : 0, block = 0;
  io.y = thaw_arena_new(arena, N * thaw_shape_count(layer->output), sizeof *io.y);
  io.saved = saved ? thaw_arena_new(arena, saved, 1) : NULL;
  io.scratch = thaw_arena_new(arena, ops->scratch_bytes ? ops->scratch_bytes(layer, isa, N) + 1 : 1, 1);
  if (ops->workspace_create) assert_thaw_ok(ops->workspace_create(layer, isa, arena, true, &io.workspace));
  if (io.workspace) block = ops->workspace_bytes(io.workspace);
  void *memory = thaw_arena_new(arena, block + 1, 1);
  if (io.workspace) ops->workspace_refresh(layer, io.workspace, false, memory);
  ops->forward(layer, &io);
  compare(g, "y", io.y, N * thaw_shape_count(layer->output));
  if (io.workspace) ops->workspace_refresh(layer, io.workspace, true, memory);
  check_gradients(g, layer, &io);
  if (io.workspace && ops->workspace_destroy) ops->workspace_destroy(io.workspace);
  thaw_arena_destroy(arena);
}

/* What is written is read as the same layer: its values are those of the first. */
static void check_written(const golden *g, const float *x) {
  thaw_text text = {0};
  thaw_graph *again;
  assert_thaw_ok(thaw_weight_model_config(g->graph, "again", &text));
  assert_thaw_ok(thaw_weight_parse_model("again", text.data, strlen(text.data), NULL, NULL, &again));
  assert_thaw_ok(thaw_graph_bind(again));
  const thaw_layer *from = layer_of(g);
  thaw_layer *to = &thaw_graph_node(again, thaw_graph_count(again) - 1)->layer;
  assert_ptr_equal(from->ops, to->ops);
  assert_int_equal(from->params, to->params);
  for (int32_t p = 0; p < to->params; p++) {
    assert_int_equal(thaw_param_count(&from->param[p]), thaw_param_count(&to->param[p]));
    memcpy(to->param[p].value, from->param[p].value, thaw_param_count(&to->param[p]) * sizeof(float));
  }
  check_frozen(g, again, x);
  thaw_graph_destroy(again);
  thaw_text_clear(&text);
}

static void test_layers(void **state) {
  (void)state;
  golden g = {0};
  thaw_strings names = {0};
  assert_thaw_ok(thaw_h5_open(THAW_TEST_DATA "/models/layers.h5", &g.file));
  assert_thaw_ok(thaw_h5_list(g.file, "/", &names));
  assert_true(names.count > 30);
  for (size_t i = 0; i < names.count; i++) {
    g.name = names.item[i];
    read_graph(&g);
    float *x = read_floats(&g, "x", N * thaw_shape_count(thaw_graph_view(g.graph, 0)->layer.output));
    check_frozen(&g, g.graph, x);
    check_live(&g, x);
    check_written(&g, x);
    thaw_free(x);
    thaw_graph_destroy(g.graph);
    g.graph = NULL;
  }
  thaw_strings_clear(&names);
  thaw_h5_close(g.file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
