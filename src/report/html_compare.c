/* The page about two runs: figures with the intervals of their differences, curves, what differs between the jobs. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FILE_LIMIT = 16 << 20, PLOT_WIDTH = 1040, PLOT_HEIGHT = 680, MOST_FACTS = 20000, MOST_CURVES = 6 };

typedef struct side {
  const char *folder;
  thaw_arena *arena;
  thaw_yaml *job; /* NULL: none */
  report_metrics metrics;
} side;

static void side_clear(side *s) {
  thaw_arena_destroy(s->arena);
  report_metrics_clear(&s->metrics);
}

/* What a folder lacks, or cannot be read, is left out of the page. */
static thaw_status side_read(const char *folder, side *s) {
  *s = (side){.folder = folder, .arena = thaw_arena_create()};
  char *job = thaw_path_join(folder, "job.yaml"), *metrics = thaw_path_join(folder, "metrics.csv"), *text = NULL;
  size_t size;
  thaw_status status = s->arena && job && metrics ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && thaw_folder_exists(folder)) {
    if (thaw_file_exists(job) && thaw_file_read(job, FILE_LIMIT, &text, &size) == THAW_OK &&
        thaw_yaml_parse(job, text, size, s->arena, &s->job) != THAW_OK)
      s->job = NULL;
    if (thaw_file_exists(metrics) && report_metrics_read(metrics, &s->metrics) != THAW_OK)
      s->metrics = (report_metrics){0};
  }
  thaw_free(text);
  thaw_free(job);
  thaw_free(metrics);
  return status;
}

static void add_text(thaw_text *out, const thaw_yaml *map, const char *key) {
  const char *text = report_text_of(map, key);
  report_add_escaped(out, text ? text : "");
}

/* ------------------------------------------------------------------ figures */

/* The largest number that a row's interval or difference reaches. */
static double reach(const thaw_yaml *row) {
  double difference = fabs(report_number_of(row, "a") - report_number_of(row, "b"));
  double low = fabs(report_number_of(row, "difference_low")), high = fabs(report_number_of(row, "difference_high"));
  return fmax(isnan(difference) ? 0 : difference, fmax(isnan(low) ? 0 : low, isnan(high) ? 0 : high));
}

/* Zero in the middle, A better or worse on its sides: a dot for the difference, a line for its interval. */
static void add_forest(thaw_text *out, const thaw_yaml *row, double scale) {
  double difference = report_number_of(row, "a") - report_number_of(row, "b");
  double low = report_number_of(row, "difference_low"), high = report_number_of(row, "difference_high");
  thaw_text_add(out, "<td><div class=forest><u></u>");
  if (!isnan(low) && !isnan(high) && scale > 0)
    thaw_text_add(out, "<i style=\"left:%.2f%%;width:%.2f%%\"></i>", 50 + 45 * low / scale, 45 * (high - low) / scale);
  if (!isnan(difference) && scale > 0)
    thaw_text_add(out, "<b style=\"left:%.2f%%\"></b>", 50 + 45 * difference / scale);
  thaw_text_add(out, "</div></td>");
}

static void add_row(thaw_text *out, const thaw_yaml *row, double scale) {
  double a = report_number_of(row, "a"), b = report_number_of(row, "b"), p = report_number_of(row, "delong_p");
  double low = report_number_of(row, "difference_low"), high = report_number_of(row, "difference_high");
  if (isnan(p)) p = report_number_of(row, "wilcoxon_p");
  thaw_text_add(out, "<tr><th>");
  if (thaw_yaml_get(row, "figure")) {
    add_text(out, row, "figure");
    thaw_text_add(out, " ");
  }
  add_text(out, row, "name");
  if (isnan(a) || isnan(b)) {
    thaw_text_add(out, "</th><td>\xe2\x80\x93</td><td>\xe2\x80\x93</td><td>not defined</td><td></td><td></td></tr>\n");
    return;
  }
  thaw_text_add(out, "</th><td>%.4g</td><td>%.4g</td><td>%.4g", a, b, a - b);
  if (!isnan(low)) thaw_text_add(out, " <small>(%.4g to %.4g)</small>", low, high);
  thaw_text_add(out, "</td>");
  add_forest(out, row, scale > 0 ? scale : reach(row));
  if (isnan(p))
    thaw_text_add(out, "<td></td></tr>\n");
  else
    thaw_text_add(out, "<td>%.3g</td></tr>\n", p);
}

/* One scale for all rows, or one for each (targets have their own units). */
static void add_figures(thaw_text *out, const thaw_yaml *list, const char *title, const char *test, bool shared) {
  if (!list || list->kind != THAW_YAML_LIST || !list->count) return;
  double scale = 0;
  for (const thaw_yaml *row = list->child; row && shared; row = row->next) scale = fmax(scale, reach(row));
  thaw_text_add(out,
                "<h2>%s</h2>\n<div class=wide><table class=numbers>\n<tr><th></th><th>A</th><th>B</th>"
                "<th>A \xe2\x88\x92 B (95 %% interval)</th><th>B is higher | A is higher</th><th>%s</th></tr>\n",
                title, test);
  for (const thaw_yaml *row = list->child; row; row = row->next) add_row(out, row, scale);
  thaw_text_add(out, "</table></div>\n");
}

static void add_answers(thaw_text *out, const thaw_yaml *mcnemar) {
  if (!mcnemar) return;
  thaw_text_add(
      out, "<h2>Right answers</h2>\n<table class=numbers>\n"
           "<tr><th>both</th><th>only A</th><th>only B</th><th>neither</th><th>p (McNemar, exact)</th></tr>\n<tr>");
  static const char *const key[] = {"both", "only_a", "only_b", "neither", "p"};
  for (size_t i = 0; i < sizeof key / sizeof *key; i++)
    thaw_text_add(out, "<td>%.6g</td>", report_number_of(mcnemar, key[i]));
  thaw_text_add(out, "</tr>\n</table>\n");
}

/* ------------------------------------------------------------------ curves */

static bool has_values(const report_metrics *m, const char *name) {
  int32_t column = report_metrics_column(m, name);
  for (int32_t row = 0; row < m->rows && column >= 0; row++)
    if (isfinite(report_metrics_at(m, row, column))) return true;
  return false;
}

static thaw_status draw_curve(const side *both, const char *name, thaw_text *out) {
  thaw_series series[2] = {{.label = "A", .colour = 1}, {.label = "B", .colour = 2}};
  const thaw_plot plot = {.title = name, .x_label = "epoch", .series = series, .count = 2};
  int32_t rows[2] = {both[0].metrics.rows, both[1].metrics.rows}, most = rows[0] > rows[1] ? rows[0] : rows[1];
  double *x = thaw_new(3 * (size_t)most, sizeof *x);
  if (!x) return THAW_ERR_MEMORY;
  for (int32_t row = 0; row < most; row++) x[row] = row + 1;
  for (int32_t i = 0; i < 2; i++) {
    double *y = x + (i + 1) * (size_t)most;
    int32_t column = report_metrics_column(&both[i].metrics, name);
    for (int32_t row = 0; row < rows[i]; row++) y[row] = report_metrics_at(&both[i].metrics, row, column);
    series[i].x = x, series[i].y = y, series[i].count = rows[i];
  }
  report_canvas canvas;
  thaw_text png = {0};
  thaw_status status = report_canvas_create(PLOT_WIDTH, PLOT_HEIGHT, &canvas);
  if (status == THAW_OK) {
    status = report_draw_lines(canvas.cairo, &plot, (report_box){0, 0, PLOT_WIDTH, PLOT_HEIGHT}, 1.75);
    if (status == THAW_OK) status = report_canvas_png(&canvas, name, &png);
    if (status == THAW_OK) report_add_picture(out, name, "plot", &png);
    report_canvas_destroy(&canvas);
  }
  thaw_text_clear(&png);
  thaw_free(x);
  return status;
}

/* What both have; validation where there is any, for runs differ there. */
static thaw_status add_curves(thaw_text *out, const side *both) {
  static const char *const other[] = {"phase", "epoch", "step", "learning_rate", "seconds"};
  bool validated = has_values(&both[0].metrics, "val_loss") && has_values(&both[1].metrics, "val_loss");
  int32_t shown = 0;
  thaw_text_add(out, "<h2>Learning curves</h2>\n<div class=pictures>\n");
  for (size_t c = 0; c < both[0].metrics.columns.count && shown < MOST_CURVES; c++) {
    const char *name = both[0].metrics.columns.item[c];
    bool wanted = (strncmp(name, "val_", 4) == 0) == validated;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) wanted &= strcmp(name, other[i]) != 0;
    if (!wanted || !has_values(&both[0].metrics, name) || !has_values(&both[1].metrics, name)) continue;
    THAW_TRY(draw_curve(both, name, out));
    shown++;
  }
  thaw_text_add(out, "%s</div>\n", shown ? "" : "<p>none that both runs have</p>");
  return THAW_OK;
}

/* ------------------------------------------------------------------ what differs between the jobs */

/* "training.phases.1.epochs" and "30", one after the other. */
static thaw_status flatten(const thaw_yaml *node, const char *place, thaw_strings *facts) {
  int32_t index = 0;
  if (facts->count > MOST_FACTS) return THAW_OK;
  if (node->kind == THAW_YAML_SCALAR) {
    THAW_TRY(thaw_strings_add(facts, place));
    return thaw_strings_add(facts, node->value);
  }
  for (const thaw_yaml *child = node->child; child; child = child->next) {
    char number[16];
    snprintf(number, sizeof number, "%d", ++index);
    char *inner = thaw_format("%s%s%s", place, *place ? "." : "", child->key ? child->key : number);
    thaw_status status = inner ? flatten(child, inner, facts) : THAW_ERR_MEMORY;
    thaw_free(inner);
    THAW_TRY(status);
  }
  return THAW_OK;
}

static const char *find(const thaw_strings *facts, const char *place) {
  for (size_t i = 0; i + 1 < facts->count; i += 2)
    if (strcmp(facts->item[i], place) == 0) return facts->item[i + 1];
  return NULL;
}

static void add_difference(thaw_text *out, const char *place, const char *a, const char *b) {
  thaw_text_add(out, "<tr><th>");
  report_add_escaped(out, place);
  thaw_text_add(out, "</th><td>");
  report_add_escaped(out, a ? a : "\xe2\x80\x93");
  thaw_text_add(out, "</td><td>");
  report_add_escaped(out, b ? b : "\xe2\x80\x93");
  thaw_text_add(out, "</td></tr>\n");
}

static thaw_status add_jobs(thaw_text *out, const side *both) {
  thaw_strings a = {0}, b = {0};
  if (!both[0].job || !both[1].job) return THAW_OK;
  thaw_status status = flatten(both[0].job, "", &a);
  if (status == THAW_OK) status = flatten(both[1].job, "", &b);
  thaw_text_add(out, "<h2>What differs between the jobs</h2>\n<div class=wide><table>\n"
                     "<tr><th></th><th>A</th><th>B</th></tr>\n");
  for (size_t i = 0; status == THAW_OK && i + 1 < a.count; i += 2) {
    const char *there = find(&b, a.item[i]);
    if (!there || strcmp(there, a.item[i + 1]) != 0) add_difference(out, a.item[i], a.item[i + 1], there);
  }
  for (size_t i = 0; status == THAW_OK && i + 1 < b.count; i += 2)
    if (!find(&a, b.item[i])) add_difference(out, b.item[i], NULL, b.item[i + 1]);
  thaw_text_add(out, "</table></div>\n");
  thaw_strings_clear(&a);
  thaw_strings_clear(&b);
  return status;
}

/* ------------------------------------------------------------------ all of it */

static const char *name_of(const side *s) {
  const char *name = s->job ? report_text_of(s->job, "name") : NULL;
  return name ? name : thaw_path_name(s->folder);
}

static thaw_status add_page(const thaw_yaml *root, const side *both, thaw_text *out) {
  char *title = thaw_format("%s and %s", name_of(&both[0]), name_of(&both[1]));
  if (!title) return THAW_ERR_MEMORY;
  report_begin_page(out, title);
  thaw_free(title);
  thaw_text_add(out, "<table class=facts>\n<tr><th>A</th><td>");
  add_text(out, root, "a");
  thaw_text_add(out, "</td></tr>\n<tr><th>B</th><td>");
  add_text(out, root, "b");
  thaw_text_add(out,
                "</td></tr>\n<tr><th>evaluated on</th><td>%.0f samples of %.0f groups; intervals from %.0f bootstrap "
                "replicates</td></tr>\n</table>\n",
                report_number_of(root, "samples"), report_number_of(root, "groups"),
                report_number_of(root, "replicates"));
  add_figures(out, thaw_yaml_get(root, "overall"), "All together", "", true);
  add_figures(out, thaw_yaml_get(root, "auroc"), "AUROC of each class", "p (DeLong)", true);
  add_figures(out, thaw_yaml_get(root, "regression"), "Errors of each target", "p (Wilcoxon, absolute errors)", false);
  add_answers(out, thaw_yaml_get(root, "mcnemar"));
  if (report_number_of(root, "groups") < report_number_of(root, "samples"))
    thaw_text_add(out, "<p>Groups hold several samples. The tests take samples as independent, the intervals do not: "
                       "trust the intervals.</p>\n");
  THAW_TRY(add_curves(out, both));
  THAW_TRY(add_jobs(out, both));
  report_end_page(out);
  return out->failed ? THAW_ERR_MEMORY : THAW_OK;
}

thaw_status thaw_report_comparison(const char *path, const char *json, size_t size, const char *run_a,
                                   const char *run_b) {
  thaw_arena *arena = thaw_arena_create();
  thaw_yaml *root;
  thaw_text out = {0};
  side both[2] = {{0}, {0}};
  thaw_status status = arena ? thaw_yaml_parse("comparison", json, size, arena, &root) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = side_read(run_a, &both[0]);
  if (status == THAW_OK) status = side_read(run_b, &both[1]);
  if (status == THAW_OK) status = add_page(root, both, &out);
  if (status == THAW_OK) status = thaw_file_write(path, out.data, out.length);
  side_clear(&both[0]);
  side_clear(&both[1]);
  thaw_text_clear(&out);
  thaw_arena_destroy(arena);
  return status;
}
