/* h5_private.h: what the files of this folder share. */
#ifndef THAW_H5_PRIVATE_H
#define THAW_H5_PRIVATE_H

#include "thaw/h5.h"

#include <hdf5.h>

struct thaw_h5 {
  hid_t file;
  char *path;      /* as the caller named it */
  char *temporary; /* where a created file is written; NULL for files opened for reading */
  /* The dataset used last stays open: its chunk cache then serves the next rows. */
  char *dataset_name;
  hid_t dataset;
  bool failed;        /* a write was lost: the file cannot be committed */
  bool starved;       /* the library did not get the memory that it asked for */
  bool *note_starved; /* the same, for functions to which the file is const */
  bool heaps_checked;
  int64_t damaged_heap; /* its offset, -1: none was found */
};

/* The serial library is one for the whole process and not thread-safe. Each public function holds the one (recursive)
 * lock from this line to its end. */
#define THAW_H5_GUARD __attribute__((cleanup(thaw_h5_leave))) const int h5_guard = thaw_h5_enter()
int thaw_h5_enter(void);
void thaw_h5_leave(const int *guard);

/* Records "path: object: what: HDF5's own innermost reason"; the object may be NULL. */
thaw_status thaw_h5_fail(const thaw_h5 *file, thaw_status code, const char *object, const char *what);

/* --- objects --- */
/* Opens a group or dataset after checking that every link on the way is a hard link. The caller closes with H5Oclose.
 */
thaw_status thaw_h5_open_object(thaw_h5 *file, const char *object, hid_t *out) THAW_CHECKED;
/* The same for a dataset, checked and kept open in `file`: the handle is borrowed until the next call. */
thaw_status thaw_h5_open_dataset(thaw_h5 *file, const char *dataset, hid_t *out) THAW_CHECKED;
/* Closes the dataset kept open. Chunks still in its cache are written now, which may fail: then the file is marked. */
thaw_status thaw_h5_drop_dataset(thaw_h5 *file);
/* Fills `out` for an open dataset. */
thaw_status thaw_h5_shape(const thaw_h5 *file, const char *name, hid_t dataset, thaw_h5_info *out) THAW_CHECKED;
/* THAW_ERR_DATA when a chunk that holds one of these rows is missing, or lacks the dataset's checksum. */
thaw_status thaw_h5_check_chunks(const thaw_h5 *file, const char *name, hid_t dataset, const thaw_h5_info *info,
                                 int64_t first, int64_t rows) THAW_CHECKED;
/* thaw_h5_check_heaps for an image that is about to be opened. */
thaw_status thaw_h5_check_heap_image(thaw_h5 *file, const void *data, size_t size) THAW_CHECKED;
/* Refuses to write into a file opened for reading. */
thaw_status thaw_h5_check_writable(const thaw_h5 *file, const char *object) THAW_CHECKED;
/* A dataset access list whose chunk cache holds two chunks (at least 1 MiB, at most 64 MiB); H5Pclose it. */
hid_t thaw_h5_access_list(size_t chunk_bytes);
/* A creation list of an HDF5 class, without time stamps: the same content gives the same bytes. */
hid_t thaw_h5_creation_list(hid_t class);

/* --- types --- */
thaw_h5_type thaw_h5_classify(hid_t stored);
/* A little-endian type for memory and file alike; the caller closes it. Not for strings. */
hid_t thaw_h5_make_type(thaw_h5_type type);
hid_t thaw_h5_make_string_type(size_t size_or_variable, H5T_cset_t characters);
/* A fixed-length string of `size` bytes, padded with zeros or spaces, appended as text. */
thaw_status thaw_h5_add_fixed(thaw_strings *out, const char *text, size_t size, H5T_str_t padding) THAW_CHECKED;

#endif
