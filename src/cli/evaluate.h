/* evaluate.h: what an evaluation prints and writes, for `evaluate` and for the pooled folds of `sweep`. Private to
 * src/cli; [local], rank 0. */
#ifndef THAW_CLI_EVALUATE_H
#define THAW_CLI_EVALUATE_H

#include "cli/run.h"
#include "cli/scores.h"

/* `session` names the metrics. */
void cli_evaluation_print(cli_context *cli, const thaw_session *session, const thaw_session_data *data,
                          const thaw_evaluation *evaluation, const cli_scores *scores);
/* evaluation.json, predictions.h5 and plots in `folder`. */
thaw_status cli_evaluation_write(const cli_run *run, const thaw_session_data *data, const thaw_evaluation *evaluation,
                                 const cli_scores *scores, const char *folder) THAW_CHECKED;

#endif
