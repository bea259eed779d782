/* Losses: gradients against central differences in double, values against closed forms, limits and edge cases. The
 * comparison with Keras' numbers is in test_loss_golden.c. */
#include "thaw_test.h"

#include "thaw/loss.h"
#include "thaw/memory.h"

enum { ROWS = 5, OUTPUTS = 4 };

static float uniform(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 8) * 0x1p-24f;
}

static void *defaults(const thaw_loss_ops *ops, double first_field) {
  double *config = thaw_new(1, ops->schema->size);
  assert_non_null(config);
  for (int32_t i = 0; i < ops->schema->count; i++)
    if (ops->schema->fields[i].kind == THAW_FIELD_FLOAT)
      memcpy((char *)config + ops->schema->fields[i].offset, &ops->schema->fields[i].fallback, sizeof(double));
  if (ops->schema->count) config[0] = first_field;
  return config;
}

static void softmax(const float *z, float *y, int32_t n) {
  double sum = 0;
  for (int32_t j = 0; j < n; j++) sum += exp(z[j]);
  for (int32_t j = 0; j < n; j++) y[j] = (float)(exp(z[j]) / sum);
}

static void fill_labels(const thaw_loss_ops *ops, float *label, uint32_t *state) {
  int32_t width = ops->label_width(OUTPUTS);
  for (int32_t i = 0; i < ROWS * width; i++) label[i] = uniform(state);
  if (width == 1)
    for (int32_t i = 0; i < ROWS; i++) label[i] = (float)(i % OUTPUTS);
  for (int32_t r = 0; width > 1 && ops->fused == THAW_SOFTMAX && r < ROWS; r++) {
    float sum = 0;
    for (int32_t j = 0; j < OUTPUTS; j++) sum += label[r * OUTPUTS + j];
    for (int32_t j = 0; j < OUTPUTS; j++) label[r * OUTPUTS + j] /= sum; /* soft labels that add up to 1 */
  }
}

static double total(const thaw_loss_ops *ops, const void *config, const float *label, const float *y, const float *z,
                    bool from_logits) {
  double value[ROWS], sum = 0;
  ops->evaluate(config, label, y, z, from_logits, ROWS, OUTPUTS, 1, value, NULL);
  for (int r = 0; r < ROWS; r++) sum += value[r];
  return sum;
}

/* dy of every output against (L(y+h) - L(y-h)) / 2h; the losses are evaluated in double, so h can be small. */
static void check_gradient(const thaw_loss_ops *ops, double option, bool from_logits) {
  uint32_t state = 7;
  float label[ROWS * OUTPUTS], y[ROWS * OUTPUTS], z[ROWS * OUTPUTS], dy[ROWS * OUTPUTS];
  void *config = defaults(ops, option);
  fill_labels(ops, label, &state);
  for (int i = 0; i < ROWS * OUTPUTS; i++) z[i] = 4 * uniform(&state) - 2, y[i] = 0.05f + 0.9f * uniform(&state);
  double value[ROWS], scale = 1.0 / 64;
  ops->evaluate(config, label, y, z, from_logits, ROWS, OUTPUTS, scale, value, dy);
  float *x = from_logits ? z : y;
  for (int i = 0; i < ROWS * OUTPUTS; i++) {
    float old = x[i], high = old + 0x1p-10f, low = old - 0x1p-10f;
    x[i] = high;
    double above = total(ops, config, label, y, z, from_logits);
    x[i] = low;
    double below = total(ops, config, label, y, z, from_logits);
    x[i] = old;
    double expected = (above - below) / ((double)high - low) * scale;
    assert_float_equal(dy[i], expected, 2e-5 * scale + 2e-3 * fabs(expected));
  }
  thaw_free(config);
}

static void test_gradients(void **context) {
  (void)context;
  for (const thaw_loss_ops *const *ops = thaw_losses; *ops; ops++) {
    if ((*ops)->probabilities || (*ops)->evaluate_batch) continue; /* test_metric_losses.c */
    bool huber = strcmp((*ops)->schema->name, "huber") == 0;
    check_gradient(*ops, huber ? 1 : 0, false);
    check_gradient(*ops, 0.1, false); /* label smoothing, or a huber delta between the errors */
    if ((*ops)->fused == THAW_LINEAR) continue;
    check_gradient(*ops, 0, true);
    check_gradient(*ops, 0.2, true);
  }
}

/* The loss from logits is the loss from probabilities, as long as nothing is clipped. */
static void test_logits_agree(void **context) {
  (void)context;
  const char *const names[] = {"categorical_crossentropy", "sparse_categorical_crossentropy"};
  for (int n = 0; n < 2; n++) {
    const thaw_loss_ops *ops = thaw_loss_find(names[n]);
    uint32_t state = 3;
    float label[ROWS * OUTPUTS], y[ROWS * OUTPUTS], z[ROWS * OUTPUTS];
    fill_labels(ops, label, &state);
    for (int i = 0; i < ROWS * OUTPUTS; i++) z[i] = 6 * uniform(&state) - 3;
    for (int r = 0; r < ROWS; r++) softmax(z + r * OUTPUTS, y + r * OUTPUTS, OUTPUTS);
    void *config = defaults(ops, 0);
    assert_float_equal(total(ops, config, label, y, NULL, false), total(ops, config, label, NULL, z, true), 1e-5);
    thaw_free(config);
  }
}

/* keras.losses' clipping: a certain and wrong answer costs -log(1e-7), and its gradient is cut off. */
static void test_clipping(void **context) {
  (void)context;
  const thaw_loss_ops *ops = thaw_loss_find("binary_crossentropy");
  void *config = defaults(ops, 0);
  float label = 1, y = 0, dy = 5, z = -200;
  double value;
  ops->evaluate(config, &label, &y, NULL, false, 1, 1, 1, &value, &dy);
  assert_float_equal(value, -log(1e-7f), 1e-12);
  assert_float_equal(dy, 0, 0);
  ops->evaluate(config, &label, NULL, &z, true, 1, 1, 1, &value, &dy);
  assert_float_equal(value, 200, 1e-12); /* from logits nothing is lost */
  assert_float_equal(dy, -1, 1e-7);
  thaw_free(config);
}

static void test_extreme_logits(void **context) {
  (void)context;
  const thaw_loss_ops *ops = thaw_loss_find("categorical_crossentropy");
  void *config = defaults(ops, 0);
  float label[3] = {0, 1, 0}, z[3] = {1000, -1000, 0}, dy[3];
  double value;
  ops->evaluate(config, label, NULL, z, true, 1, 3, 1, &value, dy);
  assert_float_equal(value, 2000, 1e-9);
  assert_float_equal(dy[0], 1, 0);
  assert_float_equal(dy[1], -1, 0);
  z[0] = NAN;
  ops->evaluate(config, label, NULL, z, true, 1, 3, 1, &value, dy);
  assert_true(isnan(value));
  thaw_free(config);
}

static void test_unknown_labels_are_left_out(void **context) {
  (void)context;
  const thaw_loss_ops *ops = thaw_loss_find("binary_crossentropy");
  void *config = defaults(ops, 0);
  float label[2] = {1, 255}, z[2] = {0.5f, 3}, dy[2];
  double value;
  ops->evaluate(config, label, NULL, z, true, 1, 2, 1, &value, dy);
  assert_float_equal(value, log1p(exp(-0.5)) / 2, 1e-12);
  assert_float_equal(dy[1], 0, 0);
  assert_true(dy[0] < 0);
  thaw_free(config);
}

static void test_class_outside_is_not_finite(void **context) {
  (void)context;
  const thaw_loss_ops *ops = thaw_loss_find("sparse_categorical_crossentropy");
  void *config = defaults(ops, 0);
  float label[2] = {3, -1}, z[6] = {0}, dy[6];
  double value[2];
  ops->evaluate(config, label, NULL, z, true, 2, 3, 1, value, dy);
  assert_true(isnan(value[0]) && isnan(value[1]) && isnan(dy[0]) && isnan(dy[5]));
  thaw_free(config);
}

static void test_one_hot(void **context) {
  (void)context;
  float label[3] = {2, 0, 1}, out[9], expected[9] = {0, 0, 1, 1, 0, 0, 0, 1, 0};
  thaw_one_hot(label, 3, 3, out);
  assert_memory_equal(out, expected, sizeof out);
}

static void test_registry(void **context) {
  (void)context;
  assert_null(thaw_loss_find("hinge"));
  thaw_schema_list list = thaw_loss_schemas();
  int32_t count = 0;
  for (; list.schemas[count]; count++) assert_ptr_equal(list.schemas[count], thaw_losses[count]->schema);
  assert_null(thaw_losses[count]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradients),
      cmocka_unit_test(test_logits_agree),
      cmocka_unit_test(test_clipping),
      cmocka_unit_test(test_extreme_logits),
      cmocka_unit_test(test_unknown_labels_are_left_out),
      cmocka_unit_test(test_class_outside_is_not_finite),
      cmocka_unit_test(test_one_hot),
      cmocka_unit_test(test_registry),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
