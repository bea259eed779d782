/* What a run is made of: parameters that are or were live, their optimiser slots, and where the run stands. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void tensor_clear(train_tensor *tensor, bool owns_value) {
  thaw_free(tensor->layer);
  thaw_free(tensor->name);
  if (owns_value) thaw_free(tensor->value);
  for (int i = 0; i < THAW_MAX_SLOTS; i++) thaw_free(tensor->slot[i]);
  thaw_free(tensor->best);
  thaw_free(tensor->average);
}

void train_state_clear(train_state *state) {
  for (size_t i = 0; i < state->tensors; i++) tensor_clear(&state->tensor[i], state->owns_values);
  thaw_free(state->tensor);
  thaw_free(state->history);
  thaw_free(state->target);
  thaw_strings_clear(&state->column);
  thaw_strings_clear(&state->classes);
  *state = (train_state){0};
}

train_tensor *train_state_find(train_state *state, const char *layer, const char *name) {
  for (size_t i = 0; i < state->tensors; i++)
    if (strcmp(state->tensor[i].layer, layer) == 0 && strcmp(state->tensor[i].name, name) == 0)
      return &state->tensor[i];
  return NULL;
}

static thaw_status add_param(train_state *state, const char *layer, const thaw_param *param) {
  if (thaw_grow((void **)&state->tensor, state->tensors, &state->capacity, sizeof *state->tensor) != 0)
    return THAW_ERR_MEMORY;
  train_tensor *tensor = &state->tensor[state->tensors];
  *tensor = (train_tensor){.layer = thaw_copy_text(layer),
                           .name = thaw_copy_text(param->name),
                           .rank = param->rank,
                           .count = thaw_param_count(param),
                           .value = param->value,
                           .trainable = (param->flags & THAW_PARAM_TRAINABLE) != 0,
                           .exponent = THAW_EXACT_UNKNOWN};
  for (int i = 0; i < param->rank; i++) tensor->dim[i] = param->dim[i];
  state->tensors++;
  return tensor->layer && tensor->name ? THAW_OK : THAW_ERR_MEMORY;
}

thaw_status train_state_add_live(train_state *state, thaw_graph *graph) {
  for (int32_t n = 0; n < thaw_graph_count(graph); n++) {
    thaw_node *node = thaw_graph_node(graph, n);
    for (int32_t p = 0; p < node->layer.params && !node->frozen; p++)
      if (!train_state_find(state, node->layer.name, node->layer.param[p].name))
        THAW_TRY(add_param(state, node->layer.name, &node->layer.param[p]));
  }
  return THAW_OK;
}

thaw_status train_state_fit_slots(train_state *state, const thaw_choice *optimizer) {
  const char *name = optimizer->schema->name;
  const thaw_optim_ops *ops = thaw_optim_find(name);
  int32_t slots = ops->slots(optimizer->config);
  for (size_t i = 0; i < state->tensors; i++) {
    train_tensor *t = &state->tensor[i];
    if (!t->trainable || (t->slots == slots && strcmp(t->optimizer, name) == 0)) continue;
    for (int s = 0; s < THAW_MAX_SLOTS; s++) {
      thaw_free(t->slot[s]);
      t->slot[s] = NULL;
    }
    t->steps = 0;
    t->slots = slots;
    snprintf(t->optimizer, sizeof t->optimizer, "%s", name);
    for (int32_t s = 0; s < slots; s++)
      if (!(t->slot[s] = thaw_new(t->count, sizeof(float)))) return THAW_ERR_MEMORY;
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ a copy */

/* NULL copies to NULL. */
static thaw_status copy_floats(const float *from, size_t count, float **to) {
  if (!from) {
    thaw_free(*to);
    *to = NULL;
    return THAW_OK;
  }
  if (!*to) *to = thaw_new(count, sizeof **to);
  if (!*to) return THAW_ERR_MEMORY;
  memcpy(*to, from, count * sizeof **to);
  return THAW_OK;
}

static thaw_status copy_tensor(const train_tensor *from, train_tensor *to) {
  train_tensor own = *to;
  *to = *from;
  to->layer = own.layer ? own.layer : thaw_copy_text(from->layer);
  to->name = own.name ? own.name : thaw_copy_text(from->name);
  to->value = own.value;
  to->best = own.best;
  to->average = own.average;
  memcpy(to->slot, own.slot, sizeof to->slot);
  if (!to->layer || !to->name) return THAW_ERR_MEMORY;
  THAW_TRY(copy_floats(from->value, from->count, &to->value));
  THAW_TRY(copy_floats(from->best, from->count, &to->best));
  THAW_TRY(copy_floats(from->average, from->count, &to->average));
  for (int s = 0; s < THAW_MAX_SLOTS; s++) THAW_TRY(copy_floats(from->slot[s], from->count, &to->slot[s]));
  return THAW_OK;
}

static thaw_status copy_strings(const thaw_strings *from, thaw_strings *to) {
  for (size_t i = to->count; i < from->count; i++) THAW_TRY(thaw_strings_add(to, from->item[i]));
  return THAW_OK;
}

static thaw_status copy_doubles(const double *from, int64_t count, double **to) {
  if (count == 0) return THAW_OK;
  *to = thaw_new((size_t)count, sizeof **to);
  if (!*to) return THAW_ERR_MEMORY;
  memcpy(*to, from, (size_t)count * sizeof **to);
  return THAW_OK;
}

/* The tensors of a run keep their places and shapes, and its lists of names only grow. */
static thaw_status copy_lists(const train_state *from, train_state *to) {
  while (to->tensors < from->tensors) {
    if (thaw_grow((void **)&to->tensor, to->tensors, &to->capacity, sizeof *to->tensor) != 0) return THAW_ERR_MEMORY;
    to->tensor[to->tensors++] = (train_tensor){0};
  }
  for (size_t i = 0; i < from->tensors; i++) THAW_TRY(copy_tensor(&from->tensor[i], &to->tensor[i]));
  THAW_TRY(copy_strings(&from->column, &to->column));
  THAW_TRY(copy_strings(&from->classes, &to->classes));
  THAW_TRY(copy_doubles(from->target, from->targets, &to->target));
  return copy_doubles(from->history, from->rows * from->columns, &to->history);
}

thaw_status train_state_copy(const train_state *from, train_state *to) {
  train_state own = *to;
  thaw_free(own.history);
  thaw_free(own.target);
  *to = *from;
  to->history = to->target = NULL;
  to->column = own.column;
  to->classes = own.classes;
  to->tensor = own.tensor;
  to->tensors = own.tensors;
  to->capacity = own.capacity;
  to->owns_values = true;
  return copy_lists(from, to);
}

/* The parameter of the graph that a tensor belongs to, or a failure that names both. */
static thaw_status find_param(thaw_graph *graph, const train_tensor *t, const char *path, thaw_param **out) {
  int32_t index = thaw_graph_find(graph, t->layer);
  if (index < 0)
    return thaw_fail(THAW_ERR_DATA, "%s: holds layer '%s', which the job's network has not", path, t->layer);
  thaw_layer *layer = &thaw_graph_node(graph, index)->layer;
  for (int32_t p = 0; p < layer->params; p++) {
    if (strcmp(layer->param[p].name, t->name) != 0) continue;
    *out = &layer->param[p];
    if (thaw_param_count(*out) == t->count) return THAW_OK;
    return thaw_fail(THAW_ERR_DATA, "%s: %s/%s has %zu values, the job's network expects %zu", path, t->layer, t->name,
                     t->count, thaw_param_count(*out));
  }
  return thaw_fail(THAW_ERR_DATA, "%s: layer '%s' has no parameter '%s' in the job's network", path, t->layer, t->name);
}

thaw_status train_state_apply(const train_state *from, thaw_graph *graph, bool part, const char *path) {
  for (size_t i = 0; i < from->tensors; i++) {
    thaw_param *param = NULL;
    if (part && thaw_graph_find(graph, from->tensor[i].layer) < 0) continue;
    THAW_TRY(find_param(graph, &from->tensor[i], path, &param));
    memcpy(param->value, from->tensor[i].value, from->tensor[i].count * sizeof(float));
  }
  return THAW_OK;
}

thaw_status train_parameters_digest(const thaw_graph *graph, char out[THAW_DIGEST_TEXT]) {
  thaw_digest *digest;
  THAW_TRY(thaw_digest_create(&digest));
  for (int32_t n = 0; n < thaw_graph_count(graph); n++) {
    const thaw_node *node = thaw_graph_view(graph, n);
    for (int32_t p = 0; p < node->layer.params && !node->frozen; p++) {
      const thaw_param *param = &node->layer.param[p];
      thaw_digest_add_text(digest, node->layer.name);
      thaw_digest_add_text(digest, param->name);
      thaw_digest_add(digest, param->value, thaw_param_count(param) * sizeof(float));
    }
  }
  thaw_digest_finish(digest, out);
  return THAW_OK;
}

bool train_state_finite(const train_state *state, const char **layer_out, const char **name_out) {
  for (size_t i = 0; i < state->tensors; i++) {
    const train_tensor *t = &state->tensor[i];
    for (size_t j = 0; j < t->count; j++)
      if (!isfinite(t->value[j])) {
        *layer_out = t->layer;
        *name_out = t->name;
        return false;
      }
  }
  return true;
}
