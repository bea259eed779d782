/* The optimisers that the registry lists, and what they share. */
#ifndef THAW_OPTIM_PRIVATE_H
#define THAW_OPTIM_PRIVATE_H

#include "thaw/optim.h"

extern const thaw_schema thaw_sgd_schema, thaw_adam_schema, thaw_adamw_schema, thaw_rmsprop_schema, thaw_lars_schema,
    thaw_lamb_schema;
extern const thaw_optim_ops thaw_sgd_ops, thaw_adam_ops, thaw_adamw_ops, thaw_rmsprop_ops, thaw_lars_ops, thaw_lamb_ops;

/* The fields of thaw_optim_common after the learning rate. */
#define THAW_CLIPPING_FIELD(member, text)                                                                              \
  {                                                                                                                    \
    .name = #member, .kind = THAW_FIELD_FLOAT, .offset = offsetof(thaw_optim_common, member), .high = 1e30,            \
    .quiet = true, .help = text                                                                                        \
  }
#define THAW_CLIPPING                                                                                                  \
  THAW_CLIPPING_FIELD(clipnorm, "the gradient of each parameter is shortened to this norm, 0: off"),                   \
      THAW_CLIPPING_FIELD(global_clipnorm, "all live gradients together are shortened to this norm, 0: off"),          \
      THAW_CLIPPING_FIELD(clipvalue, "gradient elements are limited to [-this, this], 0: off")

/* value -= value * decay * rate, before the update proper (keras/src/optimizers/base_optimizer.py,
 * _apply_weight_decay); decay 0: nothing. */
void thaw_weight_decay(float decay, float rate, float *value, size_t n);

#endif
