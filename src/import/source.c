/* source.c: what kind of source it is; one image of it. */
#include "import/import_private.h"
#include "thaw/text.h"

#include <string.h>
#include <strings.h>

void thaw_import__close(import_source *source) {
  thaw_import__close_files(source);
  thaw_import__free_tiles(source);
  thaw_import__release(&source->images.block);
  thaw_strings_clear(&source->classes);
  thaw_strings_clear(&source->columns);
  thaw_strings_clear(&source->attribute_names);
  thaw_arena_destroy(source->arena);
  *source = (import_source){0};
}

static bool has_extension(const char *path, const char *extension) {
  const char *dot = strrchr(thaw_path_name(path), '.');
  return dot && strcasecmp(dot, extension) == 0;
}

static int64_t find_name(const thaw_strings *names, const char *name) {
  for (size_t i = 0; i < names->count; i++)
    if (strcmp(names->item[i], name) == 0) return (int64_t)i;
  return -1;
}

/* The index that each class found gets among `names`: by name where the source has names, else (or where the names are
 * numbers) by number. map[found] is owned by the caller. */
static thaw_status map_classes(const import_source *source, const thaw_strings *names, int32_t *map) {
  for (size_t k = 0; k < source->classes.count; k++) {
    const char *name = source->classes.item[k];
    int64_t index = source->path ? find_name(names, name) : (int64_t)k;
    if (index < 0 && thaw_parse_int(name, &index) != THAW_OK) index = -1;
    if (index < 0 || (size_t)index >= names->count)
      return thaw_fail(THAW_ERR_USAGE, "%s: class '%s' is not among the %zu of --classes", source->name, name,
                       names->count);
    map[k] = (int32_t)index;
  }
  return THAW_OK;
}

static thaw_status apply_map(import_source *source, const int32_t *map, size_t classes) {
  for (int64_t i = 0; source->class_index && i < source->count; i++)
    source->class_index[i] = map[source->class_index[i]];
  if (!source->multi) return THAW_OK;
  const size_t width = (size_t)source->label_width;
  uint8_t *multi = thaw_arena_new(source->arena, (size_t)source->count, classes);
  if (!multi) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < (size_t)source->count; i++)
    for (size_t k = 0; k < width; k++) multi[i * classes + (size_t)map[k]] = source->multi[i * width + k];
  source->multi = multi;
  source->label_width = (int32_t)classes;
  return THAW_OK;
}

/* --classes gives the names and their order, also of classes that do not occur. */
static thaw_status order_classes(const thaw_import_options *options, import_source *source) {
  thaw_strings names = {0};
  if (!options->classes || source->label_kind == THAW_LABEL_NONE || source->label_kind == THAW_LABEL_TARGET)
    return THAW_OK;
  int32_t *map = thaw_new(source->classes.count, sizeof *map);
  thaw_status status = map ? thaw_import__split_names(options->classes, &names) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = map_classes(source, &names, map);
  if (status == THAW_OK) status = apply_map(source, map, names.count);
  thaw_free(map);
  if (status != THAW_OK) {
    thaw_strings_clear(&names);
    return status;
  }
  thaw_strings_clear(&source->classes);
  source->classes = names;
  return THAW_OK;
}

/* --group-folder N: the N-th part of the id's path is the group. */
static thaw_status group_by_folder(const thaw_import_options *options, import_source *source) {
  if (!options->group_folder) return THAW_OK;
  if (source->group)
    return thaw_fail(THAW_ERR_USAGE, "%s: has groups already, --group-folder gives others", source->name);
  source->group = thaw_arena_new(source->arena, (size_t)source->count, sizeof *source->group);
  if (!source->group) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < source->count; i++) {
    const char *at = source->id[i];
    for (int32_t part = 1; part < options->group_folder && at; part++) {
      at = strchr(at, '/');
      if (at) at++;
    }
    const char *end = at ? strchr(at, '/') : NULL;
    if (!end)
      return thaw_fail(THAW_ERR_DATA, "%s: '%s' has no folder number %d for --group-folder", source->name,
                       source->id[i], options->group_folder);
    char *name = thaw_format("%.*s", (int)(end - at), at);
    source->group[i] = thaw_arena_text(source->arena, name);
    thaw_free(name);
    if (!source->group[i]) return THAW_ERR_MEMORY;
  }
  return THAW_OK;
}

enum { KIND_FOLDER, KIND_CSV, KIND_ARRAYS };

/* [collective] Rank 0 looks, so that ranks with an odd view of the file system cannot part ways. */
static thaw_status find_kind(thaw_comm *comm, const thaw_import_options *options, int32_t *kind) {
  thaw_status status = THAW_OK;
  *kind = KIND_ARRAYS;
  if (thaw_comm_rank(comm) == 0) {
    if (!thaw_file_exists(options->source))
      status = thaw_fail(THAW_ERR_DATA, "%s: no such file or folder", options->source);
    else if (thaw_folder_exists(options->source))
      *kind = KIND_FOLDER;
    else if (has_extension(options->source, ".csv"))
      *kind = KIND_CSV;
  }
  THAW_TRY(thaw_agree(comm, status));
  return thaw_comm_broadcast(comm, 0, kind, sizeof *kind);
}

static thaw_status open_kind(thaw_comm *comm, const thaw_import_options *options, thaw_log *log, import_source *out) {
  int32_t kind = KIND_ARRAYS;
  out->name = options->source;
  out->arena = thaw_arena_create();
  THAW_TRY(thaw_agree(comm, out->arena ? THAW_OK : THAW_ERR_MEMORY));
  THAW_TRY(find_kind(comm, options, &kind));
  if (kind == KIND_FOLDER) return thaw_import__open_folder(comm, options, log, out);
  if (kind == KIND_CSV) return thaw_import__open_csv(comm, options, out);
  return thaw_agree(comm, thaw_import__open_arrays(options, out));
}

thaw_status thaw_import__open(thaw_comm *comm, const thaw_import_options *options, thaw_log *log, import_source *out) {
  *out = (import_source){0};
  thaw_status status = open_kind(comm, options, log, out);
  if (status == THAW_OK) status = thaw_agree(comm, group_by_folder(options, out));
  if (status == THAW_OK) status = thaw_import__medical(comm, options, log, out);
  if (status == THAW_OK) status = thaw_import__tile(comm, options, log, out);
  if (status == THAW_OK) status = thaw_agree(comm, order_classes(options, out));
  if (status != THAW_OK) thaw_import__close(out);
  return status;
}

static thaw_status array_image(const import_array *array, int64_t i, thaw_image *out) {
  const size_t samples = (size_t)(array->dim[1] * array->dim[2] * array->dim[3]);
  const unsigned char *at = array->data + (size_t)i * samples * (size_t)array->size;
  *out = (thaw_image){
      .h = (int32_t)array->dim[1], .w = (int32_t)array->dim[2], .c = (int32_t)array->dim[3], .bits = 8 * array->size};
  out->pixels = thaw_new(samples, (size_t)array->size);
  if (!out->pixels) return THAW_ERR_MEMORY;
  if (array->size == 1) {
    memcpy(out->pixels, at, samples);
    return THAW_OK;
  }
  uint16_t *pixel = out->pixels;
  for (size_t k = 0; k < samples; k++)
    pixel[k] = (uint16_t)(array->big_endian ? at[2 * k] << 8 | at[2 * k + 1] : at[2 * k + 1] << 8 | at[2 * k]);
  return THAW_OK;
}

thaw_status thaw_import__image(const import_source *source, int64_t i, thaw_image *out) {
  *out = (thaw_image){0};
  if (source->tiles) return thaw_import__tile_image(source, i, out);
  if (source->frame && source->frame[i] >= 0) return thaw_import__medical_image(source, i, out);
  if (source->path) return thaw_image_read(source->path[i], out);
  return array_image(&source->images, i, out);
}
