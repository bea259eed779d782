/* job.h: the YAML job file -> a checked struct (libyaml). See README, "the job file". All functions are [local].
 *
 * The head's layers, the loss and the optimisers are described by schemas that the caller brings (the registries of
 * src/layer, src/loss and src/optim), so this module knows no layer by name. The whole file is checked before anything
 * runs; every error names file, line, key and, for an unknown key or choice, the nearest valid one:
 *     job.yaml:14: training.phases[0].optimizer: unknown key 'learning_rte' (did you mean 'learning_rate'?)
 */
#ifndef THAW_JOB_H
#define THAW_JOB_H

#include "thaw/schema.h"

typedef struct thaw_backbone_config {
  char *architecture;  /* "vgg16"; the zoo checks the name. NULL when `file` is given */
  char *file;          /* a whole Keras model (.h5, .keras) instead: network and weights; NULL: none */
  char *weights;       /* Keras weight file; NULL: random initialisation (said so in the log) */
  int32_t input[3];    /* height, width, channels; 0,0,0: the architecture's default */
  char *cut;           /* last backbone layer used; NULL: the whole backbone */
  char *preprocessing; /* "caffe", "tf", "torch", "raw"; NULL: the architecture's own */
} thaw_backbone_config;

/* Keras' ImageDataGenerator / preprocessing-layer argument names. Absent: identity. */
typedef struct thaw_augment_config {
  bool enabled; /* the section is present */
  bool horizontal_flip, vertical_flip;
  double rotation[2];   /* degrees */
  double zoom[2];       /* factor - 1: 0.1 means 0.9 .. 1.1 */
  double shift_x[2];    /* width_shift: fraction of width */
  double shift_y[2];    /* height_shift */
  double shear[2];      /* degrees */
  double brightness[2]; /* fraction of the value range added */
  double contrast[2];   /* factor - 1 around the image mean */
  double crop;          /* random crop: smallest kept fraction of each side, 0 = off */
  double noise;         /* Gaussian noise, standard deviation as fraction of the value range */
  int32_t fill_mode;    /* 0 nearest, 1 constant, 2 reflect */
  int32_t views;        /* epoch e uses view e mod views; 1 .. 1000, default 8; 1 unless enabled */
} thaw_augment_config;

/* A group (patient) in two of train, validation and test is an error or a warning; alike images are a warning. */
typedef enum thaw_leaks_rule { THAW_LEAKS_REFUSE, THAW_LEAKS_WARN, THAW_LEAKS_IGNORE } thaw_leaks_rule;

typedef struct thaw_data_config {
  char *train, *validation, *test; /* catalog.yaml paths, resolved against the job file's folder; train required */
  thaw_augment_config augment;
  int32_t resize;            /* 0 bilinear antialiased when shard size differs from the input, 1 error */
  int32_t shuffle;           /* 0 full, 1 chunked */
  int32_t shuffle_chunk;     /* samples per block, default 256 */
  int32_t shuffle_window;    /* blocks mixed at a time, default 8 */
  int32_t samples_per_class; /* samples of one class side by side in a batch; 0: off */
  int32_t sampling;          /* 0 natural, each sample once per epoch; 1 balanced, each class equally often */
  char *stage;               /* folder on a disk of each node, may name environment variables; NULL: none */
  int32_t folds, fold;       /* cross-validation: of `folds` parts of the training data number `fold`, from 1 on, is the
                                validation data; folds 0: off */
  bool stage_keep;           /* what was staged stays for the next run, default true */
  int32_t leaks;             /* thaw_leaks_rule: what is in two of the data sets, default refuse */
} thaw_data_config;

typedef struct thaw_cache_config {
  bool enabled;    /* default true */
  char *folder;    /* default: "cache" beside the run folder's parent */
  int32_t storage; /* 0 float32, 1 float16 */
  double limit_gb; /* least recently used entries are removed above this; 0: no limit */
  bool ahead;      /* the cuts of later phases are filled along, default true */
} thaw_cache_config;

typedef struct thaw_early_stopping_config { /* Keras' EarlyStopping */
  bool enabled;
  char *monitor; /* "val_loss" */
  int32_t patience;
  double min_delta;
  int32_t mode; /* 0 auto, 1 min, 2 max */
  bool restore_best_weights;
  int32_t start_from_epoch;
} thaw_early_stopping_config;

typedef struct thaw_reduce_lr_config { /* Keras' ReduceLROnPlateau */
  bool enabled;
  char *monitor;
  double factor;
  int32_t patience, cooldown;
  double min_delta, min_lr;
  int32_t mode;
} thaw_reduce_lr_config;

typedef struct thaw_checkpoint_config {
  int32_t every_epochs; /* default 1 */
  double every_minutes; /* also in mid-epoch; 0: off; default 10 */
  int32_t keep_last;    /* default 2 */
  char *monitor;        /* for best.h5; default val_loss, or loss without validation data */
  int32_t mode;
} thaw_checkpoint_config;

typedef struct thaw_class_weights_config { /* Keras' class_weight */
  bool enabled;
  bool balanced;       /* samples / (classes * samples of the class), or negatives / positives of each of several
                          labels; then the lists are empty */
  thaw_text_list name; /* classes, or labels whose positives are weighted; those that are not named have weight 1 */
  thaw_number_list weight;
} thaw_class_weights_config;

typedef struct thaw_auto_unfreeze_config { /* of phases with `unfreeze: auto` */
  char *monitor;
  int32_t patience; /* as Keras' EarlyStopping has it */
  double min_delta;
  int32_t mode, max_blocks; /* max_blocks 0: as many as there are */
} thaw_auto_unfreeze_config;

typedef struct thaw_phase_config {
  int32_t epochs;
  thaw_choice optimizer;
  thaw_choice schedule;    /* of the learning rate; schema NULL: constant */
  thaw_text_list unfreeze; /* names, prefixes, counts, shares, "all", "none"; "auto" alone; empty: nothing more */
  thaw_text_list refreeze; /* the same words without "auto" */
  bool train_batch_norm;
  double layer_decay; /* 1: off */
  int32_t line;
} thaw_phase_config;

typedef struct thaw_training_config {
  thaw_choice loss;
  int32_t batch_size;     /* global */
  int32_t accumulate;     /* batches per update; an update sees batch_size * accumulate samples */
  int32_t slice;          /* samples per slice, default 8; part of what determines the bits */
  thaw_text_list metrics; /* "accuracy", "top_5_accuracy", "mae" */
  double ema_momentum;    /* Keras' use_ema; 0: off */
  double mixup;           /* alpha; 0: off */
  int32_t target_scaling; /* of regression targets: 0 none, 1 standardised by the training data's mean and deviation */
  int32_t unknown_labels; /* of training data: 0 ignored, 1 taken as 0, 2 taken as 1 */
  thaw_class_weights_config class_weights;
  thaw_phase_config *phases;
  int32_t phase_count;
  thaw_early_stopping_config early_stopping;
  thaw_auto_unfreeze_config auto_unfreeze;
  thaw_reduce_lr_config reduce_lr;
  thaw_checkpoint_config checkpoint;
  bool tensorboard;        /* event files in the run folder */
  bool recompute;          /* activations are computed again instead of kept */
  int32_t threads;         /* inside a rank; default 1 */
  double max_minutes;      /* stop with a checkpoint before this; 0: none */
  double watchdog_seconds; /* a rank silent for so long ends the job; 0: never; default 600 */
} thaw_training_config;

/* One of several heads. Losses and metrics of a run: "loss", then "NAME_loss" of each head, then "NAME_METRIC" of each;
 * training.metrics lists all but the first, training.loss is that of the first head. */
enum { THAW_MAX_HEADS = 8, THAW_MAX_METRICS = 24 };
typedef struct thaw_head_config {
  char *name;             /* also of its last layer */
  double weight;          /* Keras' loss_weights */
  thaw_text_list labels;  /* columns of the data's labels; default: the name */
  thaw_text_list metrics; /* without the name */
  int32_t target_scaling; /* as training.target_scaling */
  thaw_choice loss;
  thaw_choice *layers;
  int32_t layer_count, line;
} thaw_head_config;

typedef struct thaw_job {
  char *path;   /* of the file, for messages */
  char *folder; /* absolute, of the file: relative input paths inside it are resolved against this */
  char *name;
  int64_t seed;
  char *output; /* run folder; default "runs/<name>" */
  thaw_backbone_config backbone;
  thaw_choice *head; /* with `heads`: what they share; may be none */
  int32_t head_count;
  thaw_head_config *heads; /* several heads, at least 2; NULL: `head` is the only one */
  int32_t heads_count;
  thaw_data_config data;
  thaw_cache_config cache;
  thaw_training_config training;
  thaw_arena *arena;
} thaw_job;

typedef struct thaw_job_schemas {
  thaw_schema_list layers, losses, optimizers, schedules;
} thaw_job_schemas;

/* Parses `text` (the content of `path`; ranks get it by broadcast so that all parse the same bytes). Input files
 * (weights, catalogues) are resolved against the absolute folder of the job file; output and cache folders are relative
 * to the current folder. A phase without `unfreeze`, `train_batch_norm`, `optimizer` or `schedule` gets those of the
 * phase before; without `phases`, the training section's own epochs, optimizer, ... are the only phase. */
thaw_status thaw_job_parse(const char *path, const char *text, size_t size, const thaw_job_schemas *schemas,
                           thaw_job **out) THAW_CHECKED;
/* The same from a tree, whose texts the job borrows: its arena must live as long. */
typedef struct thaw_yaml thaw_yaml;
thaw_status thaw_job_parse_tree(const char *path, const thaw_yaml *root, const thaw_job_schemas *schemas,
                                thaw_job **out) THAW_CHECKED;
/* Whether a phase thaws block by block as it goes (`unfreeze: auto`). */
bool thaw_phase_is_auto(const thaw_phase_config *phase);
void thaw_job_destroy(thaw_job *job); /* accepts NULL */

/* The effective job with every default filled in, as YAML that parses back to the same job (written to the run folder).
 * Fields that cannot change results (output, cache, threads, checkpoint times) are left out when `digest_only`, so
 * that the digest of this text identifies the result; so are names and paths, whose content has digests of its own. */
thaw_status thaw_job_echo(const thaw_job *job, bool digest_only, thaw_text *out) THAW_CHECKED;

/* Every key of the job file with type, range, default and meaning, and every layer, loss and optimizer. */
void thaw_job_help(const thaw_job_schemas *schemas, thaw_text *out);

/* ------------------------------------------------------------------ a YAML tree, for catalogues and manifests */
typedef enum thaw_yaml_kind { THAW_YAML_SCALAR, THAW_YAML_LIST, THAW_YAML_MAP } thaw_yaml_kind;
struct thaw_yaml {
  thaw_yaml_kind kind;
  int32_t line;      /* 1-based */
  const char *key;   /* inside a map */
  const char *value; /* scalar text */
  bool quoted;
  thaw_yaml *child, *next;
  int32_t count; /* children */
};
/* Limits: depth 32, 2,000,000 nodes, duplicate keys, aliases and tags refused. `name` is for messages. */
thaw_status thaw_yaml_parse(const char *name, const char *text, size_t size, thaw_arena *arena,
                            thaw_yaml **out) THAW_CHECKED;
const thaw_yaml *thaw_yaml_get(const thaw_yaml *map, const char *key); /* NULL when absent */

#endif
