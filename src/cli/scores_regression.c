/* The figures of regression: errors of each target with intervals, as text, JSON and plot. */
#include "cli/scores.h"
#include "thaw/memory.h"
#include "thaw/report.h"

#include <math.h>
#include <stdio.h>

static const double most_work = 2e11; /* errors over all replicates: minutes */

thaw_status cli_scores_regression(cli_scores *s, uint64_t seed) {
  if ((double)s->scored.count * s->scored.outputs * s->replicates > most_work) {
    s->replicates = 0;
    THAW_TRY(cli_scores_note(s, "%lld samples with %d targets are too many for bootstrap intervals",
                             (long long)s->scored.count, s->scored.outputs));
  }
  s->regression = thaw_new((size_t)(s->scored.outputs + 1) * THAW_REGRESSION_STATS, sizeof *s->regression);
  if (!s->regression) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_regression_estimate(&s->scored, NULL, s->replicates, seed, s->regression));
  char number[16];
  for (int32_t o = 0; o < s->scored.outputs; o++) {
    int64_t i = 1;
    while (i < s->scored.count && s->label[(size_t)i * (size_t)s->scored.outputs + (size_t)o] == s->label[o]) i++;
    if (i >= s->scored.count)
      THAW_TRY(
          cli_scores_note(s, "target '%s' has one value only: its R2 says nothing", cli_scores_target(s, o, number)));
  }
  if (s->grouped) return THAW_OK;
  return cli_scores_note(s, "no two samples share a group (patient), or the data names none: intervals take samples as "
                            "independent");
}

const char *cli_scores_target(const cli_scores *s, int32_t output, char number[16]) {
  return output < s->scored.outputs ? thaw_scored_name(&s->scored, output, number) : "mean";
}

static const char *cell(const thaw_estimate_of *e, char out[64]) {
  if (isnan(e->value))
    snprintf(out, 64, "-");
  else if (isnan(e->low))
    snprintf(out, 64, "%.6g", e->value);
  else
    snprintf(out, 64, "%.6g (%.6g .. %.6g)", e->value, e->low, e->high);
  return out;
}

static void add_row(const char *name, const thaw_estimate_of *e, thaw_text *out) {
  char a[64], b[64], c[64];
  thaw_text_add(out, "%-20.20s %-38s %-38s %-38s\n", name, cell(&e[THAW_REGRESSION_MAE], a),
                cell(&e[THAW_REGRESSION_RMSE], b), cell(&e[THAW_REGRESSION_R2], c));
}

void cli_scores_regression_table(const cli_scores *s, thaw_text *out) {
  char number[16], name[128];
  thaw_text_add(out, "\n95 %% intervals from %d bootstrap replicates of %s\n%-20s %-38s %-38s %-38s\n", s->replicates,
                s->grouped ? "whole groups" : "samples", "target", "MAE", "RMSE", "R2");
  for (int32_t o = 0; o <= s->scored.outputs; o++)
    if (o < s->scored.outputs || o > 1)
      add_row(cli_scores_target(s, o, number), &s->regression[o * THAW_REGRESSION_STATS], out);
  for (size_t i = 0; i < s->subgroups; i++) {
    const cli_subgroup *g = &s->subgroup[i];
    if (i == 0) thaw_text_add(out, "\nsubgroup, mean of the targets\n");
    snprintf(name, sizeof name, "%s=%s", g->column, g->value);
    add_row(name, &g->estimate[s->scored.outputs * THAW_REGRESSION_STATS], out);
  }
}

static void add_number(thaw_text *out, double value) {
  if (isfinite(value))
    thaw_text_add(out, "%.17g", value);
  else
    thaw_text_add(out, "null");
}

/* "mae": [value, low, high, undefined replicates], ... */
static void add_estimates(thaw_text *out, const thaw_estimate_of *e) {
  for (int s = 0; s < THAW_REGRESSION_STATS; s++) {
    thaw_text_add(out, ", \"%s\": [", thaw_regression_name((thaw_regression_stat)s));
    add_number(out, e[s].value);
    thaw_text_add(out, ", ");
    add_number(out, e[s].low);
    thaw_text_add(out, ", ");
    add_number(out, e[s].high);
    thaw_text_add(out, ", %lld]", (long long)e[s].undefined);
  }
}

static void add_targets(const cli_scores *s, const thaw_estimate_of *estimate, thaw_text *out) {
  char number[16];
  thaw_text_add(out, "\"targets\": [");
  for (int32_t o = 0; o <= s->scored.outputs; o++) {
    thaw_text_add(out, "%s\n    {\"name\": ", o ? "," : "");
    thaw_text_add_json(out, cli_scores_target(s, o, number));
    add_estimates(out, &estimate[o * THAW_REGRESSION_STATS]);
    thaw_text_add(out, "}");
  }
  thaw_text_add(out, "]");
}

void cli_scores_regression_json(const cli_scores *s, thaw_text *out) {
  thaw_text_add(
      out, ",\n  \"bootstrap\": {\"replicates\": %d, \"unit\": \"%s\", \"units\": %lld},\n  \"regression\": {",
      s->replicates, s->grouped ? "group" : "sample", (long long)(s->grouped ? s->scored.groups : s->scored.count));
  add_targets(s, s->regression, out);
  thaw_text_add(out, ",\n  \"subgroups\": [");
  for (size_t i = 0; i < s->subgroups; i++) {
    thaw_text_add(out, "%s\n    {\"column\": ", i ? "," : "");
    thaw_text_add_json(out, s->subgroup[i].column);
    thaw_text_add(out, ", \"value\": ");
    thaw_text_add_json(out, s->subgroup[i].value);
    thaw_text_add(out, ", \"samples\": %lld, \"groups\": %lld, ", (long long)s->subgroup[i].samples,
                  (long long)s->subgroup[i].groups);
    add_targets(s, s->subgroup[i].estimate, out);
    thaw_text_add(out, "}");
  }
  thaw_text_add(out, "]}");
}

thaw_status cli_scores_regression_plot(const cli_scores *s, const char *folder) {
  char *path = thaw_path_join(folder, "residuals.png");
  thaw_status status =
      path ? thaw_plot_residuals(path, s->scored.y, s->label, s->scored.count, s->scored.outputs, s->scored.classes)
           : THAW_ERR_MEMORY;
  thaw_free(path);
  return status;
}
