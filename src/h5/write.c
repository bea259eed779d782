#include "h5/h5_private.h"
#include "thaw/memory.h"

#include <stdio.h>
#include <string.h>

enum { STRING_CHUNK_ROWS = 1024, STRING_WIDTH_LIMIT = 1 << 16 };

hid_t thaw_h5_creation_list(hid_t class) {
  hid_t list = H5Pcreate(class);
  if (list >= 0) H5Pset_obj_track_times(list, false);
  return list;
}

static thaw_status create_one_group(thaw_h5 *file, const char *group) {
  htri_t exists = H5Lexists(file->file, group, H5P_DEFAULT);
  if (exists > 0) return THAW_OK;
  hid_t list = thaw_h5_creation_list(H5P_GROUP_CREATE);
  hid_t id = list >= 0 ? H5Gcreate2(file->file, group, H5P_DEFAULT, list, H5P_DEFAULT) : H5I_INVALID_HID;
  if (list >= 0) H5Pclose(list);
  if (id < 0) return thaw_h5_fail(file, THAW_ERR_DISK, group, "the group cannot be created");
  H5Gclose(id);
  return THAW_OK;
}

/* Creates the groups on the way to the last part of `object`, and that part too if `whole`. */
static thaw_status create_groups(thaw_h5 *file, const char *object, bool whole) {
  if (object[0] != '/') return thaw_fail(THAW_ERR_INTERNAL, "%s: '%s' does not start with a slash", file->path, object);
  char *partial = thaw_copy_text(object);
  if (!partial) return THAW_ERR_MEMORY;
  thaw_status status = THAW_OK;
  for (char *at = partial + 1; *partial && status == THAW_OK; at++) {
    char end = *at;
    if (end && end != '/') continue;
    if (!end && !whole) break;
    *at = 0;
    if (at[-1] && at[-1] != '/') status = create_one_group(file, partial);
    *at = end;
    if (!end) break;
  }
  thaw_free(partial);
  return status;
}

thaw_status thaw_h5_create_group(thaw_h5 *file, const char *group) {
  THAW_H5_GUARD;
  THAW_TRY(thaw_h5_check_writable(file, group));
  return create_groups(file, group, true);
}

/* Chunks are whole rows; a dataset without values cannot be chunked. Returns the bytes of a chunk through `bytes`. */
static thaw_status set_chunks(const thaw_h5 *file, const char *name, hid_t list, size_t width,
                              const thaw_h5_layout *layout, size_t *bytes) {
  hsize_t chunk[THAW_H5_MAX_RANK];
  double size = (double)width;
  *bytes = 0;
  for (int i = 0; i < layout->rank; i++) {
    int64_t extent = i == 0 && layout->chunk_rows < layout->dim[0] ? layout->chunk_rows : layout->dim[i];
    chunk[i] = (hsize_t)extent;
    size *= (double)extent;
  }
  if (layout->chunk_rows == 0 || layout->rank == 0 || size == 0) return THAW_OK;
  if (size >= 4294967296.0)
    return thaw_fail(THAW_ERR_INTERNAL, "%s: %s: a chunk of %.0f bytes, HDF5 allows 4 GiB", file->path, name, size);
  if (H5Pset_chunk(list, layout->rank, chunk) < 0 ||
      (layout->deflate &&
       ((width > 1 && H5Pset_shuffle(list) < 0) || H5Pset_deflate(list, (unsigned)layout->deflate) < 0)) ||
      H5Pset_fletcher32(list) < 0)
    return thaw_h5_fail(file, THAW_ERR_INTERNAL, name, "the layout cannot be set");
  *bytes = (size_t)size;
  return THAW_OK;
}

/* Creates the dataset with the stored type `type` and keeps it open in `file`. */
static thaw_status create_typed(thaw_h5 *file, const char *name, hid_t type, const thaw_h5_layout *layout) {
  hsize_t dim[THAW_H5_MAX_RANK] = {0};
  for (int i = 0; i < layout->rank; i++) dim[i] = (hsize_t)layout->dim[i];
  size_t bytes = 0;
  hid_t list = thaw_h5_creation_list(H5P_DATASET_CREATE), access = H5I_INVALID_HID;
  hid_t space = layout->rank ? H5Screate_simple(layout->rank, dim, NULL) : H5Screate(H5S_SCALAR);
  thaw_status status = THAW_OK;
  if (list < 0 || space < 0)
    status = thaw_h5_fail(file, THAW_ERR_INTERNAL, name, "HDF5 cannot be set up");
  else
    status = set_chunks(file, name, list, H5Tget_size(type), layout, &bytes);
  if (status == THAW_OK) {
    access = thaw_h5_access_list(bytes);
    file->dataset = H5Dcreate2(file->file, name, type, space, H5P_DEFAULT, list, access);
    if (file->dataset < 0) status = thaw_h5_fail(file, THAW_ERR_DISK, name, "cannot be created");
  }
  if (access >= 0) H5Pclose(access);
  if (list >= 0) H5Pclose(list);
  if (space >= 0) H5Sclose(space);
  THAW_TRY(status);
  file->dataset_name = thaw_copy_text(name);
  if (file->dataset_name) return THAW_OK;
  (void)thaw_h5_drop_dataset(file);
  return THAW_ERR_MEMORY;
}

static thaw_status check_new(thaw_h5 *file, const char *name, const thaw_h5_layout *layout) {
  THAW_TRY(thaw_h5_check_writable(file, name));
  bool sound = layout->rank >= 0 && layout->rank <= THAW_H5_MAX_RANK && layout->chunk_rows >= 0 &&
               layout->deflate >= 0 && layout->deflate <= 9;
  for (int i = 0; sound && i < layout->rank; i++) sound = layout->dim[i] >= 0;
  if (!sound) return thaw_fail(THAW_ERR_INTERNAL, "%s: %s: impossible layout", file->path, name);
  THAW_TRY(thaw_h5_drop_dataset(file));
  THAW_TRY(create_groups(file, name, false));
  if (H5Lexists(file->file, name, H5P_DEFAULT) > 0)
    return thaw_fail(THAW_ERR_INTERNAL, "%s: %s was already written", file->path, name);
  return THAW_OK;
}

thaw_status thaw_h5_create_dataset(thaw_h5 *file, const char *dataset, const thaw_h5_layout *layout) {
  THAW_H5_GUARD;
  THAW_TRY(check_new(file, dataset, layout));
  hid_t type = thaw_h5_make_type(layout->type);
  if (type < 0)
    return thaw_fail(THAW_ERR_INTERNAL, "%s: %s: %s cannot be written this way", file->path, dataset,
                     thaw_h5_type_name(layout->type));
  thaw_status status = create_typed(file, dataset, type, layout);
  H5Tclose(type);
  return status;
}

static thaw_status write_selected(const thaw_h5 *file, const char *name, hid_t dataset, hid_t type, int64_t first,
                                  int64_t rows, const thaw_h5_info *info, const void *data) {
  hsize_t start[THAW_H5_MAX_RANK] = {(hsize_t)first}, size[THAW_H5_MAX_RANK] = {(hsize_t)rows};
  for (int i = 1; i < info->rank; i++) size[i] = (hsize_t)info->dim[i];
  hid_t space = H5Dget_space(dataset),
        memory = info->rank ? H5Screate_simple(info->rank, size, NULL) : H5Screate(H5S_SCALAR);
  thaw_status status = THAW_OK;
  if (space < 0 || memory < 0 ||
      (info->rank && H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) < 0))
    status = thaw_h5_fail(file, THAW_ERR_INTERNAL, name, "rows cannot be selected");
  else if (H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, data) < 0)
    status = thaw_h5_fail(file, THAW_ERR_DISK, name, "write failed");
  if (space >= 0) H5Sclose(space);
  if (memory >= 0) H5Sclose(memory);
  return status;
}

thaw_status thaw_h5_write_rows(thaw_h5 *file, const char *dataset, thaw_h5_type type, int64_t first, int64_t rows,
                               const void *data) {
  THAW_H5_GUARD;
  hid_t id;
  thaw_h5_info info;
  THAW_TRY(thaw_h5_check_writable(file, dataset));
  THAW_TRY(thaw_h5_open_dataset(file, dataset, &id));
  THAW_TRY(thaw_h5_shape(file, dataset, id, &info));
  int64_t limit = info.rank ? info.dim[0] : 1;
  if (first < 0 || rows < 0 || first > limit - rows)
    return thaw_fail(THAW_ERR_INTERNAL, "%s: %s has %lld rows, rows %lld to %lld were to be written", file->path,
                     dataset, (long long)limit, (long long)first, (long long)(first + rows));
  if (rows == 0 || info.count == 0) return THAW_OK;
  hid_t memory = thaw_h5_make_type(type);
  if (memory < 0)
    return thaw_fail(THAW_ERR_INTERNAL, "%s: %s: %s cannot be written this way", file->path, dataset,
                     thaw_h5_type_name(type));
  thaw_status status = write_selected(file, dataset, id, memory, first, rows, &info, data);
  H5Tclose(memory);
  return status;
}

thaw_status thaw_h5_write(thaw_h5 *file, const char *dataset, const thaw_h5_layout *layout, const void *data) {
  THAW_H5_GUARD;
  THAW_TRY(thaw_h5_create_dataset(file, dataset, layout));
  return thaw_h5_write_rows(file, dataset, layout->type, 0, layout->rank ? layout->dim[0] : 1, data);
}

/* One block of `count` strings of `width` bytes each, padded with zeros. */
static char *pad_strings(const thaw_strings *strings, size_t width) {
  char *block = thaw_new(strings->count, width);
  for (size_t i = 0; block && i < strings->count; i++)
    memcpy(block + i * width, strings->item[i], strlen(strings->item[i]));
  return block;
}

/* Fixed-length strings in checksummed chunks: they compress, and their bytes depend on nothing but their content. */
thaw_status thaw_h5_write_strings(thaw_h5 *file, const char *dataset, const thaw_strings *strings) {
  THAW_H5_GUARD;
  thaw_h5_layout layout = {.type = THAW_H5_STRING, .rank = 1, .dim = {(int64_t)strings->count}};
  thaw_h5_info info = {.rank = 1, .dim = {layout.dim[0]}, .count = layout.dim[0]};
  layout.chunk_rows = STRING_CHUNK_ROWS;
  THAW_TRY(check_new(file, dataset, &layout));
  size_t width = 1;
  for (size_t i = 0; i < strings->count; i++)
    if (strlen(strings->item[i]) > width) width = strlen(strings->item[i]);
  if (width > STRING_WIDTH_LIMIT)
    return thaw_fail(THAW_ERR_INTERNAL, "%s: %s: a string of %zu bytes, at most %d are written", file->path, dataset,
                     width, STRING_WIDTH_LIMIT);
  char *block = pad_strings(strings, width);
  if (!block) return THAW_ERR_MEMORY;
  hid_t type = thaw_h5_make_string_type(width, H5T_CSET_UTF8);
  thaw_status status = type < 0 ? thaw_h5_fail(file, THAW_ERR_INTERNAL, dataset, "HDF5 cannot be set up")
                                : create_typed(file, dataset, type, &layout);
  if (status == THAW_OK && strings->count)
    status = write_selected(file, dataset, file->dataset, type, 0, layout.dim[0], &info, block);
  if (type >= 0) H5Tclose(type);
  thaw_free(block);
  return status;
}
