/* The list of architectures, and building one by name. */
#include "zoo/builder.h"

#include "thaw/memory.h"

#include <ctype.h>
#include <string.h>

const char *const thaw_preprocessing_names[] = {"raw", "caffe", "tf", "torch", NULL};

const thaw_architecture *const thaw_architectures[] = {&thaw_vgg16,
                                                       &thaw_vgg19,
                                                       &thaw_resnet50,
                                                       &thaw_resnet101,
                                                       &thaw_resnet152,
                                                       &thaw_resnet18,
                                                       &thaw_resnet34,
                                                       &thaw_resnet50_torch,
                                                       &thaw_resnet50v2,
                                                       &thaw_resnet101v2,
                                                       &thaw_resnet152v2,
                                                       &thaw_mobilenetv2,
                                                       &thaw_mobilenetv2_035,
                                                       &thaw_mobilenetv2_05,
                                                       &thaw_mobilenetv2_075,
                                                       &thaw_mobilenetv2_13,
                                                       &thaw_mobilenetv2_14,
                                                       &thaw_densenet121,
                                                       &thaw_densenet169,
                                                       &thaw_densenet201,
                                                       &thaw_inceptionv3,
                                                       &thaw_xception,
                                                       &thaw_mobilenet,
                                                       &thaw_mobilenet_075,
                                                       &thaw_mobilenet_05,
                                                       &thaw_mobilenet_025,
                                                       &thaw_efficientnetb0,
                                                       &thaw_efficientnetb1,
                                                       &thaw_efficientnetb2,
                                                       &thaw_efficientnetb3,
                                                       NULL};

static const char *skip_underscores(const char *text) {
  while (*text == '_') text++;
  return text;
}

/* Keras writes MobileNetV2, mobilenet_v2 and mobilenetv2 in different places: case and underscores do not count, nor
 * does a zero at the end of a width ("0.50", "1.0"). */
static bool same_name(const char *known, const char *name) {
  bool widths = strchr(known, '.') != NULL;
  for (;;) {
    known = skip_underscores(known);
    name = skip_underscores(name);
    if (*known == 0 || tolower((unsigned char)*name) != *known) break;
    known++;
    name++;
  }
  if (*known) return false;
  if (name[-1] == '_' && strncmp(name, "1.0", 3) == 0) return strspn(name + 3, "0") == strlen(name + 3);
  return *name == 0 || (widths && strspn(name, "0") == strlen(name));
}

const thaw_architecture *thaw_architecture_find(const char *name) {
  for (int32_t i = 0; thaw_architectures[i]; i++)
    if (same_name(thaw_architectures[i]->name, name)) return thaw_architectures[i];
  return NULL;
}

static thaw_status unknown_name(const char *name) {
  const char *names[64];
  size_t count = 0;
  thaw_text list = {0};
  for (; thaw_architectures[count]; count++) {
    names[count] = thaw_architectures[count]->name;
    thaw_text_add(&list, "%s%s", count ? ", " : "", names[count]);
  }
  const char *nearest = thaw_nearest(name, names, count);
  thaw_status status =
      nearest ? thaw_fail(THAW_ERR_USAGE, "unknown architecture '%s' (did you mean '%s'?)", name, nearest)
              : thaw_fail(THAW_ERR_USAGE, "unknown architecture '%s'; known are %s", name, list.data ? list.data : "");
  thaw_text_clear(&list);
  return status;
}

static thaw_status unknown_cut(const thaw_graph *graph, const char *name, const char *cut) {
  size_t count = (size_t)thaw_graph_count(graph);
  const char **names = thaw_new(count, sizeof *names);
  if (!names) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < count; i++) names[i] = thaw_graph_view(graph, (int32_t)i)->layer.name;
  const char *nearest = thaw_nearest(cut, names, count);
  thaw_status status = nearest
                           ? thaw_fail(THAW_ERR_USAGE, "%s has no layer '%s' (did you mean '%s'?)", name, cut, nearest)
                           : thaw_fail(THAW_ERR_USAGE, "%s has no layer '%s'", name, cut);
  thaw_free(names);
  return status;
}

static thaw_status apply_cut(thaw_graph *graph, const char *name, const char *cut, int32_t *last) {
  int32_t node = thaw_graph_find(graph, cut);
  if (node < 1) return unknown_cut(graph, name, cut);
  THAW_TRY(thaw_graph_truncate(graph, node));
  *last = thaw_graph_count(graph) - 1;
  return THAW_OK;
}

thaw_status thaw_zoo_build(const char *name, thaw_shape input, const char *cut, thaw_graph **out, int32_t *last_out) {
  *out = NULL;
  const thaw_architecture *architecture = thaw_architecture_find(name);
  if (!architecture) return unknown_name(name);
  if (input.h < architecture->minimum_size || input.w < architecture->minimum_size)
    return thaw_fail(THAW_ERR_USAGE, "%s needs images of at least %dx%d, found %dx%d", name, architecture->minimum_size,
                     architecture->minimum_size, input.h, input.w);
  input.rank = 3;
  thaw_graph *graph;
  THAW_TRY(thaw_graph_create(input, &graph));
  thaw_status status = architecture->build(architecture, graph, last_out);
  if (status == THAW_OK && cut) status = apply_cut(graph, name, cut, last_out);
  if (status != THAW_OK) {
    thaw_graph_destroy(graph);
    return status;
  }
  *out = graph;
  return THAW_OK;
}
