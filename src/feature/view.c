/* Views: their keys and folders. */
#include "feature/feature_private.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <string.h>

/* Everything that determines the numbers. Validation data, or views of data that is not augmented, leave the
 * augmentation out, so that a change of it does not make them anew. */
static thaw_status make_key(const thaw_features *f, thaw_view *view) {
  thaw_input input = f->input;
  input.augment.enabled = view->view >= 0;
  thaw_text text = {0};
  thaw_text_add(&text, "thaw-features %d, thaw %s, kernels %d\ncut %s, %zu values\n", THAW_FEATURE_VERSION,
                THAW_VERSION, f->kernel_revision, f->cut_name, f->floats);
  thaw_text_add(&text, "weights %s\ndata %s, %lld images %dx%dx%d, %d bits, largest %.17g\n", f->weights_digest,
                f->data->digest, (long long)f->data->count, f->data->h, f->data->w, f->data->c, f->data->bits,
                f->data->value_max);
  thaw_input_key(&input, &text);
  thaw_text_add(&text, "\nview %d, %s, blocks of %lld\n", view->view, f->storage == THAW_STORE_F16 ? "f16" : "f32",
                (long long)f->block_rows);
  thaw_status status = text.failed ? THAW_ERR_MEMORY : thaw_digest_bytes(text.data, text.length, view->key);
  thaw_text_clear(&text);
  return status;
}

thaw_status thaw_view_name(const thaw_features *f, int32_t number, char out[THAW_VIEW_NAME + 1]) {
  thaw_view view = {.view = number};
  THAW_TRY(make_key(f, &view));
  memcpy(out, view.key, THAW_VIEW_NAME);
  out[THAW_VIEW_NAME] = 0;
  return THAW_OK;
}

static thaw_status set_up(thaw_features *f, int32_t number, thaw_view *view) {
  *view = (thaw_view){.view = number};
  THAW_TRY(make_key(f, view));
  char start[17] = {0};
  memcpy(start, view->key, 16);
  view->key_bits = strtoull(start, NULL, 16);
  char name[THAW_VIEW_NAME + 1] = {0};
  memcpy(name, view->key, THAW_VIEW_NAME);
  view->folder = thaw_path_join(f->cache_folder, name);
  view->block = thaw_new((size_t)f->blocks, sizeof *view->block);
  return view->folder && view->block ? THAW_OK : THAW_ERR_MEMORY;
}

static void clear(const thaw_features *f, thaw_view *view) {
  thaw_view_close_blocks(f, view);
  thaw_free(view->folder);
  thaw_free(view->block);
}

thaw_status thaw_view_get(thaw_features *f, int32_t number, thaw_view **out) {
  if (number < 0 || !f->input.augment.enabled) number = -1;
  for (size_t i = 0; i < f->views; i++)
    if (f->view[i].view == number) {
      *out = &f->view[i];
      return THAW_OK;
    }
  if (thaw_grow((void **)&f->view, f->views, &f->view_capacity, sizeof *f->view) != 0) return THAW_ERR_MEMORY;
  thaw_view *view = &f->view[f->views];
  thaw_status status = set_up(f, number, view);
  if (status != THAW_OK) {
    clear(f, view);
    return status;
  }
  f->views++;
  *out = view;
  return THAW_OK;
}

thaw_view *thaw_view_ready(const thaw_features *f, int32_t number) {
  if (number < 0 || !f->input.augment.enabled) number = -1;
  for (size_t i = 0; i < f->views; i++)
    if (f->view[i].view == number) return f->view[i].ready && !f->view[i].bypassed ? &f->view[i] : NULL;
  return NULL;
}

void thaw_view_close_blocks(const thaw_features *f, thaw_view *view) {
  for (int32_t b = 0; view->block && b < f->blocks; b++) thaw_block_close(&view->block[b]);
}

void thaw_views_clear(thaw_features *f) {
  for (size_t i = 0; i < f->views; i++) clear(f, &f->view[i]);
  thaw_free(f->view);
  f->view = NULL;
  f->views = f->view_capacity = 0;
}
