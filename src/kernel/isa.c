/* isa.c: choice of the instruction set, and the public functions that only go through its table. */
#include "kernel/kernel_private.h"
#include <cpuid.h>
#include <string.h>

const char *const thaw_activation_names[] = {"linear",       "relu",      "relu6",      "sigmoid", "tanh",
                                             "softmax",      "swish",     "elu",        "selu",    "gelu",
                                             "hard_sigmoid", "hard_silu", "leaky_relu", NULL};

bool thaw_activation_needs_input(thaw_activation activation) {
  return activation == THAW_SWISH || activation == THAW_GELU || activation == THAW_HARD_SILU;
}

static bool cpu_has_avx2(void) {
  unsigned a, b, c = 0, d;
  __builtin_cpu_init(); /* which asks the operating system, too; not every compiler's version knows f16c */
  bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
  return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool cpu_has_avx512(void) {
  __builtin_cpu_init();
  return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

thaw_status thaw_isa_select(const char *wanted, const thaw_isa **out) {
  if (wanted && strcmp(wanted, "avx2") != 0 && strcmp(wanted, "avx512") != 0)
    return thaw_fail(THAW_ERR_USAGE, "instruction set \"%s\" is unknown, expected avx2 or avx512", wanted);
  if (!cpu_has_avx2())
    return thaw_fail(THAW_ERR_RUN,
                     "this CPU lacks AVX2, FMA or F16C, expected an x86-64 CPU of 2013 or later that has them "
                     "(in a virtual machine: pass the host's CPU through)");
  if (wanted && strcmp(wanted, "avx512") == 0 && !cpu_has_avx512())
    return thaw_fail(THAW_ERR_RUN,
                     "instruction set avx512 is wanted, but this CPU has only avx2: use that (the results are "
                     "the same)");
  bool wide = wanted ? strcmp(wanted, "avx512") == 0 : cpu_has_avx512();
  *out = wide ? &thaw_isa_avx512 : &thaw_isa_avx2;
  return THAW_OK;
}

const char *thaw_isa_name(const thaw_isa *isa) {
  return isa->name;
}

void thaw_pool(const thaw_isa *isa, const thaw_pool_desc *desc, const float *x, int32_t n, float *y) {
  isa->pool(desc, x, n, y);
}

void thaw_global_pool(const thaw_isa *isa, bool average, const float *x, int32_t n, int32_t pixels, int32_t c,
                      int32_t x_stride, float *y) {
  isa->global_pool(average, x, n, pixels, c, x_stride, y);
}

void thaw_affine(const thaw_isa *isa, thaw_activation activation, const float *x, const float *scale,
                 const float *shift, const float *add, size_t pixels, int32_t c, int32_t x_stride, int32_t y_stride,
                 float *y) {
  isa->affine(activation, x, scale, shift, add, pixels, c, x_stride, y_stride, y);
}

void thaw_epilogue_run(const thaw_isa *isa, const thaw_epilogue *epilogue, size_t pixels, int32_t c, float *y) {
  isa->epilogue(epilogue, pixels, c, y);
}

void thaw_epilogue_backward(const thaw_isa *isa, const thaw_epilogue *epilogue, const float *y, const float *dy,
                            size_t pixels, int32_t c, float *dx, float *dadd, bool accumulate) {
  isa->epilogue_backward(epilogue, y, dy, pixels, c, dx, dadd, accumulate);
}

void thaw_activate(const thaw_isa *isa, thaw_activation activation, const float *x, size_t rows, int32_t width,
                   float *y) {
  isa->activate(activation, x, rows, width, y);
}

void thaw_activate_backward(const thaw_isa *isa, thaw_activation activation, const float *x, const float *y,
                            const float *dy, size_t rows, int32_t width, float *dx) {
  isa->activate_backward(activation, x, y, dy, rows, width, dx);
}

size_t thaw_conv_gradient_scratch_bytes(const thaw_isa *isa, const thaw_conv_desc *desc, int32_t n) {
  return isa->conv_gradient_scratch(desc, n) * sizeof(float);
}

void thaw_conv_gradient(const thaw_isa *isa, const thaw_conv_desc *desc, const float *x, const float *dy, int32_t n,
                        float *gradient, void *scratch) {
  isa->conv_gradient(desc, x, dy, n, gradient, scratch);
}

size_t thaw_gemm_scratch_bytes(const thaw_isa *isa, const thaw_gemm_desc *desc) {
  return isa->gemm_scratch(desc) * sizeof(float);
}

void thaw_gemm(const thaw_isa *isa, const thaw_gemm_desc *desc, const float *a, const float *b, float *c,
               void *scratch) {
  isa->gemm(desc, a, b, c, scratch);
}

void thaw_dense_gradient_exact(const thaw_isa *isa, const float *x, const float *dy, const int32_t *slice_start,
                               int32_t slices, int32_t pixels, int32_t c, int32_t k, const thaw_exact_terms *terms) {
  isa->dense_gradient(x, dy, slice_start, slices, pixels, c, k, terms);
}

bool thaw_conv_gradient_exact_fits(const thaw_conv_desc *desc, int32_t slice) {
  int32_t h, w;
  thaw_conv_desc plain = *desc;
  plain.pool = false;
  thaw_conv_output(&plain, &h, &w);
  if (desc->depthwise) return false;
  if (thaw_conv_pointwise(desc)) return (int64_t)slice * h * w <= THAW_EXACT_ROWS;
  bool winograd = desc->kh == 3 && desc->kw == 3 && desc->stride_h == 1 && desc->stride_w == 1;
  return winograd && (int64_t)slice * ((h + 3) / 4) * ((w + 3) / 4) <= THAW_EXACT_TILES;
}

size_t thaw_conv_gradient_exact_scratch_bytes(const thaw_isa *isa, const thaw_conv_desc *desc) {
  bool pointwise = thaw_conv_pointwise(desc);
  return (pointwise ? isa->pointwise_gradient_scratch : isa->winograd_gradient_exact_scratch)(desc) * sizeof(float);
}

void thaw_conv_gradient_exact(const thaw_isa *isa, const thaw_conv_desc *desc, const float *x, const float *dy,
                              const int32_t *slice_start, int32_t slices, const thaw_exact_terms *terms,
                              void *scratch) {
  bool pointwise = thaw_conv_pointwise(desc);
  (pointwise ? isa->pointwise_gradient : isa->winograd_gradient_exact)(desc, x, dy, slice_start, slices, terms,
                                                                       scratch);
}

void thaw_random_keep(const thaw_isa *isa, const thaw_draw *position, uint32_t limit, size_t count, uint32_t *mask) {
  uint32_t key[2], counter[4];
  thaw_random_counter(position, key, counter);
  isa->random_keep(key, counter, limit, count, mask);
}
