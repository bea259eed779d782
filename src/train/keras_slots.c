/* What an optimiser remembers, from a checkpoint to Keras. */
#include "thaw/memory.h"
#include "train/train_private.h"

#include <string.h>

struct thaw_keras_slots {
  train_state state;
  const char *optimizer;
  thaw_export_slots view;
};

static const float *find_slot(const void *context, const char *layer, const char *param, int32_t slot) {
  const thaw_keras_slots *slots = context;
  for (size_t i = 0; i < slots->state.tensors; i++) {
    const train_tensor *t = &slots->state.tensor[i];
    if (strcmp(t->layer, layer) != 0 || strcmp(t->name, param) != 0) continue;
    return strcmp(t->optimizer, slots->optimizer) == 0 && slot < t->slots ? t->slot[slot] : NULL;
  }
  return NULL;
}

thaw_status thaw_keras_slots_read(const char *checkpoint, const thaw_job *job, int32_t phase, thaw_keras_slots **out) {
  const int32_t last = job->training.phase_count - 1; /* a finished run is in the phase after the last */
  const thaw_choice *optimizer = &job->training.phases[phase < 0 ? 0 : phase < last ? phase : last].optimizer;
  const thaw_optim_ops *ops = thaw_optim_find(optimizer->schema->name);
  thaw_keras_slots *slots = thaw_new(1, sizeof *slots);
  *out = NULL;
  if (!slots) return THAW_ERR_MEMORY;
  thaw_status status = train_checkpoint_read(checkpoint, &slots->state);
  if (status != THAW_OK) {
    thaw_free(slots);
    return status;
  }
  slots->optimizer = optimizer->schema->name;
  slots->view = (thaw_export_slots){.learning_rate = slots->state.rate,
                                    .slots = ops->slots(optimizer->config),
                                    .interleaved = strncmp(optimizer->schema->name, "adam", 4) == 0 ? 2 : 1,
                                    .slot = find_slot,
                                    .context = slots};
  for (size_t i = 0; i < slots->state.tensors; i++)
    if (slots->state.tensor[i].steps > slots->view.iterations &&
        strcmp(slots->state.tensor[i].optimizer, slots->optimizer) == 0)
      slots->view.iterations = slots->state.tensor[i].steps;
  *out = slots;
  return THAW_OK;
}

const thaw_export_slots *thaw_keras_slots_view(const thaw_keras_slots *slots) {
  return &slots->view;
}

void thaw_keras_slots_free(thaw_keras_slots *slots) {
  if (!slots) return;
  train_state_clear(&slots->state);
  thaw_free(slots);
}
