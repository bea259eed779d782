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

/* What decisions cost on average, for one way to decide each. */
typedef enum cli_cost_rule {
  CLI_COST_LARGEST,
  CLI_COST_EXPECTED,
  CLI_COST_THRESHOLD,
  CLI_COST_ALWAYS,
  CLI_COST_RULES
} cli_cost_rule;
typedef struct cli_costs {
  char *file; /* NULL: no costs were given */
  thaw_costs matrix;
  thaw_estimate_of mean[CLI_COST_RULES]; /* value NaN: the rule is not there */
  int64_t *confusion[CLI_COST_RULES];    /* [classes][classes]; NULL likewise */
  double threshold;                      /* of class 1, chosen on validation data; NaN: none */
  double temperature;                    /* at which expected costs were computed */
  int32_t always;                        /* the class that costs least when everything is called so */
} cli_costs;

typedef struct cli_scores {
  cli_costs costs;
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
  const thaw_strings *classes; /* names of outputs */
  int32_t outputs;
  thaw_operating_point point;
  int32_t replicates;
  uint64_t seed;
  const char *subgroups; /* CSV file; NULL: none */
  const char *costs;     /* likewise */
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
/* scores_costs.c: the costs of several ways to decide; validation NULL: no threshold is chosen. */
thaw_status cli_scores_costs(cli_scores *scores, const char *path, const thaw_scored *validation,
                             uint64_t seed) THAW_CHECKED;
void cli_scores_costs_clear(cli_costs *costs);
void cli_scores_costs_table(const cli_scores *scores, thaw_text *out);
void cli_scores_costs_json(const cli_scores *scores, thaw_text *out);
/* scores_text.c: a table for people; members of a JSON object, each led by a comma. */
void cli_scores_table(const cli_scores *scores, thaw_text *out);
void cli_scores_json(const cli_scores *scores, thaw_text *out);
/* scores_plots.c: roc.png, precision_recall.png and calibration.png, or residuals.png, in `folder`. */
thaw_status cli_scores_plots(const cli_scores *scores, const char *folder) THAW_CHECKED;

#endif
