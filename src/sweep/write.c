/* What a sweep leaves in its folder: a table, a plot, and a link to the best run. */
#include "sweep/sweep_private.h"
#include "thaw/csv.h"
#include "thaw/memory.h"
#include "thaw/report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add_number(thaw_text *out, double value) {
  if (isfinite(value))
    thaw_text_add(out, ",%.12g", value);
  else
    thaw_text_add(out, ",");
}

/* All but the last column, the time: the table is the same whenever and wherever it was made. */
static bool is_told(const thaw_sweep *s, size_t column) {
  return column + 1 < s->column.count;
}

/* One line for each run: of a cross-validation, for each fold. */
static void add_lines(const thaw_sweep *s, int32_t rank, thaw_text *out) {
  int32_t candidate = s->order[rank];
  const thaw_sweep_candidate *c = &s->candidate[candidate];
  for (int32_t r = 0; r < sweep_runs(s); r++) {
    const thaw_sweep_run *run = &c->run[r];
    const thaw_train_result *result = &run->result;
    int64_t row = 0;
    bool known = run->status == THAW_OK && !isnan(sweep_best(s, run, 0, &row));
    thaw_text_add(out, "%d,%d,%d", rank + 1, candidate + 1, s->folds ? r + 1 : 0);
    for (size_t i = 0; i < s->parameter.count; i++) {
      thaw_text_add(out, ",");
      thaw_csv_add(out, c->value[i]);
    }
    add_number(out, c->score);
    thaw_text_add(out, ",%lld,%lld,%lld", (long long)(known ? row + 1 : 0), (long long)result->epochs,
                  (long long)result->steps);
    for (size_t k = 0; k < s->column.count && is_told(s, k); k++)
      add_number(out, known ? result->history[row * (int64_t)result->columns.count + (int64_t)k] : NAN);
    thaw_text_add(out, ",%s,%s,", run->status == THAW_OK ? "ok" : "diverged",
                  run->status == THAW_OK ? result->parameters_digest : "");
    thaw_csv_add(out, run->job->output);
    thaw_text_add(out, "\n");
  }
}

static thaw_status write_csv(const thaw_sweep *s) {
  thaw_text text = {0};
  thaw_text_add(&text, "rank,candidate,fold");
  for (size_t i = 0; i < s->parameter.count; i++) {
    thaw_text_add(&text, ",");
    thaw_csv_add(&text, s->parameter.item[i]);
  }
  thaw_text_add(&text, ",score,best_epoch,epochs,steps");
  for (size_t k = 0; k < s->column.count && is_told(s, k); k++) thaw_text_add(&text, ",%s", s->column.item[k]);
  thaw_text_add(&text, ",state,parameters_sha256,folder\n");
  for (int32_t rank = 0; rank < s->candidates; rank++) add_lines(s, rank, &text);
  char *path = thaw_path_join(s->output, "sweep.csv");
  thaw_status status = path && !text.failed ? thaw_file_write(path, text.data, text.length) : THAW_ERR_MEMORY;
  thaw_free(path);
  thaw_text_clear(&text);
  return status;
}

/* ------------------------------------------------------------------ the plot */

enum { MOST_CURVES = 6, MOST_PANELS = 8, LABEL = 96 };

typedef struct picture {
  const thaw_sweep *sweep;
  thaw_arena *arena;
  thaw_plot plot[1 + MOST_PANELS];
  int32_t plots;
} picture;

/* The monitored number over epochs of the best candidates; of a cross-validation their first fold. */
static thaw_status add_curves(picture *p) {
  const thaw_sweep *s = p->sweep;
  thaw_series *series = thaw_arena_new(p->arena, MOST_CURVES, sizeof *series);
  int32_t count = 0;
  if (!series) return THAW_ERR_MEMORY;
  for (int32_t rank = 0; rank < s->candidates && count < MOST_CURVES; rank++) {
    const thaw_train_result *result = &s->candidate[s->order[rank]].run[0].result;
    double *x = thaw_arena_new(p->arena, 2 * (size_t)(result->epochs + 1), sizeof *x), *y = x + result->epochs;
    char *label = thaw_arena_new(p->arena, LABEL, 1);
    if (!x || !label) return THAW_ERR_MEMORY;
    for (int64_t row = 0; row < result->epochs; row++) {
      x[row] = (double)row + 1;
      y[row] = result->history[row * (int64_t)result->columns.count + s->monitor];
    }
    snprintf(label, LABEL, "%03d", s->order[rank] + 1);
    series[count++] = (thaw_series){.label = label, .x = x, .y = y, .count = (int32_t)result->epochs};
  }
  p->plot[p->plots++] = (thaw_plot){.title = "the best candidates",
                                    .x_label = "epoch",
                                    .y_label = s->column.item[s->monitor],
                                    .series = series,
                                    .count = count};
  return THAW_OK;
}

/* Numbers on their own axis, logarithmic where they span more than a factor of 30; words by the order in which they
 * come. */
static thaw_status add_parameter(picture *p, size_t parameter) {
  const thaw_sweep *s = p->sweep;
  double *x = thaw_arena_new(p->arena, 2 * (size_t)s->candidates, sizeof *x), *y = x + s->candidates;
  thaw_series *series = thaw_arena_new(p->arena, 1, sizeof *series);
  char *label = thaw_arena_new(p->arena, LABEL, 1);
  double low = INFINITY, high = -INFINITY;
  int32_t kinds = 0;
  bool numbers = true;
  if (!x || !series || !label) return THAW_ERR_MEMORY;
  for (int32_t c = 0; c < s->candidates; c++) {
    double value = s->candidate[c].number[parameter];
    numbers &= !isnan(value);
    low = fmin(low, value), high = fmax(high, value);
  }
  bool logarithmic = numbers && low > 0 && high > 30 * low;
  for (int32_t c = 0; c < s->candidates; c++) {
    int32_t first = 0;
    while (strcmp(s->candidate[first].value[parameter], s->candidate[c].value[parameter]) != 0) first++;
    double value = numbers ? s->candidate[c].number[parameter] : first == c ? ++kinds : x[first];
    x[c] = logarithmic ? log10(value) : value;
    y[c] = s->candidate[c].score;
  }
  snprintf(label, LABEL, "%s%.60s%s", logarithmic ? "log10 of " : "", s->parameter.item[parameter],
           numbers ? "" : " (in order of appearance)");
  *series = (thaw_series){.label = "candidates", .x = x, .y = y, .count = s->candidates, .points = true};
  p->plot[p->plots++] = (thaw_plot){.title = s->parameter.item[parameter],
                                    .x_label = label,
                                    .y_label = s->column.item[s->monitor],
                                    .series = series,
                                    .count = 1};
  return THAW_OK;
}

static thaw_status draw(const thaw_sweep *s) {
  picture p = {.sweep = s, .arena = thaw_arena_create()};
  thaw_status status = p.arena ? add_curves(&p) : THAW_ERR_MEMORY;
  for (size_t i = 0; i < s->parameter.count && i < MOST_PANELS && status == THAW_OK; i++) status = add_parameter(&p, i);
  char *path = thaw_path_join(s->output, "sweep.png");
  if (status == THAW_OK) status = path ? thaw_plot_panels(path, p.plot, p.plots, 2) : THAW_ERR_MEMORY;
  thaw_free(path);
  thaw_arena_destroy(p.arena);
  return status;
}

/* ------------------------------------------------------------------ the best run */

/* best -> 007, replaced in one step. */
static thaw_status link_best(const thaw_sweep *s) {
  char target[16];
  snprintf(target, sizeof target, "%03d", s->order[0] + 1);
  char *path = thaw_path_join(s->output, "best"), *temporary = path ? thaw_file_temporary(path) : NULL;
  thaw_status status = temporary ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) {
    unlink(temporary);
    if (symlink(target, temporary) != 0 || rename(temporary, path) != 0)
      status = thaw_fail(THAW_ERR_DISK, "%s: cannot be made a link to %s: %s", path, target, strerror(errno));
  }
  thaw_free(temporary);
  thaw_free(path);
  return status;
}

thaw_status thaw_sweep_write(const thaw_sweep *s) {
  THAW_TRY(write_csv(s));
  if (s->monitor >= 0) THAW_TRY(draw(s));
  return isnan(s->candidate[s->order[0]].score) ? THAW_OK : link_best(s);
}
