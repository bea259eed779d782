/* Operators that fewer models have: activations with numbers of their own, LayerNormalization, Slice, Resize. */
#include "weights/onnx_reader.h"

#include "thaw/memory.h"

#include <math.h>
#include <string.h>

static bool is_near(float value, double wanted) {
  return fabs((double)value - wanted) <= 1e-6 * fabs(wanted);
}

static thaw_status activation(thaw_onnx_reader *r, thaw_activation kind) {
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  return thaw_onnx_simple(r, "activation", &(thaw_activation_config){.activation = (int32_t)kind}, x);
}

static bool is_text(const thaw_onnx_reader *r, const char *name, const char *wanted, const char *fallback) {
  const Onnx__AttributeProto *attribute = thaw_onnx_attribute(r->node, name);
  if (!attribute) return strcmp(fallback, wanted) == 0;
  return attribute->s.len == strlen(wanted) && memcmp(attribute->s.data, wanted, attribute->s.len) == 0;
}

/* ------------------------------------------------------------------ activations */

thaw_status thaw_onnx_leaky_relu(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  float slope = thaw_onnx_float(r->node, "alpha", 0.01f);
  return thaw_onnx_simple(r, "leaky_re_lu", &(thaw_leaky_re_lu_config){.negative_slope = (double)slope}, x);
}

thaw_status thaw_onnx_elu(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  float alpha = thaw_onnx_float(r->node, "alpha", 1);
  return thaw_onnx_simple(r, "elu", &(thaw_elu_config){.alpha = (double)alpha}, x);
}

thaw_status thaw_onnx_selu(thaw_onnx_reader *r) {
  bool usual = is_near(thaw_onnx_float(r->node, "alpha", 1.67326319f), 1.67326319) &&
               is_near(thaw_onnx_float(r->node, "gamma", 1.05070102f), 1.05070102);
  return usual ? activation(r, THAW_SELU) : thaw_onnx_refuse(r, "alpha and gamma are not the usual ones");
}

thaw_status thaw_onnx_hard_sigmoid(thaw_onnx_reader *r) {
  bool usual =
      is_near(thaw_onnx_float(r->node, "alpha", 0.2f), 1.0 / 6) && is_near(thaw_onnx_float(r->node, "beta", 0.5f), 0.5);
  return usual ? activation(r, THAW_HARD_SIGMOID) : thaw_onnx_refuse(r, "is supported only with alpha 1/6, beta 0.5");
}

thaw_status thaw_onnx_hard_swish(thaw_onnx_reader *r) {
  return activation(r, THAW_HARD_SILU);
}

thaw_status thaw_onnx_gelu(thaw_onnx_reader *r) {
  if (is_text(r, "approximate", "none", "none")) return activation(r, THAW_GELU);
  return thaw_onnx_refuse(r, "its approximation is not supported");
}

/* One slope for each channel, or one for all. */
thaw_status thaw_onnx_prelu(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  const thaw_onnx_value *slope = thaw_onnx_input(r, 1);
  const Onnx__TensorProto *tensor = slope ? slope->constant : NULL;
  size_t channels = (size_t)thaw_onnx_shape(r, &x).c, count = tensor ? thaw_onnx_count(tensor) : 0;
  size_t from_end = x.axes == THAW_ONNX_NCHW ? 3 : 1;
  bool each = count == channels && tensor->n_dims >= from_end &&
              tensor->dims[tensor->n_dims - from_end] == (int64_t)channels && !x.map.rank;
  if (!each && count != 1) return thaw_onnx_refuse(r, "its slopes are not constants, one for each channel");
  const thaw_p_re_lu_config config = {.share_height = true, .share_width = true};
  THAW_TRY(thaw_onnx_layer(r, "p_re_lu", &config, "", &x.node, 1, &x.node));
  THAW_TRY(thaw_onnx_source_add(r, x.node, (thaw_onnx_source){.tensor = tensor}));
  return thaw_onnx_yield(r, x);
}

/* ------------------------------------------------------------------ LayerNormalization */

thaw_status thaw_onnx_layer_norm(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  int64_t axis = thaw_onnx_integer(r->node, "axis", -1), rank = x.axes == THAW_ONNX_FLAT ? 2 : 4;
  size_t channels = (size_t)thaw_onnx_shape(r, &x).c;
  bool last = axis == -1 || axis == rank - 1;
  if (!last || x.axes == THAW_ONNX_NCHW || x.map.rank) return thaw_onnx_refuse(r, "is not over the channels");
  if (x.axes == THAW_ONNX_FLAT && thaw_shape_count(thaw_onnx_shape(r, &x)) != channels)
    return thaw_onnx_refuse(r, "is over a flattened map");
  const Onnx__TensorProto *tensor[2] = {NULL, NULL};
  for (size_t i = 0; i < 2; i++) {
    const thaw_onnx_value *value = thaw_onnx_input(r, i + 1);
    if (value) tensor[i] = value->constant;
    bool given = i + 1 < r->node->n_input && r->node->input[i + 1][0];
    if ((given || i == 0) && (!tensor[i] || thaw_onnx_count(tensor[i]) != channels))
      return thaw_onnx_refuse(r, "input %zu is not a constant of %zu numbers", i + 1, channels);
  }
  const thaw_group_norm_config config = {
      .epsilon = (double)thaw_onnx_float(r->node, "epsilon", 1e-5f), .scale = true, .center = tensor[1] != NULL};
  THAW_TRY(thaw_onnx_layer(r, "layer_normalization", &config, "", &x.node, 1, &x.node));
  THAW_TRY(thaw_onnx_source_add(r, x.node, (thaw_onnx_source){.tensor = tensor[0]}));
  if (tensor[1]) THAW_TRY(thaw_onnx_source_add(r, x.node, (thaw_onnx_source){.param = 1, .tensor = tensor[1]}));
  return thaw_onnx_yield(r, x);
}

/* ------------------------------------------------------------------ Slice and Resize */

/* From `from` to `to` of a dimension of `size`; negative ones count from its end. */
static bool clip_range(int64_t size, int64_t *from, int64_t *to) {
  if (*from < 0) *from += size;
  if (*to < 0) *to += size;
  if (*from < 0) *from = 0;
  if (*to > size) *to = size;
  return *from < *to;
}

thaw_status thaw_onnx_slice(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  int64_t from[4], to[4], axis[4] = {0, 1, 2, 3}, step[4];
  size_t count, ends, axes, steps;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  THAW_TRY(thaw_onnx_integers_of(r, "starts", 1, from, 4, &count));
  THAW_TRY(thaw_onnx_integers_of(r, "ends", 2, to, 4, &ends));
  THAW_TRY(thaw_onnx_integers_of(r, "axes", 3, axis, 4, &axes));
  THAW_TRY(thaw_onnx_integers_of(r, "steps", 4, step, 4, &steps));
  thaw_shape shape = thaw_onnx_shape(r, &x);
  if (x.axes == THAW_ONNX_FLAT || count != ends || (axes && axes != count))
    return thaw_onnx_refuse(r, "does not cut a map");
  int64_t h = x.axes == THAW_ONNX_NCHW ? 2 : 1;
  thaw_padding2d_config crop = {0};
  for (size_t i = 0; i < count; i++) {
    if (steps && (i >= steps || step[i] != 1)) return thaw_onnx_refuse(r, "takes steps");
    if (axis[i] < 0) axis[i] += 4;
    bool rows = axis[i] == h;
    int64_t size = rows ? shape.h : shape.w;
    if (!rows && axis[i] != h + 1) return thaw_onnx_refuse(r, "cuts images or channels");
    if (!clip_range(size, &from[i], &to[i])) return thaw_onnx_refuse(r, "leaves nothing");
    *(rows ? &crop.top : &crop.left) = (int32_t)from[i];
    *(rows ? &crop.bottom : &crop.right) = (int32_t)(size - to[i]);
  }
  return thaw_onnx_simple(r, "cropping", &crop, x);
}

static const Onnx__TensorProto *constant_input(const thaw_onnx_reader *r, size_t i) {
  const thaw_onnx_value *value = thaw_onnx_input(r, i);
  return value ? value->constant : NULL;
}

/* Factors of height and width, from factors of all dimensions or from their sizes. */
static thaw_status read_factors(const thaw_onnx_reader *r, const thaw_onnx_value *x, double factor[2]) {
  const Onnx__TensorProto *scales = constant_input(r, 2), *sizes = constant_input(r, 3);
  thaw_shape shape = thaw_onnx_shape(r, x);
  size_t h = x->axes == THAW_ONNX_NCHW ? 2 : 1, c = x->axes == THAW_ONNX_NCHW ? 1 : 3;
  int64_t size[4];
  size_t count;
  if (scales && thaw_onnx_count(scales) == 4) {
    float *number;
    THAW_TRY(thaw_onnx_floats(r->file, scales, &number));
    bool whole = number[0] == 1 && number[c] == 1;
    for (int i = 0; i < 2; i++) factor[i] = (double)number[h + (size_t)i];
    thaw_free(number);
    return whole ? THAW_OK : thaw_onnx_refuse(r, "resizes more than height and width");
  }
  if (!sizes || !thaw_onnx_integers(sizes, size, 4, &count) || count != 4)
    return thaw_onnx_refuse(r, "has neither scales nor sizes of four dimensions");
  if (size[c] != shape.c) return thaw_onnx_refuse(r, "resizes more than height and width");
  factor[0] = (double)size[h] / shape.h;
  factor[1] = (double)size[h + 1] / shape.w;
  return THAW_OK;
}

thaw_status thaw_onnx_resize(thaw_onnx_reader *r) {
  static const char place[] = "coordinate_transformation_mode", half[] = "half_pixel";
  thaw_onnx_value x;
  double factor[2] = {0};
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  if (x.axes == THAW_ONNX_FLAT) return thaw_onnx_refuse(r, "its input is no map");
  THAW_TRY(read_factors(r, &x, factor));
  for (int i = 0; i < 2; i++)
    if (!(factor[i] >= 1 && factor[i] <= 64) || factor[i] != floor(factor[i]))
      return thaw_onnx_refuse(r, "by %g is supported only where that is a whole number", factor[i]);
  bool nearest = is_text(r, "mode", "nearest", "nearest"), linear = is_text(r, "mode", "linear", "nearest");
  /* For whole factors these two ways to the nearest pixel are one. */
  bool floors = is_text(r, place, "asymmetric", half) && is_text(r, "nearest_mode", "floor", "round_prefer_floor");
  bool rounds = is_text(r, place, half, half) && is_text(r, "nearest_mode", "round_prefer_floor", "round_prefer_floor");
  if (!(nearest && (floors || rounds)) && !(linear && is_text(r, place, half, half)))
    return thaw_onnx_refuse(r, "is neither to the nearest pixel nor linear between the pixels' centres");
  const thaw_up_sampling_config config = {.h = (int32_t)factor[0], .w = (int32_t)factor[1], .bilinear = linear};
  return thaw_onnx_simple(r, "up_sampling", &config, x);
}

/* ------------------------------------------------------------------ Transpose of a map's own dimensions */

thaw_status thaw_onnx_permute(thaw_onnx_reader *r, thaw_onnx_value x, const int64_t order[4]) {
  static const int32_t axis_of[4] = {-1, 2, 0, 1}; /* dimension of ONNX -> height 0, width 1, channels 2 */
  for (int i = 1; i < 4; i++)
    if (order[i] < 1 || order[i] > 3) return thaw_onnx_refuse(r, "moves the images");
  if (x.axes != THAW_ONNX_NCHW || order[0] != 0)
    return thaw_onnx_refuse(r, "does not move the channels to the end or back");
  const thaw_permute_config config = {.axis = {axis_of[order[2]], axis_of[order[3]], axis_of[order[1]]}};
  return thaw_onnx_simple(r, "permute", &config, x);
}
