/* tile.c: windows of large images. */
#include "image/image_private.h"
#include "thaw/image.h"

#include <string.h>

int32_t thaw_tile_count(int32_t length, int32_t size, int32_t stride) {
  return length <= size ? 1 : (length - size + stride - 1) / stride + 1;
}

int32_t thaw_tile_start(int32_t length, int32_t size, int32_t stride, int32_t index) {
  int64_t start = (int64_t)index * stride;
  return length <= size ? 0 : start + size > length ? length - size : (int32_t)start;
}

thaw_status thaw_image_crop(const thaw_image *in, int32_t top, int32_t left, int32_t h, int32_t w, thaw_image *out) {
  *out = (thaw_image){0};
  if (top < 0 || left < 0 || h < 1 || w < 1 || top > in->h - h || left > in->w - w)
    return thaw_fail(THAW_ERR_INTERNAL, "a part of %d x %d from (%d, %d) on of an image of %d x %d", h, w, top, left,
                     in->h, in->w);
  THAW_TRY(thaw_image__create("part of an image", h, w, in->c, in->bits, out));
  size_t from_row = thaw_image__row(in), row = thaw_image__row(out), pixel = row / (size_t)w;
  for (int32_t y = 0; y < h; y++)
    memcpy((char *)out->pixels + (size_t)y * row,
           (const char *)in->pixels + (size_t)(top + y) * from_row + (size_t)left * pixel, row);
  return THAW_OK;
}
