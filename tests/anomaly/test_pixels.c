/* Areas under the curves of pixels against scikit-learn and MVTec's evaluation (make_golden.py); smoothing; windows. */
#include "thaw_test.h"

#include "thaw/anomaly.h"
#include "thaw/h5.h"
#include "thaw/memory.h"

enum { IMAGES = 4, H = 24, W = 30, PIXELS = H * W };

static void read_golden(const char *name, thaw_h5_type type, int64_t count, void *out) {
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_open(THAW_TEST_DATA "/anomaly.h5", &file));
  assert_thaw_ok(thaw_h5_read(file, name, type, count, out));
  thaw_h5_close(file);
}

static void add(thaw_pixels *pixels, const float *maps, const int32_t *masks, int image) {
  uint8_t mask[PIXELS];
  for (int k = 0; k < PIXELS; k++) mask[k] = (uint8_t)masks[image * PIXELS + k];
  assert_thaw_ok(thaw_pixels_add(pixels, maps + image * PIXELS, image == 1 ? NULL : mask, H, W));
}

static void check(const thaw_pixels *pixels) {
  float auroc, aupro[2];
  double found;
  read_golden("/auroc", THAW_H5_F32, 1, &auroc);
  read_golden("/aupro", THAW_H5_F32, 2, aupro);
  assert_int_equal(pixels->regions, 4); /* corners join: (4, 8) and (5, 9) */
  assert_thaw_ok(thaw_pixels_auroc(pixels, &found));
  assert_true(fabs(found - (double)auroc) < 1e-7);
  assert_thaw_ok(thaw_pixels_aupro(pixels, 0.3, &found));
  assert_true(fabs(found - (double)aupro[0]) < 1e-7);
  assert_thaw_ok(thaw_pixels_aupro(pixels, 1, &found));
  assert_true(fabs(found - (double)aupro[1]) < 1e-7);
}

static void test_curves(void **state) {
  (void)state;
  float maps[IMAGES * PIXELS];
  int32_t masks[IMAGES * PIXELS];
  read_golden("/maps", THAW_H5_F32, IMAGES * PIXELS, maps);
  read_golden("/masks", THAW_H5_I32, IMAGES * PIXELS, masks);
  thaw_pixels all = {0}, part[2] = {{0}, {0}}, joined = {0};
  for (int i = 0; i < IMAGES; i++) {
    add(&all, maps, masks, i);
    add(&part[i / 2], maps, masks, i);
  }
  check(&all);
  thaw_text bytes = {0};
  size_t first, second;
  assert_thaw_ok(thaw_pixels_pack(&part[0], &bytes));
  assert_thaw_ok(thaw_pixels_pack(&part[1], &bytes));
  assert_thaw_ok(thaw_pixels_unpack(bytes.data, bytes.length, &joined, &first));
  assert_thaw_ok(thaw_pixels_unpack(bytes.data + first, bytes.length - first, &joined, &second));
  assert_int_equal(first + second, bytes.length);
  check(&joined);
  assert_thaw_fails(thaw_pixels_unpack(bytes.data, first - 1, &joined, &second), THAW_ERR_INTERNAL, "packed pixels");
  thaw_text_clear(&bytes);
  thaw_pixels_clear(&all);
  thaw_pixels_clear(&joined);
  thaw_pixels_clear(&part[0]);
  thaw_pixels_clear(&part[1]);
}

static void test_undefined(void **state) {
  (void)state;
  thaw_pixels pixels = {0};
  double value;
  float map[4] = {0, 1, 2, 3};
  const uint8_t mask[4] = {0, 0, 1, 1};
  assert_thaw_ok(thaw_pixels_auroc(&pixels, &value));
  assert_true(isnan(value));
  assert_thaw_ok(thaw_pixels_add(&pixels, map, NULL, 2, 2));
  assert_thaw_ok(thaw_pixels_aupro(&pixels, 0.3, &value));
  assert_true(isnan(value));
  assert_thaw_ok(thaw_pixels_add(&pixels, map, mask, 2, 2));
  assert_thaw_ok(thaw_pixels_auroc(&pixels, &value));
  assert_true(fabs(value - (2 * 6 - 2 * 0.5 - 1) / 12) < 1e-12); /* 2 ties of 12 pairs, 1 pair lost */
  map[0] = NAN;
  assert_thaw_fails(thaw_pixels_add(&pixels, map, mask, 2, 2), THAW_ERR_DATA, "score is");
  map[0] = -1;
  assert_thaw_fails(thaw_pixels_add(&pixels, map, mask, 2, 2), THAW_ERR_DATA, "score is -1");
  thaw_pixels_clear(&pixels);
}

/* Every pixel is in a window, windows are whole, and the last ones end at the edge. */
static void test_tiles(void **state) {
  (void)state;
  for (int32_t length = 1; length < 40; length++)
    for (int32_t size = 1; size < 20; size++)
      for (int32_t stride = 1; stride <= size; stride++) {
        int32_t count = thaw_tile_count(length, size, stride), reached = 0, part = size < length ? size : length;
        for (int32_t i = 0; i < count; i++) {
          int32_t start = thaw_tile_start(length, size, stride, i);
          assert_true(start <= reached && start >= 0 && start + part <= length);
          assert_true(start + part > reached);
          reached = start + part;
        }
        assert_int_equal(reached, length);
      }
  uint8_t pixels[5 * 4 * 3];
  for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)i;
  const thaw_image image = {.h = 5, .w = 4, .c = 3, .bits = 8, .pixels = pixels};
  thaw_image part;
  assert_thaw_ok(thaw_image_crop(&image, 2, 1, 3, 2, &part));
  for (int y = 0; y < 3; y++)
    for (int k = 0; k < 6; k++) assert_int_equal(((uint8_t *)part.pixels)[y * 6 + k], pixels[(y + 2) * 12 + 3 + k]);
  thaw_image_clear(&part);
  assert_thaw_fails(thaw_image_crop(&image, 3, 1, 3, 2, &part), THAW_ERR_INTERNAL, "3 x 2 from (3, 1)");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_curves), cmocka_unit_test(test_undefined),
                                     cmocka_unit_test(test_tiles)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
