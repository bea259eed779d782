/* eval.h: metrics and exact distributed evaluation: every sample exactly once on any number of ranks. */
#ifndef THAW_EVAL_H
#define THAW_EVAL_H

#include "thaw/comm.h"
#include "thaw/feature.h"
#include "thaw/graph.h"
#include "thaw/import.h"
#include "thaw/job.h"
#include "thaw/loss.h"

typedef struct thaw_metric {
  char name[80]; /* "accuracy", "top_5_accuracy", "mae"; of one of several heads "age_mae", "age_loss" */
  int32_t kind, k;
  int32_t head; /* its index */
} thaw_metric;
enum { THAW_METRIC_HEAD_LOSS = 100 }; /* the kind of a head's loss, before its weight */
/* "accuracy" (categorical, sparse or binary as the label kind says), "top_<k>_accuracy", "mae", "mse". [local] */
thaw_status thaw_metric_parse(const char *name, thaw_metric *out) THAW_CHECKED;
/* The metric's value of one row (0/1, share or error; over the known labels, 0 without any); the metric is the mean
 * over the rows that know a label, of which there are thaw_labels_known. [local] */
double thaw_metric_row(const thaw_metric *metric, thaw_label_kind kind, const float *label, const float *y,
                       int32_t outputs);

/* [local] Rows with at least one known label (all, unless several labels per sample may be unknown). */
int64_t thaw_labels_known(const thaw_dataset_info *data, const thaw_labels *labels);

/* [local] Checks that labels of this kind and width can train a network with `outputs` outputs under `loss`; the
 * message names `path` and both numbers. */
thaw_status thaw_labels_check(const thaw_loss_ops *loss, const thaw_dataset_info *data, int32_t outputs,
                              const char *path) THAW_CHECKED;
/* [local] Label rows of `sample`s in the form that `loss` reads: class indices become one-hot rows where it wants them.
 * labels: all labels of the catalogue. out [rows][loss->label_width(outputs)]. */
void thaw_labels_gather(const thaw_loss_ops *loss, const thaw_dataset_info *data, const thaw_labels *labels,
                        const uint64_t *sample, int32_t rows, int32_t outputs, float *out);

/* [local] Targets in their own units -> (target - mean) / deviation, in place. target [2][outputs]: means, then
 * deviations; NULL: stays as it is. */
void thaw_labels_standardize(const double *target, int32_t rows, int32_t outputs, float *label);

/* ------------------------------------------------------------------ several heads on one backbone; all [local]
 * The loss of a sample is the sum over heads of weight * loss of the head (Keras' loss_weights). A head ignores samples
 * whose labels it lacks: they add nothing to its loss and gradient, and metrics are means over the others. */
typedef struct thaw_head {
  const char *name; /* borrowed from the job, as `column` */
  const thaw_loss_ops *loss;
  const void *config; /* of the loss */
  double weight;
  const char *const *column; /* [columns] names of its labels */
  int32_t columns;
  int32_t node;           /* of the graph: its last layer */
  int32_t first, outputs; /* its columns in a row of the network's output */
  bool scaled;            /* target_scaling */
  double *target;         /* [2][outputs] with `scaled`, once known: for thaw_labels_standardize */
} thaw_head;
/* The labels of one head, as if a dataset had no others. */
typedef struct thaw_head_data {
  thaw_dataset_info info; /* classes owned: class names, or names of labels and targets */
  thaw_labels labels;     /* float; what is not known is 255 of several labels, else NaN */
  int32_t *column;        /* [info.label_width] of the dataset's labels */
  float *value;           /* [info.count][info.label_width] */
  int64_t known;          /* samples that have labels */
} thaw_head_data;
/* Finds the head's columns and checks that they fit its loss and outputs; messages name `path` and the head. */
thaw_status thaw_head_data_open(const thaw_head *head, const thaw_dataset_info *data, const char *path,
                                thaw_head_data *out) THAW_CHECKED;
/* Then its labels. THAW_ERR_DATA when no sample has any. */
thaw_status thaw_head_data_read(const thaw_head *head, const thaw_labels *labels, int64_t count, const char *path,
                                thaw_head_data *out) THAW_CHECKED;
void thaw_head_data_clear(thaw_head_data *data);
/* Whether the sample has the head's labels: one at least of several labels, else all. */
bool thaw_head_knows(const thaw_head_data *data, uint64_t sample);

/* Room for thaw_heads_evaluate. Clear it also after a failure. */
typedef struct thaw_heads_rows {
  float *label, *row;
  double *value;      /* [rows] losses of samples */
  double *head_value; /* [heads][capacity] those of each head, before the weights */
  float *dy;          /* head after head, [rows][its outputs]; NULL: no gradient */
  int32_t capacity;
} thaw_heads_rows;
thaw_status thaw_heads_rows_create(const thaw_head *head, int32_t heads, int32_t rows, bool gradient,
                                   thaw_heads_rows *out) THAW_CHECKED;
void thaw_heads_rows_clear(thaw_heads_rows *rows);
/* After a forward pass of `count` rows: their losses. unknown: 0 ignored, 1 taken as 0, 2 taken as 1 (several labels).
 * With `source` [heads] also the gradients of their sum / batch, for thaw_live_backward_heads. */
void thaw_heads_evaluate(const thaw_live *live, const thaw_head *head, int32_t heads, const thaw_head_data *data,
                         const uint64_t *sample, int32_t count, int64_t batch, int32_t unknown, thaw_heads_rows *rows,
                         thaw_live_source *source);
/* The value of row number `row` of the last thaw_heads_evaluate; y: the network's whole row. */
double thaw_heads_metric_row(const thaw_metric *metric, const thaw_head *head, const thaw_head_data *data,
                             uint64_t sample, int32_t row, const float *y, thaw_heads_rows *rows);
/* The samples that the metric is a mean over. */
int64_t thaw_heads_metric_count(const thaw_metric *metric, const thaw_head_data *data);

typedef struct thaw_evaluation {
  int64_t count;
  double loss; /* mean over samples, plus regularisation */
  double metric[THAW_MAX_METRICS];
  int32_t metrics;
  int32_t classes;
  int64_t *confusion; /* [classes][classes] true x predicted; NULL unless class labels */
  float *prediction;  /* rank 0 and keep_predictions only: [count][outputs] in sample order */
} thaw_evaluation;
void thaw_evaluation_clear(thaw_evaluation *evaluation);

typedef struct thaw_evaluate_desc {
  thaw_features *features;
  thaw_live *live;
  const thaw_labels *labels; /* NULL: predict only */
  const thaw_dataset_info *data;
  const thaw_choice *loss;
  const thaw_head *head; /* [heads] several heads with their labels of this data; loss and target are not used then */
  const thaw_head_data *head_data; /* NULL: predict only */
  int32_t heads;                   /* 0: one */
  const double *target;            /* for thaw_labels_standardize before the loss; NULL: labels are taken as they are */
  const thaw_metric *metric;
  int32_t metrics, outputs, slice, max_samples;
  bool keep_predictions;
  const char *title;
  /* Of losses of whole batches: samples of a batch, and of a class side by side in it (0: any). The batches are those
   * of an epoch 0 of `seed` over this data. */
  int32_t batch, samples_per_class;
  uint64_t seed;
} thaw_evaluate_desc;
/* [collective] */
thaw_status thaw_evaluate(thaw_comm *comm, const thaw_evaluate_desc *desc, thaw_log *log,
                          thaw_evaluation *out) THAW_CHECKED;

/* Per-class precision, recall, F1, support; macro (of the classes that occur) and weighted means; accuracy with its 95
 * % Wilson interval. [local] */
void thaw_evaluation_table(const thaw_evaluation *evaluation, const thaw_strings *classes, thaw_text *out);
void thaw_wilson_interval(int64_t hits, int64_t count, double *low, double *high);

/* ------------------------------------------------------------------ predictions straight from image files */
typedef struct thaw_predict_desc {
  thaw_import_reader *images; /* the same files on every rank */
  const thaw_input *input;    /* what the network wants; images of any size are resized to it */
  thaw_plan *plan;            /* NULL when the cut is the input itself */
  thaw_live *live;
  size_t floats;          /* of the cut, per sample */
  int32_t outputs, batch; /* images per plan run */
} thaw_predict_desc;
typedef struct thaw_predictions { /* filled on rank 0 only */
  int64_t count, failed;
  float *y;           /* [count][outputs]; zeros for a file that could not be read */
  thaw_strings error; /* "" or the reason, one per file */
} thaw_predictions;
/* [collective] Each rank takes a contiguous run of samples. A broken one is recorded, not fatal. */
thaw_status thaw_predict_files(thaw_comm *comm, const thaw_predict_desc *desc, thaw_log *log,
                               thaw_predictions *out) THAW_CHECKED;
void thaw_predictions_clear(thaw_predictions *predictions);
/* [local] One sample of any size -> what the network takes: out [h][w][c] of `input`, without augmentation. */
thaw_status thaw_predict_input(const thaw_input *input, thaw_import_reader *images, int64_t index,
                               float *out) THAW_CHECKED;
/* [collective] The PNG and JPEG files, and where `frames` the DICOM and NIfTI files, below `path` (a folder, or one
 * file), sorted; the list is that of rank 0. */
thaw_status thaw_image_files(thaw_comm *comm, const char *path, bool frames, thaw_strings *out) THAW_CHECKED;

#endif
