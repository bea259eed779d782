#include "h5/h5_private.h"
#include "thaw/memory.h"

#include <string.h>

enum {
  TEXT_LIMIT = 256 << 20, /* bytes of one attribute, when reading */
  SHORT_TEXT = 16384,     /* longer text is written as a variable-length string */
  HEADER_LIMIT = 64512    /* bytes of one attribute, when writing; Keras' HDF5_OBJECT_HEADER_LIMIT */
};

typedef struct attribute {
  hid_t object, id, type, space;
  int64_t count; /* 0 for an empty or null dataspace */
} attribute;

static void close_attribute(attribute *at) {
  if (at->space >= 0) H5Sclose(at->space);
  if (at->type >= 0) H5Tclose(at->type);
  if (at->id >= 0) H5Aclose(at->id);
  if (at->object >= 0) H5Oclose(at->object);
}

static thaw_status fail_attribute(const thaw_h5 *file, thaw_status code, const char *object, const char *name,
                                  const char *what) {
  char *full = thaw_format("attribute '%s' of %s", name, object);
  code = thaw_h5_fail(file, code, full ? full : name, what);
  thaw_free(full);
  return code;
}

/* On failure nothing stays open. */
static thaw_status open_attribute(thaw_h5 *file, const char *object, const char *name, attribute *out) {
  *out = (attribute){H5I_INVALID_HID, H5I_INVALID_HID, H5I_INVALID_HID, H5I_INVALID_HID, 0};
  THAW_TRY(thaw_h5_open_object(file, object, &out->object));
  thaw_status status = THAW_OK;
  if (H5Aexists(out->object, name) <= 0) {
    H5Eclear2(H5E_DEFAULT);
    status = thaw_fail(THAW_ERR_DATA, "%s: %s has no attribute '%s'", file->path, object, name);
  } else if ((out->id = H5Aopen(out->object, name, H5P_DEFAULT)) < 0 || (out->type = H5Aget_type(out->id)) < 0 ||
             (out->space = H5Aget_space(out->id)) < 0 || (out->count = H5Sget_simple_extent_npoints(out->space)) < 0) {
    status = fail_attribute(file, THAW_ERR_DATA, object, name, "cannot be read");
  }
  if (status != THAW_OK) close_attribute(out);
  return status;
}

bool thaw_h5_has_attribute(thaw_h5 *file, const char *object, const char *name) {
  THAW_H5_GUARD;
  hid_t id;
  if (!thaw_h5_exists(file, object) || thaw_h5_open_object(file, object, &id) != THAW_OK) return false;
  bool found = H5Aexists(id, name) > 0;
  H5Eclear2(H5E_DEFAULT);
  H5Oclose(id);
  return found;
}

static thaw_status add_variable(thaw_h5 *file, const char *object, const char *name, const attribute *at,
                                thaw_strings *out) {
  THAW_TRY(thaw_h5_check_heaps(file));
  char **text = thaw_new((size_t)at->count, sizeof *text);
  if (!text) return THAW_ERR_MEMORY;
  hid_t type = thaw_h5_make_string_type(H5T_VARIABLE, H5Tget_cset(at->type));
  thaw_status status = THAW_OK;
  if (type < 0 || H5Aread(at->id, type, text) < 0)
    status = fail_attribute(file, THAW_ERR_DATA, object, name, "cannot be read");
  for (int64_t i = 0; i < at->count && status == THAW_OK; i++) status = thaw_strings_add(out, text[i] ? text[i] : "");
  if (type >= 0) H5Dvlen_reclaim(type, at->space, H5P_DEFAULT, text);
  if (type >= 0) H5Tclose(type);
  thaw_free(text);
  return status;
}

static thaw_status add_fixed(const thaw_h5 *file, const char *object, const char *name, const attribute *at,
                             thaw_strings *out) {
  size_t width = H5Tget_size(at->type);
  if (width == 0 || at->count > TEXT_LIMIT / (int64_t)width)
    return fail_attribute(file, THAW_ERR_DATA, object, name, "is absurdly large");
  char *text = thaw_new((size_t)at->count, width);
  if (!text) return THAW_ERR_MEMORY;
  thaw_status status = THAW_OK;
  if (H5Aread(at->id, at->type, text) < 0) status = fail_attribute(file, THAW_ERR_DATA, object, name, "cannot be read");
  for (int64_t i = 0; i < at->count && status == THAW_OK; i++)
    status = thaw_h5_add_fixed(out, text + (size_t)i * width, width, H5Tget_strpad(at->type));
  thaw_free(text);
  return status;
}

/* Appends the strings of one attribute; numpy turns an empty list into a float array of length 0. */
static thaw_status add_strings(thaw_h5 *file, const char *object, const char *name, thaw_strings *out) {
  attribute at;
  THAW_TRY(open_attribute(file, object, name, &at));
  thaw_status status = THAW_OK;
  if (at.count > TEXT_LIMIT / 16)
    status = fail_attribute(file, THAW_ERR_DATA, object, name, "is absurdly large");
  else if (at.count && H5Tget_class(at.type) != H5T_STRING)
    status = fail_attribute(file, THAW_ERR_DATA, object, name, "does not hold strings");
  else if (at.count)
    status = H5Tis_variable_str(at.type) > 0 ? add_variable(file, object, name, &at, out)
                                             : add_fixed(file, object, name, &at, out);
  close_attribute(&at);
  return status;
}

thaw_status thaw_h5_get_text(thaw_h5 *file, const char *object, const char *name, char **out) {
  THAW_H5_GUARD;
  *out = NULL;
  thaw_strings strings = {0};
  thaw_status status = add_strings(file, object, name, &strings);
  if (status == THAW_OK && strings.count != 1)
    status = fail_attribute(file, THAW_ERR_DATA, object, name, "does not hold one string");
  if (status == THAW_OK && !(*out = thaw_copy_text(strings.item[0]))) status = THAW_ERR_MEMORY;
  thaw_strings_clear(&strings);
  return status;
}

thaw_status thaw_h5_get_strings(thaw_h5 *file, const char *object, const char *name, thaw_strings *out) {
  THAW_H5_GUARD;
  if (thaw_h5_has_attribute(file, object, name)) return add_strings(file, object, name, out);
  for (int part = 0;; part++) {
    char *part_name = thaw_format("%s%d", name, part);
    if (!part_name) return THAW_ERR_MEMORY;
    bool found = thaw_h5_has_attribute(file, object, part_name);
    thaw_status status = THAW_OK;
    if (found || part == 0) /* without a first part the message names the attribute itself */
      status = add_strings(file, object, found ? part_name : name, out);
    thaw_free(part_name);
    if (status != THAW_OK || !found) return status;
  }
}

/* Reads one number of class integer or float as `memory`. */
static thaw_status get_number(thaw_h5 *file, const char *object, const char *name, hid_t memory, bool integer,
                              void *out) {
  attribute at;
  THAW_TRY(open_attribute(file, object, name, &at));
  H5T_class_t class = H5Tget_class(at.type);
  bool fits = class == H5T_INTEGER || class == H5T_ENUM || (class == H5T_FLOAT && !integer);
  thaw_status status = THAW_OK;
  if (at.count != 1 || !fits)
    status = fail_attribute(file, THAW_ERR_DATA, object, name,
                            integer ? "does not hold one whole number" : "does not hold one number");
  else if (H5Aread(at.id, memory, out) < 0)
    status = fail_attribute(file, THAW_ERR_DATA, object, name, "cannot be read");
  close_attribute(&at);
  return status;
}

thaw_status thaw_h5_get_int(thaw_h5 *file, const char *object, const char *name, int64_t *out) {
  THAW_H5_GUARD;
  return get_number(file, object, name, H5T_NATIVE_INT64, true, out);
}

thaw_status thaw_h5_get_double(thaw_h5 *file, const char *object, const char *name, double *out) {
  THAW_H5_GUARD;
  return get_number(file, object, name, H5T_NATIVE_DOUBLE, false, out);
}

/* Writes attribute `name` of `object`, replacing one that is there; `count` < 0 means a scalar. */
static thaw_status set_attribute(thaw_h5 *file, const char *object, const char *name, hid_t type, int64_t count,
                                 const void *value) {
  THAW_TRY(thaw_h5_check_writable(file, object));
  hid_t id, made = H5I_INVALID_HID;
  THAW_TRY(thaw_h5_open_object(file, object, &id));
  hsize_t size = count < 0 ? 1 : (hsize_t)count;
  hid_t space = count < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &size, NULL);
  thaw_status status = THAW_OK;
  if (H5Aexists(id, name) > 0) H5Adelete(id, name);
  if (space >= 0) made = H5Acreate2(id, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  if (made < 0 || (count != 0 && H5Awrite(made, type, value) < 0))
    status = fail_attribute(file, THAW_ERR_DISK, object, name, "cannot be written");
  if (made >= 0) H5Aclose(made);
  if (space >= 0) H5Sclose(space);
  H5Oclose(id);
  return status;
}

thaw_status thaw_h5_set_int(thaw_h5 *file, const char *object, const char *name, int64_t value) {
  THAW_H5_GUARD;
  return set_attribute(file, object, name, H5T_STD_I64LE, -1, &value);
}

thaw_status thaw_h5_set_double(thaw_h5 *file, const char *object, const char *name, double value) {
  THAW_H5_GUARD;
  return set_attribute(file, object, name, H5T_IEEE_F64LE, -1, &value);
}

/* Short text goes into the object header, which is checksummed; a variable-length string lies outside it, where an
 * attribute may exceed 64 KiB. */
thaw_status thaw_h5_set_text(thaw_h5 *file, const char *object, const char *name, const char *value) {
  THAW_H5_GUARD;
  size_t length = strlen(value);
  bool fixed = length <= SHORT_TEXT;
  hid_t type = thaw_h5_make_string_type(fixed ? length + (length == 0) : H5T_VARIABLE, H5T_CSET_UTF8);
  if (type < 0) return thaw_h5_fail(file, THAW_ERR_INTERNAL, object, "HDF5 cannot be set up");
  thaw_status status = set_attribute(file, object, name, type, -1, fixed ? (const void *)value : (const void *)&value);
  H5Tclose(type);
  return status;
}

/* Items [first, first + count) as one attribute of strings padded to `width` bytes. */
static thaw_status set_part(thaw_h5 *file, const char *object, const char *name, const thaw_strings *value,
                            size_t first, size_t count, size_t width) {
  char *block = thaw_new(count, width);
  if (!block) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < count; i++) memcpy(block + i * width, value->item[first + i], strlen(value->item[first + i]));
  hid_t type = thaw_h5_make_string_type(width, H5T_CSET_ASCII);
  thaw_status status = type < 0 ? thaw_h5_fail(file, THAW_ERR_INTERNAL, object, "HDF5 cannot be set up")
                                : set_attribute(file, object, name, type, (int64_t)count, block);
  if (type >= 0) H5Tclose(type);
  thaw_free(block);
  return status;
}

/* Parts as numpy.array_split makes them, which Keras' writer uses: the first count % parts are one longer. */
static thaw_status set_split(thaw_h5 *file, const char *object, const char *name, const thaw_strings *value,
                             size_t width) {
  size_t parts = 1, first = 0;
  while ((value->count + parts - 1) / parts * width > HEADER_LIMIT) parts++;
  for (size_t part = 0; part < parts; part++) {
    size_t count = value->count / parts + (part < value->count % parts);
    char *part_name = parts == 1 ? thaw_copy_text(name) : thaw_format("%s%zu", name, part);
    if (!part_name) return THAW_ERR_MEMORY;
    thaw_status status = set_part(file, object, part_name, value, first, count, width);
    thaw_free(part_name);
    THAW_TRY(status);
    first += count;
  }
  return THAW_OK;
}

thaw_status thaw_h5_set_strings(thaw_h5 *file, const char *object, const char *name, const thaw_strings *value) {
  THAW_H5_GUARD;
  if (value->count == 0) return set_attribute(file, object, name, H5T_IEEE_F64LE, 0, NULL);
  size_t width = 1;
  for (size_t i = 0; i < value->count; i++)
    if (strlen(value->item[i]) > width) width = strlen(value->item[i]);
  if (width > HEADER_LIMIT)
    return fail_attribute(file, THAW_ERR_INTERNAL, object, name, "a string is longer than an attribute may be");
  return set_split(file, object, name, value, width);
}
