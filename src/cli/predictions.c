#include "cli/predictions.h"
#include "thaw/csv.h"
#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/text.h"

#include <stdio.h>
#include <string.h>

static int32_t predicted_class(const cli_predictions *p, const float *y) {
  int32_t best = 0;
  if (p->outputs == 1) return y[0] > 0.5f;
  for (int32_t i = 1; i < p->outputs; i++)
    if (y[i] > y[best]) best = i;
  return best;
}

static const char *class_name(const cli_predictions *p, int32_t index, char number[16]) {
  if (p->classes && (size_t)index < p->classes->count) return p->classes->item[index];
  snprintf(number, 16, "%d", index);
  return number;
}

/* Whether a head's largest output names a class. */
static bool head_classifies(const thaw_head *head) {
  return head->outputs > 1 && head->loss->fused == THAW_SOFTMAX;
}

static int32_t head_class(const thaw_head *head, const float *y) {
  int32_t best = 0;
  for (int32_t i = 1; i < head->outputs; i++)
    if (y[head->first + i] > y[head->first + best]) best = i;
  return best;
}

/* "diagnosis", then "diagnosis:normal", ... */
static void add_head_names(const cli_predictions *p, const thaw_head *head, thaw_text *out) {
  char number[16];
  if (head_classifies(head)) {
    thaw_text_add(out, ",");
    thaw_csv_add(out, head->name);
  }
  for (int32_t i = 0; i < head->outputs; i++) {
    thaw_text_add(out, ",");
    thaw_csv_add(out, class_name(p, head->first + i, number));
  }
}

static void add_head_values(const cli_predictions *p, const thaw_head *head, const float *y, bool failed,
                            thaw_text *out) {
  char number[16];
  if (head_classifies(head)) {
    const char *name = class_name(p, head->first + head_class(head, y), number);
    size_t length = strlen(head->name);
    if (!strncmp(name, head->name, length) && name[length] == ':') name += length + 1;
    thaw_text_add(out, ",");
    if (!failed) thaw_csv_add(out, name);
  }
  for (int32_t i = 0; i < head->outputs; i++)
    if (failed)
      thaw_text_add(out, ",");
    else
      thaw_text_add(out, ",%.9g", (double)y[head->first + i]);
}

static void add_header(const cli_predictions *p, thaw_text *out) {
  char number[16];
  thaw_text_add(out, "id%s", p->classifies ? ",class" : "");
  for (int32_t h = 0; h < p->heads; h++) add_head_names(p, &p->head[h], out);
  for (int32_t i = 0; i < p->outputs && !p->heads; i++) {
    thaw_text_add(out, ",");
    if (p->outputs == 1 && p->classifies)
      thaw_csv_add(out, "probability");
    else
      thaw_csv_add(out, class_name(p, i, number));
  }
  thaw_text_add(out, "%s\n", p->errors ? ",error" : "");
}

static void add_row(const cli_predictions *p, int64_t row, thaw_text *out) {
  const float *y = p->y + (size_t)row * (size_t)p->outputs;
  const char *error = p->errors ? p->errors->item[row] : "";
  char number[16];
  thaw_csv_add(out, p->ids->item[row]);
  if (p->classifies) {
    thaw_text_add(out, ",");
    if (!*error) thaw_csv_add(out, class_name(p, predicted_class(p, y), number));
  }
  for (int32_t h = 0; h < p->heads; h++) add_head_values(p, &p->head[h], y, *error, out);
  for (int32_t i = 0; i < p->outputs && !p->heads; i++)
    if (*error)
      thaw_text_add(out, ",");
    else
      thaw_text_add(out, ",%.9g", (double)y[i]);
  if (p->errors) {
    thaw_text_add(out, ",");
    thaw_csv_add(out, error);
  }
  thaw_text_add(out, "\n");
}

static thaw_status write_csv(const char *path, const cli_predictions *p) {
  thaw_text text = {0};
  add_header(p, &text);
  for (int64_t row = 0; row < p->count; row++) add_row(p, row, &text);
  thaw_status status = text.failed ? THAW_ERR_MEMORY : thaw_file_write(path, text.data, text.length);
  thaw_text_clear(&text);
  return status;
}

/* Class indices, or rows of 0, 1 and 255, or of targets. */
static thaw_status write_labels(thaw_h5 *file, const cli_predictions *p) {
  if (!p->labels || p->label_kind == THAW_LABEL_NONE) return THAW_OK;
  int32_t width = p->labels->width;
  thaw_h5_type type = p->label_kind == THAW_LABEL_TARGET ? THAW_H5_F32 : THAW_H5_I32;
  const thaw_h5_layout layout = {type, p->label_kind == THAW_LABEL_CLASS ? 1 : 2, {p->count, width}, 65536, 0};
  float *row = thaw_new((size_t)p->count * (size_t)width, sizeof *row);
  int32_t *whole = thaw_new((size_t)p->count * (size_t)width, sizeof *whole);
  thaw_status status = row && whole ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) {
    for (int64_t i = 0; i < p->count; i++) thaw_label_row(p->labels, (uint64_t)i, row + (size_t)i * (size_t)width);
    for (size_t i = 0; i < (size_t)p->count * (size_t)width; i++) whole[i] = (int32_t)row[i];
    status = thaw_h5_write(file, "/labels", &layout, type == THAW_H5_F32 ? (void *)row : (void *)whole);
  }
  thaw_free(row);
  thaw_free(whole);
  return status;
}

static thaw_status write_head_classes(thaw_h5 *file, const cli_predictions *p, int32_t *class_index) {
  const thaw_h5_layout column = {THAW_H5_I32, 1, {p->count}, 65536, 0};
  for (int32_t h = 0; h < p->heads; h++) {
    if (!head_classifies(&p->head[h])) continue;
    for (int64_t row = 0; row < p->count; row++) {
      bool failed = p->errors && p->errors->item[row][0];
      class_index[row] = failed ? -1 : head_class(&p->head[h], p->y + (size_t)row * (size_t)p->outputs);
    }
    char *name = thaw_format("/class_%s", p->head[h].name);
    thaw_status status = name ? thaw_h5_write(file, name, &column, class_index) : THAW_ERR_MEMORY;
    thaw_free(name);
    THAW_TRY(status);
  }
  return THAW_OK;
}

static thaw_status fill_h5(thaw_h5 *file, const cli_predictions *p, int32_t *class_index) {
  const thaw_h5_layout rows = {THAW_H5_F32, 2, {p->count, p->outputs}, 1024, 0};
  const thaw_h5_layout column = {THAW_H5_I32, 1, {p->count}, 65536, 0};
  THAW_TRY(thaw_h5_set_text(file, "/", "format", "thaw-predictions"));
  if (p->classes && p->classes->count) THAW_TRY(thaw_h5_set_strings(file, "/", "classes", p->classes));
  THAW_TRY(thaw_h5_write_strings(file, "/ids", p->ids));
  if (p->errors) THAW_TRY(thaw_h5_write_strings(file, "/errors", p->errors));
  THAW_TRY(thaw_h5_write(file, "/predictions", &rows, p->y));
  if (p->groups) THAW_TRY(thaw_h5_write_strings(file, "/groups", p->groups));
  THAW_TRY(write_labels(file, p));
  if (!p->classifies) return write_head_classes(file, p, class_index);
  for (int64_t row = 0; row < p->count; row++) {
    bool failed = p->errors && p->errors->item[row][0];
    class_index[row] = failed ? -1 : predicted_class(p, p->y + (size_t)row * (size_t)p->outputs);
  }
  return thaw_h5_write(file, "/class", &column, class_index);
}

static thaw_status write_h5(const char *path, const cli_predictions *p) {
  thaw_h5 *file;
  int32_t *class_index = thaw_new((size_t)p->count, sizeof *class_index);
  if (!class_index) return THAW_ERR_MEMORY;
  thaw_status status = thaw_h5_create(path, &file);
  if (status == THAW_OK) {
    status = fill_h5(file, p, class_index);
    if (status == THAW_OK)
      status = thaw_h5_commit(file);
    else
      thaw_h5_close(file);
  }
  thaw_free(class_index);
  return status;
}

thaw_status cli_predictions_write(const char *path, const cli_predictions *predictions) {
  size_t length = strlen(path);
  bool h5 = length > 3 && strcmp(path + length - 3, ".h5") == 0;
  return h5 ? write_h5(path, predictions) : write_csv(path, predictions);
}
