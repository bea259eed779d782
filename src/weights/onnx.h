/* onnx.h: ONNX models for the rest of this folder. Without protobuf-c each function fails and says so. */
#ifndef THAW_WEIGHTS_ONNX_H
#define THAW_WEIGHTS_ONNX_H

#include "weights/weights_private.h"

bool thaw_weight_is_onnx(const char *path);
/* As thaw_weights_read_model. */
thaw_status thaw_onnx_read_model(const char *path, const thaw_shape *input, const char *cut, thaw_graph **out,
                                 int32_t *last_out) THAW_CHECKED;
/* Fills file->store, state and layers: the layers that thaw_onnx_read_model makes for this input (NULL: the model's
 * own), and their weights in Keras' order. Nodes that are not supported are left out. */
thaw_status thaw_onnx_open_weights(const thaw_shape *input, thaw_weight_file *file) THAW_CHECKED;
/* metadata_props[key] as a new string, NULL when there is none. */
thaw_status thaw_onnx_read_property(const char *path, const char *key, char **out) THAW_CHECKED;

#endif
