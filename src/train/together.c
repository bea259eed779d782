/* Losses of several samples together. Triplets are chosen from the global batch, whoever computed its embeddings: all
 * ranks get all of them, in the order of the batch, and compute loss and gradient alike, so that neither depends on the
 * number of ranks. That costs batch x outputs floats of traffic and batch^2 x outputs operations on each rank. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <string.h>

struct train_together {
  float *y, *dy, *label; /* [batch][outputs], [batch][outputs], [batch] */
  double *value, *scratch;
  size_t *bytes; /* [ranks] */
};

thaw_status train_together_create(const train_step *step, train_together **out) {
  const thaw_session *s = step->session;
  int64_t batch = s->job->training.batch_size, samples = train_epoch_samples(s);
  int32_t rows = (int32_t)(samples < batch ? samples : batch);
  *out = NULL;
  if (!s->loss->evaluate_batch) return THAW_OK;
  train_together *t = *out = thaw_new(1, sizeof *t);
  if (!t) return THAW_ERR_MEMORY;
  size_t values = (size_t)rows * (size_t)s->outputs;
  t->y = thaw_new(values, sizeof *t->y);
  t->dy = thaw_new(values, sizeof *t->dy);
  t->label = thaw_new((size_t)rows, sizeof *t->label);
  t->value = thaw_new((size_t)rows, sizeof *t->value);
  t->scratch = thaw_new(s->loss->scratch_doubles(rows, s->outputs), sizeof *t->scratch);
  t->bytes = thaw_new((size_t)thaw_comm_size(step->comm), sizeof *t->bytes);
  return t->y && t->dy && t->label && t->value && t->scratch && t->bytes ? THAW_OK : THAW_ERR_MEMORY;
}

void train_together_free(train_together *t) {
  if (!t) return;
  thaw_free(t->y);
  thaw_free(t->dy);
  thaw_free(t->label);
  thaw_free(t->value);
  thaw_free(t->scratch);
  thaw_free(t->bytes);
  thaw_free(t);
}

/* The first sample of `rank` in a batch: thaw_step_share_plan deals whole slices. */
static int64_t first_of(const thaw_step_share *share, int32_t slice, int rank, int ranks) {
  int64_t at = share->slices_global * rank / ranks * slice;
  return at < share->batch ? at : share->batch;
}

thaw_status train_together_evaluate(train_step *step, const float *y, int32_t rows) {
  const thaw_session *s = step->session;
  train_together *t = step->together;
  const thaw_step_share *share = &step->share[step->index % 2];
  int rank = thaw_comm_rank(step->comm), ranks = thaw_comm_size(step->comm);
  size_t row = (size_t)s->outputs;
  for (int r = 0; r < ranks; r++)
    t->bytes[r] =
        (size_t)(first_of(share, step->epoch.slice, r + 1, ranks) - first_of(share, step->epoch.slice, r, ranks)) *
        row * sizeof *y;
  THAW_TRY(thaw_comm_gather_all(step->comm, y, t->bytes, t->y));
  for (int64_t i = 0; i < share->batch; i++) {
    uint64_t position = (uint64_t)(step->index * step->epoch.batch + i);
    t->label[i] = thaw_label(s->train.labels, thaw_epoch_sample(&step->epoch, position), 0);
  }
  s->loss->evaluate_batch(s->job->training.loss.config, t->label, t->y, (int32_t)share->batch, s->outputs, t->scratch,
                          t->value, t->dy);
  size_t first = (size_t)first_of(share, step->epoch.slice, rank, ranks);
  memcpy(step->value, t->value + first, (size_t)rows * sizeof *step->value);
  memcpy(step->dy, t->dy + first * row, (size_t)rows * row * sizeof *step->dy);
  return THAW_OK;
}
