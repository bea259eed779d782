/* onnx_reader.h: an ONNX graph on its way to a network. Private to src/weights. */
#ifndef THAW_WEIGHTS_ONNX_READER_H
#define THAW_WEIGHTS_ONNX_READER_H

#include "weights/layer_config.h"
#include "weights/onnx_file.h"
#include "weights/weights_private.h"

/* What the dimensions of an ONNX value mean; the network's own are always [h][w][c]. */
typedef enum thaw_onnx_axes {
  THAW_ONNX_NCHW,
  THAW_ONNX_NHWC,
  THAW_ONNX_FLAT /* [N][C] */
} thaw_onnx_axes;

typedef struct thaw_onnx_value {
  const Onnx__TensorProto *constant; /* or NULL: the output of a node of the network */
  int32_t node;
  thaw_onnx_axes axes;
  thaw_shape map; /* FLAT in ONNX' order (c, h, w) of this map; rank 0: in the network's own order */
} thaw_onnx_value;

/* How a parameter's values come out of a tensor. */
typedef enum thaw_onnx_conversion {
  THAW_ONNX_COPY,       /* one dimension, or one number for all */
  THAW_ONNX_KERNEL,     /* (out, in / groups, h, w) -> (h, w, in, out) */
  THAW_ONNX_DENSE,      /* (in, out) */
  THAW_ONNX_DENSE_T,    /* (out, in) */
  THAW_ONNX_NEGATIVE,   /* -x */
  THAW_ONNX_RECIPROCAL, /* 1 / x */
  THAW_ONNX_FILL        /* no tensor: one number */
} thaw_onnx_conversion;

typedef struct thaw_onnx_source {
  char layer[256]; /* of the network */
  int32_t param;
  const Onnx__TensorProto *tensor;
  thaw_onnx_conversion conversion;
  int32_t groups; /* KERNEL */
  thaw_shape map; /* DENSE: the map whose order (c, h, w) the rows have; rank 0: none */
  float fill;
} thaw_onnx_source;

typedef struct thaw_onnx_reader {
  const thaw_onnx_file *file;
  thaw_graph *graph;
  thaw_arena *arena; /* of tensors that constants are made of */
  json_t *index;     /* name of a value -> its place in `value` */
  thaw_onnx_value *value;
  size_t values, value_capacity;
  thaw_onnx_source *source;
  size_t sources, source_capacity;
  bool any_size;               /* an input of open size becomes 224 x 224 x 3: only the weights are wanted */
  const Onnx__NodeProto *node; /* at hand, */
  size_t position;             /* and its place in the graph */
} thaw_onnx_reader;

thaw_status thaw_onnx_refuse(const thaw_onnx_reader *r, const char *format, ...) THAW_PRINTF(2, 3);
/* The node's input, NULL when it has none there, or none that is known. */
const thaw_onnx_value *thaw_onnx_input(const thaw_onnx_reader *r, size_t i);
thaw_shape thaw_onnx_shape(const thaw_onnx_reader *r, const thaw_onnx_value *value);
/* The same, refused unless it is computed by the network. */
thaw_status thaw_onnx_need(const thaw_onnx_reader *r, size_t i, thaw_onnx_value *out) THAW_CHECKED;
thaw_status thaw_onnx_need_map(const thaw_onnx_reader *r, thaw_onnx_value *out) THAW_CHECKED; /* input 0, NCHW */
/* Makes `value` the node's output. */
thaw_status thaw_onnx_bind(thaw_onnx_reader *r, const char *name, const thaw_onnx_value *value) THAW_CHECKED;
thaw_status thaw_onnx_yield(thaw_onnx_reader *r, thaw_onnx_value value) THAW_CHECKED;
/* Adds a layer called after the node, with a suffix. */
thaw_status thaw_onnx_layer(thaw_onnx_reader *r, const char *type, const void *config, const char *suffix,
                            const int32_t *input, int32_t inputs, int32_t *node) THAW_CHECKED;
/* Adds the layer, and its output, with the meaning of `like`, is the node's. */
thaw_status thaw_onnx_simple(thaw_onnx_reader *r, const char *type, const void *config,
                             thaw_onnx_value like) THAW_CHECKED;
/* Where the values of a layer's parameter are. */
thaw_status thaw_onnx_source_add(thaw_onnx_reader *r, int32_t node, thaw_onnx_source source) THAW_CHECKED;
/* The constant that the only reader of the node's output adds to it, of `count` values along its channels; that node's
 * output then is `value` too. NULL: there is none. */
const Onnx__TensorProto *thaw_onnx_following_bias(thaw_onnx_reader *r, size_t count, const char **output);
/* The layer's name for a node: see onnx_names.c. */
void thaw_onnx_layer_name(const Onnx__NodeProto *node, size_t position, char out[200]);

/* Integers from an attribute, or, from operators of later versions, from a constant input. *count 0: not given. */
thaw_status thaw_onnx_integers_of(const thaw_onnx_reader *r, const char *attribute, size_t input, int64_t *out,
                                  size_t most, size_t *count) THAW_CHECKED;

/* Adds what the node at hand computes. */
thaw_status thaw_onnx_convert_node(thaw_onnx_reader *r) THAW_CHECKED;
/* Operators with windows: Conv, the poolings, Pad. */
thaw_status thaw_onnx_conv(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_max_pool(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_average_pool(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_pad(thaw_onnx_reader *r) THAW_CHECKED;
/* Operators that change what dimensions mean. */
thaw_status thaw_onnx_flatten(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_reshape(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_transpose(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_squeeze(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_unsqueeze(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_global_average(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_global_max(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_reduce_mean(thaw_onnx_reader *r) THAW_CHECKED;
/* Operators with numbers that are not windows: Gemm, MatMul, BatchNormalization, and sums and products. */
thaw_status thaw_onnx_gemm(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_matmul(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_batch_norm(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_add(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_subtract(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_multiply(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_divide(thaw_onnx_reader *r) THAW_CHECKED;
/* Operators that fewer models have. */
thaw_status thaw_onnx_leaky_relu(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_elu(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_selu(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_hard_sigmoid(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_hard_swish(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_gelu(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_prelu(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_layer_norm(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_slice(thaw_onnx_reader *r) THAW_CHECKED;
thaw_status thaw_onnx_resize(thaw_onnx_reader *r) THAW_CHECKED;
/* Transpose in an order that is neither of the two that only change where the channels are. */
thaw_status thaw_onnx_permute(thaw_onnx_reader *r, thaw_onnx_value x, const int64_t order[4]) THAW_CHECKED;

#endif
