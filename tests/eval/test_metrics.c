/* Expected numbers: scikit-learn 1.x classification_report and statsmodels proportion_confint(method="wilson"). */
#include "thaw_test.h"

#include "thaw/eval.h"

static void wilson_interval_is_that_of_statsmodels(void **state) {
  (void)state;
  static const struct {
    int64_t hits, count;
    double low, high;
  } row[] = {{82, 100, 0.7333264161369926, 0.8829977450105364},
             {0, 10, 0, 0.27753279986288926},
             {10, 10, 0.7224672001371106, 1},
             {12, 19, 0.41039533164803055, 0.8085048725486493},
             {1644, 2000, 0.804623363055714, 0.8381420584951589}};
  for (int i = 0; i < 5; i++) {
    double low, high;
    thaw_wilson_interval(row[i].hits, row[i].count, &low, &high);
    assert_true(fabs(low - row[i].low) < 1e-9 && fabs(high - row[i].high) < 1e-9);
  }
}

static void class_table_is_that_of_scikit_learn(void **state) {
  (void)state;
  int64_t confusion[16] = {5, 2, 0, 0, 1, 7, 1, 0, 0, 3, 0, 0, 0, 0, 0, 0};
  char *name[] = {"a", "b", "c", "d"};
  thaw_strings classes = {name, 4, 4};
  thaw_evaluation e = {.count = 19, .classes = 4, .confusion = confusion};
  thaw_text out = {0};
  thaw_evaluation_table(&e, &classes, &out);
  const char *expected[] = {"a                           0.8333    0.7143    0.7692         7\n",
                            "b                           0.5833    0.7778    0.6667         9\n",
                            "c                           0.0000    0.0000    0.0000         3\n",
                            "d                                -         -         -         0\n",
                            "macro average (3 of 4)      0.4722    0.4974    0.4786        19\n",
                            "weighted average            0.5833    0.6316    0.5992        19\n",
                            "accuracy 0.6316 (95 % interval 0.4104 .. 0.8085), 12 of 19\n"};
  for (int i = 0; i < 7; i++)
    if (!strstr(out.data, expected[i])) fail_msg("'%s' is not in\n%s", expected[i], out.data);
  thaw_text_clear(&out);
}

static double row(const char *name, thaw_label_kind kind, const float *label, const float *y, int32_t outputs) {
  thaw_metric metric;
  assert_thaw_ok(thaw_metric_parse(name, &metric));
  return thaw_metric_row(&metric, kind, label, y, outputs);
}

static void metrics_of_one_row(void **state) {
  (void)state;
  const float y[4] = {0.1f, 0.4f, 0.4f, 0.1f}, one = 1, two = 2, three = 3;
  assert_true(row("accuracy", THAW_LABEL_CLASS, &one, y, 4) == 1); /* the first of equal outputs, as numpy's argmax */
  assert_true(row("accuracy", THAW_LABEL_CLASS, &two, y, 4) == 0);
  assert_true(row("top_2_accuracy", THAW_LABEL_CLASS, &two, y, 4) == 1);
  assert_true(row("top_2_accuracy", THAW_LABEL_CLASS, &three, y, 4) == 0);
  assert_true(row("top_k_categorical_accuracy", THAW_LABEL_CLASS, &three, y, 4) == 1);
  const float binary = 0.7f;
  assert_true(row("accuracy", THAW_LABEL_CLASS, &one, &binary, 1) == 1);
  const float multi[4] = {1, 0, 0, 0};
  assert_true(row("binary_accuracy", THAW_LABEL_MULTI, multi, y, 4) == 0.75);
  const float target[2] = {1, 3}, predicted[2] = {2, 0};
  assert_true(row("mae", THAW_LABEL_TARGET, target, predicted, 2) == 2);
  assert_true(row("mse", THAW_LABEL_TARGET, target, predicted, 2) == 5);
  const float unknown[4] = {1, 255, 255, 0}, nothing[4] = {255, 255, 255, 255};
  assert_true(row("binary_accuracy", THAW_LABEL_MULTI, unknown, y, 4) == 0.5);
  assert_true(row("binary_accuracy", THAW_LABEL_MULTI, nothing, y, 4) == 0);
  const uint8_t stored[12] = {1, 255, 255, 0, 255, 255, 255, 255, 0, 0, 0, 0};
  const thaw_labels labels = {stored, 4, 1};
  thaw_dataset_info info = {.count = 3, .label_kind = THAW_LABEL_MULTI, .label_width = 4};
  assert_int_equal(thaw_labels_known(&info, &labels), 2);
  info.label_kind = THAW_LABEL_CLASS;
  assert_int_equal(thaw_labels_known(&info, &labels), 3);
  thaw_metric metric;
  assert_thaw_fails(thaw_metric_parse("acuracy", &metric), THAW_ERR_USAGE, "unknown metric 'acuracy'");
  assert_thaw_fails(thaw_metric_parse("top_x_accuracy", &metric), THAW_ERR_USAGE, "top_x_accuracy");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(wilson_interval_is_that_of_statsmodels),
                                     cmocka_unit_test(class_table_is_that_of_scikit_learn),
                                     cmocka_unit_test(metrics_of_one_row)};
  return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
