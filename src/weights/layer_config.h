/* layer_config.h: a layer of a Keras model's JSON and its options here. Private to src/weights. */
#ifndef THAW_WEIGHTS_LAYER_CONFIG_H
#define THAW_WEIGHTS_LAYER_CONFIG_H

#include "thaw/layer.h"

#include <jansson.h>

typedef struct thaw_keras_layer { /* all borrowed */
  const char *path, *name, *class_name;
  int32_t position; /* in its model's list, from 0 */
  const json_t *config;
  thaw_shape input; /* of its first input */
} thaw_keras_layer;

typedef union thaw_layer_options {
  thaw_conv2d_config conv;
  thaw_pool2d_config pool;
  thaw_padding2d_config pad;
  thaw_batch_norm_config norm;
  thaw_dense_config dense;
  thaw_dropout_config dropout;
  thaw_activation_config activation;
  thaw_re_lu_config re_lu;
  thaw_global_pool_config global_pool;
  thaw_reshape_config reshape;
  thaw_rescaling_config rescaling;
  thaw_leaky_re_lu_config leaky;
  thaw_elu_config elu;
  thaw_p_re_lu_config p_re_lu;
  thaw_up_sampling_config sampling;
  thaw_permute_config permute;
  thaw_group_norm_config group_norm;
} thaw_layer_options;

/* THAW_ERR_DATA, naming position, layer and option, for what is not supported. */
thaw_status thaw_weight_layer_config(const thaw_keras_layer *from, const char **type,
                                     thaw_layer_options *out) THAW_CHECKED;

#endif
