/* evaluation.json. JSON is a part of YAML, so the job file's reader serves. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <string.h>

enum { FILE_LIMIT = 64 << 20 };

void report_evaluation_clear(report_evaluation *evaluation) {
  thaw_strings_clear(&evaluation->classes);
  thaw_free(evaluation->confusion);
  thaw_arena_destroy(evaluation->arena);
  *evaluation = (report_evaluation){0};
}

static thaw_status read_classes(const thaw_yaml *node, thaw_strings *out) {
  if (!node || node->kind != THAW_YAML_LIST) return THAW_OK;
  for (const thaw_yaml *item = node->child; item; item = item->next)
    THAW_TRY(thaw_strings_add(out, item->kind == THAW_YAML_SCALAR ? item->value : ""));
  return THAW_OK;
}

static thaw_status read_confusion(const char *path, const thaw_yaml *node, report_evaluation *out) {
  if (!node || node->kind != THAW_YAML_LIST || !node->count) return THAW_OK;
  size_t at = 0, classes = (size_t)node->count;
  out->class_count = node->count;
  out->confusion = thaw_new(classes * classes, sizeof *out->confusion);
  if (!out->confusion) return THAW_ERR_MEMORY;
  for (const thaw_yaml *row = node->child; row; row = row->next) {
    if (row->kind != THAW_YAML_LIST || row->count != node->count)
      return thaw_fail(THAW_ERR_DATA, "%s:%d: confusion is not square: %d numbers in a row, %d rows", path, row->line,
                       row->count, node->count);
    for (const thaw_yaml *cell = row->child; cell; cell = cell->next, at++)
      if (cell->kind != THAW_YAML_SCALAR || thaw_parse_int(cell->value, &out->confusion[at]) != THAW_OK ||
          out->confusion[at] < 0)
        return thaw_fail(THAW_ERR_DATA, "%s:%d: confusion holds something else than counts", path, cell->line);
  }
  return THAW_OK;
}

static thaw_status read_tree(const char *path, const char *text, size_t size, report_evaluation *out) {
  thaw_yaml *root;
  out->arena = thaw_arena_create();
  if (!out->arena) return THAW_ERR_MEMORY;
  if (thaw_yaml_parse(path, text, size, out->arena, &root) != THAW_OK)
    return thaw_fail(THAW_ERR_DATA, "%s", thaw_message());
  if (root->kind != THAW_YAML_MAP) return thaw_fail(THAW_ERR_DATA, "%s: not an evaluation: no map of values", path);
  out->root = root;
  THAW_TRY(read_classes(thaw_yaml_get(root, "classes"), &out->classes));
  return read_confusion(path, thaw_yaml_get(root, "confusion"), out);
}

thaw_status report_evaluation_read(const char *path, report_evaluation *out) {
  char *text;
  size_t size;
  *out = (report_evaluation){0};
  THAW_TRY(thaw_file_read(path, FILE_LIMIT, &text, &size));
  thaw_status status = read_tree(path, text, size, out);
  thaw_free(text);
  if (status != THAW_OK) report_evaluation_clear(out);
  return status;
}
