#include "weights/tensor.h"

#include "thaw/kernel.h"

#include <string.h>

size_t thaw_tensor_type_size(thaw_tensor_type type) {
  static const size_t size[] = {4, 2, 2, 8, 0};
  return size[type];
}

/* A bfloat16 is the upper half of a float32. */
static void convert_bfloat16(const unsigned char *data, size_t count, float *out) {
  for (size_t i = 0; i < count; i++) {
    uint16_t half;
    memcpy(&half, data + 2 * i, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    memcpy(&out[i], &bits, sizeof bits);
  }
}

static void convert_float16(const unsigned char *data, size_t count, float *out) {
  enum { PART = 256 };
  uint16_t part[PART];
  for (size_t i = 0; i < count; i += PART) {
    size_t n = count - i < PART ? count - i : PART;
    memcpy(part, data + 2 * i, n * sizeof part[0]);
    thaw_from_half(part, n, out + i);
  }
}

static void convert_float64(const unsigned char *data, size_t count, float *out) {
  for (size_t i = 0; i < count; i++) {
    double value;
    memcpy(&value, data + 8 * i, sizeof value);
    out[i] = (float)value;
  }
}

void thaw_tensor_convert(thaw_tensor_type type, const void *data, size_t count, float *out) {
  if (count == 0) return;
  switch (type) {
  case THAW_TENSOR_F32:
    memcpy(out, data, count * sizeof *out);
    break;
  case THAW_TENSOR_F16:
    convert_float16(data, count, out);
    break;
  case THAW_TENSOR_BF16:
    convert_bfloat16(data, count, out);
    break;
  case THAW_TENSOR_F64:
    convert_float64(data, count, out);
    break;
  case THAW_TENSOR_OTHER:
    break;
  }
}

void thaw_tensor_reorder(const float *from, int rank, const int64_t *dim, float *to) {
  size_t rows = 1, columns = 1, pixels = 1;
  if (rank == 2 || rank == 4) {
    rows = (size_t)dim[0];
    columns = (size_t)dim[1];
  }
  if (rank == 4) pixels = (size_t)dim[2] * (size_t)dim[3];
  if (rank != 2 && rank != 4) {
    for (int i = 0; i < rank; i++) pixels *= (size_t)dim[i];
    memcpy(to, from, pixels * sizeof *to);
    return;
  }
  for (size_t o = 0; o < rows; o++)
    for (size_t i = 0; i < columns; i++)
      for (size_t p = 0; p < pixels; p++) to[(p * columns + i) * rows + o] = from[(o * columns + i) * pixels + p];
}

void thaw_tensor_reorder_shape(int rank, const int64_t *dim, int64_t *to) {
  static const int four[] = {2, 3, 1, 0}, two[] = {1, 0};
  for (int i = 0; i < rank; i++) to[i] = rank == 4 ? dim[four[i]] : rank == 2 ? dim[two[i]] : dim[i];
}
