/* hashes.c: hashes.txt, a line of 16 hexadecimal digits per sample under a line that names the content. */
#include "thaw/file.h"
#include "thaw/leak.h"
#include "thaw/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS = 16, LINE = DIGITS + 1 };

static char *path_beside(const char *catalog_path) {
  char *folder = thaw_path_folder(catalog_path), *path = folder ? thaw_path_join(folder, "hashes.txt") : NULL;
  thaw_free(folder);
  return path;
}

thaw_status thaw_hashes_write(const char *catalog_path, const char *digest, const uint64_t *hash, int64_t count) {
  thaw_text text = {0};
  char *path = path_beside(catalog_path);
  thaw_text_add(&text, "thaw-hashes 1 phash %s\n", digest);
  for (int64_t i = 0; i < count; i++) thaw_text_add(&text, "%016" PRIx64 "\n", hash[i]);
  thaw_status status = path && !text.failed ? thaw_file_write(path, text.data, text.length) : THAW_ERR_MEMORY;
  thaw_text_clear(&text);
  thaw_free(path);
  return status;
}

static bool parse_line(const char *line, uint64_t *out) {
  *out = 0;
  for (int i = 0; i < DIGITS; i++) {
    const char c = line[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    *out = *out << 4 | (uint64_t)digit;
  }
  return line[DIGITS] == '\n';
}

/* False where the text is not of this content. */
static bool parse(const char *text, size_t size, const thaw_dataset_info *info, uint64_t *out) {
  char head[128];
  snprintf(head, sizeof head, "thaw-hashes 1 phash %s\n", info->digest);
  const size_t length = strlen(head);
  if (size != length + (size_t)info->count * LINE || memcmp(text, head, length) != 0) return false;
  for (int64_t i = 0; i < info->count; i++)
    if (!parse_line(text + length + (size_t)i * LINE, &out[i])) return false;
  return true;
}

thaw_status thaw_hashes_read(const thaw_catalog *catalog, uint64_t **out) {
  const thaw_dataset_info *info = thaw_catalog_info(catalog);
  char *path = path_beside(thaw_catalog_path(catalog)), *text = NULL;
  size_t size = 0;
  *out = NULL;
  if (!path) return THAW_ERR_MEMORY;
  thaw_status status =
      thaw_file_exists(path) ? thaw_file_read(path, (size_t)(info->count + 8) * LINE + 128, &text, &size) : THAW_OK;
  if (status == THAW_ERR_DATA) status = THAW_OK; /* too long: of something else */
  uint64_t *hash = text ? thaw_new((size_t)info->count, sizeof *hash) : NULL;
  if (text && !hash) status = THAW_ERR_MEMORY;
  if (hash && parse(text, size, info, hash))
    *out = hash;
  else
    thaw_free(hash);
  thaw_free(text);
  thaw_free(path);
  return status;
}
