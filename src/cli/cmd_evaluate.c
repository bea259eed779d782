/* thaw evaluate: loss, metrics, per-class table and confusion of a trained run, every sample exactly once. */
#include "cli/evaluate.h"
#include "cli/leaks.h"
#include "cli/predictions.h"
#include "cli/run.h"
#include "cli/scores.h"
#include "thaw/memory.h"
#include "thaw/report.h"

#include <math.h>
#include <string.h>

static thaw_status parse(cli_context *cli, cli_evaluate_options *o) {
  const cli_option options[] = {
      {.name = "data",
       .kind = CLI_TEXT,
       .target = &o->data,
       .value = "CATALOG",
       .fallback = "the job's test data, else its validation data",
       .help = "catalog.yaml, shard or folder to evaluate"},
      cli_checkpoint_option(&o->checkpoint),
      {.name = "output",
       .letter = 'o',
       .kind = CLI_TEXT,
       .target = &o->output,
       .value = "FOLDER",
       .fallback = "the run folder",
       .help = "where evaluation.json, predictions.h5 and the plots go"},
      {.name = "operating-point",
       .kind = CLI_TEXT,
       .target = &o->rule,
       .value = "RULE",
       .fallback = "youden, or 0.5 without validation data",
       .help = "youden, f1, sensitivity=0.95, specificity=0.9: chosen on the validation data; or a threshold"},
      {.name = "bootstrap",
       .kind = CLI_INT,
       .target = &o->bootstrap,
       .high = 100000,
       .help = "replicates for the 95 % intervals, by group (patient) where the data has groups; 0: none"},
      {.name = "subgroups",
       .kind = CLI_TEXT,
       .target = &o->subgroups,
       .value = "FILE",
       .fallback = "subgroups.csv beside the data's catalog.yaml, if there",
       .help = "CSV with the column id and one column for each attribute (site, sex, scanner)"},
      {.name = "costs",
       .kind = CLI_TEXT,
       .target = &o->costs,
       .value = "FILE",
       .help = "CSV with the header true,CLASS,... and a row per true class: what it costs to call it so"},
      cli_isa_option(&o->isa),
  };
  const cli_usage usage = {
      .positional = "RUN",
      .min = 1,
      .max = 1,
      .options = options,
      .count = sizeof options / sizeof *options,
      .summary = "Evaluates a trained run: metrics, confusion, ROC, calibration, subgroups, with 95 % intervals.",
      .details =
          "Each sample counts exactly once on any number of ranks; unknown labels (255) do not count. Thresholds\n"
          "and the temperature come from the job's validation data, never from what is evaluated; with --data\n"
          "and a plain threshold the validation data is not opened. What is not defined, such as the AUROC of\n"
          "a class without a positive, is named and left out of means. With --costs the mean cost of several ways\n"
          "to decide is told: the largest output, the least expected cost, and for two classes the threshold that\n"
          "costs least on the validation data.\n\n"
          "  mpirun -n 4 thaw evaluate runs/chest-vgg16 --data shards/test\n"
          "  thaw evaluate runs/chest-vgg16 --operating-point sensitivity=0.95 --subgroups patients.csv\n"};
  o->bootstrap = 1000;
  THAW_TRY(cli_parse(cli, &usage));
  return o->rule ? thaw_operating_parse(o->rule, &o->point) : THAW_OK;
}

static void add_json_number(thaw_text *json, double value) {
  if (isfinite(value))
    thaw_text_add(json, "%.17g", value);
  else
    thaw_text_add(json, "null");
}

static void add_json_metrics(const thaw_session *s, const thaw_evaluation *e, thaw_text *json) {
  thaw_text_add(json, "  \"loss\": ");
  add_json_number(json, e->loss);
  thaw_text_add(json, ",\n  \"metrics\": {");
  for (int32_t m = 0; m < e->metrics; m++) {
    thaw_text_add(json, "%s", m ? ", " : "");
    thaw_text_add_json(json, s->metric[m].name);
    thaw_text_add(json, ": ");
    add_json_number(json, e->metric[m]);
  }
  thaw_text_add(json, "}");
}

static void add_json_confusion(const thaw_evaluation *e, const thaw_strings *classes, thaw_text *json) {
  if (!e->confusion) return;
  int64_t hits = 0;
  double low, high;
  for (int32_t c = 0; c < e->classes; c++) hits += e->confusion[(size_t)c * (size_t)(e->classes + 1)];
  thaw_wilson_interval(hits, e->count, &low, &high);
  thaw_text_add(json, ",\n  \"accuracy\": %.17g,\n  \"accuracy_interval_95\": [%.17g, %.17g],\n  \"classes\": [",
                e->count ? (double)hits / (double)e->count : 0, low, high);
  for (size_t i = 0; i < classes->count; i++) {
    thaw_text_add(json, "%s", i ? ", " : "");
    thaw_text_add_json(json, classes->item[i]);
  }
  thaw_text_add(json, "],\n  \"confusion\": [");
  for (int32_t t = 0; t < e->classes; t++)
    for (int32_t p = 0; p < e->classes; p++)
      thaw_text_add(json, "%s%lld%s",
                    p   ? ", "
                    : t ? ",\n    ["
                        : "\n    [",
                    (long long)e->confusion[(size_t)t * (size_t)e->classes + (size_t)p],
                    p + 1 == e->classes ? "]" : "");
  thaw_text_add(json, "\n  ]");
}

void cli_evaluation_begin(const cli_run *run, const thaw_session_data *data, const thaw_evaluation *e,
                          thaw_text *json) {
  thaw_text_add(json, "{\n  \"data\": ");
  thaw_text_add_json(json, thaw_catalog_path(data->catalog));
  thaw_text_add(json, ",\n  \"checkpoint\": ");
  thaw_text_add_json(json, run->checkpoint);
  thaw_text_add(json, ",\n  \"data_digest\": \"%s\",\n  \"count\": %lld,\n", data->info->digest, (long long)e->count);
  add_json_metrics(run->session, e, json);
}

static thaw_status write_json(const cli_run *run, const thaw_session_data *data, const thaw_evaluation *e,
                              const cli_scores *scores, const char *path) {
  thaw_text json = {0};
  cli_evaluation_begin(run, data, e, &json);
  add_json_confusion(e, &run->session->classes, &json);
  cli_scores_json(scores, &json);
  thaw_text_add(&json, "\n}\n");
  thaw_status status = json.failed ? THAW_ERR_MEMORY : thaw_file_write(path, json.data, json.length);
  thaw_text_clear(&json);
  return status;
}

static thaw_status write_predictions(const thaw_session *s, const thaw_session_data *data, const thaw_evaluation *e,
                                     const char *path) {
  thaw_strings ids = {0}, groups = {0};
  thaw_status status = thaw_catalog_ids(data->catalog, 0, e->count, &ids);
  if (status == THAW_OK) status = thaw_catalog_groups(data->catalog, 0, e->count, &groups);
  const cli_predictions rows = {.count = e->count,
                                .outputs = s->outputs,
                                .y = e->prediction,
                                .ids = &ids,
                                .classes = &s->classes,
                                .classifies = data->info->label_kind == THAW_LABEL_CLASS,
                                .labels = data->labels,
                                .label_kind = data->info->label_kind,
                                .groups = &groups};
  if (status == THAW_OK) status = cli_predictions_write(path, &rows);
  thaw_strings_clear(&ids);
  thaw_strings_clear(&groups);
  return status;
}

thaw_status cli_evaluation_write(const cli_run *run, const thaw_session_data *data, const thaw_evaluation *e,
                                 const cli_scores *scores, const char *folder) {
  THAW_TRY(thaw_folder_create(folder));
  char *json = thaw_path_join(folder, "evaluation.json"), *rows = thaw_path_join(folder, "predictions.h5");
  char *plot = thaw_path_join(folder, "confusion.png");
  thaw_status status = json && rows && plot ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = write_json(run, data, e, scores, json);
  if (status == THAW_OK) status = write_predictions(run->session, data, e, rows);
  if (status == THAW_OK && e->confusion)
    status = thaw_plot_confusion(plot, "confusion", e->confusion, e->classes, &run->session->classes);
  if (status == THAW_OK) status = cli_scores_plots(scores, folder);
  thaw_free(json);
  thaw_free(rows);
  thaw_free(plot);
  return status;
}

void cli_evaluation_print(cli_context *cli, const thaw_session *s, const thaw_evaluation *e, const cli_scores *scores) {
  thaw_text text = {0};
  thaw_text_add(&text, "samples %lld\nloss %.6f\n", (long long)e->count, e->loss);
  for (int32_t m = 0; m < e->metrics; m++) thaw_text_add(&text, "%s %.6f\n", s->metric[m].name, e->metric[m]);
  thaw_evaluation_table(e, &s->classes, &text);
  cli_scores_table(scores, &text);
  cli_print_text(cli, &text);
  thaw_text_clear(&text);
}

thaw_status cli_evaluation_finish(cli_context *cli, const cli_run *run, const cli_evaluate_options *o,
                                  const thaw_session_data *data, const thaw_evaluation *e,
                                  const thaw_session_data *validation, const thaw_evaluation *apart,
                                  const char *folder) {
  char *place = thaw_path_folder(thaw_catalog_path(data->catalog)), *beside = thaw_path_join(place, "subgroups.csv");
  cli_scores_request request = {.data = data,
                                .validation = validation,
                                .evaluation = e,
                                .validation_evaluation = apart,
                                .outputs = run->session->outputs,
                                .classes = &run->session->classes,
                                .point = o->point,
                                .replicates = o->bootstrap,
                                .seed = (uint64_t)run->job->seed,
                                .subgroups = o->subgroups,
                                .costs = o->costs};
  if (!request.validation && !o->rule) request.point = (thaw_operating_point){THAW_OPERATE_FIXED, 0.5};
  if (!o->subgroups && beside && thaw_file_exists(beside)) request.subgroups = beside;
  cli_scores scores = {0};
  thaw_status status = place && beside ? cli_scores_make(&request, &scores) : THAW_ERR_MEMORY;
  if (status == THAW_OK) cli_evaluation_print(cli, run->session, e, &scores);
  if (status == THAW_OK) status = cli_evaluation_write(run, data, e, &scores, folder);
  cli_scores_clear(&scores);
  thaw_free(place);
  thaw_free(beside);
  return status;
}

/* [local] rank 0. `apart`: of validation data that is not what is evaluated; count 0: none. */
static thaw_status finish(cli_context *cli, const cli_run *run, const cli_evaluate_options *o,
                          const thaw_session_data *data, const thaw_evaluation *e, const thaw_evaluation *apart) {
  const char *folder = o->output ? o->output : run->folder;
  if (run->session->heads) return cli_evaluate_heads(cli, run, o, data, e, apart, folder);
  const thaw_session_data *validation = apart->prediction ? &run->session->validation : NULL;
  return cli_evaluation_finish(cli, run, o, data, e, validation, apart, folder);
}

/* Validation data that is evaluated itself cannot choose thresholds. */
static bool has_validation(const thaw_session *s, const thaw_session_data *data) {
  return s->validation.catalog && data != &s->validation && s->validation.labels &&
         strcmp(s->validation.info->digest, data->info->digest) != 0 &&
         s->validation.info->label_kind == data->info->label_kind;
}

static thaw_status evaluate(cli_context *cli, const cli_run *run, const cli_evaluate_options *o) {
  if (run->session->loss->evaluate_batch)
    return thaw_fail(THAW_ERR_USAGE,
                     "%s was trained with %s and names no classes: judge its embeddings with thaw embed "
                     "and thaw match",
                     run->folder, run->session->loss->schema->name);
  if (run->session->heads && o->costs)
    return thaw_fail(THAW_ERR_USAGE, "--costs goes with a single head, %s has %d", run->folder, run->session->heads);
  thaw_session *s = run->session;
  thaw_session_data *data = s->test.catalog ? &s->test : &s->validation;
  if (!data->catalog)
    return thaw_fail(THAW_ERR_USAGE, "%s: the job names neither test nor validation data; give --data CATALOG",
                     run->folder);
  bool apart = has_validation(s, data);
  if (!apart && o->rule && o->point.rule != THAW_OPERATE_FIXED)
    return thaw_fail(THAW_ERR_USAGE, "--operating-point %s needs validation data other than what is evaluated",
                     o->rule);
  thaw_evaluation e = {0}, validation = {0};
  bool fold = run->job->data.folds && data == &s->validation; /* of the training data, and disjoint by group */
  if (!fold) THAW_TRY(cli_leaks_evaluate(cli, run->job, data->catalog));
  THAW_TRY(thaw_session_evaluate(s, cli->comm, data, "evaluate", true, cli->log, &e));
  thaw_status status = THAW_OK;
  if (apart) status = thaw_session_evaluate(s, cli->comm, &s->validation, "validation", true, cli->log, &validation);
  if (status == THAW_OK)
    status = cli_share_status(cli, cli_is_root(cli) ? finish(cli, run, o, data, &e, &validation) : THAW_OK);
  if (status == THAW_OK)
    thaw_info(cli->log, "wrote evaluation.json, predictions.h5 and plots to %s", o->output ? o->output : run->folder);
  thaw_evaluation_clear(&e);
  thaw_evaluation_clear(&validation);
  return status;
}

thaw_status cli_evaluate(cli_context *cli) {
  cli_evaluate_options o = {0};
  THAW_TRY(parse(cli, &o));
  if (cli->done) return THAW_OK;
  const char *file[2] = {o.subgroups, o.costs};
  for (int i = 0; i < 2; i++) {
    bool missing = cli_is_root(cli) && file[i] && !thaw_file_exists(file[i]);
    THAW_TRY(cli_share_status(cli, missing ? thaw_fail(THAW_ERR_DATA, "%s: no such file", file[i]) : THAW_OK));
  }
  bool alone = o.data && o.rule && o.point.rule == THAW_OPERATE_FIXED;
  const thaw_session_options options = {
      .validation = !alone, .test = true, .catalog = o.data, .labels_needed = true, .isa = o.isa};
  cli_run run;
  THAW_TRY(cli_run_open(cli, cli->argument[0], o.checkpoint, &options, &run));
  thaw_status status = evaluate(cli, &run, &o);
  cli_run_close(&run);
  return status;
}
