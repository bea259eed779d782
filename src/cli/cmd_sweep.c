/* thaw sweep: many trainings from one job. */
#include "cli/cross_validation.h"
#include "cli/quarantine.h"
#include "cli/run.h"
#include "thaw/layer.h"
#include "thaw/memory.h"
#include "thaw/report.h"
#include "thaw/sweep.h"

#include <math.h>

static const char details[] =
    "A sweep file is a job file with a section `sweep` that says what to try:\n\n"
    "  sweep:\n"
    "    search: random                       # or grid, or halving\n"
    "    trials: 30\n"
    "    learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}\n"
    "    units: [64, 128, 256]\n"
    "    dropout: [0, 0.25, 0.5]\n"
    "    optimizer: [adam, sgd]\n\n"
    "Every candidate is trained into a run folder of its own, OUTPUT/001, 002, ..., with the bits that `thaw train`\n"
    "gives the same job. Features are computed once and shared; ranks train different candidates at the same time\n"
    "(--group for several ranks on one). The folder gets sweep.csv, sweep.png and the link `best`, which is a run as\n"
    "any other: thaw evaluate OUTPUT/best. A stopped or killed sweep goes on with --resume. A candidate that diverges\n"
    "ranks last. --keys lists what can be tried.\n\n"
    "--folds K (or folds: K) makes it a cross-validation: the training data are divided into K parts, whole groups\n"
    "(patients) in each and the same share of every class, and each candidate is trained K times and ranked by its\n"
    "mean. The best one's out-of-fold predictions and their figures go to OUTPUT/cross_validation. A job without\n"
    "`sweep` is then its own only candidate.\n\n"
    "  mpirun -n 8 thaw sweep sweep.yaml\n"
    "  thaw sweep sweep.yaml --resume\n"
    "  mpirun -n 5 thaw sweep job.yaml --folds 5\n";

typedef struct sweep_options {
  thaw_sweep_options run;
  thaw_sweep_request request;
  int32_t table, bootstrap;
  bool keys;
} sweep_options;

static thaw_status parse(cli_context *cli, sweep_options *o) {
  const cli_option table[] = {
      {.name = "resume", .kind = CLI_FLAG, .target = &o->run.resume, .help = "go on where an earlier call has stopped"},
      {.name = "overwrite",
       .kind = CLI_FLAG,
       .target = &o->run.overwrite,
       .help = "start anew in a folder that holds an earlier sweep, which is lost"},
      {.name = "output",
       .letter = 'o',
       .kind = CLI_TEXT,
       .target = &o->request.output,
       .value = "FOLDER",
       .fallback = "as the job says",
       .help = "the sweep's folder"},
      {.name = "group",
       .kind = CLI_INT,
       .target = &o->run.group,
       .low = 1,
       .high = 1 << 20,
       .value = "RANKS",
       .help = "ranks that train one candidate together"},
      {.name = "trials",
       .kind = CLI_INT,
       .target = &o->request.trials,
       .high = 10000,
       .fallback = "as the file says",
       .help = "candidates of a random search or of halving"},
      {.name = "folds",
       .kind = CLI_INT,
       .target = &o->request.folds,
       .low = 2,
       .high = THAW_MAX_FOLDS,
       .value = "K",
       .fallback = "as the file says",
       .help = "cross-validation: each candidate is trained K times, without one part of the training data"},
      {.name = "bootstrap",
       .kind = CLI_INT,
       .target = &o->bootstrap,
       .high = 100000,
       .help = "replicates for the 95 % intervals of a cross-validation; 0: none"},
      {.name = "table", .kind = CLI_INT, .target = &o->table, .high = 10000, .help = "rows that are shown, 0: all"},
      {.name = "keys", .kind = CLI_FLAG, .target = &o->keys, .help = "list the keys of the section `sweep`, and end"},
      cli_isa_option(&o->run.isa),
  };
  const cli_usage usage = {.positional = "SWEEP",
                           .summary = "Trains a job many times, with other heads and hyperparameters, and ranks them.",
                           .details = details,
                           .min = 0,
                           .max = 1,
                           .options = table,
                           .count = sizeof table / sizeof *table};
  return cli_parse(cli, &usage);
}

/* [collective] */
static thaw_status read_plan(cli_context *cli, const sweep_options *o, const thaw_job_schemas *schemas,
                             thaw_sweep **out) {
  enum { LIMIT = 1 << 20 };
  char *text;
  size_t size;
  thaw_status status = cli_read_shared(cli, cli->argument[0], LIMIT, &text, &size);
  if (status == THAW_ERR_DATA) return thaw_fail(THAW_ERR_USAGE, "%s", thaw_message());
  THAW_TRY(status);
  status = thaw_sweep_plan(cli->argument[0], text, size, schemas, &o->request, out);
  thaw_free(text);
  return status;
}

/* [local] rank 0. A report that cannot be drawn does not make the sweep a failure. */
static thaw_status finish(cli_context *cli, const thaw_sweep *sweep, int32_t rows) {
  thaw_text table = {0};
  const thaw_sweep_candidate *best = &sweep->candidate[sweep->order[0]];
  thaw_sweep_table(sweep, rows, &table);
  cli_print_text(cli, &table);
  thaw_text_clear(&table);
  THAW_TRY(thaw_sweep_write(sweep));
  if (isnan(best->score)) return thaw_fail(THAW_ERR_RUN, "%s: every candidate diverged", sweep->path);
  for (int32_t r = 0; r < (sweep->folds ? sweep->folds : 1); r++)
    if (thaw_report_html(best->run[r].job->output) != THAW_OK) thaw_warn(cli->log, "%s", thaw_message());
  cli_print(cli, "best %s/%03d\n", sweep->output, sweep->order[0] + 1);
  thaw_info(cli->log, "wrote sweep.csv, sweep.png and the link best to %s", sweep->output);
  return THAW_OK;
}

static thaw_status sweep_file(cli_context *cli, const sweep_options *o) {
  const thaw_job_schemas schemas = {thaw_layer_head_schemas(), thaw_loss_schemas(), thaw_optim_schemas(),
                                    thaw_schedule_schemas()};
  thaw_sweep *sweep;
  THAW_TRY(read_plan(cli, o, &schemas, &sweep));
  const thaw_job *job = sweep->candidate[0].run[0].job;
  thaw_status status = cli_quarantine_job(cli, job);
  if (status == THAW_OK) status = cli_watchdog(cli, job->training.watchdog_seconds);
  if (status == THAW_OK) status = thaw_sweep_train(cli->comm, sweep, &o->run, cli->log);
  if (status == THAW_OK) status = cli_share_status(cli, cli_is_root(cli) ? finish(cli, sweep, o->table) : THAW_OK);
  if (status == THAW_OK && sweep->folds) status = cli_cross_validate(cli, sweep, o->run.isa, o->bootstrap);
  thaw_sweep_destroy(sweep);
  return status;
}

thaw_status cli_sweep(cli_context *cli) {
  sweep_options o = {.run = {.group = 1}, .table = 20, .bootstrap = 1000};
  THAW_TRY(parse(cli, &o));
  if (cli->done) return THAW_OK;
  if (o.keys) {
    thaw_text text = {0};
    thaw_sweep_help(&text);
    cli_print_text(cli, &text);
    thaw_text_clear(&text);
    return THAW_OK;
  }
  if (cli->arguments < 1) return thaw_fail(THAW_ERR_USAGE, "thaw sweep: which sweep file? (thaw sweep --help)");
  return sweep_file(cli, &o);
}
