/* source.c: what kind of source it is; one image of it. */
#include "import/import_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void thaw_import__close(import_source *source) {
  thaw_import__release(&source->images.block);
  thaw_strings_clear(&source->classes);
  thaw_arena_destroy(source->arena);
  *source = (import_source){0};
}

static bool has_extension(const char *path, const char *extension) {
  const char *dot = strrchr(thaw_path_name(path), '.');
  return dot && strcasecmp(dot, extension) == 0;
}

/* "a,b,c" replaces the names that were found; there must be at least as many. */
static thaw_status rename_classes(const thaw_import_options *options, import_source *source) {
  thaw_strings names = {0};
  thaw_status status = THAW_OK;
  if (!options->classes) return THAW_OK;
  for (const char *at = options->classes; status == THAW_OK && at;) {
    const char *comma = strchr(at, ',');
    char *name = comma ? strndup(at, (size_t)(comma - at)) : strdup(at);
    status = name ? thaw_strings_add(&names, name) : thaw_fail(THAW_ERR_MEMORY, "out of memory");
    free(name);
    at = comma ? comma + 1 : NULL;
  }
  if (status == THAW_OK && names.count < source->classes.count)
    status = thaw_fail(THAW_ERR_USAGE, "--classes names %zu classes, %s has %zu", names.count, source->name,
                       source->classes.count);
  if (status != THAW_OK) {
    thaw_strings_clear(&names);
    return status;
  }
  thaw_strings_clear(&source->classes);
  source->classes = names;
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
  if (status == THAW_OK) status = thaw_agree(comm, rename_classes(options, out));
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
  if (source->path) return thaw_image_read(source->path[i], out);
  return array_image(&source->images, i, out);
}
