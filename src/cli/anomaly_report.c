/* What thaw anomaly score says: a few lines, metrics.json, scores.csv. */
#include "cli/anomaly.h"
#include "thaw/csv.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

enum { REPLICATES = 1000 };
static const double overlap_limit = 0.3; /* of false alarms, for AUPRO */

typedef struct account {
  const anomaly_images *images;
  const anomaly_result *result;
  thaw_binary binary;
  float *score;
  uint8_t *truth;
  double auroc, auroc_low, auroc_high, precision, best_f1, pixel_auroc, aupro;
  thaw_counts counts, best_counts;
} account;

static void account_clear(account *a) {
  thaw_binary_clear(&a->binary);
  thaw_free(a->score);
  thaw_free(a->truth);
}

/* Percentile interval of the AUROC over samples of images. */
static thaw_status add_interval(account *a) {
  int64_t count = a->images->count, defined = 0;
  double *weight = thaw_new((size_t)count, sizeof *weight), *value = thaw_new(REPLICATES, sizeof *value);
  thaw_status status = weight && value ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t r = 0; r < REPLICATES && status == THAW_OK; r++) {
    memset(weight, 0, (size_t)count * sizeof *weight);
    thaw_bootstrap_draw(0, r, NULL, count, weight);
    value[defined] = thaw_auroc(&a->binary, weight);
    if (!isnan(value[defined])) defined++;
  }
  if (status == THAW_OK && defined) {
    a->auroc_low = thaw_quantile(value, defined, 0.025);
    a->auroc_high = thaw_quantile(value, defined, 0.975);
  }
  thaw_free(weight);
  thaw_free(value);
  return status;
}

static thaw_status evaluate(account *a) {
  const anomaly_images *images = a->images;
  const thaw_operating_point f1 = {.rule = THAW_OPERATE_F1};
  a->score = thaw_new((size_t)images->count, sizeof *a->score);
  a->truth = thaw_new((size_t)images->count, 1);
  if (!a->score || !a->truth) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < images->count; i++) {
    a->score[i] = (float)a->result->score[i];
    a->truth[i] = a->result->score[i] < 0 ? THAW_UNKNOWN : images->truth[i];
  }
  THAW_TRY(thaw_binary_create(a->score, 1, a->truth, NULL, images->count, &a->binary));
  a->auroc = thaw_auroc(&a->binary, NULL);
  a->precision = thaw_average_precision(&a->binary, NULL);
  a->best_f1 = thaw_operating_choose(&a->binary, &f1);
  a->counts = thaw_counts_at(&a->binary, NULL, a->result->threshold);
  a->best_counts = thaw_counts_at(&a->binary, NULL, a->best_f1);
  a->auroc_low = a->auroc_high = a->pixel_auroc = a->aupro = NAN;
  if (!isnan(a->auroc)) THAW_TRY(add_interval(a));
  if (!images->masks.count) return THAW_OK;
  THAW_TRY(thaw_pixels_auroc(&a->result->pixels, &a->pixel_auroc));
  return thaw_pixels_aupro(&a->result->pixels, overlap_limit, &a->aupro);
}

/* ------------------------------------------------------------------ words */

static const char *number(double value, const char *format, char out[32]) {
  if (isnan(value)) return "undefined";
  snprintf(out, 32, format[0] == 'g' ? "%.6g" : "%.4f", value);
  return out;
}

static void add_counts(const account *a, thaw_text *out) {
  const thaw_counts *c = &a->counts;
  char t[32], f[32];
  thaw_text_add(out, "at threshold %s (%s): %.0f of %.0f anomalous found, %.0f of %.0f normal called anomalous\n",
                number(a->result->threshold, "g", t), a->result->rule, c->tp, c->tp + c->fn, c->fp, c->fp + c->tn);
  const thaw_counts *b = &a->best_counts;
  if (isnan(a->best_f1)) return;
  thaw_text_add(out, "best F1 %s at threshold %s, chosen on these very images\n",
                number(2 * b->tp / (2 * b->tp + b->fp + b->fn), "", f), number(a->best_f1, "g", t));
}

/* One kind against all normal images. */
static thaw_status add_kind(const account *a, const char *kind, thaw_text *out) {
  const anomaly_images *images = a->images;
  int64_t count = 0, found = 0;
  double sum = 0;
  uint8_t *truth = thaw_new((size_t)images->count, 1);
  if (!truth) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < images->count; i++) {
    bool own = strcmp(images->kinds.item[i], kind) == 0;
    truth[i] = own || a->truth[i] == 0 ? a->truth[i] : THAW_UNKNOWN;
    if (!own || a->result->score[i] < 0) continue;
    count++;
    sum += a->result->score[i];
    found += a->result->score[i] >= a->result->threshold;
  }
  thaw_binary binary;
  thaw_status status = thaw_binary_create(a->score, 1, truth, NULL, images->count, &binary);
  thaw_free(truth);
  if (status != THAW_OK) return status;
  char area[32], mean[32];
  thaw_text_add(out, "  %-24s %7lld %10lld %12s %8s\n", kind, (long long)count, (long long)found,
                number(count ? sum / (double)count : NAN, "g", mean),
                binary.positives ? number(thaw_auroc(&binary, NULL), "", area) : "");
  thaw_binary_clear(&binary);
  return THAW_OK;
}

static thaw_status add_kinds(const account *a, thaw_text *out) {
  const thaw_strings *kinds = &a->images->kinds;
  thaw_status status = THAW_OK;
  thaw_text_add(out, "\n  %-24s %7s %10s %12s %8s\n", "kind", "images", "anomalous", "mean score", "AUROC");
  for (size_t i = 0; i < kinds->count && status == THAW_OK; i++) {
    bool first = true;
    for (size_t j = 0; j < i && first; j++) first = strcmp(kinds->item[i], kinds->item[j]) != 0;
    if (first) status = add_kind(a, kinds->item[i], out);
  }
  return status;
}

static thaw_status add_words(const account *a, const char *folder, thaw_text *out) {
  const anomaly_images *images = a->images;
  char v[32], low[32], high[32];
  if (!images->labelled) {
    int64_t found = 0;
    for (int64_t i = 0; i < images->count; i++) found += a->result->score[i] >= a->result->threshold;
    if (!isnan(a->result->threshold))
      thaw_text_add(out, "%lld of %lld images lie above the threshold %s\n", (long long)found,
                    (long long)(images->count - a->result->failed), number(a->result->threshold, "g", v));
  } else {
    thaw_text_add(out, "%lld normal, %lld anomalous images", (long long)a->binary.negatives,
                  (long long)a->binary.positives);
    if (a->binary.unknown) thaw_text_add(out, ", %lld of which nothing is known", (long long)a->binary.unknown);
    thaw_text_add(out, "\nimage AUROC %s", number(a->auroc, "", v));
    if (!isnan(a->auroc_low))
      thaw_text_add(out, " (95 %% interval %s to %s)", number(a->auroc_low, "", low), number(a->auroc_high, "", high));
    thaw_text_add(out, ", average precision %s\n", number(a->precision, "", v));
    if (images->masks.count) {
      thaw_text_add(out, "pixel AUROC %s", number(a->pixel_auroc, "", v));
      thaw_text_add(out, ", AUPRO %s (%lld regions)\n", number(a->aupro, "", v), (long long)a->result->pixels.regions);
      if (a->result->empty_masks)
        thaw_text_add(out, "%lld masks of anomalous images are empty at the map's size\n",
                      (long long)a->result->empty_masks);
    }
    add_counts(a, out);
    THAW_TRY(add_kinds(a, out));
  }
  thaw_text_add(out, "wrote %s/scores.csv (%lld rows)\n", folder, (long long)images->count);
  return out->failed ? THAW_ERR_MEMORY : THAW_OK;
}

/* ------------------------------------------------------------------ files */

static void add_json(thaw_text *out, const char *name, double value) {
  if (isfinite(value))
    thaw_text_add(out, "  \"%s\": %.17g,\n", name, value);
  else
    thaw_text_add(out, "  \"%s\": null,\n", name);
}

static thaw_status write_text(const char *folder, const char *name, const thaw_text *text) {
  char *path = thaw_path_join(folder, name);
  thaw_status status = path && !text->failed ? thaw_file_write(path, text->data, text->length) : THAW_ERR_MEMORY;
  thaw_free(path);
  return status;
}

static thaw_status write_metrics(const account *a, const char *folder) {
  thaw_text out = {0};
  const anomaly_result *r = a->result;
  thaw_text_add(&out, "{\n  \"images\": %lld,\n  \"not_read\": %lld,\n", (long long)a->images->count,
                (long long)r->failed);
  thaw_text_add(&out, "  \"normal\": %lld,\n  \"anomalous\": %lld,\n", (long long)a->binary.negatives,
                (long long)a->binary.positives);
  add_json(&out, "image_auroc", a->auroc);
  add_json(&out, "image_auroc_low_95", a->auroc_low);
  add_json(&out, "image_auroc_high_95", a->auroc_high);
  add_json(&out, "image_average_precision", a->precision);
  add_json(&out, "pixel_auroc", a->pixel_auroc);
  add_json(&out, "pixel_aupro_30", a->aupro);
  add_json(&out, "threshold", r->threshold);
  add_json(&out, "true_positives", a->counts.tp);
  add_json(&out, "false_positives", a->counts.fp);
  add_json(&out, "true_negatives", a->counts.tn);
  add_json(&out, "false_negatives", a->counts.fn);
  add_json(&out, "best_f1_threshold", a->best_f1);
  add_json(&out, "pixel_threshold", r->pixel_threshold);
  thaw_text_add(&out, "  \"threshold_rule\": ");
  thaw_text_add_json(&out, r->rule);
  thaw_text_add(&out, "\n}\n");
  thaw_status status = write_text(folder, "metrics.json", &out);
  thaw_text_clear(&out);
  return status;
}

static thaw_status write_table(const account *a, const char *folder) {
  const anomaly_images *images = a->images;
  const anomaly_result *r = a->result;
  thaw_text out = {0};
  thaw_text_add(&out, "id,kind,truth,score,map_maximum,anomalous%s\n", r->failed ? ",error" : "");
  for (int64_t i = 0; i < images->count; i++) {
    bool read = r->score[i] >= 0;
    thaw_csv_add(&out, images->names.item[i]);
    thaw_text_add(&out, ",");
    thaw_csv_add(&out, images->kinds.item[i]);
    thaw_text_add(&out, images->truth[i] == THAW_UNKNOWN ? "," : images->truth[i] ? ",1" : ",0");
    if (read)
      thaw_text_add(&out, ",%.9g,%.9g,", r->score[i], r->peak[i]);
    else
      thaw_text_add(&out, ",,,");
    if (read && !isnan(r->threshold)) thaw_text_add(&out, "%d", r->score[i] >= r->threshold);
    if (r->failed) thaw_text_add(&out, ",");
    if (r->failed) thaw_csv_add(&out, r->error.item[i]);
    thaw_text_add(&out, "\n");
  }
  thaw_status status = write_text(folder, "scores.csv", &out);
  thaw_text_clear(&out);
  return status;
}

thaw_status anomaly_write_scores(const anomaly_images *images, anomaly_result *result, const char *folder,
                                 thaw_text *words) {
  account a = {.images = images, .result = result};
  thaw_status status = evaluate(&a);
  if (status == THAW_OK) status = add_words(&a, folder, words);
  if (status == THAW_OK) status = write_table(&a, folder);
  if (status == THAW_OK) status = write_metrics(&a, folder);
  account_clear(&a);
  return status;
}
