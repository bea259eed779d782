/* A Gaussian filter as scipy.ndimage has it: separable, cut at 4 standard deviations, reflected at the borders
 * (d c b a | a b c d | d c b a), rows first. */
#include "anomaly/anomaly_private.h"

#include <math.h>

static int32_t reflect(int32_t at, int32_t length) {
  int32_t period = 2 * length;
  at = ((at % period) + period) % period;
  return at < length ? at : period - 1 - at;
}

/* `count` values at a distance of `stride`, from `line` into the same places. */
static void filter_line(float *line, int32_t count, size_t stride, const double *weight, int32_t radius, double *copy) {
  for (int32_t i = 0; i < count; i++) copy[i] = line[(size_t)i * stride];
  for (int32_t i = 0; i < count; i++) {
    double sum = weight[0] * copy[i];
    for (int32_t k = 1; k <= radius; k++)
      sum += weight[k] * (copy[reflect(i - k, count)] + copy[reflect(i + k, count)]);
    line[(size_t)i * stride] = (float)sum;
  }
}

thaw_status thaw_map_smooth(float *map, int32_t h, int32_t w, double sigma) {
  int32_t radius = (int32_t)(4 * sigma + 0.5);
  if (!(sigma > 0) || radius < 1) return THAW_OK;
  double *weight = thaw_new((size_t)radius + 1, sizeof *weight), sum = 0;
  double *copy = thaw_new((size_t)(h > w ? h : w), sizeof *copy);
  thaw_status status = weight && copy ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t k = 0; status == THAW_OK && k <= radius; k++) {
    weight[k] = exp(-0.5 * k * k / (sigma * sigma));
    sum += k ? 2 * weight[k] : weight[k];
  }
  for (int32_t k = 0; status == THAW_OK && k <= radius; k++) weight[k] /= sum;
  for (int32_t x = 0; status == THAW_OK && x < w; x++) filter_line(map + x, h, (size_t)w, weight, radius, copy);
  for (int32_t y = 0; status == THAW_OK && y < h; y++)
    filter_line(map + (size_t)y * (size_t)w, w, 1, weight, radius, copy);
  thaw_free(weight);
  thaw_free(copy);
  return status;
}
