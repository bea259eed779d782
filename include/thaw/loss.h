/* loss.h: losses with Keras' names and exact semantics (keras/src/losses). All [local]. */
#ifndef THAW_LOSS_H
#define THAW_LOSS_H

#include "thaw/kernel.h"
#include "thaw/schema.h"

typedef struct thaw_loss_ops {
  const thaw_schema *schema; /* schema->name: "categorical_crossentropy" */
  /* Width of a label row for an output of `outputs`: 1 (a class index) or `outputs`. */
  int32_t (*label_width)(int32_t outputs);
  /* The last activation with which loss and gradient are computed from logits in one stable formula; LINEAR: none. */
  thaw_activation fused;
  /* Per-sample losses (Keras: mean over the last axis where Keras takes it) into value[rows] and, unless dy is NULL,
   * dy[rows][outputs] = d(loss of the row)/d(y) * scale, where `scale` is 1/global batch. y is the output after its
   * activation; z the logits before it when `from_logits` (then dy is d/dz). */
  void (*evaluate)(const void *config, const float *label, const float *y, const float *z, bool from_logits,
                   int32_t rows, int32_t outputs, double scale, double *value, float *dy);
  /* Losses on cosines (arcface, cosface), else NULL: turns rows of cosines, in place, into the probabilities of the
   * classifier without its margin. The network's last layer has to be a cosine_dense. */
  void (*probabilities)(const void *config, int64_t rows, int32_t outputs, float *y);
  /* Losses of several samples together (triplet), whose `evaluate` is NULL, else NULL: one whole batch. y [rows]
   * [outputs] are embeddings, label [rows] class indices. The mean of value[rows] is the loss of the batch; dy, unless
   * NULL, [rows][outputs] is its gradient. scratch: of scratch_doubles(rows, outputs). */
  size_t (*scratch_doubles)(int32_t rows, int32_t outputs);
  void (*evaluate_batch)(const void *config, const float *label, const float *y, int32_t rows, int32_t outputs,
                         double *scratch, double *value, float *dy);
} thaw_loss_ops;
/* Of several yes-or-no labels: not known. What the training takes it for (training.unknown_labels). */
enum { THAW_LABEL_UNKNOWN = 255 };
typedef enum thaw_unknown_policy { THAW_UNKNOWN_IGNORED, THAW_UNKNOWN_ZERO, THAW_UNKNOWN_ONE } thaw_unknown_policy;
static inline float thaw_label_settle(float label, thaw_unknown_policy policy) {
  if (label != THAW_LABEL_UNKNOWN || policy == THAW_UNKNOWN_IGNORED) return label;
  return policy == THAW_UNKNOWN_ONE ? 1 : 0;
}

extern const thaw_loss_ops *const thaw_losses[]; /* NULL-terminated */
const thaw_loss_ops *thaw_loss_find(const char *name);
thaw_schema_list thaw_loss_schemas(void);
/* Class-index labels [rows] -> one-hot [rows][classes]. */
void thaw_one_hot(const float *label, int32_t rows, int32_t classes, float *out);

#endif
