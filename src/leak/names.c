/* names.c: groups and ids that may be in two data sets. Ranks share the reading. Of the largest set, as a rule what is
 * trained on, nearly nothing is kept: the names of the others make a filter that all its names have to pass. */
#include "leak/leak_private.h"
#include "thaw/memory.h"

#include <string.h>

enum { ROWS = 4096, FILTER_BITS = 16 /* per name: two of them lie where chance leads one name in 70 through */ };

leak_share leak__share(const thaw_comm *comm, int64_t count) {
  const int64_t rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  const int64_t first = count * rank / ranks;
  return (leak_share){first, count * (rank + 1) / ranks - first};
}

/* Steele, Lea, Flood 2014 (SplitMix64): no two words become one. */
static uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* 64 bits of a name, 0 for none: among 10 million and 10 million names, two differing ones share theirs once in 200,000
 * data sets. */
static uint64_t key_of(const char *name) {
  uint64_t key = 0x9e3779b97f4a7c15u, word;
  size_t left = strlen(name);
  if (!left) return 0;
  key = mix(key ^ left);
  for (size_t some; left; left -= some, name += some) {
    some = left < sizeof word ? left : sizeof word;
    word = 0;
    memcpy(&word, name, some);
    key = mix(key ^ word) + 0x9e3779b97f4a7c15u;
  }
  return key | 1;
}

/* ------------------------------------------------------------------ names of one set */
typedef thaw_status (*name_visitor)(void *context, int64_t sample, uint64_t key);

/* Rows of one shard. */
static thaw_status visit_rows(thaw_catalog *catalog, int kind, int64_t first, int64_t count, name_visitor visit,
                              void *context) {
  for (int64_t at = first; at < first + count; at += ROWS) {
    const int64_t left = first + count - at, rows = left < ROWS ? left : ROWS;
    thaw_strings names = {0};
    THAW_TRY(kind == THAW_LEAK_GROUP ? thaw_catalog_groups(catalog, at, rows, &names)
                                     : thaw_catalog_ids(catalog, at, rows, &names));
    thaw_status status = THAW_OK;
    for (size_t i = 0; status == THAW_OK && i < names.count; i++)
      status = visit(context, at + (int64_t)i, key_of(names.item[i]));
    thaw_strings_clear(&names);
    THAW_TRY(status);
  }
  return THAW_OK;
}

/* Shards without groups have made-up ones, which mean nothing here. */
static thaw_status visit_share(thaw_catalog *catalog, int kind, leak_share share, name_visitor visit, void *context) {
  for (int32_t s = 0; s < thaw_catalog_shards(catalog); s++) {
    int64_t first, count;
    bool named = true;
    thaw_catalog_shard(catalog, s, &first, &count);
    const int64_t from = first > share.first ? first : share.first;
    const int64_t end = first + count < share.first + share.count ? first + count : share.first + share.count;
    if (from >= end) continue;
    if (kind == THAW_LEAK_GROUP) THAW_TRY(thaw_catalog_grouped(catalog, s, &named));
    if (named) THAW_TRY(visit_rows(catalog, kind, from, end - from, visit, context));
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ the filter */
typedef struct name_filter {
  uint8_t *bit; /* [1 << log2_bits] */
  size_t bytes;
  int log2_bits;
} name_filter;

static bool test_or_set(name_filter *filter, uint64_t key, bool set) {
  const uint64_t place[2] = {key >> (64 - filter->log2_bits), mix(key) >> (64 - filter->log2_bits)};
  bool all = true;
  for (int i = 0; i < 2; i++) {
    uint8_t *byte = &filter->bit[place[i] / 8], bit = (uint8_t)(1 << place[i] % 8);
    all = all && (*byte & bit);
    if (set) *byte |= bit;
  }
  return all;
}

/* [collective] The names that rank 0 has, as a filter on every rank; no bits where there are no names. */
static thaw_status make_filter(thaw_comm *comm, const leak_names *names, name_filter *out) {
  int64_t count = (int64_t)names->count;
  *out = (name_filter){.log2_bits = 6};
  THAW_TRY(thaw_comm_max_int(comm, &count, 1));
  if (!count) return THAW_OK;
  while (((int64_t)1 << out->log2_bits) < count * FILTER_BITS) out->log2_bits++;
  out->bytes = (size_t)1 << (out->log2_bits - 3);
  out->bit = thaw_new(out->bytes, 1);
  THAW_TRY(thaw_agree(comm, out->bit ? THAW_OK : THAW_ERR_MEMORY));
  for (size_t i = 0; i < names->count; i++) test_or_set(out, names->item[i].key, true);
  return thaw_comm_broadcast(comm, 0, out->bit, out->bytes);
}

/* ------------------------------------------------------------------ together */
typedef struct name_reader {
  leak_names found;
  name_filter *filter; /* NULL: everything passes */
  int32_t set;
} name_reader;

static thaw_status keep(void *context, int64_t sample, uint64_t key) {
  name_reader *r = context;
  if (!key || (r->filter && !test_or_set(r->filter, key, false))) return THAW_OK;
  if (thaw_grow((void **)&r->found.item, r->found.count, &r->found.capacity, sizeof *r->found.item) != 0)
    return THAW_ERR_MEMORY;
  r->found.item[r->found.count++] = (leak_name){.key = key, .sample = sample, .set = r->set};
  return THAW_OK;
}

/* [local] Rank 0's: `all` behind what there is. */
static thaw_status append(leak_names *names, const char *all, const size_t *sizes, int ranks) {
  size_t bytes = 0;
  for (int r = 0; sizes && r < ranks; r++) bytes += sizes[r];
  const size_t count = names->count + bytes / sizeof *names->item;
  if (!bytes) return THAW_OK;
  leak_name *item = thaw_new(count, sizeof *item);
  if (!item) return THAW_ERR_MEMORY;
  if (names->count) memcpy(item, names->item, names->count * sizeof *item);
  memcpy(item + names->count, all, bytes);
  thaw_free(names->item);
  *names = (leak_names){item, count, count};
  return THAW_OK;
}

/* [collective] The names of one set that pass the filter are added on rank 0. */
static thaw_status read_set(thaw_comm *comm, const thaw_leak_set *set, int32_t number, int kind, name_filter *filter,
                            leak_names *out) {
  name_reader reader = {.filter = filter, .set = number};
  const leak_share share = leak__share(comm, thaw_catalog_info(set->catalog)->count);
  char *all = NULL;
  size_t *sizes = NULL;
  thaw_status status = thaw_agree(comm, visit_share(set->catalog, kind, share, keep, &reader));
  if (status == THAW_OK)
    status = thaw_comm_gather(comm, reader.found.item, reader.found.count * sizeof *reader.found.item, &all, &sizes);
  thaw_free(reader.found.item);
  if (status == THAW_OK) status = thaw_agree(comm, append(out, all, sizes, thaw_comm_size(comm)));
  thaw_free(all);
  thaw_free(sizes);
  return status;
}

thaw_status leak__read_names(thaw_comm *comm, const thaw_leak_set *set, int32_t sets, int kind, leak_names *out) {
  int32_t largest = 0;
  name_filter filter;
  *out = (leak_names){0};
  for (int32_t s = 1; s < sets; s++)
    if (thaw_catalog_info(set[s].catalog)->count > thaw_catalog_info(set[largest].catalog)->count) largest = s;
  for (int32_t s = 0; s < sets; s++)
    if (s != largest) THAW_TRY(read_set(comm, &set[s], s, kind, NULL, out));
  THAW_TRY(make_filter(comm, out, &filter));
  thaw_status status = filter.bit ? read_set(comm, &set[largest], largest, kind, &filter, out) : THAW_OK;
  thaw_free(filter.bit);
  return status;
}
