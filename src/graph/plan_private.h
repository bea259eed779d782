/* plan_private.h: the compiled constant part.
 *
 * plan_fuse.c turns nodes into operations; plan_group.c decides how many images go through them at a time; plan_place.c
 * decides where values lie; plan_pack.c writes the constants;
 * plan_run.c executes. A value is named by the node whose output it is. */
#ifndef THAW_PLAN_PRIVATE_H
#define THAW_PLAN_PRIVATE_H

#include "graph/graph_private.h"

#include <pthread.h>

typedef enum op_kind {
  OP_CONV,        /* convolution with everything folded into it */
  OP_POOL,        /* max or average pooling */
  OP_GLOBAL_POOL, /* global pooling */
  OP_AFFINE,      /* activation(x * scale + shift + add) */
  OP_ACTIVATE,    /* an activation that OP_AFFINE lacks */
  OP_CONCAT,      /* copies of the inputs that could not be computed in place */
  OP_LAYER        /* the layer's own forward */
} op_kind;

typedef struct plan_op {
  op_kind kind;
  int32_t node;                           /* the convolution, pooling, ... itself */
  int32_t output;                         /* the value it makes: the last node fused into it */
  int32_t input[THAW_MAX_INPUTS], inputs; /* values read */
  int32_t residual;                       /* value added, or -1 */
  int32_t norm;                           /* batch-norm after (OP_CONV) or of (OP_AFFINE) it, or -1 */
  int32_t prologue;                       /* batch-norm before the convolution, or -1 */
  bool in_place;                          /* the output takes the place of input 0 */
  thaw_activation activation;             /* OP_AFFINE, OP_ACTIVATE */
  thaw_conv_desc conv_desc;
  thaw_conv *conv;
  /* OP_CONV that takes in the depthwise convolution before it, or is a SeparableConv2D: node with the first kernel (-1:
   * none) and batch-norm after it (or -1). */
  int32_t depthwise_node, depthwise_norm;
  thaw_conv_desc depthwise_desc;
  thaw_conv *depthwise;
  size_t depthwise_packed_bytes;
  thaw_pool_desc pool;
  thaw_layer layer; /* OP_LAYER: a copy whose parameters point into the packed block */
  int32_t segment;
  size_t packed_at, packed_bytes, scratch_bytes;
  thaw_plan_op view;
} plan_op;

typedef struct plan_value {
  bool needed, absorbed, ready; /* computed at all; inside an operation; made by an operation emitted already */
  bool output;
  int32_t uses;    /* needed readers, and 1 when it is an output */
  int32_t reader;  /* the last needed reader */
  int32_t alias;   /* the value whose numbers these are (Flatten), or -1 */
  bool dense_only; /* a reader or the maker cannot skip channels */
  bool external;   /* the caller's x */
  bool direct;     /* the caller's y */
  bool viewed;     /* lies inside a wider concatenation */
  int32_t block;   /* of memory, -1 when none */
  int32_t stride;  /* floats from pixel to pixel */
  size_t channel;  /* first channel in the block's pixel */
} plan_value;

/* A run of operations that is executed for `group` images at a time, so that what passes between them stays in the
 * cache (see plan_group.c). */
typedef struct plan_segment {
  int32_t first, last; /* operations, inclusive */
  int32_t group;
} plan_segment;

/* Memory of values; several values may share one (concatenations, in place). */
typedef struct plan_block {
  size_t image_bytes;
  bool inside; /* one segment makes and reads it: holds one group; else all images of the thread */
} plan_block;

typedef struct plan_worker {
  struct thaw_plan *plan;
  int32_t index;
  pthread_t thread;
} plan_worker;

struct thaw_plan {
  const thaw_graph *graph;
  const thaw_isa *isa;
  thaw_plan_options options;
  thaw_arena *arena;
  int32_t *output, outputs; /* nodes */
  size_t output_floats;
  plan_op *op;
  int32_t ops;
  plan_value *value; /* [graph count] */
  plan_segment *segment;
  int32_t segments;
  plan_block *block;
  thaw_interval *interval; /* of each block */
  int32_t blocks;
  int32_t share; /* most images of one thread: each thread has activations and scratch of its own */
  size_t activation_bytes, bound_bytes, scratch_bytes; /* per thread */
  size_t packed_bytes;
  char *activations, *scratch;
  double *seconds; /* [ops] of one profiled run */
  const char *packed;
  /* The pool: workers wait for a generation they have not run yet. */
  plan_worker *worker;
  int32_t workers; /* threads started */
  pthread_mutex_t mutex;
  pthread_cond_t start, finish;
  bool pool_ready, stop;
  uint64_t generation;
  int32_t pending;
  const float *x;
  float *y;
  int32_t n;
};

const thaw_layer *thaw_plan_layer(const thaw_plan *plan, int32_t node);
int32_t thaw_plan_resolve(const thaw_plan *plan, int32_t value); /* through aliases */
thaw_status thaw_plan_fuse(thaw_plan *plan);
thaw_status thaw_plan_group(thaw_plan *plan);
thaw_status thaw_plan_place(thaw_plan *plan);
thaw_status thaw_plan_compile(thaw_plan *plan); /* kernels, packed and scratch sizes, descriptions */
thaw_status thaw_plan_start_workers(thaw_plan *plan);
void thaw_plan_stop_workers(thaw_plan *plan);

#endif
