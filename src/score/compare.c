/* Two models on the same samples: McNemar's and DeLong's tests. */
#include "thaw/memory.h"
#include "thaw/score.h"

#include <math.h>
#include <stdlib.h>

/* Two-sided: twice the lower tail of Binomial(n, 1/2), at most 1. */
static double binomial_p(int64_t smaller, int64_t n) {
  double tail = 0, total = (double)n;
  if (n == 0) return 1;
  for (int64_t k = 0; k <= smaller; k++) {
    double i = (double)k;
    tail += exp(lgamma(total + 1) - lgamma(i + 1) - lgamma(total - i + 1) - total * M_LN2);
  }
  return fmin(1, 2 * tail);
}

thaw_mcnemar thaw_mcnemar_test(const uint8_t *right_a, const uint8_t *right_b, int64_t count) {
  thaw_mcnemar m = {0};
  for (int64_t i = 0; i < count; i++) {
    if (right_a[i] && right_b[i])
      m.both++;
    else if (right_a[i])
      m.only_a++;
    else if (right_b[i])
      m.only_b++;
    else
      m.neither++;
  }
  m.p = binomial_p(m.only_a < m.only_b ? m.only_a : m.only_b, m.only_a + m.only_b);
  return m;
}

/* place[sample]: for a positive, the share of negatives below it (equal ones count half); for a negative, the share of
 * positives above it. One pass down the sorted scores (Sun and Xu, IEEE Signal Processing Letters 21, 2014). */
static void placements(const thaw_binary *b, double *place) {
  double positives = 0, negatives = 0, all_positives = (double)b->positives, all_negatives = (double)b->negatives;
  for (int64_t first = 0, end; first < b->count; first = end) {
    double p = 0, n = 0;
    for (end = first; end < b->count && b->score[end] == b->score[first]; end++) {
      p += b->truth[end];
      n += !b->truth[end];
    }
    for (int64_t i = first; i < end; i++)
      place[b->sample[i]] =
          b->truth[i] ? (all_negatives - negatives - n / 2) / all_negatives : (positives + p / 2) / all_positives;
    positives += p;
    negatives += n;
  }
}

typedef struct moments {
  double a, b, aa, bb, ab, n;
} moments;

static double covariance(double xy, double x, double y, double n) {
  return (xy - x * y / n) / (n - 1);
}

/* Moments around 1/2, where rounding matters least. */
static void add_moment(moments *m, double a, double b) {
  a -= 0.5;
  b -= 0.5;
  m->a += a, m->b += b, m->aa += a * a, m->bb += b * b, m->ab += a * b, m->n++;
}

static void finish(const moments *p, const moments *n, thaw_delong *out) {
  out->variance_a = covariance(p->aa, p->a, p->a, p->n) / p->n + covariance(n->aa, n->a, n->a, n->n) / n->n;
  out->variance_b = covariance(p->bb, p->b, p->b, p->n) / p->n + covariance(n->bb, n->b, n->b, n->n) / n->n;
  out->covariance = covariance(p->ab, p->a, p->b, p->n) / p->n + covariance(n->ab, n->a, n->b, n->n) / n->n;
  double variance = out->variance_a + out->variance_b - 2 * out->covariance;
  double difference = out->auroc_a - out->auroc_b;
  if (variance > 1e-18)
    out->z = difference / sqrt(variance);
  else
    out->z = fabs(difference) < 1e-12 ? 0 : NAN;
  out->p = erfc(fabs(out->z) / M_SQRT2);
}

thaw_status thaw_delong_test(const thaw_binary *a, const thaw_binary *b, thaw_delong *out) {
  *out = (thaw_delong){.auroc_a = thaw_auroc(a, NULL), .auroc_b = thaw_auroc(b, NULL), .z = NAN, .p = NAN};
  if (a->count != b->count || a->positives != b->positives)
    return thaw_fail(THAW_ERR_DATA,
                     "the two models were not asked about the same samples: %lld and %lld, %lld and %lld positive",
                     (long long)a->count, (long long)b->count, (long long)a->positives, (long long)b->positives);
  if (a->positives < 2 || a->negatives < 2) return THAW_OK;
  int64_t samples = 0;
  for (int64_t i = 0; i < a->count; i++)
    if (a->sample[i] >= samples) samples = a->sample[i] + 1;
  double *place_a = thaw_new((size_t)samples, sizeof *place_a), *place_b = thaw_new((size_t)samples, sizeof *place_b);
  if (place_a && place_b) {
    moments positive = {0}, negative = {0};
    placements(a, place_a);
    placements(b, place_b);
    for (int64_t i = 0; i < a->count; i++)
      add_moment(a->truth[i] ? &positive : &negative, place_a[a->sample[i]], place_b[a->sample[i]]);
    finish(&positive, &negative, out);
  }
  bool complete = place_a && place_b;
  thaw_free(place_a);
  thaw_free(place_b);
  return complete ? THAW_OK : THAW_ERR_MEMORY;
}
