/* Learning curves: one panel per quantity, training and validation in it, phases marked. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PANEL_WIDTH = 760, PANEL_HEIGHT = 460, MAX_MARKERS = 100 };

void report_panels_clear(report_panels *panels) {
  for (int32_t i = 0; i < panels->count; i++) thaw_free(panels->name[i]);
  *panels = (report_panels){0};
}

static thaw_status add_panel(report_panels *panels, const char *name) {
  if (panels->count == REPORT_MAX_PANELS) return THAW_OK;
  panels->name[panels->count] = thaw_copy_text(name);
  if (!panels->name[panels->count]) return THAW_ERR_MEMORY;
  panels->count++;
  return THAW_OK;
}

static bool has_values(const report_metrics *metrics, const char *name) {
  int32_t column = report_metrics_column(metrics, name);
  for (int32_t row = 0; row < metrics->rows && column >= 0; row++)
    if (isfinite(report_metrics_at(metrics, row, column))) return true;
  return false;
}

/* A learning rate that never changes is not worth a picture. */
static bool changes(const report_metrics *metrics, const char *name) {
  int32_t column = report_metrics_column(metrics, name);
  for (int32_t row = 1; row < metrics->rows && column >= 0; row++)
    if (report_metrics_at(metrics, row, column) != report_metrics_at(metrics, 0, column)) return true;
  return false;
}

static bool is_quantity(const char *name) {
  static const char *const other[] = {"phase", "epoch", "step", "learning_rate", "loss", "seconds"};
  for (size_t i = 0; i < sizeof other / sizeof *other; i++)
    if (!strcmp(name, other[i])) return false;
  return strncmp(name, "val_", 4) != 0;
}

thaw_status report_panels_find(const report_metrics *metrics, report_panels *out) {
  *out = (report_panels){0};
  thaw_status status = add_panel(out, "loss");
  for (size_t i = 0; i < metrics->columns.count && status == THAW_OK; i++)
    if (is_quantity(metrics->columns.item[i]) && has_values(metrics, metrics->columns.item[i]))
      status = add_panel(out, metrics->columns.item[i]);
  if (status == THAW_OK && changes(metrics, "learning_rate")) status = add_panel(out, "learning_rate");
  if (status != THAW_OK) report_panels_clear(out);
  return status;
}

/* The epoch of a row, counted through all phases. */
static double epoch_of(int32_t row) {
  return row + 1;
}

static int32_t find_markers(const report_metrics *metrics, thaw_marker *markers, char (*labels)[24]) {
  int32_t column = report_metrics_column(metrics, "phase"), count = 0;
  for (int32_t row = 1; row < metrics->rows && column >= 0 && count < MAX_MARKERS; row++) {
    double phase = report_metrics_at(metrics, row, column);
    if (phase == report_metrics_at(metrics, row - 1, column)) continue;
    snprintf(labels[count], sizeof labels[count], "phase %.0f", phase);
    markers[count] = (thaw_marker){.x = epoch_of(row) - 0.5, .label = labels[count]};
    count++;
  }
  return count;
}

static void fill_series(const report_metrics *metrics, const char *column, const double *x, double *y,
                        thaw_series *series) {
  int32_t index = report_metrics_column(metrics, column);
  for (int32_t row = 0; row < metrics->rows; row++) y[row] = report_metrics_at(metrics, row, index);
  series->x = x;
  series->y = y;
  series->count = metrics->rows;
}

static void make_title(const char *name, char out[64]) {
  snprintf(out, 64, "%s", name);
  for (char *at = out; *at; at++)
    if (*at == '_') *at = ' ';
}

thaw_status report_panel_draw(cairo_t *cairo, const report_metrics *metrics, const char *name, report_box box,
                              double scale) {
  thaw_marker markers[MAX_MARKERS];
  char labels[MAX_MARKERS][24], title[64], validation[80];
  thaw_series series[2] = {{.label = "training", .colour = 1}, {.label = "validation", .colour = 2}};
  size_t rows = (size_t)metrics->rows;
  double *x = thaw_new(3 * rows, sizeof *x);
  if (!x) return THAW_ERR_MEMORY;
  for (int32_t row = 0; row < metrics->rows; row++) x[row] = epoch_of(row);
  int32_t count = 0;
  snprintf(validation, sizeof validation, "val_%s", name);
  if (has_values(metrics, name)) fill_series(metrics, name, x, x + rows, &series[count++]);
  if (has_values(metrics, validation)) {
    series[count] = series[1];
    fill_series(metrics, validation, x, x + 2 * rows, &series[count++]);
  }
  if (!strcmp(name, "learning_rate")) series[0].label = "learning rate";
  make_title(name, title);
  thaw_plot plot = {.title = title, .x_label = "epoch", .series = series, .count = count, .markers = markers};
  plot.marker_count = find_markers(metrics, markers, labels);
  thaw_status status = report_draw_lines(cairo, &plot, box, scale);
  thaw_free(x);
  return status;
}

static thaw_status draw_picture(const report_metrics *metrics, const report_panels *panels, const char *path) {
  int32_t shown = panels->count < 2 || !strcmp(panels->name[1], "learning_rate") ? 1 : 2;
  report_canvas canvas;
  THAW_TRY(report_canvas_create(shown * PANEL_WIDTH, PANEL_HEIGHT, &canvas));
  thaw_status status = THAW_OK;
  for (int32_t i = 0; i < shown && status == THAW_OK; i++)
    status = report_panel_draw(canvas.cairo, metrics, panels->name[i],
                               (report_box){i * PANEL_WIDTH, 0, PANEL_WIDTH, PANEL_HEIGHT}, 1);
  if (status == THAW_OK) status = report_canvas_save(&canvas, path);
  report_canvas_destroy(&canvas);
  return status;
}

static thaw_status draw_file(const char *source, const char *path) {
  report_metrics metrics;
  report_panels panels;
  THAW_TRY(report_metrics_read(source, &metrics));
  thaw_status status = metrics.rows ? report_panels_find(&metrics, &panels)
                                    : thaw_fail(THAW_ERR_DATA, "%s: holds no finished epoch", source);
  if (status == THAW_OK) {
    status = draw_picture(&metrics, &panels, path);
    report_panels_clear(&panels);
  }
  report_metrics_clear(&metrics);
  return status;
}

thaw_status thaw_report_curves(const char *run_folder) {
  char *source = thaw_path_join(run_folder, "metrics.csv"), *path = thaw_path_join(run_folder, "learning_curve.png");
  thaw_status status = source && path ? draw_file(source, path) : THAW_ERR_MEMORY;
  thaw_free(source);
  thaw_free(path);
  return status;
}
