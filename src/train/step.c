/* One step: this rank's slices forward and backward, one exact reduction, one update that is the same everywhere. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ create */

static bool joins_batch(const thaw_graph *graph) {
  for (int32_t n = 0; n < thaw_graph_count(graph); n++) {
    const thaw_node *node = thaw_graph_view(graph, n);
    if (!node->frozen && node->layer.ops->forward_sums) return true;
  }
  return false;
}

/* [local] The live tensors, their exact sums, and the state that belongs to each. */
static thaw_status bind_tensors(train_step *step, train_state *state, size_t *largest_out) {
  thaw_live *live = step->session->live;
  step->tensors = thaw_live_tensors(live);
  size_t tensors = (size_t)step->tensors, *size = thaw_new(tensors, sizeof *size);
  int32_t *exponent = step->exponent = thaw_new(tensors, sizeof *exponent);
  step->state = thaw_new(tensors, sizeof *step->state);
  thaw_status status = size && exponent && step->state ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t t = 0; t < step->tensors && status == THAW_OK; t++) {
    const char *layer;
    const thaw_param *param = thaw_live_tensor(live, t, &layer);
    step->state[t] = train_state_find(state, layer, param->name);
    if (!step->state[t])
      status = thaw_fail(THAW_ERR_INTERNAL, "live parameter %s/%s is not in the run's state", layer, param->name);
    size[t] = thaw_param_count(param);
    if (size[t] > *largest_out) *largest_out = size[t];
    if (status == THAW_OK) exponent[t] = (int32_t)step->state[t]->exponent;
  }
  if (status == THAW_OK) status = thaw_exact_create(size, tensors, &step->exact);
  if (status == THAW_OK) thaw_exact_set_exponents(step->exact, exponent);
  thaw_free(size);
  return status;
}

static int32_t larger(int32_t a, int32_t b) {
  return a > b ? a : b;
}

/* [local] Room for the sums of the widest layer that joins the batch. */
static thaw_status make_room_for_joint(train_step *step) {
  int32_t most = 0;
  for (int32_t n = 0; n < thaw_graph_count(step->session->graph); n++) {
    const thaw_layer *layer = &thaw_graph_view(step->session->graph, n)->layer;
    if (layer->ops->forward_sums) most = larger(most, layer->ops->forward_sums(layer));
    if (layer->ops->backward_sums) most = larger(most, layer->ops->backward_sums(layer));
  }
  step->joint_capacity = most;
  step->joint = thaw_new((size_t)most, sizeof *step->joint);
  return step->joint ? THAW_OK : THAW_ERR_MEMORY;
}

/* [local] What only some jobs have. */
static thaw_status make_extras(train_step *step) {
  const thaw_session *s = step->session;
  const thaw_training_config *training = &s->job->training;
  THAW_TRY(train_class_weights(s, &step->class_weight));
  if (s->job->data.samples_per_class || train_balanced(s)) {
    step->order = thaw_new((size_t)train_epoch_samples(s), sizeof *step->order);
    if (!step->order) return THAW_ERR_MEMORY;
  }
  if (step->class_weight && s->train.info->label_kind == THAW_LABEL_MULTI) {
    step->term = thaw_new((size_t)s->max_samples * (size_t)s->outputs, sizeof *step->term);
    if (!step->term) return THAW_ERR_MEMORY;
  }
  double layer_decay = step->schedule ? training->phases[s->phase].layer_decay : 1;
  if (layer_decay != 1) THAW_TRY(train_layer_factors(step, layer_decay));
  if (training->mixup == 0) return THAW_OK;
  step->mix_features = thaw_new((size_t)training->slice * s->cut.floats, sizeof *step->mix_features);
  step->mix_labels = thaw_new((size_t)training->slice * (size_t)s->outputs, sizeof *step->mix_labels);
  return step->mix_features && step->mix_labels ? THAW_OK : THAW_ERR_MEMORY;
}

thaw_status train_step_create(train_step *step, thaw_session *session, thaw_comm *comm, train_state *state) {
  *step = (train_step){.session = session, .comm = comm};
  const thaw_training_config *training = &session->job->training;
  if (session->phase >= 0 && session->phase < training->phase_count) {
    step->schedule = &training->phases[session->phase].schedule;
    step->span = train_phase_span(session, session->phase);
    step->span.thawed_at = state->thawed_epoch * step->span.epoch_steps;
  }
  thaw_epoch epoch = {.samples = train_epoch_samples(session),
                      .batch = training->batch_size * training->accumulate,
                      .slice = training->slice,
                      .parts = train_parts(session)};
  size_t rows = (size_t)session->max_samples, width = (size_t)session->outputs, largest = 1;
  size_t all = (size_t)train_share_samples(session, thaw_comm_size(comm)), slices = rows / (size_t)training->slice;
  THAW_TRY(bind_tensors(step, state, &largest));
  for (int i = 0; i < 2; i++) THAW_TRY(thaw_step_share_create(&epoch, thaw_comm_size(comm), &step->share[i]));
  step->features = thaw_new(all * session->cut.floats, sizeof *step->features);
  step->label = thaw_new(all * width, sizeof *step->label);
  step->label_row = thaw_new((size_t)session->train.info->label_width, sizeof *step->label_row);
  step->dy = thaw_new(rows * width, sizeof *step->dy);
  step->value = thaw_new(rows, sizeof *step->value);
  step->gradient = thaw_new(largest, sizeof *step->gradient);
  step->piece_start = thaw_new(slices + 1, sizeof *step->piece_start);
  THAW_TRY(train_together_create(step, &step->together));
  if (session->heads)
    THAW_TRY(thaw_heads_rows_create(session->head, session->heads, session->max_samples, true, &step->rows));
  step->coupled = joins_batch(session->graph) || step->together;
  if (step->coupled) THAW_TRY(make_room_for_joint(step));
  bool complete = step->features && step->label && step->label_row && step->dy && step->value && step->gradient &&
                  step->piece_start;
  return complete ? make_extras(step) : THAW_ERR_MEMORY;
}

void train_step_clear(train_step *step) {
  thaw_exact_destroy(step->exact);
  for (int i = 0; i < 2; i++) thaw_step_share_clear(&step->share[i]);
  thaw_free(step->exponent);
  thaw_free(step->state);
  thaw_free(step->features);
  thaw_free(step->label);
  thaw_free(step->label_row);
  thaw_free(step->dy);
  thaw_free(step->value);
  thaw_free(step->gradient);
  thaw_free(step->joint);
  thaw_free(step->piece_start);
  thaw_free(step->factor);
  thaw_free(step->class_weight);
  thaw_free(step->term);
  thaw_free(step->mix_features);
  thaw_free(step->mix_labels);
  train_together_free(step->together);
  thaw_free(step->order);
  thaw_heads_rows_clear(&step->rows);
  *step = (train_step){0};
}

/* ------------------------------------------------------------------ the hooks of the live part */

static void take_gradient(void *context, int32_t tensor, const float *value, int64_t slice) {
  train_step *step = context;
  thaw_exact_add(step->exact, (size_t)tensor, value, slice);
}

static int64_t *sums_of(void *context, int32_t tensor, double *factor_out, bool *fresh_out) {
  return thaw_exact_sums(((train_step *)context)->exact, (size_t)tensor, factor_out, fresh_out);
}

static void note_slice(void *context, int32_t tensor, int64_t slice, uint32_t largest) {
  thaw_exact_note(((train_step *)context)->exact, (size_t)tensor, slice, largest);
}

static void finish_gradients(void *context, int32_t tensor) {
  train_step *step = context;
  if (step->last_piece) thaw_exact_final(step->exact, step->comm, (size_t)tensor);
}

static void add_joint(void *context, const double *values, int32_t count) {
  train_step *step = context;
  if (count > step->joint_capacity) return; /* refused in reduce_joint */
  for (int32_t i = 0; i < count; i++)
    if (!thaw_wide_add(&step->joint[i], values[i])) step->joint_count = -1;
}

/* Totals over all slices of all ranks; NaN everywhere when a term was not finite. */
static thaw_status reduce_joint(void *context, double *totals, int32_t count) {
  train_step *step = context;
  int64_t failed = step->joint_count < 0;
  THAW_TRY(thaw_wide_reduce(step->comm, step->joint, (size_t)count, &failed));
  for (int32_t i = 0; i < count; i++) totals[i] = failed ? NAN : thaw_wide_value(&step->joint[i]);
  memset(step->joint, 0, (size_t)count * sizeof *step->joint);
  step->joint_count = 0;
  return THAW_OK;
}

/* ------------------------------------------------------------------ an epoch's data */

static void plan_share(train_step *step, int64_t index) {
  thaw_step_share_plan(&step->epoch, index, thaw_comm_rank(step->comm), thaw_comm_size(step->comm),
                       &step->share[index % 2]);
}

static thaw_status announce(train_step *step, int64_t index) {
  if (index >= thaw_epoch_steps(&step->epoch)) return THAW_OK;
  plan_share(step, index);
  const thaw_step_share *share = &step->share[index % 2];
  if (share->samples == 0) return THAW_OK;
  return thaw_features_expect(step->session->train.features, share->sample, share->samples, step->view);
}

thaw_status train_step_epoch(train_step *step, const thaw_epoch *epoch, int32_t view, int64_t first) {
  step->epoch = *epoch;
  step->epoch.parts = train_parts(step->session);
  step->view = view;
  if (step->order) {
    THAW_TRY(train_make_order(step, epoch));
    step->epoch.order = step->order;
  }
  return announce(step, first);
}

/* [local] Features and labels of step `index`; what comes next is announced first, so that it is read meanwhile. */
static thaw_status fetch(train_step *step, int64_t index) {
  const thaw_session *s = step->session;
  const thaw_step_share *share = &step->share[index % 2];
  THAW_TRY(announce(step, index + 1));
  if (share->samples == 0) return THAW_OK;
  THAW_TRY(thaw_features_read(s->train.features, share->sample, share->samples, step->view, step->features));
  if (s->heads) return THAW_OK; /* their labels are taken piece by piece */
  thaw_labels_gather(s->loss, s->train.info, s->train.labels, share->sample, share->samples, s->outputs, step->label);
  train_settle_unknown(step, share->samples, step->label);
  thaw_labels_standardize(s->target, share->samples, s->outputs, step->label);
  train_mix(step, share);
  return THAW_OK;
}

/* ------------------------------------------------------------------ forward, loss, backward */

static void count_rows(train_step *step, const thaw_share *part, const float *y) {
  const thaw_session *s = step->session;
  size_t outputs = (size_t)s->outputs;
  for (int32_t i = 0, slice = 0; i < part->samples; i++) {
    while (part->slice_start[slice + 1] <= i) slice++;
    if (!thaw_wide_add(&step->attempt[0], step->value[i]) && step->bad_slice < 0) step->bad_slice = part->slice[slice];
    thaw_label_row(s->train.labels, part->sample[i], step->label_row);
    for (int32_t m = 0; m < s->metrics; m++) {
      double value = thaw_metric_row(&s->metric[m], s->train.info->label_kind, step->label_row, y + (size_t)i * outputs,
                                     s->outputs);
      if (!thaw_wide_add(&step->attempt[1 + m], value) && step->bad_slice < 0) step->bad_slice = part->slice[slice];
    }
  }
}

/* Collective only where a layer or the loss joins the batch. A rank without samples takes part. */
static thaw_status run_piece(train_step *step, const thaw_share *part, const float *label) {
  thaw_session *s = step->session;
  thaw_live_hooks hooks = {step, take_gradient, sums_of, note_slice, add_joint, reduce_joint, finish_gradients};
  const float *y;
  THAW_TRY(thaw_live_forward(s->live, part, &hooks, &y));
  if (s->heads) return train_heads_piece(step, part, &hooks, y);
  const float *logits = thaw_live_logits(s->live);
  bool from_logits = logits && s->loss->fused == thaw_live_activation(s->live);
  if (step->together)
    THAW_TRY(train_together_evaluate(step, y, part->samples));
  else if (part->samples > 0)
    train_evaluate_loss(step, part, label, y, logits, from_logits);
  count_rows(step, part, y);
  return thaw_live_backward(s->live, part, &hooks, step->dy, from_logits);
}

/* This rank's slices of part `number` from `first` on, as many as the live part has room for. */
static thaw_share cut_piece(train_step *step, const thaw_step_share *share, int32_t number, int32_t first) {
  int32_t most = step->session->max_samples / step->session->job->training.slice;
  int32_t left = share->part_start[number + 1] - first;
  int32_t slices = left < most ? left : most;
  size_t start = (size_t)share->slice_start[first];
  for (int32_t i = 0; i <= slices; i++) step->piece_start[i] = share->slice_start[first + i] - (int32_t)start;
  return (thaw_share){.features = step->features + start * step->session->cut.floats,
                      .sample = share->sample + start,
                      .samples = step->piece_start[slices],
                      .slices = slices,
                      .slice_start = step->piece_start,
                      .slice = share->slice + first,
                      .batch = share->part_batch[number],
                      .part = number,
                      .seed = step->epoch.seed,
                      .epoch = step->epoch.epoch,
                      .training = true};
}

/* Collective as run_piece. */
static thaw_status run_part(train_step *step, const thaw_step_share *share, int32_t number) {
  size_t width = (size_t)step->session->outputs;
  int32_t first = share->part_start[number], end = share->part_start[number + 1];
  do {
    thaw_share part = cut_piece(step, share, number, first);
    step->last_piece = number + 1 == share->parts && first + part.slices >= end;
    THAW_TRY(run_piece(step, &part, step->label + (size_t)share->slice_start[first] * width));
    first += part.slices;
  } while (first < end);
  return THAW_OK;
}

/* In one piece, unless there is less room or gradients are accumulated over several batches. */
static thaw_status forward_backward(train_step *step, const thaw_step_share *share) {
  step->batch = share->batch;
  for (int32_t number = 0; number < share->parts; number++) THAW_TRY(run_part(step, share, number));
  return THAW_OK;
}

/* ------------------------------------------------------------------ what went wrong */

static thaw_status diverged(const train_step *step, const train_state *state, const char *what, int64_t slice) {
  return thaw_fail(
      THAW_ERR_RUN,
      "training diverged: %s is not finite in phase %lld, epoch %lld, step %lld, slice %lld (learning rate "
      "%g); earlier checkpoints are kept: lower the learning rate and start again",
      what, (long long)state->phase + 1, (long long)state->epoch + 1, (long long)(state->step + 1), (long long)slice,
      step->rate);
}

/* [collective] */
static thaw_status loss_diverged(train_step *step, const train_state *state) {
  int64_t lowest = step->bad_slice >= 0 ? -step->bad_slice : INT64_MIN;
  THAW_TRY(thaw_comm_max_int(step->comm, &lowest, 1));
  return diverged(step, state, "the loss", -lowest);
}

static thaw_status gradient_diverged(train_step *step, const train_state *state, size_t tensor, int64_t slice) {
  char *what = thaw_format("the gradient of %s/%s", step->state[tensor]->layer, step->state[tensor]->name);
  thaw_status status = diverged(step, state, what ? what : "a gradient", slice);
  thaw_free(what);
  return status;
}

/* ------------------------------------------------------------------ the step's books */

double train_step_rate(const train_step *step, const train_state *state, int64_t index) {
  if (!step->schedule) return state->rate;
  return thaw_schedule_rate(step->schedule, &step->span, state->rate, state->epoch * step->span.epoch_steps + index);
}

/* The regularisation belongs to the batch's loss; it is the same on every rank, so one of them adds it. */
static void accept_sums(train_step *step, train_state *state, int64_t batch, double regularization) {
  bool finite = true;
  for (int32_t i = 0; i <= step->session->metrics; i++) {
    for (int limb = 0; limb < 3; limb++) state->sum[i].limb[limb] += step->attempt[i].limb[limb];
    finite &= thaw_wide_add(&state->sum[i], 0); /* carries */
  }
  if (regularization != 0 && thaw_comm_rank(step->comm) == 0)
    finite &= thaw_wide_add(&state->sum[0], regularization * (double)batch);
  (void)finite; /* a regularisation beyond 2^50 shows itself in the gradient */
  state->seen += batch;
}

/* ------------------------------------------------------------------ the step */

/* [collective] One attempt: the sums of all ranks and the verdict. */
static thaw_status attempt(train_step *step, const train_state *state, int64_t index, thaw_status mine,
                           int64_t flags[THAW_EXACT_FLAGS], thaw_verdict *verdict) {
  const thaw_step_share *share = &step->share[index % 2];
  size_t tensor = 0;
  int64_t slice = 0;
  memset(step->attempt, 0, sizeof step->attempt);
  step->bad_slice = -1;
  thaw_exact_get_exponents(step->exact, step->exponent);
  thaw_exact_begin(step->exact, share->slices_global);
  if (mine == THAW_OK) mine = forward_backward(step, share);
  flags[STEP_FAILED] = mine != THAW_OK;
  flags[STEP_LOSS] = step->bad_slice >= 0;
  THAW_TRY(thaw_exact_reduce(step->exact, step->comm, flags, verdict, &tensor, &slice));
  if (flags[STEP_FAILED]) { /* or stopped before its images were there: as if the step had never begun */
    thaw_exact_set_exponents(step->exact, step->exponent);
    return thaw_agree(step->comm, mine);
  }
  if (flags[STEP_LOSS]) return loss_diverged(step, state);
  return *verdict == THAW_EXACT_NOT_FINITE ? gradient_diverged(step, state, tensor, slice) : THAW_OK;
}

thaw_status train_step_run(train_step *step, train_state *state, const thaw_choice *optimizer, int64_t index,
                           int64_t flags[THAW_EXACT_FLAGS]) {
  return train_step_apply(step, state, optimizer, index, fetch(step, index), flags);
}

thaw_status train_step_apply(train_step *step, train_state *state, const thaw_choice *optimizer, int64_t index,
                             thaw_status fetched, int64_t flags[THAW_EXACT_FLAGS]) {
  enum { MOST_ATTEMPTS = 4 };
  int64_t wish[THAW_EXACT_FLAGS];
  memcpy(wish, flags, sizeof wish);
  step->index = index;
  step->rate = train_step_rate(step, state, index);
  if (step->coupled) THAW_TRY(thaw_agree(step->comm, fetched)); /* nobody may be missing in the joint sums */
  thaw_verdict verdict = THAW_EXACT_AGAIN;
  for (int i = 0; i < MOST_ATTEMPTS && verdict == THAW_EXACT_AGAIN; i++) {
    memcpy(flags, wish, sizeof wish);
    THAW_TRY(attempt(step, state, index, fetched, flags, &verdict));
  }
  if (verdict != THAW_EXACT_DONE) return thaw_fail(THAW_ERR_INTERNAL, "no scale fits the gradients of this step");
  accept_sums(step, state, step->share[index % 2].batch, train_regularization(step->session));
  train_update(step, optimizer);
  return THAW_OK;
}
