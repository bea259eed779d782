/* safetensors files (https://github.com/huggingface/safetensors, "Format"):
 *
 *     8 bytes     n, an unsigned little-endian integer
 *     n bytes     JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...,
 *                        "__metadata__": {...}}
 *     the rest    the tensors' bytes, little-endian, without holes; offsets count from its beginning
 *
 * Names are those of PyTorch's modules: "layer1.0.conv1.weight" is the variable `weight` of the layer "layer1.0.conv1".
 * What it is, its neighbours and its rank tell. */
#include "thaw/memory.h"
#include "weights/tensor.h"
#include "weights/weights_private.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  LENGTH_BYTES = 8,
  HEADER_MOST = 100000000, /* as the reference implementation has it */
  TENSORS_MOST = 16384
};

typedef struct stored_tensor {
  const char *name; /* borrowed from the JSON */
  thaw_tensor_type type;
  const char *type_name; /* for people */
  size_t type_size;
  int rank;
  int64_t dim[THAW_H5_MAX_RANK];
  uint64_t count, begin, end; /* bytes from the beginning of the data */
} stored_tensor;

typedef struct archive {
  FILE *file;
  json_t *header;
  uint64_t data, size; /* where the data begins in the file, and how long it is */
  stored_tensor *tensor;
  size_t count;
} archive;

/* ------------------------------------------------------------------ the header */

bool thaw_weight_is_safetensors(const char *path) {
  static const char end[] = ".safetensors";
  size_t length = strlen(path);
  if (length > sizeof end - 1 && strcmp(path + length - (sizeof end - 1), end) == 0) return true;
  unsigned char start[LENGTH_BYTES + 1];
  FILE *file = fopen(path, "rb");
  if (!file) return false;
  bool whole = fread(start, 1, sizeof start, file) == sizeof start;
  fclose(file);
  return whole && start[LENGTH_BYTES] == '{' && thaw_little_endian(start, LENGTH_BYTES) <= HEADER_MOST;
}

static thaw_status read_header(const char *path, archive *a) {
  unsigned char start[LENGTH_BYTES];
  int64_t size = thaw_file_size(path);
  json_error_t error;
  if (size < LENGTH_BYTES || fread(start, 1, sizeof start, a->file) != sizeof start)
    return thaw_fail(THAW_ERR_DATA, "%s: no safetensors file: shorter than 8 bytes", path);
  uint64_t length = thaw_little_endian(start, LENGTH_BYTES);
  if (length > HEADER_MOST || length > (uint64_t)size - LENGTH_BYTES)
    return thaw_fail(THAW_ERR_DATA, "%s: its header is %llu bytes long, the file has %lld; is the download complete?",
                     path, (unsigned long long)length, (long long)size);
  char *text = thaw_new((size_t)length + 1, 1);
  if (!text) return THAW_ERR_MEMORY;
  bool whole = fread(text, 1, (size_t)length, a->file) == length;
  a->header = whole ? json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error) : NULL;
  thaw_free(text);
  if (!whole) return thaw_fail(THAW_ERR_DATA, "%s: cannot be read: %s", path, strerror(errno));
  if (!json_is_object(a->header))
    return thaw_fail(THAW_ERR_DATA, "%s: the header's JSON is broken at byte %d: %s", path,
                     a->header ? 0 : error.position, a->header ? "it is no object" : error.text);
  a->data = LENGTH_BYTES + length;
  a->size = (uint64_t)size - a->data;
  return THAW_OK;
}

static bool find_type(const char *dtype, stored_tensor *t) {
  static const struct {
    const char *dtype, *name;
    thaw_tensor_type type;
    size_t size;
  } known[] = {{"F32", "float32", THAW_TENSOR_F32, 4},     {"F16", "float16", THAW_TENSOR_F16, 2},
               {"BF16", "bfloat16", THAW_TENSOR_BF16, 2},  {"F64", "float64", THAW_TENSOR_F64, 8},
               {"I64", "int64", THAW_TENSOR_OTHER, 8},     {"U64", "uint64", THAW_TENSOR_OTHER, 8},
               {"I32", "int32", THAW_TENSOR_OTHER, 4},     {"U32", "uint32", THAW_TENSOR_OTHER, 4},
               {"I16", "int16", THAW_TENSOR_OTHER, 2},     {"U16", "uint16", THAW_TENSOR_OTHER, 2},
               {"I8", "int8", THAW_TENSOR_OTHER, 1},       {"U8", "uint8", THAW_TENSOR_OTHER, 1},
               {"BOOL", "bool", THAW_TENSOR_OTHER, 1},     {"F8_E4M3", "float8", THAW_TENSOR_OTHER, 1},
               {"F8_E5M2", "float8", THAW_TENSOR_OTHER, 1}};
  for (size_t i = 0; dtype && i < sizeof known / sizeof known[0]; i++)
    if (strcmp(dtype, known[i].dtype) == 0) {
      t->type = known[i].type;
      t->type_name = known[i].name;
      t->type_size = known[i].size;
      return true;
    }
  return false;
}

static bool read_shape(const json_t *shape, stored_tensor *t) {
  if (!json_is_array(shape) || json_array_size(shape) > THAW_H5_MAX_RANK) return false;
  t->rank = (int)json_array_size(shape);
  t->count = 1;
  for (int i = 0; i < t->rank; i++) {
    const json_t *value = json_array_get(shape, (size_t)i);
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    t->dim[i] = json_integer_value(value);
    if (t->dim[i] > 0 && t->count > (uint64_t)INT64_MAX / 8 / (uint64_t)t->dim[i]) return false;
    t->count *= (uint64_t)t->dim[i];
  }
  return true;
}

static bool read_offsets(const json_t *offsets, stored_tensor *t) {
  const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
  if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end)) return false;
  if (json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin)) return false;
  t->begin = (uint64_t)json_integer_value(begin);
  t->end = (uint64_t)json_integer_value(end);
  return true;
}

static thaw_status read_entry(const char *path, const char *name, const json_t *entry, stored_tensor *t) {
  const char *dtype = json_string_value(json_object_get(entry, "dtype"));
  t->name = name;
  if (!find_type(dtype, t))
    return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s': its dtype '%s' is not known", path, name, dtype ? dtype : "?");
  if (!read_shape(json_object_get(entry, "shape"), t))
    return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s': its shape is not a list of at most %d sizes", path, name,
                     THAW_H5_MAX_RANK);
  if (!read_offsets(json_object_get(entry, "data_offsets"), t))
    return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s': its data_offsets are not two ascending numbers", path, name);
  if (t->end - t->begin != t->count * t->type_size)
    return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s': %llu values of %s take %llu bytes, its data_offsets say %llu",
                     path, name, (unsigned long long)t->count, t->type_name,
                     (unsigned long long)(t->count * t->type_size), (unsigned long long)(t->end - t->begin));
  return THAW_OK;
}

static int compare_begin(const void *a, const void *b) {
  const stored_tensor *first = a, *second = b;
  if (first->begin != second->begin) return first->begin < second->begin ? -1 : 1;
  return first->end < second->end ? -1 : first->end > second->end;
}

/* Tensors neither overlap nor leave holes, and fill the file. */
static thaw_status check_places(const char *path, archive *a) {
  uint64_t end = 0;
  qsort(a->tensor, a->count, sizeof *a->tensor, compare_begin);
  for (size_t i = 0; i < a->count; i++) {
    if (a->tensor[i].begin != end)
      return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s' begins at byte %llu, but the one before it ends at %llu", path,
                       a->tensor[i].name, (unsigned long long)a->tensor[i].begin, (unsigned long long)end);
    end = a->tensor[i].end;
  }
  if (end == a->size) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA,
                   "%s: holds %llu bytes of values, its header announces %llu; is the download complete?", path,
                   (unsigned long long)a->size, (unsigned long long)end);
}

static thaw_status read_entries(const char *path, archive *a) {
  const char *name;
  json_t *entry;
  if (json_object_size(a->header) > TENSORS_MOST)
    return thaw_fail(THAW_ERR_DATA, "%s: has %zu tensors, more than %d", path, json_object_size(a->header),
                     (int)TENSORS_MOST);
  a->tensor = thaw_new(json_object_size(a->header), sizeof *a->tensor);
  if (!a->tensor) return THAW_ERR_MEMORY;
  json_object_foreach(a->header, name, entry) {
    if (strcmp(name, "__metadata__") == 0) continue;
    THAW_TRY(read_entry(path, name, entry, &a->tensor[a->count]));
    a->count++;
  }
  return check_places(path, a);
}

/* ------------------------------------------------------------------ tensors into layers */

static bool has_tensor(const archive *a, const char *layer, size_t length, const char *variable) {
  for (size_t i = 0; i < a->count; i++)
    if (strncmp(a->tensor[i].name, layer, length) == 0 && strcmp(a->tensor[i].name + length, variable) == 0)
      return true;
  return false;
}

static thaw_weight_role role_of(const archive *a, const stored_tensor *t, const char *dot) {
  size_t length = (size_t)(dot - t->name);
  bool weight = strcmp(dot, ".weight") == 0, bias = strcmp(dot, ".bias") == 0;
  if (weight && t->rank > 1) return THAW_ROLE_KERNEL;
  if (!has_tensor(a, t->name, length, ".running_mean")) return bias ? THAW_ROLE_BIAS : THAW_ROLE_OTHER;
  if (weight) return THAW_ROLE_GAMMA;
  return bias ? THAW_ROLE_BETA : thaw_weight_role_of(t->name + length + 1);
}

/* What wrapping a network puts before all of its names. */
static size_t common_prefix(const archive *a) {
  static const char *const known[] = {"module.", "model.", "backbone.", "encoder."};
  size_t skip = 0;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    size_t length = strlen(known[i]), with = 0;
    while (with < a->count && strncmp(a->tensor[with].name + skip, known[i], length) == 0) with++;
    if (a->count && with == a->count) skip += length;
  }
  return skip;
}

/* The first files of torchvision's DenseNet say "norm.1" for "norm1". */
static char *layer_name(const char *name, const char *dot) {
  char *copy = thaw_format("%.*s", (int)(dot - name), name);
  size_t length = copy ? strlen(copy) : 0;
  bool old = length > 6 && copy[length - 2] == '.' && isdigit((unsigned char)copy[length - 1]) &&
             strstr(copy, ".denselayer") &&
             (strncmp(copy + length - 6, "norm", 4) == 0 || strncmp(copy + length - 6, "conv", 4) == 0);
  if (old) {
    copy[length - 2] = copy[length - 1];
    copy[length - 1] = '\0';
  }
  return copy;
}

static thaw_status add_tensor(thaw_weight_file *file, const archive *a, size_t position, size_t skip) {
  const stored_tensor *t = &a->tensor[position];
  const char *dot = strrchr(t->name + skip, '.');
  if (!dot || strcmp(dot, ".num_batches_tracked") == 0) return THAW_OK; /* a count of steps */
  thaw_weight weight = {.name = (char *)dot + 1,
                        .dataset = (char *)t->name,
                        .role = role_of(a, t, dot),
                        .stored = t->type_name,
                        .position = position,
                        .torch = true};
  weight.info = (thaw_h5_info){
      .type = t->type == THAW_TENSOR_OTHER ? THAW_H5_OTHER : THAW_H5_F32, .rank = t->rank, .count = (int64_t)t->count};
  thaw_tensor_reorder_shape(t->rank, t->dim, weight.info.dim);
  char *name = layer_name(t->name + skip, dot);
  thaw_weight_layer *layer = name ? thaw_weight_file_layer(file, name) : NULL;
  thaw_status status = layer ? thaw_weight_layer_add(layer, &weight) : THAW_ERR_MEMORY;
  thaw_free(name);
  return status;
}

/* "features.2" before "features.10": files list tensors by their text. */
static int compare_names(const void *a, const void *b) {
  const char *first = ((const thaw_weight_layer *)a)->name, *second = ((const thaw_weight_layer *)b)->name;
  while (*first && *second) {
    if (isdigit((unsigned char)*first) && isdigit((unsigned char)*second)) {
      char *first_end, *second_end;
      unsigned long x = strtoul(first, &first_end, 10), y = strtoul(second, &second_end, 10);
      if (x != y) return x < y ? -1 : 1;
      first = first_end;
      second = second_end;
    } else {
      if (*first != *second) return (unsigned char)*first < (unsigned char)*second ? -1 : 1;
      first++;
      second++;
    }
  }
  return *first ? 1 : *second ? -1 : 0;
}

static thaw_status make_layers(thaw_weight_file *file, const archive *a) {
  size_t skip = common_prefix(a);
  for (size_t i = 0; i < a->count; i++) THAW_TRY(add_tensor(file, a, i, skip));
  if (file->count == 0) return thaw_fail(THAW_ERR_DATA, "%s: holds no layer with weights", file->path);
  qsort(file->layer, file->count, sizeof *file->layer, compare_names);
  file->named = true;
  file->layout = thaw_copy_text("safetensors with PyTorch's names");
  return file->layout ? THAW_OK : THAW_ERR_MEMORY;
}

/* ------------------------------------------------------------------ values */

static thaw_status read_bytes(const thaw_weight_file *file, const stored_tensor *t, void *out) {
  const archive *a = file->state;
  size_t size = (size_t)(t->end - t->begin);
  if (fseeko(a->file, (off_t)(a->data + t->begin), SEEK_SET) == 0 && fread(out, 1, size, a->file) == size)
    return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s' cannot be read: %s", file->path, t->name,
                   ferror(a->file) ? strerror(errno) : "the file ends");
}

static thaw_status read_values(const thaw_weight_file *file, const thaw_weight *weight, float *out) {
  const archive *a = file->state;
  const stored_tensor *t = &a->tensor[weight->position];
  if (t->type == THAW_TENSOR_OTHER)
    return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s' holds %s", file->path, t->name, t->type_name);
  unsigned char *bytes = thaw_new((size_t)(t->end - t->begin), 1);
  float *value = thaw_new((size_t)t->count, sizeof *value);
  thaw_status status = bytes && value ? read_bytes(file, t, bytes) : THAW_ERR_MEMORY;
  if (status == THAW_OK) {
    thaw_tensor_convert(t->type, bytes, (size_t)t->count, value);
    thaw_tensor_reorder(value, t->rank, t->dim, out);
  }
  thaw_free(value);
  thaw_free(bytes);
  return status;
}

static void close_archive(void *state) {
  archive *a = state;
  if (a->file) fclose(a->file);
  json_decref(a->header);
  thaw_free(a->tensor);
  thaw_free(a);
}

static const thaw_weight_store store = {.read = read_values, .close = close_archive};

thaw_status thaw_weight_open_safetensors(thaw_weight_file *file) {
  archive *a = thaw_new(1, sizeof *a);
  if (!a) return THAW_ERR_MEMORY;
  file->store = &store;
  file->state = a;
  a->file = fopen(file->path, "rb");
  if (!a->file) return thaw_fail(THAW_ERR_DATA, "%s: %s", file->path, strerror(errno));
  THAW_TRY(read_header(file->path, a));
  THAW_TRY(read_entries(file->path, a));
  return make_layers(file, a);
}
