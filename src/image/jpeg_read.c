/* jpeg_read.c: grey, YCbCr, RGB, CMYK and YCCK JPEG to 8-bit grey or RGB.
 *
 * The slow-integer inverse DCT and libjpeg's default upsampling: exact integer arithmetic, the same on every machine,
 * and the same pixels as PIL.
 */
#include "image/image_private.h"
#include "thaw/memory.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

enum { SCAN_LIMIT = 500, MEMORY_LIMIT = 2000000000 };

/* Everything lives here, not in locals, so that a longjmp out of libjpeg loses nothing. */
typedef struct jpeg_reader {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf back;
  const char *name;
  const unsigned char *bytes;
  size_t size;
  thaw_image image; /* c = 4 for CMYK */
  bool inverted;    /* Adobe's CMYK holds 255 - ink */
  int orientation;
  char reason[JMSG_LENGTH_MAX];
} jpeg_reader;

static void on_error(j_common_ptr jpeg) {
  jpeg_reader *r = jpeg->client_data;
  jpeg->err->format_message(jpeg, r->reason);
  longjmp(r->back, 1);
}

/* Damage that libjpeg papers over with grey is an error here; remarks about odd but whole files are not. */
static void on_message(j_common_ptr jpeg, int level) {
  if (level >= 0) return;
  switch (jpeg->err->msg_code) {
  case JWRN_JPEG_EOF:
  case JWRN_HIT_MARKER:
  case JWRN_HUFF_BAD_CODE:
  case JWRN_MUST_RESYNC:
  case JWRN_NOT_SEQUENTIAL:
  case JWRN_BOGUS_PROGRESSION:
    on_error(jpeg);
    break;
  default:
    break;
  }
}

static void on_output(j_common_ptr jpeg) {
  (void)jpeg;
}

/* A small file can claim so many progressive scans that it takes hours. */
static void on_progress(j_common_ptr jpeg) {
  jpeg_reader *r = jpeg->client_data;
  if (!jpeg->is_decompressor || r->jpeg.input_scan_number <= SCAN_LIMIT) return;
  snprintf(r->reason, sizeof r->reason, "more than %d scans", SCAN_LIMIT);
  longjmp(r->back, 1);
}

static void read_markers(jpeg_reader *r) {
  r->orientation = 1;
  for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m; m = m->next)
    if (m->marker == JPEG_APP0 + 1 && r->orientation == 1)
      r->orientation = thaw_exif__orientation(m->data, m->data_length);
}

static void choose_output(jpeg_reader *r) {
  r->jpeg.dct_method = JDCT_ISLOW;
  r->inverted = r->jpeg.saw_Adobe_marker;
  switch (r->jpeg.jpeg_color_space) {
  case JCS_GRAYSCALE:
    r->jpeg.out_color_space = JCS_GRAYSCALE;
    break;
  case JCS_CMYK:
  case JCS_YCCK:
    r->jpeg.out_color_space = JCS_CMYK;
    break;
  default:
    r->jpeg.out_color_space = JCS_RGB;
    break;
  }
}

static thaw_status read_pixels(jpeg_reader *r) {
  if (setjmp(r->back)) return thaw_fail(THAW_ERR_DATA, "%s: broken JPEG: %s", r->name, r->reason);
  jpeg_create_decompress(&r->jpeg);
  r->jpeg.client_data = r;
  r->jpeg.progress = &r->progress;
  r->jpeg.mem->max_memory_to_use = MEMORY_LIMIT;
  jpeg_mem_src(&r->jpeg, r->bytes, (unsigned long)r->size);
  jpeg_save_markers(&r->jpeg, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&r->jpeg, TRUE);
  read_markers(r);
  choose_output(r);
  jpeg_calc_output_dimensions(&r->jpeg);
  const thaw_status status = thaw_image__create(r->name, r->jpeg.output_height, r->jpeg.output_width,
                                                r->jpeg.out_color_components, 8, &r->image);
  if (status != THAW_OK) return status;
  jpeg_start_decompress(&r->jpeg);
  while (r->jpeg.output_scanline < r->jpeg.output_height) {
    JSAMPROW row = (JSAMPROW)r->image.pixels + (size_t)r->jpeg.output_scanline * thaw_image__row(&r->image);
    jpeg_read_scanlines(&r->jpeg, &row, 1);
  }
  jpeg_finish_decompress(&r->jpeg);
  return THAW_OK;
}

/* a * b / 255 rounded to nearest. */
static uint8_t scale(uint32_t a, uint32_t b) {
  const uint32_t t = a * b + 128;
  return (uint8_t)((t + (t >> 8)) >> 8);
}

/* RGB = (1 - ink)(1 - black). */
static thaw_status cmyk_to_rgb(jpeg_reader *r, thaw_image *out) {
  const size_t pixels = (size_t)r->image.h * (size_t)r->image.w;
  const uint8_t flip = r->inverted ? 0 : 255;
  const uint8_t *in = r->image.pixels;
  THAW_TRY(thaw_image__create(r->name, r->image.h, r->image.w, 3, 8, out));
  for (size_t i = 0; i < pixels; i++)
    for (size_t k = 0; k < 3; k++)
      ((uint8_t *)out->pixels)[3 * i + k] = scale(in[4 * i + k] ^ flip, in[4 * i + 3] ^ flip);
  return THAW_OK;
}

static thaw_status finish(jpeg_reader *r, thaw_image *out) {
  if (r->image.c == 4) {
    THAW_TRY(cmyk_to_rgb(r, out));
  } else {
    *out = r->image;
    r->image = (thaw_image){0};
  }
  return thaw_exif__turn(r->orientation, out);
}

thaw_status thaw_jpeg__decode(const char *name, const unsigned char *bytes, size_t size, thaw_image *out) {
  jpeg_reader *r = thaw_new(1, sizeof *r);
  if (!r) return THAW_ERR_MEMORY;
  r->name = name;
  r->bytes = bytes;
  r->size = size;
  r->jpeg.err = jpeg_std_error(&r->errors);
  r->jpeg.client_data = r;
  r->errors.error_exit = on_error;
  r->errors.emit_message = on_message;
  r->errors.output_message = on_output;
  r->progress.progress_monitor = on_progress;
  thaw_status status = read_pixels(r);
  jpeg_destroy_decompress(&r->jpeg);
  if (status == THAW_OK) status = finish(r, out);
  if (status != THAW_OK) thaw_image_clear(out);
  thaw_image_clear(&r->image);
  thaw_free(r);
  return status;
}
