/* Where thaw anomaly's images come from, and what is known about them. */
#include "cli/anomaly.h"
#include "cli/run.h"
#include "thaw/eval.h"
#include "thaw/memory.h"

#include <string.h>

void anomaly_images_close(anomaly_images *images) {
  thaw_catalog_close(images->catalog);
  thaw_free(images->index);
  thaw_free(images->truth);
  thaw_strings_clear(&images->names);
  thaw_strings_clear(&images->kinds);
  thaw_strings_clear(&images->masks);
  *images = (anomaly_images){0};
}

/* ------------------------------------------------------------------ reading */

thaw_status anomaly_images_read(void *context, int64_t index, thaw_image *out, double *value_max) {
  anomaly_images *images = context;
  if (!images->catalog) {
    THAW_TRY(thaw_image_read(images->names.item[index], out));
    *value_max = out->bits == 16 ? 65535 : 255;
    return THAW_OK;
  }
  const thaw_dataset_info *info = thaw_catalog_info(images->catalog);
  *out = (thaw_image){.h = info->h, .w = info->w, .c = info->c, .bits = info->bits};
  *value_max = info->value_max;
  out->pixels = thaw_new((size_t)info->h * (size_t)info->w * (size_t)info->c, info->bits == 16 ? 2 : 1);
  if (!out->pixels) return THAW_ERR_MEMORY;
  thaw_status status = thaw_catalog_pixels(images->catalog, images->index[index], 1, out->pixels);
  if (status != THAW_OK) thaw_image_clear(out);
  return status;
}

const char *anomaly_images_name(void *context, int64_t index) {
  const anomaly_images *images = context;
  return images->names.item[index];
}

/* ------------------------------------------------------------------ files */

/* The folder of `path` right below `source`, into a new string; "" where there is none. */
static char *kind_of(const char *source, const char *path) {
  size_t length = strlen(source);
  while (length > 0 && source[length - 1] == '/') length--;
  const char *rest = strlen(path) > length ? path + length : "";
  while (*rest == '/') rest++;
  const char *end = strchr(rest, '/');
  return end ? thaw_format("%.*s", (int)(end - rest), rest) : thaw_copy_text("");
}

/* MASKS/KIND/NAME_mask.png for SOURCE/KIND/.../NAME.png, else NAME.png; NULL without memory. */
static char *mask_of(const char *masks, const char *kind, const char *path) {
  const char *name = thaw_path_name(path), *dot = strrchr(name, '.');
  int stem = (int)(dot ? dot - name : (long)strlen(name));
  char *file = thaw_format("%s/%s/%.*s_mask.png", masks, kind, stem, name);
  if (!file || thaw_file_exists(file)) return file;
  thaw_free(file);
  return thaw_format("%s/%s/%.*s.png", masks, kind, stem, name);
}

static thaw_status add_text(thaw_strings *to, char *text) {
  thaw_status status = text ? thaw_strings_add(to, text) : THAW_ERR_MEMORY;
  thaw_free(text);
  return status;
}

static thaw_status find_masks(const anomaly_options *o, anomaly_images *images) {
  int64_t missing = 0, anomalous = 0;
  char *first = NULL;
  for (int64_t i = 0; i < images->count; i++) {
    bool wanted = images->truth[i] == 1;
    char *mask = wanted ? mask_of(o->masks, images->kinds.item[i], images->names.item[i]) : thaw_copy_text("");
    if (!mask) return THAW_ERR_MEMORY;
    anomalous += wanted;
    if (wanted && !thaw_file_exists(mask) && missing++ == 0) first = thaw_copy_text(mask);
    THAW_TRY(add_text(&images->masks, mask));
  }
  thaw_status status =
      missing ? thaw_fail(THAW_ERR_DATA, "%lld of %lld anomalous images have no mask, the first one would be %s",
                          (long long)missing, (long long)anomalous, first ? first : "?")
              : THAW_OK;
  thaw_free(first);
  return status;
}

/* [local, the same on every rank] */
static thaw_status label_files(const anomaly_options *o, const char *source, bool learn, anomaly_images *images) {
  bool has_normal = false;
  images->count = (int64_t)images->names.count;
  images->truth = thaw_new((size_t)images->count, 1);
  if (!images->truth) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < images->count; i++) {
    THAW_TRY(add_text(&images->kinds, kind_of(source, images->names.item[i])));
    has_normal |= strcmp(images->kinds.item[i], o->normal) == 0;
  }
  for (int64_t i = 0; i < images->count; i++) {
    const char *kind = images->kinds.item[i];
    images->truth[i] = learn ? 0 : !has_normal || !*kind ? THAW_UNKNOWN : strcmp(kind, o->normal) != 0;
    images->labelled |= images->truth[i] != THAW_UNKNOWN;
  }
  if (learn || !o->masks) return THAW_OK;
  if (!has_normal)
    return thaw_fail(THAW_ERR_DATA, "--masks: %s has no folder '%s' of normal images; name it with --normal", source,
                     o->normal);
  return find_masks(o, images);
}

/* ------------------------------------------------------------------ catalogues */

static int64_t find_class(const thaw_strings *classes, const char *name) {
  for (size_t i = 0; i < classes->count; i++)
    if (strcmp(classes->item[i], name) == 0) return (int64_t)i;
  return -1;
}

static thaw_status no_class(const char *source, const anomaly_options *o, const thaw_strings *classes) {
  const char *near = thaw_nearest(o->normal, (const char *const *)classes->item, classes->count);
  return thaw_fail(THAW_ERR_USAGE, "--normal %s: %s has no such class%s%s%s", o->normal, source,
                   near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static thaw_status add_sample(anomaly_images *images, int64_t sample, const char *kind, uint8_t truth) {
  thaw_strings id = {0};
  THAW_TRY(thaw_catalog_ids(images->catalog, sample, 1, &id));
  thaw_status status = thaw_strings_add(&images->names, id.count ? id.item[0] : "");
  thaw_strings_clear(&id);
  if (status == THAW_OK) status = thaw_strings_add(&images->kinds, kind);
  images->index[images->count] = sample;
  images->truth[images->count++] = truth;
  images->labelled |= truth != THAW_UNKNOWN;
  return status;
}

/* [local, the same on every rank] Without class labels nothing is known, and all are taken. */
static thaw_status choose_samples(const anomaly_options *o, const char *source, bool learn, anomaly_images *images) {
  const thaw_dataset_info *info = thaw_catalog_info(images->catalog);
  const thaw_labels *labels = NULL;
  bool classes = info->label_kind == THAW_LABEL_CLASS;
  int64_t normal = classes ? find_class(&info->classes, o->normal) : -1;
  if (info->c != 1 && info->c != 3)
    return thaw_fail(THAW_ERR_DATA, "%s: images of %d channels, 1 or 3 can be taken", source, info->c);
  if (classes && normal < 0) return no_class(source, o, &info->classes);
  if (o->masks) return thaw_fail(THAW_ERR_USAGE, "--masks goes with folders of images, not with a catalogue");
  if (classes) THAW_TRY(thaw_catalog_labels(images->catalog, &labels));
  images->index = thaw_new((size_t)info->count, sizeof *images->index);
  images->truth = thaw_new((size_t)info->count, 1);
  if (!images->index || !images->truth) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < info->count; i++) {
    int64_t class = labels ? (int64_t)thaw_label(labels, (uint64_t)i, 0) : -1;
    if (learn && class != normal) continue;
    THAW_TRY(
        add_sample(images, i, class >= 0 ? info->classes.item[class] : "", class < 0 ? THAW_UNKNOWN : class != normal));
  }
  if (images->count) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: class '%s' has no sample", source, o->normal);
}

/* ------------------------------------------------------------------ both */

static thaw_status keep_text(thaw_strings *from, const int64_t *keep, int64_t count) {
  thaw_strings kept = {0};
  thaw_status status = THAW_OK;
  for (int64_t i = 0; i < count && from->count && status == THAW_OK; i++)
    status = thaw_strings_add(&kept, from->item[keep[i]]);
  thaw_strings_clear(from);
  *from = kept;
  return status;
}

/* Evenly spread, in their order. */
static thaw_status limit(anomaly_images *images, int64_t most) {
  if (!most || most >= images->count) return THAW_OK;
  int64_t *keep = thaw_new((size_t)most, sizeof *keep);
  if (!keep) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < most; i++) {
    keep[i] = (int64_t)((double)i * (double)images->count / (double)most);
    images->truth[i] = images->truth[keep[i]];
    if (images->index) images->index[i] = images->index[keep[i]];
  }
  images->count = most;
  thaw_status status = keep_text(&images->names, keep, most);
  if (status == THAW_OK) status = keep_text(&images->kinds, keep, most);
  if (status == THAW_OK) status = keep_text(&images->masks, keep, most);
  thaw_free(keep);
  return status;
}

thaw_status anomaly_images_open(cli_context *cli, const anomaly_options *o, const char *source, bool learn,
                                anomaly_images *out) {
  bool catalog = cli_is_catalog(source);
  *out = (anomaly_images){0};
  thaw_status status = catalog ? thaw_agree(cli->comm, thaw_catalog_open(source, &out->catalog))
                               : thaw_image_files(cli->comm, source, false, &out->names);
  if (status != THAW_OK) return status;
  status = catalog ? choose_samples(o, source, learn, out) : label_files(o, source, learn, out);
  if (status == THAW_OK) status = limit(out, o->limit);
  return thaw_agree(cli->comm, status);
}
