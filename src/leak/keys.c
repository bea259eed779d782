/* keys.c: what data sets are compared by: digests of groups and ids, hashes of images. Ranks share the reading. */
#include "leak/leak_private.h"
#include "thaw/digest.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 4096 };

/* A rank's contiguous share of the samples. */
typedef struct leak_share {
  int64_t first, count;
} leak_share;

static leak_share share_of(thaw_comm *comm, int64_t count) {
  const int64_t rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  const int64_t first = count * rank / ranks;
  return (leak_share){first, count * (rank + 1) / ranks - first};
}

static thaw_status digest_name(const char *name, uint64_t *out) {
  char text[THAW_DIGEST_TEXT];
  *out = 0;
  if (!*name) return THAW_OK;
  THAW_TRY(thaw_digest_bytes(name, strlen(name), text));
  text[16] = 0;
  *out = strtoull(text, NULL, 16) | 1; /* never 0 */
  return THAW_OK;
}

/* Rows of one shard. */
static thaw_status digest_rows(thaw_catalog *catalog, int kind, int64_t first, int64_t count, uint64_t *out) {
  for (int64_t at = 0; at < count; at += ROWS) {
    const int64_t rows = count - at < ROWS ? count - at : ROWS;
    thaw_strings names = {0};
    THAW_TRY(kind == THAW_LEAK_GROUP ? thaw_catalog_groups(catalog, first + at, rows, &names)
                                     : thaw_catalog_ids(catalog, first + at, rows, &names));
    thaw_status status = THAW_OK;
    for (size_t i = 0; status == THAW_OK && i < names.count; i++)
      status = digest_name(names.item[i], &out[at + (int64_t)i]);
    thaw_strings_clear(&names);
    THAW_TRY(status);
  }
  return THAW_OK;
}

/* Shards without groups have made-up ones, which mean nothing here. */
static thaw_status digest_share(thaw_catalog *catalog, int kind, leak_share share, uint64_t *out) {
  for (int32_t s = 0; s < thaw_catalog_shards(catalog); s++) {
    int64_t first, count;
    bool named = true;
    thaw_catalog_shard(catalog, s, &first, &count);
    const int64_t from = first > share.first ? first : share.first;
    const int64_t end = first + count < share.first + share.count ? first + count : share.first + share.count;
    if (from >= end) continue;
    if (kind == THAW_LEAK_GROUP) THAW_TRY(thaw_catalog_grouped(catalog, s, &named));
    if (named) THAW_TRY(digest_rows(catalog, kind, from, end - from, out + (from - share.first)));
  }
  return THAW_OK;
}

/* [collective] The shares of all ranks, one after the other, on rank 0. */
static thaw_status gather(thaw_comm *comm, const uint64_t *mine, int64_t count, uint64_t **out) {
  char *all = NULL;
  size_t *sizes = NULL;
  thaw_status status = thaw_comm_gather(comm, mine, (size_t)count * sizeof *mine, &all, &sizes);
  thaw_free(sizes);
  *out = (uint64_t *)(void *)all;
  return status;
}

thaw_status leak__read_names(thaw_comm *comm, const thaw_leak_set *set, leak_keys *out) {
  const leak_share share = share_of(comm, thaw_catalog_info(set->catalog)->count);
  for (int kind = THAW_LEAK_GROUP; kind <= THAW_LEAK_ID; kind++) {
    uint64_t *mine = thaw_new((size_t)share.count, sizeof *mine);
    thaw_status status = mine ? digest_share(set->catalog, kind, share, mine) : THAW_ERR_MEMORY;
    status = thaw_agree(comm, status);
    if (status == THAW_OK) status = gather(comm, mine, share.count, &out->name[kind]);
    thaw_free(mine);
    THAW_TRY(status);
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ images */

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
  const leak_share share = share_of(comm, count);
  uint64_t *mine = thaw_new((size_t)share.count, sizeof *mine);
  thaw_status status = mine ? THAW_OK : THAW_ERR_MEMORY;
  thaw_progress_begin(log, "hashing", "images", count);
  if (status == THAW_OK) status = hash_share(set, share, thaw_comm_size(comm), log, mine);
  thaw_progress_end(log, set->name);
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = gather(comm, mine, share.count, out);
  thaw_free(mine);
  return status;
}

thaw_status leak__read_images(thaw_comm *comm, const thaw_leak_set *set, bool stored_only, thaw_log *log,
                              leak_keys *out) {
  const bool root = thaw_comm_rank(comm) == 0;
  size_t size = (size_t)thaw_catalog_info(set->catalog)->count * sizeof *out->image;
  THAW_TRY(thaw_agree(comm, root ? thaw_hashes_read(set->catalog, &out->image) : THAW_OK));
  int64_t stored = out->image != NULL;
  THAW_TRY(thaw_comm_max_int(comm, &stored, 1));
  if (!stored && stored_only) return THAW_OK;
  if (!stored) THAW_TRY(compute(comm, set, log, &out->image));
  char *bytes = (char *)out->image;
  THAW_TRY(thaw_comm_broadcast_new(comm, 0, &bytes, &size));
  out->image = (uint64_t *)(void *)bytes;
  return THAW_OK;
}

void leak__clear_keys(leak_keys *keys) {
  thaw_free(keys->name[0]);
  thaw_free(keys->name[1]);
  thaw_free(keys->image);
  *keys = (leak_keys){0};
}
