/* The one list of layer types. */
#include "layer/layer_private.h"

#include <string.h>

const thaw_layer_ops *const thaw_layer_registry[] = {&thaw_layer_input,
                                                     &thaw_layer_conv2d,
                                                     &thaw_layer_depthwise_conv2d,
                                                     &thaw_layer_max_pooling,
                                                     &thaw_layer_average_pooling,
                                                     &thaw_layer_zero_padding,
                                                     &thaw_layer_batch_normalization,
                                                     &thaw_layer_activation,
                                                     &thaw_layer_re_lu,
                                                     &thaw_layer_dense,
                                                     &thaw_layer_dropout,
                                                     &thaw_layer_flatten,
                                                     &thaw_layer_global_average_pooling,
                                                     &thaw_layer_global_max_pooling,
                                                     &thaw_layer_add,
                                                     &thaw_layer_concatenate,
                                                     &thaw_layer_multiply,
                                                     &thaw_layer_reshape,
                                                     &thaw_layer_rescaling,
                                                     &thaw_layer_normalization,
                                                     &thaw_layer_separable_conv2d,
                                                     &thaw_layer_unit_normalization,
                                                     &thaw_layer_cosine_dense,
                                                     &thaw_layer_leaky_re_lu,
                                                     &thaw_layer_elu,
                                                     &thaw_layer_p_re_lu,
                                                     &thaw_layer_cropping,
                                                     &thaw_layer_up_sampling,
                                                     &thaw_layer_permute,
                                                     &thaw_layer_layer_normalization,
                                                     &thaw_layer_group_normalization,
                                                     NULL};

const thaw_layer_ops *thaw_layer_find(const char *type) {
  for (int32_t i = 0; thaw_layer_registry[i]; i++)
    if (strcmp(thaw_layer_registry[i]->schema->name, type) == 0) return thaw_layer_registry[i];
  return NULL;
}

const thaw_layer_ops *thaw_layer_find_keras(const char *keras_class) {
  for (int32_t i = 0; thaw_layer_registry[i]; i++)
    if (strcmp(thaw_layer_registry[i]->keras_class, keras_class) == 0) return thaw_layer_registry[i];
  return NULL;
}

/* The layers with one input, which a head (a chain) can hold. */
thaw_schema_list thaw_layer_head_schemas(void) {
  static const thaw_schema *const schemas[] = {&thaw_global_average_pooling_schema,
                                               &thaw_global_max_pooling_schema,
                                               &thaw_flatten_schema,
                                               &thaw_dense_schema,
                                               &thaw_dropout_schema,
                                               &thaw_batch_normalization_schema,
                                               &thaw_activation_schema,
                                               &thaw_re_lu_schema,
                                               &thaw_conv2d_schema,
                                               &thaw_depthwise_conv2d_schema,
                                               &thaw_max_pooling_schema,
                                               &thaw_average_pooling_schema,
                                               &thaw_zero_padding_schema,
                                               &thaw_unit_normalization_schema,
                                               &thaw_cosine_dense_schema,
                                               NULL};
  return (thaw_schema_list){.key = "layer", .what = "layer", .schemas = schemas};
}

thaw_activation thaw_layer_last_activation(const thaw_layer *layer) {
  if (layer->ops == &thaw_layer_dense) return (thaw_activation)((const thaw_dense_config *)layer->config)->activation;
  if (layer->ops == &thaw_layer_activation)
    return (thaw_activation)((const thaw_activation_config *)layer->config)->activation;
  if (layer->ops == &thaw_layer_conv2d || layer->ops == &thaw_layer_depthwise_conv2d ||
      layer->ops == &thaw_layer_separable_conv2d)
    return (thaw_activation)((const thaw_conv2d_config *)layer->config)->activation;
  if (layer->ops == &thaw_layer_re_lu) {
    double top = ((const thaw_re_lu_config *)layer->config)->max_value;
    if (top == 0) return THAW_RELU;
    if (top == 6) return THAW_RELU6;
  }
  return THAW_LINEAR;
}
