/* What a run tells about itself: the table of epochs and the log of events. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static thaw_status add_columns(train_state *state, const thaw_session *session, const char *prefix) {
  char name[96];
  snprintf(name, sizeof name, "%sloss", prefix);
  THAW_TRY(thaw_strings_add(&state->column, name));
  for (int32_t m = 0; m < session->metrics; m++) {
    snprintf(name, sizeof name, "%s%s", prefix, session->metric[m].name);
    THAW_TRY(thaw_strings_add(&state->column, name));
  }
  return THAW_OK;
}

thaw_status train_history_begin(train_state *state, const thaw_session *session) {
  static const char *const first[] = {"phase", "epoch", "step", "learning_rate"};
  for (size_t i = 0; i < sizeof first / sizeof *first; i++) THAW_TRY(thaw_strings_add(&state->column, first[i]));
  THAW_TRY(add_columns(state, session, ""));
  if (session->validation.catalog) THAW_TRY(add_columns(state, session, "val_"));
  THAW_TRY(thaw_strings_add(&state->column, "seconds"));
  state->columns = (int64_t)state->column.count;
  return THAW_OK;
}

int64_t train_history_column(const train_state *state, const char *name) {
  for (size_t i = 0; i < state->column.count; i++)
    if (strcmp(state->column.item[i], name) == 0) return (int64_t)i;
  return -1;
}

thaw_status train_history_add(train_state *state, const double *row) {
  size_t columns = (size_t)state->columns, rows = (size_t)state->rows;
  double *bigger = thaw_new((rows + 1) * columns, sizeof *bigger);
  if (!bigger) return THAW_ERR_MEMORY;
  if (rows) memcpy(bigger, state->history, rows * columns * sizeof *bigger);
  memcpy(bigger + rows * columns, row, columns * sizeof *bigger);
  thaw_free(state->history);
  state->history = bigger;
  state->rows++;
  return THAW_OK;
}

thaw_status train_history_write(const train_state *state, const char *folder) {
  thaw_text text = {0};
  for (int64_t c = 0; c < state->columns; c++) thaw_text_add(&text, "%s%s", c ? "," : "", state->column.item[c]);
  thaw_text_add(&text, "\n");
  for (int64_t r = 0; r < state->rows; r++) {
    for (int64_t c = 0; c < state->columns; c++)
      thaw_text_add(&text, "%s%.12g", c ? "," : "", state->history[r * state->columns + c]);
    thaw_text_add(&text, "\n");
  }
  char *path = thaw_path_join(folder, "metrics.csv");
  thaw_status status = path && !text.failed ? thaw_file_write(path, text.data, text.length) : THAW_ERR_MEMORY;
  thaw_free(path);
  thaw_text_clear(&text);
  return status;
}

thaw_status train_event(const char *folder, const char *event, const char *members) {
  char now[64] = "";
  time_t seconds = time(NULL);
  struct tm broken_down;
  if (gmtime_r(&seconds, &broken_down)) strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &broken_down);
  char *path = thaw_path_join(folder, "log.jsonl");
  char *line =
      thaw_format("{\"time\": \"%s\", \"event\": \"%s\"%s%s}", now, event, members ? ", " : "", members ? members : "");
  thaw_status status = path && line ? thaw_file_append_line(path, line) : THAW_ERR_MEMORY;
  thaw_free(path);
  thaw_free(line);
  return status;
}
