/* Keras' order of a network's layers. A Keras model loads weights layer by layer in the order of model.layers, so a
 * file must list them in it (keras/src/ops/function.py, map_graph): by falling depth, which is the longest way to an
 * output; layers of one depth in the order in which a walk from the output backwards, inputs from left to right, meets
 * them. */
#include "thaw/memory.h"
#include "weights/weights_private.h"

#include <stdlib.h>

typedef struct place {
  int32_t node, depth, met;
} place;

typedef struct walk {
  const thaw_graph *graph;
  place *place;
  int32_t met;
} walk;

/* Pre-order, each node once. Networks are some hundred layers deep at most, and so is the recursion. */
static void visit(walk *w, int32_t node) {
  if (w->place[node].met >= 0) return;
  w->place[node].met = w->met++;
  const thaw_node *view = thaw_graph_view(w->graph, node);
  for (int32_t i = 0; i < view->layer.inputs; i++) visit(w, view->input[i]);
}

/* Consumers have larger indices than their inputs, so one pass downwards sees final depths. */
static void measure_depths(walk *w, int32_t count) {
  for (int32_t node = count - 1; node >= 0; node--) {
    const thaw_node *view = thaw_graph_view(w->graph, node);
    if (w->place[node].met < 0) continue;
    for (int32_t i = 0; i < view->layer.inputs; i++) {
      place *input = &w->place[view->input[i]];
      if (input->depth < w->place[node].depth + 1) input->depth = w->place[node].depth + 1;
    }
  }
}

static int compare_places(const void *a, const void *b) {
  const place *first = a, *second = b;
  if (first->depth != second->depth) return first->depth < second->depth ? 1 : -1;
  return first->met < second->met ? -1 : first->met > second->met;
}

thaw_status thaw_weight_keras_order(const thaw_graph *graph, int32_t *order, int32_t *count_out) {
  int32_t count = thaw_graph_count(graph), kept = 0;
  place *places = thaw_new((size_t)count, sizeof *places);
  if (!places) return THAW_ERR_MEMORY;
  for (int32_t i = 0; i < count; i++) places[i] = (place){.node = i, .met = -1};
  walk w = {.graph = graph, .place = places};
  visit(&w, count - 1);
  measure_depths(&w, count);
  for (int32_t i = 0; i < count; i++)
    if (places[i].met >= 0) places[kept++] = places[i];
  qsort(places, (size_t)kept, sizeof *places, compare_places);
  const int32_t *outputs;
  if (thaw_graph_outputs(graph, &outputs))
    kept--; /* what joins several outputs has depth 0 alone, and is no layer there */
  for (int32_t i = 0; i < kept; i++) order[i] = places[i].node;
  *count_out = kept;
  thaw_free(places);
  return THAW_OK;
}
