/* PaDiM: a Gaussian per position.
 *
 * With d = x - o, where o is the mean over the first few images, the exact sums S = sum d and P = sum d d^T give
 *
 *     mean = o + S / n,   covariance = (P - S S^T / n) / (n - 1) + shrinkage I = L L^T
 *
 * so that little cancels, and images may be added in any order on any rank. The distance of x is |L^-1 (x - mean)|. */
#include "anomaly/anomaly_private.h"

#include <math.h>
#include <string.h>

static const double rounding = 0x1.8p52; /* adding it rounds to nearest, |value| < 2^51 */

typedef struct gaussian_sums {
  float *origin, *difference; /* [positions][width] */
  double *origin_sum;
  int64_t origin_windows;
  float largest[2]; /* |d|, |d d| of the first images */
  thaw_exact *exact;
} gaussian_sums;

static size_t triangle(const thaw_anomaly *m) {
  return (size_t)m->width * ((size_t)m->width + 1) / 2;
}

static size_t values(const thaw_anomaly *m) {
  return anomaly_positions(m) * (size_t)m->width;
}

size_t padim_doubles(const thaw_anomaly *m) {
  return (size_t)m->width + triangle(m);
}

/* ------------------------------------------------------------------ the first images */

static thaw_status add_origin(void *context, thaw_anomaly *m, int64_t image, const float *feature) {
  gaussian_sums *s = context;
  (void)image;
  THAW_TRY(anomaly_embed(m, feature, m->embedding));
  for (size_t i = 0; i < values(m); i++) s->origin_sum[i] += m->embedding[i];
  s->origin_windows++;
  return THAW_OK;
}

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits & 0x7fffffffu;
}

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* d of the embedding at hand; the bits of its largest |value|, of which those of infinity and NaN are the largest. */
static uint32_t subtract_origin(thaw_anomaly *m, gaussian_sums *s) {
  uint32_t largest = 0;
  for (size_t i = 0; i < values(m); i++) {
    s->difference[i] = m->embedding[i] - s->origin[i];
    uint32_t bits = bits_of(s->difference[i]);
    if (bits > largest) largest = bits;
  }
  return largest;
}

static thaw_status measure(void *context, thaw_anomaly *m, int64_t image, const float *feature) {
  gaussian_sums *s = context;
  (void)image;
  THAW_TRY(anomaly_embed(m, feature, m->embedding));
  float most = float_of(subtract_origin(m, s));
  if (most > s->largest[0]) s->largest[0] = most;
  return THAW_OK;
}

/* [local, the same on every rank] Origin, and the exponents that the exact sums begin with. */
static thaw_status see_first(thaw_anomaly *m, const anomaly_data *data, gaussian_sums *s) {
  int64_t few = data->count < ANOMALY_FIRST ? data->count : ANOMALY_FIRST;
  THAW_TRY(anomaly_each_window(m, data->source, data->index, 0, few, NULL, add_origin, s));
  for (size_t i = 0; i < values(m); i++) s->origin[i] = (float)(s->origin_sum[i] / (double)s->origin_windows);
  THAW_TRY(anomaly_each_window(m, data->source, data->index, 0, few, NULL, measure, s));
  s->largest[1] = s->largest[0] * s->largest[0];
  int32_t exponent[2];
  for (int k = 0; k < 2; k++) {
    bool known = s->largest[k] > 0 && isfinite(s->largest[k]);
    exponent[k] = known ? ilogbf(s->largest[k]) + ilogb((double)m->windows) : THAW_EXACT_UNKNOWN;
  }
  thaw_exact_set_exponents(s->exact, exponent);
  return THAW_OK;
}

/* ------------------------------------------------------------------ all images */

/* sums += round(factor d_i d_j), j <= i, of every position. */
static void add_products(const thaw_anomaly *m, const float *difference, double factor, int64_t *sums) {
  int64_t rounding_bits;
  memcpy(&rounding_bits, &rounding, sizeof rounding_bits);
  for (size_t p = 0; p < anomaly_positions(m); p++, difference += m->width)
    for (int32_t i = 0; i < m->width; sums += ++i) {
      double scaled = factor * difference[i];
      for (int32_t j = 0; j <= i; j++) {
        double value = scaled * difference[j] + rounding;
        int64_t bits;
        memcpy(&bits, &value, sizeof bits);
        sums[j] += bits - rounding_bits;
      }
    }
}

static thaw_status add_window(void *context, thaw_anomaly *m, int64_t image, const float *feature) {
  gaussian_sums *s = context;
  double factor;
  THAW_TRY(anomaly_embed(m, feature, m->embedding));
  float most = float_of(subtract_origin(m, s));
  float product = isfinite(most) ? nextafterf(most * most, INFINITY) : INFINITY;
  thaw_exact_add(s->exact, 0, s->difference, image);
  int64_t *sums = thaw_exact_sums(s->exact, 1, &factor, NULL);
  if (factor > 0 && factor * product < 0x1p51) add_products(m, s->difference, factor, sums);
  thaw_exact_note(s->exact, 1, image, most > 0 || !isfinite(most) ? bits_of(product) : 0);
  return THAW_OK;
}

/* [collective] */
static thaw_status sum_all(thaw_anomaly *m, const anomaly_data *data, gaussian_sums *s) {
  thaw_verdict verdict;
  do {
    int64_t flags[THAW_EXACT_FLAGS] = {0}, slice;
    size_t tensor;
    thaw_exact_begin(s->exact, m->windows);
    thaw_progress_begin(data->log, "normal images", "images", data->end - data->first);
    thaw_status status =
        anomaly_each_window(m, data->source, data->index, data->first, data->end, data->log, add_window, s);
    thaw_progress_end(data->log, NULL);
    THAW_TRY(thaw_agree(m->comm, status));
    THAW_TRY(thaw_exact_reduce(s->exact, m->comm, flags, &verdict, &tensor, &slice));
    if (verdict == THAW_EXACT_NOT_FINITE)
      return thaw_fail(THAW_ERR_DATA, "%s: its features are not finite",
                       data->source->name(data->source->context, data->index[slice]));
  } while (verdict == THAW_EXACT_AGAIN);
  return THAW_OK;
}

/* ------------------------------------------------------------------ mean and factor */

/* In place: the lower triangle, column by column, becomes its Cholesky factor. False: not positive definite. */
static bool cholesky(double *column, int32_t n) {
  double *at = column;
  for (int32_t k = 0; k < n; at += n - k, k++) {
    if (!(at[0] > 0)) return false;
    at[0] = sqrt(at[0]);
    for (int32_t i = 1; i < n - k; i++) at[i] /= at[0];
    double *later = at + (n - k);
    for (int32_t j = 1; j < n - k; later += n - k - j, j++)
      for (int32_t i = j; i < n - k; i++) later[i - j] -= at[i] * at[j];
  }
  return true;
}

/* One position: out mean [width], columns. */
static bool finish_position(const thaw_anomaly *m, const float *origin, const float *sum, const float *product,
                            double *out) {
  double n = (double)m->windows, *column = out + m->width;
  for (int32_t i = 0; i < m->width; i++) out[i] = origin[i] + sum[i] / n;
  for (int32_t j = 0; j < m->width; j++)
    for (int32_t i = j; i < m->width; i++) {
      double entry = product[(size_t)i * ((size_t)i + 1) / 2 + (size_t)j] - (double)sum[i] * sum[j] / n;
      *column++ = entry / (n - 1) + (i == j ? m->config.shrinkage : 0);
    }
  return cholesky(out + m->width, m->width);
}

static thaw_status fill_gauss(const thaw_anomaly *m, const gaussian_sums *s, double *out) {
  float *product = thaw_new(anomaly_positions(m) * triangle(m), sizeof *product);
  if (!product) return THAW_ERR_MEMORY;
  float *sum = s->difference;
  thaw_exact_get(s->exact, 0, sum);
  thaw_exact_get(s->exact, 1, product);
  thaw_status status = THAW_OK;
  for (size_t p = 0; p < anomaly_positions(m) && status == THAW_OK; p++) {
    size_t at = p * (size_t)m->width;
    if (!finish_position(m, s->origin + at, sum + at, product + p * triangle(m), out + p * padim_doubles(m)))
      status = thaw_fail(THAW_ERR_DATA,
                         "the covariance of %lld windows in %d dimensions is singular at position (%zu, %zu): more "
                         "images, fewer dimensions, or more shrinkage than %g",
                         (long long)m->windows, m->width, p / (size_t)m->w, p % (size_t)m->w, m->config.shrinkage);
  }
  thaw_free(product);
  return status;
}

/* [collective] */
static thaw_status share_gauss(thaw_anomaly *m, const gaussian_sums *s) {
  THAW_TRY(thaw_shared_create(m->comm, anomaly_positions(m) * padim_doubles(m) * sizeof(double), &m->gauss));
  thaw_status status = thaw_shared_must_fill(m->gauss) ? fill_gauss(m, s, thaw_shared_data(m->gauss)) : THAW_OK;
  THAW_TRY(thaw_agree(m->comm, status));
  return thaw_shared_publish(m->gauss);
}

static thaw_status enough_memory(const thaw_anomaly *m) {
  double need = (double)anomaly_positions(m) * (double)triangle(m) * (8 + 4 + 8);
  int64_t available = thaw_memory_available();
  char a[32], b[32];
  if (available < 0 || need < (double)available) return THAW_OK;
  return thaw_fail(THAW_ERR_RUN,
                   "%d x %d positions in %d dimensions need %s, there is %s: fewer dimensions or coarser "
                   "layers",
                   m->h, m->w, m->width, thaw_format_bytes(need, a), thaw_format_bytes((double)available, b));
}

static thaw_status create(const thaw_anomaly *m, gaussian_sums *s) {
  const size_t size[2] = {values(m), anomaly_positions(m) * triangle(m)};
  THAW_TRY(enough_memory(m));
  s->origin = thaw_new(values(m), sizeof *s->origin);
  s->difference = thaw_new(values(m), sizeof *s->difference);
  s->origin_sum = thaw_new(values(m), sizeof *s->origin_sum);
  if (!s->origin || !s->difference || !s->origin_sum) return THAW_ERR_MEMORY;
  return thaw_exact_create(size, 2, &s->exact);
}

thaw_status padim_fit(thaw_anomaly *m, const anomaly_data *data) {
  gaussian_sums s = {0};
  thaw_status status = create(m, &s);
  if (status == THAW_OK) status = see_first(m, data, &s);
  status = thaw_agree(m->comm, status);
  if (status == THAW_OK) status = sum_all(m, data, &s);
  if (status == THAW_OK) status = share_gauss(m, &s);
  thaw_exact_destroy(s.exact);
  thaw_free(s.origin);
  thaw_free(s.difference);
  thaw_free(s.origin_sum);
  return status;
}

/* ------------------------------------------------------------------ distances */

void padim_score(const thaw_anomaly *m, const float *embedding, double *work, float *map) {
  const double *gauss = thaw_shared_data(m->gauss);
  for (size_t p = 0; p < anomaly_positions(m); p++) {
    const double *mean = gauss + p * padim_doubles(m), *column = mean + m->width;
    const float *x = embedding + p * (size_t)m->width;
    double sum = 0;
    for (int32_t i = 0; i < m->width; i++) work[i] = x[i] - mean[i];
    for (int32_t j = 0; j < m->width; column += m->width - j, j++) {
      double z = work[j] / column[0];
      sum += z * z;
      for (int32_t i = 1; i < m->width - j; i++) work[j + i] -= z * column[i];
    }
    map[p] = (float)sqrt(sum);
  }
}
