/* layer_private.h: what the layer types share. */
#ifndef THAW_LAYER_PRIVATE_H
#define THAW_LAYER_PRIVATE_H

#include "thaw/layer.h"

#define FIELD_COUNT(fields) ((int32_t)(sizeof(fields) / sizeof((fields)[0])))
extern const char *const thaw_padding_names[];     /* "valid", "same" */
extern const char *const thaw_initializer_names[]; /* "glorot_uniform", ... */

extern const thaw_schema thaw_conv2d_schema, thaw_depthwise_conv2d_schema, thaw_max_pooling_schema,
    thaw_average_pooling_schema, thaw_zero_padding_schema, thaw_batch_normalization_schema, thaw_activation_schema,
    thaw_re_lu_schema, thaw_dense_schema, thaw_dropout_schema, thaw_flatten_schema, thaw_global_average_pooling_schema,
    thaw_global_max_pooling_schema, thaw_unit_normalization_schema, thaw_cosine_dense_schema;

/* ", \"key\": true" and ", \"key\": [a, b]" members of a Keras config. */
void thaw_layer_json_bool(thaw_text *json, const char *key, bool value);
void thaw_layer_json_pair(thaw_text *json, const char *key, int32_t first, int32_t second);
void thaw_layer_json_text(thaw_text *json, const char *key, const char *value);
/* ", \"kernel_regularizer\": {...}" or null. */
void thaw_layer_json_regularizer(thaw_text *json, const char *key, double l1, double l2);

/* THAW_ERR_USAGE unless the only input has rank 3. */
thaw_status thaw_layer_need_map(const thaw_layer *layer, const thaw_shape *input);
thaw_shape thaw_shape_map(int32_t h, int32_t w, int32_t c);
thaw_shape thaw_shape_vector(int32_t c);

/* Appends a parameter. dims beyond `rank` are ignored. */
void thaw_layer_param(thaw_layer *layer, const char *name, unsigned flags, int32_t rank, const int32_t *dim);
/* The parameter called `name`, or NULL; the second form gives its values. */
const thaw_param *thaw_layer_param_find(const thaw_layer *layer, const char *name);
const float *thaw_layer_value(const thaw_layer *layer, const char *name);

/* TF's output size and SAME padding of one axis; false when the window does not fit. */
bool thaw_layer_window(int32_t in, int32_t window, int32_t stride, int32_t padding, int32_t *out, int32_t *before,
                       int32_t *after);

/* Fills `value` [count] as Keras' initialiser of that name would, from streams (seed, layer index, lane). */
void thaw_layer_fill(float *value, size_t count, thaw_initializer initializer, double fan_in, double fan_out,
                     uint64_t seed, uint32_t index, uint32_t lane);

/* Hands out aligned pieces of one scratch block; with base NULL it only adds up sizes. */
typedef struct thaw_carver {
  char *base;
  size_t used;
} thaw_carver;
void *thaw_carve(thaw_carver *carver, size_t bytes);

#endif
