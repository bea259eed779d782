/* F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945. */
#include "thaw/memory.h"
#include "thaw/score.h"

#include <math.h>
#include <stdlib.h>

static int by_size(const void *left, const void *right) {
  double a = fabs(*(const double *)left), b = fabs(*(const double *)right);
  return (a > b) - (a < b);
}

/* Ranks of a group of equal sizes, first .. end - 1, are their mean. */
static void add_group(const double *difference, int64_t first, int64_t end, thaw_wilcoxon *out) {
  double rank = (double)(first + end + 1) / 2;
  for (int64_t i = first; i < end; i++) *(difference[i] > 0 ? &out->plus : &out->minus) += rank;
}

thaw_status thaw_wilcoxon_test(const double *a, const double *b, int64_t count, thaw_wilcoxon *out) {
  *out = (thaw_wilcoxon){.z = NAN, .p = NAN};
  double *difference = thaw_new((size_t)count, sizeof *difference), ties = 0;
  if (!difference) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < count; i++)
    if (a[i] != b[i] && !isnan(a[i] - b[i])) difference[out->pairs++] = a[i] - b[i];
  qsort(difference, (size_t)out->pairs, sizeof *difference, by_size);
  for (int64_t first = 0, end; first < out->pairs; first = end) {
    for (end = first; end < out->pairs && fabs(difference[end]) == fabs(difference[first]);) end++;
    double n = (double)(end - first);
    ties += n * n * n - n;
    add_group(difference, first, end, out);
  }
  double n = (double)out->pairs, variance = (n * (n + 1) * (2 * n + 1) - ties / 2) / 24;
  if (out->pairs) {
    out->z = (fmin(out->plus, out->minus) - n * (n + 1) / 4) / sqrt(variance);
    out->p = erfc(fabs(out->z) / M_SQRT2);
  }
  thaw_free(difference);
  return THAW_OK;
}
