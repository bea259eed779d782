/* exif.c: the orientation tag (TIFF 6.0 tag 274) of a JPEG's APP1 marker, and turning an image by it. */
#include "image/image_private.h"
#include "thaw/memory.h"

#include <string.h>

enum { TAG_ORIENTATION = 274, TYPE_SHORT = 3, ENTRY_BYTES = 12 };

/* The TIFF part of the marker with its byte order; reads outside it give 0. */
typedef struct tiff {
  const unsigned char *bytes;
  size_t size;
  bool big_endian;
} tiff;

static uint32_t get(const tiff *t, size_t at, int bytes) {
  uint32_t value = 0;
  if (at > t->size || t->size - at < (size_t)bytes) return 0;
  for (int i = 0; i < bytes; i++) {
    const uint32_t byte = t->bytes[at + (size_t)i];
    value |= byte << (t->big_endian ? 8 * (bytes - 1 - i) : 8 * i);
  }
  return value;
}

int thaw_exif__orientation(const unsigned char *bytes, size_t size) {
  if (size < 14 || memcmp(bytes, "Exif\0\0", 6) != 0) return 1;
  tiff t = {.bytes = bytes + 6, .size = size - 6};
  if (memcmp(t.bytes, "MM", 2) != 0 && memcmp(t.bytes, "II", 2) != 0) return 1;
  t.big_endian = t.bytes[0] == 'M';
  if (get(&t, 2, 2) != 42) return 1;
  const size_t folder = get(&t, 4, 4);
  const uint32_t entries = get(&t, folder, 2);
  for (uint32_t i = 0; i < entries; i++) {
    const size_t at = folder + 2 + (size_t)i * ENTRY_BYTES;
    if (get(&t, at, 2) != TAG_ORIENTATION || get(&t, at + 2, 2) != TYPE_SHORT) continue;
    const uint32_t value = get(&t, at + 8, 2);
    return value >= 1 && value <= 8 ? (int)value : 1;
  }
  return 1;
}

thaw_status thaw_exif__turn(int orientation, thaw_image *image) {
  if (orientation <= 1) return THAW_OK;
  const bool transpose = orientation >= 5;
  const int32_t h = transpose ? image->w : image->h, w = transpose ? image->h : image->w;
  const size_t pixel = thaw_image__row(image) / (size_t)image->w;
  /* Which of the source's axes runs backwards: the columns in 2, 3, 7, 8 and the rows in 3, 4, 6, 7. */
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  thaw_image turned;
  THAW_TRY(thaw_image__create("image", h, w, image->c, image->bits, &turned));
  for (int32_t y = 0; y < h; y++)
    for (int32_t x = 0; x < w; x++) {
      int32_t from_y = transpose ? x : y, from_x = transpose ? y : x;
      if (flip_y) from_y = image->h - 1 - from_y;
      if (flip_x) from_x = image->w - 1 - from_x;
      memcpy((char *)turned.pixels + ((size_t)y * (size_t)w + (size_t)x) * pixel,
             (const char *)image->pixels + ((size_t)from_y * (size_t)image->w + (size_t)from_x) * pixel, pixel);
    }
  thaw_image_clear(image);
  *image = turned;
  return THAW_OK;
}
