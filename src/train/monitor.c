/* Following a number over epochs, with the rules of Keras' callbacks (keras/src/callbacks/early_stopping.py and
 * reduce_lr_on_plateau.py). */
#include "thaw/text.h"
#include "train/train_private.h"

#include <string.h>

thaw_status train_monitor_find(const train_state *state, const char *monitor, const char *where, int64_t *column_out) {
  *column_out = train_history_column(state, monitor);
  if (*column_out >= 0) return THAW_OK;
  thaw_text known = {0};
  int64_t first = train_history_column(state, "loss"), last = train_history_column(state, "seconds");
  for (int64_t c = first; c < last; c++) thaw_text_add(&known, "%s%s", c > first ? ", " : "", state->column.item[c]);
  thaw_status status = thaw_fail(THAW_ERR_USAGE, "%s: monitor: '%s' is not computed in this job (%s are)", where,
                                 monitor, known.data ? known.data : "");
  thaw_text_clear(&known);
  return status;
}

/* Keras' "auto": accuracies and areas grow, everything else falls. */
bool train_monitor_maximize(const char *monitor, int32_t mode) {
  static const char *const falling[] = {"loss", "mae", "mse", "error"}; /* also of a head that is called "accident" */
  if (mode != 0) return mode == 2;
  for (size_t i = 0; i < sizeof falling / sizeof *falling; i++) {
    size_t length = strlen(monitor), end = strlen(falling[i]);
    if (length >= end && !strcmp(monitor + length - end, falling[i])) return false;
  }
  return strstr(monitor, "acc") || strstr(monitor, "auc");
}

bool train_monitor_improved(const train_monitor *monitor, bool maximize, double min_delta, double value) {
  if (!monitor->known) return value == value;
  return maximize ? value - min_delta > monitor->best : value + min_delta < monitor->best;
}
