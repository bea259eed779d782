/* thaw evaluate: loss, metrics, per-class table and confusion of a trained run, every sample exactly once. */
#include "cli/predictions.h"
#include "cli/run.h"
#include "thaw/memory.h"
#include "thaw/report.h"

#include <string.h>

typedef struct evaluate_options {
  const char *data, *checkpoint, *output, *isa;
} evaluate_options;

static thaw_status parse(cli_context *cli, evaluate_options *o) {
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
       .help = "where evaluation.json, predictions.h5 and confusion.png go"},
      cli_isa_option(&o->isa),
  };
  const cli_usage usage = {
      .positional = "RUN",
      .min = 1,
      .max = 1,
      .options = options,
      .count = 4,
      .summary = "Evaluates a trained run: loss, metrics, precision, recall and F1 per class, confusion matrix.",
      .details = "Each sample counts exactly once on any number of ranks.\n\n"
                 "  mpirun -n 4 thaw evaluate runs/chest-vgg16 --data shards/test\n"};
  return cli_parse(cli, &usage);
}

static void add_json_metrics(const thaw_session *s, const thaw_evaluation *e, thaw_text *json) {
  thaw_text_add(json, "  \"loss\": %.17g,\n  \"metrics\": {", e->loss);
  for (int32_t m = 0; m < e->metrics; m++) {
    thaw_text_add(json, "%s", m ? ", " : "");
    thaw_text_add_json(json, s->metric[m].name);
    thaw_text_add(json, ": %.17g", e->metric[m]);
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

static thaw_status write_json(const cli_run *run, const thaw_session_data *data, const thaw_evaluation *e,
                              const char *path) {
  thaw_text json = {0};
  thaw_text_add(&json, "{\n  \"data\": ");
  thaw_text_add_json(&json, thaw_catalog_path(data->catalog));
  thaw_text_add(&json, ",\n  \"checkpoint\": ");
  thaw_text_add_json(&json, run->checkpoint);
  thaw_text_add(&json, ",\n  \"data_digest\": \"%s\",\n  \"count\": %lld,\n", data->info->digest, (long long)e->count);
  add_json_metrics(run->session, e, &json);
  add_json_confusion(e, &data->info->classes, &json);
  thaw_text_add(&json, "\n}\n");
  thaw_status status = json.failed ? THAW_ERR_MEMORY : thaw_file_write(path, json.data, json.length);
  thaw_text_clear(&json);
  return status;
}

static thaw_status write_predictions(const thaw_session_data *data, const thaw_evaluation *e, int32_t outputs,
                                     const char *path) {
  thaw_strings ids = {0};
  thaw_status status = thaw_catalog_ids(data->catalog, 0, e->count, &ids);
  const cli_predictions rows = {.count = e->count,
                                .outputs = outputs,
                                .y = e->prediction,
                                .ids = &ids,
                                .classes = &data->info->classes,
                                .classifies = data->info->label_kind == THAW_LABEL_CLASS};
  if (status == THAW_OK) status = cli_predictions_write(path, &rows);
  thaw_strings_clear(&ids);
  return status;
}

/* [local] rank 0 */
static thaw_status write_files(const cli_run *run, const thaw_session_data *data, const thaw_evaluation *e,
                               const char *folder) {
  THAW_TRY(thaw_folder_create(folder));
  char *json = thaw_path_join(folder, "evaluation.json"), *rows = thaw_path_join(folder, "predictions.h5");
  char *plot = thaw_path_join(folder, "confusion.png");
  thaw_status status = json && rows && plot ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = write_json(run, data, e, json);
  if (status == THAW_OK) status = write_predictions(data, e, run->session->outputs, rows);
  if (status == THAW_OK && e->confusion)
    status = thaw_plot_confusion(plot, "confusion", e->confusion, e->classes, &data->info->classes);
  thaw_free(json);
  thaw_free(rows);
  thaw_free(plot);
  return status;
}

static void print_result(cli_context *cli, const thaw_session *s, const thaw_session_data *data,
                         const thaw_evaluation *e) {
  thaw_text text = {0};
  thaw_text_add(&text, "samples %lld\nloss %.6f\n", (long long)e->count, e->loss);
  for (int32_t m = 0; m < e->metrics; m++) thaw_text_add(&text, "%s %.6f\n", s->metric[m].name, e->metric[m]);
  thaw_evaluation_table(e, &data->info->classes, &text);
  cli_print_text(cli, &text);
  thaw_text_clear(&text);
}

static thaw_status evaluate(cli_context *cli, const cli_run *run, const evaluate_options *o) {
  thaw_session *s = run->session;
  thaw_session_data *data = s->test.catalog ? &s->test : &s->validation;
  if (!data->catalog)
    return thaw_fail(THAW_ERR_USAGE, "%s: the job names neither test nor validation data; give --data CATALOG",
                     run->folder);
  thaw_evaluation e;
  THAW_TRY(thaw_session_evaluate(s, cli->comm, data, "evaluate", true, cli->log, &e));
  print_result(cli, s, data, &e);
  const char *folder = o->output ? o->output : run->folder;
  thaw_status status = cli_share_status(cli, cli_is_root(cli) ? write_files(run, data, &e, folder) : THAW_OK);
  if (status == THAW_OK)
    thaw_info(cli->log, "wrote %s/evaluation.json, predictions.h5%s", folder, e.confusion ? ", confusion.png" : "");
  thaw_evaluation_clear(&e);
  return status;
}

thaw_status cli_evaluate(cli_context *cli) {
  evaluate_options o = {0};
  THAW_TRY(parse(cli, &o));
  if (cli->done) return THAW_OK;
  const thaw_session_options options = {
      .validation = !o.data, .test = true, .catalog = o.data, .labels_needed = true, .isa = o.isa};
  cli_run run;
  THAW_TRY(cli_run_open(cli, cli->argument[0], o.checkpoint, &options, &run));
  thaw_status status = evaluate(cli, &run, &o);
  cli_run_close(&run);
  return status;
}
