/* Cosine dense: y_j = cos(angle between x and column j of W) = x . W_j / (|x| |W_j|), the last layer under the margin
 * losses (J. Deng et al., "ArcFace", CVPR 2019; H. Wang et al., "CosFace", CVPR 2018): each column is the centre of a
 * class. It belongs to the training alone: an embedding ends before it. Keras has no such layer. */
#include "layer/layer_private.h"

#include <math.h>

static const thaw_cosine_dense_config *config_of(const thaw_layer *layer) {
  return layer->config;
}

static thaw_status infer(thaw_layer *layer, const thaw_shape *input, int32_t inputs, thaw_shape *output) {
  (void)inputs;
  char text[48];
  if (input->rank != 1)
    return thaw_fail(THAW_ERR_USAGE, "layer '%s': needs one row per sample, found shape %s", layer->name,
                     thaw_shape_text(*input, text));
  if (config_of(layer)->units < 1)
    return thaw_fail(THAW_ERR_USAGE, "layer '%s': units must be at least 1, found %d", layer->name,
                     config_of(layer)->units);
  *output = thaw_shape_vector(config_of(layer)->units);
  thaw_layer_param(layer, "kernel", THAW_PARAM_TRAINABLE, 2, (int32_t[]){input->c, output->c});
  return THAW_OK;
}

/* ------------------------------------------------------------------ arithmetic */

static thaw_gemm_desc forward_gemm(const thaw_layer *layer, int32_t n) {
  int32_t c = layer->input[0].c, k = layer->output.c;
  return (thaw_gemm_desc){.m = n, .n = k, .k = c, .lda = c, .ldb = k, .ldc = k};
}

static thaw_gemm_desc input_gemm(const thaw_layer *layer, int32_t n) {
  int32_t c = layer->input[0].c, k = layer->output.c;
  return (thaw_gemm_desc){.m = n, .n = c, .k = k, .transpose_b = true, .lda = k, .ldb = k, .ldc = c};
}

static thaw_gemm_desc kernel_gemm(const thaw_layer *layer, int32_t n) {
  int32_t c = layer->input[0].c, k = layer->output.c;
  return (thaw_gemm_desc){.m = c, .n = k, .k = n, .transpose_a = true, .lda = c, .ldb = k, .ldc = k};
}

typedef struct workplace {
  double *row, *column; /* [n], [k]: 1 / |x_i|, 1 / |W_j| */
  double *along;        /* [k] */
  float *dz;            /* [n][k] */
  void *gemm;
} workplace;

static size_t place(const thaw_layer *layer, const thaw_isa *isa, int32_t n, void *base, workplace *out) {
  thaw_gemm_desc descs[] = {forward_gemm(layer, n), input_gemm(layer, n), kernel_gemm(layer, n)};
  size_t most = 0, k = (size_t)layer->output.c;
  for (int i = 0; i < 3; i++) {
    size_t bytes = thaw_gemm_scratch_bytes(isa, &descs[i]);
    if (bytes > most) most = bytes;
  }
  thaw_carver carver = {.base = base};
  out->row = thaw_carve(&carver, (size_t)n * sizeof *out->row);
  out->column = thaw_carve(&carver, k * sizeof *out->column);
  out->along = thaw_carve(&carver, k * sizeof *out->along);
  out->dz = thaw_carve(&carver, (size_t)n * k * sizeof *out->dz);
  out->gemm = thaw_carve(&carver, most);
  return carver.used;
}

static size_t scratch_bytes(const thaw_layer *layer, const thaw_isa *isa, int32_t n) {
  workplace unused;
  return place(layer, isa, n, NULL, &unused);
}

/* 1 / sqrt(square) in place, 0 for a vector of zeros: its cosines are then 0 and it gets no gradient. */
static void invert(double *square, size_t count) {
  for (size_t i = 0; i < count; i++) square[i] = square[i] > 0 ? 1 / sqrt(square[i]) : 0;
}

static void row_norms(const float *x, size_t n, size_t c, double *out) {
  for (size_t i = 0; i < n; i++) {
    out[i] = 0;
    for (size_t j = 0; j < c; j++) out[i] += (double)x[i * c + j] * x[i * c + j];
  }
  invert(out, n);
}

static void column_norms(const float *w, size_t c, size_t k, double *out) {
  for (size_t j = 0; j < k; j++) out[j] = 0;
  for (size_t i = 0; i < c; i++)
    for (size_t j = 0; j < k; j++) out[j] += (double)w[i * k + j] * w[i * k + j];
  invert(out, k);
}

static void measure(const thaw_layer *layer, const thaw_layer_io *io, workplace *place_out) {
  size_t n = (size_t)io->n, c = (size_t)layer->input[0].c, k = (size_t)layer->output.c;
  place(layer, io->isa, io->n, io->scratch, place_out);
  row_norms(io->x[0], n, c, place_out->row);
  column_norms(layer->param[0].value, c, k, place_out->column);
}

static void forward(const thaw_layer *layer, const thaw_layer_io *io) {
  size_t n = (size_t)io->n, k = (size_t)layer->output.c;
  workplace w;
  measure(layer, io, &w);
  thaw_gemm_desc desc = forward_gemm(layer, io->n);
  thaw_gemm(io->isa, &desc, io->x[0], layer->param[0].value, io->y, w.gemm);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < k; j++) io->y[i * k + j] = (float)(io->y[i * k + j] * w.row[i] * w.column[j]);
}

/* With z = x W and dz_ij = dy_ij / (|x_i| |W_j|):
 *   dx_i = sum_j dz_ij W_j - x_i / |x_i|^2 sum_j dy_ij y_ij
 *   dW_j = sum_i dz_ij x_i - W_j / |W_j|^2 sum_i dy_ij y_ij */
static void input_gradient(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, const workplace *w,
                           float *dx) {
  size_t n = (size_t)io->n, c = (size_t)layer->input[0].c, k = (size_t)layer->output.c;
  thaw_gemm_desc desc = input_gemm(layer, io->n);
  thaw_gemm(io->isa, &desc, w->dz, layer->param[0].value, dx, w->gemm);
  for (size_t i = 0; i < n; i++) {
    double along = 0;
    for (size_t j = 0; j < k; j++) along += (double)dy[i * k + j] * io->y[i * k + j];
    along *= w->row[i] * w->row[i];
    for (size_t j = 0; j < c; j++) dx[i * c + j] = (float)(dx[i * c + j] - io->x[0][i * c + j] * along);
  }
}

static void kernel_gradient(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, const workplace *w,
                            float *out) {
  size_t n = (size_t)io->n, c = (size_t)layer->input[0].c, k = (size_t)layer->output.c;
  const float *kernel = layer->param[0].value;
  thaw_gemm_desc desc = kernel_gemm(layer, io->n);
  thaw_gemm(io->isa, &desc, io->x[0], w->dz, out, w->gemm);
  for (size_t j = 0; j < k; j++) w->along[j] = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < k; j++) w->along[j] += (double)dy[i * k + j] * io->y[i * k + j];
  for (size_t j = 0; j < k; j++) w->along[j] *= w->column[j] * w->column[j];
  for (size_t i = 0; i < c; i++)
    for (size_t j = 0; j < k; j++) out[i * k + j] = (float)(out[i * k + j] - kernel[i * k + j] * w->along[j]);
}

static void backward(const thaw_layer *layer, const thaw_layer_io *io, const float *dy, float *const *dx,
                     float *const *gradient) {
  size_t n = (size_t)io->n, k = (size_t)layer->output.c;
  workplace w;
  measure(layer, io, &w);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < k; j++) w.dz[i * k + j] = (float)(dy[i * k + j] * w.row[i] * w.column[j]);
  if (gradient[0]) kernel_gradient(layer, io, dy, &w, gradient[0]);
  if (dx[0]) input_gradient(layer, io, dy, &w, dx[0]);
}

static void initialize(thaw_layer *layer, uint64_t seed) {
  const thaw_param *kernel = &layer->param[0];
  thaw_layer_fill(kernel->value, thaw_param_count(kernel), THAW_GLOROT_UNIFORM, kernel->dim[0], kernel->dim[1], seed,
                  layer->index, 0);
}

static double flops(const thaw_layer *layer) {
  return 2.0 * layer->input[0].c * layer->output.c;
}

static void keras_config(const thaw_layer *layer, thaw_text *json) {
  thaw_text_add(json, ", \"units\": %d", config_of(layer)->units);
}

static const thaw_field fields[] = {
    {.name = "units",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(thaw_cosine_dense_config, units),
     .low = 1,
     .high = 1 << 24,
     .required = true,
     .help = "number of classes"},
};
const thaw_schema thaw_cosine_dense_schema = {
    .name = "cosine_dense",
    .size = sizeof(thaw_cosine_dense_config),
    .fields = fields,
    .count = FIELD_COUNT(fields),
    .help =
        "cosine with each of `units` trained class centres, last under arcface and cosface; no part of the embedding "
        "that export, embed and match use"};
const thaw_layer_ops thaw_layer_cosine_dense = {.schema = &thaw_cosine_dense_schema,
                                                .keras_class = "CosineDense",
                                                .min_inputs = 1,
                                                .max_inputs = 1,
                                                .infer = infer,
                                                .forward = forward,
                                                .backward = backward,
                                                .scratch_bytes = scratch_bytes,
                                                .initialize = initialize,
                                                .flops = flops,
                                                .keras_config = keras_config};
