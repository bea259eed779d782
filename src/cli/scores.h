/* scores.h: the figures of one evaluation, with intervals and subgroups, as text, JSON and plots. Private to src/cli.
 * All functions are [local] and belong to rank 0, which holds every prediction. */
#ifndef THAW_CLI_SCORES_H
#define THAW_CLI_SCORES_H

#include "thaw/score.h"
#include "thaw/train.h"

typedef struct cli_subgroup {
  char *column, *value;
  int64_t samples, groups;
  int64_t *positives, *negatives; /* [questions] */
  thaw_estimate_of *estimate;     /* as cli_scores.estimate, or as cli_scores.regression */
} cli_subgroup;

typedef struct cli_scores {
  thaw_scored scored; /* count 0: nothing can be scored, `note` says why */
  float *label;
  int32_t *group;
  bool grouped; /* the data names groups (patients) */
  int32_t questions, replicates;
  thaw_operating_point point;
  const char *chosen_on; /* "validation", or "" for a fixed threshold */
  double *threshold;     /* [questions] */
  double temperature;    /* fitted on validation data; NaN: none */
  thaw_calibration calibration, scaled;
  thaw_scorer *scorer;
  thaw_estimate_of *estimate;   /* [values] */
  thaw_estimate_of *regression; /* [outputs + 1][THAW_REGRESSION_STATS]; NULL unless labels are targets */
  cli_subgroup *subgroup;
  size_t subgroups, subgroup_capacity;
  thaw_strings note;
} cli_scores;

typedef struct cli_scores_request {
  const thaw_session_data *data, *validation; /* validation NULL: thresholds are fixed */
  const thaw_evaluation *evaluation, *validation_evaluation;
  int32_t outputs;
  thaw_operating_point point;
  int32_t replicates;
  uint64_t seed;
  const char *subgroups; /* CSV file; NULL: none */
} cli_scores_request;

thaw_status cli_scores_make(const cli_scores_request *request, cli_scores *out) THAW_CHECKED;
void cli_scores_clear(cli_scores *scores);
/* scores_subgroups.c: one subgroup for each value of each column of a CSV file with the column "id". */
thaw_status cli_scores_subgroups(cli_scores *scores, const char *path, const thaw_strings *ids,
                                 uint64_t seed) THAW_CHECKED;
thaw_status cli_scores_note(cli_scores *scores, const char *format, ...) THAW_PRINTF(2, 3) THAW_CHECKED;
/* scores_regression.c: the same where labels are targets, once scored and groups are known. */
thaw_status cli_scores_regression(cli_scores *scores, uint64_t seed) THAW_CHECKED;
const char *cli_scores_target(const cli_scores *scores, int32_t output, char number[16]); /* `outputs`: "mean" */
void cli_scores_regression_table(const cli_scores *scores, thaw_text *out);
void cli_scores_regression_json(const cli_scores *scores, thaw_text *out);
thaw_status cli_scores_regression_plot(const cli_scores *scores, const char *folder) THAW_CHECKED;
/* scores_text.c: a table for people; members of a JSON object, each led by a comma. */
void cli_scores_table(const cli_scores *scores, thaw_text *out);
void cli_scores_json(const cli_scores *scores, thaw_text *out);
/* scores_plots.c: roc.png, precision_recall.png and calibration.png, or residuals.png, in `folder`. */
thaw_status cli_scores_plots(const cli_scores *scores, const char *folder) THAW_CHECKED;

#endif
