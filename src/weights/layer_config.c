/* One layer of a Keras model: from its JSON config into the options of ours. What ours cannot do is refused by name. */
#include "weights/layer_config.h"

#include <math.h>
#include <string.h>

static thaw_status refuse(const thaw_keras_layer *from, const char *key, const char *why) {
  return thaw_fail(THAW_ERR_DATA, "%s: layer %d '%s' (%s): %s %s", from->path, from->position, from->name,
                   from->class_name, key, why);
}

static json_t *get(const thaw_keras_layer *from, const char *key) {
  json_t *value = json_object_get(from->config, key);
  return value && !json_is_null(value) ? value : NULL;
}

static double number(const thaw_keras_layer *from, const char *key, double fallback) {
  json_t *value = get(from, key);
  return json_is_number(value) ? json_number_value(value) : fallback;
}

static bool flag(const thaw_keras_layer *from, const char *key, bool fallback) {
  json_t *value = get(from, key);
  return value ? json_is_true(value) : fallback;
}

static thaw_status integer(const thaw_keras_layer *from, const char *key, json_t *value, int32_t *out) {
  if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 1 << 20)
    return refuse(from, key, "is no number from 0 to 1048576");
  *out = (int32_t)json_integer_value(value);
  return THAW_OK;
}

/* 3 or [3, 3] */
static thaw_status pair(const thaw_keras_layer *from, const char *key, int32_t fallback, int32_t *first,
                        int32_t *second) {
  json_t *value = get(from, key);
  *first = *second = fallback;
  if (!value) return THAW_OK;
  bool list = json_is_array(value) && json_array_size(value) == 2;
  THAW_TRY(integer(from, key, list ? json_array_get(value, 0) : value, first));
  return integer(from, key, list ? json_array_get(value, 1) : value, second);
}

/* Options whose other values no layer of ours has. */
static thaw_status need_pair(const thaw_keras_layer *from, const char *key, int32_t wanted) {
  int32_t first, second;
  THAW_TRY(pair(from, key, wanted, &first, &second));
  return first == wanted && second == wanted ? THAW_OK : refuse(from, key, "is not supported");
}

static thaw_status need_channels_last(const thaw_keras_layer *from) {
  json_t *value = get(from, "data_format");
  if (!value || !json_is_string(value) || strcmp(json_string_value(value), "channels_last") == 0) return THAW_OK;
  return refuse(from, "data_format", "is not channels_last");
}

static thaw_status padding(const thaw_keras_layer *from, int32_t *out) {
  const char *value = json_string_value(get(from, "padding"));
  *out = value && strcmp(value, "same") == 0 ? THAW_SAME : THAW_VALID;
  if (!value || strcmp(value, "same") == 0 || strcmp(value, "valid") == 0) return THAW_OK;
  return refuse(from, "padding", "is neither same nor valid");
}

/* "relu", or {"class_name": ..., "config": "relu" or {"name": ...}} of a function. */
static const char *function_name(json_t *value) {
  if (json_is_object(value)) {
    json_t *config = json_object_get(value, "config");
    return json_is_string(config) ? json_string_value(config) : json_string_value(json_object_get(value, "class_name"));
  }
  return json_string_value(value);
}

static thaw_status activation(const thaw_keras_layer *from, int32_t *out) {
  json_t *value = get(from, "activation");
  const char *name = function_name(value);
  *out = THAW_LINEAR;
  if (!value) return THAW_OK;
  if (name && strcmp(name, "silu") == 0) name = "swish";
  if (name && strcmp(name, "hard_swish") == 0) name = "hard_silu";
  for (int32_t i = 0; name && thaw_activation_names[i]; i++)
    if (strcmp(name, thaw_activation_names[i]) == 0) {
      *out = i;
      return THAW_OK;
    }
  return thaw_fail(THAW_ERR_DATA, "%s: layer %d '%s' (%s): the activation '%s' is not supported", from->path,
                   from->position, from->name, from->class_name, name ? name : "?");
}

/* L1, L2 and L1L2 alike. */
static void regularizer(const thaw_keras_layer *from, const char *key, double *l1, double *l2) {
  json_t *config = json_object_get(get(from, key), "config");
  json_t *first = json_object_get(config, "l1"), *second = json_object_get(config, "l2");
  *l1 = json_is_number(first) ? json_number_value(first) : 0;
  *l2 = json_is_number(second) ? json_number_value(second) : 0;
}

/* ------------------------------------------------------------------ one function per kind of options */

static thaw_status read_conv(const thaw_keras_layer *from, thaw_layer_options *out) {
  thaw_conv2d_config *conv = &out->conv;
  THAW_TRY(need_channels_last(from));
  THAW_TRY(need_pair(from, "dilation_rate", 1));
  if (number(from, "groups", 1) != 1) return refuse(from, "groups", "is not supported");
  if (number(from, "depth_multiplier", 1) != 1) return refuse(from, "depth_multiplier", "is not supported");
  if (get(from, "filters")) THAW_TRY(integer(from, "filters", get(from, "filters"), &conv->filters));
  THAW_TRY(pair(from, "kernel_size", 1, &conv->kernel_h, &conv->kernel_w));
  THAW_TRY(pair(from, "strides", 1, &conv->stride_h, &conv->stride_w));
  THAW_TRY(padding(from, &conv->padding));
  conv->use_bias = flag(from, "use_bias", true);
  regularizer(from, get(from, "depthwise_regularizer") ? "depthwise_regularizer" : "kernel_regularizer",
              &conv->kernel_l1, &conv->kernel_l2);
  return activation(from, &conv->activation);
}

static thaw_status read_pool(const thaw_keras_layer *from, thaw_layer_options *out) {
  thaw_pool2d_config *pool = &out->pool;
  THAW_TRY(need_channels_last(from));
  THAW_TRY(pair(from, "pool_size", 2, &pool->pool_h, &pool->pool_w));
  THAW_TRY(pair(from, "strides", 0, &pool->stride_h, &pool->stride_w));
  if (pool->stride_h == 0) {
    pool->stride_h = pool->pool_h;
    pool->stride_w = pool->pool_w;
  }
  if (pool->pool_h < 1 || pool->pool_w < 1 || pool->stride_w < 1) return refuse(from, "pool_size", "is 0");
  return padding(from, &pool->padding);
}

/* 1, [1, 2] or [[0, 1], [0, 1]] */
static thaw_status read_sides(const thaw_keras_layer *from, const char *key, int32_t fallback,
                              thaw_padding2d_config *pad) {
  json_t *value = get(from, key), *rows = json_array_get(value, 0), *columns = json_array_get(value, 1);
  THAW_TRY(need_channels_last(from));
  if (!json_is_array(rows)) {
    THAW_TRY(pair(from, key, fallback, &pad->top, &pad->left));
    pad->bottom = pad->top;
    pad->right = pad->left;
    return THAW_OK;
  }
  THAW_TRY(integer(from, key, json_array_get(rows, 0), &pad->top));
  THAW_TRY(integer(from, key, json_array_get(rows, 1), &pad->bottom));
  THAW_TRY(integer(from, key, json_array_get(columns, 0), &pad->left));
  return integer(from, key, json_array_get(columns, 1), &pad->right);
}

static thaw_status read_padding(const thaw_keras_layer *from, thaw_layer_options *out) {
  return read_sides(from, "padding", 1, &out->pad);
}

static thaw_status read_cropping(const thaw_keras_layer *from, thaw_layer_options *out) {
  return read_sides(from, "cropping", 0, &out->pad);
}

static thaw_status read_sampling(const thaw_keras_layer *from, thaw_layer_options *out) {
  const char *rule = json_string_value(get(from, "interpolation"));
  THAW_TRY(need_channels_last(from));
  THAW_TRY(pair(from, "size", 2, &out->sampling.h, &out->sampling.w));
  out->sampling.bilinear = rule && strcmp(rule, "bilinear") == 0;
  if (!rule || out->sampling.bilinear || strcmp(rule, "nearest") == 0) return THAW_OK;
  return refuse(from, "interpolation", "is neither nearest nor bilinear");
}

static thaw_status read_permute(const thaw_keras_layer *from, thaw_layer_options *out) {
  json_t *dims = get(from, "dims");
  if (json_array_size(dims) != 3) return refuse(from, "dims", "are not three numbers");
  for (size_t i = 0; i < 3; i++) {
    THAW_TRY(integer(from, "dims", json_array_get(dims, i), &out->permute.axis[i]));
    out->permute.axis[i]--;
  }
  return THAW_OK;
}

/* The axis is -1 or the last of the layer's input, as a number or a list of one. */
static thaw_status need_last_axis(const thaw_keras_layer *from) {
  json_t *value = get(from, "axis");
  if (json_is_array(value) && json_array_size(value) == 1) value = json_array_get(value, 0);
  int32_t last = from->input.rank == 3 ? 3 : 1;
  if (!value || (json_is_integer(value) && (json_integer_value(value) == -1 || json_integer_value(value) == last)))
    return THAW_OK;
  return refuse(from, "axis", "is not the last one");
}

static thaw_status read_norm(const thaw_keras_layer *from, thaw_layer_options *out) {
  THAW_TRY(need_last_axis(from));
  out->norm = (thaw_batch_norm_config){.momentum = number(from, "momentum", 0.99),
                                       .epsilon = number(from, "epsilon", 1e-3),
                                       .center = flag(from, "center", true),
                                       .scale = flag(from, "scale", true)};
  return out->norm.epsilon > 0 ? THAW_OK : refuse(from, "epsilon", "is not above 0");
}

static thaw_status read_group_norm(const thaw_keras_layer *from, thaw_layer_options *out) {
  thaw_group_norm_config *norm = &out->group_norm;
  THAW_TRY(need_last_axis(from));
  if (flag(from, "rms_scaling", false)) return refuse(from, "rms_scaling", "is not supported");
  *norm = (thaw_group_norm_config){.groups = 32,
                                   .epsilon = number(from, "epsilon", 1e-3),
                                   .center = flag(from, "center", true),
                                   .scale = flag(from, "scale", true)};
  json_t *groups = get(from, "groups");
  if (json_is_integer(groups) && json_integer_value(groups) == -1) /* each channel by itself */
    norm->groups = from->input.c;
  else if (groups)
    THAW_TRY(integer(from, "groups", groups, &norm->groups));
  return norm->epsilon > 0 ? THAW_OK : refuse(from, "epsilon", "is not above 0");
}

static thaw_status read_normalization(const thaw_keras_layer *from, thaw_layer_options *out) {
  (void)out;
  if (flag(from, "invert", false)) return refuse(from, "invert", "is not supported");
  return need_last_axis(from);
}

/* Numbers of a list of lists, from left to right. */
static bool flatten(const json_t *value, int32_t depth, double *out, int32_t *count) {
  if (json_is_number(value) && *count < THAW_RESCALING_MAX) {
    out[(*count)++] = json_number_value(value);
    return true;
  }
  bool good = json_is_array(value) && depth < 8;
  for (size_t i = 0; good && i < json_array_size(value); i++)
    good = flatten(json_array_get(value, i), depth + 1, out, count);
  return good;
}

/* Statistics given as options and not as weights: (x - mean) / max(sqrt(variance), 1e-7) is a rescaling. */
static thaw_status read_fixed_normalization(const thaw_keras_layer *from, thaw_layer_options *out) {
  double mean[THAW_RESCALING_MAX], variance[THAW_RESCALING_MAX];
  int32_t means = 0, variances = 0;
  thaw_rescaling_config *rescaling = &out->rescaling;
  if (!flatten(get(from, "mean"), 0, mean, &means) || !flatten(get(from, "variance"), 0, variance, &variances) ||
      means != variances || means < 1)
    return refuse(from, "mean", "and variance are not one number for each of at most 4 channels");
  for (int32_t i = 0; i < means; i++) {
    double deviation = sqrt(variance[i]);
    rescaling->scale[i] = 1 / (deviation > 1e-7 ? deviation : 1e-7);
    rescaling->offset[i] = -mean[i] * rescaling->scale[i];
  }
  rescaling->scales = rescaling->offsets = means;
  return read_normalization(from, out);
}

static thaw_status read_dense(const thaw_keras_layer *from, thaw_layer_options *out) {
  thaw_dense_config *dense = &out->dense;
  THAW_TRY(integer(from, "units", get(from, "units"), &dense->units));
  dense->use_bias = flag(from, "use_bias", true);
  regularizer(from, "kernel_regularizer", &dense->kernel_l1, &dense->kernel_l2);
  regularizer(from, "bias_regularizer", &dense->bias_l1, &dense->bias_l2);
  return activation(from, &dense->activation);
}

static thaw_status read_dropout(const thaw_keras_layer *from, thaw_layer_options *out) {
  json_t *noise = get(from, "noise_shape");
  out->dropout.rate = number(from, "rate", 0);
  if (!(out->dropout.rate >= 0 && out->dropout.rate < 1)) return refuse(from, "rate", "is not in [0, 1)");
  for (size_t i = 1; i < json_array_size(noise); i++)
    if (json_integer_value(json_array_get(noise, i)) != 1) return refuse(from, "noise_shape", "is not supported");
  out->dropout.whole_samples = json_array_size(noise) > 1;
  return THAW_OK;
}

static thaw_status read_activation(const thaw_keras_layer *from, thaw_layer_options *out) {
  if (strcmp(from->class_name, "Softmax") == 0) {
    out->activation.activation = THAW_SOFTMAX;
    return need_last_axis(from);
  }
  return activation(from, &out->activation.activation);
}

/* Keras 2 called the slope alpha. */
static thaw_status read_leaky(const thaw_keras_layer *from, thaw_layer_options *out) {
  out->leaky.negative_slope = number(from, "negative_slope", number(from, "alpha", 0.3));
  return THAW_OK;
}

static thaw_status read_elu(const thaw_keras_layer *from, thaw_layer_options *out) {
  out->elu.alpha = number(from, "alpha", 1);
  return THAW_OK;
}

static thaw_status read_p_re_lu(const thaw_keras_layer *from, thaw_layer_options *out) {
  thaw_p_re_lu_config *slopes = &out->p_re_lu;
  json_t *shared = get(from, "shared_axes");
  for (size_t i = 0; i < json_array_size(shared); i++) {
    int32_t axis = 0;
    THAW_TRY(integer(from, "shared_axes", json_array_get(shared, i), &axis));
    if (axis < 1 || axis > from->input.rank) return refuse(from, "shared_axes", "are not axes of its input");
    bool channels = axis == from->input.rank;
    slopes->share_channels |= channels;
    slopes->share_height |= !channels && axis == 1;
    slopes->share_width |= !channels && axis == 2;
  }
  return THAW_OK;
}

static thaw_status read_re_lu(const thaw_keras_layer *from, thaw_layer_options *out) {
  if (number(from, "negative_slope", 0) != 0) return refuse(from, "negative_slope", "with max_value is not supported");
  if (number(from, "threshold", 0) != 0) return refuse(from, "threshold", "is not supported");
  out->re_lu.max_value = number(from, "max_value", 0);
  return out->re_lu.max_value >= 0 ? THAW_OK : refuse(from, "max_value", "is negative");
}

static thaw_status read_global_pool(const thaw_keras_layer *from, thaw_layer_options *out) {
  out->global_pool.keepdims = flag(from, "keepdims", false);
  return need_channels_last(from);
}

/* One -1 stands for what is left. */
static thaw_status read_reshape(const thaw_keras_layer *from, thaw_layer_options *out) {
  json_t *target = get(from, "target_shape");
  int32_t dim[3] = {1, 1, 1}, rank = (int32_t)json_array_size(target), open = -1;
  size_t known = 1, count = thaw_shape_count(from->input);
  if (rank != 1 && rank != 3) return refuse(from, "target_shape", "has neither one nor three dimensions");
  for (int32_t i = 0; i < rank; i++) {
    json_t *value = json_array_get(target, (size_t)i);
    if (json_is_integer(value) && json_integer_value(value) == -1 && open < 0) {
      open = i;
      continue;
    }
    THAW_TRY(integer(from, "target_shape", value, &dim[i]));
    known *= (size_t)dim[i];
  }
  if (open >= 0) {
    if (known == 0 || count % known) return refuse(from, "target_shape", "does not fit the input");
    dim[open] = (int32_t)(count / known);
  }
  out->reshape.target = rank == 3 ? (thaw_shape){.rank = 3, .h = dim[0], .w = dim[1], .c = dim[2]}
                                  : (thaw_shape){.rank = 1, .h = 1, .w = 1, .c = dim[0]};
  return THAW_OK;
}

static thaw_status numbers(const thaw_keras_layer *from, const char *key, double fallback, double *value,
                           int32_t *count) {
  json_t *list = get(from, key);
  *count = 1;
  value[0] = number(from, key, fallback);
  if (!json_is_array(list)) return THAW_OK;
  *count = (int32_t)json_array_size(list);
  if (*count < 1 || *count > THAW_RESCALING_MAX) return refuse(from, key, "has too many numbers");
  for (int32_t i = 0; i < *count; i++) value[i] = json_number_value(json_array_get(list, (size_t)i));
  return THAW_OK;
}

static thaw_status read_rescaling(const thaw_keras_layer *from, thaw_layer_options *out) {
  THAW_TRY(numbers(from, "scale", 1, out->rescaling.scale, &out->rescaling.scales));
  return numbers(from, "offset", 0, out->rescaling.offset, &out->rescaling.offsets);
}

static thaw_status read_nothing(const thaw_keras_layer *from, thaw_layer_options *out) {
  (void)from;
  (void)out;
  return THAW_OK;
}

static thaw_status read_unit_normalization(const thaw_keras_layer *from, thaw_layer_options *out) {
  (void)out;
  return need_last_axis(from);
}

/* Layers that act only while Keras trains: noise, augmentation. */
static thaw_status read_identity(const thaw_keras_layer *from, thaw_layer_options *out) {
  (void)from;
  out->activation.activation = THAW_LINEAR;
  return THAW_OK;
}

static thaw_status read_concatenate(const thaw_keras_layer *from, thaw_layer_options *out) {
  (void)out;
  return need_last_axis(from);
}

static const struct {
  const char *class_name, *type;
  thaw_status (*read)(const thaw_keras_layer *from, thaw_layer_options *out);
} classes[] = {
    {"Conv2D", "conv2d", read_conv},
    {"Convolution2D", "conv2d", read_conv},
    {"DepthwiseConv2D", "depthwise_conv2d", read_conv},
    {"SeparableConv2D", "separable_conv2d", read_conv},
    {"MaxPooling2D", "max_pooling", read_pool},
    {"AveragePooling2D", "average_pooling", read_pool},
    {"GlobalAveragePooling2D", "global_average_pooling", read_global_pool},
    {"GlobalMaxPooling2D", "global_max_pooling", read_global_pool},
    {"ZeroPadding2D", "zero_padding", read_padding},
    {"BatchNormalization", "batch_normalization", read_norm},
    {"Normalization", "normalization", read_normalization},
    {"Rescaling", "rescaling", read_rescaling},
    {"Activation", "activation", read_activation},
    {"Softmax", "activation", read_activation},
    {"ReLU", "re_lu", read_re_lu},
    {"Dense", "dense", read_dense},
    {"Dropout", "dropout", read_dropout},
    {"Flatten", "flatten", read_nothing},
    {"Reshape", "reshape", read_reshape},
    {"Add", "add", read_nothing},
    {"Multiply", "multiply", read_nothing},
    {"Concatenate", "concatenate", read_concatenate},
    {"LeakyReLU", "leaky_re_lu", read_leaky},
    {"ELU", "elu", read_elu},
    {"PReLU", "p_re_lu", read_p_re_lu},
    {"Cropping2D", "cropping", read_cropping},
    {"UpSampling2D", "up_sampling", read_sampling},
    {"Permute", "permute", read_permute},
    {"LayerNormalization", "layer_normalization", read_group_norm},
    {"GroupNormalization", "group_normalization", read_group_norm},
    {"ActivityRegularization", "activation", read_identity},
    {"AlphaDropout", "activation", read_identity},
    {"GaussianDropout", "activation", read_identity},
    {"GaussianNoise", "activation", read_identity},
    {"RandomBrightness", "activation", read_identity},
    {"RandomContrast", "activation", read_identity},
    {"RandomFlip", "activation", read_identity},
    {"RandomRotation", "activation", read_identity},
    {"RandomTranslation", "activation", read_identity},
    {"RandomZoom", "activation", read_identity},
    {"SpatialDropout2D", "activation", read_identity},
    {"UnitNormalization", "unit_normalization", read_unit_normalization},
};

thaw_status thaw_weight_layer_config(const thaw_keras_layer *from, const char **type, thaw_layer_options *out) {
  memset(out, 0, sizeof *out);
  if (strcmp(from->class_name, "Normalization") == 0 && get(from, "mean")) {
    *type = "rescaling";
    return read_fixed_normalization(from, out);
  }
  bool is_leaky = strcmp(from->class_name, "ReLU") == 0 && !get(from, "max_value") && number(from, "threshold", 0) == 0;
  if (is_leaky && number(from, "negative_slope", 0) != 0) {
    *type = "leaky_re_lu";
    return read_leaky(from, out);
  }
  for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
    if (strcmp(classes[i].class_name, from->class_name) == 0) {
      *type = classes[i].type;
      return classes[i].read(from, out);
    }
  return thaw_fail(THAW_ERR_DATA, "%s: layer %d '%s': layers of class %s are not supported", from->path, from->position,
                   from->name, from->class_name);
}
