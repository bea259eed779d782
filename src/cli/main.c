/* The command: dispatch to one file per verb, one error line, the exit code. */
#include "cli/cli.h"
#include "cli/quarantine.h"
#include "thaw/memory.h"
#include "thaw/train.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WATCHDOG_SECONDS = 600 }; /* until a job file says otherwise */

static void print_help(const cli_context *cli) {
  cli_print(cli, "usage: thaw VERB [options] ...\n"
                 "       mpirun -n RANKS thaw VERB [options] ...\n\n"
                 "thaw trains new layers on top of a frozen, pre-trained image network, on one machine or on a cluster "
                 "of CPU nodes.\n\nverbs:\n");
  for (const cli_verb *verb = cli_verbs; verb->name; verb++) cli_print(cli, "  %-10s %s\n", verb->name, verb->summary);
  cli_print(cli, "  %-10s %s\n", "help", "show the help of a verb, thaw help VERB; of the job file: thaw help job");
  cli_print(cli, "\n'thaw VERB --help' shows the options of a verb, 'thaw --version' the version.\n\n"
                 "exit codes: 0 done, 1 the run failed, 2 usage or job file, 3 data or weights, 4 internal error,\n"
                 "            75 stopped by a signal after a checkpoint (run again with --resume)\n");
}

static const cli_verb *find_verb(const char *name) {
  for (const cli_verb *verb = cli_verbs; verb->name; verb++)
    if (!strcmp(verb->name, name)) return verb;
  return NULL;
}

static thaw_status unknown_verb(const char *name) {
  const char *known[32];
  size_t count = 0;
  for (const cli_verb *verb = cli_verbs; verb->name && count < 31; verb++) known[count++] = verb->name;
  known[count++] = "help";
  const char *near = thaw_nearest(name, known, count);
  return thaw_fail(THAW_ERR_USAGE, "unknown verb '%s'%s%s%s; 'thaw --help' lists the verbs", name,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static thaw_status run_verb(cli_context *cli, const char *name, int argc, char **argv) {
  const cli_verb *verb = find_verb(name);
  if (!verb) return unknown_verb(name);
  cli->verb = verb->name;
  cli->argc = argc;
  cli->argv = argv;
  return verb->run(cli);
}

static thaw_status dispatch(cli_context *cli, int argc, char **argv) {
  static char help_word[] = "--help";
  char *help[] = {help_word, NULL};
  if (argc < 2) {
    print_help(cli);
    return thaw_fail(THAW_ERR_USAGE, "a verb is missing");
  }
  const char *word = argv[1];
  bool wants_help = !strcmp(word, "help");
  if (!strcmp(word, "--help") || !strcmp(word, "-h") || (wants_help && argc == 2))
    print_help(cli);
  else if (!strcmp(word, "--version"))
    cli_print(cli, "thaw %s\n", THAW_VERSION);
  else if (wants_help && argc > 3)
    return thaw_fail(THAW_ERR_USAGE, "unexpected argument '%s'; it is 'thaw help VERB'", argv[3]);
  else if (wants_help && !strcmp(argv[2], "job"))
    return cli_help_job(cli);
  else if (wants_help)
    return run_verb(cli, argv[2], 1, help);
  else if (word[0] == '-')
    return thaw_fail(THAW_ERR_USAGE, "unknown option '%s'; the verb comes first: 'thaw VERB [options]'", word);
  else
    return run_verb(cli, word, argc - 2, argv + 2);
  return THAW_OK;
}

/* Verbs return the same status on every rank. Should one fail on some ranks only, after its last agreement, the ranks
 * agree here, so that the message of the rank that failed is not lost. */
static thaw_status settle(thaw_comm *comm, thaw_status status) {
  int64_t range[2] = {status, -(int64_t)status};
  THAW_TRY(thaw_comm_max_int(comm, range, 2));
  return range[0] == -range[1] ? status : thaw_agree(comm, status);
}

/* True when standard output is a pipe whose reader has gone ("| head"). */
static bool reader_is_gone(void) {
  struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
  return poll(&output, 1, 0) == 1 && (output.revents & POLLERR);
}

/* A full disk behind "> file" must not look like success; a reader who has seen enough wants no message. */
static thaw_status flush_output(thaw_status status) {
  bool failed = fflush(stdout) || ferror(stdout);
  if (!failed || status != THAW_OK || reader_is_gone()) return status;
  return thaw_fail(THAW_ERR_DISK, "standard output: cannot write");
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN); /* a closed terminal or pager must not end a training run */
  int code;
  if (cli_is_quarantine(argc, argv, &code)) return code;
  cli_context cli = {0};
  if (argc > 1 && (!strcmp(argv[1], "train") || !strcmp(argv[1], "sweep"))) thaw_train_expect_signals();
  thaw_status status = thaw_comm_create(&argc, &argv, &cli.comm);
  if (status != THAW_OK) {
    fprintf(stderr, "error: %s\n", thaw_message());
    return thaw_exit_code(status);
  }
  status = cli_watchdog(&cli, WATCHDOG_SECONDS);
  if (status == THAW_OK) status = flush_output(dispatch(&cli, argc, argv));
  status = settle(cli.comm, status);
  thaw_log_destroy(cli.log);
  thaw_free(cli.argument);
  if (status != THAW_OK && cli_is_root(&cli)) {
    fflush(stdout);
    fprintf(stderr, "error: %s\n", thaw_message());
  }
  thaw_comm_destroy(cli.comm);
  return thaw_exit_code(status);
}
