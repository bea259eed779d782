/* Shapes, parameters, window arithmetic and JSON pieces that the layer types share. */
#include "layer/layer_private.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const char *const thaw_padding_names[] = {"valid", "same", NULL};

size_t thaw_shape_count(thaw_shape shape) {
  return (size_t)shape.h * (size_t)shape.w * (size_t)shape.c;
}

const char *thaw_shape_text(thaw_shape shape, char out[48]) {
  if (shape.rank == 1)
    snprintf(out, 48, "(None, %d)", shape.c);
  else
    snprintf(out, 48, "(None, %d, %d, %d)", shape.h, shape.w, shape.c);
  return out;
}

thaw_shape thaw_shape_map(int32_t h, int32_t w, int32_t c) {
  return (thaw_shape){.rank = 3, .h = h, .w = w, .c = c};
}

thaw_shape thaw_shape_vector(int32_t c) {
  return (thaw_shape){.rank = 1, .h = 1, .w = 1, .c = c};
}

size_t thaw_param_count(const thaw_param *param) {
  size_t count = 1;
  for (int32_t i = 0; i < param->rank; i++) count *= (size_t)param->dim[i];
  return count;
}

void thaw_layer_param(thaw_layer *layer, const char *name, unsigned flags, int32_t rank, const int32_t *dim) {
  thaw_param *param = &layer->param[layer->params++];
  *param = (thaw_param){.name = name, .rank = rank, .flags = flags};
  for (int32_t i = 0; i < rank; i++) param->dim[i] = dim[i];
}

const thaw_param *thaw_layer_param_find(const thaw_layer *layer, const char *name) {
  for (int32_t i = 0; i < layer->params; i++)
    if (strcmp(layer->param[i].name, name) == 0) return &layer->param[i];
  return NULL;
}

const float *thaw_layer_value(const thaw_layer *layer, const char *name) {
  const thaw_param *param = thaw_layer_param_find(layer, name);
  return param ? param->value : NULL;
}

thaw_status thaw_layer_need_map(const thaw_layer *layer, const thaw_shape *input) {
  char text[48];
  if (input->rank == 3) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "layer '%s' (%s) needs an input of height, width and channels, found %s",
                   layer->name, layer->ops->keras_class, thaw_shape_text(*input, text));
}

bool thaw_layer_window(int32_t in, int32_t window, int32_t stride, int32_t padding, int32_t *out, int32_t *before,
                       int32_t *after) {
  *before = *after = 0;
  if (padding == THAW_SAME) {
    *out = (in + stride - 1) / stride;
    int32_t total = (*out - 1) * stride + window - in;
    if (total < 0) total = 0;
    *before = total / 2;
    *after = total - total / 2;
    return true;
  }
  if (in < window) return false;
  *out = (in - window) / stride + 1;
  return true;
}

void *thaw_carve(thaw_carver *carver, size_t bytes) {
  void *piece = carver->base ? carver->base + carver->used : NULL;
  carver->used += (bytes + THAW_ALIGN - 1) / THAW_ALIGN * THAW_ALIGN;
  return piece;
}

const char *thaw_layer_auto_name(const thaw_layer_ops *ops, char out[64]) {
  const char *class_name = ops->keras_class;
  size_t used = 0;
  for (size_t i = 0; class_name[i] && used < 62; i++) {
    unsigned char c = (unsigned char)class_name[i], next = (unsigned char)class_name[i + 1];
    bool after_lower = i > 0 && islower((unsigned char)class_name[i - 1]);
    bool starts_word = i > 0 && (islower(next) || isdigit(next));
    if (isupper(c) && (after_lower || starts_word)) out[used++] = '_';
    out[used++] = (char)tolower(c);
  }
  out[used] = 0;
  return out;
}

void thaw_layer_json_bool(thaw_text *json, const char *key, bool value) {
  thaw_text_add(json, ", \"%s\": %s", key, value ? "true" : "false");
}

void thaw_layer_json_pair(thaw_text *json, const char *key, int32_t first, int32_t second) {
  thaw_text_add(json, ", \"%s\": [%d, %d]", key, first, second);
}

void thaw_layer_json_text(thaw_text *json, const char *key, const char *value) {
  thaw_text_add(json, ", \"%s\": \"%s\"", key, value);
}

void thaw_layer_json_regularizer(thaw_text *json, const char *key, double l1, double l2) {
  if (l1 == 0 && l2 == 0)
    thaw_text_add(json, ", \"%s\": null", key);
  else
    thaw_text_add(json, ", \"%s\": {\"class_name\": \"L1L2\", \"config\": {\"l1\": %.17g, \"l2\": %.17g}}", key, l1,
                  l2);
}
