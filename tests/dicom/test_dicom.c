/* The test files of Debian's python3-pydicom against what pydicom and NumPy read from them (pydicom.txt). */
#include "thaw_test.h"

#include "thaw/dicom.h"
#include "thaw/digest.h"
#include "thaw/file.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <unistd.h>

static const char folder[] = "/usr/lib/python3/dist-packages/pydicom/data/test_files";

static thaw_status open_named(const char *name, thaw_dicom **out) {
  char *path = thaw_path_join(folder, name);
  assert_non_null(path);
  thaw_status status = thaw_dicom_open(path, out);
  thaw_free(path);
  return status;
}

typedef struct expected {
  char name[64], digest[80];
  int frames, h, w, c, bits, is_signed, inverted;
  double slope, intercept, mean;
} expected;

static void check_file(const expected *e) {
  thaw_dicom *dicom;
  thaw_status status = open_named(e->name, &dicom);
  if (status != THAW_OK) fail_msg("%s", thaw_message());
  const thaw_dicom_info *info = thaw_dicom_about(dicom);
  bool shape = info->frames == e->frames && info->h == e->h && info->w == e->w && info->c == e->c &&
               info->bits == e->bits && info->is_signed == (e->is_signed != 0) &&
               info->inverted == (e->inverted != 0) && info->slope == e->slope && info->intercept == e->intercept;
  if (!shape)
    fail_msg("%s: %d frames %dx%dx%d, %d bits, signed %d, slope %g, intercept %g", e->name, info->frames, info->h,
             info->w, info->c, info->bits, info->is_signed, info->slope, info->intercept);
  size_t frame = (size_t)info->h * (size_t)info->w * (size_t)info->c, count = frame * (size_t)info->frames;
  int32_t *value = thaw_new(count, sizeof *value);
  double sum = 0;
  for (int32_t f = 0; f < info->frames; f++) assert_thaw_ok(thaw_dicom_values(dicom, f, value + (size_t)f * frame));
  for (size_t i = 0; i < count; i++) sum += value[i];
  double mean = sum / (double)count;
  if (!(fabs(mean - e->mean) < 0.6 + 1e-6 * fabs(e->mean)))
    fail_msg("%s: mean %g, pydicom has %g", e->name, mean, e->mean);
  char digest[THAW_DIGEST_TEXT];
  assert_thaw_ok(thaw_digest_bytes(value, count * sizeof *value, digest));
  if (e->digest[0] != '-' && strcmp(digest, e->digest))
    fail_msg("%s: other values than pydicom reads (mean %g, %g)", e->name, mean, e->mean);
  thaw_free(value);
  thaw_dicom_close(dicom);
}

static void check_window(const char *name, double centre, double width, long index, double share) {
  thaw_dicom *dicom;
  thaw_image image;
  thaw_dicom_view view = {.windows = 1, .window = {{centre, width}}};
  assert_thaw_ok(open_named(name, &dicom));
  assert_thaw_ok(thaw_dicom_render(dicom, &view, 0, &image));
  assert_int_equal(image.bits, 16);
  double found = ((uint16_t *)image.pixels)[index] / 65535.0;
  if (!(fabs(found - share) <= 0.51 / 65535))
    fail_msg("%s %g/%g [%ld]: %.6f, pydicom has %.6f", name, centre, width, index, found, share);
  thaw_image_clear(&image);
  thaw_dicom_close(dicom);
}

static void pydicom_agrees(void **state) {
  (void)state;
  FILE *file = fopen(THAW_TEST_DATA "/pydicom.txt", "r");
  char line[512];
  int files = 0, windows = 0;
  assert_non_null(file);
  while (fgets(line, sizeof line, file)) {
    expected e;
    double centre, width, share;
    long index;
    if (sscanf(line, "window %63s %lf %lf %ld %lf", e.name, &centre, &width, &index, &share) == 5) {
      check_window(e.name, centre, width, index, share);
      windows++;
    } else if (sscanf(line, "%63s %d %d %d %d %d %d %d %lf %lf %79s %lf", e.name, &e.frames, &e.h, &e.w, &e.c, &e.bits,
                      &e.is_signed, &e.inverted, &e.slope, &e.intercept, e.digest, &e.mean) == 12) {
      check_file(&e);
      files++;
    }
  }
  fclose(file);
  assert_true(files >= 30 && windows >= 60);
}

static void texts_and_views(void **state) {
  (void)state;
  thaw_dicom *dicom;
  char *text;
  thaw_dicom_view view;
  assert_thaw_ok(open_named("CT_small.dcm", &dicom));
  assert_thaw_ok(thaw_dicom_text(dicom, "PatientID", &text));
  assert_string_equal(text, "1CT1");
  thaw_free(text);
  assert_thaw_fails(thaw_dicom_text(dicom, "PatientSecks", &text), THAW_ERR_USAGE,
                    "'PatientSecks' is no DICOM keyword");
  thaw_image three, lung, full;
  assert_thaw_ok(thaw_dicom_view_parse("lung,40/400,bone", &view));
  assert_thaw_ok(thaw_dicom_render(dicom, &view, 0, &three));
  assert_thaw_ok(thaw_dicom_view_parse("lung", &view));
  assert_thaw_ok(thaw_dicom_render(dicom, &view, 0, &lung));
  assert_int_equal(three.c, 3);
  const uint16_t *a = three.pixels, *b = lung.pixels;
  for (int i = 0; i < 128 * 128; i++) assert_int_equal(a[3 * i], b[i]);
  assert_thaw_ok(thaw_dicom_view_parse("full", &view));
  assert_thaw_ok(thaw_dicom_render(dicom, &view, 0, &full));
  int32_t stored[128 * 128];
  assert_thaw_ok(thaw_dicom_values(dicom, 0, stored));
  for (int i = 0; i < 128 * 128; i++)
    assert_int_equal(((uint16_t *)full.pixels)[i], stored[i] + 32768); /* 16 bits stay */
  thaw_image_clear(&lung);
  assert_thaw_fails(thaw_dicom_render(dicom, &view, 1, &lung), THAW_ERR_DATA, "frame 1 of 1");
  thaw_image_clear(&three), thaw_image_clear(&full);
  thaw_dicom_close(dicom);
  assert_thaw_fails(thaw_dicom_view_parse("long", &view), THAW_ERR_USAGE, "window 'long': expected full, file");
  assert_thaw_fails(thaw_dicom_view_parse("lung,bone", &view), THAW_ERR_USAGE, "one or three windows, not two");
  assert_thaw_fails(thaw_dicom_view_parse("40/0", &view), THAW_ERR_USAGE, "window '40/0'");
}

static void what_cannot_be_an_image_is_named(void **state) {
  (void)state;
  static const char *const row[][2] = {{"rtplan.dcm", "has no PixelData"},
                                       {"rtdose.dcm", "32 bits allocated"},
                                       {"SC_rgb_jpeg.dcm", "premature end of stream"},
                                       {"no-such-file.dcm", "no readable DICOM file"}};
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    thaw_dicom *dicom = NULL;
    assert_thaw_fails(open_named(row[i][0], &dicom), THAW_ERR_DATA, row[i][1]);
  }
}

/* Every file cut short and with bytes changed: an error or an image, never a crash. */
static void damage_is_survived(void **state) {
  (void)state;
  static const char *const names[] = {"CT_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm",
                                      "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_dcmtk.dcm"};
  char path[] = "/tmp/thaw-dicom-XXXXXX";
  int handle = mkstemp(path);
  assert_true(handle >= 0);
  close(handle);
  for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
    char *source = thaw_path_join(folder, names[n]), *bytes;
    size_t size;
    assert_thaw_ok(thaw_file_read(source, 1 << 24, &bytes, &size));
    for (uint32_t k = 0, random = 7; k < 60; k++) {
      random = random * 1664525u + 1013904223u;
      size_t at = 132 + (random >> 4) % (size - 132), length = k % 2 ? size : at;
      char old = bytes[at];
      bytes[at] = (char)(random >> 24);
      FILE *file = fopen(path, "wb");
      assert_non_null(file);
      assert_int_equal(fwrite(bytes, 1, length, file), length);
      fclose(file);
      bytes[at] = old;
      thaw_dicom *dicom;
      if (thaw_dicom_open(path, &dicom) != THAW_OK) continue;
      thaw_image image;
      thaw_dicom_view view = {.windows = 0};
      const thaw_dicom_info *info = thaw_dicom_about(dicom);
      if ((int64_t)info->h * info->w < 1 << 24 && thaw_dicom_render(dicom, &view, 0, &image) == THAW_OK)
        thaw_image_clear(&image);
      thaw_dicom_close(dicom);
    }
    thaw_free(bytes);
    thaw_free(source);
  }
  unlink(path);
}

int main(void) {
  if (!thaw_dicom_available() || !thaw_folder_exists(folder)) {
    printf("skipped: %s\n",
           thaw_dicom_available() ? "python3-pydicom's files are not installed" : "built without DCMTK");
    return 77;
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(pydicom_agrees), cmocka_unit_test(texts_and_views),
                                     cmocka_unit_test(what_cannot_be_an_image_is_named),
                                     cmocka_unit_test(damage_is_survived)};
  return cmocka_run_group_tests_name("dicom", tests, NULL, NULL);
}
