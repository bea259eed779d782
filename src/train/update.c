/* What follows an accepted reduction: regularisation, clipping, the optimiser, averages. Every rank computes the same
 * from the same sums. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ regularisation */

/* Keras adds l1 * sum|w| + l2 * sum w^2 to the loss. */
static void add_regularization(const thaw_param *param, float *gradient, size_t count) {
  if (param->l1 == 0 && param->l2 == 0) return;
  for (size_t i = 0; i < count; i++) {
    double w = param->value[i], sign = w > 0 ? 1 : w < 0 ? -1 : 0;
    gradient[i] = (float)(gradient[i] + param->l1 * sign + 2 * param->l2 * w);
  }
}

double train_regularization(thaw_session *session) {
  double sum = 0;
  for (int32_t t = 0; t < thaw_live_tensors(session->live); t++) {
    const char *layer;
    const thaw_param *param = thaw_live_tensor(session->live, t, &layer);
    double absolute = 0, square = 0;
    if (param->l1 == 0 && param->l2 == 0) continue;
    for (size_t i = 0; i < thaw_param_count(param); i++) {
      absolute += fabs((double)param->value[i]);
      square += (double)param->value[i] * param->value[i];
    }
    sum += param->l1 * absolute + param->l2 * square;
  }
  return sum;
}

/* ------------------------------------------------------------------ layer-wise decay of the learning rate */

/* The head has factor 1; the topmost live backbone layer has layer_decay, the one below it layer_decay^2, ... */
thaw_status train_layer_factors(train_step *step, double layer_decay) {
  const char *layer, *below = NULL;
  double factor = 1;
  step->factor = thaw_new((size_t)step->tensors, sizeof *step->factor);
  if (!step->factor) return THAW_ERR_MEMORY;
  for (int32_t t = step->tensors - 1; t >= 0; t--) {
    thaw_live_tensor(step->session->live, t, &layer);
    int32_t node = thaw_graph_find(step->session->graph, layer);
    bool head = node >= 0 && thaw_graph_view(step->session->graph, node)->head;
    if (!head && (!below || strcmp(layer, below) != 0)) factor *= layer_decay;
    if (!head) below = layer;
    step->factor[t] = head ? 1 : factor;
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ moving averages of weights
 * Keras' use_ema: after an update, average = momentum * average + (1 - momentum) * weight; after the first update of
 * an optimizer the average is the weight. Moving statistics of batch normalisation are no part of it. */

thaw_status train_averages_begin(train_state *state) {
  for (size_t i = 0; i < state->tensors; i++) {
    train_tensor *t = &state->tensor[i];
    if (!t->trainable || t->average) continue;
    t->average = thaw_new(t->count, sizeof *t->average);
    if (!t->average) return THAW_ERR_MEMORY;
    memcpy(t->average, t->value, t->count * sizeof *t->average);
  }
  return THAW_OK;
}

static void follow(train_tensor *t, double momentum) {
  float keep = t->steps > 1 ? (float)momentum : 0, take = 1 - keep;
  for (size_t i = 0; i < t->count; i++) t->average[i] = keep * t->average[i] + take * t->value[i];
}

void train_averages_swap(train_state *state) {
  for (size_t i = 0; i < state->tensors; i++) {
    train_tensor *t = &state->tensor[i];
    for (size_t j = 0; j < t->count && t->average; j++) {
      float value = t->value[j];
      t->value[j] = t->average[j];
      t->average[j] = value;
    }
  }
}

void train_averages_adopt(train_state *state, bool from_value) {
  for (size_t i = 0; i < state->tensors; i++) {
    train_tensor *t = &state->tensor[i];
    if (!t->average) continue;
    memcpy(from_value ? t->average : t->value, from_value ? t->value : t->average, t->count * sizeof(float));
  }
}

/* ------------------------------------------------------------------ the update */

static thaw_param *param_of(const train_step *step, int32_t t) {
  const char *layer;
  return thaw_live_tensor(step->session->live, t, &layer);
}

/* The gradient of the loss with its regularisation, in step->gradient. */
static float *total_gradient(train_step *step, int32_t t) {
  thaw_exact_get(step->exact, (size_t)t, step->gradient);
  add_regularization(param_of(step, t), step->gradient, step->state[t]->count);
  return step->gradient;
}

/* Over all live tensors, for the global norm; the gradients are then taken from the exact sums once more. */
static double all_squares(train_step *step) {
  double sum = 0;
  for (int32_t t = 0; t < step->tensors; t++) sum += thaw_square_sum(total_gradient(step, t), step->state[t]->count);
  return sum;
}

/* What the optimiser is given: regularised and clipped, or as the sum is, which saves a copy. */
static const float *final_gradient(train_step *step, int32_t t, const thaw_optim_common *common, double squares) {
  const thaw_param *param = param_of(step, t);
  bool clipped = common->clipnorm > 0 || common->global_clipnorm > 0 || common->clipvalue > 0;
  if (!clipped && param->l1 == 0 && param->l2 == 0) return thaw_exact_view(step->exact, (size_t)t, step->gradient);
  thaw_optim_clip(common, squares, total_gradient(step, t), step->state[t]->count);
  return step->gradient;
}

void train_update(train_step *step, const thaw_choice *optimizer) {
  const thaw_optim_ops *ops = thaw_optim_find(optimizer->schema->name);
  const thaw_optim_common *common = optimizer->config;
  double momentum = step->session->job->training.ema_momentum;
  double squares = common->global_clipnorm > 0 ? all_squares(step) : 0;
  for (int32_t t = 0; t < step->tensors; t++) {
    train_tensor *state = step->state[t];
    const float *gradient = final_gradient(step, t, common, squares);
    double rate = step->factor ? step->rate * step->factor[t] : step->rate;
    state->steps++;
    void (*update)(const void *, double, int64_t, float *, const float *, float *const *, size_t) =
        state->rank == 1 && ops->update_vector ? ops->update_vector : ops->update;
    update(optimizer->config, rate, state->steps, param_of(step, t)->value, gradient, state->slot, state->count);
    if (state->average) follow(state, momentum);
  }
  if (step->coupled) thaw_live_update_statistics(step->session->live);
}
