#include "h5/h5_private.h"
#include "thaw/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t library_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

int thaw_h5_enter(void) {
  return pthread_mutex_lock(&library_lock);
}

void thaw_h5_leave(const int *guard) {
  if (*guard == 0) pthread_mutex_unlock(&library_lock);
}

typedef struct cause {
  char *reason;
  bool memory;
} cause;

/* Walking from the innermost record outward: the first one says what went wrong, the others who called it. Of a failed
 * system call only the system's own words are kept. */
static herr_t keep_first(unsigned n, const H5E_error2_t *record, void *out) {
  if (n != 0) return 0;
  cause *first = out;
  static const char mark[] = "error message = '";
  const char *text = strstr(record->desc, mark);
  text = text ? text + sizeof mark - 1 : record->desc;
  first->reason = thaw_format("%.*s", (int)strcspn(text, text == record->desc ? "" : "'"), text);
  first->memory = record->min_num == H5E_CANTALLOC || record->min_num == H5E_NOSPACE;
  return 0;
}

thaw_status thaw_h5_fail(const thaw_h5 *file, thaw_status code, const char *object, const char *what) {
  cause first = {0};
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &first);
  H5Eclear2(H5E_DEFAULT);
  if (first.memory) *file->note_starved = true;
  code = thaw_fail(code, "%s: %s%s%s%s%s", file->path, object ? object : "", object ? ": " : "", what,
                   first.reason ? ": " : "", first.reason ? first.reason : "");
  thaw_free(first.reason);
  return code;
}

/* HDF5 prints its error stack by default, and loads filter code that a file asks for: neither is wanted. Nor is its
 * clean-up at exit, which crashes over a file whose closing failed on a full disk (1.10). */
static bool prepare_library(void) {
  H5dont_atexit();
  return H5open() >= 0 && H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0 && H5PLset_loading_state(0) >= 0;
}

static hid_t make_file_access(bool writing) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (access < 0) return access;
  /* The format of new files is pinned, so that a newer library writes the same bytes; that of HDF5 1.8 is the oldest
   * whose metadata carries checksums. */
  H5F_libver_t oldest = writing ? H5F_LIBVER_V18 : H5F_LIBVER_EARLIEST;
  H5F_libver_t newest = writing ? H5F_LIBVER_V18 : H5F_LIBVER_LATEST;
  if (H5Pset_file_locking(access, false, true) < 0 || H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0 ||
      H5Pset_libver_bounds(access, oldest, newest) < 0) {
    H5Pclose(access);
    return H5I_INVALID_HID;
  }
  return access;
}

static thaw_h5 *make_file(const char *path, bool temporary) {
  thaw_h5 *file = thaw_new(1, sizeof *file);
  if (!file) return NULL;
  file->file = file->dataset = H5I_INVALID_HID;
  file->note_starved = &file->starved;
  file->path = thaw_copy_text(path);
  if (temporary) file->temporary = thaw_file_temporary(path);
  if (file->path && (file->temporary || !temporary)) return file;
  thaw_h5_close(file);
  return NULL;
}

/* The system's own reason is clearer than HDF5's. */
static thaw_status check_readable(const thaw_h5 *file) {
  if (thaw_folder_exists(file->path)) return thaw_fail(THAW_ERR_DATA, "%s: is a folder, not a file", file->path);
  int handle = open(file->path, O_RDONLY | O_CLOEXEC);
  if (handle < 0) return thaw_fail(THAW_ERR_DATA, "%s: cannot be read: %s", file->path, strerror(errno));
  close(handle);
  return THAW_OK;
}

static thaw_status open_file(thaw_h5 *file) {
  THAW_TRY(check_readable(file));
  if (H5Fis_hdf5(file->path) <= 0) {
    H5Eclear2(H5E_DEFAULT);
    return thaw_fail(THAW_ERR_DATA, "%s: is not an HDF5 file (%lld bytes)", file->path,
                     (long long)thaw_file_size(file->path));
  }
  hid_t access = make_file_access(false);
  if (access < 0) return thaw_h5_fail(file, THAW_ERR_INTERNAL, NULL, "HDF5 cannot be set up");
  thaw_status status = THAW_OK;
  file->file = H5Fopen(file->path, H5F_ACC_RDONLY, access);
  if (file->file < 0) status = thaw_h5_fail(file, THAW_ERR_DATA, NULL, "cannot be opened as HDF5 (is it complete?)");
  H5Pclose(access); /* last: every successful call clears HDF5's error stack */
  return status;
}

thaw_status thaw_h5_open(const char *path, thaw_h5 **out) {
  THAW_H5_GUARD;
  *out = NULL;
  if (!prepare_library()) return thaw_fail(THAW_ERR_INTERNAL, "%s: HDF5 cannot be set up", path);
  thaw_h5 *file = make_file(path, false);
  if (!file) return THAW_ERR_MEMORY;
  thaw_status status = open_file(file);
  if (status == THAW_OK)
    *out = file;
  else
    thaw_h5_close(file);
  return status;
}

static thaw_status open_image(thaw_h5 *file, const void *data, size_t size) {
  enum { GROWTH = 1 << 16 };
  hid_t access = make_file_access(false);
  void *image = (void *)(uintptr_t)data; /* the library copies it */
  /* The driver refuses a name that a file has, and takes files of one name for the same. */
  char *name = thaw_format("%s:%p", file->path, (void *)file);
  thaw_status status = THAW_OK;
  if (!name)
    status = THAW_ERR_MEMORY;
  else if (access < 0 || H5Pset_fapl_core(access, GROWTH, false) < 0 || H5Pset_file_image(access, image, size) < 0)
    status = thaw_h5_fail(file, THAW_ERR_INTERNAL, NULL, "HDF5 cannot be set up");
  else if ((file->file = H5Fopen(name, H5F_ACC_RDONLY, access)) < 0)
    status = thaw_h5_fail(file, THAW_ERR_DATA, NULL, "cannot be opened as HDF5 (is it complete?)");
  if (access >= 0) H5Pclose(access);
  thaw_free(name);
  return status;
}

thaw_status thaw_h5_open_image(const char *path, const void *data, size_t size, thaw_h5 **out) {
  THAW_H5_GUARD;
  *out = NULL;
  if (!prepare_library()) return thaw_fail(THAW_ERR_INTERNAL, "%s: HDF5 cannot be set up", path);
  thaw_h5 *file = make_file(path, false);
  if (!file) return THAW_ERR_MEMORY;
  thaw_status status = thaw_h5_check_heap_image(file, data, size);
  if (status == THAW_OK) status = open_image(file, data, size);
  if (status == THAW_OK)
    *out = file;
  else
    thaw_h5_close(file);
  return status;
}

static thaw_status create_file(thaw_h5 *file) {
  int handle = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (handle < 0) return thaw_fail(THAW_ERR_DISK, "%s: cannot be created: %s", file->path, strerror(errno));
  close(handle);
  hid_t access = make_file_access(true), creation = thaw_h5_creation_list(H5P_FILE_CREATE);
  thaw_status status = THAW_OK;
  if (access < 0 || creation < 0)
    status = thaw_h5_fail(file, THAW_ERR_INTERNAL, NULL, "HDF5 cannot be set up");
  else if ((file->file = H5Fcreate(file->temporary, H5F_ACC_TRUNC, creation, access)) < 0)
    status = thaw_h5_fail(file, THAW_ERR_DISK, NULL, "cannot be created");
  if (access >= 0) H5Pclose(access);
  if (creation >= 0) H5Pclose(creation);
  return status;
}

thaw_status thaw_h5_create(const char *path, thaw_h5 **out) {
  THAW_H5_GUARD;
  *out = NULL;
  if (!prepare_library()) return thaw_fail(THAW_ERR_INTERNAL, "%s: HDF5 cannot be set up", path);
  thaw_h5 *file = make_file(path, true);
  if (!file) return THAW_ERR_MEMORY;
  thaw_status status = create_file(file);
  if (status == THAW_OK)
    *out = file;
  else
    thaw_h5_close(file);
  return status;
}

static thaw_status rename_file(const char *from, const char *to) {
  if (rename(from, to) == 0) return THAW_OK;
  thaw_status status = thaw_fail(THAW_ERR_DISK, "%s: rename failed: %s", to, strerror(errno));
  unlink(from);
  return status;
}

static thaw_status flush_and_close(thaw_h5 *file) {
  THAW_H5_GUARD;
  thaw_status status = thaw_h5_drop_dataset(file);
  if (status == THAW_OK && file->failed)
    status = thaw_fail(THAW_ERR_DISK, "%s: an earlier write failed, the file is not kept", file->path);
  if (status == THAW_OK && H5Fflush(file->file, H5F_SCOPE_GLOBAL) < 0)
    status = thaw_h5_fail(file, THAW_ERR_DISK, NULL, "write failed");
  herr_t closed = H5Fclose(file->file);
  file->file = H5I_INVALID_HID;
  if (closed < 0 && status == THAW_OK) status = thaw_h5_fail(file, THAW_ERR_DISK, NULL, "close failed");
  return status;
}

/* Putting the file in its place may wait for the disk for long: without the lock, for the library is done with it. */
static thaw_status finish(thaw_h5 *file, thaw_status (*place)(const char *from, const char *to)) {
  if (!file->temporary) {
    thaw_status status = thaw_fail(THAW_ERR_INTERNAL, "%s: was opened for reading, cannot be committed", file->path);
    thaw_h5_close(file);
    return status;
  }
  thaw_status status = flush_and_close(file);
  if (status == THAW_OK) {
    status = place(file->temporary, file->path);
    thaw_free(file->temporary); /* renamed or already removed */
    file->temporary = NULL;
  }
  thaw_h5_close(file);
  return status;
}

thaw_status thaw_h5_commit(thaw_h5 *file) {
  return finish(file, thaw_file_commit);
}

thaw_status thaw_h5_publish(thaw_h5 *file) {
  return finish(file, rename_file);
}

void thaw_h5_close(thaw_h5 *file) {
  THAW_H5_GUARD;
  if (!file) return;
  (void)thaw_h5_drop_dataset(file);
  if (file->file >= 0) H5Fclose(file->file);
  if (file->temporary) unlink(file->temporary);
  H5Eclear2(H5E_DEFAULT);
  thaw_free(file->temporary);
  thaw_free(file->path);
  thaw_free(file);
}

const char *thaw_h5_path(const thaw_h5 *file) {
  return file->path;
}
