/* Operators that change what dimensions mean, and the averages over a whole map. */
#include "weights/onnx_reader.h"

static bool is_pixel(thaw_shape shape) {
  return shape.h == 1 && shape.w == 1;
}

/* A map into one row. ONNX' order of N, C, H, W is remembered for the weights that will read it. */
static thaw_status flatten(thaw_onnx_reader *r, thaw_onnx_value x) {
  thaw_shape map = thaw_onnx_shape(r, &x);
  if (x.axes == THAW_ONNX_FLAT) return thaw_onnx_yield(r, x);
  x.map = x.axes == THAW_ONNX_NCHW && !is_pixel(map) ? map : (thaw_shape){0};
  x.axes = THAW_ONNX_FLAT;
  return thaw_onnx_simple(r, "flatten", NULL, x);
}

/* [c] into [1][1][c]. */
static thaw_status to_pixel(thaw_onnx_reader *r, thaw_onnx_value x, thaw_onnx_axes axes) {
  thaw_shape shape = thaw_onnx_shape(r, &x);
  if (x.map.rank) return thaw_onnx_refuse(r, "takes a flattened map apart");
  x.axes = axes;
  if (shape.rank == 3) return thaw_onnx_yield(r, x);
  return thaw_onnx_simple(r, "reshape", &(thaw_reshape_config){.target = {.rank = 3, .h = 1, .w = 1, .c = shape.c}}, x);
}

thaw_status thaw_onnx_flatten(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  int64_t axis = thaw_onnx_integer(r->node, "axis", 1), rank = x.axes == THAW_ONNX_FLAT ? 2 : 4;
  if (axis != 1 && axis != 1 - rank) return thaw_onnx_refuse(r, "axis %lld is not supported", (long long)axis);
  return flatten(r, x);
}

/* Whether a size asked for is `size`; -1 stands for what is left, 0 for what was there. */
static bool fits(int64_t asked, int64_t size) {
  return asked == size || asked == -1;
}

thaw_status thaw_onnx_reshape(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  int64_t target[THAW_ONNX_MAX_RANK];
  size_t rank;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  THAW_TRY(thaw_onnx_integers_of(r, "shape", 1, target, THAW_ONNX_MAX_RANK, &rank));
  thaw_shape shape = thaw_onnx_shape(r, &x);
  int64_t count = (int64_t)thaw_shape_count(shape);
  if (rank == 2 && fits(target[1], count)) return flatten(r, x);
  bool row = x.axes == THAW_ONNX_FLAT || is_pixel(shape);
  if (rank == 4 && row && fits(target[1], count) && target[2] == 1 && target[3] == 1)
    return to_pixel(r, x, THAW_ONNX_NCHW);
  if (rank == 4 && row && fits(target[3], count) && target[1] == 1 && target[2] == 1)
    return to_pixel(r, x, THAW_ONNX_NHWC);
  if (rank == 4 && x.axes != THAW_ONNX_FLAT) {
    bool first = x.axes == THAW_ONNX_NCHW;
    const int64_t same[3] = {first ? shape.c : shape.h, first ? shape.h : shape.w, first ? shape.w : shape.c};
    bool all = true;
    for (int i = 0; i < 3; i++) all = all && (target[i + 1] == 0 || fits(target[i + 1], same[i]));
    if (all) return thaw_onnx_yield(r, x);
  }
  return thaw_onnx_refuse(r, "neither flattens a map nor makes one pixel of a row");
}

thaw_status thaw_onnx_transpose(thaw_onnx_reader *r) {
  static const int64_t to_last[4] = {0, 2, 3, 1}, to_first[4] = {0, 3, 1, 2};
  thaw_onnx_value x;
  int64_t order[4];
  size_t rank;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  THAW_TRY(thaw_onnx_integers_of(r, "perm", 0, order, 4, &rank));
  bool last = x.axes == THAW_ONNX_NCHW && rank == 4, first = x.axes == THAW_ONNX_NHWC && rank == 4;
  for (size_t i = 0; i < 4 && rank == 4; i++) {
    last = last && order[i] == to_last[i];
    first = first && order[i] == to_first[i];
  }
  if (!last && !first && rank == 4) return thaw_onnx_permute(r, x, order);
  if (!last && !first) return thaw_onnx_refuse(r, "does not move the channels to the end or back");
  x.axes = last ? THAW_ONNX_NHWC : THAW_ONNX_NCHW;
  return thaw_onnx_yield(r, x);
}

/* Whether the two axes are a map's height and width. */
static bool are_spatial(const int64_t *axis, size_t count, thaw_onnx_axes axes) {
  int64_t h = axes == THAW_ONNX_NCHW ? 2 : 1, first, second;
  if (count != 2) return false;
  first = axis[0] < 0 ? axis[0] + 4 : axis[0];
  second = axis[1] < 0 ? axis[1] + 4 : axis[1];
  return (first == h && second == h + 1) || (first == h + 1 && second == h);
}

/* The input, and whether the operator's axes are height and width: of a map, or of the map that a row would be. */
static thaw_status need_spatial(thaw_onnx_reader *r, thaw_onnx_value *x, bool *first_out, bool *last_out) {
  int64_t axis[4];
  size_t count;
  THAW_TRY(thaw_onnx_need(r, 0, x));
  THAW_TRY(thaw_onnx_integers_of(r, "axes", 1, axis, 4, &count));
  *first_out = x->axes != THAW_ONNX_NHWC && are_spatial(axis, count, THAW_ONNX_NCHW);
  *last_out = x->axes != THAW_ONNX_NCHW && are_spatial(axis, count, THAW_ONNX_NHWC);
  return THAW_OK;
}

thaw_status thaw_onnx_squeeze(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  bool first, last;
  THAW_TRY(need_spatial(r, &x, &first, &last));
  if (x.axes == THAW_ONNX_FLAT || !(first || last) || !is_pixel(thaw_onnx_shape(r, &x)))
    return thaw_onnx_refuse(r, "is not over height and width of one pixel");
  return flatten(r, x);
}

thaw_status thaw_onnx_unsqueeze(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  bool first, last;
  THAW_TRY(need_spatial(r, &x, &first, &last));
  if (x.axes != THAW_ONNX_FLAT || !(first || last)) return thaw_onnx_refuse(r, "does not make one pixel of a row");
  return to_pixel(r, x, first ? THAW_ONNX_NCHW : THAW_ONNX_NHWC);
}

static thaw_status global(thaw_onnx_reader *r, const char *type, thaw_onnx_value x, bool keepdims) {
  if (!keepdims) x.axes = THAW_ONNX_FLAT;
  return thaw_onnx_simple(r, type, &(thaw_global_pool_config){.keepdims = keepdims}, x);
}

thaw_status thaw_onnx_global_average(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need_map(r, &x));
  return global(r, "global_average_pooling", x, true);
}

thaw_status thaw_onnx_global_max(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need_map(r, &x));
  return global(r, "global_max_pooling", x, true);
}

thaw_status thaw_onnx_reduce_mean(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  bool first, last;
  THAW_TRY(need_spatial(r, &x, &first, &last));
  if (x.axes == THAW_ONNX_FLAT || !(first || last)) return thaw_onnx_refuse(r, "is not over height and width");
  return global(r, "global_average_pooling", x, thaw_onnx_integer(r->node, "keepdims", 1) != 0);
}
