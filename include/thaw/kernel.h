/* kernel.h: pure arithmetic. float32, NHWC tensors, HWIO convolution weights (Keras' own orders).
 *
 * Letters: n images, h w height and width, c input channels, k output channels, kh kw kernel height and width.
 * Every output element is one fused-multiply-add chain in a fixed order, so its bits depend neither on batch, tile and
 * thread nor on the vector width: the AVX2 and the AVX-512 variant give the same bits. Kernels cannot fail and do not
 * allocate. All functions are [local]. thaw_ref_* are the slow, obvious twins (sums in double).
 */
#ifndef THAW_KERNEL_H
#define THAW_KERNEL_H

#include "thaw/rng.h"
#include "thaw/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A table of microkernels for one instruction set; immutable. */
typedef struct thaw_isa thaw_isa;

/* The best variant for this CPU. `wanted` is NULL, "avx2" or "avx512"; THAW_ERR_RUN with advice when the CPU lacks it.
 */
thaw_status thaw_isa_select(const char *wanted, const thaw_isa **out) THAW_CHECKED;
const char *thaw_isa_name(const thaw_isa *isa);

typedef enum thaw_activation {
  THAW_LINEAR,
  THAW_RELU,
  THAW_RELU6,
  THAW_SIGMOID,
  THAW_TANH,
  THAW_SOFTMAX, /* over the last axis */
  THAW_SWISH,
  THAW_ELU, /* alpha 1 */
  THAW_SELU,
  THAW_GELU,         /* x times the normal distribution's function, not its approximation by tanh */
  THAW_HARD_SIGMOID, /* relu6(x + 3) / 6 */
  THAW_HARD_SILU,    /* x hard_sigmoid(x) */
  THAW_LEAKY_RELU    /* slope 0.2 */
} thaw_activation;
/* Whether thaw_activate_backward reads x and not only y. */
bool thaw_activation_needs_input(thaw_activation activation);
extern const char *const thaw_activation_names[]; /* "linear", "relu", "relu6", ... NULL-terminated */

/* Raised with every change of the frozen kernels' bits: part of the feature cache's key (tests/kernel/test_revision.c).
 */
enum { THAW_KERNEL_REVISION = 1 };

/* ------------------------------------------------------------------ frozen convolutions: packed once, run often */
typedef enum thaw_conv_algorithm {
  THAW_CONV_AUTO,
  THAW_CONV_WINOGRAD, /* F(4x4,3x3) */
  THAW_CONV_GEMM,     /* implicit packed GEMM, any kernel and stride */
  THAW_CONV_FIRST,    /* few input channels */
  THAW_CONV_DEPTHWISE
} thaw_conv_algorithm;

typedef struct thaw_conv_desc {
  int32_t h, w, c; /* one input image */
  int32_t k;       /* output channels; depthwise: equals c (depth multiplier 1) */
  int32_t kh, kw, stride_h, stride_w;
  int32_t pad_top, pad_left, pad_bottom, pad_right; /* zeros around the input */
  bool depthwise;
  thaw_activation activation; /* LINEAR, RELU, RELU6 or SWISH, applied last (after bias and residual) */
  bool residual;              /* y = activation(conv + bias + residual), residual shaped as the output */
  bool pool;                  /* a 2x2 stride-2 valid max pooling fused after the activation */
  bool prologue;              /* x is first mapped to relu(x * scale[c] + shift[c]) (pre-activation networks) */
  int32_t x_stride, y_stride; /* floats between neighbouring pixels of x and y; 0: dense (c and k). DenseNet writes its
                                 channels into one wide buffer */
  thaw_conv_algorithm algorithm;
} thaw_conv_desc;

typedef struct thaw_conv thaw_conv;

/* Chooses algorithm and block sizes. No weights yet. */
thaw_status thaw_conv_create(const thaw_isa *isa, const thaw_conv_desc *desc, thaw_conv **out) THAW_CHECKED;
void thaw_conv_destroy(thaw_conv *conv);                                           /* accepts NULL */
const char *thaw_conv_algorithm_name(const thaw_conv *conv);                       /* "winograd 4x4", "gemm", ... */
void thaw_conv_output(const thaw_conv_desc *desc, int32_t *h_out, int32_t *w_out); /* after the fused pooling, if any */
double thaw_conv_flops(const thaw_conv_desc *desc);    /* textbook floating-point operations per image */
size_t thaw_conv_packed_bytes(const thaw_conv *conv);  /* size of the packed weights */
size_t thaw_conv_scratch_bytes(const thaw_conv *conv); /* per calling thread */

/* kernel [kh][kw][c][k] (depthwise [kh][kw][c]), bias [k] or NULL, scale/shift [c] only with `prologue`. Writes the
 * packed form, which may then be shared read-only between processes. */
void thaw_conv_pack(const thaw_conv *conv, const float *kernel, const float *bias, const float *scale,
                    const float *shift, void *packed);

/* x [n][h][w][c] -> y [n][h'][w'][k]; residual [n][h''][w''][k] dense, as y before pooling, or NULL. x must not overlap
 * y except where x_stride/y_stride interleave disjoint channels of one buffer. */
void thaw_conv_run(const thaw_conv *conv, const void *packed, const float *x, int32_t n, const float *residual,
                   float *y, void *scratch);

/* Live 3x3 convolutions with strides 1 (algorithm WINOGRAD, no residual, pooling or prologue), whose weights change in
 * every step. `turned`: the kernel is [3][3][k][c] and is rotated by 180 degrees, as the input gradient wants it.
 * Either packed for many images, or transformed panel by panel while they are used, which is faster for few tiles
 * (small maps, at most 128 tiles an image), needs no packed block and fewer products: F(3, 3) where a map ends within a
 * tile. */
void thaw_conv_pack_turned(const thaw_conv *conv, const float *kernel, void *packed);
size_t thaw_conv_live_scratch_bytes(const thaw_conv *conv);
void thaw_conv_run_live(const thaw_conv *conv, const float *kernel, const float *bias, bool turned, const float *x,
                        int32_t n, float *y, void *scratch);

/* A depthwise convolution and the 1x1 convolution that reads it, band by band, so that what passes between them stays
 * in the cache. The descriptors are as for two calls of thaw_conv_run, which give the same bits, but the first has
 * y_stride and the second x_stride thaw_separable_stride. Neither may have a prologue, the first no residual and no
 * pooling, the second strides, padding or pooling. */
bool thaw_separable_fits(const thaw_conv_desc *depthwise, const thaw_conv_desc *pointwise);
int32_t thaw_separable_stride(int32_t c);
size_t thaw_separable_scratch_bytes(const thaw_conv *depthwise, const thaw_conv *pointwise);
void thaw_separable_run(const thaw_conv *depthwise, const void *depthwise_packed, const thaw_conv *pointwise,
                        const void *pointwise_packed, const float *x, int32_t n, const float *residual, float *y,
                        void *scratch);

/* y = conv as a plain loop, double sums, same descriptor (any algorithm). */
void thaw_ref_conv(const thaw_conv_desc *desc, const float *kernel, const float *bias, const float *scale,
                   const float *shift, const float *x, int32_t n, const float *residual, float *y);

/* Folds inference batch-norm into the convolution before it: kernel'[..][k] = kernel * g/sqrt(var+eps), bias' = beta +
 * (bias - mean) * g/sqrt(var+eps); computed in double. gamma/beta/bias may be NULL. `inner` = kh*kw*c (depthwise
 * kh*kw). */
void thaw_fold_batch_norm(const float *kernel, const float *bias, size_t inner, int32_t k, const float *gamma,
                          const float *beta, const float *mean, const float *variance, double epsilon,
                          float *kernel_out, float *bias_out);

/* ------------------------------------------------------------------ pooling and element-wise (frozen and live) */
typedef struct thaw_pool_desc {
  int32_t h, w, c, kh, kw, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right;
  bool average;               /* else maximum; an average counts real pixels only (TF SAME) */
  int32_t x_stride, y_stride; /* as in thaw_conv_desc */
} thaw_pool_desc;
void thaw_pool_output(const thaw_pool_desc *desc, int32_t *h_out, int32_t *w_out);
void thaw_pool(const thaw_isa *isa, const thaw_pool_desc *desc, const float *x, int32_t n, float *y);
void thaw_ref_pool(const thaw_pool_desc *desc, const float *x, int32_t n, float *y);
/* dx [n][h][w][c] += ; the maximum's gradient goes to the first maximum in row-major order (as TensorFlow on CPU). */
void thaw_pool_backward(const thaw_pool_desc *desc, const float *x, const float *dy, int32_t n, float *dx);

/* x [n][pixels][c] (pixel stride x_stride, 0 = c) -> y [n][c]: sums over pixels in one fixed chain per channel. */
void thaw_global_pool(const thaw_isa *isa, bool average, const float *x, int32_t n, int32_t pixels, int32_t c,
                      int32_t x_stride, float *y);
/* y[i] = activation(x[i] * scale[c] + shift[c] + add[i]); scale/shift/add may be NULL; y may be x. count = pixels. */
void thaw_affine(const thaw_isa *isa, thaw_activation activation, const float *x, const float *scale,
                 const float *shift, const float *add, size_t pixels, int32_t c, int32_t x_stride, int32_t y_stride,
                 float *y);

/* Activation on rows [rows][width]; y may be x. Softmax is per row. exp and tanh are the project's own so that they do
 * not depend on the C library: relative error below 2e-7. */
void thaw_activate(const thaw_isa *isa, thaw_activation activation, const float *x, size_t rows, int32_t width,
                   float *y);
/* dx = dy * f'(.), from the output y alone (swish: from x too); dx may be dy. */
void thaw_activate_backward(const thaw_isa *isa, thaw_activation activation, const float *x, const float *y,
                            const float *dy, size_t rows, int32_t width, float *dx);

/* What follows a convolution in one pass over its result, each value taking the steps of thaw_affine and thaw_activate:
 * y = activation((y + bias[c]) * scale[c] + shift[c] + add[i]), in place. bias and add may be NULL; the activation is
 * linear, relu or relu6. */
typedef struct thaw_epilogue {
  const float *bias, *scale, *shift, *add;
  thaw_activation activation;
} thaw_epilogue;
void thaw_epilogue_run(const thaw_isa *isa, const thaw_epilogue *epilogue, size_t pixels, int32_t c, float *y);
/* Back through it, with y its result and dz = dy * f'(y): dx = dz * scale[c], and dadd = dz or, with `accumulate`, +=
 * dz. dx or dadd may be NULL, and dx may be dy. */
void thaw_epilogue_backward(const thaw_isa *isa, const thaw_epilogue *epilogue, const float *y, const float *dy,
                            size_t pixels, int32_t c, float *dx, float *dadd, bool accumulate);

/* ------------------------------------------------------------------ weight gradient of a live 3x3 convolution
 * For strides 1 and any padding, not depthwise, by the adjoint of F(4x4,3x3): a quarter of the textbook
 * multiplications. Of the descriptor only sizes and padding count; x [n][h][w][c] and dy [n][h'][w'][k] are dense;
 * gradient [3][3][c][k] is overwritten with that of all n images together, whose bits are a function of shapes and
 * numbers alone. (Forward and input gradient are thaw_conv_run, the latter with the kernel turned round.) */
size_t thaw_conv_gradient_scratch_bytes(const thaw_isa *isa, const thaw_conv_desc *desc, int32_t n);
void thaw_conv_gradient(const thaw_isa *isa, const thaw_conv_desc *desc, const float *x, const float *dy, int32_t n,
                        float *gradient, void *scratch);

/* ------------------------------------------------------------------ matrix product for the live part
 * c [m][n] (row stride ldc) = op(a) [m][k] * op(b) [k][n] (+ c when `accumulate`): row-major, op = transpose when set.
 * Each element is one FMA chain over k in increasing order whatever m, n and the variant are. */
typedef struct thaw_gemm_desc {
  int32_t m, n, k;
  bool transpose_a, transpose_b, accumulate;
  int32_t lda, ldb, ldc;
} thaw_gemm_desc;
size_t thaw_gemm_scratch_bytes(const thaw_isa *isa, const thaw_gemm_desc *desc);
void thaw_gemm(const thaw_isa *isa, const thaw_gemm_desc *desc, const float *a, const float *b, float *c,
               void *scratch);
void thaw_ref_gemm(const thaw_gemm_desc *desc, const float *a, const float *b, float *c);

/* ------------------------------------------------------------------ weight gradients quantised in registers
 * For thaw_exact (comm.h): slice by slice (samples slice_start[s] .. slice_start[s+1]), sums[i] += round(factor * g)
 * with g the slice's gradient of value i; nearest, ties to even. `factor` is a power of two, or 0: then nothing is
 * added. Where |factor * g| is not below 2^51, or g not finite, the sums are undefined. */
typedef struct thaw_exact_terms {
  double factor;
  int64_t *sums;     /* [values of the parameter], NULL: not wanted */
  bool fresh;        /* what the sums held before does not count: they are overwritten */
  uint32_t *largest; /* [slices] overwritten with the slice's largest |g| as the bits of a float, at least 0x7f800000
                        when one is not finite */
} thaw_exact_terms;
/* Dense layer, i = row*k + column: each sample has `pixels` rows, and g is x^T [c][rows] * dy [rows][k] of the slice as
 * thaw_gemm would give it. x NULL: ones (c is 1), for biases. */
void thaw_dense_gradient_exact(const thaw_isa *isa, const float *x, const float *dy, const int32_t *slice_start,
                               int32_t slices, int32_t pixels, int32_t c, int32_t k, const thaw_exact_terms *terms);
/* Convolutions whose slices of up to `slice` samples are small enough: 1x1 without padding, with any strides, g as
 * thaw_gemm gives it, and 3x3 with strides 1, g as thaw_conv_gradient. x [samples][h][w][c] and dy [samples][h'][w'][k]
 * are dense. */
bool thaw_conv_gradient_exact_fits(const thaw_conv_desc *desc, int32_t slice);
size_t thaw_conv_gradient_exact_scratch_bytes(const thaw_isa *isa, const thaw_conv_desc *desc);
void thaw_conv_gradient_exact(const thaw_isa *isa, const thaw_conv_desc *desc, const float *x, const float *dy,
                              const int32_t *slice_start, int32_t slices, const thaw_exact_terms *terms, void *scratch);

/* mask[i] = all bits set when word i of the stream (thaw_random4: word i % 4 of draw i / 4) is at least `limit`, else
 * 0; i < count. */
void thaw_random_keep(const thaw_isa *isa, const thaw_draw *position, uint32_t limit, size_t count, uint32_t *mask);

/* y[i] = half(x[i]), round to nearest even, and back (F16C). */
void thaw_to_half(const float *x, size_t count, uint16_t *y);
void thaw_from_half(const uint16_t *x, size_t count, float *y);

#endif
