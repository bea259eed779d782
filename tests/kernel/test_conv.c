/* Convolutions against their slow twin, over shapes, in both variants, with equal bits, alone and in a batch. */
#include "kernel_testing.h"
#include "thaw/memory.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct problem {
  thaw_conv_desc desc;
  int32_t n;
  size_t x_count, y_count, x_image, y_image, r_image;
  float *kernel, *bias, *scale, *shift, *x, *residual, *expected;
  char name[160];
} problem;

static void describe(problem *p) {
  const thaw_conv_desc *d = &p->desc;
  snprintf(p->name, sizeof p->name,
           "%dx %dx%dx%d->%d %dx%d/%dx%d pad %d,%d,%d,%d act %d%s%s%s%s strides %d %d algorithm %d", p->n, d->h, d->w,
           d->c, d->k, d->kh, d->kw, d->stride_h, d->stride_w, d->pad_top, d->pad_left, d->pad_bottom, d->pad_right,
           (int)d->activation, d->residual ? " residual" : "", d->pool ? " pool" : "", d->prologue ? " prologue" : "",
           d->depthwise ? " depthwise" : "", d->x_stride, d->y_stride, (int)d->algorithm);
}

static void make(problem *p) {
  const thaw_conv_desc *d = &p->desc;
  thaw_conv_desc plain = *d;
  int32_t h, w, h_conv, w_conv;
  plain.pool = false;
  thaw_conv_output(&plain, &h_conv, &w_conv);
  thaw_conv_output(d, &h, &w);
  size_t depth = (size_t)(d->kh * d->kw * (d->depthwise ? 1 : d->c)), k = (size_t)d->k, c = (size_t)d->c;
  p->x_image = (size_t)(d->h * d->w) * (size_t)(d->x_stride ? d->x_stride : d->c);
  p->y_image = (size_t)(h * w) * (size_t)(d->y_stride ? d->y_stride : d->k);
  p->r_image = (size_t)(h_conv * w_conv) * k;
  p->x_count = p->x_image * (size_t)p->n, p->y_count = p->y_image * (size_t)p->n;
  p->kernel = testing_numbers(depth * k, 1, 1.f / sqrtf((float)depth));
  p->bias = testing_numbers(k, 2, .5f);
  p->scale = testing_numbers(c, 3, 1.f);
  p->shift = testing_numbers(c, 4, 1.f);
  p->x = testing_numbers(p->x_count, 5, 2.f);
  p->residual = testing_numbers(p->r_image * (size_t)p->n, 6, 1.f);
  p->expected = testing_unwritten(p->y_count);
  describe(p);
  thaw_ref_conv(d, p->kernel, p->bias, p->scale, p->shift, p->x, p->n, p->residual, p->expected);
}

static void end(problem *p) {
  thaw_free(p->kernel), thaw_free(p->bias), thaw_free(p->scale), thaw_free(p->shift);
  thaw_free(p->x), thaw_free(p->residual), thaw_free(p->expected);
}

/* Runs the batch, then each image alone; both must agree. Returns the output. */
static float *run(const problem *p, const thaw_isa *isa) {
  thaw_conv *conv;
  if (thaw_conv_create(isa, &p->desc, &conv) != THAW_OK) fail_msg("%s: %s", p->name, thaw_message());
  void *packed = thaw_new(thaw_conv_packed_bytes(conv), 1),
       *scratch = testing_unwritten(thaw_conv_scratch_bytes(conv) / 4);
  float *y = testing_unwritten(p->y_count), *alone = testing_unwritten(p->y_count);
  assert_non_null(packed);
  thaw_conv_pack(conv, p->kernel, p->bias, p->scale, p->shift, packed);
  thaw_conv_run(conv, packed, p->x, p->n, p->residual, y, scratch);
  for (int32_t i = 0; i < p->n; i++)
    thaw_conv_run(conv, packed, p->x + (size_t)i * p->x_image, 1, p->residual + (size_t)i * p->r_image,
                  alone + (size_t)i * p->y_image, scratch);
  testing_same(p->name, y, alone, p->y_count * sizeof *y);
  for (int i = 0; i < 16; i++) assert_true(memcmp(y + p->y_count + i, "\xcd\xcd\xcd\xcd", 4) == 0);
  thaw_free(alone), thaw_free(packed), thaw_free(scratch);
  thaw_conv_destroy(conv);
  return y;
}

static void check(const thaw_conv_desc *desc, int32_t n) {
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  problem p = {.desc = *desc, .n = n};
  make(&p);
  float *first = NULL;
  for (int i = 0; i < count; i++) {
    float *y = run(&p, isas[i]);
    testing_close(p.name, y, p.expected, p.y_count, 1e-5);
    if (first) testing_same(p.name, first, y, p.y_count * sizeof *y);
    if (first) {
      thaw_free(y);
    } else {
      first = y;
    }
  }
  thaw_free(first);
  end(&p);
}

/* The same layer plain and with everything that can be fused to it. */
static void check_fused(thaw_conv_desc d, int32_t n) {
  check(&d, n);
  d.activation = THAW_RELU, d.pool = true;
  if (d.h + d.pad_top + d.pad_bottom >= d.kh + d.stride_h && d.w + d.pad_left + d.pad_right >= d.kw + d.stride_w)
    check(&d, n);
  d.pool = false, d.residual = true, d.x_stride = d.c + 3, d.y_stride = d.k + 5;
  check(&d, n);
  d.activation = THAW_RELU6, d.prologue = true, d.residual = false;
  check(&d, n);
  d.activation = THAW_SWISH, d.x_stride = d.y_stride = 0;
  check(&d, n);
}

static const int32_t channels[] = {1, 3, 5, 16, 17, 33, 64};
enum { CHANNELS = sizeof channels / sizeof channels[0] };

static void winograd_matches_twin(void **state) {
  (void)state;
  static const int32_t sizes[][2] = {{3, 3}, {4, 4}, {5, 9}, {7, 7}, {14, 13}, {1, 6}};
  for (int s = 0; s < 6; s++)
    for (int i = 0; i < CHANNELS; i++) {
      thaw_conv_desc d = {.h = sizes[s][0], .w = sizes[s][1], .c = channels[i], .k = channels[(i * 3 + s) % CHANNELS]};
      d.kh = d.kw = 3, d.stride_h = d.stride_w = 1, d.algorithm = THAW_CONV_WINOGRAD;
      d.pad_top = d.pad_left = d.pad_bottom = d.pad_right = 1;
      check_fused(d, 1 + (s + i) % 5);
      d.pad_top = 2, d.pad_left = 0, d.pad_bottom = 0, d.pad_right = 3;
      if (d.h > 1) check(&d, 2);
    }
}

static void winograd_in_many_blocks(void **state) {
  (void)state;
  thaw_conv_desc d = {.h = 21, .w = 30, .c = 160, .k = 136, .kh = 3, .kw = 3, .stride_h = 1, .stride_w = 1};
  d.pad_top = d.pad_left = d.pad_bottom = d.pad_right = 1, d.activation = THAW_RELU, d.pool = true;
  check(&d, 3);
}

static void gemm_matches_twin(void **state) {
  (void)state;
  static const int32_t kernels[][6] = {/* kh kw stride_h stride_w pad_before pad_after */
                                       {1, 1, 1, 1, 0, 0}, {1, 1, 2, 2, 0, 0}, {3, 3, 2, 2, 0, 1}, {3, 3, 1, 1, 1, 1},
                                       {7, 7, 2, 2, 3, 3}, {5, 3, 1, 2, 2, 1}, {2, 4, 3, 1, 0, 2}, {1, 1, 1, 1, 1, 0}};
  static const int32_t sizes[][2] = {{7, 7}, {14, 14}, {9, 13}, {10, 25}};
  for (int q = 0; q < 8; q++)
    for (int i = 0; i < CHANNELS; i++) {
      thaw_conv_desc d = {.h = sizes[(q + i) % 4][0], .w = sizes[(q + i) % 4][1], .c = channels[i]};
      d.k = channels[(i + q) % CHANNELS];
      d.kh = kernels[q][0], d.kw = kernels[q][1], d.stride_h = kernels[q][2], d.stride_w = kernels[q][3];
      d.pad_top = d.pad_left = kernels[q][4], d.pad_bottom = d.pad_right = kernels[q][5];
      d.algorithm = d.c <= 4 ? THAW_CONV_FIRST : THAW_CONV_GEMM;
      check_fused(d, 1 + (q + i) % 4);
    }
}

static void gemm_in_many_blocks(void **state) {
  (void)state;
  thaw_conv_desc d = {.h = 40, .w = 33, .c = 300, .k = 70, .kh = 1, .kw = 1, .stride_h = 1, .stride_w = 1};
  d.activation = THAW_RELU;
  check(&d, 3);
  d.prologue = true;
  check(&d, 2);
  thaw_conv_desc e = {
      .h = 61, .w = 64, .c = 96, .k = 35, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_bottom = 1};
  check(&e, 2);
  thaw_conv_desc f = {
      .h = 7, .w = 7, .c = 1100, .k = 50, .kh = 1, .kw = 1, .stride_h = 1, .stride_w = 1, .residual = true};
  check(&f, 3);
}

static void depthwise_matches_twin(void **state) {
  (void)state;
  static const int32_t kernels[][5] = {
      {3, 3, 1, 1, 1}, {3, 3, 2, 0, 1}, {5, 5, 1, 2, 2}, {5, 5, 2, 1, 2}, {2, 3, 1, 1, 0}};
  static const int32_t sizes[][2] = {{7, 7}, {14, 14}, {9, 13}, {3, 2}};
  for (int q = 0; q < 5; q++)
    for (int s = 0; s < 4; s++)
      for (int i = 0; i < CHANNELS; i++) {
        thaw_conv_desc d = {.h = sizes[s][0], .w = sizes[s][1], .c = channels[i], .k = channels[i], .depthwise = true};
        d.kh = kernels[q][0], d.kw = kernels[q][1], d.stride_h = d.stride_w = kernels[q][2];
        d.pad_top = d.pad_left = kernels[q][3], d.pad_bottom = d.pad_right = kernels[q][4];
        if (d.h + d.pad_top + d.pad_bottom < d.kh || d.w + d.pad_left + d.pad_right < d.kw) continue;
        check_fused(d, 1 + (s + i) % 3);
      }
}

/* DenseNet: layers read the first channels of one wide buffer and write the next ones. */
static void channels_of_one_buffer(void **state) {
  (void)state;
  enum { WIDE = 48, C = 24, K = 12, H = 9 };
  const thaw_isa *isas[2];
  testing_isas(isas);
  thaw_conv_desc d = {.h = H, .w = H, .c = C, .k = K, .kh = 3, .kw = 3, .stride_h = 1, .stride_w = 1, .x_stride = WIDE};
  d.pad_top = d.pad_left = d.pad_bottom = d.pad_right = 1, d.y_stride = WIDE;
  float *wide = testing_numbers(2 * H * H * WIDE, 7, 1), *before = testing_numbers(2 * H * H * WIDE, 7, 1);
  float *expected = testing_numbers(2 * H * H * WIDE, 7, 1), *kernel = testing_numbers(9 * C * K, 8, .1f);
  thaw_ref_conv(&d, kernel, NULL, NULL, NULL, before, 2, NULL, expected + C);
  thaw_conv *conv;
  assert_int_equal(thaw_conv_create(isas[0], &d, &conv), THAW_OK);
  void *packed = thaw_new(thaw_conv_packed_bytes(conv), 1), *scratch = thaw_new(thaw_conv_scratch_bytes(conv), 1);
  thaw_conv_pack(conv, kernel, NULL, NULL, NULL, packed);
  thaw_conv_run(conv, packed, wide, 2, NULL, wide + C, scratch);
  testing_close("one buffer", wide, expected, 2 * H * H * WIDE, 1e-5);
  for (size_t i = 0; i < 2 * H * H; i++) {
    testing_same("channels read", wide + i * WIDE, before + i * WIDE, C * sizeof *wide);
    testing_same("channels beyond", wide + i * WIDE + C + K, before + i * WIDE + C + K, (WIDE - C - K) * sizeof *wide);
  }
  thaw_free(wide), thaw_free(before), thaw_free(expected), thaw_free(kernel), thaw_free(packed), thaw_free(scratch);
  thaw_conv_destroy(conv);
}

static void impossible_layers_are_refused(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  testing_isas(isas);
  thaw_conv *conv;
  thaw_conv_desc d = {.h = 2, .w = 2, .c = 3, .k = 4, .kh = 3, .kw = 3, .stride_h = 1, .stride_w = 1};
  assert_int_equal(thaw_conv_create(isas[0], &d, &conv), THAW_ERR_USAGE);
  assert_non_null(strstr(thaw_message(), "3x3 does not fit its padded input of 2x2"));
  d.pad_top = d.pad_left = 1, d.stride_h = 2, d.algorithm = THAW_CONV_WINOGRAD;
  assert_int_equal(thaw_conv_create(isas[0], &d, &conv), THAW_ERR_USAGE);
  d.algorithm = THAW_CONV_AUTO, d.activation = THAW_SOFTMAX;
  assert_int_equal(thaw_conv_create(isas[0], &d, &conv), THAW_ERR_USAGE);
  d.activation = THAW_LINEAR, d.depthwise = true;
  assert_int_equal(thaw_conv_create(isas[0], &d, &conv), THAW_ERR_USAGE);
  d.depthwise = false, d.c = 0;
  assert_int_equal(thaw_conv_create(isas[0], &d, &conv), THAW_ERR_USAGE);
}

/* Kernel [3][3][c][k] as the input gradient's [3][3][k][c], rotated. */
static float *turn(const float *kernel, size_t c, size_t k) {
  float *turned = testing_unwritten(9 * c * k);
  for (size_t t = 0; t < 9; t++)
    for (size_t i = 0; i < c; i++)
      for (size_t j = 0; j < k; j++) turned[((8 - t) * k + j) * c + i] = kernel[(t * c + i) * k + j];
  return turned;
}

/* The batch, then each image alone. */
static float *run_live(const problem *p, const thaw_isa *isa, const float *kernel, bool turned) {
  thaw_conv *conv;
  assert_int_equal(thaw_conv_create(isa, &p->desc, &conv), THAW_OK);
  void *scratch = testing_unwritten(thaw_conv_live_scratch_bytes(conv) / 4);
  float *y = testing_unwritten(p->y_count), *alone = testing_unwritten(p->y_count);
  thaw_conv_run_live(conv, kernel, p->bias, turned, p->x, p->n, y, scratch);
  for (int32_t i = 0; i < p->n; i++)
    thaw_conv_run_live(conv, kernel, p->bias, turned, p->x + (size_t)i * p->x_image, 1, alone + (size_t)i * p->y_image,
                       scratch);
  testing_same(p->name, y, alone, p->y_count * sizeof *y);
  thaw_free(scratch), thaw_free(alone);
  thaw_conv_destroy(conv);
  return y;
}

/* Weights transformed on their way, tiles that reach over the end in every combination, more images than one block. */
static void live_matches_twin(void **state) {
  (void)state;
  static const int32_t shapes[][7] = {/* h w c k before after n */
                                      {7, 7, 48, 64, 1, 1, 70},  {8, 8, 16, 17, 1, 1, 3},   {7, 8, 33, 40, 1, 1, 5},
                                      {8, 6, 20, 144, 1, 1, 2},  {3, 3, 35, 16, 1, 1, 140}, {1, 4, 16, 50, 1, 1, 9},
                                      {5, 16, 19, 32, 0, 0, 40}, {9, 5, 40, 16, 1, 0, 33},  {2, 13, 16, 16, 2, 2, 7}};
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
    const int32_t *s = shapes[i / 2];
    bool turned = i % 2;
    problem p = {.n = s[6]};
    p.desc =
        (thaw_conv_desc){.h = s[0], .w = s[1], .c = s[2], .k = s[3], .kh = 3, .kw = 3, .stride_h = 1, .stride_w = 1};
    p.desc.pad_top = p.desc.pad_left = s[4], p.desc.pad_bottom = p.desc.pad_right = s[5];
    p.desc.activation = turned ? THAW_LINEAR : THAW_RELU;
    make(&p);
    float *other = turn(p.kernel, (size_t)s[2], (size_t)s[3]), *y[2];
    for (int v = 0; v < count; v++) {
      y[v] = run_live(&p, isas[v], turned ? other : p.kernel, turned);
      testing_close(p.name, y[v], p.expected, p.y_count, 2e-5);
    }
    if (count == 2) testing_same(p.name, y[0], y[1], p.y_count * sizeof *y[0]);
    for (int v = 0; v < count; v++) thaw_free(y[v]);
    thaw_free(other);
    end(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(live_matches_twin),       cmocka_unit_test(winograd_matches_twin),
      cmocka_unit_test(winograd_in_many_blocks), cmocka_unit_test(gemm_matches_twin),
      cmocka_unit_test(gemm_in_many_blocks),     cmocka_unit_test(depthwise_matches_twin),
      cmocka_unit_test(channels_of_one_buffer),  cmocka_unit_test(impossible_layers_are_refused),
  };
  return cmocka_run_group_tests_name("conv", tests, NULL, NULL);
}
