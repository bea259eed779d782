/* log.h: what a person watches. The only printing outside src/cli.
 *
 * A thaw_log is created once by the command line and passed down; on ranks other than 0 it is silent. Progress is drawn
 * in place on a terminal and as plain lines, a few per minute, in a batch log. All functions are [local], accept a NULL
 * log (silence), and may be called from one thread only.
 */
#ifndef THAW_LOG_H
#define THAW_LOG_H

#include "thaw/status.h"
#include <stdint.h>
#include <stdio.h>

typedef struct thaw_log thaw_log;
typedef enum thaw_level { THAW_QUIET, THAW_NORMAL, THAW_VERBOSE, THAW_DEBUG } thaw_level;

/* `stream` is borrowed (stdout or stderr). Warnings go to stderr. */
thaw_status thaw_log_create(FILE *stream, thaw_level level, thaw_log **out) THAW_CHECKED;
void thaw_log_destroy(thaw_log *log);
thaw_level thaw_log_level(const thaw_log *log);

void thaw_info(thaw_log *log, const char *format, ...) THAW_PRINTF(2, 3);    /* NORMAL and up; adds the newline */
void thaw_verbose(thaw_log *log, const char *format, ...) THAW_PRINTF(2, 3); /* VERBOSE and up */
void thaw_debug(thaw_log *log, const char *format, ...) THAW_PRINTF(2, 3);
void thaw_warn(thaw_log *log, const char *format, ...) THAW_PRINTF(2, 3); /* always; "warning: ..." on stderr */

/* A stretch of work of `total` `unit`s ("images"). update() takes the number done so far and an optional note
 * ("loss 0.412"); it is cheap to call often. end() leaves one line with the rate. */
void thaw_progress_begin(thaw_log *log, const char *title, const char *unit, int64_t total);
void thaw_progress_update(thaw_log *log, int64_t done, const char *note);
void thaw_progress_end(thaw_log *log, const char *note);

/* From now on the stretch of work is also told in a small JSON file, written anew every few seconds, for those who look
 * from elsewhere: {"time", "host", "pid", "title", "unit", "done", "total", "elapsed", "note"}, time in seconds since
 * 1970, elapsed in seconds. That it cannot be written is no failure. NULL: no more, and the file is removed. */
thaw_status thaw_log_mirror(thaw_log *log, const char *path) THAW_CHECKED;

/* Seconds on the monotonic clock. */
double thaw_seconds(void);

#endif
