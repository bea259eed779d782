/* What checkpoints and run folders hold, for people. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <stdio.h>
#include <string.h>

bool thaw_checkpoint_recognize(const char *path) {
  thaw_h5 *file;
  char *format = NULL;
  if (thaw_folder_exists(path) || thaw_h5_open(path, &file) != THAW_OK) return false;
  bool found = thaw_h5_has_attribute(file, "/", "format") &&
               thaw_h5_get_text(file, "/", "format", &format) == THAW_OK && strcmp(format, "thaw-checkpoint") == 0;
  thaw_free(format);
  thaw_h5_close(file);
  return found;
}

bool thaw_run_recognize(const char *folder) {
  char *key = thaw_path_join(folder, "job.key");
  bool found = key && thaw_file_exists(key);
  thaw_free(key);
  return found;
}

static void add_shape(const train_tensor *t, char out[64]) {
  int length = snprintf(out, 64, "(");
  for (int i = 0; i < t->rank; i++)
    length += snprintf(out + length, 64 - (size_t)length, "%s%lld", i ? ", " : "", (long long)t->dim[i]);
  snprintf(out + length, 64 - (size_t)length, ")");
}

static void add_tensors(const train_state *state, thaw_text *out) {
  int64_t total = 0;
  char count[32];
  thaw_text_add(out, "%-28s %-18s %-22s %10s %-10s\n", "layer", "parameter", "shape", "updates", "optimizer");
  for (size_t i = 0; i < state->tensors; i++) {
    const train_tensor *t = &state->tensor[i];
    char shape[64];
    add_shape(t, shape);
    total += (int64_t)t->count;
    thaw_text_add(out, "%-28.28s %-18.18s %-22s %10lld %-10s\n", t->layer, t->name, shape, (long long)t->steps,
                  t->trainable ? t->optimizer : "statistic");
  }
  thaw_text_add(out, "%s parameters in %zu tensors\n", thaw_format_count(total, count), state->tensors);
}

static void add_history(const train_state *state, int64_t first, thaw_text *out) {
  for (int64_t r = first < 0 ? 0 : first; r < state->rows; r++) {
    const double *row = state->history + r * state->columns;
    for (int64_t c = 0; c < state->columns; c++)
      thaw_text_add(out, "%s%s %.6g", c ? "  " : "", state->column.item[c], row[c]);
    thaw_text_add(out, "\n");
  }
}

static void add_position(const train_state *state, thaw_text *out) {
  if (state->finished)
    thaw_text_add(out, "complete after %lld steps, %lld epochs\n", (long long)state->steps, (long long)state->epochs);
  else
    thaw_text_add(out, "phase %lld, epoch %lld of the phase, step %lld of the epoch; %lld steps in all\n",
                  (long long)state->phase + 1, (long long)state->epoch + 1, (long long)state->step + 1,
                  (long long)state->steps);
  thaw_text_add(out, "learning rate  %g\n", state->rate);
  if (state->best.known) thaw_text_add(out, "best so far    %.6g\n", state->best.best);
}

thaw_status thaw_checkpoint_describe(const char *path, thaw_text *out) {
  train_state state;
  THAW_TRY(train_checkpoint_read(path, &state));
  thaw_text_add(out, "checkpoint     %s (whole: its digest is right)\nposition       ", path);
  add_position(&state, out);
  thaw_text_add(out, "job            sha256 %s\n", state.job_digest);
  thaw_text_add(out, "weights        sha256 %s\n", state.weights_digest);
  thaw_text_add(out, "training data  sha256 %s\n", state.train_digest);
  if (state.validation_digest[0]) thaw_text_add(out, "validation     sha256 %s\n", state.validation_digest);
  thaw_text_add(out, "classes        %zu\n\n", state.classes.count);
  add_tensors(&state, out);
  if (state.rows) thaw_text_add(out, "\nlast epoch: ");
  add_history(&state, state.rows - 1, out);
  train_state_clear(&state);
  return out->failed ? THAW_ERR_MEMORY : THAW_OK;
}

/* One line per checkpoint; damaged ones are shown as such. */
static thaw_status add_checkpoint(const char *folder, const char *name, bool with_history, thaw_text *out) {
  char *path = thaw_path_join(folder, name), size[32];
  train_state state = {0};
  if (!path) return THAW_ERR_MEMORY;
  thaw_status status = train_checkpoint_read(path, &state);
  if (status == THAW_OK) {
    thaw_text_add(out, "%-20s %10s  ", name, thaw_format_bytes((double)thaw_file_size(path), size));
    thaw_text_add(out, "%lld steps, phase %lld, epoch %lld%s\n", (long long)state.steps, (long long)state.phase + 1,
                  (long long)state.epoch + 1, state.finished ? ", complete" : "");
    if (with_history && state.rows) {
      thaw_text_add(out, "\nlast epochs:\n");
      add_history(&state, state.rows - 5, out);
    }
  } else {
    thaw_text_add(out, "%-20s damaged: %s\n", name, thaw_message());
  }
  train_state_clear(&state);
  thaw_free(path);
  return status == THAW_ERR_MEMORY ? status : THAW_OK;
}

static thaw_status add_file(const char *folder, const char *name, thaw_text *out) {
  enum { MOST = 1 << 20 };
  char *path = thaw_path_join(folder, name), *text = NULL;
  size_t size = 0;
  if (!path) return THAW_ERR_MEMORY;
  if (thaw_file_exists(path) && thaw_file_read(path, MOST, &text, &size) == THAW_OK)
    thaw_text_add_bytes(out, text, size);
  thaw_free(text);
  thaw_free(path);
  return THAW_OK;
}

thaw_status thaw_run_describe(const char *folder, thaw_text *out) {
  thaw_strings names = {0};
  THAW_TRY(train_checkpoint_list(folder, &names));
  thaw_text_add(out, "run            %s\n", folder);
  thaw_status status = add_file(folder, "environment.json", out);
  thaw_text_add(out, "\n");
  if (names.count == 0) thaw_text_add(out, "no checkpoint yet\n");
  char *best = thaw_path_join(folder, "best.h5");
  if (status == THAW_OK && best && thaw_file_exists(best)) status = add_checkpoint(folder, "best.h5", false, out);
  thaw_free(best);
  for (size_t i = 0; i < names.count && status == THAW_OK; i++)
    status = add_checkpoint(folder, names.item[i], i + 1 == names.count, out);
  thaw_strings_clear(&names);
  return status != THAW_OK ? status : out->failed ? THAW_ERR_MEMORY : THAW_OK;
}
