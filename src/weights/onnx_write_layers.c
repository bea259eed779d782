/* Each layer as ONNX' operators. */
#include "weights/onnx_writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static thaw_status unwritable(const thaw_layer *layer) {
  return thaw_fail(THAW_ERR_DATA, "layer '%s' (%s) has no ONNX operator", layer->name, layer->ops->schema->name);
}

static const char *single(thaw_onnx_writer *w, const char *type, const char *suffix, const char *input) {
  return thaw_onnx_output(thaw_onnx_node(w, type, suffix, &input, 1));
}

/* ------------------------------------------------------------------ activations */

static const char *activation_type(thaw_activation activation) {
  switch (activation) {
  case THAW_RELU:
    return "Relu";
  case THAW_SIGMOID:
    return "Sigmoid";
  case THAW_TANH:
    return "Tanh";
  case THAW_SOFTMAX:
    return "Softmax";
  default:
    return NULL;
  }
}

static const char *clip(thaw_onnx_writer *w, const char *suffix, const char *input, float most) {
  const char *name[3] = {input};
  float *low = thaw_onnx_tensor(w, "min", 0, NULL, &name[1]), *high = thaw_onnx_tensor(w, "max", 0, NULL, &name[2]);
  if (!low || !high) return "";
  low[0] = 0;
  high[0] = most;
  return thaw_onnx_output(thaw_onnx_node(w, "Clip", suffix, name, 3));
}

/* The value after an activation; its last node is called layer + suffix. */
static const char *activate(thaw_onnx_writer *w, thaw_activation activation, const char *suffix, const char *input) {
  if (activation == THAW_LINEAR) return suffix[0] ? input : single(w, "Identity", suffix, input);
  if (activation == THAW_RELU6) return clip(w, suffix, input, 6);
  if (activation == THAW_SWISH) {
    const char *factor[2] = {input, single(w, "Sigmoid", "sigmoid", input)};
    return thaw_onnx_output(thaw_onnx_node(w, "Mul", suffix, factor, 2));
  }
  if (!activation_type(activation)) return thaw_onnx_write_rare_activation(w, activation, suffix, input);
  Onnx__NodeProto *node = thaw_onnx_node(w, activation_type(activation), suffix, &input, 1);
  if (activation == THAW_SOFTMAX) thaw_onnx_set_integer(w, node, "axis", 1);
  return thaw_onnx_output(node);
}

/* ------------------------------------------------------------------ numbers */

static const char *vector(thaw_onnx_writer *w, const char *suffix, const float *value, int32_t count) {
  const char *name;
  const int64_t dim[1] = {count};
  float *data = thaw_onnx_tensor(w, suffix, 1, dim, &name);
  if (data) memcpy(data, value, (size_t)count * sizeof *data);
  return name;
}

/* One number for each channel of a map or row: [C][1][1] or [C]. */
static float *channels(thaw_onnx_writer *w, const char *suffix, thaw_shape shape, const char **name) {
  const int64_t dim[3] = {shape.c, 1, 1};
  return thaw_onnx_tensor(w, suffix, shape.rank == 3 ? 3 : 1, dim, name);
}

static const thaw_param *param_of(const thaw_layer *layer, thaw_weight_role role) {
  for (int32_t p = 0; p < layer->params; p++)
    if (thaw_weight_role_of(layer->param[p].name) == role) return &layer->param[p];
  return NULL;
}

/* (h, w, in, out) -> (out, in, h, w); a depthwise kernel is (h, w, out, 1) with in = 1. */
static const char *kernel(thaw_onnx_writer *w, const char *suffix, const float *from, const int64_t dim[4]) {
  const char *name;
  float *to = thaw_onnx_tensor(w, suffix, 4, dim, &name);
  size_t out = (size_t)dim[0], in = (size_t)dim[1], pixels = (size_t)(dim[2] * dim[3]);
  for (size_t o = 0; to && o < out; o++)
    for (size_t i = 0; i < in; i++)
      for (size_t p = 0; p < pixels; p++) to[(o * in + i) * pixels + p] = from[(p * in + i) * out + o];
  return name;
}

/* ------------------------------------------------------------------ convolutions and dense layers */

static const char *convolve(thaw_onnx_writer *w, const thaw_conv_desc *d, const char *suffix, const char *input,
                            const char *kernel_suffix, const float *weights, const thaw_param *bias) {
  const int64_t dim[4] = {d->k, d->depthwise ? 1 : d->c, d->kh, d->kw};
  const int64_t pads[4] = {d->pad_top, d->pad_left, d->pad_bottom, d->pad_right};
  const int64_t size[2] = {d->kh, d->kw}, strides[2] = {d->stride_h, d->stride_w};
  const char *name[3] = {input, kernel(w, kernel_suffix, weights, dim)};
  if (bias) name[2] = vector(w, "bias", bias->value, bias->dim[0]);
  Onnx__NodeProto *node = thaw_onnx_node(w, "Conv", suffix, name, bias ? 3 : 2);
  thaw_onnx_set_integers(w, node, "kernel_shape", size, 2);
  thaw_onnx_set_integers(w, node, "strides", strides, 2);
  thaw_onnx_set_integers(w, node, "pads", pads, 4);
  thaw_onnx_set_integer(w, node, "group", d->depthwise ? d->c : 1);
  return thaw_onnx_output(node);
}

/* A layer with an activation of its own: what computes is called "<layer>/linear" then. */
static const char *inner_suffix(thaw_activation activation) {
  return activation == THAW_LINEAR ? "" : "linear";
}

static const char *finish(thaw_onnx_writer *w, thaw_activation activation, const char *value) {
  return activation == THAW_LINEAR ? value : activate(w, activation, "", value);
}

static const char *write_conv(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  const thaw_conv2d_config *config = layer->config;
  thaw_activation activation = (thaw_activation)config->activation;
  const thaw_param *bias = param_of(layer, THAW_ROLE_BIAS);
  if (layer->ops == &thaw_layer_separable_conv2d) {
    thaw_conv_desc depthwise, pointwise;
    thaw_layer_separable_descs(layer, &depthwise, &pointwise);
    input = convolve(w, &depthwise, "depthwise", input, "depthwise_kernel", layer->param[0].value, NULL);
    input = convolve(w, &pointwise, inner_suffix(activation), input, "kernel", layer->param[1].value, bias);
    return finish(w, activation, input);
  }
  thaw_conv_desc desc = thaw_layer_conv_desc(layer);
  input = convolve(w, &desc, inner_suffix(activation), input, "kernel", layer->param[0].value, bias);
  return finish(w, activation, input);
}

static const char *write_dense(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  const thaw_dense_config *config = layer->config;
  thaw_activation activation = (thaw_activation)config->activation;
  const thaw_param *matrix = &layer->param[0], *bias = param_of(layer, THAW_ROLE_BIAS);
  if (layer->output.rank == 3) { /* the same for each pixel */
    thaw_conv_desc desc = {.c = matrix->dim[0], .k = matrix->dim[1], .kh = 1, .kw = 1, .stride_h = 1, .stride_w = 1};
    return finish(w, activation, convolve(w, &desc, inner_suffix(activation), input, "kernel", matrix->value, bias));
  }
  const int64_t dim[2] = {matrix->dim[0], matrix->dim[1]};
  const char *name[3] = {input};
  float *data = thaw_onnx_tensor(w, "kernel", 2, dim, &name[1]);
  if (data) memcpy(data, matrix->value, thaw_param_count(matrix) * sizeof *data);
  if (bias) name[2] = vector(w, "bias", bias->value, bias->dim[0]);
  return finish(w, activation,
                thaw_onnx_output(thaw_onnx_node(w, "Gemm", inner_suffix(activation), name, bias ? 3 : 2)));
}

/* ------------------------------------------------------------------ normalisation */

static const char *write_batch_norm(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  static const thaw_weight_role role[] = {THAW_ROLE_GAMMA, THAW_ROLE_BETA, THAW_ROLE_MEAN, THAW_ROLE_VARIANCE};
  static const char *const suffix[] = {"gamma", "beta", "moving_mean", "moving_variance"};
  const thaw_batch_norm_config *config = layer->config;
  const char *name[5] = {input};
  const int64_t dim[1] = {layer->output.c};
  for (int i = 0; i < 4; i++) {
    const thaw_param *param = param_of(layer, role[i]);
    float *data = thaw_onnx_tensor(w, suffix[i], 1, dim, &name[i + 1]);
    for (int32_t c = 0; data && c < layer->output.c; c++) data[c] = param ? param->value[c] : i == 0;
  }
  Onnx__NodeProto *node = thaw_onnx_node(w, "BatchNormalization", "", name, 5);
  thaw_onnx_set_float(w, node, "epsilon", (float)config->epsilon);
  thaw_onnx_set_float(w, node, "momentum", (float)config->momentum);
  return thaw_onnx_output(node);
}

static const char *write_normalization(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  const char *mean[2] = {input}, *deviation[2];
  float *shift = channels(w, "mean", layer->output, &mean[1]);
  float *divisor = channels(w, "deviation", layer->output, &deviation[1]);
  for (int32_t c = 0; shift && divisor && c < layer->output.c; c++) {
    shift[c] = layer->param[0].value[c];
    divisor[c] = fmaxf(sqrtf(layer->param[1].value[c]), 1e-7f);
  }
  deviation[0] = thaw_onnx_output(thaw_onnx_node(w, "Sub", "centred", mean, 2));
  return thaw_onnx_output(thaw_onnx_node(w, "Div", "", deviation, 2));
}

static const char *write_unit_normalization(thaw_onnx_writer *w, const char *input) {
  Onnx__NodeProto *node = thaw_onnx_node(w, "LpNormalization", "", &input, 1);
  thaw_onnx_set_integer(w, node, "axis", 1);
  thaw_onnx_set_integer(w, node, "p", 2);
  return thaw_onnx_output(node);
}

static const char *write_rescaling(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  const thaw_rescaling_config *config = layer->config;
  const char *factor[2] = {input}, *sum[2];
  float *scale = channels(w, "scale", layer->output, &factor[1]);
  float *offset = channels(w, "offset", layer->output, &sum[1]);
  for (int32_t c = 0; scale && offset && c < layer->output.c; c++) {
    scale[c] = (float)config->scale[config->scales > 1 ? c : 0];
    offset[c] = (float)config->offset[config->offsets > 1 ? c : 0];
  }
  sum[0] = thaw_onnx_output(thaw_onnx_node(w, "Mul", "scaled", factor, 2));
  return thaw_onnx_output(thaw_onnx_node(w, "Add", "", sum, 2));
}

/* ------------------------------------------------------------------ windows */

static const char *write_pool(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  thaw_pool_desc d = thaw_layer_pool_desc(layer);
  const int64_t size[2] = {d.kh, d.kw}, strides[2] = {d.stride_h, d.stride_w};
  const int64_t pads[4] = {d.pad_top, d.pad_left, d.pad_bottom, d.pad_right};
  bool max = layer->ops == &thaw_layer_max_pooling;
  Onnx__NodeProto *node = thaw_onnx_node(w, max ? "MaxPool" : "AveragePool", "", &input, 1);
  thaw_onnx_set_integers(w, node, "kernel_shape", size, 2);
  thaw_onnx_set_integers(w, node, "strides", strides, 2);
  thaw_onnx_set_integers(w, node, "pads", pads, 4);
  return thaw_onnx_output(node);
}

static const char *write_padding(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  const thaw_padding2d_config *pad = layer->config;
  int32_t bottom = pad->bottom < 0 ? pad->top : pad->bottom, left = pad->left < 0 ? pad->top : pad->left;
  int32_t right = pad->right < 0 ? pad->top : pad->right;
  const int64_t pads[8] = {0, 0, pad->top, left, 0, 0, bottom, right};
  const char *name[2] = {input, thaw_onnx_integers_tensor(w, "pads", pads, 8)};
  return thaw_onnx_output(thaw_onnx_node(w, "Pad", "", name, 2));
}

/* ------------------------------------------------------------------ shapes */

static const char *to_last(thaw_onnx_writer *w, const char *input) {
  static const int64_t order[4] = {0, 2, 3, 1};
  Onnx__NodeProto *node = thaw_onnx_node(w, "Transpose", "channels_last", &input, 1);
  thaw_onnx_set_integers(w, node, "perm", order, 4);
  return thaw_onnx_output(node);
}

/* Into one row, in the network's own order of height, width, channel. */
static const char *flatten(thaw_onnx_writer *w, const char *suffix, thaw_shape shape, const char *input) {
  if (shape.rank != 3) return single(w, "Identity", suffix, input);
  if (shape.h > 1 || shape.w > 1) input = to_last(w, input);
  Onnx__NodeProto *node = thaw_onnx_node(w, "Flatten", suffix, &input, 1);
  thaw_onnx_set_integer(w, node, "axis", 1);
  return thaw_onnx_output(node);
}

static const char *write_reshape(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  static const int64_t order[4] = {0, 3, 1, 2};
  thaw_shape shape = layer->output;
  if (shape.rank != 3) return flatten(w, "", layer->input[0], input);
  bool pixel = shape.h == 1 && shape.w == 1;
  const int64_t target[4] = {-1, pixel ? shape.c : shape.h, pixel ? 1 : shape.w, pixel ? 1 : shape.c};
  if (layer->input[0].rank == 3) input = flatten(w, "flat", layer->input[0], input);
  const char *name[2] = {input, thaw_onnx_integers_tensor(w, "shape", target, 4)};
  Onnx__NodeProto *node = thaw_onnx_node(w, "Reshape", pixel ? "" : "maps", name, 2);
  if (pixel) return thaw_onnx_output(node);
  input = thaw_onnx_output(node);
  node = thaw_onnx_node(w, "Transpose", "", &input, 1);
  thaw_onnx_set_integers(w, node, "perm", order, 4);
  return thaw_onnx_output(node);
}

static const char *write_global(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  bool average = layer->ops == &thaw_layer_global_average_pooling, keeps = layer->output.rank == 3;
  input = single(w, average ? "GlobalAveragePool" : "GlobalMaxPool", keeps ? "" : "pixel", input);
  return keeps ? input : flatten(w, "", (thaw_shape){.rank = 3, .h = 1, .w = 1, .c = layer->output.c}, input);
}

/* ------------------------------------------------------------------ joins */

static const char *write_join(thaw_onnx_writer *w, int32_t index, const char *type) {
  const thaw_node *view = thaw_graph_view(w->graph, index);
  const char *name[THAW_MAX_INPUTS];
  for (int32_t i = 0; i < view->layer.inputs; i++) name[i] = w->value[view->input[i]];
  if (strcmp(type, "Mul") != 0) {
    bool sum = strcmp(type, "Add") == 0 && view->layer.inputs != 2;
    Onnx__NodeProto *node = thaw_onnx_node(w, sum ? "Sum" : type, "", name, (size_t)view->layer.inputs);
    if (strcmp(type, "Concat") == 0) thaw_onnx_set_integer(w, node, "axis", 1);
    return thaw_onnx_output(node);
  }
  const char *pair[2] = {name[0]};
  for (int32_t i = 1; i < view->layer.inputs; i++) {
    char suffix[24] = "";
    if (i + 1 < view->layer.inputs) snprintf(suffix, sizeof suffix, "part_%d", i);
    pair[1] = name[i];
    pair[0] = thaw_onnx_output(thaw_onnx_node(w, type, suffix, pair, 2));
  }
  return pair[0];
}

/* ------------------------------------------------------------------ all */

static const char *write_activation(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  if (layer->ops != &thaw_layer_re_lu)
    return activate(w, (thaw_activation)((const thaw_activation_config *)layer->config)->activation, "", input);
  double most = ((const thaw_re_lu_config *)layer->config)->max_value;
  return most > 0 ? clip(w, "", input, (float)most) : activate(w, THAW_RELU, "", input);
}

static const char *write_one(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  const thaw_layer_ops *ops = layer->ops;
  if (ops == &thaw_layer_conv2d || ops == &thaw_layer_depthwise_conv2d || ops == &thaw_layer_separable_conv2d)
    return write_conv(w, layer, input);
  if (ops == &thaw_layer_dense) return write_dense(w, layer, input);
  if (ops == &thaw_layer_batch_normalization) return write_batch_norm(w, layer, input);
  if (ops == &thaw_layer_activation || ops == &thaw_layer_re_lu) return write_activation(w, layer, input);
  if (ops == &thaw_layer_max_pooling || ops == &thaw_layer_average_pooling) return write_pool(w, layer, input);
  if (ops == &thaw_layer_zero_padding) return write_padding(w, layer, input);
  if (ops == &thaw_layer_global_average_pooling || ops == &thaw_layer_global_max_pooling)
    return write_global(w, layer, input);
  if (ops == &thaw_layer_flatten) return flatten(w, "", layer->input[0], input);
  if (ops == &thaw_layer_reshape) return write_reshape(w, layer, input);
  if (ops == &thaw_layer_dropout) return single(w, "Identity", "", input);
  if (ops == &thaw_layer_rescaling) return write_rescaling(w, layer, input);
  if (ops == &thaw_layer_normalization) return write_normalization(w, layer, input);
  if (ops == &thaw_layer_unit_normalization) return write_unit_normalization(w, input);
  return thaw_onnx_write_more(w, layer, input);
}

static thaw_status check_values(const thaw_layer *layer) {
  for (int32_t p = 0; p < layer->params; p++)
    if (!layer->param[p].value)
      return thaw_fail(THAW_ERR_INTERNAL, "%s/%s: its values are not in memory", layer->name, layer->param[p].name);
  return THAW_OK;
}

thaw_status thaw_onnx_write_layer(thaw_onnx_writer *w, int32_t index) {
  const thaw_node *view = thaw_graph_view(w->graph, index);
  const thaw_layer *layer = &view->layer;
  THAW_TRY(check_values(layer));
  const char *value;
  if (layer->ops == &thaw_layer_add)
    value = write_join(w, index, "Add");
  else if (layer->ops == &thaw_layer_multiply)
    value = write_join(w, index, "Mul");
  else if (layer->ops == &thaw_layer_concatenate)
    value = write_join(w, index, "Concat");
  else
    value = write_one(w, layer, w->value[view->input[0]]);
  if (!value) return unwritable(layer);
  w->value[index] = value;
  return THAW_OK;
}
