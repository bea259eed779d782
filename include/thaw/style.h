/* style.h: artistic style transfer by optimisation (Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional
 * Neural Networks", CVPR 2016), with the scaling of losses of Johnson's neural-style (2015):
 *
 *     content   = w_c mean((F - P)^2)                        F, P: one layer's output for the picture and the content
 *     style     = w_s sum over layers of mean((G - A)^2)     G = F^T F / (positions * channels); A: of the style image
 *     variation = w_v / 2 sum of squared differences of neighbouring pixels
 *
 * A picture larger than a window is computed window by window. A window overlaps its neighbours by as much as the
 * network sees, and counts only positions inside its own part, so the losses and their gradient are those of the whole
 * picture. Ranks share the windows; sums over them are exact, so the picture is the same on any number of ranks. */
#ifndef THAW_STYLE_H
#define THAW_STYLE_H

#include "thaw/comm.h"
#include "thaw/graph.h"
#include "thaw/image.h"
#include "thaw/log.h"

enum { THAW_STYLE_MAX_LAYERS = 16 };
typedef struct thaw_style_config {
  const char *architecture; /* "vgg16" or "vgg19" */
  const char *weights;      /* Keras file; NULL: random numbers (for tests) */
  const char *content_layer;
  const char *style_layer[THAW_STYLE_MAX_LAYERS];
  int32_t style_layers;
  double content_weight, style_weight, variation_weight;
  int32_t window; /* longest side of a window, pixels */
} thaw_style_config;
/* [local] The layers and weights of neural-style for an architecture: block4_conv2; block1_conv1 .. block5_conv1; 5,
 * 100, 0.001; windows of 512. */
thaw_style_config thaw_style_defaults(const char *architecture);

typedef struct thaw_style_loss {
  double content, style, variation; /* weighted */
} thaw_style_loss;

typedef struct thaw_style thaw_style;
/* [collective] Pictures are 8-bit RGB, the same on every rank; the result is as large as `content`, whose sides must be
 * multiples of 16 (as those of `style`), at least 32. */
thaw_status thaw_style_create(thaw_comm *comm, const thaw_style_config *config, const thaw_isa *isa,
                              const thaw_image *content, const thaw_image *style, thaw_log *log,
                              thaw_style **out) THAW_CHECKED;
void thaw_style_destroy(thaw_style *style);          /* [local] accepts NULL */
int32_t thaw_style_windows(const thaw_style *style); /* [local] the most ranks that have work */

/* [collective] x [h][w][3] as the network takes it, the same on every rank; gradient likewise. */
thaw_status thaw_style_evaluate(thaw_style *style, const double *x, double *gradient,
                                thaw_style_loss *loss) THAW_CHECKED;

typedef enum thaw_style_optimizer { THAW_STYLE_LBFGS, THAW_STYLE_ADAM } thaw_style_optimizer;
typedef struct thaw_style_run {
  thaw_style_optimizer optimizer;
  double learning_rate; /* Adam's */
  int32_t steps;
  /* [collective] After each step; anything but THAW_OK ends the run. */
  thaw_status (*progress)(void *context, int32_t step, const double *x, const thaw_style_loss *loss);
  void *context;
} thaw_style_run;
/* [collective] L-BFGS by libLBFGS (Liu and Nocedal, 1989), or Adam. Fewer steps are made when no lower loss is found.
 */
thaw_status thaw_style_minimize(thaw_style *style, const thaw_style_run *run, double *x,
                                int32_t *steps_out) THAW_CHECKED;

/* [local] Between pictures and x. decode clips to 0 .. 255 and rounds. */
void thaw_style_encode(const thaw_image *picture, double *x);
thaw_status thaw_style_decode(const double *x, int32_t h, int32_t w, thaw_image *out) THAW_CHECKED;
/* [local] Keeps the brightness of `picture` and takes the colours of `colours`, of the same size (Gatys et al.,
 * "Preserving Color in Neural Artistic Style Transfer", 2016: luminance only; JFIF's YCbCr). */
void thaw_style_keep_colours(thaw_image *picture, const thaw_image *colours);

#endif
