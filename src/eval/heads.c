/* Several heads on one backbone: which labels each of them learns, and the weighted sum of their losses. */
#include "thaw/eval.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ the labels of one head */

static thaw_status find_column(const thaw_head *head, const char *name, const thaw_dataset_info *data, const char *path,
                               int32_t *out) {
  thaw_text names = {0};
  for (*out = 0; *out < data->label_width; ++*out)
    if (!strcmp(thaw_label_column_of(data, *out).name, name)) return THAW_OK;
  for (int32_t k = 0; k < data->label_width && k < 12; k++)
    thaw_text_add(&names, "%s%s", k ? ", " : "", thaw_label_column_of(data, k).name);
  thaw_status status =
      thaw_fail(THAW_ERR_DATA, "%s: head '%s': the labels have no column '%s', but %s%s", path, head->name, name,
                names.data ? names.data : "none", data->label_width > 12 ? ", ..." : "");
  thaw_text_clear(&names);
  return status;
}

/* The columns are of one kind, and one of classes stands alone. */
static thaw_status find_columns(const thaw_head *head, const thaw_dataset_info *data, const char *path,
                                thaw_head_data *out) {
  for (int32_t i = 0; i < head->columns; i++) {
    THAW_TRY(find_column(head, head->column[i], data, path, &out->column[i]));
    thaw_label_column column = thaw_label_column_of(data, out->column[i]);
    if (i == 0) out->info.label_kind = column.kind;
    if (column.kind != out->info.label_kind)
      return thaw_fail(THAW_ERR_DATA, "%s: head '%s': columns '%s' and '%s' are of different kinds", path, head->name,
                       head->column[0], head->column[i]);
    if (column.kind == THAW_LABEL_CLASS && head->columns > 1)
      return thaw_fail(THAW_ERR_DATA, "%s: head '%s': '%s' has classes, which a head learns alone", path, head->name,
                       head->column[0]);
    for (int32_t c = 0; c < column.classes; c++)
      THAW_TRY(thaw_strings_add(&out->info.classes, data->classes.item[column.first + c]));
    if (column.kind != THAW_LABEL_CLASS) THAW_TRY(thaw_strings_add(&out->info.classes, column.name));
  }
  return THAW_OK;
}

/* Unknown labels are left out by losses of several yes or no; a number is no class. */
static thaw_status check_kind(const thaw_head *head, const thaw_dataset_info *info, const char *path) {
  const char *loss = head->loss->schema->name;
  if (info->label_kind == THAW_LABEL_MULTI && head->loss->fused != THAW_SIGMOID)
    return thaw_fail(THAW_ERR_DATA,
                     "%s: head '%s': its labels are 0, 1 or unknown: they go with binary_crossentropy and "
                     "binary_focal_crossentropy, not with %s",
                     path, head->name, loss);
  if (info->label_kind == THAW_LABEL_TARGET && head->loss->fused != THAW_LINEAR)
    return thaw_fail(THAW_ERR_DATA, "%s: head '%s': its labels are numbers, which %s does not take", path, head->name,
                     loss);
  if (head->scaled && info->label_kind != THAW_LABEL_TARGET)
    return thaw_fail(THAW_ERR_DATA, "%s: head '%s': target_scaling goes with numbers only", path, head->name);
  thaw_status status = thaw_labels_check(head->loss, info, head->outputs, path);
  return status == THAW_OK ? status : thaw_fail_in(status, "head '%s': ", head->name);
}

thaw_status thaw_head_data_open(const thaw_head *head, const thaw_dataset_info *data, const char *path,
                                thaw_head_data *out) {
  *out = (thaw_head_data){.info = *data};
  out->info.classes = out->info.columns = (thaw_strings){0};
  out->info.column = NULL;
  out->info.label_width = head->columns;
  out->column = thaw_new((size_t)head->columns, sizeof *out->column);
  thaw_status status = out->column ? find_columns(head, data, path, out) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = check_kind(head, &out->info, path);
  if (status != THAW_OK) thaw_head_data_clear(out);
  return status;
}

static float settle(thaw_label_kind kind, float value, int32_t unknown) {
  if (kind != THAW_LABEL_MULTI) return value;
  return thaw_label_settle(isnan(value) ? THAW_LABEL_UNKNOWN : value, (thaw_unknown_policy)unknown);
}

thaw_status thaw_head_data_read(const thaw_head *head, const thaw_labels *labels, int64_t count, const char *path,
                                thaw_head_data *out) {
  size_t width = (size_t)head->columns;
  out->info.count = count;
  out->value = thaw_new((size_t)count * width, sizeof *out->value);
  if (!out->value) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < count; i++)
    for (size_t k = 0; k < width; k++)
      out->value[(size_t)i * width + k] =
          settle(out->info.label_kind, thaw_label(labels, (uint64_t)i, out->column[k]), 0);
  out->labels = (thaw_labels){out->value, head->columns, 4};
  for (int64_t i = 0; i < count; i++) out->known += thaw_head_knows(out, (uint64_t)i);
  if (out->known) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: no sample has the labels of head '%s'", path, head->name);
}

void thaw_head_data_clear(thaw_head_data *data) {
  thaw_strings_clear(&data->info.classes);
  thaw_free(data->column);
  thaw_free(data->value);
  *data = (thaw_head_data){0};
}

bool thaw_head_knows(const thaw_head_data *data, uint64_t sample) {
  bool any = false, all = true;
  for (int32_t k = 0; k < data->labels.width; k++) {
    float value = thaw_label(&data->labels, sample, k);
    any |= value != THAW_LABEL_UNKNOWN;
    all &= !isnan(value);
  }
  return data->info.label_kind == THAW_LABEL_MULTI ? any : all;
}

/* ------------------------------------------------------------------ losses of rows */

thaw_status thaw_heads_rows_create(const thaw_head *head, int32_t heads, int32_t rows, bool gradient,
                                   thaw_heads_rows *out) {
  int32_t widest = 1, outputs = 0;
  for (int32_t h = 0; h < heads; h++) {
    int32_t width = head[h].outputs > head[h].columns ? head[h].outputs : head[h].columns;
    if (width > widest) widest = width;
    outputs += head[h].outputs;
  }
  size_t n = (size_t)rows;
  *out = (thaw_heads_rows){.capacity = rows};
  out->label = thaw_new(n * (size_t)widest, sizeof *out->label);
  out->row = thaw_new((size_t)widest, sizeof *out->row);
  out->value = thaw_new(n, sizeof *out->value);
  out->head_value = thaw_new(n * (size_t)heads, sizeof *out->head_value);
  if (gradient) out->dy = thaw_new(n * (size_t)outputs, sizeof *out->dy);
  bool complete = out->label && out->row && out->value && out->head_value && (out->dy || !gradient);
  return complete ? THAW_OK : THAW_ERR_MEMORY;
}

void thaw_heads_rows_clear(thaw_heads_rows *rows) {
  thaw_free(rows->label);
  thaw_free(rows->row);
  thaw_free(rows->value);
  thaw_free(rows->head_value);
  thaw_free(rows->dy);
  *rows = (thaw_heads_rows){0};
}

/* Labels as the loss reads them; anything where they are not known. */
static void gather(const thaw_head *head, const thaw_head_data *data, const uint64_t *sample, int32_t rows,
                   int32_t unknown, float *out) {
  int32_t width = head->loss->label_width(head->outputs);
  for (int32_t r = 0; r < rows; r++) {
    float *row = out + (size_t)r * (size_t)width, class = 0;
    bool known = thaw_head_knows(data, sample[r]);
    if (data->info.label_kind == THAW_LABEL_CLASS && width > 1) {
      if (known) class = thaw_label(&data->labels, sample[r], 0);
      thaw_one_hot(&class, 1, head->outputs, row);
      continue;
    }
    for (int32_t i = 0; i < width; i++)
      row[i] = known || data->info.label_kind == THAW_LABEL_MULTI
                   ? settle(data->info.label_kind, thaw_label(&data->labels, sample[r], i), unknown)
                   : 0;
  }
  thaw_labels_standardize(head->target, rows, head->outputs, out);
}

/* A row whose labels are not known has no loss and no gradient; the mean is still over all rows, as Keras has it with a
 * sample weight of 0. */
static void forget_unknown(const thaw_head *head, const thaw_head_data *data, const uint64_t *sample, int32_t rows,
                           double *value, float *dy) {
  size_t width = (size_t)head->outputs;
  for (int32_t r = 0; r < rows && data->info.label_kind != THAW_LABEL_MULTI && data->known < data->info.count; r++) {
    if (thaw_head_knows(data, sample[r])) continue;
    value[r] = 0;
    if (dy) memset(dy + (size_t)r * width, 0, width * sizeof *dy);
  }
}

static void evaluate_head(const thaw_live *live, const thaw_head *head, const thaw_head_data *data,
                          const uint64_t *sample, int32_t count, double scale, int32_t unknown, float *label,
                          double *value, thaw_live_source *source) {
  const float *y = thaw_live_value(live, head->node), *logits = thaw_live_logits_of(live, head->node);
  bool from_logits = logits && head->loss->fused == thaw_live_activation_of(live, head->node);
  float *dy = source ? (float *)(uintptr_t)source->dy : NULL;
  gather(head, data, sample, count, unknown, label);
  head->loss->evaluate(head->config, label, y, logits, from_logits, count, head->outputs, scale, value, dy);
  forget_unknown(head, data, sample, count, value, dy);
  if (source) source->from_logits = from_logits;
}

void thaw_heads_evaluate(const thaw_live *live, const thaw_head *head, int32_t heads, const thaw_head_data *data,
                         const uint64_t *sample, int32_t count, int64_t batch, int32_t unknown, thaw_heads_rows *rows,
                         thaw_live_source *source) {
  float *dy = rows->dy;
  for (int32_t i = 0; i < count; i++) rows->value[i] = 0;
  for (int32_t h = 0; h < heads; h++) {
    double *value = rows->head_value + (size_t)h * (size_t)rows->capacity;
    if (source) source[h] = (thaw_live_source){.node = head[h].node, .dy = dy};
    if (count > 0)
      evaluate_head(live, &head[h], &data[h], sample, count, head[h].weight / (double)batch, unknown, rows->label,
                    value, source ? &source[h] : NULL);
    for (int32_t i = 0; i < count; i++) rows->value[i] += head[h].weight * value[i];
    if (source) dy += (size_t)count * (size_t)head[h].outputs;
  }
}

double thaw_heads_metric_row(const thaw_metric *metric, const thaw_head *head, const thaw_head_data *data,
                             uint64_t sample, int32_t row, const float *y, thaw_heads_rows *rows) {
  const thaw_head *h = &head[metric->head];
  const thaw_head_data *d = &data[metric->head];
  if (metric->kind == THAW_METRIC_HEAD_LOSS)
    return rows->head_value[(size_t)metric->head * (size_t)rows->capacity + (size_t)row];
  if (!thaw_head_knows(d, sample)) return 0;
  thaw_label_row(&d->labels, sample, rows->row);
  return thaw_metric_row(metric, d->info.label_kind, rows->row, y + h->first, h->outputs);
}

int64_t thaw_heads_metric_count(const thaw_metric *metric, const thaw_head_data *data) {
  return metric->kind == THAW_METRIC_HEAD_LOSS ? data[metric->head].info.count : data[metric->head].known;
}
