/* The figures of an evaluation with their intervals: all together, by class, by subgroup, and what is left out. */
#include "report/report_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct column {
  const char *key, *title;
} column;

static double number(const thaw_yaml *node) {
  double value = NAN;
  if (node && node->kind == THAW_YAML_SCALAR && thaw_parse_double(node->value, &value) != THAW_OK) value = NAN;
  return value;
}

/* Rates have four digits after the point; errors of targets may have any size. */
static const char *plain(double value, char out[32]) {
  bool rate = value == 0 || (fabs(value) >= 0.001 && fabs(value) < 1000);
  snprintf(out, 32, rate ? "%.4f" : "%.5g", value);
  return out;
}

/* A figure is [value, low, high, undefined replicates] or a number. */
static void add_figure(thaw_text *out, const thaw_yaml *node) {
  double value[3] = {NAN, NAN, NAN};
  char text[3][32];
  int i = 0;
  if (node && node->kind == THAW_YAML_LIST)
    for (const thaw_yaml *item = node->child; item && i < 3; item = item->next) value[i++] = number(item);
  else
    value[0] = number(node);
  if (isnan(value[0]))
    thaw_text_add(out, "<td>\xe2\x80\x93</td>");
  else if (node->kind == THAW_YAML_SCALAR)
    thaw_text_add(out, "<td>%.6g</td>", value[0]);
  else if (isnan(value[1]) || isnan(value[2]))
    thaw_text_add(out, "<td>%s</td>", plain(value[0], text[0]));
  else
    thaw_text_add(out, "<td>%s <small>(%s\xe2\x80\x93%s)</small></td>", plain(value[0], text[0]),
                  plain(value[1], text[1]), plain(value[2], text[2]));
}

static void add_text(thaw_text *out, const thaw_yaml *node) {
  report_add_escaped(out, node && node->kind == THAW_YAML_SCALAR ? node->value : "");
}

static void add_header(thaw_text *out, const char *first, const column *columns, int32_t count) {
  thaw_text_add(out, "<div class=wide><table class=numbers>\n<tr><th>%s</th>", first);
  for (int32_t i = 0; i < count; i++) thaw_text_add(out, "<th>%s</th>", columns[i].title);
  thaw_text_add(out, "</tr>\n");
}

static void add_cells(thaw_text *out, const thaw_yaml *map, const column *columns, int32_t count) {
  for (int32_t i = 0; i < count; i++) add_figure(out, thaw_yaml_get(map, columns[i].key));
  thaw_text_add(out, "</tr>\n");
}

static void add_overall(thaw_text *out, const thaw_yaml *overall) {
  thaw_text_add(out, "<h3>All together</h3>\n<div class=wide><table class=numbers>\n"
                     "<tr><th>figure</th><th>value (95 %% interval)</th></tr>\n");
  for (const thaw_yaml *node = overall->child; node; node = node->next) {
    thaw_text_add(out, "<tr><th>");
    report_add_escaped(out, node->key);
    thaw_text_add(out, "</th>");
    add_figure(out, node);
    thaw_text_add(out, "</tr>\n");
  }
  thaw_text_add(out, "</table></div>\n");
}

static void add_questions(thaw_text *out, const thaw_yaml *questions) {
  static const column columns[] = {{"positives", "yes"},
                                   {"negatives", "no"},
                                   {"unknown", "unknown"},
                                   {"auroc", "AUROC"},
                                   {"auprc", "AUPRC"},
                                   {"threshold", "threshold"},
                                   {"sensitivity", "sensitivity"},
                                   {"specificity", "specificity"},
                                   {"ppv", "PPV"},
                                   {"npv", "NPV"},
                                   {"f1", "F1"},
                                   {"youden", "Youden's J"}};
  const int32_t count = sizeof columns / sizeof *columns;
  if (!questions || questions->kind != THAW_YAML_LIST) return;
  thaw_text_add(out, "<h3>Each class against the others</h3>\n");
  add_header(out, "class", columns, count);
  for (const thaw_yaml *row = questions->child; row; row = row->next) {
    thaw_text_add(out, "<tr><th>");
    add_text(out, thaw_yaml_get(row, "name"));
    thaw_text_add(out, "</th>");
    add_cells(out, row, columns, count);
  }
  thaw_text_add(out, "</table></div>\n");
}

static void add_subgroups(thaw_text *out, const thaw_yaml *subgroups) {
  static const column columns[] = {{"samples", "samples"},         {"groups", "groups"},
                                   {"macro_auroc", "macro AUROC"}, {"macro_auprc", "macro AUPRC"},
                                   {"accuracy", "accuracy"},       {"macro_f1", "macro F1"}};
  const int32_t count = sizeof columns / sizeof *columns;
  if (!subgroups || subgroups->kind != THAW_YAML_LIST || !subgroups->count) return;
  thaw_text_add(out, "<h3>Subgroups</h3>\n");
  add_header(out, "subgroup", columns, count);
  for (const thaw_yaml *row = subgroups->child; row; row = row->next) {
    thaw_text_add(out, "<tr><th>");
    add_text(out, thaw_yaml_get(row, "column"));
    thaw_text_add(out, " = ");
    add_text(out, thaw_yaml_get(row, "value"));
    thaw_text_add(out, "</th>");
    add_cells(out, row, columns, count);
  }
  thaw_text_add(out, "</table></div>\n");
}

static void add_calibration(thaw_text *out, const thaw_yaml *calibration) {
  static const column columns[] = {
      {"ece", "ECE"}, {"mce", "largest gap"}, {"brier", "Brier score"}, {"log_loss", "log loss"}};
  const thaw_yaml *plain = thaw_yaml_get(calibration, "plain"), *scaled = thaw_yaml_get(calibration, "scaled");
  if (!plain) return;
  thaw_text_add(out, "<h3>Calibration</h3>\n");
  add_header(out, "outputs", columns, 4);
  thaw_text_add(out, "<tr><th>as they are</th>");
  add_cells(out, plain, columns, 4);
  if (scaled) {
    thaw_text_add(out, "<tr><th>with temperature %.4g, fitted on validation data</th>",
                  number(thaw_yaml_get(calibration, "temperature")));
    add_cells(out, scaled, columns, 4);
  }
  thaw_text_add(out, "</table></div>\n");
}

static void add_targets(thaw_text *out, const thaw_yaml *targets, const char *what) {
  static const column columns[] = {{"mae", "MAE"}, {"rmse", "RMSE"}, {"r2", "R\xc2\xb2"}};
  if (!targets || targets->kind != THAW_YAML_LIST) return;
  add_header(out, what, columns, 3);
  for (const thaw_yaml *row = targets->child; row; row = row->next) {
    thaw_text_add(out, "<tr><th>");
    add_text(out, thaw_yaml_get(row, "name"));
    thaw_text_add(out, "</th>");
    add_cells(out, row, columns, 3);
  }
  thaw_text_add(out, "</table></div>\n");
}

static void add_regression(thaw_text *out, const thaw_yaml *regression) {
  const thaw_yaml *subgroups = thaw_yaml_get(regression, "subgroups");
  thaw_text_add(out, "<h3>Errors (95 %% interval)</h3>\n");
  add_targets(out, thaw_yaml_get(regression, "targets"), "target");
  if (!subgroups || subgroups->kind != THAW_YAML_LIST) return;
  for (const thaw_yaml *row = subgroups->child; row; row = row->next) {
    thaw_text_add(out, "<h4>");
    add_text(out, thaw_yaml_get(row, "column"));
    thaw_text_add(out, " = ");
    add_text(out, thaw_yaml_get(row, "value"));
    thaw_text_add(out, "</h4>\n");
    add_targets(out, thaw_yaml_get(row, "targets"), "target");
  }
}

static void add_costs(thaw_text *out, const thaw_yaml *costs) {
  static const column columns[] = {{"mean_cost", "mean cost (95 % interval)"}};
  const thaw_yaml *rules = thaw_yaml_get(costs, "rules");
  if (!rules || rules->kind != THAW_YAML_LIST) return;
  thaw_text_add(out, "<h3>What decisions cost</h3>\n<p>By ");
  add_text(out, thaw_yaml_get(costs, "file"));
  thaw_text_add(out, ", per sample. A threshold was chosen on the validation data.</p>\n");
  add_header(out, "decided by", columns, 1);
  for (const thaw_yaml *row = rules->child; row; row = row->next) {
    thaw_text_add(out, "<tr><th>");
    add_text(out, thaw_yaml_get(row, "name"));
    thaw_text_add(out, "</th>");
    add_cells(out, row, columns, 1);
  }
  thaw_text_add(out, "</table></div>\n");
}

static void add_notes(thaw_text *out, const thaw_yaml *notes) {
  if (!notes || notes->kind != THAW_YAML_LIST || !notes->count) return;
  thaw_text_add(out, "<h3>What to know</h3>\n<ul>\n");
  for (const thaw_yaml *note = notes->child; note; note = note->next) {
    thaw_text_add(out, "<li>");
    add_text(out, note);
    thaw_text_add(out, "</li>\n");
  }
  thaw_text_add(out, "</ul>\n");
}

void report_add_scores(thaw_text *out, const thaw_yaml *evaluation) {
  if (thaw_yaml_get(evaluation, "regression")) {
    add_regression(out, thaw_yaml_get(evaluation, "regression"));
    add_notes(out, thaw_yaml_get(evaluation, "notes"));
    return;
  }
  add_overall(out, thaw_yaml_get(evaluation, "overall"));
  add_questions(out, thaw_yaml_get(evaluation, "questions"));
  add_calibration(out, thaw_yaml_get(evaluation, "calibration"));
  if (thaw_yaml_get(evaluation, "costs")) add_costs(out, thaw_yaml_get(evaluation, "costs"));
  add_subgroups(out, thaw_yaml_get(evaluation, "subgroups"));
  add_notes(out, thaw_yaml_get(evaluation, "notes"));
}
