/* Learning-rate schedules against Keras and PyTorch (tests/golden/README.md), and what is refused. */
#include "thaw_test.h"

#include "thaw/h5.h"
#include "thaw/job.h"
#include "thaw/layer.h"
#include "thaw/loss.h"
#include "thaw/memory.h"
#include "thaw/optim.h"

enum { MOST = 4096 };
static const char *const path = THAW_TEST_DATA "/../golden/schedules.h5";

/* A job with this schedule in its only phase. */
static thaw_status parse(const char *schedule, thaw_job **out) {
  char *text = thaw_format("name: test\nbackbone: vgg16\nhead: [{layer: dense, units: 2}]\ndata: {train: a}\n"
                           "training: {loss: mse, optimizer: sgd, schedule: %s, epochs: 8}\n",
                           schedule);
  assert_non_null(text);
  thaw_job_schemas schemas = {thaw_layer_head_schemas(), thaw_loss_schemas(), thaw_optim_schemas(),
                              thaw_schedule_schemas()};
  thaw_status status = thaw_job_parse("job.yaml", text, strlen(text), &schemas, out);
  thaw_free(text);
  return status;
}

static void check_case(thaw_h5 *file, const char *name) {
  char *group = thaw_format("/%s", name), *rates = thaw_format("/%s/rates", name), *text;
  double rate;
  thaw_span span = {0};
  float expected[MOST];
  thaw_job *job;
  assert_true(group && rates);
  assert_thaw_ok(thaw_h5_get_text(file, group, "schedule", &text));
  assert_thaw_ok(thaw_h5_get_double(file, group, "rate", &rate));
  assert_thaw_ok(thaw_h5_get_int(file, group, "epoch_steps", &span.epoch_steps));
  assert_thaw_ok(thaw_h5_get_int(file, group, "steps", &span.steps));
  assert_thaw_ok(thaw_h5_read(file, rates, THAW_H5_F32, span.steps, expected));
  assert_thaw_ok(parse(text, &job));
  const thaw_choice *schedule = &job->training.phases[0].schedule;
  assert_thaw_ok(thaw_schedule_check(schedule, &span));
  for (int64_t step = 0; step < span.steps; step++) {
    double got = thaw_schedule_rate(schedule, &span, rate, step);
    if (!(fabs(got - expected[step]) <= 2e-6 * rate))
      fail_msg("%s: %.9g at step %d, expected %.9g", name, got, (int)step, (double)expected[step]);
  }
  thaw_job_destroy(job);
  thaw_free(group), thaw_free(rates), thaw_free(text);
}

static void test_peers(void **context) {
  (void)context;
  static const char *const cases[] = {"exponential",      "step",          "polynomial",       "linear",
                                      "cosine",           "cosine_short",  "cosine_warmup",    "cosine_warmup_from",
                                      "restarts",         "restarts_even", "restarts_longer",  "piecewise",
                                      "piecewise_epochs", "one_cycle",     "one_cycle_options"};
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_open(path, &file));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(file, cases[i]);
  thaw_h5_close(file);
}

/* A warm-up goes in front of any schedule, which then starts from its own beginning. */
static void test_warmup(void **context) {
  (void)context;
  thaw_job *warm, *cold;
  const thaw_span span = {.epoch_steps = 10, .steps = 100}, rest = {.epoch_steps = 10, .steps = 80};
  assert_thaw_ok(parse("{name: exponential_decay, decay_rate: 0.1, warmup_epochs: 2, warmup_from: 0.1}", &warm));
  assert_thaw_ok(parse("{name: exponential_decay, decay_rate: 0.1}", &cold));
  const thaw_choice *a = &warm->training.phases[0].schedule, *b = &cold->training.phases[0].schedule;
  for (int64_t step = 0; step < 20; step++)
    assert_true(fabs(thaw_schedule_rate(a, &span, 2, step) - (0.2 + 1.8 * (double)step / 20)) < 1e-12);
  for (int64_t step = 20; step < 100; step++)
    assert_true(thaw_schedule_rate(a, &span, 2, step) == thaw_schedule_rate(b, &rest, 2, step - 20));
  thaw_job_destroy(warm);
  thaw_job_destroy(cold);
}

/* A thaw at update 50: the same warm-up again, on top of a schedule that goes on; one before the first warm-up is over
 * starts it anew. */
static void test_warmup_after_a_thaw(void **context) {
  (void)context;
  thaw_job *warm, *none;
  const thaw_span span = {.epoch_steps = 10, .steps = 100};
  thaw_span thawed = span;
  assert_thaw_ok(parse("{name: cosine_decay, warmup_epochs: 2, warmup_from: 0.1}", &warm));
  assert_thaw_ok(parse("cosine_decay", &none));
  const thaw_choice *a = &warm->training.phases[0].schedule, *b = &none->training.phases[0].schedule;
  thawed.thawed_at = 50;
  for (int64_t step = 0; step < 100; step++) {
    double share = step >= 50 && step < 70 ? 0.1 + 0.9 * (double)(step - 50) / 20 : 1;
    double expected = thaw_schedule_rate(a, &span, 2, step) * share;
    assert_true(fabs(thaw_schedule_rate(a, &thawed, 2, step) - expected) < 1e-12);
    assert_true(thaw_schedule_rate(b, &thawed, 2, step) == thaw_schedule_rate(b, &span, 2, step));
  }
  thawed.thawed_at = 10;
  for (int64_t step = 10; step < 20; step++)
    assert_true(fabs(thaw_schedule_rate(a, &thawed, 2, step) - (0.2 + 1.8 * (double)(step - 10) / 20)) < 1e-12);
  thaw_job_destroy(warm);
  thaw_job_destroy(none);
}

static void refuse(const char *schedule, const char *part) {
  const thaw_span span = {.epoch_steps = 10, .steps = 80};
  thaw_job *job = NULL;
  thaw_status status = parse(schedule, &job);
  if (status == THAW_OK) status = thaw_schedule_check(&job->training.phases[0].schedule, &span);
  if (status != THAW_ERR_USAGE || !strstr(thaw_message(), part))
    fail_msg("%s: status %d, message '%s' lacks '%s'", schedule, (int)status, thaw_message(), part);
  thaw_job_destroy(job);
}

static void test_bad_input(void **context) {
  (void)context;
  refuse("cosine_decy", "did you mean 'cosine_decay'");
  refuse("{name: cosine_decay, decay_rate: 1}", "unknown key 'decay_rate'");
  refuse("{name: exponential_decay}", "'decay_rate' is missing");
  refuse("{name: exponential_decay, decay_rate: 0}", "out of range");
  refuse("{name: cosine_decay, decay_steps: 3, decay_epochs: 1}", "give one of them");
  refuse("{name: cosine_decay, warmup_epochs: 8}", "leaves nothing");
  refuse("{name: constant, warmup_epochs: 9}", "longer than");
  refuse("cosine_decay_restarts", "first_decay_steps: missing");
  refuse("{name: piecewise_constant_decay, values: [1, 2]}", "expected 1");
  refuse("{name: piecewise_constant_decay, boundaries: [3, 2], values: [1, 2, 3]}", "must rise");
  refuse("{name: piecewise_constant_decay, boundaries: [a], values: [1, 2]}", "expected a number");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_peers),
      cmocka_unit_test(test_warmup),
      cmocka_unit_test(test_warmup_after_a_thaw),
      cmocka_unit_test(test_bad_input),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
