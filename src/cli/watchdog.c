/* The watchdog's time and its last words. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

/* In the watchdog's thread: the main thread may hold the lock of stdout for good. */
static void report(const char *message) {
  if (ftrylockfile(stdout) == 0) {
    fflush(stdout);
    funlockfile(stdout);
  }
  fprintf(stderr, "error: %s\n", message);
}

/* [local] */
static thaw_status read_environment(double *seconds) {
  const char *text = getenv("THAW_WATCHDOG_SECONDS");
  if (!text || !*text) return THAW_OK;
  if (thaw_parse_double(text, seconds) == THAW_OK && *seconds >= 0 && *seconds <= 1e6) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "THAW_WATCHDOG_SECONDS is '%s', it must be a number of seconds, 0: off", text);
}

thaw_status cli_watchdog(cli_context *cli, double seconds) {
  thaw_status status = cli_is_root(cli) ? read_environment(&seconds) : THAW_OK;
  THAW_TRY(cli_share_status(cli, status));
  THAW_TRY(thaw_comm_broadcast(cli->comm, 0, &seconds, sizeof seconds));
  return thaw_comm_watch(cli->comm, seconds, report);
}
