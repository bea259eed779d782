/* onnx_writer.h: an ONNX model being made. Private to src/weights. */
#ifndef THAW_WEIGHTS_ONNX_WRITER_H
#define THAW_WEIGHTS_ONNX_WRITER_H

#include "thaw/memory.h"
#include "weights/onnx_file.h"
#include "weights/weights_private.h"

typedef struct thaw_onnx_writer {
  const thaw_graph *graph;
  thaw_arena *arena; /* of all messages and values */
  Onnx__GraphProto *out;
  size_t node_capacity, tensor_capacity;
  const char **value; /* [graph count]: what a layer's output is called; maps are [N][C][H][W] */
  int64_t version;    /* of the operators */
  const char *layer;  /* the name of the layer at hand */
  bool failed;        /* memory is gone; what follows does nothing */
} thaw_onnx_writer;

/* "block1_conv1/relu"; "" gives the layer's own name. */
const char *thaw_onnx_name(thaw_onnx_writer *w, const char *suffix);
/* Adds a node called layer + suffix with one output of that name, and returns that name. */
Onnx__NodeProto *thaw_onnx_node(thaw_onnx_writer *w, const char *type, const char *suffix, const char *const *input,
                                size_t inputs);
void thaw_onnx_set_integer(thaw_onnx_writer *w, Onnx__NodeProto *node, const char *name, int64_t value);
void thaw_onnx_set_integers(thaw_onnx_writer *w, Onnx__NodeProto *node, const char *name, const int64_t *value,
                            size_t count);
void thaw_onnx_set_float(thaw_onnx_writer *w, Onnx__NodeProto *node, const char *name, float value);
void thaw_onnx_set_text(thaw_onnx_writer *w, Onnx__NodeProto *node, const char *name, const char *value);
/* New zeroed memory for the values of a tensor called layer + suffix, whose name is in *name_out. */
float *thaw_onnx_tensor(thaw_onnx_writer *w, const char *suffix, size_t rank, const int64_t *dim,
                        const char **name_out);
const char *thaw_onnx_integers_tensor(thaw_onnx_writer *w, const char *suffix, const int64_t *value, size_t count);
/* The name of what a node makes; "" when memory is gone. */
const char *thaw_onnx_output(const Onnx__NodeProto *node);

/* Adds the nodes of graph node `index` and sets w->value[index]. */
thaw_status thaw_onnx_write_layer(thaw_onnx_writer *w, int32_t index) THAW_CHECKED;
/* The same for the layer types of onnx_write_more.c, and for activations from THAW_ELU on: the name of what is made,
 * NULL for any other. */
const char *thaw_onnx_write_more(thaw_onnx_writer *w, const thaw_layer *layer, const char *input);
const char *thaw_onnx_write_rare_activation(thaw_onnx_writer *w, thaw_activation activation, const char *suffix,
                                            const char *input);

#endif
