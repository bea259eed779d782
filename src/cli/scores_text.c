/* The figures as a table for people and as JSON for the report. */
#include "cli/scores.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int32_t most_rows = 40;

/* "0.8123 (0.7911 .. 0.8340)", "-" where undefined. */
static const char *cell(const thaw_estimate_of *e, char out[48]) {
  if (isnan(e->value))
    snprintf(out, 48, "-");
  else if (isnan(e->low))
    snprintf(out, 48, "%.4f", e->value);
  else
    snprintf(out, 48, "%.4f (%.4f .. %.4f)", e->value, e->low, e->high);
  return out;
}

static const thaw_estimate_of *of_question(const thaw_estimate_of *estimate, int32_t question, thaw_stat stat) {
  return &estimate[THAW_OVERALL + question * THAW_STATS + (int32_t)stat];
}

/* Of how many classes `overall` is the mean: those of which it is defined; -1: it is no mean of classes. */
static int32_t mean_of(const cli_scores *s, const thaw_estimate_of *estimate, thaw_overall overall) {
  const bool classes = s->scored.kind == THAW_LABEL_CLASS;
  thaw_stat stat;
  int32_t defined = 0;
  if (overall == THAW_MACRO_AUROC || overall == THAW_MACRO_AUPRC)
    stat = overall == THAW_MACRO_AUROC ? THAW_STAT_AUROC : THAW_STAT_AUPRC;
  else if ((overall == THAW_MACRO_F1 || (overall == THAW_BALANCED_ACCURACY && classes)) && s->questions > 1)
    stat = THAW_STAT_SENSITIVITY; /* defined where the class occurs, as F1 is */
  else
    return -1;
  for (int32_t q = 0; q < s->questions; q++) defined += !isnan(of_question(estimate, q, stat)->value);
  return defined;
}

static void add_overall(const cli_scores *s, thaw_text *out) {
  char text[48];
  for (int32_t v = 0; v < THAW_OVERALL; v++) {
    const int32_t classes = mean_of(s, s->estimate, (thaw_overall)v);
    if (isnan(s->estimate[v].value) && classes < 0) continue;
    thaw_text_add(out, "%-18s %s", thaw_overall_name((thaw_overall)v), cell(&s->estimate[v], text));
    if (classes >= 0 && classes < s->questions) thaw_text_add(out, "  of %d of %d classes", classes, s->questions);
    thaw_text_add(out, "\n");
  }
}

static const char *rule_name(const cli_scores *s, char out[64]) {
  static const char *const name[] = {"youden", "f1", "sensitivity", "specificity", "fixed"};
  bool value = s->point.rule >= THAW_OPERATE_SENSITIVITY;
  if (value)
    snprintf(out, 64, "%s=%.6g", name[s->point.rule], s->point.value);
  else
    snprintf(out, 64, "%s", name[s->point.rule]);
  return out;
}

static void add_questions(const cli_scores *s, thaw_text *out) {
  char rule[64], number[16], a[48], b[48], c[48], d[48];
  thaw_text_add(out, "\n%-20s %7s %7s %7s %-28s %-28s %9s %-28s %-28s\n", "class", "yes", "no", "unknown", "AUROC",
                "AUPRC", "threshold", "sensitivity", "specificity");
  for (int32_t q = 0; q < s->questions && q < most_rows; q++) {
    const thaw_binary *binary = thaw_scorer_binary(s->scorer, q);
    thaw_text_add(out, "%-20.20s %7lld %7lld %7lld %-28s %-28s %9.4f %-28s %-28s\n",
                  thaw_scored_name(&s->scored, q, number), (long long)binary->positives, (long long)binary->negatives,
                  (long long)binary->unknown, cell(of_question(s->estimate, q, THAW_STAT_AUROC), a),
                  cell(of_question(s->estimate, q, THAW_STAT_AUPRC), b), s->threshold[q],
                  cell(of_question(s->estimate, q, THAW_STAT_SENSITIVITY), c),
                  cell(of_question(s->estimate, q, THAW_STAT_SPECIFICITY), d));
  }
  if (s->questions > most_rows) thaw_text_add(out, "... %d more in evaluation.json\n", s->questions - most_rows);
  thaw_text_add(out, "thresholds: %s%s\n", rule_name(s, rule),
                *s->chosen_on ? ", chosen on the validation data" : " (not chosen on data)");
}

static void add_calibration(const cli_scores *s, thaw_text *out) {
  if (!s->calibration.probabilities) return;
  thaw_text_add(out, "\ncalibration: ECE %.4f, Brier score %.4f, log loss %.4f\n", s->calibration.ece,
                s->calibration.brier, s->calibration.log_loss);
  if (!isnan(s->temperature))
    thaw_text_add(out, "with temperature %.4f (of the validation data): ECE %.4f, Brier score %.4f, log loss %.4f\n",
                  s->temperature, s->scaled.ece, s->scaled.brier, s->scaled.log_loss);
}

static void add_subgroups(const cli_scores *s, thaw_text *out) {
  char a[48], b[48];
  bool classes = s->scored.kind == THAW_LABEL_CLASS;
  if (!s->subgroups) return;
  thaw_text_add(out, "\n%-32s %8s %8s %-28s %-28s\n", "subgroup", "samples", "groups", "macro AUROC",
                classes ? "accuracy" : "macro F1");
  for (size_t i = 0; i < s->subgroups; i++) {
    const cli_subgroup *g = &s->subgroup[i];
    char name[128];
    snprintf(name, sizeof name, "%s=%s", g->column, g->value);
    thaw_text_add(out, "%-32.32s %8lld %8lld %-28s %-28s\n", name, (long long)g->samples, (long long)g->groups,
                  cell(&g->estimate[THAW_MACRO_AUROC], a),
                  cell(&g->estimate[classes ? THAW_ACCURACY : THAW_MACRO_F1], b));
  }
}

void cli_scores_table(const cli_scores *s, thaw_text *out) {
  if (s->regression) {
    cli_scores_regression_table(s, out);
  } else if (s->scored.count) {
    thaw_text_add(out, "\n95 %% intervals from %d bootstrap replicates of %s\n", s->replicates,
                  s->grouped ? "whole groups" : "samples");
    add_overall(s, out);
    add_questions(s, out);
    add_calibration(s, out);
    cli_scores_costs_table(s, out);
    add_subgroups(s, out);
  }
  for (size_t i = 0; i < s->note.count; i++) thaw_text_add(out, "%snote: %s\n", i ? "" : "\n", s->note.item[i]);
}

/* ------------------------------------------------------------------ JSON */

static void add_number(thaw_text *out, double value) {
  if (isfinite(value))
    thaw_text_add(out, "%.17g", value);
  else
    thaw_text_add(out, "null");
}

static void add_member(thaw_text *out, const char *name, double value) {
  thaw_text_add(out, ", \"%s\": ", name);
  add_number(out, value);
}

/* [value, low, high, undefined replicates] */
static void add_estimate(thaw_text *out, const char *name, const thaw_estimate_of *e) {
  thaw_text_add(out, ", \"%s\": [", name);
  add_number(out, e->value);
  thaw_text_add(out, ", ");
  add_number(out, e->low);
  thaw_text_add(out, ", ");
  add_number(out, e->high);
  thaw_text_add(out, ", %lld]", (long long)e->undefined);
}

/* A mean of classes is there, null or not, with the number of them. */
static void json_overall(const cli_scores *s, const thaw_estimate_of *estimate, thaw_text *out) {
  for (int32_t v = 0; v < THAW_OVERALL; v++) {
    const int32_t classes = mean_of(s, estimate, (thaw_overall)v);
    if (isnan(estimate[v].value) && classes < 0) continue;
    add_estimate(out, thaw_overall_name((thaw_overall)v), &estimate[v]);
    if (classes >= 0) thaw_text_add(out, ", \"%s_classes\": %d", thaw_overall_name((thaw_overall)v), classes);
  }
}

static void json_question(const cli_scores *s, int32_t q, const thaw_estimate_of *estimate, thaw_text *out) {
  for (int32_t t = 0; t < THAW_STATS; t++)
    add_estimate(out, thaw_stat_name((thaw_stat)t), of_question(estimate, q, (thaw_stat)t));
  add_member(out, "threshold", s->threshold[q]);
}

static void json_questions(const cli_scores *s, thaw_text *out) {
  char number[16];
  thaw_text_add(out, ",\n  \"questions\": [");
  for (int32_t q = 0; q < s->questions; q++) {
    const thaw_binary *b = thaw_scorer_binary(s->scorer, q);
    thaw_text_add(out, "%s\n    {\"name\": ", q ? "," : "");
    thaw_text_add_json(out, thaw_scored_name(&s->scored, q, number));
    thaw_text_add(out, ", \"positives\": %lld, \"negatives\": %lld, \"unknown\": %lld", (long long)b->positives,
                  (long long)b->negatives, (long long)b->unknown);
    json_question(s, q, s->estimate, out);
    thaw_text_add(out, "}");
  }
  thaw_text_add(out, "\n  ]");
}

static void json_subgroups(const cli_scores *s, thaw_text *out) {
  char number[16];
  thaw_text_add(out, ",\n  \"subgroups\": [");
  for (size_t i = 0; i < s->subgroups; i++) {
    const cli_subgroup *g = &s->subgroup[i];
    thaw_text_add(out, "%s\n    {\"column\": ", i ? "," : "");
    thaw_text_add_json(out, g->column);
    thaw_text_add(out, ", \"value\": ");
    thaw_text_add_json(out, g->value);
    thaw_text_add(out, ", \"samples\": %lld, \"groups\": %lld", (long long)g->samples, (long long)g->groups);
    json_overall(s, g->estimate, out);
    thaw_text_add(out, ", \"questions\": [");
    for (int32_t q = 0; q < s->questions; q++) {
      thaw_text_add(out, "%s{\"name\": ", q ? ", " : "");
      thaw_text_add_json(out, thaw_scored_name(&s->scored, q, number));
      thaw_text_add(out, ", \"positives\": %lld, \"negatives\": %lld", (long long)g->positives[q],
                    (long long)g->negatives[q]);
      json_question(s, q, g->estimate, out);
      thaw_text_add(out, "}");
    }
    thaw_text_add(out, "]}");
  }
  thaw_text_add(out, "\n  ]");
}

static void json_bins(const char *name, const thaw_calibration *c, thaw_text *out) {
  thaw_text_add(out, ", \"%s\": {\"answers\": %lld", name, (long long)c->answers);
  add_member(out, "ece", c->ece);
  add_member(out, "mce", c->mce);
  add_member(out, "brier", c->brier);
  add_member(out, "log_loss", c->log_loss);
  thaw_text_add(out, ", \"bins\": [");
  for (int32_t b = 0; b < THAW_CALIBRATION_BINS; b++) {
    thaw_text_add(out, "%s[%lld, ", b ? ", " : "", (long long)c->count[b]);
    add_number(out, c->confidence[b]);
    thaw_text_add(out, ", ");
    add_number(out, c->frequency[b]);
    thaw_text_add(out, "]");
  }
  thaw_text_add(out, "]}");
}

static void json_calibration(const cli_scores *s, thaw_text *out) {
  if (!s->calibration.probabilities) return;
  thaw_text_add(out, ",\n  \"calibration\": {\"answers\": %lld", (long long)s->calibration.answers);
  json_bins("plain", &s->calibration, out);
  if (!isnan(s->temperature)) {
    add_member(out, "temperature", s->temperature);
    json_bins("scaled", &s->scaled, out);
  }
  thaw_text_add(out, "}");
}

static void json_notes(const cli_scores *s, thaw_text *out) {
  thaw_text_add(out, ",\n  \"notes\": [");
  for (size_t i = 0; i < s->note.count; i++) {
    thaw_text_add(out, "%s\n    ", i ? "," : "");
    thaw_text_add_json(out, s->note.item[i]);
  }
  thaw_text_add(out, "\n  ]");
}

void cli_scores_json(const cli_scores *s, thaw_text *out) {
  char rule[64];
  if (s->regression) {
    cli_scores_regression_json(s, out);
  } else if (s->scored.count) {
    thaw_text_add(out, ",\n  \"operating_point\": \"%s\",\n  \"operating_point_chosen_on\": \"%s\"", rule_name(s, rule),
                  s->chosen_on);
    thaw_text_add(out, ",\n  \"bootstrap\": {\"replicates\": %d, \"unit\": \"%s\", \"units\": %lld}", s->replicates,
                  s->grouped ? "group" : "sample", (long long)(s->grouped ? s->scored.groups : s->scored.count));
    thaw_text_add(out, ",\n  \"overall\": {\"samples\": %lld", (long long)s->scored.count);
    json_overall(s, s->estimate, out);
    thaw_text_add(out, "}");
    json_questions(s, out);
    json_calibration(s, out);
    cli_scores_costs_json(s, out);
    json_subgroups(s, out);
  }
  json_notes(s, out);
}
