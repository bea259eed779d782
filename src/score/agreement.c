/* Cohen's kappa, Matthews' correlation and means over classes, of a confusion matrix. */
#include "thaw/score.h"

#include <math.h>

typedef struct sums {
  double total, hits;
  double squares_true, squares_predicted, products; /* of row and column sums */
} sums;

static double row_sum(const double *m, int32_t n, int32_t row) {
  double sum = 0;
  for (int32_t i = 0; i < n; i++) sum += m[(size_t)row * (size_t)n + (size_t)i];
  return sum;
}

static double column_sum(const double *m, int32_t n, int32_t column) {
  double sum = 0;
  for (int32_t i = 0; i < n; i++) sum += m[(size_t)i * (size_t)n + (size_t)column];
  return sum;
}

/* Classes that do not occur have neither recall nor a fair F1: they are left out of both means. */
static sums add_up(const double *m, int32_t n, thaw_agreement *out) {
  sums s = {0};
  double recall = 0, f1 = 0;
  int32_t occurring = 0;
  for (int32_t c = 0; c < n; c++) {
    double truth = row_sum(m, n, c), predicted = column_sum(m, n, c), hit = m[(size_t)c * (size_t)(n + 1)];
    s.total += truth;
    s.hits += hit;
    s.squares_true += truth * truth;
    s.squares_predicted += predicted * predicted;
    s.products += truth * predicted;
    if (!(truth > 0)) continue;
    occurring++;
    recall += hit / truth;
    f1 += 2 * hit / (truth + predicted);
  }
  out->balanced_accuracy = occurring ? recall / occurring : NAN;
  out->macro_f1 = occurring ? f1 / occurring : NAN;
  return s;
}

/* J. Cohen, "Weighted kappa", Psychological Bulletin 70, 1968, with weights (i - j)^2. The expected disagreement of the
 * marginals needs only their moments: sum_ij r_i c_j (i - j)^2 = T (M2r + M2c) - 2 M1r M1c. */
static double quadratic(const double *m, int32_t n) {
  double total = 0, observed = 0, mean_true = 0, mean_predicted = 0, square_true = 0, square_predicted = 0;
  for (int32_t i = 0; i < n; i++)
    for (int32_t j = 0; j < n; j++) {
      double w = m[(size_t)i * (size_t)n + (size_t)j], a = i, b = j;
      total += w;
      observed += w * (a - b) * (a - b);
      mean_true += w * a, square_true += w * a * a;
      mean_predicted += w * b, square_predicted += w * b * b;
    }
  double expected = (total * (square_true + square_predicted) - 2 * mean_true * mean_predicted) / total;
  return expected > 0 ? 1 - observed / expected : NAN;
}

thaw_agreement thaw_agreement_of(const double *confusion, int32_t classes) {
  thaw_agreement a = {0};
  sums s = add_up(confusion, classes, &a);
  double square = s.total * s.total, chance = s.products / square;
  a.accuracy = s.total > 0 ? s.hits / s.total : NAN;
  a.kappa = s.total > 0 && chance < 1 ? (a.accuracy - chance) / (1 - chance) : NAN;
  a.quadratic_kappa = s.total > 0 ? quadratic(confusion, classes) : NAN;
  /* J. Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", 2004; as scikit-learn,
   * 0 where all truths or all predictions are of one class. */
  double spread = (square - s.squares_true) * (square - s.squares_predicted);
  a.mcc = s.total > 0 ? (spread > 0 ? (s.hits * s.total - s.products) / sqrt(spread) : 0) : NAN;
  return a;
}
