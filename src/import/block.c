/* block.c: bytes of a file, mapped or inflated. */
#include "import/import_private.h"
#include "thaw/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { INFLATE_STEP = 1 << 24 };
static const size_t inflate_limit = (size_t)1 << 36;

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

/* Makes room for one more step; the buffer doubles. */
static thaw_status grow(unsigned char **data, size_t used, size_t *capacity) {
  if (*capacity - used >= INFLATE_STEP) return THAW_OK;
  const size_t wanted = *capacity ? *capacity * 2 : 2 * (size_t)INFLATE_STEP;
  unsigned char *bigger = thaw_new(wanted, 1);
  if (!bigger) return THAW_ERR_MEMORY;
  if (used) memcpy(bigger, *data, used);
  thaw_free(*data);
  *data = bigger;
  *capacity = wanted;
  return THAW_OK;
}

static thaw_status inflate_all(const char *path, gzFile file, import_block *out) {
  unsigned char *data = NULL;
  size_t used = 0, capacity = 0;
  thaw_status status = THAW_OK;
  for (;;) {
    status = grow(&data, used, &capacity);
    if (status != THAW_OK) break;
    const int got = gzread(file, data + used, INFLATE_STEP);
    int code = Z_OK;
    const char *reason = gzerror(file, &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
      status = thaw_fail(THAW_ERR_DATA, "%s: %s", path, code == Z_BUF_ERROR ? "the gzip file ends too early" : reason);
      break;
    }
    used += (size_t)got;
    if (got == 0) break;
    if (used > inflate_limit) {
      status = thaw_fail(THAW_ERR_DATA, "%s: more than 64 GB when inflated", path);
      break;
    }
  }
  if (status == THAW_OK && used == 0) status = thaw_fail(THAW_ERR_DATA, "%s: the file is empty", path);
  *out = (import_block){.data = data, .size = used, .owned = data};
  if (status != THAW_OK) thaw_import__release(out);
  return status;
}

thaw_status thaw_import__inflate(const char *path, import_block *out) {
  *out = (import_block){0};
  if (thaw_folder_exists(path)) return thaw_fail(THAW_ERR_DATA, "%s: is a folder", path);
  gzFile file = gzopen(path, "rbe");
  if (!file) return thaw_fail(THAW_ERR_DATA, "%s: %s", path, strerror(errno ? errno : ENOMEM));
  gzbuffer(file, 1 << 17);
  thaw_status status = inflate_all(path, file, out);
  gzclose_r(file);
  return status;
}
