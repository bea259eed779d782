#include "h5/h5_private.h"
#include "thaw/memory.h"

#include <string.h>

size_t thaw_h5_type_size(thaw_h5_type type) {
  switch (type) {
  case THAW_H5_U8:
    return 1;
  case THAW_H5_U16:
  case THAW_H5_F16:
  case THAW_H5_BF16:
    return 2;
  case THAW_H5_I32:
  case THAW_H5_F32:
    return 4;
  case THAW_H5_I64:
  case THAW_H5_F64:
    return 8;
  case THAW_H5_STRING:
  case THAW_H5_OTHER:
    break;
  }
  return 0;
}

const char *thaw_h5_type_name(thaw_h5_type type) {
  switch (type) {
  case THAW_H5_U8:
    return "uint8";
  case THAW_H5_U16:
    return "uint16";
  case THAW_H5_I32:
    return "int32";
  case THAW_H5_I64:
    return "int64";
  case THAW_H5_F16:
    return "float16";
  case THAW_H5_F32:
    return "float32";
  case THAW_H5_F64:
    return "float64";
  case THAW_H5_BF16:
    return "bfloat16";
  case THAW_H5_STRING:
    return "string";
  case THAW_H5_OTHER:
    break;
  }
  return "another type";
}

static thaw_h5_type classify_integer(size_t size, bool is_signed) {
  if (size == 1) return is_signed ? THAW_H5_I32 : THAW_H5_U8;
  if (size == 2) return is_signed ? THAW_H5_I32 : THAW_H5_U16;
  if (size == 4) return is_signed ? THAW_H5_I32 : THAW_H5_I64;
  return size == 8 ? THAW_H5_I64 : THAW_H5_OTHER;
}

/* IEEE half precision is told by its fields: bfloat16 has two bytes as well. */
static thaw_h5_type classify_float(hid_t stored) {
  size_t size = H5Tget_size(stored), sign, exponent, exponent_size, mantissa, mantissa_size;
  if (size == 4) return THAW_H5_F32;
  if (size == 8) return THAW_H5_F64;
  if (size != 2 || H5Tget_fields(stored, &sign, &exponent, &exponent_size, &mantissa, &mantissa_size) < 0)
    return THAW_H5_OTHER;
  if (exponent_size == 8 && mantissa_size == 7 && H5Tget_order(stored) == H5T_ORDER_LE) return THAW_H5_BF16;
  return exponent_size == 5 && mantissa_size == 10 ? THAW_H5_F16 : THAW_H5_OTHER;
}

thaw_h5_type thaw_h5_classify(hid_t stored) {
  switch (H5Tget_class(stored)) {
  case H5T_INTEGER:
    return classify_integer(H5Tget_size(stored), H5Tget_sign(stored) == H5T_SGN_2);
  case H5T_FLOAT:
    return classify_float(stored);
  case H5T_STRING:
    return THAW_H5_STRING;
  case H5T_OPAQUE: /* NumPy has no bfloat16: h5py stores ml_dtypes' as bytes */
    return H5Tget_size(stored) == 2 ? THAW_H5_BF16 : THAW_H5_OTHER;
  case H5T_ENUM: /* bool, as h5py stores it */
    return H5Tget_size(stored) == 1 ? THAW_H5_U8 : THAW_H5_OTHER;
  default:
    return THAW_H5_OTHER;
  }
}

static hid_t make_half(void) {
  hid_t type = H5Tcopy(H5T_IEEE_F32LE);
  if (type < 0) return type;
  if (H5Tset_fields(type, 15, 10, 5, 0, 10) < 0 || H5Tset_size(type, 2) < 0 || H5Tset_ebias(type, 15) < 0) {
    H5Tclose(type);
    return H5I_INVALID_HID;
  }
  return type;
}

hid_t thaw_h5_make_type(thaw_h5_type type) {
  switch (type) {
  case THAW_H5_U8:
    return H5Tcopy(H5T_STD_U8LE);
  case THAW_H5_U16:
    return H5Tcopy(H5T_STD_U16LE);
  case THAW_H5_I32:
    return H5Tcopy(H5T_STD_I32LE);
  case THAW_H5_I64:
    return H5Tcopy(H5T_STD_I64LE);
  case THAW_H5_F16:
    return make_half();
  case THAW_H5_F32:
    return H5Tcopy(H5T_IEEE_F32LE);
  case THAW_H5_F64:
    return H5Tcopy(H5T_IEEE_F64LE);
  case THAW_H5_BF16:
  case THAW_H5_STRING:
  case THAW_H5_OTHER:
    break;
  }
  return H5I_INVALID_HID;
}

hid_t thaw_h5_make_string_type(size_t size_or_variable, H5T_cset_t characters) {
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type < 0) return type;
  H5T_str_t padding = size_or_variable == H5T_VARIABLE ? H5T_STR_NULLTERM : H5T_STR_NULLPAD;
  if (H5Tset_size(type, size_or_variable) < 0 || H5Tset_strpad(type, padding) < 0 ||
      H5Tset_cset(type, characters) < 0) {
    H5Tclose(type);
    return H5I_INVALID_HID;
  }
  return type;
}

thaw_status thaw_h5_add_fixed(thaw_strings *out, const char *text, size_t size, H5T_str_t padding) {
  size_t length = strnlen(text, size);
  if (padding == H5T_STR_SPACEPAD)
    while (length && text[length - 1] == ' ') length--;
  char *copy = thaw_format("%.*s", (int)length, text);
  if (!copy) return THAW_ERR_MEMORY;
  thaw_status status = thaw_strings_add(out, copy);
  thaw_free(copy);
  return status;
}
