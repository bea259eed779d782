/* What is said about a comparison: a table, and JSON. */
#include "cli/compare.h"

#include <math.h>
#include <stdio.h>

const char *comparison_target(const comparison *c, int32_t output, char number[16]) {
  return output < c->a->outputs ? thaw_scored_name(&c->a->scored, output, number) : "mean";
}

static void add_figure(thaw_text *out, const char *name, const comparison *c, int32_t v) {
  if (isnan(c->value_a[v]) || isnan(c->value_b[v])) return;
  /* Rates have four digits after the point; errors may have any size. */
  if (c->regression)
    thaw_text_add(out, "%-28.28s %9.5g %9.5g %9.4g", name, c->value_a[v], c->value_b[v], c->value_a[v] - c->value_b[v]);
  else
    thaw_text_add(out, "%-28.28s %9.4f %9.4f %9.4f", name, c->value_a[v], c->value_b[v], c->value_a[v] - c->value_b[v]);
  if (!isnan(c->low[v]))
    thaw_text_add(out, c->regression ? "  (%.4g .. %.4g)" : "  (%.4f .. %.4f)", c->low[v], c->high[v]);
}

static void add_p(thaw_text *out, double p) {
  if (isnan(p))
    thaw_text_add(out, "  p undefined");
  else
    thaw_text_add(out, p < 1e-4 ? "  p %.2e" : "  p %.4f", p);
}

static void print_regression(const comparison *c, thaw_text *out) {
  char number[16], name[96];
  for (int32_t v = 0; v < c->values; v++) {
    int32_t output = v / THAW_REGRESSION_STATS, stat = v % THAW_REGRESSION_STATS;
    if (output == c->a->outputs && output == 1) break; /* the mean of one */
    snprintf(name, sizeof name, "%s %.40s", thaw_regression_name((thaw_regression_stat)stat),
             comparison_target(c, output, number));
    size_t before = out->length;
    add_figure(out, name, c, v);
    if (out->length == before) continue;
    if (stat == THAW_REGRESSION_MAE && output < c->a->outputs) {
      add_p(out, c->wilcoxon[output].p);
      thaw_text_add(out, " (Wilcoxon)");
    }
    thaw_text_add(out, "\n");
  }
}

static void print_classes(const comparison *c, thaw_text *out) {
  char number[16], name[64];
  for (int32_t v = 0; v < THAW_OVERALL; v++) {
    size_t before = out->length;
    add_figure(out, thaw_overall_name((thaw_overall)v), c, v);
    if (out->length > before) thaw_text_add(out, "\n");
  }
  for (int32_t q = 0; q < thaw_scored_questions(&c->a->scored); q++) {
    int32_t v = THAW_OVERALL + q * THAW_STATS + THAW_STAT_AUROC;
    snprintf(name, sizeof name, "AUROC %.40s", thaw_scored_name(&c->a->scored, q, number));
    if (isnan(c->value_a[v])) {
      const thaw_binary *b = thaw_scorer_binary(c->scorer_a, q);
      thaw_text_add(out, "%-28.28s undefined: no %s\n", name, b->positives ? "negative" : "positive");
      continue;
    }
    add_figure(out, name, c, v);
    add_p(out, c->delong[q].p);
    thaw_text_add(out, " (DeLong)\n");
  }
  const thaw_mcnemar *m = &c->mcnemar;
  thaw_text_add(out, "\nright: both %lld, only A %lld, only B %lld, neither %lld;", (long long)m->both,
                (long long)m->only_a, (long long)m->only_b, (long long)m->neither);
  add_p(out, m->p);
  thaw_text_add(out, " (McNemar, exact)\n");
}

void comparison_print(const comparison *c, thaw_text *out) {
  thaw_text_add(out, "A %s\nB %s\n%lld samples, %lld groups; 95 %% intervals of A - B from %d bootstrap replicates\n\n",
                c->a->path, c->b->path, (long long)c->a->count, (long long)c->groups, c->replicates);
  thaw_text_add(out, "%-28s %9s %9s %9s\n", "", "A", "B", "A - B");
  if (c->regression)
    print_regression(c, out);
  else
    print_classes(c, out);
  if (c->grouped)
    thaw_text_add(out,
                  "note: groups hold several samples; %s samples as independent, the bootstrap does not: trust the "
                  "intervals\n",
                  c->regression ? "Wilcoxon's test takes" : "DeLong and McNemar take");
}

static void json_number(thaw_text *out, const char *name, double value) {
  if (isfinite(value))
    thaw_text_add(out, ", \"%s\": %.17g", name, value);
  else
    thaw_text_add(out, ", \"%s\": null", name);
}

static void json_figure(const comparison *c, int32_t v, thaw_text *out) {
  json_number(out, "a", c->value_a[v]);
  json_number(out, "b", c->value_b[v]);
  json_number(out, "difference_low", c->low[v]);
  json_number(out, "difference_high", c->high[v]);
}

static void json_regression(const comparison *c, thaw_text *out) {
  char number[16];
  thaw_text_add(out, "  \"regression\": [");
  for (int32_t v = 0; v < c->values; v++) {
    int32_t output = v / THAW_REGRESSION_STATS, stat = v % THAW_REGRESSION_STATS;
    if (output == c->a->outputs && output == 1) break; /* the mean of one */
    thaw_text_add(out, "%s\n    {\"name\": ", v ? "," : "");
    thaw_text_add_json(out, comparison_target(c, output, number));
    thaw_text_add(out, ", \"figure\": \"%s\"", thaw_regression_name((thaw_regression_stat)stat));
    json_figure(c, v, out);
    if (stat == THAW_REGRESSION_MAE && output < c->a->outputs) {
      thaw_text_add(out, ", \"pairs\": %lld", (long long)c->wilcoxon[output].pairs);
      json_number(out, "wilcoxon_z", c->wilcoxon[output].z);
      json_number(out, "wilcoxon_p", c->wilcoxon[output].p);
    }
    thaw_text_add(out, "}");
  }
  thaw_text_add(out, "\n  ]\n");
}

static void json_classes(const comparison *c, thaw_text *out) {
  char number[16];
  thaw_text_add(out, "  \"overall\": [");
  for (int32_t v = 0; v < THAW_OVERALL; v++) {
    thaw_text_add(out, "%s\n    {\"name\": \"%s\"", v ? "," : "", thaw_overall_name((thaw_overall)v));
    json_figure(c, v, out);
    thaw_text_add(out, "}");
  }
  thaw_text_add(out, "\n  ],\n  \"auroc\": [");
  for (int32_t q = 0; q < thaw_scored_questions(&c->a->scored); q++) {
    thaw_text_add(out, "%s\n    {\"name\": ", q ? "," : "");
    thaw_text_add_json(out, thaw_scored_name(&c->a->scored, q, number));
    json_figure(c, THAW_OVERALL + q * THAW_STATS + THAW_STAT_AUROC, out);
    json_number(out, "delong_z", c->delong[q].z);
    json_number(out, "delong_p", c->delong[q].p);
    thaw_text_add(out, "}");
  }
  const thaw_mcnemar *m = &c->mcnemar;
  thaw_text_add(out, "\n  ],\n  \"mcnemar\": {\"both\": %lld, \"only_a\": %lld, \"only_b\": %lld, \"neither\": %lld",
                (long long)m->both, (long long)m->only_a, (long long)m->only_b, (long long)m->neither);
  json_number(out, "p", m->p);
  thaw_text_add(out, "}\n");
}

void comparison_json(const comparison *c, thaw_text *out) {
  thaw_text_add(out, "{\n  \"a\": ");
  thaw_text_add_json(out, c->a->path);
  thaw_text_add(out, ",\n  \"b\": ");
  thaw_text_add_json(out, c->b->path);
  thaw_text_add(out, ",\n  \"samples\": %lld,\n  \"groups\": %lld,\n  \"replicates\": %d,\n", (long long)c->a->count,
                (long long)c->groups, c->replicates);
  if (c->regression)
    json_regression(c, out);
  else
    json_classes(c, out);
  thaw_text_add(out, "}\n");
}
