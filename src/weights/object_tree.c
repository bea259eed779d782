/* Keras 3's own weight files: /layers/<class>_<n>/vars/<i>, the layer's real name in vars' attribute `name` (recent
 * versions), models inside models as further `layers`. Variables are numbered in the order of their creation: kernel,
 * bias; gamma, beta, moving_mean, moving_variance (keras/src/saving/saving_lib.py). */
#include "thaw/memory.h"
#include "weights/weights_private.h"

#include <ctype.h>
#include <string.h>

enum { DEEPEST = 8 }; /* models inside models */
static const char *const containers[] = {"layers", "_layer_checkpoint_dependencies"};

/* The group of the layers inside `group`, as a new string; NULL when there is none (or no memory). */
static char *layers_of(thaw_h5 *h5, const char *group) {
  for (size_t i = 0; i < sizeof containers / sizeof containers[0]; i++) {
    char *path = thaw_format("%s/%s", group, containers[i]);
    if (path && thaw_h5_is_group(h5, path)) return path;
    thaw_free(path);
  }
  return NULL;
}

bool thaw_weight_file_is_object_tree(thaw_h5 *h5) {
  char *layers = layers_of(h5, "");
  thaw_free(layers);
  return layers != NULL;
}

static bool has_class(const char *object, const char *class_name) {
  size_t length = strlen(class_name);
  if (strncmp(object, class_name, length) != 0) return false;
  if (object[length] == '\0') return true;
  if (object[length] != '_') return false;
  for (const char *digit = object + length + 1; *digit; digit++)
    if (!isdigit((unsigned char)*digit)) return false;
  return true;
}

/* The role of variable `i` of `count` of a layer object "conv2d_3". */
static thaw_weight_role role_in_object(const char *object, size_t i, size_t count) {
  static const thaw_weight_role norm[] = {THAW_ROLE_GAMMA, THAW_ROLE_BETA, THAW_ROLE_MEAN, THAW_ROLE_VARIANCE};
  if (has_class(object, "batch_normalization")) {
    if (count == 3 && i < 3) return norm[i + 1]; /* scale=False is Keras' only common choice with three */
    return count == 4 && i < 4 ? norm[i] : THAW_ROLE_OTHER;
  }
  if ((has_class(object, "layer_normalization") || has_class(object, "group_normalization")) && count == 2)
    return norm[i];
  if (has_class(object, "p_re_lu")) return THAW_ROLE_ALPHA;
  if (has_class(object, "separable_conv2d") && i < 3)
    return (thaw_weight_role[]){THAW_ROLE_KERNEL, THAW_ROLE_POINTWISE, THAW_ROLE_BIAS}[i];
  if (has_class(object, "normalization") && i < 3)
    return (thaw_weight_role[]){THAW_ROLE_MEAN, THAW_ROLE_VARIANCE, THAW_ROLE_COUNT}[i];
  if (has_class(object, "conv2d") || has_class(object, "depthwise_conv2d") || has_class(object, "dense"))
    return i == 0 ? THAW_ROLE_KERNEL : i == 1 ? THAW_ROLE_BIAS : THAW_ROLE_OTHER;
  return THAW_ROLE_OTHER;
}

static thaw_status add_variables(thaw_weight_file *file, const char *vars, const char *object, const char *name,
                                 size_t count) {
  thaw_weight_layer *layer = thaw_weight_file_layer(file, name);
  if (!layer) return THAW_ERR_MEMORY;
  thaw_status status = THAW_OK;
  for (size_t i = 0; i < count && status == THAW_OK; i++) {
    char *dataset = thaw_format("%s/%zu", vars, i);
    if (!dataset) return THAW_ERR_MEMORY;
    status = thaw_weight_file_add(file, layer, strrchr(dataset, '/') + 1, dataset, role_in_object(object, i, count));
    thaw_free(dataset);
  }
  return status;
}

static thaw_status read_object(thaw_weight_file *file, const char *group, const char *object) {
  char *vars = thaw_format("%s/vars", group), *name = NULL;
  if (!vars) return THAW_ERR_MEMORY;
  thaw_strings members = {0};
  thaw_status status = THAW_OK;
  if (thaw_h5_is_group(file->h5, vars)) status = thaw_h5_list(file->h5, vars, &members);
  if (status == THAW_OK && members.count) {
    if (thaw_h5_has_attribute(file->h5, vars, "name"))
      status = thaw_h5_get_text(file->h5, vars, "name", &name);
    else
      file->named = false;
    if (status == THAW_OK) status = add_variables(file, vars, object, name ? name : object, members.count);
  }
  thaw_strings_clear(&members);
  thaw_free(name);
  thaw_free(vars);
  return status;
}

static thaw_status read_layers(thaw_weight_file *file, const char *parent, int depth) {
  if (depth > DEEPEST) return thaw_fail(THAW_ERR_DATA, "%s: models nested more than %d deep", file->path, DEEPEST);
  char *layers = layers_of(file->h5, parent);
  if (!layers) return THAW_OK;
  thaw_strings objects = {0};
  thaw_status status = thaw_h5_list(file->h5, layers, &objects);
  for (size_t i = 0; i < objects.count && status == THAW_OK; i++) {
    char *group = thaw_format("%s/%s", layers, objects.item[i]);
    if (!group) status = THAW_ERR_MEMORY;
    if (status == THAW_OK) status = read_object(file, group, objects.item[i]);
    if (status == THAW_OK) status = read_layers(file, group, depth + 1);
    thaw_free(group);
  }
  thaw_strings_clear(&objects);
  thaw_free(layers);
  return status;
}

thaw_status thaw_weight_file_read_object_tree(thaw_weight_file *file) {
  return read_layers(file, "", 0);
}
