/* Before the first step: the run folder, the session, and the state to start from. */
#include "thaw/log.h"
#include "thaw/memory.h"
#include "train/trainer_private.h"

#include <string.h>

/* [collective] Rank 0 looks at the folder; everybody learns which checkpoint to go on from. */
static thaw_status open_folder(trainer *t, const thaw_train_options *options) {
  THAW_TRY(thaw_agree(t->comm, t->root ? train_folder_check(t->job, options, t->log, &t->folder) : THAW_OK));
  char *resume = t->folder.resume;
  size_t size = resume ? strlen(resume) : 0;
  THAW_TRY(thaw_comm_broadcast_new(t->comm, 0, &resume, &size));
  if (!t->root && size > 0)
    t->folder.resume = resume;
  else if (!t->root)
    thaw_free(resume);
  return THAW_OK;
}

static thaw_status check_digest(const char *path, const char *what, const char *there, const char *here) {
  if (strcmp(there, here) == 0) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: the run was started with %s %.12s, now they are %.12s", path, what,
                   there[0] ? there : "(none)", here[0] ? here : "(none)");
}

static thaw_status check_inputs(const train_state *from, const train_state *now, const char *path) {
  THAW_TRY(check_digest(path, "backbone weights", from->weights_digest, now->weights_digest));
  THAW_TRY(check_digest(path, "training data", from->train_digest, now->train_digest));
  THAW_TRY(check_digest(path, "validation data", from->validation_digest, now->validation_digest));
  bool same_columns = from->column.count == now->column.count;
  for (size_t i = 0; same_columns && i < now->column.count; i++)
    same_columns = strcmp(from->column.item[i], now->column.item[i]) == 0;
  return same_columns ? THAW_OK : thaw_fail(THAW_ERR_DATA, "%s: its history has other columns", path);
}

/* The values of a checkpoint move into the graph, which owns them from now on. */
static thaw_status adopt(train_state *state, thaw_graph *graph, const char *path) {
  THAW_TRY(train_state_apply(state, graph, false, path));
  for (size_t i = 0; i < state->tensors; i++) {
    train_tensor *t = &state->tensor[i];
    thaw_layer *layer = &thaw_graph_node(graph, thaw_graph_find(graph, t->layer))->layer;
    thaw_free(t->value);
    t->value = NULL;
    for (int32_t p = 0; p < layer->params; p++)
      if (strcmp(layer->param[p].name, t->name) == 0) t->value = layer->param[p].value;
  }
  state->owns_values = false;
  return THAW_OK;
}

/* [local] Replaces the fresh state by that of the checkpoint. */
static thaw_status replace_state(trainer *t, const char *bytes, size_t size) {
  const char *path = t->folder.resume;
  train_state from;
  THAW_TRY(train_checkpoint_parse(path, bytes, size, &from));
  thaw_status status = check_inputs(&from, &t->state, path);
  if (status == THAW_OK && (from.phase < 0 || from.phase > t->job->training.phase_count || from.step < 0))
    status = thaw_fail(THAW_ERR_DATA, "%s: stands in phase %lld, the job has %d", path, (long long)from.phase + 1,
                       t->job->training.phase_count);
  if (status == THAW_OK) status = adopt(&from, t->session->graph, path);
  if (status != THAW_OK) {
    train_state_clear(&from);
    return status;
  }
  /* The epoch's sums are totals: one rank carries them on. */
  if (!t->root) memset(from.sum, 0, sizeof from.sum);
  train_state_clear(&t->state);
  t->state = from;
  return THAW_OK;
}

/* [collective] */
static thaw_status resume(trainer *t) {
  char *bytes;
  size_t size;
  THAW_TRY(train_checkpoint_share(t->comm, t->folder.resume, &bytes, &size));
  thaw_status status = replace_state(t, bytes, size);
  thaw_free(bytes);
  return thaw_agree(t->comm, status);
}

/* [local] A state that has done nothing yet. */
static thaw_status fresh_state(trainer *t) {
  const thaw_session *s = t->session;
  train_state *state = &t->state;
  thaw_text key = {0};
  thaw_status status = thaw_job_echo(t->job, true, &key);
  if (status == THAW_OK) status = thaw_digest_bytes(key.data, key.length, state->job_digest);
  thaw_text_clear(&key);
  if (status != THAW_OK) return status;
  snprintf(state->weights_digest, sizeof state->weights_digest, "%s", s->weights_digest);
  snprintf(state->train_digest, sizeof state->train_digest, "%s", s->train.info->digest);
  if (s->validation.catalog)
    snprintf(state->validation_digest, sizeof state->validation_digest, "%s", s->validation.info->digest);
  state->targets = s->target ? 2 * (int64_t)s->outputs : 0;
  if (s->target && !(state->target = thaw_new((size_t)state->targets, sizeof *state->target))) return THAW_ERR_MEMORY;
  if (s->target) memcpy(state->target, s->target, (size_t)state->targets * sizeof *state->target);
  for (size_t i = 0; i < s->classes.count; i++) THAW_TRY(thaw_strings_add(&state->classes, s->classes.item[i]));
  return train_history_begin(state, s);
}

/* [local] What callbacks watch must be computed; found now rather than after the first epoch. */
static thaw_status find_monitors(trainer *t) {
  const thaw_training_config *c = &t->job->training;
  t->early_column = t->plateau_column = t->auto_column = -1;
  for (int32_t p = 0; p < c->phase_count && t->auto_column < 0; p++)
    if (thaw_phase_is_auto(&c->phases[p]))
      THAW_TRY(train_monitor_find(&t->state, c->auto_unfreeze.monitor, "training.auto_unfreeze", &t->auto_column));
  if (c->early_stopping.enabled)
    THAW_TRY(train_monitor_find(&t->state, c->early_stopping.monitor, "training.early_stopping", &t->early_column));
  if (c->reduce_lr.enabled)
    THAW_TRY(train_monitor_find(&t->state, c->reduce_lr.monitor, "training.reduce_lr", &t->plateau_column));
  t->best_monitor = c->checkpoint.monitor;
  bool validation = t->session->validation.catalog != NULL;
  if (!t->best_monitor || (!validation && strcmp(t->best_monitor, "val_loss") == 0))
    t->best_monitor = validation ? "val_loss" : "loss";
  return train_monitor_find(&t->state, t->best_monitor, "training.checkpoint", &t->best_column);
}

/* [collective] "node1 x 4, node2 x 4" on rank 0, "" elsewhere; thaw_free. */
static thaw_status list_hosts(thaw_comm *comm, thaw_text *out) {
  char *all;
  size_t *sizes;
  const char *host = thaw_comm_host(comm);
  THAW_TRY(thaw_comm_gather(comm, host, strlen(host) + 1, &all, &sizes));
  int ranks = all ? thaw_comm_size(comm) : 0, run = 0;
  const char *at = all, *last = NULL;
  for (int r = 0; r < ranks; at += sizes[r++]) {
    if (last && strcmp(last, at) != 0) {
      thaw_text_add(out, "%s x %d, ", last, run);
      run = 0;
    }
    last = at;
    run++;
  }
  if (last) thaw_text_add(out, "%s x %d", last, run);
  thaw_free(all);
  thaw_free(sizes);
  return THAW_OK;
}

/* [local] rank 0 */
static thaw_status prepare_folder(trainer *t, const char *hosts) {
  int ranks = thaw_comm_size(t->comm);
  THAW_TRY(train_folder_prepare(&t->folder, t->session, hosts, ranks));
  if (t->folder.resume) THAW_TRY(train_history_write(&t->state, t->folder.path)); /* rows after the checkpoint go */
  char members[64], *progress = thaw_path_join(t->folder.path, "progress.json");
  thaw_status status = progress ? thaw_log_mirror(t->log, progress) : THAW_ERR_MEMORY;
  thaw_free(progress);
  THAW_TRY(status);
  THAW_TRY(train_show_sampling(t->session, t->folder.path, t->log));
  if (t->job->training.tensorboard) THAW_TRY(train_tensorboard_begin(&t->state, t->folder.path));
  snprintf(members, sizeof members, "\"ranks\": %d, \"steps\": %lld", ranks, (long long)t->state.steps);
  t->begun = true;
  return train_event(t->folder.path, t->folder.resume ? "resume" : "start", members);
}

thaw_status trainer_begin(trainer *t, const thaw_train_options *options) {
  THAW_TRY(open_folder(t, options));
  thaw_session_options wanted = {.train = true,
                                 .validation = true,
                                 .labels_needed = true,
                                 .isa = options->isa,
                                 .stage = true,
                                 .leaks = options->leaks,
                                 .ahead = true,
                                 .stop = train_signals_stop,
                                 .stop_context = &t->signals};
  THAW_TRY(thaw_session_create(t->comm, t->job, &wanted, t->log, &t->session));
  thaw_status status = train_phases_check(t->session);
  if (status == THAW_OK) status = fresh_state(t);
  if (status == THAW_OK) status = find_monitors(t);
  THAW_TRY(thaw_agree(t->comm, status));
  if (t->folder.resume) THAW_TRY(resume(t));
  thaw_text hosts = {0};
  status = list_hosts(t->comm, &hosts);
  if (status == THAW_OK)
    status = thaw_agree(t->comm, t->root ? prepare_folder(t, hosts.data ? hosts.data : "") : THAW_OK);
  if (status == THAW_OK && t->folder.resume)
    thaw_info(t->log, "resuming from %s: phase %lld, epoch %lld, step %lld", t->folder.resume,
              (long long)t->state.phase + 1, (long long)t->state.epoch + 1, (long long)t->state.step);
  thaw_text_clear(&hosts);
  t->last_checkpoint = thaw_seconds();
  return status;
}
