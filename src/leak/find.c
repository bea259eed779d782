/* find.c: what two of several data sets have in common. */
#include "leak/leak_private.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <string.h>

thaw_status leak__add(leak_list *list, thaw_leak leak) {
  if (thaw_grow((void **)&list->item, list->count, &list->capacity, sizeof *list->item) != 0) return THAW_ERR_MEMORY;
  list->item[list->count++] = leak;
  return THAW_OK;
}

/* ------------------------------------------------------------------ groups and ids; rank 0 */
static int compare_names(const void *a, const void *b) {
  const leak_name *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  if (x->set != y->set) return x->set < y->set ? -1 : 1;
  return x->sample < y->sample ? -1 : x->sample > y->sample;
}

/* Two folders may have a file 001.png each: where looks are known they decide whether the same name is the same image.
 */
static bool looks_different(const leak_looks *looks, int32_t distance, const leak_name *a, const leak_name *b) {
  const uint64_t *x = looks[a->set].hash, *y = looks[b->set].hash;
  return x && y && thaw_hash_distance(x[a->sample], y[b->sample]) > distance;
}

/* One run of names with the same key: a leak for each pair of sets in it. */
static thaw_status add_run(int32_t kind, const leak_looks *looks, int32_t distance, const leak_name *run,
                           int64_t length, leak_list *list) {
  for (int64_t a = 0; a < length; a++) {
    if (a > 0 && run[a].set == run[a - 1].set) continue;
    for (int64_t b = a + 1; b < length; b++) {
      if (run[b].set == run[b - 1].set || run[b].set == run[a].set) continue;
      if (kind == THAW_LEAK_ID && looks_different(looks, distance, &run[a], &run[b])) continue;
      int64_t samples = 1;
      while (b + samples < length && run[b + samples].set == run[b].set) samples++;
      THAW_TRY(leak__add(list, (thaw_leak){.kind = kind,
                                           .set = {run[a].set, run[b].set},
                                           .sample = {run[a].sample, run[b].sample},
                                           .samples = samples}));
    }
  }
  return THAW_OK;
}

/* [local] Rank 0's, all names in order. */
static thaw_status compare_runs(const leak_names *names, int32_t kind, const leak_looks *looks, int32_t distance,
                                leak_list *list) {
  for (size_t first = 0, end; first < names->count; first = end) {
    const leak_name *run = names->item + first;
    for (end = first + 1; end < names->count && names->item[end].key == run->key;) end++;
    if (run->set != names->item[end - 1].set)
      THAW_TRY(add_run(kind, looks, distance, run, (int64_t)(end - first), list));
  }
  return THAW_OK;
}

/* [collective] */
static thaw_status find_names(thaw_comm *comm, const thaw_leak_set *set, const leak_looks *looks, int32_t sets,
                              int32_t kind, int32_t distance, leak_list *list) {
  leak_names names;
  thaw_status status = leak__read_names(comm, set, sets, kind, &names);
  if (names.count) qsort(names.item, names.count, sizeof *names.item, compare_names);
  if (status == THAW_OK) status = thaw_agree(comm, compare_runs(&names, kind, looks, distance, list));
  thaw_free(names.item);
  return status;
}

/* Names that were hashed with different keys are never equal: that they are not found means nothing. [local] */
static thaw_status find_apart(const thaw_leak_set *set, int32_t sets, thaw_leaks *out) {
  char key[THAW_LEAK_SETS][LEAK_KEY_TEXT];
  for (int32_t b = 0; b < sets; b++) {
    THAW_TRY(leak__id_key(set[b].catalog, key[b]));
    for (int32_t a = 0; a < b; a++)
      if (strcmp(key[a], key[b]) != 0) out->apart[b] |= 1u << a;
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
static thaw_status read_looks(thaw_comm *comm, const thaw_leak_set *set, int32_t sets, const thaw_leak_options *options,
                              thaw_log *log, leak_looks *looks, thaw_leaks *out) {
  for (int32_t s = 0; s < sets; s++) {
    THAW_TRY(leak__read_looks(comm, &set[s], options->stored_only, log, &looks[s]));
    out->unhashed += !looks[s].known;
    for (int64_t i = 0; looks[s].hash && i < thaw_catalog_info(set[s].catalog)->count; i++)
      out->blank += !looks[s].hash[i];
  }
  return thaw_comm_max_int(comm, &out->blank, 1);
}

/* [collective] */
static thaw_status find_all(thaw_comm *comm, const thaw_leak_set *set, int32_t sets, const thaw_leak_options *options,
                            thaw_log *log, leak_looks *looks, leak_list *list, thaw_leaks *out) {
  const int32_t distance = options->distance;
  if (distance >= 0) THAW_TRY(read_looks(comm, set, sets, options, log, looks, out));
  THAW_TRY(thaw_agree(comm, thaw_comm_rank(comm) == 0 ? find_apart(set, sets, out) : THAW_OK));
  for (int kind = THAW_LEAK_GROUP; kind <= THAW_LEAK_ID; kind++)
    THAW_TRY(find_names(comm, set, looks, sets, kind, distance, list));
  if (distance >= 0) THAW_TRY(leak__find_looks(comm, set, looks, sets, distance, list));
  return collect(comm, list, out);
}

thaw_status thaw_leaks_find(thaw_comm *comm, const thaw_leak_set *set, int32_t sets, const thaw_leak_options *options,
                            thaw_log *log, thaw_leaks *out) {
  leak_looks looks[THAW_LEAK_SETS] = {0};
  leak_list list = {0};
  *out = (thaw_leaks){0};
  if (sets > THAW_LEAK_SETS)
    return thaw_fail(THAW_ERR_USAGE, "%d data sets to compare, at most %d", (int)sets, THAW_LEAK_SETS);
  thaw_status status = find_all(comm, set, sets, options, log, looks, &list, out);
  for (int32_t s = 0; s < sets; s++) thaw_free(looks[s].hash);
  thaw_free(list.item);
  if (status != THAW_OK) thaw_leaks_clear(out);
  return status;
}

void thaw_leaks_clear(thaw_leaks *leaks) {
  thaw_free(leaks->leak);
  *leaks = (thaw_leaks){0};
}
