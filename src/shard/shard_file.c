/* shard_file.c: one shard or foreign HDF5 file: open, look, check, read labels. */
#include "shard/shard_private.h"
#include "thaw/digest.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

const char *const thaw_shard__kinds[5] = {"class", "multi", "target", "none", "mixed"};

/* Largest side and class count that a file is believed. */
enum { SIDE_LIMIT = 65500, WIDTH_LIMIT = 1000000 };

void thaw_shard__close(shard_handle *handle) {
  if (handle->labels != handle->images) thaw_h5_close(handle->labels);
  thaw_h5_close(handle->images);
  *handle = (shard_handle){.shard = -1};
}

thaw_status thaw_shard__open(const shard_entry *entry, shard_handle *out) {
  *out = (shard_handle){.shard = -1};
  THAW_TRY(thaw_h5_open(entry->path, &out->images));
  out->labels = out->images;
  if (!entry->labels_path) return THAW_OK;
  out->labels = NULL;
  thaw_status status = thaw_h5_open(entry->labels_path, &out->labels);
  if (status != THAW_OK) thaw_shard__close(out);
  return status;
}

static const char *labels_file(const shard_entry *entry) {
  return entry->labels_path ? entry->labels_path : entry->path;
}

/* [n][h][w][c] or [n][h][w] of uint8 or uint16. */
static thaw_status describe_images(const shard_entry *entry, shard_handle *handle, thaw_h5_info *out) {
  if (!thaw_h5_exists(handle->images, entry->images))
    return thaw_fail(THAW_ERR_DATA, "%s: no dataset %s", entry->path, entry->images);
  THAW_TRY(thaw_h5_describe(handle->images, entry->images, out));
  if (out->rank == 3) {
    out->rank = 4;
    out->dim[3] = 1;
  }
  if (out->rank != 4)
    return thaw_fail(THAW_ERR_DATA, "%s: %s has %d dimensions, expected 3 or 4 (samples, height, width, channels)",
                     entry->path, entry->images, out->rank);
  if (out->type != THAW_H5_U8 && out->type != THAW_H5_U16)
    return thaw_fail(THAW_ERR_DATA, "%s: %s holds %s, expected uint8 or uint16", entry->path, entry->images,
                     thaw_h5_type_name(out->type));
  for (int i = 0; i < 4; i++)
    if (out->dim[i] < 1 || (i > 0 && out->dim[i] > SIDE_LIMIT))
      return thaw_fail(THAW_ERR_DATA, "%s: %s is %lldx%lldx%lldx%lld, which is no set of images", entry->path,
                       entry->images, (long long)out->dim[0], (long long)out->dim[1], (long long)out->dim[2],
                       (long long)out->dim[3]);
  return THAW_OK;
}

static bool is_float(thaw_h5_type type) {
  return type == THAW_H5_F16 || type == THAW_H5_F32 || type == THAW_H5_F64;
}

/* Labels have as many rows as there are images; *width_out is the number of values in a row. */
static thaw_status describe_labels(const shard_entry *entry, shard_handle *handle, int64_t rows, thaw_h5_info *out,
                                   int64_t *width_out) {
  if (!thaw_h5_exists(handle->labels, entry->labels))
    return thaw_fail(THAW_ERR_DATA, "%s: no dataset %s", labels_file(entry), entry->labels);
  THAW_TRY(thaw_h5_describe(handle->labels, entry->labels, out));
  if (out->rank < 1 || out->dim[0] != rows)
    return thaw_fail(THAW_ERR_DATA, "%s: %s has %lld rows, expected %lld, one per image", labels_file(entry),
                     entry->labels, out->rank < 1 ? 0LL : (long long)out->dim[0], (long long)rows);
  *width_out = out->count / rows;
  if (*width_out < 1 || *width_out > WIDTH_LIMIT)
    return thaw_fail(THAW_ERR_DATA, "%s: %s has %lld values per row", labels_file(entry), entry->labels,
                     (long long)*width_out);
  if (out->type == THAW_H5_STRING || out->type == THAW_H5_OTHER)
    return thaw_fail(THAW_ERR_DATA, "%s: %s holds %s, expected numbers", labels_file(entry), entry->labels,
                     thaw_h5_type_name(out->type));
  return THAW_OK;
}

static thaw_status find_kind(const char *path, const char *name, thaw_label_kind *out) {
  for (int i = 0; i < 5; i++)
    if (strcmp(name, thaw_shard__kinds[i]) == 0) {
      *out = (thaw_label_kind)i;
      return THAW_OK;
    }
  return thaw_fail(THAW_ERR_DATA, "%s: unknown label kind '%s'", path, name);
}

static thaw_status check_format(const shard_entry *entry, shard_handle *handle) {
  int64_t version = 0;
  char *format = NULL;
  THAW_TRY(thaw_h5_get_text(handle->images, "/", "format", &format));
  bool same = strcmp(format, "thaw-shard") == 0;
  thaw_free(format);
  if (!same) return thaw_fail(THAW_ERR_DATA, "%s: not a thaw shard", entry->path);
  THAW_TRY(thaw_h5_get_int(handle->images, "/", "version", &version));
  if (version != THAW_SHARD_VERSION)
    return thaw_fail(THAW_ERR_DATA, "%s: shard version %lld, this program reads %d", entry->path, (long long)version,
                     THAW_SHARD_VERSION);
  return THAW_OK;
}

/* Attributes of a thaw shard -> info. */
static thaw_status probe_attributes(shard_entry *entry, shard_handle *handle, thaw_dataset_info *info) {
  char *text = NULL;
  int64_t width = 0;
  THAW_TRY(check_format(entry, handle));
  THAW_TRY(thaw_h5_get_double(handle->images, "/", "value_max", &info->value_max));
  THAW_TRY(thaw_h5_get_text(handle->images, "/", "label_kind", &text));
  thaw_status status = find_kind(entry->path, text, &info->label_kind);
  thaw_free(text);
  THAW_TRY(status);
  THAW_TRY(thaw_h5_get_int(handle->images, "/", "label_width", &width));
  if (width < 1 || width > WIDTH_LIMIT)
    return thaw_fail(THAW_ERR_DATA, "%s: label_width is %lld", entry->path, (long long)width);
  info->label_width = (int32_t)width;
  if (info->classes.count == 0 && thaw_h5_has_attribute(handle->images, "/", "classes"))
    THAW_TRY(thaw_h5_get_strings(handle->images, "/", "classes", &info->classes));
  if (info->columns.count == 0 && thaw_h5_has_attribute(handle->images, "/", "columns"))
    THAW_TRY(thaw_h5_get_strings(handle->images, "/", "columns", &info->columns));
  THAW_TRY(thaw_h5_get_text(handle->images, "/", "digest", &text));
  status = strlen(text) == 64 ? THAW_OK : thaw_fail(THAW_ERR_DATA, "%s: the digest is no SHA-256", entry->path);
  if (status == THAW_OK) memcpy(entry->digest, text, 65);
  thaw_free(text);
  return status;
}

/* The largest class index + 1 becomes the number of classes where nothing else tells it. */
static thaw_status count_classes(const shard_entry *entry, shard_handle *handle, int64_t rows, int64_t *classes) {
  int32_t *label = thaw_new((size_t)rows, sizeof *label);
  if (!label) return THAW_ERR_MEMORY;
  thaw_status status = thaw_h5_read_rows(handle->labels, entry->labels, THAW_H5_I32, 0, rows, label);
  for (int64_t i = 0; status == THAW_OK && i < rows; i++) {
    if (label[i] < 0 || label[i] >= WIDTH_LIMIT)
      status = thaw_fail(THAW_ERR_DATA, "%s: %s row %lld: class index %d", labels_file(entry), entry->labels,
                         (long long)i, (int)label[i]);
    else if (label[i] >= *classes)
      *classes = label[i] + 1;
  }
  thaw_free(label);
  return status;
}

static thaw_status probe_labels(const shard_entry *entry, shard_handle *handle, int64_t rows, thaw_dataset_info *info,
                                int64_t *classes) {
  thaw_h5_info found;
  int64_t width = 1;
  THAW_TRY(describe_labels(entry, handle, rows, &found, &width));
  if (info->label_kind == THAW_LABEL_NONE) {
    info->label_kind = is_float(found.type) ? THAW_LABEL_TARGET : width == 1 ? THAW_LABEL_CLASS : THAW_LABEL_MULTI;
    if (info->label_kind == THAW_LABEL_MULTI && found.type != THAW_H5_U8)
      return thaw_fail(THAW_ERR_DATA, "%s: %s is %s with %lld values per row; multi-label data is uint8",
                       labels_file(entry), entry->labels, thaw_h5_type_name(found.type), (long long)width);
  }
  if (info->label_width == 0) info->label_width = (int32_t)width;
  if (info->label_kind != THAW_LABEL_CLASS || info->classes.count) return THAW_OK;
  return count_classes(entry, handle, rows, classes);
}

static thaw_status probe_foreign(shard_entry *entry, shard_handle *handle, int64_t rows, thaw_dataset_info *info,
                                 int64_t *classes) {
  if (info->value_max <= 0) info->value_max = info->bits == 16 ? 65535 : 255;
  if (entry->labels) THAW_TRY(probe_labels(entry, handle, rows, info, classes));
  if (!entry->labels && info->label_width == 0) info->label_width = 1;
  if (!entry->digest[0]) THAW_TRY(thaw_shard__identity(entry, entry->digest));
  return THAW_OK;
}

thaw_status thaw_shard__probe(shard_entry *entry, shard_handle *handle, thaw_dataset_info *info, int64_t *classes) {
  thaw_h5_info images;
  THAW_TRY(describe_images(entry, handle, &images));
  if (entry->count < 0) entry->count = images.dim[0];
  if (info->h == 0) {
    info->h = (int32_t)images.dim[1];
    info->w = (int32_t)images.dim[2];
    info->c = (int32_t)images.dim[3];
    info->bits = images.type == THAW_H5_U16 ? 16 : 8;
  }
  if (entry->foreign) return probe_foreign(entry, handle, images.dim[0], info, classes);
  return probe_attributes(entry, handle, info);
}

static thaw_status check_images(const shard_entry *entry, const thaw_h5_info *images, const thaw_dataset_info *info) {
  if (images->dim[0] != entry->count)
    return thaw_fail(THAW_ERR_DATA, "%s: %s holds %lld images, the catalogue says %lld", entry->path, entry->images,
                     (long long)images->dim[0], (long long)entry->count);
  if (images->dim[1] != info->h || images->dim[2] != info->w || images->dim[3] != info->c)
    return thaw_fail(THAW_ERR_DATA, "%s: %s is %lldx%lldx%lld, the catalogue says %dx%dx%d", entry->path, entry->images,
                     (long long)images->dim[1], (long long)images->dim[2], (long long)images->dim[3], (int)info->h,
                     (int)info->w, (int)info->c);
  if ((images->type == THAW_H5_U16 ? 16 : 8) != info->bits)
    return thaw_fail(THAW_ERR_DATA, "%s: %s holds %s, the catalogue says %d bits", entry->path, entry->images,
                     thaw_h5_type_name(images->type), (int)info->bits);
  return THAW_OK;
}

static thaw_status check_labels(const shard_entry *entry, shard_handle *handle, const thaw_dataset_info *info) {
  thaw_h5_info found;
  int64_t width = 0;
  if (info->label_kind == THAW_LABEL_NONE) return THAW_OK;
  if (!entry->labels) return thaw_fail(THAW_ERR_DATA, "%s: has no labels, the catalogue says there are", entry->path);
  THAW_TRY(describe_labels(entry, handle, entry->count, &found, &width));
  if (width != info->label_width)
    return thaw_fail(THAW_ERR_DATA, "%s: %s has %lld values per row, expected %d", labels_file(entry), entry->labels,
                     (long long)width, (int)info->label_width);
  if (info->label_kind != THAW_LABEL_TARGET && info->label_kind != THAW_LABEL_MIXED && is_float(found.type))
    return thaw_fail(THAW_ERR_DATA, "%s: %s holds %s, expected integers", labels_file(entry), entry->labels,
                     thaw_h5_type_name(found.type));
  return THAW_OK;
}

/* The attributes of a thaw shard agree with the catalogue. */
static thaw_status check_attributes(const shard_entry *entry, shard_handle *handle, const thaw_dataset_info *info) {
  double value_max = 0;
  int64_t width = 0;
  THAW_TRY(thaw_h5_get_double(handle->images, "/", "value_max", &value_max));
  THAW_TRY(thaw_h5_get_int(handle->images, "/", "label_width", &width));
  if (value_max != info->value_max)
    return thaw_fail(THAW_ERR_DATA, "%s: largest value %g, the catalogue says %g", entry->path, value_max,
                     info->value_max);
  if (width != info->label_width)
    return thaw_fail(THAW_ERR_DATA, "%s: %lld label values per image, the catalogue says %d", entry->path,
                     (long long)width, (int)info->label_width);
  return THAW_OK;
}

/* A shard that was replaced after the catalogue was written is noticed by its digest attribute. */
static thaw_status check_digest(const shard_entry *entry, shard_handle *handle) {
  char *digest = NULL;
  if (!entry->digest[0]) return THAW_OK;
  THAW_TRY(thaw_h5_get_text(handle->images, "/", "digest", &digest));
  thaw_status status = THAW_OK;
  if (strcmp(digest, entry->digest) != 0)
    status = thaw_fail(THAW_ERR_DATA, "%s: digest %.12s..., the catalogue says %.12s...: not the shard it was made for",
                       entry->path, digest, entry->digest);
  thaw_free(digest);
  return status;
}

thaw_status thaw_shard__check(const shard_entry *entry, shard_handle *handle, const thaw_dataset_info *info) {
  thaw_h5_info images;
  if (!entry->foreign) THAW_TRY(check_format(entry, handle));
  THAW_TRY(describe_images(entry, handle, &images));
  THAW_TRY(check_images(entry, &images, info));
  THAW_TRY(check_labels(entry, handle, info));
  if (entry->foreign) return THAW_OK;
  THAW_TRY(check_attributes(entry, handle, info));
  return check_digest(entry, handle);
}

static thaw_status class_labels(const shard_entry *entry, shard_handle *handle, const thaw_dataset_info *info,
                                int64_t first, int64_t rows, float *out) {
  int32_t *label = thaw_new((size_t)rows, sizeof *label);
  if (!label) return THAW_ERR_MEMORY;
  thaw_status status = thaw_h5_read_rows(handle->labels, entry->labels, THAW_H5_I32, first, rows, label);
  for (int64_t i = 0; status == THAW_OK && i < rows; i++) {
    if (label[i] < 0 || (size_t)label[i] >= info->classes.count)
      status = thaw_fail(THAW_ERR_DATA, "%s: %s row %lld: class index %d, there are %zu classes", labels_file(entry),
                         entry->labels, (long long)(first + i), (int)label[i], info->classes.count);
    out[i] = (float)label[i];
  }
  thaw_free(label);
  return status;
}

static thaw_status multi_labels(const shard_entry *entry, shard_handle *handle, const thaw_dataset_info *info,
                                int64_t first, int64_t rows, float *out) {
  const int64_t values = rows * info->label_width;
  uint8_t *label = thaw_new((size_t)values, 1);
  if (!label) return THAW_ERR_MEMORY;
  thaw_status status = thaw_h5_read_rows(handle->labels, entry->labels, THAW_H5_U8, first, rows, label);
  for (int64_t i = 0; status == THAW_OK && i < values; i++) {
    if (label[i] > 1 && label[i] != 255)
      status = thaw_fail(THAW_ERR_DATA, "%s: %s row %lld: label %d, expected 0, 1 or 255 (unknown)", labels_file(entry),
                         entry->labels, (long long)(first + i / info->label_width), (int)label[i]);
    out[i] = (float)label[i];
  }
  thaw_free(label);
  return status;
}

thaw_status thaw_shard__labels(const shard_entry *entry, shard_handle *handle, const thaw_dataset_info *info,
                               int64_t first, int64_t rows, float *out) {
  if (info->label_kind == THAW_LABEL_CLASS) return class_labels(entry, handle, info, first, rows, out);
  if (info->label_kind == THAW_LABEL_MULTI) return multi_labels(entry, handle, info, first, rows, out);
  if (info->label_kind == THAW_LABEL_NONE) {
    memset(out, 0, (size_t)rows * (size_t)info->label_width * sizeof *out);
    return THAW_OK;
  }
  THAW_TRY(thaw_h5_read_rows(handle->labels, entry->labels, THAW_H5_F32, first, rows, out));
  if (info->label_kind == THAW_LABEL_MIXED) return thaw_shard__check_mixed(labels_file(entry), info, first, rows, out);
  for (int64_t i = 0; i < rows * info->label_width; i++)
    if (!isfinite(out[i]))
      return thaw_fail(THAW_ERR_DATA, "%s: %s row %lld: target is not finite", labels_file(entry), entry->labels,
                       (long long)(first + i / info->label_width));
  return THAW_OK;
}

thaw_status thaw_shard__identity(const shard_entry *entry, char out[65]) {
  const char *path[2] = {entry->path, entry->labels_path};
  thaw_digest *digest = NULL;
  THAW_TRY(thaw_digest_create(&digest));
  thaw_digest_add_text(digest, entry->images);
  thaw_digest_add_text(digest, entry->labels ? entry->labels : "");
  for (int i = 0; i < 2 && path[i]; i++) {
    struct stat found;
    if (stat(path[i], &found) != 0) memset(&found, 0, sizeof found);
    const int64_t words[3] = {found.st_size, found.st_mtim.tv_sec, found.st_mtim.tv_nsec};
    thaw_digest_add_text(digest, thaw_path_name(path[i]));
    thaw_digest_add(digest, words, sizeof words);
  }
  thaw_digest_finish(digest, out);
  return THAW_OK;
}
