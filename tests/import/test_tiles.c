/* Windows of large images: ids, groups, pixels, labels by mask; what does not fit is named and counted. */
#include "thaw_mpi_test.h"

#include "thaw/import.h"
#include "thaw/memory.h"
#include "thaw/shard.h"

#include <stdlib.h>

enum { H = 20, W = 30, TILE = 12, STRIDE = 8, ROWS = 2, COLUMNS = 4 };
static char root[64];

static uint8_t pixel(int image, int y, int x) {
  return (uint8_t)(image * 50 + y * 5 + x * 3);
}

static void write_picture(const char *name, int image, int32_t h, int32_t w, int marked_y, int marked_x) {
  char path[256];
  uint8_t pixels[H * W];
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++)
      pixels[y * w + x] = image >= 0 ? pixel(image, y, x) : (uint8_t)(255 * (y == marked_y && x == marked_x));
  snprintf(path, sizeof path, "%s/%s", root, name);
  char *folder = thaw_path_folder(path);
  assert_thaw_ok(thaw_folder_create(folder));
  thaw_free(folder);
  const thaw_image image_of = {.h = h, .w = w, .c = 1, .bits = 8, .pixels = pixels};
  assert_thaw_ok(thaw_image_write_png(path, &image_of));
}

static thaw_status import(const char *images, const char *masks, const char *to) {
  static char source[96], folder[96], output[96];
  thaw_import_options o;
  thaw_import_defaults(&o);
  snprintf(source, sizeof source, "%s/%s", root, images);
  snprintf(folder, sizeof folder, "%s/%s", root, masks ? masks : "");
  snprintf(output, sizeof output, "%s/%s", root, to);
  o.source = source;
  o.output = output;
  o.overwrite = true;
  o.tile = TILE;
  o.tile_stride = STRIDE;
  o.tile_masks = masks ? folder : NULL;
  return thaw_import(test_comm, &o, NULL);
}

static void prepare(void) {
  if (thaw_comm_rank(test_comm) == 0) {
    write_picture("images/good/a.png", 0, H, W, 0, 0);
    write_picture("images/crack/b.png", 1, H, W, 0, 0);
    write_picture("images/crack/c.png", 2, H, W, 0, 0);
    write_picture("masks/crack/b_mask.png", -1, H, W, 9, 25); /* in windows of both rows and the last two columns */
    write_picture("masks/crack/c_mask.png", -1, H, W, 0, 0);  /* in the first window alone */
    write_picture("fewer/crack/b_mask.png", -1, H, W, 9, 25);
    write_picture("other/crack/b_mask.png", -1, H - 1, W, 9, 25);
    write_picture("other/crack/c_mask.png", -1, H, W - 1, 9, 25);
  }
  assert_thaw_ok(thaw_comm_barrier(test_comm));
}

static bool check_sample(thaw_catalog *catalog, int64_t i, int image, int top, int left, bool cracked) {
  uint8_t pixels[TILE * TILE];
  char id[128], group[64];
  thaw_strings ids = {0}, groups = {0};
  const thaw_labels *labels;
  const thaw_dataset_info *info = thaw_catalog_info(catalog);
  if (thaw_catalog_pixels(catalog, i, 1, pixels) != THAW_OK || thaw_catalog_ids(catalog, i, 1, &ids) != THAW_OK ||
      thaw_catalog_groups(catalog, i, 1, &groups) != THAW_OK || thaw_catalog_labels(catalog, &labels) != THAW_OK)
    return false;
  snprintf(group, sizeof group, "%s/%c.png", image ? "crack" : "good", 'a' + image);
  snprintf(id, sizeof id, "%s#%d,%d", group, top, left);
  const char *class = info->classes.item[(size_t)thaw_label(labels, (uint64_t)i, 0)];
  bool ok = strcmp(ids.item[0], id) == 0 && strcmp(groups.item[0], group) == 0 &&
            strcmp(class, cracked ? "crack" : "good") == 0;
  for (int y = 0; y < TILE; y++)
    for (int x = 0; x < TILE; x++) ok = ok && pixels[y * TILE + x] == pixel(image, top + y, left + x);
  if (!ok) fprintf(stderr, "%s %s %s, expected %s\n", ids.item[0], groups.item[0], class, id);
  thaw_strings_clear(&ids);
  thaw_strings_clear(&groups);
  return ok;
}

static void check(const char *shards, bool masks) {
  static const int image[3] = {1, 2, 0}, top[ROWS] = {0, 8}, left[COLUMNS] = {0, 8, 16, 18};
  char path[96];
  thaw_catalog *catalog;
  snprintf(path, sizeof path, "%s/%s/catalog.yaml", root, shards);
  assert_thaw_ok(thaw_catalog_open(path, &catalog));
  assert_int_equal(thaw_catalog_info(catalog)->count, 3 * ROWS * COLUMNS);
  bool ok = true;
  for (int64_t i = 0; i < 3 * ROWS * COLUMNS; i++) {
    int k = image[i / (ROWS * COLUMNS)], row = (int)(i / COLUMNS % ROWS), column = (int)(i % COLUMNS);
    bool cracked = k != 0;
    if (masks && k == 1) cracked = column >= 2;
    if (masks && k == 2) cracked = row == 0 && column == 0;
    ok = ok && check_sample(catalog, i, k, top[row], left[column], cracked);
  }
  thaw_catalog_close(catalog);
  assert_all_ranks(ok);
}

static void test_windows(void **state) {
  (void)state;
  prepare();
  assert_thaw_ok(import("images", NULL, "plain"));
  check("plain", false);
  assert_thaw_ok(import("images", "masks", "masked"));
  check("masked", true);
}

static void test_refused(void **state) {
  (void)state;
  assert_thaw_fails(import("images", "fewer", "bad"), THAW_ERR_DATA,
                    "1 masks are missing and 0 are of another size than their images: ");
  assert_thaw_fails(import("images", "other", "bad"), THAW_ERR_DATA,
                    "0 masks are missing and 2 are of another size than their images: ");
  assert_non_null(strstr(thaw_message(), "b_mask.png is 19 x 30, its image 20 x 30"));
  assert_thaw_fails(import("images/crack", "masks", "bad"), THAW_ERR_USAGE, "goes with image files of one class each");
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_windows), cmocka_unit_test(test_refused)};
  snprintf(root, sizeof root, "tiles-%s", argc > 1 ? argv[1] : "of-this-run");
  const char *size = getenv("OMPI_COMM_WORLD_SIZE"); /* runs of different sizes may be at work at once */
  if (size) snprintf(root, sizeof root, "tiles-%s", size);
  thaw_mpi_main(tests, argc, argv);
}
