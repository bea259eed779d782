#include "h5/h5_private.h"
#include "thaw/memory.h"

#include <stdio.h>
#include <string.h>

enum { NAME_LIMIT = 4096 }; /* bytes of an object path */

typedef enum link_kind { LINK_HARD, LINK_MISSING, LINK_REFUSED, LINK_UNREADABLE } link_kind;

static link_kind check_link(hid_t file, const char *path) {
  htri_t exists = H5Lexists(file, path, H5P_DEFAULT);
  if (exists < 0) return LINK_UNREADABLE;
  if (exists == 0) return LINK_MISSING;
  H5L_info_t info;
  if (H5Lget_info(file, path, &info, H5P_DEFAULT) < 0) return LINK_UNREADABLE;
  return info.type == H5L_TYPE_HARD ? LINK_HARD : LINK_REFUSED;
}

/* Follows `object` part by part: a soft or external link anywhere could lead out of the file, and HDF5 would follow it
 * silently. `reached` gets the path up to the part that decided. */
static link_kind walk(const thaw_h5 *file, const char *object, char reached[NAME_LIMIT]) {
  size_t length = strlen(object);
  snprintf(reached, NAME_LIMIT, "%s", object);
  if (object[0] != '/' || length >= NAME_LIMIT) return LINK_MISSING;
  for (size_t at = 1; at < length; at++) {
    if (object[at] == '/' || object[at - 1] != '/') continue;
    size_t end = at + strcspn(object + at, "/");
    reached[end] = 0;
    link_kind kind = check_link(file->file, reached);
    if (kind != LINK_HARD) return kind;
    reached[end] = object[end];
  }
  return LINK_HARD;
}

thaw_status thaw_h5_open_object(thaw_h5 *file, const char *object, hid_t *out) {
  char reached[NAME_LIMIT];
  switch (walk(file, object, reached)) {
  case LINK_HARD:
    break;
  case LINK_MISSING:
    H5Eclear2(H5E_DEFAULT);
    return thaw_fail(THAW_ERR_DATA, "%s: has no %s", file->path, reached);
  case LINK_REFUSED:
    return thaw_fail(THAW_ERR_DATA, "%s: %s is a soft, external or user-defined link, which is refused", file->path,
                     reached);
  case LINK_UNREADABLE:
    return thaw_h5_fail(file, THAW_ERR_DATA, reached, "cannot be read");
  }
  *out = H5Oopen(file->file, object, H5P_DEFAULT);
  if (*out < 0) return thaw_h5_fail(file, THAW_ERR_DATA, object, "cannot be opened");
  return THAW_OK;
}

static H5I_type_t kind_of(thaw_h5 *file, const char *object) {
  char reached[NAME_LIMIT];
  H5I_type_t kind = H5I_BADID;
  if (walk(file, object, reached) == LINK_HARD) {
    hid_t id = H5Oopen(file->file, object, H5P_DEFAULT);
    if (id >= 0) {
      kind = H5Iget_type(id);
      H5Oclose(id);
    }
  }
  H5Eclear2(H5E_DEFAULT);
  return kind;
}

bool thaw_h5_exists(thaw_h5 *file, const char *object) {
  THAW_H5_GUARD;
  return kind_of(file, object) != H5I_BADID;
}

bool thaw_h5_is_group(thaw_h5 *file, const char *object) {
  THAW_H5_GUARD;
  return kind_of(file, object) == H5I_GROUP;
}

typedef struct name_list {
  thaw_strings *names;
  thaw_status status;
} name_list;

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *data) {
  (void)group, (void)info;
  name_list *list = data;
  list->status = thaw_strings_add(list->names, name);
  return list->status == THAW_OK ? 0 : -1;
}

thaw_status thaw_h5_list(thaw_h5 *file, const char *group, thaw_strings *names_out) {
  THAW_H5_GUARD;
  hid_t id;
  THAW_TRY(thaw_h5_open_object(file, group, &id));
  name_list list = {names_out, THAW_OK};
  thaw_status status = THAW_OK;
  if (H5Iget_type(id) != H5I_GROUP)
    status = thaw_fail(THAW_ERR_DATA, "%s: %s is a dataset, expected a group", file->path, group);
  else if (H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, &list) < 0)
    status = list.status != THAW_OK ? list.status : thaw_h5_fail(file, THAW_ERR_DATA, group, "cannot be listed");
  H5Oclose(id);
  return status;
}

thaw_status thaw_h5_drop_dataset(thaw_h5 *file) {
  thaw_status status = THAW_OK;
  if (file->dataset >= 0 && H5Dclose(file->dataset) < 0) {
    status = thaw_h5_fail(file, file->temporary ? THAW_ERR_DISK : THAW_ERR_DATA, file->dataset_name, "write failed");
    file->failed = true;
  }
  file->dataset = H5I_INVALID_HID;
  thaw_free(file->dataset_name);
  file->dataset_name = NULL;
  return status;
}

hid_t thaw_h5_access_list(size_t chunk_bytes) {
  size_t bytes = 2 * chunk_bytes, least = (size_t)1 << 20, most = (size_t)64 << 20;
  hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
  if (bytes < least || chunk_bytes > most) bytes = least;
  if (bytes > most) bytes = most;
  if (access >= 0) H5Pset_chunk_cache(access, 521, bytes, 1.0);
  return access;
}

/* A declared size may be far larger than what the file holds; this is the rule Keras applies too. */
static thaw_status check_size(const thaw_h5 *file, const char *name, hid_t dataset, const thaw_h5_info *info) {
  hid_t type = H5Dget_type(dataset);
  int64_t stored = (int64_t)H5Dget_storage_size(dataset), width = type >= 0 ? (int64_t)H5Tget_size(type) : 0;
  if (type >= 0) H5Tclose(type);
  if (width && info->count > ((int64_t)4 << 30) / width && info->count / 1000 > stored / width)
    return thaw_fail(THAW_ERR_DATA, "%s: %s declares %lld values but only %lld bytes are stored", file->path, name,
                     (long long)info->count, (long long)stored);
  return THAW_OK;
}

static thaw_status check_layout(const thaw_h5 *file, const char *name, hid_t list, size_t *chunk_bytes) {
  H5D_layout_t layout = H5Pget_layout(list);
  hsize_t chunk[THAW_H5_MAX_RANK];
  int rank;
  *chunk_bytes = 0;
  if (H5Pget_external_count(list) != 0)
    return thaw_fail(THAW_ERR_DATA, "%s: %s keeps its data in other files, which is refused", file->path, name);
  if (layout == H5D_VIRTUAL)
    return thaw_fail(THAW_ERR_DATA, "%s: %s is a virtual dataset, which is refused", file->path, name);
  if (layout < 0) return thaw_h5_fail(file, THAW_ERR_DATA, name, "cannot be read");
  if (layout == H5D_CHUNKED && (rank = H5Pget_chunk(list, THAW_H5_MAX_RANK, chunk)) > 0) {
    *chunk_bytes = 1;
    for (int i = 0; i < rank && i < THAW_H5_MAX_RANK; i++) *chunk_bytes *= (size_t)chunk[i]; /* below 4 GiB by format */
  }
  return THAW_OK;
}

static thaw_status check_dataset(const thaw_h5 *file, const char *name, hid_t dataset, size_t *chunk_bytes) {
  thaw_h5_info info;
  hid_t list = H5Dget_create_plist(dataset);
  if (list < 0) return thaw_h5_fail(file, THAW_ERR_DATA, name, "cannot be read");
  thaw_status status = check_layout(file, name, list, chunk_bytes);
  H5Pclose(list);
  THAW_TRY(status);
  THAW_TRY(thaw_h5_shape(file, name, dataset, &info));
  *chunk_bytes *= info.type == THAW_H5_STRING ? 16 : thaw_h5_type_size(info.type);
  return check_size(file, name, dataset, &info);
}

thaw_status thaw_h5_open_dataset(thaw_h5 *file, const char *dataset, hid_t *out) {
  if (!file->dataset_name || strcmp(file->dataset_name, dataset) != 0) {
    THAW_TRY(thaw_h5_drop_dataset(file));
    hid_t id;
    size_t chunk_bytes = 0;
    THAW_TRY(thaw_h5_open_object(file, dataset, &id));
    thaw_status status = THAW_OK;
    if (H5Iget_type(id) != H5I_DATASET)
      status = thaw_fail(THAW_ERR_DATA, "%s: %s is a group, expected a dataset", file->path, dataset);
    else
      status = check_dataset(file, dataset, id, &chunk_bytes);
    H5Oclose(id);
    THAW_TRY(status);
    hid_t access = thaw_h5_access_list(chunk_bytes);
    file->dataset = H5Dopen2(file->file, dataset, access);
    if (file->dataset < 0) status = thaw_h5_fail(file, THAW_ERR_DATA, dataset, "cannot be opened");
    if (access >= 0) H5Pclose(access);
    THAW_TRY(status);
    file->dataset_name = thaw_copy_text(dataset);
    if (!file->dataset_name) {
      (void)thaw_h5_drop_dataset(file);
      return THAW_ERR_MEMORY;
    }
  }
  *out = file->dataset;
  return THAW_OK;
}

static thaw_status fill_shape(const thaw_h5 *file, const char *name, hid_t space, thaw_h5_info *out) {
  hsize_t dim[THAW_H5_MAX_RANK];
  int rank = H5Sget_simple_extent_ndims(space);
  if (rank > THAW_H5_MAX_RANK)
    return thaw_fail(THAW_ERR_DATA, "%s: %s has %d dimensions, at most %d can be read", file->path, name, rank,
                     THAW_H5_MAX_RANK);
  if (rank < 0 || H5Sget_simple_extent_dims(space, dim, NULL) < 0)
    return thaw_h5_fail(file, THAW_ERR_DATA, name, "has no readable shape");
  out->rank = rank;
  out->count = H5Sget_simple_extent_type(space) == H5S_NULL ? 0 : 1;
  for (int i = 0; i < rank; i++) {
    if (dim[i] > INT64_MAX / 16 || __builtin_mul_overflow(out->count, (int64_t)dim[i], &out->count) ||
        out->count > INT64_MAX / 16)
      return thaw_fail(THAW_ERR_DATA, "%s: %s is absurdly large", file->path, name);
    out->dim[i] = (int64_t)dim[i];
  }
  return THAW_OK;
}

thaw_status thaw_h5_shape(const thaw_h5 *file, const char *name, hid_t dataset, thaw_h5_info *out) {
  *out = (thaw_h5_info){.type = THAW_H5_OTHER};
  hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
  thaw_status status = THAW_OK;
  if (space < 0 || type < 0) {
    status = thaw_h5_fail(file, THAW_ERR_DATA, name, "cannot be read");
  } else {
    out->type = thaw_h5_classify(type);
    status = fill_shape(file, name, space, out);
  }
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  return status;
}

thaw_status thaw_h5_describe(thaw_h5 *file, const char *dataset, thaw_h5_info *out) {
  THAW_H5_GUARD;
  hid_t id;
  *out = (thaw_h5_info){.type = THAW_H5_OTHER};
  THAW_TRY(thaw_h5_open_dataset(file, dataset, &id));
  return thaw_h5_shape(file, dataset, id, out);
}

thaw_status thaw_h5_check_writable(const thaw_h5 *file, const char *object) {
  if (file->temporary) return THAW_OK;
  return thaw_fail(THAW_ERR_INTERNAL, "%s: %s: the file was opened for reading", file->path, object);
}
