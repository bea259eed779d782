/* hash_index.c: four tables over 16 bits of a hash each. */
#include "thaw/leak.h"
#include "thaw/memory.h"

#include <string.h>

enum { PARTS = 4, PART_BITS = 16, PART_VALUES = 1 << PART_BITS };

struct thaw_hash_index {
  const uint64_t *hash;
  int64_t count;
  int32_t distance;
  int64_t *start[PARTS];  /* [PART_VALUES + 1] into order */
  uint32_t *order[PARTS]; /* hashes by the value of the part, ascending within one */
  uint16_t *mask;         /* differences of a part to look at, few bits first */
  size_t masks;
};

static uint32_t part_of(uint64_t hash, int part) {
  return (uint32_t)(hash >> (PART_BITS * part)) & (PART_VALUES - 1);
}

/* Counting sort by one part. */
static thaw_status sort_part(thaw_hash_index *index, int part) {
  int64_t *start = index->start[part] = thaw_new(PART_VALUES + 1, sizeof *start);
  uint32_t *order = index->order[part] = thaw_new((size_t)index->count, sizeof *order);
  if (!start || !order) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < index->count; i++)
    if (index->hash[i]) start[part_of(index->hash[i], part) + 1]++;
  for (int v = 0; v < PART_VALUES; v++) start[v + 1] += start[v];
  for (int64_t i = 0; i < index->count; i++)
    if (index->hash[i]) order[start[part_of(index->hash[i], part)]++] = (uint32_t)i;
  memmove(start + 1, start, PART_VALUES * sizeof *start);
  start[0] = 0;
  return THAW_OK;
}

static thaw_status make_masks(thaw_hash_index *index) {
  index->mask = thaw_new(PART_VALUES, sizeof *index->mask);
  if (!index->mask) return THAW_ERR_MEMORY;
  for (int bits = 0; bits <= index->distance / PARTS; bits++)
    for (uint32_t v = 0; v < PART_VALUES; v++)
      if (__builtin_popcount(v) == bits) index->mask[index->masks++] = (uint16_t)v;
  return THAW_OK;
}

thaw_status thaw_hash_index_create(const uint64_t *hash, int64_t count, int32_t distance, thaw_hash_index **out) {
  *out = NULL;
  if (distance < 0 || distance > THAW_HASH_DISTANCE)
    return thaw_fail(THAW_ERR_USAGE, "a distance of %d bits: 0 to %d", (int)distance, THAW_HASH_DISTANCE);
  if (count >= UINT32_MAX) return thaw_fail(THAW_ERR_DATA, "%lld hashes are too many", (long long)count);
  thaw_hash_index *index = thaw_new(1, sizeof *index);
  if (!index) return THAW_ERR_MEMORY;
  *index = (thaw_hash_index){.hash = hash, .count = count, .distance = distance};
  thaw_status status = make_masks(index);
  for (int part = 0; status == THAW_OK && part < PARTS; part++) status = sort_part(index, part);
  if (status != THAW_OK) {
    thaw_hash_index_destroy(index);
    return status;
  }
  *out = index;
  return THAW_OK;
}

void thaw_hash_index_destroy(thaw_hash_index *index) {
  if (!index) return;
  for (int part = 0; part < PARTS; part++) {
    thaw_free(index->start[part]);
    thaw_free(index->order[part]);
  }
  thaw_free(index->mask);
  thaw_free(index);
}

int64_t thaw_hash_index_nearest(const thaw_hash_index *index, uint64_t hash, int32_t *distance_out) {
  int64_t best = -1;
  int32_t least = index->distance + 1;
  if (!hash) return -1;
  for (size_t m = 0; m < index->masks; m++)
    for (int part = 0; part < PARTS; part++) {
      const uint32_t value = part_of(hash, part) ^ index->mask[m];
      for (int64_t k = index->start[part][value]; k < index->start[part][value + 1]; k++) {
        const int64_t i = index->order[part][k];
        const int32_t distance = thaw_hash_distance(hash, index->hash[i]);
        if (distance < least || (distance == least && i < best)) best = i, least = distance;
        if (distance == 0) break; /* the first of the equals: they all lie in this bucket */
      }
      if (least == 0) goto found;
    }
found:
  if (best >= 0) *distance_out = least;
  return best;
}
