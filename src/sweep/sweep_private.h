/* sweep_private.h: what the files of src/sweep share. */
#ifndef SWEEP_PRIVATE_H
#define SWEEP_PRIVATE_H

#include "thaw/sweep.h"

/* "file:line: sweep.key: ..." */
thaw_status sweep_fail(const char *path, int32_t line, const char *key, const char *format, ...)
    THAW_PRINTF(4, 5) THAW_CHECKED;

/* ------------------------------------------------------------------ what is varied (space.c) */
typedef struct sweep_parameter {
  const char *key;
  int32_t line;
  const thaw_yaml **value; /* [count] of a list, or the steps of a range */
  int32_t count;           /* 0: a range that only draws can use */
  bool range, log, whole;
  double low, high;
} sweep_parameter;

/* A list of values, or a range {low, high, log, steps}. */
thaw_status sweep_parameter_read(const char *path, const thaw_yaml *node, thaw_arena *arena,
                                 sweep_parameter *out) THAW_CHECKED;
/* The value of trial `trial`; a pure function of the seed. NULL: no memory. */
const thaw_yaml *sweep_parameter_draw(const sweep_parameter *parameter, uint64_t seed, int32_t trial, int32_t index,
                                      thaw_arena *arena);
/* How a value is shown, and the number that it is, or NaN. */
const char *sweep_value_text(const sweep_parameter *parameter, const thaw_yaml *value, double *number,
                             thaw_arena *arena);

/* ------------------------------------------------------------------ where it goes (setting.c) */
/* Deep copies share texts. NULL: no memory. */
thaw_yaml *sweep_clone(const thaw_yaml *node, thaw_arena *arena);
thaw_yaml *sweep_scalar(const char *value, int32_t line, thaw_arena *arena);
void sweep_remove(thaw_yaml *map, const char *key);
/* Whether `key` is a short name or a path of a job; else a failure with the nearest names. */
thaw_status sweep_check_key(const char *path, const sweep_parameter *parameter) THAW_CHECKED;
/* Puts a copy of `value` into a job's tree. */
thaw_status sweep_apply(const char *path, const sweep_parameter *parameter, const thaw_yaml *value, thaw_yaml *job,
                        thaw_arena *arena) THAW_CHECKED;
/* Which settings come first: heads, then optimizers, then what goes into them. */
int32_t sweep_order_of(const char *key);
void sweep_help_keys(thaw_text *out);

/* ------------------------------------------------------------------ figures (table.c) */
/* Best value of the monitored column in the first `epochs` rows (0: all); NaN: none. row_out: where, may be NULL. */
double sweep_best(const thaw_sweep *sweep, const thaw_sweep_run *run, int64_t epochs, int64_t *row_out);
/* Scores after `epochs` epochs (0: all), and sweep->order. */
void sweep_rank(thaw_sweep *sweep, int64_t epochs);
int32_t sweep_runs(const thaw_sweep *sweep); /* of one candidate */

#endif
