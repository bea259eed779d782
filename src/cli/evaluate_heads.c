/* thaw evaluate of a run with several heads: each is judged by itself, on the samples that have its labels. */
#include "cli/evaluate.h"
#include "thaw/memory.h"

#include <string.h>

enum { MOST_CONFUSION_CLASSES = 4096 };

/* One head as if its run had no others. */
typedef struct head_view {
  thaw_session session; /* a copy with this head's outputs and metrics; owns nothing */
  thaw_session_data data;
  thaw_dataset_info info; /* classes borrowed */
  thaw_labels labels;
  thaw_evaluation e;
  thaw_catalog *own; /* the samples that the head knows, where it does not know all */
  float *value;
  int64_t *known; /* [e.count] */
} head_view;

static void clear(head_view *v) {
  thaw_evaluation_clear(&v->e);
  thaw_catalog_close(v->own);
  thaw_free(v->value);
  thaw_free(v->known);
}

static thaw_status select_samples(const thaw_session_data *data, const thaw_head_data *head, head_view *v) {
  v->known = thaw_new((size_t)head->known, sizeof *v->known);
  if (!v->known) return THAW_ERR_MEMORY;
  for (int64_t i = 0, n = 0; i < data->info->count; i++)
    if (thaw_head_knows(head, (uint64_t)i)) v->known[n++] = i;
  v->data.catalog = data->catalog;
  if (head->known == data->info->count) return THAW_OK;
  THAW_TRY(thaw_catalog_open(thaw_catalog_path(data->catalog), &v->own));
  v->data.catalog = v->own;
  return thaw_catalog_select(v->own, v->known, head->known);
}

static thaw_status copy_rows(const thaw_evaluation *whole, const thaw_session *s, const thaw_head *head,
                             const thaw_head_data *data, head_view *v) {
  size_t width = (size_t)data->labels.width, outputs = (size_t)head->outputs, rows = (size_t)data->known;
  v->value = thaw_new(rows * width, sizeof *v->value);
  v->e.prediction = thaw_new(rows * outputs, sizeof *v->e.prediction);
  if (!v->value || !v->e.prediction) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < rows; i++) {
    size_t from = (size_t)v->known[i];
    thaw_label_row(&data->labels, from, v->value + i * width);
    memcpy(v->e.prediction + i * outputs, whole->prediction + from * (size_t)s->outputs + head->first,
           outputs * sizeof(float));
  }
  v->labels = (thaw_labels){v->value, data->labels.width, 4};
  return THAW_OK;
}

static thaw_status count_confusion(const thaw_head *head, head_view *v) {
  if (v->info.label_kind != THAW_LABEL_CLASS || head->outputs > MOST_CONFUSION_CLASSES) return THAW_OK;
  v->e.classes = head->outputs == 1 ? 2 : head->outputs;
  v->e.confusion = thaw_new((size_t)v->e.classes * (size_t)v->e.classes, sizeof *v->e.confusion);
  if (!v->e.confusion) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < v->e.count; i++) {
    const float *y = v->e.prediction + (size_t)i * (size_t)head->outputs;
    int32_t predicted = head->outputs == 1 ? y[0] > 0.5f : 0;
    for (int32_t k = 1; k < head->outputs; k++)
      if (y[k] > y[predicted]) predicted = k;
    v->e.confusion[(int32_t)v->value[i] * v->e.classes + predicted]++;
  }
  return THAW_OK;
}

/* The head's own numbers; its loss is the mean over the samples that it knows. */
static void take_metrics(const thaw_session *s, int32_t h, const thaw_evaluation *whole, const thaw_head_data *data,
                         head_view *v) {
  size_t prefix = strlen(s->head[h].name) + 1;
  v->session.metrics = 0;
  for (int32_t m = 0; m < s->metrics; m++) {
    if (s->metric[m].head != h) continue;
    if (s->metric[m].kind == THAW_METRIC_HEAD_LOSS) {
      v->e.loss = whole->metric[m] * (double)whole->count / (double)data->known;
      continue;
    }
    thaw_metric *metric = &v->session.metric[v->session.metrics];
    *metric = s->metric[m];
    memmove(metric->name, s->metric[m].name + prefix, strlen(s->metric[m].name + prefix) + 1);
    v->e.metric[v->session.metrics++] = whole->metric[m];
  }
  v->e.metrics = v->session.metrics;
}

static thaw_status make(const thaw_session *s, int32_t h, const thaw_session_data *data, const thaw_evaluation *whole,
                        head_view *v) {
  const thaw_head_data *head = &data->head[h];
  *v = (head_view){.session = *s, .info = head->info, .e = {.count = head->known}};
  v->session.outputs = s->head[h].outputs;
  v->session.heads = 0;
  v->session.classes = head->info.classes;
  v->info.count = head->known;
  THAW_TRY(select_samples(data, head, v));
  THAW_TRY(copy_rows(whole, s, &s->head[h], head, v));
  take_metrics(s, h, whole, head, v);
  v->data.info = &v->info;
  v->data.labels = &v->labels;
  return count_confusion(&s->head[h], v);
}

/* ------------------------------------------------------------------ output */

static thaw_status judge(cli_context *cli, const cli_run *run, const cli_evaluate_options *o, int32_t h, head_view *v,
                         const head_view *validation, const char *folder) {
  const thaw_head *head = &run->session->head[h];
  cli_run view = *run;
  view.session = &v->session;
  char *inner = thaw_path_join(folder, "heads"), *place = inner ? thaw_path_join(inner, head->name) : NULL;
  thaw_status status = place ? thaw_folder_create(inner) : THAW_ERR_MEMORY;
  if (status == THAW_OK) {
    cli_print(cli, "\nhead %s\n", head->name);
    status = cli_evaluation_finish(cli, &view, o, &v->data, &v->e, validation ? &validation->data : NULL,
                                   validation ? &validation->e : NULL, place);
  }
  thaw_free(inner);
  thaw_free(place);
  return status;
}

static thaw_status judge_head(cli_context *cli, const cli_run *run, const cli_evaluate_options *o, int32_t h,
                              const thaw_session_data *data, const thaw_evaluation *e, const thaw_evaluation *apart,
                              const char *folder) {
  const thaw_session *s = run->session;
  head_view own = {0}, other = {0};
  bool validated = apart->prediction != NULL;
  thaw_status status = make(s, h, data, e, &own);
  if (status == THAW_OK && validated) status = make(s, h, &s->validation, apart, &other);
  if (status == THAW_OK) status = judge(cli, run, o, h, &own, validated ? &other : NULL, folder);
  clear(&own);
  clear(&other);
  return status;
}

static void print_whole(cli_context *cli, const thaw_session *s, const thaw_evaluation *e) {
  cli_print(cli, "samples %lld\nloss %.6f\n", (long long)e->count, e->loss);
  for (int32_t m = 0; m < e->metrics; m++) cli_print(cli, "%s %.6f\n", s->metric[m].name, e->metric[m]);
}

/* evaluation.json of all heads: losses and metrics, and where each head's own figures are. */
static thaw_status write_whole(const cli_run *run, const thaw_session_data *data, const thaw_evaluation *e,
                               const char *folder) {
  const thaw_session *s = run->session;
  thaw_text json = {0};
  char *path = thaw_path_join(folder, "evaluation.json");
  cli_evaluation_begin(run, data, e, &json);
  thaw_text_add(&json, ",\n  \"heads\": [");
  for (int32_t h = 0; h < s->heads; h++) {
    thaw_text_add(&json, "%s\n    {\"name\": ", h ? "," : "");
    thaw_text_add_json(&json, s->head[h].name);
    thaw_text_add(&json, ", \"folder\": \"heads/%s\", \"weight\": %.17g, \"samples\": %lld}", s->head[h].name,
                  s->head[h].weight, (long long)data->head[h].known);
  }
  thaw_text_add(&json, "\n  ]\n}\n");
  thaw_status status = path && !json.failed ? thaw_file_write(path, json.data, json.length) : THAW_ERR_MEMORY;
  thaw_text_clear(&json);
  thaw_free(path);
  return status;
}

thaw_status cli_evaluate_heads(cli_context *cli, const cli_run *run, const cli_evaluate_options *o,
                               const thaw_session_data *data, const thaw_evaluation *e, const thaw_evaluation *apart,
                               const char *folder) {
  THAW_TRY(thaw_folder_create(folder));
  print_whole(cli, run->session, e);
  for (int32_t h = 0; h < run->session->heads; h++) THAW_TRY(judge_head(cli, run, o, h, data, e, apart, folder));
  return write_whole(run, data, e, folder);
}
