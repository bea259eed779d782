/* An ONNX model as a network, and its weights as those of a weight file. */
#include "weights/onnx.h"
#include "weights/onnx_reader.h"

#include "thaw/memory.h"

#include <stdio.h>
#include <string.h>

/* A model that was read: kept while its weights are wanted. */
typedef struct loaded {
  thaw_onnx_file file;
  thaw_onnx_reader reader;
  char failure[512]; /* of the first node that could not be read; "" when all could */
} loaded;

bool thaw_weight_is_onnx(const char *path) {
  static const char end[] = ".onnx";
  size_t length = strlen(path);
  return length > sizeof end - 1 && strcmp(path + length - (sizeof end - 1), end) == 0;
}

/* ------------------------------------------------------------------ the input */

static bool is_initializer(const thaw_onnx_reader *r, const char *name) {
  return json_object_get(r->index, name) != NULL;
}

static thaw_status find_input(const thaw_onnx_reader *r, const Onnx__ValueInfoProto **out) {
  const Onnx__GraphProto *graph = r->file->model->graph;
  *out = NULL;
  for (size_t i = 0; i < graph->n_input; i++) {
    if (is_initializer(r, graph->input[i]->name)) continue; /* old models list weights as inputs */
    if (*out)
      return thaw_fail(THAW_ERR_DATA, "%s: a model with several inputs ('%.80s', '%.80s') is not supported",
                       r->file->path, (*out)->name, graph->input[i]->name);
    *out = graph->input[i];
  }
  return *out ? THAW_OK : thaw_fail(THAW_ERR_DATA, "%s: the model has no input", r->file->path);
}

/* Whether a node turns the input from [N][H][W][C] to [N][C][H][W]. */
static bool is_turned(const Onnx__GraphProto *graph, const char *input) {
  for (size_t i = 0; i < graph->n_node; i++) {
    const Onnx__NodeProto *node = graph->node[i];
    if (strcmp(node->op_type, "Transpose") != 0 || node->n_input != 1 || strcmp(node->input[0], input) != 0) continue;
    const Onnx__AttributeProto *order = thaw_onnx_attribute(node, "perm");
    return order && order->n_ints == 4 && order->ints[1] == 3;
  }
  return false;
}

static int64_t size_of(const Onnx__TensorShapeProto *shape, size_t i) {
  int64_t value = shape && i < shape->n_dim ? shape->dim[i]->dim_value : 0;
  return value > 0 && value <= 1 << 20 ? value : 0;
}

static thaw_status choose_input(const thaw_onnx_reader *r, const Onnx__ValueInfoProto *input, const thaw_shape *wanted,
                                thaw_onnx_axes *axes, thaw_shape *out) {
  const Onnx__TypeProto__Tensor *type = input->type ? input->type->tensor_type : NULL;
  const Onnx__TensorShapeProto *shape = type ? type->shape : NULL;
  if (shape && shape->n_dim != 4)
    return thaw_fail(THAW_ERR_DATA, "%s: the input '%.80s' has %zu dimensions, expected 4 (images)", r->file->path,
                     input->name, shape->n_dim);
  if (type && type->elem_type && type->elem_type != THAW_ONNX_FLOAT)
    return thaw_fail(THAW_ERR_DATA, "%s: the input '%.80s' is of type %d, expected float", r->file->path, input->name,
                     type->elem_type);
  bool last = size_of(shape, 3) && size_of(shape, 3) <= 4 && !(size_of(shape, 1) && size_of(shape, 1) <= 4);
  *axes = last || is_turned(r->file->model->graph, input->name) ? THAW_ONNX_NHWC : THAW_ONNX_NCHW;
  bool channels_last = *axes == THAW_ONNX_NHWC;
  *out = (thaw_shape){.rank = 3,
                      .h = (int32_t)size_of(shape, channels_last ? 1 : 2),
                      .w = (int32_t)size_of(shape, channels_last ? 2 : 3),
                      .c = (int32_t)size_of(shape, channels_last ? 3 : 1)};
  if (wanted) {
    if (out->c && wanted->c != out->c)
      return thaw_fail(THAW_ERR_USAGE, "%s: the model takes images of %d channels, the input has %d", r->file->path,
                       out->c, wanted->c);
    *out = *wanted;
  }
  if (out->h && out->w && out->c) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE,
                   "%s: the model takes images of any size; give one (input: [height, width, channels])",
                   r->file->path);
}

/* ------------------------------------------------------------------ the graph */

static thaw_status bind_initializers(thaw_onnx_reader *r) {
  const Onnx__GraphProto *graph = r->file->model->graph;
  for (size_t i = 0; i < graph->n_initializer; i++) {
    const thaw_onnx_value value = {.constant = graph->initializer[i]};
    if (json_object_get(r->index, graph->initializer[i]->name))
      return thaw_fail(THAW_ERR_DATA, "%s: the tensor '%.80s' is there twice", r->file->path,
                       graph->initializer[i]->name);
    THAW_TRY(thaw_onnx_bind(r, graph->initializer[i]->name, &value));
  }
  return THAW_OK;
}

static thaw_status start(thaw_onnx_reader *r, const thaw_shape *wanted) {
  const Onnx__ValueInfoProto *input;
  thaw_onnx_value image = {0};
  thaw_shape shape;
  r->index = json_object();
  r->arena = thaw_arena_create();
  r->node = r->file->model->graph->node[0];
  if (!r->index || !r->arena) return THAW_ERR_MEMORY;
  THAW_TRY(bind_initializers(r));
  THAW_TRY(find_input(r, &input));
  THAW_TRY(choose_input(r, input, wanted, &image.axes, &shape));
  THAW_TRY(thaw_graph_create(shape, &r->graph));
  return thaw_onnx_bind(r, input->name, &image);
}

/* All nodes, in the file's order, which ONNX demands to be one in which values are made before they are read: so a
 * cycle is a value that "no node before it makes". What cannot be read is left out; what is not needed may be so. */
static thaw_status convert_nodes(loaded *l) {
  thaw_onnx_reader *r = &l->reader;
  const Onnx__GraphProto *graph = r->file->model->graph;
  for (size_t i = 0; i < graph->n_node; i++) {
    r->node = graph->node[i];
    r->position = i;
    thaw_status status = thaw_onnx_convert_node(r);
    if (status == THAW_ERR_MEMORY) return status;
    if (status != THAW_OK && !l->failure[0]) snprintf(l->failure, sizeof l->failure, "%s", thaw_message());
  }
  return THAW_OK;
}

static void unload(void *state) {
  loaded *l = state;
  if (!l) return;
  thaw_graph_destroy(l->reader.graph);
  json_decref(l->reader.index);
  thaw_arena_destroy(l->reader.arena);
  thaw_free(l->reader.value);
  thaw_free(l->reader.source);
  thaw_onnx_close(&l->file);
  thaw_free(l);
}

static thaw_status load(const char *path, const thaw_shape *input, bool any_size, loaded **out) {
  *out = NULL;
  loaded *l = thaw_new(1, sizeof *l);
  if (!l) return THAW_ERR_MEMORY;
  thaw_status status = thaw_onnx_open(path, &l->file);
  l->reader.file = &l->file;
  l->reader.any_size = any_size;
  if (status == THAW_OK) status = start(&l->reader, input);
  if (status == THAW_OK) status = convert_nodes(l);
  if (status == THAW_OK)
    *out = l;
  else
    unload(l);
  return status;
}

/* ------------------------------------------------------------------ the model */

static int32_t node_of_value(const thaw_onnx_reader *r, const char *name) {
  const json_t *place = json_object_get(r->index, name);
  const thaw_onnx_value *value = place ? &r->value[json_integer_value(place)] : NULL;
  return value && !value->constant ? value->node : -1;
}

/* By the layer's name, the node's, or that of the value it makes. */
static int32_t find_cut(const loaded *l, const char *cut) {
  const Onnx__GraphProto *graph = l->file.model->graph;
  int32_t node = thaw_graph_find(l->reader.graph, cut);
  if (node < 1) node = node_of_value(&l->reader, cut);
  for (size_t i = 0; i < graph->n_node && node < 1; i++)
    if (strcmp(graph->node[i]->name, cut) == 0 && graph->node[i]->n_output)
      node = node_of_value(&l->reader, graph->node[i]->output[0]);
  return node;
}

static thaw_status find_last(const loaded *l, const char *cut, int32_t *last) {
  const Onnx__GraphProto *graph = l->file.model->graph;
  const char *path = l->file.path;
  if (!cut && graph->n_output != 1)
    return thaw_fail(THAW_ERR_DATA, "%s: the model has %zu outputs; name the layer to use (cut)", path,
                     graph->n_output);
  *last = cut ? find_cut(l, cut) : node_of_value(&l->reader, graph->output[0]->name);
  if (*last >= 1) return THAW_OK;
  if (l->failure[0]) return thaw_fail(THAW_ERR_DATA, "%s", l->failure);
  if (cut) return thaw_fail(THAW_ERR_USAGE, "%s: the model has no layer '%s'", path, cut);
  return thaw_fail(THAW_ERR_DATA, "%s: its output '%.80s' is made by no node", path, graph->output[0]->name);
}

thaw_status thaw_onnx_read_model(const char *path, const thaw_shape *input, const char *cut, thaw_graph **out,
                                 int32_t *last_out) {
  loaded *l;
  int32_t last = 0;
  *out = NULL;
  THAW_TRY(load(path, input, false, &l));
  thaw_status status = find_last(l, cut, &last);
  if (status == THAW_OK) status = thaw_graph_truncate(l->reader.graph, last);
  if (status == THAW_OK) {
    *out = l->reader.graph;
    *last_out = thaw_graph_count(*out) - 1;
    l->reader.graph = NULL;
  }
  unload(l);
  return status;
}

thaw_status thaw_onnx_read_property(const char *path, const char *key, char **out) {
  thaw_onnx_file file;
  *out = NULL;
  THAW_TRY(thaw_onnx_open(path, &file));
  thaw_status status = THAW_OK;
  for (size_t i = 0; i < file.model->n_metadata_props && !*out && status == THAW_OK; i++) {
    if (strcmp(file.model->metadata_props[i]->key, key) != 0) continue;
    *out = thaw_copy_text(file.model->metadata_props[i]->value);
    if (!*out) status = THAW_ERR_MEMORY;
  }
  thaw_onnx_close(&file);
  return status;
}

/* ------------------------------------------------------------------ weights */

static size_t row_in_onnx(thaw_shape map, size_t row) {
  if (!map.rank) return row;
  size_t c = (size_t)map.c, pixels = (size_t)map.h * (size_t)map.w;
  return row % c * pixels + row / c;
}

static void convert_dense(const thaw_onnx_source *source, const float *from, float *to) {
  bool transposed = source->conversion == THAW_ONNX_DENSE_T;
  size_t rows = (size_t)source->tensor->dims[transposed], columns = (size_t)source->tensor->dims[!transposed];
  for (size_t row = 0; row < rows; row++) {
    size_t at = row_in_onnx(source->map, row);
    for (size_t i = 0; i < columns; i++)
      to[row * columns + i] = transposed ? from[i * rows + at] : from[at * columns + i];
  }
}

/* Groups see only their own channels: the others' weights are zero. */
static void convert_kernel(const thaw_onnx_source *source, const float *from, float *to) {
  const int64_t *dim = source->tensor->dims;
  size_t out = (size_t)dim[0], part = (size_t)dim[1], pixels = (size_t)dim[2] * (size_t)dim[3];
  size_t in = part * (size_t)source->groups, group_out = out / (size_t)source->groups;
  if (source->groups == 1) {
    thaw_tensor_reorder(from, 4, dim, to);
    return;
  }
  memset(to, 0, pixels * in * out * sizeof *to);
  for (size_t o = 0; o < out; o++)
    for (size_t i = 0; i < part; i++)
      for (size_t p = 0; p < pixels; p++)
        to[(p * in + o / group_out * part + i) * out + o] = from[(o * part + i) * pixels + p];
}

static void convert_simple(const thaw_onnx_source *source, const float *from, size_t count, float *to) {
  bool one = source->tensor && thaw_onnx_count(source->tensor) == 1;
  for (size_t i = 0; i < count; i++) {
    float value = source->tensor ? from[one ? 0 : i] : source->fill;
    to[i] = source->conversion == THAW_ONNX_NEGATIVE     ? -value
            : source->conversion == THAW_ONNX_RECIPROCAL ? 1 / value
                                                         : value;
  }
}

static thaw_status read_values(const thaw_weight_file *file, const thaw_weight *weight, float *out) {
  const loaded *l = file->state;
  const thaw_onnx_source *source = &l->reader.source[weight->position];
  float *from = NULL;
  if (source->tensor) THAW_TRY(thaw_onnx_floats(&l->file, source->tensor, &from));
  switch (source->conversion) {
  case THAW_ONNX_KERNEL:
    convert_kernel(source, from, out);
    break;
  case THAW_ONNX_DENSE:
  case THAW_ONNX_DENSE_T:
    convert_dense(source, from, out);
    break;
  default:
    convert_simple(source, from, (size_t)weight->info.count, out);
    break;
  }
  thaw_free(from);
  return THAW_OK;
}

static const char *stored_name(const Onnx__TensorProto *tensor) {
  switch (tensor ? tensor->data_type : THAW_ONNX_FLOAT) {
  case THAW_ONNX_FLOAT:
    return "float32";
  case THAW_ONNX_FLOAT16:
    return "float16";
  case THAW_ONNX_BFLOAT16:
    return "bfloat16";
  case THAW_ONNX_DOUBLE:
    return "float64";
  default:
    return "another type";
  }
}

static thaw_status add_source(thaw_weight_file *file, const loaded *l, size_t position) {
  const thaw_onnx_source *source = &l->reader.source[position];
  int32_t node = thaw_graph_find(l->reader.graph, source->layer);
  if (node < 0) return THAW_OK;
  const thaw_param *param = &thaw_graph_view(l->reader.graph, node)->layer.param[source->param];
  bool constant = source->tensor == NULL || source->tensor->name[0] == '\0';
  thaw_weight weight = {.name = (char *)param->name,
                        .dataset = constant ? (char *)param->name : source->tensor->name,
                        .role = thaw_weight_role_of(param->name),
                        .stored = stored_name(source->tensor),
                        .position = position};
  weight.info = (thaw_h5_info){.type = THAW_H5_F32, .rank = param->rank, .count = (int64_t)thaw_param_count(param)};
  for (int i = 0; i < param->rank; i++) weight.info.dim[i] = param->dim[i];
  thaw_weight_layer *layer = thaw_weight_file_layer(file, source->layer);
  return layer ? thaw_weight_layer_add(layer, &weight) : THAW_ERR_MEMORY;
}

static const thaw_weight_store store = {.read = read_values, .close = unload};

thaw_status thaw_onnx_open_weights(const thaw_shape *input, thaw_weight_file *file) {
  loaded *l;
  THAW_TRY(load(file->path, input, input == NULL, &l));
  file->store = &store;
  file->state = l;
  file->named = true;
  for (size_t i = 0; i < l->reader.sources; i++) THAW_TRY(add_source(file, l, i));
  if (file->count == 0 && l->failure[0]) return thaw_fail(THAW_ERR_DATA, "%s", l->failure);
  if (file->count == 0) return thaw_fail(THAW_ERR_DATA, "%s: none of its layers has weights", file->path);
  const char *producer = l->file.model->producer_name;
  file->layout = thaw_format("ONNX model%s%.80s, operators of version %lld", producer[0] ? " by " : "", producer,
                             (long long)l->file.opset);
  return file->layout ? THAW_OK : THAW_ERR_MEMORY;
}
