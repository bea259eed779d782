#include "thaw/explain.h"
#include "thaw/memory.h"

#include <math.h>

/* Matplotlib's and MATLAB's jet: triangles centred on 3/4, 1/2 and 1/4. */
static double jet(double value, int channel) {
  double level = 1.5 - fabs(4 * value - (3 - channel));
  return 255 * (level < 0 ? 0 : level > 1 ? 1 : level);
}

static uint8_t blend(uint8_t under, double over, double opacity) {
  return (uint8_t)(under + opacity * (over - under) + 0.5);
}

thaw_status thaw_heat_overlay(const thaw_image *picture, const float *map, int32_t h, int32_t w, double opacity,
                              thaw_image *out) {
  *out = (thaw_image){.h = picture->h, .w = picture->w, .c = 3, .bits = 8};
  if (picture->c != 3 || picture->bits != 8)
    return thaw_fail(THAW_ERR_INTERNAL, "a picture of %d channels and %d bits, expected 3 and 8", picture->c,
                     picture->bits);
  size_t pixels = (size_t)picture->h * (size_t)picture->w;
  float *heat = thaw_new(pixels, sizeof *heat);
  uint8_t *to = out->pixels = thaw_new(pixels, 3);
  thaw_status status = heat && to ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_resize_float(map, h, w, 1, picture->h, picture->w, heat);
  for (size_t i = 0; status == THAW_OK && i < pixels; i++) {
    double value = heat[i] < 0 ? 0 : heat[i] > 1 ? 1 : heat[i];
    for (int k = 0; k < 3; k++)
      to[3 * i + (size_t)k] =
          blend(((const uint8_t *)picture->pixels)[3 * i + (size_t)k], jet(value, k), opacity * value);
  }
  thaw_free(heat);
  if (status != THAW_OK) thaw_image_clear(out);
  return status;
}
