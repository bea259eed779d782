/* The live executor: memory. All of it is allocated here; a step allocates nothing. */
#include "graph/live_private.h"

enum {
  SCRATCH_LIMIT = 16 << 20,  /* bytes of scratch up to which a layer sees all samples in one call */
  TEMPORARY_LIMIT = 16 << 20 /* and bytes of gradients that are added to others */
};

static void *take(thaw_live *live, size_t count, size_t size) {
  live->bytes += count * size;
  return thaw_arena_new(live->arena, count, size);
}

/* What may be large; only counted in a live part that will not run. */
static void *take_large(thaw_live *live, size_t count, size_t size) {
  if (!live->measure_only) return take(live, count, size);
  live->bytes += count * size;
  return live->arena;
}

static size_t scratch_of(const thaw_live *live, const thaw_layer *layer, int32_t n) {
  return layer->ops->scratch_bytes ? layer->ops->scratch_bytes(layer, live->isa, n) : 0;
}

/* What each node is: constant, cut, live; whether gradients pass it; which tensors it trains. */
static void classify(thaw_live *live, const thaw_cut *cut) {
  for (int32_t i = 0; i < cut->count; i++) live->node[cut->node[i]].needs_gradient = cut->gradient;
  for (int32_t i = 0; i < live->count; i++) {
    live_node *node = &live->node[i];
    const thaw_node *from = live->graph->node[i];
    node->live = !cut->constant[i];
    node->count = thaw_shape_count(from->layer.output);
    node->coupled = node->live && from->layer.ops->forward_sums && !from->frozen;
    for (int32_t p = 0; p < from->layer.params; p++) {
      node->tensor[p] = node->live && thaw_node_trains(from, p) ? live->tensors++ : -1;
      node->trains = node->trains || node->tensor[p] >= 0;
    }
    node->needs_gradient = node->needs_gradient || node->trains;
    for (int32_t j = 0; j < from->layer.inputs; j++)
      node->needs_gradient = node->needs_gradient || live->node[from->input[j]].needs_gradient;
  }
  size_t offset = 0;
  for (int32_t i = 0; i < cut->count; i++) {
    live->node[cut->node[i]].cut_offset = offset;
    live->node[cut->node[i]].from_features = cut->count == 1;
    offset += live->node[cut->node[i]].count;
  }
}

static thaw_status allocate_tensors(thaw_live *live) {
  live->tensor_node = take(live, (size_t)live->tensors, sizeof(int32_t));
  live->tensor_param = take(live, (size_t)live->tensors, sizeof(int32_t));
  if (!live->tensor_node || !live->tensor_param) return THAW_ERR_MEMORY;
  for (int32_t i = 0; i < live->count; i++) {
    live_node *node = &live->node[i];
    const thaw_layer *layer = &live->graph->node[i]->layer;
    for (int32_t p = 0; p < layer->params; p++) {
      if (node->tensor[p] < 0) continue;
      live->tensor_node[node->tensor[p]] = i;
      live->tensor_param[node->tensor[p]] = p;
      node->gradient[p] = take_large(live, thaw_param_count(&layer->param[p]), sizeof(float));
      if (!node->gradient[p]) return THAW_ERR_MEMORY;
    }
  }
  return THAW_OK;
}

static thaw_status allocate_activations(thaw_live *live, const thaw_cut *cut) {
  for (int32_t i = 0; i < cut->count; i++) {
    live_node *node = &live->node[cut->node[i]];
    if (node->from_features) continue;
    node->y = take_large(live, node->count * (size_t)live->max_samples, sizeof(float));
    if (!node->y) return THAW_ERR_MEMORY;
  }
  for (int32_t i = 0; i < live->count; i++) {
    live_node *node = &live->node[i];
    const thaw_layer_ops *ops = live->graph->node[i]->layer.ops;
    if (!node->live) continue;
    node->saved_bytes = ops->saved_bytes ? ops->saved_bytes(&live->graph->node[i]->layer) : 0;
    if (!node->coupled) continue;
    size_t sums = (size_t)ops->forward_sums(&live->graph->node[i]->layer);
    size_t back = (size_t)ops->backward_sums(&live->graph->node[i]->layer);
    node->forward_totals = take(live, sums * (size_t)live->parts, sizeof(double));
    node->backward_totals = take(live, back, sizeof(double));
    node->slice_sums = take(live, sums > back ? sums : back, sizeof(double));
    if (!node->forward_totals || !node->backward_totals || !node->slice_sums) return THAW_ERR_MEMORY;
  }
  THAW_TRY(live_choose_segments(live));
  for (int32_t i = 0; i < live->count; i++) {
    live_node *node = &live->node[i];
    if (node->kept && !(node->y = take_large(live, node->count * (size_t)live->max_samples, sizeof(float))))
      return THAW_ERR_MEMORY;
  }
  char *block = take_large(live, live_place_segments(live, NULL), 1);
  if (!block) return THAW_ERR_MEMORY;
  live_place_segments(live, block);
  for (int32_t i = 0; i < live->count; i++)
    if (live->node[i].chain && live->node[i].chain->conv == i)
      live->node[i].y = live->node[live->node[i].chain->last].y;
  return THAW_OK;
}

/* A gradient lives from the backward pass of the last layer that reads its tensor to that of the layer that made it, so
 * gradients share one block. Steps count backward. */
static thaw_status allocate_gradients(thaw_live *live) {
  thaw_interval *interval = thaw_new((size_t)live->count, sizeof *interval);
  int32_t *order = thaw_new((size_t)live->count, sizeof *order);
  thaw_status status = interval && order ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t i = 0; status == THAW_OK && i < live->count; i++) {
    interval[i].first = interval[i].last = live->count - 1 - i;
    if (!live->node[i].needs_gradient || live_gradient_is_inner(&live->node[i], i)) continue;
    for (int32_t reader = i + 1; reader < live->count; reader++)
      for (int32_t j = 0; j < live->graph->node[reader]->layer.inputs; j++) {
        int32_t step = live->count - 1 - live_goes_back_at(&live->node[reader], reader);
        if (live->graph->node[reader]->input[j] == i && step < interval[i].first) interval[i].first = step;
      }
    if (!live->node[i].live) interval[i].last = live->count; /* the caller's: kept to the end */
    if (i < live->count - 1 || live->graph->node[i]->layer.ops->activation_backward)
      interval[i].bytes = live->node[i].count * (size_t)live->max_samples * sizeof(float);
  }
  char *block = NULL;
  if (status == THAW_OK) {
    block = take_large(live, thaw_plan_offsets(interval, live->count, order), 1);
    status = block ? THAW_OK : THAW_ERR_MEMORY;
  }
  for (int32_t i = 0; status == THAW_OK && i < live->count; i++)
    if (interval[i].bytes) live->node[i].dy = (float *)(block + interval[i].offset);
  thaw_free(interval);
  thaw_free(order);
  return status;
}

/* One block serves all layers in turn. */
static thaw_status create_workspaces(thaw_live *live) {
  size_t most = 0;
  for (int32_t i = 0; i < live->count; i++) {
    const thaw_layer *layer = &live->graph->node[i]->layer;
    bool passes = false; /* a gradient to its input */
    for (int32_t j = 0; j < layer->inputs; j++)
      passes = passes || live->node[live->graph->node[i]->input[j]].needs_gradient;
    if (!live->node[i].live || !layer->ops->workspace_create) continue;
    THAW_TRY(layer->ops->workspace_create(layer, live->isa, live->arena, passes, &live->node[i].workspace));
    size_t bytes = live->node[i].workspace ? layer->ops->workspace_bytes(live->node[i].workspace) : 0;
    if (bytes > most) most = bytes;
  }
  live->workspace_block = take_large(live, most, 1);
  return live->workspace_block ? THAW_OK : THAW_ERR_MEMORY;
}

/* Floats per sample of the inputs of node `index` that other layers read too: their gradients may have to be added. */
static size_t shared_inputs(const thaw_live *live, int32_t index) {
  const thaw_node *node = live->graph->node[index];
  size_t floats = 0;
  for (int32_t j = 0; j < node->layer.inputs; j++) {
    int32_t readers = 0;
    for (int32_t i = 0; i < live->count; i++)
      for (int32_t k = 0; live->node[i].live && k < live->graph->node[i]->layer.inputs; k++)
        readers += live->graph->node[i]->input[k] == node->input[j];
    if (readers > 1 && live->node[node->input[j]].needs_gradient) floats += live->node[node->input[j]].count;
  }
  return floats;
}

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

/* A convolution's input gradients are faster for many samples at once, where its scratch allows that: parameters then
 * have calls of their own. */
static bool goes_apart(const thaw_live *live, int32_t index) {
  const thaw_node *from = live->graph->node[index];
  const live_node *node = &live->node[index];
  return node->trains && from->layer.ops == &thaw_layer_conv2d && node->forward_chunk > live->slice &&
         live->node[from->input[0]].needs_gradient;
}

/* All slices in one call of the layer, which rounds their gradients itself. */
static bool goes_together(const thaw_live *live, int32_t index) {
  const thaw_layer *layer = &live->graph->node[index]->layer;
  const live_node *node = &live->node[index];
  if (!node->trains || !layer->ops->backward_slices || node->back_chunk != live->max_samples) return false;
  return !layer->ops->slices_fit || layer->ops->slices_fit(layer, live->slice);
}

/* Scratch for the largest call, and room for gradients of one call's inputs that are added to others. Layers that train
 * go back slice by slice, unless they can take all slices together; the others in the chunks of the forward pass. */
static thaw_status allocate_scratch(thaw_live *live) {
  size_t scratch = 0, temporary = 0;
  for (int32_t i = 0; i < live->count; i++) {
    const thaw_layer *layer = &live->graph->node[i]->layer;
    if (!live->node[i].live) continue;
    int32_t chunk = live->max_samples;
    if (scratch_of(live, layer, chunk) > SCRATCH_LIMIT) chunk = live->slice < chunk ? live->slice : chunk;
    live->node[i].forward_chunk = chunk;
    live->node[i].apart = goes_apart(live, i);
    size_t shared = shared_inputs(live, i);
    live->node[i].back_chunk = shared * (size_t)chunk * sizeof(float) > TEMPORARY_LIMIT ? live->slice : chunk;
    live->node[i].together = goes_together(live, i);
    bool sliced = live->node[i].trains && !live->node[i].apart && !live->node[i].together;
    int32_t back = sliced ? live->slice : live->node[i].back_chunk;
    scratch = larger(scratch, larger(scratch_of(live, layer, chunk), scratch_of(live, layer, live->slice)));
    temporary = larger(temporary, shared * (size_t)back);
  }
  live->scratch = take_large(live, scratch, 1);
  live->temporary = take_large(live, temporary, sizeof(float));
  live->largest = take(live, (size_t)live->max_samples * THAW_MAX_PARAMS, sizeof(uint32_t));
  return live->scratch && live->temporary && live->largest ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status create(thaw_graph *graph, const thaw_cut *cut, const thaw_isa *isa, const thaw_live_options *options,
                          thaw_live **out) {
  thaw_live *live = thaw_new(1, sizeof *live);
  if (!live) return THAW_ERR_MEMORY;
  live->graph = graph;
  live->isa = isa;
  live->max_samples = options->max_samples > 0 ? options->max_samples : 1; /* an idle rank still takes part */
  live->slice = options->slice;
  live->recompute = options->recompute;
  live->parts = options->parts > 1 ? options->parts : 1;
  live->measure_only = options->measure_only;
  live->count = graph->count;
  live->arena = thaw_arena_create();
  live->node = live->arena ? take(live, (size_t)live->count, sizeof(live_node)) : NULL;
  live->batch = live->node ? take(live, (size_t)live->parts, sizeof *live->batch) : NULL;
  thaw_status status = live->batch ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) {
    classify(live, cut);
    status = allocate_tensors(live);
  }
  if (status == THAW_OK && options->fuse && !options->recompute) status = live_find_chains(live);
  if (status == THAW_OK) status = allocate_activations(live, cut);
  if (status == THAW_OK) status = allocate_gradients(live);
  if (status == THAW_OK) status = allocate_scratch(live);
  if (status == THAW_OK) status = create_workspaces(live);
  if (status != THAW_OK) {
    thaw_live_destroy(live);
    return thaw_fail_in(status, "live layers: ");
  }
  *out = live;
  return THAW_OK;
}

static bool joins_batch(const thaw_live *live) {
  for (int32_t i = 0; i < live->count; i++)
    if (live->node[i].coupled) return true;
  return false;
}

thaw_status thaw_live_create_within(thaw_graph *graph, const thaw_cut *cut, const thaw_isa *isa,
                                    const thaw_live_options *options, thaw_live **out) {
  *out = NULL;
  if (options->slice < 1 || options->max_samples < 0)
    return thaw_fail(THAW_ERR_INTERNAL, "%d samples in slices of %d", options->max_samples, options->slice);
  thaw_live_options now = *options;
  now.measure_only = true;
  THAW_TRY(create(graph, cut, isa, &now, out));
  while (now.limit && (*out)->bytes > now.limit && now.max_samples > now.slice && !joins_batch(*out)) {
    size_t fit = now.limit / ((*out)->bytes / (size_t)now.max_samples) / (size_t)now.slice * (size_t)now.slice;
    int32_t less = (now.max_samples - 1) / now.slice * now.slice; /* a slice less at least */
    now.max_samples = fit < (size_t)now.slice ? now.slice : fit < (size_t)less ? (int32_t)fit : less;
    thaw_live_destroy(*out);
    *out = NULL;
    THAW_TRY(create(graph, cut, isa, &now, out));
  }
  if (options->measure_only) return THAW_OK;
  thaw_live_destroy(*out);
  *out = NULL;
  now.measure_only = false;
  return create(graph, cut, isa, &now, out);
}

thaw_status thaw_live_create(thaw_graph *graph, const thaw_cut *cut, const thaw_isa *isa, int32_t max_samples,
                             int32_t slice, thaw_live **out) {
  thaw_live_options options = {.max_samples = max_samples, .slice = slice};
  return thaw_live_create_within(graph, cut, isa, &options, out);
}

int32_t thaw_live_samples(const thaw_live *live) {
  return live->max_samples;
}

void thaw_live_destroy(thaw_live *live) {
  if (!live) return;
  for (int32_t i = 0; live->node && i < live->count; i++)
    if (live->node[i].workspace) live->graph->node[i]->layer.ops->workspace_destroy(live->node[i].workspace);
  thaw_arena_destroy(live->arena);
  thaw_free(live);
}

size_t thaw_live_bytes(const thaw_live *live) {
  return live->bytes;
}

int32_t thaw_live_tensors(const thaw_live *live) {
  return live->tensors;
}

thaw_param *thaw_live_tensor(thaw_live *live, int32_t tensor, const char **layer_name_out) {
  thaw_layer *layer = &live->graph->node[live->tensor_node[tensor]]->layer;
  if (layer_name_out) *layer_name_out = layer->name;
  return &layer->param[live->tensor_param[tensor]];
}

const float *thaw_live_value(const thaw_live *live, int32_t node) {
  return live->node[node].y;
}

const float *thaw_live_cut_gradient(const thaw_live *live, int32_t node) {
  return live->node[node].dy;
}

thaw_activation thaw_live_activation_of(const thaw_live *live, int32_t node) {
  return thaw_layer_last_activation(&live->graph->node[node]->layer);
}

thaw_activation thaw_live_activation(const thaw_live *live) {
  return thaw_live_activation_of(live, live->count - 1);
}

const float *thaw_live_logits_of(const thaw_live *live, int32_t index) {
  thaw_activation activation = thaw_live_activation_of(live, index);
  const live_node *last = &live->node[index];
  const thaw_node *node = live->graph->node[index];
  if (last->live && node->layer.ops == &thaw_layer_rescaling) return live->node[node->input[0]].y;
  if (!last->live || (activation != THAW_SOFTMAX && activation != THAW_SIGMOID)) return NULL;
  if (node->layer.ops == &thaw_layer_activation) return live->node[node->input[0]].y;
  return last->saved_bytes ? (const float *)last->saved : NULL;
}

const float *thaw_live_logits(const thaw_live *live) {
  return thaw_live_logits_of(live, live->count - 1);
}
