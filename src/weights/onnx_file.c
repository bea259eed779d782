/* Reads an ONNX file: one protocol buffer, its tensors inside or in a file beside it (TensorProto.external_data). */
#include "weights/onnx_file.h"

#include "thaw/file.h"
#include "thaw/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_MOST = 20000, INITIALIZERS_MOST = 40000 };
static const size_t file_most = (size_t)1 << 31;  /* protocol buffers end at 2 GiB */
static const size_t value_most = (size_t)1 << 31; /* of one tensor */

/* ------------------------------------------------------------------ memory: a small file must not ask for much */

static void *allocate(void *context, size_t size) {
  thaw_onnx_file *file = context;
  if (size > file->budget) return NULL;
  file->budget -= size;
  return malloc(size);
}

static void release(void *context, void *pointer) {
  (void)context;
  free(pointer);
}

/* ------------------------------------------------------------------ tensors */

static thaw_tensor_type type_of(const Onnx__TensorProto *tensor) {
  switch (tensor->data_type) {
  case THAW_ONNX_FLOAT:
    return THAW_TENSOR_F32;
  case THAW_ONNX_FLOAT16:
    return THAW_TENSOR_F16;
  case THAW_ONNX_BFLOAT16:
    return THAW_TENSOR_BF16;
  case THAW_ONNX_DOUBLE:
    return THAW_TENSOR_F64;
  default:
    return THAW_TENSOR_OTHER;
  }
}

static size_t value_size(const Onnx__TensorProto *tensor) {
  if (tensor->data_type == THAW_ONNX_INT64) return 8;
  if (tensor->data_type == THAW_ONNX_INT32) return 4;
  return thaw_tensor_type_size(type_of(tensor));
}

size_t thaw_onnx_count(const Onnx__TensorProto *tensor) {
  size_t count = 1;
  for (size_t i = 0; i < tensor->n_dims; i++) count *= (size_t)tensor->dims[i];
  return count;
}

static bool is_external(const Onnx__TensorProto *tensor) {
  return tensor->data_location == 1;
}

/* How many values the message itself holds. */
static size_t held(const Onnx__TensorProto *tensor) {
  if (tensor->raw_data.len) return tensor->raw_data.len / value_size(tensor);
  switch (tensor->data_type) {
  case THAW_ONNX_FLOAT:
    return tensor->n_float_data;
  case THAW_ONNX_DOUBLE:
    return tensor->n_double_data;
  case THAW_ONNX_INT64:
    return tensor->n_int64_data;
  default:
    return tensor->n_int32_data; /* int32, and halves as their bits */
  }
}

thaw_status thaw_onnx_check_tensor(const thaw_onnx_file *file, const Onnx__TensorProto *tensor) {
  size_t count = 1;
  if (tensor->n_dims > THAW_ONNX_MAX_RANK)
    return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s' has %zu dimensions", file->path, tensor->name, tensor->n_dims);
  for (size_t i = 0; i < tensor->n_dims; i++) {
    if (tensor->dims[i] < 0 || (uint64_t)tensor->dims[i] > value_most ||
        (tensor->dims[i] > 0 && count > value_most / (size_t)tensor->dims[i]))
      return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s': its size is absurd", file->path, tensor->name);
    count *= (size_t)tensor->dims[i];
  }
  size_t size = value_size(tensor); /* 0: a type that only matters when a layer wants it */
  if (size == 0 || is_external(tensor)) return THAW_OK;
  if (held(tensor) == count && (tensor->raw_data.len == 0 || tensor->raw_data.len == count * size)) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s' holds %zu values, its shape says %zu", file->path, tensor->name,
                   held(tensor), count);
}

bool thaw_onnx_integers(const Onnx__TensorProto *tensor, int64_t *out, size_t most, size_t *count) {
  *count = thaw_onnx_count(tensor);
  bool wide = tensor->data_type == THAW_ONNX_INT64;
  if ((!wide && tensor->data_type != THAW_ONNX_INT32) || is_external(tensor) || *count > most) return false;
  for (size_t i = 0; i < *count; i++) {
    int32_t narrow = 0;
    if (tensor->raw_data.len && wide)
      memcpy(&out[i], tensor->raw_data.data + 8 * i, 8);
    else if (tensor->raw_data.len)
      memcpy(&narrow, tensor->raw_data.data + 4 * i, 4);
    else if (wide)
      out[i] = tensor->int64_data[i];
    else
      narrow = tensor->int32_data[i];
    if (!wide) out[i] = narrow;
  }
  return true;
}

/* ------------------------------------------------------------------ values in a file beside the model */

typedef struct external {
  const char *location;
  int64_t offset, length; /* length -1: not said */
} external;

static bool read_number(const char *text, int64_t *out) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  *out = value;
  return end != text && *end == '\0' && errno == 0 && value >= 0;
}

static bool read_external(const Onnx__TensorProto *tensor, external *out) {
  *out = (external){.length = -1};
  for (size_t i = 0; i < tensor->n_external_data; i++) {
    const char *key = tensor->external_data[i]->key, *value = tensor->external_data[i]->value;
    if (strcmp(key, "location") == 0) out->location = value;
    if (strcmp(key, "offset") == 0 && !read_number(value, &out->offset)) return false;
    if (strcmp(key, "length") == 0 && !read_number(value, &out->length)) return false;
  }
  return out->location && out->location[0];
}

/* The file's real path when it lies in the model's folder or below; else NULL. free(). */
static char *path_inside(const char *model, const char *location) {
  char *folder = thaw_path_folder(model), *joined = folder ? thaw_path_join(folder, location) : NULL;
  char *root = folder ? realpath(folder, NULL) : NULL, *real = joined ? realpath(joined, NULL) : NULL;
  size_t length = root ? strlen(root) : 0;
  bool inside = location[0] != '/' && root && real && strncmp(real, root, length) == 0 &&
                (real[length] == '/' || (length > 0 && root[length - 1] == '/'));
  thaw_free(folder);
  thaw_free(joined);
  free(root);
  if (inside) return real;
  free(real);
  return NULL;
}

static thaw_status read_part(const thaw_onnx_file *file, const Onnx__TensorProto *tensor, const external *from,
                             const char *path, size_t size, void *out) {
  int64_t whole = thaw_file_size(path);
  if (whole < 0 || from->offset > whole || size > (uint64_t)(whole - from->offset))
    return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s' lies at bytes %lld to %lld of %s, which has %lld; is it complete?",
                     file->path, tensor->name, (long long)from->offset, (long long)from->offset + (long long)size, path,
                     (long long)whole);
  FILE *stream = fopen(path, "rb");
  bool good = stream && fseeko(stream, (off_t)from->offset, SEEK_SET) == 0 && fread(out, 1, size, stream) == size;
  if (stream) fclose(stream);
  return good ? THAW_OK
              : thaw_fail(THAW_ERR_DATA, "%s: tensor '%s' cannot be read from %s", file->path, tensor->name, path);
}

static thaw_status read_outside(const thaw_onnx_file *file, const Onnx__TensorProto *tensor, size_t size, void *out) {
  external from;
  if (!read_external(tensor, &from) || (from.length >= 0 && (uint64_t)from.length != size))
    return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s': what it says of its external data does not fit its %zu bytes",
                     file->path, tensor->name, size);
  char *path = path_inside(file->path, from.location);
  if (!path)
    return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s' is in the file '%s', which is not in the model's folder",
                     file->path, tensor->name, from.location);
  thaw_status status = read_part(file, tensor, &from, path, size, out);
  free(path);
  return status;
}

/* ------------------------------------------------------------------ floating-point values */

static void convert_typed(const Onnx__TensorProto *tensor, size_t count, float *out) {
  thaw_tensor_type type = type_of(tensor);
  if (type == THAW_TENSOR_F32) {
    if (count) memcpy(out, tensor->float_data, count * sizeof *out);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    if (type == THAW_TENSOR_F64) {
      out[i] = (float)tensor->double_data[i];
      continue;
    }
    uint16_t bits = (uint16_t)tensor->int32_data[i];
    thaw_tensor_convert(type, &bits, 1, &out[i]);
  }
}

static thaw_status convert(const thaw_onnx_file *file, const Onnx__TensorProto *tensor, size_t count, float *out) {
  thaw_tensor_type type = type_of(tensor);
  size_t size = count * thaw_tensor_type_size(type);
  if (!is_external(tensor)) {
    if (tensor->raw_data.len)
      thaw_tensor_convert(type, tensor->raw_data.data, count, out);
    else
      convert_typed(tensor, count, out);
    return THAW_OK;
  }
  unsigned char *bytes = thaw_new(size, 1);
  if (!bytes) return THAW_ERR_MEMORY;
  thaw_status status = read_outside(file, tensor, size, bytes);
  if (status == THAW_OK) thaw_tensor_convert(type, bytes, count, out);
  thaw_free(bytes);
  return status;
}

thaw_status thaw_onnx_floats(const thaw_onnx_file *file, const Onnx__TensorProto *tensor, float **out) {
  *out = NULL;
  if (type_of(tensor) == THAW_TENSOR_OTHER)
    return thaw_fail(THAW_ERR_DATA, "%s: tensor '%s' is of type %d, expected float, float16, bfloat16 or double",
                     file->path, tensor->name, tensor->data_type);
  size_t count = thaw_onnx_count(tensor);
  *out = thaw_new(count, sizeof **out);
  if (!*out) return THAW_ERR_MEMORY;
  thaw_status status = convert(file, tensor, count, *out);
  if (status == THAW_OK) return status;
  thaw_free(*out);
  *out = NULL;
  return status;
}

/* ------------------------------------------------------------------ attributes */

const Onnx__AttributeProto *thaw_onnx_attribute(const Onnx__NodeProto *node, const char *name) {
  for (size_t i = 0; i < node->n_attribute; i++)
    if (strcmp(node->attribute[i]->name, name) == 0) return node->attribute[i];
  return NULL;
}

int64_t thaw_onnx_integer(const Onnx__NodeProto *node, const char *name, int64_t fallback) {
  const Onnx__AttributeProto *attribute = thaw_onnx_attribute(node, name);
  return attribute ? attribute->i : fallback;
}

float thaw_onnx_float(const Onnx__NodeProto *node, const char *name, float fallback) {
  const Onnx__AttributeProto *attribute = thaw_onnx_attribute(node, name);
  return attribute ? attribute->f : fallback;
}

/* ------------------------------------------------------------------ the file */

static thaw_status check_model(thaw_onnx_file *file) {
  const Onnx__GraphProto *graph = file->model->graph;
  if (!graph || graph->n_node == 0)
    return thaw_fail(THAW_ERR_DATA, "%s: no ONNX model: it has no graph (or is it only partly downloaded?)",
                     file->path);
  if (graph->n_node > NODES_MOST || graph->n_initializer > INITIALIZERS_MOST)
    return thaw_fail(THAW_ERR_DATA, "%s: has %zu nodes and %zu tensors, more than %d and %d", file->path, graph->n_node,
                     graph->n_initializer, (int)NODES_MOST, (int)INITIALIZERS_MOST);
  for (size_t i = 0; i < file->model->n_opset_import; i++) {
    const Onnx__OperatorSetIdProto *set = file->model->opset_import[i];
    if (set->domain[0] == '\0' || strcmp(set->domain, "ai.onnx") == 0) file->opset = set->version;
  }
  if (file->opset < 6)
    return thaw_fail(THAW_ERR_DATA, "%s: its operators are of version %lld; 6 and later are known", file->path,
                     (long long)file->opset);
  for (size_t i = 0; i < graph->n_initializer; i++) THAW_TRY(thaw_onnx_check_tensor(file, graph->initializer[i]));
  return THAW_OK;
}

thaw_status thaw_onnx_open(const char *path, thaw_onnx_file *out) {
  char *bytes;
  size_t size;
  THAW_TRY(thaw_file_read(path, file_most, &bytes, &size));
  *out = (thaw_onnx_file){.path = path, .budget = 4 * size + ((size_t)64 << 20)};
  ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = out};
  out->model = onnx__model_proto__unpack(&allocator, size, (const uint8_t *)bytes);
  thaw_free(bytes);
  thaw_status status =
      out->model
          ? check_model(out)
          : thaw_fail(THAW_ERR_DATA, "%s: no ONNX model, or only partly downloaded: its messages do not parse", path);
  if (status != THAW_OK) thaw_onnx_close(out);
  return status;
}

void thaw_onnx_close(thaw_onnx_file *file) {
  ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = file};
  if (file->model) onnx__model_proto__free_unpacked(file->model, &allocator);
  file->model = NULL;
}
