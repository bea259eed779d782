/* h5.h: the only door to HDF5 (serial library; one lock lets one thread at a time into it).
 *
 * Reading refuses what an untrusted file could hide: soft and external links, external and virtual datasets, absurd
 * sizes. Every failure names the file, the object and both values. Files are opened without HDF5's file locks, so that
 * two jobs may read one file and NFS works. All functions are [local] and may be called from several threads, but one
 * thaw_h5 is used by one thread at a time.
 * New files use the format of HDF5 1.8, whose metadata is checksummed, without time stamps: same content, same bytes.
 * A limit: HDF5 1.10 may crash, or loop, on damaged files, above all in the heap of variable-length strings, so nothing
 * is kept there that fits elsewhere; a file of unknown origin is first read by a process of its own (cli/quarantine.h).
 */
#ifndef THAW_H5_H
#define THAW_H5_H

#include "thaw/file.h"
#include "thaw/status.h"
#include <stdbool.h>
#include <stdint.h>

enum { THAW_H5_MAX_RANK = 6 };

typedef enum thaw_h5_type {
  THAW_H5_U8,
  THAW_H5_U16,
  THAW_H5_I32,
  THAW_H5_I64,
  THAW_H5_F16, /* in memory uint16_t holding IEEE half precision bits */
  THAW_H5_F32,
  THAW_H5_F64,
  THAW_H5_BF16,   /* found in a file only, as a float or, by h5py, as two opaque bytes; read as F32 */
  THAW_H5_STRING, /* variable or fixed length in the file; in memory thaw_strings */
  THAW_H5_OTHER   /* found in a file, not readable through this module */
} thaw_h5_type;
size_t thaw_h5_type_size(thaw_h5_type type);
const char *thaw_h5_type_name(thaw_h5_type type); /* "uint8", "float32", ... */

typedef struct thaw_h5_info {
  thaw_h5_type type; /* as stored; integers are widened to the next type listed, bool becomes U8 */
  int rank;          /* 0 for a scalar */
  int64_t dim[THAW_H5_MAX_RANK];
  int64_t count; /* product of dim */
} thaw_h5_info;

typedef struct thaw_h5 thaw_h5;

/* Opens an existing file for reading. */
thaw_status thaw_h5_open(const char *path, thaw_h5 **out) THAW_CHECKED;

/* Opens a file that lies in memory (a member of an archive), of which a copy is kept; `path` is for messages. */
thaw_status thaw_h5_open_image(const char *path, const void *data, size_t size, thaw_h5 **out) THAW_CHECKED;

/* Starts a new file under a temporary name beside `path`; thaw_h5_commit makes it appear, whole, under `path`. */
thaw_status thaw_h5_create(const char *path, thaw_h5 **out) THAW_CHECKED;

/* Flush, close, fsync, rename, fsync of the folder; frees `file` also on failure (then the temporary file is gone and
 * `path` is as before). */
thaw_status thaw_h5_commit(thaw_h5 *file) THAW_CHECKED;
/* The same without fsync: whole or absent for other processes and after a kill, but perhaps not after a power cut. For
 * files that prove their own content and can be made anew. */
thaw_status thaw_h5_publish(thaw_h5 *file) THAW_CHECKED;

/* Closes; a created file that was not committed is removed. Accepts NULL. */
void thaw_h5_close(thaw_h5 *file);
const char *thaw_h5_path(const thaw_h5 *file); /* the final path; borrowed */

/* --- looking around; `object` is an absolute path inside the file such as "/block1_conv1/kernel:0" --- */
bool thaw_h5_exists(thaw_h5 *file, const char *object);
bool thaw_h5_is_group(thaw_h5 *file, const char *object);
thaw_status thaw_h5_list(thaw_h5 *file, const char *group, thaw_strings *names_out) THAW_CHECKED; /* sorted by name */
thaw_status thaw_h5_describe(thaw_h5 *file, const char *dataset, thaw_h5_info *out) THAW_CHECKED;

/* [local] THAW_ERR_DATA when variable-length strings lie in a damaged collection, of which the library would not come
 * to an end. A file of up to 4 GiB is looked through once, before the first such string is read, or by this call. */
thaw_status thaw_h5_check_heaps(thaw_h5 *file) THAW_CHECKED;
/* Reads every object, attribute and value once, about `bytes` of values at most, and keeps nothing: what a process of
 * its own does with a file that may be hostile, for the library crashes on some. The status is that of the last object
 * that was read; a tree without end is THAW_ERR_DATA, a value for which the library did not get the memory that it
 * asked for THAW_ERR_MEMORY. */
thaw_status thaw_h5_walk(thaw_h5 *file, int64_t bytes) THAW_CHECKED;

/* --- reading datasets: converted to `type`, row-major; rows are along the first dimension --- */
/* Fails unless the dataset has exactly `count` elements. */
thaw_status thaw_h5_read(thaw_h5 *file, const char *dataset, thaw_h5_type type, int64_t count, void *out) THAW_CHECKED;
thaw_status thaw_h5_read_rows(thaw_h5 *file, const char *dataset, thaw_h5_type type, int64_t first, int64_t rows,
                              void *out) THAW_CHECKED;
thaw_status thaw_h5_read_strings(thaw_h5 *file, const char *dataset, int64_t first, int64_t rows,
                                 thaw_strings *out) THAW_CHECKED;
/* Where a contiguous, unfiltered dataset lies in the file, for mmap; THAW_ERR_DATA when it is not contiguous. */
thaw_status thaw_h5_offset(thaw_h5 *file, const char *dataset, int64_t *offset_out) THAW_CHECKED;

/* --- writing (created files only); missing parent groups are made --- */
typedef struct thaw_h5_layout {
  thaw_h5_type type;
  int rank;
  int64_t dim[THAW_H5_MAX_RANK];
  int64_t chunk_rows; /* 0: contiguous; else chunks of that many rows with the Fletcher32 checksum */
  int deflate;        /* 0 none, 1..9; needs chunk_rows */
} thaw_h5_layout;
thaw_status thaw_h5_create_group(thaw_h5 *file, const char *group) THAW_CHECKED;
thaw_status thaw_h5_create_dataset(thaw_h5 *file, const char *dataset, const thaw_h5_layout *layout) THAW_CHECKED;
thaw_status thaw_h5_write_rows(thaw_h5 *file, const char *dataset, thaw_h5_type type, int64_t first, int64_t rows,
                               const void *data) THAW_CHECKED;
/* Create and write in one call. */
thaw_status thaw_h5_write(thaw_h5 *file, const char *dataset, const thaw_h5_layout *layout,
                          const void *data) THAW_CHECKED;
thaw_status thaw_h5_write_strings(thaw_h5 *file, const char *dataset, const thaw_strings *strings) THAW_CHECKED;

/* --- attributes of a group or dataset ("/" is the root) --- */
bool thaw_h5_has_attribute(thaw_h5 *file, const char *object, const char *name);
thaw_status thaw_h5_get_text(thaw_h5 *file, const char *object, const char *name,
                             char **out) THAW_CHECKED; /* thaw_free */
/* A list of strings as h5py writes it: fixed or variable length; an empty list may be a float attribute of length 0;
 * a list split into name0, name1, ... is joined. */
thaw_status thaw_h5_get_strings(thaw_h5 *file, const char *object, const char *name, thaw_strings *out) THAW_CHECKED;
thaw_status thaw_h5_get_int(thaw_h5 *file, const char *object, const char *name, int64_t *out) THAW_CHECKED;
thaw_status thaw_h5_get_double(thaw_h5 *file, const char *object, const char *name, double *out) THAW_CHECKED;
thaw_status thaw_h5_set_text(thaw_h5 *file, const char *object, const char *name, const char *value) THAW_CHECKED;
/* Fixed-length null-padded ASCII array, split over name0, name1, ... above 64,512 bytes, as Keras' legacy writer does.
 */
thaw_status thaw_h5_set_strings(thaw_h5 *file, const char *object, const char *name,
                                const thaw_strings *value) THAW_CHECKED;
thaw_status thaw_h5_set_int(thaw_h5 *file, const char *object, const char *name, int64_t value) THAW_CHECKED;
thaw_status thaw_h5_set_double(thaw_h5 *file, const char *object, const char *name, double value) THAW_CHECKED;

#endif
