/* A picture in memory, and the few strokes that the plots are made of. */
#include "report/report_private.h"

#include "thaw/memory.h"

#include <cairo.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

thaw_status report_canvas_create(int32_t width, int32_t height, report_canvas *out) {
  *out = (report_canvas){0};
  out->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
  out->cairo = cairo_create(out->surface);
  cairo_status_t status = cairo_status(out->cairo);
  if (status != CAIRO_STATUS_SUCCESS) {
    report_canvas_destroy(out);
    return thaw_fail(THAW_ERR_MEMORY, "a picture of %d x %d pixels: %s", width, height, cairo_status_to_string(status));
  }
  cairo_set_source_rgb(out->cairo, 1, 1, 1);
  cairo_paint(out->cairo);
  return THAW_OK;
}

void report_canvas_destroy(report_canvas *canvas) {
  if (canvas->cairo) cairo_destroy(canvas->cairo);
  if (canvas->surface) cairo_surface_destroy(canvas->surface);
  *canvas = (report_canvas){0};
}

static cairo_status_t append(void *text, const unsigned char *data, unsigned int size) {
  thaw_text_add_bytes(text, (const char *)data, size);
  return ((thaw_text *)text)->failed ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

thaw_status report_canvas_png(const report_canvas *canvas, const char *what, thaw_text *out) {
  cairo_status_t status = cairo_status(canvas->cairo);
  if (status == CAIRO_STATUS_SUCCESS) {
    cairo_surface_flush(canvas->surface);
    status = cairo_surface_write_to_png_stream(canvas->surface, append, out);
  }
  if (status == CAIRO_STATUS_SUCCESS) return THAW_OK;
  return thaw_fail(THAW_ERR_RUN, "%s: cannot be drawn: %s", what, cairo_status_to_string(status));
}

thaw_status report_canvas_save(const report_canvas *canvas, const char *path) {
  thaw_text png = {0};
  thaw_status status = report_canvas_png(canvas, path, &png);
  if (status == THAW_OK) status = thaw_file_write(path, png.data, png.length);
  thaw_text_clear(&png);
  return status;
}

void report_colour(cairo_t *cairo, uint32_t rgb) {
  cairo_set_source_rgb(cairo, (rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0);
}

/* Okabe and Ito, "Color Universal Design", 2008, without black and yellow. */
uint32_t report_palette(int32_t index) {
  static const uint32_t colour[] = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9};
  return colour[(uint32_t)index % (sizeof colour / sizeof *colour)];
}

void report_font(cairo_t *cairo, double size, bool bold) {
  cairo_select_font_face(cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                         bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(cairo, size);
}

double report_text_width(cairo_t *cairo, const char *text) {
  cairo_text_extents_t extents;
  cairo_text_extents(cairo, text, &extents);
  return extents.x_advance;
}

void report_text(cairo_t *cairo, double x, double y, report_align align, double turn, const char *text) {
  cairo_font_extents_t font;
  cairo_font_extents(cairo, &font);
  double width = report_text_width(cairo, text);
  cairo_save(cairo);
  cairo_translate(cairo, x, y);
  cairo_rotate(cairo, turn);
  cairo_move_to(cairo,
                align == REPORT_LEFT     ? 0
                : align == REPORT_CENTRE ? -width / 2
                                         : -width,
                (font.ascent - font.descent) / 2);
  cairo_show_text(cairo, text);
  cairo_restore(cairo);
}

void report_line(cairo_t *cairo, double x0, double y0, double x1, double y1) {
  cairo_move_to(cairo, x0, y0);
  cairo_line_to(cairo, x1, y1);
  cairo_stroke(cairo);
}

/* Bytes of the UTF-8 character at `text` (RFC 3629: no overlong forms, no surrogates), 0 when it is none. */
static size_t character(const char *text) {
  const unsigned char *c = (const unsigned char *)text;
  size_t length = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : c[0] < 0xf5 ? 4 : 0;
  for (size_t i = 1; i < length; i++)
    if ((c[i] & 0xc0) != 0x80) return 0;
  if (c[0] == 0xe0 && c[1] < 0xa0) return 0;
  if (c[0] == 0xed && c[1] > 0x9f) return 0;
  if (c[0] == 0xf0 && c[1] < 0x90) return 0;
  if (c[0] == 0xf4 && c[1] > 0x8f) return 0;
  return length;
}

const char *report_clean(const char *text, char *out, size_t size) {
  size_t at = 0;
  while (*text) {
    size_t length = character(text);
    size_t need = length ? length : 1;
    if (at + need >= size) break;
    if (!length)
      out[at] = '?';
    else
      memcpy(out + at, text, length);
    if (length == 1 && ((unsigned char)*text < 0x20 || *text == 0x7f)) out[at] = ' ';
    if (length == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0) out[at] = out[at + 1] = ' ';
    at += need;
    text += need;
  }
  out[at] = 0;
  return out;
}

const char *report_fit(cairo_t *cairo, const char *text, double width, char *out, size_t size) {
  static const char ellipsis[] = "\xe2\x80\xa6";
  report_clean(text, out, size - sizeof ellipsis);
  size_t length = strlen(out);
  if (report_text_width(cairo, out) <= width) return out;
  while (length) {
    do length--;
    while (length && ((unsigned char)out[length] & 0xc0) == 0x80);
    memcpy(out + length, ellipsis, sizeof ellipsis);
    if (report_text_width(cairo, out) <= width) return out;
  }
  return out;
}
