/* ROC and precision-recall curves, and the reliability diagram. */
#include "cli/scores.h"
#include "thaw/memory.h"
#include "thaw/report.h"

#include <math.h>
#include <stdio.h>

enum { MOST_CURVES = 6, MOST_POINTS = 1000, LABEL_SIZE = 96 };

typedef struct drawing {
  thaw_series series[MOST_CURVES + 2];
  double *x[MOST_CURVES], *y[MOST_CURVES];
  char label[MOST_CURVES][LABEL_SIZE];
  int32_t count;
} drawing;

static void drawing_clear(drawing *d) {
  for (int32_t i = 0; i < MOST_CURVES; i++) {
    thaw_free(d->x[i]);
    thaw_free(d->y[i]);
  }
}

/* Every point of short curves, evenly spaced ones of long curves, always both ends. */
static thaw_status add_curve(drawing *d, const thaw_curve *curve, bool roc, int64_t from) {
  int64_t points = curve->count - from, kept = points < MOST_POINTS ? points : MOST_POINTS;
  double *x = thaw_new((size_t)kept, sizeof *x), *y = thaw_new((size_t)kept, sizeof *y);
  int32_t at = d->count++;
  d->x[at] = x;
  d->y[at] = y;
  if (!x || !y) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < kept; i++) {
    int64_t source = from + (kept > 1 ? i * (points - 1) / (kept - 1) : 0);
    x[i] = roc ? curve->false_rate[source] : curve->true_rate[source];
    y[i] = roc ? curve->true_rate[source] : curve->precision[source];
  }
  d->series[at] = (thaw_series){.label = d->label[at], .x = x, .y = y, .count = (int32_t)kept};
  return THAW_OK;
}

static thaw_status add_question(drawing *d, const cli_scores *s, int32_t question, bool roc) {
  const thaw_binary *binary = thaw_scorer_binary(s->scorer, question);
  thaw_curve curve;
  char number[16];
  THAW_TRY(thaw_curve_create(binary, &curve));
  const double area =
      s->estimate[THAW_OVERALL + question * THAW_STATS + (roc ? THAW_STAT_AUROC : THAW_STAT_AUPRC)].value;
  snprintf(d->label[d->count], LABEL_SIZE, "%.60s %.3f", thaw_scored_name(&s->scored, question, number), area);
  thaw_status status = add_curve(d, &curve, roc, roc ? 0 : 1);
  thaw_curve_clear(&curve);
  return status;
}

/* The defined questions with the smallest AUROC: what needs to be looked at. */
static int32_t choose(const cli_scores *s, int32_t chosen[MOST_CURVES]) {
  int32_t count = 0;
  for (int32_t q = 0; q < s->questions; q++) {
    const thaw_estimate_of *area = &s->estimate[THAW_OVERALL + q * THAW_STATS + THAW_STAT_AUROC];
    int32_t at = count;
    if (isnan(area->value)) continue;
    while (at > 0 && area->value < s->estimate[THAW_OVERALL + chosen[at - 1] * THAW_STATS + THAW_STAT_AUROC].value)
      at--;
    if (at == MOST_CURVES) continue;
    for (int32_t i = count < MOST_CURVES ? count : MOST_CURVES - 1; i > at; i--) chosen[i] = chosen[i - 1];
    chosen[at] = q;
    if (count < MOST_CURVES) count++;
  }
  return count;
}

static thaw_status draw(const cli_scores *s, const char *folder, bool roc) {
  static const double ends[2] = {0, 1};
  int32_t chosen[MOST_CURVES], count = choose(s, chosen);
  drawing d = {0};
  char *path = thaw_path_join(folder, roc ? "roc.png" : "precision_recall.png");
  thaw_status status = path ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t i = 0; status == THAW_OK && i < count; i++) status = add_question(&d, s, chosen[i], roc);
  int32_t lines = d.count;
  if (roc) d.series[lines++] = (thaw_series){.label = "chance", .x = ends, .y = ends, .count = 2, .dashed = true};
  const thaw_plot plot = {.title = roc ? "ROC" : "precision and recall",
                          .x_label = roc ? "1 - specificity" : "recall (sensitivity)",
                          .y_label = roc ? "sensitivity" : "precision (PPV)",
                          .series = d.series,
                          .count = lines,
                          .y_high = 1.02,
                          .width = 1040,
                          .height = 760,
                          .scale = 1.75};
  if (status == THAW_OK && count) status = thaw_plot_lines(path, &plot);
  drawing_clear(&d);
  thaw_free(path);
  return status;
}

static thaw_status draw_calibration(const cli_scores *s, const char *folder) {
  static const double ends[2] = {0, 1};
  char plain[LABEL_SIZE], scaled[LABEL_SIZE];
  if (!s->calibration.probabilities) return THAW_OK;
  char *path = thaw_path_join(folder, "calibration.png");
  if (!path) return THAW_ERR_MEMORY;
  snprintf(plain, sizeof plain, "as they are, ECE %.3f", s->calibration.ece);
  snprintf(scaled, sizeof scaled, "temperature %.2f, ECE %.3f", s->temperature, s->scaled.ece);
  const thaw_series series[3] = {{.label = "perfect", .x = ends, .y = ends, .count = 2, .colour = 3, .dashed = true},
                                 {.label = plain,
                                  .x = s->calibration.confidence,
                                  .y = s->calibration.frequency,
                                  .count = THAW_CALIBRATION_BINS,
                                  .colour = 1},
                                 {.label = scaled,
                                  .x = s->scaled.confidence,
                                  .y = s->scaled.frequency,
                                  .count = THAW_CALIBRATION_BINS,
                                  .colour = 2}};
  const thaw_plot plot = {.title = "reliability",
                          .x_label = "output (mean of the bin)",
                          .y_label = "share that is true",
                          .series = series,
                          .count = isnan(s->temperature) ? 2 : 3,
                          .y_high = 1.02,
                          .width = 1040,
                          .height = 760,
                          .scale = 1.75};
  thaw_status status = thaw_plot_lines(path, &plot);
  thaw_free(path);
  return status;
}

thaw_status cli_scores_plots(const cli_scores *scores, const char *folder) {
  if (scores->regression) return cli_scores_regression_plot(scores, folder);
  if (!scores->scored.count) return THAW_OK;
  THAW_TRY(draw(scores, folder, true));
  THAW_TRY(draw(scores, folder, false));
  return draw_calibration(scores, folder);
}
