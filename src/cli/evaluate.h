/* evaluate.h: what an evaluation prints and writes, for `evaluate` and for the pooled folds of `sweep`. Private to
 * src/cli; [local], rank 0. */
#ifndef THAW_CLI_EVALUATE_H
#define THAW_CLI_EVALUATE_H

#include "cli/run.h"
#include "cli/scores.h"

/* What `thaw evaluate` was asked for. */
typedef struct cli_evaluate_options {
  const char *data, *checkpoint, *output, *isa, *subgroups, *rule, *costs;
  int32_t bootstrap;
  thaw_operating_point point; /* of `rule` */
} cli_evaluate_options;

/* Judges predictions, prints and writes them. validation and its evaluation choose thresholds; NULL: none. */
thaw_status cli_evaluation_finish(cli_context *cli, const cli_run *run, const cli_evaluate_options *options,
                                  const thaw_session_data *data, const thaw_evaluation *evaluation,
                                  const thaw_session_data *validation, const thaw_evaluation *apart,
                                  const char *folder) THAW_CHECKED;
/* evaluate_heads.c: the same head by head, into folder/heads/NAME; `apart` without predictions: no validation data. */
thaw_status cli_evaluate_heads(cli_context *cli, const cli_run *run, const cli_evaluate_options *options,
                               const thaw_session_data *data, const thaw_evaluation *evaluation,
                               const thaw_evaluation *apart, const char *folder) THAW_CHECKED;
/* The beginning of evaluation.json, up to loss and metrics. */
void cli_evaluation_begin(const cli_run *run, const thaw_session_data *data, const thaw_evaluation *evaluation,
                          thaw_text *json);

/* `session` names the metrics. */
void cli_evaluation_print(cli_context *cli, const thaw_session *session, const thaw_evaluation *evaluation,
                          const cli_scores *scores);
/* evaluation.json, predictions.h5 and plots in `folder`. */
thaw_status cli_evaluation_write(const cli_run *run, const thaw_session_data *data, const thaw_evaluation *evaluation,
                                 const cli_scores *scores, const char *folder) THAW_CHECKED;

#endif
