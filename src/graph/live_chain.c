/* live_chain.c: which convolutions of the live part take in what follows them. Each step is that of the layer taken in,
 * so that bits are the same; what is saved are passes over memory. */
#include "graph/live_private.h"

/* The only reader of a node's value, -1 when there are others, or none. */
static int32_t only_reader(const thaw_live *live, int32_t index) {
  int32_t found = -1;
  for (int32_t i = index + 1; i < live->count; i++)
    for (int32_t j = 0; j < live->graph->node[i]->layer.inputs; j++) {
      if (live->graph->node[i]->input[j] != index) continue;
      if (found >= 0) return -1;
      found = i;
    }
  return found;
}

static bool opens_chain(const thaw_live *live, int32_t index) {
  const thaw_layer *layer = &live->graph->node[index]->layer;
  return live->node[index].live && (layer->ops == &thaw_layer_conv2d || layer->ops == &thaw_layer_depthwise_conv2d) &&
         thaw_layer_last_activation(layer) == THAW_LINEAR;
}

/* The last node's value and gradient belong to the caller. */
static bool can_follow(const thaw_live *live, int32_t index, const thaw_layer_ops *ops) {
  return index >= 0 && index < live->count - 1 && live->graph->node[index]->layer.ops == ops;
}

static void take_addition(const thaw_live *live, live_chain *chain) {
  int32_t next = only_reader(live, chain->last);
  if (!can_follow(live, next, &thaw_layer_add) || live->graph->node[next]->layer.inputs != 2) return;
  const int32_t *input = live->graph->node[next]->input;
  int32_t other = input[input[0] == chain->last];
  if (other >= chain->conv) return; /* not there yet when the convolution is computed */
  chain->add = other;
  chain->last = next;
}

static void take_activation(const thaw_live *live, live_chain *chain) {
  int32_t next = only_reader(live, chain->last);
  if (!can_follow(live, next, &thaw_layer_activation) && !can_follow(live, next, &thaw_layer_re_lu)) return;
  thaw_activation activation = thaw_layer_last_activation(&live->graph->node[next]->layer);
  if (activation != THAW_RELU && activation != THAW_RELU6) return;
  chain->activation = activation;
  chain->last = next;
}

static void mark(thaw_live *live, live_chain *chain) {
  for (int32_t i = chain->conv; i != chain->last; i = only_reader(live, i)) live->node[i].chain = chain;
  live->node[chain->last].chain = chain;
}

static thaw_status add_chain(thaw_live *live, int32_t conv, int32_t norm) {
  size_t channels = (size_t)live->graph->node[norm]->layer.output.c;
  live_chain *chain = thaw_arena_new(live->arena, 1, sizeof *chain);
  if (!chain) return THAW_ERR_MEMORY;
  *chain = (live_chain){.conv = conv, .norm = norm, .last = norm, .add = -1, .activation = THAW_LINEAR};
  chain->scale = thaw_arena_new(live->arena, channels, sizeof(float));
  chain->shift = thaw_arena_new(live->arena, channels, sizeof(float));
  if (!chain->scale || !chain->shift) return THAW_ERR_MEMORY;
  take_addition(live, chain);
  take_activation(live, chain);
  mark(live, chain);
  return THAW_OK;
}

thaw_status live_find_chains(thaw_live *live) {
  for (int32_t i = 0; i < live->count; i++) {
    int32_t norm = opens_chain(live, i) ? only_reader(live, i) : -1;
    if (!can_follow(live, norm, &thaw_layer_batch_normalization)) continue;
    if (live->node[norm].coupled || live->node[norm].trains) continue;
    THAW_TRY(add_chain(live, i, norm));
  }
  return THAW_OK;
}
