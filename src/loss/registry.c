#include "loss/loss_private.h"

#include <string.h>

const thaw_loss_ops *const thaw_losses[] = {&thaw_categorical_crossentropy_ops,
                                            &thaw_sparse_categorical_crossentropy_ops,
                                            &thaw_binary_crossentropy_ops,
                                            &thaw_categorical_focal_crossentropy_ops,
                                            &thaw_binary_focal_crossentropy_ops,
                                            &thaw_mean_squared_error_ops,
                                            &thaw_mean_absolute_error_ops,
                                            &thaw_huber_ops,
                                            &thaw_arcface_ops,
                                            &thaw_cosface_ops,
                                            &thaw_triplet_ops,
                                            NULL};

static const thaw_schema *const schemas[] = {&thaw_categorical_crossentropy_schema,
                                             &thaw_sparse_categorical_crossentropy_schema,
                                             &thaw_binary_crossentropy_schema,
                                             &thaw_categorical_focal_crossentropy_schema,
                                             &thaw_binary_focal_crossentropy_schema,
                                             &thaw_mean_squared_error_schema,
                                             &thaw_mean_absolute_error_schema,
                                             &thaw_huber_schema,
                                             &thaw_arcface_schema,
                                             &thaw_cosface_schema,
                                             &thaw_triplet_schema,
                                             NULL};

const thaw_loss_ops *thaw_loss_find(const char *name) {
  for (const thaw_loss_ops *const *ops = thaw_losses; *ops; ops++)
    if (strcmp((*ops)->schema->name, name) == 0) return *ops;
  return NULL;
}

thaw_schema_list thaw_loss_schemas(void) {
  return (thaw_schema_list){.key = "name", .what = "loss", .schemas = schemas};
}

int32_t thaw_loss_label_per_output(int32_t outputs) {
  return outputs;
}

int32_t thaw_loss_label_class(int32_t outputs) {
  (void)outputs;
  return 1;
}

void thaw_one_hot(const float *label, int32_t rows, int32_t classes, float *out) {
  memset(out, 0, (size_t)rows * (size_t)classes * sizeof *out);
  for (int32_t row = 0; row < rows; row++)
    if (label[row] >= 0 && label[row] < (float)classes) out[(size_t)row * (size_t)classes + (size_t)label[row]] = 1;
}
