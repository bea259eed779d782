/* conv_private.h: what Conv2D and DepthwiseConv2D share. */
#ifndef THAW_CONV_PRIVATE_H
#define THAW_CONV_PRIVATE_H

#include "layer/layer_private.h"

/* The options of conv2d; those of depthwise_conv2d are the seven after `filters`. */
extern const thaw_field thaw_conv2d_fields[];
enum { THAW_DEPTHWISE_FIELDS_AT = 1, THAW_DEPTHWISE_FIELD_COUNT = 7 };

const thaw_conv2d_config *thaw_conv_config(const thaw_layer *layer);
/* Fills in defaults that follow other options and infers the output size. */
thaw_status thaw_conv_infer(thaw_layer *layer, const thaw_shape *input, int32_t channels, thaw_shape *output);
size_t thaw_conv_pixels(const thaw_layer *layer); /* of one output map */
bool thaw_conv_keeps_logits(const thaw_layer *layer);
size_t thaw_conv_saved_bytes(const thaw_layer *layer);
/* True for activations that kernels fuse. */
bool thaw_conv_fuses(const thaw_layer *layer);
/* z (pre-activation, may be y) -> y = activation(z + bias), or what io->after asks for. */
void thaw_conv_finish(const thaw_layer *layer, const thaw_layer_io *io, float *z);
void thaw_conv_activation_backward(const thaw_layer *layer, const thaw_layer_io *io, float *dy);
void thaw_conv_bias_gradient(const thaw_layer *layer, int32_t n, const float *dz, float *out);
/* The JSON members that both have. */
void thaw_conv_keras_config(const thaw_layer *layer, thaw_text *json);

/* ------------------------------------------------------------------ depthwise: kernel [kh][kw][c] */
size_t thaw_depthwise_scratch_bytes(const thaw_layer *layer);
void thaw_depthwise_forward(const thaw_layer *layer, int32_t n, const float *x, const float *kernel, float *y,
                            void *scratch);
void thaw_depthwise_input_gradient(const thaw_layer *layer, int32_t n, const float *dy, const float *kernel, float *dx,
                                   void *scratch);
void thaw_depthwise_kernel_gradient(const thaw_layer *layer, int32_t n, const float *x, const float *dy,
                                    float *gradient);

/* ------------------------------------------------------------------ 3x3, stride 1, in Winograd's domain */
typedef struct thaw_conv_workspace thaw_conv_workspace;
bool thaw_winograd_serves(const thaw_layer *layer);
thaw_status thaw_winograd_create(const thaw_layer *layer, const thaw_isa *isa, thaw_arena *arena, bool backward,
                                 void **out);
size_t thaw_winograd_workspace_bytes(const void *workspace);
void thaw_winograd_refresh(const thaw_layer *layer, void *workspace, bool backward, void *block);
void thaw_winograd_destroy(void *workspace);
void thaw_winograd_forward(const thaw_layer *layer, const thaw_layer_io *io);
void thaw_winograd_input_gradient(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *dx);
size_t thaw_winograd_scratch_bytes(const thaw_layer *layer, const thaw_isa *isa, int32_t n);
void thaw_winograd_kernel_gradient(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *gradient,
                                   void *scratch);

#endif
