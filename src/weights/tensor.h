/* tensor.h: raw numbers of files that are not HDF5. Private to src/weights. */
#ifndef THAW_WEIGHTS_TENSOR_H
#define THAW_WEIGHTS_TENSOR_H

#include "thaw/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum thaw_tensor_type {
  THAW_TENSOR_F32,
  THAW_TENSOR_F16,
  THAW_TENSOR_BF16,
  THAW_TENSOR_F64,
  THAW_TENSOR_OTHER /* not a floating-point number that weights are stored in */
} thaw_tensor_type;
size_t thaw_tensor_type_size(thaw_tensor_type type); /* 0 for OTHER */
/* `count` little-endian numbers at `data`, aligned or not, as float32; type is not OTHER. */
void thaw_tensor_convert(thaw_tensor_type type, const void *data, size_t count, float *out);
/* PyTorch's and ONNX' order of a weight's dimensions into Keras': (out, in, h, w) -> (h, w, in, out), (out, in) -> (in,
 * out); one dimension stays. dim: of `from`. */
void thaw_tensor_reorder(const float *from, int rank, const int64_t *dim, float *to);
void thaw_tensor_reorder_shape(int rank, const int64_t *dim, int64_t *to);

#endif
