/* Looks through a weight file. Layouts (keras/src/legacy/saving/legacy_h5_format.py, saving/saving_lib.py):
 *
 *     legacy weights   /  layer_names; /<layer>  weight_names; /<layer>/<weight name>
 *     legacy model     /  model_config; /model_weights holds the above
 *     Keras 3 weights  /layers/<class>_<n>/vars/<i>
 *     .keras           a zip archive; its member model.weights.h5 is the line above
 *     safetensors      see safetensors.c
 *     ONNX             see onnx_model.c
 *
 * Names are taken as they are written: writers of all generations differ in them. */
#include "thaw/memory.h"
#include "thaw/zip.h"
#include "weights/onnx.h"
#include "weights/weights_private.h"

#include <stdio.h>
#include <string.h>

const char *thaw_weight_shape_text(const thaw_h5_info *info, char out[96]) {
  size_t used = (size_t)snprintf(out, 96, "(");
  for (int i = 0; i < info->rank; i++)
    used += (size_t)snprintf(out + used, 96 - used, "%s%lld", i ? ", " : "", (long long)info->dim[i]);
  snprintf(out + used, 96 - used, ")");
  return out;
}

const char *thaw_param_shape_text(const thaw_param *param, char out[96]) {
  thaw_h5_info info = {.rank = param->rank};
  for (int i = 0; i < param->rank; i++) info.dim[i] = param->dim[i];
  return thaw_weight_shape_text(&info, out);
}

thaw_weight_layer *thaw_weight_file_layer(thaw_weight_file *file, const char *name) {
  for (size_t i = file->count; i-- > 0;)
    if (strcmp(file->layer[i].name, name) == 0) return &file->layer[i];
  if (thaw_grow((void **)&file->layer, file->count, &file->capacity, sizeof *file->layer) != 0) return NULL;
  char *copy = thaw_copy_text(name);
  if (!copy) return NULL;
  file->layer[file->count] = (thaw_weight_layer){.name = copy};
  return &file->layer[file->count++];
}

thaw_status thaw_weight_layer_add(thaw_weight_layer *layer, const thaw_weight *weight) {
  if (thaw_grow((void **)&layer->weight, layer->count, &layer->capacity, sizeof *layer->weight) != 0)
    return THAW_ERR_MEMORY;
  thaw_weight copy = *weight;
  copy.name = thaw_copy_text(weight->name);
  copy.dataset = thaw_copy_text(weight->dataset);
  if (!copy.name || !copy.dataset) {
    thaw_free(copy.name);
    thaw_free(copy.dataset);
    return THAW_ERR_MEMORY;
  }
  layer->weight[layer->count++] = copy;
  return THAW_OK;
}

thaw_status thaw_weight_file_add(thaw_weight_file *file, thaw_weight_layer *layer, const char *name,
                                 const char *dataset, thaw_weight_role role) {
  if (!thaw_h5_exists(file->h5, dataset))
    return thaw_fail(THAW_ERR_DATA, "%s: weight '%s' of layer '%s' is announced but missing", file->path, name,
                     layer->name);
  thaw_weight weight = {.name = (char *)name, .dataset = (char *)dataset, .role = role};
  if (role == THAW_ROLE_OTHER) weight.role = thaw_weight_role_of(name);
  THAW_TRY(thaw_h5_describe(file->h5, dataset, &weight.info));
  return thaw_weight_layer_add(layer, &weight);
}

thaw_status thaw_weight_read(const thaw_weight_file *file, const thaw_weight *weight, float *out) {
  if (file->store) return file->store->read(file, weight, out);
  return thaw_h5_read(file->h5, weight->dataset, THAW_H5_F32, weight->info.count, out);
}

const char *thaw_weight_type_name(const thaw_weight *weight) {
  return weight->stored ? weight->stored : thaw_h5_type_name(weight->info.type);
}

/* "block1_conv1" of "vgg16/block1_conv1/kernel:0"; NULL when the name has one part only. thaw_free. */
static char *owner_of(const char *weight_name) {
  const char *end = strrchr(weight_name, '/');
  if (!end) return NULL;
  const char *start = end;
  while (start > weight_name && start[-1] != '/') start--;
  return thaw_format("%.*s", (int)(end - start), start);
}

/* A model used as a layer has one group with all its weights: then the owners in the weight names are the layers. */
static bool is_nested_model(const thaw_strings *names) {
  char *first = NULL;
  bool nested = false;
  for (size_t i = 0; i < names->count && !nested; i++) {
    char *owner = owner_of(names->item[i]);
    nested = i > 0 && owner && first && strcmp(owner, first) != 0;
    if (i == 0)
      first = owner;
    else
      thaw_free(owner);
  }
  thaw_free(first);
  return nested;
}

static thaw_status add_legacy_weight(thaw_weight_file *file, const char *group, const char *layer_name,
                                     const char *weight_name, bool nested) {
  char *dataset = thaw_format("%s/%s", group, weight_name), *owner = nested ? owner_of(weight_name) : NULL;
  thaw_weight_layer *layer = dataset ? thaw_weight_file_layer(file, owner ? owner : layer_name) : NULL;
  thaw_status status =
      layer ? thaw_weight_file_add(file, layer, weight_name, dataset, THAW_ROLE_OTHER) : THAW_ERR_MEMORY;
  thaw_free(dataset);
  thaw_free(owner);
  return status;
}

static thaw_status read_legacy_layer(thaw_weight_file *file, const char *root, const char *name) {
  char *group = thaw_format("%s/%s", root, name);
  if (!group) return THAW_ERR_MEMORY;
  thaw_strings names = {0};
  thaw_status status = THAW_OK;
  if (!thaw_h5_is_group(file->h5, group))
    status = thaw_fail(THAW_ERR_DATA, "%s: layer '%s' is announced but has no group", file->path, name);
  if (status == THAW_OK) status = thaw_h5_get_strings(file->h5, group, "weight_names", &names);
  bool nested = is_nested_model(&names);
  for (size_t i = 0; i < names.count && status == THAW_OK; i++)
    status = add_legacy_weight(file, group, name, names.item[i], nested);
  thaw_strings_clear(&names);
  thaw_free(group);
  return status;
}

static bool has_layer_names(thaw_h5 *h5, const char *group) {
  return thaw_h5_has_attribute(h5, group, "layer_names") || thaw_h5_has_attribute(h5, group, "layer_names0");
}

static thaw_status read_legacy(thaw_weight_file *file, const char *root) {
  const char *group = root[0] ? root : "/";
  thaw_strings layers = {0};
  thaw_status status = thaw_h5_get_strings(file->h5, group, "layer_names", &layers);
  for (size_t i = 0; i < layers.count && status == THAW_OK; i++) status = read_legacy_layer(file, root, layers.item[i]);
  thaw_strings_clear(&layers);
  if (status == THAW_OK && thaw_h5_has_attribute(file->h5, group, "keras_version"))
    status = thaw_h5_get_text(file->h5, group, "keras_version", &file->version);
  return status;
}

static thaw_status read_directory(thaw_weight_file *file) {
  const char *layout;
  thaw_status status;
  file->named = true;
  if (has_layer_names(file->h5, "/")) {
    layout = "Keras legacy HDF5 weights";
    status = read_legacy(file, "");
  } else if (thaw_h5_is_group(file->h5, "/model_weights") && has_layer_names(file->h5, "/model_weights")) {
    layout = "Keras legacy HDF5 model";
    status = read_legacy(file, "/model_weights");
  } else if (thaw_weight_file_is_object_tree(file->h5)) {
    layout = "Keras 3 weights";
    status = thaw_weight_file_read_object_tree(file);
  } else {
    return thaw_fail(THAW_ERR_DATA,
                     "%s: not a Keras weight file: it has neither layer_names, nor /model_weights, nor /layers",
                     file->path);
  }
  THAW_TRY(status);
  if (file->count == 0) return thaw_fail(THAW_ERR_DATA, "%s: none of its layers has weights", file->path);
  file->layout = thaw_copy_text(layout);
  return file->layout ? THAW_OK : THAW_ERR_MEMORY;
}

/* torch.save writes zip archives, too. */
static bool is_pickle(const thaw_zip *zip) {
  for (int64_t i = 0; i < thaw_zip_count(zip); i++) {
    const char *name = thaw_zip_name(zip, i), *slash = strrchr(name, '/');
    if (strcmp(slash ? slash + 1 : name, "data.pkl") == 0) return true;
  }
  return false;
}

/* The weights of a .keras archive. */
static thaw_status open_member(const char *path, thaw_h5 **out) {
  static const uint64_t most = (uint64_t)1 << 34;
  thaw_zip *zip;
  char *data;
  size_t size;
  THAW_TRY(thaw_zip_open(path, &zip));
  thaw_status status = is_pickle(zip) ? thaw_fail(THAW_ERR_DATA,
                                                  "%s: a PyTorch file (pickle), which only Python can read; write its "
                                                  "tensors to a .safetensors file (README.md, weights, says how)",
                                                  path)
                                      : thaw_zip_read(zip, "model.weights.h5", most, &data, &size);
  thaw_zip_close(zip);
  THAW_TRY(status);
  status = thaw_h5_open_image(path, data, size, out);
  thaw_free(data);
  return status;
}

thaw_status thaw_weight_open_h5(const char *path, thaw_h5 **out) {
  return thaw_zip_recognize(path) ? open_member(path, out) : thaw_h5_open(path, out);
}

thaw_status thaw_weight_file_open(const char *path, thaw_weight_file *out) {
  return thaw_weight_file_open_for(path, NULL, out);
}

thaw_status thaw_weight_file_open_for(const char *path, const thaw_shape *input, thaw_weight_file *out) {
  *out = (thaw_weight_file){.path = path};
  thaw_status status;
  if (thaw_weight_is_safetensors(path)) {
    status = thaw_weight_open_safetensors(out);
  } else if (thaw_weight_is_onnx(path)) {
    status = thaw_onnx_open_weights(input, out);
  } else {
    THAW_TRY(thaw_weight_open_h5(path, &out->h5));
    status = read_directory(out);
  }
  if (status != THAW_OK) thaw_weight_file_close(out);
  return status;
}

void thaw_weight_file_close(thaw_weight_file *file) {
  for (size_t i = 0; i < file->count; i++) {
    for (size_t j = 0; j < file->layer[i].count; j++) {
      thaw_free(file->layer[i].weight[j].name);
      thaw_free(file->layer[i].weight[j].dataset);
    }
    thaw_free(file->layer[i].weight);
    thaw_free(file->layer[i].name);
  }
  thaw_free(file->layer);
  thaw_free(file->layout);
  thaw_free(file->version);
  if (file->store) file->store->close(file->state);
  thaw_h5_close(file->h5);
  *file = (thaw_weight_file){0};
}

bool thaw_weights_are_torch(const char *path) {
  return thaw_weight_is_safetensors(path);
}

bool thaw_weights_recognize(const char *path) {
  thaw_h5 *h5;
  if (thaw_weight_is_safetensors(path) || thaw_weight_is_onnx(path)) return true;
  if (thaw_weight_open_h5(path, &h5) != THAW_OK) return false;
  bool known = has_layer_names(h5, "/") || has_layer_names(h5, "/model_weights") || thaw_weight_file_is_object_tree(h5);
  thaw_h5_close(h5);
  return known;
}
