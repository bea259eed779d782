/* CSV, IDX, .npy and .npz: what is right is read, what is wrong is named. */
#include "import/import_private.h"
#include "thaw/file.h"
#include "thaw_test.h"

#include <stdlib.h>
#include <unistd.h>
#include <zip.h>
#include <zlib.h>

static char folder[64];

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/thaw-import-XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

static const char *in_folder(const char *name) {
  static char path[4][256];
  static int next;
  next = (next + 1) % 4;
  snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
  return path[next];
}

/* ------------------------------------------------------------------ CSV */
static thaw_status parse(const char *text, const thaw_import_options *options, import_source *out) {
  thaw_import_options usual;
  thaw_import_defaults(&usual);
  *out = (import_source){.arena = thaw_arena_create()};
  return thaw_import__parse_csv("list.csv", text, strlen(text), "images", options ? options : &usual, out);
}

static void csv_quotes_and_line_ends(void **state) {
  (void)state;
  import_source source;
  assert_thaw_ok(parse("\xef\xbb\xbfgroup,path,note,label\r\np1,a.png,x,dog\r\n\"p,2\",\"b "
                       "\"\"1\"\".png\",\"two\nlines\",cat\n\n,/abs/c.png,,dog",
                       NULL, &source));
  assert_int_equal(source.count, 3);
  assert_string_equal(source.id[1], "b \"1\".png");
  assert_string_equal(source.path[0], "images/a.png");
  assert_string_equal(source.path[2], "/abs/c.png");
  assert_string_equal(source.group[1], "p,2");
  assert_string_equal(source.group[2], "");
  assert_int_equal(source.classes.count, 2);
  assert_string_equal(source.classes.item[0], "cat");
  assert_int_equal(source.class_index[0], 1);
  assert_int_equal(source.class_index[1], 0);
  thaw_import__close(&source);
}

static void csv_numbers_are_sorted_by_value(void **state) {
  (void)state;
  import_source source;
  assert_thaw_ok(parse("path,label\na,10\nb,9\nc,-1\nd,10\n", NULL, &source));
  assert_int_equal(source.classes.count, 3);
  assert_string_equal(source.classes.item[0], "-1");
  assert_string_equal(source.classes.item[2], "10");
  assert_int_equal(source.class_index[3], 2);
  assert_null(source.group);
  thaw_import__close(&source);
}

static void csv_ranges_keep_the_classes(void **state) {
  (void)state;
  import_source source;
  thaw_import_options options;
  thaw_import_defaults(&options);
  options.first = 2;
  options.limit = 1;
  assert_thaw_ok(parse("path,label\na,x\nb,y\nc,z\nd,x\n", &options, &source));
  assert_int_equal(source.count, 1);
  assert_int_equal(source.classes.count, 3);
  assert_string_equal(source.id[0], "c");
  assert_int_equal(source.class_index[0], 2);
  thaw_import__close(&source);
}

static void csv_many_labels_and_targets(void **state) {
  (void)state;
  import_source source;
  thaw_import_options options;
  thaw_import_defaults(&options);
  options.multi_label = true;
  options.path_column = "Image Index";
  options.label_column = "Finding Labels";
  options.group_column = "Patient ID";
  assert_thaw_ok(parse("Image Index,Finding Labels,Patient ID\n1.png,Edema|Mass,7\n2.png,No Finding,7\n3.png,Mass,8\n",
                       &options, &source));
  assert_int_equal(source.label_kind, THAW_LABEL_MULTI);
  assert_int_equal(source.label_width, 2);
  assert_string_equal(source.classes.item[0], "Edema");
  assert_memory_equal(source.multi, ((uint8_t[]){1, 1, 0, 0, 0, 1}), 6);
  assert_string_equal(source.group[2], "8");
  thaw_import__close(&source);
  thaw_import_defaults(&options);
  options.regression = true;
  assert_thaw_ok(parse("path,label\na,1.5\nb,-2e3\n", &options, &source));
  assert_int_equal(source.label_kind, THAW_LABEL_TARGET);
  assert_true(source.target[0] == 1.5f && source.target[1] == -2000);
  thaw_import__close(&source);
}

/* CheXpert's list: a column per label, 1, 0, -1 (uncertain) or nothing; the patient is a folder of the path. */
static void csv_a_column_per_label(void **state) {
  (void)state;
  const char *text = "Path,Sex,Edema,Mass\nset/train/patient1/a.jpg,Male,1.0,-1.0\nset/train/patient1/b.jpg,,0.0,\n"
                     "set/train/patient2/a.jpg,\"Fe,male\",,1\n";
  import_source source;
  thaw_import_options options;
  thaw_import_defaults(&options);
  options.path_column = "Path";
  options.label_columns = "Edema,Mass";
  options.attributes = "Sex";
  assert_thaw_ok(parse(text, &options, &source));
  assert_int_equal(source.label_kind, THAW_LABEL_MULTI);
  assert_string_equal(source.classes.item[1], "Mass");
  assert_memory_equal(source.multi, ((uint8_t[]){1, 255, 0, 0, 0, 1}), 6);
  assert_string_equal(source.attribute_names.item[0], "Sex");
  assert_string_equal(source.attribute[2][0], "Fe,male");
  thaw_import__close(&source);
  options.blank_unknown = true;
  assert_thaw_ok(parse(text, &options, &source));
  assert_memory_equal(source.multi, ((uint8_t[]){1, 255, 0, 255, 255, 1}), 6);
  thaw_import__close(&source);
  options.label_columns = "Edema,Mas";
  assert_thaw_fails(parse(text, &options, &source), THAW_ERR_DATA,
                    "no column 'Mas' in the header (did you mean 'Mass'?)");
  thaw_import__close(&source);
  options.label_columns = "Edema,Sex";
  assert_thaw_fails(parse(text, &options, &source), THAW_ERR_DATA, "list.csv:2: 'Male' in column 'Sex' is none of 1");
  thaw_import__close(&source);
}

static void expect_csv(const char *text, bool regression, const char *part) {
  import_source source;
  thaw_import_options options;
  thaw_import_defaults(&options);
  options.regression = regression;
  assert_thaw_fails(parse(text, &options, &source), THAW_ERR_DATA, part);
  assert_int_equal(strncmp(thaw_message(), "list.csv", 8), 0);
  thaw_import__close(&source);
}

static void csv_errors_name_the_line(void **state) {
  (void)state;
  expect_csv("", false, "empty");
  expect_csv("path,label\n", false, "no rows");
  expect_csv("file,label\na,b\n", false, "list.csv:1: no column 'path'");
  expect_csv("pathh,label\na,b\n", false, "did you mean 'pathh'?");
  expect_csv("path,label\na,b\n\nc\n", false, "list.csv:4: 1 fields, the header has 2");
  expect_csv("path,label\na,\"b\n", false, "list.csv:2: a quoted field is never closed");
  expect_csv("path,label\n\"a\"x,b\n", false, "list.csv:2: text after a closing quote");
  expect_csv("path,label\na,x\n,y\n", false, "list.csv:3: the path is empty");
  expect_csv("path,label\na,x\nb,\n", false, "list.csv:3: the label is empty");
  expect_csv("path,label\na,x\nb,y\na,z\n", false, "'a' is listed twice");
  expect_csv("path,label\na,1\nb,one\n", true, "list.csv:3: label 'one' is no number");
  expect_csv("path\na\n", true, "no column 'label'");
}

/* ------------------------------------------------------------------ IDX */
static import_block block_of(const void *data, size_t size) {
  unsigned char *copy = thaw_new(size, 1);
  if (size) memcpy(copy, data, size);
  return (import_block){.data = copy, .size = size, .owned = copy};
}

static void idx_is_parsed(void **state) {
  (void)state;
  const unsigned char bytes[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};
  import_block block = block_of(bytes, sizeof bytes);
  import_array array;
  assert_thaw_ok(thaw_idx__parse("x", &block, &array));
  assert_int_equal(array.rank, 3);
  assert_int_equal(array.dim[2], 3);
  assert_int_equal(array.data[5], 6);
  thaw_import__release(&array.block);
}

static void expect_idx(const unsigned char *bytes, size_t size, const char *part) {
  import_block block = block_of(bytes, size);
  import_array array;
  assert_thaw_fails(thaw_idx__parse("file.idx", &block, &array), THAW_ERR_DATA, part);
  thaw_import__release(&array.block);
}

static void idx_errors(void **state) {
  (void)state;
  const unsigned char bytes[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 2};
  const unsigned char type[] = {0, 0, 7, 1, 0, 0, 0, 1, 1},
                      huge[] = {0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255};
  for (size_t size = 0; size < 8; size++) expect_idx(bytes, size, "not an IDX file");
  expect_idx(bytes, 9, "holds 1 bytes after the header, its sizes ask for 2");
  expect_idx(type, sizeof type, "type 0x07");
  expect_idx(huge, sizeof huge, "impossible size");
  expect_idx((const unsigned char *)"PNG is none", 11, "not an IDX file");
}

static void gzip_is_inflated_and_checked(void **state) {
  (void)state;
  import_block block;
  unsigned char data[5000];
  char *bytes = NULL;
  size_t size = 0;
  for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * i >> 3);
  gzFile file = gzopen(in_folder("data.gz"), "wb");
  assert_int_equal(gzwrite(file, data, sizeof data), sizeof data);
  gzclose(file);
  assert_thaw_ok(thaw_import__inflate(in_folder("data.gz"), &block));
  assert_int_equal(block.size, sizeof data);
  assert_memory_equal(block.data, data, sizeof data);
  thaw_import__release(&block);
  assert_thaw_ok(thaw_file_read(in_folder("data.gz"), 1 << 20, &bytes, &size));
  assert_thaw_ok(thaw_file_write(in_folder("cut.gz"), bytes, size / 2));
  assert_thaw_fails(thaw_import__inflate(in_folder("cut.gz"), &block), THAW_ERR_DATA, "cut.gz");
  bytes[size / 2] ^= 1;
  assert_thaw_ok(thaw_file_write(in_folder("bad.gz"), bytes, size));
  assert_thaw_fails(thaw_import__inflate(in_folder("bad.gz"), &block), THAW_ERR_DATA, "bad.gz");
  assert_thaw_ok(thaw_file_write(in_folder("plain"), data, sizeof data));
  assert_thaw_ok(thaw_import__inflate(in_folder("plain"), &block));
  assert_memory_equal(block.data, data, sizeof data);
  thaw_import__release(&block);
  thaw_free(bytes);
}

/* ------------------------------------------------------------------ NumPy */
static size_t make_npy(unsigned char *out, int version, const char *header, const void *data, size_t size) {
  const size_t length = strlen(header), start = version == 1 ? 10 : 12;
  memcpy(out, "\x93NUMPY", 6);
  out[6] = (unsigned char)version;
  out[7] = 0;
  for (size_t i = 8; i < start; i++) out[i] = (unsigned char)(length >> 8 * (i - 8));
  memcpy(out + start, header, length);
  memcpy(out + start + length, data, size);
  return start + length + size;
}

static void npy_versions_and_types(void **state) {
  (void)state;
  unsigned char bytes[512];
  const unsigned char data[24] = {1, 2, 3};
  for (int version = 1; version <= 3; version++) {
    const size_t size =
        make_npy(bytes, version, "{'descr': '>u2', 'fortran_order': False, 'shape': (2, 3, 2), }   \n", data, 24);
    import_block block = block_of(bytes, size);
    import_array array;
    assert_thaw_ok(thaw_npy__parse("x.npy", &block, &array));
    assert_int_equal(array.rank, 3);
    assert_int_equal(array.dim[1], 3);
    assert_int_equal(array.kind, 'u');
    assert_int_equal(array.size, 2);
    assert_true(array.big_endian);
    assert_int_equal(array.data[2], 3);
    thaw_import__release(&array.block);
  }
}

static void expect_npy(const char *header, size_t size, const char *part) {
  unsigned char bytes[512];
  const unsigned char data[64] = {0};
  import_block block = block_of(bytes, make_npy(bytes, 1, header, data, size));
  import_array array;
  assert_thaw_fails(thaw_npy__parse("x.npy", &block, &array), THAW_ERR_DATA, part);
  thaw_import__release(&array.block);
}

static void npy_errors(void **state) {
  (void)state;
  expect_npy("{'descr': '|u1', 'fortran_order': True, 'shape': (4,), }", 4, "Fortran order");
  expect_npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", 5,
             "holds 5 bytes after the header, its shape asks for 4");
  expect_npy("{'descr': '<c8', 'fortran_order': False, 'shape': (4,), }", 32, "'<c8'");
  expect_npy("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (4,), }", 16, "no simple type");
  expect_npy("{'descr': '|O', 'fortran_order': False, 'shape': (4,), }", 32, "arrays of type");
  expect_npy("{'descr': '|u1', 'fortran_order': False, 'shape': (), }", 1, "a single number");
  expect_npy("{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999999999999,), }", 1, "impossible size");
  expect_npy("{'descr': '|u1', 'fortran_order': False, 'shape': (x,), }", 1, "shape is broken");
  expect_npy("{'descr': '|u1', 'shape': (1,), }", 1, "order");
  expect_npy("", 0, "no simple type");
  unsigned char bytes[512];
  size_t size = make_npy(bytes, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }", "abc", 3);
  for (size_t cut = 0; cut < size; cut++) {
    import_block block = block_of(bytes, cut);
    import_array array;
    if (thaw_npy__parse("cut.npy", &block, &array) != THAW_ERR_DATA) fail_msg("cut to %zu bytes", cut);
    thaw_import__release(&array.block);
  }
}

static void add_member(zip_t *zip, const char *name, const char *header, const void *data, size_t size, int method) {
  unsigned char *bytes = malloc(4096);
  zip_source_t *source = zip_source_buffer(zip, bytes, make_npy(bytes, 1, header, data, size), 1);
  const zip_int64_t at = zip_file_add(zip, name, source, 0);
  assert_true(at >= 0);
  zip_set_file_compression(zip, (zip_uint64_t)at, method, 0);
}

static void npz_members(void **state) {
  (void)state;
  static const char *const usual[] = {"images", "x", NULL};
  int code = 0;
  char *bytes = NULL;
  size_t size = 0;
  import_array array;
  zip_t *zip = zip_open(in_folder("d.npz"), ZIP_CREATE, &code);
  add_member(zip, "x.npy", "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }", "\1\2\3\4", 4,
             ZIP_CM_DEFLATE);
  add_member(zip, "other.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }", "\7\0\0\0\0\0\0\0", 8,
             ZIP_CM_STORE);
  assert_int_equal(zip_close(zip), 0);
  assert_thaw_ok(thaw_npz__read(in_folder("d.npz"), NULL, usual, &array));
  assert_memory_equal(array.data, "\1\2\3\4", 4);
  thaw_import__release(&array.block);
  assert_thaw_ok(thaw_npz__read(in_folder("d.npz"), "other", usual, &array));
  assert_int_equal(array.size, 8);
  assert_int_equal(array.data[0], 7);
  thaw_import__release(&array.block);
  assert_thaw_fails(thaw_npz__read(in_folder("d.npz"), "y", usual, &array), THAW_ERR_DATA,
                    "no array 'y'; it holds: x.npy, other.npy");
  assert_thaw_ok(thaw_file_read(in_folder("d.npz"), 1 << 20, &bytes, &size));
  char *at = memmem(bytes, size, "\7\0\0\0\0\0\0\0", 8);
  at[0] = 8;
  assert_thaw_ok(thaw_file_write(in_folder("crc.npz"), bytes, size));
  assert_thaw_fails(thaw_npz__read(in_folder("crc.npz"), "other", usual, &array), THAW_ERR_DATA, "damaged");
  assert_thaw_ok(thaw_file_write(in_folder("cut.npz"), bytes, size / 2));
  assert_thaw_fails(thaw_npz__read(in_folder("cut.npz"), NULL, usual, &array), THAW_ERR_DATA, "cut.npz");
  thaw_free(bytes);
}

/* ------------------------------------------------------------------ arrays as a source */
static void write_npy(const char *name, const char *header, const void *data, size_t size) {
  unsigned char bytes[1024];
  assert_thaw_ok(thaw_file_write(in_folder(name), bytes, make_npy(bytes, 1, header, data, size)));
}

static thaw_status open_arrays(const char *images, const char *labels, thaw_import_options *options,
                               import_source *out) {
  static char image_path[256], label_path[256];
  snprintf(image_path, sizeof image_path, "%s/%s", folder, images);
  snprintf(label_path, sizeof label_path, "%s/%s", folder, labels ? labels : "");
  options->source = image_path;
  options->labels = labels ? label_path : NULL;
  *out = (import_source){.arena = thaw_arena_create(), .name = image_path};
  return thaw_import__open_arrays(options, out);
}

static void arrays_as_a_source(void **state) {
  (void)state;
  thaw_import_options options;
  import_source source;
  thaw_image image;
  thaw_import_defaults(&options);
  const uint16_t pixels[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 65535};
  const int64_t labels[3] = {2, 0, 1};
  write_npy("x.npy", "{'descr': '<u2', 'fortran_order': False, 'shape': (3, 2, 2), }", pixels, sizeof pixels);
  write_npy("y.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 1), }", labels, sizeof labels);
  options.first = 1;
  assert_thaw_ok(open_arrays("x.npy", "y.npy", &options, &source));
  assert_int_equal(source.count, 2);
  assert_string_equal(source.id[0], "x.npy:1");
  assert_int_equal(source.class_index[0], 0);
  assert_int_equal(source.class_index[1], 1);
  assert_thaw_ok(thaw_import__image(&source, 1, &image));
  assert_int_equal(image.bits, 16);
  assert_memory_equal(image.pixels, pixels + 8, 8);
  thaw_image_clear(&image);
  thaw_import__close(&source);
}

static void arrays_that_do_not_fit(void **state) {
  (void)state;
  thaw_import_options options;
  import_source source;
  thaw_import_defaults(&options);
  const uint8_t pixels[64] = {0};
  const int32_t negative[2] = {0, -1};
  const float real[2] = {0.5f, 1};
  write_npy("i.npy", "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2), }", pixels, 8);
  write_npy("f.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 2), }", pixels, 32);
  write_npy("c.npy", "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2, 2), }", pixels, 16);
  write_npy("l.npy", "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }", pixels, 3);
  write_npy("n.npy", "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }", negative, 8);
  write_npy("r.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", real, 8);
  const struct {
    const char *images, *labels, *part;
  } bad[] = {{"f.npy", NULL, "floating-point"},
             {"c.npy", NULL, "another number of channels"},
             {"l.npy", NULL, "this has 1 dimensions"},
             {"i.npy", "l.npy", "3 labels for 2 images"},
             {"i.npy", "n.npy", "row 1: -1 is no class index"},
             {"i.npy", "r.npy", "class labels are integers"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_thaw_fails(open_arrays(bad[i].images, bad[i].labels, &options, &source), THAW_ERR_DATA, bad[i].part);
    thaw_import__close(&source);
  }
  options.first = 2;
  assert_thaw_fails(open_arrays("i.npy", NULL, &options, &source), THAW_ERR_USAGE, "leaves none");
  thaw_import__close(&source);
  options.first = 0;
  options.regression = true;
  assert_thaw_ok(open_arrays("i.npy", "r.npy", &options, &source));
  assert_true(source.target[0] == 0.5f);
  thaw_import__close(&source);
}

/* ------------------------------------------------------------------ what NumPy itself writes */
static void expect_golden(const char *name, int32_t c, bool labelled) {
  thaw_import_options options;
  char path[512];
  thaw_import_defaults(&options);
  snprintf(path, sizeof path, "%s/golden/%s", THAW_TEST_DATA, name);
  options.source = path;
  import_source source = {.arena = thaw_arena_create(), .name = path};
  assert_thaw_ok(thaw_import__open_arrays(&options, &source));
  assert_int_equal(source.count, 4);
  assert_int_equal(source.label_kind, labelled ? THAW_LABEL_CLASS : THAW_LABEL_NONE);
  if (labelled) assert_memory_equal(source.class_index, ((int32_t[]){3, 0, 1, 3}), 16);
  for (int64_t i = 0; i < 4; i++) {
    thaw_image image;
    assert_thaw_ok(thaw_import__image(&source, i, &image));
    assert_int_equal(image.c, c);
    for (int k = 0; k < 15 * c; k++)
      assert_int_equal(((uint16_t *)image.pixels)[k], (i * 45 + (c == 3 ? k : 3 * k)) * 11 % 65536);
    thaw_image_clear(&image);
  }
  thaw_import__close(&source);
}

static void files_of_numpy(void **state) {
  (void)state;
  expect_golden("numpy.npz", 3, true);
  expect_golden("images.npy", 3, false);
  expect_golden("version2.npy", 1, false);
  import_block block;
  import_array array;
  assert_thaw_ok(thaw_import__map(THAW_TEST_DATA "/golden/fortran.npy", &block));
  assert_thaw_fails(thaw_npy__parse("fortran.npy", &block, &array), THAW_ERR_DATA, "Fortran order");
  thaw_import__release(&array.block);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(csv_quotes_and_line_ends),
      cmocka_unit_test(csv_numbers_are_sorted_by_value),
      cmocka_unit_test(csv_ranges_keep_the_classes),
      cmocka_unit_test(csv_many_labels_and_targets),
      cmocka_unit_test(csv_a_column_per_label),
      cmocka_unit_test(csv_errors_name_the_line),
      cmocka_unit_test(idx_is_parsed),
      cmocka_unit_test(idx_errors),
      cmocka_unit_test(gzip_is_inflated_and_checked),
      cmocka_unit_test(npy_versions_and_types),
      cmocka_unit_test(npy_errors),
      cmocka_unit_test(npz_members),
      cmocka_unit_test(arrays_as_a_source),
      cmocka_unit_test(arrays_that_do_not_fit),
      cmocka_unit_test(files_of_numpy),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
