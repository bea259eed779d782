/* Plots: sizes, what is drawn where (read back with the project's own PNG decoder), gaps, and hostile input. */
#include "thaw_test.h"

#include "report/report_private.h"
#include "thaw/image.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/thaw-plots-XXXXXX";
static char path[sizeof folder + 32];

static int setup(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/plot.png", folder);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  unlink(path);
  return rmdir(folder);
}

/* Darkness 0 .. 255 of the strongest pixel whose channels differ (the series are coloured, all the rest is grey). */
static int colour_at(const thaw_image *image, int32_t x, int32_t y0, int32_t y1) {
  int worst = 0;
  for (int32_t y = y0; y < y1; y++) {
    const uint8_t *p = (const uint8_t *)image->pixels + ((size_t)y * (size_t)image->w + (size_t)x) * 3;
    int low = p[0] < p[2] ? p[0] : p[2], high = p[0] < p[2] ? p[2] : p[0];
    if (high - low > worst) worst = high - low;
  }
  return worst;
}

static void test_size_and_line(void **state) {
  (void)state;
  const double x[] = {0, 10}, y[] = {0.5, 0.5};
  const thaw_series series = {.label = "a", .x = x, .y = y, .count = 2};
  const thaw_plot plot = {.title = "title", .x_label = "x", .y_label = "y", .series = &series, .count = 1};
  assert_thaw_ok(thaw_plot_lines(path, &plot));
  thaw_image image;
  assert_thaw_ok(thaw_image_read(path, &image));
  assert_int_equal(image.w, 800);
  assert_int_equal(image.h, 480);
  assert_int_equal(image.c, 3);
  for (int32_t column = 120; column < 740; column += 20) assert_true(colour_at(&image, column, 70, 420) > 100);
  thaw_image_clear(&image);
  thaw_plot other = plot;
  other.width = 401, other.height = 303;
  assert_thaw_ok(thaw_plot_lines(path, &other));
  assert_thaw_ok(thaw_image_read(path, &image));
  assert_int_equal(image.w, 401);
  assert_int_equal(image.h, 303);
  thaw_image_clear(&image);
}

/* y = const with NaN in the middle: coloured left and right of the gap, nothing inside it. */
static void test_gap(void **state) {
  (void)state;
  double x[100], y[100];
  for (int i = 0; i < 100; i++) x[i] = i, y[i] = i >= 40 && i < 60 ? (i % 2 ? NAN : INFINITY) : 1;
  const thaw_series series = {.x = x, .y = y, .count = 100};
  const thaw_plot plot = {.series = &series, .count = 1};
  assert_thaw_ok(thaw_plot_lines(path, &plot));
  thaw_image image;
  assert_thaw_ok(thaw_image_read(path, &image));
  /* The axes take the same place at both ends, so the middle of the gap is near the middle of the picture. */
  for (int32_t column = 390; column < 440; column++) assert_true(colour_at(&image, column, 70, 440) < 20);
  assert_true(colour_at(&image, 200, 70, 440) > 100);
  assert_true(colour_at(&image, 650, 70, 440) > 100);
  thaw_image_clear(&image);
}

static void test_odd_data(void **state) {
  (void)state;
  const double x[] = {1, 2, 3}, nothing[] = {NAN, NAN, NAN}, same[] = {0, 0, 0}, huge[] = {1e308, -1e308, 1e299};
  const double tiny[] = {1e-300, 2e-300, 1e-310}, large[] = {1e15, 1e15 + 1, 1e15}, negative[] = {-5, -4.99999, -5};
  const double *const data[] = {nothing, same, huge, tiny, large, negative};
  for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
    const thaw_series series = {.label = "\xff\xfe<\x01>", .x = x, .y = data[i], .count = 3};
    const thaw_marker markers[] = {{2.5, "phase 2"}, {1e9, NULL}, {NAN, "nowhere"}};
    const thaw_plot plot = {
        .title = "\xc3", .series = &series, .count = 1, .markers = markers, .marker_count = 3, .x_label = "epoch"};
    assert_thaw_ok(thaw_plot_lines(path, &plot));
  }
  const thaw_plot empty = {.title = "nothing"};
  assert_thaw_ok(thaw_plot_lines(path, &empty));
  const thaw_plot small = {.width = 20, .height = 20}, vast = {.width = 100000, .height = 480};
  assert_thaw_fails(thaw_plot_lines(path, &small), THAW_ERR_USAGE, "20 x 20 pixels; 100 .. 10000 is possible");
  assert_thaw_fails(thaw_plot_lines(path, &vast), THAW_ERR_USAGE, "100000 x 480");
  assert_int_not_equal(thaw_plot_lines("/nonexistent/folder/x.png", &empty), THAW_OK);
  assert_non_null(strstr(thaw_message(), "/nonexistent/folder"));
}

static void test_ticks(void **state) {
  (void)state;
  char text[32];
  report_axis axis = report_axis_make(0, 1, 5, false);
  assert_true(fabs(axis.step - 0.2) < 1e-12);
  assert_string_equal(report_tick(&axis, 0.6000000001, text), "0.6");
  assert_string_equal(report_tick(&axis, -1e-17, text), "0.0");
  axis = report_axis_make(0.5, 30.5, 8, true);
  assert_true(axis.step == 5);
  assert_string_equal(report_tick(&axis, 15, text), "15");
  axis = report_axis_make(0.9, 3.1, 8, true);
  assert_true(axis.step == 1);
  axis = report_axis_make(0, 3e-7, 5, false);
  assert_string_equal(report_tick(&axis, 1e-7, text), "1e-07");
  axis = report_axis_make(0, 14714688, 5, false);
  assert_string_equal(report_tick(&axis, 5e6, text), "5e+06");
}

static void test_clean(void **state) {
  (void)state;
  char out[16];
  assert_string_equal(report_clean("Gef\xc3\xa4\xc3\x9f", out, sizeof out), "Gef\xc3\xa4\xc3\x9f");
  assert_string_equal(report_clean("a\xffz\n\x7f", out, sizeof out), "a?z  ");
  assert_string_equal(report_clean("\xc0\x80", out, sizeof out), "??");           /* overlong */
  assert_string_equal(report_clean("\xed\xa0\x80", out, sizeof out), "???");      /* surrogate */
  assert_string_equal(report_clean("\xf4\x90\x80\x80", out, sizeof out), "????"); /* beyond Unicode */
  assert_string_equal(report_clean("\xe2\x82", out, sizeof out), "??");           /* cut short */
  assert_string_equal(report_clean("0123456789abcdefgh", out, sizeof out), "0123456789abcde");
  assert_string_equal(report_clean("0123456789abcd\xc3\xa4", out, sizeof out), "0123456789abcd");
}

/* The diagonal is saturated, the rest is white: shares are of the row, not of the whole. */
static void test_confusion(void **state) {
  (void)state;
  const int64_t confusion[] = {5, 0, 0, 0, 1000000, 0, 0, 0, 7};
  static char first[] = "<b>", second[] = "\xff", third[] = "a very long name of a class, much longer than any plot";
  char *items[] = {first, second, third};
  const thaw_strings names = {.item = items, .count = 3};
  assert_thaw_ok(thaw_plot_confusion(path, "confusion", confusion, 3, &names));
  thaw_image image;
  assert_thaw_ok(thaw_image_read(path, &image));
  int64_t blue = 0, white = 0;
  for (int32_t i = 0; i < image.w * image.h; i++) {
    const uint8_t *p = (const uint8_t *)image.pixels + (size_t)i * 3;
    blue += p[0] == 0 && p[1] == 0x72 && p[2] == 0xb2;
    white += p[0] == 255 && p[1] == 255 && p[2] == 255;
  }
  assert_true(blue > 3 * 64 * 64 * 3 / 4);
  assert_true(white > 6 * 64 * 64 * 3 / 4);
  thaw_image_clear(&image);
}

static void test_confusion_sizes(void **state) {
  (void)state;
  static const int32_t sizes[] = {1, 2, 15, 40, 300, 1200};
  int64_t *confusion = thaw_new(1200 * 1200, sizeof *confusion);
  assert_non_null(confusion);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    assert_thaw_ok(thaw_plot_confusion(path, NULL, confusion, sizes[i], NULL));
    thaw_image image;
    assert_thaw_ok(thaw_image_read(path, &image));
    assert_true(image.w >= sizes[i] && image.h >= sizes[i] && image.w <= 1400);
    thaw_image_clear(&image);
  }
  thaw_free(confusion);
  assert_thaw_fails(thaw_plot_confusion(path, NULL, NULL, 0, NULL), THAW_ERR_USAGE, "0 classes");
  assert_thaw_fails(thaw_plot_confusion(path, NULL, NULL, 2001, NULL), THAW_ERR_USAGE, "2001 classes");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_size_and_line),   cmocka_unit_test(test_gap),   cmocka_unit_test(test_odd_data),
      cmocka_unit_test(test_ticks),           cmocka_unit_test(test_clean), cmocka_unit_test(test_confusion),
      cmocka_unit_test(test_confusion_sizes),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
