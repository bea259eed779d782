/* block.c: bytes of a file, mapped or inflated. */
#include "import/import_private.h"
#include "thaw/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void thaw_import__release(import_block *block) {
  if (block->mapped) munmap(block->mapped, block->size);
  thaw_free(block->owned);
  *block = (import_block){0};
}

thaw_status thaw_import__map(const char *path, import_block *out) {
  struct stat info;
  *out = (import_block){0};
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return thaw_fail(THAW_ERR_DATA, "%s: %s", path, strerror(errno));
  thaw_status status = THAW_OK;
  if (fstat(file, &info) != 0)
    status = thaw_fail(THAW_ERR_DATA, "%s: %s", path, strerror(errno));
  else if (!S_ISREG(info.st_mode))
    status = thaw_fail(THAW_ERR_DATA, "%s: not a regular file", path);
  else if (info.st_size == 0)
    status = thaw_fail(THAW_ERR_DATA, "%s: the file is empty", path);
  if (status == THAW_OK) {
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED)
      status = thaw_fail(THAW_ERR_DATA, "%s: %s", path, strerror(errno));
    else
      *out = (import_block){.data = data, .size = (size_t)info.st_size, .mapped = data};
  }
  close(file);
  return status;
}

thaw_status thaw_import__inflate(const char *path, import_block *out) {
  unsigned char *data;
  *out = (import_block){0};
  THAW_TRY(thaw_file_inflate(path, (size_t)1 << 36, &data, &out->size));
  out->data = out->owned = data;
  return THAW_OK;
}
