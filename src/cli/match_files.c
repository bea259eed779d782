/* The files of `thaw match`: JSON, tables, plots. */
#include "cli/match.h"
#include "thaw/csv.h"
#include "thaw/memory.h"
#include "thaw/report.h"

#include <math.h>
#include <stdio.h>

static thaw_status write_text(const char *folder, const char *name, thaw_text *text) {
  char *path = thaw_path_join(folder, name);
  thaw_status status = path && !text->failed ? thaw_file_write(path, text->data, text->length) : THAW_ERR_MEMORY;
  thaw_free(path);
  thaw_text_clear(text);
  return status;
}

/* ------------------------------------------------------------------ tables */

static thaw_status write_roc(const thaw_curve *curve, const char *folder) {
  thaw_text text = {0};
  thaw_text_add(&text, "threshold,false_accept_rate,true_accept_rate\n");
  for (int64_t k = 0; k < curve->count; k++) {
    /* Corners only: a point between two with the same rate of either kind is on a straight line. */
    bool inside = k > 0 && k + 1 < curve->count;
    if (inside && ((curve->false_rate[k - 1] == curve->false_rate[k + 1]) ||
                   (curve->true_rate[k - 1] == curve->true_rate[k + 1])))
      continue;
    thaw_text_add(&text, "%.9g,%.9g,%.9g\n", curve->threshold[k], curve->false_rate[k], curve->true_rate[k]);
  }
  return write_text(folder, "roc.csv", &text);
}

static thaw_status write_cmc(const thaw_identification *d, const char *folder) {
  thaw_text text = {0};
  thaw_text_add(&text, "rank,share\n");
  for (int32_t r = 0; r < d->ranks; r++) thaw_text_add(&text, "%d,%.9g\n", r + 1, d->cmc[r]);
  return write_text(folder, "cmc.csv", &text);
}

static thaw_status write_pairs(const cli_match *m, const char *folder) {
  thaw_text text = {0};
  thaw_text_add(&text, "fold,a,b,same,score\n");
  for (int64_t i = 0; i < m->pairs.count; i++) {
    const thaw_pair *pair = &m->pairs.pair[i];
    thaw_text_add(&text, "%d,", pair->fold + 1);
    thaw_csv_add(&text, m->embeddings->id.item[pair->a]);
    thaw_text_add(&text, ",");
    thaw_csv_add(&text, m->embeddings->id.item[pair->b]);
    thaw_text_add(&text, ",%d,%.9g\n", pair->same, (double)m->verification.score[i]);
  }
  return write_text(folder, "pairs.csv", &text);
}

/* ------------------------------------------------------------------ plots */

enum { CURVE_POINTS = 400 };

/* The curve at false accept rates evenly spaced in their logarithm, down to one false accept. */
static thaw_status plot_roc(const thaw_verification *v, const char *folder) {
  double x[CURVE_POINTS], y[CURVE_POINTS], low = log10(1.0 / (double)v->different);
  char label[64], *path = thaw_path_join(folder, "roc.png");
  if (!path) return THAW_ERR_MEMORY;
  if (low > -1) low = -1;
  for (int i = 0, k = 0; i < CURVE_POINTS; i++) {
    x[i] = low * (1 - i / (double)(CURVE_POINTS - 1));
    while (k + 1 < v->curve.count && v->curve.false_rate[k + 1] <= pow(10, x[i]) * (1 + 1e-9)) k++;
    y[i] = v->curve.true_rate[k];
  }
  snprintf(label, sizeof label, "AUC %.4f, EER %.4f", v->auc, v->eer);
  const thaw_series series[] = {{.label = label, .x = x, .y = y, .count = CURVE_POINTS, .colour = 1}};
  const thaw_plot plot = {.title = "verification",
                          .x_label = "log10 of the false accept rate",
                          .y_label = "true accept rate",
                          .series = series,
                          .count = 1,
                          .y_high = 1.02,
                          .width = 760,
                          .height = 560};
  thaw_status status = thaw_plot_lines(path, &plot);
  thaw_free(path);
  return status;
}

static thaw_status plot_cmc(const thaw_identification *d, const char *folder) {
  double *x = thaw_new((size_t)d->ranks, sizeof *x);
  char label[64], *path = thaw_path_join(folder, "cmc.png");
  for (int32_t r = 0; x && r < d->ranks; r++) x[r] = r + 1;
  snprintf(label, sizeof label, "rank-1 %.4f of %lld persons", d->cmc[0], (long long)d->persons);
  const thaw_series series[] = {{.label = label, .x = x, .y = d->cmc, .count = d->ranks, .colour = 1}};
  const thaw_plot plot = {.title = "identification",
                          .x_label = "rank",
                          .y_label = "share of probes found",
                          .series = series,
                          .count = 1,
                          .y_high = 1.02,
                          .width = 760,
                          .height = 560};
  thaw_status status = x && path ? thaw_plot_lines(path, &plot) : THAW_ERR_MEMORY;
  thaw_free(x);
  thaw_free(path);
  return status;
}

thaw_status cli_match_write(const cli_match *m, const char *folder) {
  thaw_text json = {0};
  THAW_TRY(thaw_folder_create(folder));
  cli_match_json(m, &json);
  THAW_TRY(write_text(folder, "match.json", &json));
  THAW_TRY(write_roc(&m->verification.curve, folder));
  THAW_TRY(plot_roc(&m->verification, folder));
  if (m->pairs_path) THAW_TRY(write_pairs(m, folder));
  if (!m->identified || m->identification.probes == 0) return THAW_OK;
  THAW_TRY(write_cmc(&m->identification, folder));
  return plot_cmc(&m->identification, folder);
}
