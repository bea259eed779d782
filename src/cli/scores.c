#include "cli/scores.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const int64_t most_answers = (int64_t)1 << 27;
static const double most_work = 6e10; /* weighted answers over all replicates: minutes */

thaw_status cli_scores_note(cli_scores *scores, const char *format, ...) {
  char text[600];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return thaw_strings_add(&scores->note, text);
}

/* Predictions and labels of one data set as thaw_score wants them; label: new. */
static thaw_status gather(const cli_scores_request *request, const thaw_session_data *data, const thaw_evaluation *e,
                          thaw_scored *out, float **label) {
  const thaw_dataset_info *info = data->info;
  size_t width = (size_t)info->label_width;
  *label = thaw_new((size_t)e->count * width, sizeof **label);
  if (!*label) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < e->count; i++) thaw_label_row(data->labels, (uint64_t)i, *label + (size_t)i * width);
  *out = (thaw_scored){.count = e->count,
                       .outputs = request->outputs,
                       .kind = info->label_kind,
                       .y = e->prediction,
                       .label = *label,
                       .classes = request->classes};
  return THAW_OK;
}

/* A sample without a group is a group of its own; where all are, there is nothing to be kept together. */
static thaw_status find_groups(cli_scores *s, thaw_catalog *catalog, const thaw_strings *ids) {
  thaw_strings names = {0}, whole = {0};
  thaw_status status = thaw_catalog_groups(catalog, 0, s->scored.count, &names);
  for (size_t i = 0; status == THAW_OK && i < names.count; i++) {
    bool named = names.item[i][0] != 0;
    char *text = thaw_format("%c%s", named ? 'g' : 'i', named ? names.item[i] : ids->item[i]);
    status = text ? thaw_strings_add(&whole, text) : THAW_ERR_MEMORY;
    thaw_free(text);
  }
  if (status == THAW_OK) status = thaw_group_numbers(&whole, &s->group, &s->scored.groups);
  s->grouped = s->scored.groups < s->scored.count;
  s->scored.group = s->grouped ? s->group : NULL;
  thaw_strings_clear(&names);
  thaw_strings_clear(&whole);
  return status;
}

static thaw_status choose_threshold(cli_scores *s, const thaw_scored *validation, int32_t question) {
  thaw_binary binary;
  char number[16];
  s->threshold[question] = s->point.rule == THAW_OPERATE_FIXED ? s->point.value : 0.5;
  if (!validation || s->point.rule == THAW_OPERATE_FIXED) return THAW_OK;
  THAW_TRY(thaw_scored_binary(validation, question, &binary));
  double chosen = thaw_operating_choose(&binary, &s->point);
  bool positives = binary.positives > 0;
  thaw_binary_clear(&binary);
  if (!isnan(chosen)) {
    s->threshold[question] = chosen;
    return THAW_OK;
  }
  return cli_scores_note(s, "class '%s' has no %s in the validation data: its threshold is 0.5",
                         thaw_scored_name(validation, question, number), positives ? "negative" : "positive");
}

/* Thresholds and temperature come from validation data, never from what is evaluated. */
static thaw_status learn(cli_scores *s, const cli_scores_request *request) {
  thaw_scored validation = {0};
  float *label = NULL;
  thaw_status status = THAW_OK;
  s->threshold = thaw_new((size_t)s->questions, sizeof *s->threshold);
  if (!s->threshold) return THAW_ERR_MEMORY;
  if (request->validation)
    status = gather(request, request->validation, request->validation_evaluation, &validation, &label);
  for (int32_t q = 0; status == THAW_OK && q < s->questions; q++)
    status = choose_threshold(s, label ? &validation : NULL, q);
  if (status == THAW_OK && label) status = thaw_temperature_fit(&validation, &s->temperature);
  if (status == THAW_OK && request->costs)
    status = cli_scores_costs(s, request->costs, label ? &validation : NULL, request->seed);
  thaw_free(label);
  return status;
}

static thaw_status calibrate(cli_scores *s) {
  THAW_TRY(thaw_calibrate(&s->scored, 1, &s->calibration));
  if (!s->calibration.probabilities) return cli_scores_note(s, "the outputs are no probabilities: no calibration");
  if (isnan(s->temperature)) return THAW_OK;
  return thaw_calibrate(&s->scored, s->temperature, &s->scaled);
}

/* Everything that is left out of a mean is named here. */
static thaw_status note_gaps(cli_scores *s) {
  char number[16];
  for (int32_t q = 0; q < s->questions; q++) {
    const thaw_binary *b = thaw_scorer_binary(s->scorer, q);
    if (b->positives && b->negatives) continue;
    THAW_TRY(cli_scores_note(s, "class '%s' has no %s among %lld known answers: %s left out of the means",
                             thaw_scored_name(&s->scored, q, number), b->positives ? "negative" : "positive",
                             (long long)b->count, b->positives ? "its AUROC is" : "it is"));
  }
  for (int32_t v = 0; v < THAW_OVERALL; v++)
    if (s->estimate[v].undefined)
      THAW_TRY(cli_scores_note(s, "%s is not defined in %lld of %d replicates", thaw_overall_name((thaw_overall)v),
                               (long long)s->estimate[v].undefined, s->replicates));
  return THAW_OK;
}

static thaw_status estimate(cli_scores *s, uint64_t seed) {
  THAW_TRY(thaw_scorer_create(&s->scored, s->threshold, &s->scorer));
  double work = 4.0 * (double)s->scored.count * s->questions * s->replicates;
  if (work > most_work) {
    s->replicates = 0;
    THAW_TRY(cli_scores_note(s, "%lld samples with %d classes are too many for bootstrap intervals",
                             (long long)s->scored.count, s->questions));
  }
  s->estimate = thaw_new((size_t)thaw_scorer_values(s->scorer), sizeof *s->estimate);
  if (!s->estimate) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_scorer_estimate(s->scorer, NULL, s->replicates, seed, s->estimate));
  if (!s->grouped)
    THAW_TRY(
        cli_scores_note(s, "no two samples share a group (patient), or the data names none: intervals take samples as "
                           "independent"));
  else if (s->scored.groups == 1)
    THAW_TRY(
        cli_scores_note(s, "all %lld samples are of one group (patient): no intervals", (long long)s->scored.count));
  return note_gaps(s);
}

static thaw_status make(const cli_scores_request *request, cli_scores *s) {
  const thaw_session_data *data = request->data;
  thaw_strings ids = {0};
  THAW_TRY(gather(request, data, request->evaluation, &s->scored, &s->label));
  thaw_status status = thaw_catalog_ids(data->catalog, 0, s->scored.count, &ids);
  if (status == THAW_OK) status = find_groups(s, data->catalog, &ids);
  if (s->scored.kind == THAW_LABEL_TARGET) {
    if (status == THAW_OK) status = cli_scores_regression(s, request->seed);
  } else {
    if (status == THAW_OK) status = learn(s, request);
    if (status == THAW_OK) status = calibrate(s);
    if (status == THAW_OK) status = estimate(s, request->seed);
  }
  if (status == THAW_OK && request->subgroups)
    status = cli_scores_subgroups(s, request->subgroups, &ids, request->seed);
  thaw_strings_clear(&ids);
  return status;
}

thaw_status cli_scores_make(const cli_scores_request *request, cli_scores *out) {
  const thaw_dataset_info *info = request->data->info;
  *out = (cli_scores){.point = request->point,
                      .replicates = request->replicates,
                      .chosen_on = request->validation && request->point.rule != THAW_OPERATE_FIXED ? "validation" : "",
                      .questions = request->outputs,
                      .temperature = NAN};
  if (info->label_kind == THAW_LABEL_NONE) return THAW_OK;
  if (info->label_kind == THAW_LABEL_TARGET) out->questions = 0;
  if (info->count * request->outputs > most_answers)
    return cli_scores_note(out, "%lld samples with %d classes are too many for ranking figures", (long long)info->count,
                           request->outputs);
  thaw_status status = info->count ? make(request, out) : THAW_OK;
  if (status != THAW_OK) cli_scores_clear(out);
  return status;
}

void cli_scores_clear(cli_scores *s) {
  for (size_t i = 0; i < s->subgroups; i++) {
    thaw_free(s->subgroup[i].column);
    thaw_free(s->subgroup[i].value);
    thaw_free(s->subgroup[i].positives);
    thaw_free(s->subgroup[i].negatives);
    thaw_free(s->subgroup[i].estimate);
  }
  thaw_free(s->subgroup);
  cli_scores_costs_clear(&s->costs);
  thaw_scorer_destroy(s->scorer);
  thaw_free(s->estimate);
  thaw_free(s->regression);
  thaw_free(s->threshold);
  thaw_free(s->group);
  thaw_free(s->label);
  thaw_strings_clear(&s->note);
  *s = (cli_scores){0};
}
