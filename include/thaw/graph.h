/* graph.h: a network: nodes in topological order, frozen or live, and its two executors. All functions are [local].
 *
 *     frozen: thaw_plan   the constant part, up to the cut: fused, packed, memory-planned, any number of images
 *     live:   thaw_live   the rest: slice by slice, with gradients
 */
#ifndef THAW_GRAPH_H
#define THAW_GRAPH_H

#include "thaw/layer.h"

typedef struct thaw_graph thaw_graph;
typedef struct thaw_node {
  thaw_layer layer;
  int32_t *input; /* node indices, all smaller than this node's */
  bool frozen;    /* its parameters are constant in this phase */
  bool head;      /* belongs to the new head, not to the backbone */
} thaw_node;

thaw_status thaw_graph_create(thaw_shape input, thaw_graph **out) THAW_CHECKED; /* node 0 is the input layer */
void thaw_graph_destroy(thaw_graph *graph);                                     /* accepts NULL */

/* Adds a layer; `config` is copied (NULL: defaults). `name` NULL: Keras' automatic name ("dense", "dense_1"). Shapes
 * are inferred and checked at once; messages name the layer and its input shapes. */
thaw_status thaw_graph_add(thaw_graph *graph, const char *type, const void *config, const char *name,
                           const int32_t *input, int32_t inputs, int32_t *node_out) THAW_CHECKED;
/* Drops every node that `last` does not depend on, and renumbers; `last` becomes the last node. Before bind. */
thaw_status thaw_graph_truncate(thaw_graph *graph, int32_t last) THAW_CHECKED;
int32_t thaw_graph_count(const thaw_graph *graph);
thaw_node *thaw_graph_node(thaw_graph *graph, int32_t index); /* borrowed */
const thaw_node *thaw_graph_view(const thaw_graph *graph, int32_t index);
int32_t thaw_graph_find(const thaw_graph *graph, const char *name); /* -1 when absent */
void thaw_graph_mark_head(thaw_graph *graph, int32_t first);        /* nodes from `first` on are the head */

/* Several outputs (2 .. THAW_MAX_INPUTS), each one row per sample: adds the layer that lays them side by side, `name`,
 * as the last node, so that a row of the network's output is the outputs' rows in this order. It belongs to no model
 * file: thaw_graph_outputs tells the nodes themselves. THAW_ERR_USAGE where an output is no row. */
thaw_status thaw_graph_join(thaw_graph *graph, const int32_t *output, int32_t outputs, const char *name) THAW_CHECKED;
/* The outputs joined so, borrowed; 0: the last node is the only output. */
int32_t thaw_graph_outputs(const thaw_graph *graph, const int32_t **output_out);

/* Allocates all parameters that have no memory yet (zeroed); call after the last add. */
thaw_status thaw_graph_bind(thaw_graph *graph) THAW_CHECKED;
/* Frees the values of the constant part's parameters (after thaw_plan_pack); their value is then NULL. Bind again to
 * get zeroed memory back. */
void thaw_graph_release_constant(thaw_graph *graph, const bool *constant);
void thaw_graph_initialize(thaw_graph *graph, uint64_t seed, bool head_only);

/* Marks exactly those backbone layers live (the head always is). A word is a name, a prefix, "all", "none", a number of
 * top layers ("4"; layers without trainable parameters do not count) or a share of the backbone's trainable parameters
 * ("0.25": the fewest top layers that hold as much). THAW_ERR_USAGE with the nearest names when a word matches nothing.
 * Batch-norm layers stay frozen unless train_batch_norm. */
thaw_status thaw_graph_unfreeze(thaw_graph *graph, const char *const *word, int32_t words,
                                bool train_batch_norm) THAW_CHECKED;
/* The same beside the layers that are live already, and back. */
thaw_status thaw_graph_unfreeze_more(thaw_graph *graph, const char *const *word, int32_t words,
                                     bool train_batch_norm) THAW_CHECKED;
thaw_status thaw_graph_refreeze(thaw_graph *graph, const char *const *word, int32_t words) THAW_CHECKED;
/* Marks the topmost block with a frozen layer live, whole: layers whose names begin alike ("block5_", "conv5_",
 * "block_16_"). False when nothing is left to thaw. name_out: of the block, may be NULL. */
bool thaw_graph_unfreeze_next(thaw_graph *graph, bool train_batch_norm, char name_out[64]);
int64_t thaw_graph_param_count(const thaw_graph *graph, bool trainable_only); /* trainable = live and trainable */
double thaw_graph_flops(const thaw_graph *graph);                             /* forward of one image */

/* The cut: the nodes of the constant part that the live part (or the result) reads, in topological order. With
 * `training` false randomness does not matter, but the cut is the same set so that the cache is shared. The constant
 * part is the largest sub-graph that depends on no live parameter and no randomness. */
typedef struct thaw_cut {
  int32_t *node;
  int32_t count;
  bool *constant; /* [graph count] */
  size_t floats;  /* per sample, all cut tensors together */
  bool gradient;  /* asks the live part for the gradient of the cut's tensors, too */
} thaw_cut;
thaw_status thaw_graph_cut(const thaw_graph *graph, thaw_cut *out) THAW_CHECKED;
void thaw_cut_clear(thaw_cut *cut);

/* ------------------------------------------------------------------ the constant part */
typedef struct thaw_plan thaw_plan;
typedef struct thaw_plan_options {
  int32_t batch;   /* most images per run call */
  int32_t threads; /* >= 1; results do not depend on it */
  bool no_fusion;  /* for tests: every layer by itself through its plain forward */
} thaw_plan_options;
/* Compiles the sub-graph that the `outputs` need: folds batch-norm, fuses activations, additions and pooling, chooses
 * kernels, plans memory. Weights are not read yet. The graph must outlive the plan; its parameters may be freed once
 * they are packed. */
thaw_status thaw_plan_create(const thaw_graph *graph, const int32_t *outputs, int32_t count, const thaw_isa *isa,
                             const thaw_plan_options *options, thaw_plan **out) THAW_CHECKED;
void thaw_plan_destroy(thaw_plan *plan);
/* Whether `plan` makes everything that `part` makes, by the same operations: its outputs then have the same bits,
 * though more outputs can keep layers apart that a smaller plan fuses. Both of the same graph. */
bool thaw_plan_contains(const thaw_plan *plan, const thaw_plan *part);
size_t thaw_plan_packed_bytes(const thaw_plan *plan); /* one block of packed weights for all layers */
thaw_status thaw_plan_pack(const thaw_plan *plan, void *packed) THAW_CHECKED; /* from the graph's parameters */
void thaw_plan_use(thaw_plan *plan, const void *packed);                      /* borrowed: private or node-shared */
size_t thaw_plan_activation_bytes(const thaw_plan *plan);                     /* arena, for options->batch images */
size_t thaw_plan_lower_bound_bytes(const thaw_plan *plan);                    /* largest set of tensors alive at once */
size_t thaw_plan_scratch_bytes(const thaw_plan *plan);
size_t thaw_plan_output_floats(const thaw_plan *plan); /* per image, all outputs concatenated */
/* x [n][h][w][c], 1 <= n <= batch -> y [n][output_floats] (outputs of one image side by side). No allocation. */
void thaw_plan_run(thaw_plan *plan, const float *x, int32_t n, float *y);
/* One line per compiled operation, for `thaw bench` and tests. seconds: filled by thaw_plan_profile. */
typedef struct thaw_plan_op {
  const char *name; /* of the first layer in it */
  char algorithm[32], shape[64];
  double flops, seconds; /* per image */
} thaw_plan_op;
int32_t thaw_plan_op_count(const thaw_plan *plan);
const thaw_plan_op *thaw_plan_op_view(const thaw_plan *plan, int32_t index);
void thaw_plan_profile(thaw_plan *plan, const float *x, int32_t n, float *y, int32_t repeats); /* best of repeats */

/* ------------------------------------------------------------------ the live part */
typedef struct thaw_live thaw_live;
/* The hooks with which the trainer joins slices and ranks; all may be NULL for inference. */
typedef struct thaw_live_hooks {
  void *context;
  /* One slice's gradient of live parameter `tensor` (index over live trainable parameters in graph order). */
  void (*gradient)(void *context, int32_t tensor, const float *value, int64_t slice);
  /* NULL, or where some layers may round and add all slices' gradients themselves (comm.h, thaw_exact_sums and
   * thaw_exact_note); the other layers use `gradient`. */
  int64_t *(*sums)(void *context, int32_t tensor, double *factor_out, bool *fresh_out);
  void (*note)(void *context, int32_t tensor, int64_t slice, uint32_t largest);
  /* For batch-coupled layers: adds one slice's sums; then totals over all slices of all ranks. */
  void (*add_sums)(void *context, const double *values, int32_t count);
  thaw_status (*reduce_sums)(void *context, double *totals, int32_t count);
  /* All slices' gradients of the live parameters from `tensor` on have been sent in this backward pass. */
  void (*final)(void *context, int32_t tensor);
} thaw_live_hooks;

/* A batch share of one rank: `samples` samples in whole slices; slice s has slice_start[s+1]-slice_start[s] samples. */
typedef struct thaw_share {
  const float *features;  /* [samples][cut floats] */
  const uint64_t *sample; /* [samples] global indices */
  int32_t samples, slices;
  const int32_t *slice_start; /* [slices + 1] */
  const int64_t *slice;       /* [slices] index of each slice in the global batch */
  int64_t batch;              /* samples in the global batch, of all ranks: what batch statistics are taken over */
  int32_t part;               /* number of this batch among those of one update, 0 .. thaw_live_options.parts - 1 */
  uint64_t seed;
  uint32_t epoch;
  bool training;
} thaw_share;

/* `max_samples`: most samples of one rank in one step; `slice`: samples per slice. */
thaw_status thaw_live_create(thaw_graph *graph, const thaw_cut *cut, const thaw_isa *isa, int32_t max_samples,
                             int32_t slice, thaw_live **out) THAW_CHECKED;
/* The same in less memory, with the same bits. THAW_LIVE_LIMIT keeps weights packed for a piece in fair proportion to
 * its samples. */
enum { THAW_LIVE_LIMIT = 1 << 30 };
typedef struct thaw_live_options {
  int32_t max_samples, slice;
  size_t limit; /* bytes; 0: none. Above it the live part is made for fewer samples, whole slices and at least one, and
                   the caller brings its samples in pieces. Not where layers join the samples of a batch. */
  bool measure_only; /* for thaw_live_bytes: takes no memory for samples, and cannot run */
  int32_t parts;     /* batches per update, whose statistics are kept until the update; 0: 1 */
  bool fuse;         /* convolutions take in the batch normalisation, addition and activation behind them: faster and in
                        less memory, with the same bits; thaw_live_value of what is taken in is NULL */
  bool recompute;    /* most activations are computed again in the backward pass instead of kept */
} thaw_live_options;
thaw_status thaw_live_create_within(thaw_graph *graph, const thaw_cut *cut, const thaw_isa *isa,
                                    const thaw_live_options *options, thaw_live **out) THAW_CHECKED;
int32_t thaw_live_samples(const thaw_live *live); /* most samples of one call */
void thaw_live_destroy(thaw_live *live);
size_t thaw_live_bytes(const thaw_live *live);    /* activations and scratch */
int32_t thaw_live_tensors(const thaw_live *live); /* live trainable parameters */
thaw_param *thaw_live_tensor(thaw_live *live, int32_t tensor, const char **layer_name_out);
/* y points into `live`: [samples][output]. Collective only through the hooks (batch-coupled layers reduce). */
thaw_status thaw_live_forward(thaw_live *live, const thaw_share *share, const thaw_live_hooks *hooks,
                              const float **y_out) THAW_CHECKED;
/* After forward: the values before the last layer's activation, [samples][output], when that activation is softmax or
 * sigmoid (a dense layer's own, or an activation layer), or before the last layer when that is a rescaling; NULL
 * otherwise. Points into `live`. */
const float *thaw_live_logits(const thaw_live *live);
/* That activation: THAW_SOFTMAX, THAW_SIGMOID, or whatever the last layer applies; THAW_LINEAR when none. */
thaw_activation thaw_live_activation(const thaw_live *live);
/* The same two of an output of several (thaw_graph_join). */
const float *thaw_live_logits_of(const thaw_live *live, int32_t node);
thaw_activation thaw_live_activation_of(const thaw_live *live, int32_t node);
/* After forward with training: dy [samples][output]; sends every live gradient to hooks->gradient or hooks->sums. When
 * the loss and the last activation are a fused pair (softmax or sigmoid with cross-entropy), or the loss is that of
 * values before a last rescaling, set `from_logits`: dy is then the gradient before that activation or rescaling. */
thaw_status thaw_live_backward(thaw_live *live, const thaw_share *share, const thaw_live_hooks *hooks, const float *dy,
                               bool from_logits) THAW_CHECKED;
/* The value of live node `node` after forward, [samples][its floats]. Points into `live`. */
const float *thaw_live_value(const thaw_live *live, int32_t node);
/* After forward with training: goes back from several nodes at once, for a sum of functions of their values.
 * Sources in any order, each node once. */
typedef struct thaw_live_source {
  int32_t node;
  const float *dy;  /* [samples][its floats] */
  bool from_logits; /* as in thaw_live_backward; only of nodes whose value nothing else goes back from */
} thaw_live_source;
thaw_status thaw_live_backward_from(thaw_live *live, const thaw_share *share, const thaw_live_source *source,
                                    int32_t count) THAW_CHECKED;
/* The same for the outputs of several heads, with the hooks of a training step. */
thaw_status thaw_live_backward_heads(thaw_live *live, const thaw_share *share, const thaw_live_hooks *hooks,
                                     const thaw_live_source *source, int32_t count) THAW_CHECKED;
/* After backward, for a cut that asked for it: the gradient of cut tensor `node`, [samples][its floats]. Points into
 * `live`. */
const float *thaw_live_cut_gradient(const thaw_live *live, int32_t node);
/* Moving statistics of batch-coupled layers, once per accepted step, the same on every rank: for all parts since part
 * 0, one after the other. */
void thaw_live_update_statistics(thaw_live *live);

/* ------------------------------------------------------------------ words */
/* Keras' model.summary(): layer (type), output shape, parameters, trainable or frozen; totals. */
void thaw_graph_summary(const thaw_graph *graph, const char *title, thaw_text *out);

#endif
