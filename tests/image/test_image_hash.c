/* pHash against NumPy, SciPy and Pillow, and near the package imagehash (golden/hashes.txt, make_hashes.py). */
#include "thaw/image.h"
#include "thaw_test.h"

#include <inttypes.h>

static void hashes_are_those_of_scipy(void **state) {
  (void)state;
  FILE *file = fopen(THAW_TEST_DATA "/golden/hashes.txt", "r");
  char name[64], path[512];
  uint64_t expected, package;
  int images = 0;
  assert_non_null(file);
  while (fscanf(file, "%63s %" SCNx64 " %" SCNx64, name, &expected, &package) == 3) {
    thaw_image image;
    uint64_t found;
    snprintf(path, sizeof path, "%s/golden/%s", THAW_TEST_DATA, name);
    assert_thaw_ok(thaw_image_read(path, &image));
    assert_thaw_ok(thaw_image_hash(&image, &found));
    if (found != expected) fail_msg("%s: %016" PRIx64 ", SciPy %016" PRIx64, name, found, expected);
    if (thaw_hash_distance(found, package) > 8)
      fail_msg("%s: %d bits from imagehash", name, thaw_hash_distance(found, package));
    thaw_image_clear(&image);
    images++;
  }
  fclose(file);
  assert_int_equal(images, 7);
}

static uint64_t hash_of(const thaw_image *image) {
  uint64_t hash;
  assert_thaw_ok(thaw_image_hash(image, &hash));
  return hash;
}

static void what_does_not_change_the_picture_hardly_changes_the_hash(void **state) {
  (void)state;
  thaw_image image, large, mirrored;
  assert_thaw_ok(thaw_image_read(THAW_TEST_DATA "/golden/rgb8.png", &image));
  assert_thaw_ok(thaw_image_resize(&image, image.h * 3, image.w * 2, &large));
  const uint64_t hash = hash_of(&image);
  assert_in_range(thaw_hash_distance(hash, hash_of(&large)), 0, 4);
  uint8_t *pixel = large.pixels;
  for (int i = 0; i < large.h * large.w * 3; i++) pixel[i] = (uint8_t)(20 + pixel[i] * 2 / 3); /* paler */
  assert_in_range(thaw_hash_distance(hash, hash_of(&large)), 0, 4);
  assert_thaw_ok(thaw_image_resize(&image, image.h, image.w, &mirrored));
  for (int y = 0; y < image.h; y++)
    for (int x = 0; x < image.w * 3; x++)
      ((uint8_t *)mirrored.pixels)[y * image.w * 3 + x] =
          ((uint8_t *)image.pixels)[(y * image.w + image.w - 1 - x / 3) * 3 + x % 3];
  assert_in_range(thaw_hash_distance(hash, hash_of(&mirrored)), 12, 64);
  thaw_image_clear(&image), thaw_image_clear(&large), thaw_image_clear(&mirrored);
}

static void a_blank_image_has_none(void **state) {
  (void)state;
  uint16_t pixel[40 * 50 * 3];
  for (int i = 0; i < 40 * 50 * 3; i++) pixel[i] = 33333;
  const thaw_image image = {.h = 40, .w = 50, .c = 3, .bits = 16, .pixels = pixel},
                   black = {1, 1, 1, 8, (uint8_t[]){0}};
  assert_true(hash_of(&image) == 0);
  assert_true(hash_of(&black) == 0);
  pixel[300] = 65535;
  assert_true(hash_of(&image) != 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(hashes_are_those_of_scipy),
                                     cmocka_unit_test(what_does_not_change_the_picture_hardly_changes_the_hash),
                                     cmocka_unit_test(a_blank_image_has_none)};
  return cmocka_run_group_tests_name("image_hash", tests, NULL, NULL);
}
