/* hashes.c: hashes.txt, a line of 16 hexadecimal digits per sample under a line that names the content. */
#include "thaw/file.h"
#include "thaw/leak.h"
#include "thaw/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS = 16, LINE = DIGITS + 1, PIECE = 4096 /* lines read at a time */ };

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

/* `count` lines, a piece at a time: the text of 10 million would be 170 MB. */
static bool parse_lines(FILE *file, int64_t count, uint64_t *out) {
  char piece[PIECE * LINE + 1];
  for (int64_t done = 0; done < count;) {
    const size_t lines = count - done < PIECE ? (size_t)(count - done) : PIECE;
    if (fread(piece, LINE, lines, file) != lines) return false;
    for (size_t i = 0; i < lines; i++)
      if (!parse_line(piece + i * LINE, &out[done + (int64_t)i])) return false;
    done += (int64_t)lines;
  }
  return fgetc(file) == EOF;
}

/* False where the file is not of this content. */
static bool parse(FILE *file, const thaw_dataset_info *info, uint64_t *out) {
  char head[128], found[128];
  snprintf(head, sizeof head, "thaw-hashes 1 phash %s\n", info->digest);
  const size_t length = strlen(head);
  return fread(found, 1, length, file) == length && memcmp(found, head, length) == 0 &&
         parse_lines(file, info->count, out);
}

thaw_status thaw_hashes_read(const thaw_catalog *catalog, uint64_t **out) {
  const thaw_dataset_info *info = thaw_catalog_info(catalog);
  char *path = path_beside(thaw_catalog_path(catalog));
  *out = NULL;
  if (!path) return THAW_ERR_MEMORY;
  FILE *file = thaw_file_exists(path) ? fopen(path, "rbe") : NULL;
  uint64_t *hash = file ? thaw_new((size_t)info->count, sizeof *hash) : NULL;
  const thaw_status status = file && !hash ? THAW_ERR_MEMORY : THAW_OK;
  if (hash && parse(file, info, hash))
    *out = hash;
  else
    thaw_free(hash);
  if (file) fclose(file);
  thaw_free(path);
  return status;
}
