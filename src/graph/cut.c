/* The constant part and the cut. */
#include "graph/graph_private.h"

static bool is_constant(const thaw_graph *graph, int32_t index, const bool *constant) {
  const thaw_node *node = graph->node[index];
  if ((node->layer.ops->random && !node->frozen) || (node->layer.params > 0 && !node->frozen)) return false;
  for (int32_t j = 0; j < node->layer.inputs; j++)
    if (!constant[node->input[j]]) return false;
  return true;
}

/* True when a node outside the constant part reads `index`, or when it is the result itself. */
static bool crosses(const thaw_graph *graph, int32_t index, const bool *constant) {
  if (index == graph->count - 1) return true;
  for (int32_t i = index + 1; i < graph->count; i++)
    for (int32_t j = 0; !constant[i] && j < graph->node[i]->layer.inputs; j++)
      if (graph->node[i]->input[j] == index) return true;
  return false;
}

thaw_status thaw_graph_cut(const thaw_graph *graph, thaw_cut *out) {
  *out = (thaw_cut){.node = thaw_new((size_t)graph->count, sizeof(int32_t)),
                    .constant = thaw_new((size_t)graph->count, sizeof(bool))};
  if (!out->node || !out->constant) {
    thaw_cut_clear(out);
    return THAW_ERR_MEMORY;
  }
  for (int32_t i = 0; i < graph->count; i++) out->constant[i] = is_constant(graph, i, out->constant);
  for (int32_t i = 0; i < graph->count; i++)
    if (out->constant[i] && crosses(graph, i, out->constant)) {
      out->node[out->count++] = i;
      out->floats += thaw_shape_count(graph->node[i]->layer.output);
    }
  return THAW_OK;
}

void thaw_cut_clear(thaw_cut *cut) {
  thaw_free(cut->node);
  thaw_free(cut->constant);
  *cut = (thaw_cut){0};
}
