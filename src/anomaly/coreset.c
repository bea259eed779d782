/* Greedy k-center selection over the points of all ranks (Sener and Savarese, "Active Learning for Convolutional Neural
 * Networks: A Core-Set Approach", 2018; algorithm 1 of PatchCore). */
#include "anomaly/anomaly_private.h"
#include "thaw/rng.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 8 };

typedef struct selection {
  thaw_comm *comm;
  const coreset_points *points;
  float *distance; /* [count] squared, to the nearest point taken */
  float *centre;   /* [width] the point taken last */
  int64_t *offset; /* [ranks + 1] first points of the ranks */
} selection;

/* Squared distance in a fixed order of additions. */
static float square_distance(const float *a, const float *b, int32_t width) {
  float sum[LANES] = {0}, all = 0;
  for (int32_t i = 0; i < width; i += LANES)
    for (int32_t l = 0; l < LANES; l++) {
      float difference = a[i + l] - b[i + l];
      sum[l] += difference * difference;
    }
  for (int32_t l = 0; l < LANES; l++) all += sum[l];
  return all;
}

static int owner_of(const selection *s, int64_t number) {
  int rank = 0;
  while (number >= s->offset[rank + 1]) rank++;
  return rank;
}

/* [collective] The owner's point becomes everybody's centre. */
static thaw_status share_centre(selection *s, int64_t number) {
  const coreset_points *points = s->points;
  int owner = owner_of(s, number);
  size_t bytes = (size_t)points->width * sizeof(float);
  if (owner == thaw_comm_rank(s->comm))
    memcpy(s->centre, points->point + (size_t)(number - points->first) * (size_t)points->width, bytes);
  return thaw_comm_size(s->comm) == 1 ? THAW_OK : thaw_comm_broadcast(s->comm, owner, s->centre, bytes);
}

/* The farthest point of this rank: bits of the squared distance above, the complement of its number below, so that of
 * equals the first is the largest. */
static int64_t update(selection *s) {
  const coreset_points *points = s->points;
  int64_t best = -1;
  for (int64_t i = 0; i < points->count; i++) {
    float distance = square_distance(points->point + (size_t)i * (size_t)points->width, s->centre, points->width);
    if (distance < s->distance[i]) s->distance[i] = distance;
    uint32_t bits;
    memcpy(&bits, &s->distance[i], sizeof bits);
    int64_t key = (int64_t)((uint64_t)bits << 32 | (uint32_t) ~(uint32_t)(points->first + i));
    if (key > best) best = key;
  }
  return best;
}

static int compare_int64(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* [collective] */
static thaw_status choose(selection *s, int64_t keep, uint64_t seed, thaw_log *log, int64_t *chosen, int64_t *count) {
  uint64_t next = thaw_permute(seed, 1, (uint64_t)s->points->total, 0);
  for (*count = 0; *count < keep;) {
    chosen[(*count)++] = (int64_t)next;
    THAW_TRY(share_centre(s, (int64_t)next));
    int64_t best = update(s);
    if (thaw_comm_size(s->comm) > 1) THAW_TRY(thaw_comm_max_int(s->comm, &best, 1));
    thaw_progress_update(log, *count, NULL);
    if (best >> 32 == 0) break; /* every point is a copy of one that was taken */
    next = (uint32_t) ~(uint32_t)best;
  }
  qsort(chosen, (size_t)*count, sizeof *chosen, compare_int64);
  return THAW_OK;
}

/* [collective] */
static thaw_status find_offsets(selection *s) {
  int ranks = thaw_comm_size(s->comm);
  s->offset[thaw_comm_rank(s->comm)] = s->points->first;
  THAW_TRY(thaw_comm_sum_int(s->comm, s->offset, (size_t)ranks));
  s->offset[ranks] = s->points->total;
  return THAW_OK;
}

thaw_status coreset_choose(thaw_comm *comm, const coreset_points *points, int64_t keep, uint64_t seed, thaw_log *log,
                           int64_t *chosen, int64_t *count_out) {
  selection s = {.comm = comm, .points = points};
  s.distance = thaw_new((size_t)points->count, sizeof *s.distance);
  s.centre = thaw_new((size_t)points->width, sizeof *s.centre);
  s.offset = thaw_new((size_t)thaw_comm_size(comm) + 1, sizeof *s.offset);
  thaw_status status = s.distance && s.centre && s.offset ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && points->total > (int64_t)UINT32_MAX)
    status = thaw_fail(THAW_ERR_DATA, "%lld patches, the limit is %u: fewer images or coarser layers",
                       (long long)points->total, UINT32_MAX);
  for (int64_t i = 0; status == THAW_OK && i < points->count; i++) s.distance[i] = FLT_MAX;
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = find_offsets(&s);
  thaw_progress_begin(log, "coreset", "patches", keep);
  if (status == THAW_OK) status = choose(&s, keep, seed, log, chosen, count_out);
  thaw_progress_end(log, NULL);
  thaw_free(s.distance);
  thaw_free(s.centre);
  thaw_free(s.offset);
  return status;
}
