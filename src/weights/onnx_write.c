/* A network as an ONNX model: operators of version 13 (17 where a layer needs them), images in the order N, H, W, C
 * with a transpose in front, as tf2onnx writes Keras' models. Nodes are called as the layers. */
#include "weights/onnx_writer.h"

#include "thaw/file.h"

#include <stdio.h>
#include <string.h>

enum { OPERATORS = 13 }; /* at least; a layer may need later ones */

static void *allocate(thaw_onnx_writer *w, size_t count, size_t size) {
  void *memory = w->failed ? NULL : thaw_arena_new(w->arena, count, size);
  w->failed = w->failed || !memory;
  return memory;
}

static char *copy(thaw_onnx_writer *w, const char *text) {
  char *memory = w->failed ? NULL : thaw_arena_text(w->arena, text);
  w->failed = w->failed || !memory;
  return memory ? memory : (char *)(uintptr_t) "";
}

const char *thaw_onnx_name(thaw_onnx_writer *w, const char *suffix) {
  char name[512];
  snprintf(name, sizeof name, "%s%s%s", w->layer, suffix[0] ? "/" : "", suffix);
  return copy(w, name);
}

/* Room for one more pointer in an array of the arena. */
static bool grow(thaw_onnx_writer *w, void ***list, size_t count, size_t *capacity) {
  if (count < *capacity) return true;
  size_t larger = *capacity ? 2 * *capacity : 64;
  void **new_list = allocate(w, larger, sizeof *new_list);
  if (!new_list) return false;
  if (count) memcpy(new_list, *list, count * sizeof *new_list);
  *list = new_list;
  *capacity = larger;
  return true;
}

Onnx__NodeProto *thaw_onnx_node(thaw_onnx_writer *w, const char *type, const char *suffix, const char *const *input,
                                size_t inputs) {
  Onnx__NodeProto *node = allocate(w, 1, sizeof *node);
  char **names = allocate(w, inputs + 1, sizeof *names);
  if (!node || !names || !grow(w, (void ***)&w->out->node, w->out->n_node, &w->node_capacity)) return NULL;
  onnx__node_proto__init(node);
  for (size_t i = 0; i < inputs; i++) names[i] = copy(w, input[i]);
  node->input = names;
  node->n_input = inputs;
  node->output = names + inputs;
  node->n_output = 1;
  node->output[0] = node->name = (char *)(uintptr_t)thaw_onnx_name(w, suffix);
  node->op_type = copy(w, type);
  w->out->node[w->out->n_node++] = node;
  return node;
}

const char *thaw_onnx_output(const Onnx__NodeProto *node) {
  return node ? node->output[0] : "";
}

/* ------------------------------------------------------------------ attributes */

enum { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_STRING = 3, TYPE_INTS = 7, MOST_ATTRIBUTES = 8 };

static Onnx__AttributeProto *attribute(thaw_onnx_writer *w, Onnx__NodeProto *node, const char *name, int32_t type) {
  Onnx__AttributeProto *new_one = node ? allocate(w, 1, sizeof *new_one) : NULL;
  if (!new_one) return NULL;
  if (!node->attribute) node->attribute = allocate(w, MOST_ATTRIBUTES, sizeof(void *));
  if (!node->attribute || node->n_attribute == MOST_ATTRIBUTES) return NULL;
  onnx__attribute_proto__init(new_one);
  new_one->name = copy(w, name);
  new_one->type = type;
  node->attribute[node->n_attribute++] = new_one;
  return new_one;
}

void thaw_onnx_set_integer(thaw_onnx_writer *w, Onnx__NodeProto *node, const char *name, int64_t value) {
  Onnx__AttributeProto *new_one = attribute(w, node, name, TYPE_INT);
  if (new_one) new_one->i = value;
}

void thaw_onnx_set_float(thaw_onnx_writer *w, Onnx__NodeProto *node, const char *name, float value) {
  Onnx__AttributeProto *new_one = attribute(w, node, name, TYPE_FLOAT);
  if (new_one) new_one->f = value;
}

void thaw_onnx_set_text(thaw_onnx_writer *w, Onnx__NodeProto *node, const char *name, const char *value) {
  Onnx__AttributeProto *new_one = attribute(w, node, name, TYPE_STRING);
  if (new_one) new_one->s = (ProtobufCBinaryData){.len = strlen(value), .data = (uint8_t *)copy(w, value)};
}

void thaw_onnx_set_integers(thaw_onnx_writer *w, Onnx__NodeProto *node, const char *name, const int64_t *value,
                            size_t count) {
  Onnx__AttributeProto *new_one = attribute(w, node, name, TYPE_INTS);
  int64_t *memory = allocate(w, count, sizeof *memory);
  if (!new_one || !memory) return;
  memcpy(memory, value, count * sizeof *memory);
  new_one->ints = memory;
  new_one->n_ints = count;
}

/* ------------------------------------------------------------------ tensors */

static void *add_tensor(thaw_onnx_writer *w, const char *suffix, int32_t type, size_t value_size, size_t rank,
                        const int64_t *dim, const char **name_out) {
  Onnx__TensorProto *tensor = allocate(w, 1, sizeof *tensor);
  int64_t *dims = allocate(w, rank, sizeof *dims);
  size_t count = 1;
  *name_out = "";
  for (size_t i = 0; i < rank; i++) count *= (size_t)dim[i];
  void *data = allocate(w, count, value_size);
  if (!data || !grow(w, (void ***)&w->out->initializer, w->out->n_initializer, &w->tensor_capacity)) return NULL;
  onnx__tensor_proto__init(tensor);
  if (rank) memcpy(dims, dim, rank * sizeof *dims);
  tensor->dims = dims;
  tensor->n_dims = rank;
  tensor->data_type = type;
  tensor->raw_data = (ProtobufCBinaryData){.len = count * value_size, .data = data};
  tensor->name = (char *)(uintptr_t)thaw_onnx_name(w, suffix);
  w->out->initializer[w->out->n_initializer++] = tensor;
  *name_out = tensor->name;
  return data;
}

float *thaw_onnx_tensor(thaw_onnx_writer *w, const char *suffix, size_t rank, const int64_t *dim,
                        const char **name_out) {
  return add_tensor(w, suffix, THAW_ONNX_FLOAT, sizeof(float), rank, dim, name_out);
}

const char *thaw_onnx_integers_tensor(thaw_onnx_writer *w, const char *suffix, const int64_t *value, size_t count) {
  const char *name;
  const int64_t dim[1] = {(int64_t)count};
  int64_t *data = add_tensor(w, suffix, THAW_ONNX_INT64, sizeof *data, 1, dim, &name);
  if (data) memcpy(data, value, count * sizeof *data);
  return name;
}

/* ------------------------------------------------------------------ the ends */

/* [N][h][w][c] or [N][c]. */
static Onnx__ValueInfoProto **describe_value(thaw_onnx_writer *w, const char *name, thaw_shape shape) {
  Onnx__ValueInfoProto **list = allocate(w, 1, sizeof *list), *info = allocate(w, 1, sizeof *info);
  Onnx__TypeProto *type = allocate(w, 1, sizeof *type);
  Onnx__TypeProto__Tensor *tensor = allocate(w, 1, sizeof *tensor);
  Onnx__TensorShapeProto *sizes = allocate(w, 1, sizeof *sizes);
  size_t rank = shape.rank == 3 ? 4 : 2;
  const int64_t size[4] = {0, shape.rank == 3 ? shape.h : shape.c, shape.w, shape.c};
  Onnx__TensorShapeProto__Dimension **dims = allocate(w, rank, sizeof *dims);
  for (size_t i = 0; i < rank && dims; i++) {
    dims[i] = allocate(w, 1, sizeof **dims);
    if (!dims[i]) return NULL;
    onnx__tensor_shape_proto__dimension__init(dims[i]);
    dims[i]->dim_value = size[i];
    if (i == 0) dims[i]->dim_param = copy(w, "N");
  }
  if (w->failed) return NULL;
  onnx__value_info_proto__init(info);
  onnx__type_proto__init(type);
  onnx__type_proto__tensor__init(tensor);
  onnx__tensor_shape_proto__init(sizes);
  sizes->dim = dims;
  sizes->n_dim = rank;
  tensor->elem_type = THAW_ONNX_FLOAT;
  tensor->shape = sizes;
  type->tensor_type = tensor;
  info->name = copy(w, name);
  info->type = type;
  list[0] = info;
  return list;
}

static void write_input(thaw_onnx_writer *w) {
  static const int64_t to_first[4] = {0, 3, 1, 2};
  const thaw_layer *input = &thaw_graph_view(w->graph, 0)->layer;
  w->layer = input->name;
  w->value[0] = thaw_onnx_name(w, "");
  w->out->input = describe_value(w, w->value[0], input->output);
  w->out->n_input = w->failed ? 0 : 1;
  if (input->output.rank != 3) return;
  Onnx__NodeProto *node = thaw_onnx_node(w, "Transpose", "channels_first", &w->value[0], 1);
  thaw_onnx_set_integers(w, node, "perm", to_first, 4);
  w->value[0] = thaw_onnx_output(node);
}

/* Of several heads, in their order. */
static void write_outputs(thaw_onnx_writer *w, const int32_t *output, int32_t outputs) {
  Onnx__ValueInfoProto **list = allocate(w, (size_t)outputs, sizeof *list);
  for (int32_t i = 0; i < outputs && list; i++) {
    const thaw_layer *layer = &thaw_graph_view(w->graph, output[i])->layer;
    Onnx__ValueInfoProto **one = describe_value(w, w->value[output[i]], layer->output);
    if (one) list[i] = one[0];
  }
  w->out->output = list;
  w->out->n_output = w->failed ? 0 : (size_t)outputs;
}

static void write_output(thaw_onnx_writer *w) {
  static const int64_t to_last[4] = {0, 2, 3, 1};
  const int32_t *output;
  int32_t last = thaw_graph_count(w->graph) - 1, outputs = thaw_graph_outputs(w->graph, &output);
  if (outputs) {
    write_outputs(w, output, outputs);
    return;
  }
  const thaw_layer *layer = &thaw_graph_view(w->graph, last)->layer;
  const char *name = w->value[last];
  w->layer = layer->name;
  if (layer->output.rank == 3) {
    Onnx__NodeProto *node = thaw_onnx_node(w, "Transpose", "channels_last", &name, 1);
    thaw_onnx_set_integers(w, node, "perm", to_last, 4);
    name = thaw_onnx_output(node);
  }
  w->out->output = describe_value(w, name, layer->output);
  w->out->n_output = w->failed ? 0 : 1;
}

/* ------------------------------------------------------------------ what else the file says */

static void add_classes(const thaw_strings *classes, thaw_text *out) {
  thaw_text_add(out, "[");
  for (size_t i = 0; classes && i < classes->count; i++) {
    thaw_text_add(out, "%s", i ? ", " : "");
    thaw_text_add_json(out, classes->item[i]);
  }
  thaw_text_add(out, "]");
}

static void add_property(thaw_onnx_writer *w, Onnx__ModelProto *model, const char *key, const char *value) {
  enum { MOST = 8 };
  Onnx__StringStringEntryProto *entry = allocate(w, 1, sizeof *entry);
  if (!model->metadata_props) model->metadata_props = allocate(w, MOST, sizeof(void *));
  if (w->failed || model->n_metadata_props == MOST) return;
  onnx__string_string_entry_proto__init(entry);
  entry->key = copy(w, key);
  entry->value = copy(w, value);
  model->metadata_props[model->n_metadata_props++] = entry;
}

/* Once for people, each by itself, and once for thaw. */
static void add_facts(thaw_onnx_writer *w, Onnx__ModelProto *model, const thaw_export_options *options) {
  thaw_text classes = {0}, all = {0};
  add_classes(options->classes, &classes);
  thaw_text_add(&all, "{\"preprocessing\": ");
  thaw_text_add_json(&all, options->preprocessing ? options->preprocessing : "raw");
  thaw_text_add(&all, ", \"class_names\": %s}", classes.data ? classes.data : "[]");
  w->failed = w->failed || classes.failed || all.failed;
  if (!w->failed) {
    add_property(w, model, "preprocessing", options->preprocessing ? options->preprocessing : "raw");
    add_property(w, model, "class_names", classes.data);
    add_property(w, model, "thaw_version", THAW_VERSION);
    add_property(w, model, "thaw", all.data);
  }
  thaw_text_clear(&classes);
  thaw_text_clear(&all);
}

static thaw_status write_file(const Onnx__ModelProto *model, const char *path) {
  size_t size = onnx__model_proto__get_packed_size(model);
  if (size >= (size_t)1 << 31)
    return thaw_fail(THAW_ERR_DATA, "%s: the model takes %zu bytes; a file of this format ends at 2 GiB", path, size);
  uint8_t *bytes = thaw_new(size, 1);
  if (!bytes) return THAW_ERR_MEMORY;
  onnx__model_proto__pack(model, bytes);
  thaw_status status = thaw_file_write(path, bytes, size);
  thaw_free(bytes);
  return status;
}

static thaw_status write_model(thaw_onnx_writer *w, const char *path, const thaw_export_options *options) {
  Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
  Onnx__OperatorSetIdProto set = ONNX__OPERATOR_SET_ID_PROTO__INIT, *sets[1] = {&set};
  set.version = w->version;
  model.ir_version = w->version > OPERATORS ? 8 : 7; /* the first with them */
  model.producer_name = (char *)(uintptr_t) "thaw";
  model.producer_version = (char *)(uintptr_t)THAW_VERSION;
  model.opset_import = sets;
  model.n_opset_import = 1;
  model.graph = w->out;
  w->out->name = copy(w, options->name ? options->name : "model");
  add_facts(w, &model, options);
  if (w->failed) return thaw_fail(THAW_ERR_MEMORY, "%s: out of memory for the model", path);
  return write_file(&model, path);
}

static thaw_status write_graph(thaw_onnx_writer *w) {
  const int32_t *output;
  int32_t count = thaw_graph_count(w->graph), layers = count - (thaw_graph_outputs(w->graph, &output) > 0);
  w->value = thaw_arena_new(w->arena, (size_t)count, sizeof *w->value);
  if (!w->value) return THAW_ERR_MEMORY;
  write_input(w);
  for (int32_t i = 1; i < layers; i++) {
    w->layer = thaw_graph_view(w->graph, i)->layer.name;
    THAW_TRY(thaw_onnx_write_layer(w, i));
  }
  write_output(w);
  return THAW_OK;
}

thaw_status thaw_weights_export_onnx(const thaw_graph *graph, const char *path, const thaw_export_options *options) {
  Onnx__GraphProto out = ONNX__GRAPH_PROTO__INIT;
  thaw_onnx_writer w = {.graph = graph, .arena = thaw_arena_create(), .out = &out, .version = OPERATORS};
  if (!w.arena) return THAW_ERR_MEMORY;
  thaw_status status = write_graph(&w);
  if (status == THAW_OK) status = write_model(&w, path, options);
  thaw_arena_destroy(w.arena);
  return status;
}
