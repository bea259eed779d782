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
  void *saved;           /* kept from forward to backward, n * saved_bytes; NULL when no backward will follow */
  void *scratch;         /* dies at return, scratch_bytes(n) */
  void *workspace;       /* see workspace_create; NULL outside the live executor */
  int32_t n;
  const uint64_t *sample; /* [n] global sample indices (dropout) */
  uint64_t seed;
  uint32_t epoch;
  bool training;
  bool from_logits;         /* backward of an activation or rescaling: dy is the gradient before it already */
  const double *statistics; /* totals of forward_sums over the whole global batch; NULL: moving statistics are used */
  const double *backward_statistics; /* totals of backward_sums, in backward only */
  int64_t batch;                     /* samples in the global batch */
  /* Forward of a (depthwise) convolution without an activation: what follows it in the same pass, bias apart, y being
   * the place of the last result. NULL: nothing. */
  const thaw_epilogue *after;
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
  /* NULL: only slice by slice. As backward for several slices at once (slice s: samples slice_start[s] ..
   * slice_start[s+1] of io->n), the gradients of parameters rounded and added on the way: terms[p]. */
  void (*backward_slices)(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                          const int32_t *slice_start, int32_t slices, const thaw_exact_terms *terms);
  /* NULL: always. Whether backward_slices serves slices of up to `slice` samples. */
  bool (*slices_fit)(const thaw_layer *layer, int32_t slice);
  /* NULL: the layer has no activation of its own. Turns dy, in place, into the gradient before that activation, which
   * is what `backward` then expects. */
  void (*activation_backward)(const thaw_layer *layer, const thaw_layer_io *io, float *dy);
  /* NULL: zero bytes. saved_bytes is per sample, a multiple of 4: sample i's part starts at i * saved_bytes. A layer
   * whose own activation is softmax or sigmoid saves exactly its logits, [output] floats per sample. */
  size_t (*saved_bytes)(const thaw_layer *layer);
  size_t (*scratch_bytes)(const thaw_layer *layer, const thaw_isa *isa, int32_t n);
  /* NULL: none. What all calls of one pass share, made from the parameters (packed weights). Created once; *out may
   * stay NULL when the layer has no use for one. */
  thaw_status (*workspace_create)(const thaw_layer *layer, const thaw_isa *isa, thaw_arena *arena, bool backward,
                                  void **out);
  /* Before the layer's forward calls, and with `backward` before its backward calls: `block`, of workspace_bytes, is
   * filled, and is the layer's until another layer is refreshed. */
  size_t (*workspace_bytes)(const void *workspace);
  void (*workspace_refresh)(const thaw_layer *layer, void *workspace, bool backward, void *block);
  void (*workspace_destroy)(void *workspace); /* what the arena does not hold */
  /* NULL: zeros. Fills layer->param[].value from streams of THAW_RNG_INIT that layer->index tells apart. */
  void (*initialize)(thaw_layer *layer, uint64_t seed);
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
  /* NULL: no options. Writes the layer's options as Keras' get_config() names them: JSON members, each with a leading
   * comma: `, "units": 10, "activation": "relu"`. */
  void (*keras_config)(const thaw_layer *layer, thaw_text *json);
} thaw_layer_ops;

struct thaw_layer {
  const thaw_layer_ops *ops;
  char *name;
  uint32_t index; /* of the node: the lane of this layer's random streams */
  void *config;   /* of ops->schema->size bytes */
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
/* Keras' automatic name: "GlobalAveragePooling2D" -> "global_average_pooling2d", "ReLU" -> "re_lu". */
const char *thaw_layer_auto_name(const thaw_layer_ops *ops, char out[64]);

/* The types, for code that treats some of them specially (fusion). */
extern const thaw_layer_ops thaw_layer_input, thaw_layer_conv2d, thaw_layer_depthwise_conv2d, thaw_layer_max_pooling,
    thaw_layer_average_pooling, thaw_layer_zero_padding, thaw_layer_batch_normalization, thaw_layer_activation,
    thaw_layer_re_lu, thaw_layer_dense, thaw_layer_dropout, thaw_layer_flatten, thaw_layer_global_average_pooling,
    thaw_layer_global_max_pooling, thaw_layer_add, thaw_layer_concatenate, thaw_layer_multiply, thaw_layer_reshape,
    thaw_layer_rescaling, thaw_layer_normalization, thaw_layer_separable_conv2d, thaw_layer_unit_normalization,
    thaw_layer_cosine_dense, thaw_layer_leaky_re_lu, thaw_layer_elu, thaw_layer_p_re_lu, thaw_layer_cropping,
    thaw_layer_up_sampling, thaw_layer_permute, thaw_layer_layer_normalization, thaw_layer_group_normalization;
/* After infer: the kernel descriptors of convolutions (activation and bias apart) and of poolings. A separable
 * convolution has two, of its depthwise and of its pointwise part. */
thaw_conv_desc thaw_layer_conv_desc(const thaw_layer *layer);
void thaw_layer_separable_descs(const thaw_layer *layer, thaw_conv_desc *depthwise, thaw_conv_desc *pointwise);
thaw_pool_desc thaw_layer_pool_desc(const thaw_layer *layer);
/* Batch normalisation with its moving statistics as x * scale[c] + shift[c], computed in double. */
void thaw_layer_norm_affine(const thaw_layer *layer, float *scale, float *shift);
/* The activation a layer applies last, LINEAR when none or when it is no plain activation function. */
thaw_activation thaw_layer_last_activation(const thaw_layer *layer);

/* ------------------------------------------------------------------ configs (Keras' argument names) */
typedef enum thaw_padding { THAW_VALID, THAW_SAME } thaw_padding;
typedef struct thaw_conv2d_config { /* "conv2d", and "depthwise_conv2d" (filters ignored) */
  int32_t filters, kernel_h, kernel_w, stride_h, stride_w, padding, activation; /* kernel_w, stride_w 0: as _h */
  bool use_bias;
  double kernel_l1, kernel_l2;
} thaw_conv2d_config;
typedef struct thaw_pool2d_config {                    /* "max_pooling", "average_pooling" */
  int32_t pool_h, pool_w, stride_h, stride_w, padding; /* pool_w 0: as pool_h; strides 0: as the pool */
} thaw_pool2d_config;
typedef struct thaw_padding2d_config { /* "zero_padding" */
  int32_t top, bottom, left, right;    /* bottom, left, right -1: as top */
} thaw_padding2d_config;
typedef struct thaw_batch_norm_config { /* "batch_normalization" */
  double momentum, epsilon;
  bool center, scale;
} thaw_batch_norm_config;
typedef struct thaw_dense_config { /* "dense" */
  int32_t units, activation;
  bool use_bias;
  double kernel_l1, kernel_l2, bias_l1, bias_l2;
  int32_t kernel_initializer; /* a thaw_initializer */
} thaw_dense_config;
typedef struct thaw_cosine_dense_config { /* "cosine_dense" */
  int32_t units;
} thaw_cosine_dense_config;
typedef struct thaw_dropout_config { /* "dropout" */
  double rate;
  bool whole_samples; /* all values of a sample share one draw */
} thaw_dropout_config;
typedef struct thaw_activation_config { /* "activation" */
  int32_t activation;
} thaw_activation_config;
typedef struct thaw_re_lu_config { /* "re_lu" */
  double max_value;                /* 0: none */
} thaw_re_lu_config;
typedef struct thaw_global_pool_config { /* "global_average_pooling", "global_max_pooling" */
  bool keepdims;                         /* [1][1][c] instead of [c] */
} thaw_global_pool_config;
typedef struct thaw_reshape_config { /* "reshape" */
  thaw_shape target;
} thaw_reshape_config;
enum { THAW_RESCALING_MAX = 256 };
typedef struct thaw_rescaling_config { /* "rescaling": x * scale + offset */
  double scale[THAW_RESCALING_MAX], offset[THAW_RESCALING_MAX];
  int32_t scales, offsets; /* 1: one for all channels; else one per channel */
} thaw_rescaling_config;
typedef struct thaw_leaky_re_lu_config { /* "leaky_re_lu" */
  double negative_slope;
} thaw_leaky_re_lu_config;
typedef struct thaw_elu_config { /* "elu" */
  double alpha;
} thaw_elu_config;
typedef struct thaw_p_re_lu_config { /* "p_re_lu": one slope for the whole axis */
  bool share_height, share_width, share_channels;
} thaw_p_re_lu_config;
typedef struct thaw_up_sampling_config { /* "up_sampling" */
  int32_t h, w;                          /* factors */
  bool bilinear;                         /* false: nearest */
} thaw_up_sampling_config;
typedef struct thaw_permute_config { /* "permute" */
  int32_t axis[3];                   /* of the input, from 0: the output's height, width and channels */
} thaw_permute_config;
typedef struct thaw_group_norm_config { /* "layer_normalization" (no groups), "group_normalization" */
  int32_t groups;
  double epsilon;
  bool center, scale;
} thaw_group_norm_config;
/* "cropping" takes a thaw_padding2d_config: pixels to leave out. "separable_conv2d" takes a thaw_conv2d_config.
 * "flatten", "add", "multiply", "normalization", "concatenate", "input" and "unit_normalization" have no options. */

typedef enum thaw_initializer {
  THAW_GLOROT_UNIFORM,
  THAW_HE_NORMAL,
  THAW_HE_UNIFORM,
  THAW_GLOROT_NORMAL,
  THAW_ZEROS
} thaw_initializer;

#endif
