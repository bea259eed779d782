/* thaw lr-find JOB */
#include "cli/quarantine.h"
#include "cli/run.h"
#include "thaw/memory.h"
#include "thaw/report.h"
#include "thaw/train.h"

#include <math.h>

static const char details[] =
    "Trains with a learning rate that rises from --low to --high and shows how the loss answers: it falls fastest at\n"
    "a good rate, is lowest at a rate that is too high already, and rises when training diverges. The parameters are\n"
    "thrown away and the job's run folder is not touched. The optimizer is that of the phase; its schedule is not "
    "used.\n"
    "For a phase after the first, give the run's checkpoint to start from.\n\n"
    "  mpirun -n 4 thaw lr-find job.yaml\n"
    "  thaw lr-find job.yaml --phase 2 --from runs/job/best.h5 --low 1e-7 --high 0.01\n";

static thaw_status draw(const char *path, const thaw_lr_find_result *result) {
  double *x = thaw_new((size_t)result->count, sizeof *x);
  if (!x) return THAW_ERR_MEMORY;
  for (int32_t i = 0; i < result->count; i++) x[i] = log10(result->rate[i]);
  char label[32];
  snprintf(label, sizeof label, "%.2g", result->suggestion);
  const thaw_series series[] = {{.label = "loss of the batch", .x = x, .y = result->loss, .count = result->count},
                                {.label = "smoothed", .x = x, .y = result->smooth, .count = result->count}};
  const thaw_marker marker = {.x = result->suggestion > 0 ? log10(result->suggestion) : 0, .label = label};
  const thaw_plot plot = {.title = "learning-rate range test",
                          .x_label = "log10 of the learning rate",
                          .y_label = "loss",
                          .series = series,
                          .count = 2,
                          .markers = &marker,
                          .marker_count = result->suggestion > 0};
  thaw_status status = thaw_plot_lines(path, &plot);
  thaw_free(x);
  return status;
}

static void show(const cli_context *cli, const thaw_lr_find_result *result) {
  int32_t every = result->count > 20 ? result->count / 20 : 1;
  cli_print(cli, "learning rate      loss  smoothed\n");
  for (int32_t i = 0; i < result->count; i += every)
    cli_print(cli, "%13.3g %9.4f %9.4f\n", result->rate[i], result->loss[i], result->smooth[i]);
  if (result->count) cli_print(cli, "lowest smoothed loss at %.3g\n", result->rate[result->lowest]);
  if (result->diverged) cli_print(cli, "diverged after %.3g\n", result->count ? result->rate[result->count - 1] : 0.0);
  if (result->suggestion > 0)
    cli_print(cli, "suggestion: learning_rate: %.2g (the loss falls fastest there)\n", result->suggestion);
  else
    cli_print(cli, "no suggestion: the loss never falls; look at the plot, or try another range\n");
}

thaw_status cli_lr_find(cli_context *cli) {
  thaw_lr_find_options options = {.low = 1e-7, .high = 10, .steps = 100};
  const char *output = "lr-find.png";
  int32_t phase = 1;
  const cli_option table[] = {
      {.name = "low", .kind = CLI_FLOAT, .target = &options.low, .low = 1e-30, .high = 1e3, .help = "first rate"},
      {.name = "high", .kind = CLI_FLOAT, .target = &options.high, .low = 1e-30, .high = 1e6, .help = "last rate"},
      {.name = "steps", .kind = CLI_INT, .target = &options.steps, .low = 20, .high = 1e6, .help = "steps between"},
      {.name = "phase", .kind = CLI_INT, .target = &phase, .low = 1, .high = 100, .help = "of the job"},
      {.name = "from",
       .kind = CLI_TEXT,
       .target = &options.checkpoint,
       .value = "FILE",
       .help = "checkpoint with the parameters to start from",
       .fallback = "the pre-trained weights and a new head"},
      {.name = "output",
       .letter = 'o',
       .kind = CLI_TEXT,
       .target = &output,
       .value = "FILE",
       .help = "the plot, a PNG"},
      cli_isa_option(&options.isa),
  };
  const cli_usage usage = {.positional = "JOB",
                           .summary = "Finds a learning rate for a job by trying a rising one.",
                           .details = details,
                           .min = 1,
                           .max = 1,
                           .options = table,
                           .count = sizeof table / sizeof *table,
                           .quiet_output = true};
  THAW_TRY(cli_parse(cli, &usage));
  if (cli->done) return THAW_OK;
  thaw_job *job = NULL;
  THAW_TRY(cli_read_job(cli, cli->argument[0], &job));
  options.phase = phase - 1;
  thaw_lr_find_result result = {0};
  thaw_status status = cli_quarantine_job(cli, job);
  if (status == THAW_OK) status = thaw_lr_find(cli->comm, job, &options, cli->log, &result);
  if (status == THAW_OK) {
    show(cli, &result);
    status = cli_share_status(cli, cli_is_root(cli) ? draw(output, &result) : THAW_OK);
    if (status == THAW_OK) cli_print(cli, "wrote %s\n", output);
    thaw_lr_find_clear(&result);
  }
  thaw_job_destroy(job);
  return status;
}
