/* hash_index.c: a table per part of a hash: four parts of 16 bits, or three of 21 and 22 where there are many hashes.
 */
#include "thaw/leak.h"
#include "thaw/memory.h"

#include <string.h>

enum { MOST_PARTS = 4, MANY = 1 << 17 /* hashes from which buckets of 16 bits become long */ };

struct thaw_hash_index {
  int64_t count;
  int32_t distance, parts;
  int32_t shift[MOST_PARTS], bits[MOST_PARTS]; /* where a part lies in a hash */
  uint32_t *start[MOST_PARTS];                 /* [2^bits + 1] into order and hash */
  uint32_t *order[MOST_PARTS];                 /* hashes by the value of the part, ascending within one */
  uint64_t *hash[MOST_PARTS];                  /* the hashes in that order: a bucket is read in one go */
  uint32_t *mask;                              /* differences of a part to look at, few bits first */
  size_t masks;
};

static uint32_t part_of(const thaw_hash_index *index, uint64_t hash, int part) {
  return (uint32_t)(hash >> index->shift[part]) & (((uint32_t)1 << index->bits[part]) - 1);
}

static void choose_parts(thaw_hash_index *index) {
  index->parts = index->count < MANY ? 4 : 3;
  for (int part = 0, shift = 0; part < index->parts; part++) {
    index->shift[part] = shift;
    index->bits[part] = index->parts == 4 ? 16 : part == 0 ? 22 : 21;
    shift += index->bits[part];
  }
}

/* Counting sort by one part. */
static thaw_status sort_part(thaw_hash_index *index, const uint64_t *hash, int part) {
  const size_t values = (size_t)1 << index->bits[part];
  uint32_t *start = index->start[part] = thaw_new(values + 1, sizeof *start);
  uint32_t *order = index->order[part] = thaw_new((size_t)index->count, sizeof *order);
  uint64_t *sorted = index->hash[part] = thaw_new((size_t)index->count, sizeof *sorted);
  if (!start || !order || !sorted) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < index->count; i++)
    if (hash[i]) start[part_of(index, hash[i], part) + 1]++;
  for (size_t v = 0; v < values; v++) start[v + 1] += start[v];
  for (int64_t i = 0; i < index->count; i++) {
    if (!hash[i]) continue;
    const uint32_t at = start[part_of(index, hash[i], part)]++;
    order[at] = (uint32_t)i;
    sorted[at] = hash[i];
  }
  memmove(start + 1, start, values * sizeof *start);
  start[0] = 0;
  return THAW_OK;
}

/* All differences with at most distance / parts bits. */
static thaw_status make_masks(thaw_hash_index *index) {
  const int most = index->distance / index->parts, widest = index->bits[0];
  size_t masks = 1, choose = 1;
  for (int bits = 1; bits <= most; bits++) {
    choose = choose * (size_t)(widest - bits + 1) / (size_t)bits;
    masks += choose;
  }
  index->mask = thaw_new(masks, sizeof *index->mask);
  if (!index->mask) return THAW_ERR_MEMORY;
  index->mask[index->masks++] = 0;
  for (int bits = 1; bits <= most; bits++) /* the next larger number with as many bits: Gosper's hack */
    for (uint32_t v = ((uint32_t)1 << bits) - 1, low, up; v < (uint32_t)1 << widest;
         low = v & -v, up = v + low, v = ((v ^ up) >> 2) / low | up)
      index->mask[index->masks++] = v;
  return THAW_OK;
}

thaw_status thaw_hash_index_create(const uint64_t *hash, int64_t count, int32_t distance, thaw_hash_index **out) {
  *out = NULL;
  if (distance < 0 || distance > THAW_HASH_DISTANCE)
    return thaw_fail(THAW_ERR_USAGE, "a distance of %d bits: 0 to %d", (int)distance, THAW_HASH_DISTANCE);
  if (count >= UINT32_MAX) return thaw_fail(THAW_ERR_DATA, "%lld hashes are too many", (long long)count);
  thaw_hash_index *index = thaw_new(1, sizeof *index);
  if (!index) return THAW_ERR_MEMORY;
  *index = (thaw_hash_index){.count = count, .distance = distance};
  choose_parts(index);
  thaw_status status = make_masks(index);
  for (int part = 0; status == THAW_OK && part < index->parts; part++) status = sort_part(index, hash, part);
  if (status != THAW_OK) {
    thaw_hash_index_destroy(index);
    return status;
  }
  *out = index;
  return THAW_OK;
}

void thaw_hash_index_destroy(thaw_hash_index *index) {
  if (!index) return;
  for (int part = 0; part < MOST_PARTS; part++) {
    thaw_free(index->start[part]);
    thaw_free(index->order[part]);
    thaw_free(index->hash[part]);
  }
  thaw_free(index->mask);
  thaw_free(index);
}

typedef struct nearest_hash {
  int64_t at;
  int32_t distance;
} nearest_hash;

/* The hashes that have `value` in `part`. A clone with AVX2 counts bits by an instruction of its own. */
__attribute__((target_clones("avx2", "default"))) static void
look_at(const thaw_hash_index *index, int part, uint32_t value, uint64_t hash, nearest_hash *best) {
  const uint64_t *sorted = index->hash[part];
  for (uint32_t k = index->start[part][value], end = index->start[part][value + 1]; k < end; k++) {
    const int32_t distance = (int32_t)__builtin_popcountll(hash ^ sorted[k]);
    if (distance > best->distance) continue;
    const int64_t at = index->order[part][k];
    if (distance == best->distance && at >= best->at) continue;
    *best = (nearest_hash){at, distance};
    if (distance == 0) return; /* the first of the equals: they all lie in this bucket */
  }
}

int64_t thaw_hash_index_nearest(const thaw_hash_index *index, uint64_t hash, int32_t *distance_out) {
  nearest_hash best = {-1, index->distance + 1};
  if (!hash) return -1;
  for (size_t m = 0; m < index->masks && best.distance > 0; m++)
    for (int part = 0; part < index->parts && best.distance > 0; part++)
      if (index->mask[m] >> index->bits[part] == 0)
        look_at(index, part, part_of(index, hash, part) ^ index->mask[m], hash, &best);
  if (best.at >= 0) *distance_out = best.distance;
  return best.at;
}
