/* columns.c: what the columns of a dataset's labels mean, one by one. */
#include "shard/shard_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "target age", "label edema", "class:3 diagnosis": three class names of info->classes. */
static bool parse(const char *text, thaw_label_column *out) {
  *out = (thaw_label_column){0};
  if (!strncmp(text, "target ", 7)) {
    out->kind = THAW_LABEL_TARGET;
    out->name = text + 7;
  } else if (!strncmp(text, "label ", 6)) {
    out->kind = THAW_LABEL_MULTI;
    out->name = text + 6;
  } else if (!strncmp(text, "class:", 6)) {
    char *end;
    long classes = strtol(text + 6, &end, 10);
    if (classes < 1 || classes > 1000000 || *end != ' ') return false;
    out->kind = THAW_LABEL_CLASS;
    out->classes = (int32_t)classes;
    out->name = end + 1;
  }
  return out->name && *out->name;
}

char *thaw_label_column_text(const thaw_label_column *column) {
  if (column->kind == THAW_LABEL_CLASS) return thaw_format("class:%d %s", column->classes, column->name);
  return thaw_format("%s %s", column->kind == THAW_LABEL_TARGET ? "target" : "label", column->name);
}

thaw_label_column thaw_label_column_of(const thaw_dataset_info *info, int32_t index) {
  thaw_label_column out = {.name = "", .kind = info->label_kind};
  if (info->label_kind == THAW_LABEL_CLASS) {
    out.name = "class";
    out.classes = (int32_t)info->classes.count;
  }
  if (info->label_kind != THAW_LABEL_MIXED) {
    if (info->label_kind != THAW_LABEL_CLASS && (size_t)index < info->classes.count)
      out.name = info->classes.item[index];
    return out;
  }
  if (info->column) return info->column[index];
  for (int32_t k = 0, first = 0; k <= index && (size_t)k < info->columns.count; k++) {
    (void)parse(info->columns.item[k], &out); /* checked when the data were opened */
    out.first = first;
    first += out.classes;
  }
  return out;
}

thaw_status thaw_shard__check_columns(const char *path, thaw_dataset_info *info) {
  enum { MOST = 65536 };
  size_t classes = 0;
  if (info->label_kind != THAW_LABEL_MIXED) return THAW_OK;
  if (info->columns.count != (size_t)info->label_width)
    return thaw_fail(THAW_ERR_DATA, "%s: %zu columns are described, the labels have %d", path, info->columns.count,
                     (int)info->label_width);
  if (info->columns.count > MOST)
    return thaw_fail(THAW_ERR_DATA, "%s: %zu columns, at most %d are possible", path, info->columns.count, (int)MOST);
  thaw_label_column *all = info->column = thaw_new(info->columns.count, sizeof *all);
  if (!all) return THAW_ERR_MEMORY;
  for (size_t k = 0; k < info->columns.count; k++) {
    if (!parse(info->columns.item[k], &all[k]))
      return thaw_fail(THAW_ERR_DATA, "%s: column '%.80s' is none of 'class:N NAME', 'label NAME' and 'target NAME'",
                       path, info->columns.item[k]);
    all[k].first = (int32_t)(classes < INT32_MAX ? classes : 0);
    classes += (size_t)all[k].classes;
  }
  if (classes == info->classes.count) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: the columns speak of %zu classes, %zu are named", path, classes,
                   info->classes.count);
}

/* NaN is what is not known. */
static bool fits(const thaw_label_column *column, float value) {
  if (isnan(value)) return true;
  if (column->kind == THAW_LABEL_TARGET) return isfinite(value);
  if (column->kind == THAW_LABEL_MULTI) return value == 0 || value == 1;
  return value >= 0 && value < (float)column->classes && value == floorf(value);
}

thaw_status thaw_shard__check_mixed(const char *path, const thaw_dataset_info *info, int64_t first, int64_t rows,
                                    const float *value) {
  for (int32_t k = 0; k < info->label_width; k++) {
    thaw_label_column column = thaw_label_column_of(info, k);
    for (int64_t i = 0; i < rows; i++) {
      float found = value[i * info->label_width + k];
      if (!fits(&column, found))
        return thaw_fail(THAW_ERR_DATA, "%s: row %lld: %g is no value of column '%s'", path, (long long)(first + i),
                         (double)found, column.name);
    }
  }
  return THAW_OK;
}
