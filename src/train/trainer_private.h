/* trainer_private.h: the trainer in parts: begin.c, trainer.c, callbacks.c, save.c. */
#ifndef TRAINER_PRIVATE_H
#define TRAINER_PRIVATE_H

#include "train/train_private.h"

#include <stdio.h>

typedef struct trainer {
  thaw_comm *comm;
  const thaw_job *job;
  thaw_log *log;
  bool root; /* rank 0: the one that writes */
  thaw_session *session;
  train_folder folder; /* path on every rank, the rest on rank 0 */
  train_signals signals;
  train_state state;
  train_step step;
  int64_t early_column, plateau_column, best_column; /* of the history */
  const char *best_monitor;
  double last_checkpoint, epoch_started; /* thaw_seconds() */
  int64_t shown_samples;                 /* of this rank, for the progress line */
} trainer;

/* [collective] Folder, session, state: everything before the first step. */
thaw_status trainer_begin(trainer *t, const thaw_train_options *options);
/* [local, the same on every rank] Early stopping, learning rate, best so far. */
thaw_status trainer_callbacks(trainer *t, const double *row, bool *best_out);
/* [collective] Writes the state as it is to a file of the run folder. */
thaw_status trainer_write(trainer *t, const char *name);
/* [collective] Writes step-*.h5 and removes what is older than keep_last. */
thaw_status trainer_checkpoint(trainer *t);
/* [collective] Checkpoint, then THAW_STOPPED. `reason` may be NULL on ranks that did not ask. */
thaw_status trainer_stop(trainer *t, const char *reason);
/* [local] The present scales into the state. */
void trainer_keep_exponents(trainer *t);

#endif
