/* Variable-length strings lie in "global heap collections" (HDF5 File Format Specification 3.0, III.E): a header, then
 * objects one after the other. libhdf5 (1.10 and older 1.12) walks along the sizes that stand there: a size that leads
 * nowhere or backwards makes it walk for ever. So the sizes are looked at before the first such string is read. */
#include "h5/h5_private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { MARK = 8, OBJECT_MARK = 8, BLOCK = 1 << 16 };
static const uint64_t most_bytes = (uint64_t)4 << 30; /* larger files are data sets, not weights of somebody else */
static const unsigned char mark[MARK] = {'G', 'C', 'O', 'L', 1}; /* version 1, three zeros */

/* A file, or its bytes in memory. */
typedef struct bytes {
  const unsigned char *data; /* NULL: in `handle` */
  int handle;
  uint64_t size, length_bytes; /* length_bytes: of a length in this file, 2, 4 or 8 */
} bytes;

/* As many as there are, at most `count`. */
static size_t fetch(const bytes *b, uint64_t at, void *out, size_t count) {
  if (at >= b->size) return 0;
  if (count > b->size - at) count = (size_t)(b->size - at);
  if (b->data) {
    memcpy(out, b->data + at, count);
    return count;
  }
  size_t got = 0;
  for (ssize_t n; got < count && (n = pread(b->handle, (char *)out + got, count - got, (off_t)(at + got))) > 0;)
    got += (size_t)n;
  return got;
}

/* The superblock (II.A) says how long lengths are; it begins at 0 or at a power of two from 512 on. */
static bool find_length_bytes(bytes *b) {
  static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  unsigned char begin[16];
  for (uint64_t at = 0; fetch(b, at, begin, sizeof begin) == sizeof begin; at = at ? 2 * at : 512) {
    if (memcmp(begin, signature, sizeof signature) != 0) continue;
    b->length_bytes = begin[8] < 2 ? begin[14] : begin[10];
    return b->length_bytes == 2 || b->length_bytes == 4 || b->length_bytes == 8;
  }
  return false;
}

/* An object's own header and its size rounded up to 8; object 0 is the free space, whose size counts its header. */
static bool leads_on(const bytes *b, uint64_t at, uint64_t end, uint64_t *next_out) {
  unsigned char header[16];
  uint64_t own = OBJECT_MARK + b->length_bytes, room = end - at;
  if (fetch(b, at, header, (size_t)own) != own) return false;
  uint64_t size = thaw_little_endian(header + OBJECT_MARK, b->length_bytes);
  bool is_free = thaw_little_endian(header, 2) == 0;
  if (size > room) return false;
  uint64_t need = is_free ? size : own + (size + 7) / 8 * 8;
  *next_out = at + need;
  return need > 0 && need <= room;
}

/* A collection that ends beyond the file is refused by the library itself. */
static bool is_walkable(const bytes *b, uint64_t at) {
  unsigned char header[16];
  uint64_t own = MARK + b->length_bytes;
  if (fetch(b, at, header, (size_t)own) != own) return true;
  uint64_t size = thaw_little_endian(header + MARK, b->length_bytes);
  if (size < own || size > b->size - at) return true;
  uint64_t end = at + size;
  for (uint64_t next = at + (own + 7) / 8 * 8; next + OBJECT_MARK + b->length_bytes <= end;)
    if (!leads_on(b, next, end, &next)) return false;
  return true;
}

/* The first collection that cannot be walked along; -1: none. */
static int64_t find_damaged(bytes *b) {
  unsigned char block[BLOCK];
  size_t got;
  if (b->size > most_bytes || !find_length_bytes(b)) return -1;
  for (uint64_t at = 0; (got = fetch(b, at, block, BLOCK)) >= MARK; at += got - (MARK - 1)) {
    const unsigned char *end = block + got, *found = block;
    while ((found = memmem(found, (size_t)(end - found), mark, MARK))) {
      uint64_t where = at + (uint64_t)(found++ - block);
      if (!is_walkable(b, where)) return (int64_t)where;
    }
  }
  return -1;
}

static thaw_status verdict(const thaw_h5 *file) {
  if (file->damaged_heap < 0) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: the strings at byte %lld (a global heap) are damaged", file->path,
                   (long long)file->damaged_heap);
}

static void look_through(thaw_h5 *file, bytes *b) {
  file->damaged_heap = find_damaged(b);
  file->heaps_checked = true;
}

thaw_status thaw_h5_check_heap_image(thaw_h5 *file, const void *data, size_t size) {
  bytes b = {.data = data, .handle = -1, .size = size};
  look_through(file, &b);
  return verdict(file);
}

thaw_status thaw_h5_check_heaps(thaw_h5 *file) {
  THAW_H5_GUARD;
  if (file->temporary) return THAW_OK;
  if (file->heaps_checked) return verdict(file);
  bytes b = {.handle = open(file->path, O_RDONLY | O_CLOEXEC)};
  if (b.handle < 0) return THAW_OK; /* gone since: the library has it open */
  off_t size = lseek(b.handle, 0, SEEK_END);
  b.size = size > 0 ? (uint64_t)size : 0;
  look_through(file, &b);
  close(b.handle);
  return verdict(file);
}
