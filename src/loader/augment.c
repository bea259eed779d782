/* Augmentation as a pure function of (seed, view, sample). Argument names and meanings are those of Keras'
 * ImageDataGenerator (rotation, shift, shear, zoom: one affine map, in that order, around the image's centre) and of
 * its preprocessing layers (RandomBrightness, RandomContrast, RandomZoom: one factor for both axes). */
#include "loader/loader_private.h"
#include "thaw/rng.h"

#include <math.h>

/* Positions in the stream of uniform numbers; never reorder, or cached views would change. */
enum draw_index {
  DRAW_FLIP_X,
  DRAW_FLIP_Y,
  DRAW_ROTATION,
  DRAW_ZOOM,
  DRAW_SHIFT_X,
  DRAW_SHIFT_Y,
  DRAW_SHEAR,
  DRAW_BRIGHTNESS,
  DRAW_CONTRAST,
  DRAW_CROP,
  DRAW_CROP_X,
  DRAW_CROP_Y,
  DRAWS
};
enum { LANE_CHOICES = 0, LANE_NOISE = 1 };
enum { FILL_NEAREST, FILL_CONSTANT, FILL_REFLECT };

static thaw_draw stream(uint64_t seed, int32_t view, int64_t sample, uint32_t lane) {
  return (thaw_draw){
      .seed = seed, .purpose = THAW_RNG_AUGMENT, .epoch = (uint32_t)view, .sample = (uint64_t)sample, .lane = lane};
}

static double between(const double range[2], float u) {
  return range[0] + (range[1] - range[0]) * u;
}

/* map = map * (a b shift_x; c d shift_y): what is multiplied last is applied to the point first. */
static void multiply(double map[6], double a, double b, double shift_x, double c, double d, double shift_y) {
  double m0 = map[0], m1 = map[1], m3 = map[3], m4 = map[4];
  map[0] = m0 * a + m1 * c;
  map[1] = m0 * b + m1 * d;
  map[2] += m0 * shift_x + m1 * shift_y;
  map[3] = m3 * a + m4 * c;
  map[4] = m3 * b + m4 * d;
  map[5] += m3 * shift_x + m4 * shift_y;
}

static void choose_map(const thaw_augment_config *config, const float *u, int32_t h, int32_t w,
                       thaw_augment_draw *out) {
  double *map = out->map, theta = between(config->rotation, u[DRAW_ROTATION]) * (M_PI / 180);
  double shear = between(config->shear, u[DRAW_SHEAR]) * (M_PI / 180), zoom = 1 + between(config->zoom, u[DRAW_ZOOM]);
  double shift_x = between(config->shift_x, u[DRAW_SHIFT_X]) * w;
  double shift_y = between(config->shift_y, u[DRAW_SHIFT_Y]) * h;
  if (theta != 0) multiply(map, cos(theta), -sin(theta), 0, sin(theta), cos(theta), 0);
  if (shift_x != 0 || shift_y != 0) multiply(map, 1, 0, shift_x, 0, 1, shift_y);
  if (shear != 0) multiply(map, 1, -sin(shear), 0, 0, cos(shear), 0);
  if (zoom != 1) multiply(map, zoom, 0, 0, 0, zoom, 0);
  if (config->crop > 0 && config->crop < 1) { /* a window of `kept` of each side, anywhere, stretched to full size */
    double kept = config->crop + (1 - config->crop) * u[DRAW_CROP];
    multiply(map, kept, 0, (1 - kept) * w * (u[DRAW_CROP_X] - 0.5), 0, kept, (1 - kept) * h * (u[DRAW_CROP_Y] - 0.5));
  }
  double flip_x = config->horizontal_flip && u[DRAW_FLIP_X] < 0.5f ? -1 : 1;
  double flip_y = config->vertical_flip && u[DRAW_FLIP_Y] < 0.5f ? -1 : 1;
  if (flip_x < 0 || flip_y < 0) multiply(map, flip_x, 0, 0, 0, flip_y, 0);
}

void thaw_augment_choose(const thaw_augment_config *config, uint64_t seed, int32_t view, int64_t sample, int32_t h,
                         int32_t w, thaw_augment_draw *out) {
  float u[DRAWS];
  thaw_draw position = stream(seed, view, sample, LANE_CHOICES);
  thaw_random_uniform(&position, u, DRAWS);
  *out = (thaw_augment_draw){.map = {1, 0, 0, 0, 1, 0}};
  choose_map(config, u, h, w, out);
  const double *m = out->map;
  out->moves = m[0] != 1 || m[1] != 0 || m[2] != 0 || m[3] != 0 || m[4] != 1 || m[5] != 0;
  out->brightness = (float)(between(config->brightness, u[DRAW_BRIGHTNESS]) * THAW_PIXEL_MAX);
  out->contrast = (float)(1 + between(config->contrast, u[DRAW_CONTRAST]));
}

/* The pixel index that stands for index i of a line of n, or -1 for the constant 0. Reflect repeats the edge pixel:
 * d c b a | a b c d | d c b a. */
static int32_t edge(int64_t i, int32_t n, int32_t fill_mode) {
  if (i >= 0 && i < n) return (int32_t)i;
  if (fill_mode == FILL_CONSTANT) return -1;
  if (fill_mode == FILL_NEAREST) return i < 0 ? 0 : n - 1;
  int64_t period = 2 * (int64_t)n, r = i % period;
  if (r < 0) r += period;
  return (int32_t)(r < n ? r : period - 1 - r);
}

/* Bilinear mean of four pixels of c channels; the only arithmetic of sampling. */
static inline void blend(const float *const corner[4], float fx, float fy, int32_t c, float *out) {
  for (int32_t k = 0; k < c; k++) {
    float upper = corner[0][k] + fx * (corner[1][k] - corner[0][k]);
    float lower = corner[2][k] + fx * (corner[3][k] - corner[2][k]);
    out[k] = upper + fy * (lower - upper);
  }
}

/* One output pixel from the four around (x, y), which may lie outside. black [c]: the constant outside. */
static void sample_edge(const float *image, int32_t h, int32_t w, int32_t c, double x, double y, int32_t fill_mode,
                        const float *black, float *out) {
  double left = floor(x), top = floor(y);
  int32_t column[2], row[2];
  for (int i = 0; i < 2; i++) {
    column[i] = edge((int64_t)left + i, w, fill_mode);
    row[i] = edge((int64_t)top + i, h, fill_mode);
  }
  const float *corner[4];
  for (int i = 0; i < 4; i++) {
    int32_t r = row[i / 2], q = column[i % 2];
    corner[i] = r < 0 || q < 0 ? black : image + ((size_t)r * (size_t)w + (size_t)q) * (size_t)c;
  }
  blend(corner, (float)(x - left), (float)(y - top), c, out);
}

/* The same where all four pixels are inside: 0 <= x < w - 1, 0 <= y < h - 1. */
static inline void sample_inside(const float *image, int32_t w, int32_t c, double x, double y, float *out) {
  int32_t left = (int32_t)x, top = (int32_t)y;
  const float *pixel = image + ((size_t)top * (size_t)w + (size_t)left) * (size_t)c,
              *below = pixel + (size_t)w * (size_t)c;
  const float *const corner[4] = {pixel, pixel + c, below, below + c};
  float fx = (float)(x - left), fy = (float)(y - top);
  if (c == 3)
    blend(corner, fx, fy, 3, out);
  else
    blend(corner, fx, fy, c, out);
}

void thaw_augment_move(const double map[6], int32_t fill_mode, const float *x, int32_t h, int32_t w, int32_t c,
                       float *out) {
  static const float black[THAW_AUGMENT_CHANNELS] = {0};
  double center_x = (w - 1) / 2.0, center_y = (h - 1) / 2.0;
  for (int32_t row = 0; row < h; row++)
    for (int32_t column = 0; column < w; column++, out += c) {
      double dx = column - center_x, dy = row - center_y;
      double from_x = map[0] * dx + map[1] * dy + map[2] + center_x;
      double from_y = map[3] * dx + map[4] * dy + map[5] + center_y;
      if (from_x >= 0 && from_y >= 0 && from_x < w - 1 && from_y < h - 1)
        sample_inside(x, w, c, from_x, from_y, out);
      else
        sample_edge(x, h, w, c, from_x, from_y, fill_mode, black, out);
    }
}

static float clip(float value) {
  return value < 0 ? 0 : value > THAW_PIXEL_MAX ? THAW_PIXEL_MAX : value;
}

/* Around the mean of each channel, as keras.layers.RandomContrast. */
static void change_contrast(float factor, float *x, size_t pixels, int32_t c) {
  for (int32_t k = 0; k < c; k++) {
    double sum = 0;
    for (size_t i = 0; i < pixels; i++) sum += x[i * (size_t)c + (size_t)k];
    float mean = (float)(sum / (double)pixels);
    for (size_t i = 0; i < pixels; i++) {
      float *value = &x[i * (size_t)c + (size_t)k];
      *value = clip((*value - mean) * factor + mean);
    }
  }
}

/* Two standard normal numbers by Box and Muller's method, in float32. */
static void normal_pair(const uint32_t word[2], float out[2]) {
  float radius = sqrtf(-2 * logf(((float)word[0] + 0.5f) * 0x1p-32f));
  float angle = (float)(2 * M_PI) * ((float)(word[1] >> 8) * 0x1p-24f);
  out[0] = radius * cosf(angle);
  out[1] = radius * sinf(angle);
}

static void add_noise(double deviation, const thaw_draw *position, float *x, size_t count) {
  float scale = (float)(deviation * THAW_PIXEL_MAX);
  for (size_t first = 0; first < count; first += 4) {
    uint32_t word[4];
    float noise[4];
    thaw_random4(position, (uint32_t)(first / 4), word);
    normal_pair(word, noise);
    normal_pair(word + 2, noise + 2);
    for (size_t i = 0; i < 4 && first + i < count; i++) x[first + i] = clip(x[first + i] + scale * noise[i]);
  }
}

void thaw_augment_values(const thaw_augment_config *config, const thaw_augment_draw *draw, uint64_t seed, int32_t view,
                         int64_t sample, float *x, int32_t h, int32_t w, int32_t c) {
  size_t pixels = (size_t)h * (size_t)w, count = pixels * (size_t)c;
  if (draw->contrast != 1) change_contrast(draw->contrast, x, pixels, c);
  if (draw->brightness != 0)
    for (size_t i = 0; i < count; i++) x[i] = clip(x[i] + draw->brightness);
  if (config->noise > 0) {
    thaw_draw position = stream(seed, view, sample, LANE_NOISE);
    add_noise(config->noise, &position, x, count);
  }
}
