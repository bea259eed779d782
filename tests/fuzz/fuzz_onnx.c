/* ONNX models: their weights, their network, and both together. A mutator of its own changes the messages, as few of
 * the changes of bytes leave a protocol buffer whole. */
#include "fuzz.h"
#include "weights/onnx.h"
#include "weights/onnx_file.h"

#include <stdbool.h>

enum { MOST_VALUES = 1 << 20 };
static const thaw_shape image = {.rank = 3, .h = 12, .w = 10, .c = 3};

/* ------------------------------------------------------------------ the target */

static void read_values(const thaw_weight_file *file) {
  static float values[MOST_VALUES];
  for (size_t i = 0; i < file->count; i++)
    for (size_t j = 0; j < file->layer[i].count; j++)
      if (file->layer[i].weight[j].info.count <= MOST_VALUES)
        fuzz_expect(thaw_weight_read(file, &file->layer[i].weight[j], values));
}

static void read_weights(const char *path, const thaw_shape *input) {
  thaw_weight_file file = {.path = path};
  thaw_status status = thaw_onnx_open_weights(input, &file);
  fuzz_expect(status);
  if (status == THAW_OK) read_values(&file);
  thaw_weight_file_close(&file);
}

static void read_model(const char *path, const char *cut) {
  thaw_graph *graph = NULL;
  int32_t last;
  char digest[65];
  thaw_status status = thaw_onnx_read_model(path, cut ? &image : NULL, cut, &graph, &last);
  fuzz_expect(status);
  if (status == THAW_OK && thaw_graph_param_count(graph, true) <= MOST_VALUES) {
    status = thaw_graph_bind(graph);
    fuzz_expect(status);
    if (status == THAW_OK) fuzz_expect(thaw_weights_load(graph, path, NULL, digest));
  }
  thaw_graph_destroy(graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *path = fuzz_file(data, size, ".onnx");
  char *text = NULL;
  read_weights(path, NULL);
  read_weights(path, &image);
  read_model(path, NULL);
  read_model(path, "relu");
  fuzz_expect(thaw_onnx_read_property(path, "class_names", &text));
  thaw_free(text);
  return 0;
}

/* ------------------------------------------------------------------ changes of the messages */

static uint32_t draw(uint32_t *state, size_t below) { /* xorshift */
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return below ? (uint32_t)(*state % below) : 0;
}

static int64_t draw_number(uint32_t *state) {
  static const int64_t odd[] = {-1, 0, INT64_MAX, INT64_MIN, INT32_MAX, 1 << 20, 4096, 65536, (int64_t)1 << 31};
  return draw(state, 2) ? (int64_t)draw(state, 9) : odd[draw(state, sizeof odd / sizeof odd[0])];
}

static void set_text(char **text, const char *value) {
  char *copy = strdup(value);
  if (!copy) return;
  if (*text != protobuf_c_empty_string) free(*text);
  *text = copy;
}

static void change_operator(Onnx__NodeProto *node, uint32_t *state) {
  static const char *const known[] = {"Conv",        "Gemm",       "MatMul",    "BatchNormalization",
                                      "Add",         "Sub",        "Mul",       "Div",
                                      "Concat",      "Relu",       "Clip",      "Sigmoid",
                                      "Softmax",     "MaxPool",    "Pad",       "AveragePool",
                                      "Flatten",     "Reshape",    "Transpose", "Squeeze",
                                      "Unsqueeze",   "ReduceMean", "Identity",  "Constant",
                                      "HardSigmoid", "Shape",      "Gather",    "Cast",
                                      "Dropout",     "HardSwish",  "Tanh",      "GlobalMaxPool",
                                      "LeakyRelu",   "Elu",        "PRelu",     "Gelu",
                                      "Erf",         "Resize",     "Slice"};
  set_text(&node->op_type, known[draw(state, sizeof known / sizeof known[0])]);
}

/* The name of any value of the graph. */
static const char *any_value(const Onnx__GraphProto *graph, uint32_t *state) {
  uint32_t kind = draw(state, 3);
  if (kind == 0 && graph->n_initializer) return graph->initializer[draw(state, graph->n_initializer)]->name;
  if (kind == 1 && graph->n_input) return graph->input[draw(state, graph->n_input)]->name;
  const Onnx__NodeProto *node = graph->node[draw(state, graph->n_node)];
  return node->n_output ? node->output[draw(state, node->n_output)] : "";
}

static void change_node(const Onnx__GraphProto *graph, Onnx__NodeProto *node, uint32_t *state) {
  Onnx__AttributeProto *attribute = node->n_attribute ? node->attribute[draw(state, node->n_attribute)] : NULL;
  switch (draw(state, 6)) {
  case 0:
    change_operator(node, state);
    break;
  case 1:
    if (node->n_input) set_text(&node->input[draw(state, node->n_input)], any_value(graph, state));
    break;
  case 2:
    if (node->n_output) set_text(&node->output[draw(state, node->n_output)], any_value(graph, state));
    break;
  case 3:
    if (attribute && attribute->n_ints) attribute->ints[draw(state, attribute->n_ints)] = draw_number(state);
    break;
  case 4:
    if (attribute) attribute->i = draw_number(state);
    break;
  default:
    if (attribute && attribute->n_ints) attribute->n_ints--;
    break;
  }
}

static void change_tensor(Onnx__TensorProto *tensor, uint32_t *state) {
  static const int32_t types[] = {1, 6, 7, 10, 11, 16, 0, 99};
  switch (draw(state, 4)) {
  case 0:
    tensor->data_type = types[draw(state, 8)];
    break;
  case 1:
    if (tensor->n_dims) tensor->dims[draw(state, tensor->n_dims)] = draw_number(state);
    break;
  case 2:
    if (tensor->n_dims > 1) { /* the same size, another shape */
      tensor->dims[0] =
          tensor->dims[0] > 0 && tensor->dims[1] > 0 && tensor->dims[0] < 1 << 20 && tensor->dims[1] < 1 << 20
              ? tensor->dims[0] * tensor->dims[1]
              : 1;
      tensor->dims[1] = 1;
    }
    break;
  default:
    if (tensor->raw_data.len) tensor->raw_data.data[draw(state, tensor->raw_data.len)] = (uint8_t)draw(state, 256);
    break;
  }
}

static void change_model(Onnx__ModelProto *model, uint32_t *state) {
  Onnx__GraphProto *graph = model->graph;
  if (!graph || graph->n_node == 0) return;
  uint32_t kind = draw(state, 10);
  if (kind < 5) change_node(graph, graph->node[draw(state, graph->n_node)], state);
  if (kind >= 5 && kind < 8 && graph->n_initializer)
    change_tensor(graph->initializer[draw(state, graph->n_initializer)], state);
  if (kind == 8) { /* two nodes change places */
    size_t a = draw(state, graph->n_node), b = draw(state, graph->n_node);
    Onnx__NodeProto *first = graph->node[a];
    graph->node[a] = graph->node[b];
    graph->node[b] = first;
  }
  if (kind == 9 && graph->n_output) set_text(&graph->output[0]->name, any_value(graph, state));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed) {
  uint32_t state = seed * 2654435761u + 1;
  Onnx__ModelProto *model = draw(&state, 8) ? onnx__model_proto__unpack(NULL, size, data) : NULL;
  size_t changed = 0;
  for (uint32_t i = model ? 1 + draw(&state, 4) : 0; i > 0; i--) change_model(model, &state);
  if (model && onnx__model_proto__get_packed_size(model) <= most) changed = onnx__model_proto__pack(model, data);
  if (model) onnx__model_proto__free_unpacked(model, NULL);
  return changed ? changed : LLVMFuzzerMutate(data, size, most);
}
