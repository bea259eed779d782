/* Subgroups (site, sex, scanner): a CSV file with the column "id" and one column for each attribute. */
#include "cli/scores.h"
#include "thaw/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VALUES = 20, FILE_LIMIT = 1 << 30 };

typedef struct attribute_table {
  thaw_arena *arena;
  thaw_csv *csv;
  int32_t id, columns;
  char **header;
  char **cell; /* [count][columns] by sample; NULL: the id is not listed */
} attribute_table;

typedef struct named_id {
  const char *id;
  int64_t sample;
} named_id;

static int compare_ids(const void *a, const void *b) {
  return strcmp(((const named_id *)a)->id, ((const named_id *)b)->id);
}

static thaw_status read_header(attribute_table *t) {
  bool more = false;
  THAW_TRY(thaw_csv_row(t->csv, &more));
  t->id = more ? thaw_csv_column(t->csv, "id") : -1;
  t->columns = t->csv->fields;
  if (t->id < 0) return thaw_fail(THAW_ERR_DATA, "%s:1: no column 'id' in the header", t->csv->name);
  if (t->columns < 2) return thaw_fail(THAW_ERR_DATA, "%s:1: no column beside 'id'", t->csv->name);
  t->header = thaw_arena_new(t->arena, (size_t)t->columns, sizeof *t->header);
  if (!t->header) return THAW_ERR_MEMORY;
  memcpy(t->header, t->csv->field, (size_t)t->columns * sizeof *t->header);
  return THAW_OK;
}

/* Rows of ids that are not evaluated are passed over: one file may serve all splits. */
static thaw_status read_rows(attribute_table *t, const named_id *sorted, size_t count) {
  t->cell = thaw_arena_new(t->arena, count * (size_t)t->columns, sizeof *t->cell);
  if (!t->cell) return THAW_ERR_MEMORY;
  for (;;) {
    bool more = false;
    THAW_TRY(thaw_csv_row(t->csv, &more));
    if (!more) return THAW_OK;
    if (t->csv->fields != t->columns)
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: %d fields, the header has %d", t->csv->name, (long long)t->csv->line,
                       t->csv->fields, t->columns);
    const named_id key = {t->csv->field[t->id], 0}, *found = bsearch(&key, sorted, count, sizeof *sorted, compare_ids);
    if (!found) continue;
    char **row = t->cell + (size_t)found->sample * (size_t)t->columns;
    if (row[0])
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: id '%s' is listed twice", t->csv->name, (long long)t->csv->line,
                       key.id);
    memcpy(row, t->csv->field, (size_t)t->columns * sizeof *row);
  }
}

static thaw_status read_table(attribute_table *t, const thaw_strings *ids) {
  named_id *sorted = thaw_arena_new(t->arena, ids->count, sizeof *sorted);
  if (!sorted) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < ids->count; i++) sorted[i] = (named_id){ids->item[i], (int64_t)i};
  qsort(sorted, ids->count, sizeof *sorted, compare_ids);
  THAW_TRY(read_header(t));
  return read_rows(t, sorted, ids->count);
}

/* Distinct values of a column, sorted; more than MOST_VALUES: stops there. */
static thaw_status find_values(const attribute_table *t, size_t count, int32_t column, thaw_strings *values) {
  for (size_t i = 0; i < count && values->count <= MOST_VALUES; i++) {
    const char *cell = t->cell[i * (size_t)t->columns + (size_t)column];
    size_t at = 0;
    if (!cell || !*cell) continue;
    while (at < values->count && strcmp(values->item[at], cell)) at++;
    if (at == values->count) THAW_TRY(thaw_strings_add(values, cell));
  }
  for (size_t i = 1; i < values->count; i++) /* insertion sort: few */
    for (size_t j = i; j > 0 && strcmp(values->item[j - 1], values->item[j]) > 0; j--) {
      char *swap = values->item[j];
      values->item[j] = values->item[j - 1];
      values->item[j - 1] = swap;
    }
  return THAW_OK;
}

static void count_answers(const cli_scores *s, const double *weight, cli_subgroup *g) {
  for (int32_t q = 0; q < s->questions; q++) {
    const thaw_binary *b = thaw_scorer_binary(s->scorer, q);
    for (int64_t i = 0; i < b->count; i++)
      if (weight[b->sample[i]] > 0) ++*(b->truth[i] ? &g->positives[q] : &g->negatives[q]);
  }
}

static thaw_status count_groups(const cli_scores *s, const double *weight, cli_subgroup *g) {
  int64_t groups = s->scored.group ? s->scored.groups : s->scored.count;
  uint8_t *seen = thaw_new((size_t)groups, sizeof *seen);
  if (!seen) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < s->scored.count; i++)
    if (weight[i] > 0) {
      int64_t group = s->scored.group ? s->scored.group[i] : i;
      g->samples++;
      g->groups += !seen[group];
      seen[group] = 1;
    }
  thaw_free(seen);
  return THAW_OK;
}

static thaw_status note_subgroup(cli_scores *s, const cli_subgroup *g) {
  char number[16];
  if (g->groups == 1)
    THAW_TRY(cli_scores_note(s, "subgroup %s=%s: one %s only, so no interval", g->column, g->value,
                             s->grouped ? "group" : "sample"));
  const thaw_estimate_of *macro = s->regression ? NULL : &g->estimate[THAW_MACRO_AUROC];
  if (macro && macro->undefined)
    THAW_TRY(cli_scores_note(s, "subgroup %s=%s: %s is not defined in %lld of %d replicates", g->column, g->value,
                             thaw_overall_name(THAW_MACRO_AUROC), (long long)macro->undefined, s->replicates));
  for (int32_t q = 0; q < s->questions; q++)
    if (!g->positives[q] || !g->negatives[q])
      THAW_TRY(cli_scores_note(s, "subgroup %s=%s: class '%s' has no %s: left out of its means", g->column, g->value,
                               thaw_scored_name(&s->scored, q, number), g->positives[q] ? "negative" : "positive"));
  return THAW_OK;
}

static thaw_status add_subgroup(cli_scores *s, const char *column, const char *value, const double *weight,
                                uint64_t seed) {
  if (thaw_grow((void **)&s->subgroup, s->subgroups, &s->subgroup_capacity, sizeof *s->subgroup) != 0)
    return THAW_ERR_MEMORY;
  cli_subgroup *g = &s->subgroup[s->subgroups++];
  *g = (cli_subgroup){.column = thaw_copy_text(column), .value = thaw_copy_text(value)};
  g->positives = thaw_new((size_t)s->questions, sizeof *g->positives);
  g->negatives = thaw_new((size_t)s->questions, sizeof *g->negatives);
  size_t values =
      s->regression ? (size_t)(s->scored.outputs + 1) * THAW_REGRESSION_STATS : (size_t)thaw_scorer_values(s->scorer);
  g->estimate = thaw_new(values, sizeof *g->estimate);
  if (!g->column || !g->value || !g->positives || !g->negatives || !g->estimate) return THAW_ERR_MEMORY;
  count_answers(s, weight, g);
  THAW_TRY(count_groups(s, weight, g));
  if (s->regression)
    THAW_TRY(thaw_regression_estimate(&s->scored, weight, s->replicates, seed, g->estimate));
  else
    THAW_TRY(thaw_scorer_estimate(s->scorer, weight, s->replicates, seed, g->estimate));
  return note_subgroup(s, g);
}

static thaw_status add_column(cli_scores *s, const attribute_table *t, int32_t column, uint64_t seed) {
  size_t count = (size_t)s->scored.count;
  thaw_strings values = {0};
  double *weight = thaw_new(count, sizeof *weight);
  thaw_status status = weight ? find_values(t, count, column, &values) : THAW_ERR_MEMORY;
  if (status == THAW_OK && values.count > MOST_VALUES) {
    status = cli_scores_note(s, "column '%s' of %s has more than %d values: no subgroups", t->header[column],
                             t->csv->name, (int)MOST_VALUES);
  } else {
    for (size_t v = 0; status == THAW_OK && v < values.count; v++) {
      for (size_t i = 0; i < count; i++) {
        const char *cell = t->cell[i * (size_t)t->columns + (size_t)column];
        weight[i] = cell && strcmp(cell, values.item[v]) == 0;
      }
      status = add_subgroup(s, t->header[column], values.item[v], weight, seed);
    }
  }
  int64_t without = 0;
  for (size_t i = 0; i < count; i++) {
    const char *cell = t->cell[i * (size_t)t->columns + (size_t)column];
    without += !cell || !*cell;
  }
  if (status == THAW_OK && without)
    status = cli_scores_note(s, "%lld samples have no '%s' in %s", (long long)without, t->header[column], t->csv->name);
  thaw_strings_clear(&values);
  thaw_free(weight);
  return status;
}

thaw_status cli_scores_subgroups(cli_scores *scores, const char *path, const thaw_strings *ids, uint64_t seed) {
  char *text;
  size_t size;
  THAW_TRY(thaw_file_read(path, FILE_LIMIT, &text, &size));
  attribute_table t = {.arena = thaw_arena_create()};
  t.csv = t.arena ? thaw_csv_open(path, text, size, t.arena) : NULL;
  thaw_status status = t.csv ? read_table(&t, ids) : THAW_ERR_MEMORY;
  for (int32_t c = 0; status == THAW_OK && c < t.columns; c++)
    if (c != t.id) status = add_column(scores, &t, c, seed);
  thaw_arena_destroy(t.arena);
  thaw_free(text);
  return status;
}
