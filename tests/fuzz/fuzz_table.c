/* CSV lists, IDX and NumPy files, archives of arrays; the first byte chooses. */
#include "fuzz.h"
#include "import/import_private.h"

static void read_csv(const uint8_t *data, size_t size) {
  thaw_import_options options;
  import_source source = {.arena = thaw_arena_create()};
  thaw_import_defaults(&options);
  options.regression = size > 0 && (data[0] & 1);
  options.multi_label = size > 0 && (data[0] & 2) && !options.regression;
  if (source.arena)
    fuzz_expect(thaw_import__parse_csv("fuzz.csv", (const char *)data, size, "folder", &options, &source));
  thaw_import__close(&source);
}

static void read_array(const uint8_t *data, size_t size, int kind) {
  import_array array = {0};
  import_block block = {.size = size, .owned = thaw_new(size + !size, 1)};
  if (!block.owned) return;
  if (size) memcpy(block.owned, data, size);
  block.data = block.owned;
  fuzz_expect(kind ? thaw_npy__parse("fuzz.npy", &block, &array) : thaw_idx__parse("fuzz-idx", &block, &array));
  thaw_import__release(&array.block);
}

static void read_npz(const uint8_t *data, size_t size) {
  static const char *const usual[] = {"x", "images", NULL};
  import_array array = {0};
  fuzz_expect(thaw_npz__read(fuzz_file(data, size, ".npz"), NULL, usual, &array));
  thaw_import__release(&array.block);
}

static void read_gzip(const uint8_t *data, size_t size) {
  import_block block;
  fuzz_expect(thaw_import__inflate(fuzz_file(data, size, ".gz"), &block));
  thaw_import__release(&block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  switch (data[0]) {
  case 'c':
    read_csv(data + 1, size - 1);
    break;
  case 'i':
  case 'n':
    read_array(data + 1, size - 1, data[0] == 'n');
    break;
  case 'z':
    read_npz(data + 1, size - 1);
    break;
  case 'g':
    read_gzip(data + 1, size - 1);
    break;
  default:
    break;
  }
  return 0;
}
