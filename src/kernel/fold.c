/* fold.c: inference batch-norm folded into the convolution before it. */
#include "thaw/kernel.h"
#include <math.h>

void thaw_fold_batch_norm(const float *kernel, const float *bias, size_t inner, int32_t k, const float *gamma,
                          const float *beta, const float *mean, const float *variance, double epsilon,
                          float *kernel_out, float *bias_out) {
  for (int32_t j = 0; j < k; j++) {
    double scale = (gamma ? gamma[j] : 1.0) / sqrt(variance[j] + epsilon);
    for (size_t i = 0; i < inner; i++) {
      size_t at = i * (size_t)k + (size_t)j;
      kernel_out[at] = (float)(kernel[at] * scale);
    }
    bias_out[j] = (float)((beta ? beta[j] : 0.0) + ((bias ? bias[j] : 0.0) - mean[j]) * scale);
  }
}
