/* pack.c: weights of frozen convolutions in the order in which the kernels read them, done once. */
#include "kernel/kernel_private.h"
#include <string.h>

/* [k / panel][depth][panel] from [depth][k], zeros beyond k. */
static void pack_panels(const float *kernel, size_t depth, size_t k, size_t panel, float *to) {
  for (size_t first = 0; first < k; first += panel)
    for (size_t p = 0; p < depth; p++, to += panel)
      for (size_t j = 0; j < panel; j++) to[j] = first + j < k ? kernel[p * k + first + j] : 0;
}

static void copy_or_zero(const float *from, size_t count, size_t room, float *to) {
  memset(to, 0, room * sizeof *to);
  if (from) memcpy(to, from, count * sizeof *to);
}

void thaw_conv_pack(const thaw_conv *conv, const float *kernel, const float *bias, const float *scale,
                    const float *shift, void *packed) {
  const thaw_conv_desc *d = &conv->desc;
  float *to = packed;
  size_t taps = (size_t)d->kh * (size_t)d->kw, c = (size_t)d->c, k = (size_t)d->k;
  if (conv->algorithm == THAW_CONV_WINOGRAD) {
    conv->isa->winograd_pack(conv, kernel, false, to);
  } else if (d->depthwise) {
    size_t row = thaw_round_up(c, THAW_ALIGN_FLOATS);
    for (size_t i = 0; i < taps; i++) copy_or_zero(kernel + i * c, c, row, to + i * row);
  } else {
    pack_panels(kernel, taps * c, k, 2 * (size_t)conv->isa->lanes, to);
  }
  copy_or_zero(bias, k, conv->scale_at - conv->bias_at, to + conv->bias_at);
  if (!d->prologue) return;
  copy_or_zero(scale, c, conv->shift_at - conv->scale_at, to + conv->scale_at);
  copy_or_zero(shift, c, conv->packed_floats - conv->shift_at, to + conv->shift_at);
}

void thaw_conv_pack_turned(const thaw_conv *conv, const float *kernel, void *packed) {
  float *to = packed;
  conv->isa->winograd_pack(conv, kernel, true, to);
  copy_or_zero(NULL, 0, conv->packed_floats - conv->bias_at, to + conv->bias_at);
}
