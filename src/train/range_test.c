/* The learning-rate range test (Smith, "Cyclical learning rates for training neural networks", 2017): one run of steps
 * whose learning rate rises geometrically, on all ranks together; nothing is written. */
#include "thaw/log.h"
#include "thaw/memory.h"
#include "train/train_private.h"

#include <math.h>
#include <string.h>

enum { FIRST_JUDGED = 10, DIVERGED = 4 }; /* tenths of the steps; times the lowest loss */

typedef struct range_test {
  thaw_comm *comm;
  const thaw_lr_find_options *options;
  thaw_log *log;
  thaw_session *session;
  train_state state;
  train_step step;
  int64_t index, epochs; /* of the epoch; epochs begun */
  thaw_lr_find_result *out;
  double average; /* of the loss, not yet corrected for its start at zero */
} range_test;

/* [collective] Network, data and phase; parameters of the checkpoint, if there is one. */
static thaw_status prepare(range_test *r, const thaw_job *job) {
  const thaw_lr_find_options *o = r->options;
  if (o->phase < 0 || o->phase >= job->training.phase_count)
    return thaw_fail(THAW_ERR_USAGE, "%s: has %d phase%s, there is no phase %d", job->path, job->training.phase_count,
                     job->training.phase_count == 1 ? "" : "s", o->phase + 1);
  thaw_session_options wanted = {.train = true, .labels_needed = true, .isa = o->isa};
  THAW_TRY(thaw_session_create(r->comm, job, &wanted, r->log, &r->session));
  THAW_TRY(thaw_agree(r->comm, train_phases_check(r->session)));
  if (o->checkpoint) THAW_TRY(thaw_session_load(r->session, r->comm, o->checkpoint, r->log));
  THAW_TRY(thaw_session_phase(r->session, r->comm, o->phase, r->log));
  const thaw_choice *optimizer = &job->training.phases[o->phase].optimizer;
  thaw_status status = train_state_add_live(&r->state, r->session->graph);
  if (status == THAW_OK) status = train_state_fit_slots(&r->state, optimizer);
  if (status == THAW_OK) status = train_step_create(&r->step, r->session, r->comm, &r->state);
  r->step.schedule = NULL; /* the rate is the test's */
  return thaw_agree(r->comm, status);
}

/* [collective] */
static thaw_status begin_epoch(range_test *r) {
  const thaw_job *job = r->session->job;
  const thaw_augment_config *augment = &job->data.augment;
  thaw_epoch epoch = {.seed = (uint64_t)job->seed,
                      .epoch = (uint32_t)r->epochs,
                      .samples = train_epoch_samples(r->session),
                      .batch = job->training.batch_size * job->training.accumulate,
                      .slice = job->training.slice,
                      .shuffle = true};
  int32_t view = augment->enabled ? (int32_t)(r->epochs % (augment->views > 0 ? augment->views : 1)) : -1;
  r->epochs++;
  r->index = 0;
  THAW_TRY(thaw_features_fill(r->session->train.features, r->comm, view, r->log));
  return thaw_agree(r->comm, train_step_epoch(&r->step, &epoch, view, 0));
}

/* [collective] *loss_out: of the batch before the update; NaN when it is not finite. */
static thaw_status take_step(range_test *r, double rate, double *loss_out) {
  int64_t flags[THAW_EXACT_FLAGS] = {0}, failed = 0;
  if (r->epochs == 0 || r->index == thaw_epoch_steps(&r->step.epoch)) THAW_TRY(begin_epoch(r));
  const thaw_choice *optimizer = &r->session->job->training.phases[r->options->phase].optimizer;
  memset(r->state.sum, 0, sizeof r->state.sum);
  r->state.seen = 0;
  r->state.rate = rate;
  thaw_status status = train_step_run(&r->step, &r->state, optimizer, r->index++, flags);
  *loss_out = NAN;
  if (status == THAW_ERR_RUN) return THAW_OK; /* loss or gradient is not finite: the end of the test, not a failure */
  THAW_TRY(status);
  THAW_TRY(thaw_wide_reduce(r->comm, r->state.sum, 1, &failed));
  *loss_out = thaw_wide_value(&r->state.sum[0]) / (double)r->state.seen;
  return THAW_OK;
}

/* Adds a point; false when the loss has gone through the roof. */
static bool record(range_test *r, double rate, double loss) {
  const double keep = 0.9;
  thaw_lr_find_result *out = r->out;
  int32_t i = out->count;
  if (!isfinite(loss)) return false;
  r->average = keep * r->average + (1 - keep) * loss;
  out->rate[i] = rate;
  out->loss[i] = loss;
  out->smooth[i] = r->average / (1 - pow(keep, i + 1));
  out->count++;
  if (i == 0 || out->smooth[i] < out->smooth[out->lowest]) out->lowest = i;
  return i < r->options->steps / FIRST_JUDGED || out->smooth[i] < DIVERGED * out->smooth[out->lowest];
}

/* Where the smooth loss falls fastest over the logarithm of the rate, between the warming-up of the average and the
 * lowest loss; central differences. */
static void suggest(thaw_lr_find_result *out, int32_t steps) {
  double steepest = 0;
  for (int32_t i = steps / FIRST_JUDGED + 2; i < out->lowest && i + 2 < out->count; i++) {
    double slope = (out->smooth[i + 2] - out->smooth[i - 2]) / log(out->rate[i + 2] / out->rate[i - 2]);
    if (!(slope < steepest)) continue;
    steepest = slope;
    out->suggestion = out->rate[i];
  }
}

/* [collective] */
static thaw_status run(range_test *r) {
  const thaw_lr_find_options *o = r->options;
  for (int32_t i = 0; i < o->steps; i++) {
    double rate = o->low * pow(o->high / o->low, (double)i / (o->steps - 1)), loss;
    THAW_TRY(take_step(r, rate, &loss));
    if (record(r, rate, loss)) continue;
    r->out->diverged = true;
    break;
  }
  suggest(r->out, o->steps);
  return THAW_OK;
}

thaw_status thaw_lr_find(thaw_comm *comm, const thaw_job *job, const thaw_lr_find_options *options, thaw_log *log,
                         thaw_lr_find_result *out) {
  range_test r = {.comm = comm, .options = options, .log = log, .out = out};
  if (options->steps < 20 || !(options->low > 0 && options->high > options->low))
    return thaw_fail(THAW_ERR_USAGE, "the range test needs at least 20 steps and rates that rise from above 0");
  *out = (thaw_lr_find_result){0};
  out->rate = thaw_new((size_t)options->steps, sizeof *out->rate);
  out->loss = thaw_new((size_t)options->steps, sizeof *out->loss);
  out->smooth = thaw_new((size_t)options->steps, sizeof *out->smooth);
  thaw_status status = thaw_agree(comm, out->rate && out->loss && out->smooth ? THAW_OK : THAW_ERR_MEMORY);
  if (status == THAW_OK) status = prepare(&r, job);
  if (status == THAW_OK) status = run(&r);
  train_step_clear(&r.step);
  train_state_clear(&r.state);
  thaw_session_destroy(r.session);
  if (status != THAW_OK) thaw_lr_find_clear(out);
  return status;
}

void thaw_lr_find_clear(thaw_lr_find_result *out) {
  thaw_free(out->rate);
  thaw_free(out->loss);
  thaw_free(out->smooth);
  *out = (thaw_lr_find_result){0};
}
