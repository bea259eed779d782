/* Which architecture a weight file holds: the one whose layers, compared by name and kernel shape, it has most of. */
#include "thaw/memory.h"
#include "thaw/zoo.h"
#include "weights/weights_private.h"

typedef struct likeness {
  int32_t matched, total;
  const char *last; /* the last layer found; borrowed from the file */
} likeness;

static const thaw_weight_layer *same_layer(const thaw_weight_file *file, const thaw_layer *layer) {
  const thaw_weight_layer *found = thaw_weight_file_find(file, layer->name);
  const thaw_weight *weight = found ? thaw_weight_for_param(found, &layer->param[0]) : NULL;
  return weight && thaw_weight_shape_matches(weight, &layer->param[0]) ? found : NULL;
}

static likeness compare(const thaw_weight_file *file, const thaw_graph *graph) {
  likeness result = {0};
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

static likeness compare_architecture(const thaw_weight_file *file, const thaw_architecture *architecture) {
  thaw_shape input = {.rank = 3, .h = architecture->default_size, .w = architecture->default_size, .c = 3};
  thaw_graph *graph = NULL;
  int32_t last;
  likeness result = {0};
  if (thaw_zoo_build(architecture->name, input, NULL, &graph, &last) != THAW_OK) return result;
  result = compare(file, graph);
  thaw_graph_destroy(graph);
  return result;
}

/* The architecture with most layers in common, or NULL. */
static const thaw_architecture *find_best(const thaw_weight_file *file, likeness *found) {
  const thaw_architecture *best = NULL;
  *found = (likeness){0};
  for (int32_t i = 0; thaw_architectures[i]; i++) {
    likeness now = compare_architecture(file, thaw_architectures[i]);
    /* A family shares names (VGG16 and VGG19): more layers win, then the smaller network. */
    if (now.matched < found->matched || (now.matched == found->matched && (!best || now.total >= found->total)))
      continue;
    best = thaw_architectures[i];
    *found = now;
  }
  return best && 2 * found->matched >= (int32_t)file->count ? best : NULL;
}

void thaw_weight_guess(const thaw_weight_file *file, thaw_text *out) {
  likeness found;
  const thaw_architecture *best = find_best(file, &found);
  if (!best)
    thaw_text_add(out, "an unknown architecture, first layer '%s'", file->layer[0].name);
  else if (found.matched == found.total)
    thaw_text_add(out, "%s", best->title);
  else
    thaw_text_add(out, "%s up to %s, %d of %d layers", best->title, found.last, found.matched, found.total);
}

thaw_status thaw_weights_identify(const char *path, const thaw_architecture **out, char **cut_out) {
  thaw_weight_file file;
  likeness found;
  *out = NULL;
  *cut_out = NULL;
  THAW_TRY(thaw_weight_file_open(path, &file));
  thaw_status status = THAW_OK;
  *out = find_best(&file, &found);
  if (*out && found.matched < found.total && !(*cut_out = thaw_copy_text(found.last))) status = THAW_ERR_MEMORY;
  thaw_weight_file_close(&file);
  return status;
}
