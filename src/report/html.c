/* report.html: one page that needs nothing beside itself. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Plots are drawn with twice the pixels that they take on a page, so that they are sharp on any screen. */
enum { TEXT_LIMIT = 16 << 20, PANEL_WIDTH = 1040, PANEL_HEIGHT = 680, LONG_SUMMARY = 4000 };
static const double panel_scale = 1.75;

typedef struct page {
  const char *folder;
  thaw_text out;
  char *job; /* NULL: absent, as all the others */
  char *summary;
  thaw_arena *arena;
  thaw_yaml *environment;
  report_metrics metrics;
  report_evaluation evaluation;
  report_log log;
} page;

static void page_clear(page *p) {
  thaw_text_clear(&p->out);
  thaw_free(p->job);
  thaw_free(p->summary);
  thaw_arena_destroy(p->arena);
  report_metrics_clear(&p->metrics);
  report_evaluation_clear(&p->evaluation);
  report_log_clear(&p->log);
}

/* The path of a file of the run folder in *path (thaw_free), or NULL there when it does not exist. */
static thaw_status find_file(const page *p, const char *name, char **path) {
  *path = thaw_path_join(p->folder, name);
  if (!*path) return THAW_ERR_MEMORY;
  if (thaw_file_exists(*path)) return THAW_OK;
  thaw_free(*path);
  *path = NULL;
  return THAW_OK;
}

static bool has_file(const page *p, const char *name) {
  char *path = thaw_path_join(p->folder, name);
  bool found = path && thaw_file_exists(path);
  thaw_free(path);
  return found;
}

static thaw_status read_text(const page *p, const char *name, char **text) {
  char *path;
  size_t size;
  THAW_TRY(find_file(p, name, &path));
  thaw_status status = path ? thaw_file_read(path, TEXT_LIMIT, text, &size) : THAW_OK;
  thaw_free(path);
  return status;
}

static thaw_status read_environment(page *p) {
  char *text = NULL;
  THAW_TRY(read_text(p, "environment.json", &text));
  if (!text) return THAW_OK;
  p->arena = thaw_arena_create();
  thaw_status status =
      p->arena ? thaw_yaml_parse("environment.json", text, strlen(text), p->arena, &p->environment) : THAW_ERR_MEMORY;
  thaw_free(text);
  return status == THAW_ERR_USAGE ? thaw_fail(THAW_ERR_DATA, "%s/%s", p->folder, thaw_message()) : status;
}

static thaw_status read_files(page *p) {
  char *path;
  if (!thaw_folder_exists(p->folder)) return thaw_fail(THAW_ERR_DATA, "%s: no such folder", p->folder);
  THAW_TRY(read_text(p, "job.yaml", &p->job));
  THAW_TRY(read_text(p, "summary.txt", &p->summary));
  THAW_TRY(read_environment(p));
  THAW_TRY(find_file(p, "metrics.csv", &path));
  thaw_status status = path ? report_metrics_read(path, &p->metrics) : THAW_OK;
  thaw_free(path);
  THAW_TRY(status);
  THAW_TRY(find_file(p, "evaluation.json", &path));
  status = path ? report_evaluation_read(path, &p->evaluation) : THAW_OK;
  thaw_free(path);
  THAW_TRY(status);
  THAW_TRY(find_file(p, "log.jsonl", &path));
  status = path ? report_log_read(path, &p->log) : THAW_OK;
  thaw_free(path);
  THAW_TRY(status);
  if (p->job || p->summary || p->environment || p->metrics.rows || p->evaluation.root) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: not a run folder: no job.yaml, metrics.csv or evaluation.json in it", p->folder);
}

/* ------------------------------------------------------------------ parts of the page */

static void add_card(thaw_text *out, const char *what, const char *value, const char *note) {
  thaw_text_add(out, "<div class=card><span>");
  report_add_escaped(out, what);
  thaw_text_add(out, "</span><b>");
  report_add_escaped(out, value);
  thaw_text_add(out, "</b><span>");
  report_add_escaped(out, note);
  thaw_text_add(out, "</span></div>\n");
}

static double number(const thaw_yaml *map, const char *key) {
  const thaw_yaml *node = thaw_yaml_get(map, key);
  double value = NAN;
  if (node && node->kind == THAW_YAML_SCALAR && thaw_parse_double(node->value, &value) != THAW_OK) value = NAN;
  return value;
}

static void add_evaluation_cards(page *p) {
  const thaw_yaml *root = p->evaluation.root, *interval = thaw_yaml_get(root, "accuracy_interval_95");
  char value[40], note[80] = "";
  double accuracy = number(root, "accuracy"), loss = number(root, "loss"), low = NAN, high = NAN;
  if (isfinite(accuracy)) {
    if (interval && interval->kind == THAW_YAML_LIST && interval->count == 2 && interval->child->value &&
        interval->child->next->value && thaw_parse_double(interval->child->value, &low) == THAW_OK &&
        thaw_parse_double(interval->child->next->value, &high) == THAW_OK)
      snprintf(note, sizeof note, "95 %% interval %.2f \xe2\x80\x93 %.2f %%", 100 * low, 100 * high);
    snprintf(value, sizeof value, "%.2f %%", 100 * accuracy);
    add_card(&p->out, "accuracy", value, note);
  }
  if (!isfinite(loss)) return;
  snprintf(value, sizeof value, "%.4f", loss);
  snprintf(note, sizeof note, "on %.0f samples", number(root, "count"));
  add_card(&p->out, "loss", value, isfinite(number(root, "count")) ? note : "");
}

static void add_training_cards(page *p) {
  const report_metrics *m = &p->metrics;
  int32_t seconds = report_metrics_column(m, "seconds"), loss = report_metrics_column(m, "val_loss"), best = -1;
  const char *what = loss >= 0 ? "best validation loss" : "best training loss";
  double total = 0;
  char value[40], note[80];
  if (loss < 0) loss = report_metrics_column(m, "loss");
  for (int32_t row = 0; row < m->rows; row++) {
    if (seconds >= 0 && isfinite(report_metrics_at(m, row, seconds))) total += report_metrics_at(m, row, seconds);
    if (loss < 0 || !isfinite(report_metrics_at(m, row, loss))) continue;
    if (best < 0 || report_metrics_at(m, row, loss) < report_metrics_at(m, best, loss)) best = row;
  }
  if (best >= 0) {
    snprintf(value, sizeof value, "%.4f", report_metrics_at(m, best, loss));
    snprintf(note, sizeof note, "in epoch %d", best + 1);
    add_card(&p->out, what, value, note);
  }
  snprintf(value, sizeof value, "%d", m->rows);
  snprintf(note, sizeof note, "in ");
  if (seconds >= 0) thaw_format_seconds(total, note + 3);
  add_card(&p->out, "epochs", value, seconds >= 0 ? note : "");
}

static thaw_status add_panel(page *p, const char *name) {
  report_canvas canvas;
  thaw_text png = {0};
  THAW_TRY(report_canvas_create(PANEL_WIDTH, PANEL_HEIGHT, &canvas));
  thaw_status status =
      report_panel_draw(canvas.cairo, &p->metrics, name, (report_box){0, 0, PANEL_WIDTH, PANEL_HEIGHT}, panel_scale);
  if (status == THAW_OK) status = report_canvas_png(&canvas, name, &png);
  if (status == THAW_OK) report_add_picture(&p->out, name, "plot", &png);
  thaw_text_clear(&png);
  report_canvas_destroy(&canvas);
  return status;
}

static thaw_status add_curves(page *p) {
  report_panels panels;
  if (!p->metrics.rows) return THAW_OK;
  THAW_TRY(report_panels_find(&p->metrics, &panels));
  thaw_text_add(&p->out, "<h2 id=curves>Learning curves</h2>\n<div class=pictures>\n");
  thaw_status status = THAW_OK;
  for (int32_t i = 0; i < panels.count && status == THAW_OK; i++) status = add_panel(p, panels.name[i]);
  report_panels_clear(&panels);
  thaw_text_add(&p->out, "</div>\n<details><summary>all epochs</summary>\n");
  report_add_epochs(&p->out, &p->metrics);
  thaw_text_add(&p->out, "</details>\n");
  return status;
}

static thaw_status add_evaluation(page *p) {
  if (!p->evaluation.root) return THAW_OK;
  return report_add_judgement(&p->out, p->folder, &p->evaluation);
}

/* How to get the sheet: of the evaluated data, where that is known. */
static void add_explain_hint(page *p) {
  const thaw_yaml *data = thaw_yaml_get(p->evaluation.root, "data");
  thaw_text_add(&p->out, "<p id=explain>No heat maps of where the network looks yet: <code>thaw explain ");
  report_add_escaped(&p->out, p->folder);
  thaw_text_add(&p->out, " ");
  report_add_escaped(&p->out, data && data->kind == THAW_YAML_SCALAR ? data->value : "DATA");
  thaw_text_add(&p->out, " --top-losses</code>, and <code>thaw report</code> again.</p>\n");
}

/* The sheet that `thaw explain` put into the run folder. */
static thaw_status add_explanations(page *p) {
  char *path;
  THAW_TRY(find_file(p, "explain/sheet.png", &path));
  if (!path) {
    if (!thaw_yaml_get(p->evaluation.root, "heads")) add_explain_hint(p); /* several cannot be explained */
    return THAW_OK;
  }
  thaw_free(path);
  thaw_text_add(&p->out, "<h2 id=explain>Where the network looks</h2>\n<div class=wide>\n");
  THAW_TRY(report_add_file(&p->out, p->folder, "explain/sheet.png", "Grad-CAM"));
  thaw_text_add(&p->out, "</div>\n");
  return THAW_OK;
}

/* Keeps line ends, which report_add_escaped would turn into spaces. */
static void add_lines(thaw_text *out, const char *text) {
  thaw_text_add(out, "<pre>");
  for (const char *line = text; *line;) {
    size_t length = strcspn(line, "\n");
    char *copy = thaw_format("%.*s", (int)length, line);
    if (copy)
      report_add_escaped(out, copy);
    else
      out->failed = true;
    thaw_free(copy);
    if (line[length]) thaw_text_add(out, "\n");
    line += length + (line[length] != 0);
  }
  thaw_text_add(out, "</pre>\n");
}

/* summary.txt, and one more for each further phase; long ones are folded. */
static thaw_status add_model(page *p) {
  if (!p->summary) return THAW_OK;
  thaw_text_add(&p->out, "<h2 id=model>Model</h2>\n");
  bool folded = strlen(p->summary) > LONG_SUMMARY;
  if (folded) thaw_text_add(&p->out, "<details><summary>layers</summary>\n");
  add_lines(&p->out, p->summary);
  if (folded) thaw_text_add(&p->out, "</details>\n");
  for (int32_t phase = 2; phase < 100; phase++) {
    char name[48], *text = NULL;
    snprintf(name, sizeof name, "summary-phase-%d.txt", phase);
    THAW_TRY(read_text(p, name, &text));
    if (!text) break;
    thaw_text_add(&p->out, "<details><summary>layers in phase %d</summary>\n", phase);
    add_lines(&p->out, text);
    thaw_text_add(&p->out, "</details>\n");
    thaw_free(text);
  }
  return THAW_OK;
}

static void add_repeat(page *p) {
  if (p->environment) report_add_repeat(&p->out, p->environment, &p->log);
  if (p->job) {
    thaw_text_add(&p->out, "<h3>The job</h3>\n");
    add_lines(&p->out, p->job);
  }
  if (p->log.count) report_add_history(&p->out, &p->log);
  if (!p->environment) return;
  thaw_text_add(&p->out, "<details><summary>the whole environment</summary>\n");
  report_add_tree(&p->out, p->environment);
  thaw_text_add(&p->out, "</details>\n");
}

/* The job's name where it can be read, else the folder's. */
static void begin(page *p) {
  thaw_yaml *root = NULL;
  thaw_arena *arena = thaw_arena_create();
  bool read = arena && p->job && thaw_yaml_parse("job.yaml", p->job, strlen(p->job), arena, &root) == THAW_OK;
  const char *name = read ? report_text_of(root, "name") : NULL;
  report_begin_page(&p->out, name ? name : thaw_path_name(p->folder));
  thaw_arena_destroy(arena);
}

static void add_contents(page *p) {
  const struct {
    bool there;
    const char *id, *title;
  } part[] = {{p->metrics.rows > 0, "curves", "curves"},
              {p->evaluation.root != NULL, "evaluation", "evaluation"},
              {has_file(p, "explain/sheet.png"), "explain", "where it looks"},
              {has_file(p, "data/data.json"), "data", "data"},
              {p->summary != NULL, "model", "model"},
              {p->environment != NULL, "repeat", "how to repeat it"}};
  thaw_text_add(&p->out, "<nav>");
  for (size_t i = 0; i < sizeof part / sizeof *part; i++)
    if (part[i].there) thaw_text_add(&p->out, "<a href=\"#%s\">%s</a>\n", part[i].id, part[i].title);
  thaw_text_add(&p->out, "</nav>\n");
}

static thaw_status add_page(page *p) {
  begin(p);
  add_contents(p);
  thaw_text_add(&p->out, "<div class=cards>\n");
  if (p->evaluation.root) add_evaluation_cards(p);
  if (p->metrics.rows) add_training_cards(p);
  thaw_text_add(&p->out, "</div>\n");
  THAW_TRY(add_curves(p));
  THAW_TRY(add_evaluation(p));
  THAW_TRY(add_explanations(p));
  THAW_TRY(report_add_data(&p->out, p->folder));
  THAW_TRY(add_model(p));
  add_repeat(p);
  report_end_page(&p->out);
  return p->out.failed ? thaw_fail(THAW_ERR_MEMORY, "out of memory while writing the report") : THAW_OK;
}

static thaw_status write_page(page *p) {
  THAW_TRY(read_files(p));
  if (p->metrics.rows) THAW_TRY(thaw_report_curves(p->folder));
  THAW_TRY(add_page(p));
  char *path = thaw_path_join(p->folder, "report.html");
  thaw_status status = path ? thaw_file_write(path, p->out.data, p->out.length) : THAW_ERR_MEMORY;
  thaw_free(path);
  return status;
}

thaw_status thaw_report_html(const char *run_folder) {
  page p = {.folder = run_folder};
  thaw_status status = write_page(&p);
  page_clear(&p);
  return status;
}
