/* zip.h: the only door to zip archives (.npz, .keras). All functions are [local]; an archive is used by one thread. */
#ifndef THAW_ZIP_H
#define THAW_ZIP_H

#include "thaw/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct thaw_zip thaw_zip;
thaw_status thaw_zip_open(const char *path, thaw_zip **out) THAW_CHECKED; /* for reading */
void thaw_zip_close(thaw_zip *zip);                                       /* accepts NULL */
/* True when the file begins as a zip archive does. */
bool thaw_zip_recognize(const char *path);
bool thaw_zip_has(const thaw_zip *zip, const char *member);
int64_t thaw_zip_count(const thaw_zip *zip);
const char *thaw_zip_name(const thaw_zip *zip, int64_t index); /* borrowed; "" when out of range */
/* The whole member, zero-terminated (thaw_free), its CRC checked. Empty ones and those above `limit` bytes are refused.
 */
thaw_status thaw_zip_read(thaw_zip *zip, const char *member, uint64_t limit, char **data_out,
                          size_t *size_out) THAW_CHECKED;

typedef struct thaw_zip_member {
  const char *name;
  const void *data;
  size_t size;
} thaw_zip_member;
/* Writes an archive of stored (not compressed) members, whole or absent under `path`. Same content, same bytes. */
thaw_status thaw_zip_write(const char *path, const thaw_zip_member *member, int32_t count) THAW_CHECKED;

#endif
