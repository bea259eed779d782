/* looks.c: images that look alike. Rank 0 has the hashes of each set; every rank compares its share of the later sets
 * with the earlier ones, of which it holds a block at a time. */
#include "leak/leak_private.h"
#include "thaw/memory.h"

#include <string.h>

enum { BLOCK = 1 << 20 /* hashes at a time */ };

/* ------------------------------------------------------------------ the hashes */

static thaw_status hash_share(const thaw_leak_set *set, leak_share share, int64_t ranks, thaw_log *log, uint64_t *out) {
  const thaw_dataset_info *info = thaw_catalog_info(set->catalog);
  thaw_image image = {.h = info->h, .w = info->w, .c = info->c, .bits = info->bits};
  image.pixels = thaw_new((size_t)info->h * (size_t)info->w * (size_t)info->c, (size_t)info->bits / 8);
  thaw_status status = image.pixels ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t i = 0; status == THAW_OK && i < share.count; i++) {
    status = thaw_catalog_pixels(set->catalog, share.first + i, 1, image.pixels);
    if (status == THAW_OK) status = thaw_image_hash(&image, &out[i]);
    const int64_t done = (i + 1) * ranks;
    thaw_progress_update(log, done < info->count ? done : info->count, NULL);
  }
  thaw_image_clear(&image);
  return status;
}

/* [collective] */
static thaw_status compute(thaw_comm *comm, const thaw_leak_set *set, thaw_log *log, uint64_t **out) {
  const int64_t count = thaw_catalog_info(set->catalog)->count;
  const leak_share share = leak__share(comm, count);
  uint64_t *mine = thaw_new((size_t)share.count, sizeof *mine);
  char *all = NULL;
  size_t *sizes = NULL;
  thaw_status status = mine ? THAW_OK : THAW_ERR_MEMORY;
  thaw_progress_begin(log, "hashing", "images", count);
  if (status == THAW_OK) status = hash_share(set, share, thaw_comm_size(comm), log, mine);
  thaw_progress_end(log, set->name);
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = thaw_comm_gather(comm, mine, (size_t)share.count * sizeof *mine, &all, &sizes);
  *out = (uint64_t *)(void *)all;
  thaw_free(sizes);
  thaw_free(mine);
  return status;
}

thaw_status leak__read_looks(thaw_comm *comm, const thaw_leak_set *set, bool stored_only, thaw_log *log,
                             leak_looks *out) {
  const bool root = thaw_comm_rank(comm) == 0;
  THAW_TRY(thaw_agree(comm, root ? thaw_hashes_read(set->catalog, &out->hash) : THAW_OK));
  int64_t stored = out->hash != NULL;
  THAW_TRY(thaw_comm_max_int(comm, &stored, 1));
  out->known = stored || !stored_only;
  return stored || stored_only ? THAW_OK : compute(comm, set, log, &out->hash);
}

/* ------------------------------------------------------------------ comparing */

/* A rank's share of one set. */
typedef struct looks_share {
  leak_share share;
  uint64_t *hash;
  int64_t *nearest; /* sample of the earlier set, -1: none */
  int32_t *distance;
} looks_share;

static void clear_share(looks_share *mine) {
  thaw_free(mine->hash);
  thaw_free(mine->nearest);
  thaw_free(mine->distance);
  *mine = (looks_share){0};
}

/* [collective] `count` hashes of rank 0 from `first` on, on all ranks. */
static thaw_status send_block(thaw_comm *comm, const leak_looks *looks, int64_t first, int64_t count, uint64_t *block) {
  if (looks->hash) memcpy(block, looks->hash + first, (size_t)count * sizeof *block);
  return thaw_comm_broadcast(comm, 0, block, (size_t)count * sizeof *block);
}

static int64_t block_size(int64_t count, int64_t first) {
  return count - first < BLOCK ? count - first : BLOCK;
}

/* [collective] */
static thaw_status take_share(thaw_comm *comm, const leak_looks *looks, int64_t count, uint64_t *block,
                              looks_share *mine) {
  mine->share = leak__share(comm, count);
  const size_t size = (size_t)mine->share.count;
  const int64_t end = mine->share.first + mine->share.count;
  mine->hash = thaw_new(size, sizeof *mine->hash);
  mine->nearest = thaw_new(size, sizeof *mine->nearest);
  mine->distance = thaw_new(size, sizeof *mine->distance);
  THAW_TRY(thaw_agree(comm, mine->hash && mine->nearest && mine->distance ? THAW_OK : THAW_ERR_MEMORY));
  for (int64_t first = 0; first < count; first += BLOCK) {
    const int64_t some = block_size(count, first);
    THAW_TRY(send_block(comm, looks, first, some, block));
    const int64_t from = first > mine->share.first ? first : mine->share.first;
    const int64_t to = first + some < end ? first + some : end;
    if (from < to)
      memcpy(mine->hash + (from - mine->share.first), block + (from - first), (size_t)(to - from) * sizeof *block);
  }
  return THAW_OK;
}

/* Of two equally near ones the first counts, and blocks come in order. */
static void compare_block(const thaw_hash_index *index, int64_t first, looks_share *mine) {
  for (int64_t i = 0; i < mine->share.count; i++) {
    int32_t distance = 0;
    if (mine->nearest[i] >= 0 && mine->distance[i] == 0) continue;
    const int64_t nearest = thaw_hash_index_nearest(index, mine->hash[i], &distance);
    if (nearest < 0 || (mine->nearest[i] >= 0 && distance >= mine->distance[i])) continue;
    mine->nearest[i] = first + nearest;
    mine->distance[i] = distance;
  }
}

/* [collective] All later sets against set `a`. */
static thaw_status compare_with(thaw_comm *comm, int64_t count, const leak_looks *looks, int32_t sets, int32_t a,
                                int32_t distance, uint64_t *block, looks_share *mine) {
  for (int32_t b = a + 1; b < sets; b++)
    for (int64_t i = 0; i < mine[b].share.count; i++) mine[b].nearest[i] = -1;
  for (int64_t first = 0; first < count; first += BLOCK) {
    const int64_t some = block_size(count, first);
    thaw_hash_index *index = NULL;
    THAW_TRY(send_block(comm, &looks[a], first, some, block));
    THAW_TRY(thaw_agree(comm, thaw_hash_index_create(block, some, distance, &index)));
    for (int32_t b = a + 1; b < sets; b++) compare_block(index, first, &mine[b]);
    thaw_hash_index_destroy(index);
  }
  return THAW_OK;
}

static thaw_status add_found(const looks_share *mine, int32_t a, int32_t b, leak_list *list) {
  for (int64_t i = 0; i < mine->share.count; i++)
    if (mine->nearest[i] >= 0)
      THAW_TRY(leak__add(list, (thaw_leak){.kind = THAW_LEAK_IMAGE,
                                           .distance = mine->distance[i],
                                           .set = {a, b},
                                           .sample = {mine->nearest[i], mine->share.first + i},
                                           .samples = 1}));
  return THAW_OK;
}

/* [collective] */
static thaw_status compare_all(thaw_comm *comm, const thaw_leak_set *set, const leak_looks *looks, int32_t sets,
                               int32_t distance, uint64_t *block, looks_share *mine, leak_list *list) {
  for (int32_t b = 1; b < sets; b++)
    if (looks[b].known)
      THAW_TRY(take_share(comm, &looks[b], thaw_catalog_info(set[b].catalog)->count, block, &mine[b]));
  for (int32_t a = 0; a + 1 < sets; a++) {
    if (!looks[a].known) continue;
    const int64_t count = thaw_catalog_info(set[a].catalog)->count;
    THAW_TRY(compare_with(comm, count, looks, sets, a, distance, block, mine));
    thaw_status status = THAW_OK;
    for (int32_t b = a + 1; status == THAW_OK && b < sets; b++) status = add_found(&mine[b], a, b, list);
    THAW_TRY(thaw_agree(comm, status));
  }
  return THAW_OK;
}

thaw_status leak__find_looks(thaw_comm *comm, const thaw_leak_set *set, const leak_looks *looks, int32_t sets,
                             int32_t distance, leak_list *list) {
  looks_share mine[THAW_LEAK_SETS] = {0};
  uint64_t *block = thaw_new(BLOCK, sizeof *block);
  thaw_status status = thaw_agree(comm, block ? THAW_OK : THAW_ERR_MEMORY);
  if (status == THAW_OK) status = compare_all(comm, set, looks, sets, distance, block, mine, list);
  for (int32_t s = 0; s < sets; s++) clear_share(&mine[s]);
  thaw_free(block);
  return status;
}
