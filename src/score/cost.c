/* What decisions cost: a matrix true x predicted, read from a CSV file. */
#include "thaw/csv.h"
#include "thaw/memory.h"
#include "thaw/score.h"

#include <math.h>
#include <string.h>

void thaw_costs_clear(thaw_costs *costs) {
  thaw_free(costs->cost);
  *costs = (thaw_costs){0};
}

static thaw_status find_class(const thaw_csv *csv, const thaw_strings *classes, const char *name, int32_t *out) {
  for (size_t i = 0; i < classes->count; i++)
    if (strcmp(classes->item[i], name) == 0) {
      *out = (int32_t)i;
      return THAW_OK;
    }
  const char *near = thaw_nearest(name, (const char *const *)classes->item, classes->count);
  return thaw_fail(THAW_ERR_DATA, "%s:%lld: no class is called '%s'%s%s%s", csv->name, (long long)csv->line, name,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

/* The header's classes -> column [classes]: where each class is predicted; all must be there, once. */
static thaw_status read_header(thaw_csv *csv, const thaw_strings *classes, int32_t *column) {
  bool more;
  THAW_TRY(thaw_csv_row(csv, &more));
  for (size_t i = 0; i < classes->count; i++) column[i] = -1;
  for (int32_t f = 1; more && f < csv->fields; f++) {
    int32_t class = 0;
    THAW_TRY(find_class(csv, classes, csv->field[f], &class));
    if (column[class] >= 0) return thaw_fail(THAW_ERR_DATA, "%s: class '%s' is two columns", csv->name, csv->field[f]);
    column[class] = f;
  }
  for (size_t i = 0; i < classes->count; i++)
    if (column[i] < 0)
      return thaw_fail(THAW_ERR_DATA, "%s: no column for class '%s'; the header is true,%s,...", csv->name,
                       classes->item[i], classes->item[0]);
  return THAW_OK;
}

static thaw_status read_row(const thaw_csv *csv, const thaw_strings *classes, const int32_t *column, bool *seen,
                            thaw_costs *costs) {
  int32_t truth = 0;
  THAW_TRY(find_class(csv, classes, csv->field[0], &truth));
  if (seen[truth])
    return thaw_fail(THAW_ERR_DATA, "%s:%lld: class '%s' is two rows", csv->name, (long long)csv->line, csv->field[0]);
  seen[truth] = true;
  for (int32_t p = 0; p < costs->classes; p++) {
    double *to = &costs->cost[(size_t)truth * (size_t)costs->classes + (size_t)p];
    const char *text = column[p] < csv->fields ? csv->field[column[p]] : "";
    if (thaw_parse_double(text, to) != THAW_OK)
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: the cost of '%s' called '%s' is '%s', expected a number", csv->name,
                       (long long)csv->line, csv->field[0], classes->item[p], text);
  }
  return THAW_OK;
}

static thaw_status read_rows(thaw_csv *csv, const thaw_strings *classes, int32_t *column, bool *seen,
                             thaw_costs *costs) {
  THAW_TRY(read_header(csv, classes, column));
  for (;;) {
    bool more;
    THAW_TRY(thaw_csv_row(csv, &more));
    if (!more) break;
    THAW_TRY(read_row(csv, classes, column, seen, costs));
  }
  for (size_t i = 0; i < classes->count; i++)
    if (!seen[i]) return thaw_fail(THAW_ERR_DATA, "%s: no row for class '%s'", csv->name, classes->item[i]);
  return THAW_OK;
}

thaw_status thaw_costs_parse(const char *name, const char *text, size_t size, const thaw_strings *classes,
                             thaw_costs *out) {
  size_t n = classes->count;
  *out = (thaw_costs){.classes = (int32_t)n, .cost = thaw_new(n * n, sizeof *out->cost)};
  thaw_arena *arena = thaw_arena_create();
  thaw_csv *csv = arena ? thaw_csv_open(name, text, size, arena) : NULL;
  int32_t *column = thaw_new(n, sizeof *column);
  bool *seen = thaw_new(n, sizeof *seen);
  thaw_status status = csv && out->cost && column && seen ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && n < 2) status = thaw_fail(THAW_ERR_DATA, "%s: costs need at least two classes", name);
  if (status == THAW_OK) status = read_rows(csv, classes, column, seen, out);
  thaw_arena_destroy(arena);
  thaw_free(column);
  thaw_free(seen);
  if (status != THAW_OK) thaw_costs_clear(out);
  return status;
}

int32_t thaw_costs_decide(const thaw_costs *costs, const double *probability) {
  int32_t best = 0;
  double least = INFINITY;
  for (int32_t p = 0; p < costs->classes; p++) {
    double expected = 0;
    for (int32_t t = 0; t < costs->classes; t++) expected += probability[t] * thaw_cost(costs, t, p);
    if (expected < least) least = expected, best = p;
  }
  return best;
}

/* From the highest score down: the first of equals stays, which calls fewer positive. */
double thaw_costs_threshold(const thaw_costs *costs, const thaw_binary *b) {
  if (costs->classes != 2 || !b->positives || !b->negatives) return NAN;
  double total = (double)b->positives * thaw_cost(costs, 1, 0) + (double)b->negatives * thaw_cost(costs, 0, 0);
  double least = total, threshold = nextafter((double)b->score[0], INFINITY);
  for (int64_t i = 0; i < b->count; i++) {
    int32_t truth = b->truth[i];
    total += thaw_cost(costs, truth, 1) - thaw_cost(costs, truth, 0);
    if (i + 1 < b->count && b->score[i + 1] == b->score[i]) continue;
    if (total < least) least = total, threshold = (double)b->score[i];
  }
  return threshold;
}

/* ------------------------------------------------------------------ means of all samples */

static void add_groups(const double *cost, const int32_t *group, int64_t count, double *sum, double *size) {
  for (int64_t i = 0; i < count; i++) {
    int64_t g = group ? group[i] : i;
    sum[g] += cost[i];
    size[g]++;
  }
}

thaw_status thaw_mean_estimate(const double *value, const int32_t *group, int64_t groups, int64_t count,
                               int32_t replicates, uint64_t seed, thaw_estimate_of *out) {
  size_t n = (size_t)(group ? groups : count);
  double all = 0, *sum = thaw_new(n, sizeof *sum), *size = thaw_new(n, sizeof *size),
         *taken = thaw_new(n, sizeof *taken);
  double *mean = thaw_new((size_t)replicates, sizeof *mean);
  thaw_status status = sum && size && taken && mean ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t i = 0; i < count; i++) all += value[i];
  *out = (thaw_estimate_of){.value = count ? all / (double)count : NAN, .low = NAN, .high = NAN};
  if (status == THAW_OK) add_groups(value, group, count, sum, size);
  for (int32_t r = 0; r < replicates && n > 1 && status == THAW_OK; r++) {
    double weight = 0, total = 0;
    memset(taken, 0, n * sizeof *taken);
    thaw_bootstrap_draw(seed, r, NULL, (int64_t)n, taken);
    for (size_t g = 0; g < n; g++) {
      total += taken[g] * sum[g];
      weight += taken[g] * size[g];
    }
    mean[r] = total / weight;
  }
  if (status == THAW_OK && replicates > 0 && n > 1) {
    out->low = thaw_quantile(mean, replicates, 0.025);
    out->high = thaw_quantile(mean, replicates, 0.975);
  }
  thaw_free(sum);
  thaw_free(size);
  thaw_free(taken);
  thaw_free(mean);
  return status;
}

thaw_status thaw_costs_probabilities(const thaw_scored *scored, double temperature, int64_t row, double *out) {
  const float *y = scored->y + (size_t)row * (size_t)scored->outputs;
  double sum = 0;
  if (scored->outputs == 1) { /* the probability of class 1 */
    double logit = log(fmax((double)y[0], 1e-300)) - log(fmax(1 - (double)y[0], 1e-300));
    out[1] = temperature == 1 ? (double)y[0] : 1 / (1 + exp(-logit / temperature));
    out[0] = 1 - out[1];
    return THAW_OK;
  }
  for (int32_t k = 0; k < scored->outputs; k++) {
    out[k] = temperature == 1 ? (double)y[k] : pow(fmax((double)y[k], 1e-300), 1 / temperature);
    sum += out[k];
  }
  if (!(sum > 0)) return thaw_fail(THAW_ERR_DATA, "sample %lld: its outputs are no probabilities", (long long)row);
  for (int32_t k = 0; k < scored->outputs; k++) out[k] /= sum;
  return THAW_OK;
}
