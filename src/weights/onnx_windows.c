/* Conv, MaxPool, AveragePool and Pad. ONNX pads each side by a number of its own; where that equals what "same" means
 * for this input it is called so, else a layer of zeros comes first. */
#include "weights/onnx_reader.h"

#include "thaw/memory.h"

#include <string.h>

typedef struct window {
  int32_t size[2], stride[2], begin[2], end[2]; /* height, width */
  bool same, valid;
} window;

static thaw_status pairs(const thaw_onnx_reader *r, const char *name, int32_t fallback, int64_t least, int32_t out[2]) {
  int64_t value[2];
  size_t count;
  THAW_TRY(thaw_onnx_integers_of(r, name, 0, value, 2, &count));
  out[0] = out[1] = fallback;
  if (count == 0 && fallback >= least) return THAW_OK;
  if (count != 2) return thaw_onnx_refuse(r, "%s has %zu numbers, expected 2 (images)", name, count);
  for (int i = 0; i < 2; i++) {
    if (value[i] < least || value[i] > 4096) return thaw_onnx_refuse(r, "%s is %lld", name, (long long)value[i]);
    out[i] = (int32_t)value[i];
  }
  return THAW_OK;
}

static thaw_status read_pads(const thaw_onnx_reader *r, window *w) {
  int64_t pad[4];
  size_t count;
  THAW_TRY(thaw_onnx_integers_of(r, "pads", 0, pad, 4, &count));
  if (count == 0) return THAW_OK;
  if (count != 4) return thaw_onnx_refuse(r, "pads has %zu numbers, expected 4 (images)", count);
  for (int i = 0; i < 4; i++) {
    if (pad[i] < 0 || pad[i] > 4096) return thaw_onnx_refuse(r, "pads has %lld", (long long)pad[i]);
    (i < 2 ? w->begin : w->end)[i % 2] = (int32_t)pad[i];
  }
  return THAW_OK;
}

static int32_t same_total(int32_t in, int32_t size, int32_t stride) {
  int32_t out = (in + stride - 1) / stride, total = (out - 1) * stride + size - in;
  return total > 0 ? total : 0;
}

/* Padding by rule instead of by numbers. */
static thaw_status automatic_pads(const thaw_onnx_reader *r, const int32_t in[2], window *w) {
  const Onnx__AttributeProto *rule = thaw_onnx_attribute(r->node, "auto_pad");
  char text[16] = "NOTSET";
  if (rule && rule->s.len < sizeof text) {
    memcpy(text, rule->s.data, rule->s.len);
    text[rule->s.len] = '\0';
  }
  if (strcmp(text, "NOTSET") == 0) return read_pads(r, w);
  if (strcmp(text, "VALID") == 0) return THAW_OK;
  bool lower = strcmp(text, "SAME_LOWER") == 0;
  if (!lower && strcmp(text, "SAME_UPPER") != 0) return thaw_onnx_refuse(r, "auto_pad '%s' is not known", text);
  for (int i = 0; i < 2; i++) {
    int32_t total = same_total(in[i], w->size[i], w->stride[i]);
    w->begin[i] = lower ? total - total / 2 : total / 2;
    w->end[i] = total - w->begin[i];
  }
  return THAW_OK;
}

/* ceil_mode: the last window may reach beyond the padding, but must begin before it. */
static void widen(window *w, const int32_t in[2]) {
  for (int i = 0; i < 2; i++) {
    int32_t room = in[i] + w->begin[i] + w->end[i] - w->size[i];
    if (room <= 0 || room % w->stride[i] == 0) continue;
    int32_t more = w->stride[i] - room % w->stride[i];
    if (room + more < in[i] + w->begin[i]) w->end[i] += more;
  }
}

static thaw_status read_window(const thaw_onnx_reader *r, const thaw_onnx_value *x, window *w) {
  thaw_shape shape = thaw_onnx_shape(r, x);
  const int32_t in[2] = {shape.h, shape.w};
  int32_t dilation[2];
  THAW_TRY(pairs(r, "dilations", 1, 1, dilation));
  if (dilation[0] != 1 || dilation[1] != 1) return thaw_onnx_refuse(r, "dilations are not supported");
  THAW_TRY(pairs(r, "strides", 1, 1, w->stride));
  THAW_TRY(automatic_pads(r, in, w));
  if (thaw_onnx_integer(r->node, "ceil_mode", 0)) widen(w, in);
  w->same = w->valid = true;
  for (int i = 0; i < 2; i++) {
    int32_t total = same_total(in[i], w->size[i], w->stride[i]);
    w->valid = w->valid && w->begin[i] == 0 && w->end[i] == 0;
    w->same = w->same && w->begin[i] == total / 2 && w->end[i] == total - total / 2;
  }
  return THAW_OK;
}

static thaw_status add_zeros(thaw_onnx_reader *r, const window *w, thaw_onnx_value *x) {
  if (w->same || w->valid) return THAW_OK;
  thaw_padding2d_config pad = {.top = w->begin[0], .bottom = w->end[0], .left = w->begin[1], .right = w->end[1]};
  return thaw_onnx_layer(r, "zero_padding", &pad, "_pad", &x->node, 1, &x->node);
}

static int32_t padding_of(const window *w) {
  return w->same && !w->valid ? THAW_SAME : THAW_VALID;
}

/* ------------------------------------------------------------------ Conv */

static const Onnx__TensorProto *constant_input(const thaw_onnx_reader *r, size_t i) {
  const thaw_onnx_value *value = thaw_onnx_input(r, i);
  return value ? value->constant : NULL;
}

static thaw_status check_kernel(const thaw_onnx_reader *r, const Onnx__TensorProto *kernel, int32_t channels,
                                int64_t groups) {
  if (!kernel || kernel->n_dims != 4) return thaw_onnx_refuse(r, "its weights are not a constant of 4 dimensions");
  for (int i = 0; i < 4; i++)
    if (kernel->dims[i] < 1 || kernel->dims[i] > 1 << 20)
      return thaw_onnx_refuse(r, "a dimension of its weights is %lld", (long long)kernel->dims[i]);
  if (groups < 1 || groups > channels || channels % groups || kernel->dims[0] % groups ||
      kernel->dims[1] != channels / groups)
    return thaw_onnx_refuse(r, "%lld groups of weights for %lld channels do not fit an input of %d channels",
                            (long long)groups, (long long)kernel->dims[1], channels);
  return THAW_OK;
}

thaw_status thaw_onnx_conv(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  window w = {0};
  THAW_TRY(thaw_onnx_need_map(r, &x));
  int32_t channels = thaw_onnx_shape(r, &x).c, node;
  const Onnx__TensorProto *kernel = constant_input(r, 1), *bias = constant_input(r, 2);
  int64_t groups = thaw_onnx_integer(r->node, "group", 1);
  const char *output = r->node->n_output ? r->node->output[0] : "";
  THAW_TRY(check_kernel(r, kernel, channels, groups));
  if (!bias && r->node->n_input > 2 && r->node->input[2][0]) return thaw_onnx_refuse(r, "its bias is not a constant");
  if (bias && thaw_onnx_count(bias) != (size_t)kernel->dims[0]) return thaw_onnx_refuse(r, "its bias has another size");
  if (!bias) bias = thaw_onnx_following_bias(r, (size_t)kernel->dims[0], &output);
  w.size[0] = (int32_t)kernel->dims[2];
  w.size[1] = (int32_t)kernel->dims[3];
  THAW_TRY(read_window(r, &x, &w));
  THAW_TRY(add_zeros(r, &w, &x));
  bool depthwise = groups == channels && channels > 1 && kernel->dims[0] == channels;
  thaw_conv2d_config config = {.filters = (int32_t)kernel->dims[0],
                               .kernel_h = w.size[0],
                               .kernel_w = w.size[1],
                               .stride_h = w.stride[0],
                               .stride_w = w.stride[1],
                               .padding = padding_of(&w),
                               .use_bias = bias != NULL};
  THAW_TRY(thaw_onnx_layer(r, depthwise ? "depthwise_conv2d" : "conv2d", &config, "", &x.node, 1, &node));
  thaw_onnx_source source = {
      .tensor = kernel, .conversion = THAW_ONNX_KERNEL, .groups = depthwise ? 1 : (int32_t)groups};
  THAW_TRY(thaw_onnx_source_add(r, node, source));
  if (bias) THAW_TRY(thaw_onnx_source_add(r, node, (thaw_onnx_source){.param = 1, .tensor = bias}));
  x.node = node;
  return thaw_onnx_bind(r, output, &x);
}

/* ------------------------------------------------------------------ poolings */

static thaw_status add_pool(thaw_onnx_reader *r, const char *type, const window *w, thaw_onnx_value x) {
  thaw_pool2d_config config = {.pool_h = w->size[0],
                               .pool_w = w->size[1],
                               .stride_h = w->stride[0],
                               .stride_w = w->stride[1],
                               .padding = padding_of(w)};
  return thaw_onnx_simple(r, type, &config, x);
}

/* Zeros around such a map do not change its maxima. */
static bool is_non_negative(const thaw_graph *graph, int32_t node, int depth) {
  const thaw_node *view = thaw_graph_view(graph, node);
  const thaw_layer_ops *ops = view->layer.ops;
  thaw_activation last = thaw_layer_last_activation(&view->layer);
  if (ops == &thaw_layer_re_lu || last == THAW_RELU || last == THAW_RELU6 || last == THAW_SIGMOID ||
      last == THAW_SOFTMAX)
    return true;
  bool keeps = ops == &thaw_layer_max_pooling || ops == &thaw_layer_average_pooling || ops == &thaw_layer_concatenate ||
               ops == &thaw_layer_zero_padding || ops == &thaw_layer_add;
  if (!keeps || depth > 3) return false;
  for (int32_t i = 0; i < view->layer.inputs; i++)
    if (!is_non_negative(graph, view->input[i], depth + 1)) return false;
  return true;
}

thaw_status thaw_onnx_max_pool(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  window w = {0};
  THAW_TRY(thaw_onnx_need_map(r, &x));
  if (r->node->n_output > 1 && r->node->output[1][0]) return thaw_onnx_refuse(r, "its indices are not supported");
  THAW_TRY(pairs(r, "kernel_shape", 0, 1, w.size));
  THAW_TRY(read_window(r, &x, &w));
  if (!w.same && !w.valid && !is_non_negative(r->graph, x.node, 0))
    return thaw_onnx_refuse(r, "pads a map that may be negative, which is supported only where \"same\" does it");
  THAW_TRY(add_zeros(r, &w, &x));
  return add_pool(r, "max_pooling", &w, x);
}

thaw_status thaw_onnx_average_pool(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  window w = {0};
  THAW_TRY(thaw_onnx_need_map(r, &x));
  THAW_TRY(pairs(r, "kernel_shape", 0, 1, w.size));
  THAW_TRY(read_window(r, &x, &w));
  if (thaw_onnx_integer(r->node, "ceil_mode", 0) && !w.valid) return thaw_onnx_refuse(r, "ceil_mode is not supported");
  if (w.valid) return add_pool(r, "average_pooling", &w, x);
  if (thaw_onnx_integer(r->node, "count_include_pad", 0))
    w.same = false; /* zeros count: they are real ones then */
  else if (!w.same)
    return thaw_onnx_refuse(r, "padding that does not count is supported only where \"same\" does it");
  THAW_TRY(add_zeros(r, &w, &x));
  return add_pool(r, "average_pooling", &w, x);
}

/* ------------------------------------------------------------------ Pad */

static thaw_status check_zeros(const thaw_onnx_reader *r) {
  const Onnx__AttributeProto *mode = thaw_onnx_attribute(r->node, "mode");
  if (mode && (mode->s.len != 8 || memcmp(mode->s.data, "constant", 8) != 0))
    return thaw_onnx_refuse(r, "its mode is not 'constant'");
  float fill = thaw_onnx_float(r->node, "value", 0);
  const Onnx__TensorProto *value = constant_input(r, 2);
  if (value) {
    float *number;
    THAW_TRY(thaw_onnx_floats(r->file, value, &number));
    if (thaw_onnx_count(value) > 0) fill = number[0];
    thaw_free(number);
  }
  if (fill != 0) return thaw_onnx_refuse(r, "pads with %g, not with 0", (double)fill);
  return r->node->n_input > 3 && r->node->input[3][0] ? thaw_onnx_refuse(r, "axes are not supported") : THAW_OK;
}

thaw_status thaw_onnx_pad(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  int64_t pad[8];
  size_t count;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  THAW_TRY(check_zeros(r));
  THAW_TRY(thaw_onnx_integers_of(r, "pads", 1, pad, 8, &count));
  if (x.axes == THAW_ONNX_FLAT || count != 8) return thaw_onnx_refuse(r, "is not a padding of maps");
  int h = x.axes == THAW_ONNX_NCHW ? 2 : 1, c = x.axes == THAW_ONNX_NCHW ? 1 : 3;
  for (int i = 0; i < 8; i++)
    if (pad[i] < 0 || pad[i] > 4096) return thaw_onnx_refuse(r, "pads has %lld", (long long)pad[i]);
  if (pad[0] || pad[4] || pad[c] || pad[4 + c]) return thaw_onnx_refuse(r, "pads images or channels");
  thaw_padding2d_config config = {
      .top = (int32_t)pad[h], .bottom = (int32_t)pad[4 + h], .left = (int32_t)pad[h + 1], .right = (int32_t)pad[5 + h]};
  return thaw_onnx_simple(r, "zero_padding", &config, x);
}
