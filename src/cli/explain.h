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
  int32_t label;     /* class, -1: not known, or no classes */
  int32_t predicted; /* class; else the largest output */
  int32_t target;    /* the output that is explained */
  double loss;       /* NaN: not known */
} explain_sample;

typedef struct explain {
  cli_context *cli;
  const explain_options *options;
  thaw_session *session;
  thaw_import_reader *images; /* NULL: the session's test data */
  char *folder;               /* for what is written */
  thaw_label_kind kind;       /* what the outputs mean: CLASS, MULTI or TARGET */
  int32_t count;              /* of samples, the same on every rank */
  explain_sample *sample;     /* [count] */
  float *x, *y, *maps;        /* [count][...]: network input, outputs, heat maps */
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
/* [local] What speaks through an output: class 1 where there is one output for two classes, else as explain_class. */
const char *explain_output(const explain *e, int32_t output, char number[16]);
/* [local] The output that is shown where nothing else is said: the largest (-1), of targets the first. */
int32_t explain_default(const explain *e);
/* [local] rank 0: of several labels, the output that is looked at where it depends on the outputs y of the sample. */
int32_t explain_label_target(const explain *e, const explain_sample *sample, const float *y, int32_t target);
/* [local] Labels of a sample, and outputs as labels, in words: "cat"; "Edema|Fracture"; "40.1|0.5". "" is unknown or
 * none. */
void explain_label_words(const explain *e, const thaw_session_data *data, int64_t sample, thaw_text *out);
void explain_output_words(const explain *e, const explain_sample *sample, const float *y, thaw_text *out);

#endif
