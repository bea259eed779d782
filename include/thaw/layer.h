/* layer.h: layer types: options, shapes, parameters, forward and backward on one slice. All functions are [local].
 *
 * A layer type is one file in src/layer with one const thaw_layer_ops, listed once in registry.c. Layers know nothing
 * of optimisers, files or ranks. Life: create (config) -> infer (shapes) -> the graph binds parameter memory -> forward
 * and backward, which cannot fail.
 */
#ifndef THAW_LAYER_H
#define THAW_LAYER_H

#include "thaw/kernel.h"
#include "thaw/schema.h"

/* One sample. rank 3: [h][w][c]; rank 1: [c] with h = w = 1. */
typedef struct thaw_shape {
  int32_t rank, h, w, c;
} thaw_shape;
size_t thaw_shape_count(thaw_shape shape);
/* "(None, 7, 7, 512)" */
const char *thaw_shape_text(thaw_shape shape, char out[48]);

enum { THAW_PARAM_TRAINABLE = 1, THAW_MAX_PARAMS = 4, THAW_MAX_INPUTS = 64 };
typedef struct thaw_param {
  const char *name; /* Keras' variable name: "kernel", "bias", "gamma", "moving_mean" */
  int32_t rank, dim[4];
  unsigned flags; /* THAW_PARAM_TRAINABLE; moving statistics have it not */
  double l1, l2;  /* regularisers of this parameter, 0 = none */
  float *value;   /* bound and owned by the graph */
} thaw_param;
size_t thaw_param_count(const thaw_param *param);

typedef struct thaw_layer thaw_layer;

/* What forward and backward get for one slice of n samples. */
typedef struct thaw_layer_io {
  const float *const *x; /* [inputs] each [n][h][w][c] */
  float *y;              /* [n] output samples */
  void *saved;           /* kept from forward to backward, saved_bytes(n) */
  void *scratch;         /* dies at return, scratch_bytes(n) */
  int32_t n;
  const uint64_t *sample; /* [n] global sample indices (dropout) */
  uint64_t seed;
  uint32_t epoch;
  bool training;
  const double *statistics; /* the totals of `statistics`, over the whole global batch (batch-norm) */
  int64_t batch;            /* samples in the global batch */
  const thaw_isa *isa;
} thaw_layer_io;

typedef struct thaw_layer_ops {
  const thaw_schema *schema; /* schema->name is the type in job files: "dense" */
  const char *keras_class;   /* "Dense" */
  int32_t min_inputs, max_inputs;
  bool random; /* the output is random in training (dropout): never part of the constant part */

  /* REQUIRED. Checks options and input shapes; sets *output, layer->param[]. No allocation of parameter memory. */
  thaw_status (*infer)(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output);
  /* REQUIRED. Overwrites io->y. */
  void (*forward)(const thaw_layer *layer, const thaw_layer_io *io);
  /* NULL: no gradient. dy is read only; dx[i] is overwritten, NULL means not wanted; gradient[p] is overwritten with
   * this slice's gradient of param p, NULL means not wanted. The loss gradient is already divided as the loss says. */
  void (*backward)(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                   float *const *gradient);
  /* NULL: zero bytes. */
  size_t (*saved_bytes)(const thaw_layer *layer, int32_t n);
  size_t (*scratch_bytes)(const thaw_layer *layer, int32_t n);
  /* NULL: zeros. Fills layer->param[].value; `index` makes streams of layers differ (THAW_RNG_INIT). */
  void (*initialize)(thaw_layer *layer, uint64_t seed, uint32_t index);
  /* Layers that couple the samples of a batch (BatchNormalization live): number of doubles summed over the whole global
   * batch before forward (and before backward), the sums of one slice, and the update of the moving statistics, called
   * once per step on every rank with the totals. NULL otherwise. Used only when training. */
  int32_t (*forward_sums)(const thaw_layer *layer);
  void (*add_forward_sums)(const thaw_layer *layer, const thaw_layer_io *io, double *sums);
  int32_t (*backward_sums)(const thaw_layer *layer);
  void (*add_backward_sums)(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, double *sums);
  void (*update_statistics)(thaw_layer *layer, const double *forward_totals, int64_t batch);
  /* NULL: zero. Textbook floating-point operations of the forward of one sample. */
  double (*flops)(const thaw_layer *layer);
  /* NULL: every schema field under its own name. Adds what Keras' config needs beyond or differently from the schema,
   * as `"key": value` JSON members with leading comma. */
  void (*keras_config)(const thaw_layer *layer, thaw_text *json);
} thaw_layer_ops;

struct thaw_layer {
  const thaw_layer_ops *ops;
  char *name;
  void *config; /* of ops->schema->size bytes */
  thaw_shape input[THAW_MAX_INPUTS], output;
  int32_t inputs;
  thaw_param param[THAW_MAX_PARAMS];
  int32_t params;
};

extern const thaw_layer_ops *const thaw_layer_registry[]; /* NULL-terminated */
const thaw_layer_ops *thaw_layer_find(const char *type);  /* by schema name; NULL when unknown */
const thaw_layer_ops *thaw_layer_find_keras(const char *keras_class);
/* The schemas of layers allowed in a head, for thaw_job_parse. */
thaw_schema_list thaw_layer_head_schemas(void);

/* ------------------------------------------------------------------ configs (Keras' argument names) */
typedef enum thaw_padding { THAW_VALID, THAW_SAME } thaw_padding;
typedef struct thaw_conv2d_config { /* "conv2d", and "depthwise_conv2d" (filters ignored) */
  int32_t filters, kernel_h, kernel_w, stride_h, stride_w, padding, activation;
  bool use_bias;
  double kernel_l1, kernel_l2;
} thaw_conv2d_config;
typedef struct thaw_pool2d_config { /* "max_pooling", "average_pooling" */
  int32_t pool_h, pool_w, stride_h, stride_w, padding;
} thaw_pool2d_config;
typedef struct thaw_padding2d_config { /* "zero_padding" */
  int32_t top, bottom, left, right;
} thaw_padding2d_config;
typedef struct thaw_batch_norm_config { /* "batch_normalization" */
  double momentum, epsilon;
  bool center, scale;
} thaw_batch_norm_config;
typedef struct thaw_dense_config { /* "dense" */
  int32_t units, activation;
  bool use_bias;
  double kernel_l1, kernel_l2, bias_l1, bias_l2;
  int32_t kernel_initializer; /* 0 glorot_uniform, 1 he_normal, 2 he_uniform, 3 glorot_normal, 4 zeros */
} thaw_dense_config;
typedef struct thaw_dropout_config { /* "dropout" */
  double rate;
} thaw_dropout_config;
typedef struct thaw_activation_config { /* "activation"; "re_lu" uses max_value */
  int32_t activation;
} thaw_activation_config;
/* "flatten", "global_average_pooling", "global_max_pooling", "add", "concatenate", "input" have no options. */

#endif
