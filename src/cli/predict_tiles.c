/* Large images through a trained network, window by window: outputs merged by mean or maximum, heat maps of one class.
 */
#include "cli/predict_tiles.h"
#include "cli/pictures.h"
#include "thaw/explain.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

enum { BATCH = 8 };

typedef struct tiling {
  thaw_session *session;
  const predict_tiles *tiles;
  const thaw_strings *files;
  int32_t output, batch; /* output that maps show */
  float *x, *features, *y;
  uint64_t sample[BATCH];
  double *merged;  /* [files][outputs]; -INFINITY where nothing is */
  thaw_text error; /* "index reason" each, zero-separated */
} tiling;

/* One image's heat map under way. */
typedef struct canvas {
  float *value, *covered; /* [h][w] */
} canvas;

static int32_t side(int32_t length, int32_t tile) {
  return tile < length ? tile : length;
}

static thaw_status find_output(tiling *t) {
  const thaw_strings *classes = &t->session->classes;
  const char *name = t->tiles->class;
  int64_t number = -1;
  t->output = t->session->outputs - 1;
  if (!name) return THAW_OK;
  for (size_t i = 0; i < classes->count && number < 0; i++)
    if (strcmp(classes->item[i], name) == 0) number = (int64_t)i;
  if (number < 0 && thaw_parse_int(name, &number) != THAW_OK) number = -1;
  if (t->session->outputs == 1 && number == 1) number = 0; /* the one output speaks for class 1 */
  if (number >= 0 && number < t->session->outputs) {
    t->output = (int32_t)number;
    return THAW_OK;
  }
  const char *near = thaw_nearest(name, (const char *const *)classes->item, classes->count);
  return thaw_fail(THAW_ERR_USAGE, "--map-class %s: no such class%s%s%s", name, near ? ", did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

static thaw_status create(tiling *t) {
  const thaw_session *s = t->session;
  size_t inputs = (size_t)s->input.h * (size_t)s->input.w * (size_t)s->input.c;
  size_t values = t->files->count * (size_t)s->outputs;
  t->batch = s->max_samples < BATCH ? s->max_samples : BATCH;
  t->x = thaw_new((size_t)t->batch * inputs, sizeof *t->x);
  t->features = thaw_new((size_t)t->batch * s->cut.floats, sizeof *t->features);
  t->y = thaw_new((size_t)t->batch * (size_t)s->outputs, sizeof *t->y);
  t->merged = thaw_new(values, sizeof *t->merged);
  if (!t->x || !t->features || !t->y || !t->merged) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < values; i++) t->merged[i] = -INFINITY;
  return THAW_OK;
}

static void clear(tiling *t) {
  thaw_free(t->x);
  thaw_free(t->features);
  thaw_free(t->y);
  thaw_free(t->merged);
  thaw_text_clear(&t->error);
}

/* ------------------------------------------------------------------ one image */

static thaw_status make_input(tiling *t, const thaw_image *picture, const int32_t place[4], float *x) {
  thaw_image part;
  thaw_input input = t->session->input;
  input.allow_resize = true;
  THAW_TRY(thaw_image_crop(picture, place[0], place[1], place[2], place[3], &part));
  const thaw_dataset_info info = {.count = 1,
                                  .h = part.h,
                                  .w = part.w,
                                  .c = part.c,
                                  .bits = part.bits,
                                  .value_max = part.bits == 16 ? 65535 : 255,
                                  .label_kind = THAW_LABEL_NONE,
                                  .label_width = 1};
  thaw_status status = thaw_input_make(&input, &info, part.pixels, 0, -1, x);
  thaw_image_clear(&part);
  return status;
}

static thaw_status run_windows(tiling *t, int32_t n) {
  const thaw_session *s = t->session;
  const int32_t slice_start[2] = {0, n};
  const int64_t slice = 0;
  const float *y;
  if (s->plan) thaw_plan_run(s->plan, t->x, n, t->features);
  const thaw_share share = {.features = s->plan ? t->features : t->x,
                            .sample = t->sample,
                            .samples = n,
                            .slices = 1,
                            .slice_start = slice_start,
                            .slice = &slice,
                            .batch = n};
  THAW_TRY(thaw_live_forward(s->live, &share, NULL, &y));
  memcpy(t->y, y, (size_t)n * (size_t)s->outputs * sizeof *t->y);
  thaw_session_probabilities(s, n, t->y);
  return THAW_OK;
}

static void merge_outputs(const tiling *t, const float *y, int32_t windows, double *out) {
  for (int32_t k = 0; k < t->session->outputs; k++) {
    double value = (double)y[k];
    if (t->tiles->merge == PREDICT_MERGE_MAX)
      out[k] = value > out[k] ? value : out[k];
    else
      out[k] = (isinf(out[k]) ? 0 : out[k]) + value / windows;
  }
}

static void merge_map(const tiling *t, canvas *c, int32_t w, const int32_t place[4], float value) {
  for (int32_t y = place[0]; y < place[0] + place[2]; y++)
    for (int32_t x = place[1]; x < place[1] + place[3]; x++) {
      size_t at = (size_t)y * (size_t)w + (size_t)x;
      if (t->tiles->merge == PREDICT_MERGE_MAX)
        c->value[at] = value > c->value[at] ? value : c->value[at];
      else
        c->value[at] += value;
      c->covered[at]++;
    }
}

static thaw_status write_map(const tiling *t, const canvas *c, const thaw_image *picture, int64_t index) {
  thaw_image shown = {0}, overlay = {0};
  char *path = thaw_format("%s/%04lld.png", t->tiles->maps, (long long)(index + 1));
  thaw_status status = path ? THAW_OK : THAW_ERR_MEMORY;
  for (size_t i = 0; t->tiles->merge == PREDICT_MERGE_MEAN && i < (size_t)picture->h * (size_t)picture->w; i++)
    c->value[i] /= c->covered[i];
  if (status == THAW_OK) status = cli_file_picture(t->files->item[index], picture->h, picture->w, &shown);
  if (status == THAW_OK)
    status = thaw_heat_overlay(&shown, c->value, picture->h, picture->w, t->tiles->opacity, &overlay);
  if (status == THAW_OK) status = thaw_image_write_png(path, &overlay);
  thaw_image_clear(&shown);
  thaw_image_clear(&overlay);
  thaw_free(path);
  return status;
}

static thaw_status all_windows(tiling *t, const thaw_image *picture, int64_t index, canvas *c) {
  int32_t tile = t->tiles->tile, stride = t->tiles->stride, place[BATCH][4];
  int32_t columns = thaw_tile_count(picture->w, tile, stride);
  int32_t windows = thaw_tile_count(picture->h, tile, stride) * columns;
  size_t inputs = (size_t)t->session->input.h * (size_t)t->session->input.w * (size_t)t->session->input.c;
  size_t outputs = (size_t)t->session->outputs;
  for (int32_t first = 0; first < windows; first += t->batch) {
    int32_t n = windows - first < t->batch ? windows - first : t->batch;
    for (int32_t i = 0; i < n; i++) {
      place[i][0] = thaw_tile_start(picture->h, tile, stride, (first + i) / columns);
      place[i][1] = thaw_tile_start(picture->w, tile, stride, (first + i) % columns);
      place[i][2] = side(picture->h, tile);
      place[i][3] = side(picture->w, tile);
      THAW_TRY(make_input(t, picture, place[i], t->x + (size_t)i * inputs));
    }
    THAW_TRY(run_windows(t, n));
    for (int32_t i = 0; i < n; i++) {
      const float *y = t->y + (size_t)i * outputs;
      merge_outputs(t, y, windows, t->merged + (size_t)index * outputs);
      if (c->value) merge_map(t, c, picture->w, place[i], y[t->output]);
    }
  }
  return THAW_OK;
}

static thaw_status predict_one(tiling *t, int64_t index) {
  thaw_image picture;
  canvas c = {0};
  thaw_status status = thaw_image_read(t->files->item[index], &picture);
  if (status == THAW_ERR_MEMORY) return status;
  if (status != THAW_OK) {
    thaw_text_add(&t->error, "%lld %s", (long long)index, thaw_message());
    thaw_text_add_bytes(&t->error, "", 1);
    return THAW_OK;
  }
  size_t pixels = (size_t)picture.h * (size_t)picture.w;
  if (t->tiles->maps) {
    c.value = thaw_new(pixels, sizeof *c.value);
    c.covered = thaw_new(pixels, sizeof *c.covered);
    if (!c.value || !c.covered) status = THAW_ERR_MEMORY;
  }
  if (status == THAW_OK) status = all_windows(t, &picture, index, &c);
  if (status == THAW_OK && c.value) status = write_map(t, &c, &picture, index);
  thaw_free(c.value);
  thaw_free(c.covered);
  thaw_image_clear(&picture);
  return status;
}

/* ------------------------------------------------------------------ all ranks */

/* Rank 0: the reasons of images that could not be read, and their zeros. */
static thaw_status take_errors(const tiling *t, const char *data, size_t size, thaw_predictions *out) {
  const char **reason = thaw_new(t->files->count, sizeof *reason);
  thaw_status status = reason ? THAW_OK : THAW_ERR_MEMORY;
  for (size_t at = 0; status == THAW_OK && at < size; at += strlen(data + at) + 1) {
    char number[24] = {0};
    const char *words = strchr(data + at, ' ');
    int64_t index = -1;
    if (words && words - (data + at) < 24) memcpy(number, data + at, (size_t)(words - (data + at)));
    status = thaw_parse_int(number, &index);
    if (status == THAW_OK && index >= 0 && index < out->count) reason[index] = words + 1;
  }
  for (int64_t i = 0; i < out->count && status == THAW_OK; i++) {
    out->failed += reason[i] != NULL;
    status = thaw_strings_add(&out->error, reason[i] ? reason[i] : "");
  }
  thaw_free(reason);
  return status;
}

static thaw_status finish(const tiling *t, const char *errors, size_t size, thaw_predictions *out) {
  size_t values = t->files->count * (size_t)t->session->outputs;
  out->count = (int64_t)t->files->count;
  out->y = thaw_new(values, sizeof *out->y);
  if (!out->y) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < values; i++) out->y[i] = isinf(t->merged[i]) ? 0 : (float)t->merged[i];
  return take_errors(t, errors, size, out);
}

/* [collective] */
static thaw_status gather(cli_context *cli, tiling *t, thaw_predictions *out) {
  char *all = NULL;
  size_t *sizes = NULL, size = 0;
  THAW_TRY(thaw_comm_max_double(cli->comm, t->merged, t->files->count * (size_t)t->session->outputs));
  THAW_TRY(thaw_comm_gather(cli->comm, t->error.data ? t->error.data : "", t->error.length, &all, &sizes));
  for (int r = 0; sizes && r < thaw_comm_size(cli->comm); r++) size += sizes[r];
  thaw_status status = cli_is_root(cli) ? finish(t, all, size, out) : THAW_OK;
  thaw_free(all);
  thaw_free(sizes);
  return cli_share_status(cli, status);
}

/* [collective] */
static thaw_status predict_all(cli_context *cli, tiling *t, thaw_predictions *out) {
  int64_t count = (int64_t)t->files->count, rank = thaw_comm_rank(cli->comm), ranks = thaw_comm_size(cli->comm);
  int64_t first = count * rank / ranks, end = count * (rank + 1) / ranks;
  thaw_status status = find_output(t);
  if (status == THAW_OK) status = create(t);
  if (status == THAW_OK && t->tiles->maps && cli_is_root(cli)) status = thaw_folder_create(t->tiles->maps);
  THAW_TRY(thaw_agree(cli->comm, status));
  thaw_progress_begin(cli->log, "predict", "images", end - first);
  for (int64_t i = first; i < end && status == THAW_OK; i++) {
    status = predict_one(t, i);
    thaw_progress_update(cli->log, i - first + 1, NULL);
  }
  thaw_progress_end(cli->log, NULL);
  if (status == THAW_OK && t->error.failed) status = THAW_ERR_MEMORY;
  THAW_TRY(thaw_agree(cli->comm, status));
  return gather(cli, t, out);
}

thaw_status cli_predict_tiles(cli_context *cli, thaw_session *session, const predict_tiles *tiles,
                              const thaw_strings *files, thaw_predictions *out) {
  tiling t = {.session = session, .tiles = tiles, .files = files};
  *out = (thaw_predictions){0};
  thaw_status status = predict_all(cli, &t, out);
  clear(&t);
  if (status != THAW_OK) thaw_predictions_clear(out);
  return status;
}
