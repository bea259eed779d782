/* explain.h: what the files of `thaw explain` share. Private to src/cli. */
#ifndef THAW_CLI_EXPLAIN_H
#define THAW_CLI_EXPLAIN_H

#include "cli/run.h"
#include "thaw/explain.h"

typedef struct explain_options {
  const char *checkpoint, *output, *layer, *target, *isa;
  int32_t count, neighbours;
  double opacity;
  bool top_losses;
} explain_options;

/* Of each chosen sample; filled on rank 0 only. */
typedef struct explain_sample {
  int64_t index;     /* in the catalogue or the list of files */
  char *id;          /* owned */
  int32_t label;     /* class, -1: not known */
  int32_t predicted; /* the largest output */
  int32_t target;    /* the output that is explained */
  double loss;       /* NaN: not known */
} explain_sample;

typedef struct explain {
  cli_context *cli;
  const explain_options *options;
  thaw_session *session;
  const thaw_strings *files; /* NULL: the session's test data */
  char *folder;              /* for what is written */
  int32_t count;             /* of samples, the same on every rank */
  explain_sample *sample;    /* [count] */
  float *x, *y, *maps;       /* [count][...]: network input, outputs, heat maps */
  int32_t map_h, map_w;
  thaw_nearest_samples nearest; /* keep 0: not asked for */
  thaw_strings neighbour_ids;   /* [count * keep], "" where there is none */
} explain;

/* [collective] Chooses the samples: evenly spread, or those with the largest loss. */
thaw_status explain_choose(explain *e) THAW_CHECKED;
/* [local] rank 0: the sheet, one picture per sample, the table. */
thaw_status explain_write(const explain *e, const char *layer) THAW_CHECKED;
/* [local] A class's name, or its number. */
const char *explain_class(const explain *e, int32_t index, char number[16]);

#endif
