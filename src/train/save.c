/* Saving a running trainer. */
#include "thaw/log.h"
#include "thaw/memory.h"
#include "train/trainer_private.h"

#include <string.h>
#include <unistd.h>

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
static thaw_status write_file(trainer *t, const char *name, const thaw_wide *total) {
  thaw_wide own[1 + 8];
  char *path = thaw_path_join(t->folder.path, name);
  if (!path) return THAW_ERR_MEMORY;
  memcpy(own, t->state.sum, sizeof own);
  memcpy(t->state.sum, total, sizeof own);
  thaw_status status = train_checkpoint_write(path, &t->state);
  memcpy(t->state.sum, own, sizeof own);
  thaw_free(path);
  return status;
}

thaw_status trainer_write(trainer *t, const char *name) {
  thaw_wide total[1 + 8];
  int64_t failed = 0;
  THAW_TRY(thaw_agree(t->comm, check_finite(t)));
  trainer_keep_exponents(t);
  memcpy(total, t->state.sum, sizeof total);
  THAW_TRY(thaw_wide_reduce(t->comm, total, 1 + 8, &failed));
  return thaw_agree(t->comm, t->root ? write_file(t, name, total) : THAW_OK);
}

/* [local] rank 0 */
static thaw_status remove_old(trainer *t) {
  thaw_strings names = {0};
  int32_t keep = t->job->training.checkpoint.keep_last;
  thaw_status status = train_checkpoint_list(t->folder.path, &names);
  size_t kept = keep > 0 ? (size_t)keep : 1;
  for (size_t i = 0; i + kept < names.count && status == THAW_OK; i++) {
    char *path = thaw_path_join(t->folder.path, names.item[i]);
    if (path) unlink(path); /* one too many does no harm */
    thaw_free(path);
  }
  thaw_strings_clear(&names);
  return status;
}

static thaw_status after_checkpoint(trainer *t, const char *name) {
  thaw_verbose(t->log, "checkpoint %s", name);
  THAW_TRY(remove_old(t));
  char members[96];
  snprintf(members, sizeof members, "\"file\": \"%s\", \"steps\": %lld", name, (long long)t->state.steps);
  return train_event(t->folder.path, "checkpoint", members);
}

thaw_status trainer_checkpoint(trainer *t) {
  char name[48];
  snprintf(name, sizeof name, "step-%09lld.h5", (long long)t->state.steps);
  bool inside = t->state.step > 0;
  double before = t->state.seconds, now = thaw_seconds();
  if (inside) t->state.seconds += now - t->epoch_started;
  thaw_status status = trainer_write(t, name);
  t->state.seconds = before;
  if (status == THAW_OK) status = thaw_agree(t->comm, t->root ? after_checkpoint(t, name) : THAW_OK);
  t->last_checkpoint = thaw_seconds();
  return status;
}

thaw_status trainer_stop(trainer *t, const char *reason) {
  THAW_TRY(trainer_checkpoint(t));
  char members[64];
  snprintf(members, sizeof members, "\"steps\": %lld", (long long)t->state.steps);
  THAW_TRY(thaw_agree(t->comm, t->root ? train_event(t->folder.path, "stop", members) : THAW_OK));
  return thaw_fail(THAW_STOPPED, "stopped by %s after step %lld; a checkpoint was written, --resume goes on",
                   reason ? reason : "a signal to another rank", (long long)t->state.steps);
}
