/* Augmentation: the sampler against Keras' affine_transform, the composition of the map, ranges, purity. */
#include "thaw_test.h"

#include "loader/loader_private.h"
#include "thaw/h5.h"
#include "thaw/memory.h"

enum { SIDE = 16, PIXELS = SIDE * SIDE };
static const char *const golden_path = THAW_TEST_DATA "/augment_golden.h5";

/* ------------------------------------------------------------------ against Keras */
static void test_sampling_is_keras(void **context) {
  (void)context;
  static const char *const modes[] = {"/nearest", "/constant", "/reflect"};
  thaw_h5 *file;
  thaw_h5_info shape, cases;
  assert_thaw_ok(thaw_h5_open(golden_path, &file));
  assert_thaw_ok(thaw_h5_describe(file, "/image", &shape));
  assert_thaw_ok(thaw_h5_describe(file, "/map", &cases));
  size_t count = (size_t)shape.count;
  float *image = thaw_new(count, sizeof *image), *expected = thaw_new(count, sizeof *image);
  float *got = thaw_new(count, sizeof *image);
  assert_thaw_ok(thaw_h5_read(file, "/image", THAW_H5_F32, shape.count, image));
  for (int32_t mode = 0; mode < 3; mode++)
    for (int64_t i = 0; i < cases.dim[0]; i++) {
      double map[6];
      assert_thaw_ok(thaw_h5_read_rows(file, "/map", THAW_H5_F64, i, 1, map));
      assert_thaw_ok(thaw_h5_read_rows(file, modes[mode], THAW_H5_F32, i, 1, expected));
      thaw_augment_move(map, mode, image, (int32_t)shape.dim[0], (int32_t)shape.dim[1], (int32_t)shape.dim[2], got);
      double worst = thaw_test_max_difference(got, expected, count);
      if (!(worst < 2e-3)) fail_msg("%s, map %d: differs by %g", modes[mode], (int)i, worst); /* float32 positions */
    }
  thaw_free(image), thaw_free(expected), thaw_free(got);
  thaw_h5_close(file);
}

static void test_contrast_is_keras(void **context) {
  (void)context;
  thaw_h5 *file;
  thaw_h5_info shape;
  assert_thaw_ok(thaw_h5_open(golden_path, &file));
  assert_thaw_ok(thaw_h5_describe(file, "/image", &shape));
  float *x = thaw_new((size_t)shape.count, sizeof *x), *expected = thaw_new((size_t)shape.count, sizeof *x);
  assert_thaw_ok(thaw_h5_read(file, "/image", THAW_H5_F32, shape.count, x));
  assert_thaw_ok(thaw_h5_read(file, "/contrast", THAW_H5_F32, shape.count, expected));
  thaw_augment_config config = {.enabled = true};
  thaw_augment_draw draw = {.contrast = 1.4f};
  thaw_augment_values(&config, &draw, 1, 0, 0, x, (int32_t)shape.dim[0], (int32_t)shape.dim[1], (int32_t)shape.dim[2]);
  assert_true(thaw_test_max_difference(x, expected, (size_t)shape.count) < 1e-3);
  thaw_free(x), thaw_free(expected);
  thaw_h5_close(file);
}

/* ------------------------------------------------------------------ the map */
static void image_of_plane(float *x) {
  for (int row = 0; row < SIDE; row++)
    for (int column = 0; column < SIDE; column++) x[row * SIDE + column] = 100 + 2 * (float)column + 3 * (float)row;
}

static void move(const thaw_augment_config *config, uint64_t seed, int64_t sample, const float *x, float *out) {
  thaw_augment_draw draw;
  thaw_augment_choose(config, seed, 0, sample, SIDE, SIDE, &draw);
  thaw_augment_move(draw.map, config->fill_mode, x, SIDE, SIDE, 1, out);
}

static void test_quarter_turn(void **context) {
  (void)context;
  thaw_augment_config config = {.enabled = true, .rotation = {90, 90}};
  float x[PIXELS], out[PIXELS];
  for (int i = 0; i < PIXELS; i++) x[i] = (float)(i * 31 % 256);
  move(&config, 1, 0, x, out);
  /* a positive angle takes (x, y) from (cos x - sin y, sin x + cos y): here row r, column q from row q, column n-1-r */
  for (int row = 0; row < SIDE; row++)
    for (int column = 0; column < SIDE; column++)
      assert_float_equal(out[row * SIDE + column], x[column * SIDE + SIDE - 1 - row], 1e-3);
}

static void test_whole_pixel_shift(void **context) {
  (void)context;
  thaw_augment_config config = {.enabled = true, .shift_x = {0.25, 0.25}, .shift_y = {-0.125, -0.125}, .fill_mode = 1};
  float x[PIXELS], out[PIXELS];
  for (int i = 0; i < PIXELS; i++) x[i] = (float)(1 + i * 31 % 255);
  move(&config, 1, 0, x, out);
  for (int row = 0; row < SIDE; row++)
    for (int column = 0; column < SIDE; column++) {
      int from_row = row - 2, from_column = column + 4;
      bool inside = from_row >= 0 && from_column < SIDE;
      assert_float_equal(out[row * SIDE + column], inside ? x[from_row * SIDE + from_column] : 0, 0);
    }
}

static void test_flip_is_exact(void **context) {
  (void)context;
  thaw_augment_config config = {.enabled = true, .horizontal_flip = true, .vertical_flip = true};
  float x[PIXELS], out[PIXELS];
  int flipped_x = 0, flipped_y = 0, trials = 400;
  for (int i = 0; i < PIXELS; i++) x[i] = (float)(i * 31 % 256) + 0.123f;
  for (int sample = 0; sample < trials; sample++) {
    move(&config, 1, sample, x, out);
    bool fx = out[0] == x[SIDE - 1] || out[0] == x[PIXELS - 1];
    bool fy = out[0] == x[PIXELS - SIDE] || out[0] == x[PIXELS - 1];
    for (int row = 0; row < SIDE; row++)
      for (int column = 0; column < SIDE; column++)
        assert_float_equal(out[row * SIDE + column],
                           x[(fy ? SIDE - 1 - row : row) * SIDE + (fx ? SIDE - 1 - column : column)], 0);
    flipped_x += fx;
    flipped_y += fy;
  }
  assert_in_range(flipped_x, 160, 240); /* 4 standard deviations of a fair coin */
  assert_in_range(flipped_y, 160, 240);
}

/* Rotation, then shift, then shear, then zoom, as ImageDataGenerator multiplies them; on a plane bilinear sampling is
 * exact, so that the value at a pixel tells where it came from. */
static void test_composition(void **context) {
  (void)context;
  thaw_augment_config config = {.enabled = true,
                                .rotation = {5, 5},
                                .shift_x = {0.05, 0.05},
                                .shift_y = {0.02, 0.02},
                                .shear = {8, 8},
                                .zoom = {-0.2, -0.2}};
  float x[PIXELS], out[PIXELS];
  image_of_plane(x);
  move(&config, 1, 0, x, out);
  double t = 5 * M_PI / 180, s = 8 * M_PI / 180, c = (SIDE - 1) / 2.0;
  for (int row = 4; row < SIDE - 4; row++)
    for (int column = 4; column < SIDE - 4; column++) {
      double px = 0.8 * (column - c), py = 0.8 * (row - c);
      double qx = px - sin(s) * py + 0.05 * SIDE, qy = cos(s) * py + 0.02 * SIDE;
      double rx = cos(t) * qx - sin(t) * qy + c, ry = sin(t) * qx + cos(t) * qy + c;
      assert_float_equal(out[row * SIDE + column], 100 + 2 * rx + 3 * ry, 1e-3);
    }
}

/* A crop keeps its window inside the image and never shrinks below the given share. */
static void test_crop(void **context) {
  (void)context;
  thaw_augment_config config = {.enabled = true, .crop = 0.5};
  double smallest = 1, largest = 0;
  for (int sample = 0; sample < 500; sample++) {
    thaw_augment_draw draw;
    thaw_augment_choose(&config, 3, 0, sample, 20, 30, &draw);
    double kept = draw.map[0];
    assert_true(kept >= 0.5 && kept <= 1 && draw.map[4] == kept);
    assert_true(fabs(draw.map[2]) <= (1 - kept) * 15 + 1e-9 && fabs(draw.map[5]) <= (1 - kept) * 10 + 1e-9);
    smallest = fmin(smallest, kept);
    largest = fmax(largest, kept);
  }
  assert_true(smallest < 0.52 && largest > 0.98);
}

/* ------------------------------------------------------------------ values */
static void test_noise(void **context) {
  (void)context;
  thaw_augment_config config = {.enabled = true, .noise = 0.02};
  enum { N = 64 * 64 * 3 };
  float *x = thaw_new(N, sizeof *x);
  for (int i = 0; i < N; i++) x[i] = 128;
  thaw_augment_draw draw = {.contrast = 1};
  thaw_augment_values(&config, &draw, 1, 0, 0, x, 64, 64, 3);
  double sum = 0, square = 0;
  for (int i = 0; i < N; i++) sum += x[i] - 128, square += ((double)x[i] - 128) * ((double)x[i] - 128);
  assert_float_equal(sum / N, 0, 4 * 5.1 / sqrt(N));
  assert_float_equal(sqrt(square / N), 0.02 * 255, 0.15);
  thaw_free(x);
}

static void test_brightness_is_clipped(void **context) {
  (void)context;
  thaw_augment_config config = {.enabled = true, .brightness = {0.5, 0.5}};
  thaw_augment_draw draw;
  thaw_augment_choose(&config, 1, 0, 0, 1, 2, &draw);
  assert_false(draw.moves);
  float x[2] = {10, 200};
  thaw_augment_values(&config, &draw, 1, 0, 0, x, 1, 2, 1);
  assert_float_equal(x[0], 137.5, 0);
  assert_float_equal(x[1], 255, 0);
}

static void test_pure_function(void **context) {
  (void)context;
  thaw_augment_config config = {.enabled = true, .rotation = {-30, 30}, .noise = 0.1, .brightness = {-0.2, 0.2}};
  thaw_augment_draw a, b, c, d;
  thaw_augment_choose(&config, 1, 3, 99, SIDE, SIDE, &a);
  thaw_augment_choose(&config, 1, 3, 99, SIDE, SIDE, &b);
  thaw_augment_choose(&config, 1, 4, 99, SIDE, SIDE, &c);
  thaw_augment_choose(&config, 2, 3, 99, SIDE, SIDE, &d);
  assert_memory_equal(&a, &b, sizeof a);
  assert_true(a.map[0] != c.map[0] && a.map[0] != d.map[0] && a.brightness != c.brightness);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sampling_is_keras),
      cmocka_unit_test(test_contrast_is_keras),
      cmocka_unit_test(test_quarter_turn),
      cmocka_unit_test(test_whole_pixel_shift),
      cmocka_unit_test(test_flip_is_exact),
      cmocka_unit_test(test_composition),
      cmocka_unit_test(test_crop),
      cmocka_unit_test(test_noise),
      cmocka_unit_test(test_brightness_is_clipped),
      cmocka_unit_test(test_pure_function),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
