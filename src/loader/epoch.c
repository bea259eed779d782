#include "thaw/loader.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

static int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t thaw_epoch_steps(const thaw_epoch *epoch) {
  return divide_up(epoch->samples, epoch->batch);
}

/* A seed of its own for use number `index` of the epoch, beside that of the permutation of all. */
static uint64_t derived_seed(const thaw_epoch *epoch, uint32_t lane, uint64_t index) {
  thaw_draw at = {
      .seed = epoch->seed, .purpose = THAW_RNG_SHUFFLE, .epoch = epoch->epoch, .sample = index, .lane = lane};
  uint32_t word[4];
  thaw_random4(&at, 0, word);
  return (uint64_t)word[1] << 32 | word[0];
}

/* The same samples in the order of permuted blocks. All F = N / chunk full blocks are permuted among themselves; the
 * short one of the last N % chunk samples, which would not fit into their places, is put between two of them at random.
 */
static uint64_t in_block_order(const thaw_epoch *epoch, uint64_t position) {
  uint64_t chunk = (uint64_t)epoch->chunk, full = (uint64_t)epoch->samples / chunk;
  uint64_t rest = (uint64_t)epoch->samples % chunk, seed = derived_seed(epoch, 1, 0);
  uint64_t before = derived_seed(epoch, 2, 0) % (full + 1) * chunk; /* samples before the short block */
  if (position >= before && position < before + rest) return full * chunk + (position - before);
  if (position >= before) position -= rest;
  return thaw_permute(seed, epoch->epoch, full, position / chunk) * chunk + position % chunk;
}

uint64_t thaw_epoch_sample(const thaw_epoch *epoch, uint64_t position) {
  uint64_t samples = (uint64_t)epoch->samples;
  if (epoch->order) return epoch->order[position];
  if (!epoch->shuffle) return position;
  if (!epoch->chunk) return thaw_permute(epoch->seed, epoch->epoch, samples, position);
  uint64_t window = (uint64_t)epoch->window * (uint64_t)epoch->chunk, first = position / window * window;
  uint64_t size = samples - first < window ? samples - first : window;
  uint64_t seed = derived_seed(epoch, 3, position / window);
  return in_block_order(epoch, first + thaw_permute(seed, epoch->epoch, size, position - first));
}

/* The samples at positions first .. first + count - 1. */
static void list_samples(const thaw_epoch *epoch, uint64_t first, uint64_t count, uint64_t *out) {
  if (epoch->shuffle && !epoch->chunk && !epoch->order) {
    thaw_permute_range(epoch->seed, epoch->epoch, (uint64_t)epoch->samples, first, count, out);
    return;
  }
  for (uint64_t i = 0; i < count; i++) out[i] = thaw_epoch_sample(epoch, first + i);
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
 * more than one slice more than another. Sample number p of the epoch is thaw_epoch_sample(p), whatever R is. */
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
    share->samples += (int32_t)(stop - at);
    share->slice_start[s + 1] = share->samples;
  }
  list_samples(epoch, (uint64_t)(first + begin * epoch->slice), (uint64_t)share->samples, share->sample);
}
