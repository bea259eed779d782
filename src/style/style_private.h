/* style_private.h: what the files of src/style share. */
#ifndef THAW_STYLE_PRIVATE_H
#define THAW_STYLE_PRIVATE_H

#include "thaw/style.h"

/* Where windows of one length lie along one side, and which part of it counts. */
typedef struct style_span {
  int32_t start, low, high; /* window at start; its own part is low .. high - 1; pixels of the picture */
} style_span;
/* Covers 0 .. length - 1 with windows that overlap by `halo` on either side of a part; all are multiples of `grain`.
 * Returns their number; spans NULL: only that. */
int32_t style_cover(int32_t length, int32_t window, int32_t halo, style_span *spans);

/* A network for one size of picture. */
typedef struct style_network {
  thaw_graph *graph;
  thaw_live *live;
  thaw_cut cut;
  int32_t h, w, layers;
  int32_t node[THAW_STYLE_MAX_LAYERS + 1]; /* of the style layers, then the content layer */
  float *input;
  float *dy[THAW_STYLE_MAX_LAYERS + 1]; /* for each layer, as large as its output */
} style_network;
thaw_status style_network_create(const thaw_style_config *config, const thaw_isa *isa, int32_t h, int32_t w,
                                 style_network *out) THAW_CHECKED;
void style_network_clear(style_network *network);
/* Pixels that a position of the deepest layer sees beside its own, rounded up to whole positions. */
int32_t style_network_halo(const style_network *network);
int32_t style_network_stride(const style_network *network, int32_t layer);
thaw_status style_network_forward(style_network *network) THAW_CHECKED;  /* of network->input */
thaw_status style_network_backward(style_network *network) THAW_CHECKED; /* from network->dy, every layer's */

thaw_status style_agree(const thaw_style *style, thaw_status mine) THAW_CHECKED; /* [collective] */
size_t style_values(const thaw_style *style);                                    /* of the picture: h * w * 3 */

#endif
