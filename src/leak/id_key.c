/* id_key.c: which secret hashed the ids of a data set: `id_key` of import.yaml beside its catalogue (src/import). */
#include "leak/leak_private.h"
#include "thaw/file.h"
#include "thaw/job.h"
#include "thaw/memory.h"

#include <stdio.h>

enum { RECIPE_LIMIT = 1 << 16 };

static thaw_status read_id_key(const char *path, char out[LEAK_KEY_TEXT]) {
  char *text = NULL;
  size_t size;
  thaw_yaml *root = NULL;
  if (!thaw_file_exists(path)) return THAW_OK;
  THAW_TRY(thaw_file_read(path, RECIPE_LIMIT, &text, &size));
  thaw_arena *arena = thaw_arena_create();
  thaw_status status = arena ? thaw_yaml_parse(path, text, size, arena, &root) : THAW_ERR_MEMORY;
  if (status == THAW_ERR_USAGE) status = THAW_ERR_DATA;
  const thaw_yaml *key = status == THAW_OK && root ? thaw_yaml_get(root, "id_key") : NULL;
  if (key && key->value) snprintf(out, LEAK_KEY_TEXT, "%s", key->value);
  thaw_arena_destroy(arena);
  thaw_free(text);
  return status;
}

thaw_status leak__id_key(const thaw_catalog *catalog, char out[LEAK_KEY_TEXT]) {
  char *folder = thaw_path_folder(thaw_catalog_path(catalog));
  char *path = folder ? thaw_path_join(folder, "import.yaml") : NULL;
  *out = 0;
  thaw_status status = path ? read_id_key(path, out) : THAW_ERR_MEMORY;
  thaw_free(path);
  thaw_free(folder);
  return status;
}
