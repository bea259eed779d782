#include "thaw/memory.h"
#include "thaw/style.h"

#include <string.h>

/* keras.applications.imagenet_utils, mode caffe: BGR, minus the mean of ImageNet. */
static const double mean[3] = {103.939, 116.779, 123.68};

void thaw_style_encode(const thaw_image *picture, double *x) {
  const uint8_t *from = picture->pixels;
  size_t pixels = (size_t)picture->h * (size_t)picture->w;
  for (size_t i = 0; i < pixels; i++)
    for (size_t k = 0; k < 3; k++) x[3 * i + k] = from[3 * i + 2 - k] - mean[k];
}

static uint8_t byte(double value) {
  return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)(value + 0.5);
}

thaw_status thaw_style_decode(const double *x, int32_t h, int32_t w, thaw_image *out) {
  size_t pixels = (size_t)h * (size_t)w;
  *out = (thaw_image){.h = h, .w = w, .c = 3, .bits = 8, .pixels = thaw_new(pixels, 3)};
  uint8_t *to = out->pixels;
  if (!to) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < pixels; i++)
    for (size_t k = 0; k < 3; k++) to[3 * i + 2 - k] = byte(x[3 * i + k] + mean[k]);
  return THAW_OK;
}

void thaw_style_keep_colours(thaw_image *picture, const thaw_image *colours) {
  uint8_t *to = picture->pixels;
  const uint8_t *from = colours->pixels;
  for (size_t i = 0; i < (size_t)picture->h * (size_t)picture->w; i++, to += 3, from += 3) {
    double y = 0.299 * to[0] + 0.587 * to[1] + 0.114 * to[2];
    double cb = -0.168736 * from[0] - 0.331264 * from[1] + 0.5 * from[2];
    double cr = 0.5 * from[0] - 0.418688 * from[1] - 0.081312 * from[2];
    to[0] = byte(y + 1.402 * cr);
    to[1] = byte(y - 0.344136 * cb - 0.714136 * cr);
    to[2] = byte(y + 1.772 * cb);
  }
}
