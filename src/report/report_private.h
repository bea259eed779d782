/* report_private.h: what the files of src/report share. */
#ifndef THAW_REPORT_PRIVATE_H
#define THAW_REPORT_PRIVATE_H

#include "thaw/job.h"
#include "thaw/report.h"
#include "thaw/text.h"

/* ------------------------------------------------------------------ drawing (canvas.c) */
typedef struct _cairo cairo_t;
typedef struct _cairo_surface cairo_surface_t;
typedef struct report_canvas {
  cairo_surface_t *surface;
  cairo_t *cairo;
} report_canvas;
typedef struct report_box {
  double x, y, width, height;
} report_box;
typedef enum report_align { REPORT_LEFT, REPORT_CENTRE, REPORT_RIGHT } report_align;

/* A white picture. */
thaw_status report_canvas_create(int32_t width, int32_t height, report_canvas *out) THAW_CHECKED;
void report_canvas_destroy(report_canvas *canvas);
/* The PNG file's bytes, appended to `out`. */
thaw_status report_canvas_png(const report_canvas *canvas, const char *what, thaw_text *out) THAW_CHECKED;
thaw_status report_canvas_save(const report_canvas *canvas, const char *path) THAW_CHECKED;

void report_colour(cairo_t *cairo, uint32_t rgb); /* 0xRRGGBB */
uint32_t report_palette(int32_t index);           /* readable with any colour vision, repeats */
void report_font(cairo_t *cairo, double size, bool bold);
double report_text_width(cairo_t *cairo, const char *text);
/* Vertically centred on y. `turn`: radians about (x, y). */
void report_text(cairo_t *cairo, double x, double y, report_align align, double turn, const char *text);
void report_line(cairo_t *cairo, double x0, double y0, double x1, double y1);

/* `text` as valid UTF-8 without control characters, in at most `size` - 1 bytes; returns out. */
const char *report_clean(const char *text, char *out, size_t size);
/* The same, shortened with an ellipsis until it is at most `width` pixels wide in the present font. */
const char *report_fit(cairo_t *cairo, const char *text, double width, char *out, size_t size);

/* ------------------------------------------------------------------ axes (ticks.c) */
typedef struct report_axis {
  double low, high, step; /* ticks at multiples of step inside */
  int digits;             /* after the decimal point of tick labels */
} report_axis;
/* About `wanted` ticks 1, 2 or 5 times a power of ten apart; `whole`: steps of at least 1. low < high. */
report_axis report_axis_make(double low, double high, int wanted, bool whole);
const char *report_tick(const report_axis *axis, double value, char out[32]);

/* ------------------------------------------------------------------ pictures */
/* plot_lines.c: the whole plot in a box; `scale` multiplies fonts and lines. */
thaw_status report_draw_lines(cairo_t *cairo, const thaw_plot *plot, report_box box, double scale) THAW_CHECKED;
/* plot_confusion.c: the PNG's bytes. */
thaw_status report_confusion_png(const char *title, const int64_t *confusion, int32_t classes,
                                 const thaw_strings *names, thaw_text *out) THAW_CHECKED;

/* ------------------------------------------------------------------ metrics.csv (metrics_file.c) */
typedef struct report_metrics {
  thaw_strings columns;
  double *value; /* [rows][columns], NaN where empty */
  int32_t rows;
} report_metrics;
thaw_status report_metrics_read(const char *path, report_metrics *out) THAW_CHECKED;
void report_metrics_clear(report_metrics *metrics);
int32_t report_metrics_column(const report_metrics *metrics, const char *name); /* -1 when absent */
double report_metrics_at(const report_metrics *metrics, int32_t row, int32_t column);

/* curves.c: one panel per quantity. */
enum { REPORT_MAX_PANELS = 32 };
typedef struct report_panels {
  char *name[REPORT_MAX_PANELS]; /* "loss", "accuracy", ..., "learning_rate" */
  int32_t count;
} report_panels;
thaw_status report_panels_find(const report_metrics *metrics, report_panels *out) THAW_CHECKED;
void report_panels_clear(report_panels *panels);
thaw_status report_panel_draw(cairo_t *cairo, const report_metrics *metrics, const char *name, report_box box,
                              double scale) THAW_CHECKED;

/* ------------------------------------------------------------------ evaluation.json (evaluation_file.c) */
typedef struct report_evaluation {
  thaw_arena *arena;
  const thaw_yaml *root; /* the whole file */
  thaw_strings classes;
  int64_t *confusion; /* [class_count][class_count]; NULL: none */
  int32_t class_count;
} report_evaluation;
thaw_status report_evaluation_read(const char *path, report_evaluation *out) THAW_CHECKED;
void report_evaluation_clear(report_evaluation *evaluation);

/* ------------------------------------------------------------------ log.jsonl (log_file.c) */
typedef struct report_event {
  const char *kind, *time; /* "epoch"; "2026-01-31T12:00:00Z" or "" */
  const thaw_yaml *map;    /* all members */
} report_event;
typedef struct report_log {
  thaw_arena *arena;
  report_event *event;
  int32_t count;
} report_log;
/* Lines that cannot be read are passed over. */
thaw_status report_log_read(const char *path, report_log *out) THAW_CHECKED;
void report_log_clear(report_log *log);
const char *report_text_of(const thaw_yaml *map, const char *key); /* a scalar's text; NULL when absent */
double report_number_of(const thaw_yaml *map, const char *key);    /* NaN when absent or no number */

/* ------------------------------------------------------------------ on a terminal (watch_curves.c) */
/* A curve in one line of at most `width` characters, from the smallest to the largest finite value; a gap is a blank.
 */
void report_add_sparkline(thaw_text *out, const double *value, int32_t count, int32_t width, bool ascii);
/* "[#####.....]" */
void report_add_bar(thaw_text *out, double share, int32_t width);
/* One line per loss and metric: first value, curve, last value, best value and its epoch. */
void report_add_curves(thaw_text *out, const report_metrics *metrics, int32_t columns, bool ascii);

/* ------------------------------------------------------------------ pages (html_page.c) */
void report_begin_page(thaw_text *out, const char *title); /* up to the heading */
void report_end_page(thaw_text *out);
/* An image element with a PNG file's bytes in it; kind: "plot" is as wide as its place, "matrix" no wider than it is.
 */
void report_add_picture(thaw_text *out, const char *name, const char *kind, const thaw_text *png);

/* ------------------------------------------------------------------ the page of a run (html.c, html_*.c) */
void report_add_base64(thaw_text *out, const void *data, size_t size);
void report_add_escaped(thaw_text *out, const char *text);   /* report_clean of any length, then HTML escapes */
void report_add_tree(thaw_text *out, const thaw_yaml *tree); /* a map as table rows "a.b" | value */
void report_add_evaluation(thaw_text *out, const report_evaluation *evaluation);
void report_add_scores(thaw_text *out, const thaw_yaml *evaluation); /* html_scores.c */
/* An image element with the PNG folder/name in it; nothing when there is no such file. */
thaw_status report_add_file(thaw_text *out, const char *folder, const char *name, const char *title) THAW_CHECKED;
thaw_status report_add_data(thaw_text *out, const char *folder) THAW_CHECKED; /* html_data.c */
/* html_evaluation.c: the whole part of the page; `evaluation` is that of `folder`, with root. */
thaw_status report_add_judgement(thaw_text *out, const char *folder, const report_evaluation *evaluation) THAW_CHECKED;
/* html_repeat.c */
void report_add_repeat(thaw_text *out, const thaw_yaml *environment, const report_log *log);
void report_add_history(thaw_text *out, const report_log *log);
void report_add_class_table(thaw_text *out, const report_evaluation *evaluation);
void report_add_epochs(thaw_text *out, const report_metrics *metrics);

#endif
