/* 3x3 convolutions with stride 1 of the live part in Winograd's domain, F(4x4, 3x3) (Lavin and Gray, "Fast algorithms
 * for convolutional neural networks", 2015). With d a 6x6 tile of the input, g the kernel, Y a 4x4 tile of the output:
 *
 *     Y = A^T [(G g G^T) . (B^T d B)] A
 *
 * forward:         the frozen part's kernel, with weights packed once per step
 * input gradient:  a convolution too, of dY with the kernel turned by 180 degrees and its channels exchanged
 * kernel gradient: the adjoint, dg = G^T [sum over tiles of (B^T d B) . (A dY A^T)] G (thaw_conv_gradient) */
#include "layer/conv_private.h"

enum { LEAST_CHANNELS = 16, FEW_TILES = 4 /* of one image */ };

struct thaw_conv_workspace {
  thaw_conv *forward, *input; /* input NULL: no gradient passes */
  bool few;                   /* tiles: weights are transformed on their way, nothing is packed */
  /* Since the last refresh: the packed weights of one of the two. */
  void *packed, *scratch;
};

bool thaw_winograd_serves(const thaw_layer *layer) {
  const thaw_conv2d_config *config = layer->config;
  return config->kernel_h == 3 && config->kernel_w == 3 && config->stride_h == 1 && config->stride_w == 1 &&
         layer->input[0].c >= LEAST_CHANNELS && layer->output.c >= LEAST_CHANNELS;
}

/* ------------------------------------------------------------------ forward and input gradient */

static thaw_conv_desc forward_desc(const thaw_layer *layer) {
  thaw_conv_desc desc = thaw_layer_conv_desc(layer);
  desc.activation = thaw_conv_fuses(layer) ? (thaw_activation)thaw_conv_config(layer)->activation : THAW_LINEAR;
  return desc;
}

static thaw_conv_desc input_desc(const thaw_layer *layer) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  thaw_conv_desc desc = {.h = layer->output.h, .w = layer->output.w, .c = d.k, .k = d.c, .kh = 3, .kw = 3};
  desc.stride_h = desc.stride_w = 1;
  desc.pad_top = 2 - d.pad_top;
  desc.pad_bottom = 2 - d.pad_bottom;
  desc.pad_left = 2 - d.pad_left;
  desc.pad_right = 2 - d.pad_right;
  return desc;
}

static thaw_status fill_workspace(thaw_conv_workspace *w, const thaw_layer *layer, const thaw_isa *isa, bool backward) {
  thaw_conv_desc desc = forward_desc(layer);
  int64_t tiles = (int64_t)((layer->output.h + 3) / 4) * ((layer->output.w + 3) / 4);
  w->few = tiles <= FEW_TILES;
  THAW_TRY(thaw_conv_create(isa, &desc, &w->forward));
  if (!backward) return THAW_OK;
  desc = input_desc(layer);
  return thaw_conv_create(isa, &desc, &w->input);
}

thaw_status thaw_winograd_create(const thaw_layer *layer, const thaw_isa *isa, thaw_arena *arena, bool backward,
                                 void **out) {
  *out = NULL;
  if (!thaw_winograd_serves(layer)) return THAW_OK;
  thaw_conv_workspace *w = thaw_arena_new(arena, 1, sizeof *w);
  if (!w) return THAW_ERR_MEMORY;
  thaw_status status = fill_workspace(w, layer, isa, backward);
  if (status != THAW_OK) {
    thaw_winograd_destroy(w);
    return status;
  }
  *out = w;
  return THAW_OK;
}

void thaw_winograd_destroy(void *workspace) {
  thaw_conv_workspace *w = workspace;
  if (!w) return;
  thaw_conv_destroy(w->forward);
  thaw_conv_destroy(w->input);
}

/* The block of one convolution: packed weights (unless few tiles need none) and scratch. */
static void carve_block(thaw_conv_workspace *w, const thaw_conv *conv, thaw_carver *carver) {
  w->packed = w->few ? NULL : thaw_carve(carver, thaw_conv_packed_bytes(conv));
  w->scratch = thaw_carve(carver, w->few ? thaw_conv_live_scratch_bytes(conv) : thaw_conv_scratch_bytes(conv));
}

size_t thaw_winograd_workspace_bytes(const void *workspace) {
  thaw_conv_workspace w = *(const thaw_conv_workspace *)workspace;
  thaw_carver forward = {0}, input = {0};
  carve_block(&w, w.forward, &forward);
  if (w.input) carve_block(&w, w.input, &input);
  return forward.used > input.used ? forward.used : input.used;
}

void thaw_winograd_refresh(const thaw_layer *layer, void *workspace, bool backward, void *block) {
  thaw_conv_workspace *w = workspace;
  thaw_carver carver = {.base = block};
  const thaw_conv *conv = backward ? w->input : w->forward;
  if (!conv) return;
  carve_block(w, conv, &carver);
  if (w->few) return;
  if (backward)
    thaw_conv_pack_turned(conv, layer->param[0].value, w->packed);
  else
    thaw_conv_pack(conv, layer->param[0].value, thaw_layer_value(layer, "bias"), NULL, NULL, w->packed);
}

void thaw_winograd_forward(const thaw_layer *layer, const thaw_layer_io *io) {
  const thaw_conv_workspace *w = io->workspace;
  float *z = thaw_conv_keeps_logits(layer) && io->saved ? io->saved : io->y;
  if (w->few)
    thaw_conv_run_live(w->forward, layer->param[0].value, thaw_layer_value(layer, "bias"), false, io->x[0], io->n, z,
                       w->scratch);
  else
    thaw_conv_run(w->forward, w->packed, io->x[0], io->n, NULL, z, w->scratch);
  if (io->after) thaw_epilogue_run(io->isa, io->after, (size_t)io->n * thaw_conv_pixels(layer), layer->output.c, z);
  if (!thaw_conv_fuses(layer))
    thaw_activate(io->isa, (thaw_activation)thaw_conv_config(layer)->activation, z,
                  (size_t)io->n * thaw_conv_pixels(layer), layer->output.c, io->y);
}

void thaw_winograd_input_gradient(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *dx) {
  const thaw_conv_workspace *w = io->workspace;
  if (w->few)
    thaw_conv_run_live(w->input, layer->param[0].value, NULL, true, dz, io->n, dx, w->scratch);
  else
    thaw_conv_run(w->input, w->packed, dz, io->n, NULL, dx, w->scratch);
}

/* ------------------------------------------------------------------ kernel gradient */

size_t thaw_winograd_scratch_bytes(const thaw_layer *layer, const thaw_isa *isa, int32_t n) {
  thaw_conv_desc desc = thaw_layer_conv_desc(layer);
  return thaw_conv_gradient_scratch_bytes(isa, &desc, n);
}

void thaw_winograd_kernel_gradient(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *gradient,
                                   void *scratch) {
  thaw_conv_desc desc = thaw_layer_conv_desc(layer);
  thaw_conv_gradient(io->isa, &desc, io->x[0], dz, io->n, gradient, scratch);
}
