/* sweep.h: many trainings from one job: hyperparameters by grid, random search or successive halving, and k-fold
 * cross-validation.
 *
 * A sweep file is a job file with a section `sweep`. Every training is a run folder of its own, as thaw_train makes it
 * of the same job, with the same bits; all share one feature cache. Ranks are dealt in groups that train different
 * runs at the same time.
 */
#ifndef THAW_SWEEP_H
#define THAW_SWEEP_H

#include "thaw/train.h"

typedef enum thaw_search { THAW_SEARCH_GRID, THAW_SEARCH_RANDOM, THAW_SEARCH_HALVING } thaw_search;

typedef struct thaw_sweep_run { /* one training */
  thaw_job *job;
  bool trained;             /* by this call or, resumed, before */
  thaw_status status;       /* THAW_OK, or THAW_ERR_RUN: it diverged */
  thaw_train_result result; /* with its history */
  char message[256];        /* why it failed */
} thaw_sweep_run;

typedef struct thaw_sweep_candidate {
  const char **value;  /* [parameters] as the job has them */
  double *number;      /* [parameters] the same; NaN: no number */
  thaw_sweep_run *run; /* [folds], or one */
  int32_t rung;        /* of successive halving: how far it came, 0 .. */
  double score;        /* mean of the runs' best values of the monitored number; NaN: a run failed */
} thaw_sweep_candidate;

typedef struct thaw_sweep {
  char *path, *name, *output; /* file, name and folder of the sweep */
  thaw_strings parameter;
  thaw_search search;
  int32_t factor, first_epochs; /* of successive halving */
  int32_t folds;                /* 0: none; else a candidate has so many runs */
  thaw_sweep_candidate *candidate;
  int32_t candidates;
  int64_t epochs;      /* of the longest job */
  int32_t *order;      /* [candidates] the best first */
  thaw_strings column; /* of the runs' histories */
  int64_t monitor;     /* the column that ranks; -1: not known yet */
  bool maximize;
  const thaw_job_schemas *schemas; /* borrowed */
  thaw_arena *arena;
} thaw_sweep;

typedef struct thaw_sweep_request {
  const char *output;    /* folder; NULL: the job's */
  int32_t folds, trials; /* 0: as the file says */
} thaw_sweep_request;
/* [local] Every candidate's job, checked. `schemas` must outlive the sweep. */
thaw_status thaw_sweep_plan(const char *path, const char *text, size_t size, const thaw_job_schemas *schemas,
                            const thaw_sweep_request *request, thaw_sweep **out) THAW_CHECKED;
void thaw_sweep_destroy(thaw_sweep *sweep); /* accepts NULL */

typedef struct thaw_sweep_options {
  bool resume, overwrite;
  int32_t group; /* ranks that train one run together, at least 1 */
  const char *isa;
} thaw_sweep_options;
/* [collective] Trains all runs and ranks the candidates, the same on every rank. A run that diverges ranks last. */
thaw_status thaw_sweep_train(thaw_comm *comm, thaw_sweep *sweep, const thaw_sweep_options *options,
                             thaw_log *log) THAW_CHECKED;

/* [local] The ranked table, of at most `most` candidates (0: all). */
void thaw_sweep_table(const thaw_sweep *sweep, int32_t most, thaw_text *out);
/* [local] sweep.csv, sweep.png and the link `best` to the best run in the sweep's folder. */
thaw_status thaw_sweep_write(const thaw_sweep *sweep) THAW_CHECKED;
/* Mean and sample standard deviation over a candidate's runs of a column at each run's best epoch; NaN where there is
 * none. [local] */
void thaw_sweep_mean(const thaw_sweep *sweep, int32_t candidate, int64_t column, double *mean, double *deviation);

/* [local] The keys of the section `sweep`. */
void thaw_sweep_help(thaw_text *out);

#endif
