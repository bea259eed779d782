/* thaw compare: two evaluated runs on the same samples. */
#include "cli/cli.h"
#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/score.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct compare_options {
  const char *output;
  int32_t bootstrap;
  int64_t seed;
} compare_options;

/* What evaluate wrote about one run. */
typedef struct evaluated {
  char *path;
  thaw_strings ids, groups, classes;
  int64_t count;
  int32_t outputs;
  float *y, *label;
  thaw_scored scored;
} evaluated;

static void evaluated_clear(evaluated *e) {
  thaw_free(e->path);
  thaw_strings_clear(&e->ids);
  thaw_strings_clear(&e->groups);
  thaw_strings_clear(&e->classes);
  thaw_free(e->y);
  thaw_free(e->label);
}

static thaw_status read_arrays(thaw_h5 *file, evaluated *e) {
  thaw_h5_info y, label;
  THAW_TRY(thaw_h5_describe(file, "/predictions", &y));
  if (!thaw_h5_exists(file, "/labels"))
    return thaw_fail(THAW_ERR_DATA, "%s: has no /labels: evaluate the run again, on data with labels", e->path);
  THAW_TRY(thaw_h5_describe(file, "/labels", &label));
  if (y.rank != 2 || y.dim[1] < 1 || y.dim[1] > 1 << 20 || label.rank < 1 || label.rank > 2 ||
      label.dim[0] != y.dim[0] || (label.rank == 2 && label.dim[1] != y.dim[1]))
    return thaw_fail(THAW_ERR_DATA, "%s: /predictions and /labels do not fit together", e->path);
  if (label.type == THAW_H5_F32)
    return thaw_fail(THAW_ERR_DATA, "%s: labels are targets of a regression, which compare does not judge", e->path);
  e->count = y.dim[0];
  e->outputs = (int32_t)y.dim[1];
  e->y = thaw_new((size_t)y.count, sizeof *e->y);
  e->label = thaw_new((size_t)label.count, sizeof *e->label);
  if (!e->y || !e->label) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_h5_read(file, "/predictions", THAW_H5_F32, y.count, e->y));
  THAW_TRY(thaw_h5_read(file, "/labels", THAW_H5_F32, label.count, e->label));
  THAW_TRY(thaw_h5_read_strings(file, "/ids", 0, e->count, &e->ids));
  THAW_TRY(thaw_h5_read_strings(file, "/groups", 0, e->count, &e->groups));
  if (thaw_h5_has_attribute(file, "/", "classes") || thaw_h5_has_attribute(file, "/", "classes0"))
    THAW_TRY(thaw_h5_get_strings(file, "/", "classes", &e->classes));
  e->scored = (thaw_scored){.count = e->count,
                            .outputs = e->outputs,
                            .kind = label.rank == 1 ? THAW_LABEL_CLASS : THAW_LABEL_MULTI,
                            .y = e->y,
                            .label = e->label,
                            .classes = &e->classes};
  return THAW_OK;
}

/* `run`: a run folder, or a predictions.h5. */
static thaw_status read_evaluated(const char *run, evaluated *e) {
  e->path = thaw_folder_exists(run) ? thaw_path_join(run, "predictions.h5") : thaw_copy_text(run);
  if (!e->path) return THAW_ERR_MEMORY;
  if (!thaw_file_exists(e->path))
    return thaw_fail(THAW_ERR_DATA, "%s: no such file: run `thaw evaluate` first", e->path);
  thaw_h5 *file;
  THAW_TRY(thaw_h5_open(e->path, &file));
  thaw_status status = read_arrays(file, e);
  thaw_h5_close(file);
  return status;
}

static thaw_status check_same(const evaluated *a, const evaluated *b) {
  if (a->count != b->count)
    return thaw_fail(THAW_ERR_DATA, "%s has %lld samples, %s has %lld: evaluate both on the same data", a->path,
                     (long long)a->count, b->path, (long long)b->count);
  if (a->scored.kind != b->scored.kind || a->outputs != b->outputs)
    return thaw_fail(THAW_ERR_DATA, "%s has %d outputs, %s has %d of another kind or number", a->path, a->outputs,
                     b->path, b->outputs);
  size_t width = a->scored.kind == THAW_LABEL_CLASS ? 1 : (size_t)a->outputs;
  for (int64_t i = 0; i < a->count; i++) {
    if (strcmp(a->ids.item[i], b->ids.item[i]))
      return thaw_fail(THAW_ERR_DATA, "sample %lld is '%s' in %s and '%s' in %s: evaluate both on the same data",
                       (long long)i, a->ids.item[i], a->path, b->ids.item[i], b->path);
    if (memcmp(a->label + (size_t)i * width, b->label + (size_t)i * width, width * sizeof *a->label))
      return thaw_fail(THAW_ERR_DATA, "sample '%s' has other labels in %s than in %s", a->ids.item[i], a->path,
                       b->path);
  }
  return a->count ? THAW_OK : thaw_fail(THAW_ERR_DATA, "%s: no samples", a->path);
}

/* ------------------------------------------------------------------ the comparison */

typedef struct comparison {
  const evaluated *a, *b;
  thaw_scorer *scorer_a, *scorer_b;
  int32_t *group;
  int64_t groups;
  bool grouped;
  int32_t values, replicates;
  double *value_a, *value_b, *low, *high; /* [values]; low, high: of a - b */
  thaw_mcnemar mcnemar;
  thaw_delong *delong; /* [questions] */
} comparison;

static void comparison_clear(comparison *c) {
  thaw_scorer_destroy(c->scorer_a);
  thaw_scorer_destroy(c->scorer_b);
  thaw_free(c->group);
  thaw_free(c->value_a);
  thaw_free(c->value_b);
  thaw_free(c->low);
  thaw_free(c->high);
  thaw_free(c->delong);
}

/* Whether the prediction is right: the class, or all known labels at 0.5. */
static uint8_t is_right(const evaluated *e, int64_t i) {
  const float *y = e->y + (size_t)i * (size_t)e->outputs;
  if (e->scored.kind == THAW_LABEL_CLASS) {
    int32_t best = e->outputs == 1 ? y[0] > 0.5f : 0;
    for (int32_t k = 1; k < e->outputs; k++)
      if (y[k] > y[best]) best = k;
    return best == (int32_t)e->label[i];
  }
  const float *label = e->label + (size_t)i * (size_t)e->outputs;
  for (int32_t k = 0; k < e->outputs; k++)
    if (label[k] != THAW_UNKNOWN && (y[k] > 0.5f) != (label[k] > 0.5f)) return 0;
  return 1;
}

static thaw_status test_right(comparison *c) {
  uint8_t *right_a = thaw_new((size_t)c->a->count, 1), *right_b = thaw_new((size_t)c->a->count, 1);
  bool complete = right_a && right_b;
  for (int64_t i = 0; complete && i < c->a->count; i++) {
    right_a[i] = is_right(c->a, i);
    right_b[i] = is_right(c->b, i);
  }
  if (complete) c->mcnemar = thaw_mcnemar_test(right_a, right_b, c->a->count);
  thaw_free(right_a);
  thaw_free(right_b);
  return complete ? THAW_OK : THAW_ERR_MEMORY;
}

/* The same replicates of whole groups for both; percentiles of the differences. */
static thaw_status resample(comparison *c, uint64_t seed) {
  size_t values = (size_t)c->values, replicates = (size_t)c->replicates;
  double *difference = thaw_new(values * replicates, sizeof *difference), *taken = thaw_new((size_t)c->groups, 8);
  double *weight = thaw_new((size_t)c->a->count, sizeof *weight), *x = thaw_new(values, 8), *y = thaw_new(values, 8);
  bool complete = difference && taken && weight && x && y;
  for (int32_t r = 0; complete && r < c->replicates; r++) {
    memset(taken, 0, (size_t)c->groups * sizeof *taken);
    thaw_bootstrap_draw(seed, r, NULL, c->groups, taken);
    for (int64_t i = 0; i < c->a->count; i++) weight[i] = taken[c->group[i]];
    thaw_scorer_compute(c->scorer_a, weight, false, x);
    thaw_scorer_compute(c->scorer_b, weight, false, y);
    for (size_t v = 0; v < values; v++) difference[v * replicates + (size_t)r] = x[v] - y[v];
  }
  for (size_t v = 0; complete && v < values; v++) {
    double *row = difference + v * replicates;
    int64_t defined = 0;
    for (size_t r = 0; r < replicates; r++)
      if (!isnan(row[r])) row[defined++] = row[r];
    c->low[v] = thaw_quantile(row, defined, 0.025);
    c->high[v] = thaw_quantile(row, defined, 0.975);
  }
  thaw_free(difference), thaw_free(taken), thaw_free(weight), thaw_free(x), thaw_free(y);
  return complete ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status compare(const evaluated *a, const evaluated *b, const compare_options *o, comparison *c) {
  *c = (comparison){.a = a, .b = b, .replicates = o->bootstrap};
  int32_t questions = thaw_scored_questions(&a->scored);
  double *threshold = thaw_new((size_t)questions, sizeof *threshold);
  if (!threshold) return THAW_ERR_MEMORY;
  for (int32_t q = 0; q < questions; q++) threshold[q] = 0.5;
  thaw_status status = thaw_scorer_create(&a->scored, threshold, &c->scorer_a);
  if (status == THAW_OK) status = thaw_scorer_create(&b->scored, threshold, &c->scorer_b);
  thaw_free(threshold);
  THAW_TRY(status);
  THAW_TRY(thaw_group_numbers(&a->groups, &c->group, &c->groups));
  c->grouped = c->groups < a->count;
  c->values = thaw_scorer_values(c->scorer_a);
  size_t values = (size_t)c->values;
  c->value_a = thaw_new(values, sizeof(double)), c->value_b = thaw_new(values, sizeof(double));
  c->low = thaw_new(values, sizeof(double)), c->high = thaw_new(values, sizeof(double));
  c->delong = thaw_new((size_t)questions, sizeof *c->delong);
  if (!c->value_a || !c->value_b || !c->low || !c->high || !c->delong) return THAW_ERR_MEMORY;
  thaw_scorer_compute(c->scorer_a, NULL, true, c->value_a);
  thaw_scorer_compute(c->scorer_b, NULL, true, c->value_b);
  for (int32_t q = 0; q < questions; q++)
    THAW_TRY(thaw_delong_test(thaw_scorer_binary(c->scorer_a, q), thaw_scorer_binary(c->scorer_b, q), &c->delong[q]));
  THAW_TRY(test_right(c));
  return resample(c, (uint64_t)o->seed);
}

/* ------------------------------------------------------------------ what is said about it */

static void add_figure(thaw_text *out, const char *name, const comparison *c, int32_t v) {
  if (isnan(c->value_a[v]) || isnan(c->value_b[v])) return;
  thaw_text_add(out, "%-28.28s %9.4f %9.4f %9.4f", name, c->value_a[v], c->value_b[v], c->value_a[v] - c->value_b[v]);
  if (!isnan(c->low[v])) thaw_text_add(out, "  (%.4f .. %.4f)", c->low[v], c->high[v]);
}

static void add_p(thaw_text *out, double p) {
  if (isnan(p))
    thaw_text_add(out, "  p undefined");
  else
    thaw_text_add(out, p < 1e-4 ? "  p %.2e" : "  p %.4f", p);
}

static void print_comparison(const comparison *c, thaw_text *out) {
  char number[16], name[64];
  thaw_text_add(out, "A %s\nB %s\n%lld samples, %lld groups; 95 %% intervals of A - B from %d bootstrap replicates\n\n",
                c->a->path, c->b->path, (long long)c->a->count, (long long)c->groups, c->replicates);
  thaw_text_add(out, "%-28s %9s %9s %9s\n", "", "A", "B", "A - B");
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
  if (c->grouped)
    thaw_text_add(out, "note: groups hold several samples; DeLong and McNemar take samples as independent, the "
                       "bootstrap does not: trust the intervals\n");
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

static thaw_status write_json(const comparison *c, const char *path) {
  thaw_text out = {0};
  char number[16];
  thaw_text_add(&out, "{\n  \"a\": ");
  thaw_text_add_json(&out, c->a->path);
  thaw_text_add(&out, ",\n  \"b\": ");
  thaw_text_add_json(&out, c->b->path);
  thaw_text_add(&out, ",\n  \"samples\": %lld,\n  \"groups\": %lld,\n  \"replicates\": %d,\n  \"overall\": [",
                (long long)c->a->count, (long long)c->groups, c->replicates);
  for (int32_t v = 0; v < THAW_OVERALL; v++) {
    thaw_text_add(&out, "%s\n    {\"name\": \"%s\"", v ? "," : "", thaw_overall_name((thaw_overall)v));
    json_figure(c, v, &out);
    thaw_text_add(&out, "}");
  }
  thaw_text_add(&out, "\n  ],\n  \"auroc\": [");
  for (int32_t q = 0; q < thaw_scored_questions(&c->a->scored); q++) {
    thaw_text_add(&out, "%s\n    {\"name\": ", q ? "," : "");
    thaw_text_add_json(&out, thaw_scored_name(&c->a->scored, q, number));
    json_figure(c, THAW_OVERALL + q * THAW_STATS + THAW_STAT_AUROC, &out);
    json_number(&out, "delong_z", c->delong[q].z);
    json_number(&out, "delong_p", c->delong[q].p);
    thaw_text_add(&out, "}");
  }
  const thaw_mcnemar *m = &c->mcnemar;
  thaw_text_add(&out, "\n  ],\n  \"mcnemar\": {\"both\": %lld, \"only_a\": %lld, \"only_b\": %lld, \"neither\": %lld",
                (long long)m->both, (long long)m->only_a, (long long)m->only_b, (long long)m->neither);
  json_number(&out, "p", m->p);
  thaw_text_add(&out, "}\n}\n");
  thaw_status status = out.failed ? THAW_ERR_MEMORY : thaw_file_write(path, out.data, out.length);
  thaw_text_clear(&out);
  return status;
}

/* [local] rank 0 */
static thaw_status run(cli_context *cli, const compare_options *o) {
  evaluated a = {0}, b = {0};
  comparison c = {0};
  thaw_text text = {0};
  thaw_status status = read_evaluated(cli->argument[0], &a);
  if (status == THAW_OK) status = read_evaluated(cli->argument[1], &b);
  if (status == THAW_OK) status = check_same(&a, &b);
  if (status == THAW_OK) status = compare(&a, &b, o, &c);
  if (status == THAW_OK && o->output) status = write_json(&c, o->output);
  if (status == THAW_OK) {
    print_comparison(&c, &text);
    cli_print_text(cli, &text);
  }
  thaw_text_clear(&text);
  comparison_clear(&c);
  evaluated_clear(&a);
  evaluated_clear(&b);
  return status;
}

thaw_status cli_compare(cli_context *cli) {
  compare_options o = {.bootstrap = 1000};
  const cli_option options[] = {
      {.name = "output",
       .letter = 'o',
       .kind = CLI_TEXT,
       .target = &o.output,
       .value = "FILE",
       .fallback = "none",
       .help = "the figures as JSON"},
      {.name = "bootstrap",
       .kind = CLI_INT,
       .target = &o.bootstrap,
       .high = 100000,
       .help = "replicates for the intervals of differences, by group (patient); 0: none"},
      {.name = "seed", .kind = CLI_INT64, .target = &o.seed, .help = "of the replicates"},
  };
  const cli_usage usage = {
      .positional = "RUN RUN",
      .min = 2,
      .max = 2,
      .options = options,
      .count = sizeof options / sizeof *options,
      .quiet_output = true,
      .summary = "Compares two runs that were evaluated on the same samples and tells difference from chance.",
      .details = "DeLong's test for the AUROC of each class, McNemar's exact test for right and wrong answers, and\n"
                 "paired bootstrap intervals of every difference. RUN is a run folder with the predictions.h5 of\n"
                 "`thaw evaluate`, or such a file.\n\n"
                 "  thaw compare runs/vgg16 runs/densenet121 -o compare.json\n"};
  THAW_TRY(cli_parse(cli, &usage));
  if (cli->done) return THAW_OK;
  return cli_share_status(cli, cli_is_root(cli) ? run(cli, &o) : THAW_OK);
}
