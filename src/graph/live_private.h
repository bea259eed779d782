/* live_private.h: the live executor's own representation. */
#ifndef THAW_LIVE_PRIVATE_H
#define THAW_LIVE_PRIVATE_H

#include "graph/graph_private.h"

typedef struct live_node {
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

/* Divides the live nodes into segments: one, unless `recompute` finds a division that takes less memory. */
thaw_status live_choose_segments(thaw_live *live);
/* Places what is not kept in `block`, which all segments share; NULL: only counts. Returns its bytes. */
size_t live_place_segments(thaw_live *live, char *block);

#endif
