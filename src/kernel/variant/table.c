/* table.c: the table of one instruction set. */
#include "kernel/variant/simd.h"
#include "kernel/variant/variant.h"

const thaw_isa THAW_VARIANT(thaw_isa) = {
#ifdef __AVX512F__
    .name = "avx512",
#else
    .name = "avx2",
#endif
    .lanes = LANES,
    .rows = ROWS,
    .winograd_pack = THAW_VARIANT(thaw_winograd_pack),
    .winograd_live_scratch = THAW_VARIANT(thaw_winograd_live_scratch),
    .winograd_live = THAW_VARIANT(thaw_winograd_live),
    .winograd = THAW_VARIANT(thaw_winograd),
    .conv_gradient_scratch = THAW_VARIANT(thaw_conv_gradient_scratch),
    .conv_gradient = THAW_VARIANT(thaw_conv_gradient),
    .conv_gemm = THAW_VARIANT(thaw_conv_gemm),
    .depthwise = THAW_VARIANT(thaw_depthwise),
    .depthwise_rows = THAW_VARIANT(thaw_depthwise_rows),
    .pointwise = THAW_VARIANT(thaw_pointwise),
    .pool = THAW_VARIANT(thaw_pool),
    .global_pool = THAW_VARIANT(thaw_global_pool),
    .affine = THAW_VARIANT(thaw_affine),
    .epilogue = THAW_VARIANT(thaw_epilogue_run),
    .epilogue_backward = THAW_VARIANT(thaw_epilogue_backward),
    .activate = THAW_VARIANT(thaw_activate),
    .activate_backward = THAW_VARIANT(thaw_activate_backward),
    .gemm_scratch = THAW_VARIANT(thaw_gemm_scratch),
    .gemm = THAW_VARIANT(thaw_gemm),
    .dense_gradient = THAW_VARIANT(thaw_dense_gradient),
    .pointwise_gradient_scratch = THAW_VARIANT(thaw_pointwise_gradient_scratch),
    .pointwise_gradient = THAW_VARIANT(thaw_pointwise_gradient),
    .winograd_gradient_exact_scratch = THAW_VARIANT(thaw_winograd_gradient_exact_scratch),
    .winograd_gradient_exact = THAW_VARIANT(thaw_winograd_gradient_exact),
    .random_keep = THAW_VARIANT(thaw_random_keep),
};
