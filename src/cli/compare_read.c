/* What two runs were asked and what they answered. */
#include "cli/compare.h"
#include "thaw/h5.h"
#include "thaw/memory.h"

#include <string.h>

void evaluated_clear(evaluated *e) {
  thaw_free(e->path);
  thaw_strings_clear(&e->ids);
  thaw_strings_clear(&e->groups);
  thaw_strings_clear(&e->classes);
  thaw_free(e->y);
  thaw_free(e->label);
}

static thaw_status read_arrays(thaw_h5 *file, evaluated *e) {
  thaw_h5_info y, label;
  THAW_TRY(thaw_h5_describe(file, "/predictions", &y));
  if (!thaw_h5_exists(file, "/labels"))
    return thaw_fail(THAW_ERR_DATA, "%s: has no /labels: evaluate the run again, on data with labels", e->path);
  THAW_TRY(thaw_h5_describe(file, "/labels", &label));
  if (y.rank != 2 || y.dim[1] < 1 || y.dim[1] > 1 << 20 || label.rank < 1 || label.rank > 2 ||
      label.dim[0] != y.dim[0] || (label.rank == 2 && label.dim[1] != y.dim[1]))
    return thaw_fail(THAW_ERR_DATA, "%s: /predictions and /labels do not fit together", e->path);
  bool regression = label.type == THAW_H5_F32;
  if (regression && label.rank != 2)
    return thaw_fail(THAW_ERR_DATA, "%s: /labels of a regression have %d dimensions, expected 2", e->path, label.rank);
  e->count = y.dim[0];
  e->outputs = (int32_t)y.dim[1];
  e->y = thaw_new((size_t)y.count, sizeof *e->y);
  e->label = thaw_new((size_t)label.count, sizeof *e->label);
  if (!e->y || !e->label) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_h5_read(file, "/predictions", THAW_H5_F32, y.count, e->y));
  THAW_TRY(thaw_h5_read(file, "/labels", THAW_H5_F32, label.count, e->label));
  THAW_TRY(thaw_h5_read_strings(file, "/ids", 0, e->count, &e->ids));
  THAW_TRY(thaw_h5_read_strings(file, "/groups", 0, e->count, &e->groups));
  if (thaw_h5_has_attribute(file, "/", "classes") || thaw_h5_has_attribute(file, "/", "classes0"))
    THAW_TRY(thaw_h5_get_strings(file, "/", "classes", &e->classes));
  e->scored = (thaw_scored){.count = e->count,
                            .outputs = e->outputs,
                            .kind = regression        ? THAW_LABEL_TARGET
                                    : label.rank == 1 ? THAW_LABEL_CLASS
                                                      : THAW_LABEL_MULTI,
                            .y = e->y,
                            .label = e->label,
                            .classes = &e->classes};
  return THAW_OK;
}

thaw_status evaluated_read(const char *run, evaluated *e) {
  e->path = thaw_folder_exists(run) ? thaw_path_join(run, "predictions.h5") : thaw_copy_text(run);
  if (!e->path) return THAW_ERR_MEMORY;
  char *heads = thaw_path_join(run, "heads");
  bool several = heads && thaw_folder_exists(heads) && !thaw_file_exists(e->path);
  thaw_free(heads);
  if (several) return thaw_fail(THAW_ERR_USAGE, "%s has several heads: compare %s/heads/NAME", run, run);
  if (!thaw_file_exists(e->path))
    return thaw_fail(THAW_ERR_DATA, "%s: no such file: run `thaw evaluate` first", e->path);
  thaw_h5 *file;
  THAW_TRY(thaw_h5_open(e->path, &file));
  thaw_status status = read_arrays(file, e);
  thaw_h5_close(file);
  return status;
}

thaw_status evaluated_check(const evaluated *a, const evaluated *b) {
  if (a->count != b->count)
    return thaw_fail(THAW_ERR_DATA, "%s has %lld samples, %s has %lld: evaluate both on the same data", a->path,
                     (long long)a->count, b->path, (long long)b->count);
  if (a->scored.kind != b->scored.kind || a->outputs != b->outputs)
    return thaw_fail(THAW_ERR_DATA, "%s has %d outputs, %s has %d of another kind or number", a->path, a->outputs,
                     b->path, b->outputs);
  size_t width = a->scored.kind == THAW_LABEL_CLASS ? 1 : (size_t)a->outputs;
  for (int64_t i = 0; i < a->count; i++) {
    if (strcmp(a->ids.item[i], b->ids.item[i]))
      return thaw_fail(THAW_ERR_DATA, "sample %lld is '%s' in %s and '%s' in %s: evaluate both on the same data",
                       (long long)i, a->ids.item[i], a->path, b->ids.item[i], b->path);
    if (memcmp(a->label + (size_t)i * width, b->label + (size_t)i * width, width * sizeof *a->label))
      return thaw_fail(THAW_ERR_DATA, "sample '%s' has other labels in %s than in %s", a->ids.item[i], a->path,
                       b->path);
  }
  return a->count ? THAW_OK : thaw_fail(THAW_ERR_DATA, "%s: no samples", a->path);
}
