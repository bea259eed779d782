/* variant.h: names of the functions that are compiled once per instruction set, with a suffix each. */
#ifndef THAW_KERNEL_VARIANT_H
#define THAW_KERNEL_VARIANT_H

#include "kernel/kernel_private.h"

#ifdef __AVX512F__
#define THAW_VARIANT(name) name##_avx512
#else
#define THAW_VARIANT(name) name##_avx2
#endif

void THAW_VARIANT(thaw_winograd_pack)(const thaw_conv *conv, const float *kernel, bool turned, float *to);
size_t THAW_VARIANT(thaw_winograd_live_scratch)(const thaw_conv *conv);
void THAW_VARIANT(thaw_winograd_live)(const thaw_conv *conv, const float *kernel, const float *bias, bool turned,
                                      const float *x, int32_t n, float *y, float *scratch);
void THAW_VARIANT(thaw_winograd)(const thaw_conv *conv, const float *packed, const float *x, int32_t n,
                                 const float *residual, float *y, float *scratch);
size_t THAW_VARIANT(thaw_conv_gradient_scratch)(const thaw_conv_desc *desc, int32_t n);
void THAW_VARIANT(thaw_conv_gradient)(const thaw_conv_desc *desc, const float *x, const float *dy, int32_t n,
                                      float *gradient, float *scratch);
void THAW_VARIANT(thaw_conv_gemm)(const thaw_conv *conv, const float *packed, const float *x, int32_t n,
                                  const float *residual, float *y, float *scratch);
void THAW_VARIANT(thaw_depthwise)(const thaw_conv *conv, const float *packed, const float *x, int32_t n,
                                  const float *residual, float *y, float *scratch);
void THAW_VARIANT(thaw_depthwise_rows)(const thaw_conv *conv, const float *packed, const float *image, int32_t first,
                                       int32_t rows, float *y);
void THAW_VARIANT(thaw_pointwise)(const thaw_conv *conv, const float *packed, const float *x, int64_t pixels,
                                  const float *residual, float *y, float *scratch);
void THAW_VARIANT(thaw_pool)(const thaw_pool_desc *desc, const float *x, int32_t n, float *y);
void THAW_VARIANT(thaw_global_pool)(bool average, const float *x, int32_t n, int32_t pixels, int32_t c,
                                    int32_t x_stride, float *y);
void THAW_VARIANT(thaw_affine)(thaw_activation activation, const float *x, const float *scale, const float *shift,
                               const float *add, size_t pixels, int32_t c, int32_t x_stride, int32_t y_stride,
                               float *y);
void THAW_VARIANT(thaw_epilogue_run)(const thaw_epilogue *epilogue, size_t pixels, int32_t c, float *y);
void THAW_VARIANT(thaw_epilogue_backward)(const thaw_epilogue *epilogue, const float *y, const float *dy, size_t pixels,
                                          int32_t c, float *dx, float *dadd, bool accumulate);
void THAW_VARIANT(thaw_activate)(thaw_activation activation, const float *x, size_t rows, int32_t width, float *y);
void THAW_VARIANT(thaw_activate_backward)(thaw_activation activation, const float *x, const float *y, const float *dy,
                                          size_t rows, int32_t width, float *dx);
size_t THAW_VARIANT(thaw_gemm_scratch)(const thaw_gemm_desc *desc);
void THAW_VARIANT(thaw_gemm)(const thaw_gemm_desc *desc, const float *a, const float *b, float *c, float *scratch);
void THAW_VARIANT(thaw_dense_gradient)(const float *x, const float *dy, const int32_t *slice_start, int32_t slices,
                                       int32_t pixels, int32_t c, int32_t k, const thaw_exact_terms *terms);
size_t THAW_VARIANT(thaw_pointwise_gradient_scratch)(const thaw_conv_desc *desc);
void THAW_VARIANT(thaw_pointwise_gradient)(const thaw_conv_desc *desc, const float *x, const float *dy,
                                           const int32_t *slice_start, int32_t slices, const thaw_exact_terms *terms,
                                           float *scratch);
size_t THAW_VARIANT(thaw_winograd_gradient_exact_scratch)(const thaw_conv_desc *desc);
void THAW_VARIANT(thaw_winograd_gradient_exact)(const thaw_conv_desc *desc, const float *x, const float *dy,
                                                const int32_t *slice_start, int32_t slices,
                                                const thaw_exact_terms *terms, float *scratch);
void THAW_VARIANT(thaw_random_keep)(const uint32_t key[2], const uint32_t counter[4], uint32_t limit, size_t count,
                                    uint32_t *mask);

#endif
