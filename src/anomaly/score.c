/* One picture: its windows' maps, merged, smoothed. */
#include "anomaly/anomaly_private.h"

#include <math.h>

typedef struct canvas {
  thaw_anomaly *m;
  const thaw_image *picture;
  thaw_anomaly_map *out;
  float *grid, *part; /* a window's map at its positions, and in pixels */
  float *covered;     /* [h][w] windows that hold a pixel; mean only */
  double *work;
  double worst; /* PatchCore: largest plain distance so far */
} canvas;

static thaw_status create(canvas *c) {
  thaw_anomaly *m = c->m;
  bool tiled = m->config.tile > 0;
  thaw_anomaly_map *out = c->out;
  out->h = tiled ? c->picture->h : m->input.h;
  out->w = tiled ? c->picture->w : m->input.w;
  size_t pixels = (size_t)out->h * (size_t)out->w;
  out->value = thaw_new(pixels, sizeof *out->value);
  c->grid = thaw_new(anomaly_positions(m), sizeof *c->grid);
  c->part = thaw_new(pixels, sizeof *c->part);
  c->covered = thaw_new(pixels, sizeof *c->covered);
  c->work = thaw_new((size_t)m->width, sizeof *c->work);
  c->worst = -1;
  return out->value && c->grid && c->part && c->covered && c->work ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status window_map(canvas *c, const float *feature) {
  thaw_anomaly *m = c->m;
  THAW_TRY(anomaly_embed(m, feature, m->embedding));
  if (m->config.method == THAW_ANOMALY_PADIM) {
    padim_score(m, m->embedding, c->work, c->grid);
    return THAW_OK;
  }
  double worst, score;
  THAW_TRY(patchcore_score(m, m->embedding, c->grid, &worst, &score));
  if (worst > c->worst) {
    c->worst = worst;
    c->out->score = score;
  }
  return THAW_OK;
}

static thaw_status merge(canvas *c, const int32_t place[4]) {
  thaw_anomaly *m = c->m;
  thaw_anomaly_map *out = c->out;
  int32_t top = place[0], left = place[1], h = place[2], w = place[3];
  if (!m->config.tile) {
    top = left = 0;
    h = out->h;
    w = out->w;
  }
  THAW_TRY(thaw_resize_float(c->grid, m->h, m->w, 1, h, w, c->part));
  for (int32_t y = 0; y < h; y++)
    for (int32_t x = 0; x < w; x++) {
      size_t at = (size_t)(top + y) * (size_t)out->w + (size_t)(left + x);
      float value = c->part[(size_t)y * (size_t)w + (size_t)x];
      if (m->config.merge == THAW_ANOMALY_MEAN)
        out->value[at] += value;
      else if (value > out->value[at])
        out->value[at] = value;
      c->covered[at]++;
    }
  return THAW_OK;
}

static thaw_status add_windows(canvas *c, double value_max) {
  thaw_anomaly *m = c->m;
  const thaw_image *picture = c->picture;
  size_t inputs = (size_t)m->input.h * (size_t)m->input.w * (size_t)m->input.c;
  int32_t windows = anomaly_window_count(m, picture->h, picture->w), place[ANOMALY_BATCH][4];
  for (int32_t first = 0; first < windows; first += ANOMALY_BATCH) {
    int32_t n = windows - first < ANOMALY_BATCH ? windows - first : ANOMALY_BATCH;
    for (int32_t i = 0; i < n; i++) {
      anomaly_window_place(m, picture->h, picture->w, first + i, place[i]);
      THAW_TRY(anomaly_window_input(m, picture, value_max, place[i], m->x + (size_t)i * inputs));
    }
    thaw_plan_run(m->plan, m->x, n, m->feature);
    for (int32_t i = 0; i < n; i++) {
      THAW_TRY(window_map(c, m->feature + (size_t)i * m->floats));
      THAW_TRY(merge(c, place[i]));
    }
  }
  return THAW_OK;
}

static thaw_status finish(const canvas *c) {
  const thaw_anomaly_config *config = &c->m->config;
  thaw_anomaly_map *out = c->out;
  size_t pixels = (size_t)out->h * (size_t)out->w;
  for (size_t i = 0; config->merge == THAW_ANOMALY_MEAN && i < pixels; i++) out->value[i] /= c->covered[i];
  THAW_TRY(thaw_map_smooth(out->value, out->h, out->w, config->smooth));
  float most = 0;
  for (size_t i = 0; i < pixels; i++) {
    if (!isfinite(out->value[i])) return thaw_fail(THAW_ERR_DATA, "the picture's features are not finite");
    if (out->value[i] > most) most = out->value[i];
  }
  if (config->method == THAW_ANOMALY_PADIM) out->score = (double)most;
  return THAW_OK;
}

thaw_status thaw_anomaly_score(thaw_anomaly *m, const thaw_image *picture, double value_max, thaw_anomaly_map *out) {
  canvas c = {.m = m, .picture = picture, .out = out};
  *out = (thaw_anomaly_map){0};
  thaw_status status = create(&c);
  if (status == THAW_OK) status = add_windows(&c, value_max);
  if (status == THAW_OK) status = finish(&c);
  thaw_free(c.grid);
  thaw_free(c.part);
  thaw_free(c.covered);
  thaw_free(c.work);
  if (status != THAW_OK) {
    thaw_free(out->value);
    *out = (thaw_anomaly_map){0};
  }
  return status;
}
