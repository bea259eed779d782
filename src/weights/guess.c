/* What a weight file holds, in words; and files of a larger network than the one that is to be filled. */
#include "thaw/memory.h"
#include "thaw/zoo.h"
#include "weights/weights_private.h"

void thaw_weight_guess(const thaw_weight_file *file, thaw_text *out) {
  thaw_likeness found;
  const thaw_architecture *best = thaw_weight_most_like(file, &found);
  if (!best)
    thaw_text_add(out, "an unknown architecture, first layer '%s'", file->layer[0].name);
  else if (found.matched == found.total)
    thaw_text_add(out, "%s", best->title);
  else
    thaw_text_add(out, "%s up to %s, %d of %d layers", best->title, found.last, found.matched, found.total);
}

thaw_status thaw_weights_identify(const char *path, const thaw_architecture **out, char **cut_out) {
  thaw_weight_file file;
  thaw_likeness found;
  *out = NULL;
  *cut_out = NULL;
  THAW_TRY(thaw_weight_file_open(path, &file));
  thaw_status status = THAW_OK;
  *out = thaw_weight_most_like(&file, &found);
  if (*out && found.matched < found.total && !(*cut_out = thaw_copy_text(found.last))) status = THAW_ERR_MEMORY;
  thaw_weight_file_close(&file);
  return status;
}

/* ------------------------------------------------------------------ a larger network of the same family */

static bool is_backbone(const thaw_node *node) {
  return node->layer.params > 0 && !node->head;
}

static const char *last_name(const thaw_graph *graph) {
  const char *name = NULL;
  for (int32_t i = 0; i < thaw_graph_count(graph); i++)
    if (is_backbone(thaw_graph_view(graph, i))) name = thaw_graph_view(graph, i)->layer.name;
  return name;
}

/* The first layer that `whole` has and `part` has not, or NULL. */
static const char *lacking(const thaw_graph *whole, const thaw_graph *part) {
  for (int32_t i = 0; i < thaw_graph_count(whole); i++) {
    const thaw_node *node = thaw_graph_view(whole, i);
    if (is_backbone(node) && thaw_graph_find(part, node->layer.name) < 0) return node->layer.name;
  }
  return NULL;
}

thaw_status thaw_weight_check_family(const thaw_graph *graph, const thaw_weight_file *file) {
  thaw_likeness found;
  const thaw_architecture *like = thaw_weight_most_like(file, &found);
  const char *last = last_name(graph);
  thaw_graph *whole = NULL;
  int32_t node;
  if (!like || !last) return THAW_OK;
  thaw_shape input = {.rank = 3, .h = like->default_size, .w = like->default_size, .c = 3};
  if (thaw_zoo_build(like->name, input, last, &whole, &node) != THAW_OK) return THAW_OK;
  const char *missing = lacking(whole, graph);
  thaw_status status = THAW_OK;
  if (missing)
    status =
        thaw_fail(THAW_ERR_DATA, "%s: is of another network: it holds %s, whose layer '%s' before '%s' has no place",
                  file->path, like->title, missing, last);
  thaw_graph_destroy(whole);
  return status;
}
