/* optim.h: optimisers with Keras' names and exact semantics (keras/src/optimizers). All [local]. */
#ifndef THAW_OPTIM_H
#define THAW_OPTIM_H

#include "thaw/schema.h"
#include <stdint.h>

enum { THAW_MAX_SLOTS = 3 };
typedef struct thaw_optim_ops {
  const thaw_schema *schema; /* "sgd", "adam", "adamw", "rmsprop"; every config starts with a double learning_rate */
  int32_t (*slots)(const void *config);                       /* arrays kept per parameter */
  const char *(*slot_name)(const void *config, int32_t slot); /* Keras' names: "momentum", "velocity" */
  /* One update of one tensor. slot[i] [n] start at zero. `step` counts from 1 for this tensor. rate: the learning rate
   * now. Each element depends on itself alone, in a fixed order of float32 operations. Weight decay, where the config
   * has one, is decoupled and comes first, as in Keras: value -= value * weight_decay * rate, for biases too. */
  void (*update)(const void *config, double rate, int64_t step, float *value, const float *gradient, float *const *slot,
                 size_t n);
} thaw_optim_ops;
extern const thaw_optim_ops *const thaw_optimizers[]; /* NULL-terminated */
const thaw_optim_ops *thaw_optim_find(const char *name);
thaw_schema_list thaw_optim_schemas(void);
double thaw_optim_learning_rate(const void *config);

#endif
