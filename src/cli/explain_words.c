/* What labels and outputs mean to `thaw explain`: one class of many, any of some labels, or numbers. */
#include "cli/explain.h"

#include <math.h>
#include <string.h>

static bool is_single(const explain *e) {
  return e->kind == THAW_LABEL_CLASS && e->session->outputs == 1;
}

const char *explain_class(const explain *e, int32_t index, char number[16]) {
  if (index >= 0 && (size_t)index < e->session->classes.count) return e->session->classes.item[index];
  snprintf(number, 16, "%d", index);
  return number;
}

const char *explain_output(const explain *e, int32_t output, char number[16]) {
  return explain_class(e, is_single(e) ? 1 : output, number);
}

int32_t explain_default(const explain *e) {
  return e->kind == THAW_LABEL_TARGET || is_single(e) ? 0 : -1;
}

/* The label that is most wrong (top losses), or the present one with the smallest output (`--class label`). */
int32_t explain_label_target(const explain *e, const explain_sample *sample, const float *y, int32_t target) {
  const thaw_session_data *data = &e->session->test;
  bool label = e->options->target && strcmp(e->options->target, "label") == 0;
  bool wrong = e->options->top_losses && !e->options->target;
  if (e->kind != THAW_LABEL_MULTI || e->images || !data->labels || (!label && !wrong)) return target;
  double best = -1;
  for (int32_t k = 0; k < e->session->outputs; k++) {
    double truth = thaw_label(data->labels, (uint64_t)sample->index, k);
    if (truth > 1 || (label && truth != 1)) continue; /* unknown, or absent */
    double value = fabs((double)y[k] - truth);
    if (value > best) best = value, target = k;
  }
  return target;
}

void explain_label_words(const explain *e, const thaw_session_data *data, int64_t sample, thaw_text *out) {
  char number[16];
  const char *separator = "";
  if (!data->labels || sample < 0) return;
  for (int32_t k = 0; k < data->info->label_width; k++) {
    float value = thaw_label(data->labels, (uint64_t)sample, k);
    if (data->info->label_kind == THAW_LABEL_CLASS) {
      thaw_text_add(out, "%s", explain_class(e, (int32_t)value, number));
    } else if (data->info->label_kind == THAW_LABEL_TARGET) {
      thaw_text_add(out, "%s%.4g", separator, (double)value);
      separator = "|";
    } else if (data->info->label_kind == THAW_LABEL_MULTI && value == 1) {
      thaw_text_add(out, "%s%s", separator, explain_class(e, k, number));
      separator = "|";
    }
  }
}

void explain_output_words(const explain *e, const explain_sample *sample, const float *y, thaw_text *out) {
  char number[16];
  const char *separator = "";
  if (e->kind == THAW_LABEL_CLASS) thaw_text_add(out, "%s", explain_class(e, sample->predicted, number));
  for (int32_t k = 0; k < e->session->outputs && e->kind != THAW_LABEL_CLASS; k++) {
    if (e->kind == THAW_LABEL_MULTI && !(y[k] > 0.5f)) continue;
    if (e->kind == THAW_LABEL_MULTI)
      thaw_text_add(out, "%s%s", separator, explain_class(e, k, number));
    else
      thaw_text_add(out, "%s%.4g", separator, (double)y[k]);
    separator = "|";
  }
}
