/* Saving a running trainer. Rank 0 copies the state at a step boundary and goes on; writer.c's thread writes the copy.
 * That it failed is seen at the next boundary, told to all ranks by a flag of that step, and then agreed upon. */
#include "thaw/log.h"
#include "thaw/memory.h"
#include "train/trainer_private.h"

#include <string.h>

void trainer_keep_exponents(trainer *t) {
  if (!t->step.exact) return;
  int32_t *exponent = thaw_new((size_t)t->step.tensors, sizeof *exponent);
  if (!exponent) return; /* the state keeps the older predictions: a retry, not another result */
  thaw_exact_get_exponents(t->step.exact, exponent);
  for (int32_t i = 0; i < t->step.tensors; i++) t->step.state[i]->exponent = exponent[i];
  thaw_free(exponent);
}

static thaw_status check_finite(const trainer *t) {
  const char *layer, *name;
  if (train_state_finite(&t->state, &layer, &name)) return THAW_OK;
  return thaw_fail(THAW_ERR_RUN,
                   "training diverged: %s/%s is not finite after step %lld (learning rate %g); earlier checkpoints are "
                   "kept: lower the learning rate and start again",
                   layer, name, (long long)t->state.steps, t->state.rate);
}

/* [local] rank 0, with the epoch's sums over all ranks. */
static thaw_status begin_files(trainer *t, const char *const *name, int32_t count, const thaw_wide *total) {
  thaw_wide own[1 + 8];
  if (!t->writer) THAW_TRY(train_writer_create(t->folder.path, t->job->training.checkpoint.keep_last, &t->writer));
  THAW_TRY(trainer_written(t));
  memcpy(own, t->state.sum, sizeof own);
  memcpy(t->state.sum, total, sizeof own);
  thaw_status status = train_writer_start(t->writer, &t->state, name, count);
  memcpy(t->state.sum, own, sizeof own);
  return status;
}

thaw_status trainer_written(trainer *t) {
  if (!t->writer || !(train_writer_busy(t->writer) || train_writer_finished(t->writer))) return THAW_OK;
  THAW_TRY(train_writer_wait(t->writer));
  const thaw_strings *names = train_writer_names(t->writer);
  for (size_t i = 0; i < names->count; i++) {
    char members[96];
    thaw_verbose(t->log, "wrote %s", names->item[i]);
    snprintf(members, sizeof members, "\"file\": \"%s\", \"steps\": %lld", names->item[i], (long long)t->written_steps);
    THAW_TRY(train_event(t->folder.path, "checkpoint", members));
  }
  return THAW_OK;
}

bool trainer_write_failed(trainer *t) {
  if (!t->writer || !train_writer_finished(t->writer) || t->failed != THAW_OK) return t->failed != THAW_OK;
  t->failed = trainer_written(t);
  if (t->failed != THAW_OK) snprintf(t->failure, sizeof t->failure, "%s", thaw_message());
  return t->failed != THAW_OK;
}

thaw_status trainer_write_failure(trainer *t) {
  return thaw_agree(t->comm, t->root ? thaw_fail(t->failed, "%s", t->failure) : THAW_OK);
}

static thaw_status save(trainer *t, const char *const *name, int32_t count) {
  thaw_wide total[1 + 8];
  int64_t failed = 0;
  THAW_TRY(thaw_agree(t->comm, check_finite(t)));
  trainer_keep_exponents(t);
  memcpy(total, t->state.sum, sizeof total);
  THAW_TRY(thaw_wide_reduce(t->comm, total, 1 + 8, &failed));
  THAW_TRY(thaw_agree(t->comm, t->root ? begin_files(t, name, count, total) : THAW_OK));
  t->written_steps = t->state.steps;
  return THAW_OK;
}

thaw_status trainer_save(trainer *t, bool checkpoint, bool best) {
  char step[48];
  const char *name[2];
  int32_t count = 0;
  snprintf(step, sizeof step, "step-%09lld.h5", (long long)t->state.steps);
  if (best) name[count++] = "best.h5";
  if (checkpoint) name[count++] = step;
  if (count == 0) return THAW_OK;
  bool inside = t->state.step > 0;
  double before = t->state.seconds, now = thaw_seconds();
  if (inside) t->state.seconds += now - t->epoch_started;
  thaw_status status = save(t, name, count);
  t->state.seconds = before;
  if (checkpoint) t->last_checkpoint = thaw_seconds();
  return status;
}

thaw_status trainer_finish(trainer *t) {
  THAW_TRY(trainer_save(t, true, false));
  return thaw_agree(t->comm, t->root ? trainer_written(t) : THAW_OK);
}

thaw_status trainer_stop(trainer *t, const char *reason) {
  THAW_TRY(trainer_finish(t));
  char members[64];
  snprintf(members, sizeof members, "\"steps\": %lld", (long long)t->state.steps);
  THAW_TRY(thaw_agree(t->comm, t->root ? train_event(t->folder.path, "stop", members) : THAW_OK));
  return thaw_fail(THAW_STOPPED, "stopped by %s after step %lld; a checkpoint was written, --resume goes on",
                   reason ? reason : "a signal to another rank", (long long)t->state.steps);
}
