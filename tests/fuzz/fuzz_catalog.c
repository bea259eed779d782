/* A catalogue's YAML. Shards are not opened: their files are HDF5, which has targets of its own. */
#include "fuzz.h"
#include "shard/shard_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  thaw_catalog *catalog = thaw_new(1, sizeof *catalog);
  char *copy = thaw_new(size + 1, 1);
  if (catalog && copy) {
    if (size) memcpy(copy, data, size);
    catalog->path = thaw_copy_text("folder/catalog.yaml");
    for (int i = 0; i < SHARD_OPEN_LIMIT; i++) catalog->handle[i].shard = -1;
    fuzz_expect(thaw_catalog__parse(catalog, copy, size));
  }
  thaw_catalog_close(catalog);
  thaw_free(copy);
  return 0;
}
