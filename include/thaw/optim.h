/* optim.h: optimisers with Keras' names and exact semantics (keras/src/optimizers). All [local]. */
#ifndef THAW_OPTIM_H
#define THAW_OPTIM_H

#include "thaw/schema.h"
#include <stdint.h>

enum { THAW_MAX_SLOTS = 3 };
/* What every optimizer's config begins with. */
typedef struct thaw_optim_common {
  double learning_rate;
  double clipnorm, global_clipnorm, clipvalue; /* 0: off; at most one of them is on */
} thaw_optim_common;
typedef struct thaw_optim_ops {
  const thaw_schema
      *schema; /* "sgd", "adam", "adamw", "rmsprop", "lars", "lamb"; every config starts with a thaw_optim_common */
  int32_t (*slots)(const void *config);                       /* arrays kept per parameter */
  const char *(*slot_name)(const void *config, int32_t slot); /* Keras' names: "momentum", "velocity" */
  /* One update of one tensor. slot[i] [n] start at zero. `step` counts from 1 for this tensor. rate: the learning rate
   * now. Each element depends on itself alone (with LARS and LAMB: on its whole tensor), in a
   * fixed order of operations. Weight decay, where the config
   * has one, is decoupled and comes first, as in Keras: value -= value * weight_decay * rate, for biases too. */
  void (*update)(const void *config, double rate, int64_t step, float *value, const float *gradient, float *const *slot,
                 size_t n);
  /* The same for tensors of one dimension; NULL: as the others. */
  void (*update_vector)(const void *config, double rate, int64_t step, float *value, const float *gradient,
                        float *const *slot, size_t n);
} thaw_optim_ops;
extern const thaw_optim_ops *const thaw_optimizers[]; /* NULL-terminated */
const thaw_optim_ops *thaw_optim_find(const char *name);
thaw_schema_list thaw_optim_schemas(void);
double thaw_optim_learning_rate(const void *config);

/* Gradient clipping as keras/src/optimizers/base_optimizer.py does it, before the update. */
/* THAW_ERR_USAGE when more than one kind of clipping is asked for. */
thaw_status thaw_optim_check(const thaw_choice *optimizer) THAW_CHECKED;
/* Sum of squares in double, in an order that depends on n alone. */
double thaw_square_sum(const float *x, size_t n);
/* Clips one tensor's gradient in place. square_sum: over the gradients of all live tensors; read only with
 * global_clipnorm. */
void thaw_optim_clip(const void *config, double square_sum, float *gradient, size_t n);

/* ------------------------------------------------------------------ learning-rate schedules
 * With Keras' names and formulas (keras/src/optimizers/schedules), and PyTorch's one-cycle: pure functions of the
 * number of the update in the phase. */
typedef struct thaw_span {
  int64_t epoch_steps; /* updates in one epoch */
  int64_t steps;       /* updates in the whole phase: the length of what the job gives no length */
  int64_t thawed_at;   /* the update at which `unfreeze: auto` thawed last: a warm-up begins anew; 0: nothing thawed */
} thaw_span;
thaw_schema_list thaw_schedule_schemas(void);
/* THAW_ERR_USAGE when the options do not fit together or to the span; the message starts with the option's name. */
thaw_status thaw_schedule_check(const thaw_choice *schedule, const thaw_span *span) THAW_CHECKED;
/* The learning rate of update `step` (0 ..) of the phase; `rate`: the optimizer's. schedule->schema NULL: `rate`. */
double thaw_schedule_rate(const thaw_choice *schedule, const thaw_span *span, double rate, int64_t step);

#endif
