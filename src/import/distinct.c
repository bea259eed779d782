/* distinct.c: one id, one sample. Archives hold copies of a file, and lists name images twice; whoever reads ids later
 * (subgroups, predictions, leak checks) must be able to tell the samples apart. */
#include "import/import_private.h"

#include <stdlib.h>
#include <string.h>

typedef struct id_place {
  const char *id;
  int64_t sample;
} id_place;

static int compare_places(const void *a, const void *b) {
  const id_place *x = a, *y = b;
  const int order = strcmp(x->id, y->id);
  return order ? order : (x->sample > y->sample) - (x->sample < y->sample);
}

static thaw_status rename_copies(const id_place *place, import_source *source, thaw_log *log) {
  const char *first = NULL;
  int64_t copies = 0;
  for (int64_t i = 1, copy = 1; i < source->count; i++) {
    copy = strcmp(place[i].id, place[i - 1].id) == 0 ? copy + 1 : 1;
    if (copy == 1) continue;
    char *name = thaw_format("%s~%lld", place[i].id, (long long)copy);
    source->id[place[i].sample] = thaw_arena_text(source->arena, name);
    thaw_free(name);
    if (!source->id[place[i].sample]) return THAW_ERR_MEMORY;
    if (copies++ == 0) first = place[i].id;
  }
  if (copies)
    thaw_warn(log,
              "%lld images have the id (SOPInstanceUID, path) of another, as copies of a file do: they are kept as "
              "ID~2, ID~3 ... (first: %s)",
              (long long)copies, first);
  return THAW_OK;
}

thaw_status thaw_import__distinct(import_source *source, thaw_log *log) {
  id_place *place = thaw_new((size_t)source->count, sizeof *place);
  if (!place) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < source->count; i++) place[i] = (id_place){source->id[i], i};
  qsort(place, (size_t)source->count, sizeof *place, compare_places);
  thaw_status status = rename_copies(place, source, log);
  thaw_free(place);
  return status;
}
