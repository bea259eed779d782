/* Learning what is normal. */
#include "anomaly/anomaly_private.h"
#include "thaw/rng.h"
#include "thaw/score.h"

#include <math.h>
#include <string.h>

const char *const thaw_anomaly_methods[] = {"padim", "patchcore", NULL};
const char *const thaw_anomaly_merges[] = {"mean", "max", NULL};
enum { FEW = 20 }; /* normal images below which a covariance means little */

thaw_anomaly_config thaw_anomaly_defaults(void) {
  return (thaw_anomaly_config){.method = THAW_ANOMALY_PADIM,
                               .scale = true,
                               .dimensions = 100,
                               .shrinkage = 0.01,
                               .coreset = 0.01,
                               .projection = 128,
                               .neighbours = 9,
                               .smooth = 4,
                               .held_out = 0.1,
                               .false_alarms = 0.01};
}

const thaw_anomaly_config *thaw_anomaly_config_of(const thaw_anomaly *model) {
  return &model->config;
}

void thaw_anomaly_thresholds(const thaw_anomaly *model, double *image, double *pixel) {
  *image = model->image_threshold;
  *pixel = model->pixel_threshold;
}

void thaw_anomaly_describe(const thaw_anomaly *m, thaw_text *out) {
  thaw_text_add(out, "%s on %s, %d x %d, layers", thaw_anomaly_methods[m->config.method],
                m->architecture ? m->architecture : "the model in the file", m->input.h, m->input.w);
  for (size_t i = 0; i < m->names.count; i++) thaw_text_add(out, " %s", m->names.item[i]);
  if (m->config.method == THAW_ANOMALY_PADIM)
    thaw_text_add(out, "\n%d x %d positions, %d of %d channels", m->h, m->w, m->width, m->channels);
  else
    thaw_text_add(out, "\n%d x %d positions, %d channels, %lld patches kept", m->h, m->w, m->channels,
                  (long long)m->bank_count);
  if (m->config.tile) thaw_text_add(out, ", windows of %d every %d pixels", m->config.tile, m->config.stride);
  thaw_text_add(out, "\nlearnt from %lld images, %lld held out", (long long)m->images, (long long)m->held_out);
  if (m->held_out)
    thaw_text_add(out, ": threshold %.6g for an image, %.6g for a pixel%s", m->image_threshold, m->pixel_threshold,
                  m->held_out < FEW ? " (of so few a guess)" : "");
  thaw_text_add(out, "\n");
}

void thaw_anomaly_destroy(thaw_anomaly *m) {
  if (!m) return;
  anomaly_network_close(m);
  if (m->gauss) thaw_shared_destroy(m->gauss);
  thaw_free(m->bank);
  thaw_free(m->bank_square);
  thaw_free(m->product);
  thaw_free(m->gemm_scratch);
  thaw_free(m->architecture);
  thaw_free(m->weights);
  thaw_strings_clear(&m->names);
  thaw_free(m);
}

/* ------------------------------------------------------------------ which images */

/* The first of a permutation are held out; the others stay in their order. */
static thaw_status divide(const thaw_anomaly_config *config, const thaw_anomaly_source *source, anomaly_data *learn,
                          anomaly_data *held) {
  int64_t n = source->count, out = (int64_t)ceil(config->held_out * (double)n);
  bool *is_held = thaw_new((size_t)n, sizeof *is_held);
  learn->index = thaw_new((size_t)n, sizeof *learn->index);
  held->index = thaw_new((size_t)n, sizeof *held->index);
  thaw_status status = is_held && learn->index && held->index ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && n - out < THAW_ANOMALY_FEWEST)
    status = thaw_fail(THAW_ERR_DATA,
                       "%lld normal images of which %lld are held out for the threshold: at least %d are needed to "
                       "learn from",
                       (long long)n, (long long)out, THAW_ANOMALY_FEWEST);
  for (int64_t i = 0; status == THAW_OK && i < out; i++)
    is_held[thaw_permute(config->seed, 2, (uint64_t)n, (uint64_t)i)] = true;
  for (int64_t i = 0; status == THAW_OK && i < n; i++) {
    anomaly_data *to = is_held[i] ? held : learn;
    to->index[to->count++] = i;
  }
  thaw_free(is_held);
  return status;
}

static void take_share(const thaw_comm *comm, anomaly_data *data) {
  int64_t rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  data->first = data->count * rank / ranks;
  data->end = data->count * (rank + 1) / ranks;
}

/* ------------------------------------------------------------------ magnitudes of layers */

static thaw_status add_squares(void *context, thaw_anomaly *m, int64_t image, const float *feature) {
  double *square = context;
  (void)image;
  for (size_t i = 0; i < m->names.count; i++) {
    const anomaly_layer *layer = &m->layer[i];
    size_t count = (size_t)layer->h * (size_t)layer->w * (size_t)layer->c;
    double sum = 0;
    for (size_t k = 0; k < count; k++) sum += (double)feature[layer->offset + k] * feature[layer->offset + k];
    square[i] += sum / (double)count;
    square[THAW_ANOMALY_MAX_LAYERS] += i == 0;
  }
  return THAW_OK;
}

/* [local, the same on every rank] */
static thaw_status find_scales(thaw_anomaly *m, const anomaly_data *learn) {
  double square[THAW_ANOMALY_MAX_LAYERS + 1] = {0};
  int64_t few = learn->count < ANOMALY_FIRST ? learn->count : ANOMALY_FIRST;
  if (!m->config.scale) return THAW_OK;
  THAW_TRY(anomaly_each_window(m, learn->source, learn->index, 0, few, NULL, add_squares, square));
  for (size_t i = 0; i < m->names.count; i++) {
    double root = sqrt(square[i] / square[THAW_ANOMALY_MAX_LAYERS]);
    if (root > 0 && isfinite(root)) m->layer[i].scale = (float)ldexp(1, -(int)lrint(log2(root)));
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ thresholds */

static float largest(const thaw_anomaly_map *map) {
  float most = 0;
  for (size_t i = 0; i < (size_t)map->h * (size_t)map->w; i++)
    if (map->value[i] > most) most = map->value[i];
  return most;
}

/* [local] score [2 count]: of this rank's images, the rest is left as it is. */
static thaw_status score_held(thaw_anomaly *m, const anomaly_data *held, double *score) {
  for (int64_t i = held->first; i < held->end; i++) {
    thaw_image picture;
    thaw_anomaly_map map;
    double value_max;
    THAW_TRY(held->source->image(held->source->context, held->index[i], &picture, &value_max));
    thaw_status status = thaw_anomaly_score(m, &picture, value_max, &map);
    thaw_image_clear(&picture);
    if (status != THAW_OK) return status;
    score[i] = map.score;
    score[held->count + i] = (double)largest(&map);
    thaw_free(map.value);
    thaw_progress_update(held->log, i - held->first + 1, NULL);
  }
  return THAW_OK;
}

/* Positive is what lies above the quantile. */
static double threshold_of(double *score, int64_t count, double false_alarms) {
  return nextafter(thaw_quantile(score, count, 1 - false_alarms), INFINITY);
}

/* [collective] */
static thaw_status find_thresholds(thaw_anomaly *m, const anomaly_data *held) {
  m->image_threshold = m->pixel_threshold = NAN;
  if (!held->count) return THAW_OK;
  double *score = thaw_new(2 * (size_t)held->count, sizeof *score);
  thaw_status status = score ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t i = 0; score && i < 2 * held->count; i++) score[i] = -1;
  thaw_progress_begin(held->log, "threshold", "images", held->end - held->first);
  if (status == THAW_OK) status = score_held(m, held, score);
  thaw_progress_end(held->log, NULL);
  status = thaw_agree(m->comm, status);
  if (status == THAW_OK) status = thaw_comm_max_double(m->comm, score, 2 * (size_t)held->count);
  if (status == THAW_OK) {
    m->image_threshold = threshold_of(score, held->count, m->config.false_alarms);
    m->pixel_threshold = threshold_of(score + held->count, held->count, m->config.false_alarms);
  }
  thaw_free(score);
  return status;
}

/* ------------------------------------------------------------------ all of it */

thaw_status anomaly_create(thaw_comm *comm, const thaw_anomaly_config *config, const thaw_isa *isa,
                           thaw_anomaly **out) {
  thaw_anomaly *m = *out = thaw_new(1, sizeof *m);
  if (!m) return THAW_ERR_MEMORY;
  m->comm = comm;
  m->isa = isa;
  m->config = *config;
  m->config.architecture = m->config.weights = NULL;
  memset(m->config.layer, 0, sizeof m->config.layer);
  m->architecture = thaw_copy_text(config->architecture);
  m->weights = thaw_copy_text(config->weights);
  for (int32_t i = 0; i < config->layers; i++) THAW_TRY(thaw_strings_add(&m->names, config->layer[i]));
  bool copied = (m->architecture || !config->architecture) && (m->weights || !config->weights);
  return copied ? THAW_OK : THAW_ERR_MEMORY;
}

/* [collective] */
static thaw_status learn_from(thaw_anomaly *m, anomaly_data *learn, anomaly_data *held) {
  int64_t windows = 0;
  take_share(m->comm, learn);
  take_share(m->comm, held);
  m->images = learn->count;
  m->held_out = held->count;
  if (learn->count < FEW)
    thaw_warn(learn->log, "%lld normal images: a model of so few is a guess", (long long)learn->count);
  thaw_status status = find_scales(m, learn);
  if (status == THAW_OK)
    status = anomaly_count_windows(m, learn->source, learn->index, learn->first, learn->end, &windows);
  THAW_TRY(thaw_agree(m->comm, status));
  THAW_TRY(thaw_comm_sum_int(m->comm, &windows, 1));
  m->windows = windows;
  THAW_TRY(m->config.method == THAW_ANOMALY_PADIM ? padim_fit(m, learn) : patchcore_fit(m, learn));
  return find_thresholds(m, held);
}

thaw_status thaw_anomaly_fit(thaw_comm *comm, const thaw_anomaly_config *config, const thaw_isa *isa,
                             const thaw_anomaly_source *normal, thaw_log *log, thaw_anomaly **out) {
  anomaly_data learn = {.source = normal, .log = log}, held = {.source = normal, .log = log};
  thaw_anomaly *m = NULL;
  *out = NULL;
  thaw_status status = divide(config, normal, &learn, &held);
  if (status == THAW_OK) status = anomaly_create(comm, config, isa, &m);
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = anomaly_network_open(m, log);
  if (status == THAW_OK) status = learn_from(m, &learn, &held);
  if (status == THAW_OK)
    *out = m;
  else
    thaw_anomaly_destroy(m);
  thaw_free(learn.index);
  thaw_free(held.index);
  return status;
}
