/* The losses that the registry lists. */
#ifndef THAW_LOSS_PRIVATE_H
#define THAW_LOSS_PRIVATE_H

#include "thaw/loss.h"

extern const thaw_loss_ops thaw_categorical_crossentropy_ops, thaw_sparse_categorical_crossentropy_ops,
    thaw_binary_crossentropy_ops, thaw_mean_squared_error_ops, thaw_mean_absolute_error_ops, thaw_huber_ops,
    thaw_binary_focal_crossentropy_ops, thaw_categorical_focal_crossentropy_ops, thaw_arcface_ops, thaw_cosface_ops,
    thaw_triplet_ops;

extern const thaw_schema thaw_categorical_crossentropy_schema, thaw_sparse_categorical_crossentropy_schema,
    thaw_binary_crossentropy_schema, thaw_mean_squared_error_schema, thaw_mean_absolute_error_schema, thaw_huber_schema,
    thaw_binary_focal_crossentropy_schema, thaw_categorical_focal_crossentropy_schema, thaw_arcface_schema,
    thaw_cosface_schema, thaw_triplet_schema;

/* A label row as wide as the output. */
int32_t thaw_loss_label_per_output(int32_t outputs);
/* A class index. */
int32_t thaw_loss_label_class(int32_t outputs);

#endif
