/* Conv2D in the live part: some images at a time as a matrix product of patches ("im2col", Chellapilla et al. 2006).
 *
 *     patches [pixels][kh kw c], kernel [kh kw c][k]:  y = patches * kernel
 *     dkernel = patches^T * dy,  dpatches = dy * kernel^T, added back to where the patches came from
 *
 * 3x3 convolutions with stride 1 go another way where they have a workspace (conv_winograd.c), and frozen ones do not
 * come here at all: thaw_plan packs their weights. */
#include "layer/conv_private.h"

#include <string.h>

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  const thaw_conv2d_config *config = layer->config;
  THAW_TRY(thaw_conv_infer(layer, input, config->filters, output));
  thaw_layer_param(layer, "kernel", THAW_PARAM_TRAINABLE, 4,
                   (int32_t[]){config->kernel_h, config->kernel_w, input->c, config->filters});
  layer->param[0].l1 = config->kernel_l1;
  layer->param[0].l2 = config->kernel_l2;
  if (config->use_bias) thaw_layer_param(layer, "bias", THAW_PARAM_TRAINABLE, 1, (int32_t[]){config->filters});
  return THAW_OK;
}

/* 1x1 with stride 1: the image is its own patch matrix. */
static bool is_pointwise(const thaw_conv_desc *d) {
  return d->kh == 1 && d->kw == 1 && d->stride_h == 1 && d->stride_w == 1 && !d->pad_top && !d->pad_left;
}

static int32_t patch_size(const thaw_conv_desc *d) {
  return d->kh * d->kw * d->c;
}

/* The kernel columns [*first, *last) that stay inside the image at output column ow. */
static void column_range(const thaw_conv_desc *d, int32_t ow, int32_t *first, int32_t *last) {
  int32_t left = ow * d->stride_w - d->pad_left;
  *first = left < 0 ? -left : 0;
  *last = left + d->kw > d->w ? d->w - left : d->kw;
  if (*last < *first) *last = *first;
}

static void gather(const thaw_conv_desc *d, int32_t out_h, int32_t out_w, const float *x, float *patches) {
  size_t c = (size_t)d->c, row = (size_t)d->kw * c;
  for (int32_t oh = 0; oh < out_h; oh++)
    for (int32_t ow = 0; ow < out_w; ow++)
      for (int32_t i = 0; i < d->kh; i++, patches += row) {
        int32_t h = oh * d->stride_h - d->pad_top + i, left = ow * d->stride_w - d->pad_left, first, last;
        column_range(d, ow, &first, &last);
        if (h < 0 || h >= d->h || first == last) {
          memset(patches, 0, row * sizeof(float));
          continue;
        }
        memset(patches, 0, (size_t)first * c * sizeof(float));
        memcpy(patches + (size_t)first * c, x + ((size_t)h * (size_t)d->w + (size_t)(left + first)) * c,
               (size_t)(last - first) * c * sizeof(float));
        memset(patches + (size_t)last * c, 0, (size_t)(d->kw - last) * c * sizeof(float));
      }
}

static void scatter_add(const thaw_conv_desc *d, int32_t out_h, int32_t out_w, const float *patches, float *x) {
  size_t c = (size_t)d->c, row = (size_t)d->kw * c;
  for (int32_t oh = 0; oh < out_h; oh++)
    for (int32_t ow = 0; ow < out_w; ow++)
      for (int32_t i = 0; i < d->kh; i++, patches += row) {
        int32_t h = oh * d->stride_h - d->pad_top + i, left = ow * d->stride_w - d->pad_left, first, last;
        column_range(d, ow, &first, &last);
        if (h < 0 || h >= d->h) continue;
        float *to = x + ((size_t)h * (size_t)d->w + (size_t)(left + first)) * c;
        const float *from = patches + (size_t)first * c;
        for (size_t j = 0; j < (size_t)(last - first) * c; j++) to[j] += from[j];
      }
}

/* Images whose patches go into one matrix product: small maps alone would leave its blocks half empty. Pointwise needs
 * no patches and takes all images at once. Each element is one chain whatever the grouping. */
static int32_t group_size(const thaw_layer *layer, const thaw_conv_desc *d, int32_t n) {
  enum { WANTED_ROWS = 384 };
  size_t pixels = thaw_conv_pixels(layer);
  int32_t group = (int32_t)((WANTED_ROWS + pixels - 1) / pixels);
  return is_pointwise(d) || group > n ? n : group;
}

static thaw_gemm_desc forward_gemm(const thaw_layer *layer, const thaw_conv_desc *d, int32_t images) {
  return (thaw_gemm_desc){.m = images * (int32_t)thaw_conv_pixels(layer),
                          .n = d->k,
                          .k = patch_size(d),
                          .lda = patch_size(d),
                          .ldb = d->k,
                          .ldc = d->k};
}

static thaw_gemm_desc input_gemm(const thaw_layer *layer, const thaw_conv_desc *d, int32_t images) {
  return (thaw_gemm_desc){.m = images * (int32_t)thaw_conv_pixels(layer),
                          .n = patch_size(d),
                          .k = d->k,
                          .transpose_b = true,
                          .lda = d->k,
                          .ldb = d->k,
                          .ldc = patch_size(d)};
}

static thaw_gemm_desc kernel_gemm(const thaw_layer *layer, const thaw_conv_desc *d, int32_t images, bool accumulate) {
  return (thaw_gemm_desc){.m = patch_size(d),
                          .n = d->k,
                          .k = images * (int32_t)thaw_conv_pixels(layer),
                          .transpose_a = true,
                          .accumulate = accumulate,
                          .lda = patch_size(d),
                          .ldb = d->k,
                          .ldc = d->k};
}

typedef struct conv_scratch {
  float *patches;
  void *gemm, *winograd, *exact;
} conv_scratch;

/* Whether slices of up to `slice` samples go back together. */
static bool slices_fit(const thaw_layer *layer, int32_t slice) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  return (d.kh == 1 || thaw_winograd_serves(layer)) && thaw_conv_gradient_exact_fits(&d, slice);
}

static size_t gemm_scratch(const thaw_layer *layer, const thaw_isa *isa, int32_t images) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  thaw_gemm_desc descs[] = {forward_gemm(layer, &d, images), input_gemm(layer, &d, images),
                            kernel_gemm(layer, &d, images, true)};
  size_t most = 0;
  for (int i = 0; i < 3; i++)
    for (int32_t few = 0; few < 2; few++) { /* the last group may be smaller, and have few rows */
      size_t bytes = thaw_gemm_scratch_bytes(isa, &descs[i]);
      if (bytes > most) most = bytes;
      if (i < 2) descs[i].m = 1;
    }
  return most;
}

/* The ways never run at the same time, so they share their room. */
static conv_scratch carve(const thaw_layer *layer, const thaw_isa *isa, int32_t n, thaw_carver *carver) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  conv_scratch scratch = {0};
  size_t images = (size_t)group_size(layer, &d, n);
  thaw_carver other = *carver, exact = *carver;
  if (!is_pointwise(&d))
    scratch.patches = thaw_carve(carver, images * thaw_conv_pixels(layer) * (size_t)patch_size(&d) * sizeof(float));
  scratch.gemm = thaw_carve(carver, gemm_scratch(layer, isa, (int32_t)images));
  if (thaw_winograd_serves(layer)) {
    scratch.winograd = thaw_carve(&other, thaw_winograd_scratch_bytes(layer, isa, n));
    if (other.used > carver->used) carver->used = other.used;
  }
  if (slices_fit(layer, 1)) {
    scratch.exact = thaw_carve(&exact, thaw_conv_gradient_exact_scratch_bytes(isa, &d));
    if (exact.used > carver->used) carver->used = exact.used;
  }
  return scratch;
}

static size_t scratch_bytes(const thaw_layer *layer, const thaw_isa *isa, int32_t n) {
  thaw_carver carver = {0};
  carve(layer, isa, n, &carver);
  return carver.used;
}

/* The patches of `images` images: x itself when pointwise. */
static const float *patches_of(const thaw_layer *layer, const thaw_conv_desc *d, const float *x, int32_t images,
                               float *patches) {
  size_t in = thaw_shape_count(layer->input[0]), rows = thaw_conv_pixels(layer) * (size_t)patch_size(d);
  if (is_pointwise(d)) return x;
  for (int32_t i = 0; i < images; i++)
    gather(d, layer->output.h, layer->output.w, x + (size_t)i * in, patches + (size_t)i * rows);
  return patches;
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  if (io->workspace) {
    thaw_winograd_forward(layer, io);
    return;
  }
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  thaw_carver carver = {.base = io->scratch};
  conv_scratch scratch = carve(layer, io->isa, io->n, &carver);
  size_t in = thaw_shape_count(layer->input[0]), out = thaw_shape_count(layer->output);
  int32_t group = group_size(layer, &d, io->n);
  float *z = thaw_conv_keeps_logits(layer) && io->saved ? io->saved : io->y;
  for (int32_t i = 0; i < io->n; i += group) {
    int32_t images = io->n - i < group ? io->n - i : group;
    const float *patches = patches_of(layer, &d, io->x[0] + (size_t)i * in, images, scratch.patches);
    thaw_gemm_desc desc = forward_gemm(layer, &d, images);
    thaw_gemm(io->isa, &desc, patches, layer->param[0].value, z + (size_t)i * out, scratch.gemm);
  }
  thaw_conv_finish(layer, io, z);
}

static void backward_kernel(const thaw_layer *layer, const thaw_layer_io *io, const float *dz,
                            const conv_scratch *scratch, float *gradient) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  size_t in = thaw_shape_count(layer->input[0]), out = thaw_shape_count(layer->output);
  int32_t group = group_size(layer, &d, io->n);
  for (int32_t i = 0; i < io->n; i += group) {
    int32_t images = io->n - i < group ? io->n - i : group;
    const float *patches = patches_of(layer, &d, io->x[0] + (size_t)i * in, images, scratch->patches);
    thaw_gemm_desc desc = kernel_gemm(layer, &d, images, i > 0);
    thaw_gemm(io->isa, &desc, patches, dz + (size_t)i * out, gradient, scratch->gemm);
  }
}

static void backward_input(const thaw_layer *layer, const thaw_layer_io *io, const float *dz,
                           const conv_scratch *scratch, float *dx) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  size_t in = thaw_shape_count(layer->input[0]), out = thaw_shape_count(layer->output);
  size_t rows = thaw_conv_pixels(layer) * (size_t)patch_size(&d);
  int32_t group = group_size(layer, &d, io->n);
  bool scatter = !is_pointwise(&d);
  if (scatter) memset(dx, 0, (size_t)io->n * in * sizeof(float));
  for (int32_t i = 0; i < io->n; i += group) {
    int32_t images = io->n - i < group ? io->n - i : group;
    float *patches = scatter ? scratch->patches : dx + (size_t)i * in;
    thaw_gemm_desc desc = input_gemm(layer, &d, images);
    thaw_gemm(io->isa, &desc, dz + (size_t)i * out, layer->param[0].value, patches, scratch->gemm);
    for (int32_t j = 0; scatter && j < images; j++)
      scatter_add(&d, layer->output.h, layer->output.w, patches + (size_t)j * rows, dx + (size_t)(i + j) * in);
  }
}

static void input_gradient(const thaw_layer *layer, const thaw_layer_io *io, const float *dz,
                           const conv_scratch *scratch, float *dx) {
  if (dx && io->workspace)
    thaw_winograd_input_gradient(layer, io, dz, dx);
  else if (dx)
    backward_input(layer, io, dz, scratch, dx);
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *const *dx,
                     float *const *gradient) {
  thaw_carver carver = {.base = io->scratch};
  conv_scratch scratch = carve(layer, io->isa, io->n, &carver);
  if (gradient[0] && io->workspace)
    thaw_winograd_kernel_gradient(layer, io, dz, gradient[0], scratch.winograd);
  else if (gradient[0])
    backward_kernel(layer, io, dz, &scratch, gradient[0]);
  if (layer->params > 1 && gradient[1]) thaw_conv_bias_gradient(layer, io->n, dz, gradient[1]);
  input_gradient(layer, io, dz, &scratch, dx[0]);
}

static void backward_slices(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *const *dx,
                            const int32_t *slice_start, int32_t slices, const thaw_exact_terms *terms) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  thaw_carver carver = {.base = io->scratch};
  conv_scratch scratch = carve(layer, io->isa, io->n, &carver);
  if (terms[0].sums) thaw_conv_gradient_exact(io->isa, &d, io->x[0], dz, slice_start, slices, &terms[0], scratch.exact);
  if (layer->params > 1 && terms[1].sums)
    thaw_dense_gradient_exact(io->isa, NULL, dz, slice_start, slices, (int32_t)thaw_conv_pixels(layer), 1, d.k,
                              &terms[1]);
  input_gradient(layer, io, dz, &scratch, dx[0]);
}

static void initialize(thaw_layer *layer, uint64_t seed) {
  const thaw_param *kernel = &layer->param[0];
  double field = (double)kernel->dim[0] * kernel->dim[1];
  thaw_layer_fill(kernel->value, thaw_param_count(kernel), THAW_GLOROT_UNIFORM, field * kernel->dim[2],
                  field * kernel->dim[3], seed, layer->index, 0);
  if (layer->params > 1)
    thaw_layer_fill(layer->param[1].value, (size_t)layer->output.c, THAW_ZEROS, 1, 1, seed, layer->index, 1);
}

static double flops(const thaw_layer *layer) {
  thaw_conv_desc desc = thaw_layer_conv_desc(layer);
  return 2.0 * (double)thaw_shape_count(layer->output) * patch_size(&desc);
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  const thaw_conv2d_config *config = layer->config;
  thaw_text_add(json, ", \"filters\": %d", config->filters);
  thaw_conv_keras_config(layer, json);
  thaw_layer_json_regularizer(json, "kernel_regularizer", config->kernel_l1, config->kernel_l2);
}

const thaw_field thaw_conv2d_fields[] = {
    {.name = "filters",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_conv2d_config, filters),
     .low = 1,
     .high = 1 << 20,
     .required = true,
     .help = "output channels"},
    {.name = "kernel_size",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_conv2d_config, kernel_h),
     .low = 1,
     .high = 255,
     .required = true,
     .help = "height and width of the kernel"},
    {.name = "kernel_width",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_conv2d_config, kernel_w),
     .low = 0,
     .high = 255,
     .fallback = 0,
     .help = "width of the kernel; 0: as kernel_size"},
    {.name = "strides",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_conv2d_config, stride_h),
     .low = 1,
     .high = 255,
     .fallback = 1,
     .help = "step of the kernel"},
    {.name = "stride_width",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_conv2d_config, stride_w),
     .low = 0,
     .high = 255,
     .fallback = 0,
     .help = "horizontal step; 0: as strides"},
    {.name = "padding",
     .kind = THAW_FIELD_CHOICE,
     .offset = offsetof(thaw_conv2d_config, padding),
     .choices = thaw_padding_names,
     .fallback = THAW_VALID,
     .help = "whether the kernel may hang over the border"},
    {.name = "activation",
     .kind = THAW_FIELD_CHOICE,
     .offset = offsetof(thaw_conv2d_config, activation),
     .choices = thaw_activation_names,
     .fallback = THAW_LINEAR,
     .help = "applied to the result"},
    {.name = "use_bias",
     .kind = THAW_FIELD_BOOL,
     .offset = offsetof(thaw_conv2d_config, use_bias),
     .fallback = 1,
     .help = "whether a bias is added"},
    {.name = "kernel_l1",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(thaw_conv2d_config, kernel_l1),
     .low = 0,
     .high = 1e6,
     .help = "L1 regularisation of the kernel"},
    {.name = "kernel_l2",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(thaw_conv2d_config, kernel_l2),
     .low = 0,
     .high = 1e6,
     .help = "L2 regularisation of the kernel"},
};
const thaw_schema thaw_conv2d_schema = {.name = "conv2d",
                                        .size = sizeof(thaw_conv2d_config),
                                        .fields = thaw_conv2d_fields,
                                        .count = FIELD_COUNT(thaw_conv2d_fields),
                                        .help = "convolution"};
const thaw_layer_ops thaw_layer_conv2d = {.schema = &thaw_conv2d_schema,
                                          .keras_class = "Conv2D",
                                          .min_inputs = 1,
                                          .max_inputs = 1,
                                          .infer = infer,
                                          .forward = forward,
                                          .backward = backward,
                                          .backward_slices = backward_slices,
                                          .slices_fit = slices_fit,
                                          .activation_backward = thaw_conv_activation_backward,
                                          .saved_bytes = thaw_conv_saved_bytes,
                                          .scratch_bytes = scratch_bytes,
                                          .workspace_create = thaw_winograd_create,
                                          .workspace_bytes = thaw_winograd_workspace_bytes,
                                          .workspace_refresh = thaw_winograd_refresh,
                                          .workspace_destroy = thaw_winograd_destroy,
                                          .initialize = initialize,
                                          .flops = flops,
                                          .keras_config = keras_config};
