/* file.h: files that are whole or absent. All functions are [local]. */
#ifndef THAW_FILE_H
#define THAW_FILE_H

#include "thaw/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads a whole file of at most `limit` bytes into a new zero-terminated buffer (thaw_free). */
thaw_status thaw_file_read(const char *path, size_t limit, char **text_out, size_t *size_out) THAW_CHECKED;

/* The whole file, inflated where it is gzip, into a new buffer (thaw_free): 1 to `limit` bytes, else THAW_ERR_DATA. */
thaw_status thaw_file_inflate(const char *path, size_t limit, unsigned char **out, size_t *size_out) THAW_CHECKED;
/* `size` bytes of it from `offset` on into `out`; *got is less where the file ends before. */
thaw_status thaw_file_read_inflated(const char *path, size_t offset, size_t size, void *out, size_t *got) THAW_CHECKED;

/* The unsigned number of `bytes` bytes (at most 8), least significant first. */
uint64_t thaw_little_endian(const void *from, size_t bytes);

/* Writes through a temporary file: write, fsync, rename, fsync of the folder. On failure `path` keeps its old content.
 */
thaw_status thaw_file_write(const char *path, const void *data, size_t size) THAW_CHECKED;

/* The temporary name beside `path` that this process writes first ("<path>.tmp-<host>-<pid>"); thaw_free it. */
char *thaw_file_temporary(const char *path);

/* Finishes a file already written and closed under `temporary`: fsync, rename to `path`, fsync of the folder. */
thaw_status thaw_file_commit(const char *temporary, const char *path) THAW_CHECKED;

/* Appends one line (adds the newline) with one write call. */
thaw_status thaw_file_append_line(const char *path, const char *line) THAW_CHECKED;

/* mkdir -p. */
thaw_status thaw_folder_create(const char *path) THAW_CHECKED;

/* Sorted names of the entries of a folder, without "." and ".."; thaw_strings_clear. */
typedef struct thaw_strings {
  char **item;
  size_t count, capacity;
} thaw_strings;
thaw_status thaw_folder_list(const char *path, thaw_strings *out) THAW_CHECKED;
thaw_status thaw_strings_add(thaw_strings *strings, const char *text) THAW_CHECKED; /* copies */
void thaw_strings_clear(thaw_strings *strings);

bool thaw_file_exists(const char *path); /* anything at all by that name */
bool thaw_folder_exists(const char *path);
int64_t thaw_file_size(const char *path); /* -1 when it cannot be told */
int64_t thaw_disk_free(const char *path); /* bytes free for this user where `path` lies (nearest existing parent) */

/* "folder/name" unless `name` is absolute; thaw_free. `folder` may be NULL or "". */
char *thaw_path_join(const char *folder, const char *name);
char *thaw_path_folder(const char *path);     /* dirname; thaw_free */
const char *thaw_path_name(const char *path); /* basename; borrowed */

#endif
