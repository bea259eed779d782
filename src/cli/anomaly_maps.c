/* Heat maps of the images with the highest scores, and a sheet of the first of them. */
#include "cli/anomaly.h"
#include "cli/pictures.h"
#include "thaw/explain.h"
#include "thaw/memory.h"
#include "thaw/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHORTEST = 400, LONGEST = 2048, SHEET = 24, SHEET_SIDE = 400 };

typedef struct ranked {
  double score;
  int64_t index;
} ranked;

typedef struct drawing {
  const anomaly_options *options;
  thaw_anomaly *model;
  anomaly_images *images;
  const anomaly_result *result;
  const char *folder;
  ranked *order; /* [count] by falling score */
  int64_t count; /* of maps */
  double full;   /* the map's value that is shown as 1 */
} drawing;

static int by_score(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  return (x->index > y->index) - (x->index < y->index);
}

/* Twice the threshold of a pixel is the end of the colours, so the threshold itself is green; without a threshold the
 * largest value is the end. */
static thaw_status rank_images(drawing *d) {
  const anomaly_result *r = d->result;
  d->order = thaw_new((size_t)d->images->count, sizeof *d->order);
  if (!d->order) return THAW_ERR_MEMORY;
  double most = 0;
  for (int64_t i = 0; i < d->images->count; i++) {
    d->order[i] = (ranked){r->score[i], i};
    if (r->peak[i] > most) most = r->peak[i];
    if (r->score[i] >= 0) d->count++;
  }
  qsort(d->order, (size_t)d->images->count, sizeof *d->order, by_score);
  if (d->count > d->options->maps) d->count = d->options->maps;
  d->full = isnan(r->pixel_threshold) || !(r->pixel_threshold > 0) ? most : 2 * r->pixel_threshold;
  if (!(d->full > 0)) d->full = 1;
  return THAW_OK;
}

static thaw_status picture_of(const drawing *d, int64_t index, int32_t h, int32_t w, thaw_image *out) {
  double scale = 1;
  int32_t longest = h > w ? h : w;
  if (longest < SHORTEST) scale = (double)SHORTEST / longest;
  if (longest > LONGEST) scale = (double)LONGEST / longest;
  h = (int32_t)(h * scale + 0.5) > 0 ? (int32_t)(h * scale + 0.5) : 1;
  w = (int32_t)(w * scale + 0.5) > 0 ? (int32_t)(w * scale + 0.5) : 1;
  return d->images->catalog ? cli_catalog_picture(d->images->catalog, d->images->index[index], h, w, out)
                            : cli_file_picture(d->images->names.item[index], h, w, out);
}

static char *map_path(const drawing *d, int64_t place) {
  return thaw_format("%s/maps/%04lld.png", d->folder, (long long)(place + 1));
}

static thaw_status draw_map(const drawing *d, int64_t place) {
  thaw_image stored = {0}, picture = {0}, overlay = {0};
  thaw_anomaly_map map = {0};
  double value_max;
  int64_t index = d->order[place].index;
  char *path = map_path(d, place);
  thaw_status status = path ? anomaly_images_read(d->images, index, &stored, &value_max) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_anomaly_score(d->model, &stored, value_max, &map);
  for (size_t i = 0; status == THAW_OK && i < (size_t)map.h * (size_t)map.w; i++)
    map.value[i] = (float)(map.value[i] / d->full);
  if (status == THAW_OK) status = picture_of(d, index, stored.h, stored.w, &picture);
  if (status == THAW_OK) status = thaw_heat_overlay(&picture, map.value, map.h, map.w, d->options->opacity, &overlay);
  if (status == THAW_OK) status = thaw_image_write_png(path, &overlay);
  thaw_image_clear(&stored);
  thaw_image_clear(&picture);
  thaw_image_clear(&overlay);
  thaw_free(map.value);
  thaw_free(path);
  return status;
}

/* ------------------------------------------------------------------ the sheet */

typedef struct sheet {
  thaw_tile tile[SHEET];
  thaw_image page[SHEET][2];
  char *words[SHEET][2];
  int32_t count;
} sheet;

/* Both at the same height, at most SHEET_SIDE. */
static thaw_status shrink(thaw_image *image) {
  int32_t longest = image->h > image->w ? image->h : image->w;
  if (longest <= SHEET_SIDE) return THAW_OK;
  thaw_image small;
  int32_t h = (int32_t)((int64_t)image->h * SHEET_SIDE / longest),
          w = (int32_t)((int64_t)image->w * SHEET_SIDE / longest);
  THAW_TRY(thaw_image_resize(image, h > 0 ? h : 1, w > 0 ? w : 1, &small));
  thaw_image_clear(image);
  *image = small;
  return THAW_OK;
}

static thaw_status add_tile(const drawing *d, sheet *s, int32_t place) {
  int64_t index = d->order[place].index;
  thaw_image *page = s->page[place];
  const anomaly_images *images = d->images;
  char *path = map_path(d, place);
  thaw_status status = path ? thaw_image_read(path, &page[1]) : THAW_ERR_MEMORY;
  thaw_free(path);
  if (status == THAW_OK) status = picture_of(d, index, page[1].h, page[1].w, &page[0]);
  if (status == THAW_OK) status = shrink(&page[0]);
  if (status == THAW_OK) status = shrink(&page[1]);
  if (status != THAW_OK) return status;
  bool wrong = images->truth[index] != THAW_UNKNOWN && !isnan(d->result->threshold) &&
               (d->result->score[index] >= d->result->threshold) != images->truth[index];
  s->words[place][0] = thaw_format("%d: %.4g %s", place + 1, d->result->score[index], images->kinds.item[index]);
  s->words[place][1] = thaw_copy_text(thaw_path_name(images->names.item[index]));
  if (!s->words[place][0] || !s->words[place][1]) return THAW_ERR_MEMORY;
  s->tile[place] = (thaw_tile){
      .picture = page, .pictures = 2, .title = s->words[place][0], .note = s->words[place][1], .marked = wrong};
  s->count++;
  return THAW_OK;
}

static thaw_status write_sheet(const drawing *d) {
  sheet *s = thaw_new(1, sizeof *s);
  char *path = thaw_path_join(d->folder, "sheet.png");
  thaw_status status = s && path ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t i = 0; i < SHEET && i < d->count && status == THAW_OK; i++) status = add_tile(d, s, i);
  if (status == THAW_OK) status = thaw_plot_tiles(path, "highest anomaly scores", s->tile, s->count);
  for (int32_t i = 0; s && i < SHEET; i++)
    for (int k = 0; k < 2; k++) {
      thaw_image_clear(&s->page[i][k]);
      thaw_free(s->words[i][k]);
    }
  thaw_free(s);
  thaw_free(path);
  return status;
}

thaw_status anomaly_write_maps(cli_context *cli, const anomaly_options *o, thaw_anomaly *model, anomaly_images *images,
                               const anomaly_result *result, const char *folder) {
  drawing d = {.options = o, .model = model, .images = images, .result = result, .folder = folder};
  char *maps = thaw_path_join(folder, "maps");
  thaw_status status = maps ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && cli_is_root(cli)) status = thaw_folder_create(maps);
  if (status == THAW_OK) status = rank_images(&d);
  status = thaw_agree(cli->comm, status);
  int64_t ranks = thaw_comm_size(cli->comm);
  if (status == THAW_OK) {
    thaw_progress_begin(cli->log, "heat maps", "images", d.count);
    for (int64_t i = thaw_comm_rank(cli->comm); i < d.count && status == THAW_OK; i += ranks) {
      status = draw_map(&d, i);
      thaw_progress_update(cli->log, i + 1, NULL);
    }
    thaw_progress_end(cli->log, NULL);
    status = thaw_agree(cli->comm, status);
  }
  if (status == THAW_OK && d.count) status = cli_share_status(cli, cli_is_root(cli) ? write_sheet(&d) : THAW_OK);
  thaw_free(d.order);
  thaw_free(maps);
  return status;
}
