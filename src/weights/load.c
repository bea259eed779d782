/* From a weight file into a network. */
#include "thaw/digest.h"
#include "thaw/memory.h"
#include "weights/weights_private.h"

#include <math.h>
#include <string.h>

static bool is_readable(const thaw_weight *weight) {
  thaw_h5_type type = weight->info.type;
  if (weight->role == THAW_ROLE_COUNT && (type == THAW_H5_I32 || type == THAW_H5_I64)) return true;
  return type == THAW_H5_F32 || type == THAW_H5_F16 || type == THAW_H5_F64 || type == THAW_H5_BF16;
}

static thaw_status check_values(const thaw_weight_file *file, const char *layer, const thaw_weight *weight,
                                const float *value, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (isfinite(value[i]) && (weight->role != THAW_ROLE_VARIANCE || value[i] >= 0)) continue;
    return thaw_fail(THAW_ERR_DATA, "%s: layer '%s': %s: element %zu is %g%s", file->path, layer, weight->dataset, i,
                     (double)value[i], isfinite(value[i]) ? ", but a variance is not negative" : "");
  }
  return THAW_OK;
}

/* The first layer's weights of an RGB network for another number of channels. */
static thaw_status read_colours(const thaw_weight_file *file, const char *layer, const thaw_weight *weight,
                                const thaw_param *param) {
  size_t count = (size_t)weight->info.count;
  float *value = thaw_new(count, sizeof *value);
  if (!value) return THAW_ERR_MEMORY;
  thaw_status status = thaw_weight_read(file, weight, value);
  if (status == THAW_OK) status = check_values(file, layer, weight, value, count);
  if (status == THAW_OK) thaw_weight_convert_colours(value, param);
  thaw_free(value);
  return status;
}

static thaw_status read_param(const thaw_weight_file *file, const char *layer, const thaw_weight *weight,
                              thaw_param *param) {
  size_t count = thaw_param_count(param);
  if (!is_readable(weight))
    return thaw_fail(THAW_ERR_DATA, "%s: layer '%s': %s holds %s, expected float32, float16, bfloat16 or float64",
                     file->path, layer, weight->dataset, thaw_weight_type_name(weight));
  if (!param->value) return thaw_fail(THAW_ERR_INTERNAL, "layer '%s' has no memory for its weights", layer);
  if (!thaw_weight_shape_matches(weight, param)) return read_colours(file, layer, weight, param);
  THAW_TRY(thaw_weight_read(file, weight, param->value));
  return check_values(file, layer, weight, param->value, count);
}

static thaw_status read_layer(const thaw_weight_file *file, thaw_layer *layer, const thaw_weight_layer *from,
                              thaw_log *log) {
  char shape[96];
  for (int32_t p = 0; p < layer->params; p++) {
    const thaw_weight *weight = thaw_weight_for_param(from, &layer->param[p]);
    THAW_TRY(read_param(file, layer->name, weight, &layer->param[p]));
    thaw_verbose(log, "  %-28s %-16s %-20s <- %s", layer->name, layer->param[p].name,
                 thaw_param_shape_text(&layer->param[p], shape), weight->dataset);
  }
  return THAW_OK;
}

/* What the file has beyond the network: a cut-off end, a classification top. */
static bool is_used(const thaw_weight_map *map, int32_t nodes, const thaw_weight_layer *layer) {
  for (int32_t i = 0; i < nodes; i++)
    if (map->layer[i] == layer) return true;
  return false;
}

/* Says what is left aside. A top may be; so may what comes after the network's end, but nothing before it. */
static thaw_status check_rest(const thaw_graph *graph, const thaw_weight_file *file, const thaw_weight_map *map,
                              thaw_log *log) {
  int32_t dense = 0;
  for (size_t i = 0; i < file->count; i++)
    dense += thaw_weight_layer_is_dense(&file->layer[i]) && !is_used(map, thaw_graph_count(graph), &file->layer[i]);
  int32_t rest = (int32_t)file->count - map->layers - dense;
  if (rest > 0) THAW_TRY(thaw_weight_check_family(graph, file));
  if (dense)
    thaw_info(log, "%s: its classification top (%d dense layer%s) is left aside", file->path, dense,
              dense == 1 ? "" : "s");
  if (rest > 0) thaw_verbose(log, "%s: %d layers beyond the network are left aside", file->path, rest);
  return THAW_OK;
}

static thaw_status read_all(thaw_graph *graph, const thaw_weight_file *file, const thaw_weight_map *map,
                            thaw_log *log) {
  thaw_verbose(log, "%s: %s, %zu layers with weights, matched %s", file->path, file->layout, file->count, map->how);
  THAW_TRY(check_rest(graph, file, map, log));
  for (int32_t i = 0; i < thaw_graph_count(graph); i++)
    if (map->layer[i]) THAW_TRY(read_layer(file, &thaw_graph_node(graph, i)->layer, map->layer[i], log));
  if (map->old_resnet) {
    thaw_weight_use_epsilon(graph, 1e-3);
    thaw_info(log, "%s: ResNet50 of the first generation: names are translated, batch-norm epsilon is 1e-3",
              file->path);
  }
  if (map->torch_densenet) thaw_weight_use_epsilon(graph, 1e-5);
  return THAW_OK;
}

thaw_status thaw_weights_load(thaw_graph *graph, const char *path, thaw_log *log, char digest_out[65]) {
  thaw_weight_file file;
  thaw_weight_map map = {0};
  THAW_TRY(thaw_weight_file_open_for(path, &thaw_graph_view(graph, 0)->layer.output, &file));
  thaw_status status = thaw_weight_map_make(graph, &file, false, &map);
  if (status == THAW_OK) status = read_all(graph, &file, &map, log);
  thaw_weight_map_clear(&map);
  thaw_weight_file_close(&file);
  if (status == THAW_OK) status = thaw_weights_digest(graph, false, digest_out);
  return status;
}

thaw_status thaw_weights_digest(const thaw_graph *graph, bool head_too, char digest_out[65]) {
  thaw_digest *digest;
  THAW_TRY(thaw_digest_create(&digest));
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    const thaw_node *node = thaw_graph_view(graph, i);
    if (node->head && !head_too) continue;
    for (int32_t p = 0; p < node->layer.params; p++) {
      const thaw_param *param = &node->layer.param[p];
      thaw_digest_add_text(digest, node->layer.name);
      thaw_digest_add_text(digest, param->name);
      if (param->value) thaw_digest_add(digest, param->value, thaw_param_count(param) * sizeof(float));
    }
  }
  thaw_digest_finish(digest, digest_out);
  return THAW_OK;
}
