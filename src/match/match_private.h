/* match_private.h: what the files of src/match share. */
#ifndef THAW_MATCH_PRIVATE_H
#define THAW_MATCH_PRIVATE_H

#include "thaw/match.h"

bool match_ends_with(const char *text, const char *end);
/* CSV and NumPy (embeddings_text.c). */
thaw_status match_write_csv(const char *path, const thaw_embeddings *e, bool values) THAW_CHECKED;
thaw_status match_write_npy(const char *path, const thaw_embeddings *e) THAW_CHECKED;
thaw_status match_read_csv(const char *path, bool values, thaw_embeddings *e) THAW_CHECKED;
thaw_status match_read_npy(const char *path, thaw_embeddings *e) THAW_CHECKED;

#endif
