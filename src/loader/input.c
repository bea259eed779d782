#include "loader/loader_private.h"
#include "thaw/image.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ can it be done */
static thaw_status check_shape(const thaw_input *input, const thaw_dataset_info *data, const char *path) {
  bool same_size = data->h == input->h && data->w == input->w;
  bool channels = data->c == input->c || (data->c == 1 && input->c == 3) || (data->c == 3 && input->c == 1);
  if (channels && (same_size || input->allow_resize)) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: images are %dx%dx%d, the network expects %dx%dx%d%s", path, data->h, data->w,
                   data->c, input->h, input->w, input->c,
                   channels                       ? " and data.resize is error"
                   : data->c != 1 && data->c != 3 ? " (only grey and RGB are converted)"
                                                  : "");
}

thaw_status thaw_input_check(const thaw_input *input, const thaw_dataset_info *data, const char *path) {
  if (data->bits != 8 && data->bits != 16)
    return thaw_fail(THAW_ERR_DATA, "%s: images have %d bits per channel, expected 8 or 16", path, data->bits);
  double most = data->bits == 8 ? 255 : 65535;
  if (!(data->value_max > 0 && data->value_max <= most))
    return thaw_fail(THAW_ERR_DATA, "%s: largest pixel value is %g, expected above 0 and at most %g", path,
                     data->value_max, most);
  if (data->h < 1 || data->w < 1)
    return thaw_fail(THAW_ERR_DATA, "%s: images are %dx%dx%d", path, data->h, data->w, data->c);
  if (input->augment.enabled && input->c > THAW_AUGMENT_CHANNELS)
    return thaw_fail(THAW_ERR_USAGE, "data.augment: images of %d channels, at most %d are augmented", input->c,
                     THAW_AUGMENT_CHANNELS);
  return check_shape(input, data, path);
}

/* ------------------------------------------------------------------ what determines it */
static void add_range(thaw_text *out, const char *name, const double range[2]) {
  if (range[0] != 0 || range[1] != 0) thaw_text_add(out, " %s=%.17g..%.17g", name, range[0], range[1]);
}

static void add_augment(thaw_text *out, const thaw_augment_config *augment, uint64_t seed) {
  thaw_text_add(out, " augment-1 seed=%llu flip=%d%d crop=%.17g noise=%.17g fill=%d", (unsigned long long)seed,
                augment->horizontal_flip, augment->vertical_flip, augment->crop, augment->noise, augment->fill_mode);
  add_range(out, "rotation", augment->rotation);
  add_range(out, "zoom", augment->zoom);
  add_range(out, "shift_x", augment->shift_x);
  add_range(out, "shift_y", augment->shift_y);
  add_range(out, "shear", augment->shear);
  add_range(out, "brightness", augment->brightness);
  add_range(out, "contrast", augment->contrast);
}

void thaw_input_key(const thaw_input *input, thaw_text *out) {
  thaw_text_add(out, "input-1 %dx%dx%d %s", input->h, input->w, input->c,
                thaw_preprocessing_names[input->preprocessing]);
  if (input->augment.enabled) add_augment(out, &input->augment, input->seed);
}

/* ------------------------------------------------------------------ making it */
static size_t values(int32_t h, int32_t w, int32_t c) {
  return (size_t)h * (size_t)w * (size_t)c;
}

/* Stored pixels to 0 .. 255: value * 255 / value_max, rounded once. */
static void scale_pixels(const thaw_dataset_info *data, const void *pixels, float *out) {
  size_t count = values(data->h, data->w, data->c);
  double most = data->value_max;
  if (data->bits == 16) {
    const uint16_t *x = pixels;
    for (size_t i = 0; i < count; i++) out[i] = (float)(x[i] * (double)THAW_PIXEL_MAX / most);
    return;
  }
  float table[256];
  const uint8_t *x = pixels;
  for (int i = 0; i < 256; i++) table[i] = (float)(i * (double)THAW_PIXEL_MAX / most);
  for (size_t i = 0; i < count; i++) out[i] = table[x[i]];
}

/* ITU-R 601 luma, in place: [pixels][3] -> [pixels]. */
static void to_grey(float *x, size_t pixels) {
  for (size_t i = 0; i < pixels; i++) x[i] = 0.299f * x[3 * i] + 0.587f * x[3 * i + 1] + 0.114f * x[3 * i + 2];
}

/* In place, from the end: [pixels] -> [pixels][3]. */
static void to_rgb(float *x, size_t pixels) {
  for (size_t i = pixels; i-- > 0;) x[3 * i] = x[3 * i + 1] = x[3 * i + 2] = x[i];
}

/* Where channels are no colours, the mean of the three colours' constants stands for each. */
static void preprocess_channels(thaw_preprocessing mode, float *x, size_t count) {
  if (mode == THAW_PREPROCESS_TORCH)
    for (size_t i = 0; i < count; i++) x[i] = (x[i] / 255.0f - 0.449f) / 0.226f;
  if (mode == THAW_PREPROCESS_CAFFE)
    for (size_t i = 0; i < count; i++) x[i] -= 114.799f;
}

/* keras.applications.imagenet_utils.preprocess_input, operation by operation in float32. */
void thaw_preprocess(thaw_preprocessing mode, float *x, size_t pixels, int32_t c) {
  static const float bgr_mean[3] = {103.939f, 116.779f, 123.68f};
  static const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f};
  size_t count = pixels * (size_t)c;
  if (mode == THAW_PREPROCESS_TF)
    for (size_t i = 0; i < count; i++) x[i] = x[i] / 127.5f - 1;
  if (c != 3) {
    preprocess_channels(mode, x, count);
    return;
  }
  if (mode == THAW_PREPROCESS_TORCH)
    for (size_t i = 0; i < pixels; i++)
      for (size_t k = 0; k < 3; k++) x[3 * i + k] = (x[3 * i + k] / 255.0f - mean[k]) / deviation[k];
  if (mode == THAW_PREPROCESS_CAFFE)
    for (size_t i = 0; i < pixels; i++) {
      float red = x[3 * i];
      x[3 * i] = x[3 * i + 2] - bgr_mean[0];
      x[3 * i + 1] -= bgr_mean[1];
      x[3 * i + 2] = red - bgr_mean[2];
    }
}

/* Scaled pixels at the network's size and channels into out. `stored` has room for the stored image. */
static thaw_status bring_to_shape(const thaw_input *input, const thaw_dataset_info *data, const void *pixels,
                                  float *stored, float *out) {
  scale_pixels(data, pixels, stored);
  int32_t c = data->c;
  if (c == 3 && input->c == 1) {
    to_grey(stored, values(data->h, data->w, 1));
    c = 1;
  }
  if (data->h != input->h || data->w != input->w)
    THAW_TRY(thaw_resize_float(stored, data->h, data->w, c, input->h, input->w, out));
  else if (stored != out)
    memcpy(out, stored, values(input->h, input->w, c) * sizeof *out);
  if (c == 1 && input->c == 3) to_rgb(out, values(input->h, input->w, 1));
  return THAW_OK;
}

static thaw_status augment(const thaw_input *input, int64_t sample, int32_t view, float *x) {
  const thaw_augment_config *config = &input->augment;
  thaw_augment_draw draw;
  thaw_augment_choose(config, input->seed, view, sample, input->h, input->w, &draw);
  if (draw.moves) {
    size_t bytes = values(input->h, input->w, input->c) * sizeof *x;
    float *before = thaw_new(1, bytes);
    if (!before) return THAW_ERR_MEMORY;
    memcpy(before, x, bytes);
    thaw_augment_move(draw.map, config->fill_mode, before, input->h, input->w, input->c, x);
    thaw_free(before);
  }
  thaw_augment_values(config, &draw, input->seed, view, sample, x, input->h, input->w, input->c);
  return THAW_OK;
}

thaw_status thaw_input_make(const thaw_input *input, const thaw_dataset_info *data, const void *pixels, int64_t sample,
                            int32_t view, float *out) {
  bool fits = data->h == input->h && data->w == input->w && data->c <= input->c;
  float *stored = fits ? out : thaw_new(values(data->h, data->w, data->c), sizeof *stored);
  if (!stored) return THAW_ERR_MEMORY;
  thaw_status status = bring_to_shape(input, data, pixels, stored, out);
  if (stored != out) thaw_free(stored);
  if (status == THAW_OK && view >= 0 && input->augment.enabled) status = augment(input, sample, view, out);
  if (status == THAW_OK) thaw_preprocess(input->preprocessing, out, values(input->h, input->w, 1), input->c);
  return status;
}
