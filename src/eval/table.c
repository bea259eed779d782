#include "thaw/eval.h"

#include <math.h>
#include <stdio.h>

/* E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927. */
void thaw_wilson_interval(int64_t hits, int64_t count, double *low, double *high) {
  if (count <= 0) {
    *low = 0;
    *high = 1;
    return;
  }
  const double z = 1.959963984540054; /* two-sided 95 % quantile of the normal distribution */
  double n = (double)count, p = (double)hits / n, middle = p + z * z / (2 * n);
  double spread = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)), scale = 1 + z * z / n;
  *low = (middle - spread) / scale;
  *high = (middle + spread) / scale;
}

typedef struct class_row {
  double precision, recall, f1;
  int64_t support;
} class_row;

static double ratio(int64_t part, int64_t whole) {
  return whole > 0 ? (double)part / (double)whole : 0;
}

/* As scikit-learn's classification_report: 0 where a denominator is 0; but of a class without a sample nothing is
 * known. */
static class_row row_of(const thaw_evaluation *e, int32_t c) {
  int64_t hit = e->confusion[(size_t)c * (size_t)e->classes + (size_t)c], predicted = 0, support = 0;
  for (int32_t i = 0; i < e->classes; i++) {
    predicted += e->confusion[(size_t)i * (size_t)e->classes + (size_t)c];
    support += e->confusion[(size_t)c * (size_t)e->classes + (size_t)i];
  }
  class_row row = {ratio(hit, predicted), ratio(hit, support), ratio(2 * hit, predicted + support), support};
  return row;
}

static void add_row(thaw_text *out, const char *name, class_row row) {
  if (row.support == 0) {
    thaw_text_add(out, "%-24.24s %9s %9s %9s %9d\n", name, "-", "-", "-", 0);
    return;
  }
  thaw_text_add(out, "%-24.24s %9.4f %9.4f %9.4f %9lld\n", name, row.precision, row.recall, row.f1,
                (long long)row.support);
}

void thaw_evaluation_table(const thaw_evaluation *e, const thaw_strings *classes, thaw_text *out) {
  if (!e->confusion) return;
  thaw_text_add(out, "%-24s %9s %9s %9s %9s\n", "class", "precision", "recall", "f1", "support");
  class_row macro = {0}, weighted = {0};
  int64_t hits = 0;
  int32_t present = 0;
  char number[48];
  for (int32_t c = 0; c < e->classes; c++) {
    class_row row = row_of(e, c);
    snprintf(number, sizeof number, "%d", c);
    add_row(out, classes && (size_t)c < classes->count ? classes->item[c] : number, row);
    double share = ratio(row.support, e->count);
    if (!row.support) continue;
    present++;
    macro.precision += row.precision, macro.recall += row.recall, macro.f1 += row.f1;
    weighted.precision += row.precision * share, weighted.recall += row.recall * share, weighted.f1 += row.f1 * share;
    hits += e->confusion[(size_t)c * (size_t)e->classes + (size_t)c];
  }
  macro.support = weighted.support = e->count;
  if (present > 0) macro.precision /= present, macro.recall /= present, macro.f1 /= present;
  snprintf(number, sizeof number, "macro average (%d of %d)", present, e->classes);
  add_row(out, present < e->classes ? number : "macro average", macro);
  add_row(out, "weighted average", weighted);
  double low, high;
  thaw_wilson_interval(hits, e->count, &low, &high);
  thaw_text_add(out, "accuracy %.4f (95 %% interval %.4f .. %.4f), %lld of %lld\n", ratio(hits, e->count), low, high,
                (long long)hits, (long long)e->count);
}
