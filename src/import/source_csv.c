/* source_csv.c: a CSV list (RFC 4180) with a header: path, label, group. Rank 0 reads; the bytes are broadcast. */
#include "import/import_private.h"
#include "thaw/csv.h"
#include "thaw/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t csv_limit = (size_t)1 << 33;

/* ------------------------------------------------------------------ columns */
typedef struct csv_columns {
  int32_t path, label, group, width; /* -1: absent */
  import_columns labels, attributes;
} csv_columns;

static thaw_status need_column(const thaw_csv *r, const char *name, int32_t column) {
  if (column >= 0) return THAW_OK;
  const char *near = thaw_nearest(name, (const char *const *)r->field, (size_t)r->fields);
  return thaw_fail(THAW_ERR_DATA,
                   near ? "%s:1: no column '%s' in the header (did you mean '%s'?)"
                        : "%s:1: no column '%s' in the header (path,label[,group])",
                   r->name, name, near);
}

static bool is_mixed(const thaw_import_options *options) {
  return options->class_columns || options->target_columns;
}

static thaw_status read_header(thaw_csv *r, const thaw_import_options *options, csv_columns *out) {
  const char *path = options->path_column ? options->path_column : "path";
  const char *label = options->label_column ? options->label_column : "label";
  const char *group = options->group_column ? options->group_column : "group";
  bool more = false;
  THAW_TRY(thaw_csv_row(r, &more));
  if (!more) return thaw_fail(THAW_ERR_DATA, "%s: the file is empty", r->name);
  *out = (csv_columns){thaw_csv_column(r, path),
                       thaw_csv_column(r, label),
                       thaw_csv_column(r, group),
                       r->fields,
                       {{0}, NULL},
                       {{0}, NULL}};
  THAW_TRY(is_mixed(options) ? thaw_import__find_mixed(r, options, &out->labels)
                             : thaw_import__find_columns(r, options->label_columns, &out->labels));
  THAW_TRY(thaw_import__find_columns(r, options->attributes, &out->attributes));
  THAW_TRY(need_column(r, path, out->path));
  bool one_column = options->label_column || (options->regression && !options->label_columns) || options->multi_label;
  if (one_column) THAW_TRY(need_column(r, label, out->label));
  if (options->group_column) THAW_TRY(need_column(r, group, out->group));
  return THAW_OK;
}

/* ------------------------------------------------------------------ rows */
typedef struct csv_rows {
  char **path, **label, **group;
  int64_t *line;
  char ***labels, ***attributes; /* cells of several columns */
  size_t count, capacity[6];
} csv_rows;

static void clear_rows(csv_rows *rows) {
  thaw_free(rows->path);
  thaw_free(rows->label);
  thaw_free(rows->group);
  thaw_free(rows->line);
  thaw_free(rows->labels);
  thaw_free(rows->attributes);
}

static thaw_status add_row(csv_rows *rows, const thaw_csv *r, const csv_columns *column) {
  void **array[6] = {(void **)&rows->path, (void **)&rows->label,  (void **)&rows->group,
                     (void **)&rows->line, (void **)&rows->labels, (void **)&rows->attributes};
  for (int i = 0; i < 6; i++)
    if (thaw_grow(array[i], rows->count, &rows->capacity[i], sizeof(void *)) != 0) return THAW_ERR_MEMORY;
  rows->path[rows->count] = r->field[column->path];
  rows->label[rows->count] = column->label >= 0 ? r->field[column->label] : NULL;
  rows->group[rows->count] = column->group >= 0 ? r->field[column->group] : NULL;
  rows->line[rows->count] = r->line;
  THAW_TRY(thaw_import__take_cells(r, &column->labels, &rows->labels[rows->count]));
  THAW_TRY(thaw_import__take_cells(r, &column->attributes, &rows->attributes[rows->count]));
  rows->count++;
  return THAW_OK;
}

static thaw_status read_rows(thaw_csv *r, const csv_columns *column, csv_rows *rows) {
  for (;;) {
    bool more = false;
    THAW_TRY(thaw_csv_row(r, &more));
    if (!more) return THAW_OK;
    if (r->fields != column->width)
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: %d fields, the header has %d", r->name, (long long)r->line,
                       (int)r->fields, (int)column->width);
    if (!r->field[column->path][0])
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: the path is empty", r->name, (long long)r->line);
    THAW_TRY(add_row(rows, r, column));
  }
}

/* ------------------------------------------------------------------ labels */
static int compare_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whole numbers in order of value, everything else in order of bytes. */
static int compare_number(const void *a, const void *b) {
  int64_t x = 0, y = 0;
  if (thaw_parse_int(*(char *const *)a, &x) != THAW_OK || thaw_parse_int(*(char *const *)b, &y) != THAW_OK)
    return compare_text(a, b);
  return x < y ? -1 : x > y;
}

/* Distinct names, sorted; "unknown" names are none. */
static thaw_status collect_classes(char **name, size_t count, thaw_strings *classes) {
  bool numbers = true;
  int64_t value;
  for (size_t i = 0; i < count && numbers; i++) numbers = thaw_parse_int(name[i], &value) == THAW_OK;
  qsort(name, count, sizeof *name, numbers ? compare_number : compare_text);
  for (size_t i = 0; i < count; i++)
    if (i == 0 || strcmp(name[i], name[i - 1]) != 0) THAW_TRY(thaw_strings_add(classes, name[i]));
  return THAW_OK;
}

typedef struct named_index {
  const char *name;
  int32_t index;
} named_index;

static int compare_named(const void *a, const void *b) {
  return strcmp(((const named_index *)a)->name, ((const named_index *)b)->name);
}

/* The classes sorted by bytes, for look-up. */
static named_index *make_index(const thaw_strings *classes) {
  named_index *index = thaw_new(classes->count, sizeof *index);
  if (!index) return NULL;
  for (size_t i = 0; i < classes->count; i++) index[i] = (named_index){classes->item[i], (int32_t)i};
  qsort(index, classes->count, sizeof *index, compare_named);
  return index;
}

static int32_t look_up(const named_index *index, size_t count, const char *name) {
  const named_index key = {name, 0}, *found = bsearch(&key, index, count, sizeof *index, compare_named);
  return found ? found->index : -1;
}

thaw_status thaw_import__name_classes(char *const *label, size_t count, thaw_strings *classes, int32_t *index) {
  char **name = thaw_new(count, sizeof *name);
  size_t named = 0;
  if (!name) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < count; i++)
    if (label[i][0]) name[named++] = label[i];
  thaw_status status = collect_classes(name, named, classes);
  thaw_free(name);
  named_index *sorted = status == THAW_OK ? make_index(classes) : NULL;
  if (status == THAW_OK && !sorted) status = THAW_ERR_MEMORY;
  for (size_t i = 0; status == THAW_OK && i < count; i++)
    index[i] = label[i][0] ? look_up(sorted, classes->count, label[i]) : -1;
  thaw_free(sorted);
  return status;
}

static thaw_status class_labels(const char *name, const csv_rows *rows, import_source *out) {
  out->label_kind = THAW_LABEL_CLASS;
  out->label_width = 1;
  for (size_t i = 0; i < rows->count; i++)
    if (!rows->label[i][0])
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: the label is empty", name, (long long)rows->line[i]);
  out->class_index = thaw_arena_new(out->arena, rows->count, sizeof *out->class_index);
  if (!out->class_index) return THAW_ERR_MEMORY;
  return thaw_import__name_classes(rows->label, rows->count, &out->classes, out->class_index);
}

/* One target for each of the columns that --label-columns names. */
static thaw_status target_columns(const csv_columns *column, const csv_rows *rows, import_source *out) {
  size_t width = column->labels.name.count;
  out->label_kind = THAW_LABEL_TARGET;
  out->label_width = (int32_t)width;
  out->target = thaw_arena_new(out->arena, rows->count * width, sizeof *out->target);
  if (!out->target) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < rows->count * width; i++) {
    const char *text = rows->labels[i / width][i % width], *name = column->labels.name.item[i % width];
    double value = 0;
    if (!*text)
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: %s is empty", out->name, (long long)rows->line[i / width], name);
    if (thaw_parse_double(text, &value) != THAW_OK || !isfinite((float)value))
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: %s '%s' is no finite number", out->name,
                       (long long)rows->line[i / width], name, text);
    out->target[i] = (float)value;
  }
  for (size_t i = 0; i < width; i++) THAW_TRY(thaw_strings_add(&out->classes, column->labels.name.item[i]));
  return THAW_OK;
}

static thaw_status target_labels(const char *name, const csv_rows *rows, import_source *out) {
  out->label_kind = THAW_LABEL_TARGET;
  out->label_width = 1;
  out->target = thaw_arena_new(out->arena, rows->count, sizeof *out->target);
  if (!out->target) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < rows->count; i++) {
    double value = 0;
    if (thaw_parse_double(rows->label[i], &value) != THAW_OK || !isfinite((float)value))
      return thaw_fail(THAW_ERR_DATA, "%s:%lld: label '%s' is no number", name, (long long)rows->line[i],
                       rows->label[i]);
    out->target[i] = (float)value;
  }
  return THAW_OK;
}

/* Splits "a|b|c" in place into `out`; empty parts count for nothing. */
static thaw_status split_names(char *text, char ***out, size_t *count, size_t *capacity) {
  for (char *at = text; at;) {
    char *bar = strchr(at, '|');
    if (bar) *bar = 0;
    if (at[0]) {
      if (thaw_grow((void **)out, *count, capacity, sizeof **out) != 0) return THAW_ERR_MEMORY;
      (*out)[(*count)++] = at;
    }
    at = bar ? bar + 1 : NULL;
  }
  return THAW_OK;
}

static thaw_status fill_multi(const csv_rows *rows, char *const *name, const size_t *end, import_source *out) {
  named_index *index = make_index(&out->classes);
  if (!index) return THAW_ERR_MEMORY;
  for (size_t i = 0, k = 0; i < rows->count; i++)
    for (; k < end[i]; k++) {
      const int32_t found = look_up(index, out->classes.count, name[k]);
      if (found >= 0) out->multi[i * out->classes.count + (size_t)found] = 1;
    }
  thaw_free(index);
  return THAW_OK;
}

/* Every name that occurs is a column; "No Finding" (ChestX-ray14's word for none) is not. */
static thaw_status multi_classes(char *const *name, size_t count, import_source *out) {
  char **sorted = thaw_new(count, sizeof *sorted);
  size_t kept = 0;
  if (!sorted) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < count; i++)
    if (strcmp(name[i], "No Finding") != 0) sorted[kept++] = name[i];
  thaw_status status = collect_classes(sorted, kept, &out->classes);
  thaw_free(sorted);
  if (status == THAW_OK && out->classes.count == 0)
    status = thaw_fail(THAW_ERR_DATA, "%s: no row names a class", out->name);
  return status;
}

static thaw_status multi_labels(const csv_rows *rows, import_source *out) {
  char **name = NULL;
  size_t count = 0, capacity = 0;
  size_t *end = thaw_new(rows->count, sizeof *end);
  thaw_status status = end ? THAW_OK : THAW_ERR_MEMORY;
  for (size_t i = 0; status == THAW_OK && i < rows->count; i++) {
    status = split_names(rows->label[i], &name, &count, &capacity);
    end[i] = count;
  }
  if (status == THAW_OK) status = multi_classes(name, count, out);
  out->label_kind = THAW_LABEL_MULTI;
  out->label_width = (int32_t)out->classes.count;
  if (status == THAW_OK) {
    out->multi = thaw_arena_new(out->arena, rows->count, out->classes.count);
    status = out->multi ? fill_multi(rows, name, end, out) : THAW_ERR_MEMORY;
  }
  thaw_free(name);
  thaw_free(end);
  return status;
}

static thaw_status take_labels(const char *name, const csv_rows *rows, bool labelled,
                               const thaw_import_options *options, import_source *out) {
  out->label_kind = THAW_LABEL_NONE;
  out->label_width = 1;
  if (!labelled) return THAW_OK;
  if (options->regression) return target_labels(name, rows, out);
  if (options->multi_label) return multi_labels(rows, out);
  return class_labels(name, rows, out);
}

/* ------------------------------------------------------------------ all together */
static thaw_status check_unique(const char *name, const csv_rows *rows) {
  char **path = thaw_new(rows->count, sizeof *path);
  if (!path) return THAW_ERR_MEMORY;
  memcpy(path, rows->path, rows->count * sizeof *path);
  qsort(path, rows->count, sizeof *path, compare_text);
  thaw_status status = THAW_OK;
  for (size_t i = 1; status == THAW_OK && i < rows->count; i++)
    if (strcmp(path[i], path[i - 1]) == 0) status = thaw_fail(THAW_ERR_DATA, "%s: '%s' is listed twice", name, path[i]);
  thaw_free(path);
  return status;
}

static thaw_status take_paths(const csv_rows *rows, const char *folder, bool grouped, import_source *out) {
  out->id = thaw_arena_new(out->arena, rows->count, sizeof *out->id);
  out->path = thaw_arena_new(out->arena, rows->count, sizeof *out->path);
  out->group = grouped ? thaw_arena_new(out->arena, rows->count, sizeof *out->group) : NULL;
  if (!out->id || !out->path || (grouped && !out->group)) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < rows->count; i++) {
    char *path = thaw_path_join(folder, rows->path[i]);
    out->id[i] = rows->path[i];
    out->path[i] = thaw_arena_text(out->arena, path);
    if (grouped) out->group[i] = rows->group[i];
    thaw_free(path);
    if (!out->path[i]) return THAW_ERR_MEMORY;
  }
  return THAW_OK;
}

/* Classes were found over all rows, so that the range does not change their indices. */
static thaw_status cut_range(const thaw_import_options *options, int64_t count, import_source *out) {
  const int64_t first = options->first;
  if (first >= count)
    return thaw_fail(THAW_ERR_USAGE, "%s: holds %lld rows, --first %lld leaves none", out->name, (long long)count,
                     (long long)first);
  out->id += first;
  out->path += first;
  if (out->group) out->group += first;
  if (out->attribute) out->attribute += first;
  if (out->class_index) out->class_index += first;
  if (out->target) out->target += first * out->label_width;
  if (out->multi) out->multi += first * out->label_width;
  out->count = count - first;
  if (options->limit > 0 && options->limit < out->count) out->count = options->limit;
  return THAW_OK;
}

/* Cells live in the arena; only the list of rows is copied. */
static thaw_status take_attributes(csv_rows *rows, csv_columns *column, import_source *out) {
  if (!column->attributes.name.count) return THAW_OK;
  out->attribute = thaw_arena_new(out->arena, rows->count, sizeof *out->attribute);
  if (!out->attribute) return THAW_ERR_MEMORY;
  memcpy(out->attribute, rows->attributes, rows->count * sizeof *out->attribute);
  out->attribute_names = column->attributes.name;
  column->attributes.name = (thaw_strings){0};
  return THAW_OK;
}

static thaw_status parse_rows(thaw_csv *r, csv_columns *column, csv_rows *rows, const char *folder,
                              const thaw_import_options *options, import_source *out) {
  THAW_TRY(read_header(r, options, column));
  THAW_TRY(read_rows(r, column, rows));
  if (rows->count == 0) return thaw_fail(THAW_ERR_DATA, "%s: no rows after the header", r->name);
  THAW_TRY(check_unique(r->name, rows));
  THAW_TRY(take_paths(rows, folder, column->group >= 0, out));
  THAW_TRY(take_attributes(rows, column, out));
  if (is_mixed(options))
    THAW_TRY(thaw_import__mixed(&column->labels, rows->labels, rows->line, rows->count, options, out));
  else if (column->labels.name.count && options->regression)
    THAW_TRY(target_columns(column, rows, out));
  else if (column->labels.name.count)
    THAW_TRY(thaw_import__answers(&column->labels, rows->labels, rows->line, rows->count, options->blank_unknown, out));
  else
    THAW_TRY(take_labels(r->name, rows, column->label >= 0, options, out));
  return cut_range(options, (int64_t)rows->count, out);
}

static thaw_status parse_all(thaw_csv *r, csv_rows *rows, const char *folder, const thaw_import_options *options,
                             import_source *out) {
  csv_columns column = {.path = -1};
  thaw_status status = parse_rows(r, &column, rows, folder, options, out);
  thaw_strings_clear(&column.labels.name);
  thaw_strings_clear(&column.attributes.name);
  return status;
}

thaw_status thaw_import__parse_csv(const char *name, const char *text, size_t size, const char *folder,
                                   const thaw_import_options *options, import_source *out) {
  csv_rows rows = {0};
  thaw_csv *reader = thaw_csv_open(name, text, size, out->arena);
  if (!reader) return THAW_ERR_MEMORY;
  out->name = name;
  thaw_status status = parse_all(reader, &rows, folder, options, out);
  clear_rows(&rows);
  return status;
}

thaw_status thaw_import__open_csv(thaw_comm *comm, const thaw_import_options *options, import_source *out) {
  const bool root = thaw_comm_rank(comm) == 0;
  char *text = NULL, *folder = thaw_path_folder(options->source);
  size_t size = 0;
  thaw_status status = folder ? THAW_OK : THAW_ERR_MEMORY;
  if (root && status == THAW_OK) status = thaw_file_read(options->source, csv_limit, &text, &size);
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = thaw_comm_broadcast_new(comm, 0, &text, &size);
  if (status == THAW_OK)
    status = thaw_agree(comm, thaw_import__parse_csv(options->source, text, size, folder, options, out));
  thaw_free(text);
  thaw_free(folder);
  return status;
}
