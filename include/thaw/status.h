/* status.h: how every thaw function reports failure.
 *
 * A fallible function returns a thaw_status. At the point of failure it calls thaw_fail(), which records one line of
 * text for the calling thread and returns the code, so that callers pass it up with THAW_TRY:
 *
 *     if (found != expected) return thaw_fail(THAW_ERR_DATA, "%s: /images is %s, the job expects %s", path, a, b);
 *     ...
 *     THAW_TRY(thaw_h5_open(path, &file));
 *
 * Library code never prints and never exits. All functions here are [local].
 */
#ifndef THAW_STATUS_H
#define THAW_STATUS_H

#define THAW_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define THAW_CHECKED             __attribute__((warn_unused_result))

typedef enum thaw_status {
  THAW_OK = 0,
  THAW_ERR_RUN,      /* the run failed: diverged, disk full, out of memory, a peer failed; exit code 1 */
  THAW_ERR_USAGE,    /* command line or job file; exit code 2 */
  THAW_ERR_DATA,     /* data, weights, checkpoint or cache file; exit code 3 */
  THAW_ERR_INTERNAL, /* a broken invariant of thaw itself; exit code 4 */
  THAW_ERR_MEMORY,   /* allocation failed; exit code 1 */
  THAW_ERR_DISK,     /* a file could not be written: full, read-only, I/O error; exit code 1 */
  THAW_STOPPED       /* stopped by a signal after a checkpoint, may be resumed; exit code 75 */
} thaw_status;

/* Records "format" as this thread's failure and returns `code` (never THAW_OK). A later call replaces the text. */
thaw_status thaw_fail(thaw_status code, const char *format, ...) THAW_PRINTF(2, 3);

/* Puts a formatted prefix before the recorded text ("epoch 3: ..."), returns `code` unchanged. */
thaw_status thaw_fail_in(thaw_status code, const char *format, ...) THAW_PRINTF(2, 3);

/* The text of this thread's last failure, one line, never NULL; borrowed, valid until the next thaw_fail. */
const char *thaw_message(void);

/* The process exit code that stands for `status` (see README, exit codes). */
int thaw_exit_code(thaw_status status);

#define THAW_TRY(expression)                                                                                           \
  do {                                                                                                                 \
    thaw_status thaw_try_status = (expression);                                                                        \
    if (thaw_try_status != THAW_OK) return thaw_try_status;                                                            \
  } while (0)

#endif
