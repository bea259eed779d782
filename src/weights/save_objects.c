/* Writes weights as Keras 3 does: /layers/<class>_<n>/vars/<i>, layers of one class numbered in the order of
 * model.layers, the layer's name as attribute of vars (keras/src/saving/saving_lib.py). An optimiser's variables are
 * /optimizer/vars/<i>: iterations, learning rate, then its slots, the trainable variables in the order of model.layers
 * (keras/src/optimizers/base_optimizer.py). */
#include "thaw/memory.h"
#include "weights/weights_private.h"

#include <string.h>

static thaw_status write_values(thaw_h5 *h5, const char *vars, int32_t index, const thaw_param *param) {
  if (!param->value) return thaw_fail(THAW_ERR_INTERNAL, "%s: its values are not in memory", vars);
  thaw_h5_layout layout = {.type = THAW_H5_F32, .rank = param->rank};
  for (int i = 0; i < param->rank; i++) layout.dim[i] = param->dim[i];
  char *dataset = thaw_format("%s/%d", vars, index);
  thaw_status status = dataset ? thaw_h5_write(h5, dataset, &layout, param->value) : THAW_ERR_MEMORY;
  thaw_free(dataset);
  return status;
}

/* Keras keeps the state of a dropout layer's random numbers, and wants to find one. */
static thaw_status write_seed(thaw_h5 *h5, const char *object) {
  static const int64_t state[2] = {0, 0};
  const thaw_h5_layout layout = {.type = THAW_H5_I64, .rank = 1, .dim = {2}};
  char *group = thaw_format("%s/seed_generator/vars", object),
       *dataset = thaw_format("%s/seed_generator/vars/0", object);
  thaw_status status = group && dataset ? thaw_h5_create_group(h5, group) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_h5_write(h5, dataset, &layout, state);
  thaw_free(group);
  thaw_free(dataset);
  return status;
}

static thaw_status write_object(thaw_h5 *h5, const char *object, const thaw_layer *layer) {
  char *vars = thaw_format("%s/vars", object);
  thaw_status status = vars ? thaw_h5_create_group(h5, vars) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_h5_set_text(h5, vars, "name", layer->name);
  for (int32_t p = 0; p < layer->params && status == THAW_OK; p++) status = write_values(h5, vars, p, &layer->param[p]);
  if (status == THAW_OK && layer->ops == &thaw_layer_dropout) status = write_seed(h5, object);
  thaw_free(vars);
  return status;
}

/* How many layers of the same class come before place `index` in the order. */
static int32_t number_of(const thaw_graph *graph, const int32_t *order, int32_t index) {
  const thaw_layer_ops *ops = thaw_graph_view(graph, order[index])->layer.ops;
  int32_t number = 0;
  for (int32_t i = 0; i < index; i++) number += thaw_graph_view(graph, order[i])->layer.ops == ops;
  return number;
}

static thaw_status write_ordered(thaw_h5 *h5, const thaw_graph *graph, const int32_t *order, int32_t count) {
  thaw_status status = thaw_h5_create_group(h5, "/vars");
  for (int32_t i = 0; i < count && status == THAW_OK; i++) {
    const thaw_layer *layer = &thaw_graph_view(graph, order[i])->layer;
    char class_name[64], number[16] = "";
    int32_t n = number_of(graph, order, i);
    if (n > 0) snprintf(number, sizeof number, "_%d", n);
    const char *plain = layer->inputs ? thaw_layer_auto_name(layer->ops, class_name) : "input_layer";
    char *object = thaw_format("/layers/%s%s", plain, number);
    status = object ? write_object(h5, object, layer) : THAW_ERR_MEMORY;
    thaw_free(object);
  }
  return status;
}

/* ------------------------------------------------------------------ the optimiser */

typedef struct slot_writer {
  thaw_h5 *h5;
  const thaw_graph *graph;
  const int32_t *order;
  int32_t count, next; /* layers; the number of the next variable */
  const thaw_export_slots *slots;
} slot_writer;

static thaw_status write_variable(slot_writer *w, thaw_h5_type type, const thaw_param *shape, const void *value) {
  thaw_h5_layout layout = {.type = type, .rank = shape ? shape->rank : 0};
  for (int i = 0; i < layout.rank; i++) layout.dim[i] = shape->dim[i];
  char *dataset = thaw_format("/optimizer/vars/%d", w->next++);
  thaw_status status = dataset ? thaw_h5_write(w->h5, dataset, &layout, value) : THAW_ERR_MEMORY;
  thaw_free(dataset);
  return status;
}

static thaw_status write_slot(slot_writer *w, const thaw_layer *layer, const thaw_param *param, int32_t slot) {
  const float *value = w->slots->slot(w->slots->context, layer->name, param->name, slot);
  float *zero = value ? NULL : thaw_new(thaw_param_count(param), sizeof *zero);
  if (!value && !zero) return THAW_ERR_MEMORY;
  thaw_status status = write_variable(w, THAW_H5_F32, param, value ? value : zero);
  thaw_free(zero);
  return status;
}

static bool trains(const thaw_node *node, int32_t param) {
  return !node->frozen && (node->layer.param[param].flags & THAW_PARAM_TRAINABLE);
}

/* Slots first .. first + many - 1 of every trainable variable. */
static thaw_status write_pass(slot_writer *w, int32_t first, int32_t many) {
  for (int32_t i = 0; i < w->count; i++) {
    const thaw_node *node = thaw_graph_view(w->graph, w->order[i]);
    for (int32_t p = 0; p < node->layer.params; p++)
      for (int32_t s = first; s < first + many && trains(node, p); s++)
        THAW_TRY(write_slot(w, &node->layer, &node->layer.param[p], s));
  }
  return THAW_OK;
}

static thaw_status write_optimizer(slot_writer *w) {
  const float rate = (float)w->slots->learning_rate;
  THAW_TRY(thaw_h5_create_group(w->h5, "/optimizer/vars"));
  THAW_TRY(write_variable(w, THAW_H5_I64, NULL, &w->slots->iterations));
  THAW_TRY(write_variable(w, THAW_H5_F32, NULL, &rate));
  int32_t first = w->slots->slots < w->slots->interleaved ? w->slots->slots : w->slots->interleaved;
  if (first > 0) THAW_TRY(write_pass(w, 0, first));
  for (int32_t slot = first; slot < w->slots->slots; slot++) THAW_TRY(write_pass(w, slot, 1));
  return THAW_OK;
}

static thaw_status write_all(thaw_h5 *h5, const thaw_graph *graph, const thaw_export_slots *slots) {
  int32_t *order = thaw_new((size_t)thaw_graph_count(graph), sizeof *order), count = 0;
  if (!order) return THAW_ERR_MEMORY;
  thaw_status status = thaw_weight_keras_order(graph, order, &count);
  if (status == THAW_OK) status = write_ordered(h5, graph, order, count);
  slot_writer writer = {.h5 = h5, .graph = graph, .order = order, .count = count, .slots = slots};
  if (status == THAW_OK && slots) status = write_optimizer(&writer);
  thaw_free(order);
  return status;
}

thaw_status thaw_weights_save_objects(const thaw_graph *graph, const char *path) {
  return thaw_weight_save_objects(graph, path, NULL);
}

thaw_status thaw_weight_save_objects(const thaw_graph *graph, const char *path, const thaw_export_slots *slots) {
  thaw_h5 *h5;
  THAW_TRY(thaw_h5_create(path, &h5));
  thaw_status status = write_all(h5, graph, slots);
  if (status == THAW_OK) return thaw_h5_commit(h5);
  thaw_h5_close(h5);
  return status;
}
