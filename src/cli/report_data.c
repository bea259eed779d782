/* The data sheet of a run: how many samples of what, and what they look like. */
#include "cli/report_data.h"
#include "cli/pictures.h"
#include "thaw/memory.h"
#include "thaw/shard.h"
#include "thaw/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SPLITS = 3, STRIPS = 24, TILES = 8, TILE = 96, GAP = 4, BINS = 20, MOST_CLASSES = 2000 };

/* Of mixed labels: each class of a column of classes, and each label. */
typedef struct question {
  int32_t column, class; /* class -1: a label */
} question;

typedef struct split {
  const char *name;
  thaw_catalog *catalog; /* NULL: absent */
  const thaw_dataset_info *info;
  const thaw_labels *labels; /* NULL: none */
  question *question;        /* [questions] of mixed labels */
  int32_t questions;
} split;

/* Data that has been moved away since the training is no failure. */
static bool open_split(const char *path, split *s) {
  if (!path) return false;
  if (thaw_catalog_open(path, &s->catalog) != THAW_OK) return false;
  s->info = thaw_catalog_info(s->catalog);
  if (s->info->label_kind != THAW_LABEL_NONE && thaw_catalog_labels(s->catalog, &s->labels) != THAW_OK) {
    thaw_catalog_close(s->catalog);
    s->catalog = NULL;
  }
  return s->catalog != NULL;
}

static bool is_multi(const split *s) {
  return s->info->label_kind == THAW_LABEL_MULTI;
}

static bool is_mixed(const split *s) {
  return s->info->label_kind == THAW_LABEL_MIXED;
}

static int32_t class_count(const split *s) {
  if (is_mixed(s)) return s->questions;
  if (is_multi(s)) return s->info->label_width;
  return s->info->label_kind == THAW_LABEL_CLASS ? (int32_t)s->info->classes.count : 0;
}

static thaw_status list_questions(split *s) {
  size_t most = s->info->classes.count + s->info->columns.count;
  s->question = thaw_new(most, sizeof *s->question);
  if (!s->question) return THAW_ERR_MEMORY;
  for (int32_t k = 0; is_mixed(s) && k < s->info->label_width; k++) {
    const thaw_label_column column = thaw_label_column_of(s->info, k);
    for (int32_t c = 0; c < column.classes; c++) s->question[s->questions++] = (question){k, c};
    if (column.kind == THAW_LABEL_MULTI) s->question[s->questions++] = (question){k, -1};
  }
  return THAW_OK;
}

/* What sample i says to class k: 0 yes, 1 no, 2 unknown. */
static int answer(const split *s, int64_t i, int32_t k) {
  question q = is_mixed(s) ? s->question[k] : is_multi(s) ? (question){k, -1} : (question){0, k};
  float value = thaw_label(s->labels, (uint64_t)i, q.column);
  if (q.class < 0) return value == 1 ? 0 : value == 0 ? 1 : 2;
  return isnan(value) ? 2 : (int32_t)value != q.class;
}

/* The name of a class, or "diagnosis: normal" of mixed labels. */
static void add_name(const split *s, int32_t k, thaw_text *json) {
  char number[16];
  snprintf(number, sizeof number, "%d", k);
  if (!is_mixed(s)) {
    thaw_text_add_json(json, (size_t)k < s->info->classes.count ? s->info->classes.item[k] : number);
    return;
  }
  const question q = s->question[k];
  const thaw_label_column column = thaw_label_column_of(s->info, q.column);
  char *name = q.class < 0 ? thaw_copy_text(column.name)
                           : thaw_format("%s: %s", column.name, s->info->classes.item[column.first + q.class]);
  thaw_text_add_json(json, name ? name : number);
  thaw_free(name);
}

/* ------------------------------------------------------------------ histograms */

/* [classes][3]: yes, no, unknown. */
static void count_classes(const split *s, int64_t *count) {
  int32_t classes = class_count(s);
  bool single = s->info->label_kind == THAW_LABEL_CLASS;
  for (int64_t i = 0; i < s->info->count; i++) {
    if (single) count[3 * (int64_t)thaw_label(s->labels, (uint64_t)i, 0)]++;
    for (int32_t k = 0; !single && k < classes; k++) count[3 * k + answer(s, i, k)]++;
  }
  for (int32_t k = 0; single && k < classes; k++) count[3 * k + 1] = s->info->count - count[3 * k];
}

static thaw_status add_classes(const split *s, thaw_text *json) {
  int32_t classes = class_count(s), shown = classes < MOST_CLASSES ? classes : MOST_CLASSES;
  int64_t *count = thaw_new(3 * (size_t)classes, sizeof *count);
  if (!count) return THAW_ERR_MEMORY;
  count_classes(s, count);
  thaw_text_add(json, ",\n     \"classes\": [");
  for (int32_t k = 0; k < shown; k++) {
    thaw_text_add(json, "%s\n      {\"name\": ", k ? "," : "");
    add_name(s, k, json);
    thaw_text_add(json, ", \"yes\": %lld, \"no\": %lld, \"unknown\": %lld}", (long long)count[3 * k],
                  (long long)count[3 * k + 1], (long long)count[3 * k + 2]);
  }
  thaw_text_add(json, "]");
  thaw_free(count);
  return THAW_OK;
}

/* Mean and deviation in two passes; unknown targets (NaN) are counted. */
static void add_target(const split *s, int32_t column, thaw_text *json) {
  char number[16];
  double low = INFINITY, high = -INFINITY, sum = 0, squares = 0;
  int64_t known = 0, bin[BINS] = {0};
  for (int64_t i = 0; i < s->info->count; i++) {
    double value = thaw_label(s->labels, (uint64_t)i, column);
    if (!isfinite(value)) continue;
    known++, sum += value;
    low = fmin(low, value), high = fmax(high, value);
  }
  double mean = known ? sum / (double)known : 0, width = high > low ? high - low : 1;
  for (int64_t i = 0; i < s->info->count; i++) {
    double value = thaw_label(s->labels, (uint64_t)i, column);
    if (!isfinite(value)) continue;
    squares += (value - mean) * (value - mean);
    int32_t at = (int32_t)((value - low) / width * BINS);
    bin[at < BINS ? at : BINS - 1]++;
  }
  const char *name = thaw_label_column_of(s->info, column).name;
  snprintf(number, sizeof number, "%d", column);
  thaw_text_add_json(json, *name ? name : number);
  thaw_text_add(json, ", \"known\": %lld, \"unknown\": %lld", (long long)known, (long long)(s->info->count - known));
  if (known)
    thaw_text_add(json, ", \"mean\": %.9g, \"deviation\": %.9g, \"low\": %.9g, \"high\": %.9g", mean,
                  sqrt(squares / (double)known), low, high);
  thaw_text_add(json, ", \"histogram\": [");
  for (int32_t b = 0; b < BINS; b++) thaw_text_add(json, "%s%lld", b ? ", " : "", (long long)bin[b]);
  thaw_text_add(json, "]");
}

static void add_targets(const split *s, thaw_text *json) {
  thaw_text_add(json, ",\n     \"targets\": [");
  for (int32_t k = 0, shown = 0; k < s->info->label_width && shown < MOST_CLASSES; k++) {
    if (thaw_label_column_of(s->info, k).kind != THAW_LABEL_TARGET) continue;
    thaw_text_add(json, "%s\n      {\"name\": ", shown++ ? "," : "");
    add_target(s, k, json);
    thaw_text_add(json, "}");
  }
  thaw_text_add(json, "]");
}

static thaw_status add_split(const split *s, thaw_text *json) {
  static const char *const kind[] = {"class", "multi", "target", "none", "mixed"};
  const thaw_dataset_info *info = s->info;
  thaw_text_add(json, "\n    {\"name\": \"%s\", \"path\": ", s->name);
  thaw_text_add_json(json, thaw_catalog_path(s->catalog));
  thaw_text_add(json,
                ", \"samples\": %lld, \"shards\": %d, \"shape\": [%d, %d, %d], \"bits\": %d, \"value_max\": %g,\n"
                "     \"digest\": \"%s\", \"labels\": \"%s\"",
                (long long)info->count, thaw_catalog_shards(s->catalog), info->h, info->w, info->c, info->bits,
                info->value_max, info->digest, kind[info->label_kind]);
  thaw_status status = class_count(s) ? add_classes(s, json) : THAW_OK;
  if (info->label_kind == THAW_LABEL_TARGET || is_mixed(s)) add_targets(s, json);
  thaw_text_add(json, "}");
  return status;
}

/* ------------------------------------------------------------------ strips of pictures */

/* Up to TILES members of a class, evenly spread over them; `index` < 0: of everything. Returns how many. */
static int32_t choose(const split *s, int32_t index, int64_t sample[TILES]) {
  int64_t members = 0, seen = 0;
  int32_t chosen = 0;
  for (int pass = 0; pass < 2; pass++) {
    int64_t wanted = members < TILES ? members : TILES;
    for (int64_t i = 0; i < s->info->count && (pass == 0 || chosen < wanted); i++) {
      if (index >= 0 && answer(s, i, index) != 0) continue;
      if (pass == 0)
        members++;
      else if (seen++ == chosen * members / wanted)
        sample[chosen++] = i;
    }
  }
  return chosen;
}

/* Pictures side by side on white, each within TILE x TILE pixels. */
static thaw_status draw_strip(const split *s, const int64_t *sample, int32_t count, const char *path) {
  int32_t longest = s->info->h > s->info->w ? s->info->h : s->info->w;
  int32_t h = s->info->h * TILE / longest, w = s->info->w * TILE / longest;
  h = h > 0 ? h : 1, w = w > 0 ? w : 1;
  thaw_image strip = {.h = h, .w = count * (w + GAP) - GAP, .c = 3, .bits = 8};
  uint8_t *pixels = strip.pixels = thaw_new((size_t)strip.h * (size_t)strip.w, 3);
  if (!pixels) return THAW_ERR_MEMORY;
  memset(pixels, 255, (size_t)strip.h * (size_t)strip.w * 3);
  thaw_status status = THAW_OK;
  for (int32_t i = 0; i < count && status == THAW_OK; i++) {
    thaw_image picture = {0};
    status = cli_catalog_picture(s->catalog, sample[i], h, w, &picture);
    for (int32_t y = 0; status == THAW_OK && y < h; y++)
      memcpy(pixels + 3 * ((size_t)y * (size_t)strip.w + (size_t)(i * (w + GAP))),
             (const uint8_t *)picture.pixels + 3 * (size_t)y * (size_t)w, 3 * (size_t)w);
    thaw_image_clear(&picture);
  }
  if (status == THAW_OK) status = thaw_image_write_png(path, &strip);
  thaw_image_clear(&strip);
  return status;
}

static thaw_status add_strip(const split *s, int32_t index, const char *folder, thaw_text *json) {
  int64_t sample[TILES];
  int32_t count = choose(s, index, sample);
  if (!count) return THAW_OK;
  char name[24];
  snprintf(name, sizeof name, "%03d.png", index < 0 ? 0 : index);
  char *path = thaw_path_join(folder, name);
  thaw_status status = path ? draw_strip(s, sample, count, path) : THAW_ERR_MEMORY;
  thaw_free(path);
  bool first = json->length > 0 && json->data[json->length - 1] == '[';
  thaw_text_add(json, "%s\n    {\"class\": %d, \"file\": \"%s\"}", first ? "" : ",", index, name);
  return status;
}

static thaw_status add_strips(const split *s, const char *folder, thaw_text *json) {
  int32_t classes = class_count(s), shown = classes < STRIPS ? classes : STRIPS;
  if (!classes) return add_strip(s, -1, folder, json);
  for (int32_t k = 0; k < shown; k++) THAW_TRY(add_strip(s, k, folder, json));
  return THAW_OK;
}

/* ------------------------------------------------------------------ the sheet */

static void remove_strips(const char *folder) {
  thaw_strings names = {0};
  if (thaw_folder_list(folder, &names) != THAW_OK) return;
  for (size_t i = 0; i < names.count; i++) {
    size_t length = strlen(names.item[i]);
    char *path =
        length > 4 && !strcmp(names.item[i] + length - 4, ".png") ? thaw_path_join(folder, names.item[i]) : NULL;
    if (path) unlink(path);
    thaw_free(path);
  }
  thaw_strings_clear(&names);
}

static thaw_status write_sheet(const split *s, const char *folder, bool samples) {
  thaw_text json = {0};
  thaw_status status = THAW_OK;
  bool first = true;
  thaw_text_add(&json, "{\n  \"splits\": [");
  for (int32_t i = 0; i < SPLITS && status == THAW_OK; i++) {
    if (!s[i].catalog) continue;
    thaw_text_add(&json, "%s", first ? "" : ",");
    first = false;
    status = add_split(&s[i], &json);
  }
  thaw_text_add(&json, "],\n  \"strips\": [");
  if (status == THAW_OK) status = thaw_folder_create(folder);
  if (status == THAW_OK) remove_strips(folder);
  for (int32_t i = 0; i < SPLITS && samples && status == THAW_OK; i++)
    if (s[i].catalog) {
      status = add_strips(&s[i], folder, &json);
      break;
    }
  thaw_text_add(&json, "]\n}\n");
  char *path = thaw_path_join(folder, "data.json");
  if (status == THAW_OK && (!path || json.failed)) status = THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_file_write(path, json.data, json.length);
  thaw_free(path);
  thaw_text_clear(&json);
  return status;
}

thaw_status cli_report_data(const char *run_folder, const thaw_job *job, bool samples) {
  split s[SPLITS] = {{.name = "training"}, {.name = "validation"}, {.name = "test"}};
  const char *const path[SPLITS] = {job->data.train, job->data.validation, job->data.test};
  bool any = false;
  for (int32_t i = 0; i < SPLITS; i++) any |= open_split(path[i], &s[i]);
  thaw_status listed = THAW_OK;
  for (int32_t i = 0; i < SPLITS && listed == THAW_OK; i++)
    if (s[i].catalog) listed = list_questions(&s[i]);
  char *folder = any ? thaw_path_join(run_folder, "data") : NULL;
  thaw_status status = listed != THAW_OK || !any ? listed : folder ? write_sheet(s, folder, samples) : THAW_ERR_MEMORY;
  thaw_free(folder);
  for (int32_t i = 0; i < SPLITS; i++) {
    thaw_catalog_close(s[i].catalog);
    thaw_free(s[i].question);
  }
  return status;
}
