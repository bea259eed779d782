/* Optimisers against Keras, step by step over ten steps, and their slots after the last (tests/golden/README.md). */
#include "thaw_test.h"

#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/optim.h"

#include <ctype.h>

enum { STEPS = 10, MOST = 12 };
static const char *const path = THAW_TEST_DATA "/../golden/optimizers.h5";

/* Keras' power and square root of TensorFlow may differ from the C library's in the last bit; the bias correction
 * 1 - beta^t loses up to three digits to it in the first steps, on an update that is small beside the parameter. */
static const double tolerance = 1e-6;

static void read_rows(thaw_h5 *file, const char *group, const char *name, int64_t first, int64_t rows, float *out) {
  char *object = thaw_format("/%s/%s", group, name);
  assert_non_null(object);
  assert_thaw_ok(thaw_h5_read_rows(file, object, THAW_H5_F32, first, rows, out));
  thaw_free(object);
}

/* The schema's defaults, overridden by the attributes of the case. */
static void *read_config(thaw_h5 *file, const char *name, const thaw_optim_ops *ops) {
  char *config = thaw_new(1, ops->schema->size), *group = thaw_format("/%s", name);
  assert_true(config && group);
  for (int32_t i = 0; i < ops->schema->count; i++) {
    const thaw_field *field = &ops->schema->fields[i];
    double value = field->fallback;
    if (thaw_h5_has_attribute(file, group, field->name))
      assert_thaw_ok(thaw_h5_get_double(file, group, field->name, &value));
    if (field->kind == THAW_FIELD_BOOL)
      *(bool *)(config + field->offset) = value != 0;
    else
      *(double *)(config + field->offset) = value;
  }
  thaw_free(group);
  return config;
}

static const thaw_optim_ops *read_ops(thaw_h5 *file, const char *name) {
  char *group = thaw_format("/%s", name), *class = NULL;
  assert_thaw_ok(thaw_h5_get_text(file, group, "class", &class));
  for (char *at = class; *at; at++) *at = (char)tolower(*at);
  const thaw_optim_ops *ops = thaw_optim_find(class);
  if (!ops) fail_msg("%s: no optimizer %s", name, class);
  thaw_free(group), thaw_free(class);
  return ops;
}

static void compare(const char *name, const char *what, int step, const float *got, const float *expected, size_t n,
                    double least) {
  for (size_t i = 0; i < n; i++) {
    double scale = fmax(fabs(expected[i]), least);
    if (!(fabs((double)got[i] - expected[i]) <= tolerance * scale))
      fail_msg("%s: %s[%zu] after step %d is %.9g, Keras has %.9g", name, what, i, step, (double)got[i],
               (double)expected[i]);
  }
}

static void check_slots(thaw_h5 *file, const char *name, const char *tensor, const thaw_optim_ops *ops,
                        const void *config, float (*slot)[MOST], size_t n) {
  for (int32_t s = 0; s < ops->slots(config); s++) {
    const char *slot_name = ops->slot_name(config, s);
    char *object = thaw_format("/%s/slots/%s_%s", name, tensor, slot_name);
    float expected[MOST];
    assert_thaw_ok(thaw_h5_read(file, object, THAW_H5_F32, (int64_t)n, expected));
    compare(name, slot_name, STEPS, slot[s], expected, n, 1e-2);
    thaw_free(object);
  }
}

static void check_tensor(thaw_h5 *file, const char *name, const char *tensor, size_t n) {
  const thaw_optim_ops *ops = read_ops(file, name);
  void *config = read_config(file, name, ops);
  float value[MOST], gradient[MOST], expected[MOST], slot[THAW_MAX_SLOTS][MOST] = {{0}};
  float *const slots[THAW_MAX_SLOTS] = {slot[0], slot[1], slot[2]};
  read_rows(file, name, tensor, 0, 1, value);
  for (int step = 1; step <= STEPS; step++) {
    read_rows(file, "gradients", tensor, step - 1, 1, gradient);
    read_rows(file, name, tensor, step, 1, expected);
    ops->update(config, thaw_optim_learning_rate(config), step, value, gradient, slots, n);
    compare(name, tensor, step, value, expected, n, 1e-2);
  }
  check_slots(file, name, tensor, ops, config, slot, n);
  thaw_free(config);
}

/* Kernel and bias together, because the global norm joins them. */
static void check_clipping(thaw_h5 *file, const char *name, double least) {
  static const char *const tensor[2] = {"kernel", "bias"};
  static const size_t n[2] = {12, 4};
  const thaw_optim_ops *ops = read_ops(file, name);
  void *config = read_config(file, name, ops);
  float value[2][MOST], gradient[2][MOST], expected[MOST], slot[2][THAW_MAX_SLOTS][MOST] = {{{0}}};
  for (int t = 0; t < 2; t++) read_rows(file, name, tensor[t], 0, 1, value[t]);
  for (int step = 1; step <= STEPS; step++) {
    double square_sum = 0;
    for (int t = 0; t < 2; t++) {
      read_rows(file, "gradients", tensor[t], step - 1, 1, gradient[t]);
      square_sum += thaw_square_sum(gradient[t], n[t]);
    }
    for (int t = 0; t < 2; t++) {
      float *const slots[THAW_MAX_SLOTS] = {slot[t][0], slot[t][1], slot[t][2]};
      read_rows(file, name, tensor[t], step, 1, expected);
      thaw_optim_clip(config, square_sum, gradient[t], n[t]);
      ops->update(config, thaw_optim_learning_rate(config), step, value[t], gradient[t], slots, n[t]);
      compare(name, tensor[t], step, value[t], expected, n[t], least);
    }
  }
  thaw_free(config);
}

/* LAMB against Keras (its norms are sums in float32, which reach all elements); with its decay, and LARS, against the
 * papers' formulas in NumPy. */
static void test_large_batch(void **context) {
  (void)context;
  static const char *const cases[] = {"lamb", "lamb_betas", "lamb_decay", "lars", "lars_decay"};
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_open(THAW_TEST_DATA "/../golden/large_batch.h5", &file));
  for (int i = 0; i < 5; i++) check_clipping(file, cases[i], 0.1);
  thaw_h5_close(file);
}

/* Biases move as with plain momentum or Adam, and are not decayed, unless adapt_vectors is set. */
static void test_vectors(void **context) {
  (void)context;
  for (int i = 0; i < 2; i++) {
    const thaw_optim_ops *ops = thaw_optim_find(i ? "lamb" : "lars"), *plain = thaw_optim_find(i ? "adam" : "sgd");
    thaw_arena *arena = thaw_arena_create();
    char *config = thaw_schema_defaults(ops->schema, arena), *other = thaw_schema_defaults(plain->schema, arena);
    assert_true(config && other);
    float a[4] = {1, -2, 3, 0}, b[4] = {1, -2, 3, 0}, slot[4][4] = {{0}};
    for (int32_t f = 0; f < ops->schema->count; f++)
      if (strcmp(ops->schema->fields[f].name, "weight_decay") == 0)
        *(double *)(config + ops->schema->fields[f].offset) = 0.5;
    for (int32_t f = 0; f < plain->schema->count; f++)
      if (i == 0 && strcmp(plain->schema->fields[f].name, "momentum") == 0)
        *(double *)(other + plain->schema->fields[f].offset) = 0.9;
    for (int step = 1; step <= 5; step++) {
      const float gradient[4] = {0.5f * (float)step, -1, 0.25f, 2};
      ops->update_vector(config, 0.01, step, a, gradient, (float *const[]){slot[0], slot[1]}, 4);
      plain->update(other, 0.01, step, b, gradient, (float *const[]){slot[2], slot[3]}, 4);
    }
    assert_true(thaw_test_max_difference(a, b, 4) < 1e-6);
    thaw_arena_destroy(arena);
  }
}

static void test_clipping(void **context) {
  (void)context;
  static const char *const cases[] = {"clipnorm", "clipvalue", "global_clipnorm", "adam_global_clipnorm"};
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_open(THAW_TEST_DATA "/../golden/clipping.h5", &file));
  for (int i = 0; i < 4; i++) check_clipping(file, cases[i], 1e-2);
  thaw_h5_close(file);
}

static void test_all_cases(void **context) {
  (void)context;
  thaw_h5 *file;
  thaw_strings names = {0};
  assert_thaw_ok(thaw_h5_open(path, &file));
  assert_thaw_ok(thaw_h5_list(file, "/", &names));
  assert_true(names.count >= 19);
  for (size_t i = 0; i < names.count; i++) {
    if (strcmp(names.item[i], "gradients") == 0) continue;
    check_tensor(file, names.item[i], "kernel", 12);
    if (strcmp(names.item[i], "adamw_bias_exempt") != 0) check_tensor(file, names.item[i], "bias", 4);
  }
  thaw_strings_clear(&names);
  thaw_h5_close(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_cases), cmocka_unit_test(test_clipping),
                                     cmocka_unit_test(test_large_batch), cmocka_unit_test(test_vectors)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
