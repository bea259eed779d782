/* The loop: phases, epochs, steps, and what happens after each. Every decision is made from numbers that are the same
 * on all ranks; rank 0 alone writes. */
#include "thaw/log.h"
#include "thaw/memory.h"
#include "train/trainer_private.h"

#include <math.h>
#include <string.h>

static const thaw_phase_config *phase_config(const trainer *t) {
  return &t->job->training.phases[t->state.phase];
}

/* ------------------------------------------------------------------ phases */

static thaw_status show_summary(trainer *t) {
  thaw_text text = {0};
  char title[160], name[48] = "summary.txt";
  snprintf(title, sizeof title, "%.64s: %s, phase %lld of %d", t->job->name, t->session->architecture->title,
           (long long)t->state.phase + 1, t->job->training.phase_count);
  if (t->state.phase > 0) snprintf(name, sizeof name, "summary-phase-%lld.txt", (long long)t->state.phase + 1);
  thaw_graph_summary(t->session->graph, title, &text);
  char *path = thaw_path_join(t->folder.path, name);
  thaw_status status = path && !text.failed ? thaw_file_write(path, text.data, text.length) : THAW_ERR_MEMORY;
  if (status == THAW_OK) thaw_info(t->log, "%s", text.data);
  thaw_free(path);
  thaw_text_clear(&text);
  return status;
}

/* [local] What a phase starts with: its own learning rate and fresh callbacks. */
static void begin_phase(trainer *t) {
  t->state.rate = thaw_optim_learning_rate(phase_config(t)->optimizer.config);
  t->state.early = t->state.plateau = (train_monitor){0};
  for (size_t i = 0; i < t->state.tensors; i++) {
    thaw_free(t->state.tensor[i].best);
    t->state.tensor[i].best = NULL;
  }
}

/* [local] */
static thaw_status make_step(trainer *t, bool fresh) {
  THAW_TRY(train_state_add_live(&t->state, t->session->graph));
  if (fresh && thaw_phase_is_auto(phase_config(t))) THAW_TRY(trainer_begin_auto(t));
  THAW_TRY(train_state_fit_slots(&t->state, &phase_config(t)->optimizer));
  if (t->job->training.ema_momentum > 0) THAW_TRY(train_averages_begin(&t->state));
  return train_step_create(&t->step, t->session, t->comm, &t->state);
}

/* Computing features can take hours: a signal ends that too. */
static void let_signals_stop(trainer *t, thaw_session_data *data) {
  if (data->features) thaw_features_set_stop(data->features, train_signals_stop, &t->signals);
}

/* [collective] */
static thaw_status enter_phase(trainer *t) {
  t->session->auto_blocks = (int32_t)t->state.thawed;
  THAW_TRY(thaw_session_phase(t->session, t->comm, (int32_t)t->state.phase, t->log));
  let_signals_stop(t, &t->session->train);
  let_signals_stop(t, &t->session->validation);
  bool fresh = t->state.epoch == 0 && t->state.step == 0;
  if (fresh) begin_phase(t);
  THAW_TRY(thaw_agree(t->comm, make_step(t, fresh)));
  THAW_TRY(thaw_exact_connect(t->step.exact, t->comm));
  char bytes[32];
  thaw_verbose(t->log, "each step reduces %s", thaw_format_bytes((double)thaw_exact_bytes(t->step.exact), bytes));
  return thaw_agree(t->comm, t->root ? show_summary(t) : THAW_OK);
}

static void restore_best(trainer *t) {
  for (size_t i = 0; i < t->state.tensors; i++) {
    train_tensor *tensor = &t->state.tensor[i];
    if (tensor->best) memcpy(tensor->value, tensor->best, tensor->count * sizeof(float));
  }
}

static void go_back_to_best(trainer *t) {
  restore_best(t);
  train_averages_adopt(&t->state, true);
}

/* [collective] The next block of a phase with `unfreeze: auto`, from the best parameters so far; the phase's last epoch
 * is over when there is none. */
static thaw_status thaw_next_block(trainer *t) {
  char block[64];
  t->thaw_next = false;
  if (t->state.epoch >= phase_config(t)->epochs) return THAW_OK; /* nothing would be trained */
  bool left = thaw_graph_unfreeze_next(t->session->graph, phase_config(t)->train_batch_norm, block);
  if (!left) {
    t->state.stop_phase = 1;
    return THAW_OK;
  }
  go_back_to_best(t);
  trainer_keep_exponents(t);
  train_step_clear(&t->step);
  t->state.thawed++;
  t->state.thawed_epoch = t->state.epoch;
  t->state.early.wait = 0;
  thaw_info(t->log, "%s has not improved on %.6g: thawing %s", t->job->training.auto_unfreeze.monitor,
            t->state.early.best, block);
  THAW_TRY(enter_phase(t));
  return thaw_agree(t->comm, trainer_keep_values(t, false));
}

/* [local] */
static thaw_status leave_phase(trainer *t) {
  const thaw_early_stopping_config *early = &t->job->training.early_stopping;
  bool is_auto = thaw_phase_is_auto(phase_config(t));
  if (is_auto || (early->enabled && early->restore_best_weights)) go_back_to_best(t);
  train_averages_adopt(&t->state, false); /* as Keras does at the end of a fit */
  trainer_keep_exponents(t);
  train_step_clear(&t->step);
  if (is_auto) {
    t->state.thawed = t->state.thawed_best;
    t->session->auto_blocks = (int32_t)t->state.thawed;
    THAW_TRY(train_mark_live(t->session, (int32_t)t->state.phase));
  }
  t->state.phase++;
  t->state.epoch = t->state.step = t->state.thawed_epoch = 0;
  t->state.stop_phase = 0;
  return THAW_OK;
}

/* ------------------------------------------------------------------ the steps of an epoch */

static void show_progress(trainer *t, int64_t index) {
  if (!t->log) return;
  char note[64];
  double loss = thaw_wide_value(&t->state.sum[0]) / (double)(t->shown_samples > 0 ? t->shown_samples : 1);
  snprintf(note, sizeof note, "loss %.4f", loss);
  int64_t done = (index + 1) * t->step.epoch.batch;
  thaw_progress_update(t->log, done < t->step.epoch.samples ? done : t->step.epoch.samples, note);
}

/* What rank 0 tells the others in flags[STEP_CHECKPOINT]. */
enum { SAVE_NOW = 1, SAVE_FAILED = 2 };

/* [local] rank 0. While files are being written no further ones are due. */
static int64_t save_wish(trainer *t) {
  if (trainer_write_failed(t)) return SAVE_FAILED;
  double minutes = t->job->training.checkpoint.every_minutes;
  bool due = minutes > 0 && thaw_seconds() - t->last_checkpoint >= 60 * minutes;
  return due && !(t->writer && train_writer_busy(t->writer)) ? SAVE_NOW : 0;
}

/* [collective] */
static thaw_status run_steps(trainer *t) {
  int64_t steps = thaw_epoch_steps(&t->step.epoch);
  while (t->state.step < steps) {
    const char *reason = train_signals_reason(&t->signals);
    int64_t flags[THAW_EXACT_FLAGS] = {[STEP_STOP] = reason != NULL, [STEP_CHECKPOINT] = t->root ? save_wish(t) : 0};
    int64_t index = t->state.step;
    thaw_status status = train_step_run(&t->step, &t->state, &phase_config(t)->optimizer, index, flags);
    if (status == THAW_STOPPED) return trainer_stop(t, reason ? reason : train_signals_reason(&t->signals));
    THAW_TRY(status);
    t->shown_samples += t->step.share[index % 2].samples;
    t->state.step++;
    t->state.steps++;
    show_progress(t, index);
    if (flags[STEP_CHECKPOINT] == SAVE_FAILED) return trainer_write_failure(t);
    if (flags[STEP_STOP]) return trainer_stop(t, reason);
    if (flags[STEP_CHECKPOINT] == SAVE_NOW) THAW_TRY(trainer_save(t, true, false));
  }
  return THAW_OK;
}

/* [local] rank 0: how long each of the first ranks waited. */
static thaw_status note_waiting(const trainer *t, const double *waited, int size, int slowest, double seconds) {
  const int most = 1024;
  thaw_text members = {0};
  thaw_text_add(&members, "\"epoch\": %lld, \"seconds\": %.3f, \"slowest\": %d, \"slowest_host\": ",
                (long long)t->state.epochs + 1, seconds, slowest);
  thaw_text_add_json(&members, thaw_comm_host_of(t->comm, slowest));
  thaw_text_add(&members, ", \"waited\": [");
  for (int rank = 0; rank < size && rank < most; rank++)
    thaw_text_add(&members, "%s%.3f", rank ? ", " : "", waited[rank]);
  thaw_text_add(&members, "]");
  thaw_status status = members.failed ? THAW_ERR_MEMORY : train_event(t->folder.path, "waiting", members.data);
  thaw_text_clear(&members);
  return status;
}

/* [collective] Who made the others wait: the rank that itself waited least in MPI calls since `before`. */
static thaw_status show_waiting(trainer *t, double before) {
  const double worth_saying = 0.2, seconds = thaw_seconds() - t->epoch_started;
  int size = thaw_comm_size(t->comm), slowest = 0;
  if (size == 1) return THAW_OK;
  double *waited = thaw_new((size_t)size, sizeof *waited), sum = 0, most = 0;
  THAW_TRY(thaw_agree(t->comm, waited ? THAW_OK : THAW_ERR_MEMORY));
  waited[thaw_comm_rank(t->comm)] = thaw_comm_waited(t->comm) - before;
  thaw_status status = thaw_comm_max_double(t->comm, waited, (size_t)size);
  for (int rank = 0; rank < size; rank++) {
    sum += waited[rank];
    if (waited[rank] < waited[slowest]) slowest = rank;
    if (waited[rank] > most) most = waited[rank];
  }
  if (status == THAW_OK)
    thaw_verbose(t->log, "waiting: slowest rank %d (%s), waited %.2f s; mean %.2f s, most %.2f s", slowest,
                 thaw_comm_host_of(t->comm, slowest), waited[slowest], sum / size, most);
  double for_it = (sum - waited[slowest]) / (size - 1) - waited[slowest];
  if (status == THAW_OK && seconds > 10 && for_it > worth_saying * seconds)
    thaw_info(t->log, "rank %d (%s) is slow: the others waited for it %.0f %% of the epoch", slowest,
              thaw_comm_host_of(t->comm, slowest), 100 * for_it / seconds);
  if (status == THAW_OK)
    status = thaw_agree(t->comm, t->root ? note_waiting(t, waited, size, slowest, seconds) : THAW_OK);
  thaw_free(waited);
  return status;
}

/* [collective] */
static thaw_status train_epoch(trainer *t) {
  const thaw_training_config *training = &t->job->training;
  const thaw_data_config *data = &t->job->data;
  const thaw_augment_config *augment = &data->augment;
  thaw_epoch epoch = {.seed = (uint64_t)t->job->seed,
                      .epoch = (uint32_t)t->state.epochs,
                      .samples = train_epoch_samples(t->session),
                      .batch = training->batch_size * training->accumulate,
                      .slice = training->slice,
                      .shuffle = true,
                      .chunk = data->shuffle ? data->shuffle_chunk : 0,
                      .window = data->shuffle_window};
  int32_t view = augment->enabled ? (int32_t)(t->state.epochs % (augment->views > 0 ? augment->views : 1)) : -1;
  t->epoch_started = thaw_seconds();
  thaw_status filled = thaw_features_fill(t->session->train.features, t->comm, view, t->log);
  if (filled == THAW_STOPPED) return trainer_stop(t, train_signals_reason(&t->signals));
  THAW_TRY(filled);
  THAW_TRY(thaw_agree(t->comm, train_step_epoch(&t->step, &epoch, view, t->state.step)));
  thaw_features_stats before = thaw_features_statistics(t->session->train.features);
  char title[64], note[64] = "";
  snprintf(title, sizeof title, "epoch %lld/%d", (long long)t->state.epoch + 1, phase_config(t)->epochs);
  thaw_progress_begin(t->log, title, "samples", epoch.samples);
  t->epoch_started = thaw_seconds();
  t->shown_samples = 0;
  double waited = thaw_comm_waited(t->comm);
  thaw_status status = run_steps(t);
  thaw_features_stats after = thaw_features_statistics(t->session->train.features);
  if (after.computed > before.computed) /* without the cache the epoch reads images */
    snprintf(note, sizeof note, "waited %.2f s for images", after.stall_seconds - before.stall_seconds);
  thaw_progress_end(t->log, note);
  return status == THAW_OK ? show_waiting(t, waited) : status;
}

/* ------------------------------------------------------------------ after an epoch */

/* Samples of the epoch that know the labels of a head's metric. */
static double known_of_head(const trainer *t, int32_t metric) {
  const thaw_session *s = t->session;
  int64_t missing = s->train.info->count - thaw_heads_metric_count(&s->metric[metric], s->train.head);
  return (double)(t->state.seen - missing);
}

/* [collective] Means over the epoch, then those of the validation data: the row from column "loss" on. */
static thaw_status measure(trainer *t, double *row) {
  thaw_wide sum[1 + THAW_MAX_METRICS];
  int64_t failed = 0;
  int32_t metrics = t->session->metrics;
  memcpy(sum, t->state.sum, sizeof sum);
  THAW_TRY(thaw_wide_reduce(t->comm, sum, (size_t)(1 + metrics), &failed));
  int64_t at = train_history_column(&t->state, "loss");
  /* Rows without a known label have a loss of 0 and no part in the metrics. */
  const thaw_session_data *train = &t->session->train;
  double known = (double)t->state.seen - (double)(train->info->count - thaw_labels_known(train->info, train->labels));
  for (int32_t i = 0; i <= metrics; i++) {
    if (i && train->head) known = known_of_head(t, i - 1);
    row[at++] = thaw_wide_value(&sum[i]) / (i ? known : (double)t->state.seen);
  }
  if (!t->session->validation.catalog) return THAW_OK;
  thaw_evaluation evaluation;
  thaw_status status =
      thaw_session_evaluate(t->session, t->comm, &t->session->validation, NULL, false, t->log, &evaluation);
  if (status == THAW_STOPPED) {
    if (t->job->training.ema_momentum > 0)
      train_averages_swap(&t->state); /* the checkpoint has the values themselves */
    return trainer_stop(t, train_signals_reason(&t->signals));
  }
  THAW_TRY(status);
  row[at++] = evaluation.loss;
  for (int32_t m = 0; m < metrics; m++) row[at++] = evaluation.metric[m];
  thaw_evaluation_clear(&evaluation);
  return THAW_OK;
}

static thaw_status check_row(const trainer *t, const double *row) {
  for (int64_t c = 0; c < t->state.columns; c++)
    if (!isfinite(row[c]))
      return thaw_fail(THAW_ERR_RUN,
                       "training diverged: %s is not finite after epoch %lld of phase %lld (learning rate %g); earlier "
                       "checkpoints are kept: lower the learning rate and start again",
                       t->state.column.item[c], (long long)t->state.epoch + 1, (long long)t->state.phase + 1,
                       t->state.rate);
  return THAW_OK;
}

static void show_row(const trainer *t, const double *row) {
  thaw_text text = {0};
  int64_t first = train_history_column(&t->state, "loss");
  for (int64_t c = first; c + 1 < t->state.columns; c++)
    thaw_text_add(&text, "  %s %.4f", t->state.column.item[c], row[c]);
  char seconds[32];
  thaw_info(t->log, "epoch %lld/%d%s  (%s)", (long long)t->state.epoch + 1, phase_config(t)->epochs,
            text.data ? text.data : "", thaw_format_seconds(row[t->state.columns - 1], seconds));
  thaw_text_clear(&text);
}

/* [local] rank 0 */
static thaw_status record_epoch(trainer *t, const double *row) {
  thaw_text members = {0};
  show_row(t, row);
  for (int64_t c = 0; c < t->state.columns; c++)
    thaw_text_add(&members, "%s\"%s\": %.12g", c ? ", " : "", t->state.column.item[c], row[c]);
  thaw_status status = members.failed ? THAW_ERR_MEMORY : train_event(t->folder.path, "epoch", members.data);
  thaw_text_clear(&members);
  if (status == THAW_OK && t->job->training.tensorboard) status = train_tensorboard_add(&t->state, t->folder.path, row);
  return status == THAW_OK ? train_history_write(&t->state, t->folder.path) : status;
}

/* [collective] Closes the epoch: numbers, callbacks, files. */
static thaw_status finish_epoch(trainer *t) {
  double row[64] = {0};
  row[0] = (double)t->state.phase + 1;
  row[1] = (double)t->state.epochs + 1;
  row[2] = (double)t->state.steps;
  row[3] = train_step_rate(&t->step, &t->state, thaw_epoch_steps(&t->step.epoch) - 1);
  bool averaged = t->job->training.ema_momentum > 0;
  if (averaged) train_averages_swap(&t->state); /* validation data, best.h5 and restored weights see the averages */
  THAW_TRY(measure(t, row));
  row[t->state.columns - 1] = t->state.seconds + thaw_seconds() - t->epoch_started;
  THAW_TRY(check_row(t, row));
  THAW_TRY(thaw_agree(t->comm, train_history_add(&t->state, row)));
  THAW_TRY(thaw_agree(t->comm, t->root ? record_epoch(t, row) : THAW_OK));
  bool best;
  THAW_TRY(thaw_agree(t->comm, trainer_callbacks(t, row, &best)));
  memset(t->state.sum, 0, sizeof t->state.sum);
  t->state.seen = t->state.step = 0;
  t->state.seconds = 0;
  t->state.epoch++;
  t->state.epochs++;
  int32_t every = t->job->training.checkpoint.every_epochs;
  bool checkpoint = every > 0 && t->state.epochs % every == 0;
  if (!averaged && !t->thaw_next) return trainer_save(t, checkpoint, best);
  THAW_TRY(trainer_save(t, false, best)); /* with the averages as values */
  if (averaged) train_averages_swap(&t->state);
  if (t->thaw_next) THAW_TRY(thaw_next_block(t));
  return trainer_save(t, checkpoint, false);
}

/* ------------------------------------------------------------------ the whole run */

static bool is_paused(const trainer *t) {
  return t->pause > 0 && t->state.epochs >= t->pause;
}

static thaw_status run_phase(trainer *t) {
  THAW_TRY(enter_phase(t));
  while (t->state.epoch < phase_config(t)->epochs && !t->state.stop_phase) {
    if (is_paused(t)) return THAW_OK;
    THAW_TRY(train_epoch(t));
    THAW_TRY(finish_epoch(t));
  }
  return thaw_agree(t->comm, leave_phase(t));
}

/* [collective] Between two epochs of a phase: a resumed run goes on as if it had never stopped. */
static thaw_status pause_here(trainer *t) {
  trainer_keep_exponents(t);
  thaw_info(t->log, "paused after %lld epochs", (long long)t->state.epochs);
  return trainer_finish(t);
}

static thaw_status run(trainer *t) {
  if (t->state.finished) {
    thaw_info(t->log, "%s: this run is complete (%lld steps); nothing is left to do", t->folder.path,
              (long long)t->state.steps);
    t->session->auto_blocks = (int32_t)t->state.thawed;
    return thaw_session_phase(t->session, t->comm, (int32_t)t->state.phase, t->log);
  }
  while (t->state.phase < t->job->training.phase_count) {
    int64_t phase = t->state.phase;
    THAW_TRY(run_phase(t));
    if (t->state.phase == phase) return pause_here(t);
  }
  t->state.finished = 1;
  return trainer_finish(t);
}

static thaw_status report(trainer *t, thaw_train_result *out) {
  out->best = t->state.best.best;
  out->steps = t->state.steps;
  THAW_TRY(thaw_agree(t->comm, train_parameters_digest(t->session->graph, out->parameters_digest)));
  THAW_TRY(thaw_agree_same(t->comm, "the result", out->parameters_digest));
  char members[128];
  snprintf(members, sizeof members, "\"steps\": %lld, \"parameters_sha256\": \"%s\"", (long long)out->steps,
           out->parameters_digest);
  return thaw_agree(t->comm, t->root ? train_event(t->folder.path, "end", members) : THAW_OK);
}

/* [local] rank 0: what ended the run is told in its log; the message stays what it was. */
static thaw_status note_failure(const trainer *t, thaw_status failure) {
  thaw_text members = {0};
  char *message = thaw_copy_text(thaw_message());
  thaw_text_add(&members, "\"message\": ");
  thaw_text_add_json(&members, message ? message : "");
  if (members.failed || train_event(t->folder.path, "fail", members.data) != THAW_OK)
    thaw_warn(t->log, "%s: %s", t->folder.path, thaw_message());
  thaw_text_clear(&members);
  thaw_status status = thaw_fail(failure, "%s", message ? message : "");
  thaw_free(message);
  return status;
}

/* [local] */
static thaw_status copy_history(const trainer *t, thaw_train_result *out) {
  const train_state *s = &t->state;
  size_t numbers = (size_t)(s->rows * s->columns);
  out->epochs = s->rows;
  out->monitor = t->best_column;
  out->maximize = train_monitor_maximize(t->best_monitor, t->job->training.checkpoint.mode);
  for (size_t i = 0; i < s->column.count; i++) THAW_TRY(thaw_strings_add(&out->columns, s->column.item[i]));
  if (numbers == 0) return THAW_OK;
  if (!(out->history = thaw_new(numbers, sizeof *out->history))) return THAW_ERR_MEMORY;
  memcpy(out->history, s->history, numbers * sizeof *out->history);
  return THAW_OK;
}

void thaw_train_result_clear(thaw_train_result *result) {
  thaw_free(result->history);
  thaw_strings_clear(&result->columns);
  *result = (thaw_train_result){0};
}

thaw_status thaw_train(thaw_comm *comm, const thaw_job *job, const thaw_train_options *options, thaw_log *log,
                       thaw_train_result *out) {
  trainer t = {.comm = comm, .job = job, .log = log, .pause = options->pause, .root = thaw_comm_rank(comm) == 0};
  train_signals_begin(&t.signals, t.root, job->training.max_minutes);
  thaw_status status = trainer_begin(&t, options);
  if (status == THAW_OK) status = run(&t);
  if (status == THAW_OK) status = report(&t, out);
  if (status != THAW_OK && status != THAW_STOPPED && t.begun) status = note_failure(&t, status);
  thaw_status ended = thaw_log_mirror(t.log, NULL);
  if (status == THAW_OK) status = ended;
  if (options->history && t.best_monitor) {
    thaw_status copied = copy_history(&t, out);
    if (status == THAW_OK) status = thaw_agree(comm, copied);
  }
  train_writer_destroy(t.writer);
  train_step_clear(&t.step);
  train_state_clear(&t.state);
  thaw_session_destroy(t.session);
  train_folder_clear(&t.folder);
  train_signals_end(&t.signals);
  return status;
}
