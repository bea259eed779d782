/* Losses and their gradients against Keras' numbers (tests/golden/README.md). */
#include "thaw_test.h"

#include "thaw/h5.h"
#include "thaw/loss.h"
#include "thaw/memory.h"

static const char *const path = THAW_TEST_DATA "/../golden/losses.h5";

static float *read_floats(thaw_h5 *file, const char *name, const char *dataset, thaw_h5_info *info) {
  char *object = thaw_format("/%s/%s", name, dataset);
  assert_non_null(object);
  assert_thaw_ok(thaw_h5_describe(file, object, info));
  float *out = thaw_new((size_t)info->count, sizeof *out);
  assert_non_null(out);
  assert_thaw_ok(thaw_h5_read(file, object, THAW_H5_F32, info->count, out));
  thaw_free(object);
  return out;
}

static double attribute(thaw_h5 *file, const char *group, const char *name) {
  double value = 0;
  if (thaw_h5_has_attribute(file, group, name)) assert_thaw_ok(thaw_h5_get_double(file, group, name, &value));
  return value;
}

/* The loss whose name is the longest beginning of the case's name ("huber_half" is a huber). */
static const thaw_loss_ops *find_ops(const char *name) {
  for (const thaw_loss_ops *const *ops = thaw_losses; *ops; ops++)
    if (strncmp(name, (*ops)->schema->name, strlen((*ops)->schema->name)) == 0) return *ops;
  fail_msg("no loss for case %s", name);
  return NULL;
}

/* Keras computes in float32: its numbers carry errors of a few units in the last place of the largest term. */
static void compare(const char *name, const char *what, double got, float expected, double size, int32_t at) {
  double tolerance = 4e-6 * fabs(expected) + 1e-6 * size + 1e-7;
  if (!(fabs(got - expected) <= tolerance))
    fail_msg("%s: %s[%d] is %.9g, Keras has %.9g", name, what, at, got, (double)expected);
}

/* Whatever options the loss has, from the case's attributes. */
static void set_options(thaw_h5 *file, const char *group, const thaw_schema *schema, void *config) {
  for (int32_t i = 0; i < schema->count; i++) {
    const thaw_field *field = &schema->fields[i];
    double value = attribute(file, group, field->name);
    if (field->kind == THAW_FIELD_BOOL)
      *((bool *)config + field->offset) = value != 0;
    else
      memcpy((char *)config + field->offset, &value, sizeof value);
  }
}

static void check_case(thaw_h5 *file, const char *name) {
  char *group = thaw_format("/%s", name);
  const thaw_loss_ops *ops = find_ops(name);
  bool from_logits = attribute(file, group, "from_logits") != 0;
  thaw_h5_info info, other;
  float *label = read_floats(file, name, "label", &other);
  float *x = read_floats(file, name, from_logits ? "logits" : "prediction", &info);
  float *value = read_floats(file, name, "value", &other), *gradient = read_floats(file, name, "gradient", &other);
  int32_t rows = (int32_t)info.dim[0], outputs = (int32_t)info.dim[1];
  double config[8] = {0}; /* every loss's options fit */
  set_options(file, group, ops->schema, config);
  double *got = thaw_new((size_t)rows, sizeof *got);
  float *dy = thaw_new((size_t)info.count, sizeof *dy);
  ops->evaluate(config, label, x, x, from_logits, rows, outputs, 1, got, dy);
  for (int32_t r = 0; r < rows; r++) {
    double largest = 0;
    for (int32_t j = 0; j < outputs; j++) largest = fmax(largest, fabs(gradient[r * outputs + j]));
    compare(name, "value", got[r], value[r], 1, r);
    for (int32_t j = r * outputs; j < (r + 1) * outputs; j++) compare(name, "gradient", dy[j], gradient[j], largest, j);
  }
  thaw_free(group), thaw_free(label), thaw_free(x), thaw_free(value), thaw_free(gradient), thaw_free(got),
      thaw_free(dy);
}

static void test_all_cases(void **context) {
  (void)context;
  thaw_h5 *file;
  thaw_strings names = {0};
  assert_thaw_ok(thaw_h5_open(path, &file));
  assert_thaw_ok(thaw_h5_list(file, "/", &names));
  assert_true(names.count >= 20);
  for (size_t i = 0; i < names.count; i++) check_case(file, names.item[i]);
  thaw_strings_clear(&names);
  thaw_h5_close(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_cases)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
