/* thaw report: the plots and the HTML page of run folders. */
#include "cli/cli.h"
#include "thaw/report.h"

thaw_status cli_report(cli_context *cli) {
  const cli_usage usage = {
      .positional = "RUN...",
      .min = 1,
      .max = -1,
      .summary = "Draws the learning curves of a run and writes one self-contained page about it.",
      .details = "Writes learning_curve.png, confusion.png (after an evaluation) and report.html into the run folder,\n"
                 "from the files that are there. The page holds its pictures and needs no network.\n\n"
                 "  thaw report runs/chest-vgg16\n"};
  THAW_TRY(cli_parse(cli, &usage));
  if (cli->done) return THAW_OK;
  for (int32_t i = 0; i < cli->arguments; i++) {
    const char *run = cli->argument[i];
    THAW_TRY(cli_share_status(cli, cli_is_root(cli) ? thaw_report_html(run) : THAW_OK));
    thaw_info(cli->log, "wrote %s/report.html", run);
  }
  return THAW_OK;
}
