/* recipe.c: import.yaml beside a catalogue: how its images were made, so that whoever predicts makes them the same way.
 */
#include "import/import_private.h"
#include "thaw/job.h"

#include <stdio.h>
#include <string.h>

static const char *const frame_words[] = {"all", "middle", "stack", NULL};
static const char *const axis_words[] = {"axial", "coronal", "sagittal", NULL};
static const char *const fit_words[] = {"stretch", "crop", "pad", NULL};

thaw_status thaw_import__write_recipe(const import_plan *plan, int part, const thaw_import_options *options) {
  const thaw_dataset_info *info = &plan->info;
  thaw_text text = {0};
  if (!plan->folder[part]) return THAW_OK;
  thaw_text_add(
      &text,
      "format: thaw-import\nversion: 1\nwindow: \"%s\"\nframes: %s\naxis: %s\nfit: %s\nheight: %d\nwidth: %d\n"
      "channels: %d\nbits: %d\nvalue_max: %.17g\n",
      options->window ? options->window : "full", frame_words[options->frames], axis_words[options->axis],
      fit_words[options->fit], info->h, info->w, info->c, info->bits, info->value_max);
  if (plan->key[0]) thaw_text_add(&text, "id_key: %s\n", plan->key);
  char *path = thaw_path_join(plan->folder[part], "import.yaml");
  thaw_status status = path && !text.failed ? thaw_file_write(path, text.data, text.length) : THAW_ERR_MEMORY;
  thaw_free(path);
  thaw_text_clear(&text);
  return status;
}

/* ------------------------------------------------------------------ reading */
typedef struct recipe_text {
  const char *path;
  const thaw_yaml *root;
} recipe_text;

static thaw_status get_word(const recipe_text *t, const char *key, const char **out) {
  const thaw_yaml *node = thaw_yaml_get(t->root, key);
  if (!node || node->kind != THAW_YAML_SCALAR)
    return thaw_fail(THAW_ERR_DATA, "%s: '%s' is missing or no word", t->path, key);
  *out = node->value;
  return THAW_OK;
}

static thaw_status get_choice(const recipe_text *t, const char *key, const char *const *words, int32_t *out) {
  const char *word = NULL;
  THAW_TRY(get_word(t, key, &word));
  for (*out = 0; words[*out]; ++*out)
    if (strcmp(word, words[*out]) == 0) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: %s: '%s' is unknown", t->path, key, word);
}

static thaw_status get_int(const recipe_text *t, const char *key, int64_t low, int64_t high, int32_t *out) {
  const char *word = NULL;
  int64_t value;
  THAW_TRY(get_word(t, key, &word));
  if (thaw_parse_int(word, &value) != THAW_OK || value < low || value > high)
    return thaw_fail(THAW_ERR_DATA, "%s: %s: '%s' is no number from %lld to %lld", t->path, key, word, (long long)low,
                     (long long)high);
  *out = (int32_t)value;
  return THAW_OK;
}

static thaw_status read_fields(const recipe_text *t, thaw_import_recipe *out) {
  const char *format = NULL, *window = NULL, *value_max = NULL;
  int32_t fit = 0;
  thaw_dicom_view view;
  THAW_TRY(get_word(t, "format", &format));
  if (strcmp(format, "thaw-import") != 0) return thaw_fail(THAW_ERR_DATA, "%s: not 'format: thaw-import'", t->path);
  THAW_TRY(get_word(t, "window", &window));
  if (thaw_dicom_view_parse(window, &view) != THAW_OK || strlen(window) >= sizeof out->window)
    return thaw_fail(THAW_ERR_DATA, "%s: window: '%s' is unknown", t->path, window);
  snprintf(out->window, sizeof out->window, "%s", window);
  THAW_TRY(get_choice(t, "frames", frame_words, &out->frames));
  THAW_TRY(get_choice(t, "axis", axis_words, &out->axis));
  THAW_TRY(get_choice(t, "fit", fit_words, &fit));
  out->fit = (thaw_fit)fit;
  THAW_TRY(get_int(t, "height", 1, 65500, &out->h));
  THAW_TRY(get_int(t, "width", 1, 65500, &out->w));
  THAW_TRY(get_int(t, "channels", 1, 3, &out->c));
  THAW_TRY(get_int(t, "bits", 8, 16, &out->bits));
  THAW_TRY(get_word(t, "value_max", &value_max));
  if (thaw_parse_double(value_max, &out->value_max) != THAW_OK || out->value_max < 1 || out->c == 2 ||
      (out->bits != 8 && out->bits != 16))
    return thaw_fail(THAW_ERR_DATA, "%s: %d channels of %d bits up to %s", t->path, out->c, out->bits, value_max);
  const thaw_yaml *key = thaw_yaml_get(t->root, "id_key");
  if (key && key->value) snprintf(out->id_key, sizeof out->id_key, "%s", key->value);
  out->known = true;
  return THAW_OK;
}

thaw_status thaw_import_recipe_read(const char *path, thaw_import_recipe *out) {
  char *text = NULL;
  size_t size;
  thaw_yaml *root = NULL;
  *out = (thaw_import_recipe){.window = "full"};
  if (!thaw_file_exists(path)) return THAW_OK;
  THAW_TRY(thaw_file_read(path, 1 << 16, &text, &size));
  thaw_arena *arena = thaw_arena_create();
  thaw_status status = arena ? thaw_yaml_parse(path, text, size, arena, &root) : THAW_ERR_MEMORY;
  if (status == THAW_ERR_USAGE) status = THAW_ERR_DATA;
  if (status == THAW_OK && (!root || root->kind != THAW_YAML_MAP))
    status = thaw_fail(THAW_ERR_DATA, "%s: not 'format: thaw-import'", path);
  if (status == THAW_OK) status = read_fields(&(recipe_text){path, root}, out);
  thaw_arena_destroy(arena);
  thaw_free(text);
  return status;
}
