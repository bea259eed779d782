/* score.h: how good predictions are, as a reviewer asks: ranking, operating points, agreement, calibration, intervals,
 * comparison of two models.
 *
 * Works on all predictions at once (rank 0 after a gather), so that nothing depends on the number of ranks. Definitions
 * are scikit-learn's where it has them. A value that is not defined (a class without positives) is NaN, never 0, and
 * a mean over classes leaves it out and says so. All functions are [local].
 */
#ifndef THAW_SCORE_H
#define THAW_SCORE_H

#include "thaw/file.h"
#include "thaw/shard.h"
#include "thaw/text.h"

enum { THAW_UNKNOWN = 255 };

/* ------------------------------------------------------------------ one yes-or-no question */
/* Samples with a known truth, by falling score; samples of equal score are one step of the curves. */
typedef struct thaw_binary {
  int64_t count, positives, negatives, unknown;
  int64_t *sample; /* [count] index of the caller's sample */
  float *score;    /* [count] */
  uint8_t *truth;  /* [count] 0 or 1 */
} thaw_binary;
/* score and truth [count] are read at a distance of `stride` and 1; truth 0, 1, or THAW_UNKNOWN: left out. `sample`
 * [count] gives each row's sample, NULL: its own index. A score that is not a number is THAW_ERR_DATA. */
thaw_status thaw_binary_create(const float *score, int32_t stride, const uint8_t *truth, const int64_t *sample,
                               int64_t count, thaw_binary *out) THAW_CHECKED;
void thaw_binary_clear(thaw_binary *binary);

/* weight: by the caller's sample index, each at least 0; NULL: 1 each. The area under the ROC curve (ties count half),
 * and the average precision, sum of (R_k - R_(k-1)) P_k, which is the area under the precision-recall curve without
 * interpolation. NaN without positives, and the former also without negatives. */
double thaw_auroc(const thaw_binary *binary, const double *weight);
double thaw_average_precision(const thaw_binary *binary, const double *weight);

/* Points of both curves, one for each distinct score from the highest on; the ROC curve also begins at (0, 0). */
typedef struct thaw_curve {
  int64_t count;
  double *threshold, *true_rate, *false_rate, *precision; /* [count]; true_rate is the recall, too */
} thaw_curve;
thaw_status thaw_curve_create(const thaw_binary *binary, thaw_curve *out) THAW_CHECKED;
void thaw_curve_clear(thaw_curve *curve);

/* ------------------------------------------------------------------ operating points: positive from a score on */
typedef enum thaw_operating_rule {
  THAW_OPERATE_YOUDEN,      /* largest sensitivity + specificity - 1 */
  THAW_OPERATE_F1,          /* largest F1 */
  THAW_OPERATE_SENSITIVITY, /* the highest threshold with at least this sensitivity */
  THAW_OPERATE_SPECIFICITY, /* the lowest threshold with at least this specificity */
  THAW_OPERATE_FIXED        /* this threshold */
} thaw_operating_rule;
typedef struct thaw_operating_point {
  thaw_operating_rule rule;
  double value; /* of the last three */
} thaw_operating_point;
/* "youden", "f1", "sensitivity=0.95", "specificity=0.9", "0.5". */
thaw_status thaw_operating_parse(const char *text, thaw_operating_point *out) THAW_CHECKED;
/* The threshold that the rule chooses on these samples; NaN where it cannot: no positives, or no negatives. */
double thaw_operating_choose(const thaw_binary *binary, const thaw_operating_point *point);

typedef struct thaw_counts {
  double tp, fp, tn, fn;
} thaw_counts;
thaw_counts thaw_counts_at(const thaw_binary *binary, const double *weight, double threshold);

/* ------------------------------------------------------------------ agreement in a confusion matrix */
typedef struct thaw_agreement {
  double accuracy, balanced_accuracy; /* the latter: mean recall of the classes that occur */
  double macro_f1;                    /* of the classes that occur */
  double kappa, quadratic_kappa;      /* Cohen's; the latter is meant for classes in an order */
  double mcc;                         /* Matthews' correlation, of several classes */
} thaw_agreement;
/* confusion [classes][classes], true x predicted. */
thaw_agreement thaw_agreement_of(const double *confusion, int32_t classes);

/* ------------------------------------------------------------------ what is scored */
typedef struct thaw_scored {
  int64_t count;
  int32_t outputs;
  thaw_label_kind kind; /* CLASS or MULTI; TARGET for thaw_regression_* alone */
  const float *y;       /* [count][outputs] */
  const float *label;   /* [count] class indices, or [count][outputs] of 0, 1, 255 or of targets */
  const int32_t *group; /* [count] numbers 0 .. groups-1 of what is resampled as a whole; NULL: each sample alone */
  int64_t groups;
  const thaw_strings *classes; /* names of outputs; may be NULL or short */
} thaw_scored;
/* Questions: one per output; one class output means two classes, and class 1 is the positive one. */
int32_t thaw_scored_questions(const thaw_scored *scored);
thaw_status thaw_scored_binary(const thaw_scored *scored, int32_t question, thaw_binary *out) THAW_CHECKED;
const char *thaw_scored_name(const thaw_scored *scored, int32_t question, char number[16]);
/* Names -> numbers in order of appearance (thaw_free). */
thaw_status thaw_group_numbers(const thaw_strings *names, int32_t **out, int64_t *groups_out) THAW_CHECKED;

/* ------------------------------------------------------------------ calibration */
enum { THAW_CALIBRATION_BINS = 15 };
/* Of the largest output (class labels, several outputs; Guo et al., "On calibration of modern neural networks",
 * ICML 2017), else of every known yes-or-no answer. Bins of equal width, the upper edge belongs to the bin. */
typedef struct thaw_calibration {
  int64_t answers, count[THAW_CALIBRATION_BINS];
  double confidence[THAW_CALIBRATION_BINS], frequency[THAW_CALIBRATION_BINS]; /* means; NaN in empty bins */
  double ece, mce;                                                            /* expected and largest gap */
  double brier;       /* mean squared error; of class labels with several outputs summed over them */
  double log_loss;    /* outputs clipped to 1e-15 .. 1 */
  bool probabilities; /* false: the outputs are none, and nothing above is set */
} thaw_calibration;
/* temperature: outputs are softmax(log y / T) or sigmoid(logit y / T); 1: as they are. */
thaw_status thaw_calibrate(const thaw_scored *scored, double temperature, thaw_calibration *out) THAW_CHECKED;
/* The temperature of least log loss, in 0.05 .. 20; NaN when the outputs are no probabilities or nothing is known. */
thaw_status thaw_temperature_fit(const thaw_scored *scored, double *out) THAW_CHECKED;

/* ------------------------------------------------------------------ all of it, with intervals */
typedef enum thaw_stat { /* of one question */
                         THAW_STAT_AUROC,
                         THAW_STAT_AUPRC,
                         THAW_STAT_SENSITIVITY,
                         THAW_STAT_SPECIFICITY,
                         THAW_STAT_PPV,
                         THAW_STAT_NPV,
                         THAW_STAT_F1,
                         THAW_STAT_YOUDEN,
                         THAW_STATS
} thaw_stat;
typedef enum thaw_overall { /* of all together */
                            THAW_MACRO_AUROC,
                            THAW_MACRO_AUPRC,
                            THAW_MICRO_AUROC,
                            THAW_MICRO_AUPRC,
                            THAW_ACCURACY,
                            THAW_BALANCED_ACCURACY,
                            THAW_MACRO_F1,
                            THAW_KAPPA,
                            THAW_QUADRATIC_KAPPA,
                            THAW_MCC,
                            THAW_OVERALL
} thaw_overall;
const char *thaw_stat_name(thaw_stat stat);
const char *thaw_overall_name(thaw_overall overall);

typedef struct thaw_estimate_of {
  double value, low, high; /* 95 % percentile interval; NaN: undefined, or not asked for */
  int64_t undefined;       /* replicates in which the value is not defined; they are not in the interval */
} thaw_estimate_of;

typedef struct thaw_scorer thaw_scorer;
/* `scored` is borrowed until destroy. threshold [questions]. */
thaw_status thaw_scorer_create(const thaw_scored *scored, const double *threshold, thaw_scorer **out) THAW_CHECKED;
void thaw_scorer_destroy(thaw_scorer *scorer);         /* accepts NULL */
int32_t thaw_scorer_values(const thaw_scorer *scorer); /* THAW_OVERALL + questions * THAW_STATS */
const thaw_binary *thaw_scorer_binary(const thaw_scorer *scorer, int32_t question);
/* value [values]: overall first, then question by question; weight [count] or NULL. A mean over classes (balanced
 * accuracy is one) is that of the questions for which it is defined; with `whole` [values], the same of more samples,
 * it is NaN where a question has lost what it has there, so that replicates are means of the same classes. */
void thaw_scorer_compute(const thaw_scorer *scorer, const double *weight, const double *whole, double *value);
/* Adds percentile intervals from `replicates` samples of groups with replacement (of `weight`'s members, where it is
 * given: the groups that have one). A pure function of the seed. Fewer than 2 groups: no interval. */
thaw_status thaw_scorer_estimate(const thaw_scorer *scorer, const double *weight, int32_t replicates, uint64_t seed,
                                 thaw_estimate_of *out) THAW_CHECKED;
/* Draws of replicate `replicate`: adds to taken [groups] how often each group is drawn. member [members]: the groups to
 * draw from; NULL: the first `members`. */
void thaw_bootstrap_draw(uint64_t seed, int32_t replicate, const int64_t *member, int64_t members, double *taken);
/* As numpy.percentile(..., method="linear") over values without NaN; sorts them. q in 0 .. 1. */
double thaw_quantile(double *value, int64_t count, double q);

/* ------------------------------------------------------------------ regression */
typedef enum thaw_regression_stat {
  THAW_REGRESSION_MAE,
  THAW_REGRESSION_RMSE,
  THAW_REGRESSION_R2,
  THAW_REGRESSION_STATS
} thaw_regression_stat;
const char *thaw_regression_name(thaw_regression_stat stat); /* "mae", "rmse", "r2" */
/* scored: of kind TARGET, label [count][outputs]. value [outputs + 1][THAW_REGRESSION_STATS]: each output's, then their
 * means. weight [count] or NULL. NaN where nothing has weight, R2 also with fewer than two samples. */
void thaw_regression_compute(const thaw_scored *scored, const double *weight, double *value);
/* The same with percentile intervals, as thaw_scorer_estimate makes them. */
thaw_status thaw_regression_estimate(const thaw_scored *scored, const double *weight, int32_t replicates, uint64_t seed,
                                     thaw_estimate_of *out) THAW_CHECKED;

/* ------------------------------------------------------------------ what decisions cost */
typedef struct thaw_costs {
  int32_t classes;
  double *cost; /* [classes][classes] true x predicted; a negative cost is a gain */
} thaw_costs;
static inline double thaw_cost(const thaw_costs *costs, int32_t truth, int32_t predicted) {
  return costs->cost[(size_t)truth * (size_t)costs->classes + (size_t)predicted];
}
/* A CSV: the header names the predicted classes from the second column on, each row the true class and its costs; every
 * class once, in any order. `name` is for messages. */
thaw_status thaw_costs_parse(const char *name, const char *text, size_t size, const thaw_strings *classes,
                             thaw_costs *out) THAW_CHECKED;
void thaw_costs_clear(thaw_costs *costs);
/* The class of least expected cost (the first of equals) under the classes' probabilities [classes]. */
int32_t thaw_costs_decide(const thaw_costs *costs, const double *probability);
/* Those of one row of class outputs, at a temperature (1: as they are, divided by their sum) -> out [classes]. */
thaw_status thaw_costs_probabilities(const thaw_scored *scored, double temperature, int64_t row,
                                     double *out) THAW_CHECKED;
/* Of two classes: the score from which on samples are called class 1 that costs least on these samples; the highest of
 * equals, above all scores where that is best. NaN without samples of either class. */
double thaw_costs_threshold(const thaw_costs *costs, const thaw_binary *binary);
/* The mean of value [count] with a percentile interval over groups (NULL: samples), as thaw_scorer_estimate's. */
thaw_status thaw_mean_estimate(const double *value, const int32_t *group, int64_t groups, int64_t count,
                               int32_t replicates, uint64_t seed, thaw_estimate_of *out) THAW_CHECKED;

/* ------------------------------------------------------------------ two models on the same samples */
/* McNemar's exact test (two-sided binomial) on two lists of right and wrong answers. */
typedef struct thaw_mcnemar {
  int64_t both, only_a, only_b, neither;
  double p;
} thaw_mcnemar;
thaw_mcnemar thaw_mcnemar_test(const uint8_t *right_a, const uint8_t *right_b, int64_t count);
/* Wilcoxon's signed-rank test of paired numbers, two-sided: pairs without a difference are left out, ties share their
 * mean rank, p by the normal approximation with the correction for ties (scipy.stats.wilcoxon, method "approx"). NaN
 * without a difference. */
typedef struct thaw_wilcoxon {
  int64_t pairs;      /* with a difference */
  double plus, minus; /* sums of the ranks of pairs with a > b, and a < b */
  double z, p;
} thaw_wilcoxon;
thaw_status thaw_wilcoxon_test(const double *a, const double *b, int64_t count, thaw_wilcoxon *out) THAW_CHECKED;
/* E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44, 1988; both must ask the same question of the same samples. */
typedef struct thaw_delong {
  double auroc_a, auroc_b, variance_a, variance_b, covariance;
  double z, p; /* NaN where there are fewer than two positives or negatives; p 1 where both rank alike */
} thaw_delong;
thaw_status thaw_delong_test(const thaw_binary *a, const thaw_binary *b, thaw_delong *out) THAW_CHECKED;

#endif
