#include "thaw/zip.h"

#include "thaw/file.h"
#include "thaw/memory.h"
#include "thaw/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

struct thaw_zip {
  zip_t *archive;
  char *path;
};

static thaw_status fail_code(thaw_status status, const char *path, int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  status = thaw_fail(status, "%s: %s", path, zip_error_strerror(&error));
  zip_error_fini(&error);
  return status;
}

thaw_status thaw_zip_open(const char *path, thaw_zip **out) {
  int code = 0;
  *out = NULL;
  zip_t *archive = zip_open(path, ZIP_RDONLY, &code);
  /* The directory is at the end. */
  if (!archive && thaw_zip_recognize(path))
    return thaw_fail(THAW_ERR_DATA, "%s: is no whole zip archive; is the download complete?", path);
  if (!archive) return fail_code(THAW_ERR_DATA, path, code);
  thaw_zip *zip = thaw_new(1, sizeof *zip);
  if (zip) *zip = (thaw_zip){.archive = archive, .path = thaw_copy_text(path)};
  if (!zip || !zip->path) {
    zip_discard(archive);
    thaw_free(zip);
    return THAW_ERR_MEMORY;
  }
  *out = zip;
  return THAW_OK;
}

void thaw_zip_close(thaw_zip *zip) {
  if (!zip) return;
  zip_discard(zip->archive);
  thaw_free(zip->path);
  thaw_free(zip);
}

bool thaw_zip_recognize(const char *path) {
  char mark[4] = {0};
  FILE *file = fopen(path, "rb");
  if (!file) return false;
  size_t got = fread(mark, 1, sizeof mark, file);
  fclose(file);
  return got == sizeof mark && memcmp(mark, "PK\3\4", sizeof mark) == 0;
}

bool thaw_zip_has(const thaw_zip *zip, const char *member) {
  return zip_name_locate(zip->archive, member, 0) >= 0;
}

int64_t thaw_zip_count(const thaw_zip *zip) {
  return zip_get_num_entries(zip->archive, 0);
}

const char *thaw_zip_name(const thaw_zip *zip, int64_t index) {
  const char *name = index < 0 ? NULL : zip_get_name(zip->archive, (zip_uint64_t)index, 0);
  return name ? name : "";
}

static thaw_status read_all(const thaw_zip *zip, zip_uint64_t index, const char *member, char *data, size_t size) {
  zip_file_t *file = zip_fopen_index(zip->archive, index, 0);
  if (!file) return thaw_fail(THAW_ERR_DATA, "%s: %s: %s", zip->path, member, zip_strerror(zip->archive));
  size_t got = 0;
  while (got < size) {
    const zip_int64_t part = zip_fread(file, data + got, size - got);
    if (part <= 0) break;
    got += (size_t)part;
  }
  /* The read that finds the end checks the CRC. */
  char beyond;
  const bool whole = got == size && zip_fread(file, &beyond, 1) == 0;
  zip_fclose(file);
  if (whole) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: %s is damaged (%zu of %zu bytes)", zip->path, member, got, size);
}

/* Deflate makes at most 1,032 bytes of one: a small archive cannot claim a large member. */
static bool is_claimed(const thaw_zip *zip, uint64_t size) {
  return size / 1032 > (uint64_t)thaw_file_size(zip->path);
}

thaw_status thaw_zip_read(thaw_zip *zip, const char *member, uint64_t limit, char **data_out, size_t *size_out) {
  zip_stat_t info;
  const zip_int64_t index = zip_name_locate(zip->archive, member, 0);
  *data_out = NULL;
  if (index < 0 || zip_stat_index(zip->archive, (zip_uint64_t)index, 0, &info) != 0 || !(info.valid & ZIP_STAT_SIZE))
    return thaw_fail(THAW_ERR_DATA, "%s: %s: %s", zip->path, member,
                     index < 0 ? "is not in the archive" : zip_strerror(zip->archive));
  if (info.size == 0 || info.size > limit || is_claimed(zip, info.size))
    return thaw_fail(THAW_ERR_DATA, "%s: %s is said to have %llu bytes", zip->path, member,
                     (unsigned long long)info.size);
  char *data = thaw_new((size_t)info.size + 1, 1);
  if (!data) return THAW_ERR_MEMORY;
  thaw_status status = read_all(zip, (zip_uint64_t)index, member, data, (size_t)info.size);
  if (status != THAW_OK) {
    thaw_free(data);
    return status;
  }
  *data_out = data;
  *size_out = (size_t)info.size;
  return THAW_OK;
}

/* 1980-01-01, the earliest that the format knows: content alone decides the bytes. */
enum { NO_TIME = 0, FIRST_DATE = 0x21 };

static bool add_member(zip_t *archive, const thaw_zip_member *member) {
  zip_source_t *source = zip_source_buffer(archive, member->data, member->size, 0);
  if (!source) return false;
  const zip_int64_t index = zip_file_add(archive, member->name, source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    zip_source_free(source);
    return false;
  }
  return zip_set_file_compression(archive, (zip_uint64_t)index, ZIP_CM_STORE, 0) == 0 &&
         zip_file_set_dostime(archive, (zip_uint64_t)index, NO_TIME, FIRST_DATE, 0) == 0;
}

static thaw_status write_archive(const char *temporary, const char *path, const thaw_zip_member *member,
                                 int32_t count) {
  int code = 0;
  zip_t *archive = zip_open(temporary, ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (!archive) return fail_code(THAW_ERR_DISK, path, code);
  bool good = true;
  for (int32_t i = 0; i < count; i++) good = good && add_member(archive, &member[i]);
  if (good && zip_close(archive) == 0) return thaw_file_commit(temporary, path);
  thaw_status status = thaw_fail(THAW_ERR_DISK, "%s: %s", path, zip_strerror(archive));
  zip_discard(archive);
  return status;
}

thaw_status thaw_zip_write(const char *path, const thaw_zip_member *member, int32_t count) {
  char *temporary = thaw_file_temporary(path);
  if (!temporary) return THAW_ERR_MEMORY;
  thaw_status status = write_archive(temporary, path, member, count);
  if (status != THAW_OK) unlink(temporary);
  thaw_free(temporary);
  return status;
}
