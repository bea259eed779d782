/* thaw report: the plots and the HTML page of run folders. */
#include "cli/cli.h"
#include "cli/report_data.h"
#include "thaw/file.h"
#include "thaw/memory.h"
#include "thaw/report.h"

static const char details[] =
    "Writes learning_curve.png, confusion.png (after an evaluation), data/ and report.html into the run folder, from "
    "the\n"
    "files that are there. The page holds its pictures and needs no network: data with samples, model, curves, ROC,\n"
    "precision and recall, calibration, confusion, subgroups or residuals (thaw evaluate), heat maps (thaw explain), "
    "and\n"
    "what is needed to repeat the run. Sample pictures are those of your data: --no-samples leaves them out.\n\n"
    "  thaw evaluate runs/chest-vgg16 && thaw explain runs/chest-vgg16 shards/test --top-losses\n"
    "  thaw report runs/chest-vgg16\n";

/* [collective] The data sheet is made anew where the job and its data can still be read. */
static thaw_status draw_data(cli_context *cli, const char *run, bool samples, bool *heads) {
  char *path = thaw_path_join(run, "job.yaml");
  bool there = path && thaw_file_exists(path);
  thaw_job *job = NULL;
  THAW_TRY(thaw_agree(cli->comm, path ? THAW_OK : THAW_ERR_MEMORY));
  THAW_TRY(thaw_comm_broadcast(cli->comm, 0, &there, sizeof there));
  thaw_status status = there ? cli_read_job(cli, path, &job) : THAW_OK;
  if (status != THAW_OK)
    thaw_warn(cli->log, "%s; the report goes without the data sheet", thaw_message());
  else if (job)
    status = cli_share_status(cli, cli_is_root(cli) ? cli_report_data(run, job, samples) : THAW_OK);
  bool failed = status != THAW_OK && job;
  *heads = job && job->heads_count;
  thaw_job_destroy(job);
  thaw_free(path);
  return failed ? status : THAW_OK;
}

/* Heat maps need the network and data, so they are made apart; those of several heads cannot be had. */
static void tell(cli_context *cli, const char *run, bool heads) {
  char *sheet = thaw_path_join(run, "explain/sheet.png");
  const bool maps = sheet && thaw_file_exists(sheet);
  thaw_free(sheet);
  thaw_info(cli->log, "wrote %s/report.html", run);
  if (!maps && !heads)
    thaw_info(cli->log, "no heat maps in it: `thaw explain %s DATA --top-losses`, and report again", run);
}

thaw_status cli_report(cli_context *cli) {
  bool samples = true;
  const cli_option options[] = {
      {.name = "samples", .kind = CLI_FLAG, .target = &samples, .help = "show some pictures of each class"},
  };
  const cli_usage usage = {.positional = "RUN...",
                           .min = 1,
                           .max = -1,
                           .options = options,
                           .count = sizeof options / sizeof *options,
                           .summary = "Draws the learning curves of a run and writes one self-contained page about it.",
                           .details = details};
  THAW_TRY(cli_parse(cli, &usage));
  if (cli->done) return THAW_OK;
  for (int32_t i = 0; i < cli->arguments; i++) {
    const char *run = cli->argument[i];
    bool heads = false;
    THAW_TRY(draw_data(cli, run, samples, &heads));
    THAW_TRY(cli_share_status(cli, cli_is_root(cli) ? thaw_report_html(run) : THAW_OK));
    tell(cli, run, heads);
  }
  return THAW_OK;
}
