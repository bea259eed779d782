/* Out-of-fold predictions: each fold's run predicts the fold that it has not seen; together they are predictions of all
 * samples, which are judged like those of one evaluation. */
#include "cli/cross_validation.h"
#include "cli/evaluate.h"
#include "thaw/memory.h"

#include <string.h>

typedef struct pool {
  cli_context *cli;
  const thaw_sweep *sweep;
  const char *isa;
  int32_t replicates;
  thaw_session_data data; /* all samples; on every rank */
  thaw_evaluation all;    /* of the folds together; predictions on rank 0 */
} pool;

/* [local] rank 0. Losses and metrics are means over samples, so the pooled ones are, too. */
static thaw_status add_fold(pool *p, const thaw_session *s, const thaw_evaluation *e) {
  const int64_t *place = thaw_catalog_selection(s->validation.catalog);
  size_t width = (size_t)s->outputs;
  double share = (double)e->count / (double)p->data.info->count;
  double known = (double)thaw_labels_known(s->validation.info, s->validation.labels) /
                 (double)thaw_labels_known(p->data.info, p->data.labels);
  if (!p->all.prediction) {
    p->all = (thaw_evaluation){.count = p->data.info->count, .metrics = e->metrics, .classes = e->classes};
    p->all.prediction = thaw_new((size_t)p->all.count * width, sizeof *p->all.prediction);
    if (e->confusion) p->all.confusion = thaw_new((size_t)e->classes * (size_t)e->classes, sizeof *p->all.confusion);
    if (!p->all.prediction || (e->confusion && !p->all.confusion)) return THAW_ERR_MEMORY;
  }
  for (int64_t i = 0; i < e->count; i++)
    memcpy(p->all.prediction + (size_t)place[i] * width, e->prediction + (size_t)i * width, width * sizeof(float));
  for (int32_t i = 0; e->confusion && i < e->classes * e->classes; i++) p->all.confusion[i] += e->confusion[i];
  p->all.loss += share * e->loss;
  for (int32_t m = 0; m < e->metrics; m++) p->all.metric[m] += known * e->metric[m];
  return THAW_OK;
}

/* [local] rank 0 */
static thaw_status finish(pool *p, const cli_run *run) {
  char *place = thaw_path_folder(thaw_catalog_path(p->data.catalog)), *beside = thaw_path_join(place, "subgroups.csv");
  char *folder = thaw_path_join(p->sweep->output, "cross_validation");
  cli_scores_request request = {.data = &p->data,
                                .evaluation = &p->all,
                                .outputs = run->session->outputs,
                                .classes = &run->session->classes,
                                .point = {THAW_OPERATE_FIXED, 0.5},
                                .replicates = p->replicates,
                                .seed = (uint64_t)run->job->seed};
  if (beside && thaw_file_exists(beside)) request.subgroups = beside;
  cli_scores scores = {0};
  thaw_status status = place && beside && folder ? cli_scores_make(&request, &scores) : THAW_ERR_MEMORY;
  if (status == THAW_OK) {
    cli_print(p->cli, "\nout-of-fold predictions of %03d, %d folds together\n", p->sweep->order[0] + 1,
              p->sweep->folds);
    cli_evaluation_print(p->cli, run->session, &p->all, &scores);
    status = cli_evaluation_write(run, &p->data, &p->all, &scores, folder);
  }
  if (status == THAW_OK) thaw_info(p->cli->log, "wrote evaluation.json, predictions.h5 and plots to %s", folder);
  cli_scores_clear(&scores);
  thaw_free(place);
  thaw_free(beside);
  thaw_free(folder);
  return status;
}

/* [collective] */
static thaw_status predict_fold(pool *p, int32_t fold) {
  const thaw_sweep_candidate *best = &p->sweep->candidate[p->sweep->order[0]];
  const thaw_session_options options = {.validation = true, .labels_needed = true, .isa = p->isa};
  cli_run run;
  thaw_evaluation e = {0};
  THAW_TRY(cli_run_open(p->cli, best->run[fold].job->output, NULL, &options, &run));
  thaw_status status =
      thaw_session_evaluate(run.session, p->cli->comm, &run.session->validation, NULL, true, p->cli->log, &e);
  bool root = cli_is_root(p->cli), last = fold + 1 == p->sweep->folds;
  if (status == THAW_OK) status = cli_share_status(p->cli, root ? add_fold(p, run.session, &e) : THAW_OK);
  if (status == THAW_OK && last) status = cli_share_status(p->cli, root ? finish(p, &run) : THAW_OK);
  thaw_evaluation_clear(&e);
  cli_run_close(&run);
  return status;
}

/* [local] */
static thaw_status open_all(pool *p) {
  const thaw_job *job = p->sweep->candidate[p->sweep->order[0]].run[0].job;
  THAW_TRY(thaw_catalog_open(job->data.train, &p->data.catalog));
  p->data.info = thaw_catalog_info(p->data.catalog);
  return thaw_catalog_labels(p->data.catalog, &p->data.labels);
}

thaw_status cli_cross_validate(cli_context *cli, const thaw_sweep *sweep, const char *isa, int32_t replicates) {
  pool p = {.cli = cli, .sweep = sweep, .isa = isa, .replicates = replicates};
  thaw_status status = cli_share_status(cli, cli_is_root(cli) ? open_all(&p) : THAW_OK);
  for (int32_t fold = 0; fold < sweep->folds && status == THAW_OK; fold++) status = predict_fold(&p, fold);
  thaw_evaluation_clear(&p.all);
  thaw_catalog_close(p.data.catalog);
  return status;
}
