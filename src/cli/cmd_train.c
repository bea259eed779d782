/* thaw train JOB */
#include "cli/quarantine.h"
#include "cli/report_data.h"
#include "cli/run.h"
#include "thaw/memory.h"
#include "thaw/report.h"

#include <string.h>

static const char details[] =
    "Trains the job's head (and, in later phases, thawed blocks) on all ranks of the job and writes checkpoints,\n"
    "metrics.csv, log.jsonl, summary.txt and report.html to the run folder (output: in the job file).\n"
    "SIGTERM, SIGUSR1 and SIGUSR2 stop at the next step, after a checkpoint, with exit code 75; so does the end of\n"
    "the Slurm job (SLURM_JOB_END_TIME). --resume then goes on, on any number of ranks, with the same result.\n"
    "A rank that gives no sign of life for training.watchdog_seconds (THAW_WATCHDOG_SECONDS in the environment comes\n"
    "first, for every verb) ends the job with a message that names it.\n\n"
    "  thaw train job.yaml\n"
    "  mpirun -n 4 thaw train job.yaml --resume\n";

/* A job file that cannot be read is an error of the command line. */
static thaw_status load_job(cli_context *cli, const char *path, thaw_job **out) {
  thaw_status status = cli_read_job(cli, path, out);
  if (status == THAW_ERR_DATA) return thaw_fail(THAW_ERR_USAGE, "%s", thaw_message());
  if (status == THAW_OK && (status = cli_quarantine_job(cli, *out)) != THAW_OK) thaw_job_destroy(*out);
  return status;
}

static void show_result(const cli_context *cli, const thaw_train_result *result) {
  cli_print(cli, "steps %lld\n", (long long)result->steps);
  cli_print(cli, "parameters sha256 %s\n", result->parameters_digest);
}

/* A word as a shell takes it. */
static void add_word(thaw_text *out, const char *word) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  thaw_text_add(out, " ");
  if (*word && strspn(word, plain) == strlen(word)) {
    thaw_text_add(out, "%s", word);
    return;
  }
  thaw_text_add(out, "'");
  for (; *word; word++) thaw_text_add(out, *word == '\'' ? "'\\''" : "%c", *word);
  thaw_text_add(out, "'");
}

/* What was typed, as far as a rank can know it. */
static void describe_command(const cli_context *cli, thaw_text *out) {
  int ranks = thaw_comm_size(cli->comm);
  if (ranks > 1) thaw_text_add(out, "mpirun -n %d ", ranks);
  thaw_text_add(out, "thaw train");
  for (int i = 0; i < cli->argc; i++) add_word(out, cli->argv[i]);
}

/* A picture that cannot be drawn does not make a run a failure. */
static void draw(const cli_context *cli, const thaw_job *job) {
  if (!cli_is_root(cli)) return;
  thaw_status status = cli_report_data(job->output, job, true);
  if (status == THAW_OK) status = thaw_report_html(job->output);
  if (status == THAW_OK)
    thaw_info(cli->log, "wrote %s/report.html and learning_curve.png", job->output);
  else
    thaw_warn(cli->log, "%s", thaw_message());
}

thaw_status cli_train(cli_context *cli) {
  thaw_train_options options = {.leaks = true};
  const char *output = NULL;
  double minutes = 0;
  const cli_option table[] = {
      {.name = "resume", .kind = CLI_FLAG, .target = &options.resume, .help = "go on from the newest whole checkpoint"},
      {.name = "overwrite",
       .kind = CLI_FLAG,
       .target = &options.overwrite,
       .help = "start anew in a run folder that holds an earlier run, which is lost"},
      {.name = "output",
       .letter = 'o',
       .kind = CLI_TEXT,
       .target = &output,
       .value = "FOLDER",
       .help = "the run folder",
       .fallback = "as the job says"},
      {.name = "max-time",
       .kind = CLI_FLOAT,
       .target = &minutes,
       .value = "MINUTES",
       .low = 0,
       .high = 1e6,
       .fallback = "as the job says",
       .help = "stop with a checkpoint and exit code 75 after this time"},
      cli_isa_option(&options.isa),
  };
  const cli_usage usage = {.positional = "JOB",
                           .summary = "Trains the new layers of a job, and thawed blocks, on top of a frozen network.",
                           .details = details,
                           .min = 1,
                           .max = 1,
                           .options = table,
                           .count = sizeof table / sizeof *table};
  THAW_TRY(cli_parse(cli, &usage));
  if (cli->done) return THAW_OK;
  thaw_job *job = NULL;
  THAW_TRY(load_job(cli, cli->argument[0], &job));
  if (output && !(job->output = thaw_arena_text(job->arena, output))) {
    thaw_job_destroy(job);
    return THAW_ERR_MEMORY;
  }
  if (minutes > 0) job->training.max_minutes = minutes;
  thaw_train_result result = {0};
  thaw_text command = {0};
  describe_command(cli, &command);
  options.command = command.data;
  thaw_status status = cli_watchdog(cli, job->training.watchdog_seconds);
  if (status == THAW_OK) status = thaw_train(cli->comm, job, &options, cli->log, &result);
  if (status == THAW_OK) {
    show_result(cli, &result);
    draw(cli, job);
  }
  thaw_text_clear(&command);
  thaw_job_destroy(job);
  return status;
}
