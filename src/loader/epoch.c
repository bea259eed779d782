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

/* Positions in the order of blocks -> samples, as in_block_order, many at once. */
static void in_block_order_each(const thaw_epoch *epoch, uint64_t *position, uint64_t count) {
  enum { SOME = 256 };
  const uint64_t chunk = (uint64_t)epoch->chunk, full = (uint64_t)epoch->samples / chunk;
  const uint64_t rest = (uint64_t)epoch->samples % chunk, seed = derived_seed(epoch, 1, 0);
  const uint64_t before = derived_seed(epoch, 2, 0) % (full + 1) * chunk;
  uint64_t block[SOME], place[SOME];
  for (uint64_t first = 0, some; first < count; first += some, position += some) {
    uint64_t blocks = 0;
    some = count - first < SOME ? count - first : SOME;
    for (uint64_t i = 0; i < some; i++) {
      const uint64_t at = position[i], behind = at >= before ? rest : 0;
      if (at >= before && at < before + rest) {
        position[i] = full * chunk + (at - before);
        continue;
      }
      block[blocks] = (at - behind) / chunk;
      place[blocks++] = i;
      position[i] = (at - behind) % chunk;
    }
    thaw_permute_each(seed, epoch->epoch, full, block, blocks);
    for (uint64_t k = 0; k < blocks; k++) position[place[k]] += block[k] * chunk;
  }
}

/* As thaw_epoch_sample for each position, many at once: one at a time takes 1 us, half as long as a head's step per
 * sample. */
static void list_chunked(const thaw_epoch *epoch, uint64_t first, uint64_t count, uint64_t *out) {
  const uint64_t samples = (uint64_t)epoch->samples, window = (uint64_t)epoch->window * (uint64_t)epoch->chunk;
  for (uint64_t done = 0, some; done < count; done += some) {
    const uint64_t position = first + done, start = position / window * window;
    const uint64_t size = samples - start < window ? samples - start : window, left = start + size - position;
    some = count - done < left ? count - done : left;
    thaw_permute_range(derived_seed(epoch, 3, position / window), epoch->epoch, size, position - start, some,
                       out + done);
    for (uint64_t i = 0; i < some; i++) out[done + i] += start;
  }
  in_block_order_each(epoch, out, count);
}

/* The samples at positions first .. first + count - 1. */
static void list_samples(const thaw_epoch *epoch, uint64_t first, uint64_t count, uint64_t *out) {
  if (epoch->shuffle && !epoch->order && epoch->chunk)
    list_chunked(epoch, first, count, out);
  else if (epoch->shuffle && !epoch->order)
    thaw_permute_range(epoch->seed, epoch->epoch, (uint64_t)epoch->samples, first, count, out);
  else
    for (uint64_t i = 0; i < count; i++) out[i] = thaw_epoch_sample(epoch, first + i);
}

static int32_t parts_of(const thaw_epoch *epoch) {
  return epoch->parts > 1 ? epoch->parts : 1;
}

static int64_t part_size(const thaw_epoch *epoch) {
  return divide_up(epoch->batch, parts_of(epoch));
}

thaw_status thaw_step_share_create(const thaw_epoch *epoch, int ranks, thaw_step_share *out) {
  int64_t most = part_size(epoch), part = epoch->samples < most ? epoch->samples : most;
  size_t parts = (size_t)parts_of(epoch), slices = (size_t)divide_up(divide_up(part, epoch->slice), ranks) * parts;
  size_t samples = slices * (size_t)epoch->slice;
  *out = (thaw_step_share){.slice_start = thaw_new(slices + 1, sizeof *out->slice_start),
                           .slice = thaw_new(slices, sizeof *out->slice),
                           .sample = thaw_new(samples, sizeof *out->sample),
                           .part_start = thaw_new(parts + 1, sizeof *out->part_start),
                           .part_batch = thaw_new(parts, sizeof *out->part_batch)};
  if (out->slice_start && out->slice && out->sample && out->part_start && out->part_batch) return THAW_OK;
  thaw_step_share_clear(out);
  return THAW_ERR_MEMORY;
}

void thaw_step_share_clear(thaw_step_share *share) {
  thaw_free(share->slice_start);
  thaw_free(share->slice);
  thaw_free(share->sample);
  thaw_free(share->part_start);
  thaw_free(share->part_batch);
  *share = (thaw_step_share){0};
}

/* With S slices on R ranks, rank r takes slices floor(S r / R) .. floor(S (r+1) / R) - 1: contiguous, and no rank has
 * more than one slice more than another. Sample number p of the epoch is thaw_epoch_sample(p), whatever R is.
 * `first`: the part's first sample in the epoch, its slices are numbered from share->slices_global on. */
static void add_part(const thaw_epoch *epoch, int64_t first, int64_t batch, int rank, int ranks,
                     thaw_step_share *share) {
  int64_t slices = divide_up(batch, epoch->slice), begin = slices * rank / ranks, end = slices * (rank + 1) / ranks;
  int32_t before = share->samples;
  for (int64_t s = begin; s < end; s++) {
    int64_t at = s * epoch->slice, stop = at + epoch->slice;
    if (stop > batch) stop = batch;
    share->slice[share->slices++] = share->slices_global + s;
    share->samples += (int32_t)(stop - at);
    share->slice_start[share->slices] = share->samples;
  }
  list_samples(epoch, (uint64_t)(first + begin * epoch->slice), (uint64_t)(share->samples - before),
               share->sample + before);
  share->slices_global += slices;
  share->part_batch[share->parts++] = batch;
  share->part_start[share->parts] = share->slices;
}

void thaw_step_share_plan(const thaw_epoch *epoch, int64_t step, int rank, int ranks, thaw_step_share *share) {
  int64_t first = step * epoch->batch, left = epoch->samples - first, part = part_size(epoch);
  share->batch = left < epoch->batch ? left : epoch->batch;
  share->slices_global = 0;
  share->slices = share->samples = share->parts = 0;
  share->slice_start[0] = share->part_start[0] = 0;
  for (int64_t at = 0; at < share->batch; at += part)
    add_part(epoch, first + at, share->batch - at < part ? share->batch - at : part, rank, ranks, share);
}
