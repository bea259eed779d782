/* row.c: from a decoded image to the row of a shard.
 *
 * RGB is mixed to grey before resizing and grey is repeated to RGB after it: the cheaper order, and the first part
 * needs nothing that only a look at all images tells.
 */
#include "import/import_private.h"

#include <math.h>
#include <string.h>

thaw_status thaw_import__fit(const thaw_import_options *options, thaw_image *image) {
  thaw_image next;
  if (options->c == 1 && image->c != 1) {
    THAW_TRY(thaw_image_channels(image, 1, &next));
    thaw_image_clear(image);
    *image = next;
  }
  if (!options->h || (image->h == options->h && image->w == options->w)) return THAW_OK;
  THAW_TRY(thaw_image_fit(image, options->fit, options->h, options->w, &next));
  thaw_image_clear(image);
  *image = next;
  return THAW_OK;
}

/* One stored value; 8-bit sources fill the range of 16-bit output. */
static uint32_t convert(uint32_t value, int32_t from_bits, const thaw_dataset_info *info,
                        const thaw_import_options *options) {
  if (from_bits == info->bits) return value;
  if (info->bits == 16) return (uint32_t)floor(value / 255.0 * info->value_max + 0.5);
  const double largest = options->value_max > 0 ? options->value_max : 65535, scaled = value / largest * 255 + 0.5;
  return scaled < 255 ? (uint32_t)floor(scaled) : 255;
}

static void store(const thaw_image *image, const thaw_dataset_info *info, const thaw_import_options *options,
                  void *pixels) {
  const size_t samples = (size_t)info->h * (size_t)info->w * (size_t)info->c;
  if (image->bits == info->bits) {
    memcpy(pixels, image->pixels, samples * (size_t)(info->bits / 8));
    return;
  }
  for (size_t i = 0; i < samples; i++) {
    const uint32_t value =
        image->bits == 16 ? ((const uint16_t *)image->pixels)[i] : ((const uint8_t *)image->pixels)[i];
    const uint32_t stored = convert(value, image->bits, info, options);
    if (info->bits == 16)
      ((uint16_t *)pixels)[i] = (uint16_t)stored;
    else
      ((uint8_t *)pixels)[i] = (uint8_t)stored;
  }
}

thaw_status thaw_import__row(const thaw_image *fitted, const thaw_dataset_info *info,
                             const thaw_import_options *options, void *pixels) {
  thaw_image image;
  if (fitted->h != info->h || fitted->w != info->w)
    return thaw_fail(THAW_ERR_DATA, "is %dx%d now, was %dx%d", (int)fitted->h, (int)fitted->w, (int)info->h,
                     (int)info->w);
  if (fitted->c == info->c) {
    store(fitted, info, options, pixels);
    return THAW_OK;
  }
  THAW_TRY(thaw_image_channels(fitted, info->c, &image));
  store(&image, info, options, pixels);
  thaw_image_clear(&image);
  return THAW_OK;
}
