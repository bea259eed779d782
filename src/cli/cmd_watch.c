/* thaw watch: a run, from outside. */
#include "cli/cli.h"
#include "thaw/file.h"
#include "thaw/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const char details[] = "Shows state, progress with rate and time left, losses and metrics as lines of blocks, "
                              "how long each rank waited for\n"
                              "the others, and the last checkpoint. It reads the files of the run folder and nothing "
                              "else: it works from any node\n"
                              "that sees the folder, before, while and after the run. Of a run on another host it "
                              "cannot know that its process is\n"
                              "gone: after some minutes without a sign of life it says so. It goes on until the run "
                              "has finished or failed; a run\n"
                              "that was stopped may be resumed. --once looks once; its exit code is 0 for a run that "
                              "runs, has finished or has not\n"
                              "started, 1 for one that failed or was killed, 75 for one that stopped after a "
                              "checkpoint. The first line says which.\n\n"
                              "  thaw watch runs/chest-vgg16\n"
                              "  thaw watch runs/chest-vgg16 --once --ascii | head -1\n";

typedef struct watch_options {
  bool once, ascii;
  double interval;
} watch_options;

static int32_t terminal_columns(void) {
  struct winsize size;
  bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40;
  return known ? size.ws_col : 100;
}

/* Whether the terminal shows UTF-8, as the environment says. */
static bool is_utf8(void) {
  const char *const name[] = {"LC_ALL", "LC_CTYPE", "LANG"};
  for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
    const char *value = getenv(name[i]), *dot = value && *value ? value : NULL;
    if (!dot) continue;
    while (*dot && *dot != '.') dot++;
    return strncasecmp(dot, ".utf-8", 6) == 0 || strncasecmp(dot, ".utf8", 5) == 0;
  }
  return false;
}

/* [local] rank 0 */
static thaw_status show(cli_context *cli, const watch_options *o, bool clear, thaw_run_state *state) {
  struct timespec now;
  thaw_text text = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  const thaw_watch_options options = {
      .now = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec, .columns = terminal_columns(), .ascii = o->ascii};
  thaw_status status = thaw_run_watch(cli->argument[0], &options, &text, state);
  if (status == THAW_OK && clear) cli_print(cli, "\033[H\033[J");
  if (status == THAW_OK) cli_print_text(cli, &text);
  fflush(stdout);
  thaw_text_clear(&text);
  return status;
}

static thaw_status outcome(const char *run, thaw_run_state state) {
  if (state == THAW_RUN_STOPPED) return thaw_fail(THAW_STOPPED, "%s: stopped after a checkpoint", run);
  if (state != THAW_RUN_FAILED && state != THAW_RUN_KILLED) return THAW_OK;
  return thaw_fail(THAW_ERR_RUN, "%s: the run %s", run, state == THAW_RUN_FAILED ? "has failed" : "was killed");
}

/* [local] rank 0 */
static thaw_status watch(cli_context *cli, const watch_options *o) {
  bool terminal = isatty(STDOUT_FILENO) == 1 && !o->once;
  thaw_run_state state = THAW_RUN_NONE;
  while (true) {
    THAW_TRY(show(cli, o, terminal, &state));
    if (o->once || state == THAW_RUN_COMPLETE || state == THAW_RUN_FAILED) return outcome(cli->argument[0], state);
    if (ferror(stdout)) return THAW_OK; /* nobody reads any more */
    if (!terminal) cli_print(cli, "\n");
    const struct timespec pause = {.tv_sec = (time_t)o->interval,
                                   .tv_nsec = (long)(1e9 * (o->interval - (double)(time_t)o->interval))};
    nanosleep(&pause, NULL);
  }
}

thaw_status cli_watch(cli_context *cli) {
  watch_options o = {.interval = 2, .ascii = !is_utf8()};
  const cli_option options[] = {
      {.name = "once", .kind = CLI_FLAG, .target = &o.once, .help = "look once; the exit code tells the state"},
      {.name = "interval",
       .kind = CLI_FLOAT,
       .target = &o.interval,
       .value = "SECONDS",
       .low = 0.1,
       .high = 86400,
       .help = "between two looks"},
      {.name = "ascii",
       .kind = CLI_FLAG,
       .target = &o.ascii,
       .fallback = "as the locale says",
       .help = "curves of ASCII characters"},
  };
  const cli_usage usage = {.positional = "RUN",
                           .min = 1,
                           .max = 1,
                           .options = options,
                           .count = sizeof options / sizeof *options,
                           .quiet_output = true,
                           .summary = "Watches a run from outside: progress, curves, waiting ranks, checkpoints.",
                           .details = details};
  THAW_TRY(cli_parse(cli, &usage));
  if (cli->done) return THAW_OK;
  if (thaw_comm_size(cli->comm) > 1)
    return thaw_fail(THAW_ERR_USAGE, "thaw watch looks with one pair of eyes: start it without mpirun");
  return watch(cli, &o);
}
