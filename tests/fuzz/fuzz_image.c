/* PNG and JPEG, as import decodes them: with EXIF orientation, and fitted into a small square. */
#include "fuzz.h"
#include "thaw/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  thaw_image image = {0}, fitted = {0};
  thaw_status status = thaw_image_decode("fuzz", data, size, &image);
  if (status == THAW_OK) status = thaw_image_fit(&image, THAW_FIT_CROP, 8, 8, &fitted);
  fuzz_expect(status);
  thaw_image_clear(&fitted);
  thaw_image_clear(&image);
  return 0;
}
