/* Early stopping, ReduceLROnPlateau and the best checkpoint, with Keras' rules. All numbers are the same on every rank,
 * so all ranks come to the same decision by themselves. */
#include "thaw/log.h"
#include "thaw/memory.h"
#include "train/trainer_private.h"

#include <string.h>

thaw_status trainer_keep_values(trainer *t, bool all) {
  for (size_t i = 0; i < t->state.tensors; i++) {
    train_tensor *tensor = &t->state.tensor[i];
    if (tensor->best && !all) continue;
    if (!tensor->best) tensor->best = thaw_new(tensor->count, sizeof(float));
    if (!tensor->best) return THAW_ERR_MEMORY;
    memcpy(tensor->best, tensor->value, tensor->count * sizeof(float));
  }
  return THAW_OK;
}

/* keras/src/callbacks/early_stopping.py, on_epoch_end. */
static thaw_status stop_early(trainer *t, double value) {
  const thaw_early_stopping_config *c = &t->job->training.early_stopping;
  train_monitor *m = &t->state.early;
  if (t->state.epoch < c->start_from_epoch) return THAW_OK;
  bool maximize = train_monitor_maximize(c->monitor, c->mode);
  if (c->restore_best_weights && !m->known) THAW_TRY(trainer_keep_values(t, true));
  m->wait++;
  if (train_monitor_improved(m, maximize, c->min_delta, value)) {
    m->best = value;
    m->known = true;
    m->wait = 0;
    return c->restore_best_weights ? trainer_keep_values(t, true) : THAW_OK;
  }
  if (m->wait < c->patience || t->state.epoch == 0) return THAW_OK;
  t->state.stop_phase = 1;
  thaw_info(t->log, "early stopping: %s has not improved on %.6g for %lld epochs", c->monitor, m->best,
            (long long)m->wait);
  return THAW_OK;
}

/* ------------------------------------------------------------------ unfreeze: auto */

/* The epochs of the phase before, or its last one unless it went back to its best. */
thaw_status trainer_begin_auto(trainer *t) {
  const thaw_training_config *c = &t->job->training;
  train_monitor *m = &t->state.early;
  bool maximize = train_monitor_maximize(c->auto_unfreeze.monitor, c->auto_unfreeze.mode);
  bool restored = c->early_stopping.enabled && c->early_stopping.restore_best_weights;
  t->state.thawed_best = t->state.thawed;
  for (int64_t r = t->state.rows - 1; r >= 0; r--) {
    const double *row = t->state.history + r * t->state.columns;
    if ((int64_t)row[0] != t->state.phase || (m->known && !restored)) break;
    double value = row[t->auto_column];
    if (m->known && !train_monitor_improved(m, maximize, 0, value)) continue;
    m->best = value;
    m->known = true;
  }
  return trainer_keep_values(t, true);
}

/* While the live layers improve, they go on. After `patience` epochs without it the next block is thawed, from the best
 * parameters so far; when that has not helped after as many epochs, the phase ends and leaves the best ones. */
static thaw_status thaw_or_stop(trainer *t, double value) {
  const thaw_auto_unfreeze_config *c = &t->job->training.auto_unfreeze;
  train_monitor *m = &t->state.early;
  m->wait++;
  if (train_monitor_improved(m, train_monitor_maximize(c->monitor, c->mode), c->min_delta, value)) {
    m->best = value;
    m->known = true;
    m->wait = 0;
    t->state.thawed_best = t->state.thawed;
    return trainer_keep_values(t, true);
  }
  if (m->wait < c->patience) return THAW_OK;
  bool gained = t->state.thawed_best == t->state.thawed, more = !c->max_blocks || t->state.thawed < c->max_blocks;
  if (gained && more)
    t->thaw_next = true;
  else
    t->state.stop_phase = 1;
  if (!gained)
    thaw_info(t->log, "%s has not improved on %.6g since the last block was thawed: back to the best epoch", c->monitor,
              m->best);
  return THAW_OK;
}

/* keras/src/callbacks/reduce_lr_on_plateau.py, on_epoch_end. */
static void reduce_rate(trainer *t, double value) {
  const thaw_reduce_lr_config *c = &t->job->training.reduce_lr;
  train_monitor *m = &t->state.plateau;
  if (m->cooldown > 0) {
    m->cooldown--;
    m->wait = 0;
  }
  if (train_monitor_improved(m, train_monitor_maximize(c->monitor, c->mode), c->min_delta, value)) {
    m->best = value;
    m->known = true;
    m->wait = 0;
    return;
  }
  if (m->cooldown > 0 || ++m->wait < c->patience || t->state.rate <= c->min_lr) return;
  double reduced = t->state.rate * c->factor;
  t->state.rate = reduced > c->min_lr ? reduced : c->min_lr;
  m->cooldown = c->cooldown;
  m->wait = 0;
  thaw_info(t->log, "%s has not improved: learning rate %g from now on", c->monitor, t->state.rate);
}

thaw_status trainer_callbacks(trainer *t, const double *row, bool *best_out) {
  train_monitor *best = &t->state.best;
  double value = row[t->best_column];
  *best_out =
      train_monitor_improved(best, train_monitor_maximize(t->best_monitor, t->job->training.checkpoint.mode), 0, value);
  if (*best_out) {
    best->best = value;
    best->known = true;
  }
  if (t->plateau_column >= 0) reduce_rate(t, row[t->plateau_column]);
  t->thaw_next = false;
  const thaw_training_config *c = &t->job->training;
  if (t->state.phase < c->phase_count && thaw_phase_is_auto(&c->phases[t->state.phase]))
    return thaw_or_stop(t, row[t->auto_column]);
  return t->early_column >= 0 ? stop_early(t, row[t->early_column]) : THAW_OK;
}
