/* contact_sheet.c: samples of a data set in one picture, framed in the colour of their class. */
#include "cli/contact_sheet.h"
#include "cli/pictures.h"
#include "thaw/image.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

enum { COLUMNS = 12, CLASS_ROWS = 40, GRID_ROWS = 8, FRAME = 3, GAP = 2, CELL_MIN = 96, CELL_MAX = 160 };

typedef struct sheet {
  thaw_catalog *catalog;
  const thaw_labels *labels;
  thaw_image page;
  int32_t h, w; /* of a cell's picture */
  int32_t rows;
  bool by_class;
} sheet;

/* Hues a golden angle apart: neighbouring classes differ, any number of them. */
static void class_colour(int64_t index, uint8_t out[3]) {
  const double hue = fmod((double)index * 0.61803398875, 1.0) * 6;
  for (int k = 0; k < 3; k++) {
    const double distance = fabs(fmod(hue + 6 - 2 * k, 6) - 3);
    const double value = distance < 1 ? 0 : distance < 2 ? distance - 1 : 1;
    out[k] = (uint8_t)(55 + 200 * value);
  }
}

/* Largest pictures between CELL_MIN and CELL_MAX that keep the shape. */
static void plan_cells(sheet *s) {
  const thaw_dataset_info *info = thaw_catalog_info(s->catalog);
  const int32_t longest = info->h > info->w ? info->h : info->w;
  double scale = 1;
  if (longest < CELL_MIN) scale = ceil((double)CELL_MIN / longest);
  if (longest > CELL_MAX) scale = (double)CELL_MAX / longest;
  s->h = (int32_t)fmax(1, info->h * scale);
  s->w = (int32_t)fmax(1, info->w * scale);
  s->by_class = info->label_kind == THAW_LABEL_CLASS;
  const int64_t classes = (int64_t)info->classes.count, grid = (info->count + COLUMNS - 1) / COLUMNS;
  s->rows = (int32_t)(grid < GRID_ROWS ? grid : GRID_ROWS);
  if (s->by_class) s->rows = (int32_t)(classes < CLASS_ROWS ? classes : CLASS_ROWS);
}

static thaw_status create_page(sheet *s) {
  s->page = (thaw_image){
      .h = s->rows * (s->h + 2 * FRAME + GAP) + GAP, .w = COLUMNS * (s->w + 2 * FRAME + GAP) + GAP, .c = 3, .bits = 8};
  const size_t bytes = (size_t)s->page.h * (size_t)s->page.w * 3;
  s->page.pixels = thaw_new(bytes, 1);
  if (!s->page.pixels) return THAW_ERR_MEMORY;
  memset(s->page.pixels, 255, bytes);
  return THAW_OK;
}

/* The sample that belongs into a cell, or -1: evenly spread over its class, or over everything. */
static int64_t choose(const sheet *s, int32_t row, int32_t column, const int64_t *of_class) {
  const thaw_dataset_info *info = thaw_catalog_info(s->catalog);
  if (!s->by_class) {
    const int64_t cells = (int64_t)s->rows * COLUMNS, cell = (int64_t)row * COLUMNS + column;
    if (info->count <= cells) return cell < info->count ? cell : -1;
    return cell * info->count / cells;
  }
  const int64_t members = of_class[row];
  int64_t wanted = members <= COLUMNS ? column : column * members / COLUMNS;
  if (wanted >= members) return -1;
  for (int64_t i = 0; i < info->count; i++)
    if ((int32_t)thaw_label(s->labels, (uint64_t)i, 0) == row && wanted-- == 0) return i;
  return -1;
}

static uint8_t *page_pixel(const sheet *s, int32_t y, int32_t x) {
  return (uint8_t *)s->page.pixels + 3 * ((size_t)y * (size_t)s->page.w + (size_t)x);
}

static thaw_status draw_cell(sheet *s, int32_t row, int32_t column, int64_t sample) {
  const int32_t h = s->h + 2 * FRAME, w = s->w + 2 * FRAME;
  const int32_t top = GAP + row * (h + GAP), left = GAP + column * (w + GAP);
  uint8_t colour[3] = {128, 128, 128};
  thaw_image picture = {0};
  if (s->by_class) class_colour(row, colour);
  THAW_TRY(cli_catalog_picture(s->catalog, sample, s->h, s->w, &picture));
  for (int32_t y = 0; y < h; y++)
    for (int32_t x = 0; x < w; x++) memcpy(page_pixel(s, top + y, left + x), colour, 3);
  for (int32_t y = 0; y < s->h; y++)
    memcpy(page_pixel(s, top + FRAME + y, left + FRAME), (const uint8_t *)picture.pixels + 3 * (size_t)y * (size_t)s->w,
           3 * (size_t)s->w);
  thaw_image_clear(&picture);
  return THAW_OK;
}

static thaw_status draw_all(sheet *s, const int64_t *of_class) {
  for (int32_t row = 0; row < s->rows; row++)
    for (int32_t column = 0; column < COLUMNS; column++) {
      const int64_t sample = choose(s, row, column, of_class);
      if (sample >= 0) THAW_TRY(draw_cell(s, row, column, sample));
    }
  return THAW_OK;
}

thaw_status cli_contact_sheet(thaw_catalog *catalog, const int64_t *of_class, const char *path) {
  sheet s = {.catalog = catalog};
  THAW_TRY(thaw_catalog_labels(catalog, &s.labels));
  plan_cells(&s);
  THAW_TRY(create_page(&s));
  thaw_status status = draw_all(&s, of_class);
  if (status == THAW_OK) status = thaw_image_write_png(path, &s.page);
  thaw_image_clear(&s.page);
  return status;
}
