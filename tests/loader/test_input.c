/* From stored pixels to network input: preprocessing against Keras' numbers, scaling, channels, resizing, errors. */
#include "thaw_test.h"

#include "thaw/loader.h"

#include <stdlib.h>

static thaw_input plain_input(int32_t size, int32_t c, thaw_preprocessing mode) {
  return (thaw_input){.h = size, .w = size, .c = c, .preprocessing = mode, .allow_resize = true};
}

static thaw_dataset_info plain_data(int32_t size, int32_t c, int32_t bits, double most) {
  return (thaw_dataset_info){.count = 10, .h = size, .w = size, .c = c, .bits = bits, .value_max = most};
}

/* keras.applications.imagenet_utils.preprocess_input on the pixel (R, G, B) = (10, 100, 250), float32, Keras 3.15.1. */
static void test_preprocessing_is_keras(void **context) {
  (void)context;
  const struct {
    thaw_preprocessing mode;
    float expected[3];
  } cases[] = {{THAW_PREPROCESS_RAW, {10, 100, 250}},
               {THAW_PREPROCESS_CAFFE, {146.061005f, -16.7789993f, -113.68f}},
               {THAW_PREPROCESS_TF, {-0.921568632f, -0.215686262f, 0.960784316f}},
               {THAW_PREPROCESS_TORCH, {-1.94665647f, -0.285013974f, 2.5528543f}}};
  const uint8_t pixel[3] = {10, 100, 250};
  thaw_dataset_info data = plain_data(1, 3, 8, 255);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    thaw_input input = plain_input(1, 3, cases[i].mode);
    float out[3];
    assert_thaw_ok(thaw_input_make(&input, &data, pixel, 0, -1, out));
    for (int k = 0; k < 3; k++) assert_float_equal(out[k], cases[i].expected[k], 0);
  }
}

static void test_values_are_scaled(void **context) {
  (void)context;
  const uint16_t pixel[4] = {0, 1365, 2730, 4095};
  thaw_dataset_info data = plain_data(2, 1, 16, 4095);
  thaw_input input = plain_input(2, 1, THAW_PREPROCESS_RAW);
  float out[4];
  assert_thaw_ok(thaw_input_make(&input, &data, pixel, 0, -1, out));
  for (int i = 0; i < 4; i++) assert_float_equal(out[i], 85.0f * (float)i, 0);
  const uint8_t bits[4] = {0, 1, 1, 0};
  data = plain_data(2, 1, 8, 1);
  assert_thaw_ok(thaw_input_make(&input, &data, bits, 0, -1, out));
  for (int i = 0; i < 4; i++) assert_float_equal(out[i], bits[i] ? 255 : 0, 0);
}

static void test_channels(void **context) {
  (void)context;
  const uint8_t grey[4] = {1, 2, 3, 4}, rgb[3] = {255, 128, 0};
  thaw_dataset_info data = plain_data(2, 1, 8, 255);
  thaw_input input = plain_input(2, 3, THAW_PREPROCESS_RAW);
  float out[12];
  assert_thaw_ok(thaw_input_make(&input, &data, grey, 0, -1, out));
  for (int i = 0; i < 12; i++) assert_float_equal(out[i], grey[i / 3], 0);
  data = plain_data(1, 3, 8, 255);
  input = plain_input(1, 1, THAW_PREPROCESS_RAW);
  assert_thaw_ok(thaw_input_make(&input, &data, rgb, 0, -1, out));
  assert_float_equal(out[0], 0.299 * 255 + 0.587 * 128, 1e-4);
}

/* A grey image twice the size: the resized RGB channels agree with the grey result, and a constant stays constant. */
static void test_resize(void **context) {
  (void)context;
  uint8_t pixels[64];
  for (int i = 0; i < 64; i++) pixels[i] = (uint8_t)(i * 37 % 251);
  thaw_dataset_info data = plain_data(8, 1, 8, 255);
  thaw_input grey = plain_input(4, 1, THAW_PREPROCESS_RAW), rgb = plain_input(4, 3, THAW_PREPROCESS_RAW);
  float one[16], three[48];
  assert_thaw_ok(thaw_input_make(&grey, &data, pixels, 0, -1, one));
  assert_thaw_ok(thaw_input_make(&rgb, &data, pixels, 0, -1, three));
  for (int i = 0; i < 48; i++) assert_float_equal(three[i], one[i / 3], 0);
  memset(pixels, 77, sizeof pixels);
  assert_thaw_ok(thaw_input_make(&grey, &data, pixels, 0, -1, one));
  for (int i = 0; i < 16; i++) assert_float_equal(one[i], 77, 1e-4);
}

static void test_errors(void **context) {
  (void)context;
  thaw_dataset_info data = plain_data(28, 1, 8, 255);
  thaw_input input = plain_input(224, 3, THAW_PREPROCESS_CAFFE);
  assert_thaw_ok(thaw_input_check(&input, &data, "a.h5"));
  input.allow_resize = false;
  assert_thaw_fails(thaw_input_check(&input, &data, "a.h5"), THAW_ERR_DATA,
                    "a.h5: images are 28x28x1, the network expects 224x224x3 and data.resize is error");
  input.allow_resize = true;
  data.c = 4;
  assert_thaw_fails(thaw_input_check(&input, &data, "a.h5"), THAW_ERR_DATA, "28x28x4");
  data.c = 3;
  data.value_max = 300;
  assert_thaw_fails(thaw_input_check(&input, &data, "a.h5"), THAW_ERR_DATA, "largest pixel value is 300");
  data.value_max = NAN;
  assert_thaw_fails(thaw_input_check(&input, &data, "a.h5"), THAW_ERR_DATA, "largest pixel value");
  data.value_max = 255;
}

/* Channels that are no colours: the mean of the three colours' constants for each. */
static void test_other_channels(void **context) {
  (void)context;
  float grey[] = {0, 114.799f, 255}, many[] = {0, 127.5f, 255, 51};
  thaw_preprocess(THAW_PREPROCESS_CAFFE, grey, 3, 1);
  assert_true(grey[0] == -114.799f && grey[1] == 0 && fabsf(grey[2] - 140.201f) < 1e-4f);
  thaw_preprocess(THAW_PREPROCESS_TORCH, many, 2, 2);
  const float scaled[] = {0, 0.5f, 1, 0.2f};
  for (int i = 0; i < 4; i++) assert_true(fabsf(many[i] - (scaled[i] - 0.449f) / 0.226f) < 1e-5f);
}

static void test_key(void **context) {
  (void)context;
  thaw_input input = plain_input(224, 3, THAW_PREPROCESS_CAFFE);
  thaw_text plain = {0}, seeded = {0}, augmented = {0}, other = {0};
  thaw_input_key(&input, &plain);
  input.seed = 9;
  thaw_input_key(&input, &seeded);
  assert_string_equal(plain.data, seeded.data); /* without augmentation the seed does not matter */
  input.augment = (thaw_augment_config){.enabled = true, .rotation = {-10, 10}};
  thaw_input_key(&input, &augmented);
  input.augment.rotation[1] = 10.5;
  thaw_input_key(&input, &other);
  assert_string_not_equal(augmented.data, other.data);
  assert_non_null(strstr(augmented.data, "seed=9"));
  thaw_text_clear(&plain), thaw_text_clear(&seeded), thaw_text_clear(&augmented), thaw_text_clear(&other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_preprocessing_is_keras),
      cmocka_unit_test(test_values_are_scaled),
      cmocka_unit_test(test_channels),
      cmocka_unit_test(test_resize),
      cmocka_unit_test(test_errors),
      cmocka_unit_test(test_other_channels),
      cmocka_unit_test(test_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
