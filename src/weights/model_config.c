/* A network as Keras' JSON (Functional.get_config of Keras 2, which Keras 3 reads too):
 *
 *     {"class_name": "Functional", "config": {"name": ..., "layers": [
 *         {"class_name": "Conv2D", "name": "block1_conv1", "config": {...}, "inbound_nodes": [[["input_1", 0, 0,
 * {}]]]},
 *         ...], "input_layers": [["input_1", 0, 0]], "output_layers": [["dense", 0, 0]]}} */
#include "weights/weights_private.h"

#include <jansson.h>
#include <string.h>

static void add_config(const thaw_node *node, thaw_text *out) {
  const thaw_layer *layer = &node->layer;
  thaw_text_add(out, "{\"name\": ");
  thaw_text_add_json(out, layer->name);
  thaw_text_add(out, ", \"dtype\": \"float32\"");
  if (layer->inputs == 0) {
    thaw_shape shape = layer->output;
    thaw_text_add(out, ", \"batch_input_shape\": [null");
    if (shape.rank == 3) thaw_text_add(out, ", %d, %d", shape.h, shape.w);
    thaw_text_add(out, ", %d], \"sparse\": false, \"ragged\": false", shape.c);
  } else {
    thaw_text_add(out, ", \"trainable\": %s", node->frozen ? "false" : "true");
    if (layer->ops->keras_config) layer->ops->keras_config(layer, out);
  }
  thaw_text_add(out, "}");
}

static void add_layer(const thaw_graph *graph, const thaw_node *node, thaw_text *out) {
  const thaw_layer *layer = &node->layer;
  thaw_text_add(out, "{\"class_name\": \"%s\", \"name\": ", layer->inputs ? layer->ops->keras_class : "InputLayer");
  thaw_text_add_json(out, layer->name);
  thaw_text_add(out, ", \"config\": ");
  add_config(node, out);
  thaw_text_add(out, ", \"inbound_nodes\": [%s", layer->inputs ? "[" : "");
  for (int32_t i = 0; i < layer->inputs; i++) {
    thaw_text_add(out, "%s[", i ? ", " : "");
    thaw_text_add_json(out, thaw_graph_view(graph, node->input[i])->layer.name);
    thaw_text_add(out, ", 0, 0, {}]");
  }
  thaw_text_add(out, "%s]}", layer->inputs ? "]" : "");
}

static void add_ends(const thaw_graph *graph, const char *key, const int32_t *node, int32_t count, thaw_text *out) {
  thaw_text_add(out, ", \"%s\": [", key);
  for (int32_t i = 0; i < count; i++) {
    thaw_text_add(out, "%s[", i ? ", " : "");
    thaw_text_add_json(out, thaw_graph_view(graph, node[i])->layer.name);
    thaw_text_add(out, ", 0, 0]");
  }
  thaw_text_add(out, "]");
}

/* Layer types write their own members, so what came out is parsed once before anyone stores it. */
static thaw_status check_json(const thaw_text *text) {
  if (text->failed) return THAW_ERR_MEMORY;
  json_error_t error;
  json_t *json = json_loads(text->data, 0, &error);
  if (!json)
    return thaw_fail(THAW_ERR_INTERNAL, "the model's JSON is broken at byte %d: %s", error.position, error.text);
  json_decref(json);
  return THAW_OK;
}

thaw_status thaw_weight_model_config(const thaw_graph *graph, const char *name, thaw_text *out) {
  const int32_t *output, first = 0;
  int32_t outputs = thaw_graph_outputs(graph, &output), count = thaw_graph_count(graph) - (outputs > 0);
  const int32_t last = count - 1;
  thaw_text_add(out, "{\"class_name\": \"Functional\", \"config\": {\"name\": ");
  thaw_text_add_json(out, name ? name : "model");
  thaw_text_add(out, ", \"trainable\": true, \"layers\": [");
  for (int32_t i = 0; i < count; i++) {
    if (i) thaw_text_add(out, ", ");
    add_layer(graph, thaw_graph_view(graph, i), out);
  }
  thaw_text_add(out, "]");
  add_ends(graph, "input_layers", &first, 1, out);
  add_ends(graph, "output_layers", outputs ? output : &last, outputs ? outputs : 1, out);
  thaw_text_add(out, "}}");
  return check_json(out);
}
