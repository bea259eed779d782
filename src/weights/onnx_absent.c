/* What stands for ONNX where protobuf-c is not installed. */
#include "weights/onnx.h"

#include <string.h>

static thaw_status absent(const char *path) {
  return thaw_fail(THAW_ERR_DATA,
                   "%s: this thaw was built without ONNX (libprotobuf-c was not found, or it was switched off)", path);
}

bool thaw_weight_is_onnx(const char *path) {
  static const char end[] = ".onnx";
  size_t length = strlen(path);
  return length > sizeof end - 1 && strcmp(path + length - (sizeof end - 1), end) == 0;
}

thaw_status thaw_onnx_read_model(const char *path, const thaw_shape *input, const char *cut, thaw_graph **out,
                                 int32_t *last_out) {
  (void)input;
  (void)cut;
  (void)last_out;
  *out = NULL;
  return absent(path);
}

thaw_status thaw_onnx_open_weights(const thaw_shape *input, thaw_weight_file *file) {
  (void)input;
  return absent(file->path);
}

thaw_status thaw_weights_export_onnx(const thaw_graph *graph, const char *path, const thaw_export_options *options) {
  (void)graph;
  (void)options;
  return absent(path);
}

thaw_status thaw_onnx_read_property(const char *path, const char *key, char **out) {
  (void)key;
  *out = NULL;
  return absent(path);
}
