/* leak_private.h: what the files of src/leak share. */
#ifndef THAW_LEAK_PRIVATE_H
#define THAW_LEAK_PRIVATE_H

#include "thaw/leak.h"

/* What a data set is compared by. */
typedef struct leak_keys {
  uint64_t *name[2]; /* of THAW_LEAK_GROUP and THAW_LEAK_ID: 64 bits of a digest per sample, 0 none; rank 0 only */
  uint64_t *image;   /* hashes of the look; NULL: not compared */
} leak_keys;

enum { LEAK_KEY_TEXT = 16 };
/* [local] id_key.c: tells the secrets of hashed ids apart; "": not hashed, or nothing tells. */
thaw_status leak__id_key(const thaw_catalog *catalog, char out[LEAK_KEY_TEXT]) THAW_CHECKED;
/* [collective] keys.c */
thaw_status leak__read_names(thaw_comm *comm, const thaw_leak_set *set, leak_keys *out) THAW_CHECKED;
/* [collective] From hashes.txt, or computed from the stored pixels unless `stored_only`. */
thaw_status leak__read_images(thaw_comm *comm, const thaw_leak_set *set, bool stored_only, thaw_log *log,
                              leak_keys *out) THAW_CHECKED;
void leak__clear_keys(leak_keys *keys);

#endif
