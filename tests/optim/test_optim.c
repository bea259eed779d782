/* Optimisers: first steps by hand, Keras' formulas in double as a slow twin, independence of the split into calls. The
 * comparison with Keras' numbers is in test_optim_golden.c. */
#include "thaw_test.h"

#include "thaw/memory.h"
#include "thaw/optim.h"

enum { COUNT = 1037, STEPS = 10 };

static float uniform(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 8) * 0x1p-24f;
}

/* A config with the schema's defaults, then changed by "name", value pairs. */
static void *make_config(const thaw_optim_ops *ops, const char *name, double value, const char *name2, double value2) {
  char *config = thaw_new(1, ops->schema->size);
  assert_non_null(config);
  for (int32_t i = 0; i < ops->schema->count; i++) {
    const thaw_field *field = &ops->schema->fields[i];
    double chosen = field->fallback;
    if (name && strcmp(name, field->name) == 0) chosen = value;
    if (name2 && strcmp(name2, field->name) == 0) chosen = value2;
    if (field->kind == THAW_FIELD_BOOL)
      *(bool *)(config + field->offset) = chosen != 0;
    else
      *(double *)(config + field->offset) = chosen;
  }
  return config;
}

typedef struct run {
  float value[COUNT], gradient[COUNT], slot[THAW_MAX_SLOTS][COUNT];
} run;

static void start(run *r) {
  uint32_t state = 11;
  memset(r, 0, sizeof *r);
  for (int i = 0; i < COUNT; i++) r->value[i] = 2 * uniform(&state) - 1;
}

static void next_gradient(run *r, int step) {
  uint32_t state = (uint32_t)step * 7919u;
  for (int i = 0; i < COUNT; i++) r->gradient[i] = 2 * uniform(&state) - 1;
}

static void update(const thaw_optim_ops *ops, const void *config, int step, run *r, size_t first, size_t n) {
  float *slot[THAW_MAX_SLOTS];
  for (int s = 0; s < THAW_MAX_SLOTS; s++) slot[s] = r->slot[s] + first;
  ops->update(config, thaw_optim_learning_rate(config), step, r->value + first, r->gradient + first, slot, n);
}

static void test_defaults_are_keras(void **context) {
  (void)context;
  const char *const names[] = {"sgd", "adam", "adamw", "rmsprop"};
  const double rate[] = {0.01, 0.001, 0.001, 0.001};
  const int32_t slots[] = {0, 2, 2, 1};
  for (int i = 0; i < 4; i++) {
    const thaw_optim_ops *ops = thaw_optim_find(names[i]);
    assert_non_null(ops);
    void *config = make_config(ops, NULL, 0, NULL, 0);
    assert_float_equal(thaw_optim_learning_rate(config), rate[i], 0);
    assert_int_equal(ops->slots(config), slots[i]);
    thaw_free(config);
  }
  assert_null(thaw_optim_find("adagrad"));
}

static void test_slot_names(void **context) {
  (void)context;
  const thaw_optim_ops *ops = thaw_optim_find("rmsprop");
  void *config = make_config(ops, "centered", 1, NULL, 0);
  assert_int_equal(ops->slots(config), 2);
  assert_string_equal(ops->slot_name(config, 1), "average_gradient");
  thaw_free(config);
  config = make_config(ops, "centered", 1, "momentum", 0.9);
  assert_int_equal(ops->slots(config), 3);
  assert_string_equal(ops->slot_name(config, 1), "momentum");
  assert_string_equal(ops->slot_name(config, 2), "average_gradient");
  thaw_free(config);
}

/* The first Adam step is the learning rate in the direction of -sign(g), whatever the size of g. */
static void test_adam_first_step(void **context) {
  (void)context;
  const thaw_optim_ops *ops = thaw_optim_find("adam");
  void *config = make_config(ops, NULL, 0, NULL, 0);
  run *r = thaw_new(1, sizeof *r), *old = thaw_new(1, sizeof *r);
  start(r);
  next_gradient(r, 1);
  *old = *r;
  update(ops, config, 1, r, 0, COUNT);
  for (int i = 0; i < COUNT; i++)
    if (fabsf(r->gradient[i]) > 0.1f)
      assert_float_equal(old->value[i] - r->value[i], copysign(0.001, r->gradient[i]), 2e-7);
  thaw_free(r), thaw_free(old), thaw_free(config);
}

/* One element over ten steps in double, from the formulas of the papers. */
static double twin(const char *name, bool flag, double momentum, double decay, double value, int element) {
  run *r = thaw_new(1, sizeof *r);
  double m = 0, v = 0, a = 0, largest = 0, rate = strcmp(name, "sgd") == 0 ? 0.01 : 0.001;
  for (int step = 1; step <= STEPS; step++) {
    next_gradient(r, step);
    double g = r->gradient[element];
    value -= decay * rate * value;
    if (strcmp(name, "sgd") == 0) {
      m = momentum * m - rate * g;
      value += flag ? momentum * m - rate * g : m;
    } else if (strcmp(name, "rmsprop") == 0) {
      v = 0.9 * v + 0.1 * g * g;
      a = 0.9 * a + 0.1 * g;
      m = momentum * m + rate * g / sqrt(v - (flag ? a * a : 0) + 1e-7);
      value -= m;
    } else {
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      largest = largest > v ? largest : v;
      double alpha = rate * sqrt(1 - pow(0.999, step)) / (1 - pow(0.9, step));
      value -= alpha * m / (sqrt(flag ? largest : v) + 1e-7);
    }
  }
  thaw_free(r);
  return value;
}

static void check_twin(const char *name, const char *flag, double momentum, double decay) {
  const thaw_optim_ops *ops = thaw_optim_find(name);
  void *config = make_config(ops, flag, 1, "momentum", momentum);
  for (int32_t i = 0; i < ops->schema->count; i++)
    if (strcmp(ops->schema->fields[i].name, "weight_decay") == 0)
      *(double *)((char *)config + ops->schema->fields[i].offset) = decay;
  run *r = thaw_new(1, sizeof *r), *first = thaw_new(1, sizeof *r);
  start(r);
  start(first);
  for (int step = 1; step <= STEPS; step++) {
    next_gradient(r, step);
    update(ops, config, step, r, 0, COUNT);
  }
  for (int i = 0; i < COUNT; i += 97)
    assert_float_equal(r->value[i], twin(name, flag != NULL, momentum, decay, first->value[i], i), 2e-6);
  thaw_free(r), thaw_free(first), thaw_free(config);
}

static void test_slow_twins(void **context) {
  (void)context;
  check_twin("sgd", NULL, 0, 0);
  check_twin("sgd", NULL, 0.9, 0);
  check_twin("sgd", "nesterov", 0.9, 0.1);
  check_twin("rmsprop", NULL, 0, 0);
  check_twin("rmsprop", "centered", 0, 0.05);
  check_twin("rmsprop", NULL, 0.9, 0);
  check_twin("rmsprop", "centered", 0.9, 0);
  check_twin("adam", NULL, 0, 0);
  check_twin("adam", "amsgrad", 0, 0);
  check_twin("adamw", NULL, 0, 0.004);
}

/* Updating a tensor in pieces gives the same bits: vector bodies and remainders round alike.
 * Optimisers that tell vectors apart take norms of whole tensors. */
static void test_pieces_give_the_same_bits(void **context) {
  (void)context;
  for (const thaw_optim_ops *const *ops = thaw_optimizers; *ops; ops++)
    for (int variant = 0; variant < 2 && !(*ops)->update_vector; variant++) {
      void *config = make_config(*ops, variant ? "momentum" : NULL, 0.9, "amsgrad", variant);
      run *whole = thaw_new(1, sizeof *whole), *pieces = thaw_new(1, sizeof *pieces);
      start(whole);
      start(pieces);
      for (int step = 1; step <= STEPS; step++) {
        next_gradient(whole, step);
        next_gradient(pieces, step);
        update(*ops, config, step, whole, 0, COUNT);
        for (size_t at = 0, n = 1; at < COUNT; at += n, n = n * 3 % 17 + 1)
          update(*ops, config, step, pieces, at, at + n < COUNT ? n : COUNT - at);
      }
      assert_memory_equal(whole, pieces, sizeof *whole);
      thaw_free(whole), thaw_free(pieces), thaw_free(config);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults_are_keras),        cmocka_unit_test(test_slot_names),
      cmocka_unit_test(test_adam_first_step),           cmocka_unit_test(test_slow_twins),
      cmocka_unit_test(test_pieces_give_the_same_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
