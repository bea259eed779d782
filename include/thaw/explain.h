/* explain.h: why a network answers as it does: Grad-CAM, and the samples that lie nearest. All functions are [local].
 */
#ifndef THAW_EXPLAIN_H
#define THAW_EXPLAIN_H

#include "thaw/graph.h"
#include "thaw/image.h"

/* ------------------------------------------------------------------ Grad-CAM
 * Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017:
 *
 *     weight_k = mean over positions of d score / d A_k        (A: the output of a layer, k: its channels)
 *     map      = relu(sum over k of weight_k A_k)
 *
 * The score is the output before a last softmax or sigmoid, else the output itself. */
typedef struct thaw_grad_cam thaw_grad_cam;

/* The layer whose maps are shown where nothing else is asked for: the last one with an image as its output that is not
 * pooling (block5_conv3 of VGG16, conv5_block3_out of ResNet50). -1 when the network has none. */
int32_t thaw_grad_cam_layer(const thaw_graph *graph);

/* Every layer of `graph` becomes frozen: the network is taken as it predicts. The graph (with its parameters) must
 * outlive the maps' maker. batch: most images per run. THAW_ERR_USAGE when the layer's output is no image or the result
 * does not depend on it. */
thaw_status thaw_grad_cam_create(thaw_graph *graph, int32_t layer, const thaw_isa *isa, int32_t batch,
                                 thaw_grad_cam **out) THAW_CHECKED;
void thaw_grad_cam_destroy(thaw_grad_cam *cam);                            /* accepts NULL */
void thaw_grad_cam_size(const thaw_grad_cam *cam, int32_t *h, int32_t *w); /* of a map */

/* x [n][h][w][c] as the network takes it, n <= batch; target[n]: the output to explain, -1 for the largest, replaced by
 * its index. -> y [n][outputs], maps [n][h][w] with a largest value of 1 (all zero where nothing speaks for it). */
thaw_status thaw_grad_cam_run(thaw_grad_cam *cam, const float *x, int32_t n, int32_t *target, float *y,
                              float *maps) THAW_CHECKED;

/* An 8-bit RGB picture with a map [h][w] of 0 .. 1 laid over it, bilinear, in jet's colours, the more opaque the higher
 * its value. */
thaw_status thaw_heat_overlay(const thaw_image *picture, const float *map, int32_t h, int32_t w, double opacity,
                              thaw_image *out) THAW_CHECKED;

/* ------------------------------------------------------------------ nearest samples
 * The `keep` candidates nearest to each of `queries` vectors by cosine similarity. */
typedef struct thaw_nearest_samples {
  int32_t queries, keep;
  size_t width;
  float *query;       /* [queries][width], of length 1 */
  int64_t *sample;    /* [queries][keep], best first; -1: none */
  double *similarity; /* [queries][keep] */
} thaw_nearest_samples;
thaw_status thaw_nearest_create(const float *query, int32_t queries, size_t width, int32_t keep,
                                thaw_nearest_samples *out) THAW_CHECKED; /* copies */
void thaw_nearest_clear(thaw_nearest_samples *nearest);
/* Offers candidate `sample` with its vector [width]. Of equals the one offered first stays. */
void thaw_nearest_offer(thaw_nearest_samples *nearest, int64_t sample, const float *vector);

/* The cut's tensors of one sample, each averaged over its positions -> out [thaw_cut_channels]. */
size_t thaw_cut_channels(const thaw_graph *graph, const thaw_cut *cut);
void thaw_cut_average(const thaw_graph *graph, const thaw_cut *cut, const float *features, float *out);

#endif
