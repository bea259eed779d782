/* A Keras model file into a network, by its model_config: Functional and Sequential models, and such models as layers
 * of others, whose layers then become layers of the whole.
 *
 *     Functional: {"layers": [{"class_name", "name", "config", "inbound_nodes"}], "input_layers", "output_layers"}
 *     Sequential: {"layers": [{"class_name", "config"}]}, in order
 *
 * inbound_nodes are [[["name", 0, 0, {}], ...]] in Keras 2 and [{"args": [... "keras_history": ["name", 0, 0] ...]}] in
 * Keras 3. A layer that is called several times has an entry for each call, and what reads it says which ("name",
 * call).
 */
#include "thaw/zip.h"
#include "weights/layer_config.h"
#include "weights/onnx.h"
#include "weights/weights_private.h"

#include "thaw/memory.h"

#include <string.h>

enum { DEEPEST = 8 }; /* models inside models, and lists inside lists */

typedef struct model_reader {
  const char *path;
  thaw_graph *graph;
  const thaw_shape *wanted; /* the input's shape; NULL: the model's own */
  bool any_output;          /* a cut follows, so that several outputs do not matter */
} model_reader;

/* A model being read: what its input is, and the node of each of its layers. */
typedef struct scope {
  int32_t input, depth;
  json_t *node; /* name -> node; of a layer that is called several times: the nodes, null where not yet known */
} scope;

static thaw_status read_model(model_reader *r, const json_t *model, int32_t input, int32_t depth, int32_t *last);

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static const char *name_of(const json_t *layer) {
  const char *name = text_of(layer, "name");
  return name[0] ? name : text_of(json_object_get(layer, "config"), "name");
}

static bool is_model(const char *class_name) {
  return strcmp(class_name, "Functional") == 0 || strcmp(class_name, "Sequential") == 0 ||
         strcmp(class_name, "Model") == 0;
}

static thaw_status refuse(const model_reader *r, int32_t position, const json_t *layer, const char *why) {
  return thaw_fail(THAW_ERR_DATA, "%s: layer %d '%s' (%s): %s", r->path, position, name_of(layer),
                   text_of(layer, "class_name"), why);
}

/* ------------------------------------------------------------------ shapes */

/* [null, h, w, c] or [null, c]; null sizes become 0. */
static bool read_shape(const json_t *list, thaw_shape *out) {
  size_t rank = json_array_size(list);
  int32_t dim[4] = {0};
  if (rank != 2 && rank != 4) return false;
  for (size_t i = 1; i < rank; i++) {
    json_int_t value = json_integer_value(json_array_get(list, i));
    if (value < 0 || value > 1 << 20) return false;
    dim[i] = (int32_t)value;
  }
  *out = rank == 4 ? (thaw_shape){.rank = 3, .h = dim[1], .w = dim[2], .c = dim[3]}
                   : (thaw_shape){.rank = 1, .h = 1, .w = 1, .c = dim[1]};
  return true;
}

static const json_t *shape_in(const json_t *config) {
  static const char *const keys[] = {"batch_shape", "batch_input_shape", "build_input_shape"};
  for (size_t i = 0; i < 3; i++)
    if (json_is_array(json_object_get(config, keys[i]))) return json_object_get(config, keys[i]);
  return NULL;
}

/* The input's shape as the file says: of the model itself, of its first layer, or of the first layer inside that. */
static bool find_input(const json_t *model, int32_t depth, thaw_shape *out) {
  const json_t *config = json_object_get(model, "config"), *layers = json_object_get(config, "layers");
  if (depth > DEEPEST) return false;
  for (size_t i = 0; i < json_array_size(layers); i++) {
    const json_t *layer = json_array_get(layers, i);
    if (read_shape(shape_in(json_object_get(layer, "config")), out)) return true;
    if (is_model(text_of(layer, "class_name")) && find_input(layer, depth + 1, out)) return true;
  }
  return read_shape(shape_in(config), out);
}

static thaw_status choose_input(const model_reader *r, const json_t *model, thaw_shape *out) {
  if (!find_input(model, 0, out) && !r->wanted)
    return thaw_fail(THAW_ERR_DATA, "%s: the model does not say what its input is", r->path);
  if (r->wanted) *out = *r->wanted;
  if (out->h > 0 && out->w > 0 && out->c > 0) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE,
                   "%s: the model takes images of any size; give one (input: [height, width, channels])", r->path);
}

/* ------------------------------------------------------------------ what a layer reads */

typedef struct inputs {
  int32_t node[THAW_MAX_INPUTS], count;
} inputs;

static thaw_status add_input(const model_reader *r, const scope *s, const char *name, const json_t *call, inputs *out) {
  json_t *node = json_object_get(s->node, name);
  if (json_is_array(node)) node = json_array_get(node, (size_t)json_integer_value(call));
  if (!json_is_integer(node))
    return thaw_fail(THAW_ERR_DATA, "%s: a layer reads '%s', which no layer before it is called", r->path, name);
  if (out->count == THAW_MAX_INPUTS)
    return thaw_fail(THAW_ERR_DATA, "%s: a layer has more than %d inputs", r->path, (int)THAW_MAX_INPUTS);
  out->node[out->count++] = (int32_t)json_integer_value(node);
  return THAW_OK;
}

/* Every ["name", node, tensor, ...] and every keras_history inside `value`, in order. */
static thaw_status collect(const model_reader *r, const scope *s, const json_t *value, int32_t depth, inputs *out) {
  if (depth > DEEPEST) return thaw_fail(THAW_ERR_DATA, "%s: inbound_nodes are nested too deeply", r->path);
  const json_t *history = json_object_get(json_object_get(value, "config"), "keras_history");
  if (history) value = history;
  if (json_is_string(json_array_get(value, 0)) && json_array_size(value) >= 3)
    return add_input(r, s, json_string_value(json_array_get(value, 0)), json_array_get(value, 1), out);
  for (size_t i = 0; i < json_array_size(value); i++) THAW_TRY(collect(r, s, json_array_get(value, i), depth + 1, out));
  return THAW_OK;
}

static size_t calls_of(const json_t *layer) {
  return json_array_size(json_object_get(layer, "inbound_nodes"));
}

/* Of the layer's call number `call`. */
static thaw_status find_inputs(const model_reader *r, const scope *s, int32_t position, const json_t *layer,
                               size_t call, inputs *out) {
  const json_t *node = json_array_get(json_object_get(layer, "inbound_nodes"), call);
  const json_t *arguments = json_object_get(node, "args");
  *out = (inputs){0};
  THAW_TRY(collect(r, s, arguments ? arguments : node, 0, out));
  return out->count ? THAW_OK : refuse(r, position, layer, "reads no other layer");
}

/* ------------------------------------------------------------------ layers */

static thaw_status add_layer(model_reader *r, int32_t position, const json_t *layer, size_t call, const inputs *from,
                             int32_t *node) {
  thaw_keras_layer keras = {.path = r->path,
                            .name = name_of(layer),
                            .class_name = text_of(layer, "class_name"),
                            .position = position,
                            .config = json_object_get(layer, "config"),
                            .input = thaw_graph_view(r->graph, from->node[0])->layer.output};
  thaw_layer_options options;
  const char *type;
  THAW_TRY(thaw_weight_layer_config(&keras, &type, &options));
  char *name = call ? thaw_format("%s_call_%zu", keras.name, call + 1) : thaw_copy_text(keras.name);
  if (!name) return THAW_ERR_MEMORY;
  thaw_status status = thaw_graph_add(r->graph, type, &options, name, from->node, from->count, node);
  thaw_free(name);
  if (status != THAW_OK) return thaw_fail_in(status, "%s: layer %d: ", r->path, position);
  if (calls_of(layer) > 1 && thaw_graph_view(r->graph, *node)->layer.params > 0)
    return refuse(r, position, layer, "is called several times, which is supported only for layers without weights");
  return THAW_OK;
}

static thaw_status add_any(model_reader *r, scope *s, int32_t position, const json_t *layer, size_t call,
                           const inputs *from, int32_t *node) {
  const char *class_name = text_of(layer, "class_name");
  if (strcmp(class_name, "InputLayer") == 0) {
    *node = s->input;
    return THAW_OK;
  }
  if (!is_model(class_name)) return add_layer(r, position, layer, call, from, node);
  if (from->count != 1) return refuse(r, position, layer, "a model with several inputs is not supported");
  if (calls_of(layer) > 1) return refuse(r, position, layer, "a model that is called several times is not supported");
  return read_model(r, layer, from->node[0], s->depth + 1, node);
}

/* Adds call number `call`; that may be too early for a layer that is called again further on. */
static thaw_status add_call(model_reader *r, scope *s, int32_t position, const json_t *layer, size_t call) {
  int32_t node = 0;
  inputs from = {0};
  bool image = strcmp(text_of(layer, "class_name"), "InputLayer") == 0;
  if (!image) THAW_TRY(find_inputs(r, s, position, layer, call, &from));
  THAW_TRY(add_any(r, s, position, layer, call, &from, &node));
  json_t *nodes = json_object_get(s->node, name_of(layer));
  int failed = json_is_array(nodes) ? json_array_set_new(nodes, call, json_integer(node))
                                    : json_object_set_new(s->node, name_of(layer), json_integer(node));
  return failed ? THAW_ERR_MEMORY : THAW_OK;
}

/* ------------------------------------------------------------------ layers that are called several times */

/* The place in s->node for the nodes of all calls. */
static thaw_status make_room(scope *s, const json_t *layer) {
  json_t *nodes = json_array();
  for (size_t i = 0; nodes && i < calls_of(layer); i++)
    if (json_array_append_new(nodes, json_null()) != 0) return THAW_ERR_MEMORY;
  return json_object_set_new(s->node, name_of(layer), nodes) == 0 ? THAW_OK : THAW_ERR_MEMORY;
}

static bool is_added(const scope *s, const json_t *layer, size_t call) {
  json_t *node = json_object_get(s->node, name_of(layer));
  return json_is_integer(json_is_array(node) ? json_array_get(node, call) : node);
}

/* Whether everything that the call reads is known. */
static bool is_ready(const model_reader *r, const scope *s, int32_t position, const json_t *layer, size_t call) {
  inputs from;
  return strcmp(text_of(layer, "class_name"), "InputLayer") == 0 ||
         find_inputs(r, s, position, layer, call, &from) == THAW_OK;
}

/* Adds what can be added now, in the file's order; *left: a call that cannot, as its layer's place. */
static thaw_status add_ready(model_reader *r, scope *s, const json_t *layers, bool *progress, size_t *left) {
  *progress = false;
  *left = SIZE_MAX;
  for (size_t i = 0; i < json_array_size(layers); i++) {
    const json_t *layer = json_array_get(layers, i);
    size_t calls = calls_of(layer);
    for (size_t call = 0; call < (calls ? calls : 1); call++) {
      if (is_added(s, layer, call)) continue;
      if (is_ready(r, s, (int32_t)i, layer, call)) {
        THAW_TRY(add_call(r, s, (int32_t)i, layer, call));
        *progress = true;
      } else if (*left == SIZE_MAX) {
        *left = i;
      }
    }
  }
  return THAW_OK;
}

/* A layer's later calls read layers that come after it in the file, so the list is gone through until all are added. */
static thaw_status read_with_shared(model_reader *r, scope *s, const json_t *layers) {
  enum { PASSES = 100, CALLS = 1000 };
  bool progress = true;
  size_t left = 0;
  for (size_t i = 0; i < json_array_size(layers); i++) {
    const json_t *layer = json_array_get(layers, i);
    if (calls_of(layer) > CALLS) return refuse(r, (int32_t)i, layer, "is called absurdly often");
    if (calls_of(layer) > 1) THAW_TRY(make_room(s, layer));
  }
  for (int pass = 0; pass < PASSES && progress && left != SIZE_MAX; pass++)
    THAW_TRY(add_ready(r, s, layers, &progress, &left));
  if (left == SIZE_MAX) return THAW_OK;
  return refuse(r, (int32_t)left, json_array_get(layers, left), "reads a layer that is nowhere, or itself");
}

static thaw_status read_in_order(model_reader *r, scope *s, const json_t *layers) {
  for (size_t i = 0; i < json_array_size(layers); i++) {
    const json_t *layer = json_array_get(layers, i);
    bool image = strcmp(text_of(layer, "class_name"), "InputLayer") == 0;
    if (!image && calls_of(layer) == 0) return refuse(r, (int32_t)i, layer, "is never called");
    THAW_TRY(add_call(r, s, (int32_t)i, layer, 0));
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ models */

static thaw_status check_images(const model_reader *r, const json_t *layers, bool *shared) {
  int32_t images = 0;
  *shared = false;
  for (size_t i = 0; i < json_array_size(layers); i++) {
    const json_t *layer = json_array_get(layers, i);
    images += strcmp(text_of(layer, "class_name"), "InputLayer") == 0;
    *shared = *shared || calls_of(layer) > 1;
    if (images > 1) return refuse(r, (int32_t)i, layer, "a model with several inputs is not supported");
  }
  return THAW_OK;
}

static thaw_status read_functional(model_reader *r, scope *s, const json_t *config, int32_t *last) {
  const json_t *layers = json_object_get(config, "layers");
  bool shared;
  THAW_TRY(check_images(r, layers, &shared));
  THAW_TRY(shared ? read_with_shared(r, s, layers) : read_in_order(r, s, layers));
  inputs outputs = {0};
  THAW_TRY(collect(r, s, json_object_get(config, "output_layers"), 0, &outputs));
  if (outputs.count != 1 && !(r->any_output && outputs.count > 1 && s->depth == 0))
    return thaw_fail(THAW_ERR_DATA, "%s: the model has %d outputs; name the layer to use (cut)", r->path,
                     outputs.count);
  *last = outputs.node[outputs.count - 1];
  return THAW_OK;
}

static thaw_status read_sequential(model_reader *r, scope *s, const json_t *config, int32_t *last) {
  /* Keras 1 and early Keras 2 have the list itself as config. */
  const json_t *layers = json_is_array(config) ? config : json_object_get(config, "layers");
  *last = s->input;
  for (size_t i = 0; i < json_array_size(layers); i++) {
    inputs from = {.node = {*last}, .count = 1};
    THAW_TRY(add_any(r, s, (int32_t)i, json_array_get(layers, i), 0, &from, last));
  }
  return THAW_OK;
}

static thaw_status read_model(model_reader *r, const json_t *model, int32_t input, int32_t depth, int32_t *last) {
  const char *class_name = text_of(model, "class_name");
  const json_t *config = json_object_get(model, "config");
  if (depth > DEEPEST) return thaw_fail(THAW_ERR_DATA, "%s: models are nested too deeply", r->path);
  if (!is_model(class_name))
    return thaw_fail(THAW_ERR_DATA, "%s: the model is of class '%s'; Functional and Sequential ones can be read",
                     r->path, class_name);
  scope s = {.input = input, .depth = depth, .node = json_object()};
  if (!s.node) return THAW_ERR_MEMORY;
  thaw_status status = strcmp(class_name, "Sequential") == 0 ? read_sequential(r, &s, config, last)
                                                             : read_functional(r, &s, config, last);
  json_decref(s.node);
  return status;
}

/* ------------------------------------------------------------------ the file */

static thaw_status read_text(const char *path, char **out) {
  enum { MOST = 1 << 26 };
  size_t size;
  if (thaw_zip_recognize(path)) {
    thaw_zip *zip;
    THAW_TRY(thaw_zip_open(path, &zip));
    thaw_status status = thaw_zip_read(zip, "config.json", MOST, out, &size);
    thaw_zip_close(zip);
    return status;
  }
  thaw_h5 *h5;
  THAW_TRY(thaw_h5_open(path, &h5));
  thaw_status status = thaw_h5_has_attribute(h5, "/", "model_config")
                           ? thaw_h5_get_text(h5, "/", "model_config", out)
                           : thaw_fail(THAW_ERR_DATA,
                                       "%s: holds weights, but no model (model_config): say which architecture they "
                                       "belong to",
                                       path);
  thaw_h5_close(h5);
  return status;
}

static thaw_status cut_graph(const model_reader *r, const char *cut, int32_t last) {
  if (cut && (last = thaw_graph_find(r->graph, cut)) < 1)
    return thaw_fail(THAW_ERR_USAGE, "%s: the model has no layer '%s'", r->path, cut);
  return thaw_graph_truncate(r->graph, last);
}

static thaw_status build(model_reader *r, const json_t *model, const char *cut) {
  thaw_shape shape;
  int32_t last = 0;
  THAW_TRY(choose_input(r, model, &shape));
  THAW_TRY(thaw_graph_create(shape, &r->graph));
  THAW_TRY(read_model(r, model, 0, 0, &last));
  return cut_graph(r, cut, last);
}

thaw_status thaw_weight_parse_model(const char *path, const char *text, size_t size, const thaw_shape *input,
                                    const char *cut, thaw_graph **out) {
  json_error_t error;
  json_t *model = json_loadb(text, size, 0, &error);
  *out = NULL;
  if (!model)
    return thaw_fail(THAW_ERR_DATA, "%s: the model's JSON is broken at byte %d: %s", path, error.position, error.text);
  model_reader r = {.path = path, .wanted = input, .any_output = cut != NULL};
  thaw_status status = build(&r, model, cut);
  json_decref(model);
  if (status == THAW_OK)
    *out = r.graph;
  else
    thaw_graph_destroy(r.graph);
  return status;
}

thaw_status thaw_weights_read_model(const char *path, const thaw_shape *input, const char *cut, thaw_graph **out,
                                    int32_t *last_out) {
  char *text = NULL;
  *out = NULL;
  if (thaw_weight_is_onnx(path)) return thaw_onnx_read_model(path, input, cut, out, last_out);
  THAW_TRY(read_text(path, &text));
  thaw_status status = thaw_weight_parse_model(path, text, strlen(text), input, cut, out);
  thaw_free(text);
  if (status == THAW_OK) *last_out = thaw_graph_count(*out) - 1;
  return status;
}
