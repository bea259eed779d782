/* catalog_yaml.c: catalog.yaml -> entries. Every message names file, line and key. */
#include "shard/shard_private.h"
#include "thaw/memory.h"

#include <string.h>

/* Where a map stands, for messages. */
typedef struct place {
  const char *path;
  const thaw_yaml *map;
} place;

static thaw_status check_keys(const place *at, const char *const *allowed, size_t count) {
  if (at->map->kind != THAW_YAML_MAP)
    return thaw_fail(THAW_ERR_DATA, "%s:%d: expected keys and values", at->path, (int)at->map->line);
  for (const thaw_yaml *node = at->map->child; node; node = node->next) {
    bool known = false;
    for (size_t i = 0; i < count && !known; i++) known = strcmp(node->key, allowed[i]) == 0;
    if (known) continue;
    const char *near = thaw_nearest(node->key, allowed, count);
    return thaw_fail(THAW_ERR_DATA, near ? "%s:%d: unknown key '%s' (did you mean '%s'?)" : "%s:%d: unknown key '%s'",
                     at->path, (int)node->line, node->key, near);
  }
  return THAW_OK;
}

/* A scalar that may be absent: *out is NULL then. */
static thaw_status get_text(const place *at, const char *key, const char **out) {
  const thaw_yaml *node = thaw_yaml_get(at->map, key);
  *out = NULL;
  if (!node) return THAW_OK;
  if (node->kind != THAW_YAML_SCALAR || !node->value[0])
    return thaw_fail(THAW_ERR_DATA, "%s:%d: '%s' must be one value", at->path, (int)node->line, key);
  *out = node->value;
  return THAW_OK;
}

/* An integer in low..high that may be absent: *out is unchanged then. */
static thaw_status get_int(const place *at, const char *key, int64_t low, int64_t high, int64_t *out) {
  const char *text = NULL;
  int64_t value = 0;
  THAW_TRY(get_text(at, key, &text));
  if (!text) return THAW_OK;
  if (thaw_parse_int(text, &value) != THAW_OK || value < low || value > high)
    return thaw_fail(THAW_ERR_DATA, "%s:%d: '%s' is '%s', expected a whole number from %lld to %lld", at->path,
                     (int)thaw_yaml_get(at->map, key)->line, key, text, (long long)low, (long long)high);
  *out = value;
  return THAW_OK;
}

static thaw_status copy_text(const char *text, char **out) {
  *out = thaw_copy_text(text);
  return text && !*out ? THAW_ERR_MEMORY : THAW_OK;
}

static thaw_status parse_digest(const place *at, char out[65]) {
  const char *text = NULL;
  THAW_TRY(get_text(at, "digest", &text));
  if (!text) return THAW_OK;
  if (strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64)
    return thaw_fail(THAW_ERR_DATA, "%s:%d: 'digest' is no SHA-256 in hexadecimal digits", at->path,
                     (int)thaw_yaml_get(at->map, "digest")->line);
  memcpy(out, text, 65);
  return THAW_OK;
}

static thaw_status parse_image(const place *root, thaw_dataset_info *info) {
  static const char *const keys[] = {"height", "width", "channels", "bits", "value_max"};
  const place at = {root->path, thaw_yaml_get(root->map, "image")};
  int64_t h = 0, w = 0, c = 0, bits = 8;
  const char *text = NULL;
  if (!at.map) return THAW_OK;
  THAW_TRY(check_keys(&at, keys, sizeof keys / sizeof *keys));
  THAW_TRY(get_int(&at, "height", 1, 65500, &h));
  THAW_TRY(get_int(&at, "width", 1, 65500, &w));
  THAW_TRY(get_int(&at, "channels", 1, 65500, &c));
  THAW_TRY(get_int(&at, "bits", 8, 16, &bits));
  THAW_TRY(get_text(&at, "value_max", &text));
  if (text && (thaw_parse_double(text, &info->value_max) != THAW_OK || info->value_max <= 0))
    return thaw_fail(THAW_ERR_DATA, "%s:%d: 'value_max' is '%s', expected a number above 0", at.path, (int)at.map->line,
                     text);
  if (bits != 8 && bits != 16)
    return thaw_fail(THAW_ERR_DATA, "%s:%d: 'bits' is %lld, expected 8 or 16", at.path, (int)at.map->line,
                     (long long)bits);
  if ((h || w || c) && !(h && w && c))
    return thaw_fail(THAW_ERR_DATA, "%s:%d: 'image' needs height, width and channels", at.path, (int)at.map->line);
  info->h = (int32_t)h;
  info->w = (int32_t)w;
  info->c = (int32_t)c;
  info->bits = (int32_t)bits;
  if (h && info->value_max <= 0) info->value_max = bits == 16 ? 65535 : 255;
  return THAW_OK;
}

static thaw_status parse_kind(const place *at, thaw_catalog *catalog, bool *told) {
  const char *text = NULL;
  THAW_TRY(get_text(at, "kind", &text));
  if (!text) return THAW_OK;
  for (int i = 0; i < 5; i++)
    if (strcmp(text, thaw_shard__kinds[i]) == 0) {
      catalog->info.label_kind = (thaw_label_kind)i;
      *told = true;
      return THAW_OK;
    }
  const char *near = thaw_nearest(text, thaw_shard__kinds, 5);
  return thaw_fail(THAW_ERR_DATA, "%s:%d: unknown label kind '%s'%s%s%s", at->path,
                   (int)thaw_yaml_get(at->map, "kind")->line, text, near ? " (did you mean '" : "", near ? near : "",
                   near ? "'?)" : "");
}

static thaw_status parse_label(const place *root, thaw_catalog *catalog, bool *told) {
  static const char *const keys[] = {"kind", "width"};
  const place at = {root->path, thaw_yaml_get(root->map, "label")};
  int64_t width = 0;
  if (!at.map) return THAW_OK;
  THAW_TRY(check_keys(&at, keys, sizeof keys / sizeof *keys));
  THAW_TRY(get_int(&at, "width", 1, 1000000, &width));
  catalog->info.label_width = (int32_t)width;
  return parse_kind(&at, catalog, told);
}

static thaw_status parse_names(const place *root, const thaw_yaml *list, const char *what, thaw_strings *out) {
  for (const thaw_yaml *node = list->child; node; node = node->next) {
    if (node->kind != THAW_YAML_SCALAR)
      return thaw_fail(THAW_ERR_DATA, "%s:%d: a %s must be one value", root->path, (int)node->line, what);
    THAW_TRY(thaw_strings_add(out, node->value));
  }
  return THAW_OK;
}

/* What each column of mixed labels means. */
static thaw_status parse_columns(const place *root, thaw_catalog *catalog) {
  const thaw_yaml *list = thaw_yaml_get(root->map, "columns");
  if (!list) return THAW_OK;
  if (list->kind != THAW_YAML_LIST || catalog->info.label_kind != THAW_LABEL_MIXED)
    return thaw_fail(THAW_ERR_DATA, "%s:%d: 'columns' is a list that goes with the label kind mixed", root->path,
                     (int)list->line);
  return parse_names(root, list, "column", &catalog->info.columns);
}

/* A list of names, or a number of classes without names. */
static thaw_status parse_classes(const place *root, thaw_catalog *catalog) {
  thaw_dataset_info *info = &catalog->info;
  const thaw_yaml *list = thaw_yaml_get(root->map, "classes");
  if (!list) return THAW_OK;
  if (list->kind == THAW_YAML_SCALAR) return get_int(root, "classes", 1, 1000000, &catalog->classes);
  if (list->kind != THAW_YAML_LIST)
    return thaw_fail(THAW_ERR_DATA, "%s:%d: 'classes' must be a list of names", root->path, (int)list->line);
  THAW_TRY(parse_names(root, list, "class name", &info->classes));
  if (info->label_kind == THAW_LABEL_MULTI && info->label_width && (size_t)info->label_width != info->classes.count)
    return thaw_fail(THAW_ERR_DATA, "%s:%d: %zu class names, 'label' says %d", root->path, (int)list->line,
                     info->classes.count, (int)info->label_width);
  return THAW_OK;
}

/* Dataset names: a thaw shard has fixed ones; a foreign file names its own. */
static thaw_status parse_datasets(const place *at, shard_entry *entry) {
  const char *images = NULL, *labels = NULL, *labels_file = NULL, *ids = NULL, *groups = NULL;
  THAW_TRY(get_text(at, "images", &images));
  THAW_TRY(get_text(at, "labels", &labels));
  THAW_TRY(get_text(at, "labels_file", &labels_file));
  THAW_TRY(get_text(at, "ids", &ids));
  THAW_TRY(get_text(at, "groups", &groups));
  entry->foreign = images != NULL;
  if (!images && (labels || labels_file || ids || groups))
    return thaw_fail(THAW_ERR_DATA, "%s:%d: dataset names need 'images' too", at->path, (int)at->map->line);
  if (labels_file && !labels)
    return thaw_fail(THAW_ERR_DATA, "%s:%d: 'labels_file' needs 'labels'", at->path, (int)at->map->line);
  const char *name[4] = {images, labels, ids, groups};
  for (int i = 0; i < 4; i++)
    if (name[i] && name[i][0] != '/')
      return thaw_fail(THAW_ERR_DATA, "%s:%d: a dataset is named by its path from the root: '/%s', not '%s'", at->path,
                       (int)at->map->line, name[i], name[i]);
  THAW_TRY(copy_text(entry->foreign ? images : "/images", &entry->images));
  THAW_TRY(copy_text(entry->foreign ? labels : "/labels", &entry->labels));
  THAW_TRY(copy_text(entry->foreign ? ids : "/ids", &entry->ids));
  THAW_TRY(copy_text(entry->foreign ? groups : "/groups", &entry->groups));
  if (!labels_file) return THAW_OK;
  char *folder = thaw_path_folder(at->path);
  entry->labels_path = thaw_path_join(folder, labels_file);
  thaw_free(folder);
  return entry->labels_path ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status parse_entry(const place *at, shard_entry *entry) {
  static const char *const keys[] = {"file", "count", "digest", "images", "labels", "labels_file", "ids", "groups"};
  const char *file = NULL;
  entry->count = -1;
  entry->line = at->map->line;
  THAW_TRY(check_keys(at, keys, sizeof keys / sizeof *keys));
  THAW_TRY(get_text(at, "file", &file));
  if (!file) return thaw_fail(THAW_ERR_DATA, "%s:%d: a shard without 'file'", at->path, (int)at->map->line);
  THAW_TRY(get_int(at, "count", 1, INT64_C(1) << 40, &entry->count));
  THAW_TRY(parse_digest(at, entry->digest));
  char *folder = thaw_path_folder(at->path);
  entry->file = thaw_copy_text(file);
  entry->path = thaw_path_join(folder, file);
  thaw_free(folder);
  if (!entry->file || !entry->path) return THAW_ERR_MEMORY;
  return parse_datasets(at, entry);
}

static thaw_status parse_shards(const place *root, thaw_catalog *catalog) {
  const thaw_yaml *list = thaw_yaml_get(root->map, "shards");
  if (!list || list->kind != THAW_YAML_LIST || !list->child)
    return thaw_fail(THAW_ERR_DATA, "%s:%d: 'shards' must be a list of at least one shard", root->path,
                     list ? (int)list->line : 1);
  for (const thaw_yaml *node = list->child; node; node = node->next) {
    if (thaw_grow((void **)&catalog->entry, catalog->entries, &catalog->entry_capacity, sizeof *catalog->entry) != 0)
      return THAW_ERR_MEMORY;
    THAW_TRY(parse_entry(&(place){root->path, node}, &catalog->entry[catalog->entries++]));
  }
  return THAW_OK;
}

static thaw_status check_format(const place *root) {
  const char *format = NULL;
  int64_t version = THAW_CATALOG_VERSION;
  THAW_TRY(get_text(root, "format", &format));
  if (!format || strcmp(format, "thaw-catalog") != 0)
    return thaw_fail(THAW_ERR_DATA, "%s: not a catalogue: 'format: thaw-catalog' is missing", root->path);
  THAW_TRY(get_int(root, "version", 1, 1000000, &version));
  if (version != THAW_CATALOG_VERSION)
    return thaw_fail(THAW_ERR_DATA, "%s: catalogue version %lld, this program reads %d", root->path, (long long)version,
                     THAW_CATALOG_VERSION);
  return THAW_OK;
}

/* Decides whether the shards have to be opened to learn the rest. */
static void settle(thaw_catalog *catalog, bool kind_told) {
  thaw_dataset_info *info = &catalog->info;
  if (kind_told && (info->label_kind == THAW_LABEL_CLASS || info->label_kind == THAW_LABEL_NONE)) info->label_width = 1;
  catalog->told = kind_told && info->h > 0 && info->label_width > 0;
  if (info->label_kind == THAW_LABEL_CLASS && !info->classes.count) catalog->told = false;
  for (size_t i = 0; i < catalog->entries; i++) {
    shard_entry *entry = &catalog->entry[i];
    if (entry->count < 0 || !entry->digest[0]) catalog->told = false;
    if (kind_told && info->label_kind == THAW_LABEL_NONE) {
      thaw_free(entry->labels);
      entry->labels = NULL;
    }
  }
}

static thaw_status parse_root(const place *root, thaw_catalog *catalog) {
  static const char *const keys[] = {"format",  "version", "count",     "image", "label",
                                     "classes", "columns", "histogram", "shards"};
  bool kind_told = false;
  THAW_TRY(check_format(root));
  THAW_TRY(check_keys(root, keys, sizeof keys / sizeof *keys));
  THAW_TRY(get_int(root, "count", 1, INT64_C(1) << 40, &catalog->info.count));
  THAW_TRY(parse_image(root, &catalog->info));
  THAW_TRY(parse_label(root, catalog, &kind_told));
  THAW_TRY(parse_classes(root, catalog));
  THAW_TRY(parse_columns(root, catalog));
  THAW_TRY(parse_shards(root, catalog));
  settle(catalog, kind_told);
  return THAW_OK;
}

thaw_status thaw_catalog__parse(thaw_catalog *catalog, const char *text, size_t size) {
  thaw_yaml *root = NULL;
  thaw_arena *arena = thaw_arena_create();
  if (!arena) return THAW_ERR_MEMORY;
  catalog->info.label_kind = THAW_LABEL_NONE;
  thaw_status status = thaw_yaml_parse(catalog->path, text, size, arena, &root);
  if (status == THAW_ERR_USAGE) status = THAW_ERR_DATA;
  if (status == THAW_OK && (!root || root->kind != THAW_YAML_MAP))
    status = thaw_fail(THAW_ERR_DATA, "%s: not a catalogue", catalog->path);
  if (status == THAW_OK) status = parse_root(&(place){catalog->path, root}, catalog);
  thaw_arena_destroy(arena);
  return status;
}

void thaw_shard__clear_entry(shard_entry *entry) {
  char *owned[] = {entry->file,   entry->path, entry->labels_path, entry->images,
                   entry->labels, entry->ids,  entry->groups};
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) thaw_free(owned[i]);
  *entry = (shard_entry){0};
}
