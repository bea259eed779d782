/* Which backbone layers are live. */
#include "graph/graph_private.h"
#include "thaw/text.h"

#include <stdio.h>
#include <string.h>

static bool ends_word(char c) {
  return c == 0 || c == '_' || c == '.';
}

/* "block_1" means block_1 and block_1_*, not block_10_*; "layer4.1" means layer4.1.*, not layer4.10.*. */
static bool matches_whole(const char *name, const char *word) {
  size_t length = strlen(word);
  char last = word[length - 1];
  return strncmp(name, word, length) == 0 && (ends_word(name[length]) || last == '_' || last == '.');
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

/* Layer names and their beginnings up to a word's end: "block5" and "block5_conv1". The strings lie behind the
 * pointers, in one allocation (thaw_free). NULL when there is no memory. */
static const char **words_of(const thaw_graph *graph, size_t *count) {
  size_t words = 0, bytes = 0;
  for (int32_t i = 0; i < graph->count; i++)
    for (const char *name = graph->node[i]->layer.name, *at = name; *at && !graph->node[i]->head; at++)
      if (ends_word(at[1])) words++, bytes += (size_t)(at - name) + 2;
  const char **list = thaw_new(1, (words + 1) * sizeof *list + bytes);
  if (!list) return NULL;
  char *text = (char *)(list + words + 1);
  *count = 0;
  for (int32_t i = 0; i < graph->count; i++)
    for (const char *name = graph->node[i]->layer.name, *at = name; *at && !graph->node[i]->head; at++)
      if (ends_word(at[1])) {
        size_t length = (size_t)(at - name) + 1;
        memcpy(text, name, length);
        text[length] = 0;
        list[(*count)++] = text;
        text += length + 1;
      }
  return list;
}

static thaw_status no_match(const thaw_graph *graph, const char *word) {
  size_t count;
  const char **words = words_of(graph, &count);
  if (!words) return THAW_ERR_MEMORY;
  const char *nearest = thaw_nearest(word, words, count), *last = "";
  for (int32_t i = 0; i < graph->count; i++)
    if (may_train(graph->node[i], true)) last = graph->node[i]->layer.name;
  thaw_status status =
      nearest
          ? thaw_fail(THAW_ERR_USAGE, "no backbone layer is called or begins with '%s' (did you mean '%s'?)", word,
                      nearest)
          : thaw_fail(THAW_ERR_USAGE, "no backbone layer is called or begins with '%s' (the last with weights is '%s')",
                      word, last);
  thaw_free(words);
  return status;
}

/* ------------------------------------------------------------------ layers counted from the top */

static int64_t trainable_count(const thaw_node *node) {
  int64_t count = 0;
  for (int32_t p = 0; p < node->layer.params; p++)
    if (node->layer.param[p].flags & THAW_PARAM_TRAINABLE) count += (int64_t)thaw_param_count(&node->layer.param[p]);
  return count;
}

/* Layers and parameters of the backbone that may be trained. */
static void count_all(const thaw_graph *graph, bool train_batch_norm, int64_t *layers, int64_t *parameters) {
  *layers = *parameters = 0;
  for (int32_t i = 0; i < graph->count; i++) {
    if (!may_train(graph->node[i], train_batch_norm)) continue;
    ++*layers;
    *parameters += trainable_count(graph->node[i]);
  }
}

/* Layers from the top until `layers` of them or `parameters` of their parameters are reached. */
static void mark_top(thaw_graph *graph, bool train_batch_norm, int64_t layers, double parameters, bool frozen) {
  int64_t marked = 0, counted = 0;
  for (int32_t i = graph->count - 1; i >= 0 && (marked < layers || (double)counted < parameters); i--) {
    if (!may_train(graph->node[i], train_batch_norm)) continue;
    graph->node[i]->frozen = frozen;
    marked++;
    counted += trainable_count(graph->node[i]);
  }
}

/* True when the word is a number; what is wrong with it is in *status. */
static bool mark_number(thaw_graph *graph, const char *word, bool train_batch_norm, bool frozen, thaw_status *status) {
  int64_t number, layers, parameters;
  double share;
  count_all(graph, train_batch_norm, &layers, &parameters);
  if (thaw_parse_int(word, &number) == THAW_OK) {
    if (number < 1 || number > layers)
      *status = thaw_fail(THAW_ERR_USAGE, "'%s' top layers: the backbone has 1 .. %lld that can be trained", word,
                          (long long)layers);
    else
      mark_top(graph, train_batch_norm, number, 0, frozen);
    return true;
  }
  if (thaw_parse_double(word, &share) != THAW_OK) return false;
  if (!(share > 0 && share <= 1))
    *status = thaw_fail(THAW_ERR_USAGE, "'%s' is no share of the parameters, above 0 to 1", word);
  else
    mark_top(graph, train_batch_norm, 0, share * (double)parameters, frozen);
  return true;
}

/* ------------------------------------------------------------------ words */

static thaw_status mark_word(thaw_graph *graph, const char *word, bool train_batch_norm, bool frozen) {
  thaw_status status = THAW_OK;
  if (strcmp(word, "none") == 0 || mark_number(graph, word, train_batch_norm, frozen, &status)) return status;
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
    node->frozen = frozen;
    any_layer = true;
  }
  if (!any_name) return no_match(graph, word);
  if (!any_layer)
    return thaw_fail(THAW_ERR_USAGE, "'%s' has no parameters that can be trained, so it changes nothing", word);
  return THAW_OK;
}

static thaw_status mark_words(thaw_graph *graph, const char *const *word, int32_t words, bool train_batch_norm,
                              bool frozen) {
  for (int32_t i = 0; i < words; i++) {
    thaw_status status =
        word[i][0] ? mark_word(graph, word[i], train_batch_norm, frozen) : thaw_fail(THAW_ERR_USAGE, "an empty name");
    if (status != THAW_OK) return thaw_fail_in(status, "%s: ", frozen ? "refreeze" : "unfreeze");
  }
  return THAW_OK;
}

thaw_status thaw_graph_unfreeze_more(thaw_graph *graph, const char *const *word, int32_t words, bool train_batch_norm) {
  return mark_words(graph, word, words, train_batch_norm, false);
}

thaw_status thaw_graph_unfreeze(thaw_graph *graph, const char *const *word, int32_t words, bool train_batch_norm) {
  for (int32_t i = 0; i < graph->count; i++) graph->node[i]->frozen = !graph->node[i]->head;
  return mark_words(graph, word, words, train_batch_norm, false);
}

/* Batch normalisation goes back with the rest, whether it was trained or not. */
thaw_status thaw_graph_refreeze(thaw_graph *graph, const char *const *word, int32_t words) {
  return mark_words(graph, word, words, true, true);
}

/* ------------------------------------------------------------------ block by block */

/* Up to the first "_", or the second in "block_16_expand"; torchvision's "layer4.1.conv2" up to the second ".". */
static size_t block_length(const char *name) {
  size_t length = strcspn(name, "_.");
  if (name[length] == '.') {
    size_t second = length + 1 + strcspn(name + length + 1, ".");
    return name[second] == '.' ? second : strlen(name);
  }
  if (strncmp(name, "block_", 6) == 0) length += 1 + strcspn(name + length + 1, "_");
  return length;
}

bool thaw_graph_unfreeze_next(thaw_graph *graph, bool train_batch_norm, char name_out[64]) {
  int32_t top = graph->count - 1;
  while (top >= 0 && !(graph->node[top]->frozen && may_train(graph->node[top], train_batch_norm))) top--;
  if (top < 0) return false;
  const char *name = graph->node[top]->layer.name;
  size_t length = block_length(name);
  for (int32_t i = 0; i <= top; i++) {
    const char *other = graph->node[i]->layer.name;
    if (block_length(other) == length && strncmp(other, name, length) == 0 &&
        may_train(graph->node[i], train_batch_norm))
      graph->node[i]->frozen = false;
  }
  if (name_out) snprintf(name_out, 64, "%.*s", (int)length, name);
  return true;
}
