/* leaks.c: an evaluation on images that were trained on is worth nothing, so images that are in two parts are shown. */
#include "import/import_private.h"

#include <stdlib.h>

typedef struct seen_image {
  uint64_t hash;
  int64_t sample;
  int part;
} seen_image;

static int compare_seen(const void *a, const void *b) {
  const seen_image *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return x->sample < y->sample ? -1 : x->sample > y->sample;
}

/* ------------------------------------------------------------------ the same pixels */
void thaw_import__warn_same(const import_source *source, const import_survey *survey, const import_plan *plan,
                            thaw_log *log) {
  int64_t total = 0, leaks = 0, first = -1;
  for (int s = 0; s < IMPORT_PARTS; s++) total += plan->size[s];
  seen_image *seen = thaw_new((size_t)total, sizeof *seen);
  if (!seen) return;
  for (int64_t s = 0, k = 0; s < IMPORT_PARTS; s++)
    for (int64_t i = 0; i < plan->size[s]; i++)
      seen[k++] = (seen_image){survey->record[plan->order[s][i]].hash, plan->order[s][i], (int)s};
  qsort(seen, (size_t)total, sizeof *seen, compare_seen);
  for (int64_t i = 1; i < total; i++)
    if (seen[i].hash == seen[i - 1].hash && seen[i].part != seen[i - 1].part && leaks++ == 0) first = i;
  if (leaks)
    thaw_warn(log, "%lld images have the same pixels as one in another part of the split (first: %s and %s)",
              (long long)leaks, source->id[seen[first - 1].sample], source->id[seen[first].sample]);
  thaw_free(seen);
}

/* ------------------------------------------------------------------ the same look */

/* Hashes of one part, in its order; new, thaw_free. */
static uint64_t *looks_of(const import_plan *plan, int s) {
  uint64_t *look = thaw_new((size_t)plan->size[s], sizeof *look);
  for (int64_t i = 0; look && i < plan->size[s]; i++) look[i] = plan->look[plan->order[s][i]];
  return look;
}

typedef struct alike_images {
  int64_t count, first[2]; /* samples of the source */
} alike_images;

/* Images of the parts behind part `a` that look like one of it; each rank takes a share. */
static thaw_status compare_part(thaw_comm *comm, const import_plan *plan, int a, alike_images *found) {
  const int64_t rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  thaw_hash_index *index = NULL;
  uint64_t *look = looks_of(plan, a);
  thaw_status status = look ? thaw_hash_index_create(look, plan->size[a], THAW_LEAK_DISTANCE, &index) : THAW_ERR_MEMORY;
  for (int b = a + 1; status == THAW_OK && b < IMPORT_PARTS; b++)
    for (int64_t i = plan->size[b] * rank / ranks; i < plan->size[b] * (rank + 1) / ranks; i++) {
      int32_t distance;
      const int64_t nearest = thaw_hash_index_nearest(index, plan->look[plan->order[b][i]], &distance);
      if (nearest < 0) continue;
      if (found->count++ == 0) found->first[0] = plan->order[a][nearest], found->first[1] = plan->order[b][i];
    }
  thaw_hash_index_destroy(index);
  thaw_free(look);
  return status;
}

thaw_status thaw_import__warn_alike(thaw_comm *comm, const import_source *source, const import_plan *plan,
                                    thaw_log *log) {
  alike_images found = {0};
  thaw_status status = THAW_OK;
  for (int a = 0; status == THAW_OK && a + 1 < IMPORT_PARTS; a++) status = compare_part(comm, plan, a, &found);
  THAW_TRY(thaw_agree(comm, status));
  const bool shown = found.count > 0; /* by rank 0, whose share comes first in each part */
  THAW_TRY(thaw_comm_sum_int(comm, &found.count, 1));
  if (shown)
    thaw_warn(log,
              "%lld images look like one in another part of the split (first: %s and %s; at most %d of 64 bits of "
              "a perceptual hash differ); `thaw inspect --leaks` lists them",
              (long long)found.count, source->id[found.first[1]], source->id[found.first[0]], THAW_LEAK_DISTANCE);
  else if (found.count)
    thaw_warn(log, "%lld images look like one in another part of the split; `thaw inspect --leaks` lists them",
              (long long)found.count);
  return THAW_OK;
}
