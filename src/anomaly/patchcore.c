/* PatchCore: a memory of normal patches, thinned by greedy selection in a random projection. Only the projections of
 * all patches are held; the vectors of those that are kept are computed again. */
#include "anomaly/anomaly_private.h"
#include "thaw/kernel.h"
#include "thaw/rng.h"

#include <math.h>
#include <string.h>

enum { LANES = 8 };

typedef struct collection {
  coreset_points points;
  float *point;      /* [windows of this rank * positions][points.width] */
  float *projection; /* [width][points.width]; NULL: none */
  void *scratch;
  int64_t filled;        /* points */
  const int64_t *chosen; /* [chosen_count] rising, while vectors are fetched */
  int64_t chosen_count, next;
  float *vector; /* of this rank's chosen points */
  int64_t vectors;
} collection;

static thaw_gemm_desc projection_desc(const thaw_anomaly *m, const collection *c) {
  return (thaw_gemm_desc){.m = (int32_t)anomaly_positions(m),
                          .n = c->points.width,
                          .k = m->width,
                          .lda = m->width,
                          .ldb = c->points.width,
                          .ldc = c->points.width};
}

/* Gaussian entries over the root of the dimensions keep distances on average (Johnson and Lindenstrauss). */
static thaw_status make_projection(const thaw_anomaly *m, collection *c) {
  int32_t kept = m->config.projection;
  bool project = kept > 0 && kept < m->width;
  c->points.width = ((project ? kept : m->width) + LANES - 1) / LANES * LANES;
  if (!project) return THAW_OK;
  c->projection = thaw_new((size_t)m->width * (size_t)c->points.width, sizeof *c->projection);
  if (!c->projection) return THAW_ERR_MEMORY;
  for (int32_t i = 0; i < m->width; i++) {
    const thaw_draw at = {.seed = m->config.seed, .purpose = THAW_RNG_ANOMALY, .sample = (uint64_t)i};
    float *row = c->projection + (size_t)i * (size_t)c->points.width;
    thaw_random_normal(&at, row, (uint32_t)kept);
    for (int32_t k = 0; k < kept; k++) row[k] = (float)(row[k] / sqrt(kept));
  }
  const thaw_gemm_desc desc = projection_desc(m, c);
  c->scratch = thaw_new(thaw_gemm_scratch_bytes(m->isa, &desc), 1);
  return c->scratch ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status collect(void *context, thaw_anomaly *m, int64_t image, const float *feature) {
  collection *c = context;
  (void)image;
  THAW_TRY(anomaly_embed(m, feature, m->embedding));
  float *to = c->point + (size_t)c->filled * (size_t)c->points.width;
  size_t positions = anomaly_positions(m);
  c->filled += (int64_t)positions;
  if (c->projection) {
    const thaw_gemm_desc desc = projection_desc(m, c);
    thaw_gemm(m->isa, &desc, m->embedding, c->projection, to, c->scratch);
    return THAW_OK;
  }
  for (size_t p = 0; p < positions; p++)
    memcpy(to + p * (size_t)c->points.width, m->embedding + p * (size_t)m->width, (size_t)m->width * sizeof *to);
  return THAW_OK;
}

/* Numbers of this rank's and all points. [collective] */
static thaw_status number_points(thaw_anomaly *m, const anomaly_data *data, collection *c) {
  int ranks = thaw_comm_size(m->comm), rank = thaw_comm_rank(m->comm);
  int64_t mine, *windows = thaw_new((size_t)ranks, sizeof *windows);
  thaw_status status = windows ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = anomaly_count_windows(m, data->source, data->index, data->first, data->end, &mine);
  status = thaw_agree(m->comm, status);
  if (status == THAW_OK) {
    windows[rank] = mine;
    status = thaw_comm_sum_int(m->comm, windows, (size_t)ranks);
  }
  for (int i = 0; status == THAW_OK && i < ranks; i++) {
    if (i == rank) c->points.first = c->points.total;
    c->points.total += windows[i] * (int64_t)anomaly_positions(m);
  }
  if (status == THAW_OK) c->points.count = mine * (int64_t)anomaly_positions(m);
  thaw_free(windows);
  return status;
}

static thaw_status allocate_points(const thaw_anomaly *m, collection *c) {
  double need = (double)c->points.count * c->points.width * sizeof(float);
  int64_t available = thaw_memory_available();
  char a[32], b[32];
  if (available >= 0 && need > (double)available)
    return thaw_fail(THAW_ERR_RUN,
                     "%lld patches in %d dimensions need %s, there is %s: fewer images, a smaller "
                     "projection, or more nodes",
                     (long long)c->points.count, c->points.width, thaw_format_bytes(need, a),
                     thaw_format_bytes((double)available, b));
  (void)m;
  c->point = thaw_new((size_t)c->points.count * (size_t)c->points.width, sizeof *c->point);
  c->points.point = c->point;
  return c->point ? THAW_OK : THAW_ERR_MEMORY;
}

/* ------------------------------------------------------------------ the vectors of the chosen */

static thaw_status fetch(void *context, thaw_anomaly *m, int64_t image, const float *feature) {
  collection *c = context;
  (void)image;
  int64_t first = c->points.first + c->filled, end = first + (int64_t)anomaly_positions(m);
  c->filled = end - c->points.first;
  if (c->next >= c->chosen_count || c->chosen[c->next] >= end) return THAW_OK;
  THAW_TRY(anomaly_embed(m, feature, m->embedding));
  size_t bytes = (size_t)m->width * sizeof *c->vector;
  for (; c->next < c->chosen_count && c->chosen[c->next] < end; c->next++)
    memcpy(c->vector + (size_t)c->vectors++ * (size_t)m->width,
           m->embedding + (size_t)(c->chosen[c->next] - first) * (size_t)m->width, bytes);
  return THAW_OK;
}

/* [collective] Rank order is the order of numbers, so the gathered vectors are in that of `chosen`. */
static thaw_status share_bank(thaw_anomaly *m, const collection *c) {
  size_t mine = (size_t)c->vectors * (size_t)m->width * sizeof *c->vector;
  size_t bytes = (size_t)c->chosen_count * (size_t)m->width * sizeof *c->vector;
  char *all = NULL;
  size_t *sizes = NULL;
  m->bank_count = c->chosen_count;
  m->bank = thaw_new(bytes, 1);
  THAW_TRY(thaw_agree(m->comm, m->bank ? THAW_OK : THAW_ERR_MEMORY));
  thaw_status status = thaw_comm_gather(m->comm, c->vector, mine, &all, &sizes);
  if (status == THAW_OK && all) memcpy(m->bank, all, bytes);
  thaw_free(all);
  thaw_free(sizes);
  return status == THAW_OK ? thaw_comm_broadcast(m->comm, 0, m->bank, bytes) : status;
}

/* [collective] */
static thaw_status fetch_bank(thaw_anomaly *m, const anomaly_data *data, collection *c) {
  thaw_free(c->point);
  c->point = NULL;
  c->filled = c->next = 0;
  while (c->next < c->chosen_count && c->chosen[c->next] < c->points.first) c->next++;
  c->vector = thaw_new((size_t)c->chosen_count * (size_t)m->width, sizeof *c->vector);
  thaw_status status = c->vector ? THAW_OK : THAW_ERR_MEMORY;
  thaw_progress_begin(data->log, "memory", "images", data->end - data->first);
  if (status == THAW_OK)
    status = anomaly_each_window(m, data->source, data->index, data->first, data->end, data->log, fetch, c);
  thaw_progress_end(data->log, NULL);
  THAW_TRY(thaw_agree(m->comm, status));
  return share_bank(m, c);
}

/* [collective] */
static thaw_status collect_all(thaw_anomaly *m, const anomaly_data *data, collection *c) {
  THAW_TRY(number_points(m, data, c));
  thaw_status status = make_projection(m, c);
  if (status == THAW_OK) status = allocate_points(m, c);
  THAW_TRY(thaw_agree(m->comm, status));
  thaw_progress_begin(data->log, "normal images", "images", data->end - data->first);
  status = anomaly_each_window(m, data->source, data->index, data->first, data->end, data->log, collect, c);
  thaw_progress_end(data->log, NULL);
  for (size_t i = 0; status == THAW_OK && i < (size_t)c->filled * (size_t)c->points.width; i++)
    if (!isfinite(c->point[i])) {
      int64_t number = (int64_t)(i / (size_t)c->points.width);
      status = thaw_fail(THAW_ERR_DATA, "patch %lld of the normal images: its features are not finite",
                         (long long)(c->points.first + number));
    }
  return thaw_agree(m->comm, status);
}

thaw_status patchcore_fit(thaw_anomaly *m, const anomaly_data *data) {
  collection c = {0};
  int64_t *chosen = NULL;
  thaw_status status = collect_all(m, data, &c);
  int64_t keep = (int64_t)ceil(m->config.coreset * (double)c.points.total);
  if (status == THAW_OK) {
    chosen = thaw_new((size_t)keep, sizeof *chosen);
    status = thaw_agree(m->comm, chosen ? THAW_OK : THAW_ERR_MEMORY);
  }
  if (status == THAW_OK)
    status = coreset_choose(m->comm, &c.points, keep, m->config.seed, data->log, chosen, &c.chosen_count);
  c.chosen = chosen;
  if (status == THAW_OK) status = fetch_bank(m, data, &c);
  if (status == THAW_OK) status = thaw_agree(m->comm, patchcore_prepare(m));
  if (status == THAW_OK)
    thaw_verbose(data->log, "%lld of %lld patches kept", (long long)m->bank_count, (long long)c.points.total);
  thaw_free(c.point);
  thaw_free(c.projection);
  thaw_free(c.scratch);
  thaw_free(c.vector);
  thaw_free(chosen);
  return status;
}

/* ------------------------------------------------------------------ distances */

static thaw_gemm_desc product_desc(const thaw_anomaly *m) {
  return (thaw_gemm_desc){.m = (int32_t)anomaly_positions(m),
                          .n = (int32_t)m->bank_count,
                          .k = m->width,
                          .transpose_b = true,
                          .lda = m->width,
                          .ldb = m->width,
                          .ldc = (int32_t)m->bank_count};
}

static double distance(const float *a, const float *b, int32_t width) {
  double sum = 0;
  for (int32_t i = 0; i < width; i++) {
    double difference = (double)a[i] - b[i];
    sum += difference * difference;
  }
  return sqrt(sum);
}

static const float *bank_row(const thaw_anomaly *m, int64_t row) {
  return m->bank + (size_t)row * (size_t)m->width;
}

thaw_status patchcore_prepare(thaw_anomaly *m) {
  const thaw_gemm_desc desc = product_desc(m);
  m->bank_square = thaw_new((size_t)m->bank_count, sizeof *m->bank_square);
  m->product = thaw_new(anomaly_positions(m) * (size_t)m->bank_count, sizeof *m->product);
  m->gemm_scratch = thaw_new(thaw_gemm_scratch_bytes(m->isa, &desc), 1);
  if (!m->bank_square || !m->product || !m->gemm_scratch) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < m->bank_count; i++) {
    double sum = 0;
    for (int32_t k = 0; k < m->width; k++) sum += (double)bank_row(m, i)[k] * bank_row(m, i)[k];
    m->bank_square[i] = (float)sum;
  }
  return THAW_OK;
}

/* Equation 7: 1 - exp(d*) / sum over the b nearest neighbours m of m* (itself among them) of exp(|x - m|), times d*. */
static thaw_status reweight(const thaw_anomaly *m, const float *x, int64_t nearest, double d, double *out) {
  int64_t b = m->config.neighbours < m->bank_count ? m->config.neighbours : m->bank_count;
  *out = d;
  if (b <= 1) return THAW_OK;
  double *near = thaw_new((size_t)b, sizeof *near), sum = 0;
  int64_t *row = thaw_new((size_t)b, sizeof *row), count = 0;
  thaw_status status = near && row ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t i = 0; status == THAW_OK && i < m->bank_count; i++) {
    double between = i == nearest ? 0 : distance(bank_row(m, i), bank_row(m, nearest), m->width);
    if (count == b && between >= near[b - 1]) continue;
    int64_t at = count < b ? count++ : b - 1;
    for (; at > 0 && near[at - 1] > between; at--) {
      near[at] = near[at - 1];
      row[at] = row[at - 1];
    }
    near[at] = between;
    row[at] = i;
  }
  for (int64_t i = 0; i < count; i++) sum += exp(distance(x, bank_row(m, row[i]), m->width) - d);
  if (status == THAW_OK) *out = (1 - 1 / sum) * d;
  thaw_free(near);
  thaw_free(row);
  return status;
}

/* The nearest one is found in float by |m|^2 - 2 x m; its distance is computed in double. */
thaw_status patchcore_score(thaw_anomaly *m, const float *embedding, float *map, double *worst, double *score) {
  const thaw_gemm_desc desc = product_desc(m);
  size_t worst_patch = 0;
  int64_t worst_row = 0;
  *worst = -1;
  thaw_gemm(m->isa, &desc, embedding, m->bank, m->product, m->gemm_scratch);
  for (size_t p = 0; p < anomaly_positions(m); p++) {
    const float *product = m->product + p * (size_t)m->bank_count;
    int64_t best = 0;
    for (int64_t i = 1; i < m->bank_count; i++)
      if (m->bank_square[i] - 2 * product[i] < m->bank_square[best] - 2 * product[best]) best = i;
    double d = distance(embedding + p * (size_t)m->width, bank_row(m, best), m->width);
    map[p] = (float)d;
    if (d <= *worst) continue;
    *worst = d;
    worst_patch = p;
    worst_row = best;
  }
  return reweight(m, embedding + worst_patch * (size_t)m->width, worst_row, *worst, score);
}
