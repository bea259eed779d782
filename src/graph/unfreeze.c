/* Which backbone layers are live. */
#include "graph/graph_private.h"

#include <string.h>

/* "block_1" means block_1 and block_1_*, not block_10_*. */
static bool matches_whole(const char *name, const char *word) {
  size_t length = strlen(word);
  return strncmp(name, word, length) == 0 && (name[length] == 0 || name[length] == '_' || word[length - 1] == '_');
}

static bool matches_prefix(const char *name, const char *word) {
  return strncmp(name, word, strlen(word)) == 0;
}

static bool may_train(const thaw_node *node, bool train_batch_norm) {
  if (node->head || (node->layer.ops == &thaw_layer_batch_normalization && !train_batch_norm)) return false;
  for (int32_t p = 0; p < node->layer.params; p++)
    if (node->layer.param[p].flags & THAW_PARAM_TRAINABLE) return true;
  return false;
}

static thaw_status no_match(const thaw_graph *graph, const char *word) {
  const char **names = thaw_new((size_t)graph->count, sizeof *names);
  if (!names) return THAW_ERR_MEMORY;
  size_t count = 0;
  for (int32_t i = 0; i < graph->count; i++)
    if (!graph->node[i]->head) names[count++] = graph->node[i]->layer.name;
  const char *nearest = thaw_nearest(word, names, count);
  thaw_free(names);
  if (nearest)
    return thaw_fail(THAW_ERR_USAGE, "unfreeze: no backbone layer is called or begins with '%s' (did you mean '%s'?)",
                     word, nearest);
  const char *last = "";
  for (int32_t i = 0; i < graph->count; i++)
    if (may_train(graph->node[i], true)) last = graph->node[i]->layer.name;
  return thaw_fail(THAW_ERR_USAGE,
                   "unfreeze: no backbone layer is called or begins with '%s' (the last with weights is '%s')", word,
                   last);
}

static thaw_status unfreeze_word(thaw_graph *graph, const char *word, bool train_batch_norm) {
  if (strcmp(word, "none") == 0) return THAW_OK;
  bool all = strcmp(word, "all") == 0, any_name = all, any_layer = false;
  bool (*matches)(const char *, const char *) = matches_whole;
  for (int32_t i = 0; !all && i < graph->count; i++)
    any_name = any_name || (!graph->node[i]->head && matches_whole(graph->node[i]->layer.name, word));
  if (!any_name) matches = matches_prefix;
  for (int32_t i = 0; i < graph->count; i++) {
    thaw_node *node = graph->node[i];
    if (node->head || (!all && !matches(node->layer.name, word))) continue;
    any_name = true;
    if (!may_train(node, train_batch_norm)) continue;
    node->frozen = false;
    any_layer = true;
  }
  if (!any_name) return no_match(graph, word);
  if (!any_layer)
    return thaw_fail(THAW_ERR_USAGE, "unfreeze: '%s' has no parameters that can be trained, so it changes nothing",
                     word);
  return THAW_OK;
}

thaw_status thaw_graph_unfreeze(thaw_graph *graph, const char *const *word, int32_t words, bool train_batch_norm) {
  for (int32_t i = 0; i < graph->count; i++) graph->node[i]->frozen = !graph->node[i]->head;
  for (int32_t i = 0; i < words; i++) {
    if (!word[i][0]) return thaw_fail(THAW_ERR_USAGE, "unfreeze: an empty name");
    THAW_TRY(unfreeze_word(graph, word[i], train_batch_norm));
  }
  return THAW_OK;
}
