#include "thaw/loader.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

static int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t thaw_epoch_steps(const thaw_epoch *epoch) {
  return divide_up(epoch->samples, epoch->batch);
}

thaw_status thaw_step_share_create(const thaw_epoch *epoch, int ranks, thaw_step_share *out) {
  int64_t batch = epoch->samples < epoch->batch ? epoch->samples : epoch->batch;
  size_t slices = (size_t)divide_up(divide_up(batch, epoch->slice), ranks), samples = slices * (size_t)epoch->slice;
  *out = (thaw_step_share){.slice_start = thaw_new(slices + 1, sizeof *out->slice_start),
                           .slice = thaw_new(slices, sizeof *out->slice),
                           .sample = thaw_new(samples, sizeof *out->sample)};
  if (out->slice_start && out->slice && out->sample) return THAW_OK;
  thaw_step_share_clear(out);
  return THAW_ERR_MEMORY;
}

void thaw_step_share_clear(thaw_step_share *share) {
  thaw_free(share->slice_start);
  thaw_free(share->slice);
  thaw_free(share->sample);
  *share = (thaw_step_share){0};
}

/* With S slices on R ranks, rank r takes slices floor(S r / R) .. floor(S (r+1) / R) - 1: contiguous, and no rank has
 * more than one slice more than another. Sample number p of the epoch is permute(p), whatever R is. */
void thaw_step_share_plan(const thaw_epoch *epoch, int64_t step, int rank, int ranks, thaw_step_share *share) {
  int64_t first = step * epoch->batch, left = epoch->samples - first;
  share->batch = left < epoch->batch ? left : epoch->batch;
  share->slices_global = divide_up(share->batch, epoch->slice);
  int64_t begin = share->slices_global * rank / ranks, end = share->slices_global * (rank + 1) / ranks;
  share->slices = (int32_t)(end - begin);
  share->samples = 0;
  share->slice_start[0] = 0;
  for (int32_t s = 0; s < share->slices; s++) {
    int64_t at = (begin + s) * epoch->slice, stop = at + epoch->slice;
    if (stop > share->batch) stop = share->batch;
    share->slice[s] = begin + s;
    for (; at < stop; at++) {
      uint64_t position = (uint64_t)(first + at);
      share->sample[share->samples++] =
          epoch->shuffle ? thaw_permute(epoch->seed, epoch->epoch, (uint64_t)epoch->samples, position) : position;
    }
    share->slice_start[s + 1] = share->samples;
  }
}
