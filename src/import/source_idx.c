/* source_idx.c: IDX files (yann.lecun.com/exdb/mnist): 0 0 TYPE RANK, RANK big-endian uint32 sizes, the numbers. */
#include "import/import_private.h"

#include <string.h>

typedef struct idx_type {
  unsigned char code;
  char kind;
  int size;
} idx_type;

static uint32_t read_size(const unsigned char *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static thaw_status parse(const char *name, import_array *out) {
  static const idx_type types[] = {{0x08, 'u', 1}, {0x09, 'i', 1}, {0x0b, 'i', 2},
                                   {0x0c, 'i', 4}, {0x0d, 'f', 4}, {0x0e, 'f', 8}};
  const unsigned char *bytes = out->block.data;
  const size_t size = out->block.size;
  if (size < 8 || bytes[0] || bytes[1]) return thaw_fail(THAW_ERR_DATA, "%s: not an IDX file", name);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].code == bytes[2]) {
      out->kind = types[i].kind;
      out->size = types[i].size;
    }
  out->rank = bytes[3];
  out->big_endian = true;
  if (!out->size || out->rank < 1 || out->rank > 5)
    return thaw_fail(THAW_ERR_DATA, "%s: not an IDX file (type 0x%02x, %d dimensions)", name, bytes[2], out->rank);
  const size_t start = 4 + 4 * (size_t)out->rank;
  if (size < start) return thaw_fail(THAW_ERR_DATA, "%s: the file ends inside its header", name);
  size_t expected = (size_t)out->size;
  for (int i = 0; i < out->rank; i++) {
    out->dim[i] = read_size(bytes + 4 + 4 * i);
    if (__builtin_mul_overflow(expected, (size_t)out->dim[i], &expected) || expected > (size_t)1 << 48)
      return thaw_fail(THAW_ERR_DATA, "%s: the header claims an impossible size", name);
  }
  if (size - start != expected)
    return thaw_fail(THAW_ERR_DATA, "%s: holds %zu bytes after the header, its sizes ask for %zu", name, size - start,
                     expected);
  out->data = bytes + start;
  return THAW_OK;
}

thaw_status thaw_idx__parse(const char *name, import_block *block, import_array *out) {
  *out = (import_array){.block = *block};
  *block = (import_block){0};
  return parse(name, out);
}
