/* conv_plan.h: block sizes and packing of each algorithm. */
#ifndef THAW_CONV_PLAN_H
#define THAW_CONV_PLAN_H

#include "kernel/kernel_private.h"

thaw_status thaw_conv_check(const thaw_conv_desc *desc) THAW_CHECKED;
/* Set block, k_block and conv_scratch. */
void thaw_plan_winograd(thaw_conv *conv);
void thaw_plan_gemm(thaw_conv *conv);

/* Pixels between the halves of a separable convolution. */
int32_t thaw_separable_pixels(const thaw_conv_desc *depthwise);

#endif
