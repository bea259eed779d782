/* Training all runs of a sweep. Ranks are dealt in groups; each group trains its share of the runs by itself, one after
 * the other, from the feature cache that all share, and then everybody learns all results. A run's bits do not depend
 * on the ranks that train it (src/train/README.md), so neither does the table. */
#include "sweep/sweep_private.h"
#include "thaw/digest.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct runner {
  thaw_comm *comm, *group; /* all ranks; those that train a run together */
  thaw_sweep *sweep;
  const thaw_sweep_options *options;
  thaw_log *log;
  int32_t groups, mine;
  bool again; /* runs have begun before: they go on */
  int32_t done, share;
} runner;

/* One result as a message. */
typedef struct record {
  int32_t run, status;
  int64_t epochs, columns, steps, monitor, names; /* names: bytes of the columns' names */
  int32_t maximize;
  char digest[THAW_DIGEST_TEXT], message[256];
} record;

static thaw_sweep_run *run_at(const thaw_sweep *s, int32_t run) {
  return &s->candidate[run / sweep_runs(s)].run[run % sweep_runs(s)];
}

/* ------------------------------------------------------------------ the sweep's folder */

/* SHA-256 over what decides all results. */
static thaw_status make_key(const thaw_sweep *s, char out[THAW_DIGEST_TEXT]) {
  thaw_digest *digest;
  THAW_TRY(thaw_digest_create(&digest));
  int32_t words[] = {(int32_t)s->search, s->factor, s->first_epochs, s->folds, s->candidates};
  thaw_digest_add(digest, words, sizeof words);
  thaw_status status = THAW_OK;
  for (int32_t r = 0; r < s->candidates * sweep_runs(s) && status == THAW_OK; r++) {
    thaw_text job = {0};
    status = thaw_job_echo(run_at(s, r)->job, true, &job);
    if (status == THAW_OK) thaw_digest_add_text(digest, job.data);
    thaw_text_clear(&job);
  }
  thaw_digest_finish(digest, out);
  return status;
}

/* [local] rank 0. A folder belongs to one sweep. */
static thaw_status check_folder(const thaw_sweep *s, const thaw_sweep_options *o, const char *path, const char *key) {
  char *there = NULL;
  size_t size = 0;
  if (o->overwrite || !thaw_file_exists(path)) return THAW_OK;
  THAW_TRY(thaw_file_read(path, THAW_DIGEST_TEXT, &there, &size));
  bool same = strcmp(there, key) == 0;
  thaw_free(there);
  if (!same)
    return thaw_fail(THAW_ERR_USAGE, "%s: holds another sweep: give another --output, or --overwrite", s->output);
  if (o->resume) return THAW_OK;
  return thaw_fail(
      THAW_ERR_USAGE,
      "%s: holds an earlier run of this sweep: --resume goes on with it, --overwrite starts anew and loses "
      "it",
      s->output);
}

/* [local] rank 0. `claim`: the folder is this sweep's from now on; else it only must not be another's. */
static thaw_status claim_folder(const thaw_sweep *s, const thaw_sweep_options *o, bool claim) {
  char key[THAW_DIGEST_TEXT];
  THAW_TRY(make_key(s, key));
  char *path = thaw_path_join(s->output, "sweep.key");
  thaw_status status = path ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && !claim) status = check_folder(s, o, path, key);
  if (status == THAW_OK && claim) status = thaw_folder_create(s->output);
  if (status == THAW_OK && claim) status = thaw_file_write(path, key, strlen(key));
  thaw_free(path);
  return status;
}

/* ------------------------------------------------------------------ one run */

static void show_run(const runner *r, int32_t run, const thaw_sweep_run *done, int64_t pause) {
  const thaw_sweep *s = r->sweep;
  const thaw_sweep_candidate *c = &s->candidate[run / sweep_runs(s)];
  thaw_text text = {0};
  for (size_t i = 0; i < s->parameter.count; i++) thaw_text_add(&text, "  %s %s", s->parameter.item[i], c->value[i]);
  if (done->status != THAW_OK) {
    thaw_text_add(&text, "  %s", done->message);
  } else if (done->result.epochs > 0) {
    int64_t row;
    double best = sweep_best(s, done, pause, &row);
    thaw_text_add(&text, "  %s %.5g (epoch %lld of %lld)", s->column.item[s->monitor], best, (long long)row + 1,
                  (long long)done->result.epochs);
  }
  char fold[24] = "";
  if (s->folds) snprintf(fold, sizeof fold, " fold %d", run % s->folds + 1);
  thaw_info(r->log, "%d/%d  %03d%s%s", r->done, r->share, run / sweep_runs(s) + 1, fold, text.data ? text.data : "");
  thaw_text_clear(&text);
}

/* The columns are the same in all runs; the first result tells them. */
static thaw_status learn_columns(thaw_sweep *s, const thaw_train_result *result) {
  if (s->monitor >= 0 || result->columns.count == 0) return THAW_OK;
  for (size_t i = 0; i < result->columns.count; i++) THAW_TRY(thaw_strings_add(&s->column, result->columns.item[i]));
  s->monitor = result->monitor;
  s->maximize = result->maximize;
  return THAW_OK;
}

/* [collective in the group] THAW_OK also for a run that diverged. */
static thaw_status train_one(runner *r, int32_t run, int64_t pause) {
  thaw_sweep_run *it = run_at(r->sweep, run);
  thaw_train_options options = {.resume = r->again || r->options->resume,
                                .overwrite = !r->again && r->options->overwrite,
                                .isa = r->options->isa,
                                .pause = pause,
                                .history = true};
  thaw_train_result_clear(&it->result);
  thaw_log *log = thaw_log_level(r->log) >= THAW_VERBOSE ? r->log : NULL;
  thaw_status status = thaw_train(r->group, it->job, &options, r->log ? log : NULL, &it->result);
  bool diverged = status == THAW_ERR_RUN && strstr(thaw_message(), "training diverged");
  if (status != THAW_OK && !diverged)
    return status == THAW_STOPPED ? status : thaw_fail_in(status, "%s: ", it->job->output);
  it->trained = true;
  it->status = status;
  snprintf(it->message, sizeof it->message, "%s", diverged ? strstr(thaw_message(), "training diverged") : "");
  THAW_TRY(learn_columns(r->sweep, &it->result));
  r->done++;
  show_run(r, run, it, pause);
  return THAW_OK;
}

/* ------------------------------------------------------------------ results for everybody */

static void pack(const thaw_sweep *s, int32_t run, thaw_text *out) {
  const thaw_sweep_run *it = run_at(s, run);
  const thaw_train_result *result = &it->result;
  record head = {.run = run,
                 .status = (int32_t)it->status,
                 .epochs = result->epochs,
                 .columns = (int64_t)result->columns.count,
                 .steps = result->steps,
                 .monitor = result->monitor,
                 .maximize = result->maximize};
  memcpy(head.digest, result->parameters_digest, sizeof head.digest);
  memcpy(head.message, it->message, sizeof head.message);
  for (size_t i = 0; i < result->columns.count; i++) head.names += (int64_t)strlen(result->columns.item[i]) + 1;
  thaw_text_add_bytes(out, (const char *)&head, sizeof head);
  thaw_text_add_bytes(out, (const char *)result->history,
                      (size_t)(head.epochs * head.columns) * sizeof *result->history);
  for (size_t i = 0; i < result->columns.count; i++)
    thaw_text_add_bytes(out, result->columns.item[i], strlen(result->columns.item[i]) + 1);
}

static thaw_status unpack(thaw_sweep *s, const char *data, size_t size) {
  for (const char *at = data, *end = data + size; at < end;) {
    record head;
    memcpy(&head, at, sizeof head);
    at += sizeof head;
    thaw_sweep_run *it = run_at(s, head.run);
    size_t numbers = (size_t)(head.epochs * head.columns);
    thaw_train_result_clear(&it->result);
    it->trained = true;
    it->status = (thaw_status)head.status;
    it->result.epochs = head.epochs;
    it->result.steps = head.steps;
    it->result.monitor = head.monitor;
    it->result.maximize = head.maximize != 0;
    memcpy(it->result.parameters_digest, head.digest, sizeof head.digest);
    memcpy(it->message, head.message, sizeof head.message);
    it->result.history = thaw_new(numbers, sizeof *it->result.history);
    if (!it->result.history) return THAW_ERR_MEMORY;
    memcpy(it->result.history, at, numbers * sizeof *it->result.history);
    at += numbers * sizeof *it->result.history;
    for (const char *names = at; names < at + head.names; names += strlen(names) + 1)
      THAW_TRY(thaw_strings_add(&it->result.columns, names));
    at += head.names;
    THAW_TRY(learn_columns(s, &it->result));
  }
  return THAW_OK;
}

/* [collective] */
static thaw_status exchange(runner *r, const int32_t *run, int32_t count) {
  thaw_text mine = {0};
  for (int32_t i = r->mine; i < count && thaw_comm_rank(r->group) == 0; i += r->groups)
    if (run_at(r->sweep, run[i])->trained) pack(r->sweep, run[i], &mine);
  thaw_status status = thaw_agree(r->comm, mine.failed ? THAW_ERR_MEMORY : THAW_OK);
  char *all = NULL;
  size_t *sizes = NULL, size = 0;
  if (status == THAW_OK) status = thaw_comm_gather(r->comm, mine.data, mine.length, &all, &sizes);
  if (status == THAW_OK && thaw_comm_rank(r->comm) == 0)
    for (int i = 0; i < thaw_comm_size(r->comm); i++) size += sizes[i];
  if (status == THAW_OK) status = thaw_comm_broadcast_new(r->comm, 0, &all, &size);
  if (status == THAW_OK) status = thaw_agree(r->comm, unpack(r->sweep, all, size));
  thaw_free(all);
  thaw_free(sizes);
  thaw_text_clear(&mine);
  return status;
}

/* ------------------------------------------------------------------ stages */

/* [collective] Trains these runs up to `pause` epochs (0: to their end). */
static thaw_status stage(runner *r, const int32_t *run, int32_t count, int64_t pause) {
  thaw_status status = THAW_OK;
  r->done = 0;
  r->share = r->mine < count ? (count - r->mine + r->groups - 1) / r->groups : 0;
  for (int32_t i = r->mine; i < count && status == THAW_OK; i += r->groups) status = train_one(r, run[i], pause);
  /* A part's failure is everybody's; what was trained stays and is resumed. */
  THAW_TRY(thaw_agree(r->comm, status));
  return exchange(r, run, count);
}

static int32_t list_runs(const thaw_sweep *s, const int32_t *candidate, int32_t candidates, int32_t *run) {
  int32_t count = 0, each = sweep_runs(s);
  for (int32_t i = 0; i < candidates; i++)
    for (int32_t fold = 0; fold < each; fold++) run[count++] = candidate[i] * each + fold;
  return count;
}

/* [collective] Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", 2016:
 * rungs of `factor` times the epochs for the best 1/factor of the candidates; the last rung trains to the end. */
static thaw_status halve(runner *r, int32_t *run) {
  thaw_sweep *s = r->sweep;
  int32_t left = s->candidates;
  int64_t epochs = s->first_epochs;
  for (int32_t rung = 0;; rung++) {
    bool last = epochs >= s->epochs || left == 1;
    int32_t count = list_runs(s, s->order, left, run);
    thaw_info(r->log, "rung %d: %d candidate%s, %lld epochs", rung + 1, left, left == 1 ? "" : "s",
              (long long)(last ? s->epochs : epochs));
    THAW_TRY(stage(r, run, count, last ? 0 : epochs));
    for (int32_t i = 0; i < left; i++) s->candidate[s->order[i]].rung = rung;
    if (last) return THAW_OK;
    sweep_rank(s, epochs);
    left = (left + s->factor - 1) / s->factor;
    epochs *= s->factor;
    r->again = true;
  }
}

/* [collective] The first candidate's features are computed by all ranks together. */
static thaw_status fill_cache(runner *r) {
  const thaw_job *job = run_at(r->sweep, 0)->job;
  const thaw_augment_config *augment = &job->data.augment;
  const thaw_session_options wanted = {
      .train = true, .validation = true, .labels_needed = true, .isa = r->options->isa, .ahead = true, .leaks = true};
  thaw_session *session;
  THAW_TRY(thaw_session_create(r->comm, job, &wanted, r->log, &session));
  thaw_status status = thaw_session_phase(session, r->comm, 0, r->log);
  int32_t views = augment->enabled ? augment->views : 1;
  for (int32_t v = 0; v < views && v < r->sweep->epochs && status == THAW_OK; v++)
    status = thaw_features_fill(session->train.features, r->comm, augment->enabled ? v : -1, r->log);
  if (status == THAW_OK && session->validation.catalog)
    status = thaw_features_fill(session->validation.features, r->comm, -1, r->log);
  thaw_session_destroy(session);
  return status;
}

/* [collective] What the labels of the first candidate's further folds lack is told before the first step, as it is of
 * the fold that fills the cache. */
static thaw_status check_folds(runner *r) {
  const thaw_session_options wanted = {.train = true, .validation = true, .labels_needed = true, .dry = true};
  for (int32_t fold = 1; fold < sweep_runs(r->sweep); fold++) {
    thaw_session *session;
    THAW_TRY(thaw_session_create(r->comm, run_at(r->sweep, fold)->job, &wanted, r->log, &session));
    thaw_session_destroy(session);
  }
  return THAW_OK;
}

static thaw_status run_all(runner *r) {
  thaw_sweep *s = r->sweep;
  THAW_TRY(fill_cache(r));
  THAW_TRY(check_folds(r));
  THAW_TRY(thaw_agree(r->comm, thaw_comm_rank(r->comm) == 0 ? claim_folder(s, r->options, true) : THAW_OK));
  int32_t *run = thaw_new((size_t)s->candidates * (size_t)sweep_runs(s), sizeof *run);
  THAW_TRY(thaw_agree(r->comm, run ? THAW_OK : THAW_ERR_MEMORY));
  thaw_status status;
  if (s->search == THAW_SEARCH_HALVING)
    status = halve(r, run);
  else
    status = stage(r, run, list_runs(s, s->order, s->candidates, run), 0);
  thaw_free(run);
  if (status == THAW_OK) sweep_rank(s, 0);
  return status;
}

thaw_status thaw_sweep_train(thaw_comm *comm, thaw_sweep *sweep, const thaw_sweep_options *options, thaw_log *log) {
  int rank = thaw_comm_rank(comm), size = thaw_comm_size(comm);
  int32_t width = options->group > size ? size : options->group < 1 ? 1 : options->group;
  runner r = {.comm = comm, .sweep = sweep, .options = options, .log = log, .groups = size / width};
  r.mine = rank / width < r.groups ? rank / width : r.groups - 1; /* what is left over joins the last group */
  THAW_TRY(thaw_agree(comm, rank == 0 ? claim_folder(sweep, options, false) : THAW_OK));
  thaw_info(log, "%s: %d candidate%s, %d run%s, on %d group%s of %d rank%s", sweep->name, sweep->candidates,
            sweep->candidates == 1 ? "" : "s", sweep->candidates * sweep_runs(sweep),
            sweep->candidates * sweep_runs(sweep) == 1 ? "" : "s", r.groups, r.groups == 1 ? "" : "s", width,
            width == 1 ? "" : "s");
  THAW_TRY(thaw_comm_split(comm, r.mine, &r.group));
  thaw_status status = run_all(&r);
  thaw_comm_destroy(r.group);
  return status;
}
