/* From an ONNX graph to a network: what nodes share, and the operators without options. ONNX' images are [N][C][H][W],
 * the network's [h][w][c]; so each value remembers what its dimensions mean in ONNX, and operators that name dimensions
 * are translated. Transposes between the two orders then do nothing. */
#include "weights/onnx_reader.h"

#include "thaw/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

thaw_status thaw_onnx_refuse(const thaw_onnx_reader *r, const char *format, ...) {
  char why[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  return thaw_fail(THAW_ERR_DATA, "%s: node %zu '%s' (%s): %s", r->file->path, r->position,
                   r->node->name[0] || r->node->n_output == 0 ? r->node->name : r->node->output[0], r->node->op_type,
                   why);
}

/* ------------------------------------------------------------------ values */

const thaw_onnx_value *thaw_onnx_input(const thaw_onnx_reader *r, size_t i) {
  if (i >= r->node->n_input || r->node->input[i][0] == '\0') return NULL;
  const json_t *place = json_object_get(r->index, r->node->input[i]);
  return place ? &r->value[json_integer_value(place)] : NULL;
}

thaw_shape thaw_onnx_shape(const thaw_onnx_reader *r, const thaw_onnx_value *value) {
  return thaw_graph_view(r->graph, value->node)->layer.output;
}

thaw_status thaw_onnx_need(const thaw_onnx_reader *r, size_t i, thaw_onnx_value *out) {
  const thaw_onnx_value *value = thaw_onnx_input(r, i);
  if (!value)
    return thaw_onnx_refuse(r, "reads '%.80s', which no node before it makes",
                            i < r->node->n_input ? r->node->input[i] : "");
  if (value->constant) return thaw_onnx_refuse(r, "input %zu is a constant, which is not supported here", i);
  *out = *value;
  return THAW_OK;
}

thaw_status thaw_onnx_need_map(const thaw_onnx_reader *r, thaw_onnx_value *out) {
  THAW_TRY(thaw_onnx_need(r, 0, out));
  if (out->axes == THAW_ONNX_NCHW) return THAW_OK;
  return thaw_onnx_refuse(r, "its input is no map of the order N, C, H, W");
}

thaw_status thaw_onnx_bind(thaw_onnx_reader *r, const char *name, const thaw_onnx_value *value) {
  if (json_object_get(r->index, name)) return thaw_onnx_refuse(r, "the value '%.80s' is made twice", name);
  if (thaw_grow((void **)&r->value, r->values, &r->value_capacity, sizeof *r->value) != 0) return THAW_ERR_MEMORY;
  if (json_object_set_new_nocheck(r->index, name, json_integer((json_int_t)r->values)) != 0)
    return thaw_fail(THAW_ERR_MEMORY, "%s: out of memory for the values' names", r->file->path);
  r->value[r->values++] = *value;
  return THAW_OK;
}

thaw_status thaw_onnx_yield(thaw_onnx_reader *r, thaw_onnx_value value) {
  if (r->node->n_output == 0) return thaw_onnx_refuse(r, "has no output");
  return thaw_onnx_bind(r, r->node->output[0], &value);
}

/* ------------------------------------------------------------------ layers */

thaw_status thaw_onnx_layer(thaw_onnx_reader *r, const char *type, const void *config, const char *suffix,
                            const int32_t *input, int32_t inputs, int32_t *node) {
  char base[200], name[256];
  thaw_onnx_layer_name(r->node, r->position, base);
  snprintf(name, sizeof name, "%s%s", base, suffix);
  if (thaw_graph_find(r->graph, name) >= 0) snprintf(name, sizeof name, "%s%s_%zu", base, suffix, r->position);
  thaw_status status = thaw_graph_add(r->graph, type, config, name, input, inputs, node);
  if (status == THAW_OK || status == THAW_ERR_MEMORY) return status;
  return thaw_fail_in(THAW_ERR_DATA, "%s: node %zu: ", r->file->path, r->position);
}

thaw_status thaw_onnx_simple(thaw_onnx_reader *r, const char *type, const void *config, thaw_onnx_value like) {
  THAW_TRY(thaw_onnx_layer(r, type, config, "", &like.node, 1, &like.node));
  return thaw_onnx_yield(r, like);
}

thaw_status thaw_onnx_source_add(thaw_onnx_reader *r, int32_t node, thaw_onnx_source source) {
  if (thaw_grow((void **)&r->source, r->sources, &r->source_capacity, sizeof *r->source) != 0) return THAW_ERR_MEMORY;
  snprintf(source.layer, sizeof source.layer, "%s", thaw_graph_view(r->graph, node)->layer.name);
  r->source[r->sources++] = source;
  return THAW_OK;
}

static bool reads(const Onnx__NodeProto *node, const char *name) {
  for (size_t i = 0; i < node->n_input; i++)
    if (strcmp(node->input[i], name) == 0) return true;
  return false;
}

const Onnx__TensorProto *thaw_onnx_following_bias(thaw_onnx_reader *r, size_t count, const char **output) {
  const Onnx__GraphProto *graph = r->file->model->graph;
  const Onnx__NodeProto *reader = NULL;
  if (r->node->n_output == 0) return NULL;
  const char *name = r->node->output[0];
  for (size_t i = 0; i < graph->n_output; i++)
    if (strcmp(graph->output[i]->name, name) == 0) return NULL;
  for (size_t i = 0; i < graph->n_node; i++) {
    if (!reads(graph->node[i], name)) continue;
    if (reader) return NULL;
    reader = graph->node[i];
  }
  if (!reader || strcmp(reader->op_type, "Add") != 0 || reader->n_input != 2 || reader->n_output != 1) return NULL;
  const char *other = reader->input[strcmp(reader->input[0], name) == 0];
  const json_t *place = json_object_get(r->index, other);
  const Onnx__TensorProto *constant = place ? r->value[json_integer_value(place)].constant : NULL;
  if (!constant || thaw_onnx_count(constant) != count) return NULL;
  *output = reader->output[0];
  return constant;
}

thaw_status thaw_onnx_integers_of(const thaw_onnx_reader *r, const char *attribute, size_t input, int64_t *out,
                                  size_t most, size_t *count) {
  const Onnx__AttributeProto *given = thaw_onnx_attribute(r->node, attribute);
  *count = 0;
  if (given) {
    if (given->n_ints > most) return thaw_onnx_refuse(r, "%s has %zu numbers", attribute, given->n_ints);
    for (size_t i = 0; i < given->n_ints; i++) out[i] = given->ints[i];
    *count = given->n_ints;
    return THAW_OK;
  }
  if (input == 0 || input >= r->node->n_input || r->node->input[input][0] == '\0') return THAW_OK;
  const thaw_onnx_value *value = thaw_onnx_input(r, input);
  if (!value || !value->constant || !thaw_onnx_integers(value->constant, out, most, count))
    return thaw_onnx_refuse(r, "%s is not given by a constant of at most %zu integers", attribute, most);
  return THAW_OK;
}

/* ------------------------------------------------------------------ operators without numbers */

static thaw_status activation(thaw_onnx_reader *r, thaw_activation kind) {
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  return thaw_onnx_simple(r, "activation", &(thaw_activation_config){.activation = (int32_t)kind}, x);
}

static thaw_status relu(thaw_onnx_reader *r) {
  return activation(r, THAW_RELU);
}
static thaw_status sigmoid(thaw_onnx_reader *r) {
  return activation(r, THAW_SIGMOID);
}
static thaw_status hyperbolic_tangent(thaw_onnx_reader *r) {
  return activation(r, THAW_TANH);
}

static thaw_status softmax(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  int64_t axis = thaw_onnx_integer(r->node, "axis", r->file->opset < 13 ? 1 : -1);
  int64_t rank = x.axes == THAW_ONNX_FLAT ? 2 : 4, channel = x.axes == THAW_ONNX_NHWC ? 3 : 1;
  if (axis < 0) axis += rank;
  if (axis != channel || (rank == 4 && r->file->opset < 13)) return thaw_onnx_refuse(r, "is not over the channels");
  return activation(r, THAW_SOFTMAX);
}

/* Of length 1 over the channels: UnitNormalization. */
static thaw_status unit_length(thaw_onnx_reader *r) {
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  int64_t rank = x.axes == THAW_ONNX_FLAT ? 2 : 4, axis = thaw_onnx_integer(r->node, "axis", -1);
  if (axis < 0) axis += rank;
  if (axis != (x.axes == THAW_ONNX_NHWC ? 3 : 1)) return thaw_onnx_refuse(r, "is not over the channels");
  if (thaw_onnx_integer(r->node, "p", 2) != 2) return thaw_onnx_refuse(r, "is not of the Euclidean length");
  return thaw_onnx_simple(r, "unit_normalization", NULL, x);
}

/* A limit of Clip: an attribute until version 10, then an input. */
static thaw_status limit(const thaw_onnx_reader *r, const char *name, size_t input, float *out) {
  const Onnx__AttributeProto *attribute = thaw_onnx_attribute(r->node, name);
  if (attribute) *out = attribute->f;
  if (attribute || input >= r->node->n_input || r->node->input[input][0] == '\0') return THAW_OK;
  const thaw_onnx_value *value = thaw_onnx_input(r, input);
  if (!value || !value->constant || thaw_onnx_count(value->constant) != 1)
    return thaw_onnx_refuse(r, "%s is not one constant number", name);
  float *number;
  THAW_TRY(thaw_onnx_floats(r->file, value->constant, &number));
  *out = number[0];
  thaw_free(number);
  return THAW_OK;
}

static thaw_status clip(thaw_onnx_reader *r) {
  static const float none = 1e38f;
  float least = -none, most = none;
  thaw_onnx_value x;
  THAW_TRY(thaw_onnx_need(r, 0, &x));
  THAW_TRY(limit(r, "min", 1, &least));
  THAW_TRY(limit(r, "max", 2, &most));
  if (least != 0 || !(most > 0))
    return thaw_onnx_refuse(r, "clips from %g to %g, not from 0", (double)least, (double)most);
  if (most >= none) return relu(r);
  return thaw_onnx_simple(r, "re_lu", &(thaw_re_lu_config){.max_value = (double)most}, x);
}

/* Identity, Dropout (which does nothing after training), and Cast, of constants and of values. */
static thaw_status pass(thaw_onnx_reader *r) {
  const thaw_onnx_value *x = thaw_onnx_input(r, 0);
  if (!x) return thaw_onnx_refuse(r, "reads a value that no node before it makes");
  return thaw_onnx_yield(r, *x);
}

static thaw_status cast(thaw_onnx_reader *r) {
  const thaw_onnx_value *x = thaw_onnx_input(r, 0);
  int64_t to = thaw_onnx_integer(r->node, "to", 0);
  if (x && !x->constant && to != THAW_ONNX_FLOAT)
    return thaw_onnx_refuse(r, "to type %lld is not supported", (long long)to);
  return pass(r);
}

static thaw_status constant(thaw_onnx_reader *r) {
  const Onnx__AttributeProto *value = thaw_onnx_attribute(r->node, "value");
  if (value && value->t) {
    THAW_TRY(thaw_onnx_check_tensor(r->file, value->t));
    return thaw_onnx_yield(r, (thaw_onnx_value){.constant = value->t});
  }
  Onnx__TensorProto *tensor = thaw_arena_new(r->arena, 1, sizeof *tensor);
  int64_t *dims = thaw_arena_new(r->arena, 1, sizeof *dims);
  if (!tensor || !dims) return THAW_ERR_MEMORY;
  onnx__tensor_proto__init(tensor);
  const char *name = r->node->n_attribute ? r->node->attribute[0]->name : "";
  Onnx__AttributeProto *given = r->node->n_attribute ? r->node->attribute[0] : NULL;
  if (strcmp(name, "value_float") == 0 || strcmp(name, "value_floats") == 0) {
    bool list = name[strlen(name) - 1] == 's';
    tensor->data_type = THAW_ONNX_FLOAT;
    tensor->float_data = list ? given->floats : &given->f;
    tensor->n_float_data = list ? given->n_floats : 1;
    dims[0] = (int64_t)tensor->n_float_data;
  } else if (strcmp(name, "value_int") == 0 || strcmp(name, "value_ints") == 0) {
    bool list = name[strlen(name) - 1] == 's';
    tensor->data_type = THAW_ONNX_INT64;
    tensor->int64_data = list ? given->ints : &given->i;
    tensor->n_int64_data = list ? given->n_ints : 1;
    dims[0] = (int64_t)tensor->n_int64_data;
  } else {
    return thaw_onnx_refuse(r, "its value is neither a tensor nor numbers");
  }
  tensor->n_dims = 1;
  tensor->dims = dims;
  return thaw_onnx_yield(r, (thaw_onnx_value){.constant = tensor});
}

static thaw_status concat(thaw_onnx_reader *r) {
  int32_t node[THAW_MAX_INPUTS];
  thaw_onnx_value first, next;
  THAW_TRY(thaw_onnx_need(r, 0, &first));
  if (r->node->n_input == 1) return pass(r);
  if (r->node->n_input > THAW_MAX_INPUTS) return thaw_onnx_refuse(r, "has %zu inputs", r->node->n_input);
  int64_t rank = first.axes == THAW_ONNX_FLAT ? 2 : 4, axis = thaw_onnx_integer(r->node, "axis", 1);
  if (axis < 0) axis += rank;
  if (axis != (first.axes == THAW_ONNX_NHWC ? 3 : 1)) return thaw_onnx_refuse(r, "is not along the channels");
  for (size_t i = 0; i < r->node->n_input; i++) {
    THAW_TRY(thaw_onnx_need(r, i, &next));
    if (next.axes != first.axes || next.map.rank) return thaw_onnx_refuse(r, "joins values of different layouts");
    node[i] = next.node;
  }
  THAW_TRY(thaw_onnx_layer(r, "concatenate", NULL, "", node, (int32_t)r->node->n_input, &first.node));
  return thaw_onnx_yield(r, first);
}

/* ------------------------------------------------------------------ the table */

static const struct {
  const char *name;
  thaw_status (*convert)(thaw_onnx_reader *r);
} operators[] = {
    {"Conv", thaw_onnx_conv},
    {"MaxPool", thaw_onnx_max_pool},
    {"AveragePool", thaw_onnx_average_pool},
    {"Pad", thaw_onnx_pad},
    {"GlobalAveragePool", thaw_onnx_global_average},
    {"GlobalMaxPool", thaw_onnx_global_max},
    {"ReduceMean", thaw_onnx_reduce_mean},
    {"Flatten", thaw_onnx_flatten},
    {"Reshape", thaw_onnx_reshape},
    {"Transpose", thaw_onnx_transpose},
    {"Squeeze", thaw_onnx_squeeze},
    {"Unsqueeze", thaw_onnx_unsqueeze},
    {"Gemm", thaw_onnx_gemm},
    {"MatMul", thaw_onnx_matmul},
    {"BatchNormalization", thaw_onnx_batch_norm},
    {"Add", thaw_onnx_add},
    {"Sub", thaw_onnx_subtract},
    {"Mul", thaw_onnx_multiply},
    {"Div", thaw_onnx_divide},
    {"Sum", thaw_onnx_add},
    {"LeakyRelu", thaw_onnx_leaky_relu},
    {"Elu", thaw_onnx_elu},
    {"Selu", thaw_onnx_selu},
    {"HardSigmoid", thaw_onnx_hard_sigmoid},
    {"HardSwish", thaw_onnx_hard_swish},
    {"Gelu", thaw_onnx_gelu},
    {"PRelu", thaw_onnx_prelu},
    {"LayerNormalization", thaw_onnx_layer_norm},
    {"Slice", thaw_onnx_slice},
    {"Resize", thaw_onnx_resize},
    {"Relu", relu},
    {"Sigmoid", sigmoid},
    {"Tanh", hyperbolic_tangent},
    {"Softmax", softmax},
    {"Clip", clip},
    {"LpNormalization", unit_length},
    {"Concat", concat},
    {"Identity", pass},
    {"Dropout", pass},
    {"Cast", cast},
    {"Constant", constant},
};

thaw_status thaw_onnx_convert_node(thaw_onnx_reader *r) {
  const char *domain = r->node->domain;
  /* A sum that became the bias of the layer before it. */
  if (r->node->n_output == 1 && json_object_get(r->index, r->node->output[0]) && strcmp(r->node->op_type, "Add") == 0)
    return THAW_OK;
  if (domain[0] && strcmp(domain, "ai.onnx") != 0)
    return thaw_onnx_refuse(r, "operators of the domain '%.80s' are not supported", domain);
  for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
    if (strcmp(operators[i].name, r->node->op_type) == 0) return operators[i].convert(r);
  return thaw_onnx_refuse(r, "this operator is not supported");
}
