/* EfficientNetB0 to B3 (Tan and Le, 2019) as keras.applications builds them with weights="imagenet": the scaling of the
 * input is part of the network, and a second rescaling makes up for a standard deviation that the official files hold
 * where a variance belongs. A file without that history is read as a model of its own. */
#include "zoo/builder.h"

#include <math.h>

enum { SQUEEZE = 4 }; /* the squeezed width is the block's input width divided by this */

typedef struct block_options {
  int32_t kernel, in, out, expansion, stride;
  double drop; /* of whole samples, in training; a frozen network drops nothing */
} block_options;

static void conv(thaw_builder *b, const char *name, int32_t filters, thaw_activation activation, bool use_bias) {
  thaw_build_conv(b, name,
                  (thaw_build_conv_options){.filters = filters,
                                            .kernel = 1,
                                            .padding = THAW_SAME,
                                            .activation = (int32_t)activation,
                                            .use_bias = use_bias});
}

static void expand(thaw_builder *b, int32_t filters) {
  conv(b, "expand_conv", filters, THAW_LINEAR, false);
  thaw_build_batch_norm(b, "expand_bn");
  thaw_build_activation(b, "expand_activation", THAW_SWISH);
}

static void squeeze_and_excite(thaw_builder *b, int32_t filters, int32_t squeezed) {
  int32_t input = b->last;
  thaw_reshape_config pixel = {.target = {.rank = 3, .h = 1, .w = 1, .c = filters}};
  thaw_build(b, "global_average_pooling", NULL, "se_squeeze");
  thaw_build(b, "reshape", &pixel, "se_reshape");
  conv(b, "se_reduce", squeezed, THAW_SWISH, true);
  conv(b, "se_expand", filters, THAW_SIGMOID, true);
  thaw_build_join(b, "multiply", "se_excite", input, b->last);
}

static void block(thaw_builder *b, block_options o) {
  int32_t input = b->last, filters = o.in * o.expansion, squeezed = o.in / SQUEEZE;
  if (o.expansion > 1) expand(b, filters);
  if (o.stride == 2) thaw_build_pad_for_stride(b, "dwconv_pad", o.kernel);
  thaw_build_depthwise(b, "dwconv", o.kernel, o.stride, o.stride == 2 ? THAW_VALID : THAW_SAME);
  thaw_build_batch_norm(b, "bn");
  thaw_build_activation(b, "activation", THAW_SWISH);
  squeeze_and_excite(b, filters, squeezed > 1 ? squeezed : 1);
  conv(b, "project_conv", o.out, THAW_LINEAR, false);
  thaw_build_batch_norm(b, "project_bn");
  if (o.stride != 1 || o.in != o.out) return;
  thaw_dropout_config drop = {.rate = o.drop, .whole_samples = true};
  if (o.drop > 0) thaw_build(b, "dropout", &drop, "drop");
  thaw_build_join(b, "add", "add", b->last, input);
}

static void stem(thaw_builder *b, int32_t filters) {
  thaw_rescaling_config bytes = {.scale = {1.0 / 255}, .scales = 1, .offsets = 1};
  thaw_rescaling_config roots = {
      .scale = {1 / sqrt(0.229), 1 / sqrt(0.224), 1 / sqrt(0.225)}, .scales = 3, .offsets = 1};
  thaw_build(b, "rescaling", &bytes, NULL);
  thaw_build(b, "normalization", NULL, NULL);
  if (b->status == THAW_OK && thaw_build_shape(b).c != 3) roots.scales = 1; /* the mean of the three */
  if (roots.scales == 1) roots.scale[0] = (roots.scale[0] + roots.scale[1] + roots.scale[2]) / 3;
  thaw_build(b, "rescaling", &roots, NULL);
  thaw_build_pad_for_stride(b, "stem_conv_pad", 3);
  thaw_build_conv(b, "stem_conv", (thaw_build_conv_options){.filters = filters, .kernel = 3, .stride = 2});
  thaw_build_batch_norm(b, "stem_bn");
  thaw_build_activation(b, "stem_activation", THAW_SWISH);
}

static const int32_t stages[7][6] = {/* kernel, blocks, in, out, expansion, stride */
                                     {3, 1, 32, 16, 1, 1},  {3, 2, 16, 24, 6, 2},  {5, 2, 24, 40, 6, 2},
                                     {3, 3, 40, 80, 6, 2},  {5, 3, 80, 112, 6, 1}, {5, 4, 112, 192, 6, 2},
                                     {3, 1, 192, 320, 6, 1}};

static int32_t repeats(const thaw_architecture *self, int32_t stage) {
  return (int32_t)ceil(self->depth_scale * stages[stage][1]);
}

static thaw_status build(const thaw_architecture *self, thaw_graph *graph, int32_t *last_out) {
  thaw_builder b = {.graph = graph, .epsilon = 1e-3, .momentum = 0.99};
  int32_t blocks = 0, index = 0;
  for (int32_t s = 0; s < 7; s++) blocks += repeats(self, s);
  stem(&b, thaw_build_round(32 * self->width));
  for (int32_t s = 0; s < 7; s++)
    for (int32_t i = 0; i < repeats(self, s); i++) {
      const int32_t *row = stages[s];
      int32_t out = thaw_build_round(row[3] * self->width);
      thaw_build_prefix(&b, "block%d%c_", s + 1, 'a' + i);
      block(&b, (block_options){.kernel = row[0],
                                .in = i ? out : thaw_build_round(row[2] * self->width),
                                .out = out,
                                .expansion = row[4],
                                .stride = i ? 1 : row[5],
                                .drop = 0.2 * index++ / blocks});
    }
  thaw_build_prefix(&b, "top_");
  conv(&b, "conv", thaw_build_round(1280 * self->width), THAW_LINEAR, false);
  thaw_build_batch_norm(&b, "bn");
  thaw_build_activation(&b, "activation", THAW_SWISH);
  *last_out = b.last;
  return b.status;
}

const thaw_architecture thaw_efficientnetb0 = {.name = "efficientnetb0",
                                               .title = "EfficientNetB0",
                                               .preprocessing = THAW_PREPROCESS_RAW,
                                               .default_size = 224,
                                               .minimum_size = 32,
                                               .parameters = 4049571,
                                               .weights_url = "efficientnetb0_notop.h5",
                                               .width = 1.0,
                                               .depth_scale = 1.0,
                                               .build = build};
const thaw_architecture thaw_efficientnetb1 = {.name = "efficientnetb1",
                                               .title = "EfficientNetB1",
                                               .preprocessing = THAW_PREPROCESS_RAW,
                                               .default_size = 240,
                                               .minimum_size = 32,
                                               .parameters = 6575239,
                                               .weights_url = "efficientnetb1_notop.h5",
                                               .width = 1.0,
                                               .depth_scale = 1.1,
                                               .build = build};
const thaw_architecture thaw_efficientnetb2 = {.name = "efficientnetb2",
                                               .title = "EfficientNetB2",
                                               .preprocessing = THAW_PREPROCESS_RAW,
                                               .default_size = 260,
                                               .minimum_size = 32,
                                               .parameters = 7768569,
                                               .weights_url = "efficientnetb2_notop.h5",
                                               .width = 1.1,
                                               .depth_scale = 1.2,
                                               .build = build};
const thaw_architecture thaw_efficientnetb3 = {.name = "efficientnetb3",
                                               .title = "EfficientNetB3",
                                               .preprocessing = THAW_PREPROCESS_RAW,
                                               .default_size = 300,
                                               .minimum_size = 32,
                                               .parameters = 10783535,
                                               .weights_url = "efficientnetb3_notop.h5",
                                               .width = 1.2,
                                               .depth_scale = 1.4,
                                               .build = build};
