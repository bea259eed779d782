/* cli.h: the frame of the command: verbs, options, printing. Private to src/cli.
 *
 * A verb is one file cmd_<verb>.c with one function, listed in verbs.c. Every verb runs on every rank:
 *
 *     thaw_status cli_train(cli_context *cli) {
 *       bool resume = false;
 *       const char *job = NULL;
 *       const cli_option options[] = {
 *           {.name = "resume", .kind = CLI_FLAG, .target = &resume, .help = "continue from the newest checkpoint"},
 *       };
 *       const cli_usage usage = {.positional = "JOB", .min = 1, .max = 1, .options = options, .count = 1, ...};
 *       THAW_TRY(cli_parse(cli, &usage));
 *       if (cli->done) return THAW_OK; // --help was shown
 *       ... cli->argument[0] is JOB ...
 *     }
 *
 * Only rank 0 prints; a failure is returned, and main prints it once.
 */
#ifndef THAW_CLI_H
#define THAW_CLI_H

#include "thaw/comm.h"
#include "thaw/job.h"
#include "thaw/log.h"
#include "thaw/text.h"

typedef struct cli_context {
  thaw_comm *comm;
  const char *verb;
  int argc; /* the words after the verb */
  char **argv;
  /* Set by cli_parse: */
  thaw_log *log;         /* NULL (silence) on ranks other than 0; owned by main */
  bool done;             /* help was shown: the verb returns THAW_OK at once */
  const char **argument; /* [arguments] positional words; owned by main */
  int32_t arguments;
} cli_context;

typedef enum cli_kind {
  CLI_FLAG,  /* bool; --name sets true, --no-name sets false */
  CLI_INT,   /* int32_t */
  CLI_INT64, /* int64_t */
  CLI_FLOAT, /* double */
  CLI_TEXT,  /* const char *: points into argv */
  CLI_CHOICE /* int32_t: index into `choices` */
} cli_kind;

typedef struct cli_option {
  const char *name; /* "checkpoint" for --checkpoint */
  char letter;      /* 'o' for -o; 0: none. -h, -q and -v belong to the frame */
  cli_kind kind;
  void *target;               /* what it holds before parsing is the default and is shown as such in the help */
  const char *value;          /* "FILE", "N": what the help calls the value; NULL: by kind */
  double low, high;           /* inclusive range of numbers; both 0: no check */
  const char *const *choices; /* NULL-terminated */
  const char *fallback;       /* help text for the default where `target` cannot say it ("every CPU has its best") */
  const char *help;
} cli_option;

typedef struct cli_usage {
  const char *positional; /* "JOB", "RUN [CATALOG]"; NULL: none */
  const char *summary;    /* one sentence */
  const char *details;    /* paragraphs and examples below the options; may be NULL */
  int32_t min, max;       /* positional words; max < 0: any number */
  const cli_option *options;
  int32_t count;
  bool quiet_output; /* results go to stdout, so the log goes to stderr */
} cli_usage;

/* [local, the same on every rank] Reads cli->argv by the table; prints the help and sets cli->done for -h and --help.
 * THAW_ERR_USAGE with the nearest name for an unknown option, a missing or unwanted value, a value out of range, too
 * few or too many words. Creates cli->log from -v (more), -vv (debug) and -q (errors and results only). */
thaw_status cli_parse(cli_context *cli, const cli_usage *usage) THAW_CHECKED;

bool cli_is_root(const cli_context *cli);                                          /* rank 0 */
void cli_print(const cli_context *cli, const char *format, ...) THAW_PRINTF(2, 3); /* to stdout, on rank 0 only */
void cli_print_text(const cli_context *cli, const thaw_text *text);                /* the same, of any length */

/* [collective] Rank 0's status, with its message word for word, becomes everybody's: for work that rank 0 does alone.
 */
thaw_status cli_share_status(cli_context *cli, thaw_status status) THAW_CHECKED;

/* [collective] Rank 0 reads the file (at most `limit` bytes), every rank gets the same bytes in a new zero-terminated
 * buffer (thaw_free). A failure has the same message on every rank. */
thaw_status cli_read_shared(cli_context *cli, const char *path, size_t limit, char **text_out,
                            size_t *size_out) THAW_CHECKED;

/* [collective] Reads and checks a job file: rank 0 reads it, every rank parses the same bytes. THAW_ERR_DATA when the
 * file cannot be read, THAW_ERR_USAGE when it is no valid job. */
thaw_status cli_read_job(cli_context *cli, const char *path, thaw_job **out) THAW_CHECKED;
/* [collective] Starts the watchdog of thaw/comm.h, or changes its time: THAW_WATCHDOG_SECONDS of rank 0's environment,
 * if set, else `seconds`. */
thaw_status cli_watchdog(cli_context *cli, double seconds) THAW_CHECKED;
/* [local] "thaw help job". */
thaw_status cli_help_job(cli_context *cli) THAW_CHECKED;

/* [collective] One per verb, in cmd_<verb>.c. */
thaw_status cli_import(cli_context *cli);
thaw_status cli_lr_find(cli_context *cli);
thaw_status cli_train(cli_context *cli);
thaw_status cli_watch(cli_context *cli);
thaw_status cli_sweep(cli_context *cli);
thaw_status cli_inspect(cli_context *cli);
thaw_status cli_evaluate(cli_context *cli);
thaw_status cli_compare(cli_context *cli);
thaw_status cli_predict(cli_context *cli);
thaw_status cli_embed(cli_context *cli);
thaw_status cli_match_verb(cli_context *cli);
thaw_status cli_explain(cli_context *cli);
thaw_status cli_anomaly(cli_context *cli);
thaw_status cli_style(cli_context *cli);
thaw_status cli_report(cli_context *cli);
thaw_status cli_export(cli_context *cli);
thaw_status cli_bench(cli_context *cli);

typedef struct cli_verb {
  const char *name, *summary;
  thaw_status (*run)(cli_context *cli);
} cli_verb;
extern const cli_verb cli_verbs[]; /* ends with a NULL name */

#endif
