/* source_array.c: images and labels from arrays (IDX, .npy, .npz). */
#include "import/import_private.h"
#include "thaw/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CLASS_LIMIT = 100000 };

static bool ends_with(const char *text, const char *end) {
  const size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* An element as a number; 64-bit integers above 2^53 lose digits, which no label has. */
static double element(const import_array *array, int64_t i) {
  unsigned char raw[8] = {0};
  const unsigned char *at = array->data + (size_t)i * (size_t)array->size;
  for (int k = 0; k < array->size; k++) raw[k] = array->big_endian ? at[array->size - 1 - k] : at[k];
  uint64_t word = 0;
  for (int k = array->size - 1; k >= 0; k--) word = word << 8 | raw[k];
  if (array->kind == 'f') {
    double value = 0;
    if (array->size == 4) {
      const uint32_t half = (uint32_t)word;
      float single;
      memcpy(&single, &half, sizeof single);
      return single;
    }
    memcpy(&value, &word, sizeof value);
    return value;
  }
  if (array->kind == 'u' || array->size == 8) return array->kind == 'u' ? (double)word : (double)(int64_t)word;
  const int shift = 64 - 8 * array->size;
  return (double)((int64_t)(word << shift) >> shift);
}

/* [n][h][w] or [n][h][w][1 or 3] of uint8 or uint16. */
static thaw_status check_images(const char *name, import_array *array) {
  if (array->rank == 3) {
    array->rank = 4;
    array->dim[3] = 1;
  }
  if (array->rank != 4 || (array->dim[3] != 1 && array->dim[3] != 3))
    return thaw_fail(THAW_ERR_DATA, "%s: images are [n][h][w], [n][h][w][1] or [n][h][w][3]; this has %d dimensions%s",
                     name, array->rank, array->rank == 4 ? " and another number of channels" : "");
  if (array->kind == 'f')
    return thaw_fail(THAW_ERR_DATA, "%s: holds floating-point numbers; save images as uint8 (0..255) or uint16", name);
  if (array->kind != 'u' || array->size > 2)
    return thaw_fail(THAW_ERR_DATA, "%s: holds %c%d, images are uint8 or uint16", name, array->kind, array->size);
  for (int i = 0; i < 3; i++)
    if (array->dim[i] < 1 || (i > 0 && array->dim[i] > 65500))
      return thaw_fail(THAW_ERR_DATA, "%s: %lld x %lld x %lld is no set of images", name, (long long)array->dim[0],
                       (long long)array->dim[1], (long long)array->dim[2]);
  return THAW_OK;
}

static thaw_status read_array(const char *path, const char *wanted, const char *const *usual, import_array *out) {
  import_block block;
  if (ends_with(path, ".npz")) return thaw_npz__read(path, wanted, usual, out);
  if (ends_with(path, ".npy")) {
    THAW_TRY(thaw_import__map(path, &block));
    return thaw_npy__parse(path, &block, out);
  }
  THAW_TRY(thaw_import__inflate(path, &block));
  return thaw_idx__parse(path, &block, out);
}

static thaw_status number_classes(import_source *source, int64_t highest) {
  char name[24];
  for (int64_t i = 0; i <= highest; i++) {
    snprintf(name, sizeof name, "%lld", (long long)i);
    THAW_TRY(thaw_strings_add(&source->classes, name));
  }
  return THAW_OK;
}

static thaw_status take_classes(const char *name, const import_array *labels, int64_t first, import_source *source) {
  int64_t highest = 0;
  source->label_kind = THAW_LABEL_CLASS;
  source->label_width = 1;
  source->class_index = thaw_arena_new(source->arena, (size_t)source->count, sizeof *source->class_index);
  if (!source->class_index) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < source->count; i++) {
    const double value = element(labels, first + i);
    if (!(value >= 0 && value < CLASS_LIMIT && value == floor(value)))
      return thaw_fail(THAW_ERR_DATA, "%s: row %lld: %g is no class index", name, (long long)(first + i), value);
    source->class_index[i] = (int32_t)value;
    if (value > (double)highest) highest = (int64_t)value;
  }
  return number_classes(source, highest);
}

static thaw_status take_multi(const char *name, const import_array *labels, int64_t first, import_source *source) {
  const int64_t width = source->label_width;
  source->label_kind = THAW_LABEL_MULTI;
  source->multi = thaw_arena_new(source->arena, (size_t)(source->count * width), 1);
  if (!source->multi) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < source->count * width; i++) {
    const double value = element(labels, first * width + i);
    if (value != 0 && value != 1 && value != 255)
      return thaw_fail(THAW_ERR_DATA, "%s: row %lld: label %g, expected 0, 1 or 255 (unknown)", name,
                       (long long)(first + i / width), value);
    source->multi[i] = (uint8_t)value;
  }
  return number_classes(source, width - 1);
}

static thaw_status take_targets(const char *name, const import_array *labels, int64_t first, import_source *source) {
  const int64_t width = source->label_width;
  source->label_kind = THAW_LABEL_TARGET;
  source->target = thaw_arena_new(source->arena, (size_t)(source->count * width), sizeof *source->target);
  if (!source->target) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < source->count * width; i++) {
    source->target[i] = (float)element(labels, first * width + i);
    if (!isfinite(source->target[i]))
      return thaw_fail(THAW_ERR_DATA, "%s: row %lld: target is not finite", name, (long long)(first + i / width));
  }
  return THAW_OK;
}

static thaw_status take_labels(const char *name, const import_array *labels, int64_t images, int64_t first,
                               const thaw_import_options *options, import_source *source) {
  int64_t width = 1;
  for (int i = 1; i < labels->rank; i++) width *= labels->dim[i];
  if (labels->dim[0] != images)
    return thaw_fail(THAW_ERR_DATA, "%s: %lld labels for %lld images", name, (long long)labels->dim[0],
                     (long long)images);
  if (width < 1 || width > CLASS_LIMIT)
    return thaw_fail(THAW_ERR_DATA, "%s: %lld label values per image", name, (long long)width);
  source->label_width = (int32_t)width;
  if (options->regression) return take_targets(name, labels, first, source);
  if (labels->kind == 'f')
    return thaw_fail(THAW_ERR_DATA,
                     "%s: holds floating-point numbers; class labels are integers (targets: --regression)", name);
  if (width > 1 || options->multi_label) return take_multi(name, labels, first, source);
  return take_classes(name, labels, first, source);
}

/* The chosen range of the images, with ids "name:index". */
static thaw_status take_range(const thaw_import_options *options, import_source *source) {
  import_array *images = &source->images;
  const int64_t n = images->dim[0], first = options->first;
  if (first >= n)
    return thaw_fail(THAW_ERR_USAGE, "%s: holds %lld images, --first %lld leaves none", source->name, (long long)n,
                     (long long)first);
  source->count = n - first;
  if (options->limit > 0 && options->limit < source->count) source->count = options->limit;
  images->data += (size_t)first * (size_t)(images->dim[1] * images->dim[2] * images->dim[3]) * (size_t)images->size;
  images->dim[0] = source->count;
  source->id = thaw_arena_new(source->arena, (size_t)source->count, sizeof *source->id);
  if (!source->id) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < source->count; i++) {
    char name[320];
    snprintf(name, sizeof name, "%s:%lld", thaw_path_name(source->name), (long long)(first + i));
    source->id[i] = thaw_arena_text(source->arena, name);
    if (!source->id[i]) return THAW_ERR_MEMORY;
  }
  return THAW_OK;
}

thaw_status thaw_import__open_arrays(const thaw_import_options *options, import_source *out) {
  static const char *const usual_images[] = {"images", "x", "x_train", "train_images", "data", NULL};
  static const char *const usual_labels[] = {"labels", "y", "y_train", "train_labels", "target", NULL};
  const bool npz = ends_with(options->source, ".npz");
  const char *labels_path = npz ? options->source : options->labels;
  import_array labels = {0};
  THAW_TRY(read_array(options->source, options->images, usual_images, &out->images));
  THAW_TRY(check_images(options->source, &out->images));
  const int64_t images = out->images.dim[0];
  THAW_TRY(take_range(options, out));
  out->label_kind = THAW_LABEL_NONE;
  out->label_width = 1;
  if (!labels_path) return THAW_OK;
  thaw_status status = read_array(labels_path, npz ? options->labels : NULL, usual_labels, &labels);
  if (status == THAW_OK) status = take_labels(labels_path, &labels, images, options->first, options, out);
  thaw_import__release(&labels.block);
  return status;
}
