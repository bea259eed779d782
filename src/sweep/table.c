/* Scores, ranks and the table. */
#include "sweep/sweep_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double sweep_best(const thaw_sweep *s, const thaw_sweep_run *run, int64_t epochs, int64_t *row_out) {
  const thaw_train_result *result = &run->result;
  int64_t rows = epochs > 0 && epochs < result->epochs ? epochs : result->epochs;
  double best = NAN;
  for (int64_t row = 0; row < rows; row++) {
    double value = result->history[row * (int64_t)result->columns.count + s->monitor];
    if (!isfinite(value) || !(isnan(best) || (s->maximize ? value > best : value < best))) continue;
    best = value;
    if (row_out) *row_out = row;
  }
  return best;
}

/* The mean over folds; a candidate with a run that failed has no score. */
static double score_of(const thaw_sweep *s, const thaw_sweep_candidate *c, int64_t epochs) {
  double sum = 0;
  for (int32_t fold = 0; fold < sweep_runs(s); fold++) {
    if (!c->run[fold].trained || c->run[fold].status != THAW_OK) return NAN;
    sum += sweep_best(s, &c->run[fold], epochs, NULL);
  }
  return sum / sweep_runs(s);
}

/* Who came further is before, then who scored better, then who was first. */
static bool before(const thaw_sweep *s, int32_t a, int32_t b) {
  const thaw_sweep_candidate *x = &s->candidate[a], *y = &s->candidate[b];
  if (isnan(x->score) || isnan(y->score)) return !isnan(x->score) || (isnan(y->score) && a < b);
  if (x->rung != y->rung) return x->rung > y->rung;
  if (x->score != y->score) return s->maximize ? x->score > y->score : x->score < y->score;
  return a < b;
}

void sweep_rank(thaw_sweep *s, int64_t epochs) {
  for (int32_t c = 0; c < s->candidates; c++) {
    s->candidate[c].score = score_of(s, &s->candidate[c], epochs);
    int32_t at = c; /* insertion: up to 10,000 candidates */
    for (; at > 0 && before(s, c, s->order[at - 1]); at--) s->order[at] = s->order[at - 1];
    s->order[at] = c;
  }
}

void thaw_sweep_mean(const thaw_sweep *s, int32_t candidate, int64_t column, double *mean, double *deviation) {
  const thaw_sweep_candidate *c = &s->candidate[candidate];
  int32_t runs = sweep_runs(s);
  double sum = 0, square = 0, value[128];
  for (int32_t r = 0; r < runs; r++) {
    const thaw_train_result *result = &c->run[r].result;
    int64_t row = 0;
    bool known = c->run[r].status == THAW_OK && !isnan(sweep_best(s, &c->run[r], 0, &row));
    value[r] = known ? result->history[row * (int64_t)result->columns.count + column] : NAN;
    sum += value[r];
  }
  *mean = sum / runs;
  for (int32_t r = 0; r < runs; r++) square += (value[r] - *mean) * (value[r] - *mean);
  *deviation = runs > 1 ? sqrt(square / (runs - 1)) : NAN;
}

/* ------------------------------------------------------------------ the table */

static bool is_shown(const thaw_sweep *s, int64_t column) {
  return column == s->monitor || strncmp(s->column.item[column], "val_", 4) == 0;
}

static void add_cell(const thaw_sweep *s, int32_t candidate, int64_t column, thaw_text *out) {
  char text[48];
  double mean, deviation;
  thaw_sweep_mean(s, candidate, column, &mean, &deviation);
  if (isnan(mean))
    snprintf(text, sizeof text, "-");
  else if (isnan(deviation))
    snprintf(text, sizeof text, "%.5g", mean);
  else
    snprintf(text, sizeof text, "%.5g +- %.2g", mean, deviation);
  thaw_text_add(out, s->folds ? " %22s" : " %14s", text);
}

static int width_of(const thaw_sweep *s, size_t parameter) {
  size_t width = strlen(s->parameter.item[parameter]);
  for (int32_t c = 0; c < s->candidates; c++) {
    size_t length = strlen(s->candidate[c].value[parameter]);
    if (length > width) width = length;
  }
  return (int)(width < 40 ? width : 40);
}

static void add_header(const thaw_sweep *s, thaw_text *out) {
  thaw_text_add(out, "%4s  %-9s", "rank", "candidate");
  for (size_t i = 0; i < s->parameter.count; i++) thaw_text_add(out, "  %-*s", width_of(s, i), s->parameter.item[i]);
  for (int pass = 0; pass < 2; pass++) /* what ranks comes first */
    for (size_t c = 0; c < s->column.count; c++)
      if (is_shown(s, (int64_t)c) && ((int64_t)c == s->monitor) == (pass == 0))
        thaw_text_add(out, s->folds ? " %22s" : " %14s", s->column.item[c]);
  thaw_text_add(out, "  epochs\n");
}

static void add_row(const thaw_sweep *s, int32_t rank, thaw_text *out) {
  int32_t candidate = s->order[rank];
  const thaw_sweep_candidate *c = &s->candidate[candidate];
  int64_t epochs = 0;
  thaw_text_add(out, "%4d  %-9.3d", rank + 1, candidate + 1);
  for (size_t i = 0; i < s->parameter.count; i++) thaw_text_add(out, "  %-*.40s", width_of(s, i), c->value[i]);
  for (int pass = 0; pass < 2; pass++)
    for (size_t k = 0; k < s->column.count; k++)
      if (is_shown(s, (int64_t)k) && ((int64_t)k == s->monitor) == (pass == 0)) add_cell(s, candidate, (int64_t)k, out);
  const char *failed = "";
  for (int32_t r = 0; r < sweep_runs(s); r++) {
    epochs += c->run[r].result.epochs;
    if (c->run[r].status != THAW_OK) failed = "  diverged";
  }
  thaw_text_add(out, "  %6lld%s\n", (long long)(epochs / sweep_runs(s)), failed);
}

void thaw_sweep_table(const thaw_sweep *s, int32_t most, thaw_text *out) {
  add_header(s, out);
  int32_t shown = most && most < s->candidates ? most : s->candidates;
  for (int32_t rank = 0; rank < shown; rank++) add_row(s, rank, out);
  if (shown < s->candidates) thaw_text_add(out, "... %d more in sweep.csv\n", s->candidates - shown);
}
