/* train_private.h: what the files of src/train share. */
#ifndef TRAIN_PRIVATE_H
#define TRAIN_PRIVATE_H

#include "thaw/digest.h"
#include "thaw/h5.h"
#include "thaw/train.h"

#include <signal.h>

/* [collective] Drops what thaw_session_phase made; harmless when there is nothing. */
void thaw_session_leave_phase(thaw_session *session);

/* [local] Marks the layers that are live in a phase, with session->auto_blocks. */
thaw_status train_mark_live(thaw_session *session, int32_t phase);
/* [local] The updates of a phase, for its schedule. */
thaw_span train_phase_span(const thaw_session *session, int32_t phase);
/* [local] Whether every phase's words name layers and its schedule fits. */
thaw_status train_phases_check(thaw_session *session);

/* [local] Names of a cut's layers, "block5_pool" or "a+b". */
thaw_status train_name_cut(const thaw_session *session, const thaw_cut *cut, thaw_text *out);
/* [local] The features depend on the constant part's parameters only, as they are now. */
thaw_status train_digest_constant(const thaw_session *session, const thaw_cut *cut, char out[THAW_DIGEST_TEXT]);
bool train_cut_is_input(const thaw_cut *cut);
thaw_status train_compile(const thaw_session *session, const int32_t *output, int32_t outputs, thaw_plan **out);

/* [local] What the constant part of `phase` makes: its cut, and the cuts of later phases that it passes by (later.c).
 */
thaw_status train_later_find(thaw_session *session, int32_t phase);
void train_later_clear(thaw_session *session);

/* [local] With training.target_scaling: adds the layer that gives outputs the targets' own units (targets.c). */
thaw_status train_targets_add_layer(thaw_session *session, int32_t last);
/* [local] Means and deviations from the labels of the training data, where the session has them. THAW_ERR_DATA for a
 * target that is constant or not finite. */
thaw_status train_targets_fit(thaw_session *session);
/* [local] The same from a checkpoint's numbers, [2][outputs]. */
thaw_status train_targets_set(thaw_session *session, const double *target);

/* [local] Whether any outputs have targets that are scaled. */
bool train_targets_wanted(const thaw_session *session);
/* [local] A layer `name` behind *last that gives `outputs` outputs their targets' units. */
thaw_status train_targets_add_rescaling(thaw_session *session, const char *name, int32_t outputs, int32_t *last);

/* Several heads (heads.c); all [local] but `piece`. Branches from node `from` on, and the layer that joins them. */
thaw_status train_heads_build(thaw_session *session, int32_t from);
/* Their losses and metrics. */
thaw_status train_heads_losses(thaw_session *session);
/* The columns of open data; then, once labels are read, those of all data. THAW_ERR_DATA where they do not fit. */
thaw_status train_heads_open(const thaw_session *session, thaw_session_data *data);
thaw_status train_heads_read(thaw_session *session);
void train_heads_close(const thaw_session *session, thaw_session_data *data);
thaw_status train_heads_same(const thaw_session *session, const thaw_session_data *a, const thaw_session_data *b);
/* Names of all outputs, as session->classes. */
thaw_status train_heads_names(thaw_session *session, const thaw_session_data *data);
typedef struct train_step train_step;
/* After the forward pass of a piece: losses, metrics, gradients. Collective as thaw_live_backward. */
thaw_status train_heads_piece(train_step *step, const thaw_share *part, const thaw_live_hooks *hooks, const float *y);

/* Cross-validation (folds.c). [local] Once the data are open: all samples beside the selection. */
bool train_has_folds(const thaw_session *session);
thaw_status train_folds_open(thaw_session *session);
/* [collective] Once labels are read: training and validation data become their parts. */
thaw_status train_folds_apply(thaw_session *session, thaw_comm *comm);

/* [collective] Copies the shards of all open data to a disk of each node, where the job says so (stage.c). */
thaw_status train_stage(thaw_session *session, thaw_comm *comm, const thaw_session_options *options, thaw_log *log);

/* [collective] What data sets have in common is told, or refused, as data.leaks says (leaks.c). */
thaw_status train_check_leaks(const thaw_session *session, thaw_comm *comm, thaw_log *log);

/* ------------------------------------------------------------------ what a run is made of (state.c, checkpoint.c) */

/* One parameter that is live or was live in an earlier phase. */
typedef struct train_tensor {
  char *layer, *name;
  int rank;
  int64_t dim[4];
  size_t count;
  float *value;     /* the graph's own memory in a running trainer, owned in a checkpoint that was read */
  bool trainable;   /* moving statistics are not */
  int64_t steps;    /* updates so far */
  int64_t exponent; /* thaw_exact's prediction */
  char optimizer[32];
  int64_t slots;
  float *slot[THAW_MAX_SLOTS];
  float *average; /* of the values over updates, with ema_momentum; NULL: not kept */
  float *best;    /* values at the best epoch so far, for restore_best_weights; NULL: not kept */
} train_tensor;

/* Follows one number over epochs, as Keras' callbacks do. */
typedef struct train_monitor {
  double best;
  bool known; /* best has a value */
  int64_t wait, cooldown;
} train_monitor;

/* Everything that decides how a run goes on: what a checkpoint holds. train_state_copy knows every pointer in it. */
typedef struct train_state {
  char job_digest[THAW_DIGEST_TEXT], weights_digest[THAW_DIGEST_TEXT];
  char train_digest[THAW_DIGEST_TEXT], validation_digest[THAW_DIGEST_TEXT];
  int64_t phase;               /* 0 .. */
  int64_t epoch;               /* of the phase, 0 .. */
  int64_t epochs;              /* done in all phases: the index of the present epoch for shuffling and dropout */
  int64_t step;                /* of the epoch: the next one to do */
  int64_t steps;               /* updates done in all */
  int64_t finished;            /* 1: nothing is left to do */
  int64_t thawed, thawed_best; /* blocks thawed by `unfreeze: auto`: now, and at the best epoch of the phase */
  int64_t thawed_epoch;        /* of the phase: the one that the last of them was thawed for; 0: none was */
  int64_t stop_phase;          /* 1: early stopping has ended the phase */
  double rate, seconds;
  train_monitor early, plateau, best;
  thaw_wide
      sum[1 + THAW_MAX_METRICS]; /* loss and metrics of the present epoch; this rank's part in a running trainer */
  int64_t seen;                  /* samples of the present epoch so far, all ranks */
  double *history;               /* [rows][columns] */
  int64_t rows, columns;
  thaw_strings column; /* their names */
  thaw_strings classes;
  double *target; /* [targets] as in the session; NULL: not scaled */
  int64_t targets;
  train_tensor *tensor;
  size_t tensors, capacity;
  bool owns_values;
} train_state;
void train_state_clear(train_state *state);
/* [local] Adds the live parameters of the graph that are not listed yet. */
thaw_status train_state_add_live(train_state *state, thaw_graph *graph);
/* [local] Makes slots fit the optimiser: kept where they were made by the same one, else zero. */
thaw_status train_state_fit_slots(train_state *state, const thaw_choice *optimizer);
train_tensor *train_state_find(train_state *state, const char *layer, const char *name); /* NULL when absent */
/* [local] Copies the values of `from` into the graph; `part`: without those of layers that it has not. */
thaw_status train_state_apply(const train_state *from, thaw_graph *graph, bool part, const char *path);
/* [local] SHA-256 over all parameters of layers that are live, in graph order. */
thaw_status train_parameters_digest(const thaw_graph *graph, char out[THAW_DIGEST_TEXT]);
/* [local] False when a parameter is NaN or infinite; names it. */
bool train_state_finite(const train_state *state, const char **layer_out, const char **name_out);

/* [local] Makes `to` a copy that owns everything. `to` is empty or an earlier copy of the same state, whose memory is
 * used again. On failure it is for train_state_clear. */
thaw_status train_state_copy(const train_state *from, train_state *to);

/* [local] A whole file or none. */
thaw_status train_checkpoint_write(const char *path, train_state *state);
/* [local] Reads and proves by digest. */
thaw_status train_checkpoint_read(const char *path, train_state *out);
/* [collective] The bytes of a checkpoint as rank 0 reads them, on every rank (thaw_free): other hosts need not see the
 * file yet, as under NFS, and one reader is enough. */
thaw_status train_checkpoint_share(thaw_comm *comm, const char *path, char **bytes_out, size_t *size_out);
/* [local] The same as reading, from bytes in memory. */
thaw_status train_checkpoint_parse(const char *path, const char *bytes, size_t size, train_state *out);
/* [local] step-*.h5 of a run folder, oldest first. */
thaw_status train_checkpoint_list(const char *folder, thaw_strings *out);

/* ------------------------------------------------------------------ writing behind the training (writer.c); rank 0 */
typedef struct train_writer train_writer;
/* [local] For files of `folder`, of which the newest `keep` step-*.h5 stay. */
thaw_status train_writer_create(const char *folder, int32_t keep, train_writer **out);
void train_writer_destroy(train_writer *writer); /* waits; accepts NULL */
/* [local] Waits for the files before (their failure is returned), copies the state and begins to write it under each of
 * the names. Nothing of `state` is needed afterwards. */
thaw_status train_writer_start(train_writer *writer, train_state *state, const char *const *name, int32_t count);
/* [local] Waits for what was started last and returns how it went, once; THAW_OK when there is nothing. */
thaw_status train_writer_wait(train_writer *writer);
/* Started and not finished; finished and not waited for. Neither blocks. */
bool train_writer_busy(const train_writer *writer);
bool train_writer_finished(const train_writer *writer);
/* The files started last. */
const thaw_strings *train_writer_names(const train_writer *writer);

/* ------------------------------------------------------------------ the run folder (folder.c, record.c); rank 0 */
typedef struct train_folder {
  char *path;
  char *key;           /* the part of the job that decides the result */
  char *resume;        /* checkpoint to go on from; NULL: start anew */
  bool used;           /* holds an earlier run */
  const char *command; /* borrowed from the options; may be NULL */
} train_folder;
/* [local] Looks, writes nothing. */
thaw_status train_folder_check(const thaw_job *job, const thaw_train_options *options, thaw_log *log,
                               train_folder *out);
/* [local] Makes the folder ready: job, environment; removes an earlier run where it starts anew. */
thaw_status train_folder_prepare(const train_folder *folder, const thaw_session *session, const char *hosts, int ranks);
void train_folder_clear(train_folder *folder);

/* [local] Starts state->column. */
thaw_status train_history_begin(train_state *state, const thaw_session *session);
/* [local] -1 when there is no such column. */
int64_t train_history_column(const train_state *state, const char *name);
/* [local] Adds one row of state->columns numbers. */
thaw_status train_history_add(train_state *state, const double *row);
/* [local] metrics.csv, whole. */
thaw_status train_history_write(const train_state *state, const char *folder);
/* [local] One event as a line of log.jsonl; `members` are JSON members without braces, may be NULL. */
thaw_status train_event(const char *folder, const char *event, const char *members);

/* [local] Event files for TensorBoard (tensorboard.c): `begin` keeps of the files what the state's history knows and
 * adds what they lack; `add` appends one epoch. */
thaw_status train_tensorboard_begin(const train_state *state, const char *run_folder);
thaw_status train_tensorboard_add(const train_state *state, const char *run_folder, const double *row);

/* ------------------------------------------------------------------ following a number (monitor.c) */
/* THAW_ERR_USAGE when `monitor` is no column. mode: 0 auto, 1 min, 2 max. */
thaw_status train_monitor_find(const train_state *state, const char *monitor, const char *where, int64_t *column_out);
bool train_monitor_maximize(const char *monitor, int32_t mode);
bool train_monitor_improved(const train_monitor *monitor, bool maximize, double min_delta, double value);

/* ------------------------------------------------------------------ signals and time (signals.c) */
typedef struct train_signals {
  struct sigaction before[3];
  double deadline; /* on thaw_seconds()' clock; 0: none */
} train_signals;
/* From now on TERM, USR1 and USR2 ask for a stop at the next step. Where `keeps_time`, so do the end of the Slurm job
 * and max_minutes (0: none): on one rank only, because hosts' clocks may differ. [local] */
void train_signals_begin(train_signals *signals, bool keeps_time, double max_minutes);
void train_signals_end(train_signals *signals);
/* The signal that came, or the words for a deadline; NULL: go on. [local] */
const char *train_signals_reason(const train_signals *signals);
bool train_signals_stop(const void *signals); /* the same as a question, for callbacks */

/* ------------------------------------------------------------------ one step (step.c) */
typedef struct train_together train_together;
struct train_step {
  thaw_session *session;
  thaw_comm *comm;
  thaw_exact *exact;
  int32_t *exponent;           /* [tensors] its predictions before the step */
  const thaw_choice *schedule; /* of the session's phase, with its lengths */
  thaw_span span;
  double rate; /* of the update under way */
  thaw_epoch epoch;
  uint64_t *order; /* of the epoch, where data.samples_per_class or data.sampling asks for one; else NULL */
  int32_t view;
  thaw_step_share share[2]; /* the present one and the next, by turns */
  int32_t tensors;
  train_tensor **state; /* [tensors] of live tensor t */
  float *features, *label, *dy, *gradient;
  float *label_row; /* of one sample, as stored */
  double *value;
  int32_t *piece_start;             /* [slices of a piece + 1] */
  double *factor;                   /* of the learning rate, per live tensor; NULL: 1 */
  double *class_weight;             /* by class, or of a label's positives; NULL: all 1 */
  double *term;                     /* [rows][outputs] where labels have weights; else NULL */
  float *mix_features, *mix_labels; /* one slice; NULL: no mixup */
  thaw_wide attempt[1 + THAW_MAX_METRICS];
  int64_t bad_slice;        /* lowest slice of this rank with a loss that is not finite, or -1 */
  int64_t batch;            /* samples of the update under way, of all ranks */
  bool last_piece;          /* of the share is under way: its gradients are final */
  bool coupled;             /* a layer or the loss joins all samples of the batch */
  train_together *together; /* of a loss that does; else NULL */
  int64_t index;            /* of the step under way, in its epoch */
  thaw_wide *joint;         /* sums of such layers */
  int32_t joint_capacity, joint_count;
  thaw_heads_rows rows; /* of several heads */
};
/* What the ranks tell each other in one step. */
enum { STEP_STOP, STEP_FAILED, STEP_CHECKPOINT, STEP_LOSS };

/* [local] For the session's present phase. */
thaw_status train_step_create(train_step *step, thaw_session *session, thaw_comm *comm, train_state *state);
void train_step_clear(train_step *step);
/* [local] The learning rate of step `index` of the state's epoch. */
double train_step_rate(const train_step *step, const train_state *state, int64_t index);
/* [local] Starts an epoch at step `first`. */
thaw_status train_step_epoch(train_step *step, const thaw_epoch *epoch, int32_t view, int64_t first);
/* [collective] Step `index` of the epoch: forward, backward, reduction, update; adds to state->sum. In flags[STEP_STOP]
 * and flags[STEP_CHECKPOINT] each rank brings its wish and gets the sum over ranks. */
thaw_status train_step_run(train_step *step, train_state *state, const thaw_choice *optimizer, int64_t index,
                           int64_t flags[THAW_EXACT_FLAGS]);
/* [collective] The same for a step whose share is planned and whose features and labels are in place; `fetched` tells
 * whether that succeeded on this rank. */
thaw_status train_step_apply(train_step *step, train_state *state, const thaw_choice *optimizer, int64_t index,
                             thaw_status fetched, int64_t flags[THAW_EXACT_FLAGS]);
/* The most samples that one rank gets in one step: the slices of all batches of an update dealt evenly. [local] */
int32_t train_share_samples(const thaw_session *session, int ranks);
/* [local] Parts that the samples of an update go through the live layers in, one after the other: the accumulated
 * batches where a live layer takes statistics over a batch, else 1. */
int32_t train_parts(const thaw_session *session);

/* ------------------------------------------------------------------ data.sampling (sampling.c); [local] */
bool train_balanced(const thaw_session *session);
/* Positions of an epoch: the samples, or the draws where classes are balanced. */
int64_t train_epoch_samples(const thaw_session *session);
/* Fills step->order for `epoch`. */
thaw_status train_make_order(train_step *step, const thaw_epoch *epoch);
thaw_status train_check_sampling(const thaw_session *session);
/* Rank 0: says how often samples are used, also in sampling.csv of the run folder. */
thaw_status train_show_sampling(const thaw_session *session, const char *folder, thaw_log *log);

/* ------------------------------------------------------------------ before and after the gradient (samples.c,
 * update.c) */
/* [local] Whether class weights, mixup and accumulation go with data, loss and layers. */
thaw_status train_samples_check(thaw_session *session);
/* [local] A label as the loss of the training data sees it: unknown ones as training.unknown_labels says. */
float train_known_label(const thaw_session *session, float label);
/* [local] Warns of what the labels of training and validation data leave open (labels.c). THAW_ERR_DATA: none of the
 * labels that are needed is known. */
thaw_status train_check_labels(const thaw_session *session, const thaw_session_options *options,
                               thaw_log *log) THAW_CHECKED;
/* [local] session.c: THAW_ERR_DATA where names differ; the paths are for the message. */
thaw_status train_same_classes(const thaw_strings *x, const char *x_path, const thaw_strings *y,
                               const char *y_path) THAW_CHECKED;
/* [local] One weight per class of the training data, to be freed; NULL: the job has none. */
thaw_status train_class_weights(const thaw_session *session, double **out);
/* [local] Losses and gradients of a share's rows into step->value and step->dy, with the weights of their classes or
 * labels. */
void train_evaluate_loss(const train_step *step, const thaw_share *part, const float *label, const float *y,
                         const float *logits, bool from_logits);
/* ------------------------------------------------------------------ losses of a whole batch (together.c) */
/* [local] NULL when the session's loss takes each sample by itself. */
thaw_status train_together_create(const train_step *step, train_together **out) THAW_CHECKED;
void train_together_free(train_together *together); /* accepts NULL */
/* [collective] Losses and gradients of this rank's rows into step->value and step->dy: every rank gets the outputs of
 * the whole batch in the batch's order, and does the same arithmetic on them. */
thaw_status train_together_evaluate(train_step *step, const float *y, int32_t rows) THAW_CHECKED;

/* [local] Unknown labels as the job wants them. */
void train_settle_unknown(const train_step *step, int32_t samples, float *label);
/* [local] Mixes features and labels in place. */
void train_mix(train_step *step, const thaw_step_share *share);
/* [local] A sample's own share in the mixture, 0.5 .. 1: Beta(alpha, alpha), folded. */
double train_mixup_share(double alpha, uint64_t seed, uint32_t epoch, uint64_t sample);
/* [local] From the exact sums to new parameters. */
void train_update(train_step *step, const thaw_choice *optimizer);
thaw_status train_layer_factors(train_step *step, double layer_decay);
/* [local] Makes averages where there are none, equal to the values. */
thaw_status train_averages_begin(train_state *state);
/* [local] Values and averages change places, for evaluation and back. */
void train_averages_swap(train_state *state);
/* [local] Makes both the same: averages like the values, or values like the averages. */
void train_averages_adopt(train_state *state, bool from_value);
/* Regularisation of all live parameters: sum of l1 |w| + l2 w^2. [local] */
double train_regularization(thaw_session *session);

#endif
