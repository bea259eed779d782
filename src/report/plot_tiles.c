/* A sheet of pictures side by side with two lines of words under each group. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <cairo.h>
#include <math.h>
#include <string.h>

enum { CELL = 200, GAP = 6, MARGIN = 14, CAPTION = 44, TITLE = 40, WIDEST = 2400 };

/* An 8-bit RGB picture, scaled to fit the cell at (x, y), centred. */
static thaw_status draw_picture(cairo_t *cairo, const thaw_image *picture, double x, double y) {
  int stride = cairo_format_stride_for_width(CAIRO_FORMAT_RGB24, picture->w);
  unsigned char *data = thaw_new((size_t)stride * (size_t)picture->h, 1);
  if (!data) return THAW_ERR_MEMORY;
  const uint8_t *from = picture->pixels;
  for (int32_t row = 0; row < picture->h; row++)
    for (int32_t column = 0; column < picture->w; column++, from += 3) {
      uint32_t pixel = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
      memcpy(data + (size_t)row * (size_t)stride + (size_t)column * 4, &pixel, sizeof pixel);
    }
  cairo_surface_t *surface =
      cairo_image_surface_create_for_data(data, CAIRO_FORMAT_RGB24, picture->w, picture->h, stride);
  double scale = fmin((double)CELL / picture->w, (double)CELL / picture->h);
  cairo_save(cairo);
  cairo_translate(cairo, x + (CELL - scale * picture->w) / 2, y + (CELL - scale * picture->h) / 2);
  cairo_scale(cairo, scale, scale);
  cairo_set_source_surface(cairo, surface, 0, 0);
  /* Enlarged pixels stay visible as such; a shrunk picture is smoothed. */
  cairo_pattern_set_filter(cairo_get_source(cairo), scale > 1 ? CAIRO_FILTER_NEAREST : CAIRO_FILTER_GOOD);
  cairo_paint(cairo);
  cairo_restore(cairo);
  cairo_surface_destroy(surface);
  thaw_free(data);
  return THAW_OK;
}

static thaw_status draw_tile(cairo_t *cairo, const thaw_tile *tile, int32_t pictures, double x, double y) {
  char words[512];
  double width = pictures * (CELL + GAP) - GAP;
  for (int32_t i = 0; i < tile->pictures; i++)
    THAW_TRY(draw_picture(cairo, &tile->picture[i], x + i * (CELL + GAP), y));
  const char *line[] = {tile->title, tile->note};
  for (int i = 0; i < 2; i++) {
    if (!line[i]) continue;
    report_colour(cairo, i == 0 && tile->marked ? 0xb03000 : i == 0 ? 0x222222 : 0x666666);
    report_font(cairo, i == 0 ? 14 : 12, i == 0);
    report_text(cairo, x, y + CELL + 13 + i * 18, REPORT_LEFT, 0,
                report_fit(cairo, line[i], width, words, sizeof words));
  }
  return THAW_OK;
}

thaw_status thaw_plot_tiles(const char *path, const char *title, const thaw_tile *tile, int32_t count) {
  int32_t pictures = 1;
  for (int32_t i = 0; i < count; i++) pictures = tile[i].pictures > pictures ? tile[i].pictures : pictures;
  const int32_t wide = pictures * (CELL + GAP) - GAP + MARGIN, high = CELL + CAPTION;
  int32_t columns = (WIDEST - MARGIN) / wide;
  if (columns < 1) columns = 1;
  if (columns > count) columns = count > 0 ? count : 1;
  /* No wider than high, about. */
  while (columns > 1 && (columns - 1) * wide >= ((count + columns - 2) / (columns - 1)) * high) columns--;
  int32_t rows = (count + columns - 1) / columns;
  report_canvas canvas;
  char words[512];
  THAW_TRY(report_canvas_create(MARGIN + columns * wide, TITLE + rows * high + MARGIN, &canvas));
  report_colour(canvas.cairo, 0x222222);
  report_font(canvas.cairo, 18, true);
  report_text(canvas.cairo, MARGIN, TITLE / 2.0, REPORT_LEFT, 0,
              report_fit(canvas.cairo, title, columns * wide, words, sizeof words));
  thaw_status status = THAW_OK;
  for (int32_t i = 0; i < count && status == THAW_OK; i++)
    status = draw_tile(canvas.cairo, &tile[i], pictures, MARGIN + (i % columns) * wide, TITLE + (i / columns) * high);
  if (status == THAW_OK) status = report_canvas_save(&canvas, path);
  report_canvas_destroy(&canvas);
  return status;
}
