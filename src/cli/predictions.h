/* predictions.h: rows of predictions written as CSV or HDF5. Private to src/cli. */
#ifndef THAW_CLI_PREDICTIONS_H
#define THAW_CLI_PREDICTIONS_H

#include "thaw/eval.h"
#include "thaw/file.h"
#include "thaw/shard.h"

typedef struct cli_predictions {
  int64_t count;
  int32_t outputs;
  const float *y;              /* [count][outputs] */
  const thaw_strings *ids;     /* [count] */
  const thaw_strings *errors;  /* [count], "" where there is none; NULL: none at all */
  const thaw_strings *classes; /* names of the outputs; NULL or shorter: numbers */
  const thaw_head *head;       /* [heads] of several: each with classes names one; `classes` are "HEAD:CLASS" */
  int32_t heads;               /* 0: one */
  bool classifies;             /* the largest output names a class */
  const thaw_labels *labels;   /* NULL: none */
  thaw_label_kind label_kind;
  const thaw_strings *groups; /* [count]; NULL: none */
} cli_predictions;

/* [local] `path` ends with ".h5" (HDF5: /ids, /predictions, /class or of several heads /class_HEAD, and as given
 * /labels, /groups) or anything else (CSV: id, class, one column per output, error). Written atomically. */
thaw_status cli_predictions_write(const char *path, const cli_predictions *predictions) THAW_CHECKED;

#endif
