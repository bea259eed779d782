#include "cli/pictures.h"
#include "thaw/memory.h"

/* Stored values [h][w][c] of 8 or 16 bits as RGB of another size. */
static thaw_status make_picture(const thaw_image *stored, double value_max, int32_t h, int32_t w, thaw_image *out) {
  size_t pixels = (size_t)stored->h * (size_t)stored->w, channels = (size_t)stored->c;
  thaw_image raw = {.h = stored->h, .w = stored->w, .c = stored->c >= 3 ? 3 : 1, .bits = 8}, rgb = {0};
  uint8_t *to = raw.pixels = thaw_new(pixels, (size_t)raw.c);
  if (!to) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < pixels; i++)
    for (size_t k = 0; k < (size_t)raw.c; k++) {
      size_t at = i * channels + k;
      double value =
          stored->bits == 16 ? ((const uint16_t *)stored->pixels)[at] : ((const uint8_t *)stored->pixels)[at];
      value *= 255 / value_max;
      *to++ = value < 255 ? (uint8_t)(value + 0.5) : 255;
    }
  thaw_status status = thaw_image_channels(&raw, 3, &rgb);
  if (status == THAW_OK) status = thaw_image_resize(&rgb, h, w, out);
  thaw_image_clear(&rgb);
  thaw_image_clear(&raw);
  return status;
}

thaw_status cli_catalog_picture(thaw_catalog *catalog, int64_t sample, int32_t h, int32_t w, thaw_image *out) {
  const thaw_dataset_info *info = thaw_catalog_info(catalog);
  thaw_image stored = {.h = info->h, .w = info->w, .c = info->c, .bits = info->bits};
  stored.pixels = thaw_new((size_t)info->h * (size_t)info->w * (size_t)info->c, sizeof(uint16_t));
  thaw_status status = stored.pixels ? thaw_catalog_pixels(catalog, sample, 1, stored.pixels) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = make_picture(&stored, info->value_max, h, w, out);
  thaw_image_clear(&stored);
  return status;
}

thaw_status cli_image_picture(thaw_import_reader *images, int64_t sample, int32_t h, int32_t w, thaw_image *out) {
  thaw_image stored = {0};
  double value_max;
  THAW_TRY(thaw_import_reader_image(images, sample, &stored, &value_max));
  thaw_status status = make_picture(&stored, value_max, h, w, out);
  thaw_image_clear(&stored);
  return status;
}

thaw_status cli_file_picture(const char *path, int32_t h, int32_t w, thaw_image *out) {
  thaw_image stored = {0};
  THAW_TRY(thaw_image_read(path, &stored));
  thaw_status status = make_picture(&stored, stored.bits == 16 ? 65535 : 255, h, w, out);
  thaw_image_clear(&stored);
  return status;
}
