/* image.c: reading by content, channels, the ways to fit. */
#include "image/image_private.h"
#include "thaw/file.h"
#include "thaw/memory.h"

#include <string.h>

enum { FILE_BYTES_LIMIT = 1 << 30 };

void thaw_image_clear(thaw_image *image) {
  thaw_free(image->pixels);
  *image = (thaw_image){0};
}

size_t thaw_image__row(const thaw_image *image) {
  return (size_t)image->w * (size_t)image->c * (image->bits == 16 ? 2 : 1);
}

thaw_status thaw_image__create(const char *name, int64_t h, int64_t w, int32_t c, int32_t bits, thaw_image *out) {
  *out = (thaw_image){0};
  if (h < 1 || w < 1 || h > IMAGE_SIDE_LIMIT || w > IMAGE_SIDE_LIMIT || h * w > IMAGE_PIXEL_LIMIT)
    return thaw_fail(THAW_ERR_DATA, "%s: %lld x %lld pixels, the limits are %d a side and %d million", name,
                     (long long)h, (long long)w, IMAGE_SIDE_LIMIT, IMAGE_PIXEL_LIMIT / 1000000);
  thaw_image image = {.h = (int32_t)h, .w = (int32_t)w, .c = c, .bits = bits};
  image.pixels = thaw_new((size_t)h, thaw_image__row(&image));
  if (!image.pixels) return THAW_ERR_MEMORY;
  *out = image;
  return THAW_OK;
}

thaw_status thaw_image_decode(const char *name, const void *bytes, size_t size, thaw_image *out) {
  static const unsigned char png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  const unsigned char *start = bytes;
  *out = (thaw_image){0};
  if (size == 0) return thaw_fail(THAW_ERR_DATA, "%s: the file is empty", name);
  if (size >= sizeof png && memcmp(start, png, sizeof png) == 0) return thaw_png__decode(name, start, size, out);
  if (size >= 3 && start[0] == 0xff && start[1] == 0xd8 && start[2] == 0xff)
    return thaw_jpeg__decode(name, start, size, out);
  return thaw_fail(THAW_ERR_DATA, "%s: neither a PNG nor a JPEG file", name);
}

thaw_status thaw_image_read(const char *path, thaw_image *out) {
  char *bytes = NULL;
  size_t size = 0;
  *out = (thaw_image){0};
  if (thaw_folder_exists(path)) return thaw_fail(THAW_ERR_DATA, "%s: is a folder, not an image", path);
  THAW_TRY(thaw_file_read(path, FILE_BYTES_LIMIT, &bytes, &size));
  thaw_status status = thaw_image_decode(path, bytes, size, out);
  thaw_free(bytes);
  return status;
}

static uint32_t get_sample(const thaw_image *image, size_t i) {
  return image->bits == 16 ? ((const uint16_t *)image->pixels)[i] : ((const uint8_t *)image->pixels)[i];
}

static void set_sample(thaw_image *image, size_t i, uint32_t value) {
  if (image->bits == 16)
    ((uint16_t *)image->pixels)[i] = (uint16_t)value;
  else
    ((uint8_t *)image->pixels)[i] = (uint8_t)value;
}

/* ITU-R 601-2 luma in 16-bit fixed point, rounded to nearest: PIL's convert("L"). */
static uint32_t luma(const thaw_image *in, size_t pixel) {
  const uint64_t r = get_sample(in, 3 * pixel), g = get_sample(in, 3 * pixel + 1), b = get_sample(in, 3 * pixel + 2);
  return (uint32_t)((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16);
}

thaw_status thaw_image_channels(const thaw_image *in, int32_t channels, thaw_image *out) {
  const size_t pixels = (size_t)in->h * (size_t)in->w;
  *out = (thaw_image){0};
  if ((channels != 1 && channels != 3) || (in->c != 1 && in->c != 3))
    return thaw_fail(THAW_ERR_USAGE, "images have 1 or 3 channels, not %d -> %d", (int)in->c, (int)channels);
  THAW_TRY(thaw_image__create("image", in->h, in->w, channels, in->bits, out));
  if (in->c == channels) {
    memcpy(out->pixels, in->pixels, (size_t)in->h * thaw_image__row(in));
    return THAW_OK;
  }
  for (size_t i = 0; i < pixels; i++) {
    if (channels == 1) {
      set_sample(out, i, luma(in, i));
      continue;
    }
    for (size_t k = 0; k < 3; k++) set_sample(out, 3 * i + k, get_sample(in, i));
  }
  return THAW_OK;
}

/* Copies the part of `in` that lies inside an h x w window whose corner is at (top, left) of `in`; the rest is black.
 */
static thaw_status window(const thaw_image *in, int64_t top, int64_t left, int64_t h, int64_t w, thaw_image *out) {
  THAW_TRY(thaw_image__create("image", h, w, in->c, in->bits, out));
  const size_t pixel = thaw_image__row(in) / (size_t)in->w;
  const int64_t from = left > 0 ? left : 0, to = left + w < in->w ? left + w : in->w;
  for (int64_t y = 0; y < h; y++) {
    if (top + y < 0 || top + y >= in->h) continue;
    const char *source = (const char *)in->pixels + (size_t)(top + y) * thaw_image__row(in) + (size_t)from * pixel;
    char *target = (char *)out->pixels + (size_t)y * thaw_image__row(out) + (size_t)(from - left) * pixel;
    memcpy(target, source, (size_t)(to - from) * pixel);
  }
  return THAW_OK;
}

/* The window that Keras' smart_resize (CROP: the largest of the target's aspect inside the image) and
 * pad_to_aspect_ratio (PAD: the smallest around it) take before they resize; sides are rounded down as there, and
 * PAD adds the same to both sides. */
static thaw_status aspect_window(const thaw_image *in, thaw_fit fit, int32_t h, int32_t w, thaw_image *out) {
  int64_t height = (int64_t)in->w * h / w, width = (int64_t)in->h * w / h;
  if (fit == THAW_FIT_CROP) {
    height = height < in->h ? height : in->h;
    width = width < in->w ? width : in->w;
  } else {
    height = height > in->h ? in->h + (height - in->h) / 2 * 2 : in->h;
    width = width > in->w ? in->w + (width - in->w) / 2 * 2 : in->w;
  }
  if (height < 1) height = 1;
  if (width < 1) width = 1;
  const int64_t top = fit == THAW_FIT_CROP ? (in->h - height) / 2 : -((height - in->h) / 2);
  const int64_t left = fit == THAW_FIT_CROP ? (in->w - width) / 2 : -((width - in->w) / 2);
  return window(in, top, left, height, width, out);
}

thaw_status thaw_image_fit(const thaw_image *in, thaw_fit fit, int32_t h, int32_t w, thaw_image *out) {
  thaw_image part = {0};
  *out = (thaw_image){0};
  if (h < 1 || w < 1) return thaw_fail(THAW_ERR_USAGE, "cannot resize an image to %d x %d", (int)h, (int)w);
  if (fit == THAW_FIT_STRETCH || (int64_t)in->h * w == (int64_t)in->w * h) return thaw_image_resize(in, h, w, out);
  THAW_TRY(aspect_window(in, fit, h, w, &part));
  thaw_status status = thaw_image_resize(&part, h, w, out);
  thaw_image_clear(&part);
  return status;
}
