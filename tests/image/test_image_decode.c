/* Decoders against PIL and TensorFlow (golden/), every PNG form against its own pixels, and broken files. */
#include "thaw/file.h"
#include "thaw/h5.h"
#include "thaw/image.h"
#include "thaw/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <png.h>

static const char *const golden = THAW_TEST_DATA "/golden/golden.h5";

static thaw_status read_golden(const char *name, thaw_image *out) {
  char path[512];
  snprintf(path, sizeof path, "%s/golden/%s", THAW_TEST_DATA, name);
  return thaw_image_read(path, out);
}

/* Largest difference of two images of one shape; -1: shapes differ. */
static int compare(thaw_h5 *file, const char *name, const thaw_image *image) {
  char dataset[256];
  thaw_h5_info info;
  snprintf(dataset, sizeof dataset, "/decoded/%s", name);
  if (thaw_h5_describe(file, dataset, &info) != THAW_OK) return -1;
  if (info.rank != 3 || info.dim[0] != image->h || info.dim[1] != image->w || info.dim[2] != image->c) return -1;
  if ((info.type == THAW_H5_U16 ? 16 : 8) != image->bits) return -1;
  uint16_t *expected = thaw_new((size_t)info.count, sizeof *expected);
  if (thaw_h5_read(file, dataset, THAW_H5_U16, info.count, expected) != THAW_OK) return -1;
  int worst = 0;
  for (int64_t i = 0; i < info.count; i++) {
    const int found = image->bits == 16 ? ((uint16_t *)image->pixels)[i] : ((uint8_t *)image->pixels)[i];
    const int difference = abs(found - expected[i]);
    worst = difference > worst ? difference : worst;
  }
  thaw_free(expected);
  return worst;
}

static void check_files(const char *const *name, size_t count) {
  thaw_h5 *file = NULL;
  assert_int_equal(thaw_h5_open(golden, &file), THAW_OK);
  for (size_t i = 0; i < count; i++) {
    thaw_image image;
    if (read_golden(name[i], &image) != THAW_OK) fail_msg("%s", thaw_message());
    const int worst = compare(file, name[i], &image);
    thaw_image_clear(&image);
    if (worst != 0) fail_msg("%s: largest difference %d", name[i], worst);
  }
  thaw_h5_close(file);
}

static void png_files_are_as_pil_and_tensorflow_read_them(void **state) {
  (void)state;
  static const char *const name[] = {
      "grey8.png",    "rgb8.png",  "rgba8.png",  "la8.png",  "palette8.png", "palette4.png", "palette2.png",
      "palette1.png", "grey1.png", "grey16.png", "la16.png", "rgb16.png",    "rgba16.png",   "palette_transparent.png"};
  check_files(name, sizeof name / sizeof *name);
}

static void jpeg_files_are_as_pil_reads_them(void **state) {
  (void)state;
  static const char *const name[] = {"grey.jpg",   "rgb444.jpg",      "rgb422.jpg",
                                     "rgb420.jpg", "progressive.jpg", "cmyk.jpg"};
  check_files(name, sizeof name / sizeof *name);
}

static void exif_orientation_is_undone(void **state) {
  (void)state;
  static const char *const name[] = {"exif1.jpg", "exif2.jpg", "exif3.jpg", "exif4.jpg",
                                     "exif5.jpg", "exif6.jpg", "exif7.jpg", "exif8.jpg"};
  check_files(name, sizeof name / sizeof *name);
}

/* ------------------------------------------------------------------ PNG forms that PIL cannot write */
typedef struct buffer {
  unsigned char data[1 << 16];
  size_t size;
} buffer;

static void put_bytes(png_structp png, png_bytep data, size_t size) {
  buffer *b = png_get_io_ptr(png);
  assert_true(b->size + size <= sizeof b->data);
  memcpy(b->data + b->size, data, size);
  b->size += size;
}

enum { SIDE = 11 };

/* Rows of samples packed as the format wants them. */
static void encode(int colour, int bits, int interlace, const png_color_16 *transparent, png_byte rows[SIDE][SIDE * 8],
                   buffer *out) {
  png_bytep row[SIDE];
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  out->size = 0;
  png_set_write_fn(png, out, put_bytes, NULL);
  png_set_IHDR(png, info, SIDE, SIDE, bits, colour, interlace, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (transparent) png_set_tRNS(png, info, NULL, 0, transparent);
  for (int y = 0; y < SIDE; y++) row[y] = rows[y];
  png_write_info(png, info);
  png_write_image(png, row);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
}

static int sample_at(int y, int x, int bits) {
  return (y * 7 + x * 3) % (1 << bits);
}

static void small_grey_depths_become_8_bits(void **state) {
  (void)state;
  static buffer file;
  for (int bits = 1; bits <= 4; bits *= 2)
    for (int interlace = 0; interlace < 2; interlace++) {
      png_byte rows[SIDE][SIDE * 8] = {{0}};
      thaw_image image;
      for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
          rows[y][x * bits / 8] |= (png_byte)(sample_at(y, x, bits) << (8 - bits - x * bits % 8));
      encode(PNG_COLOR_TYPE_GRAY, bits, interlace, NULL, rows, &file);
      assert_int_equal(thaw_image_decode("memory", file.data, file.size, &image), THAW_OK);
      assert_int_equal(image.c, 1);
      assert_int_equal(image.bits, 8);
      for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
          assert_int_equal(((uint8_t *)image.pixels)[y * SIDE + x], sample_at(y, x, bits) * 255 / ((1 << bits) - 1));
      thaw_image_clear(&image);
    }
}

static void interlaced_rgb_and_transparent_colours(void **state) {
  (void)state;
  static buffer file;
  png_byte rows[SIDE][SIDE * 8];
  thaw_image image;
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE * 3; x++) rows[y][x] = (png_byte)(y * 20 + x);
  const png_color_16 transparent = {.red = rows[2][6], .green = rows[2][7], .blue = rows[2][8]};
  encode(PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_ADAM7, &transparent, rows, &file);
  assert_int_equal(thaw_image_decode("memory", file.data, file.size, &image), THAW_OK);
  assert_int_equal(image.c, 3);
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE * 3; x++) {
      const bool hidden = memcmp(rows[y] + x / 3 * 3, rows[2] + 6, 3) == 0;
      assert_int_equal(((uint8_t *)image.pixels)[y * SIDE * 3 + x], hidden ? 0 : rows[y][x]);
    }
  assert_int_equal(((uint8_t *)image.pixels)[(2 * SIDE + 2) * 3], 0);
  thaw_image_clear(&image);
}

/* ------------------------------------------------------------------ broken files */
static void expect_failure(const char *name, const void *bytes, size_t size, const char *word) {
  thaw_image image;
  assert_int_equal(thaw_image_decode(name, bytes, size, &image), THAW_ERR_DATA);
  assert_null(image.pixels);
  if (!strstr(thaw_message(), word) || strncmp(thaw_message(), name, strlen(name)) != 0)
    fail_msg("message '%s' lacks '%s' or does not begin with '%s'", thaw_message(), word, name);
}

static char *load(const char *name, size_t *size) {
  char path[512], *bytes = NULL;
  snprintf(path, sizeof path, "%s/golden/%s", THAW_TEST_DATA, name);
  assert_int_equal(thaw_file_read(path, 1 << 20, &bytes, size), THAW_OK);
  return bytes;
}

static void every_truncation_is_an_error(void **state) {
  (void)state;
  static const char *const name[] = {"rgb8.png", "palette4.png", "rgb420.jpg", "progressive.jpg", "grey.jpg"};
  for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
    size_t size = 0;
    char *bytes = load(name[i], &size);
    const bool jpeg = strstr(name[i], ".jpg") != NULL;
    /* A JPEG without its end marker, the last two bytes, has lost no pixel but is still not whole. */
    for (size_t cut = 0; cut < size - (jpeg ? 1 : 0); cut++) {
      thaw_image image;
      char *part = thaw_new(cut, 1); /* its own block, so that a sanitizer sees every read beyond it */
      memcpy(part, bytes, cut);
      if (thaw_image_decode(name[i], part, cut, &image) == THAW_OK)
        fail_msg("%s cut to %zu bytes is read", name[i], cut);
      assert_null(image.pixels);
      thaw_free(part);
    }
    thaw_free(bytes);
  }
}

static void damaged_bytes_never_crash(void **state) {
  (void)state;
  static const char *const name[] = {
      "rgba8.png", "palette_transparent.png", "rgb420.jpg", "progressive.jpg", "cmyk.jpg", "exif6.jpg"};
  uint32_t random = 12345;
  for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
    size_t size = 0;
    char *bytes = load(name[i], &size);
    for (int round = 0; round < 400; round++) {
      thaw_image image;
      random = random * 1664525u + 1013904223u;
      const size_t at = random % size;
      const char before = bytes[at];
      bytes[at] = (char)(random >> 24);
      if (thaw_image_decode(name[i], bytes, size, &image) != THAW_OK) assert_null(image.pixels);
      thaw_image_clear(&image);
      bytes[at] = before;
    }
    thaw_free(bytes);
  }
}

static void what_is_no_image_is_told(void **state) {
  (void)state;
  thaw_image image;
  size_t size = 0;
  char *png = load("rgb8.png", &size);
  expect_failure("empty", "", 0, "empty");
  expect_failure("text", "hello, world", 12, "neither a PNG nor a JPEG");
  png[size / 2] ^= 0x40;
  expect_failure("flipped", png, size, "broken PNG");
  png[size / 2] ^= 0x40;
  expect_failure("short", png, size / 2, "ends too early");
  assert_int_equal(thaw_image_read(THAW_TEST_DATA, &image), THAW_ERR_DATA);
  assert_non_null(strstr(thaw_message(), "folder"));
  assert_int_equal(thaw_image_read(THAW_TEST_DATA "/no-such-file.png", &image), THAW_ERR_DATA);
  assert_non_null(strstr(thaw_message(), "no-such-file.png"));
  thaw_free(png);
}

/* IHDR with other sides and a right CRC. */
static void resize_header(unsigned char *png, uint32_t w, uint32_t h) {
  for (int i = 0; i < 4; i++) {
    png[16 + i] = (unsigned char)(w >> (24 - 8 * i));
    png[20 + i] = (unsigned char)(h >> (24 - 8 * i));
  }
  uint32_t crc = 0xffffffffu;
  for (int i = 12; i < 29; i++) {
    crc ^= png[i];
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  for (int i = 0; i < 4; i++) png[29 + i] = (unsigned char)(~crc >> (24 - 8 * i));
}

static void absurd_sizes_are_refused_before_they_are_allocated(void **state) {
  (void)state;
  size_t size = 0;
  unsigned char *png = (unsigned char *)load("rgb8.png", &size);
  resize_header(png, 60000, 6000);
  expect_failure("bomb.png", png, size, "cannot be in");
  resize_header(png, 65000, 65000);
  expect_failure("giant.png", png, size, "");
  resize_header(png, 70000, 1);
  expect_failure("wide.png", png, size, "broken PNG");
  resize_header(png, 0, 5);
  expect_failure("zero.png", png, size, "broken PNG");
  thaw_free(png);
}

/* ------------------------------------------------------------------ writing, channels */
static void written_png_is_read_back(void **state) {
  (void)state;
  char path[] = "/tmp/thaw-image-XXXXXX";
  assert_true(mkstemp(path) >= 0);
  for (int32_t c = 1; c <= 3; c += 2) {
    uint8_t pixels[7 * 5 * 3];
    thaw_image again;
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37);
    const thaw_image image = {.h = 7, .w = 5, .c = c, .bits = 8, .pixels = pixels};
    assert_int_equal(thaw_image_write_png(path, &image), THAW_OK);
    assert_int_equal(thaw_image_read(path, &again), THAW_OK);
    assert_int_equal(again.c, c);
    assert_memory_equal(again.pixels, pixels, (size_t)(7 * 5 * c));
    thaw_image_clear(&again);
  }
  remove(path);
  const thaw_image wrong = {.h = 1, .w = 1, .c = 2, .bits = 8, .pixels = path};
  assert_int_equal(thaw_image_write_png(path, &wrong), THAW_ERR_INTERNAL);
  uint8_t dot[1] = {9};
  const thaw_image small = {.h = 1, .w = 1, .c = 1, .bits = 8, .pixels = dot};
  assert_int_equal(thaw_image_write_png("/no/such/folder/x.png", &small), THAW_ERR_DISK);
}

static void luma_is_that_of_pil(void **state) {
  (void)state;
  thaw_h5 *file = NULL;
  uint8_t rgb[17 * 13 * 3], luma[17 * 13];
  thaw_image grey, back;
  assert_int_equal(thaw_h5_open(golden, &file), THAW_OK);
  assert_int_equal(thaw_h5_read(file, "/channels/rgb", THAW_H5_U8, sizeof rgb, rgb), THAW_OK);
  assert_int_equal(thaw_h5_read(file, "/channels/luma", THAW_H5_U8, sizeof luma, luma), THAW_OK);
  thaw_h5_close(file);
  const thaw_image image = {.h = 17, .w = 13, .c = 3, .bits = 8, .pixels = rgb};
  assert_int_equal(thaw_image_channels(&image, 1, &grey), THAW_OK);
  assert_memory_equal(grey.pixels, luma, sizeof luma);
  assert_int_equal(thaw_image_channels(&grey, 3, &back), THAW_OK);
  for (size_t i = 0; i < sizeof rgb; i++) assert_int_equal(((uint8_t *)back.pixels)[i], luma[i / 3]);
  thaw_image_clear(&back);
  thaw_image_clear(&grey);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(png_files_are_as_pil_and_tensorflow_read_them),
      cmocka_unit_test(jpeg_files_are_as_pil_reads_them),
      cmocka_unit_test(exif_orientation_is_undone),
      cmocka_unit_test(small_grey_depths_become_8_bits),
      cmocka_unit_test(interlaced_rgb_and_transparent_colours),
      cmocka_unit_test(every_truncation_is_an_error),
      cmocka_unit_test(damaged_bytes_never_crash),
      cmocka_unit_test(what_is_no_image_is_told),
      cmocka_unit_test(absurd_sizes_are_refused_before_they_are_allocated),
      cmocka_unit_test(written_png_is_read_back),
      cmocka_unit_test(luma_is_that_of_pil),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
