#include "optim/optim_private.h"

#include <string.h>

const thaw_optim_ops *const thaw_optimizers[] = {
    &thaw_sgd_ops, &thaw_adam_ops, &thaw_adamw_ops, &thaw_rmsprop_ops, &thaw_lars_ops, &thaw_lamb_ops, NULL};
static const thaw_schema *const schemas[] = {&thaw_sgd_schema,
                                             &thaw_adam_schema,
                                             &thaw_adamw_schema,
                                             &thaw_rmsprop_schema,
                                             &thaw_lars_schema,
                                             &thaw_lamb_schema,
                                             NULL};

const thaw_optim_ops *thaw_optim_find(const char *name) {
  for (const thaw_optim_ops *const *ops = thaw_optimizers; *ops; ops++)
    if (strcmp((*ops)->schema->name, name) == 0) return *ops;
  return NULL;
}

thaw_schema_list thaw_optim_schemas(void) {
  return (thaw_schema_list){.key = "name", .what = "optimizer", .schemas = schemas};
}

double thaw_optim_learning_rate(const void *config) {
  return ((const thaw_optim_common *)config)->learning_rate;
}

void thaw_weight_decay(float decay, float rate, float *value, size_t n) {
  if (decay == 0) return;
  for (size_t i = 0; i < n; i++) value[i] -= value[i] * decay * rate;
}
