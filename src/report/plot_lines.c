/* A line plot: title, legend, axes with a grid, phase markers, series with gaps. */
#include "report/report_private.h"

#include <cairo.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 160, DOTS_UP_TO = 60, LEGEND_ROWS = 4, LEGEND_STEP = 20 };
static const uint32_t ink = 0x222222, faint = 0xe3e3e3, grey = 0x777777;

typedef struct painter {
  cairo_t *cairo;
  const thaw_plot *plot;
  report_box area; /* inside the axes */
  report_axis x, y;
  double scale;
  bool empty; /* nothing to draw */
} painter;

/* Not NaN, and small enough that differences stay finite. */
static bool drawable(const thaw_series *series, int32_t i) {
  return fabs(series->x[i]) < 1e300 && fabs(series->y[i]) < 1e300;
}

/* Bounds of all finite points; false: there is none. */
static bool find_bounds(const thaw_plot *plot, double x[2], double y[2]) {
  x[0] = y[0] = INFINITY;
  x[1] = y[1] = -INFINITY;
  for (int32_t s = 0; s < plot->count; s++)
    for (int32_t i = 0; i < plot->series[s].count; i++) {
      if (!drawable(&plot->series[s], i)) continue;
      x[0] = fmin(x[0], plot->series[s].x[i]), x[1] = fmax(x[1], plot->series[s].x[i]);
      y[0] = fmin(y[0], plot->series[s].y[i]), y[1] = fmax(y[1], plot->series[s].y[i]);
    }
  return x[0] <= x[1];
}

/* Widens an interval by `share` on both sides; a single value gets an interval around it. */
static void widen(double range[2], double share) {
  double width = range[1] - range[0], smallest = 1e-9 * fmax(fabs(range[0]), fabs(range[1]));
  double more = width > smallest ? width * share : range[0] != 0 ? fabs(range[0]) * 0.1 : 1;
  range[0] -= more;
  range[1] += more;
}

static bool whole_numbers(const thaw_plot *plot) {
  for (int32_t s = 0; s < plot->count; s++)
    for (int32_t i = 0; i < plot->series[s].count; i++)
      if (isfinite(plot->series[s].x[i]) && floor(plot->series[s].x[i]) != plot->series[s].x[i]) return false;
  return true;
}

static void plan_axes(painter *p) {
  double x[2], y[2];
  p->empty = !find_bounds(p->plot, x, y);
  if (p->empty) x[0] = y[0] = 0, x[1] = y[1] = 1;
  bool positive = y[0] >= 0;
  if (x[1] > x[0])
    widen(x, 0.02);
  else
    x[0] -= 0.5, x[1] += 0.5;
  widen(y, 0.06);
  if (positive && y[0] < 0) y[0] = 0;
  if (p->plot->y_low != 0 || p->plot->y_high != 0) y[0] = p->plot->y_low, y[1] = p->plot->y_high;
  if (!(y[1] > y[0])) y[1] = y[0] + 1;
  p->x = report_axis_make(x[0], x[1], 6, whole_numbers(p->plot));
  p->y = report_axis_make(y[0], y[1], 6, false);
}

static double map_x(const painter *p, double x) {
  return p->area.x + (x - p->x.low) / (p->x.high - p->x.low) * p->area.width;
}

static double map_y(const painter *p, double y) {
  return p->area.y + p->area.height - (y - p->y.low) / (p->y.high - p->y.low) * p->area.height;
}

static double widest_tick(const painter *p) {
  double width = 0;
  char text[32];
  for (double v = ceil(p->y.low / p->y.step - 1e-9) * p->y.step; v <= p->y.high + p->y.step * 1e-9; v += p->y.step)
    width = fmax(width, report_text_width(p->cairo, report_tick(&p->y, v, text)));
  return width;
}

static void set_stroke(const painter *p, const thaw_series *series, int32_t index) {
  const double dashes[] = {7 * p->scale, 4 * p->scale};
  report_colour(p->cairo, report_palette(series->colour > 0 ? series->colour - 1 : index));
  cairo_set_line_width(p->cairo, 2.2 * p->scale);
  cairo_set_line_join(p->cairo, CAIRO_LINE_JOIN_ROUND);
  cairo_set_dash(p->cairo, dashes, series->dashed ? 2 : 0, 0);
}

/* Between title and axes, from the left, in as many rows as it takes (at most LEGEND_ROWS: what does not fit is left
 * out). Returns the rows; draws where `visible`. */
static int legend(const painter *p, double left, double right, double y, bool visible) {
  cairo_t *c = p->cairo;
  double s = p->scale, x = left;
  int rows = p->plot->count > 0;
  char text[TEXT_SIZE];
  report_font(c, 13 * s, false);
  for (int32_t i = 0; i < p->plot->count; i++) {
    const thaw_series *series = &p->plot->series[i];
    const char *label = report_fit(c, series->label ? series->label : "", 260 * s, text, sizeof text);
    double width = 30 * s + report_text_width(c, label);
    if (x + width > right && x > left) {
      if (rows == LEGEND_ROWS) break;
      rows++;
      x = left;
      y += LEGEND_STEP * s;
    }
    if (visible) {
      set_stroke(p, series, i);
      report_line(c, x, y, x + 24 * s, y);
      cairo_set_dash(c, NULL, 0, 0);
      report_colour(c, ink);
      report_text(c, x + 30 * s, y, REPORT_LEFT, 0, label);
    }
    x += width + 22 * s;
  }
  return rows;
}

static void plan_area(painter *p, report_box box) {
  double s = p->scale;
  report_font(p->cairo, 13 * s, false);
  double left = widest_tick(p) + (p->plot->y_label ? 38 : 18) * s;
  int rows = legend(p, box.x + left, box.x + box.width - 20 * s, 0, false);
  double top = (62 + (rows > 1 ? (rows - 1) * LEGEND_STEP : 0)) * s, bottom = (p->plot->x_label ? 52 : 34) * s;
  p->area = (report_box){box.x + left, box.y + top, box.width - left - 20 * s, box.height - top - bottom};
}

static void draw_grid(const painter *p) {
  cairo_t *c = p->cairo;
  double right = p->area.x + p->area.width, bottom = p->area.y + p->area.height;
  char text[32];
  cairo_set_line_width(c, p->scale);
  report_font(c, 13 * p->scale, false);
  for (double v = ceil(p->y.low / p->y.step - 1e-9) * p->y.step; v <= p->y.high + p->y.step * 1e-9; v += p->y.step) {
    report_colour(c, faint);
    report_line(c, p->area.x, map_y(p, v), right, map_y(p, v));
    report_colour(c, ink);
    report_text(c, p->area.x - 8 * p->scale, map_y(p, v), REPORT_RIGHT, 0, report_tick(&p->y, v, text));
  }
  for (double v = ceil(p->x.low / p->x.step - 1e-9) * p->x.step; v <= p->x.high + p->x.step * 1e-9; v += p->x.step) {
    report_colour(c, faint);
    report_line(c, map_x(p, v), p->area.y, map_x(p, v), bottom);
    report_colour(c, ink);
    report_text(c, map_x(p, v), bottom + 13 * p->scale, REPORT_CENTRE, 0, report_tick(&p->x, v, text));
  }
  report_colour(c, grey);
  report_line(c, p->area.x, p->area.y, p->area.x, bottom);
  report_line(c, p->area.x, bottom, right, bottom);
}

static void draw_labels(const painter *p, report_box box) {
  char text[TEXT_SIZE];
  cairo_t *c = p->cairo;
  double s = p->scale, middle = p->area.x + p->area.width / 2;
  report_colour(c, ink);
  report_font(c, 17 * s, true);
  if (p->plot->title)
    report_text(c, p->area.x, box.y + 20 * s, REPORT_LEFT, 0,
                report_fit(c, p->plot->title, p->area.width, text, sizeof text));
  report_font(c, 14 * s, false);
  if (p->plot->x_label)
    report_text(c, middle, box.y + box.height - 14 * s, REPORT_CENTRE, 0,
                report_fit(c, p->plot->x_label, p->area.width, text, sizeof text));
  if (p->plot->y_label)
    report_text(c, box.x + 14 * s, p->area.y + p->area.height / 2, REPORT_CENTRE, -M_PI / 2,
                report_fit(c, p->plot->y_label, p->area.height, text, sizeof text));
  report_colour(c, grey);
  if (p->empty) report_text(c, middle, p->area.y + p->area.height / 2, REPORT_CENTRE, 0, "no data");
}

static void draw_legend(const painter *p, report_box box) {
  legend(p, p->area.x, p->area.x + p->area.width, box.y + 44 * p->scale, true);
}

static void draw_markers(const painter *p) {
  cairo_t *c = p->cairo;
  const double dots[] = {2 * p->scale, 3 * p->scale};
  char text[TEXT_SIZE];
  report_font(c, 12 * p->scale, false);
  for (int32_t i = 0; i < p->plot->marker_count; i++) {
    const thaw_marker *marker = &p->plot->markers[i];
    if (!(marker->x >= p->x.low && marker->x <= p->x.high)) continue;
    double x = map_x(p, marker->x), next = p->area.x + p->area.width;
    if (i + 1 < p->plot->marker_count) next = map_x(p, marker[1].x);
    report_colour(c, grey);
    cairo_set_line_width(c, 1.2 * p->scale);
    cairo_set_dash(c, dots, 2, 0);
    report_line(c, x, p->area.y, x, p->area.y + p->area.height);
    cairo_set_dash(c, NULL, 0, 0);
    if (next - x > 60 * p->scale)
      report_text(c, x + 4 * p->scale, p->area.y + 8 * p->scale, REPORT_LEFT, 0,
                  report_fit(c, marker->label ? marker->label : "", next - x - 8 * p->scale, text, sizeof text));
  }
}

static void draw_dot(const painter *p, double x, double y, double size) {
  cairo_arc(p->cairo, map_x(p, x), map_y(p, y), size * p->scale, 0, 2 * M_PI);
  cairo_fill(p->cairo);
}

/* A gap ends the stroke; a point between two gaps would not be seen, so it gets a dot. */
static void draw_series(const painter *p, int32_t index) {
  const thaw_series *series = &p->plot->series[index];
  bool pen_down = false;
  set_stroke(p, series, index);
  if (series->points) {
    for (int32_t i = 0; i < series->count; i++)
      if (drawable(series, i)) draw_dot(p, series->x[i], series->y[i], series->count <= 200 ? 3.5 : 2);
    return;
  }
  for (int32_t i = 0; i < series->count; i++) {
    if (!drawable(series, i)) {
      pen_down = false;
      continue;
    }
    double x = map_x(p, series->x[i]), y = map_y(p, series->y[i]);
    if (pen_down)
      cairo_line_to(p->cairo, x, y);
    else
      cairo_move_to(p->cairo, x, y);
    pen_down = true;
  }
  cairo_stroke(p->cairo);
  cairo_set_dash(p->cairo, NULL, 0, 0);
  for (int32_t i = 0; i < series->count; i++) {
    bool before = i > 0 && drawable(series, i - 1), after = i + 1 < series->count && drawable(series, i + 1);
    if (drawable(series, i) && (series->count <= DOTS_UP_TO || (!before && !after)))
      draw_dot(p, series->x[i], series->y[i], 3);
  }
}

thaw_status report_draw_lines(cairo_t *cairo, const thaw_plot *plot, report_box box, double scale) {
  painter p = {.cairo = cairo, .plot = plot, .scale = scale};
  plan_axes(&p);
  plan_area(&p, box);
  if (p.area.width < 20 || p.area.height < 20)
    return thaw_fail(THAW_ERR_USAGE, "a plot of %.0f x %.0f pixels is too small", box.width, box.height);
  draw_grid(&p);
  draw_labels(&p, box);
  draw_legend(&p, box);
  draw_markers(&p);
  cairo_save(cairo);
  cairo_rectangle(cairo, p.area.x, p.area.y - 4 * scale, p.area.width + 4 * scale, p.area.height + 8 * scale);
  cairo_clip(cairo);
  for (int32_t i = 0; i < plot->count; i++) draw_series(&p, i);
  cairo_restore(cairo);
  return THAW_OK;
}

thaw_status thaw_plot_lines(const char *path, const thaw_plot *plot) {
  int32_t width = plot->width ? plot->width : 800, height = plot->height ? plot->height : 480;
  if (width < 100 || height < 100 || width > 10000 || height > 10000)
    return thaw_fail(THAW_ERR_USAGE, "%s: a plot of %d x %d pixels; 100 .. 10000 is possible", path, width, height);
  report_canvas canvas;
  THAW_TRY(report_canvas_create(width, height, &canvas));
  double scale = plot->scale > 0 ? plot->scale : fmin(width / 800.0, height / 480.0);
  thaw_status status =
      report_draw_lines(canvas.cairo, plot, (report_box){0, 0, width, height}, scale < 0.5 ? 0.5 : scale);
  if (status == THAW_OK) status = report_canvas_save(&canvas, path);
  report_canvas_destroy(&canvas);
  return status;
}

thaw_status thaw_plot_panels(const char *path, const thaw_plot *plot, int32_t count, int32_t columns) {
  enum { WIDTH = 640, HEIGHT = 440 };
  int32_t across = count < columns ? count : columns, rows = (count + columns - 1) / columns;
  report_canvas canvas;
  if (count < 1 || columns < 1) return thaw_fail(THAW_ERR_USAGE, "%s: nothing to draw", path);
  THAW_TRY(report_canvas_create(across * WIDTH, rows * HEIGHT, &canvas));
  thaw_status status = THAW_OK;
  for (int32_t i = 0; i < count && status == THAW_OK; i++) {
    report_box box = {i % columns * WIDTH, i / columns * HEIGHT, WIDTH, HEIGHT};
    status = report_draw_lines(canvas.cairo, &plot[i], box, 0.9);
  }
  if (status == THAW_OK) status = report_canvas_save(&canvas, path);
  report_canvas_destroy(&canvas);
  return status;
}
