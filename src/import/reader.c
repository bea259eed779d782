/* reader.c: files as an import would store them, one at a time, without shards. */
#include "import/import_private.h"

#include <string.h>

struct thaw_import_reader {
  import_source source;
  thaw_import_options options; /* the recipe's */
  thaw_dataset_info info;      /* what is stored; of a known recipe */
  thaw_import_recipe recipe;
  thaw_strings ids;
};

/* Every file a sample; those of frames become several in thaw_import__medical. */
static thaw_status list_paths(const thaw_strings *paths, import_source *out) {
  const size_t count = paths->count;
  out->name = count ? paths->item[0] : "";
  out->count = (int64_t)count;
  out->label_kind = THAW_LABEL_NONE;
  out->label_width = 1;
  out->arena = thaw_arena_create();
  if (!out->arena) return THAW_ERR_MEMORY;
  out->id = thaw_arena_new(out->arena, count, sizeof *out->id);
  out->path = thaw_arena_new(out->arena, count, sizeof *out->path);
  if (!out->id || !out->path) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < count; i++) {
    out->id[i] = out->path[i] = thaw_arena_text(out->arena, paths->item[i]);
    if (!out->id[i]) return THAW_ERR_MEMORY;
  }
  return THAW_OK;
}

static void follow_recipe(thaw_import_reader *reader, const thaw_import_recipe *recipe) {
  thaw_import_options *o = &reader->options;
  reader->recipe = *recipe;
  thaw_import_defaults(o);
  o->keep_ids = true;
  o->window = reader->recipe.window;
  o->frames = recipe->frames;
  o->axis = recipe->axis;
  o->fit = recipe->fit;
  if (!recipe->known) return;
  o->h = recipe->h, o->w = recipe->w, o->c = recipe->c;
  o->value_max = recipe->bits == 16 ? recipe->value_max : 0;
  reader->info = (thaw_dataset_info){
      .h = recipe->h, .w = recipe->w, .c = recipe->c, .bits = recipe->bits, .value_max = recipe->value_max};
}

static thaw_status copy_ids(thaw_import_reader *reader) {
  for (int64_t i = 0; i < reader->source.count; i++) THAW_TRY(thaw_strings_add(&reader->ids, reader->source.id[i]));
  return THAW_OK;
}

thaw_status thaw_import_reader_open(thaw_comm *comm, const thaw_strings *paths, const thaw_import_recipe *recipe,
                                    thaw_log *log, thaw_import_reader **out) {
  thaw_import_reader *reader = thaw_new(1, sizeof *reader);
  *out = NULL;
  thaw_status status = reader ? THAW_OK : THAW_ERR_MEMORY;
  if (reader) follow_recipe(reader, recipe);
  if (reader) status = list_paths(paths, &reader->source);
  status = thaw_agree(comm, status);
  /* Where nothing tells the channels, grey and colour may be mixed: each is brought to the network's. */
  thaw_import_options mixed = reader ? reader->options : (thaw_import_options){0};
  if (!mixed.c) mixed.c = 3;
  if (status == THAW_OK) status = thaw_import__medical(comm, &mixed, log, &reader->source);
  if (status == THAW_OK) status = thaw_agree(comm, copy_ids(reader));
  if (status != THAW_OK) {
    thaw_import_reader_close(reader);
    return status;
  }
  *out = reader;
  return THAW_OK;
}

void thaw_import_reader_close(thaw_import_reader *reader) {
  if (!reader) return;
  thaw_import__close(&reader->source);
  thaw_strings_clear(&reader->ids);
  thaw_free(reader);
}

const thaw_strings *thaw_import_reader_ids(const thaw_import_reader *reader) {
  return &reader->ids;
}

thaw_status thaw_import_reader_image(thaw_import_reader *reader, int64_t i, thaw_image *out, double *value_max) {
  const thaw_dataset_info *info = &reader->info;
  thaw_image image;
  THAW_TRY(thaw_import__image(&reader->source, i, &image));
  if (!reader->recipe.known) {
    *out = image;
    *value_max = image.bits == 16 ? 65535 : 255;
    return THAW_OK;
  }
  *out = (thaw_image){.h = info->h, .w = info->w, .c = info->c, .bits = info->bits};
  *value_max = info->value_max;
  out->pixels = thaw_new((size_t)info->h * (size_t)info->w * (size_t)info->c, (size_t)info->bits / 8);
  thaw_status status = out->pixels ? thaw_import__fit(&reader->options, &image) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_import__row(&image, info, &reader->options, out->pixels);
  thaw_image_clear(&image);
  if (status != THAW_OK) thaw_image_clear(out);
  return status;
}
