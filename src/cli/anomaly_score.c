/* Scores of all images, ranks taking contiguous runs of them. */
#include "cli/anomaly.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

typedef struct scoring {
  anomaly_images *images;
  thaw_anomaly *model;
  anomaly_result *result;
  bool masks;
  int64_t misfits, first_misfit; /* masks of another size */
  thaw_text errors;              /* "index reason" each, zero-separated */
  char *misfit;                  /* words about the first one */
} scoring;

void anomaly_result_clear(anomaly_result *r) {
  thaw_free(r->score);
  thaw_free(r->peak);
  thaw_strings_clear(&r->error);
  thaw_pixels_clear(&r->pixels);
  *r = (anomaly_result){0};
}

static bool marked(const thaw_image *mask, size_t pixel) {
  for (size_t k = 0; k < (size_t)mask->c; k++) {
    size_t at = pixel * (size_t)mask->c + k;
    if (mask->bits == 16 ? ((const uint16_t *)mask->pixels)[at] : ((const uint8_t *)mask->pixels)[at]) return true;
  }
  return false;
}

/* The mask at the map's size, by the nearest pixel -> *out [h w]. */
static thaw_status sample_mask(const thaw_image *mask, int32_t h, int32_t w, uint8_t **out, bool *empty) {
  uint8_t *to = *out = thaw_new((size_t)h * (size_t)w, 1);
  if (!to) return THAW_ERR_MEMORY;
  *empty = true;
  for (int32_t y = 0; y < h; y++)
    for (int32_t x = 0; x < w; x++) {
      int64_t from_y = ((int64_t)2 * y + 1) * mask->h / (2 * (int64_t)h);
      int64_t from_x = ((int64_t)2 * x + 1) * mask->w / (2 * (int64_t)w);
      *to = marked(mask, (size_t)from_y * (size_t)mask->w + (size_t)from_x);
      if (*to++) *empty = false;
    }
  return THAW_OK;
}

static thaw_status add_pixels(scoring *s, int64_t index, const thaw_image *picture, const thaw_anomaly_map *map) {
  thaw_image mask = {0};
  uint8_t *sampled = NULL;
  bool empty = false;
  const char *path = s->images->masks.item[index];
  if (!*path) return thaw_pixels_add(&s->result->pixels, map->value, NULL, map->h, map->w);
  THAW_TRY(thaw_image_read(path, &mask));
  thaw_status status = THAW_OK;
  if (mask.h != picture->h || mask.w != picture->w) {
    if (s->misfits++ == 0) {
      s->first_misfit = index;
      s->misfit = thaw_format("%s is %d x %d, %s is %d x %d", path, mask.h, mask.w, s->images->names.item[index],
                              picture->h, picture->w);
    }
  } else {
    status = sample_mask(&mask, map->h, map->w, &sampled, &empty);
    s->result->empty_masks += empty;
    if (status == THAW_OK) status = thaw_pixels_add(&s->result->pixels, map->value, sampled, map->h, map->w);
  }
  thaw_free(sampled);
  thaw_image_clear(&mask);
  return status;
}

static thaw_status score_one(scoring *s, int64_t index) {
  thaw_image picture;
  thaw_anomaly_map map;
  double value_max;
  thaw_status status = anomaly_images_read(s->images, index, &picture, &value_max);
  if (status == THAW_ERR_MEMORY) return status;
  if (status != THAW_OK) {
    thaw_text_add(&s->errors, "%lld %s", (long long)index, thaw_message());
    thaw_text_add_bytes(&s->errors, "", 1);
    return THAW_OK;
  }
  status = thaw_anomaly_score(s->model, &picture, value_max, &map);
  if (status == THAW_OK) {
    float most = 0;
    for (size_t i = 0; i < (size_t)map.h * (size_t)map.w; i++)
      if (map.value[i] > most) most = map.value[i];
    s->result->score[index] = map.score;
    s->result->peak[index] = (double)most;
    if (s->masks) status = add_pixels(s, index, &picture, &map);
    thaw_free(map.value);
  }
  thaw_image_clear(&picture);
  return status == THAW_OK ? status : thaw_fail_in(status, "%s: ", s->images->names.item[index]);
}

/* ------------------------------------------------------------------ all ranks */

/* Rank 0: the reasons of every rank to their images. */
static thaw_status place_errors(anomaly_result *r, int64_t count, const char *data, size_t size) {
  const char **reason = thaw_new((size_t)count, sizeof *reason);
  thaw_status status = reason ? THAW_OK : THAW_ERR_MEMORY;
  for (size_t at = 0; status == THAW_OK && at < size; at += strlen(data + at) + 1) {
    char number[24] = {0};
    const char *words = strchr(data + at, ' ');
    int64_t index = -1;
    if (words && words - (data + at) < 24) memcpy(number, data + at, (size_t)(words - (data + at)));
    status = thaw_parse_int(number, &index);
    if (status == THAW_OK && index >= 0 && index < count) reason[index] = words + 1;
  }
  for (int64_t i = 0; i < count && status == THAW_OK; i++) {
    r->failed += reason[i] != NULL;
    status = thaw_strings_add(&r->error, reason[i] ? reason[i] : "");
  }
  thaw_free(reason);
  return status;
}

/* [collective] */
static thaw_status gather_errors(cli_context *cli, const scoring *s) {
  char *all = NULL;
  size_t *sizes = NULL, size = 0;
  THAW_TRY(thaw_agree(cli->comm, s->errors.failed ? THAW_ERR_MEMORY : THAW_OK));
  THAW_TRY(thaw_comm_gather(cli->comm, s->errors.data ? s->errors.data : "", s->errors.length, &all, &sizes));
  for (int r = 0; sizes && r < thaw_comm_size(cli->comm); r++) size += sizes[r];
  thaw_status status = cli_is_root(cli) ? place_errors(s->result, s->images->count, all, size) : THAW_OK;
  thaw_free(all);
  thaw_free(sizes);
  return cli_share_status(cli, status);
}

/* [collective] Rank 0 gets every rank's pixels, in rank order. */
static thaw_status gather_pixels(cli_context *cli, const scoring *s) {
  thaw_text mine = {0};
  char *all = NULL;
  size_t *sizes = NULL, at = 0;
  thaw_status status = thaw_agree(cli->comm, thaw_pixels_pack(&s->result->pixels, &mine));
  thaw_pixels_clear(&s->result->pixels);
  if (status == THAW_OK) status = thaw_comm_gather(cli->comm, mine.data, mine.length, &all, &sizes);
  thaw_text_clear(&mine);
  thaw_status joined = THAW_OK;
  for (int r = 0; all && r < thaw_comm_size(cli->comm) && joined == THAW_OK; r++, at += sizes[r - 1]) {
    size_t used;
    joined = thaw_pixels_unpack(all + at, sizes[r], &s->result->pixels, &used);
  }
  thaw_free(all);
  thaw_free(sizes);
  return status == THAW_OK ? cli_share_status(cli, joined) : status;
}

/* [collective] Masks of another size end the work, named and counted. */
static thaw_status check_masks(cli_context *cli, scoring *s) {
  int64_t count[2] = {s->misfits, s->result->empty_masks}, first = s->misfits ? -s->first_misfit : INT64_MIN;
  THAW_TRY(thaw_comm_sum_int(cli->comm, count, 2));
  THAW_TRY(thaw_comm_max_int(cli->comm, &first, 1));
  s->result->empty_masks = count[1];
  if (!count[0]) return THAW_OK;
  bool mine = s->misfits && -s->first_misfit == first;
  return thaw_agree(cli->comm, mine ? thaw_fail(THAW_ERR_DATA,
                                                "%lld masks are of another size than their images, the "
                                                "first: %s",
                                                (long long)count[0], s->misfit ? s->misfit : "")
                                    : THAW_OK);
}

/* [collective] */
static thaw_status score_share(cli_context *cli, scoring *s) {
  anomaly_result *r = s->result;
  int64_t count = s->images->count, rank = thaw_comm_rank(cli->comm), ranks = thaw_comm_size(cli->comm);
  int64_t first = count * rank / ranks, end = count * (rank + 1) / ranks;
  r->score = thaw_new((size_t)count, sizeof *r->score);
  r->peak = thaw_new((size_t)count, sizeof *r->peak);
  thaw_status status = r->score && r->peak ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t i = 0; status == THAW_OK && i < count; i++) r->score[i] = r->peak[i] = -1;
  thaw_progress_begin(cli->log, "score", "images", end - first);
  for (int64_t i = first; i < end && status == THAW_OK; i++) {
    status = score_one(s, i);
    thaw_progress_update(cli->log, i - first + 1, NULL);
  }
  thaw_progress_end(cli->log, NULL);
  THAW_TRY(thaw_agree(cli->comm, status));
  THAW_TRY(thaw_comm_max_double(cli->comm, r->score, (size_t)count));
  THAW_TRY(thaw_comm_max_double(cli->comm, r->peak, (size_t)count));
  THAW_TRY(check_masks(cli, s));
  THAW_TRY(gather_errors(cli, s));
  return s->masks ? gather_pixels(cli, s) : THAW_OK;
}

/* ------------------------------------------------------------------ threshold */

/* Scores of the images that were read and whose truth is known. */
static thaw_status question(const anomaly_images *images, const anomaly_result *r, thaw_binary *out) {
  float *score = thaw_new((size_t)images->count, sizeof *score);
  uint8_t *truth = thaw_new((size_t)images->count, 1);
  thaw_status status = score && truth ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t i = 0; status == THAW_OK && i < images->count; i++) {
    score[i] = (float)r->score[i];
    truth[i] = r->score[i] < 0 ? THAW_UNKNOWN : images->truth[i];
  }
  if (status == THAW_OK) status = thaw_binary_create(score, 1, truth, NULL, images->count, out);
  thaw_free(score);
  thaw_free(truth);
  return status;
}

static thaw_status choose_threshold(const anomaly_options *o, const anomaly_images *images, anomaly_result *r) {
  thaw_operating_point point;
  thaw_binary binary;
  if (!o->threshold) return THAW_OK;
  THAW_TRY(thaw_operating_parse(o->threshold, &point));
  r->rule = o->threshold;
  THAW_TRY(question(images, r, &binary));
  r->threshold = thaw_operating_choose(&binary, &point);
  thaw_binary_clear(&binary);
  if (!isnan(r->threshold)) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "--threshold %s: needs images known to be normal and images known not to be",
                   o->threshold);
}

thaw_status anomaly_score_images(cli_context *cli, const anomaly_options *o, thaw_anomaly *model,
                                 anomaly_images *images, anomaly_result *out) {
  scoring s = {.images = images, .model = model, .result = out, .masks = images->masks.count > 0};
  *out = (anomaly_result){.rule = "held-out normal images"};
  thaw_anomaly_thresholds(model, &out->threshold, &out->pixel_threshold);
  thaw_status status = score_share(cli, &s);
  if (status == THAW_OK) status = cli_share_status(cli, choose_threshold(o, images, out));
  thaw_text_clear(&s.errors);
  thaw_free(s.misfit);
  if (status != THAW_OK) anomaly_result_clear(out);
  return status;
}
