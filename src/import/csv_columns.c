/* csv_columns.c: several columns of a list: one label each (1, 0, -1: unknown), or attributes to tell subgroups by. */
#include "import/import_private.h"
#include "thaw/text.h"

#include <string.h>

thaw_status thaw_import__split_names(const char *text, thaw_strings *out) {
  while (text) {
    const char *comma = strchr(text, ',');
    char *name = thaw_format("%.*s", comma ? (int)(comma - text) : (int)strlen(text), text);
    thaw_status status = name ? thaw_strings_add(out, name) : THAW_ERR_MEMORY;
    thaw_free(name);
    THAW_TRY(status);
    text = comma ? comma + 1 : NULL;
  }
  return THAW_OK;
}

thaw_status thaw_import__find_columns(const thaw_csv *csv, const char *names, import_columns *out) {
  if (!names) return THAW_OK;
  THAW_TRY(thaw_import__split_names(names, &out->name));
  out->index = thaw_arena_new(csv->arena, out->name.count, sizeof *out->index);
  if (!out->index) return THAW_ERR_MEMORY;
  for (size_t k = 0; k < out->name.count; k++) {
    out->index[k] = thaw_csv_column(csv, out->name.item[k]);
    if (out->index[k] >= 0) continue;
    const char *near = thaw_nearest(out->name.item[k], (const char *const *)csv->field, (size_t)csv->fields);
    return thaw_fail(THAW_ERR_DATA, "%s:1: no column '%s' in the header%s%s%s", csv->name, out->name.item[k],
                     near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
  }
  return THAW_OK;
}

/* The row's cells of these columns, in the arena. */
thaw_status thaw_import__take_cells(const thaw_csv *csv, const import_columns *columns, char ***out) {
  *out = NULL;
  if (!columns->name.count) return THAW_OK;
  *out = thaw_arena_new(csv->arena, columns->name.count, sizeof **out);
  if (!*out) return THAW_ERR_MEMORY;
  for (size_t k = 0; k < columns->name.count; k++) (*out)[k] = csv->field[columns->index[k]];
  return THAW_OK;
}

/* CheXpert's notation: 1 there, 0 not there, -1 uncertain; an empty cell was not mentioned. */
bool thaw_import__answer(const char *cell, bool blank_unknown, uint8_t *out) {
  double value = 0;
  if (!*cell) {
    *out = blank_unknown ? 255 : 0;
    return true;
  }
  if (thaw_parse_double(cell, &value) != THAW_OK || (value != 0 && value != 1 && value != -1)) return false;
  *out = value < 0 ? 255 : (uint8_t)value;
  return true;
}

thaw_status thaw_import__answers(const import_columns *columns, char ***cell, const int64_t *line, size_t count,
                                 bool blank_unknown, import_source *out) {
  size_t width = columns->name.count;
  out->label_kind = THAW_LABEL_MULTI;
  out->label_width = (int32_t)width;
  for (size_t k = 0; k < width; k++) THAW_TRY(thaw_strings_add(&out->classes, columns->name.item[k]));
  out->multi = thaw_arena_new(out->arena, count, width);
  if (!out->multi) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < width; k++)
      if (!thaw_import__answer(cell[i][k], blank_unknown, &out->multi[i * width + k]))
        return thaw_fail(THAW_ERR_DATA, "%s:%lld: '%s' in column '%s' is none of 1, 0, -1 and empty", out->name,
                         (long long)line[i], cell[i][k], columns->name.item[k]);
  return THAW_OK;
}

thaw_status thaw_import__write_attributes(const import_source *source, const import_plan *plan, int part) {
  if (!source->attribute || !plan->folder[part]) return THAW_OK;
  thaw_text text = {0};
  thaw_text_add(&text, "id");
  for (size_t k = 0; k < source->attribute_names.count; k++) {
    thaw_text_add(&text, ",");
    thaw_csv_add(&text, source->attribute_names.item[k]);
  }
  thaw_text_add(&text, "\n");
  for (int64_t i = 0; i < plan->size[part]; i++) {
    int64_t sample = plan->order[part][i];
    thaw_csv_add(&text, source->id[sample]);
    for (size_t k = 0; k < source->attribute_names.count; k++) {
      thaw_text_add(&text, ",");
      thaw_csv_add(&text, source->attribute[sample][k]);
    }
    thaw_text_add(&text, "\n");
  }
  char *path = thaw_path_join(plan->folder[part], "subgroups.csv");
  thaw_status status = path && !text.failed ? thaw_file_write(path, text.data, text.length) : THAW_ERR_MEMORY;
  thaw_free(path);
  thaw_text_clear(&text);
  return status;
}
