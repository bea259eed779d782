/* The confusion matrix as a picture: colours say the share of the true class, numbers the counts. */
#include "report/report_private.h"

#include <cairo.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CLASSES = 2000, NAME_SIZE = 200 };
static const double name_limit = 170, title_height = 40, axis_height = 26, edge = 16;

typedef struct matrix {
  const int64_t *count; /* [classes][classes] */
  int32_t classes;
  const thaw_strings *names;
  double cell, font;
  int32_t stride; /* every stride-th class is named */
  double names_width;
  report_box area;
} matrix;

static const char *class_name(cairo_t *cairo, const matrix *m, int32_t c, char out[NAME_SIZE]) {
  char number[16];
  snprintf(number, sizeof number, "%d", c);
  bool named = m->names && (size_t)c < m->names->count && m->names->item[c][0];
  return report_fit(cairo, named ? m->names->item[c] : number, name_limit, out, NAME_SIZE);
}

/* Pixels that the longest count takes in the present font. */
static double widest_count(const matrix *m, cairo_t *cairo) {
  int64_t largest = 0;
  char text[32];
  for (size_t i = 0; i < (size_t)m->classes * (size_t)m->classes; i++)
    if (m->count[i] > largest) largest = m->count[i];
  snprintf(text, sizeof text, "%lld", (long long)largest);
  return report_text_width(cairo, text);
}

/* 1, 2, 5, 10, 20, ...: the first that is not smaller than `least`. */
static int32_t nice_stride(double least) {
  static const int32_t next[] = {1, 2, 5};
  for (int32_t power = 1; power < 1000000; power *= 10)
    for (int i = 0; i < 3; i++)
      if (next[i] * power >= least) return next[i] * power;
  return 1000000;
}

/* Cells large enough for counts with few classes, and down to one pixel with many. */
static void plan(matrix *m, cairo_t *cairo) {
  double cell = floor(1000.0 / m->classes);
  bool few = m->classes <= 14;
  m->font = few ? 14 : fmax(9, fmin(14, cell * 0.4));
  report_font(cairo, m->font, false);
  if (few) cell = fmin(110, fmax(64, ceil(widest_count(m, cairo)) + 10));
  m->cell = fmax(cell, 1);
  m->stride = nice_stride((m->font + 2) / m->cell);
  m->names_width = 0;
  char name[NAME_SIZE];
  for (int32_t c = 0; c < m->classes; c += m->stride)
    m->names_width = fmax(m->names_width, report_text_width(cairo, class_name(cairo, m, c, name)));
  double side = fmax(m->cell * m->classes, 120);
  m->area = (report_box){edge + axis_height + m->names_width + 8, edge + title_height, side, side};
}

/* From white to the palette's blue. */
static void cell_colour(cairo_t *cairo, double share) {
  static const double full[3] = {0, 0x72 / 255.0, 0xb2 / 255.0};
  cairo_set_source_rgb(cairo, 1 + share * (full[0] - 1), 1 + share * (full[1] - 1), 1 + share * (full[2] - 1));
}

static void draw_cell(const matrix *m, cairo_t *cairo, int32_t row, int32_t column, double share) {
  int64_t count = m->count[(size_t)row * (size_t)m->classes + (size_t)column];
  double x = m->area.x + column * m->cell, y = m->area.y + row * m->cell;
  char text[32];
  cell_colour(cairo, share);
  cairo_rectangle(cairo, x, y, m->cell, m->cell);
  cairo_fill(cairo);
  if (m->cell < 18) return;
  snprintf(text, sizeof text, "%lld", (long long)count);
  if (report_text_width(cairo, text) > m->cell - 4) return;
  report_colour(cairo, share > 0.5 ? 0xffffff : count ? 0x222222 : 0xbbbbbb);
  report_text(cairo, x + m->cell / 2, y + m->cell / 2, REPORT_CENTRE, 0, text);
}

static void draw_cells(const matrix *m, cairo_t *cairo) {
  report_font(cairo, m->font, false);
  if (m->cell < 4) cairo_set_antialias(cairo, CAIRO_ANTIALIAS_NONE);
  for (int32_t row = 0; row < m->classes; row++) {
    double total = 0;
    for (int32_t column = 0; column < m->classes; column++)
      total += (double)m->count[(size_t)row * (size_t)m->classes + (size_t)column];
    for (int32_t column = 0; column < m->classes; column++) {
      double count = (double)m->count[(size_t)row * (size_t)m->classes + (size_t)column];
      draw_cell(m, cairo, row, column, total > 0 ? count / total : 0);
    }
  }
  cairo_set_antialias(cairo, CAIRO_ANTIALIAS_DEFAULT);
}

static void draw_names(const matrix *m, cairo_t *cairo) {
  char name[NAME_SIZE];
  double bottom = m->area.y + m->cell * m->classes;
  report_font(cairo, m->font, false);
  report_colour(cairo, 0x222222);
  for (int32_t c = 0; c < m->classes; c += m->stride) {
    const char *text = class_name(cairo, m, c, name);
    double middle = (c + 0.5) * m->cell;
    report_text(cairo, m->area.x - 8, m->area.y + middle, REPORT_RIGHT, 0, text);
    report_text(cairo, m->area.x + middle, bottom + 8, REPORT_RIGHT, -M_PI / 2, text);
  }
}

static void draw_frame(const matrix *m, cairo_t *cairo, const char *title) {
  char text[NAME_SIZE];
  double side = m->cell * m->classes, bottom = m->area.y + side;
  report_colour(cairo, 0x777777);
  cairo_set_line_width(cairo, 1);
  cairo_rectangle(cairo, m->area.x - 0.5, m->area.y - 0.5, side + 1, side + 1);
  cairo_stroke(cairo);
  report_colour(cairo, 0x222222);
  report_font(cairo, 14, false);
  report_text(cairo, m->area.x + side / 2, bottom + 8 + m->names_width + axis_height - 8, REPORT_CENTRE, 0,
              "predicted class");
  report_text(cairo, edge + 6, m->area.y + side / 2, REPORT_CENTRE, -M_PI / 2, "true class");
  report_font(cairo, 17, true);
  if (title)
    report_text(cairo, edge, edge + 10, REPORT_LEFT, 0,
                report_fit(cairo, title, m->area.x + side - edge, text, sizeof text));
}

static thaw_status draw(const char *title, const int64_t *confusion, int32_t classes, const thaw_strings *names,
                        report_canvas *out) {
  if (classes < 1 || classes > MAX_CLASSES)
    return thaw_fail(THAW_ERR_USAGE, "a confusion matrix of %d classes cannot be drawn; 1 .. %d can", classes,
                     (int)MAX_CLASSES);
  matrix m = {.count = confusion, .classes = classes, .names = names};
  report_canvas probe;
  THAW_TRY(report_canvas_create(16, 16, &probe));
  plan(&m, probe.cairo);
  report_canvas_destroy(&probe);
  double width = m.area.x + m.area.width + edge, height = m.area.y + m.area.height + m.names_width + axis_height + edge;
  THAW_TRY(report_canvas_create((int32_t)ceil(width), (int32_t)ceil(height), out));
  draw_cells(&m, out->cairo);
  draw_names(&m, out->cairo);
  draw_frame(&m, out->cairo, title);
  return THAW_OK;
}

thaw_status report_confusion_png(const char *title, const int64_t *confusion, int32_t classes,
                                 const thaw_strings *names, thaw_text *out) {
  report_canvas canvas;
  THAW_TRY(draw(title, confusion, classes, names, &canvas));
  thaw_status status = report_canvas_png(&canvas, "confusion matrix", out);
  report_canvas_destroy(&canvas);
  return status;
}

thaw_status thaw_plot_confusion(const char *path, const char *title, const int64_t *confusion, int32_t classes,
                                const thaw_strings *names) {
  report_canvas canvas;
  THAW_TRY(draw(title, confusion, classes, names, &canvas));
  thaw_status status = report_canvas_save(&canvas, path);
  report_canvas_destroy(&canvas);
  return status;
}
