#include "h5/h5_private.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <string.h>

enum { STRING_LIMIT = 1 << 20 }; /* bytes of one fixed-length string */

static bool is_integer(thaw_h5_type type) {
  return type == THAW_H5_U8 || type == THAW_H5_U16 || type == THAW_H5_I32 || type == THAW_H5_I64;
}

/* HDF5 would clip values that do not fit; a clipped label is a wrong label. Floats may overflow to infinity. */
static H5T_conv_ret_t refuse_overflow(H5T_conv_except_t what, hid_t source, hid_t target, void *from, void *to,
                                      void *data) {
  (void)source, (void)from, (void)to, (void)data;
  bool overflow = what == H5T_CONV_EXCEPT_RANGE_HI || what == H5T_CONV_EXCEPT_RANGE_LOW;
  return overflow && H5Tget_class(target) == H5T_INTEGER ? H5T_CONV_ABORT : H5T_CONV_UNHANDLED;
}

static thaw_status check_conversion(const thaw_h5 *file, const char *name, thaw_h5_type stored, thaw_h5_type wanted) {
  size_t width = thaw_h5_type_size(wanted);
  if (stored == THAW_H5_BF16 && wanted == THAW_H5_F32) return THAW_OK;
  if (stored == THAW_H5_BF16) width = 0;
  if (width && thaw_h5_type_size(stored) && (is_integer(stored) || !is_integer(wanted))) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: %s holds %s, expected %s", file->path, name, thaw_h5_type_name(stored),
                   thaw_h5_type_name(wanted));
}

/* Reads (out) or checks the bounds of rows [first, first + rows): the file space with that selection. */
static thaw_status select_rows(const thaw_h5 *file, const char *name, hid_t dataset, const thaw_h5_info *info,
                               int64_t first, int64_t rows, hid_t *out) {
  if (info->rank < 1) return thaw_fail(THAW_ERR_DATA, "%s: %s is a single value, expected rows", file->path, name);
  if (first < 0 || rows < 0 || first > info->dim[0] - rows)
    return thaw_fail(THAW_ERR_DATA, "%s: %s has %lld rows, rows %lld to %lld were asked for", file->path, name,
                     (long long)info->dim[0], (long long)first, (long long)(first + rows));
  THAW_TRY(thaw_h5_check_chunks(file, name, dataset, info, first, rows));
  hsize_t start[THAW_H5_MAX_RANK] = {(hsize_t)first}, size[THAW_H5_MAX_RANK] = {(hsize_t)rows};
  for (int i = 1; i < info->rank; i++) size[i] = (hsize_t)info->dim[i];
  *out = H5Dget_space(dataset);
  if (*out >= 0 && H5Sselect_hyperslab(*out, H5S_SELECT_SET, start, NULL, size, NULL) >= 0) return THAW_OK;
  if (*out >= 0) H5Sclose(*out);
  return thaw_h5_fail(file, THAW_ERR_INTERNAL, name, "rows cannot be selected");
}

/* The selected block as a space of its own, of the same rank: between spaces of different rank HDF5 walks through the
 * elements one by one (some 30 times slower). */
static hid_t memory_space(hid_t space) {
  hsize_t low[H5S_MAX_RANK], high[H5S_MAX_RANK];
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank <= 0) return rank < 0 ? -1 : H5Screate(H5S_SCALAR);
  if (H5Sget_select_bounds(space, low, high) < 0) return -1;
  for (int i = 0; i < rank; i++) high[i] = high[i] - low[i] + 1;
  return H5Screate_simple(rank, high, NULL);
}

/* bfloat16 is the upper half of float32. The halves are read into the upper end of `out`, as the file has them, and
 * spread from there. */
static thaw_status read_bfloat16(const thaw_h5 *file, const char *name, hid_t dataset, hid_t memory, hid_t space,
                                 float *out) {
  size_t count = (size_t)H5Sget_select_npoints(space);
  hid_t stored = H5Dget_type(dataset);
  uint16_t *half = (uint16_t *)(void *)out + count;
  thaw_status status = THAW_OK;
  if (stored < 0 || H5Tget_size(stored) != sizeof *half ||
      H5Dread(dataset, stored, memory, space, H5P_DEFAULT, half) < 0)
    status = thaw_h5_fail(file, THAW_ERR_DATA, name, "cannot be read");
  if (stored >= 0) H5Tclose(stored);
  for (size_t i = 0; i < count && status == THAW_OK; i++) {
    uint16_t bits;
    memcpy(&bits, half + i, sizeof bits);
    const uint32_t wide = (uint32_t)bits << 16;
    memcpy(out + i, &wide, sizeof wide);
  }
  return status;
}

/* Reads the block that is selected in `space` into `out`. */
static thaw_status read_selected(const thaw_h5 *file, const char *name, hid_t dataset, hid_t space, thaw_h5_type stored,
                                 thaw_h5_type type, void *out) {
  hid_t memory = memory_space(space), wanted = thaw_h5_make_type(type), transfer = H5Pcreate(H5P_DATASET_XFER);
  thaw_status status = THAW_OK;
  if (stored == THAW_H5_BF16 && memory >= 0)
    status = read_bfloat16(file, name, dataset, memory, space, out);
  else if (memory < 0 || wanted < 0 || transfer < 0 || H5Pset_type_conv_cb(transfer, refuse_overflow, NULL) < 0)
    status = thaw_h5_fail(file, THAW_ERR_INTERNAL, name, "HDF5 cannot be set up");
  else if (H5Dread(dataset, wanted, memory, space, transfer, out) < 0)
    status = thaw_h5_fail(file, THAW_ERR_DATA, name, "cannot be read");
  if (memory >= 0) H5Sclose(memory);
  if (wanted >= 0) H5Tclose(wanted);
  if (transfer >= 0) H5Pclose(transfer);
  return status;
}

thaw_status thaw_h5_read(thaw_h5 *file, const char *dataset, thaw_h5_type type, int64_t count, void *out) {
  THAW_H5_GUARD;
  hid_t id;
  thaw_h5_info info;
  THAW_TRY(thaw_h5_open_dataset(file, dataset, &id));
  THAW_TRY(thaw_h5_shape(file, dataset, id, &info));
  THAW_TRY(check_conversion(file, dataset, info.type, type));
  if (info.count != count)
    return thaw_fail(THAW_ERR_DATA, "%s: %s holds %lld values, expected %lld", file->path, dataset,
                     (long long)info.count, (long long)count);
  if (count == 0) return THAW_OK;
  THAW_TRY(thaw_h5_check_chunks(file, dataset, id, &info, 0, info.dim[0]));
  hid_t space = H5Dget_space(id);
  if (space < 0) return thaw_h5_fail(file, THAW_ERR_DATA, dataset, "cannot be read");
  thaw_status status = read_selected(file, dataset, id, space, info.type, type, out);
  H5Sclose(space);
  return status;
}

thaw_status thaw_h5_read_rows(thaw_h5 *file, const char *dataset, thaw_h5_type type, int64_t first, int64_t rows,
                              void *out) {
  THAW_H5_GUARD;
  hid_t id, space;
  thaw_h5_info info;
  THAW_TRY(thaw_h5_open_dataset(file, dataset, &id));
  THAW_TRY(thaw_h5_shape(file, dataset, id, &info));
  THAW_TRY(check_conversion(file, dataset, info.type, type));
  THAW_TRY(select_rows(file, dataset, id, &info, first, rows, &space));
  thaw_status status = THAW_OK;
  if (rows && info.count) status = read_selected(file, dataset, id, space, info.type, type, out);
  H5Sclose(space);
  return status;
}

static thaw_status read_variable(thaw_h5 *file, const char *name, hid_t dataset, hid_t stored, hid_t space,
                                 int64_t rows, thaw_strings *out) {
  THAW_TRY(thaw_h5_check_heaps(file));
  hsize_t size = (hsize_t)rows;
  hid_t memory = H5Screate_simple(1, &size, NULL), type = thaw_h5_make_string_type(H5T_VARIABLE, H5Tget_cset(stored));
  char **text = thaw_new((size_t)rows, sizeof *text);
  thaw_status status = text ? THAW_OK : THAW_ERR_MEMORY;
  if (text && H5Dread(dataset, type, memory, space, H5P_DEFAULT, text) < 0)
    status = thaw_h5_fail(file, THAW_ERR_DATA, name, "cannot be read");
  for (int64_t i = 0; text && i < rows && status == THAW_OK; i++)
    status = thaw_strings_add(out, text[i] ? text[i] : "");
  if (text) H5Dvlen_reclaim(type, memory, H5P_DEFAULT, text);
  thaw_free(text);
  H5Sclose(memory);
  H5Tclose(type);
  return status;
}

static thaw_status read_fixed(const thaw_h5 *file, const char *name, hid_t dataset, hid_t stored, hid_t space,
                              int64_t rows, thaw_strings *out) {
  hsize_t size = (hsize_t)rows;
  size_t width = H5Tget_size(stored);
  if (width == 0 || width > STRING_LIMIT)
    return thaw_fail(THAW_ERR_DATA, "%s: %s holds strings of %zu bytes, at most %d can be read", file->path, name,
                     width, STRING_LIMIT);
  char *text = thaw_new((size_t)rows, width);
  if (!text) return THAW_ERR_MEMORY;
  hid_t memory = H5Screate_simple(1, &size, NULL);
  thaw_status status = THAW_OK;
  if (H5Dread(dataset, stored, memory, space, H5P_DEFAULT, text) < 0)
    status = thaw_h5_fail(file, THAW_ERR_DATA, name, "cannot be read");
  for (int64_t i = 0; i < rows && status == THAW_OK; i++)
    status = thaw_h5_add_fixed(out, text + (size_t)i * width, width, H5Tget_strpad(stored));
  thaw_free(text);
  H5Sclose(memory);
  return status;
}

thaw_status thaw_h5_read_strings(thaw_h5 *file, const char *dataset, int64_t first, int64_t rows, thaw_strings *out) {
  THAW_H5_GUARD;
  hid_t id, space;
  thaw_h5_info info;
  THAW_TRY(thaw_h5_open_dataset(file, dataset, &id));
  THAW_TRY(thaw_h5_shape(file, dataset, id, &info));
  if (info.type != THAW_H5_STRING || info.rank != 1)
    return thaw_fail(THAW_ERR_DATA, "%s: %s holds %s in %d dimensions, expected strings in one", file->path, dataset,
                     thaw_h5_type_name(info.type), info.rank);
  THAW_TRY(select_rows(file, dataset, id, &info, first, rows, &space));
  thaw_status status = THAW_OK;
  hid_t stored = H5Dget_type(id);
  if (stored < 0)
    status = thaw_h5_fail(file, THAW_ERR_DATA, dataset, "cannot be read");
  else if (rows)
    status = H5Tis_variable_str(stored) > 0 ? read_variable(file, dataset, id, stored, space, rows, out)
                                            : read_fixed(file, dataset, id, stored, space, rows, out);
  if (stored >= 0) H5Tclose(stored);
  H5Sclose(space);
  return status;
}

/* Whether the bytes in the file are already what memory wants. */
static bool is_native(hid_t dataset, thaw_h5_type type) {
  hid_t stored = H5Dget_type(dataset), wanted = thaw_h5_make_type(type);
  bool same = stored >= 0 && wanted >= 0 && H5Tequal(stored, wanted) > 0;
  if (stored >= 0) H5Tclose(stored);
  if (wanted >= 0) H5Tclose(wanted);
  return same;
}

thaw_status thaw_h5_offset(thaw_h5 *file, const char *dataset, int64_t *offset_out) {
  THAW_H5_GUARD;
  hid_t id;
  thaw_h5_info info;
  THAW_TRY(thaw_h5_open_dataset(file, dataset, &id));
  THAW_TRY(thaw_h5_shape(file, dataset, id, &info));
  hid_t list = H5Dget_create_plist(id);
  bool contiguous = list >= 0 && H5Pget_layout(list) == H5D_CONTIGUOUS;
  if (list >= 0) H5Pclose(list);
  haddr_t offset = contiguous && is_native(id, info.type) ? H5Dget_offset(id) : HADDR_UNDEF;
  H5Eclear2(H5E_DEFAULT);
  if (offset == HADDR_UNDEF)
    return thaw_fail(THAW_ERR_DATA, "%s: %s is not stored as one plain block of %s", file->path, dataset,
                     thaw_h5_type_name(info.type));
  int64_t bytes = info.count * (int64_t)thaw_h5_type_size(info.type), size = thaw_file_size(file->path);
  if (offset > INT64_MAX / 2 || (int64_t)offset > size - bytes)
    return thaw_fail(THAW_ERR_DATA, "%s: %s ends at byte %lld, the file has %lld", file->path, dataset,
                     (long long)((int64_t)offset + bytes), (long long)size);
  *offset_out = (int64_t)offset;
  return THAW_OK;
}
