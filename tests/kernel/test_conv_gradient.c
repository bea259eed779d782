/* Live winograd convolutions: forward and both gradients against their definitions, sums in double; both variants
 * alike. */
#include "kernel_testing.h"
#include "thaw/memory.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct problem {
  thaw_conv_desc desc;
  int32_t n, h, w; /* h, w: outputs */
  size_t x_count, y_count, g_count;
  float *x, *dy, *gradient; /* gradient: as expected */
  char name[100];
} problem;

/* Adds every product of the definition. */
static void define_gradient(const problem *p, double *gradient) {
  const thaw_conv_desc *d = &p->desc;
  for (int32_t n = 0; n < p->n; n++)
    for (int32_t oy = 0; oy < p->h; oy++)
      for (int32_t ox = 0; ox < p->w; ox++)
        for (int32_t t = 0; t < 9; t++) {
          int32_t yy = oy + t / 3 - d->pad_top, xx = ox + t % 3 - d->pad_left;
          if (yy < 0 || xx < 0 || yy >= d->h || xx >= d->w) continue;
          size_t in = (size_t)((n * d->h + yy) * d->w + xx) * (size_t)d->c;
          const float *dy = p->dy + (size_t)((n * p->h + oy) * p->w + ox) * (size_t)d->k;
          for (int32_t c = 0; c < d->c; c++)
            for (int32_t k = 0; k < d->k; k++) {
              gradient[(t * d->c + c) * d->k + k] += (double)dy[k] * p->x[in + (size_t)c];
            }
        }
}

static void make(problem *p) {
  const thaw_conv_desc *d = &p->desc;
  thaw_conv_output(d, &p->h, &p->w);
  p->x_count = (size_t)(p->n * d->h * d->w * d->c), p->y_count = (size_t)(p->n * p->h * p->w * d->k);
  p->g_count = (size_t)(9 * d->c * d->k);
  snprintf(p->name, sizeof p->name, "%dx %dx%dx%d->%d pad %d,%d,%d,%d", p->n, d->h, d->w, d->c, d->k, d->pad_top,
           d->pad_left, d->pad_bottom, d->pad_right);
  p->x = testing_numbers(p->x_count, 1, 2), p->dy = testing_numbers(p->y_count, 2, 1);
  p->gradient = testing_unwritten(p->g_count);
  double *gradient = thaw_new(p->g_count, sizeof *gradient);
  assert_non_null(gradient);
  define_gradient(p, gradient);
  for (size_t i = 0; i < p->g_count; i++) p->gradient[i] = (float)gradient[i];
  thaw_free(gradient);
}

static float *run(const problem *p, const thaw_isa *isa) {
  float *out = testing_unwritten(p->g_count);
  float *scratch = testing_unwritten(thaw_conv_gradient_scratch_bytes(isa, &p->desc, p->n) / sizeof *scratch);
  thaw_conv_gradient(isa, &p->desc, p->x, p->dy, p->n, out, scratch);
  thaw_free(scratch);
  testing_close(p->name, out, p->gradient, p->g_count, 1e-5);
  assert_true(memcmp(out + p->g_count, "\xcd\xcd\xcd\xcd", 4) == 0);
  return out;
}

static void check(const thaw_conv_desc *desc, int32_t n) {
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  problem p = {.desc = *desc, .n = n};
  make(&p);
  float *first = run(&p, isas[0]);
  if (count == 2) {
    float *second = run(&p, isas[1]);
    testing_same(p.name, first, second, p.g_count * sizeof *first);
    thaw_free(second);
  }
  thaw_free(first), thaw_free(p.x), thaw_free(p.dy), thaw_free(p.gradient);
}

static thaw_conv_desc layer(int32_t h, int32_t w, int32_t c, int32_t k, int32_t before, int32_t after) {
  thaw_conv_desc d = {.h = h, .w = w, .c = c, .k = k, .kh = 3, .kw = 3, .stride_h = 1, .stride_w = 1};
  d.pad_top = d.pad_left = before, d.pad_bottom = d.pad_right = after;
  return d;
}

static void gradient_matches_its_definition(void **state) {
  (void)state;
  static const int32_t shapes[][7] = {/* h w c k before after n */
                                      {4, 4, 16, 32, 1, 1, 1},  {7, 7, 33, 17, 1, 1, 3}, {14, 14, 48, 64, 1, 1, 2},
                                      {5, 9, 1, 3, 0, 0, 2},    {6, 3, 5, 40, 2, 2, 4},  {9, 8, 64, 16, 0, 2, 2},
                                      {3, 3, 100, 10, 1, 0, 8}, {1, 1, 20, 20, 1, 1, 5}};
  for (int i = 0; i < 8; i++) {
    const int32_t *s = shapes[i];
    thaw_conv_desc d = layer(s[0], s[1], s[2], s[3], s[4], s[5]);
    check(&d, s[6]);
  }
}

static void many_blocks(void **state) {
  (void)state;
  thaw_conv_desc d = layer(28, 28, 576, 35, 1, 1); /* 245 tiles: 2 blocks */
  check(&d, 5);
}

/* One slice's gradient as floats: by thaw_conv_gradient, or from gathered pixels by thaw_gemm. */
static void slice_gradient(const thaw_isa *isa, const thaw_conv_desc *d, const float *x, const float *dy, int32_t n,
                           float *out) {
  int32_t h, w;
  thaw_conv_output(d, &h, &w);
  if (d->kh == 3) {
    void *scratch = thaw_new(thaw_conv_gradient_scratch_bytes(isa, d, n), 1);
    thaw_conv_gradient(isa, d, x, dy, n, out, scratch);
    thaw_free(scratch);
    return;
  }
  thaw_gemm_desc g = {.m = d->c, .n = d->k, .k = n * h * w, .transpose_a = true, .lda = d->c, .ldb = d->k, .ldc = d->k};
  float *seen = thaw_new((size_t)(g.k * d->c), sizeof *seen), *to = seen;
  for (int32_t i = 0; i < g.k; i++, to += d->c) {
    int32_t y = i % (h * w) / w * d->stride_h, at = i % w * d->stride_w;
    memcpy(to, x + ((i / (h * w) * d->h + y) * d->w + at) * d->c, (size_t)d->c * sizeof *to);
  }
  void *scratch = thaw_new(thaw_gemm_scratch_bytes(isa, &g), 1);
  thaw_gemm(isa, &g, seen, dy, out, scratch);
  thaw_free(scratch), thaw_free(seen);
}

/* What thaw_conv_gradient_exact should make of the floats of every slice. */
static void define_sums(const problem *p, const int32_t *start, int32_t slices, double factor, int64_t *sums,
                        uint32_t *largest) {
  const thaw_isa *isas[2];
  testing_isas(isas);
  for (int32_t s = 0; s < slices; s++) {
    largest[s] = 0;
    if (start[s + 1] == start[s]) continue;
    size_t x = p->x_count / (size_t)p->n * (size_t)start[s], y = p->y_count / (size_t)p->n * (size_t)start[s];
    slice_gradient(isas[0], &p->desc, p->x + x, p->dy + y, start[s + 1] - start[s], p->gradient);
    for (size_t i = 0; i < p->g_count; i++) {
      uint32_t bits;
      memcpy(&bits, &p->gradient[i], sizeof bits);
      if ((bits & INT32_MAX) > largest[s]) largest[s] = bits & INT32_MAX;
      sums[i] += llrint(p->gradient[i] * factor);
    }
  }
}

static void check_exact(const thaw_conv_desc *d, const int32_t *start, int32_t slices, bool fresh) {
  enum { BEYOND = 8 };
  const double factor = 0x1p30;
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  problem p = {.desc = *d, .n = start[slices], .g_count = (size_t)(d->kh * d->kw * d->c * d->k)};
  thaw_conv_output(d, &p.h, &p.w);
  p.x_count = (size_t)(p.n * d->h * d->w * d->c), p.y_count = (size_t)(p.n * p.h * p.w * d->k);
  p.x = testing_numbers(p.x_count, 1, 2), p.dy = testing_numbers(p.y_count, 2, .3f);
  p.gradient = testing_unwritten(p.g_count);
  int64_t *expected = thaw_new(p.g_count, sizeof *expected), *sums = thaw_new(p.g_count + BEYOND, sizeof *sums);
  uint32_t largest[80], most[80];
  for (size_t i = 0; i < p.g_count; i++) expected[i] = fresh ? 0 : (int64_t)i - 7;
  define_sums(&p, start, slices, factor, expected, most);
  for (int v = 0; v < count; v++) {
    for (size_t i = 0; i < p.g_count + BEYOND; i++) sums[i] = (int64_t)i - 7;
    float *scratch = testing_unwritten(thaw_conv_gradient_exact_scratch_bytes(isas[v], d) / sizeof *scratch);
    thaw_exact_terms terms = {.factor = factor, .sums = sums, .fresh = fresh, .largest = largest};
    thaw_conv_gradient_exact(isas[v], d, p.x, p.dy, start, slices, &terms, scratch);
    testing_same("exact gradient", sums, expected, p.g_count * sizeof *sums);
    testing_same("largest", largest, most, (size_t)slices * sizeof *most);
    for (size_t i = p.g_count; i < p.g_count + BEYOND; i++) assert_int_equal(sums[i], (int64_t)i - 7);
    thaw_free(scratch);
  }
  thaw_free(p.x), thaw_free(p.dy), thaw_free(p.gradient), thaw_free(expected), thaw_free(sums);
}

static void exact_gradient_is_that_of_floats(void **state) {
  (void)state;
  const int32_t even[] = {0, 8, 16, 24}, odd[] = {0, 1, 4, 4, 11};
  int32_t many[71];
  for (int32_t i = 0; i < 71; i++) many[i] = i;
  static const int32_t threes[][5] = {/* h w c k before */
                                      {7, 7, 48, 64, 1}, {7, 7, 33, 40, 1},  {4, 4, 16, 16, 1}, {14, 14, 20, 560, 1},
                                      {9, 6, 70, 17, 0}, {1, 1, 16, 100, 1}, {3, 5, 16, 33, 2}};
  for (int i = 0; i < 7; i++) {
    const int32_t *s = threes[i];
    thaw_conv_desc d = layer(s[0], s[1], s[2], s[3], s[4], s[4]);
    assert_true(thaw_conv_gradient_exact_fits(&d, 8));
    check_exact(&d, even, 3, i % 2);
    check_exact(&d, odd, 4, i % 2 == 0);
    if (i == 5) check_exact(&d, many, 70, true);
  }
  static const int32_t ones[][5] = {/* h w c k stride */
                                    {7, 7, 48, 64, 1}, {7, 7, 130, 40, 1}, {16, 16, 20, 30, 1}, {14, 14, 13, 560, 2},
                                    {5, 3, 1, 1, 1},   {1, 1, 8, 33, 1},   {9, 7, 100, 32, 3}};
  for (int i = 0; i < 7; i++) {
    const int32_t *s = ones[i];
    thaw_conv_desc d = {.h = s[0], .w = s[1], .c = s[2], .k = s[3], .kh = 1, .kw = 1};
    d.stride_h = d.stride_w = s[4];
    assert_true(thaw_conv_gradient_exact_fits(&d, 8));
    check_exact(&d, even, 3, i % 2);
    check_exact(&d, odd, 4, i % 2 == 0);
    if (i == 5) check_exact(&d, many, 70, false);
  }
}

/* No prediction yet: nothing is added, but the largest values are told. */
static void factor_zero_adds_nothing(void **state) {
  (void)state;
  const thaw_isa *isas[2];
  testing_isas(isas);
  const int32_t start[] = {0, 2};
  for (int32_t side = 1; side <= 3; side += 2) {
    thaw_conv_desc d = layer(6, 6, 16, 16, side / 2, side / 2);
    d.kh = d.kw = side;
    float *x = testing_numbers(2 * 6 * 6 * 16, 1, 1), *dy = testing_numbers(2 * 6 * 6 * 16, 2, 1);
    float *scratch = testing_unwritten(thaw_conv_gradient_exact_scratch_bytes(isas[0], &d) / sizeof *scratch);
    int64_t sums[9 * 16 * 16];
    uint32_t largest = 0;
    memset(sums, 0xcd, sizeof sums);
    thaw_exact_terms terms = {.factor = 0, .sums = sums, .fresh = true, .largest = &largest};
    thaw_conv_gradient_exact(isas[0], &d, x, dy, start, 1, &terms, scratch);
    for (int32_t i = 0; i < side * side * 16 * 16; i++) assert_int_equal(sums[i], 0);
    assert_true(largest > 0 && largest < 0x7f800000u);
    x[5] = NAN;
    thaw_conv_gradient_exact(isas[0], &d, x, dy, start, 1, &terms, scratch);
    assert_true(largest > 0x7f800000u);
    thaw_free(x), thaw_free(dy), thaw_free(scratch);
  }
}

static void large_slices_do_not_fit(void **state) {
  (void)state;
  thaw_conv_desc d = layer(28, 28, 64, 64, 1, 1);
  assert_false(thaw_conv_gradient_exact_fits(&d, 8));
  assert_true(thaw_conv_gradient_exact_fits(&d, 2));
  d.depthwise = true;
  assert_false(thaw_conv_gradient_exact_fits(&d, 1));
  d = (thaw_conv_desc){.h = 28, .w = 28, .c = 8, .k = 8, .kh = 1, .kw = 1, .stride_h = 1, .stride_w = 1};
  assert_false(thaw_conv_gradient_exact_fits(&d, 8));
  d.stride_h = d.stride_w = 2;
  assert_true(thaw_conv_gradient_exact_fits(&d, 8));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradient_matches_its_definition),  cmocka_unit_test(many_blocks),
      cmocka_unit_test(exact_gradient_is_that_of_floats), cmocka_unit_test(factor_zero_adds_nothing),
      cmocka_unit_test(large_slices_do_not_fit),
  };
  return cmocka_run_group_tests_name("conv_gradient", tests, NULL, NULL);
}
