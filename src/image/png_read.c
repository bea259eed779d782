/* png_read.c: every PNG colour type to grey or RGB, 8 or 16 bits. */
#include "image/image_private.h"
#include "thaw/memory.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_LIMIT = 64 << 20, DEFLATE_LIMIT = 1032 };

/* Everything lives here, not in locals, so that a longjmp out of libpng loses nothing. */
typedef struct png_reader {
  const char *name;
  const unsigned char *bytes;
  size_t size, at;
  png_structp png;
  png_infop info;
  png_bytep *rows;
  thaw_image raw; /* as decoded, c = 1..4 with alpha */
  thaw_status status;
  char reason[160];
} png_reader;

static void on_error(png_structp png, png_const_charp message) {
  png_reader *r = png_get_error_ptr(png);
  snprintf(r->reason, sizeof r->reason, "%s", message);
  longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

static void on_read(png_structp png, png_bytep out, size_t size) {
  png_reader *r = png_get_io_ptr(png);
  if (size > r->size - r->at) png_error(png, "the file ends too early");
  memcpy(out, r->bytes + r->at, size);
  r->at += size;
}

/* Palette and 1, 2, 4 bits become 8 bits, tRNS becomes alpha, 16-bit samples come in host order. */
static void set_transformations(png_reader *r) {
  png_set_expand(r->png);
  if (png_get_bit_depth(r->png, r->info) == 16) png_set_swap(r->png);
  png_set_interlace_handling(r->png);
  png_read_update_info(r->png, r->info);
}

static thaw_status prepare(png_reader *r) {
  const png_uint_32 w = png_get_image_width(r->png, r->info), h = png_get_image_height(r->png, r->info);
  set_transformations(r);
  const int32_t bits = png_get_bit_depth(r->png, r->info), c = png_get_channels(r->png, r->info);
  /* Deflate cannot shrink by more than 1:1032: a tiny file that claims gigabytes is refused before they are allocated.
   */
  if ((double)h * (double)w * bits / 8.0 / DEFLATE_LIMIT / 64.0 > (double)r->size)
    return thaw_fail(THAW_ERR_DATA, "%s: %lu x %lu pixels cannot be in %zu bytes", r->name, (unsigned long)h,
                     (unsigned long)w, r->size);
  THAW_TRY(thaw_image__create(r->name, h, w, c, bits, &r->raw));
  r->rows = thaw_new(h, sizeof *r->rows);
  if (!r->rows) return THAW_ERR_MEMORY;
  for (png_uint_32 y = 0; y < h; y++) r->rows[y] = (png_bytep)r->raw.pixels + y * thaw_image__row(&r->raw);
  return THAW_OK;
}

/* libpng's calls; returns through longjmp to here on any of its errors. */
static thaw_status read_pixels(png_reader *r) {
  if (setjmp(png_jmpbuf(r->png))) return thaw_fail(THAW_ERR_DATA, "%s: broken PNG: %s", r->name, r->reason);
  png_set_read_fn(r->png, r, on_read);
  png_set_user_limits(r->png, IMAGE_SIDE_LIMIT, IMAGE_SIDE_LIMIT);
  png_set_chunk_malloc_max(r->png, CHUNK_LIMIT);
  png_read_info(r->png, r->info);
  r->status = prepare(r);
  if (r->status != THAW_OK) return r->status;
  png_read_image(r->png, r->rows);
  png_read_end(r->png, NULL);
  return THAW_OK;
}

/* Alpha over black: value * alpha / largest, rounded to nearest. */
static thaw_status composite(png_reader *r, thaw_image *out) {
  const thaw_image *raw = &r->raw;
  if (raw->c == 1 || raw->c == 3) {
    *out = *raw;
    r->raw = (thaw_image){0};
    return THAW_OK;
  }
  const int32_t c = raw->c - 1;
  const size_t pixels = (size_t)raw->h * (size_t)raw->w;
  THAW_TRY(thaw_image__create(r->name, raw->h, raw->w, c, raw->bits, out));
  for (size_t i = 0; i < pixels; i++)
    for (int32_t k = 0; k < c; k++) {
      const size_t from = i * (size_t)raw->c + (size_t)k, alpha = i * (size_t)raw->c + (size_t)c;
      const size_t to = i * (size_t)c + (size_t)k;
      if (raw->bits == 16) {
        const uint16_t *word = raw->pixels;
        ((uint16_t *)out->pixels)[to] = (uint16_t)(((uint64_t)word[from] * word[alpha] + 32767) / 65535);
      } else {
        const uint8_t *byte = raw->pixels;
        ((uint8_t *)out->pixels)[to] = (uint8_t)(((uint32_t)byte[from] * byte[alpha] + 127) / 255);
      }
    }
  return THAW_OK;
}

thaw_status thaw_png__decode(const char *name, const unsigned char *bytes, size_t size, thaw_image *out) {
  png_reader reader = {.name = name, .bytes = bytes, .size = size};
  thaw_status status = THAW_ERR_MEMORY;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  if (reader.png) reader.info = png_create_info_struct(reader.png);
  if (reader.info)
    status = read_pixels(&reader);
  else
    status = thaw_fail(THAW_ERR_MEMORY, "%s: out of memory", name);
  if (status == THAW_OK) status = composite(&reader, out);
  png_destroy_read_struct(&reader.png, &reader.info, NULL);
  thaw_free(reader.rows);
  thaw_image_clear(&reader.raw);
  return status;
}
