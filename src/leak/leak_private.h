/* leak_private.h: what the files of src/leak share. */
#ifndef THAW_LEAK_PRIVATE_H
#define THAW_LEAK_PRIVATE_H

#include "thaw/leak.h"

/* A group or id as 64 bits, and one sample that has it. */
typedef struct leak_name {
  uint64_t key;
  int64_t sample;
  int32_t set, padding;
} leak_name;

typedef struct leak_names {
  leak_name *item;
  size_t count, capacity;
} leak_names;

/* A rank's contiguous share of the samples. */
typedef struct leak_share {
  int64_t first, count;
} leak_share;
leak_share leak__share(const thaw_comm *comm, int64_t count);

typedef struct leak_list {
  thaw_leak *item;
  size_t count, capacity;
} leak_list;
thaw_status leak__add(leak_list *list, thaw_leak leak) THAW_CHECKED;

/* Hashes of the look of a data set's images. */
typedef struct leak_looks {
  uint64_t *hash; /* [count]; rank 0 only */
  bool known;     /* on every rank */
} leak_looks;

enum { LEAK_KEY_TEXT = 16 };
/* [local] id_key.c: tells the secrets of hashed ids apart; "": not hashed, or nothing tells. */
thaw_status leak__id_key(const thaw_catalog *catalog, char out[LEAK_KEY_TEXT]) THAW_CHECKED;

/* [collective] names.c: on rank 0 all samples whose group (or id, as `kind` says) may be in two sets: of the largest
 * set only those that probably are in another one. Else empty. */
thaw_status leak__read_names(thaw_comm *comm, const thaw_leak_set *set, int32_t sets, int kind,
                             leak_names *out) THAW_CHECKED;
/* [collective] looks.c: from hashes.txt, or computed from the stored pixels unless `stored_only`. */
thaw_status leak__read_looks(thaw_comm *comm, const thaw_leak_set *set, bool stored_only, thaw_log *log,
                             leak_looks *out) THAW_CHECKED;
/* [collective] looks.c: adds this rank's share of the images that look like one of an earlier set. */
thaw_status leak__find_looks(thaw_comm *comm, const thaw_leak_set *set, const leak_looks *looks, int32_t sets,
                             int32_t distance, leak_list *list) THAW_CHECKED;

#endif
