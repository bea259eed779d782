/* The live executor: forward and backward of one rank's share of a batch, node by node. Samples are independent of each
 * other in every call (kernel.h), so a call may take any number of them; only parameter gradients and batch sums are
 * made slice by slice, because a slice is the unit in which they are rounded; a layer with backward_slices does that
 * within one call. */
#include "graph/live_private.h"

#include <string.h>

typedef struct run {
  thaw_live *live;
  const thaw_share *share;
  const thaw_live_hooks *hooks;
} run;

/* Batch statistics of the share's part; NULL where a layer has none. */
static double *forward_totals(const run *r, int32_t index) {
  const live_node *node = &r->live->node[index];
  const thaw_layer *layer = &r->live->graph->node[index]->layer;
  if (!node->coupled || !r->share->training) return NULL;
  return node->forward_totals + (size_t)r->share->part * (size_t)layer->ops->forward_sums(layer);
}

static const float *value_of(const run *r, int32_t node, int32_t sample) {
  const live_node *from = &r->live->node[node];
  return (from->from_features ? r->share->features : from->y) + (size_t)sample * from->count;
}

/* Sets up a call for samples first .. first + n - 1; `x` has room for the node's inputs. */
static thaw_layer_io call_io(const run *r, int32_t index, int32_t first, int32_t n, const float **x) {
  live_node *node = &r->live->node[index];
  const thaw_node *from = r->live->graph->node[index];
  const thaw_share *share = r->share;
  for (int32_t j = 0; j < from->layer.inputs; j++) x[j] = value_of(r, from->input[j], first);
  return (thaw_layer_io){.x = x,
                         .y = node->y + (size_t)first * node->count,
                         .saved = node->saved ? node->saved + (size_t)first * node->saved_bytes : NULL,
                         .scratch = r->live->scratch,
                         .workspace = node->workspace,
                         .n = n,
                         .sample = share->sample ? share->sample + first : NULL,
                         .seed = share->seed,
                         .epoch = share->epoch,
                         .training = share->training && !(from->frozen && from->layer.ops->random),
                         .statistics = forward_totals(r, index),
                         .backward_statistics = node->coupled && share->training ? node->backward_totals : NULL,
                         .batch = share->batch,
                         .isa = r->live->isa};
}

/* Sums of one batch-coupled node over all slices of all ranks; dy NULL: those before forward. */
static thaw_status batch_sums(const run *r, int32_t index, const float *dy, double *totals) {
  live_node *node = &r->live->node[index];
  const thaw_layer *layer = &r->live->graph->node[index]->layer;
  const float *x[THAW_MAX_INPUTS];
  int32_t count = dy ? layer->ops->backward_sums(layer) : layer->ops->forward_sums(layer);
  memset(totals, 0, (size_t)count * sizeof(double));
  for (int32_t s = 0; s < r->share->slices; s++) {
    int32_t first = r->share->slice_start[s];
    thaw_layer_io io = call_io(r, index, first, r->share->slice_start[s + 1] - first, x);
    memset(node->slice_sums, 0, (size_t)count * sizeof(double));
    if (dy)
      layer->ops->add_backward_sums(layer, &io, dy + (size_t)first * node->count, node->slice_sums);
    else
      layer->ops->add_forward_sums(layer, &io, node->slice_sums);
    if (r->hooks && r->hooks->add_sums)
      r->hooks->add_sums(r->hooks->context, node->slice_sums, count);
    else
      for (int32_t i = 0; i < count; i++) totals[i] += node->slice_sums[i];
  }
  if (r->hooks && r->hooks->reduce_sums) return r->hooks->reduce_sums(r->hooks->context, totals, count);
  return THAW_OK;
}

/* What the chain does behind its convolution, for samples from `first` on. */
static thaw_epilogue epilogue_of(const run *r, const live_chain *chain, int32_t first) {
  return (thaw_epilogue){.scale = chain->scale,
                         .shift = chain->shift,
                         .add = chain->add >= 0 ? value_of(r, chain->add, first) : NULL,
                         .activation = chain->activation};
}

static void forward_calls(const run *r, int32_t index) {
  live_node *node = &r->live->node[index];
  const thaw_layer *layer = &r->live->graph->node[index]->layer;
  const float *x[THAW_MAX_INPUTS];
  if (node->chain)
    thaw_layer_norm_affine(&r->live->graph->node[node->chain->norm]->layer, node->chain->scale, node->chain->shift);
  if (node->workspace) layer->ops->workspace_refresh(layer, node->workspace, false, r->live->workspace_block);
  for (int32_t first = 0; first < r->share->samples; first += node->forward_chunk) {
    int32_t left = r->share->samples - first;
    thaw_layer_io io = call_io(r, index, first, left < node->forward_chunk ? left : node->forward_chunk, x);
    thaw_epilogue after = {0};
    if (node->chain) {
      after = epilogue_of(r, node->chain, first);
      io.after = &after;
    }
    layer->ops->forward(layer, &io);
  }
}

static thaw_status forward_node(const run *r, int32_t index) {
  live_node *node = &r->live->node[index];
  if (node->coupled && r->share->training) THAW_TRY(batch_sums(r, index, NULL, forward_totals(r, index)));
  forward_calls(r, index);
  return THAW_OK;
}

/* The activations of a segment once more, from what is kept of the one before; batch statistics are still there. */
static void restore_segment(const run *r, int32_t segment) {
  thaw_live *live = r->live;
  if (live->ready == segment) return;
  live->ready = segment;
  for (int32_t i = 0; i < live->count; i++) {
    const live_node *node = &live->node[i];
    if (node->live && node->segment == segment && !(node->kept && !node->saved_bytes)) forward_calls(r, i);
  }
}

/* Cut tensors that lie side by side in the features get rows of their own. */
static void separate_cut(const run *r, int32_t index, size_t row) {
  live_node *node = &r->live->node[index];
  for (int32_t i = 0; i < r->share->samples; i++)
    memcpy(node->y + (size_t)i * node->count, r->share->features + (size_t)i * row + node->cut_offset,
           node->count * sizeof(float));
}

thaw_status thaw_live_forward(thaw_live *live, const thaw_share *share, const thaw_live_hooks *hooks,
                              const float **y_out) {
  if (share->samples > live->max_samples)
    return thaw_fail(THAW_ERR_INTERNAL, "live layers: %d samples, room for %d", share->samples, live->max_samples);
  if (share->part < 0 || share->part >= live->parts)
    return thaw_fail(THAW_ERR_INTERNAL, "live layers: part %d of %d", share->part, live->parts);
  run r = {.live = live, .share = share, .hooks = hooks};
  size_t row = 0;
  live->batch[share->part] = share->batch;
  live->parts_done = share->part + 1;
  for (int32_t i = 0; i < live->count; i++)
    if (!live->node[i].live && live->node[i].y) row += live->node[i].count;
  for (int32_t i = 0; i < live->count; i++) {
    const live_chain *chain = live->node[i].chain;
    if (live->node[i].live && (!chain || chain->conv == i))
      THAW_TRY(forward_node(&r, i));
    else if (!live->node[i].live && live->node[i].y)
      separate_cut(&r, i, row);
  }
  live->ready = live->segments - 1;
  *y_out = value_of(&r, live->count - 1, 0);
  return THAW_OK;
}

/* Where the gradients of a call's inputs go: straight to an input that has none yet, else to temporary memory from
 * which add_gradients adds them. */
static void choose_targets(const run *r, int32_t index, int32_t first, int32_t n, const bool *had, float **dx) {
  const thaw_node *from = r->live->graph->node[index];
  float *temporary = r->live->temporary;
  for (int32_t j = 0; j < from->layer.inputs; j++) {
    live_node *input = &r->live->node[from->input[j]];
    dx[j] = NULL;
    if (!input->needs_gradient) continue;
    dx[j] = had[j] ? temporary : input->dy + (size_t)first * input->count;
    if (had[j]) temporary += (size_t)n * input->count;
  }
}

static void add_gradients(const run *r, int32_t index, int32_t first, int32_t n, const bool *had, float *const *dx) {
  const thaw_node *from = r->live->graph->node[index];
  for (int32_t j = 0; j < from->layer.inputs; j++) {
    live_node *input = &r->live->node[from->input[j]];
    if (!dx[j] || !had[j]) continue;
    float *to = input->dy + (size_t)first * input->count;
    for (size_t i = 0; i < (size_t)n * input->count; i++) to[i] += dx[j][i];
  }
}

/* What a backward call makes. */
typedef enum wanted { WANT_BOTH, WANT_PARAMETERS, WANT_INPUTS } wanted;

static void backward_call(const run *r, int32_t index, int32_t first, int32_t n, const float *dy, const bool *had,
                          bool from_logits, wanted want) {
  live_node *node = &r->live->node[index];
  const thaw_layer *layer = &r->live->graph->node[index]->layer;
  const float *x[THAW_MAX_INPUTS];
  float *dx[THAW_MAX_INPUTS] = {NULL}, *none[THAW_MAX_PARAMS] = {NULL};
  thaw_layer_io io = call_io(r, index, first, n, x);
  io.from_logits = from_logits;
  if (want != WANT_PARAMETERS) choose_targets(r, index, first, n, had, dx);
  layer->ops->backward(layer, &io, dy + (size_t)first * node->count, dx, want == WANT_INPUTS ? none : node->gradient);
  add_gradients(r, index, first, n, had, dx);
}

static void send_gradients(const run *r, int32_t index, int64_t slice) {
  live_node *node = &r->live->node[index];
  for (int32_t p = 0; p < r->live->graph->node[index]->layer.params; p++)
    if (node->tensor[p] >= 0 && r->hooks && r->hooks->gradient)
      r->hooks->gradient(r->hooks->context, node->tensor[p], node->gradient[p], slice);
}

/* dy before the layer's own activation. The caller's dy is copied first: it is not ours to change. */
static const float *pass_activation(const run *r, int32_t index, const float *dy) {
  live_node *node = &r->live->node[index];
  const thaw_layer *layer = &r->live->graph->node[index]->layer;
  const float *x[THAW_MAX_INPUTS];
  thaw_layer_io io = call_io(r, index, 0, r->share->samples, x);
  if (dy != node->dy) memcpy(node->dy, dy, (size_t)io.n * node->count * sizeof *dy);
  layer->ops->activation_backward(layer, &io, node->dy);
  return node->dy;
}

/* Nodes go backward from the last one, and tensors are numbered in graph order. */
static void close_gradients(const run *r, int32_t index) {
  const live_node *node = &r->live->node[index];
  if (!node->trains || !r->hooks || !r->hooks->final) return;
  for (int32_t p = 0; p < r->live->graph->node[index]->layer.params; p++)
    if (node->tensor[p] >= 0) {
      r->hooks->final(r->hooks->context, node->tensor[p]);
      return;
    }
}

/* All slices in one call, the gradients rounded and added by the layer. */
static void backward_together(const run *r, int32_t index, const float *dy, const bool *had) {
  live_node *node = &r->live->node[index];
  const thaw_layer *layer = &r->live->graph->node[index]->layer;
  const thaw_share *share = r->share;
  const float *x[THAW_MAX_INPUTS];
  float *dx[THAW_MAX_INPUTS];
  thaw_exact_terms terms[THAW_MAX_PARAMS] = {0};
  thaw_layer_io io = call_io(r, index, 0, share->samples, x);
  choose_targets(r, index, 0, share->samples, had, dx);
  for (int32_t p = 0; p < layer->params; p++) {
    terms[p].largest = r->live->largest + (size_t)p * (size_t)r->live->max_samples;
    if (node->tensor[p] < 0) continue;
    terms[p].sums = r->hooks->sums(r->hooks->context, node->tensor[p], &terms[p].factor, &terms[p].fresh);
  }
  layer->ops->backward_slices(layer, &io, dy, dx, share->slice_start, share->slices, terms);
  add_gradients(r, index, 0, share->samples, had, dx);
  for (int32_t p = 0; p < layer->params; p++)
    for (int32_t s = 0; terms[p].sums && s < share->slices; s++)
      r->hooks->note(r->hooks->context, node->tensor[p], share->slice[s], terms[p].largest[s]);
}

static bool goes_together(const run *r, const live_node *node) {
  return node->together && r->hooks && r->hooks->sums && r->share->slices <= r->live->max_samples;
}

static thaw_status backward_node(const run *r, int32_t index, const float *dy, bool from_logits) {
  live_node *node = &r->live->node[index];
  const thaw_node *from = r->live->graph->node[index];
  bool had[THAW_MAX_INPUTS];
  for (int32_t j = 0; j < from->layer.inputs; j++) {
    live_node *input = &r->live->node[from->input[j]];
    had[j] = input->has_dy;
    if (input->needs_gradient) input->has_dy = true;
  }
  if (from->layer.ops->activation_backward && !from_logits) dy = pass_activation(r, index, dy);
  if (node->coupled) THAW_TRY(batch_sums(r, index, dy, node->backward_totals));
  if (node->workspace)
    from->layer.ops->workspace_refresh(&from->layer, node->workspace, true, r->live->workspace_block);
  if (goes_together(r, node)) {
    if (r->share->samples > 0) backward_together(r, index, dy, had);
    close_gradients(r, index);
    return THAW_OK;
  }
  for (int32_t s = 0; node->trains && s < r->share->slices; s++) {
    int32_t first = r->share->slice_start[s];
    backward_call(r, index, first, r->share->slice_start[s + 1] - first, dy, had, from_logits,
                  node->apart ? WANT_PARAMETERS : WANT_BOTH);
    send_gradients(r, index, r->share->slice[s]);
  }
  close_gradients(r, index);
  for (int32_t first = 0; (node->apart || !node->trains) && first < r->share->samples; first += node->back_chunk) {
    int32_t left = r->share->samples - first;
    backward_call(r, index, first, left < node->back_chunk ? left : node->back_chunk, dy, had, from_logits,
                  WANT_INPUTS);
  }
  return THAW_OK;
}

/* From the last node of a chain to its convolution and to the other tensor of its addition. */
static void backward_chain(const run *r, const live_chain *chain) {
  live_node *conv = &r->live->node[chain->conv], *last = &r->live->node[chain->last];
  live_node *other = chain->add >= 0 ? &r->live->node[chain->add] : NULL;
  const thaw_layer *layer = &r->live->graph->node[chain->conv]->layer;
  bool adds = other && other->needs_gradient, accumulate = adds && other->has_dy;
  thaw_epilogue epilogue = epilogue_of(r, chain, 0);
  size_t pixels = (size_t)r->share->samples * (size_t)layer->output.h * (size_t)layer->output.w;
  thaw_epilogue_backward(r->live->isa, &epilogue, last->y, last->dy, pixels, layer->output.c,
                         conv->needs_gradient ? conv->dy : NULL, adds ? other->dy : NULL, accumulate);
  if (adds) other->has_dy = true;
  conv->has_dy = conv->needs_gradient;
}

static void add_source(const run *r, int32_t index, const float *dy) {
  live_node *node = &r->live->node[index];
  size_t count = (size_t)r->share->samples * node->count;
  if (node->has_dy)
    for (size_t i = 0; i < count; i++) node->dy[i] += dy[i];
  else
    memcpy(node->dy, dy, count * sizeof *dy);
  node->has_dy = true;
}

/* Nodes whose dy is set, from the last one down; `dy` that of the last. */
static thaw_status go_back(const run *r, const float *dy, bool from_logits, const thaw_live_source *source,
                           int32_t sources) {
  thaw_live *live = r->live;
  for (int32_t i = live->count - 1; i > 0; i--) {
    live_node *node = &live->node[i];
    bool last = i == live->count - 1, logits = last && from_logits;
    for (int32_t k = 0; !last && k < sources; k++) {
      if (source[k].node != i) continue;
      add_source(r, i, source[k].dy);
      logits = source[k].from_logits;
    }
    if (!node->live || !node->needs_gradient || !node->has_dy) continue;
    if (!live->graph->node[i]->layer.ops->backward)
      return thaw_fail(THAW_ERR_INTERNAL, "layer '%s' has no gradient", live->graph->node[i]->layer.name);
    if (node->chain && node->chain->last == i) {
      backward_chain(r, node->chain);
      continue;
    }
    restore_segment(r, node->segment);
    THAW_TRY(backward_node(r, i, last ? dy : node->dy, logits));
  }
  return THAW_OK;
}

thaw_status thaw_live_backward(thaw_live *live, const thaw_share *share, const thaw_live_hooks *hooks, const float *dy,
                               bool from_logits) {
  run r = {.live = live, .share = share, .hooks = hooks};
  for (int32_t i = 0; i < live->count; i++) live->node[i].has_dy = i == live->count - 1;
  return go_back(&r, dy, from_logits, NULL, 0);
}

thaw_status thaw_live_backward_from(thaw_live *live, const thaw_share *share, const thaw_live_source *source,
                                    int32_t count) {
  run r = {.live = live, .share = share};
  const float *last = NULL;
  for (int32_t k = 0; k < count; k++)
    if (source[k].node == live->count - 1) last = source[k].dy;
  for (int32_t i = 0; i < live->count; i++) live->node[i].has_dy = last && i == live->count - 1;
  return go_back(&r, last, false, source, count);
}

thaw_status thaw_live_backward_heads(thaw_live *live, const thaw_share *share, const thaw_live_hooks *hooks,
                                     const thaw_live_source *source, int32_t count) {
  run r = {.live = live, .share = share, .hooks = hooks};
  for (int32_t i = 0; i < live->count; i++) live->node[i].has_dy = false;
  return go_back(&r, NULL, false, source, count);
}

void thaw_live_update_statistics(thaw_live *live) {
  for (int32_t i = 0; i < live->count; i++) {
    live_node *node = &live->node[i];
    thaw_layer *layer = &live->graph->node[i]->layer;
    if (!node->coupled || !layer->ops->update_statistics) continue;
    size_t sums = (size_t)layer->ops->forward_sums(layer);
    for (int32_t part = 0; part < live->parts_done; part++)
      layer->ops->update_statistics(layer, node->forward_totals + (size_t)part * sums, live->batch[part]);
  }
}
