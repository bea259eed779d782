/* Early stopping, ReduceLROnPlateau and the best checkpoint, with Keras' rules. All numbers are the same on every rank,
 * so all ranks come to the same decision by themselves. */
#include "thaw/log.h"
#include "thaw/memory.h"
#include "train/trainer_private.h"

#include <string.h>

static thaw_status keep_values(trainer *t) {
  for (size_t i = 0; i < t->state.tensors; i++) {
    train_tensor *tensor = &t->state.tensor[i];
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
  if (c->restore_best_weights && !m->known) THAW_TRY(keep_values(t));
  m->wait++;
  if (train_monitor_improved(m, maximize, c->min_delta, value)) {
    m->best = value;
    m->known = true;
    m->wait = 0;
    return c->restore_best_weights ? keep_values(t) : THAW_OK;
  }
  if (m->wait < c->patience || t->state.epoch == 0) return THAW_OK;
  t->state.stop_phase = 1;
  thaw_info(t->log, "early stopping: %s has not improved on %.6g for %lld epochs", c->monitor, m->best,
            (long long)m->wait);
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
  return t->early_column >= 0 ? stop_early(t, row[t->early_column]) : THAW_OK;
}
