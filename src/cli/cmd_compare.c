/* thaw compare: two evaluated runs on the same samples. */
#include "cli/cli.h"
#include "cli/compare.h"
#include "thaw/memory.h"
#include "thaw/report.h"

typedef struct compare_options {
  const char *output, *page;
  int32_t bootstrap;
  int64_t seed;
} compare_options;

static thaw_status write_files(const cli_context *cli, const compare_options *o, const comparison *c) {
  thaw_text json = {0};
  comparison_json(c, &json);
  thaw_status status = json.failed ? THAW_ERR_MEMORY : THAW_OK;
  if (status == THAW_OK && o->output) status = thaw_file_write(o->output, json.data, json.length);
  if (status == THAW_OK && o->page)
    status = thaw_report_comparison(o->page, json.data, json.length, cli->argument[0], cli->argument[1]);
  thaw_text_clear(&json);
  return status;
}

/* [local] rank 0 */
static thaw_status run(cli_context *cli, const compare_options *o) {
  evaluated a = {0}, b = {0};
  comparison c = {0};
  thaw_text text = {0};
  thaw_status status = evaluated_read(cli->argument[0], &a);
  if (status == THAW_OK) status = evaluated_read(cli->argument[1], &b);
  if (status == THAW_OK) status = evaluated_check(&a, &b);
  if (status == THAW_OK) status = comparison_make(&a, &b, o->bootstrap, (uint64_t)o->seed, &c);
  if (status == THAW_OK) status = write_files(cli, o, &c);
  if (status == THAW_OK) {
    comparison_print(&c, &text);
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
      {.name = "page",
       .kind = CLI_TEXT,
       .target = &o.page,
       .value = "FILE",
       .fallback = "none",
       .help = "the figures, curves and what differs between the jobs as a self-contained HTML page"},
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
      .details =
          "Classes and labels: DeLong's test for the AUROC of each class, McNemar's exact test for right and\n"
          "wrong answers. Regression: MAE, RMSE and R2 of each target, Wilcoxon's signed-rank test for absolute\n"
          "errors. Paired bootstrap intervals of every difference. RUN is a run folder with the predictions.h5\n"
          "of `thaw evaluate`, or such a file.\n\n"
          "  thaw compare runs/vgg16 runs/densenet121 -o compare.json --page compare.html\n"};
  THAW_TRY(cli_parse(cli, &usage));
  if (cli->done) return THAW_OK;
  return cli_share_status(cli, cli_is_root(cli) ? run(cli, &o) : THAW_OK);
}
