/* Against scikit-learn and SciPy (tests/golden/scores.h5), and what must be undefined instead of averaged. */
#include "thaw_test.h"

#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/score.h"

static thaw_h5 *golden;

static int setup(void **state) {
  (void)state;
  return thaw_h5_open(THAW_TEST_DATA "/../golden/scores.h5", &golden) == THAW_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  thaw_h5_close(golden);
  return 0;
}

static double expected(const char *group, const char *name) {
  double value;
  assert_thaw_ok(thaw_h5_get_double(golden, group, name, &value));
  return value;
}

static void *dataset(const char *name, thaw_h5_type type, int64_t *count) {
  thaw_h5_info info;
  assert_thaw_ok(thaw_h5_describe(golden, name, &info));
  void *data = thaw_new((size_t)info.count, thaw_h5_type_size(type));
  assert_non_null(data);
  assert_thaw_ok(thaw_h5_read(golden, name, type, info.count, data));
  if (count) *count = info.count;
  return data;
}

static void near(const char *what, double found, double truth, double tolerance) {
  if (isnan(truth) ? !isnan(found) : !(fabs(found - truth) <= tolerance))
    fail_msg("%s: %.15g, expected %.15g", what, found, truth);
}

static void check(const char *group, const char *name, double found) {
  near(name, found, expected(group, name), 1e-12);
}

static void one_question(void **state) {
  (void)state;
  int64_t n, points;
  float *score = dataset("/binary/score", THAW_H5_F32, &n);
  uint8_t *truth = dataset("/binary/truth", THAW_H5_U8, NULL);
  double *weight = dataset("/binary/weight", THAW_H5_F64, NULL);
  thaw_binary b;
  assert_thaw_ok(thaw_binary_create(score, 1, truth, NULL, n, &b));
  check("/binary", "auroc", thaw_auroc(&b, NULL));
  check("/binary", "auprc", thaw_average_precision(&b, NULL));
  check("/binary", "auroc_weighted", thaw_auroc(&b, weight));
  check("/binary", "auprc_weighted", thaw_average_precision(&b, weight));
  thaw_curve curve;
  assert_thaw_ok(thaw_curve_create(&b, &curve));
  double *fpr = dataset("/binary/fpr", THAW_H5_F64, &points), *tpr = dataset("/binary/tpr", THAW_H5_F64, NULL);
  double *precision = dataset("/binary/precision", THAW_H5_F64, NULL);
  double *threshold = dataset("/binary/threshold", THAW_H5_F64, NULL);
  assert_int_equal(curve.count, points);
  for (int64_t i = 0; i < points; i++) {
    near("fpr", curve.false_rate[i], fpr[i], 1e-12);
    near("tpr", curve.true_rate[i], tpr[i], 1e-12);
    if (i) near("precision", curve.precision[i], precision[i - 1], 1e-12);
    if (i) near("threshold", curve.threshold[i], threshold[i - 1], 0);
  }
  thaw_curve_clear(&curve);
  static const char *const rule[][2] = {{"youden", "youden_threshold"},
                                        {"f1", "f1_threshold"},
                                        {"sensitivity=0.9", "sensitivity_90_threshold"},
                                        {"specificity=0.8", "specificity_80_threshold"}};
  for (int i = 0; i < 4; i++) {
    thaw_operating_point point;
    assert_thaw_ok(thaw_operating_parse(rule[i][0], &point));
    check("/binary", rule[i][1], thaw_operating_choose(&b, &point));
  }
  thaw_counts c = thaw_counts_at(&b, NULL, expected("/binary", "youden_threshold"));
  check("/binary", "sensitivity", c.tp / (c.tp + c.fn));
  check("/binary", "specificity", c.tn / (c.tn + c.fp));
  check("/binary", "ppv", c.tp / (c.tp + c.fp));
  check("/binary", "f1", 2 * c.tp / (2 * c.tp + c.fp + c.fn));
  thaw_binary_clear(&b);
  thaw_free(score), thaw_free(truth), thaw_free(weight);
  thaw_free(fpr), thaw_free(tpr), thaw_free(precision), thaw_free(threshold);
}

static void operating_words(void **state) {
  (void)state;
  thaw_operating_point point;
  assert_thaw_ok(thaw_operating_parse("0.25", &point));
  assert_true(point.rule == THAW_OPERATE_FIXED && point.value == 0.25);
  static const char *const wrong[] = {"",    "yuden", "sensitivity", "sensitivity=", "sensitivity=1.5", "specificity=0",
                                      "f1=2"};
  for (int i = 0; i < 7; i++)
    assert_thaw_fails(thaw_operating_parse(wrong[i], &point), THAW_ERR_USAGE, "expected youden, f1, sensitivity=0.95");
  const float score[3] = {0.9f, 0.5f, 0.1f};
  const uint8_t truth[3] = {0, 1, 1};
  thaw_binary b;
  assert_thaw_ok(thaw_binary_create(score, 1, truth, NULL, 3, &b));
  assert_thaw_ok(thaw_operating_parse("specificity=0.9", &point));
  assert_true(thaw_operating_choose(&b, &point) > (double)score[0]); /* nobody is called positive */
  thaw_binary_clear(&b);
}

static void check_overall(const double *value, const char *suffix) {
  for (int32_t i = 0; i < THAW_OVERALL; i++) {
    char name[64];
    snprintf(name, sizeof name, "%s%s", thaw_overall_name((thaw_overall)i), suffix);
    check("/classes", name, value[i]);
  }
}

static void several_classes(void **state) {
  (void)state;
  int64_t n;
  float *label = dataset("/classes/label", THAW_H5_F32, &n), *y = dataset("/classes/y", THAW_H5_F32, NULL);
  double *weight = dataset("/classes/weight", THAW_H5_F64, NULL);
  double *auroc = dataset("/classes/auroc", THAW_H5_F64, NULL), *auprc = dataset("/classes/auprc", THAW_H5_F64, NULL);
  int32_t *group = dataset("/classes/group", THAW_H5_I32, NULL);
  double *interval = dataset("/classes/intervals", THAW_H5_F64, NULL);
  thaw_scored scored = {.count = n, .outputs = 5, .kind = THAW_LABEL_CLASS, .y = y, .label = label, .group = group};
  for (int64_t i = 0; i < n; i++)
    if (group[i] >= scored.groups) scored.groups = group[i] + 1;
  const double threshold[5] = {0.5, 0.5, 0.5, 0.5, 0.5};
  thaw_scorer *scorer;
  assert_thaw_ok(thaw_scorer_create(&scored, threshold, &scorer));
  double value[THAW_OVERALL + 5 * THAW_STATS];
  assert_int_equal(thaw_scorer_values(scorer), THAW_OVERALL + 5 * THAW_STATS);
  double whole[THAW_OVERALL + 5 * THAW_STATS];
  thaw_scorer_compute(scorer, NULL, NULL, whole);
  memcpy(value, whole, sizeof whole);
  check_overall(value, "");
  for (int32_t c = 0; c < 5; c++) {
    near("auroc", value[THAW_OVERALL + c * THAW_STATS + THAW_STAT_AUROC], auroc[c], 1e-12);
    near("auprc", value[THAW_OVERALL + c * THAW_STATS + THAW_STAT_AUPRC], auprc[c], 1e-12);
  }
  thaw_scorer_compute(scorer, weight, whole, value);
  check_overall(value, "_weighted");
  thaw_estimate_of estimate[THAW_OVERALL + 5 * THAW_STATS];
  assert_thaw_ok(thaw_scorer_estimate(scorer, NULL, 2000, 7, estimate));
  const thaw_estimate_of *three[] = {&estimate[THAW_OVERALL + 4 * THAW_STATS], &estimate[THAW_ACCURACY],
                                     &estimate[THAW_QUADRATIC_KAPPA]};
  for (int i = 0; i < 3; i++) { /* two bootstraps differ by their draws */
    near("low", three[i]->low, interval[2 * i], 0.012);
    near("high", three[i]->high, interval[2 * i + 1], 0.012);
  }
  thaw_estimate_of again[THAW_OVERALL + 5 * THAW_STATS];
  assert_thaw_ok(thaw_scorer_estimate(scorer, NULL, 2000, 7, again));
  assert_memory_equal(estimate, again, sizeof again);
  thaw_scorer_destroy(scorer);

  thaw_calibration c;
  double temperature;
  assert_thaw_ok(thaw_calibrate(&scored, 1, &c));
  near("log_loss", c.log_loss, expected("/classes", "log_loss"), 1e-6); /* scikit-learn was given rows that sum to 1 */
  near("brier", c.brier, expected("/classes", "brier"), 1e-6);
  near("ece", c.ece, expected("/classes", "ece"), 1e-9);
  assert_thaw_ok(thaw_temperature_fit(&scored, &temperature));
  near("temperature", temperature, expected("/classes", "temperature"), 1e-4);
  assert_thaw_ok(thaw_calibrate(&scored, temperature, &c));
  near("log_loss_scaled", c.log_loss, expected("/classes", "log_loss_scaled"), 1e-7);
  near("ece_scaled", c.ece, expected("/classes", "ece_scaled"), 1e-3);
  thaw_free(label), thaw_free(y), thaw_free(weight), thaw_free(auroc), thaw_free(auprc), thaw_free(group);
  thaw_free(interval);
}

static void several_labels(void **state) {
  (void)state;
  int64_t n;
  float *label = dataset("/labels/label", THAW_H5_F32, &n), *y = dataset("/labels/y", THAW_H5_F32, NULL);
  double *auroc = dataset("/labels/auroc", THAW_H5_F64, NULL), *auprc = dataset("/labels/auprc", THAW_H5_F64, NULL);
  int64_t *unknown = dataset("/labels/unknown", THAW_H5_I64, NULL);
  thaw_scored scored = {.count = n / 4, .outputs = 4, .kind = THAW_LABEL_MULTI, .y = y, .label = label};
  const double threshold[4] = {0.5, 0.5, 0.5, 0.5};
  thaw_scorer *scorer;
  assert_thaw_ok(thaw_scorer_create(&scored, threshold, &scorer));
  double value[THAW_OVERALL + 4 * THAW_STATS];
  thaw_scorer_compute(scorer, NULL, NULL, value);
  for (int32_t c = 0; c < 4; c++) {
    near("auroc", value[THAW_OVERALL + c * THAW_STATS + THAW_STAT_AUROC], auroc[c], 1e-12);
    near("auprc", value[THAW_OVERALL + c * THAW_STATS + THAW_STAT_AUPRC], auprc[c], 1e-12);
    assert_int_equal(thaw_scorer_binary(scorer, c)->unknown, unknown[c]);
  }
  check("/labels", "macro_auroc", value[THAW_MACRO_AUROC]);
  check("/labels", "macro_auprc", value[THAW_MACRO_AUPRC]);
  check("/labels", "micro_auroc", value[THAW_MICRO_AUROC]);
  check("/labels", "micro_auprc", value[THAW_MICRO_AUPRC]);
  assert_true(isnan(value[THAW_KAPPA]) && isnan(value[THAW_ACCURACY]));
  thaw_scorer_destroy(scorer);
  thaw_calibration c;
  assert_thaw_ok(thaw_calibrate(&scored, 1, &c));
  near("brier", c.brier, expected("/labels", "brier"), 1e-6);
  near("log_loss", c.log_loss, expected("/labels", "log_loss"), 1e-5);
  near("ece", c.ece, expected("/labels", "ece"), 1e-9);
  thaw_free(label), thaw_free(y), thaw_free(auroc), thaw_free(auprc), thaw_free(unknown);
}

static void two_models(void **state) {
  (void)state;
  int64_t n;
  uint8_t *truth = dataset("/compare/truth", THAW_H5_U8, &n);
  float *score_a = dataset("/compare/a", THAW_H5_F32, NULL), *score_b = dataset("/compare/b", THAW_H5_F32, NULL);
  uint8_t *right_a = dataset("/compare/right_a", THAW_H5_U8, NULL),
          *right_b = dataset("/compare/right_b", THAW_H5_U8, NULL);
  thaw_binary a, b;
  thaw_delong d;
  assert_thaw_ok(thaw_binary_create(score_a, 1, truth, NULL, n, &a));
  assert_thaw_ok(thaw_binary_create(score_b, 1, truth, NULL, n, &b));
  assert_thaw_ok(thaw_delong_test(&a, &b, &d));
  check("/compare", "auroc_a", d.auroc_a);
  check("/compare", "auroc_b", d.auroc_b);
  check("/compare", "variance_a", d.variance_a);
  check("/compare", "covariance", d.covariance);
  near("z", d.z, expected("/compare", "z"), 1e-9);
  near("p", d.p, expected("/compare", "p"), 1e-9);
  assert_thaw_ok(thaw_delong_test(&a, &a, &d));
  assert_true(d.z == 0 && d.p == 1);
  thaw_mcnemar m = thaw_mcnemar_test(right_a, right_b, n);
  assert_int_equal(m.only_a, (int64_t)expected("/compare", "only_a"));
  assert_int_equal(m.only_b, (int64_t)expected("/compare", "only_b"));
  near("mcnemar_p", m.p, expected("/compare", "mcnemar_p"), 1e-10);
  uint8_t x[20] = {0}, z[20] = {0};
  for (int i = 0; i < 20; i++) *(i < 3 ? &x[i] : &z[i]) = 1;
  near("binomial_3_17", thaw_mcnemar_test(x, z, 20).p, expected("/compare", "binomial_3_17"), 1e-12);
  assert_true(thaw_mcnemar_test(x, x, 20).p == 1);
  b.positives--;
  assert_thaw_fails(thaw_delong_test(&a, &b, &d), THAW_ERR_DATA, "not asked about the same samples");
  thaw_binary_clear(&a);
  thaw_binary_clear(&b);
  thaw_free(truth), thaw_free(score_a), thaw_free(score_b), thaw_free(right_a), thaw_free(right_b);
}

static void quantiles(void **state) {
  (void)state;
  int64_t n;
  double *value = dataset("/quantile/values", THAW_H5_F64, &n);
  check("/quantile", "q025", thaw_quantile(value, n, 0.025));
  check("/quantile", "q500", thaw_quantile(value, n, 0.5));
  check("/quantile", "q975", thaw_quantile(value, n, 0.975));
  assert_true(isnan(thaw_quantile(value, 0, 0.5)));
  thaw_free(value);
}

/* What is not defined is NaN and stays out of means; a subgroup of one has no interval. */
static void undefined(void **state) {
  (void)state;
  const float y[4 * 3] = {0.8f, 0.1f, 0.1f, 0.2f, 0.7f, 0.1f, 0.6f, 0.3f, 0.1f, 0.1f, 0.6f, 0.3f},
                    label[4] = {0, 1, 0, 1};
  const double threshold[3] = {0.5, 0.5, 0.5}, one[4] = {0, 0, 1, 0};
  thaw_scored scored = {.count = 4, .outputs = 3, .kind = THAW_LABEL_CLASS, .y = y, .label = label};
  thaw_scorer *scorer;
  assert_thaw_ok(thaw_scorer_create(&scored, threshold, &scorer));
  thaw_estimate_of e[THAW_OVERALL + 3 * THAW_STATS];
  assert_thaw_ok(thaw_scorer_estimate(scorer, NULL, 200, 1, e));
  const thaw_estimate_of *third = &e[THAW_OVERALL + 2 * THAW_STATS];
  assert_true(isnan(third[THAW_STAT_AUROC].value) && isnan(third[THAW_STAT_AUROC].low));
  assert_true(isnan(third[THAW_STAT_SENSITIVITY].value) && third[THAW_STAT_SPECIFICITY].value == 1);
  assert_true(e[THAW_MACRO_AUROC].value == 1 && e[THAW_BALANCED_ACCURACY].value == 1);
  /* All four the same class in a replicate: one in eight. */
  assert_true(e[THAW_MACRO_AUROC].undefined > 5 && e[THAW_MACRO_AUROC].undefined < 60);
  /* So is the mean over the classes that occur: a replicate of one class is no mean of two. */
  assert_int_equal(e[THAW_BALANCED_ACCURACY].undefined, e[THAW_MACRO_AUROC].undefined);
  assert_int_equal(e[THAW_MACRO_F1].undefined, e[THAW_MACRO_AUROC].undefined);
  assert_int_equal(e[THAW_ACCURACY].undefined, 0);
  /* A subgroup of one class has the mean of that class, and an interval of it. */
  const double first[4] = {1, 0, 1, 0};
  assert_thaw_ok(thaw_scorer_estimate(scorer, first, 200, 1, e));
  assert_true(e[THAW_BALANCED_ACCURACY].value == 1 && e[THAW_BALANCED_ACCURACY].low == 1);
  assert_true(isnan(e[THAW_MACRO_AUROC].value) && e[THAW_MACRO_AUPRC].value == 1 && e[THAW_MACRO_AUPRC].low == 1);
  assert_thaw_ok(thaw_scorer_estimate(scorer, one, 200, 1, e));
  assert_true(e[THAW_ACCURACY].value == 1 && isnan(e[THAW_ACCURACY].low));
  assert_true(isnan(e[THAW_OVERALL].value));
  thaw_scorer_destroy(scorer);

  const float wrong[2] = {0.5f, NAN};
  const uint8_t truth[2] = {0, 1}, nothing[2] = {THAW_UNKNOWN, THAW_UNKNOWN};
  thaw_binary b;
  assert_thaw_fails(thaw_binary_create(wrong, 1, truth, NULL, 2, &b), THAW_ERR_DATA, "prediction 1 is not a number");
  assert_thaw_ok(thaw_binary_create(y, 1, nothing, NULL, 2, &b));
  assert_true(b.count == 0 && b.unknown == 2 && isnan(thaw_auroc(&b, NULL)) && isnan(thaw_average_precision(&b, NULL)));
  thaw_operating_point point = {THAW_OPERATE_YOUDEN, 0};
  assert_true(isnan(thaw_operating_choose(&b, &point)));
  thaw_binary_clear(&b);

  const float logits[2] = {3, -2}, two[2] = {0, 1};
  thaw_scored raw = {.count = 2, .outputs = 1, .kind = THAW_LABEL_CLASS, .y = logits, .label = two};
  thaw_calibration c;
  double temperature;
  assert_thaw_ok(thaw_calibrate(&raw, 1, &c));
  assert_thaw_ok(thaw_temperature_fit(&raw, &temperature));
  assert_true(!c.probabilities && isnan(temperature));
}

static void group_numbers(void **state) {
  (void)state;
  char *name[] = {"p2", "p1", "p2", "p3", "p1", ""};
  const thaw_strings names = {name, 6, 6};
  const int32_t expected_number[] = {0, 1, 0, 2, 1, 3};
  int32_t *number;
  int64_t groups;
  assert_thaw_ok(thaw_group_numbers(&names, &number, &groups));
  assert_int_equal(groups, 4);
  assert_memory_equal(number, expected_number, sizeof expected_number);
  thaw_free(number);
}

/* Against tests/golden/regression.h5. */
static void regression(void **state) {
  (void)state;
  enum { OUTPUTS = 4, VALUES = (OUTPUTS + 1) * THAW_REGRESSION_STATS };
  thaw_h5 *file, *scores = golden;
  int64_t n;
  assert_thaw_ok(thaw_h5_open(THAW_TEST_DATA "/../golden/regression.h5", &file));
  golden = file;
  float *y = dataset("/y", THAW_H5_F32, &n), *target = dataset("/target", THAW_H5_F32, NULL);
  double *weight = dataset("/weight", THAW_H5_F64, NULL), *plain = dataset("/plain", THAW_H5_F64, NULL);
  double *weighted = dataset("/weighted", THAW_H5_F64, NULL), value[VALUES];
  const thaw_scored scored = {
      .count = n / OUTPUTS, .outputs = OUTPUTS, .kind = THAW_LABEL_TARGET, .y = y, .label = target};
  thaw_regression_compute(&scored, NULL, value);
  for (int i = 0; i < VALUES; i++) near("plain", value[i], plain[i], 1e-12 * fmax(1, fabs(plain[i])));
  thaw_regression_compute(&scored, weight, value);
  for (int i = 0; i < VALUES; i++) near("weighted", value[i], weighted[i], 1e-12 * fmax(1, fabs(weighted[i])));
  /* Intervals: a pure function of the seed, around the value; one sample has none, and no R2. */
  thaw_estimate_of a[VALUES], b[VALUES];
  assert_thaw_ok(thaw_regression_estimate(&scored, NULL, 200, 3, a));
  assert_thaw_ok(thaw_regression_estimate(&scored, NULL, 200, 3, b));
  assert_memory_equal(a, b, sizeof a);
  for (int i = 0; i < VALUES; i++) assert_true(a[i].low <= a[i].value && a[i].value <= a[i].high);
  const thaw_scored one = {.count = 1, .outputs = OUTPUTS, .kind = THAW_LABEL_TARGET, .y = y, .label = target};
  assert_thaw_ok(thaw_regression_estimate(&one, NULL, 200, 3, a));
  assert_true(isnan(a[THAW_REGRESSION_R2].value) && !isnan(a[THAW_REGRESSION_MAE].value));
  assert_true(isnan(a[THAW_REGRESSION_MAE].low));
  thaw_free(y);
  thaw_free(target);
  thaw_free(weight);
  thaw_free(plain);
  thaw_free(weighted);
  thaw_h5_close(file);
  golden = scores;
}

/* scipy 1.17.1: stats.wilcoxon(a, b, zero_method="wilcox", correction=False, method="approx"). */
static void test_wilcoxon(void **state) {
  (void)state;
  double a[40], b[40];
  for (int i = 0; i < 40; i++) a[i] = (i * 7 % 11) / 4.0, b[i] = (i * 5 % 13) / 4.0;
  thaw_wilcoxon w;
  assert_thaw_ok(thaw_wilcoxon_test(a, b, 40, &w));
  assert_int_equal(w.pairs, 35);
  assert_true(w.plus == 246.5 && w.minus == 383.5);
  near("z", w.z, -1.1248038438884151, 1e-12);
  near("p", w.p, 0.2606721652431786, 1e-12);
  assert_thaw_ok(thaw_wilcoxon_test(a, a, 40, &w));
  assert_true(w.pairs == 0 && isnan(w.p));
}

/* Costs by hand: 2 of 3 classes cost when missed; thresholds against every candidate. */
static void test_costs(void **state) {
  (void)state;
  char a[] = "good", b[] = "crack", c[] = "dirt";
  char *names[] = {a, b, c};
  const thaw_strings three = {.item = names, .count = 3}, two = {.item = names, .count = 2};
  thaw_costs costs;
  const char table[] = "true,crack,good,dirt\ndirt,2,5,0\ngood,1,0,1.5\ncrack,-1,10,3\n";
  assert_thaw_ok(thaw_costs_parse("c.csv", table, strlen(table), &three, &costs));
  assert_true(thaw_cost(&costs, 0, 1) == 1 && thaw_cost(&costs, 2, 0) == 5 && thaw_cost(&costs, 1, 1) == -1);
  /* Expected costs: good 0.2 * 10 + 0.1 * 5 = 2.5, crack 0.7 - 0.2 + 0.2 = 0.7, dirt 1.05 + 0.6 = 1.65. */
  assert_int_equal(thaw_costs_decide(&costs, (const double[]){0.7, 0.2, 0.1}), 1);
  assert_int_equal(thaw_costs_decide(&costs, (const double[]){0.98, 0.01, 0.01}), 0);
  thaw_costs_clear(&costs);
  static const struct {
    const char *text, *message;
  } bad[] = {{"true,good,crack,dirt\ngood,0,1,1\ncrack,1,0,1\n", "no row for class 'dirt'"},
             {"true,good,crack\ngood,0,1\n", "no column for class 'dirt'"},
             {"true,good,crack,dirt\nrack,0,1,1\n", "c.csv:2: no class is called 'rack' (did you mean 'crack'?)"},
             {"true,good,crack,dirt\ngood,0,,1\n", "the cost of 'good' called 'crack' is ''"},
             {"true,good,crack,dirt\ngood,0,nan,1\n", "is 'nan', expected a number"},
             {"true,good,crack,dirt\ngood,0,1,1\ngood,0,1,1\n", "c.csv:3: class 'good' is two rows"},
             {"", "no column for class 'good'"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_thaw_fails(thaw_costs_parse("c.csv", bad[i].text, strlen(bad[i].text), &three, &costs), THAW_ERR_DATA,
                      bad[i].message);

  int64_t n;
  float *score = dataset("/binary/score", THAW_H5_F32, &n);
  uint8_t *truth = dataset("/binary/truth", THAW_H5_U8, NULL);
  thaw_binary binary;
  assert_thaw_ok(thaw_binary_create(score, 1, truth, NULL, n, &binary));
  for (int miss = 1; miss <= 64; miss *= 4) {
    char text[64];
    snprintf(text, sizeof text, "true,good,crack\ngood,0,3\ncrack,%d,0.5\n", miss);
    assert_thaw_ok(thaw_costs_parse("c.csv", text, strlen(text), &two, &costs));
    double found = thaw_costs_threshold(&costs, &binary), least = INFINITY, at_found = 0, best = NAN;
    for (int64_t k = -1; k < n; k++) {
      double threshold = k < 0 ? 2 : (double)score[k], total = 0;
      for (int64_t i = 0; i < n; i++) total += thaw_cost(&costs, truth[i], (double)score[i] >= threshold);
      if (total < least || (total == least && threshold > best)) least = total, best = threshold;
    }
    for (int64_t i = 0; i < n; i++) at_found += thaw_cost(&costs, truth[i], (double)score[i] >= found);
    near("least cost", at_found, least, 1e-9);
    if (best < 2) near("threshold", found, best, 0);
    thaw_costs_clear(&costs);
  }
  thaw_binary_clear(&binary);
  thaw_free(score);
  thaw_free(truth);
}

/* The interval of a mean of equal groups is that of their means. */
static void test_mean_estimate(void **state) {
  (void)state;
  double value[12];
  int32_t group[12];
  thaw_estimate_of whole, single, alone;
  for (int i = 0; i < 12; i++) value[i] = group[i] = i / 3;
  assert_thaw_ok(thaw_mean_estimate(value, group, 4, 12, 2000, 7, &whole));
  assert_thaw_ok(thaw_mean_estimate((const double[]){0, 1, 2, 3}, NULL, 0, 4, 2000, 7, &single));
  near("mean", whole.value, 1.5, 1e-12);
  near("low", whole.low, single.low, 1e-12);
  near("high", whole.high, single.high, 1e-12);
  assert_true(whole.low < 1 && whole.high > 2);
  assert_thaw_ok(thaw_mean_estimate(value, NULL, 0, 1, 100, 7, &alone));
  assert_true(isnan(alone.low));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_wilcoxon),  cmocka_unit_test(test_costs),      cmocka_unit_test(test_mean_estimate),
      cmocka_unit_test(one_question),   cmocka_unit_test(operating_words), cmocka_unit_test(several_classes),
      cmocka_unit_test(several_labels), cmocka_unit_test(two_models),      cmocka_unit_test(quantiles),
      cmocka_unit_test(undefined),      cmocka_unit_test(group_numbers),   cmocka_unit_test(regression)};
  return cmocka_run_group_tests_name("score", tests, setup, teardown);
}
