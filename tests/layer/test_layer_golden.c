/* Every layer's forward, backward and statistics against numbers that Keras computed (tests/golden/README.md). */
#include "thaw_test.h"

#include "thaw/h5.h"
#include "thaw/layer.h"
#include "thaw/memory.h"

enum { MAX_BATCH = 64 };

typedef struct golden_case {
  thaw_h5 *file;
  char group[128];
  thaw_arena *arena;
  thaw_layer layer;
  int32_t n;
  float *x[2], *y, *dy;
} golden_case;

static const char *object(const golden_case *c, const char *name, char out[256]) {
  snprintf(out, 256, "/%s/%s", c->group, name);
  return out;
}

static bool has(const golden_case *c, const char *name) {
  char path[256];
  return thaw_h5_exists(c->file, object(c, name, path));
}

static float *read_floats(const golden_case *c, const char *name, int64_t *count_out) {
  char path[256];
  thaw_h5_info info;
  object(c, name, path);
  assert_thaw_ok(thaw_h5_describe(c->file, path, &info));
  float *data = thaw_arena_new(c->arena, (size_t)info.count, sizeof(float));
  assert_thaw_ok(thaw_h5_read(c->file, path, THAW_H5_F32, info.count, data));
  if (count_out) *count_out = info.count;
  return data;
}

static thaw_shape shape_of(const golden_case *c, const char *name, int32_t *n) {
  char path[256];
  thaw_h5_info info;
  assert_thaw_ok(thaw_h5_describe(c->file, object(c, name, path), &info));
  *n = (int32_t)info.dim[0];
  if (info.rank == 2) return (thaw_shape){.rank = 1, .h = 1, .w = 1, .c = (int32_t)info.dim[1]};
  return (thaw_shape){.rank = 3, .h = (int32_t)info.dim[1], .w = (int32_t)info.dim[2], .c = (int32_t)info.dim[3]};
}

static int32_t int_of(const golden_case *c, const char *name, int32_t fallback) {
  char path[256];
  int64_t value = fallback;
  snprintf(path, sizeof path, "/%s", c->group);
  if (thaw_h5_has_attribute(c->file, path, name)) assert_thaw_ok(thaw_h5_get_int(c->file, path, name, &value));
  return (int32_t)value;
}

static double double_of(const golden_case *c, const char *name, double fallback) {
  char path[256];
  snprintf(path, sizeof path, "/%s", c->group);
  if (thaw_h5_has_attribute(c->file, path, name)) assert_thaw_ok(thaw_h5_get_double(c->file, path, name, &fallback));
  return fallback;
}

/* The index of a text attribute in a NULL-terminated list; 0 when it is absent. */
static int32_t choice_of(const golden_case *c, const char *name, const char *const *choices) {
  char path[256], *text;
  snprintf(path, sizeof path, "/%s", c->group);
  if (!thaw_h5_has_attribute(c->file, path, name)) return 0;
  assert_thaw_ok(thaw_h5_get_text(c->file, path, name, &text));
  int32_t found = -1;
  for (int32_t i = 0; choices[i]; i++)
    if (strcmp(text, choices[i]) == 0) found = i;
  if (strcmp(text, "silu") == 0) found = THAW_SWISH;
  if (found < 0) fail_msg("%s: %s is '%s'", c->group, name, text);
  thaw_free(text);
  return found;
}

static const char *const padding_names[] = {"valid", "same", NULL};

static void *make_config(const golden_case *c, const thaw_layer_ops *ops) {
  void *config = thaw_arena_new(c->arena, 1, ops->schema->size + 1);
  if (ops == &thaw_layer_conv2d || ops == &thaw_layer_depthwise_conv2d) {
    char path[256];
    thaw_h5_info info;
    assert_thaw_ok(thaw_h5_describe(c->file, object(c, "kernel", path), &info));
    *(thaw_conv2d_config *)config =
        (thaw_conv2d_config){.filters = (int32_t)info.dim[3],
                             .kernel_h = (int32_t)info.dim[0],
                             .kernel_w = (int32_t)info.dim[1],
                             .stride_h = int_of(c, "stride_h", 1),
                             .stride_w = int_of(c, "stride_w", 1),
                             .padding = choice_of(c, "padding", padding_names),
                             .activation = choice_of(c, "activation", thaw_activation_names),
                             .use_bias = has(c, "bias")};
  } else if (ops == &thaw_layer_separable_conv2d) {
    char path[256];
    thaw_h5_info info;
    int32_t n;
    assert_thaw_ok(thaw_h5_describe(c->file, object(c, "depthwise_kernel", path), &info));
    *(thaw_conv2d_config *)config =
        (thaw_conv2d_config){.filters = shape_of(c, "y", &n).c,
                             .kernel_h = (int32_t)info.dim[0],
                             .kernel_w = (int32_t)info.dim[1],
                             .stride_h = int_of(c, "stride_h", 1),
                             .stride_w = int_of(c, "stride_w", 1),
                             .padding = choice_of(c, "padding", padding_names),
                             .activation = choice_of(c, "activation", thaw_activation_names),
                             .use_bias = has(c, "bias")};
  } else if (ops == &thaw_layer_reshape) {
    ((thaw_reshape_config *)config)->target = (thaw_shape){3, int_of(c, "h", 0), int_of(c, "w", 0), int_of(c, "c", 0)};
  } else if (ops == &thaw_layer_rescaling) {
    *(thaw_rescaling_config *)config = (thaw_rescaling_config){
        .scale = {double_of(c, "scale", 1)}, .offset = {double_of(c, "offset", 0)}, .scales = 1, .offsets = 1};
  } else if (ops == &thaw_layer_global_average_pooling) {
    ((thaw_global_pool_config *)config)->keepdims = int_of(c, "keepdims", 0) != 0;
  } else if (ops == &thaw_layer_max_pooling || ops == &thaw_layer_average_pooling) {
    *(thaw_pool2d_config *)config = (thaw_pool2d_config){.pool_h = int_of(c, "pool_h", 2),
                                                         .pool_w = int_of(c, "pool_w", 2),
                                                         .stride_h = int_of(c, "stride_h", 0),
                                                         .stride_w = int_of(c, "stride_w", 0),
                                                         .padding = choice_of(c, "padding", padding_names)};
  } else if (ops == &thaw_layer_dense) {
    int32_t n;
    *(thaw_dense_config *)config = (thaw_dense_config){.units = shape_of(c, "y", &n).c,
                                                       .activation = choice_of(c, "activation", thaw_activation_names),
                                                       .use_bias = has(c, "bias")};
  } else if (ops == &thaw_layer_batch_normalization) {
    *(thaw_batch_norm_config *)config = (thaw_batch_norm_config){.momentum = double_of(c, "momentum", 0.99),
                                                                 .epsilon = double_of(c, "epsilon", 1e-3),
                                                                 .center = has(c, "beta"),
                                                                 .scale = has(c, "gamma")};
  } else if (ops == &thaw_layer_zero_padding) {
    *(thaw_padding2d_config *)config = (thaw_padding2d_config){.top = int_of(c, "top", 0),
                                                               .bottom = int_of(c, "bottom", 0),
                                                               .left = int_of(c, "left", 0),
                                                               .right = int_of(c, "right", 0)};
  } else if (ops == &thaw_layer_cosine_dense) {
    int32_t n;
    ((thaw_cosine_dense_config *)config)->units = shape_of(c, "y", &n).c;
  } else if (ops == &thaw_layer_activation) {
    ((thaw_activation_config *)config)->activation = choice_of(c, "activation", thaw_activation_names);
  }
  return config;
}

/* Keras calls the kernel of DepthwiseConv2D plainly "kernel". */
static const char *file_name_of(const golden_case *c, const char *param) {
  bool plain = c->layer.ops == &thaw_layer_depthwise_conv2d && strcmp(param, "depthwise_kernel") == 0;
  return plain ? "kernel" : param;
}

static void load(golden_case *c) {
  char path[256], *class_name;
  snprintf(path, sizeof path, "/%s", c->group);
  assert_thaw_ok(thaw_h5_get_text(c->file, path, "class", &class_name));
  const thaw_layer_ops *ops = thaw_layer_find_keras(class_name);
  if (!ops) fail_msg("%s: unknown class %s", c->group, class_name);
  thaw_free(class_name);
  c->layer = (thaw_layer){.ops = ops, .name = c->group, .config = make_config(c, ops)};
  c->layer.inputs = has(c, "x") ? 1 : 2;
  for (int32_t j = 0; j < c->layer.inputs; j++) {
    char name[16];
    snprintf(name, sizeof name, c->layer.inputs == 1 ? "x" : "x_%d", j);
    c->layer.input[j] = shape_of(c, name, &c->n);
    c->x[j] = read_floats(c, name, NULL);
  }
  assert_thaw_ok(ops->infer(&c->layer, c->layer.input, c->layer.inputs, &c->layer.output));
  for (int32_t p = 0; p < c->layer.params; p++) {
    const char *name = c->layer.param[p].name;
    int64_t count;
    c->layer.param[p].value = read_floats(c, file_name_of(c, name), &count);
    assert_int_equal(count, thaw_param_count(&c->layer.param[p]));
  }
  c->dy = read_floats(c, "dy", NULL);
}

/* Differences relative to the largest expected value. */
static void compare(const golden_case *c, const char *name, const float *found) {
  int64_t count;
  float *expected = read_floats(c, name, &count);
  double largest = 0, difference = thaw_test_max_difference(found, expected, (size_t)count);
  for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)expected[i]));
  if (!(difference <= 3e-6 * fmax(largest, 1e-3)))
    fail_msg("%s/%s: largest difference %g of %g", c->group, name, difference, largest);
}

/* The sums of a batch-coupled layer, made slice by slice of three samples. */
static void add_sums(const golden_case *c, const thaw_layer_io *io, const float *dy, double *sums) {
  size_t in = thaw_shape_count(c->layer.input[0]), out = thaw_shape_count(c->layer.output);
  for (int32_t first = 0; first < c->n; first += 3) {
    const float *x = c->x[0] + (size_t)first * in;
    thaw_layer_io slice = *io;
    slice.x = &x;
    slice.n = c->n - first < 3 ? c->n - first : 3;
    if (dy)
      c->layer.ops->add_backward_sums(&c->layer, &slice, dy + (size_t)first * out, sums);
    else
      c->layer.ops->add_forward_sums(&c->layer, &slice, sums);
  }
}

static void check_backward(golden_case *c, thaw_layer_io *io) {
  float *dx[2], *gradient[THAW_MAX_PARAMS] = {0};
  for (int32_t j = 0; j < c->layer.inputs; j++)
    dx[j] = thaw_arena_new(c->arena, (size_t)c->n * thaw_shape_count(c->layer.input[j]), sizeof(float));
  for (int32_t p = 0; p < c->layer.params; p++)
    if (c->layer.param[p].flags & THAW_PARAM_TRAINABLE)
      gradient[p] = thaw_arena_new(c->arena, thaw_param_count(&c->layer.param[p]), sizeof(float));
  if (c->layer.ops->activation_backward) c->layer.ops->activation_backward(&c->layer, io, c->dy);
  c->layer.ops->backward(&c->layer, io, c->dy, dx, gradient);
  if (c->layer.inputs == 1) compare(c, "dx", dx[0]);
  if (c->layer.inputs == 2) {
    compare(c, "dx_0", dx[0]);
    compare(c, "dx_1", dx[1]);
  }
  for (int32_t p = 0; p < c->layer.params; p++) {
    char name[64];
    const char *param = c->layer.param[p].name;
    snprintf(name, sizeof name, "d_%s", file_name_of(c, param));
    if (gradient[p]) compare(c, name, gradient[p]);
  }
}

static void check_case(golden_case *c, const thaw_isa *isa) {
  load(c);
  const thaw_layer_ops *ops = c->layer.ops;
  size_t saved = ops->saved_bytes ? ops->saved_bytes(&c->layer) : 0;
  size_t scratch = ops->scratch_bytes ? ops->scratch_bytes(&c->layer, isa, c->n) : 0;
  double forward_sums[64] = {0}, backward_sums[64] = {0};
  thaw_layer_io io = {.x = (const float *const *)c->x,
                      .y = thaw_arena_new(c->arena, (size_t)c->n * thaw_shape_count(c->layer.output), sizeof(float)),
                      .saved = thaw_arena_new(c->arena, (size_t)c->n, saved),
                      .scratch = thaw_arena_new(c->arena, scratch, 1),
                      .n = c->n,
                      .training = int_of(c, "training", 0) != 0,
                      .batch = c->n,
                      .isa = isa};
  bool coupled = ops->forward_sums && io.training;
  if (coupled) {
    io.statistics = forward_sums;
    add_sums(c, &io, NULL, forward_sums);
  }
  ops->forward(&c->layer, &io);
  compare(c, "y", io.y);
  if (coupled) {
    io.backward_statistics = backward_sums;
    add_sums(c, &io, c->dy, backward_sums);
  }
  check_backward(c, &io);
  if (coupled && has(c, "moving_mean_after")) {
    ops->update_statistics(&c->layer, forward_sums, c->n);
    compare(c, "moving_mean_after", c->layer.param[c->layer.params - 2].value);
    compare(c, "moving_variance_after", c->layer.param[c->layer.params - 1].value);
  }
}

static void check_file(const char *path, int32_t at_least) {
  const thaw_isa *isa;
  thaw_h5 *file;
  thaw_strings groups = {0};
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_h5_open(path, &file));
  assert_thaw_ok(thaw_h5_list(file, "/", &groups));
  assert_true((int32_t)groups.count >= at_least);
  for (size_t i = 0; i < groups.count; i++) {
    golden_case c = {.file = file, .arena = thaw_arena_create()};
    snprintf(c.group, sizeof c.group, "%s", groups.item[i]);
    check_case(&c, isa);
    thaw_arena_destroy(c.arena);
  }
  thaw_strings_clear(&groups);
  thaw_h5_close(file);
}

static void test_layers(void **state) {
  (void)state;
  check_file(THAW_TEST_DATA "/../golden/layers.h5", 40);
}

static void test_convolutions(void **state) {
  (void)state;
  check_file(THAW_TEST_DATA "/../golden/convolutions.h5", 10);
}

static void test_layers_of_backbones(void **state) {
  (void)state;
  check_file(THAW_TEST_DATA "/../golden/backbone_layers.h5", 11);
}

static void test_layers_of_embeddings(void **state) {
  (void)state;
  check_file(THAW_TEST_DATA "/../golden/metric_layers.h5", 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layers),
      cmocka_unit_test(test_convolutions),
      cmocka_unit_test(test_layers_of_backbones),
      cmocka_unit_test(test_layers_of_embeddings),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
