/* thaw inspect --augment: samples of a job's training data before and after augmentation, in one picture. */
#include "cli/inspect.h"
#include "thaw/image.h"
#include "thaw/layer.h"
#include "thaw/loader.h"
#include "thaw/loss.h"
#include "thaw/memory.h"
#include "thaw/optim.h"

#include <string.h>

enum { MOST_JOB_BYTES = 1 << 22, ROWS = 8, VIEWS = 9, CELL = 128, GAP = 4 };

typedef struct augment_sheet {
  thaw_catalog *catalog;
  const thaw_dataset_info *data;
  thaw_input input;
  thaw_image page;
  int32_t h, w, rows, columns; /* of a cell's picture; of the sheet */
} augment_sheet;

/* The job's input without the architecture's preprocessing, so that values stay 0 .. 255. */
static thaw_status describe_input(const thaw_job *job, thaw_input *out) {
  const thaw_backbone_config *b = &job->backbone;
  const thaw_architecture *architecture = b->file ? NULL : thaw_architecture_find(b->architecture);
  if (!architecture && !b->file)
    return thaw_fail(THAW_ERR_USAGE, "%s: backbone: unknown architecture '%s'", job->path, b->architecture);
  int32_t size = architecture ? architecture->default_size : 224;
  bool given = b->input[0] > 0;
  *out = (thaw_input){.h = given ? b->input[0] : size,
                      .w = given ? b->input[1] : size,
                      .c = given ? b->input[2] : 3,
                      .preprocessing = THAW_PREPROCESS_RAW,
                      .augment = job->data.augment,
                      .seed = (uint64_t)job->seed,
                      .allow_resize = job->data.resize == 0};
  return THAW_OK;
}

static thaw_status create_page(augment_sheet *s) {
  double scale = (double)CELL / (s->input.h > s->input.w ? s->input.h : s->input.w);
  s->h = (int32_t)(s->input.h * scale + 0.5) < 1 ? 1 : (int32_t)(s->input.h * scale + 0.5);
  s->w = (int32_t)(s->input.w * scale + 0.5) < 1 ? 1 : (int32_t)(s->input.w * scale + 0.5);
  s->rows = s->data->count < ROWS ? (int32_t)s->data->count : ROWS;
  s->columns = 1 + (s->input.augment.views < VIEWS ? s->input.augment.views : VIEWS);
  s->page =
      (thaw_image){.h = s->rows * (s->h + GAP) + GAP, .w = s->columns * (s->w + GAP) + 2 * GAP, .c = 3, .bits = 8};
  size_t bytes = (size_t)s->page.h * (size_t)s->page.w * 3;
  s->page.pixels = thaw_new(bytes, 1);
  if (!s->page.pixels) return THAW_ERR_MEMORY;
  memset(s->page.pixels, 255, bytes);
  return THAW_OK;
}

/* Values 0 .. 255 as an RGB picture of the cell's size. */
static thaw_status make_picture(const augment_sheet *s, const float *x, thaw_image *out) {
  thaw_image raw = {.h = s->input.h, .w = s->input.w, .c = s->input.c, .bits = 8}, rgb = {0};
  size_t values = (size_t)raw.h * (size_t)raw.w * (size_t)raw.c;
  uint8_t *pixels = raw.pixels = thaw_new(values, 1);
  if (!pixels) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < values; i++) pixels[i] = x[i] > 0 ? x[i] < 255 ? (uint8_t)(x[i] + 0.5f) : 255 : 0;
  thaw_status status = thaw_image_channels(&raw, 3, &rgb);
  if (status == THAW_OK) status = thaw_image_resize(&rgb, s->h, s->w, out);
  thaw_image_clear(&raw);
  thaw_image_clear(&rgb);
  return status;
}

static void paste(augment_sheet *s, const thaw_image *picture, int32_t row, int32_t column) {
  int32_t top = GAP + row * (s->h + GAP), left = GAP + column * (s->w + GAP) + (column ? GAP : 0);
  for (int32_t y = 0; y < s->h; y++)
    memcpy((uint8_t *)s->page.pixels + 3 * ((size_t)(top + y) * (size_t)s->page.w + (size_t)left),
           (const uint8_t *)picture->pixels + 3 * (size_t)y * (size_t)s->w, 3 * (size_t)s->w);
}

/* One sample: as it is, then one column per view. */
static thaw_status draw_row(augment_sheet *s, int32_t row, void *pixels, float *x) {
  int64_t sample = row * s->data->count / s->rows;
  THAW_TRY(thaw_catalog_pixels(s->catalog, sample, 1, pixels));
  for (int32_t column = 0; column < s->columns; column++) {
    thaw_image picture = {0};
    THAW_TRY(thaw_input_make(&s->input, s->data, pixels, sample, column - 1, x));
    THAW_TRY(make_picture(s, x, &picture));
    paste(s, &picture, row, column);
    thaw_image_clear(&picture);
  }
  return THAW_OK;
}

static thaw_status draw_all(augment_sheet *s) {
  void *pixels = thaw_new((size_t)s->data->h * (size_t)s->data->w * (size_t)s->data->c, sizeof(uint16_t));
  float *x = thaw_new((size_t)s->input.h * (size_t)s->input.w * (size_t)s->input.c, sizeof *x);
  thaw_status status = pixels && x ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t row = 0; row < s->rows && status == THAW_OK; row++) status = draw_row(s, row, pixels, x);
  thaw_free(pixels);
  thaw_free(x);
  return status;
}

static thaw_status draw_sheet(augment_sheet *s, const thaw_job *job, const char *path) {
  THAW_TRY(describe_input(job, &s->input));
  if (!s->input.augment.enabled) return thaw_fail(THAW_ERR_USAGE, "%s: the job has no data.augment section", job->path);
  THAW_TRY(thaw_catalog_open(job->data.train, &s->catalog));
  s->data = thaw_catalog_info(s->catalog);
  THAW_TRY(thaw_input_check(&s->input, s->data, job->data.train));
  if (s->data->count < 1) return thaw_fail(THAW_ERR_DATA, "%s: holds no samples", job->data.train);
  THAW_TRY(create_page(s));
  THAW_TRY(draw_all(s));
  return thaw_image_write_png(path, &s->page);
}

/* [local] rank 0 */
static thaw_status inspect(const cli_context *cli, const char *job_path, const char *sheet_path) {
  char *text = NULL;
  size_t size;
  thaw_job *job = NULL;
  augment_sheet sheet = {0};
  thaw_job_schemas schemas = {thaw_layer_head_schemas(), thaw_loss_schemas(), thaw_optim_schemas(),
                              thaw_schedule_schemas()};
  THAW_TRY(thaw_file_read(job_path, MOST_JOB_BYTES, &text, &size));
  thaw_status status = thaw_job_parse(job_path, text, size, &schemas, &job);
  if (status == THAW_OK) status = draw_sheet(&sheet, job, sheet_path);
  if (status == THAW_OK)
    cli_print(cli, "%d samples of %s, as they are and in %d of %d views: %s\n", sheet.rows, job->data.train,
              sheet.columns - 1, sheet.input.augment.views, sheet_path);
  thaw_image_clear(&sheet.page);
  thaw_catalog_close(sheet.catalog);
  thaw_job_destroy(job);
  thaw_free(text);
  return status;
}

thaw_status cli_inspect_augment(cli_context *cli, const char *job_path, const char *sheet_path) {
  if (!sheet_path) return thaw_fail(THAW_ERR_USAGE, "--augment needs --sheet FILE.png");
  return cli_share_status(cli, cli_is_root(cli) ? inspect(cli, job_path, sheet_path) : THAW_OK);
}
