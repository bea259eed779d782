/* Resampling against tf.image.resize(antialias=True), PIL's BILINEAR and Keras' aspect-keeping resize (golden/). */
#include "thaw/h5.h"
#include "thaw/image.h"
#include "thaw/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { H = 37, W = 53 };

static thaw_h5 *golden;
static uint8_t source[H * W * 3];

static int setup(void **state) {
  (void)state;
  if (thaw_h5_open(THAW_TEST_DATA "/golden/golden.h5", &golden) != THAW_OK) return -1;
  return thaw_h5_read(golden, "/resize/source", THAW_H5_U8, sizeof source, source) == THAW_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  thaw_h5_close(golden);
  return 0;
}

static float *read_floats(const char *format, int h, int w, int c) {
  char name[64];
  float *values = thaw_new((size_t)(h * w * c), sizeof *values);
  snprintf(name, sizeof name, format, h, w);
  if (thaw_h5_read(golden, name, THAW_H5_F32, (int64_t)h * w * c, values) != THAW_OK) fail_msg("%s", thaw_message());
  return values;
}

static const int sizes[][2] = {{20, 31}, {64, 64}, {5, 7}, {1, 1}, {100, 20}, {37, 20}};

static void floats_equal_tensorflow(void **state) {
  (void)state;
  float in[H * W * 3];
  for (int i = 0; i < H * W * 3; i++) in[i] = source[i];
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    const int h = sizes[s][0], w = sizes[s][1], values = h * w * 3;
    float *expected = read_floats("/resize/tf_%dx%d", h, w, 3), *found = thaw_new((size_t)values, sizeof *found);
    assert_int_equal(thaw_resize_float(in, H, W, 3, h, w, found), THAW_OK);
    for (int i = 0; i < values; i++)
      if (fabsf(found[i] - expected[i]) > 1e-3f)
        fail_msg("%dx%d value %d: %g, TensorFlow %g", h, w, i, found[i], expected[i]);
    thaw_free(found);
    thaw_free(expected);
  }
}

/* PIL rounds to 8 bits between its two passes, so one level of difference is its own. */
static void bytes_are_within_a_level_of_pil(void **state) {
  (void)state;
  const thaw_image in = {.h = H, .w = W, .c = 3, .bits = 8, .pixels = source};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    const int h = sizes[s][0], w = sizes[s][1], values = h * w * 3;
    float *expected = read_floats("/resize/pil_%dx%d", h, w, 3);
    thaw_image found;
    int differing = 0;
    assert_int_equal(thaw_image_resize(&in, h, w, &found), THAW_OK);
    for (int i = 0; i < values; i++) {
      const float difference = fabsf(((uint8_t *)found.pixels)[i] - expected[i]);
      if (difference > 1) fail_msg("%dx%d value %d differs by %g", h, w, i, difference);
      differing += difference > 0;
    }
    if (differing > values / 4 + 1) fail_msg("%dx%d: %d of %d values differ from PIL's", h, w, differing, values);
    thaw_image_clear(&found);
    thaw_free(expected);
  }
}

static void sixteen_bits_equal_tensorflow(void **state) {
  (void)state;
  uint16_t deep[23 * 19];
  thaw_image found;
  assert_int_equal(thaw_h5_read(golden, "/resize/deep", THAW_H5_U16, 23 * 19, deep), THAW_OK);
  const thaw_image in = {.h = 23, .w = 19, .c = 1, .bits = 16, .pixels = deep};
  float *expected = read_floats("/resize/deep_%dx%d", 11, 40, 1);
  assert_int_equal(thaw_image_resize(&in, 11, 40, &found), THAW_OK);
  assert_int_equal(found.bits, 16);
  /* Half a level of rounding, and the float32 error of sums near 65,535 on both sides. */
  for (int i = 0; i < 11 * 40; i++) {
    const float difference = fabsf(((uint16_t *)found.pixels)[i] - expected[i]);
    if (difference > 0.53f) fail_msg("value %d differs by %g", i, difference);
  }
  thaw_image_clear(&found);
  thaw_free(expected);
}

static void check_fit(thaw_fit fit, const char *format) {
  static const int fits[][2] = {{24, 24}, {16, 40}, {40, 16}, {50, 60}};
  const thaw_image in = {.h = H, .w = W, .c = 3, .bits = 8, .pixels = source};
  for (size_t s = 0; s < sizeof fits / sizeof *fits; s++) {
    const int h = fits[s][0], w = fits[s][1];
    float *expected = read_floats(format, h, w, 3);
    thaw_image found;
    assert_int_equal(thaw_image_fit(&in, fit, h, w, &found), THAW_OK);
    for (int i = 0; i < h * w * 3; i++)
      if (fabsf(((uint8_t *)found.pixels)[i] - expected[i]) > 0.51f)
        fail_msg("%s: %dx%d value %d differs", format, h, w, i);
    thaw_image_clear(&found);
    thaw_free(expected);
  }
}

static void crop_is_that_of_keras(void **state) {
  (void)state;
  check_fit(THAW_FIT_CROP, "/fit/crop_%dx%d");
}

static void pad_is_that_of_keras(void **state) {
  (void)state;
  check_fit(THAW_FIT_PAD, "/fit/pad_%dx%d");
}

static void the_same_size_keeps_every_byte(void **state) {
  (void)state;
  const thaw_image in = {.h = H, .w = W, .c = 3, .bits = 8, .pixels = source};
  thaw_image found;
  assert_int_equal(thaw_image_resize(&in, H, W, &found), THAW_OK);
  assert_memory_equal(found.pixels, source, sizeof source);
  thaw_image_clear(&found);
}

static void a_flat_picture_stays_flat(void **state) {
  (void)state;
  uint8_t flat[19 * 23];
  thaw_image found;
  memset(flat, 255, sizeof flat);
  const thaw_image in = {.h = 19, .w = 23, .c = 1, .bits = 8, .pixels = flat};
  for (int32_t side = 1; side < 60; side += 7) {
    assert_int_equal(thaw_image_resize(&in, side, 61 - side, &found), THAW_OK);
    for (int32_t i = 0; i < side * (61 - side); i++) assert_int_equal(((uint8_t *)found.pixels)[i], 255);
    thaw_image_clear(&found);
  }
}

static void impossible_sizes_are_refused(void **state) {
  (void)state;
  const thaw_image in = {.h = H, .w = W, .c = 3, .bits = 8, .pixels = source};
  thaw_image found;
  float value = 0;
  assert_int_equal(thaw_image_resize(&in, 0, 5, &found), THAW_ERR_USAGE);
  assert_int_equal(thaw_image_fit(&in, THAW_FIT_PAD, -1, 5, &found), THAW_ERR_USAGE);
  assert_int_equal(thaw_resize_float(&value, 1, 1, 1, 100000, 1, &value), THAW_ERR_USAGE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(floats_equal_tensorflow),       cmocka_unit_test(bytes_are_within_a_level_of_pil),
      cmocka_unit_test(sixteen_bits_equal_tensorflow), cmocka_unit_test(crop_is_that_of_keras),
      cmocka_unit_test(pad_is_that_of_keras),          cmocka_unit_test(the_same_size_keeps_every_byte),
      cmocka_unit_test(a_flat_picture_stays_flat),     cmocka_unit_test(impossible_sizes_are_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
