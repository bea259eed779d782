/* hash.c: pHash, a hash that images of the same look share. */
#include "thaw/image.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, KEPT = 8, BITS = KEPT * KEPT };

static double value_at(const thaw_image *image, size_t i) {
  return image->bits == 16 ? ((const uint16_t *)image->pixels)[i] : ((const uint8_t *)image->pixels)[i];
}

/* Grey values onto 0 .. 1; the scale does not matter to the hash. */
static void to_grey(const thaw_image *image, float *out) {
  const size_t pixels = (size_t)image->h * (size_t)image->w, c = (size_t)image->c;
  const double scale = image->bits == 16 ? 65535 : 255;
  for (size_t i = 0; i < pixels; i++) {
    double sum = 0;
    for (size_t k = 0; k < c; k++) sum += value_at(image, i * c + k) / (double)c;
    if (c == 3)
      sum = 0.299 * value_at(image, 3 * i) + 0.587 * value_at(image, 3 * i + 1) + 0.114 * value_at(image, 3 * i + 2);
    out[i] = (float)(sum / scale);
  }
}

/* The lowest frequencies of a DCT-II over rows and columns: sum x[n] cos(pi k (2n + 1) / 2N). */
static void transform(const float x[SIDE * SIDE], double out[BITS]) {
  double cosine[KEPT][SIDE], half[KEPT][SIDE] = {0};
  for (int k = 0; k < KEPT; k++)
    for (int n = 0; n < SIDE; n++) cosine[k][n] = cos(M_PI * k * (2 * n + 1) / (2 * SIDE));
  for (int k = 0; k < KEPT; k++)
    for (int n = 0; n < SIDE; n++)
      for (int column = 0; column < SIDE; column++) half[k][column] += cosine[k][n] * (double)x[n * SIDE + column];
  for (int row = 0; row < KEPT; row++)
    for (int k = 0; k < KEPT; k++) {
      out[row * KEPT + k] = 0;
      for (int n = 0; n < SIDE; n++) out[row * KEPT + k] += half[row][n] * cosine[k][n];
    }
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(const double value[BITS]) {
  double sorted[BITS];
  memcpy(sorted, value, sizeof sorted);
  qsort(sorted, BITS, sizeof *sorted, compare);
  return (sorted[BITS / 2 - 1] + sorted[BITS / 2]) / 2;
}

/* What float rounding leaves of a uniform image is no detail. */
static bool has_detail(const double value[BITS]) {
  double largest = 0;
  for (int i = 1; i < BITS; i++) largest = fmax(largest, fabs(value[i]));
  return largest > 1e-5 * fabs(value[0]);
}

thaw_status thaw_image_hash(const thaw_image *image, uint64_t *out) {
  float small[SIDE * SIDE], *grey = thaw_new((size_t)image->h * (size_t)image->w, sizeof *grey);
  double frequency[BITS];
  *out = 0;
  if (!grey) return THAW_ERR_MEMORY;
  to_grey(image, grey);
  thaw_status status = thaw_resize_float(grey, image->h, image->w, 1, SIDE, SIDE, small);
  thaw_free(grey);
  if (status != THAW_OK) return status;
  transform(small, frequency);
  if (!has_detail(frequency)) return THAW_OK;
  const double middle = median(frequency);
  for (int i = 0; i < BITS; i++) *out = *out << 1 | (frequency[i] > middle);
  return THAW_OK;
}
