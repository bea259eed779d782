/* compare.h: what the files of `thaw compare` share. Private to src/cli. */
#ifndef THAW_CLI_COMPARE_H
#define THAW_CLI_COMPARE_H

#include "thaw/file.h"
#include "thaw/score.h"
#include "thaw/text.h"

/* What evaluate wrote about one run. */
typedef struct evaluated {
  char *path;
  thaw_strings ids, groups, classes;
  int64_t count;
  int32_t outputs;
  float *y, *label;
  thaw_scored scored;
} evaluated;
/* [local] `run`: a run folder, or a predictions.h5. Clear it also after a failure. */
thaw_status evaluated_read(const char *run, evaluated *e) THAW_CHECKED;
void evaluated_clear(evaluated *e);
/* [local] THAW_ERR_DATA unless both are about the same samples with the same labels. */
thaw_status evaluated_check(const evaluated *a, const evaluated *b) THAW_CHECKED;

/* Classes and labels have thaw_scorer's values, targets those of thaw_regression_compute. */
typedef struct comparison {
  const evaluated *a, *b;
  bool regression;
  thaw_scorer *scorer_a, *scorer_b; /* NULL: regression */
  int32_t *group;
  int64_t groups;
  bool grouped;
  int32_t values, replicates;
  double *value_a, *value_b, *low, *high; /* [values]; low, high: of a - b */
  thaw_mcnemar mcnemar;                   /* not of a regression */
  thaw_delong *delong;                    /* [questions] */
  thaw_wilcoxon *wilcoxon;                /* [outputs] of a regression: absolute errors */
} comparison;
thaw_status comparison_make(const evaluated *a, const evaluated *b, int32_t replicates, uint64_t seed,
                            comparison *c) THAW_CHECKED;
void comparison_clear(comparison *c);
/* [local] A target's name; "mean" behind the last. */
const char *comparison_target(const comparison *c, int32_t output, char number[16]);

void comparison_print(const comparison *c, thaw_text *out);
void comparison_json(const comparison *c, thaw_text *out);

#endif
