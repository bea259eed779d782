#include "thaw/file.h"
#include "thaw/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static thaw_status read_failure(const char *path) {
  return thaw_fail(THAW_ERR_DATA, "%s: cannot be read: %s", path, strerror(errno));
}

static thaw_status disk_failure(const char *path, const char *what) {
  return thaw_fail(THAW_ERR_DISK, "%s: %s failed: %s", path, what, strerror(errno));
}

static thaw_status read_all(int file, const char *path, size_t limit, char **text_out, size_t *size_out) {
  size_t capacity = 1 << 16, size = 0;
  char *text = thaw_new(capacity, 1);
  if (!text) return THAW_ERR_MEMORY;
  for (;;) {
    ssize_t got = read(file, text + size, capacity - 1 - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || size + (size_t)got > limit) {
      thaw_free(text);
      return got < 0 ? read_failure(path)
                     : thaw_fail(THAW_ERR_DATA, "%s: is larger than the %zu bytes allowed here", path, limit);
    }
    if (got == 0) break;
    size += (size_t)got;
    if (size < capacity - 1) continue;
    char *bigger = thaw_new(capacity * 2, 1);
    if (bigger) memcpy(bigger, text, size);
    thaw_free(text);
    if (!bigger) return THAW_ERR_MEMORY;
    text = bigger;
    capacity *= 2;
  }
  text[size] = 0;
  *text_out = text;
  if (size_out) *size_out = size;
  return THAW_OK;
}

uint64_t thaw_little_endian(const void *from, size_t bytes) {
  const unsigned char *byte = from;
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; i++) value |= (uint64_t)byte[i] << (8 * i);
  return value;
}

thaw_status thaw_file_read(const char *path, size_t limit, char **text_out, size_t *size_out) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return read_failure(path);
  thaw_status status = read_all(file, path, limit, text_out, size_out);
  close(file);
  return status;
}

char *thaw_file_temporary(const char *path) {
  char host[64] = "host";
  gethostname(host, sizeof host - 1);
  return thaw_format("%s.tmp-%s-%ld", path, host, (long)getpid());
}

static thaw_status sync_folder(const char *path) {
  char *folder = thaw_path_folder(path);
  if (!folder) return THAW_ERR_MEMORY;
  int handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  /* Some file systems refuse fsync on folders (EINVAL); the rename is then as durable as they make it. */
  bool failed = handle < 0 || (fsync(handle) != 0 && errno != EINVAL && errno != ENOTSUP);
  thaw_status status = failed ? disk_failure(folder, "fsync of the folder") : THAW_OK;
  if (handle >= 0) close(handle);
  thaw_free(folder);
  return status;
}

thaw_status thaw_file_commit(const char *temporary, const char *path) {
  int file = open(temporary, O_RDONLY | O_CLOEXEC);
  if (file < 0) return disk_failure(temporary, "open");
  thaw_status status = fsync(file) == 0 ? THAW_OK : disk_failure(temporary, "fsync");
  close(file);
  if (status == THAW_OK && rename(temporary, path) != 0) status = disk_failure(path, "rename");
  if (status != THAW_OK) {
    unlink(temporary);
    return status;
  }
  return sync_folder(path);
}

static thaw_status write_all(const char *path, int flags, const char *data, size_t size) {
  int file = open(path, flags | O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) return disk_failure(path, "open for writing");
  thaw_status status = THAW_OK;
  while (size && status == THAW_OK) {
    ssize_t put = write(file, data, size);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0)
      status = disk_failure(path, "write");
    else
      data += put, size -= (size_t)put;
  }
  if (close(file) != 0 && status == THAW_OK) status = disk_failure(path, "close");
  return status;
}

thaw_status thaw_file_write(const char *path, const void *data, size_t size) {
  char *temporary = thaw_file_temporary(path);
  if (!temporary) return THAW_ERR_MEMORY;
  thaw_status status = write_all(temporary, O_TRUNC, data, size);
  if (status == THAW_OK)
    status = thaw_file_commit(temporary, path);
  else
    unlink(temporary);
  thaw_free(temporary);
  return status;
}

thaw_status thaw_file_append_line(const char *path, const char *line) {
  char *text = thaw_format("%s\n", line);
  if (!text) return THAW_ERR_MEMORY;
  thaw_status status = write_all(path, O_APPEND, text, strlen(text));
  thaw_free(text);
  return status;
}

thaw_status thaw_folder_create(const char *path) {
  char *partial = thaw_copy_text(path);
  if (!partial) return THAW_ERR_MEMORY;
  thaw_status status = THAW_OK;
  for (char *at = partial + 1; status == THAW_OK; at++) {
    char end = *at;
    if (end != '/' && end) continue;
    *at = 0;
    if (mkdir(partial, 0777) != 0 && !(errno == EEXIST && thaw_folder_exists(partial)))
      status = disk_failure(partial, "creating the folder");
    *at = end;
    if (!end) break;
  }
  thaw_free(partial);
  return status;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

thaw_status thaw_folder_list(const char *path, thaw_strings *out) {
  DIR *folder = opendir(path);
  if (!folder) return read_failure(path);
  thaw_status status = THAW_OK;
  struct dirent *entry;
  while (status == THAW_OK && (entry = readdir(folder)))
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      status = thaw_strings_add(out, entry->d_name);
  closedir(folder);
  if (status == THAW_OK && out->count) qsort(out->item, out->count, sizeof *out->item, by_name);
  return status;
}

thaw_status thaw_strings_add(thaw_strings *strings, const char *text) {
  if (thaw_grow((void **)&strings->item, strings->count, &strings->capacity, sizeof *strings->item) != 0)
    return THAW_ERR_MEMORY;
  char *copy = thaw_copy_text(text);
  if (!copy) return THAW_ERR_MEMORY;
  strings->item[strings->count++] = copy;
  return THAW_OK;
}

void thaw_strings_clear(thaw_strings *strings) {
  for (size_t i = 0; i < strings->count; i++) thaw_free(strings->item[i]);
  thaw_free(strings->item);
  *strings = (thaw_strings){0};
}

bool thaw_file_exists(const char *path) {
  struct stat info;
  return stat(path, &info) == 0;
}

bool thaw_folder_exists(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int64_t thaw_file_size(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 ? (int64_t)info.st_size : -1;
}

int64_t thaw_disk_free(const char *path) {
  char *at = thaw_copy_text(path);
  if (!at) return 0;
  struct statvfs info;
  int64_t bytes = 0;
  while (at) {
    if (statvfs(at, &info) == 0) {
      bytes = (int64_t)info.f_bavail * (int64_t)info.f_frsize;
      break;
    }
    if (strcmp(at, ".") == 0 || strcmp(at, "/") == 0) break;
    char *parent = thaw_path_folder(at);
    thaw_free(at);
    at = parent;
  }
  thaw_free(at);
  return bytes;
}

char *thaw_path_join(const char *folder, const char *name) {
  if (!folder || !*folder || name[0] == '/') return thaw_copy_text(name);
  size_t length = strlen(folder);
  return thaw_format("%s%s%s", folder, folder[length - 1] == '/' ? "" : "/", name);
}

char *thaw_path_folder(const char *path) {
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') length--;
  while (length > 0 && path[length - 1] != '/') length--;
  while (length > 1 && path[length - 1] == '/') length--;
  return length ? thaw_format("%.*s", (int)length, path) : thaw_copy_text(".");
}

const char *thaw_path_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}
