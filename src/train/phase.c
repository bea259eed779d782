/* Entering a phase: the boundary between constant and live moves, and everything that hangs on it is made anew. */
#include "thaw/digest.h"
#include "thaw/memory.h"
#include "thaw/train.h"
#include "train/train_private.h"

#include <string.h>

/* Images per plan run: enough to keep the kernels busy, small enough for memory; of large images, fewer. */
static int32_t images_in_flight(const thaw_session *s) {
  enum { MOST = 8, PIXELS = 1 << 20 };
  int64_t fit = PIXELS / ((int64_t)s->input.h * s->input.w + 1);
  return fit < 1 ? 1 : fit > MOST ? MOST : (int32_t)fit;
}

void thaw_session_leave_phase(thaw_session *s) {
  thaw_session_data *data[] = {&s->train, &s->validation, &s->test};
  for (int i = 0; i < 3; i++) {
    thaw_features_close(data[i]->features);
    data[i]->features = NULL;
  }
  thaw_live_destroy(s->live);
  thaw_plan_destroy(s->plan);
  if (s->packed) thaw_shared_destroy(s->packed);
  thaw_cut_clear(&s->cut);
  train_later_clear(s);
  s->live = NULL;
  s->plan = NULL;
  s->packed = NULL;
  s->phase = -1;
}

/* Blocks that `unfreeze: auto` thawed. */
static void mark_auto(thaw_session *s, bool train_batch_norm) {
  for (int32_t b = 0; b < s->auto_blocks; b++)
    if (!thaw_graph_unfreeze_next(s->graph, train_batch_norm, NULL)) return;
}

static thaw_status mark_phase(thaw_session *s, const thaw_phase_config *config, bool train_batch_norm) {
  if (thaw_phase_is_auto(config))
    mark_auto(s, train_batch_norm);
  else
    THAW_TRY(thaw_graph_unfreeze_more(s->graph, config->unfreeze.item, config->unfreeze.count, train_batch_norm));
  return thaw_graph_refreeze(s->graph, config->refreeze.item, config->refreeze.count);
}

/* Layers stay live until they are frozen again: phase p follows from the words of phases 0..p. */
thaw_status train_mark_live(thaw_session *s, int32_t phase) {
  const thaw_training_config *training = &s->job->training;
  int32_t count = phase < training->phase_count ? phase + 1 : training->phase_count;
  bool train_batch_norm = false;
  for (int32_t p = 0; p < count; p++) train_batch_norm |= training->phases[p].train_batch_norm;
  THAW_TRY(thaw_graph_unfreeze(s->graph, NULL, 0, false));
  for (int32_t p = 0; p < count; p++) {
    thaw_status status = mark_phase(s, &training->phases[p], train_batch_norm);
    if (status != THAW_OK)
      return thaw_fail_in(status, "%s:%d: training.phases[%d]: ", s->job->path, training->phases[p].line, p);
  }
  return THAW_OK;
}

static bool same_words(const thaw_text_list *a, const thaw_text_list *b) {
  bool same = a->count == b->count;
  for (int32_t i = 0; same && i < a->count; i++) same = strcmp(a->item[i], b->item[i]) == 0;
  return same;
}

static void remember_live(const thaw_session *s, bool *live) {
  for (int32_t n = 0; n < thaw_graph_count(s->graph); n++) live[n] = !thaw_graph_view(s->graph, n)->frozen;
}

/* Words of its own that leave everything as the phase before had it are a mistake; inherited ones are not. */
static thaw_status check_change(thaw_session *s, int32_t phase, const bool *before) {
  const thaw_phase_config *now = &s->job->training.phases[phase], *last = phase ? now - 1 : NULL;
  bool own = !(last && same_words(&now->unfreeze, &last->unfreeze)) && now->unfreeze.count, changed = false;
  bool none = now->unfreeze.count == 1 && strcmp(now->unfreeze.item[0], "none") == 0, any_live = false;
  for (int32_t n = 0; n < thaw_graph_count(s->graph); n++) {
    const thaw_node *node = thaw_graph_view(s->graph, n);
    changed |= before[n] == node->frozen;
    any_live |= !node->head && !node->frozen;
  }
  if (thaw_phase_is_auto(now)) changed = thaw_graph_unfreeze_next(s->graph, now->train_batch_norm, NULL);
  if (changed || (none && !any_live) || (!own && !now->refreeze.count)) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "%s:%d: training.phases[%d]: %s '%s%s' changes nothing: %s", s->job->path, now->line,
                   phase, now->refreeze.count ? "refreeze" : "unfreeze",
                   now->refreeze.count ? now->refreeze.item[0] : now->unfreeze.item[0],
                   (now->refreeze.count ? now->refreeze.count : now->unfreeze.count) > 1 ? ", ..." : "",
                   none ? "what is live stays so (refreeze freezes again)"
                        : "the phase before has the same live layers");
}

thaw_span train_phase_span(const thaw_session *s, int32_t phase) {
  const thaw_training_config *training = &s->job->training;
  thaw_epoch epoch = {.samples = train_epoch_samples(s), .batch = training->batch_size * training->accumulate};
  int64_t steps = thaw_epoch_steps(&epoch);
  return (thaw_span){.epoch_steps = steps, .steps = steps * training->phases[phase].epochs};
}

static thaw_status check_optimizer(const thaw_session *s, int32_t phase) {
  const thaw_choice *schedule = &s->job->training.phases[phase].schedule;
  const thaw_choice *optimizer = &s->job->training.phases[phase].optimizer;
  thaw_status fit = thaw_optim_check(optimizer);
  if (fit != THAW_OK)
    return thaw_fail_in(fit, "%s:%d: training.phases[%d].optimizer: ", s->job->path, optimizer->line, phase);
  thaw_span span = train_phase_span(s, phase);
  thaw_status status = thaw_schedule_check(schedule, &span);
  if (status == THAW_OK) return status;
  return thaw_fail_in(status, "%s:%d: training.phases[%d].schedule: ", s->job->path, schedule->line, phase);
}

static thaw_status check_phases(thaw_session *s, bool *live) {
  THAW_TRY(thaw_graph_unfreeze(s->graph, NULL, 0, false));
  for (int32_t p = 0; p < s->job->training.phase_count; p++) {
    remember_live(s, live);
    THAW_TRY(train_mark_live(s, p));
    THAW_TRY(check_optimizer(s, p));
    THAW_TRY(train_samples_check(s));
    THAW_TRY(check_change(s, p, live));
  }
  return train_mark_live(s, 0);
}

thaw_status train_phases_check(thaw_session *s) {
  bool *live = thaw_new((size_t)thaw_graph_count(s->graph), sizeof *live);
  if (!live) return THAW_ERR_MEMORY;
  thaw_status status = check_phases(s, live);
  thaw_free(live);
  if (status != THAW_OK) return status;
  /* The first phase is marked now; the head is live in all of them. */
  if (thaw_graph_param_count(s->graph, true) > 0) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "%s: nothing to train: the head has no layer with parameters", s->job->path);
}

thaw_status train_name_cut(const thaw_session *s, const thaw_cut *cut, thaw_text *out) {
  for (int32_t i = 0; i < cut->count; i++)
    thaw_text_add(out, "%s%s", i ? "+" : "", thaw_graph_view(s->graph, cut->node[i])->layer.name);
  return out->failed ? THAW_ERR_MEMORY : THAW_OK;
}

/* A network from a file is not known by its name: what its layers are and read counts, too. */
static thaw_status add_options(thaw_digest *digest, const thaw_graph *graph, int32_t index) {
  const thaw_node *node = thaw_graph_view(graph, index);
  thaw_text json = {0};
  thaw_text_add(&json, "%s", node->layer.ops->schema->name);
  for (int32_t i = 0; i < node->layer.inputs; i++) thaw_text_add(&json, " %d", node->input[i]);
  if (node->layer.ops->keras_config) node->layer.ops->keras_config(&node->layer, &json);
  thaw_status status = json.failed ? THAW_ERR_MEMORY : THAW_OK;
  if (status == THAW_OK) thaw_digest_add_text(digest, json.data);
  thaw_text_clear(&json);
  return status;
}

thaw_status train_digest_constant(const thaw_session *s, const thaw_cut *cut, char out[THAW_DIGEST_TEXT]) {
  thaw_digest *digest;
  THAW_TRY(thaw_digest_create(&digest));
  thaw_digest_add_text(digest, s->architecture->name);
  thaw_status status = THAW_OK;
  for (int32_t n = 0; n < thaw_graph_count(s->graph) && status == THAW_OK; n++) {
    if (!cut->constant[n]) continue;
    const thaw_layer *layer = &thaw_graph_view(s->graph, n)->layer;
    thaw_digest_add_text(digest, layer->name);
    if (s->job->backbone.file) status = add_options(digest, s->graph, n);
    for (int32_t p = 0; p < layer->params; p++)
      thaw_digest_add(digest, layer->param[p].value, thaw_param_count(&layer->param[p]) * sizeof(float));
  }
  thaw_digest_finish(digest, out);
  return status;
}

bool train_cut_is_input(const thaw_cut *cut) {
  return cut->count == 1 && cut->node[0] == 0;
}

thaw_status train_compile(const thaw_session *s, const int32_t *output, int32_t outputs, thaw_plan **out) {
  thaw_plan_options options = {.batch = images_in_flight(s), .threads = s->job->training.threads};
  return thaw_plan_create(s->graph, output, outputs, s->isa, &options, out);
}

/* [local] */
static thaw_status compile_plan(thaw_session *s, int32_t phase) {
  if (train_cut_is_input(&s->cut)) return THAW_OK;
  THAW_TRY(train_later_find(s, phase));
  return train_compile(s, s->output, s->outputs_of_plan, &s->plan);
}

/* [local] */
static thaw_status make_live(thaw_session *s, bool measure_only) {
  const thaw_training_config *training = &s->job->training;
  thaw_live_options options = {.max_samples = s->share_samples,
                               .slice = training->slice,
                               .limit = s->loss->evaluate_batch ? 0 : THAW_LIVE_LIMIT,
                               .measure_only = measure_only,
                               .parts = train_parts(s),
                               .fuse = true,
                               .recompute = training->recompute};
  THAW_TRY(thaw_live_create_within(s->graph, &s->cut, s->isa, &options, &s->live));
  s->max_samples = thaw_live_samples(s->live);
  return THAW_OK;
}

/* [collective] */
static thaw_status make_plan(thaw_session *s, thaw_comm *comm, int32_t phase) {
  THAW_TRY(thaw_agree(comm, compile_plan(s, phase)));
  if (!s->plan) return THAW_OK;
  THAW_TRY(thaw_shared_create(comm, thaw_plan_packed_bytes(s->plan), &s->packed));
  thaw_status packed = THAW_OK;
  if (thaw_shared_must_fill(s->packed)) packed = thaw_plan_pack(s->plan, thaw_shared_data(s->packed));
  THAW_TRY(thaw_agree(comm, packed));
  THAW_TRY(thaw_shared_publish(s->packed));
  thaw_plan_use(s->plan, thaw_shared_data(s->packed));
  return THAW_OK;
}

/* [collective] Training data come first: they tell how many later cuts have room, for all data. */
static thaw_status open_data_features(thaw_session *s, thaw_comm *comm, thaw_features_desc *desc, thaw_log *log) {
  const thaw_augment_config *augment = &s->job->data.augment;
  thaw_session_data *data[] = {&s->train, &s->validation, &s->test};
  int64_t more = 0;
  for (int i = 1; i < 3; i++) more += data[i]->catalog ? data[i]->info->count : 0;
  for (int i = 0; i < 3; i++) {
    if (!data[i]->catalog) continue;
    desc->catalog = data[i]->whole ? data[i]->whole : data[i]->catalog;
    THAW_TRY(thaw_features_open(comm, desc, log, &data[i]->features));
    if (data[i]->whole) thaw_features_select(data[i]->features, thaw_catalog_selection(data[i]->catalog));
    if (i == 0)
      THAW_TRY(thaw_features_limit_later(data[i]->features, comm, augment->enabled ? augment->views : 1, more, log,
                                         &desc->later_count));
  }
  return THAW_OK;
}

/* [collective] */
static thaw_status open_features(thaw_session *s, thaw_comm *comm, thaw_log *log) {
  thaw_text name = {0};
  char digest[THAW_DIGEST_TEXT];
  thaw_status status = train_name_cut(s, &s->cut, &name);
  if (status == THAW_OK) status = train_digest_constant(s, &s->cut, digest);
  status = thaw_agree(comm, status);
  thaw_features_desc desc = {.input = &s->input,
                             .plan = s->plan,
                             .cut_name = name.data,
                             .floats = s->cut.floats,
                             .weights_digest = digest,
                             .cache = &s->job->cache,
                             .cache_folder = s->job->cache.folder,
                             .batch = images_in_flight(s),
                             .later = s->later,
                             .later_count = s->later_count};
  if (status == THAW_OK) status = open_data_features(s, comm, &desc, log);
  thaw_text_clear(&name);
  return status;
}

/* [local] */
static thaw_status move_cut(thaw_session *s, int32_t phase) {
  THAW_TRY(train_mark_live(s, phase));
  return thaw_graph_cut(s->graph, &s->cut);
}

static thaw_status enter(thaw_session *s, thaw_comm *comm, int32_t phase, thaw_log *log) {
  THAW_TRY(thaw_agree(comm, move_cut(s, phase)));
  THAW_TRY(make_plan(s, comm, phase));
  THAW_TRY(open_features(s, comm, log));
  return thaw_agree(comm, make_live(s, false));
}

thaw_status thaw_session_phase(thaw_session *s, thaw_comm *comm, int32_t phase, thaw_log *log) {
  thaw_session_leave_phase(s);
  thaw_status status = enter(s, comm, phase, log);
  if (status != THAW_OK)
    thaw_session_leave_phase(s);
  else
    s->phase = phase;
  return status;
}

/* ------------------------------------------------------------------ the same without doing it */

static void count_flops(const thaw_session *s, thaw_estimate *out) {
  for (int32_t n = 0; n < thaw_graph_count(s->graph); n++) {
    const thaw_layer *layer = &thaw_graph_view(s->graph, n)->layer;
    double flops = layer->ops->flops ? layer->ops->flops(layer) : 0;
    *(s->cut.constant[n] ? &out->frozen_flops : &out->live_flops) += flops;
  }
}

static thaw_status measure_live(const thaw_session *s, int32_t phase, thaw_estimate *out) {
  int32_t tensors = thaw_live_tensors(s->live);
  size_t *size = thaw_new((size_t)tensors, sizeof *size);
  if (!size) return THAW_ERR_MEMORY;
  for (int32_t t = 0; t < tensors; t++) {
    size[t] = thaw_param_count(thaw_live_tensor(s->live, t, NULL));
    out->trainable += (int64_t)size[t];
  }
  thaw_exact *exact = NULL;
  thaw_status status = thaw_exact_create(size, (size_t)tensors, &exact);
  if (status == THAW_OK) out->reduced_bytes = thaw_exact_bytes(exact);
  thaw_exact_destroy(exact);
  thaw_free(size);
  const thaw_choice *optimizer = &s->job->training.phases[phase].optimizer;
  int32_t slots = thaw_optim_find(optimizer->schema->name)->slots(optimizer->config);
  out->optimizer_bytes = (size_t)slots * (size_t)out->trainable * sizeof(float);
  out->live_bytes = thaw_live_bytes(s->live);
  return status;
}

static thaw_status estimate(thaw_session *s, int32_t phase, thaw_estimate *out) {
  THAW_TRY(move_cut(s, phase));
  THAW_TRY(compile_plan(s, phase));
  THAW_TRY(make_live(s, true));
  out->images_in_flight = images_in_flight(s);
  out->cut_floats = s->cut.floats;
  for (int32_t i = 0; i < s->later_count; i++) out->later_floats += s->later[i].floats;
  out->parameter_bytes = (size_t)thaw_graph_param_count(s->graph, false) * sizeof(float);
  if (s->plan) {
    out->packed_bytes = thaw_plan_packed_bytes(s->plan);
    out->activation_bytes = thaw_plan_activation_bytes(s->plan);
    out->lower_bound_bytes = thaw_plan_lower_bound_bytes(s->plan);
  }
  count_flops(s, out);
  return measure_live(s, phase, out);
}

thaw_status thaw_session_estimate(thaw_session *s, int32_t phase, thaw_estimate *out) {
  *out = (thaw_estimate){0};
  thaw_session_leave_phase(s);
  thaw_status status = estimate(s, phase, out);
  thaw_session_leave_phase(s);
  return status;
}
