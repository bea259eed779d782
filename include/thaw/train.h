/* train.h: phases, steps, checkpoints, signals. The solver owns the loop; layers never see it. */
#ifndef THAW_TRAIN_H
#define THAW_TRAIN_H

#include "thaw/eval.h"
#include "thaw/job.h"
#include "thaw/optim.h"
#include "thaw/weights.h"

/* ------------------------------------------------------------------ a job made ready to run
 * Shared by train, evaluate, predict and export: network, weights, data; and, per phase, the constant part with its
 * features and the live part. Fields are read only outside src/train. */
typedef struct thaw_session_data {
  thaw_catalog *catalog;         /* NULL: absent */
  const thaw_dataset_info *info; /* borrowed from catalog */
  const thaw_labels *labels;     /* borrowed from catalog; NULL when it has none */
  thaw_catalog *whole;           /* with data.folds: all samples, whose features are cached; else NULL */
  thaw_features *features;       /* of the present phase */
  thaw_head_data *head;          /* [session's heads]; NULL: one head, or no labels that fit */
} thaw_session_data;

typedef struct thaw_session {
  const thaw_job *job; /* borrowed */
  const thaw_isa *isa;
  thaw_graph *graph;
  const thaw_architecture *architecture;
  const thaw_loss_ops *loss;
  thaw_metric metric[THAW_MAX_METRICS];
  int32_t metrics, outputs;
  thaw_head *head;       /* [heads] in the job's order; NULL: one head */
  int32_t heads;         /* 0: one. `outputs` are those of all, side by side, `loss` that of the first */
  bool part;             /* the last layers of the head are left out */
  bool embedding;        /* thaw_session_options.embedding */
  bool labels_needed;    /* thaw_session_options.labels_needed */
  int32_t share_samples; /* of one rank in one batch, whole slices */
  int32_t max_samples;   /* of one call of the live part: less than that where memory is short */
  double *target; /* [2][outputs]: means and deviations of the training targets, with training.target_scaling; the last
                     layer is then a rescaling back to their units. NULL: targets are not scaled, or not known yet */
  thaw_input input;
  char weights_digest[65]; /* of the backbone as loaded */
  thaw_strings classes;    /* names: of the checkpoint (thaw_session_load), else of the opened data; may be empty */
  thaw_session_data train, validation, test;
  thaw_stage *stage; /* on one rank of each node; NULL: none */
  /* The present phase; made by thaw_session_phase. */
  int32_t phase;       /* -1: none yet */
  int32_t auto_blocks; /* thawed so far by phases with `unfreeze: auto` */
  thaw_cut cut;
  thaw_plan *plan;            /* NULL when the cut is the input itself */
  bool ahead;                 /* thaw_session_options.ahead */
  thaw_features_later *later; /* cuts of later phases that are filled along; their names and digests are owned */
  int32_t later_count;
  int32_t *output, outputs_of_plan; /* nodes: of the cut, then of the later cuts */
  thaw_shared *packed;
  thaw_live *live;
} thaw_session;

typedef struct thaw_session_options {
  bool train, validation, test;      /* which data to open; validation and test only where the job names them */
  const char *catalog;               /* opened as `test` in place of the job's; NULL: the job's */
  bool labels_needed;                /* data without fitting labels is an error */
  const char *isa;                   /* "avx2", "avx512"; NULL: best */
  bool ahead;                        /* features of later phases are computed along where the job allows it */
  bool dry;                          /* weights are not read: for thaw_session_estimate */
  bool stage;                        /* shards are copied to the nodes first where the job says so (data.stage) */
  bool leaks;                        /* data sets that share patients or images are told, or refused (data.leaks) */
  bool (*stop)(const void *context); /* ends the copying; NULL: never */
  const void *stop_context;
  bool embedding;    /* the network ends with its embedding: without a cosine_dense at its end; labels of any number of
                        classes are read where the data has them. For sessions that do not train */
  const char *layer; /* with `embedding`: it ends with this layer of the head instead; NULL: none */
} thaw_session_options;

/* [collective] Builds the network, reads weights, opens data and checks that all fit together; ranks agree that job,
 * weights and data are the same everywhere. */
thaw_status thaw_session_create(thaw_comm *comm, const thaw_job *job, const thaw_session_options *options,
                                thaw_log *log, thaw_session **out) THAW_CHECKED;
/* [collective] Enters phase `phase` (>= 0) of the job: marks layers live, moves the cut, packs the constant part once
 * per node, opens the features and makes the live part. Parameter values stay as they are. */
thaw_status thaw_session_phase(thaw_session *session, thaw_comm *comm, int32_t phase, thaw_log *log) THAW_CHECKED;
/* [collective] Accepts NULL. */
void thaw_session_destroy(thaw_session *session);
/* [collective] Evaluates `data` (one of the session's) with its labels, if it has any. */
thaw_status thaw_session_evaluate(thaw_session *session, thaw_comm *comm, thaw_session_data *data, const char *title,
                                  bool keep_predictions, thaw_log *log, thaw_evaluation *out) THAW_CHECKED;

/* [local] Outputs that thaw_session_evaluate does not turn into probabilities itself, [rows][outputs], in place: rows
 * of cosines under arcface and cosface; others stay as they are. */
void thaw_session_probabilities(const thaw_session *session, int64_t rows, float *y);

/* What a phase costs. Bytes are those of one rank unless said otherwise. */
typedef struct thaw_estimate {
  int64_t trainable;       /* live trainable parameters */
  size_t cut_floats;       /* cached per sample and view */
  size_t later_floats;     /* cached along for later phases */
  size_t packed_bytes;     /* the constant part's packed weights, once per node */
  size_t parameter_bytes;  /* all parameters as read */
  size_t activation_bytes; /* of the constant part, and the least that any plan needs */
  size_t lower_bound_bytes;
  size_t live_bytes;        /* activations and gradients of the live part */
  size_t optimizer_bytes;   /* slots */
  size_t reduced_bytes;     /* sent by one rank into the reduction of one step */
  double frozen_flops;      /* per image, textbook count */
  double live_flops;        /* forward, per image; a training step costs about three times that */
  int32_t images_in_flight; /* for which activation_bytes holds */
} thaw_estimate;
/* [local] Nothing is packed, read or computed; the session is in no phase afterwards, its layers marked as in `phase`.
 */
thaw_status thaw_session_estimate(thaw_session *session, int32_t phase, thaw_estimate *out) THAW_CHECKED;

/* [collective] Parameters and phase of a checkpoint: enters its phase and copies its live parameters and moving
 * statistics into the session. THAW_ERR_DATA when the checkpoint belongs to another network or other weights. */
thaw_status thaw_session_load(thaw_session *session, thaw_comm *comm, const char *checkpoint,
                              thaw_log *log) THAW_CHECKED;
/* [local] The checkpoint that stands for a finished run: best.h5 if there, else the newest step-*.h5; thaw_free it.
 * THAW_ERR_DATA when there is none. */
thaw_status thaw_run_checkpoint(const char *run_folder, char **path_out) THAW_CHECKED;
/* [local] Whether `path` is a checkpoint, and a run folder; what they hold, as a table. */
bool thaw_checkpoint_recognize(const char *path);
bool thaw_run_recognize(const char *folder);
thaw_status thaw_checkpoint_describe(const char *path, thaw_text *out) THAW_CHECKED;
thaw_status thaw_run_describe(const char *folder, thaw_text *out) THAW_CHECKED;

/* [local] The loss, metrics and phase's optimiser of a job as JSON in Keras' words (thaw_export_training). Clear it
 * also after a failure. */
typedef struct thaw_keras_training_text {
  const char *optimizer_class;
  thaw_text optimizer_config, loss, metrics, loss_weights; /* loss_weights: of several heads, else empty */
} thaw_keras_training_text;
thaw_status thaw_keras_training(const thaw_job *job, int32_t phase, thaw_keras_training_text *out) THAW_CHECKED;
void thaw_keras_training_clear(thaw_keras_training_text *text);

/* [local] The optimiser's state in a checkpoint (thaw_export_slots): slots of the given phase's optimiser, for tensors
 * that it has updated. Keras counts iterations once, thaw for each tensor: the count is that of the tensor updated
 * most. Free it; its context points into it. */
typedef struct thaw_keras_slots thaw_keras_slots;
thaw_status thaw_keras_slots_read(const char *checkpoint, const thaw_job *job, int32_t phase,
                                  thaw_keras_slots **out) THAW_CHECKED;
const thaw_export_slots *thaw_keras_slots_view(const thaw_keras_slots *slots);
void thaw_keras_slots_free(thaw_keras_slots *slots); /* accepts NULL */

typedef struct thaw_train_options {
  bool resume;    /* continue from the newest whole checkpoint in the run folder, if any */
  bool overwrite; /* start anew in a run folder that holds another run */
  bool leaks;     /* thaw_session_options.leaks */
  const char *isa;
  const char *command; /* noted in environment.json; may be NULL */
  int64_t pause; /* after so many epochs in all the training stops with a checkpoint and THAW_OK, for a later call with
                    `resume` to go on; 0: never */
  bool history;  /* wanted in the result, on every rank, also of a run that diverged */
} thaw_train_options;
typedef struct thaw_train_result {
  char parameters_digest[65]; /* SHA-256 over all live parameters at the end, in graph order */
  double best;
  int64_t steps;
  /* With options->history: metrics.csv and what chose best.h5; for thaw_train_result_clear. */
  double *history; /* [epochs][columns] */
  int64_t epochs;
  thaw_strings columns;
  int64_t monitor; /* the column that chose best.h5 */
  bool maximize;
} thaw_train_result;
void thaw_train_result_clear(thaw_train_result *result);
/* [local] For a program that only trains, at its start: TERM, USR1 and USR2 that come before thaw_train are remembered
 * and stop it at its first step, rather than ending the process. */
void thaw_train_expect_signals(void);
/* [collective] THAW_STOPPED after a signal and a checkpoint. */
thaw_status thaw_train(thaw_comm *comm, const thaw_job *job, const thaw_train_options *options, thaw_log *log,
                       thaw_train_result *out) THAW_CHECKED;

/* ------------------------------------------------------------------ a rising learning rate */
typedef struct thaw_lr_find_options {
  double low, high;             /* first and last learning rate, both above 0 */
  int32_t steps;                /* at least 20 */
  int32_t phase;                /* of the job, 0 .. */
  const char *checkpoint, *isa; /* may be NULL */
} thaw_lr_find_options;
typedef struct thaw_lr_find_result {
  double *rate, *loss, *smooth; /* [count] */
  int32_t count, lowest;        /* lowest: index of the lowest smooth loss */
  double suggestion;            /* where the loss falls fastest; 0: nowhere */
  bool diverged;                /* before `high` was reached */
} thaw_lr_find_result;
/* [collective] Writes nothing but the feature cache. */
thaw_status thaw_lr_find(thaw_comm *comm, const thaw_job *job, const thaw_lr_find_options *options, thaw_log *log,
                         thaw_lr_find_result *out) THAW_CHECKED;
void thaw_lr_find_clear(thaw_lr_find_result *out);

#endif
