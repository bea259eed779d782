/* Writes weights as Keras 2 did: layer_names, weight_names, /<layer>/<layer>/<weight>:0. Keras 2 and 3 read it. */
#include "thaw/memory.h"
#include "weights/weights_private.h"

#include <string.h>

static thaw_status write_param(thaw_h5 *h5, const char *group, const char *weight_name, const thaw_param *param) {
  if (!param->value) return thaw_fail(THAW_ERR_INTERNAL, "%s: its values are not in memory", weight_name);
  thaw_h5_layout layout = {.type = THAW_H5_F32, .rank = param->rank};
  for (int i = 0; i < param->rank; i++) layout.dim[i] = param->dim[i];
  char *dataset = thaw_format("%s/%s", group, weight_name);
  thaw_status status = dataset ? thaw_h5_write(h5, dataset, &layout, param->value) : THAW_ERR_MEMORY;
  thaw_free(dataset);
  return status;
}

static thaw_status write_layer(thaw_h5 *h5, const char *root, const thaw_layer *layer) {
  char *group = thaw_format("%s/%s", root, layer->name);
  if (!group) return THAW_ERR_MEMORY;
  thaw_strings names = {0};
  thaw_status status = thaw_h5_create_group(h5, group);
  for (int32_t p = 0; p < layer->params && status == THAW_OK; p++) {
    char *name = thaw_format("%s/%s:0", layer->name, layer->param[p].name);
    status = name ? thaw_strings_add(&names, name) : THAW_ERR_MEMORY;
    if (status == THAW_OK) status = write_param(h5, group, name, &layer->param[p]);
    thaw_free(name);
  }
  if (status == THAW_OK) status = thaw_h5_set_strings(h5, group, "weight_names", &names);
  thaw_strings_clear(&names);
  thaw_free(group);
  return status;
}

static thaw_status write_ordered(thaw_h5 *h5, const char *root, const thaw_graph *graph, bool head_too,
                                 const int32_t *order, int32_t count) {
  const char *group = root[0] ? root : "/";
  thaw_strings names = {0};
  thaw_status status = root[0] ? thaw_h5_create_group(h5, root) : THAW_OK;
  for (int32_t i = 0; i < count && status == THAW_OK; i++) {
    const thaw_node *node = thaw_graph_view(graph, order[i]);
    if (node->head && !head_too) continue;
    status = thaw_strings_add(&names, node->layer.name);
    if (status == THAW_OK) status = write_layer(h5, root, &node->layer);
  }
  if (status == THAW_OK) status = thaw_h5_set_strings(h5, group, "layer_names", &names);
  if (status == THAW_OK) status = thaw_h5_set_text(h5, group, "backend", "tensorflow");
  /* The version whose layout this is. */
  if (status == THAW_OK) status = thaw_h5_set_text(h5, group, "keras_version", "2.15.0");
  thaw_strings_clear(&names);
  return status;
}

thaw_status thaw_weight_write_layers(thaw_h5 *h5, const char *root, const thaw_graph *graph, bool head_too) {
  int32_t *order = thaw_new((size_t)thaw_graph_count(graph), sizeof *order), count;
  if (!order) return THAW_ERR_MEMORY;
  thaw_status status = thaw_weight_keras_order(graph, order, &count);
  if (status == THAW_OK) status = write_ordered(h5, root, graph, head_too, order, count);
  thaw_free(order);
  return status;
}

thaw_status thaw_weights_save(const thaw_graph *graph, const char *path, bool head_too) {
  thaw_h5 *h5;
  THAW_TRY(thaw_h5_create(path, &h5));
  thaw_status status = thaw_weight_write_layers(h5, "", graph, head_too);
  if (status == THAW_OK) return thaw_h5_commit(h5);
  thaw_h5_close(h5);
  return status;
}
