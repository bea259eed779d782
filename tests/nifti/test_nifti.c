/* NIfTI volumes against nibabel's (slices.txt, make_nifti.py), and files that are broken. */
#include "thaw/file.h"
#include "thaw/memory.h"
#include "thaw/nifti.h"
#include "thaw_test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static const char folder[] = THAW_TEST_DATA "/golden";

static thaw_status open_named(const char *name, thaw_nifti **out) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return thaw_nifti_open(path, false, out);
}

typedef struct expected {
  char name[64];
  int axis, frame, h, w, y, x;
  double value;
} expected;

static double pixel_of(const thaw_image *image, int y, int x) {
  const int at = (y * image->w + x) * image->c;
  return image->bits == 8 ? ((uint8_t *)image->pixels)[at] : ((uint16_t *)image->pixels)[at];
}

/* A window that has the expected value at a third of its width: another voxel would be elsewhere. */
static void check_window(const thaw_nifti *nifti, const expected *e) {
  thaw_image image;
  const thaw_dicom_view view = {.windows = 1, .window = {{e->value + 7, 41}}};
  assert_thaw_ok(thaw_nifti_render(nifti, &view, (thaw_axis)e->axis, e->frame, &image));
  if (image.h != e->h || image.w != e->w)
    fail_msg("%s: %d x %d, nibabel %d x %d", e->name, image.h, image.w, e->h, e->w);
  const double found = pixel_of(&image, e->y, e->x) / 65535, share = (e->value - (e->value + 7 - 0.5)) / 40 + 0.5;
  if (!(fabs(found - share) < 1e-4))
    fail_msg("%s axis %d frame %d [%d][%d]: %g, expected %g of the window around nibabel's %g", e->name, e->axis,
             e->frame, e->y, e->x, found, share, e->value);
  thaw_image_clear(&image);
}

/* In full the stored bits are kept. */
static void check_full(const thaw_nifti *nifti, const expected *e) {
  const thaw_nifti_info *info = thaw_nifti_about(nifti);
  const thaw_dicom_view view = {0};
  thaw_image image;
  assert_thaw_ok(thaw_nifti_render(nifti, &view, (thaw_axis)e->axis, e->frame, &image));
  const double stored = (e->value - info->intercept) / info->slope, found = pixel_of(&image, e->y, e->x);
  if (info->datatype == 2 || info->datatype == 512) assert_true(found == stored);
  if (info->datatype == 4) assert_true(found == stored + 32768);
  if (info->datatype == 256) assert_true(found == (stored + 128) * 257);
  assert_int_equal(image.bits, info->datatype == 2 ? 8 : 16);
  thaw_image_clear(&image);
}

static void slices_are_those_of_nibabel(void **state) {
  (void)state;
  FILE *file = fopen(THAW_TEST_DATA "/slices.txt", "r");
  expected e;
  int lines = 0;
  assert_non_null(file);
  while (fscanf(file, "%63s %d %d %d %d %d %d %lf", e.name, &e.axis, &e.frame, &e.h, &e.w, &e.y, &e.x, &e.value) == 8) {
    thaw_nifti *nifti;
    assert_thaw_ok(open_named(e.name, &nifti));
    check_window(nifti, &e);
    check_full(nifti, &e);
    thaw_nifti_close(nifti);
    lines++;
  }
  fclose(file);
  assert_int_equal(lines, 522);
}

static void views_are_made_of_slices(void **state) {
  (void)state;
  thaw_nifti *nifti;
  thaw_dicom_view view;
  thaw_image stack, one, end;
  assert_thaw_ok(open_named("series.nii.gz", &nifti));
  assert_int_equal(thaw_nifti_frames(nifti, THAW_AXIAL), 4 * 3);
  assert_int_equal(thaw_nifti_frames(nifti, THAW_SAGITTAL), 6 * 3);
  /* Frame 4 is the first slice of the second volume: its neighbour before is itself. */
  assert_thaw_ok(thaw_dicom_view_parse("full", &view));
  assert_thaw_ok(thaw_nifti_render(nifti, &view, THAW_AXIAL, 4, &one));
  assert_thaw_ok(thaw_nifti_render(nifti, &view, THAW_AXIAL, 5, &end));
  view.stack = true;
  assert_thaw_ok(thaw_nifti_render(nifti, &view, THAW_AXIAL, 4, &stack));
  assert_int_equal(stack.c, 3);
  for (int i = 0; i < stack.h * stack.w; i++) {
    const uint16_t *p = (uint16_t *)stack.pixels + 3 * i;
    assert_int_equal(p[0], ((uint16_t *)one.pixels)[i]);
    assert_int_equal(p[1], ((uint16_t *)one.pixels)[i]);
    assert_int_equal(p[2], ((uint16_t *)end.pixels)[i]);
  }
  thaw_image_clear(&stack), thaw_image_clear(&one), thaw_image_clear(&end);
  assert_thaw_fails(thaw_nifti_render(nifti, &view, THAW_AXIAL, 12, &one), THAW_ERR_DATA, "slice 12 of 12");
  assert_thaw_ok(thaw_dicom_view_parse("lung,brain,bone", &view));
  view.stack = true;
  assert_thaw_fails(thaw_nifti_render(nifti, &view, THAW_AXIAL, 1, &one), THAW_ERR_USAGE, "both want");
  view.stack = false;
  assert_thaw_ok(thaw_nifti_render(nifti, &view, THAW_CORONAL, 1, &one));
  assert_int_equal(one.c, 3);
  thaw_image_clear(&one);
  /* The whole range of the file is used. */
  uint16_t least = 65535, most = 0;
  assert_thaw_ok(thaw_dicom_view_parse("volume", &view));
  for (int f = 0; f < 12; f++) {
    assert_thaw_ok(thaw_nifti_render(nifti, &view, THAW_AXIAL, f, &one));
    for (int i = 0; i < one.h * one.w; i++) {
      const uint16_t p = ((uint16_t *)one.pixels)[i];
      least = p < least ? p : least, most = p > most ? p : most;
    }
    thaw_image_clear(&one);
  }
  assert_int_equal(least, 0);
  assert_int_equal(most, 65535);
  thaw_nifti_close(nifti);
}

static void names_are_told_apart(void **state) {
  (void)state;
  assert_true(thaw_nifti_recognize("a/b.nii") && thaw_nifti_recognize("b.NII.GZ"));
  assert_false(thaw_nifti_recognize(".nii") || thaw_nifti_recognize("b.gz") || thaw_nifti_recognize("b.nii.png"));
}

/* ------------------------------------------------------------------ broken files */
static char scratch[] = "/tmp/thaw-nifti-XXXXXX";

static void write_scratch(const char *bytes, size_t size) {
  FILE *file = fopen(scratch, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  fclose(file);
}

/* int16.nii with some bytes replaced. */
static void fails_with(size_t at, const void *bytes, size_t count, const char *message) {
  char *path = thaw_path_join(folder, "int16.nii"), *data;
  size_t size;
  thaw_nifti *nifti = NULL;
  assert_thaw_ok(thaw_file_read(path, 1 << 20, &data, &size));
  memcpy(data + at, bytes, count);
  write_scratch(data, size);
  assert_thaw_fails(thaw_nifti_open(scratch, false, &nifti), THAW_ERR_DATA, message);
  thaw_free(data);
  thaw_free(path);
}

static void what_is_wrong_is_named(void **state) {
  (void)state;
  const int16_t huge[] = {32767, 32767, 32767}, negative = -5, rank = 9, zero = 0, fifth[] = {5, 6, 5, 4, 1, 2};
  const int16_t complex_type = 32;
  const float far = 1e12f, before = 8, endless = INFINITY, one = 1;
  const int32_t header_size = 347;
  fails_with(344, "n+3", 4, "not NIfTI: the magic is not n+1 or n+2");
  fails_with(344, "ni1", 4, "the voxels are in another file (.img)");
  fails_with(0, &header_size, 4, "not NIfTI: the header's size is not 348 or 540");
  fails_with(42, huge, 6, "more than 16 GB");
  fails_with(42, huge, 2, "the header tells"); /* 32767 x 5 x 4 */
  fails_with(42, &negative, 2, "dim[1] is -5: 1 to 65500");
  fails_with(46, &zero, 2, "dim[3] is 0");
  fails_with(40, &rank, 2, "dim[0] is 9: 2 to 7 dimensions");
  fails_with(40, fifth, 12, "dim[5] is 2: 1 to 1");
  fails_with(70, &complex_type, 2, "datatype 32");
  fails_with(108, &far, 4, "vox_offset is 1e+12");
  fails_with(108, &before, 4, "vox_offset is 8");
  fails_with(112, (float[]){one, endless}, 8, "scl_inter is inf");
  thaw_nifti *nifti;
  write_scratch("short", 5);
  assert_thaw_fails(thaw_nifti_open(scratch, false, &nifti), THAW_ERR_DATA, "not NIfTI: shorter than a header");
  assert_thaw_fails(thaw_nifti_open("/tmp", false, &nifti), THAW_ERR_DATA, "/tmp: is a folder");
  assert_thaw_fails(open_named("no-such.nii", &nifti), THAW_ERR_DATA, "No such file");
}

/* Cut anywhere and with bytes changed: an error or a picture, never a crash. */
static void damage_is_survived(void **state) {
  (void)state;
  static const char *const names[] = {"int16.nii", "turned3.nii.gz", "second.nii.gz", "quaternion1.nii",
                                      "series.nii.gz"};
  uint32_t random = 3;
  for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
    char *path = thaw_path_join(folder, names[n]), *bytes;
    size_t size;
    int cut = 0;
    assert_thaw_ok(thaw_file_read(path, 1 << 20, &bytes, &size));
    for (size_t k = 0; k < 400; k++) {
      random = random * 1664525u + 1013904223u;
      const size_t at = (random >> 8) % size, length = k % 2 ? size : at;
      const char old = bytes[at];
      if (k % 2) bytes[at] = (char)(random >> 24);
      write_scratch(bytes, length);
      bytes[at] = old;
      thaw_nifti *nifti;
      const thaw_dicom_view view = {.stack = true};
      thaw_image image;
      if (thaw_nifti_open(scratch, false, &nifti) != THAW_OK) {
        cut += k % 2 == 0;
        continue;
      }
      if (thaw_nifti_render(nifti, &view, (thaw_axis)(k % 3), 0, &image) == THAW_OK) thaw_image_clear(&image);
      thaw_nifti_close(nifti);
    }
    assert_int_equal(cut, 200);
    thaw_free(bytes);
    thaw_free(path);
  }
}

int main(void) {
  const int handle = mkstemp(scratch);
  if (handle < 0) return 1;
  close(handle);
  const struct CMUnitTest tests[] = {cmocka_unit_test(slices_are_those_of_nibabel),
                                     cmocka_unit_test(views_are_made_of_slices), cmocka_unit_test(names_are_told_apart),
                                     cmocka_unit_test(what_is_wrong_is_named), cmocka_unit_test(damage_is_survived)};
  const int failed = cmocka_run_group_tests_name("nifti", tests, NULL, NULL);
  unlink(scratch);
  return failed;
}
