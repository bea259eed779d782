/* conv_private.h: what Conv2D and DepthwiseConv2D share. */
#ifndef THAW_CONV_PRIVATE_H
#define THAW_CONV_PRIVATE_H

#include "layer/layer_private.h"

const thaw_conv2d_config *thaw_conv_config(const thaw_layer *layer);
/* Fills in defaults that follow other options and infers the output size. */
thaw_status thaw_conv_infer(thaw_layer *layer, const thaw_shape *input, int32_t channels, thaw_shape *output);
size_t thaw_conv_pixels(const thaw_layer *layer); /* of one output map */
bool thaw_conv_keeps_logits(const thaw_layer *layer);
size_t thaw_conv_saved_bytes(const thaw_layer *layer);
/* z (pre-activation, may be y) -> y = activation(z + bias). */
void thaw_conv_finish(const thaw_layer *layer, const thaw_layer_io *io, float *z);
/* dz = dy through the activation; dy itself when there is none. */
const float *thaw_conv_dz(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *scratch);
void thaw_conv_bias_gradient(const thaw_layer *layer, int32_t n, const float *dz, float *out);
/* The JSON members that both have. */
void thaw_conv_keras_config(const thaw_layer *layer, thaw_text *json);

#endif
