/* Which architecture a weight file is like: the one whose layers, compared by name and kernel shape, it has most of. */
#include "thaw/zoo.h"
#include "weights/weights_private.h"

static const thaw_weight_layer *same_layer(const thaw_weight_file *file, const thaw_layer *layer) {
  const thaw_weight_layer *found = thaw_weight_file_find(file, layer->name);
  const thaw_weight *weight = found ? thaw_weight_for_param(found, &layer->param[0]) : NULL;
  return weight && thaw_weight_shape_matches(weight, &layer->param[0]) ? found : NULL;
}

static thaw_likeness compare(const thaw_weight_file *file, const thaw_graph *graph) {
  thaw_likeness result = {0};
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    const thaw_layer *layer = &thaw_graph_view(graph, i)->layer;
    if (layer->params == 0) continue;
    const thaw_weight_layer *same = same_layer(file, layer);
    result.total++;
    if (!same) continue;
    result.matched++;
    result.last = same->name;
  }
  return result;
}

static thaw_likeness compare_architecture(const thaw_weight_file *file, const thaw_architecture *architecture) {
  thaw_shape input = {.rank = 3, .h = architecture->default_size, .w = architecture->default_size, .c = 3};
  thaw_graph *graph = NULL;
  int32_t last;
  thaw_likeness result = {0};
  if (thaw_zoo_build(architecture->name, input, NULL, &graph, &last) != THAW_OK) return result;
  result = compare(file, graph);
  thaw_graph_destroy(graph);
  return result;
}

const thaw_architecture *thaw_weight_most_like(const thaw_weight_file *file, thaw_likeness *found) {
  const thaw_architecture *best = NULL;
  *found = (thaw_likeness){0};
  for (int32_t i = 0; thaw_architectures[i]; i++) {
    thaw_likeness now = compare_architecture(file, thaw_architectures[i]);
    /* A family shares names (VGG16 and VGG19): more layers win, then the smaller network. */
    if (now.matched < found->matched || (now.matched == found->matched && (!best || now.total >= found->total)))
      continue;
    best = thaw_architectures[i];
    *found = now;
  }
  return best && 2 * found->matched >= (int32_t)file->count ? best : NULL;
}
