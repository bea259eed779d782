/* onnx_file.h: an ONNX model in memory. Private to src/weights, built only where protobuf-c is. */
#ifndef THAW_WEIGHTS_ONNX_FILE_H
#define THAW_WEIGHTS_ONNX_FILE_H

#include "weights/tensor.h"

#include <onnx.pb-c.h>

enum { /* TensorProto.DataType */
       THAW_ONNX_FLOAT = 1,
       THAW_ONNX_INT32 = 6,
       THAW_ONNX_INT64 = 7,
       THAW_ONNX_FLOAT16 = 10,
       THAW_ONNX_DOUBLE = 11,
       THAW_ONNX_BFLOAT16 = 16
};
enum { THAW_ONNX_MAX_RANK = 6 };

typedef struct thaw_onnx_file {
  const char *path; /* borrowed */
  Onnx__ModelProto *model;
  int64_t opset;
  size_t budget; /* bytes that its messages may still take */
} thaw_onnx_file;

/* Reads and checks the whole model: sizes, node and tensor counts, types of initialisers. The file must stay where it
 * is in memory until it is closed. On failure nothing stays open. */
thaw_status thaw_onnx_open(const char *path, thaw_onnx_file *out) THAW_CHECKED;
void thaw_onnx_close(thaw_onnx_file *file);

/* Number of values; the sizes were checked when the file was opened. */
size_t thaw_onnx_count(const Onnx__TensorProto *tensor);
/* All values of a tensor of floating-point numbers; thaw_free. */
thaw_status thaw_onnx_floats(const thaw_onnx_file *file, const Onnx__TensorProto *tensor, float **out) THAW_CHECKED;
/* The same for at most `most` integers. False for any other tensor. */
bool thaw_onnx_integers(const Onnx__TensorProto *tensor, int64_t *out, size_t most, size_t *count);
/* Checks a tensor that is no initialiser (of a Constant). */
thaw_status thaw_onnx_check_tensor(const thaw_onnx_file *file, const Onnx__TensorProto *tensor) THAW_CHECKED;

/* NULL when the node has none of this name. */
const Onnx__AttributeProto *thaw_onnx_attribute(const Onnx__NodeProto *node, const char *name);
int64_t thaw_onnx_integer(const Onnx__NodeProto *node, const char *name, int64_t fallback);
float thaw_onnx_float(const Onnx__NodeProto *node, const char *name, float fallback);

#endif
