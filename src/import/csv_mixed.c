/* csv_mixed.c: columns of different kinds for several heads: classes, labels of 1, 0 and -1, and targets. What a row
 * does not tell is NaN, and the head of that column will ignore the row. */
#include "import/import_private.h"

#include <math.h>

/* Where the columns of each kind begin: classes first, then labels, then targets. */
typedef struct mixed {
  const import_columns *columns;
  char ***cell;
  const int64_t *line;
  size_t count, labels, targets;
  bool blank_unknown;
  import_source *out;
} mixed;

thaw_status thaw_import__find_mixed(const thaw_csv *csv, const thaw_import_options *options, import_columns *out) {
  const char *list[] = {options->class_columns, options->label_columns, options->target_columns};
  thaw_text names = {0};
  for (size_t i = 0; i < 3; i++)
    if (list[i]) thaw_text_add(&names, "%s%s", names.length ? "," : "", list[i]);
  thaw_status status = names.failed ? THAW_ERR_MEMORY : thaw_import__find_columns(csv, names.data, out);
  for (size_t i = 0; status == THAW_OK && i < out->name.count; i++)
    for (size_t k = 0; status == THAW_OK && k < i; k++)
      if (out->index[k] == out->index[i])
        status = thaw_fail(THAW_ERR_USAGE, "column '%s' is given twice", out->name.item[i]);
  thaw_text_clear(&names);
  return status;
}

static float *value_at(const mixed *m, size_t row, size_t column) {
  return &m->out->target[row * m->columns->name.count + column];
}

static thaw_status add_column(const mixed *m, size_t k, thaw_label_kind kind, size_t classes) {
  thaw_label_column column = {.name = m->columns->name.item[k], .kind = kind, .classes = (int32_t)classes};
  char *text = thaw_label_column_text(&column);
  thaw_status status = text ? thaw_strings_add(&m->out->columns, text) : THAW_ERR_MEMORY;
  thaw_free(text);
  return status;
}

/* The first column of classes is what a split keeps the shares of. */
static thaw_status take_stratum(const mixed *m, const int32_t *index, size_t classes) {
  m->out->class_index = thaw_arena_new(m->out->arena, m->count, sizeof *m->out->class_index);
  if (!m->out->class_index) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < m->count; i++) m->out->class_index[i] = index[i] < 0 ? (int32_t)classes : index[i];
  return THAW_OK;
}

static thaw_status class_column(const mixed *m, size_t k, char **name, int32_t *index) {
  thaw_strings classes = {0};
  for (size_t i = 0; i < m->count; i++) name[i] = m->cell[i][k];
  thaw_status status = thaw_import__name_classes(name, m->count, &classes, index);
  if (status == THAW_OK && !classes.count)
    status = thaw_fail(THAW_ERR_DATA, "%s: column '%s' is empty in every row", m->out->name, m->columns->name.item[k]);
  for (size_t i = 0; status == THAW_OK && i < m->count; i++) *value_at(m, i, k) = index[i] < 0 ? NAN : (float)index[i];
  for (size_t i = 0; status == THAW_OK && i < classes.count; i++)
    status = thaw_strings_add(&m->out->classes, classes.item[i]);
  if (status == THAW_OK) status = add_column(m, k, THAW_LABEL_CLASS, classes.count);
  if (status == THAW_OK && k == 0) status = take_stratum(m, index, classes.count);
  thaw_strings_clear(&classes);
  return status;
}

static thaw_status class_columns(const mixed *m) {
  char **name = thaw_new(m->count, sizeof *name);
  int32_t *index = thaw_new(m->count, sizeof *index);
  thaw_status status = name && index ? THAW_OK : THAW_ERR_MEMORY;
  for (size_t k = 0; status == THAW_OK && k < m->labels; k++) status = class_column(m, k, name, index);
  thaw_free(name);
  thaw_free(index);
  return status;
}

static thaw_status label_column(const mixed *m, size_t k) {
  for (size_t i = 0; i < m->count; i++) {
    uint8_t answer;
    if (!thaw_import__answer(m->cell[i][k], m->blank_unknown, &answer))
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: '%s' in column '%s' is none of 1, 0, -1 and empty", m->out->name,
                       (long long)m->line[i], m->cell[i][k], m->columns->name.item[k]);
    *value_at(m, i, k) = answer == 255 ? NAN : answer;
  }
  return add_column(m, k, THAW_LABEL_MULTI, 0);
}

static thaw_status target_column(const mixed *m, size_t k) {
  for (size_t i = 0; i < m->count; i++) {
    double value = NAN;
    const char *text = m->cell[i][k];
    if (*text && (thaw_parse_double(text, &value) != THAW_OK || !isfinite((float)value)))
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: %s '%s' is no finite number", m->out->name, (long long)m->line[i],
                       m->columns->name.item[k], text);
    *value_at(m, i, k) = (float)value;
  }
  return add_column(m, k, THAW_LABEL_TARGET, 0);
}

static thaw_status count_names(const char *list, size_t *count) {
  thaw_strings names = {0};
  thaw_status status = thaw_import__split_names(list, &names);
  *count = names.count;
  thaw_strings_clear(&names);
  return status;
}

thaw_status thaw_import__mixed(const import_columns *columns, char ***cell, const int64_t *line, size_t count,
                               const thaw_import_options *options, import_source *out) {
  size_t width = columns->name.count, targets;
  mixed m = {columns, cell, line, count, 0, 0, options->blank_unknown, out};
  THAW_TRY(count_names(options->class_columns, &m.labels));
  THAW_TRY(count_names(options->target_columns, &targets));
  m.targets = width - targets;
  out->label_kind = THAW_LABEL_MIXED;
  out->label_width = (int32_t)width;
  out->target = thaw_arena_new(out->arena, count * width, sizeof *out->target);
  if (!out->target) return THAW_ERR_MEMORY;
  THAW_TRY(class_columns(&m));
  for (size_t k = m.labels; k < m.targets; k++) THAW_TRY(label_column(&m, k));
  for (size_t k = m.targets; k < width; k++) THAW_TRY(target_column(&m, k));
  return THAW_OK;
}
