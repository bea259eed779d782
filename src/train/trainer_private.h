/* trainer_private.h: the trainer in parts: begin.c, trainer.c, callbacks.c, save.c. */
#ifndef TRAINER_PRIVATE_H
#define TRAINER_PRIVATE_H

#include "train/train_private.h"

#include <stdio.h>

typedef struct trainer {
  thaw_comm *comm;
  const thaw_job *job;
  thaw_log *log;
  int64_t pause; /* epochs in all; 0: none */
  bool root;     /* rank 0: the one that writes */
  bool begun;    /* rank 0: the folder tells of this run */
  thaw_session *session;
  train_folder folder; /* path on every rank, the rest on rank 0 */
  train_signals signals;
  train_state state;
  train_step step;
  int64_t early_column, plateau_column, auto_column, best_column; /* of the history */
  bool thaw_next;                                                 /* at the end of this epoch */
  const char *best_monitor;
  double last_checkpoint, epoch_started; /* thaw_seconds() */
  int64_t shown_samples;                 /* of this rank, for the progress line */
  train_writer *writer;                  /* rank 0, from the first checkpoint on */
  int64_t written_steps;                 /* of the files that it writes or wrote */
  thaw_status failed;                    /* rank 0: how writing failed, until all ranks know */
  char failure[1024];
} trainer;

/* [collective] Folder, session, state: everything before the first step. */
thaw_status trainer_begin(trainer *t, const thaw_train_options *options);
/* [local, the same on every rank] Early stopping, learning rate, best so far. */
thaw_status trainer_callbacks(trainer *t, const double *row, bool *best_out);
/* [local] Remembers the present values as the best; of all tensors, or of those that have none yet. */
thaw_status trainer_keep_values(trainer *t, bool all);
/* [local] What a phase with `unfreeze: auto` must improve on: where the phase before has left off. */
thaw_status trainer_begin_auto(trainer *t);
/* [collective] Begins to write the state as it is: step-*.h5 (what is older than keep_last goes afterwards) and
 * best.h5, as wished. Waits for the files before and fails as they did. */
thaw_status trainer_save(trainer *t, bool checkpoint, bool best);
/* [collective] Writes step-*.h5 and waits until it is on disk. */
thaw_status trainer_finish(trainer *t);
/* [local] rank 0: waits for the files under way, notes them in the log. */
thaw_status trainer_written(trainer *t);
/* [local] rank 0: whether files were written in vain; does not wait for those under way. */
bool trainer_write_failed(trainer *t);
/* [collective] Why they were, on all ranks. */
thaw_status trainer_write_failure(trainer *t);
/* [collective] Checkpoint, then THAW_STOPPED. `reason` may be NULL on ranks that did not ask. */
thaw_status trainer_stop(trainer *t, const char *reason);
/* [local] The present scales into the state. */
void trainer_keep_exponents(trainer *t);

#endif
