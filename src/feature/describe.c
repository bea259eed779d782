/* The table of `thaw inspect cache`. */
#include "feature/feature_private.h"
#include "thaw/job.h"
#include "thaw/memory.h"

#include <string.h>

enum { ENTRY_LIMIT = 1 << 20 };

/* A scalar of the entry's description, "?" where it is absent. */
static const char *value_of(const thaw_yaml *map, const char *key) {
  const thaw_yaml *found = map && map->kind == THAW_YAML_MAP ? thaw_yaml_get(map, key) : NULL;
  return found && found->kind == THAW_YAML_SCALAR && found->value ? found->value : "?";
}

static thaw_status read_description(const char *folder, const char *name, thaw_arena *arena, const thaw_yaml **out) {
  char *text = NULL, *sub = thaw_path_join(folder, name), *path = sub ? thaw_path_join(sub, "entry.yaml") : NULL;
  size_t size;
  thaw_yaml *root = NULL;
  thaw_status status = path ? thaw_file_read(path, ENTRY_LIMIT, &text, &size) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_yaml_parse(path, text, size, arena, &root);
  *out = root;
  thaw_free(text);
  thaw_free(path);
  thaw_free(sub);
  return status == THAW_ERR_MEMORY ? status : THAW_OK; /* an unreadable description is shown as such */
}

static void add_row(const thaw_entry *entry, const thaw_yaml *map, double now, thaw_text *out) {
  char bytes[32], age[32], blocks[48];
  snprintf(blocks, sizeof blocks, "%lld/%.20s", (long long)entry->blocks, value_of(map, "blocks"));
  thaw_text_add(out, "%.8s  %-24.24s %8.8s %10.12s  %6.6s  %-7.8s %11s %9s  %8s ago  %s\n", entry->name,
                value_of(map, "cut"), value_of(map, "values"), value_of(map, "samples"),
                strcmp(value_of(map, "view"), "-1") == 0 ? "plain" : value_of(map, "view"), value_of(map, "storage"),
                blocks, thaw_format_bytes((double)entry->bytes, bytes),
                thaw_format_seconds(now > entry->last_used ? now - entry->last_used : 0, age), value_of(map, "data"));
}

static thaw_status add_entry(const char *folder, const thaw_entry *entry, double now, thaw_text *out) {
  thaw_arena *arena = thaw_arena_create();
  if (!arena) return THAW_ERR_MEMORY;
  const thaw_yaml *map;
  thaw_status status = read_description(folder, entry->name, arena, &map);
  if (status == THAW_OK) add_row(entry, map, now, out);
  thaw_arena_destroy(arena);
  return status;
}

thaw_status thaw_cache_describe(const char *folder, thaw_text *out) {
  if (!thaw_folder_exists(folder)) return thaw_fail(THAW_ERR_DATA, "%s: no such folder", folder);
  thaw_entries entries;
  THAW_TRY(thaw_entries_read(folder, &entries));
  double now = thaw_wall_clock(), total = 0;
  thaw_status status = THAW_OK;
  char bytes[32];
  thaw_text_add(out, "%-8s  %-24s %8s %10s  %6s  %-7s %11s %9s  %12s  %s\n", "key", "cut", "values", "samples", "view",
                "storage", "blocks", "size", "used", "data");
  for (size_t i = 0; i < entries.count && status == THAW_OK; i++) {
    total += (double)entries.item[i].bytes;
    status = add_entry(folder, &entries.item[i], now, out);
  }
  thaw_text_add(out, "%zu entr%s, %s\n", entries.count, entries.count == 1 ? "y" : "ies",
                thaw_format_bytes(total, bytes));
  thaw_entries_clear(&entries);
  return status == THAW_OK && out->failed ? THAW_ERR_MEMORY : status;
}
