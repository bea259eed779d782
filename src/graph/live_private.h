/* live_private.h: the live executor's own representation. */
#ifndef THAW_LIVE_PRIVATE_H
#define THAW_LIVE_PRIVATE_H

#include "graph/graph_private.h"

/* A convolution and what it takes in: batch normalisation with constant statistics, an addition, a clamp. Forward, all
 * of it is computed when the convolution is; backward, what was taken in when its last node is. */
typedef struct live_chain {
  int32_t conv, norm, last;
  int32_t add; /* the other tensor of the addition, -1: none */
  thaw_activation activation;
  float *scale, *shift; /* the normalisation */
} live_chain;

typedef struct live_node {
  live_chain *chain;   /* that it is part of, NULL: none */
  bool live;           /* not in the constant part: this executor computes it */
  bool from_features;  /* the only cut tensor: read where the caller's features are */
  bool needs_gradient; /* it or something before it trains */
  bool kept;           /* its y lasts from forward to backward although its segment is run again */
  int32_t segment;     /* see live_segments.c */
  bool coupled;        /* its forward needs sums over the global batch */
  size_t count;        /* floats per sample */
  size_t cut_offset;   /* of a cut tensor in a row of features */
  float *y;            /* [max_samples][count]; NULL when from_features or unused */
  char *saved;
  size_t saved_bytes; /* per sample */
  float *dy;          /* [max_samples][count] */
  void *workspace;
  bool has_dy;                       /* in this backward pass */
  int32_t forward_chunk, back_chunk; /* samples per call */
  int32_t tensor[THAW_MAX_PARAMS];   /* live tensor index of each parameter, -1 */
  float *gradient[THAW_MAX_PARAMS];  /* one slice's gradient */
  bool trains;                       /* any tensor >= 0 */
  bool apart;                        /* goes back for its parameters slice by slice, then for its input in chunks */
  bool together;                     /* goes back for all slices in one call */
  double *forward_totals, *backward_totals, *slice_sums; /* forward: [parts][sums] */
} live_node;

struct thaw_live {
  thaw_graph *graph;
  const thaw_isa *isa;
  int32_t max_samples, slice, count, segments, ready; /* ready: the segment whose activations are there */
  bool recompute, measure_only;
  live_node *node;
  thaw_arena *arena;
  size_t bytes;
  float *temporary; /* a gradient on its way to a tensor that several layers read */
  void *scratch, *workspace_block;
  int32_t tensors;
  int32_t *tensor_node, *tensor_param;
  uint32_t *largest;         /* [THAW_MAX_PARAMS][max_samples], of each slice */
  int32_t parts, parts_done; /* batches of one update */
  int64_t *batch;            /* [parts] samples of each, of all ranks */
};

/* Finds the chains; before memory is planned. */
thaw_status live_find_chains(thaw_live *live);
/* Whether the node's value is nowhere: taken in, and not the last one of its chain. */
static inline bool live_is_inner(const live_node *node, int32_t index) {
  return node->chain && index != node->chain->last;
}
/* The same of its gradient: taken in, and neither the first one of its chain nor the last. */
static inline bool live_gradient_is_inner(const live_node *node, int32_t index) {
  return live_is_inner(node, index) && index != node->chain->conv;
}
/* When the gradients of a node's inputs are made: the index of the node that is going back then. */
static inline int32_t live_goes_back_at(const live_node *node, int32_t index) {
  return node->chain && index != node->chain->conv ? node->chain->last : index;
}
/* Divides the live nodes into segments: one, unless `recompute` finds a division that takes less memory. */
thaw_status live_choose_segments(thaw_live *live);
/* Places what is not kept in `block`, which all segments share; NULL: only counts. Returns its bytes. */
size_t live_place_segments(thaw_live *live, char *block);

#endif
