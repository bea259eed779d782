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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradient_matches_its_definition),
      cmocka_unit_test(many_blocks),
  };
  return cmocka_run_group_tests_name("conv_gradient", tests, NULL, NULL);
}
