/* What the labels of a data set leave open: a class without a sample, a label that is never (or always) true, samples
 * of which nothing is known. A figure over them would look like any other, so they are told before the first step. */
#include "thaw/log.h"
#include "thaw/memory.h"
#include "thaw/text.h"
#include "train/train_private.h"

#include <math.h>
#include <stdio.h>

typedef struct label_counts {
  int32_t width;
  bool training;     /* unknown labels are what the job takes them for */
  int64_t *yes, *no; /* [width]; of classes: samples, and nothing */
  int64_t silent;    /* samples without a label that the loss knows */
  int64_t blind;     /* samples without a known label, whatever unknown ones are taken for */
} label_counts;

static void count_row(const thaw_session *s, const thaw_session_data *data, int64_t i, label_counts *out) {
  bool known = false, seen = false;
  for (int32_t c = 0; c < out->width; c++) {
    float label = thaw_label(data->labels, (uint64_t)i, c);
    seen |= label != THAW_LABEL_UNKNOWN;
    if (out->training) label = train_known_label(s, label);
    if (label == THAW_LABEL_UNKNOWN) continue;
    known = true;
    ++*(label > 0.5f ? &out->yes[c] : &out->no[c]);
  }
  out->silent += !known;
  out->blind += !seen;
}

static void count_labels(const thaw_session *s, const thaw_session_data *data, label_counts *out) {
  for (int64_t i = 0; i < data->info->count; i++) {
    float label = thaw_label(data->labels, (uint64_t)i, 0);
    if (data->info->label_kind != THAW_LABEL_CLASS)
      count_row(s, data, i, out);
    else if (isnan(label)) /* of one of several heads */
      out->silent++, out->blind++;
    else if ((int32_t)label < out->width)
      out->yes[(int32_t)label]++;
  }
}

/* "the training data has no positive of 2 of 5 labels: 'Edema', 'Fracture'". */
static thaw_status warn_without(const thaw_session_data *data, const int64_t *count, int32_t width, const char *what,
                                const char *name, thaw_log *log) {
  const thaw_strings *classes = &data->info->classes;
  const char *things = data->info->label_kind == THAW_LABEL_CLASS ? "classes" : "labels";
  thaw_text text = {0};
  const int32_t missing = thaw_text_add_missing(&text, things, classes->item, classes->count, count, width);
  if (missing && !text.failed) thaw_warn(log, "%s has no %s of %s", name, what, text.data);
  thaw_status status = text.failed ? THAW_ERR_MEMORY : THAW_OK;
  thaw_text_clear(&text);
  return status;
}

static thaw_status warn_counts(const thaw_session_data *data, const label_counts *n, const char *name, thaw_log *log) {
  if (data->info->label_kind == THAW_LABEL_CLASS) return warn_without(data, n->yes, n->width, "sample", name, log);
  THAW_TRY(warn_without(data, n->yes, n->width, "positive", name, log));
  THAW_TRY(warn_without(data, n->no, n->width, "negative", name, log));
  if (n->silent)
    thaw_warn(log, "%lld of %lld samples of %s have no known label: they count as without error in the loss",
              (long long)n->silent, (long long)data->info->count, name);
  return THAW_OK;
}

static thaw_status check_data(const thaw_session *s, const thaw_session_data *data, bool training, const char *name,
                              bool warns, thaw_log *log) {
  thaw_label_kind kind = data->info ? data->info->label_kind : THAW_LABEL_NONE;
  if (!data->labels || (kind != THAW_LABEL_CLASS && kind != THAW_LABEL_MULTI)) return THAW_OK;
  label_counts n = {.training = training,
                    .width = kind == THAW_LABEL_MULTI ? data->info->label_width : (int32_t)data->info->classes.count};
  n.yes = thaw_new((size_t)n.width, sizeof *n.yes);
  n.no = thaw_new((size_t)n.width, sizeof *n.no);
  thaw_status status = n.yes && n.no ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) count_labels(s, data, &n);
  if (status == THAW_OK && n.blind == data->info->count)
    status = thaw_fail(THAW_ERR_DATA, "%s: none of its %lld samples has a known label",
                       thaw_catalog_path(data->catalog), (long long)n.blind);
  if (status == THAW_OK && warns) status = warn_counts(data, &n, name, log);
  thaw_free(n.yes);
  thaw_free(n.no);
  return status;
}

/* Each head by itself, where there are several. */
static thaw_status check_part(const thaw_session *s, const thaw_session_data *data, const char *part, bool warns,
                              thaw_log *log) {
  bool training = data == &s->train;
  char name[256], fold[32] = "";
  if (s->job->data.folds) snprintf(fold, sizeof fold, " of fold %d", s->job->data.fold);
  snprintf(name, sizeof name, "the %s data%s", part, fold);
  if (!s->heads) return check_data(s, data, training, name, warns, log);
  for (int32_t h = 0; data->head && h < s->heads; h++) {
    const thaw_session_data view = {
        .catalog = data->catalog, .info = &data->head[h].info, .labels = &data->head[h].labels};
    snprintf(name, sizeof name, "the %s data%s of head '%.64s'", part, fold, s->head[h].name);
    THAW_TRY(check_data(s, &view, training, name, warns, log));
  }
  return THAW_OK;
}

thaw_status train_check_labels(const thaw_session *s, const thaw_session_options *options, thaw_log *log) {
  if (!options->labels_needed) return THAW_OK;
  bool strangers = s->loss->evaluate_batch != NULL; /* may be judged on classes that were not trained on */
  THAW_TRY(check_part(s, &s->train, "training", log != NULL, log));
  THAW_TRY(check_part(s, &s->validation, "validation", log && options->train && !strangers, log));
  return check_part(s, &s->test, "test", false, log);
}
