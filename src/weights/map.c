/* Which layer of a file belongs to which layer of a network. By name where the names are the network's; else layer by
 * layer in the file's order, as Keras does. Layers that Keras names by class and number ("conv2d_57") are told apart by
 * the order of their numbers, since the count need not start at the same layer. Every shape is compared. */
#include "thaw/memory.h"
#include "weights/weights_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const numbered_classes[] = {
    "conv2d",        "depthwise_conv2d",    "separable_conv2d",    "batch_normalization",
    "normalization", "layer_normalization", "group_normalization", "p_re_lu"};
enum { CLASSES = sizeof numbered_classes / sizeof numbered_classes[0] };

/* The index of the class in an automatic name such as "conv2d_12", and its number; -1 for any other name. */
static int automatic_class(const char *name, long *number_out) {
  for (int i = 0; i < CLASSES; i++) {
    size_t length = strlen(numbered_classes[i]);
    if (strncmp(name, numbered_classes[i], length) != 0) continue;
    *number_out = 0;
    if (name[length] == '\0') return i;
    char *end;
    if (name[length] != '_' || !isdigit((unsigned char)name[length + 1])) continue;
    *number_out = strtol(name + length + 1, &end, 10);
    if (*end == '\0') return i;
  }
  return -1;
}

static int class_of_node(const thaw_layer *layer) {
  for (int i = 0; i < CLASSES; i++)
    if (strcmp(layer->ops->schema->name, numbered_classes[i]) == 0) return i;
  return -1;
}

static bool is_wanted(const thaw_node *node, bool head_too) {
  return node->layer.params > 0 && (head_too || !node->head);
}

/* Keras once allowed a slash in names: DenseNet's file says "conv1/conv" for the layer that is now "conv1_conv". */
static bool same_name(const char *a, const char *b) {
  while (*a && (*a == *b || (*a == '/' && *b == '_') || (*a == '_' && *b == '/'))) a++, b++;
  return *a == *b;
}

const thaw_weight_layer *thaw_weight_file_find(const thaw_weight_file *file, const char *name) {
  for (size_t i = 0; i < file->count; i++)
    if (same_name(file->layer[i].name, name)) return &file->layer[i];
  return NULL;
}

static size_t trimmed_rank(const int64_t *dim, int rank) {
  while (rank > 0 && dim[rank - 1] == 1) rank--;
  return (size_t)rank;
}

/* Dimensions of one at the end do not count: a depthwise kernel is (3, 3, 32, 1) or (3, 3, 32). */
bool thaw_weight_shape_matches(const thaw_weight *weight, const thaw_param *param) {
  int64_t expected[THAW_H5_MAX_RANK] = {0};
  for (int i = 0; i < param->rank; i++) expected[i] = param->dim[i];
  if (weight->torch && param->rank == 4 && param->dim[3] == 1 && weight->info.rank == 4 && weight->info.dim[2] == 1) {
    expected[2] = 1; /* (3, 3, 1, 32) and (3, 3, 32, 1) are the same numbers in the same order */
    expected[3] = param->dim[2];
  }
  size_t rank = trimmed_rank(expected, param->rank);
  return rank == trimmed_rank(weight->info.dim, weight->info.rank) &&
         memcmp(expected, weight->info.dim, rank * sizeof expected[0]) == 0;
}

/* Keras 3's files do not say which of gamma and beta the only variable of a normalization is. */
const thaw_weight *thaw_weight_for_param(const thaw_weight_layer *layer, const thaw_param *param) {
  thaw_weight_role role = thaw_weight_role_of(param->name);
  bool only = layer->count == 1 && (role == THAW_ROLE_GAMMA || role == THAW_ROLE_BETA);
  return thaw_weight_find(layer, only && layer->weight[0].role == THAW_ROLE_OTHER ? THAW_ROLE_OTHER : role);
}

static thaw_status check_layer(const thaw_weight_file *file, const thaw_graph *graph, int32_t node,
                               const thaw_weight_layer *from) {
  const thaw_layer *layer = &thaw_graph_view(graph, node)->layer;
  char expected[96], found[96];
  bool renamed = strcmp(layer->name, from->name) != 0;
  for (int32_t p = 0; p < layer->params; p++) {
    const thaw_param *param = &layer->param[p];
    const thaw_weight *weight = thaw_weight_for_param(from, param);
    const char *shape = weight ? thaw_weight_shape_text(&weight->info, found) : "nothing";
    if (weight && thaw_weight_shape_matches(weight, param)) continue;
    if (weight && thaw_weight_reads_image(graph, node) && thaw_weight_fits_colours(weight, param)) continue;
    return thaw_fail(THAW_ERR_DATA, "%s: layer '%s'%s%s%s: %s: expected shape %s, found %s", file->path, layer->name,
                     renamed ? " from the file's '" : "", renamed ? from->name : "", renamed ? "'" : "", param->name,
                     thaw_param_shape_text(param, expected), shape);
  }
  return THAW_OK;
}

static thaw_status fail_missing(const thaw_weight_file *file, const thaw_graph *graph, const thaw_weight_map *map,
                                const char *name) {
  thaw_text what = {0};
  thaw_weight_guess(file, &what);
  int32_t wanted = 0;
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) wanted += is_wanted(thaw_graph_view(graph, i), false);
  thaw_status status =
      thaw_fail(THAW_ERR_DATA, "%s: has no layer '%s' (%d of the network's %d layers found; the file holds %s)",
                file->path, name, map->layers, wanted, what.data ? what.data : "other layers");
  thaw_text_clear(&what);
  return status;
}

/* The file's layer of this class with the rank-th lowest number. */
static const thaw_weight_layer *numbered_layer(const thaw_weight_file *file, int class_index, size_t rank) {
  for (size_t i = 0; i < file->count; i++) {
    long number, other;
    if (automatic_class(file->layer[i].name, &number) != class_index) continue;
    size_t below = 0;
    for (size_t j = 0; j < file->count; j++)
      below += automatic_class(file->layer[j].name, &other) == class_index && other < number;
    if (below == rank) return &file->layer[i];
  }
  return NULL;
}

/* For a class whose automatic names are not all in the file: there the count began at another number, so numbers are
 * matched by rank. A network cut off keeps its numbers, which therefore are ranks in the whole network. */
static bool shifts_numbers(const thaw_graph *graph, const thaw_weight_file *file, int class_index) {
  long number;
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    const thaw_node *node = thaw_graph_view(graph, i);
    if (is_wanted(node, false) && automatic_class(node->layer.name, &number) == class_index &&
        !thaw_weight_file_find(file, node->layer.name))
      return true;
  }
  return false;
}

static const thaw_weight_layer *find_for_node(const thaw_weight_file *file, const thaw_layer *layer,
                                              const bool *shifted) {
  long number;
  int class_index = automatic_class(layer->name, &number);
  if (class_index >= 0 && shifted[class_index]) return numbered_layer(file, class_index, (size_t)number);
  return thaw_weight_file_find(file, layer->name);
}

/* By the name that others gave the layer. */
static const thaw_weight_layer *find_translated(const thaw_weight_file *file, const char *name, thaw_weight_map *map) {
  char old[32], torch[64];
  const thaw_weight_layer *found = NULL;
  if (thaw_weight_old_resnet_name(name, old)) {
    found = thaw_weight_file_find(file, old);
    map->old_resnet |= found != NULL;
  }
  if (!found && thaw_weight_torch_densenet_name(name, torch)) {
    found = thaw_weight_file_find(file, torch);
    map->torch_densenet |= found != NULL;
  }
  return found;
}

/* Fills the map with layers of the network's names; the first name that is missing, or NULL. */
static const char *map_by_name(const thaw_graph *graph, const thaw_weight_file *file, bool head_too,
                               thaw_weight_map *map) {
  const char *missing = NULL;
  bool shifted[CLASSES];
  for (int i = 0; i < CLASSES; i++) shifted[i] = !head_too && shifts_numbers(graph, file, i);
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    const thaw_node *node = thaw_graph_view(graph, i);
    if (!is_wanted(node, head_too)) continue;
    map->layer[i] = find_for_node(file, &node->layer, shifted);
    if (!map->layer[i]) map->layer[i] = find_translated(file, node->layer.name, map);
    if (map->layer[i])
      map->layers++;
    else if (!missing)
      missing = node->layer.name;
  }
  map->how = "by name";
  return missing;
}

static bool file_is_numbered(const thaw_weight_file *file) {
  long number;
  for (size_t i = 0; i < file->count; i++)
    if (!thaw_weight_layer_is_dense(&file->layer[i]) && automatic_class(file->layer[i].name, &number) < 0) return false;
  return true;
}

/* Keras 3's files without names number the layers of a class in the order of model.layers, not of their creation (which
 * for InceptionV3 is another). Ranks are places in the file's whole network: of a network cut off where all its
 * branches meet, they are the same. */
static thaw_status map_by_place(const thaw_graph *graph, const thaw_weight_file *file, thaw_weight_map *map) {
  size_t rank[CLASSES] = {0};
  int32_t *order = thaw_new((size_t)thaw_graph_count(graph), sizeof *order), count;
  thaw_status status = order ? thaw_weight_keras_order(graph, order, &count) : THAW_ERR_MEMORY;
  map->how = "by class and place";
  for (int32_t i = 0; status == THAW_OK && i < count; i++) {
    const thaw_node *node = thaw_graph_view(graph, order[i]);
    if (!is_wanted(node, false)) continue;
    int class_index = class_of_node(&node->layer);
    if (class_index >= 0) map->layer[order[i]] = numbered_layer(file, class_index, rank[class_index]++);
    if (!map->layer[order[i]]) status = fail_missing(file, graph, map, node->layer.name);
    map->layers++;
  }
  thaw_free(order);
  return status;
}

static thaw_status map_by_number(const thaw_graph *graph, const thaw_weight_file *file, thaw_weight_map *map) {
  size_t rank[CLASSES] = {0};
  if (!file->named) return map_by_place(graph, file, map);
  map->how = "by class and number";
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    const thaw_node *node = thaw_graph_view(graph, i);
    if (!is_wanted(node, false)) continue;
    long number;
    int class_index = class_of_node(&node->layer);
    bool automatic = automatic_class(node->layer.name, &number) == class_index;
    if (class_index >= 0)
      map->layer[i] = numbered_layer(file, class_index, automatic ? (size_t)number : rank[class_index]++);
    if (!map->layer[i]) return fail_missing(file, graph, map, node->layer.name);
    map->layers++;
  }
  return THAW_OK;
}

static thaw_status map_by_order(const thaw_graph *graph, const thaw_weight_file *file, thaw_weight_map *map) {
  size_t next = 0;
  map->how = "by order";
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    const thaw_node *node = thaw_graph_view(graph, i);
    if (!is_wanted(node, false)) continue;
    while (next < file->count && thaw_weight_layer_is_dense(&file->layer[next])) next++;
    if (next == file->count) return fail_missing(file, graph, map, node->layer.name);
    map->layer[i] = &file->layer[next++];
    map->layers++;
  }
  return THAW_OK;
}

static bool has_all_names(const thaw_graph *graph, const thaw_weight_file *file) {
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) {
    const thaw_node *node = thaw_graph_view(graph, i);
    if (is_wanted(node, false) && !thaw_weight_file_find(file, node->layer.name)) return false;
  }
  return true;
}

static thaw_status choose_map(const thaw_graph *graph, const thaw_weight_file *file, bool head_too,
                              thaw_weight_map *map) {
  if (!head_too && file_is_numbered(file) && !(file->named && has_all_names(graph, file)))
    return map_by_number(graph, file, map);
  const char *missing = map_by_name(graph, file, head_too, map);
  if (!missing) return THAW_OK;
  if (map->layers > 0 || head_too) return fail_missing(file, graph, map, missing);
  return map_by_order(graph, file, map);
}

static thaw_status check_map(const thaw_graph *graph, const thaw_weight_file *file, const thaw_weight_map *map) {
  for (int32_t i = 0; i < thaw_graph_count(graph); i++)
    if (map->layer[i]) THAW_TRY(check_layer(file, graph, i, map->layer[i]));
  return THAW_OK;
}

/* Layers of unlike names whose shapes differ: more often another network than a broken file. */
static thaw_status add_guess(const thaw_weight_file *file, thaw_status code) {
  thaw_text text = {0};
  thaw_weight_guess(file, &text);
  char *message = thaw_copy_text(thaw_message());
  if (message && text.data && !text.failed)
    code = thaw_fail(code, "%s (matched by order, since no layer name matches; the file holds %s)", message, text.data);
  thaw_free(message);
  thaw_text_clear(&text);
  return code;
}

thaw_status thaw_weight_map_make(const thaw_graph *graph, const thaw_weight_file *file, bool head_too,
                                 thaw_weight_map *out) {
  *out = (thaw_weight_map){.layer = thaw_new((size_t)thaw_graph_count(graph), sizeof *out->layer)};
  if (!out->layer) return THAW_ERR_MEMORY;
  thaw_status status = choose_map(graph, file, head_too, out);
  if (status == THAW_OK) {
    status = check_map(graph, file, out);
    if (status == THAW_ERR_DATA && strcmp(out->how, "by order") == 0) status = add_guess(file, status);
  }
  if (status != THAW_OK) thaw_weight_map_clear(out);
  return status;
}

void thaw_weight_map_clear(thaw_weight_map *map) {
  thaw_free(map->layer);
  *map = (thaw_weight_map){0};
}
