/* What the decisions of an evaluation cost, for several ways to decide. */
#include "cli/scores.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

static const size_t most_bytes = (size_t)1 << 26;
static const char *const rule_names[] = {"largest_output", "least_expected_cost", "threshold", "always"};

void cli_scores_costs_clear(cli_costs *costs) {
  thaw_free(costs->file);
  thaw_costs_clear(&costs->matrix);
  for (int r = 0; r < CLI_COST_RULES; r++) thaw_free(costs->confusion[r]);
  *costs = (cli_costs){0};
}

/* The score of class 1 of two: the only output, or the second. */
static double score_of(const thaw_scored *scored, int64_t row) {
  return (double)scored->y[(size_t)row * (size_t)scored->outputs + (scored->outputs == 2 ? 1 : 0)];
}

static int32_t largest(const thaw_scored *scored, int64_t row) {
  const float *y = scored->y + (size_t)row * (size_t)scored->outputs;
  int32_t best = 0;
  if (scored->outputs == 1) return y[0] >= 0.5f;
  for (int32_t k = 1; k < scored->outputs; k++)
    if (y[k] > y[best]) best = k;
  return best;
}

static thaw_status decide(const cli_scores *s, cli_cost_rule rule, int64_t row, double *probability, int32_t *out) {
  const cli_costs *c = &s->costs;
  *out = c->always;
  if (rule == CLI_COST_THRESHOLD) *out = score_of(&s->scored, row) >= c->threshold;
  if (rule == CLI_COST_LARGEST) *out = largest(&s->scored, row);
  if (rule == CLI_COST_EXPECTED) {
    THAW_TRY(thaw_costs_probabilities(&s->scored, c->temperature, row, probability));
    *out = thaw_costs_decide(&c->matrix, probability);
  }
  return THAW_OK;
}

static thaw_status account(cli_scores *s, cli_cost_rule rule, uint64_t seed) {
  cli_costs *c = &s->costs;
  size_t classes = (size_t)c->matrix.classes;
  int64_t *confusion = c->confusion[rule] = thaw_new(classes * classes, sizeof *confusion);
  double *value = thaw_new((size_t)s->scored.count, sizeof *value),
         *probability = thaw_new(classes, sizeof *probability);
  thaw_status status = confusion && value && probability ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t i = 0; status == THAW_OK && i < s->scored.count; i++) {
    int32_t truth = (int32_t)s->scored.label[i], predicted;
    status = decide(s, rule, i, probability, &predicted);
    if (status != THAW_OK) break;
    confusion[(size_t)truth * classes + (size_t)predicted]++;
    value[i] = thaw_cost(&c->matrix, truth, predicted);
  }
  if (status == THAW_OK)
    status = thaw_mean_estimate(value, s->scored.group, s->scored.groups, s->scored.count, s->replicates, seed,
                                &c->mean[rule]);
  thaw_free(value);
  thaw_free(probability);
  return status;
}

/* The class to call everything, at least cost on the validation data, or without it on what is evaluated. */
static int32_t best_constant(const thaw_costs *costs, const thaw_scored *from) {
  int32_t best = 0;
  double least = INFINITY;
  for (int32_t p = 0; p < costs->classes; p++) {
    double sum = 0;
    for (int64_t i = 0; i < from->count; i++) sum += thaw_cost(costs, (int32_t)from->label[i], p);
    if (sum < least) least = sum, best = p;
  }
  return best;
}

static thaw_status choose_threshold(cli_scores *s, const thaw_scored *validation) {
  cli_costs *c = &s->costs;
  thaw_binary binary;
  if (c->matrix.classes != 2) return THAW_OK;
  if (!validation) return cli_scores_note(s, "costs: without validation data no threshold of least cost can be chosen");
  THAW_TRY(thaw_scored_binary(validation, thaw_scored_questions(validation) - 1, &binary));
  c->threshold = thaw_costs_threshold(&c->matrix, &binary);
  thaw_binary_clear(&binary);
  if (!isnan(c->threshold)) return THAW_OK;
  return cli_scores_note(s, "costs: a class has no sample in the validation data: no threshold is chosen");
}

static thaw_status read_matrix(cli_scores *s, const char *path) {
  char *text;
  size_t size;
  const thaw_scored *scored = &s->scored;
  int32_t classes = scored->outputs == 1 ? 2 : scored->outputs;
  if (scored->kind != THAW_LABEL_CLASS)
    return thaw_fail(THAW_ERR_USAGE, "--costs goes with data of one class per sample");
  if (!scored->classes || scored->classes->count != (size_t)classes)
    return thaw_fail(THAW_ERR_DATA, "--costs: the data names %zu classes, the network has %d outputs",
                     scored->classes ? scored->classes->count : 0, scored->outputs);
  THAW_TRY(thaw_file_read(path, most_bytes, &text, &size));
  thaw_status status = thaw_costs_parse(path, text, size, scored->classes, &s->costs.matrix);
  thaw_free(text);
  return status;
}

thaw_status cli_scores_costs(cli_scores *s, const char *path, const thaw_scored *validation, uint64_t seed) {
  cli_costs *c = &s->costs;
  THAW_TRY(read_matrix(s, path));
  c->file = thaw_copy_text(path);
  if (!c->file) return THAW_ERR_MEMORY;
  c->temperature = isnan(s->temperature) ? 1 : s->temperature;
  c->threshold = NAN;
  c->always = best_constant(&c->matrix, validation ? validation : &s->scored);
  for (int r = 0; r < CLI_COST_RULES; r++) c->mean[r].value = NAN;
  THAW_TRY(choose_threshold(s, validation));
  THAW_TRY(account(s, CLI_COST_LARGEST, seed));
  thaw_calibration calibration; /* expected costs need probabilities */
  THAW_TRY(thaw_calibrate(&s->scored, 1, &calibration));
  if (calibration.probabilities) THAW_TRY(account(s, CLI_COST_EXPECTED, seed));
  if (!isnan(c->threshold)) THAW_TRY(account(s, CLI_COST_THRESHOLD, seed));
  return account(s, CLI_COST_ALWAYS, seed);
}

/* ------------------------------------------------------------------ words */

static void name_rule(const cli_scores *s, cli_cost_rule rule, char out[96]) {
  const cli_costs *c = &s->costs;
  const thaw_strings *classes = s->scored.classes;
  switch (rule) {
  case CLI_COST_EXPECTED:
    if (c->temperature == 1)
      snprintf(out, 96, "least expected cost");
    else
      snprintf(out, 96, "least expected cost, temperature %.4f", c->temperature);
    break;
  case CLI_COST_THRESHOLD:
    snprintf(out, 96, "'%.32s' from %.6g on", classes->item[1], c->threshold);
    break;
  case CLI_COST_ALWAYS:
    snprintf(out, 96, "always '%.32s'", classes->item[c->always]);
    break;
  default:
    snprintf(out, 96, "largest output");
  }
}

/* Of two classes: what the rule gets wrong. */
static void add_errors(const cli_scores *s, cli_cost_rule rule, thaw_text *out) {
  const cli_costs *c = &s->costs;
  int32_t n = c->matrix.classes;
  if (n != 2) return;
  const int64_t *m = c->confusion[rule];
  thaw_text_add(out, "  %lld of %lld '%s' missed, %lld of %lld '%s' called so", (long long)m[2],
                (long long)(m[2] + m[3]), s->scored.classes->item[1], (long long)m[1], (long long)(m[0] + m[1]),
                s->scored.classes->item[0]);
}

void cli_scores_costs_table(const cli_scores *s, thaw_text *out) {
  const cli_costs *c = &s->costs;
  if (!c->file) return;
  thaw_text_add(out, "\ncost per sample by %s\n", c->file);
  for (int r = 0; r < CLI_COST_RULES; r++) {
    char name[96], interval[64] = "";
    const thaw_estimate_of *e = &c->mean[r];
    if (isnan(e->value)) continue;
    name_rule(s, (cli_cost_rule)r, name);
    if (!isnan(e->low)) snprintf(interval, sizeof interval, " (%.4f .. %.4f)", e->low, e->high);
    thaw_text_add(out, "%-48s %.4f%s", name, e->value, interval);
    add_errors(s, (cli_cost_rule)r, out);
    thaw_text_add(out, "\n");
  }
  if (!isnan(c->threshold)) thaw_text_add(out, "the threshold costs least on the validation data\n");
}

static void add_number(thaw_text *out, double value) {
  if (isfinite(value))
    thaw_text_add(out, "%.17g", value);
  else
    thaw_text_add(out, "null");
}

static void json_rule(const cli_scores *s, cli_cost_rule rule, thaw_text *out) {
  const cli_costs *c = &s->costs;
  size_t n = (size_t)c->matrix.classes;
  char name[96];
  name_rule(s, rule, name);
  thaw_text_add(out, "\n    {\"rule\": \"%s\", \"name\": ", rule_names[rule]);
  thaw_text_add_json(out, name);
  thaw_text_add(out, ", \"mean_cost\": [");
  add_number(out, c->mean[rule].value);
  thaw_text_add(out, ", ");
  add_number(out, c->mean[rule].low);
  thaw_text_add(out, ", ");
  add_number(out, c->mean[rule].high);
  thaw_text_add(out, "], \"confusion\": [");
  for (size_t i = 0; i < n * n; i++)
    thaw_text_add(out, "%s%lld%s",
                  i % n ? ", "
                  : i   ? ", ["
                        : "[",
                  (long long)c->confusion[rule][i], i % n == n - 1 ? "]" : "");
  thaw_text_add(out, "]}");
}

void cli_scores_costs_json(const cli_scores *s, thaw_text *out) {
  const cli_costs *c = &s->costs;
  bool first = true;
  if (!c->file) return;
  thaw_text_add(out, ",\n  \"costs\": {\"file\": ");
  thaw_text_add_json(out, c->file);
  thaw_text_add(out, ", \"threshold\": ");
  add_number(out, c->threshold);
  thaw_text_add(out, ", \"rules\": [");
  for (int r = 0; r < CLI_COST_RULES; r++) {
    if (isnan(c->mean[r].value)) continue;
    thaw_text_add(out, "%s", first ? "" : ",");
    first = false;
    json_rule(s, (cli_cost_rule)r, out);
  }
  thaw_text_add(out, "\n  ]}");
}
