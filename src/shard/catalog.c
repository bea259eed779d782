/* catalog.c: a dataset as one run of samples over many shards, opened when needed. */
#include "shard/shard_private.h"
#include "thaw/digest.h"
#include "thaw/memory.h"

#include <stdio.h>
#include <string.h>

enum { CATALOG_BYTES_LIMIT = 1 << 28 };

void thaw_catalog_close(thaw_catalog *catalog) {
  if (!catalog) return;
  for (int i = 0; i < SHARD_OPEN_LIMIT; i++) thaw_shard__close(&catalog->handle[i]);
  for (size_t i = 0; i < catalog->entries; i++) thaw_shard__clear_entry(&catalog->entry[i]);
  thaw_strings_clear(&catalog->info.classes);
  thaw_strings_clear(&catalog->info.columns);
  thaw_free(catalog->info.column);
  thaw_free(catalog->entry);
  thaw_free(catalog->label_memory);
  thaw_free(catalog->select);
  thaw_free(catalog->path);
  thaw_free(catalog);
}

const thaw_dataset_info *thaw_catalog_info(const thaw_catalog *catalog) {
  return &catalog->info;
}

const char *thaw_catalog_path(const thaw_catalog *catalog) {
  return catalog->path;
}

int32_t thaw_catalog_shards(const thaw_catalog *catalog) {
  return (int32_t)catalog->entries;
}

const char *thaw_catalog_shard(const thaw_catalog *catalog, int32_t shard, int64_t *first_out, int64_t *count_out) {
  const shard_entry *entry = &catalog->entry[shard];
  if (first_out) *first_out = entry->first;
  if (count_out) *count_out = entry->count;
  return entry->path;
}

/* The first of the names that is in the file; NULL when none is. */
static const char *find_dataset(thaw_h5 *file, const char *const *name, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (thaw_h5_exists(file, name[i])) return name[i];
  return NULL;
}

/* A bare .h5: a thaw shard, or /images and /labels, or /x and /y. */
static thaw_status single_shard(thaw_catalog *catalog) {
  static const char *const images[] = {"/images", "/x"}, *const labels[] = {"/labels", "/y"};
  shard_entry *entry = thaw_new(1, sizeof *entry);
  thaw_h5 *file = NULL;
  if (!entry) return THAW_ERR_MEMORY;
  catalog->entry = entry;
  catalog->entries = catalog->entry_capacity = 1;
  catalog->info.label_kind = THAW_LABEL_NONE;
  entry->count = -1;
  entry->file = thaw_copy_text(thaw_path_name(catalog->path));
  entry->path = thaw_copy_text(catalog->path);
  THAW_TRY(thaw_h5_open(catalog->path, &file));
  entry->foreign = !thaw_h5_has_attribute(file, "/", "format");
  entry->images = thaw_copy_text(find_dataset(file, images, 2));
  entry->labels = thaw_copy_text(find_dataset(file, labels, 2));
  if (thaw_h5_exists(file, "/ids")) entry->ids = thaw_copy_text("/ids");
  if (thaw_h5_exists(file, "/groups")) entry->groups = thaw_copy_text("/groups");
  thaw_h5_close(file);
  if (!entry->file || !entry->path) return THAW_ERR_MEMORY;
  if (!entry->images)
    return thaw_fail(THAW_ERR_DATA, "%s: no dataset /images or /x; name it in a catalogue (images: /NAME)",
                     catalog->path);
  return THAW_OK;
}

static thaw_status read_catalog(thaw_catalog *catalog) {
  char *text = NULL;
  size_t size = 0;
  THAW_TRY(thaw_file_read(catalog->path, CATALOG_BYTES_LIMIT, &text, &size));
  thaw_status status = thaw_catalog__parse(catalog, text, size);
  thaw_free(text);
  return status;
}

/* Opens every shard to learn what the catalogue leaves out. */
static thaw_status probe_shards(thaw_catalog *catalog) {
  for (size_t i = 0; i < catalog->entries; i++) {
    shard_handle handle;
    THAW_TRY(thaw_shard__open(&catalog->entry[i], &handle));
    thaw_status status = thaw_shard__probe(&catalog->entry[i], &handle, &catalog->info, &catalog->classes);
    thaw_shard__close(&handle);
    THAW_TRY(status);
  }
  return THAW_OK;
}

/* Classes that nothing names are called by their numbers. */
static thaw_status name_classes(thaw_catalog *catalog) {
  thaw_dataset_info *info = &catalog->info;
  if (info->label_kind != THAW_LABEL_CLASS) return THAW_OK;
  for (int64_t i = (int64_t)info->classes.count; i < catalog->classes; i++) {
    char name[32];
    snprintf(name, sizeof name, "%lld", (long long)i);
    THAW_TRY(thaw_strings_add(&info->classes, name));
  }
  return THAW_OK;
}

/* First sample of every shard, the total, and the digest over everything that determines the samples. */
static thaw_status sum_up(thaw_catalog *catalog) {
  thaw_dataset_info *info = &catalog->info;
  thaw_digest *digest = NULL;
  int64_t count = 0;
  THAW_TRY(thaw_digest_create(&digest));
  const int64_t shape[] = {info->h, info->w, info->c, info->bits, info->label_kind, info->label_width};
  thaw_digest_add(digest, shape, sizeof shape);
  thaw_digest_add(digest, &info->value_max, sizeof info->value_max);
  for (size_t i = 0; i < info->classes.count; i++) thaw_digest_add_text(digest, info->classes.item[i]);
  for (size_t i = 0; i < info->columns.count; i++) thaw_digest_add_text(digest, info->columns.item[i]);
  for (size_t i = 0; i < catalog->entries; i++) {
    shard_entry *entry = &catalog->entry[i];
    entry->first = count;
    count += entry->count;
    thaw_digest_add(digest, &entry->count, sizeof entry->count);
    thaw_digest_add_text(digest, entry->digest);
  }
  thaw_digest_finish(digest, info->digest);
  if (info->count && info->count != count)
    return thaw_fail(THAW_ERR_DATA, "%s: 'count' is %lld, the shards add up to %lld", catalog->path,
                     (long long)info->count, (long long)count);
  info->count = catalog->total = count;
  if (info->label_kind == THAW_LABEL_MULTI && info->classes.count && info->classes.count != (size_t)info->label_width)
    return thaw_fail(THAW_ERR_DATA, "%s: %zu class names, the labels have %d columns", catalog->path,
                     info->classes.count, (int)info->label_width);
  return thaw_shard__check_columns(catalog->path, info);
}

static bool ends_with(const char *text, const char *end) {
  const size_t length = strlen(text), tail = strlen(end);
  return length > tail && strcmp(text + length - tail, end) == 0;
}

static thaw_status open_into(thaw_catalog *catalog, const char *path) {
  for (int i = 0; i < SHARD_OPEN_LIMIT; i++) catalog->handle[i].shard = -1;
  catalog->path = thaw_folder_exists(path) ? thaw_path_join(path, "catalog.yaml") : thaw_copy_text(path);
  if (!catalog->path) return THAW_ERR_MEMORY;
  if (!thaw_file_exists(catalog->path)) return thaw_fail(THAW_ERR_DATA, "%s: no such file", catalog->path);
  if (ends_with(catalog->path, ".h5") || ends_with(catalog->path, ".hdf5"))
    THAW_TRY(single_shard(catalog));
  else
    THAW_TRY(read_catalog(catalog));
  if (!catalog->told) THAW_TRY(probe_shards(catalog));
  THAW_TRY(name_classes(catalog));
  return sum_up(catalog);
}

thaw_status thaw_catalog_open(const char *path, thaw_catalog **out) {
  thaw_catalog *catalog = thaw_new(1, sizeof *catalog);
  *out = NULL;
  if (!catalog) return THAW_ERR_MEMORY;
  thaw_status status = open_into(catalog, path);
  if (status != THAW_OK) {
    thaw_catalog_close(catalog);
    return status;
  }
  *out = catalog;
  return THAW_OK;
}

/* The shard's handle, opened and checked; the least recently used one makes room. */
thaw_status thaw_shard__handle(thaw_catalog *catalog, int32_t shard, shard_handle **out) {
  shard_handle *slot = &catalog->handle[0];
  for (int i = 0; i < SHARD_OPEN_LIMIT; i++) {
    shard_handle *handle = &catalog->handle[i];
    if (handle->shard == shard) {
      handle->used = ++catalog->clock;
      *out = handle;
      return THAW_OK;
    }
    if (handle->used < slot->used) slot = handle;
  }
  thaw_shard__close(slot);
  THAW_TRY(thaw_shard__open(&catalog->entry[shard], slot));
  thaw_status status = thaw_shard__check(&catalog->entry[shard], slot, &catalog->info);
  if (status != THAW_OK) {
    thaw_shard__close(slot);
    return status;
  }
  slot->shard = shard;
  slot->used = ++catalog->clock;
  *out = slot;
  return THAW_OK;
}

thaw_status thaw_catalog_check(thaw_catalog *catalog) {
  shard_handle *handle;
  for (size_t i = 0; i < catalog->entries; i++) THAW_TRY(thaw_shard__handle(catalog, (int32_t)i, &handle));
  return THAW_OK;
}

thaw_status thaw_catalog_verify(thaw_catalog *catalog, int32_t shard) {
  const shard_entry *entry = &catalog->entry[shard];
  shard_handle *handle;
  char found[65];
  THAW_TRY(thaw_shard__handle(catalog, shard, &handle));
  THAW_TRY(thaw_shard__digest(entry, handle, &catalog->info, found));
  if (!entry->foreign && strcmp(found, entry->digest) != 0)
    return thaw_fail(THAW_ERR_DATA, "%s: the content has digest %.12s..., expected %.12s...", entry->path, found,
                     entry->digest);
  return THAW_OK;
}

/* The shard that holds `sample`, by bisection. */
static int32_t find_shard(const thaw_catalog *catalog, int64_t sample) {
  size_t low = 0, high = catalog->entries;
  while (high - low > 1) {
    const size_t middle = (low + high) / 2;
    if (catalog->entry[middle].first <= sample)
      low = middle;
    else
      high = middle;
  }
  return (int32_t)low;
}

/* One stretch of samples inside one shard. */
typedef struct stretch {
  const shard_entry *entry;
  shard_handle *handle;
  int64_t row, rows;
} stretch;

static thaw_status next_stretch(thaw_catalog *catalog, int64_t first, int64_t count, stretch *out) {
  if (first < 0 || count < 0 || first + count > catalog->total)
    return thaw_fail(THAW_ERR_INTERNAL, "%s: samples %lld..%lld of %lld", catalog->path, (long long)first,
                     (long long)(first + count), (long long)catalog->total);
  const int32_t shard = find_shard(catalog, first);
  out->entry = &catalog->entry[shard];
  out->row = first - out->entry->first;
  out->rows = out->entry->count - out->row < count ? out->entry->count - out->row : count;
  return thaw_shard__handle(catalog, shard, &out->handle);
}

/* [local] Whether a run of samples lies in the selection. */
static thaw_status check_selected(const thaw_catalog *catalog, int64_t first, int64_t count) {
  if (first >= 0 && count >= 0 && first + count <= catalog->info.count) return THAW_OK;
  return thaw_fail(THAW_ERR_INTERNAL, "%s: samples %lld..%lld of a selection of %lld", catalog->path, (long long)first,
                   (long long)(first + count), (long long)catalog->info.count);
}

static thaw_status read_pixels(thaw_catalog *catalog, int64_t first, int64_t count, void *pixels) {
  const thaw_dataset_info *info = &catalog->info;
  const thaw_h5_type type = info->bits == 16 ? THAW_H5_U16 : THAW_H5_U8;
  const size_t bytes = (size_t)info->h * (size_t)info->w * (size_t)info->c * (info->bits == 16 ? 2 : 1);
  char *out = pixels;
  while (count > 0) {
    stretch part;
    THAW_TRY(next_stretch(catalog, first, count, &part));
    THAW_TRY(thaw_h5_read_rows(part.handle->images, part.entry->images, type, part.row, part.rows, out));
    first += part.rows;
    count -= part.rows;
    out += (size_t)part.rows * bytes;
  }
  return THAW_OK;
}

thaw_status thaw_catalog_pixels(thaw_catalog *catalog, int64_t first, int64_t count, void *pixels) {
  const thaw_dataset_info *info = &catalog->info;
  const size_t bytes = (size_t)info->h * (size_t)info->w * (size_t)info->c * (info->bits == 16 ? 2 : 1);
  if (!catalog->select) return read_pixels(catalog, first, count, pixels);
  THAW_TRY(check_selected(catalog, first, count));
  for (int64_t i = 0; i < count; i++)
    THAW_TRY(read_pixels(catalog, catalog->select[first + i], 1, (char *)pixels + (size_t)i * bytes));
  return THAW_OK;
}

/* Made-up ids for files without: "name.h5:17". */
static thaw_status name_rows(const stretch *part, thaw_strings *out) {
  for (int64_t i = 0; i < part->rows; i++) {
    char *id = thaw_format("%s:%lld", part->entry->file, (long long)(part->row + i));
    if (!id) return THAW_ERR_MEMORY;
    thaw_status status = thaw_strings_add(out, id);
    thaw_free(id);
    THAW_TRY(status);
  }
  return THAW_OK;
}

static thaw_status append_strings(thaw_h5 *file, const char *dataset, const stretch *part, thaw_strings *out) {
  thaw_strings rows = {0};
  thaw_status status = thaw_h5_read_strings(file, dataset, part->row, part->rows, &rows);
  for (size_t i = 0; status == THAW_OK && i < rows.count; i++) status = thaw_strings_add(out, rows.item[i]);
  thaw_strings_clear(&rows);
  return status;
}

static thaw_status collect_strings(thaw_catalog *catalog, int64_t first, int64_t count, bool groups,
                                   thaw_strings *out) {
  while (count > 0) {
    stretch part;
    THAW_TRY(next_stretch(catalog, first, count, &part));
    const char *dataset = groups ? part.entry->groups : part.entry->ids;
    if (dataset && thaw_h5_exists(part.handle->images, dataset))
      THAW_TRY(append_strings(part.handle->images, dataset, &part, out));
    else
      THAW_TRY(name_rows(&part, out));
    first += part.rows;
    count -= part.rows;
  }
  return THAW_OK;
}

/* Few are read one by one, many from all. */
static thaw_status collect_selected(thaw_catalog *catalog, int64_t first, int64_t count, bool groups,
                                    thaw_strings *out) {
  enum { FEW = 16 };
  thaw_strings all = {0};
  const int64_t *at = catalog->select + first;
  THAW_TRY(check_selected(catalog, first, count));
  if (count > FEW) THAW_TRY(collect_strings(catalog, 0, catalog->total, groups, &all));
  thaw_status status = THAW_OK;
  for (int64_t i = 0; i < count && status == THAW_OK; i++)
    status = count > FEW ? thaw_strings_add(out, all.item[at[i]]) : collect_strings(catalog, at[i], 1, groups, out);
  thaw_strings_clear(&all);
  return status;
}

static thaw_status get_strings(thaw_catalog *catalog, int64_t first, int64_t count, bool groups, thaw_strings *out) {
  *out = (thaw_strings){0};
  thaw_status status = catalog->select ? collect_selected(catalog, first, count, groups, out)
                                       : collect_strings(catalog, first, count, groups, out);
  if (status != THAW_OK) thaw_strings_clear(out);
  return status;
}

thaw_status thaw_catalog_ids(thaw_catalog *catalog, int64_t first, int64_t count, thaw_strings *out) {
  return get_strings(catalog, first, count, false, out);
}

thaw_status thaw_catalog_groups(thaw_catalog *catalog, int64_t first, int64_t count, thaw_strings *out) {
  return get_strings(catalog, first, count, true, out);
}

thaw_status thaw_catalog_grouped(thaw_catalog *catalog, int32_t shard, bool *out) {
  const char *dataset = catalog->entry[shard].groups;
  shard_handle *handle;
  *out = false;
  if (!dataset) return THAW_OK;
  THAW_TRY(thaw_shard__handle(catalog, shard, &handle));
  *out = thaw_h5_exists(handle->images, dataset);
  return THAW_OK;
}
