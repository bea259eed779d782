/* Margin and triplet losses: values and gradients against PyTorch's and TensorFlow's numbers
 * (tests/golden/make_metric_learning.py), gradients against central differences, and what batches without triplets do.
 */
#include "thaw_test.h"

#include "thaw/h5.h"
#include "thaw/loss.h"
#include "thaw/memory.h"

static const char *const path = THAW_TEST_DATA "/../golden/metric_losses.h5";

static double attribute(thaw_h5 *file, const char *group, const char *name) {
  double value = 0;
  if (thaw_h5_has_attribute(file, group, name)) assert_thaw_ok(thaw_h5_get_double(file, group, name, &value));
  return value;
}

static float *read_floats(thaw_h5 *file, const char *group, const char *dataset, thaw_h5_info *info) {
  char *object = thaw_format("%s/%s", group, dataset);
  assert_thaw_ok(thaw_h5_describe(file, object, info));
  float *out = thaw_new((size_t)info->count, sizeof *out);
  assert_thaw_ok(thaw_h5_read(file, object, THAW_H5_F32, info->count, out));
  thaw_free(object);
  return out;
}

static void set(const thaw_loss_ops *ops, void *config, const char *name, double value) {
  for (int32_t i = 0; i < ops->schema->count; i++) {
    const thaw_field *field = &ops->schema->fields[i];
    if (strcmp(field->name, name) != 0) continue;
    int32_t choice = (int32_t)value;
    if (field->kind == THAW_FIELD_CHOICE)
      memcpy((char *)config + field->offset, &choice, sizeof choice);
    else
      memcpy((char *)config + field->offset, &value, sizeof value);
    return;
  }
  fail_msg("no option %s", name);
}

/* choice 1 of mining is hard, of distance euclidean */
static void *make_config(const thaw_loss_ops *ops, double scale, double margin, bool hard, bool euclidean) {
  void *config = thaw_new(1, ops->schema->size);
  set(ops, config, "margin", margin);
  if (ops->probabilities) set(ops, config, "scale", scale);
  if (ops->evaluate_batch) {
    set(ops, config, "mining", hard);
    set(ops, config, "distance", euclidean);
  }
  return config;
}

static void compare(const char *name, const float *found, const float *expected, int64_t count, double tolerance) {
  double largest = 0;
  for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)expected[i]));
  double difference = thaw_test_max_difference(found, expected, (size_t)count);
  if (!(difference <= tolerance * fmax(largest, 1e-3)))
    fail_msg("%s: largest difference %g of %g", name, difference, largest);
}

static void check_margin(thaw_h5 *file, const char *group) {
  const thaw_loss_ops *ops = thaw_loss_find(strncmp(group + 1, "arc", 3) == 0 ? "arcface" : "cosface");
  void *config = make_config(ops, attribute(file, group, "scale"), attribute(file, group, "margin"), false, false);
  thaw_h5_info info, other;
  float *label = read_floats(file, group, "label", &other), *y = read_floats(file, group, "y", &info);
  float *expected = read_floats(file, group, "value", &other), *slope = read_floats(file, group, "gradient", &other);
  int32_t rows = (int32_t)info.dim[0], classes = (int32_t)info.dim[1];
  double value[64];
  float dy[64 * 16];
  ops->evaluate(config, label, y, NULL, false, rows, classes, 1, value, dy);
  for (int32_t r = 0; r < rows; r++)
    if (!(fabs(value[r] - expected[r]) <= 1e-6 * fabs(expected[r]) + 1e-6))
      fail_msg("%s: row %d has %.9g, PyTorch %.9g", group, r, value[r], (double)expected[r]);
  compare(group, dy, slope, info.count, 2e-6);
  thaw_free(config);
  thaw_free(label);
  thaw_free(y);
  thaw_free(expected);
  thaw_free(slope);
}

static void check_triplet(thaw_h5 *file, const char *group) {
  const thaw_loss_ops *ops = thaw_loss_find("triplet");
  void *config = make_config(ops, 0, attribute(file, group, "margin"), attribute(file, group, "hard") != 0,
                             attribute(file, group, "euclidean") != 0);
  thaw_h5_info info, other;
  float *label = read_floats(file, group, "label", &other), *y = read_floats(file, group, "y", &info);
  float *slope = read_floats(file, group, "gradient", &other);
  int32_t rows = (int32_t)info.dim[0], width = (int32_t)info.dim[1];
  double value[64], sum = 0, *scratch = thaw_new(ops->scratch_doubles(rows, width), sizeof *scratch);
  float dy[64 * 16];
  ops->evaluate_batch(config, label, y, rows, width, scratch, value, dy);
  for (int32_t r = 0; r < rows; r++) sum += value[r] / rows;
  double expected = attribute(file, group, "loss");
  if (!(fabs(sum - expected) <= 1e-9)) fail_msg("%s: loss %.12g, expected %.12g", group, sum, expected);
  compare(group, dy, slope, info.count, 1e-6);
  thaw_free(config);
  thaw_free(label);
  thaw_free(y);
  thaw_free(slope);
  thaw_free(scratch);
}

static void test_golden(void **context) {
  (void)context;
  thaw_h5 *file;
  thaw_strings groups = {0};
  assert_thaw_ok(thaw_h5_open(path, &file));
  assert_thaw_ok(thaw_h5_list(file, "/", &groups));
  assert_int_equal(groups.count, 5 + 8);
  for (size_t i = 0; i < groups.count; i++) {
    char *group = thaw_format("/%s", groups.item[i]);
    if (strncmp(group, "/triplet", 8) == 0)
      check_triplet(file, group);
    else
      check_margin(file, group);
    thaw_free(group);
  }
  thaw_strings_clear(&groups);
  thaw_h5_close(file);
}

static float uniform(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 8) * 0x1p-24f;
}

static void test_margin_gradients(void **context) {
  (void)context;
  static const char *const names[] = {"arcface", "cosface"};
  enum { ROWS = 6, CLASSES = 5 };
  for (int which = 0; which < 2; which++) {
    const thaw_loss_ops *ops = thaw_loss_find(names[which]);
    void *config = make_config(ops, 8, 0.4, false, false);
    uint32_t state = 5;
    float y[ROWS * CLASSES], dy[ROWS * CLASSES], label[ROWS];
    double value[ROWS], high[ROWS], low[ROWS];
    for (int i = 0; i < ROWS * CLASSES; i++) y[i] = 1.8f * uniform(&state) - 0.9f;
    for (int r = 0; r < ROWS; r++) label[r] = (float)(r % CLASSES);
    y[0] = -0.95f; /* the class of row 0: past pi - m */
    ops->evaluate(config, label, y, NULL, false, ROWS, CLASSES, 0.25, value, dy);
    for (int i = 0; i < ROWS * CLASSES; i++) {
      float old = y[i];
      y[i] = old + 0x1p-12f;
      ops->evaluate(config, label, y, NULL, false, ROWS, CLASSES, 1, high, NULL);
      y[i] = old - 0x1p-12f;
      ops->evaluate(config, label, y, NULL, false, ROWS, CLASSES, 1, low, NULL);
      y[i] = old;
      double expected = 0;
      for (int r = 0; r < ROWS; r++) expected += (high[r] - low[r]) / 0x1p-11 * 0.25;
      assert_float_equal(dy[i], expected, 1e-4 * fabs(expected) + 1e-5);
    }
    thaw_free(config);
  }
}

enum { BATCH = 12, WIDTH = 4 };

static double batch_loss(const thaw_loss_ops *ops, const void *config, const float *label, const float *y, float *dy) {
  double value[BATCH], sum = 0, *scratch = thaw_new(ops->scratch_doubles(BATCH, WIDTH), sizeof *scratch);
  ops->evaluate_batch(config, label, y, BATCH, WIDTH, scratch, value, dy);
  for (int r = 0; r < BATCH; r++) sum += value[r] / BATCH;
  thaw_free(scratch);
  return sum;
}

static void test_triplet_gradients(void **context) {
  (void)context;
  const thaw_loss_ops *ops = thaw_loss_find("triplet");
  for (int kind = 0; kind < 4; kind++) {
    void *config = make_config(ops, 0, 0.7, kind & 1, kind & 2);
    uint32_t state = 11;
    float y[BATCH * WIDTH], dy[BATCH * WIDTH], label[BATCH];
    for (int i = 0; i < BATCH * WIDTH; i++) y[i] = uniform(&state);
    for (int r = 0; r < BATCH; r++) label[r] = (float)(r % 4);
    assert_true(batch_loss(ops, config, label, y, dy) > 0);
    for (int i = 0; i < BATCH * WIDTH; i++) {
      float old = y[i];
      y[i] = old + 0x1p-14f;
      double high = batch_loss(ops, config, label, y, NULL);
      y[i] = old - 0x1p-14f;
      double low = batch_loss(ops, config, label, y, NULL), expected = (high - low) / 0x1p-13;
      y[i] = old;
      assert_float_equal(dy[i], expected, 1e-3 * fabs(expected) + 1e-4);
    }
    thaw_free(config);
  }
}

/* One class only, all classes of one sample, all embeddings the same: no triplet, or no direction. */
static void test_triplet_edges(void **context) {
  (void)context;
  const thaw_loss_ops *ops = thaw_loss_find("triplet");
  for (int kind = 0; kind < 4; kind++) {
    void *config = make_config(ops, 0, 0.5, kind & 1, kind & 2);
    float y[BATCH * WIDTH], dy[BATCH * WIDTH], label[BATCH], zero[BATCH * WIDTH] = {0};
    uint32_t state = 3;
    for (int i = 0; i < BATCH * WIDTH; i++) y[i] = uniform(&state);
    for (int r = 0; r < BATCH; r++) label[r] = 2;
    assert_true(batch_loss(ops, config, label, y, dy) == 0);
    assert_memory_equal(dy, zero, sizeof zero);
    for (int r = 0; r < BATCH; r++) label[r] = (float)r;
    assert_true(batch_loss(ops, config, label, y, dy) == 0);
    assert_memory_equal(dy, zero, sizeof zero);
    for (int r = 0; r < BATCH; r++) label[r] = (float)(r % 3);
    assert_float_equal(batch_loss(ops, config, label, zero, dy), 0.5, 1e-12);
    assert_memory_equal(dy, zero, sizeof zero);
    zero[5] = NAN;
    assert_true(isnan(batch_loss(ops, config, label, zero, NULL)));
    zero[5] = 0;
    thaw_free(config);
  }
}

static void test_margin_edges(void **context) {
  (void)context;
  const thaw_loss_ops *ops = thaw_loss_find("arcface");
  void *config = make_config(ops, 64, 0.5, false, false);
  float label[2] = {3, -1}, y[6] = {0}, dy[6];
  double value[2];
  ops->evaluate(config, label, y, NULL, false, 2, 3, 1, value, dy);
  assert_true(isnan(value[0]) && isnan(value[1]) && isnan(dy[0]) && isnan(dy[5]));
  float one = 0, certain[3] = {1.0000001f, -1, -1}; /* a rounding beyond 1 */
  ops->evaluate(config, &one, certain, NULL, false, 1, 3, 1, value, dy);
  assert_true(isfinite(value[0]) && isfinite(dy[0]) && value[0] >= 0);
  float cosine[3] = {0.5f, 0.25f, -1};
  ops->probabilities(config, 1, 3, cosine);
  assert_float_equal(cosine[1], exp(-16) / (1 + exp(-16)), 1e-12);
  assert_float_equal(cosine[0] + cosine[1] + cosine[2], 1, 1e-6);
  thaw_free(config);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_golden),        cmocka_unit_test(test_margin_gradients),
      cmocka_unit_test(test_margin_edges),  cmocka_unit_test(test_triplet_gradients),
      cmocka_unit_test(test_triplet_edges),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
