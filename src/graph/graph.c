/* Building a graph: nodes in topological order, shapes inferred as they come, parameters bound at the end. */
#include "graph/graph_private.h"

#include <stdio.h>
#include <string.h>

static thaw_status new_node(thaw_graph *graph, const thaw_layer_ops *ops, thaw_node **out) {
  if (thaw_grow((void **)&graph->node, (size_t)graph->count, &graph->capacity, sizeof(thaw_node *)) < 0)
    return THAW_ERR_MEMORY;
  thaw_node *node = thaw_arena_new(graph->arena, 1, sizeof *node);
  if (!node) return THAW_ERR_MEMORY;
  node->layer.ops = ops;
  node->layer.index = (uint32_t)graph->count;
  node->frozen = true;
  *out = node;
  return THAW_OK;
}

thaw_status thaw_graph_create(thaw_shape input, thaw_graph **out) {
  *out = NULL;
  if (input.h < 1 || input.w < 1 || input.c < 1 || (input.rank != 1 && input.rank != 3))
    return thaw_fail(THAW_ERR_USAGE, "the network's input must have positive sizes, found %dx%dx%d", input.h, input.w,
                     input.c);
  thaw_graph *graph = thaw_new(1, sizeof *graph);
  if (!graph) return THAW_ERR_MEMORY;
  thaw_node *node = NULL;
  thaw_status status = (graph->arena = thaw_arena_create()) ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = new_node(graph, &thaw_layer_input, &node);
  if (status == THAW_OK && !(node->layer.name = thaw_arena_text(graph->arena, "input_1"))) status = THAW_ERR_MEMORY;
  if (status != THAW_OK) {
    thaw_graph_destroy(graph);
    return status;
  }
  node->layer.output = input;
  graph->node[graph->count++] = node;
  *out = graph;
  return THAW_OK;
}

void thaw_graph_destroy(thaw_graph *graph) {
  if (!graph) return;
  for (int32_t i = 0; i < graph->count; i++)
    for (int32_t p = 0; p < graph->node[i]->layer.params; p++) thaw_free(graph->node[i]->layer.param[p].value);
  thaw_free(graph->node);
  thaw_arena_destroy(graph->arena);
  thaw_free(graph);
}

/* "dense", "dense_1", ...: the first of the class's names that is free. */
static thaw_status choose_name(const thaw_graph *graph, const thaw_layer_ops *ops, const char *wanted, char out[256]) {
  char base[64];
  if (wanted) {
    if (strlen(wanted) > 200 || !*wanted)
      return thaw_fail(THAW_ERR_USAGE, "a layer's name must have 1 to 200 characters");
    if (thaw_graph_find(graph, wanted) >= 0) return thaw_fail(THAW_ERR_USAGE, "two layers are called '%s'", wanted);
    snprintf(out, 256, "%s", wanted);
    return THAW_OK;
  }
  thaw_layer_auto_name(ops, base);
  snprintf(out, 256, "%s", base);
  for (int32_t i = 1; thaw_graph_find(graph, out) >= 0; i++) snprintf(out, 256, "%s_%d", base, i);
  return THAW_OK;
}

static thaw_status copy_config(thaw_graph *graph, thaw_layer *layer, const void *config) {
  const thaw_schema *schema = layer->ops->schema;
  if (schema->size == 0) return THAW_OK;
  if (!config) {
    layer->config = thaw_schema_defaults(schema, graph->arena);
    return layer->config ? THAW_OK : THAW_ERR_MEMORY;
  }
  layer->config = thaw_arena_new(graph->arena, 1, schema->size);
  if (!layer->config) return THAW_ERR_MEMORY;
  memcpy(layer->config, config, schema->size);
  return THAW_OK;
}

static thaw_status connect(thaw_graph *graph, thaw_node *node, const int32_t *input, int32_t inputs) {
  thaw_layer *layer = &node->layer;
  const thaw_layer_ops *ops = layer->ops;
  if (inputs < ops->min_inputs || inputs > ops->max_inputs)
    return thaw_fail(THAW_ERR_USAGE, "layer '%s' (%s) takes %d to %d inputs, found %d", layer->name, ops->keras_class,
                     ops->min_inputs, ops->max_inputs, inputs);
  node->input = thaw_arena_new(graph->arena, (size_t)inputs, sizeof(int32_t));
  if (!node->input) return THAW_ERR_MEMORY;
  layer->inputs = inputs;
  for (int32_t i = 0; i < inputs; i++) {
    if (input[i] < 0 || input[i] >= graph->count)
      return thaw_fail(THAW_ERR_INTERNAL, "layer '%s': there is no node %d", layer->name, input[i]);
    node->input[i] = input[i];
    layer->input[i] = graph->node[input[i]]->layer.output;
  }
  return THAW_OK;
}

thaw_status thaw_graph_add(thaw_graph *graph, const char *type, const void *config, const char *name,
                           const int32_t *input, int32_t inputs, int32_t *node_out) {
  const thaw_layer_ops *ops = thaw_layer_find(type);
  char chosen[256];
  if (!ops || ops == &thaw_layer_input) return thaw_fail(THAW_ERR_USAGE, "there is no layer type '%s'", type);
  THAW_TRY(choose_name(graph, ops, name, chosen));
  thaw_node *node;
  THAW_TRY(new_node(graph, ops, &node));
  thaw_layer *layer = &node->layer;
  if (!(layer->name = thaw_arena_text(graph->arena, chosen))) return THAW_ERR_MEMORY;
  THAW_TRY(copy_config(graph, layer, config));
  THAW_TRY(connect(graph, node, input, inputs));
  THAW_TRY(ops->infer(layer, layer->input, inputs, &layer->output));
  if (thaw_shape_count(layer->output) > INT32_MAX)
    return thaw_fail(THAW_ERR_USAGE, "layer '%s': its output is too large", layer->name);
  if (node_out) *node_out = graph->count;
  graph->node[graph->count++] = node;
  return THAW_OK;
}

/* number[i] = the new index of node i, -1 for nodes that go. */
static void keep_ancestors(const thaw_graph *graph, int32_t last, int32_t *number) {
  for (int32_t i = 0; i < graph->count; i++) number[i] = i == last || i == 0 ? 0 : -1;
  for (int32_t i = last; i > 0; i--)
    for (int32_t j = 0; number[i] == 0 && j < graph->node[i]->layer.inputs; j++) number[graph->node[i]->input[j]] = 0;
  for (int32_t i = 0, next = 0; i < graph->count; i++)
    if (number[i] == 0) number[i] = next++;
}

thaw_status thaw_graph_truncate(thaw_graph *graph, int32_t last) {
  int32_t *number = thaw_new((size_t)graph->count, sizeof *number), kept = 0;
  if (!number) return THAW_ERR_MEMORY;
  keep_ancestors(graph, last, number);
  for (int32_t i = 0; i < graph->count; i++) {
    thaw_node *node = graph->node[i];
    if (number[i] < 0) continue;
    for (int32_t j = 0; j < node->layer.inputs; j++) node->input[j] = number[node->input[j]];
    node->layer.index = (uint32_t)kept;
    graph->node[kept++] = node;
  }
  graph->count = kept;
  thaw_free(number);
  return THAW_OK;
}

thaw_status thaw_graph_join(thaw_graph *graph, const int32_t *output, int32_t outputs, const char *name) {
  char text[48];
  for (int32_t i = 0; i < outputs; i++) {
    const thaw_layer *layer = &graph->node[output[i]]->layer;
    if (layer->output.rank != 1)
      return thaw_fail(THAW_ERR_USAGE, "layer '%s' gives %s, an output is one row per sample", layer->name,
                       thaw_shape_text(layer->output, text));
  }
  THAW_TRY(thaw_graph_add(graph, "concatenate", NULL, name, output, outputs, NULL));
  memcpy(graph->output, output, (size_t)outputs * sizeof *output);
  graph->outputs = outputs;
  return THAW_OK;
}

int32_t thaw_graph_outputs(const thaw_graph *graph, const int32_t **output_out) {
  *output_out = graph->output;
  return graph->outputs;
}

int32_t thaw_graph_count(const thaw_graph *graph) {
  return graph->count;
}

thaw_node *thaw_graph_node(thaw_graph *graph, int32_t index) {
  return index >= 0 && index < graph->count ? graph->node[index] : NULL;
}

const thaw_node *thaw_graph_view(const thaw_graph *graph, int32_t index) {
  return index >= 0 && index < graph->count ? graph->node[index] : NULL;
}

int32_t thaw_graph_find(const thaw_graph *graph, const char *name) {
  for (int32_t i = 0; i < graph->count; i++)
    if (strcmp(graph->node[i]->layer.name, name) == 0) return i;
  return -1;
}

void thaw_graph_mark_head(thaw_graph *graph, int32_t first) {
  for (int32_t i = 0; i < graph->count; i++) {
    graph->node[i]->head = i >= first && i > 0;
    graph->node[i]->frozen = !graph->node[i]->head;
  }
}

thaw_status thaw_graph_bind(thaw_graph *graph) {
  for (int32_t i = 0; i < graph->count; i++) {
    thaw_layer *layer = &graph->node[i]->layer;
    for (int32_t p = 0; p < layer->params; p++) {
      if (layer->param[p].value) continue;
      layer->param[p].value = thaw_new(thaw_param_count(&layer->param[p]), sizeof(float));
      if (!layer->param[p].value) return thaw_fail_in(THAW_ERR_MEMORY, "layer '%s': ", layer->name);
    }
  }
  return THAW_OK;
}

void thaw_graph_release_constant(thaw_graph *graph, const bool *constant) {
  for (int32_t i = 0; i < graph->count; i++) {
    thaw_layer *layer = &graph->node[i]->layer;
    for (int32_t p = 0; constant[i] && p < layer->params; p++) {
      thaw_free(layer->param[p].value);
      layer->param[p].value = NULL;
    }
  }
}

void thaw_graph_initialize(thaw_graph *graph, uint64_t seed, bool head_only) {
  for (int32_t i = 0; i < graph->count; i++) {
    thaw_node *node = graph->node[i];
    if (node->layer.ops->initialize && (node->head || !head_only)) node->layer.ops->initialize(&node->layer, seed);
  }
}

bool thaw_node_trains(const thaw_node *node, int32_t param) {
  return !node->frozen && node->layer.param[param].flags & THAW_PARAM_TRAINABLE;
}

int64_t thaw_graph_param_count(const thaw_graph *graph, bool trainable_only) {
  int64_t count = 0;
  for (int32_t i = 0; i < graph->count; i++)
    for (int32_t p = 0; p < graph->node[i]->layer.params; p++)
      if (!trainable_only || thaw_node_trains(graph->node[i], p))
        count += (int64_t)thaw_param_count(&graph->node[i]->layer.param[p]);
  return count;
}

double thaw_graph_flops(const thaw_graph *graph) {
  double flops = 0;
  for (int32_t i = 0; i < graph->count; i++)
    if (graph->node[i]->layer.ops->flops) flops += graph->node[i]->layer.ops->flops(&graph->node[i]->layer);
  return flops;
}
