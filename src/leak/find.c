/* find.c: what two of several data sets have in common. */
#include "leak/leak_private.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct leak_list {
  thaw_leak *item;
  size_t count, capacity;
} leak_list;

static thaw_status add_leak(leak_list *list, thaw_leak leak) {
  if (thaw_grow((void **)&list->item, list->count, &list->capacity, sizeof *list->item) != 0) return THAW_ERR_MEMORY;
  list->item[list->count++] = leak;
  return THAW_OK;
}

/* ------------------------------------------------------------------ groups and ids; rank 0 */
typedef struct leak_name {
  uint64_t key;
  int64_t sample;
  int32_t set;
} leak_name;

static int compare_names(const void *a, const void *b) {
  const leak_name *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  if (x->set != y->set) return x->set < y->set ? -1 : 1;
  return x->sample < y->sample ? -1 : x->sample > y->sample;
}

/* Two folders may have a file 001.png each: where looks are known they decide whether the same name is the same image.
 */
static bool looks_different(const leak_keys *keys, int32_t distance, const leak_name *a, const leak_name *b) {
  const uint64_t *x = keys[a->set].image, *y = keys[b->set].image;
  return x && y && thaw_hash_distance(x[a->sample], y[b->sample]) > distance;
}

/* One run of names with the same key: a leak for each pair of sets in it. */
static thaw_status add_run(int32_t kind, const leak_keys *keys, int32_t distance, const leak_name *run, int64_t length,
                           leak_list *list) {
  for (int64_t a = 0; a < length; a++) {
    if (a > 0 && run[a].set == run[a - 1].set) continue;
    for (int64_t b = a + 1; b < length; b++) {
      if (run[b].set == run[b - 1].set || run[b].set == run[a].set) continue;
      if (kind == THAW_LEAK_ID && looks_different(keys, distance, &run[a], &run[b])) continue;
      int64_t samples = 1;
      while (b + samples < length && run[b + samples].set == run[b].set) samples++;
      THAW_TRY(add_leak(list, (thaw_leak){.kind = kind,
                                          .set = {run[a].set, run[b].set},
                                          .sample = {run[a].sample, run[b].sample},
                                          .samples = samples}));
    }
  }
  return THAW_OK;
}

static thaw_status find_names(const thaw_leak_set *set, const leak_keys *keys, int32_t sets, int32_t kind,
                              int32_t distance, leak_list *list) {
  int64_t total = 0, count = 0;
  for (int32_t s = 0; s < sets; s++) total += thaw_catalog_info(set[s].catalog)->count;
  leak_name *name = thaw_new((size_t)total, sizeof *name);
  if (!name) return THAW_ERR_MEMORY;
  for (int32_t s = 0; s < sets; s++)
    for (int64_t i = 0; i < thaw_catalog_info(set[s].catalog)->count; i++)
      if (keys[s].name[kind][i]) name[count++] = (leak_name){keys[s].name[kind][i], i, s};
  qsort(name, (size_t)count, sizeof *name, compare_names);
  thaw_status status = THAW_OK;
  for (int64_t first = 0, end; status == THAW_OK && first < count; first = end) {
    for (end = first + 1; end < count && name[end].key == name[first].key;) end++;
    if (name[first].set != name[end - 1].set) status = add_run(kind, keys, distance, name + first, end - first, list);
  }
  thaw_free(name);
  return status;
}

/* Names that were hashed with different keys are never equal: that they are not found means nothing. */
static thaw_status find_apart(const thaw_leak_set *set, int32_t sets, thaw_leaks *out) {
  char key[THAW_LEAK_SETS][LEAK_KEY_TEXT];
  for (int32_t b = 0; b < sets; b++) {
    THAW_TRY(leak__id_key(set[b].catalog, key[b]));
    for (int32_t a = 0; a < b; a++)
      if (strcmp(key[a], key[b]) != 0) out->apart[b] |= 1u << a;
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ images; every rank a share of the second set */

static thaw_status find_pair(thaw_comm *comm, const thaw_hash_index *index, const uint64_t *hash, int64_t count,
                             int32_t a, int32_t b, leak_list *list) {
  const int64_t rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  for (int64_t i = count * rank / ranks; i < count * (rank + 1) / ranks; i++) {
    int32_t distance = 0;
    const int64_t nearest = thaw_hash_index_nearest(index, hash[i], &distance);
    if (nearest >= 0)
      THAW_TRY(add_leak(
          list,
          (thaw_leak){
              .kind = THAW_LEAK_IMAGE, .distance = distance, .set = {a, b}, .sample = {nearest, i}, .samples = 1}));
  }
  return THAW_OK;
}

static thaw_status find_images(thaw_comm *comm, const thaw_leak_set *set, const leak_keys *keys, int32_t sets,
                               int32_t distance, leak_list *list) {
  for (int32_t a = 0; a + 1 < sets; a++) {
    thaw_hash_index *index = NULL;
    if (!keys[a].image) continue;
    THAW_TRY(thaw_hash_index_create(keys[a].image, thaw_catalog_info(set[a].catalog)->count, distance, &index));
    thaw_status status = THAW_OK;
    for (int32_t b = a + 1; status == THAW_OK && b < sets; b++)
      if (keys[b].image)
        status = find_pair(comm, index, keys[b].image, thaw_catalog_info(set[b].catalog)->count, a, b, list);
    thaw_hash_index_destroy(index);
    THAW_TRY(status);
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ all together */

static int compare_leaks(const void *a, const void *b) {
  const thaw_leak *x = a, *y = b;
  if (x->kind != y->kind) return x->kind - y->kind;
  if (x->set[0] != y->set[0]) return x->set[0] - y->set[0];
  if (x->set[1] != y->set[1]) return x->set[1] - y->set[1];
  return x->sample[1] < y->sample[1] ? -1 : x->sample[1] > y->sample[1];
}

/* [collective] */
static thaw_status collect(thaw_comm *comm, const leak_list *mine, thaw_leaks *out) {
  char *all = NULL;
  size_t *sizes = NULL;
  for (size_t i = 0; i < mine->count; i++) out->found[mine->item[i].kind]++;
  THAW_TRY(thaw_comm_sum_int(comm, out->found, THAW_LEAK_KINDS));
  THAW_TRY(thaw_comm_gather(comm, mine->item, mine->count * sizeof *mine->item, &all, &sizes));
  thaw_free(sizes);
  out->leak = (thaw_leak *)(void *)all;
  for (int kind = 0; all && kind < THAW_LEAK_KINDS; kind++) out->count += (size_t)out->found[kind];
  if (out->count) qsort(out->leak, out->count, sizeof *out->leak, compare_leaks);
  return THAW_OK;
}

/* [collective] */
static thaw_status read_keys(thaw_comm *comm, const thaw_leak_set *set, int32_t sets, const thaw_leak_options *options,
                             thaw_log *log, leak_keys *keys, thaw_leaks *out) {
  for (int32_t s = 0; s < sets; s++) {
    THAW_TRY(leak__read_names(comm, &set[s], &keys[s]));
    if (options->distance < 0) continue;
    THAW_TRY(leak__read_images(comm, &set[s], options->stored_only, log, &keys[s]));
    out->unhashed += !keys[s].image;
    for (int64_t i = 0; keys[s].image && i < thaw_catalog_info(set[s].catalog)->count; i++)
      out->blank += !keys[s].image[i];
  }
  return THAW_OK;
}

thaw_status thaw_leaks_find(thaw_comm *comm, const thaw_leak_set *set, int32_t sets, const thaw_leak_options *options,
                            thaw_log *log, thaw_leaks *out) {
  leak_keys keys[THAW_LEAK_SETS] = {0};
  leak_list list = {0};
  *out = (thaw_leaks){0};
  if (sets > THAW_LEAK_SETS)
    return thaw_fail(THAW_ERR_USAGE, "%d data sets to compare, at most %d", (int)sets, THAW_LEAK_SETS);
  thaw_status status = read_keys(comm, set, sets, options, log, keys, out);
  if (status == THAW_OK) {
    const bool root = thaw_comm_rank(comm) == 0;
    if (root) status = find_apart(set, sets, out);
    for (int kind = THAW_LEAK_GROUP; root && status == THAW_OK && kind <= THAW_LEAK_ID; kind++)
      status = find_names(set, keys, sets, kind, options->distance, &list);
    if (status == THAW_OK && options->distance >= 0)
      status = find_images(comm, set, keys, sets, options->distance, &list);
    status = thaw_agree(comm, status);
  }
  if (status == THAW_OK) status = collect(comm, &list, out);
  for (int32_t s = 0; s < sets; s++) leak__clear_keys(&keys[s]);
  thaw_free(list.item);
  if (status != THAW_OK) thaw_leaks_clear(out);
  return status;
}

void thaw_leaks_clear(thaw_leaks *leaks) {
  thaw_free(leaks->leak);
  *leaks = (thaw_leaks){0};
}
