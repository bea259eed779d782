/* conv.c: plans of frozen convolutions: which algorithm, how large the blocks, where everything lies. */
#include "kernel/conv_plan.h"
#include "thaw/memory.h"

thaw_status thaw_conv_check(const thaw_conv_desc *d) {
  if (d->h < 1 || d->w < 1 || d->c < 1 || d->k < 1 || d->kh < 1 || d->kw < 1 || d->stride_h < 1 || d->stride_w < 1)
    return thaw_fail(THAW_ERR_USAGE,
                     "convolution %dx%dx%d -> %d, kernel %dx%d, strides %dx%d: expected every size to be at least 1",
                     d->h, d->w, d->c, d->k, d->kh, d->kw, d->stride_h, d->stride_w);
  if (d->pad_top < 0 || d->pad_left < 0 || d->pad_bottom < 0 || d->pad_right < 0)
    return thaw_fail(THAW_ERR_USAGE, "convolution padding %d %d %d %d: expected no negative number", d->pad_top,
                     d->pad_left, d->pad_bottom, d->pad_right);
  if (d->h + d->pad_top + d->pad_bottom < d->kh || d->w + d->pad_left + d->pad_right < d->kw)
    return thaw_fail(THAW_ERR_USAGE, "convolution kernel %dx%d does not fit its padded input of %dx%d", d->kh, d->kw,
                     d->h + d->pad_top + d->pad_bottom, d->w + d->pad_left + d->pad_right);
  if (d->depthwise && d->k != d->c)
    return thaw_fail(THAW_ERR_USAGE, "depthwise convolution of %d channels has %d outputs, expected as many", d->c,
                     d->k);
  if ((d->x_stride != 0 && d->x_stride < d->c) || (d->y_stride != 0 && d->y_stride < d->k))
    return thaw_fail(THAW_ERR_USAGE, "convolution pixel strides %d and %d are less than its %d and %d channels",
                     d->x_stride, d->y_stride, d->c, d->k);
  if (d->activation != THAW_LINEAR && d->activation != THAW_RELU && d->activation != THAW_RELU6 &&
      d->activation != THAW_SWISH)
    return thaw_fail(THAW_ERR_USAGE, "a convolution cannot fuse activation %s", thaw_activation_names[d->activation]);
  return THAW_OK;
}

static bool winograd_fits(const thaw_conv_desc *d) {
  return !d->depthwise && d->kh == 3 && d->kw == 3 && d->stride_h == 1 && d->stride_w == 1;
}

static thaw_status choose(const thaw_conv_desc *d, thaw_conv_algorithm *out) {
  thaw_conv_algorithm a = d->algorithm;
  if (a == THAW_CONV_AUTO) {
    a = d->depthwise ? THAW_CONV_DEPTHWISE : d->c <= 4 ? THAW_CONV_FIRST : THAW_CONV_GEMM;
    if (winograd_fits(d) && d->c >= 16) a = THAW_CONV_WINOGRAD;
  }
  if (a == THAW_CONV_WINOGRAD && !winograd_fits(d))
    return thaw_fail(THAW_ERR_USAGE, "winograd needs a 3x3 kernel and strides 1, found %dx%d and %dx%d%s", d->kh, d->kw,
                     d->stride_h, d->stride_w, d->depthwise ? ", depthwise" : "");
  if ((a == THAW_CONV_DEPTHWISE) != d->depthwise)
    return thaw_fail(THAW_ERR_USAGE, "the %s algorithm does not serve this %s convolution",
                     a == THAW_CONV_DEPTHWISE ? "depthwise" : "chosen", d->depthwise ? "depthwise" : "full");
  *out = a;
  return THAW_OK;
}

/* Packed block: weights, bias, scale, shift, each padded so that whole panels can be read. */
static void lay_out(thaw_conv *conv) {
  const thaw_conv_desc *d = &conv->desc;
  size_t panel = 2 * (size_t)conv->isa->lanes, pad = THAW_ALIGN_FLOATS * 2, k = thaw_round_up((size_t)d->k, pad);
  size_t depth = (size_t)d->kh * (size_t)d->kw, weights;
  if (conv->algorithm == THAW_CONV_WINOGRAD) {
    conv->u_plane = thaw_winograd_plane(1, (size_t)d->c * thaw_round_up((size_t)d->k, panel));
    weights = 36 * conv->u_plane;
  } else if (d->depthwise) {
    weights = depth * thaw_round_up((size_t)d->c, THAW_ALIGN_FLOATS);
  } else {
    weights = depth * (size_t)d->c * thaw_round_up((size_t)d->k, panel);
  }
  conv->bias_at = thaw_round_up(weights, THAW_ALIGN_FLOATS);
  conv->scale_at = conv->bias_at + k;
  conv->shift_at = conv->scale_at + (d->prologue ? thaw_round_up((size_t)d->c, pad) : 0);
  conv->packed_floats = conv->shift_at + (d->prologue ? thaw_round_up((size_t)d->c, pad) : 0);
}

static void plan_scratch(thaw_conv *conv) {
  const thaw_conv_desc *d = &conv->desc;
  if (conv->algorithm == THAW_CONV_WINOGRAD) {
    thaw_plan_winograd(conv);
  } else if (conv->algorithm == THAW_CONV_DEPTHWISE) {
    conv->conv_scratch = d->prologue ? (size_t)d->h * (size_t)d->w * (size_t)d->x_stride : 0;
  } else {
    thaw_plan_gemm(conv);
  }
  conv->pool_after = d->pool && conv->algorithm != THAW_CONV_WINOGRAD;
  conv->conv_scratch = thaw_round_up(conv->conv_scratch, THAW_ALIGN_FLOATS);
  conv->scratch_floats = conv->conv_scratch;
  if (conv->pool_after) conv->scratch_floats += (size_t)conv->h_conv * (size_t)conv->w_conv * (size_t)d->k;
}

void thaw_conv_output(const thaw_conv_desc *d, int32_t *h_out, int32_t *w_out) {
  int32_t h = (d->h + d->pad_top + d->pad_bottom - d->kh) / d->stride_h + 1;
  int32_t w = (d->w + d->pad_left + d->pad_right - d->kw) / d->stride_w + 1;
  *h_out = d->pool ? h / 2 : h;
  *w_out = d->pool ? w / 2 : w;
}

thaw_status thaw_conv_create(const thaw_isa *isa, const thaw_conv_desc *desc, thaw_conv **out) {
  thaw_conv_algorithm algorithm = THAW_CONV_AUTO;
  THAW_TRY(thaw_conv_check(desc));
  THAW_TRY(choose(desc, &algorithm));
  thaw_conv *conv = thaw_new(1, sizeof *conv);
  if (!conv) return THAW_ERR_MEMORY;
  conv->isa = isa;
  conv->desc = *desc;
  if (conv->desc.x_stride == 0) conv->desc.x_stride = desc->c;
  if (conv->desc.y_stride == 0) conv->desc.y_stride = desc->k;
  conv->algorithm = algorithm;
  thaw_conv_desc plain = *desc;
  plain.pool = false;
  thaw_conv_output(&plain, &conv->h_conv, &conv->w_conv);
  lay_out(conv);
  plan_scratch(conv);
  *out = conv;
  return THAW_OK;
}

void thaw_conv_destroy(thaw_conv *conv) {
  thaw_free(conv);
}

const char *thaw_conv_algorithm_name(const thaw_conv *conv) {
  static const char *const names[] = {"auto", "winograd 4x4", "gemm", "first layer", "depthwise"};
  return names[conv->algorithm];
}

double thaw_conv_flops(const thaw_conv_desc *d) {
  thaw_conv_desc plain = *d;
  int32_t h, w;
  plain.pool = false;
  thaw_conv_output(&plain, &h, &w);
  return 2.0 * h * w * d->k * d->kh * d->kw * (d->depthwise ? 1 : d->c);
}

size_t thaw_conv_packed_bytes(const thaw_conv *conv) {
  return conv->packed_floats * sizeof(float);
}

size_t thaw_conv_scratch_bytes(const thaw_conv *conv) {
  return conv->scratch_floats * sizeof(float);
}

static void run(const thaw_conv *conv, const float *packed, const float *x, int32_t n, const float *residual, float *y,
                float *scratch) {
  const thaw_isa *isa = conv->isa;
  switch (conv->algorithm) {
  case THAW_CONV_WINOGRAD:
    isa->winograd(conv, packed, x, n, residual, y, scratch);
    break;
  case THAW_CONV_DEPTHWISE:
    isa->depthwise(conv, packed, x, n, residual, y, scratch);
    break;
  default:
    isa->conv_gemm(conv, packed, x, n, residual, y, scratch);
  }
}

/* One image after the other through a scratch image. */
static void run_then_pool(const thaw_conv *conv, const float *packed, const float *x, int32_t n, const float *residual,
                          float *y, float *scratch) {
  const thaw_conv_desc *d = &conv->desc;
  thaw_conv inner = *conv;
  inner.desc.pool = false;
  inner.desc.y_stride = d->k;
  thaw_pool_desc pool = {
      .h = conv->h_conv, .w = conv->w_conv, .c = d->k, .kh = 2, .kw = 2, .stride_h = 2, .stride_w = 2};
  pool.y_stride = d->y_stride;
  float *image = scratch + conv->conv_scratch;
  size_t from = (size_t)d->h * (size_t)d->w * (size_t)d->x_stride;
  size_t whole = (size_t)conv->h_conv * (size_t)conv->w_conv * (size_t)d->k;
  size_t to = (size_t)(conv->h_conv / 2) * (size_t)(conv->w_conv / 2) * (size_t)d->y_stride;
  for (int32_t i = 0; i < n; i++) {
    run(&inner, packed, x + (size_t)i * from, 1, residual ? residual + (size_t)i * whole : NULL, image, scratch);
    conv->isa->pool(&pool, image, 1, y + (size_t)i * to);
  }
}

void thaw_conv_run(const thaw_conv *conv, const void *packed, const float *x, int32_t n, const float *residual,
                   float *y, void *scratch) {
  const float *used = conv->desc.residual ? residual : NULL;
  if (conv->pool_after) {
    run_then_pool(conv, packed, x, n, used, y, scratch);
  } else {
    run(conv, packed, x, n, used, y, scratch);
  }
}

size_t thaw_conv_live_scratch_bytes(const thaw_conv *conv) {
  return conv->isa->winograd_live_scratch(conv) * sizeof(float);
}

void thaw_conv_run_live(const thaw_conv *conv, const float *kernel, const float *bias, bool turned, const float *x,
                        int32_t n, float *y, void *scratch) {
  conv->isa->winograd_live(conv, kernel, bias, turned, x, n, y, scratch);
}
