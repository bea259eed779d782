/* What a regression gets wrong: for each target, predicted over true values, and the residual over the predicted one.
 */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>

enum { MOST_TARGETS = 6, MOST_POINTS = 4000, PANEL_WIDTH = 620, PANEL_HEIGHT = 440 };

typedef struct cloud {
  double *truth, *predicted, *residual; /* [points] */
  int32_t points;
  double low[2], high[2]; /* the line of no error over the true and over the predicted values */
} cloud;

/* Evenly spaced samples where there are too many to be seen. */
static void take(const float *y, const float *target, int64_t count, int32_t outputs, int32_t output, cloud *c) {
  double low = INFINITY, high = -INFINITY, least = INFINITY, most = -INFINITY;
  for (int32_t i = 0; i < c->points; i++) {
    size_t at = (size_t)(i * count / c->points) * (size_t)outputs + (size_t)output;
    c->truth[i] = target[at];
    c->predicted[i] = y[at];
    c->residual[i] = (double)y[at] - target[at];
    low = fmin(low, fmin(c->truth[i], c->predicted[i])), high = fmax(high, fmax(c->truth[i], c->predicted[i]));
    least = fmin(least, c->predicted[i]), most = fmax(most, c->predicted[i]);
  }
  c->low[0] = low, c->high[0] = high, c->low[1] = least, c->high[1] = most;
}

static thaw_status draw_target(report_canvas *canvas, const cloud *c, const char *name, int32_t row) {
  char title[2][160];
  const double none[2] = {0, 0}, all[2] = {c->low[0], c->high[0]}, range[2] = {c->low[1], c->high[1]};
  snprintf(title[0], sizeof title[0], "%.100s", name);
  snprintf(title[1], sizeof title[1], "%.100s: residuals", name);
  for (int32_t i = 0; i < 2; i++) {
    const thaw_series series[2] = {
        {.label = "no error", .x = i ? range : all, .y = i ? none : all, .count = 2, .colour = 3, .dashed = true},
        {.label = "samples",
         .x = i ? c->predicted : c->truth,
         .y = i ? c->residual : c->predicted,
         .count = c->points,
         .colour = 1,
         .points = true}};
    const thaw_plot plot = {.title = title[i],
                            .x_label = i ? "predicted" : "true",
                            .y_label = i ? "predicted - true" : "predicted",
                            .series = series,
                            .count = 2};
    report_box box = {i * PANEL_WIDTH, row * PANEL_HEIGHT, PANEL_WIDTH, PANEL_HEIGHT};
    THAW_TRY(report_draw_lines(canvas->cairo, &plot, box, 0.9));
  }
  return THAW_OK;
}

static thaw_status draw(report_canvas *canvas, const float *y, const float *target, int64_t count, int32_t outputs,
                        const thaw_strings *names, int32_t shown) {
  int32_t points = count < MOST_POINTS ? (int32_t)count : MOST_POINTS;
  double *room = thaw_new(3 * (size_t)points, sizeof *room);
  cloud c = {.truth = room, .predicted = room + points, .residual = room + 2 * (size_t)points, .points = points};
  thaw_status status = room ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t o = 0; o < shown && status == THAW_OK; o++) {
    char number[32];
    snprintf(number, sizeof number, "target %d", o + 1);
    take(y, target, count, outputs, o, &c);
    status = draw_target(canvas, &c, names && (size_t)o < names->count ? names->item[o] : number, o);
  }
  thaw_free(room);
  return status;
}

thaw_status thaw_plot_residuals(const char *path, const float *y, const float *target, int64_t count, int32_t outputs,
                                const thaw_strings *names) {
  int32_t shown = outputs < MOST_TARGETS ? outputs : MOST_TARGETS;
  report_canvas canvas;
  if (count < 1 || outputs < 1) return thaw_fail(THAW_ERR_USAGE, "%s: nothing to draw", path);
  THAW_TRY(report_canvas_create(2 * PANEL_WIDTH, shown * PANEL_HEIGHT, &canvas));
  thaw_status status = draw(&canvas, y, target, count, outputs, names, shown);
  if (status == THAW_OK) status = report_canvas_save(&canvas, path);
  report_canvas_destroy(&canvas);
  return status;
}
