/* train.h: phases, steps, checkpoints, signals. The solver owns the loop; layers never see it. */
#ifndef THAW_TRAIN_H
#define THAW_TRAIN_H

#include "thaw/eval.h"
#include "thaw/job.h"
#include "thaw/optim.h"

/* A job made ready to run: graph, weights, plan, data. Shared by train, evaluate, predict, export. */
typedef struct thaw_session thaw_session;
typedef struct thaw_session_options {
  bool need_train, need_validation, need_test;
  const char *catalog;    /* evaluate/predict other data than the job's; NULL */
  const char *checkpoint; /* load these live parameters; NULL: none */
  const char *isa;        /* NULL: best */
} thaw_session_options;
/* [collective] */
thaw_status thaw_session_create(thaw_comm *comm, const thaw_job *job, const thaw_session_options *options,
                                thaw_log *log, thaw_session **out) THAW_CHECKED;
void thaw_session_destroy(thaw_session *session);
thaw_graph *thaw_session_graph(thaw_session *session);

typedef struct thaw_train_options {
  bool resume;    /* continue from the newest whole checkpoint in the run folder, if any */
  bool overwrite; /* start anew in a run folder that holds another run */
  const char *isa;
} thaw_train_options;
typedef struct thaw_train_result {
  char parameters_digest[65]; /* SHA-256 over all live parameters at the end, in graph order */
  double best;
  int64_t steps;
} thaw_train_result;
/* [collective] THAW_STOPPED after a signal and a checkpoint. */
thaw_status thaw_train(thaw_comm *comm, const thaw_job *job, const thaw_train_options *options, thaw_log *log,
                       thaw_train_result *out) THAW_CHECKED;

#endif
