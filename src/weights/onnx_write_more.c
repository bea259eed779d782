/* The layers that only models of others have, and the rarer activations, as ONNX' operators. */
#include "weights/onnx_writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *single(thaw_onnx_writer *w, const char *type, const char *suffix, const char *input) {
  return thaw_onnx_output(thaw_onnx_node(w, type, suffix, &input, 1));
}

static const char *with_number(thaw_onnx_writer *w, const char *type, const char *suffix, const char *input,
                               const char *key, double value) {
  Onnx__NodeProto *node = thaw_onnx_node(w, type, suffix, &input, 1);
  thaw_onnx_set_float(w, node, key, (float)value);
  return thaw_onnx_output(node);
}

/* x and one constant number. */
static const char *with_constant(thaw_onnx_writer *w, const char *type, const char *suffix, const char *input,
                                 const char *name, double value) {
  const char *pair[2] = {input};
  float *number = thaw_onnx_tensor(w, name, 0, NULL, &pair[1]);
  if (number) number[0] = (float)value;
  return thaw_onnx_output(thaw_onnx_node(w, type, suffix, pair, 2));
}

/* ------------------------------------------------------------------ activations */

static const char *hard_sigmoid(thaw_onnx_writer *w, const char *suffix, const char *input) {
  Onnx__NodeProto *node = thaw_onnx_node(w, "HardSigmoid", suffix, &input, 1);
  thaw_onnx_set_float(w, node, "alpha", 1.0f / 6);
  thaw_onnx_set_float(w, node, "beta", 0.5f);
  return thaw_onnx_output(node);
}

/* 0.5 x (1 + erf(x / sqrt(2))), as PyTorch writes it before version 20. */
static const char *gelu(thaw_onnx_writer *w, const char *suffix, const char *input) {
  const char *erf = single(w, "Erf", "erf", with_constant(w, "Div", "scaled", input, "root", sqrt(2)));
  const char *pair[2] = {input, with_constant(w, "Add", "shifted", erf, "one", 1)};
  const char *product = thaw_onnx_output(thaw_onnx_node(w, "Mul", "doubled", pair, 2));
  return with_constant(w, "Mul", suffix, product, "half", 0.5);
}

const char *thaw_onnx_write_rare_activation(thaw_onnx_writer *w, thaw_activation activation, const char *suffix,
                                            const char *input) {
  switch (activation) {
  case THAW_ELU:
    return with_number(w, "Elu", suffix, input, "alpha", 1);
  case THAW_SELU:
    return single(w, "Selu", suffix, input);
  case THAW_GELU:
    return gelu(w, suffix, input);
  case THAW_HARD_SIGMOID:
    return hard_sigmoid(w, suffix, input);
  case THAW_HARD_SILU: {
    const char *pair[2] = {input, hard_sigmoid(w, "gate", input)};
    return thaw_onnx_output(thaw_onnx_node(w, "Mul", suffix, pair, 2));
  }
  case THAW_LEAKY_RELU:
    return with_number(w, "LeakyRelu", suffix, input, "alpha", 0.2);
  default:
    return NULL;
  }
}

/* (h, w, c) -> (c, h, w) */
static const char *write_slopes(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  const thaw_param *alpha = &layer->param[0];
  bool map = alpha->rank == 3;
  int32_t c = alpha->dim[map ? 2 : 0], pixels = map ? alpha->dim[0] * alpha->dim[1] : 1;
  const int64_t dim[3] = {c, map ? alpha->dim[0] : 1, map ? alpha->dim[1] : 1};
  const char *pair[2] = {input};
  float *slope = thaw_onnx_tensor(w, "alpha", map ? 3 : 1, dim, &pair[1]);
  for (int32_t i = 0; slope && i < c * pixels; i++) slope[i % c * pixels + i / c] = alpha->value[i];
  return thaw_onnx_output(thaw_onnx_node(w, "PRelu", "", pair, 2));
}

/* ------------------------------------------------------------------ where values lie */

static const char *write_cropping(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  const thaw_padding2d_config *crop = layer->config;
  const int64_t starts[2] = {crop->top, crop->left}, axes[2] = {2, 3};
  const int64_t ends[2] = {crop->top + layer->output.h, crop->left + layer->output.w};
  const char *name[4] = {input, thaw_onnx_integers_tensor(w, "starts", starts, 2),
                         thaw_onnx_integers_tensor(w, "ends", ends, 2), thaw_onnx_integers_tensor(w, "axes", axes, 2)};
  return thaw_onnx_output(thaw_onnx_node(w, "Slice", "", name, 4));
}

static const char *write_sampling(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  static const int64_t dim[1] = {4};
  const thaw_up_sampling_config *config = layer->config;
  const char *name[3] = {input, ""};
  float *scales = thaw_onnx_tensor(w, "scales", 1, dim, &name[2]);
  if (scales) {
    scales[0] = scales[1] = 1;
    scales[2] = (float)config->h;
    scales[3] = (float)config->w;
  }
  Onnx__NodeProto *node = thaw_onnx_node(w, "Resize", "", name, 3);
  thaw_onnx_set_text(w, node, "mode", config->bilinear ? "linear" : "nearest");
  thaw_onnx_set_text(w, node, "coordinate_transformation_mode", config->bilinear ? "half_pixel" : "asymmetric");
  if (!config->bilinear) thaw_onnx_set_text(w, node, "nearest_mode", "floor");
  return thaw_onnx_output(node);
}

/* Height, width and channels are dimensions 2, 3 and 1. */
static const char *write_permute(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  static const int64_t place[3] = {2, 3, 1};
  const int32_t *axis = ((const thaw_permute_config *)layer->config)->axis;
  const int64_t order[4] = {0, place[axis[2]], place[axis[0]], place[axis[1]]};
  Onnx__NodeProto *node = thaw_onnx_node(w, "Transpose", "", &input, 1);
  thaw_onnx_set_integers(w, node, "perm", order, 4);
  return thaw_onnx_output(node);
}

/* ------------------------------------------------------------------ normalisation */

static const char *vector(thaw_onnx_writer *w, const char *suffix, const float *value, float fallback, int32_t count) {
  const char *name;
  const int64_t dim[1] = {count};
  float *data = thaw_onnx_tensor(w, suffix, 1, dim, &name);
  for (int32_t i = 0; data && i < count; i++) data[i] = value ? value[i] : fallback;
  return name;
}

static const float *value_of(const thaw_layer *layer, const char *name) {
  for (int32_t p = 0; p < layer->params; p++)
    if (strcmp(layer->param[p].name, name) == 0) return layer->param[p].value;
  return NULL;
}

/* Over the last dimension only, so maps are turned. */
static const char *write_layer_norm(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  static const int64_t to_last[4] = {0, 2, 3, 1}, to_first[4] = {0, 3, 1, 2};
  bool map = layer->output.rank == 3;
  Onnx__NodeProto *node;
  if (map) {
    node = thaw_onnx_node(w, "Transpose", "channels_last", &input, 1);
    thaw_onnx_set_integers(w, node, "perm", to_last, 4);
    input = thaw_onnx_output(node);
  }
  const char *name[3] = {input, vector(w, "gamma", value_of(layer, "gamma"), 1, layer->output.c),
                         vector(w, "beta", value_of(layer, "beta"), 0, layer->output.c)};
  node = thaw_onnx_node(w, "LayerNormalization", "", name, 3);
  thaw_onnx_set_integer(w, node, "axis", -1);
  thaw_onnx_set_float(w, node, "epsilon", (float)((const thaw_group_norm_config *)layer->config)->epsilon);
  w->version = 17; /* the first with it */
  if (!map) return thaw_onnx_output(node);
  input = thaw_onnx_output(node);
  node = thaw_onnx_node(w, "Transpose", "channels_first", &input, 1);
  thaw_onnx_set_integers(w, node, "perm", to_first, 4);
  return thaw_onnx_output(node);
}

static const char *per_channel(thaw_onnx_writer *w, const thaw_layer *layer, const char *type, const char *suffix,
                               const char *param, const char *input) {
  const int64_t dim[3] = {layer->output.c, 1, 1};
  const float *value = value_of(layer, param);
  const char *pair[2] = {input};
  if (!value) return suffix[0] ? input : single(w, "Identity", "", input);
  float *data = thaw_onnx_tensor(w, param, layer->output.rank == 3 ? 3 : 1, dim, &pair[1]);
  if (data) memcpy(data, value, (size_t)layer->output.c * sizeof *data);
  return thaw_onnx_output(thaw_onnx_node(w, type, suffix, pair, 2));
}

/* Groups as the channels of one long row, each normalized by itself, as PyTorch writes it. */
static const char *write_group_norm(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  const thaw_group_norm_config *config = layer->config;
  thaw_shape shape = layer->output;
  const int64_t rows[3] = {0, config->groups, -1}, back[4] = {-1, shape.c, shape.h, shape.w};
  const char *to[2] = {input, thaw_onnx_integers_tensor(w, "rows", rows, 3)};
  const char *norm[3] = {thaw_onnx_output(thaw_onnx_node(w, "Reshape", "grouped", to, 2)),
                         vector(w, "ones", NULL, 1, config->groups), vector(w, "zeros", NULL, 0, config->groups)};
  Onnx__NodeProto *node = thaw_onnx_node(w, "InstanceNormalization", "normalized", norm, 3);
  thaw_onnx_set_float(w, node, "epsilon", (float)config->epsilon);
  const char *from[2] = {thaw_onnx_output(node), thaw_onnx_integers_tensor(w, "maps", back, shape.rank == 3 ? 4 : 2)};
  input = thaw_onnx_output(thaw_onnx_node(w, "Reshape", "joined", from, 2));
  return per_channel(w, layer, "Add", "", "beta", per_channel(w, layer, "Mul", "scaled", "gamma", input));
}

/* ------------------------------------------------------------------ all */

const char *thaw_onnx_write_more(thaw_onnx_writer *w, const thaw_layer *layer, const char *input) {
  const thaw_layer_ops *ops = layer->ops;
  if (ops == &thaw_layer_leaky_re_lu)
    return with_number(w, "LeakyRelu", "", input, "alpha",
                       ((const thaw_leaky_re_lu_config *)layer->config)->negative_slope);
  if (ops == &thaw_layer_elu)
    return with_number(w, "Elu", "", input, "alpha", ((const thaw_elu_config *)layer->config)->alpha);
  if (ops == &thaw_layer_p_re_lu) return write_slopes(w, layer, input);
  if (ops == &thaw_layer_cropping) return write_cropping(w, layer, input);
  if (ops == &thaw_layer_up_sampling) return write_sampling(w, layer, input);
  if (ops == &thaw_layer_permute) return write_permute(w, layer, input);
  if (ops == &thaw_layer_layer_normalization) return write_layer_norm(w, layer, input);
  if (ops == &thaw_layer_group_normalization) return write_group_norm(w, layer, input);
  return NULL;
}
