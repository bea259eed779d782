/* png_write.c: 8-bit grey or RGB PNG through memory, so that the file is whole or absent. */
#include "image/image_private.h"
#include "thaw/file.h"
#include "thaw/memory.h"
#include "thaw/text.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>

typedef struct png_writer {
  const char *path;
  png_structp png;
  png_infop info;
  thaw_text bytes;
  char reason[160];
} png_writer;

static void on_error(png_structp png, png_const_charp message) {
  png_writer *w = png_get_error_ptr(png);
  snprintf(w->reason, sizeof w->reason, "%s", message);
  longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

static void on_write(png_structp png, png_bytep data, size_t size) {
  png_writer *w = png_get_io_ptr(png);
  thaw_text_add_bytes(&w->bytes, (const char *)data, size);
}

static void on_flush(png_structp png) {
  (void)png;
}

static thaw_status encode(png_writer *w, const thaw_image *image) {
  if (setjmp(png_jmpbuf(w->png))) return thaw_fail(THAW_ERR_INTERNAL, "%s: %s", w->path, w->reason);
  png_set_write_fn(w->png, w, on_write, on_flush);
  png_set_IHDR(w->png, w->info, (png_uint_32)image->w, (png_uint_32)image->h, 8,
               image->c == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(w->png, w->info);
  for (int32_t y = 0; y < image->h; y++)
    png_write_row(w->png, (png_const_bytep)image->pixels + (size_t)y * thaw_image__row(image));
  png_write_end(w->png, NULL);
  return THAW_OK;
}

thaw_status thaw_image_write_png(const char *path, const thaw_image *image) {
  png_writer writer = {.path = path};
  thaw_status status = THAW_OK;
  if (image->bits != 8 || (image->c != 1 && image->c != 3) || image->h < 1 || image->w < 1)
    return thaw_fail(THAW_ERR_INTERNAL, "%s: PNG of %dx%dx%d with %d bits", path, (int)image->h, (int)image->w,
                     (int)image->c, (int)image->bits);
  writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer, on_error, on_warning);
  if (writer.png) writer.info = png_create_info_struct(writer.png);
  status = writer.info ? encode(&writer, image) : thaw_fail(THAW_ERR_MEMORY, "%s: out of memory", path);
  png_destroy_write_struct(&writer.png, &writer.info);
  if (status == THAW_OK && writer.bytes.failed) status = THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_file_write(path, writer.bytes.data, writer.bytes.length);
  thaw_text_clear(&writer.bytes);
  return status;
}
