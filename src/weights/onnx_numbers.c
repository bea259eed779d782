/* Gemm, MatMul, BatchNormalization, and sums and products. A number for each channel, added or multiplied, is a
 * batch-norm with mean 0 and deviation 1. */
#include "weights/onnx_reader.h"

#include <string.h>

static const Onnx__TensorProto *constant_input(const thaw_onnx_reader *r, size_t i) {
  const thaw_onnx_value *value = thaw_onnx_input(r, i);
  return value ? value->constant : NULL;
}

/* ------------------------------------------------------------------ dense layers */

static thaw_status dense(thaw_onnx_reader *r, thaw_onnx_value x, const Onnx__TensorProto *kernel, bool transposed,
                         const Onnx__TensorProto *bias, const char *output) {
  int32_t node;
  thaw_shape shape = thaw_onnx_shape(r, &x);
  if (x.axes != THAW_ONNX_FLAT) return thaw_onnx_refuse(r, "its input is no row of numbers (flatten it first)");
  int64_t in = kernel->dims[transposed], out = kernel->dims[!transposed];
  if (in != (int64_t)thaw_shape_count(shape) || out < 1 || out > 1 << 24)
    return thaw_onnx_refuse(r, "weights of %lld x %lld do not fit an input of %lld numbers", (long long)in,
                            (long long)out, (long long)thaw_shape_count(shape));
  if (bias && thaw_onnx_count(bias) != (size_t)out) return thaw_onnx_refuse(r, "its bias has another size");
  thaw_dense_config config = {.units = (int32_t)out, .use_bias = bias != NULL};
  THAW_TRY(thaw_onnx_layer(r, "dense", &config, "", &x.node, 1, &node));
  thaw_onnx_source source = {
      .tensor = kernel, .conversion = transposed ? THAW_ONNX_DENSE_T : THAW_ONNX_DENSE, .map = x.map};
  THAW_TRY(thaw_onnx_source_add(r, node, source));
  if (bias) THAW_TRY(thaw_onnx_source_add(r, node, (thaw_onnx_source){.param = 1, .tensor = bias}));
  x = (thaw_onnx_value){.node = node, .axes = THAW_ONNX_FLAT};
  return thaw_onnx_bind(r, output, &x);
}

static thaw_status matrix(const thaw_onnx_reader *r, const Onnx__TensorProto **out) {
  *out = constant_input(r, 1);
  if (!*out || (*out)->n_dims != 2) return thaw_onnx_refuse(r, "its second factor is not a constant matrix");
  return r->node->n_output ? THAW_OK : thaw_onnx_refuse(r, "has no output");
}

thaw_status thaw_onnx_gemm(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  const Onnx__TensorProto *kernel, *bias = constant_input(r, 2);
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  THAW_TRY(matrix(r, &kernel));
  bool plain = thaw_onnx_float(r->node, "alpha", 1) == 1 && thaw_onnx_float(r->node, "beta", 1) == 1 &&
               thaw_onnx_integer(r->node, "transA", 0) == 0;
  if (!plain) return thaw_onnx_refuse(r, "alpha, beta other than 1 and transA are not supported");
  if (!bias && r->node->n_input > 2 && r->node->input[2][0]) return thaw_onnx_refuse(r, "its bias is not a constant");
  return dense(r, x, kernel, thaw_onnx_integer(r->node, "transB", 0) != 0, bias, r->node->output[0]);
}

thaw_status thaw_onnx_matmul(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  const Onnx__TensorProto *kernel;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  THAW_TRY(matrix(r, &kernel));
  const char *output = r->node->output[0];
  size_t units = kernel->dims[1] > 0 ? (size_t)kernel->dims[1] : 0;
  const Onnx__TensorProto *bias = thaw_onnx_following_bias(r, units, &output);
  return dense(r, x, kernel, false, bias, output);
}

/* ------------------------------------------------------------------ batch-norm, and a number for each channel */

thaw_status thaw_onnx_batch_norm(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  int32_t node;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  if (x.axes == THAW_ONNX_NHWC || x.map.rank) return thaw_onnx_refuse(r, "its input's second dimension is no channel");
  if (thaw_onnx_integer(r->node, "training_mode", 0)) return thaw_onnx_refuse(r, "is in training mode");
  if (thaw_onnx_integer(r->node, "spatial", 1) != 1) return thaw_onnx_refuse(r, "spatial=0 is not supported");
  thaw_batch_norm_config config = {.momentum = (double)thaw_onnx_float(r->node, "momentum", 0.9f),
                                   .epsilon = (double)thaw_onnx_float(r->node, "epsilon", 1e-5f),
                                   .center = true,
                                   .scale = true};
  THAW_TRY(thaw_onnx_layer(r, "batch_normalization", &config, "", &x.node, 1, &node));
  size_t channels = (size_t)thaw_onnx_shape(r, &x).c;
  for (int32_t p = 0; p < 4; p++) {
    const Onnx__TensorProto *tensor = constant_input(r, (size_t)p + 1);
    if (!tensor || thaw_onnx_count(tensor) != channels)
      return thaw_onnx_refuse(r, "input %d is not a constant of %zu numbers", p + 1, channels);
    THAW_TRY(thaw_onnx_source_add(r, node, (thaw_onnx_source){.param = p, .tensor = tensor}));
  }
  x.node = node;
  return thaw_onnx_yield(r, x);
}

/* One number, or one for each channel of the value. */
static bool is_per_channel(const Onnx__TensorProto *tensor, const thaw_onnx_value *x, int32_t channels) {
  size_t count = thaw_onnx_count(tensor), rank = tensor->n_dims, from_end = x->axes == THAW_ONNX_NCHW ? 3 : 1;
  if (count == 1) return true;
  return count == (size_t)channels && rank >= from_end && tensor->dims[rank - from_end] == channels && !x->map.rank;
}

enum { GAMMA, BETA, MEAN, VARIANCE };

static thaw_status per_channel(thaw_onnx_reader *r, thaw_onnx_value x, const Onnx__TensorProto *tensor, int32_t param,
                               thaw_onnx_conversion conversion) {
  static const double epsilon = 1e-3;
  int32_t node;
  if (!is_per_channel(tensor, &x, thaw_onnx_shape(r, &x).c))
    return thaw_onnx_refuse(r, "its constant is neither one number nor one for each channel");
  thaw_batch_norm_config config = {.momentum = 0.99, .epsilon = epsilon, .center = true, .scale = true};
  THAW_TRY(thaw_onnx_layer(r, "batch_normalization", &config, "", &x.node, 1, &node));
  const float fill[4] = {1, 0, 0, (float)(1 - epsilon)};
  for (int32_t p = 0; p < 4; p++) {
    thaw_onnx_source source = {.param = p, .conversion = THAW_ONNX_FILL, .fill = fill[p]};
    if (p == param) {
      source.tensor = tensor;
      source.conversion = conversion;
    }
    THAW_TRY(thaw_onnx_source_add(r, node, source));
  }
  x.node = node;
  return thaw_onnx_yield(r, x);
}

/* The one constant of two inputs; *x is the other. NULL: none is constant. */
static thaw_status split(thaw_onnx_reader *r, thaw_onnx_value *x, const Onnx__TensorProto **constant) {
  *constant = constant_input(r, 1);
  if (*constant || !constant_input(r, 0)) return thaw_onnx_need(r, 0, x);
  *constant = constant_input(r, 0);
  return thaw_onnx_need(r, 1, x);
}

static thaw_status join(thaw_onnx_reader *r, const char *type) {
  int32_t node[THAW_MAX_INPUTS];
  thaw_onnx_value first, next;
  THAW_TRY(thaw_onnx_need(r, 0, &first));
  if (r->node->n_input > THAW_MAX_INPUTS) return thaw_onnx_refuse(r, "has %zu inputs", r->node->n_input);
  for (size_t i = 0; i < r->node->n_input; i++) {
    THAW_TRY(thaw_onnx_need(r, i, &next));
    if (next.axes != first.axes || memcmp(&next.map, &first.map, sizeof next.map) != 0)
      return thaw_onnx_refuse(r, "joins values of different layouts");
    node[i] = next.node;
  }
  if (r->node->n_input == 1) return thaw_onnx_yield(r, first);
  THAW_TRY(thaw_onnx_layer(r, type, NULL, "", node, (int32_t)r->node->n_input, &first.node));
  return thaw_onnx_yield(r, first);
}

thaw_status thaw_onnx_add(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  const Onnx__TensorProto *constant;
  if (r->node->n_input != 2) return join(r, "add");
  THAW_TRY(split(r, &x, &constant));
  return constant ? per_channel(r, x, constant, BETA, THAW_ONNX_COPY) : join(r, "add");
}

thaw_status thaw_onnx_subtract(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  const Onnx__TensorProto *constant = constant_input(r, 1);
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  if (!constant) return thaw_onnx_refuse(r, "subtracts what is not constant");
  return per_channel(r, x, constant, BETA, THAW_ONNX_NEGATIVE);
}

thaw_status thaw_onnx_divide(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  const Onnx__TensorProto *constant = constant_input(r, 1);
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  if (!constant) return thaw_onnx_refuse(r, "divides by what is not constant");
  return per_channel(r, x, constant, GAMMA, THAW_ONNX_RECIPROCAL);
}

/* x * sigmoid(x) is the activation swish, and x * hard_sigmoid(x) hard_silu; LINEAR: neither. */
static thaw_activation gated(const thaw_onnx_reader *r, const thaw_onnx_value *x, const thaw_onnx_value *gate) {
  const thaw_node *node = thaw_graph_view(r->graph, gate->node);
  if (node->layer.ops != &thaw_layer_activation || node->input[0] != x->node) return THAW_LINEAR;
  thaw_activation last = thaw_layer_last_activation(&node->layer);
  return last == THAW_SIGMOID ? THAW_SWISH : last == THAW_HARD_SIGMOID ? THAW_HARD_SILU : THAW_LINEAR;
}

thaw_status thaw_onnx_multiply(thaw_onnx_reader *r) {
  thaw_onnx_value x, other;
  const Onnx__TensorProto *constant;
  if (r->node->n_input != 2) return thaw_onnx_refuse(r, "has %zu inputs", r->node->n_input);
  THAW_TRY(split(r, &x, &constant));
  if (constant) return per_channel(r, x, constant, GAMMA, THAW_ONNX_COPY);
  THAW_TRY(thaw_onnx_need(r, 1, &other));
  bool first = gated(r, &other, &x) != THAW_LINEAR;
  const thaw_activation_config config = {.activation = (int32_t)(first ? gated(r, &other, &x) : gated(r, &x, &other))};
  if (config.activation != THAW_LINEAR) return thaw_onnx_simple(r, "activation", &config, first ? other : x);
  return join(r, "multiply");
}
