/* What `thaw explain` writes. */
#include "cli/explain.h"
#include "cli/pictures.h"
#include "thaw/csv.h"
#include "thaw/memory.h"
#include "thaw/report.h"

#include <math.h>

enum { LONGEST = 400 }; /* side of a picture, pixels, at least that of the data */

typedef struct sheet {
  const explain *e;
  thaw_tile *tile;    /* [count] */
  thaw_image *page;   /* [count][2 + neighbours] */
  char **words;       /* [count][2] */
  int32_t each, h, w; /* pictures per tile; their size */
} sheet;

static void plan_size(sheet *s) {
  const thaw_input *input = &s->e->session->input;
  int32_t longest = input->h > input->w ? input->h : input->w;
  double scale = longest < LONGEST ? (double)LONGEST / longest : 1;
  s->h = (int32_t)(input->h * scale + 0.5);
  s->w = (int32_t)(input->w * scale + 0.5);
}

static thaw_status draw_neighbours(sheet *s, int32_t index, thaw_image *to) {
  const explain *e = s->e;
  for (int32_t k = 0; k < e->nearest.keep; k++) {
    int64_t sample = e->nearest.sample[index * e->nearest.keep + k];
    if (sample < 0) break;
    THAW_TRY(cli_catalog_picture(e->session->train.catalog, sample, s->h, s->w, &to[k]));
    s->tile[index].pictures++;
  }
  return THAW_OK;
}

/* The sample, the map over it, its neighbours; the second is a file of its own. */
static thaw_status draw_sample(sheet *s, int32_t index) {
  const explain *e = s->e;
  const explain_sample *sample = &e->sample[index];
  thaw_image *page = s->page + (size_t)index * (size_t)s->each;
  const float *map = e->maps + (size_t)index * (size_t)e->map_h * (size_t)e->map_w;
  s->tile[index].picture = page;
  s->tile[index].pictures = 2;
  THAW_TRY(e->images ? cli_image_picture(e->images, sample->index, s->h, s->w, &page[0])
                     : cli_catalog_picture(e->session->test.catalog, sample->index, s->h, s->w, &page[0]));
  THAW_TRY(thaw_heat_overlay(&page[0], map, e->map_h, e->map_w, e->options->opacity, &page[1]));
  char *path = thaw_format("%s/%04d.png", e->folder, index + 1);
  thaw_status status = path ? thaw_image_write_png(path, &page[1]) : THAW_ERR_MEMORY;
  thaw_free(path);
  return status == THAW_OK ? draw_neighbours(s, index, page + 2) : status;
}

static float output_of(const explain *e, int32_t index, int32_t output) {
  return e->y[(size_t)index * (size_t)e->session->outputs + (size_t)output];
}

/* "cat 0.93", "Edema 0.97, Fracture 0.80", "age 45.2, dose 0.31". */
static void add_outputs(const explain *e, int32_t index, thaw_text *out) {
  const explain_sample *sample = &e->sample[index];
  char number[16];
  const char *separator = "";
  bool single = e->session->outputs == 1;
  if (e->kind == THAW_LABEL_CLASS) {
    double value = output_of(e, index, single ? 0 : sample->predicted);
    thaw_text_add(out, "%s %.2f", explain_class(e, sample->predicted, number),
                  single && sample->predicted == 0 ? 1 - value : value);
    return;
  }
  for (int32_t k = 0; k < e->session->outputs; k++) {
    double value = output_of(e, index, k);
    if (e->kind == THAW_LABEL_MULTI && !(value > 0.5)) continue;
    thaw_text_add(out, e->kind == THAW_LABEL_MULTI ? "%s%s %.2f" : "%s%s %.4g", separator, explain_class(e, k, number),
                  value);
    separator = ", ";
  }
  if (!*separator) thaw_text_add(out, "none above 0.5");
}

/* Whether a known label says otherwise than the outputs; numbers never do. */
static bool is_wrong(const explain *e, int32_t index) {
  const explain_sample *sample = &e->sample[index];
  const thaw_session_data *data = &e->session->test;
  if (e->kind == THAW_LABEL_CLASS) return sample->label >= 0 && sample->label != sample->predicted;
  if (e->kind != THAW_LABEL_MULTI || e->images || !data->labels) return false;
  for (int32_t k = 0; k < e->session->outputs; k++) {
    float truth = thaw_label(data->labels, (uint64_t)sample->index, k);
    if (truth <= 1 && (truth == 1) != (output_of(e, index, k) > 0.5f)) return true;
  }
  return false;
}

/* Below the outputs: what is explained, and the neighbours' labels. */
static void add_note(const explain *e, int32_t index, thaw_text *note) {
  const explain_sample *sample = &e->sample[index];
  bool obvious = e->kind == THAW_LABEL_CLASS && (sample->target == sample->predicted || e->session->outputs == 1);
  char number[16];
  if (!isnan(sample->loss)) thaw_text_add(note, "loss %.2f  ", sample->loss);
  if (!obvious)
    thaw_text_add(note, "for %s %.3g  ", explain_output(e, sample->target, number),
                  (double)output_of(e, index, sample->target));
  for (int32_t k = 0; k < e->nearest.keep; k++) {
    int32_t at = index * e->nearest.keep + k;
    if (e->nearest.sample[at] < 0) break;
    thaw_text_add(note, "%s", k ? ", " : "near: ");
    explain_label_words(e, &e->session->train, e->nearest.sample[at], note);
    thaw_text_add(note, " %.2f", e->nearest.similarity[at]);
  }
  if (!note->length) thaw_text_add(note, "%s", sample->id);
}

/* "1: cat 0.93, label dog". */
static thaw_status caption(sheet *s, int32_t index) {
  const explain *e = s->e;
  const explain_sample *sample = &e->sample[index];
  thaw_text title = {0}, note = {0}, label = {0};
  bool wrong = is_wrong(e, index);
  thaw_text_add(&title, "%d: ", index + 1);
  add_outputs(e, index, &title);
  if (!e->images) explain_label_words(e, &e->session->test, sample->index, &label);
  if (wrong || (e->kind == THAW_LABEL_TARGET && label.length))
    thaw_text_add(&title, ", label %s", label.length ? label.data : "none");
  add_note(e, index, &note);
  s->words[2 * index] = title.data;
  s->words[2 * index + 1] = note.data;
  s->tile[index].title = title.data;
  s->tile[index].note = note.data;
  s->tile[index].marked = wrong;
  bool failed = title.failed || note.failed || label.failed;
  thaw_text_clear(&label);
  return failed ? THAW_ERR_MEMORY : THAW_OK;
}

/* A field made of words. */
static void add_words(thaw_text *out, thaw_text *words) {
  thaw_text_add(out, ",");
  thaw_csv_add(out, words->data ? words->data : "");
  out->failed |= words->failed;
  thaw_text_clear(words);
}

/* Outputs: that of the predicted class, or all of them. */
static void add_values(const explain *e, int32_t index, thaw_text *out) {
  thaw_text words = {0};
  bool class = e->kind == THAW_LABEL_CLASS;
  int32_t first = class && e->session->outputs > 1 ? e->sample[index].predicted : 0;
  for (int32_t k = first; k < (class ? first + 1 : e->session->outputs); k++)
    thaw_text_add(&words, "%s%.9g", k > first ? "|" : "", (double)output_of(e, index, k));
  add_words(out, &words);
}

static void add_table_row(const explain *e, int32_t index, thaw_text *out) {
  const explain_sample *sample = &e->sample[index];
  thaw_text words = {0};
  char number[16];
  thaw_text_add(out, "%d,", index + 1);
  thaw_csv_add(out, sample->id);
  if (!e->images) explain_label_words(e, &e->session->test, sample->index, &words);
  add_words(out, &words);
  explain_output_words(e, sample, e->y + (size_t)index * (size_t)e->session->outputs, &words);
  add_words(out, &words);
  add_values(e, index, out);
  thaw_text_add(out, ",");
  thaw_csv_add(out, explain_output(e, sample->target, number));
  thaw_text_add(out, ",%.9g,", (double)output_of(e, index, sample->target));
  if (!isnan(sample->loss)) thaw_text_add(out, "%.9g", sample->loss);
  for (int32_t k = 0; k < e->nearest.keep; k++) {
    int32_t at = index * e->nearest.keep + k;
    thaw_text_add(out, ",");
    thaw_csv_add(out, e->neighbour_ids.item[at]);
    explain_label_words(e, &e->session->train, e->nearest.sample[at], &words);
    add_words(out, &words);
    thaw_text_add(out, ",%.6f", e->nearest.similarity[at]);
  }
  thaw_text_add(out, "\n");
}

static thaw_status write_table(const explain *e) {
  thaw_text out = {0};
  thaw_text_add(&out, "number,id,label,predicted,output,explained,explained_output,loss");
  for (int32_t k = 1; k <= e->nearest.keep; k++)
    thaw_text_add(&out, ",neighbour_%d,neighbour_%d_label,neighbour_%d_similarity", k, k, k);
  thaw_text_add(&out, "\n");
  for (int32_t i = 0; i < e->count; i++) add_table_row(e, i, &out);
  char *path = thaw_path_join(e->folder, "explain.csv");
  thaw_status status = path && !out.failed ? thaw_file_write(path, out.data, out.length) : THAW_ERR_MEMORY;
  thaw_free(path);
  thaw_text_clear(&out);
  return status;
}

static thaw_status write_sheet(const sheet *s, const char *layer) {
  char *path = thaw_path_join(s->e->folder, "sheet.png");
  char *title = thaw_format("%s: Grad-CAM of %s", s->e->session->job->name, layer);
  thaw_status status = path && title ? thaw_plot_tiles(path, title, s->tile, s->e->count) : THAW_ERR_MEMORY;
  thaw_free(path);
  thaw_free(title);
  return status;
}

static void sheet_clear(sheet *s) {
  for (int32_t i = 0; s->page && i < s->e->count * s->each; i++) thaw_image_clear(&s->page[i]);
  for (int32_t i = 0; s->words && i < 2 * s->e->count; i++) thaw_free(s->words[i]);
  thaw_free(s->tile);
  thaw_free(s->page);
  thaw_free(s->words);
}

thaw_status explain_write(const explain *e, const char *layer) {
  sheet s = {.e = e, .each = 2 + e->nearest.keep};
  size_t count = (size_t)e->count;
  plan_size(&s);
  THAW_TRY(thaw_folder_create(e->folder));
  s.tile = thaw_new(count, sizeof *s.tile);
  s.page = thaw_new(count * (size_t)s.each, sizeof *s.page);
  s.words = thaw_new(2 * count, sizeof *s.words);
  thaw_status status = s.tile && s.page && s.words ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t i = 0; i < e->count && status == THAW_OK; i++) {
    status = draw_sample(&s, i);
    if (status == THAW_OK) status = caption(&s, i);
  }
  if (status == THAW_OK) status = write_sheet(&s, layer);
  if (status == THAW_OK) status = write_table(e);
  sheet_clear(&s);
  return status;
}
