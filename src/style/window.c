/* The network of one window, and where windows lie. */
#include "style/style_private.h"
#include "thaw/memory.h"
#include "thaw/weights.h"
#include "thaw/zoo.h"

#include <string.h>

int32_t style_cover(int32_t length, int32_t window, int32_t halo, style_span *spans) {
  if (length <= window) {
    if (spans) spans[0] = (style_span){0, 0, length};
    return 1;
  }
  int32_t stride = window - 2 * halo, count = 1 + (length - window + stride - 1) / stride;
  for (int32_t i = 0; spans && i < count; i++) {
    bool last = i == count - 1;
    spans[i].start = last ? length - window : i * stride;
    spans[i].low = i == 0 ? 0 : spans[i - 1].high;
    spans[i].high = last ? length : (i + 1 == count - 1 ? length - window : (i + 1) * stride) + halo;
  }
  return count;
}

/* -1: not in the graph. */
static thaw_status find_layers(const thaw_style_config *config, style_network *n) {
  n->layers = config->style_layers + 1;
  for (int32_t i = 0; i < n->layers; i++) {
    const char *name = i < config->style_layers ? config->style_layer[i] : config->content_layer;
    n->node[i] = thaw_graph_find(n->graph, name);
    if (n->node[i] < 1) return thaw_fail(THAW_ERR_USAGE, "%s has no layer '%s'", config->architecture, name);
    for (int32_t j = 0; j < i && j < config->style_layers; j++)
      if (n->node[j] == n->node[i] && i < config->style_layers)
        return thaw_fail(THAW_ERR_USAGE, "the style layer '%s' is given twice", name);
  }
  return THAW_OK;
}

static thaw_status build(const thaw_style_config *config, style_network *n) {
  char digest[65];
  int32_t last, deepest = 0;
  if (strncmp(config->architecture, "vgg", 3) != 0)
    return thaw_fail(THAW_ERR_USAGE, "style transfer needs vgg16 or vgg19, not '%s'", config->architecture);
  THAW_TRY(thaw_zoo_build(config->architecture, (thaw_shape){3, n->h, n->w, 3}, NULL, &n->graph, &last));
  THAW_TRY(find_layers(config, n));
  for (int32_t i = 0; i < n->layers; i++) deepest = n->node[i] > deepest ? n->node[i] : deepest;
  THAW_TRY(thaw_graph_truncate(n->graph, deepest));
  THAW_TRY(thaw_graph_bind(n->graph));
  thaw_graph_initialize(n->graph, 1, config->weights != NULL);
  if (config->weights) THAW_TRY(thaw_weights_load(n->graph, config->weights, NULL, digest));
  for (int32_t i = 0; i < thaw_graph_count(n->graph); i++) thaw_graph_node(n->graph, i)->frozen = true;
  return THAW_OK;
}

/* The live part is everything: only the picture is constant, and its gradient is wanted. */
static thaw_status make_live(style_network *n, const thaw_isa *isa) {
  n->cut = (thaw_cut){.node = thaw_new(1, sizeof(int32_t)),
                      .constant = thaw_new((size_t)thaw_graph_count(n->graph), sizeof(bool)),
                      .count = 1,
                      .floats = thaw_shape_count(thaw_graph_view(n->graph, 0)->layer.output),
                      .gradient = true};
  n->input = thaw_new(n->cut.floats, sizeof *n->input);
  if (!n->cut.node || !n->cut.constant || !n->input) return THAW_ERR_MEMORY;
  n->cut.constant[0] = true;
  THAW_TRY(thaw_live_create(n->graph, &n->cut, isa, 1, 1, &n->live));
  for (int32_t i = 0; i < n->layers; i++) {
    n->dy[i] = thaw_new(thaw_shape_count(thaw_graph_view(n->graph, n->node[i])->layer.output), sizeof(float));
    if (!n->dy[i]) return THAW_ERR_MEMORY;
  }
  return THAW_OK;
}

thaw_status style_network_create(const thaw_style_config *config, const thaw_isa *isa, int32_t h, int32_t w,
                                 style_network *out) {
  *out = (style_network){.h = h, .w = w};
  thaw_status status = build(config, out);
  if (status == THAW_OK) status = make_live(out, isa);
  if (status != THAW_OK) style_network_clear(out);
  return status;
}

void style_network_clear(style_network *n) {
  for (int32_t i = 0; i < n->layers; i++) thaw_free(n->dy[i]);
  thaw_live_destroy(n->live);
  thaw_graph_destroy(n->graph);
  thaw_cut_clear(&n->cut);
  thaw_free(n->input);
  *n = (style_network){0};
}

int32_t style_network_stride(const style_network *n, int32_t layer) {
  return n->h / thaw_graph_view(n->graph, n->node[layer])->layer.output.h;
}

/* Along the chain of layers: a 3x3 convolution sees one more position, pooling of two one on one side. */
int32_t style_network_halo(const style_network *n) {
  int32_t halo = 0, stride = 1;
  for (int32_t i = 1; i < thaw_graph_count(n->graph); i++) {
    const thaw_layer *layer = &thaw_graph_view(n->graph, i)->layer;
    halo += stride;
    stride = n->h / layer->output.h;
  }
  return (halo + 15) / 16 * 16;
}

static thaw_share share_of(const style_network *n) {
  static const int32_t slice_start[2] = {0, 1};
  static const int64_t slice = 0;
  return (thaw_share){.features = n->input,
                      .samples = 1,
                      .slices = 1,
                      .slice_start = slice_start,
                      .slice = &slice,
                      .batch = 1,
                      .training = true};
}

thaw_status style_network_forward(style_network *n) {
  const thaw_share share = share_of(n);
  const float *y;
  return thaw_live_forward(n->live, &share, NULL, &y);
}

thaw_status style_network_backward(style_network *n) {
  const thaw_share share = share_of(n);
  thaw_live_source source[THAW_STYLE_MAX_LAYERS + 1];
  for (int32_t i = 0; i < n->layers; i++) source[i] = (thaw_live_source){n->node[i], n->dy[i], false};
  return thaw_live_backward_from(n->live, &share, source, n->layers);
}
