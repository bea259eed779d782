/* What a variable is, from the names that Keras 1, 2 and 3 gave it. */
#include "weights/weights_private.h"

#include <ctype.h>
#include <string.h>

static const struct {
  const char *name;
  thaw_weight_role role;
} known[] = {
    {"pointwise_kernel", THAW_ROLE_POINTWISE},
    {"depthwise_kernel", THAW_ROLE_KERNEL},
    {"kernel", THAW_ROLE_KERNEL},
    {"W", THAW_ROLE_KERNEL},
    {"bias", THAW_ROLE_BIAS},
    {"b", THAW_ROLE_BIAS},
    {"gamma", THAW_ROLE_GAMMA},
    {"beta", THAW_ROLE_BETA},
    {"moving_mean", THAW_ROLE_MEAN},
    {"running_mean", THAW_ROLE_MEAN},
    {"moving_variance", THAW_ROLE_VARIANCE},
    {"running_variance", THAW_ROLE_VARIANCE},
    {"running_var", THAW_ROLE_VARIANCE},
    {"running_std", THAW_ROLE_VARIANCE},
    {"mean", THAW_ROLE_MEAN},
    {"variance", THAW_ROLE_VARIANCE},
    {"count", THAW_ROLE_COUNT},
    {"alpha", THAW_ROLE_ALPHA},
};

/* Length of `part` without ":0" and then without "_1" (Keras 1 numbered variables anew when a model was rebuilt). */
static size_t stem_length(const char *part) {
  const char *colon = strchr(part, ':');
  size_t length = colon ? (size_t)(colon - part) : strlen(part), end = length;
  while (end > 0 && isdigit((unsigned char)part[end - 1])) end--;
  return end < length && end > 0 && part[end - 1] == '_' ? end - 1 : length;
}

thaw_weight_role thaw_weight_role_of(const char *name) {
  const char *slash = strrchr(name, '/'), *part = slash ? slash + 1 : name;
  size_t length = stem_length(part);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    size_t size = strlen(known[i].name);
    if (length < size || memcmp(part + length - size, known[i].name, size) != 0) continue;
    if (length == size || part[length - size - 1] == '_') return known[i].role;
  }
  return THAW_ROLE_OTHER;
}

const thaw_weight *thaw_weight_find(const thaw_weight_layer *layer, thaw_weight_role role) {
  for (size_t i = 0; i < layer->count; i++)
    if (layer->weight[i].role == role) return &layer->weight[i];
  return NULL;
}

bool thaw_weight_layer_is_dense(const thaw_weight_layer *layer) {
  const thaw_weight *kernel = thaw_weight_find(layer, THAW_ROLE_KERNEL);
  return kernel && kernel->info.rank == 2;
}
