/* A depthwise and a pointwise convolution band by band against the slow twins, with the bits of two calls, in both
 * variants. */
#include "kernel_testing.h"
#include "thaw/memory.h"

#include <math.h>

typedef struct pair {
  thaw_conv_desc first, second;
  int32_t n;
  size_t x_count, middle_count, y_count;
  float *kernel[2], *bias[2], *x, *residual, *expected;
} pair;

static void make(pair *p) {
  int32_t h, w;
  thaw_conv_output(&p->first, &h, &w);
  p->second.h = h, p->second.w = w, p->second.c = p->first.c, p->second.kh = p->second.kw = 1;
  p->second.stride_h = p->second.stride_w = 1;
  size_t c = (size_t)p->first.c, k = (size_t)p->second.k, taps = (size_t)(p->first.kh * p->first.kw);
  p->x_count = (size_t)(p->n * p->first.h * p->first.w) * c;
  p->middle_count = (size_t)(p->n * h * w) * c, p->y_count = (size_t)(p->n * h * w) * k;
  p->kernel[0] = testing_numbers(taps * c, 1, 1.f / sqrtf((float)taps));
  p->kernel[1] = testing_numbers(c * k, 2, 1.f / sqrtf((float)c));
  p->bias[0] = testing_numbers(c, 3, .5f), p->bias[1] = testing_numbers(k, 4, .5f);
  p->x = testing_numbers(p->x_count, 5, 2.f), p->residual = testing_numbers(p->y_count, 6, 1.f);
  p->expected = testing_unwritten(p->y_count);
  float *middle = testing_unwritten(p->middle_count);
  thaw_ref_conv(&p->first, p->kernel[0], p->bias[0], NULL, NULL, p->x, p->n, NULL, middle);
  thaw_ref_conv(&p->second, p->kernel[1], p->bias[1], NULL, NULL, middle, p->n, p->residual, p->expected);
  thaw_free(middle);
}

static void end(pair *p) {
  for (int i = 0; i < 2; i++) thaw_free(p->kernel[i]), thaw_free(p->bias[i]);
  thaw_free(p->x), thaw_free(p->residual), thaw_free(p->expected);
}

static thaw_conv *pack(const pair *p, const thaw_isa *isa, int part, const thaw_conv_desc *desc, void **packed) {
  thaw_conv *conv;
  assert_int_equal(thaw_conv_create(isa, desc, &conv), THAW_OK);
  *packed = thaw_new(thaw_conv_packed_bytes(conv), 1);
  assert_non_null(*packed);
  thaw_conv_pack(conv, p->kernel[part], p->bias[part], NULL, NULL, *packed);
  return conv;
}

/* One call after the other. */
static float *run_apart(const pair *p, const thaw_isa *isa) {
  void *packed[2];
  thaw_conv *first = pack(p, isa, 0, &p->first, &packed[0]), *second = pack(p, isa, 1, &p->second, &packed[1]);
  float *middle = testing_unwritten(p->middle_count), *y = testing_unwritten(p->y_count);
  thaw_conv_run(first, packed[0], p->x, p->n, NULL, middle, NULL);
  thaw_conv_run(second, packed[1], middle, p->n, p->residual, y, NULL);
  thaw_conv_destroy(first), thaw_conv_destroy(second);
  thaw_free(packed[0]), thaw_free(packed[1]), thaw_free(middle);
  return y;
}

static float *run_together(const pair *p, const thaw_isa *isa) {
  thaw_conv_desc desc[2] = {p->first, p->second};
  desc[0].y_stride = desc[1].x_stride = thaw_separable_stride(p->first.c);
  assert_true(thaw_separable_fits(&desc[0], &desc[1]));
  void *packed[2];
  thaw_conv *first = pack(p, isa, 0, &desc[0], &packed[0]), *second = pack(p, isa, 1, &desc[1], &packed[1]);
  float *scratch = testing_unwritten(thaw_separable_scratch_bytes(first, second) / sizeof(float));
  float *y = testing_unwritten(p->y_count);
  thaw_separable_run(first, packed[0], second, packed[1], p->x, p->n, p->residual, y, scratch);
  thaw_conv_destroy(first), thaw_conv_destroy(second);
  thaw_free(packed[0]), thaw_free(packed[1]), thaw_free(scratch);
  return y;
}

static void check(int32_t n, int32_t size, int32_t c, int32_t k, int32_t kernel, int32_t stride, thaw_activation a,
                  bool residual) {
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  int32_t pad = kernel / 2;
  pair p = {.n = n, .second = {.k = k, .activation = residual ? THAW_LINEAR : a, .residual = residual}};
  p.first = (thaw_conv_desc){.h = size, .w = size, .c = c, .k = c, .kh = kernel, .kw = kernel, .stride_h = stride};
  p.first.stride_w = stride, p.first.depthwise = true, p.first.activation = a;
  p.first.pad_top = p.first.pad_left = p.first.pad_bottom = p.first.pad_right = pad;
  make(&p);
  float *y[2] = {NULL, NULL};
  for (int i = 0; i < count; i++) {
    float *apart = run_apart(&p, isas[i]);
    y[i] = run_together(&p, isas[i]);
    testing_same("two calls", apart, y[i], p.y_count * sizeof(float));
    testing_close("twin", y[i], p.expected, p.y_count, 1e-5);
    thaw_free(apart);
  }
  if (count == 2) testing_same("AVX2 and AVX-512", y[0], y[1], p.y_count * sizeof(float));
  thaw_free(y[0]), thaw_free(y[1]);
  end(&p);
}

static void bands_of_rows(void **state) {
  (void)state;
  check(2, 61, 40, 24, 3, 1, THAW_RELU, false);
  check(1, 75, 128, 64, 3, 2, THAW_RELU6, true);
  check(2, 23, 728, 40, 3, 1, THAW_LINEAR, true);
  check(1, 33, 512, 33, 5, 1, THAW_SWISH, false);
}

static void bands_of_images(void **state) {
  (void)state;
  check(5, 7, 96, 64, 3, 1, THAW_RELU6, true);
  check(7, 4, 520, 17, 5, 2, THAW_SWISH, false);
  check(3, 1, 3, 5, 3, 1, THAW_RELU, false);
}

/* Filters without an instance of their own, and fewer channels than a vector. */
static void any_filter(void **state) {
  (void)state;
  check(2, 40, 5, 7, 7, 1, THAW_RELU, false);
  check(2, 19, 36, 8, 1, 1, THAW_SWISH, true);
}

static void only_pairs_that_fit(void **state) {
  (void)state;
  thaw_conv_desc first = {.c = 8, .k = 8, .kh = 3, .kw = 3, .depthwise = true}, second = {.c = 8, .k = 4, .kh = 1};
  second.kw = second.stride_h = second.stride_w = 1;
  assert_true(thaw_separable_fits(&first, &second));
  first.residual = true;
  assert_false(thaw_separable_fits(&first, &second));
  first.residual = false, second.pool = true;
  assert_false(thaw_separable_fits(&first, &second));
  second.pool = false, second.stride_w = 2;
  assert_false(thaw_separable_fits(&first, &second));
  second.stride_w = 1, first.depthwise = false;
  assert_false(thaw_separable_fits(&first, &second));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bands_of_rows),
      cmocka_unit_test(bands_of_images),
      cmocka_unit_test(any_filter),
      cmocka_unit_test(only_pairs_that_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
