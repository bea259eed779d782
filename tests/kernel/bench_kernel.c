/* bench_kernel: milliseconds and textbook GFLOP/s of every layer shape of four networks on one core.
 *
 *   bench_kernel [network|head|gemm|gradient|all] [images] [avx2|avx512] [layer]
 */
#include "thaw/kernel.h"
#include "thaw/memory.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

typedef struct shape {
  int32_t h, c, k, kernel, stride, times;
  bool depthwise, pool, prologue, residual;
} shape;

typedef struct network {
  const char *name;
  const shape *shapes;
  int count;
} network;

static const shape vgg16[] = {
    {224, 3, 64, 3, 1, 1, 0, 0, 0, 0},    {224, 64, 64, 3, 1, 1, 0, 1, 0, 0},  {112, 64, 128, 3, 1, 1, 0, 0, 0, 0},
    {112, 128, 128, 3, 1, 1, 0, 1, 0, 0}, {56, 128, 256, 3, 1, 1, 0, 0, 0, 0}, {56, 256, 256, 3, 1, 1, 0, 0, 0, 0},
    {56, 256, 256, 3, 1, 1, 0, 1, 0, 0},  {28, 256, 512, 3, 1, 1, 0, 0, 0, 0}, {28, 512, 512, 3, 1, 1, 0, 0, 0, 0},
    {28, 512, 512, 3, 1, 1, 0, 1, 0, 0},  {14, 512, 512, 3, 1, 2, 0, 0, 0, 0}, {14, 512, 512, 3, 1, 1, 0, 1, 0, 0},
};
static const shape resnet50[] = {
    {224, 3, 64, 7, 2, 1, 0, 0, 0, 0},    {56, 64, 64, 1, 1, 1, 0, 0, 0, 0},     {56, 64, 256, 1, 1, 4, 0, 0, 0, 1},
    {56, 256, 64, 1, 1, 2, 0, 0, 0, 0},   {56, 64, 64, 3, 1, 3, 0, 0, 0, 0},     {56, 256, 128, 1, 2, 1, 0, 0, 0, 0},
    {56, 256, 512, 1, 2, 1, 0, 0, 0, 0},  {28, 128, 512, 1, 1, 4, 0, 0, 0, 1},   {28, 512, 128, 1, 1, 3, 0, 0, 0, 0},
    {28, 128, 128, 3, 1, 4, 0, 0, 0, 0},  {28, 512, 256, 1, 2, 1, 0, 0, 0, 0},   {28, 512, 1024, 1, 2, 1, 0, 0, 0, 0},
    {14, 256, 1024, 1, 1, 6, 0, 0, 0, 1}, {14, 1024, 256, 1, 1, 5, 0, 0, 0, 0},  {14, 256, 256, 3, 1, 6, 0, 0, 0, 0},
    {14, 1024, 512, 1, 2, 1, 0, 0, 0, 0}, {14, 1024, 2048, 1, 2, 1, 0, 0, 0, 0}, {7, 512, 2048, 1, 1, 3, 0, 0, 0, 1},
    {7, 2048, 512, 1, 1, 2, 0, 0, 0, 0},  {7, 512, 512, 3, 1, 3, 0, 0, 0, 0},
};
static const shape mobilenet_v2[] = {
    {224, 3, 32, 3, 2, 1, 0, 0, 0, 0},   {112, 32, 32, 3, 1, 1, 1, 0, 0, 0},  {112, 32, 16, 1, 1, 1, 0, 0, 0, 0},
    {112, 16, 96, 1, 1, 1, 0, 0, 0, 0},  {112, 96, 96, 3, 2, 1, 1, 0, 0, 0},  {56, 96, 24, 1, 1, 1, 0, 0, 0, 0},
    {56, 24, 144, 1, 1, 2, 0, 0, 0, 0},  {56, 144, 144, 3, 1, 1, 1, 0, 0, 0}, {56, 144, 24, 1, 1, 1, 0, 0, 0, 1},
    {56, 144, 144, 3, 2, 1, 1, 0, 0, 0}, {28, 144, 32, 1, 1, 1, 0, 0, 0, 0},  {28, 32, 192, 1, 1, 3, 0, 0, 0, 0},
    {28, 192, 192, 3, 1, 2, 1, 0, 0, 0}, {28, 192, 32, 1, 1, 2, 0, 0, 0, 1},  {28, 192, 192, 3, 2, 1, 1, 0, 0, 0},
    {14, 192, 64, 1, 1, 1, 0, 0, 0, 0},  {14, 64, 384, 1, 1, 4, 0, 0, 0, 0},  {14, 384, 384, 3, 1, 4, 1, 0, 0, 0},
    {14, 384, 64, 1, 1, 3, 0, 0, 0, 1},  {14, 384, 96, 1, 1, 1, 0, 0, 0, 0},  {14, 96, 576, 1, 1, 3, 0, 0, 0, 0},
    {14, 576, 576, 3, 1, 2, 1, 0, 0, 0}, {14, 576, 96, 1, 1, 2, 0, 0, 0, 1},  {14, 576, 576, 3, 2, 1, 1, 0, 0, 0},
    {7, 576, 160, 1, 1, 1, 0, 0, 0, 0},  {7, 160, 960, 1, 1, 3, 0, 0, 0, 0},  {7, 960, 960, 3, 1, 3, 1, 0, 0, 0},
    {7, 960, 160, 1, 1, 2, 0, 0, 0, 1},  {7, 960, 320, 1, 1, 1, 0, 0, 0, 0},  {7, 320, 1280, 1, 1, 1, 0, 0, 0, 0},
};
/* One 1x1 layer of the middle width stands for each block's. */
static const shape densenet121[] = {
    {224, 3, 64, 7, 2, 1, 0, 0, 0, 0},    {56, 144, 128, 1, 1, 6, 0, 0, 1, 0},  {56, 128, 32, 3, 1, 6, 0, 0, 0, 0},
    {56, 256, 128, 1, 1, 1, 0, 0, 1, 0},  {28, 304, 128, 1, 1, 12, 0, 0, 1, 0}, {28, 128, 32, 3, 1, 12, 0, 0, 0, 0},
    {28, 512, 256, 1, 1, 1, 0, 0, 1, 0},  {14, 624, 128, 1, 1, 24, 0, 0, 1, 0}, {14, 128, 32, 3, 1, 24, 0, 0, 0, 0},
    {14, 1024, 512, 1, 1, 1, 0, 0, 1, 0}, {7, 752, 128, 1, 1, 16, 0, 0, 1, 0},  {7, 128, 32, 3, 1, 16, 0, 0, 0, 0},
};
#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))
static const network networks[] = {{"vgg16", vgg16, COUNT(vgg16)},
                                   {"resnet50", resnet50, COUNT(resnet50)},
                                   {"mobilenet_v2", mobilenet_v2, COUNT(mobilenet_v2)},
                                   {"densenet121", densenet121, COUNT(densenet121)}};

/* Of this process alone, so that neighbours on a busy machine disturb less. */
static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Zeros on huge pages where the system has them, as the arena of a forward pass. */
static float *block(size_t count) {
  size_t bytes = (count * sizeof(float) + (2u << 20)) & ~(size_t)((2u << 20) - 1);
  float *p = aligned_alloc(2u << 20, bytes);
  if (!p) exit(1);
  madvise(p, bytes, MADV_HUGEPAGE);
  memset(p, 0, bytes);
  return p;
}

static float *numbers(size_t count, float size) {
  float *p = block(count);
  uint32_t state = 1;
  for (size_t i = 0; i < count; i++)
    state = state * 1664525u + 1013904223u, p[i] = ((float)(state >> 8) / 8388608.f - 1) * size;
  return p;
}

static thaw_conv_desc describe(const shape *s) {
  thaw_conv_desc d = {
      .h = s->h, .w = s->h, .c = s->c, .k = s->k, .kh = s->kernel, .kw = s->kernel, .stride_h = s->stride};
  d.stride_w = s->stride, d.depthwise = s->depthwise, d.pool = s->pool, d.prologue = s->prologue,
  d.residual = s->residual;
  d.activation = THAW_RELU;
  int32_t out = (s->h + s->stride - 1) / s->stride, pad = (out - 1) * s->stride + s->kernel - s->h;
  if (pad < 0) pad = 0;
  d.pad_top = d.pad_left = pad / 2, d.pad_bottom = d.pad_right = pad - pad / 2;
  return d;
}

/* Best time of several runs over `n` images. */
static double time_layer(const thaw_isa *isa, const thaw_conv_desc *d, int32_t n, const char **algorithm) {
  thaw_conv *conv;
  int32_t h, w;
  if (thaw_conv_create(isa, d, &conv) != THAW_OK) exit(1);
  thaw_conv_output(d, &h, &w);
  size_t depth = (size_t)(d->kh * d->kw * (d->depthwise ? 1 : d->c));
  float *x = numbers((size_t)n * (size_t)(d->h * d->w) * (size_t)d->c, 1),
        *y = block((size_t)n * (size_t)(h * w) * (size_t)d->k);
  float *kernel = numbers(depth * (size_t)d->k, 1 / sqrtf((float)depth)),
        *residual = block((size_t)n * (size_t)(h * w * d->k));
  float *scale = numbers((size_t)d->c, 1), *packed = block(thaw_conv_packed_bytes(conv) / 4);
  float *scratch = block(thaw_conv_scratch_bytes(conv) / 4);
  thaw_conv_pack(conv, kernel, NULL, scale, scale, packed);
  double best = 1e9, start = seconds();
  for (int r = 0; r < 3 || (r < 5000 && seconds() - start < 0.1); r++) {
    double t = seconds();
    thaw_conv_run(conv, packed, x, n, residual, y, scratch);
    t = seconds() - t;
    if (t < best) best = t;
  }
  *algorithm = thaw_conv_algorithm_name(conv);
  thaw_conv_destroy(conv);
  free(x), free(y), free(kernel), free(scale), free(packed), free(scratch), free(residual);
  return best;
}

/* All layers, or only the one with index `only`. */
static void time_network(const thaw_isa *isa, const network *net, int32_t n, int only) {
  double total = 0, flops = 0;
  printf("%s, %s, %d images\n", net->name, thaw_isa_name(isa), n);
  for (int i = 0; i < net->count; i++) {
    const shape *s = &net->shapes[i];
    if (only >= 0 && only != i) continue;
    thaw_conv_desc d = describe(s);
    const char *algorithm;
    double t = time_layer(isa, &d, n, &algorithm) / n, work = thaw_conv_flops(&d);
    printf("  %3d %4d->%-4d %dx%d/%d x%-2d %7.3f ms  %5.0f GFLOP/s  %s%s%s%s\n", s->h, s->c, s->k, s->kernel, s->kernel,
           s->stride, s->times, t * 1e3 * s->times, work / t * 1e-9, algorithm, s->pool ? " + pool" : "",
           s->prologue ? " + prologue" : "", s->residual ? " + residual" : "");
    total += t * s->times, flops += work * s->times;
  }
  printf("  sum %.2f ms/image, %.2f images/s, %.0f GFLOP/s\n", total * 1e3, 1 / total, flops / total * 1e-9);
}

/* Matrix products of a live 3x3 convolution of 512 -> 512 channels on 14x14 pixels (forward, and gradients of weights
 * and patches), and of a large dense layer on a slice of 8. */
static void time_gemm(const thaw_isa *isa) {
  static const thaw_gemm_desc shapes[] = {
      {.m = 196, .n = 512, .k = 4608, .lda = 4608, .ldb = 512, .ldc = 512},
      {.m = 4608, .n = 512, .k = 196, .transpose_a = true, .accumulate = true, .lda = 4608, .ldb = 512, .ldc = 512},
      {.m = 196, .n = 4608, .k = 512, .transpose_b = true, .lda = 512, .ldb = 512, .ldc = 4608},
      {.m = 392, .n = 512, .k = 2048, .lda = 2048, .ldb = 512, .ldc = 512},
      {.m = 1568, .n = 512, .k = 2048, .lda = 2048, .ldb = 512, .ldc = 512},
      {.m = 1568, .n = 2048, .k = 512, .lda = 512, .ldb = 2048, .ldc = 2048},
      {.m = 392, .n = 2048, .k = 512, .transpose_b = true, .lda = 512, .ldb = 512, .ldc = 2048},
      {.m = 2048, .n = 512, .k = 392, .transpose_a = true, .lda = 2048, .ldb = 512, .ldc = 512},
      {.m = 512, .n = 2048, .k = 392, .transpose_a = true, .lda = 512, .ldb = 2048, .ldc = 2048},
      {.m = 8, .n = 256, .k = 25088, .lda = 25088, .ldb = 256, .ldc = 256},
      {.m = 8, .n = 25088, .k = 256, .transpose_b = true, .lda = 256, .ldb = 256, .ldc = 25088},
      {.m = 25088, .n = 256, .k = 8, .transpose_a = true, .lda = 25088, .ldb = 256, .ldc = 256},
  };
  for (int i = 0; i < COUNT(shapes); i++) {
    const thaw_gemm_desc *d = &shapes[i];
    size_t m = (size_t)d->m, n = (size_t)d->n, k = (size_t)d->k;
    float *a = numbers(m * k, 1), *b = numbers(k * n, 1), *c = block(m * n),
          *scratch = block(thaw_gemm_scratch_bytes(isa, d) / 4);
    double best = 1e9, start = seconds();
    for (int r = 0; r < 3 || (r < 5000 && seconds() - start < 0.1); r++) {
      double t = seconds();
      thaw_gemm(isa, d, a, b, c, scratch);
      t = seconds() - t;
      best = t < best ? t : best;
    }
    printf("gemm %s%s %5d x %5d x %5d, %s: %8.3f ms, %5.0f GFLOP/s\n", d->transpose_a ? "T" : "N",
           d->transpose_b ? "T" : "N", d->m, d->n, d->k, thaw_isa_name(isa), best * 1e3,
           2e-9 * d->m * d->n * d->k / best);
    free(a), free(b), free(c), free(scratch);
  }
}

/* Weight gradients of live 3x3 convolutions on a slice of 8 images. */
static void time_gradient(const thaw_isa *isa) {
  enum { N = 8 };
  static const int32_t shapes[][3] = {{7, 512, 512},  {14, 512, 512},  {28, 512, 512},
                                      {56, 256, 256}, {112, 128, 128}, {224, 64, 64}};
  for (int i = 0; i < COUNT(shapes); i++) {
    int32_t h = shapes[i][0], c = shapes[i][1], k = shapes[i][2];
    thaw_conv_desc d = {.h = h, .w = h, .c = c, .k = k, .kh = 3, .kw = 3, .stride_h = 1, .stride_w = 1};
    d.pad_top = d.pad_left = d.pad_bottom = d.pad_right = 1;
    size_t pixels = (size_t)(N * h * h), taps = 9 * (size_t)c * (size_t)k;
    float *x = numbers(pixels * (size_t)c, 1), *dy = numbers(pixels * (size_t)k, 1), *gradient = block(taps);
    float *scratch = block(thaw_conv_gradient_scratch_bytes(isa, &d, N) / 4);
    double best = 1e9;
    for (int r = 0; r < 5; r++) {
      double t = seconds();
      thaw_conv_gradient(isa, &d, x, dy, N, gradient, scratch);
      t = seconds() - t;
      best = t < best ? t : best;
    }
    printf("weight gradient %3d %3d->%-3d %s: %.2f ms/image, %.0f GFLOP/s\n", h, c, k, thaw_isa_name(isa),
           best * 1e3 / N, thaw_conv_flops(&d) * 1e-9 * N / best);
    free(x), free(dy), free(gradient), free(scratch);
  }
}

/* The arithmetic of one training step of a dense head c -> k -> 10: forward, back, both gradients in slices of 8. */
static void time_head(const thaw_isa *isa, int32_t c, int32_t k) {
  enum { BATCH = 64, SLICE = 8, OUT = 10 };
  size_t inputs = (size_t)c, hidden = (size_t)k;
  float *x = numbers(BATCH * inputs, 1), *w1 = numbers(inputs * hidden, .1f), *h = numbers(BATCH * hidden, 1);
  float *w2 = numbers(hidden * OUT, .1f), *y = numbers(BATCH * OUT, 1), *dh = numbers(BATCH * hidden, 1);
  int64_t *s1 = (int64_t *)block(2 * inputs * hidden), *s2 = (int64_t *)block(2 * hidden * OUT);
  int32_t start[BATCH / SLICE + 1];
  uint32_t largest[BATCH / SLICE];
  for (int i = 0; i <= BATCH / SLICE; i++) start[i] = i * SLICE;
  thaw_gemm_desc f1 = {.m = BATCH, .n = k, .k = c, .lda = c, .ldb = k, .ldc = k};
  thaw_gemm_desc f2 = {.m = BATCH, .n = OUT, .k = k, .lda = k, .ldb = OUT, .ldc = OUT};
  thaw_gemm_desc b2 = {.m = BATCH, .n = k, .k = OUT, .transpose_b = true, .lda = OUT, .ldb = OUT, .ldc = k};
  float *scratch = block(thaw_gemm_scratch_bytes(isa, &f1) / 4 + thaw_gemm_scratch_bytes(isa, &f2) / 4 +
                         thaw_gemm_scratch_bytes(isa, &b2) / 4);
  thaw_exact_terms to[] = {{.factor = 0x1p20, .sums = s1, .largest = largest},
                           {.factor = 0x1p20, .sums = s2, .largest = largest}};
  double best[5] = {1, 1, 1, 1, 1};
  for (int r = 0; r < 300; r++) {
    double t[6];
    t[0] = seconds();
    thaw_gemm(isa, &f1, x, w1, h, scratch);
    t[1] = seconds();
    thaw_gemm(isa, &f2, h, w2, y, scratch);
    t[2] = seconds();
    thaw_gemm(isa, &b2, y, w2, dh, scratch);
    t[3] = seconds();
    thaw_dense_gradient_exact(isa, x, dh, start, BATCH / SLICE, 1, c, k, &to[0]);
    t[4] = seconds();
    thaw_dense_gradient_exact(isa, h, y, start, BATCH / SLICE, 1, k, OUT, &to[1]);
    t[5] = seconds();
    for (int i = 0; i < 5; i++) best[i] = t[i + 1] - t[i] < best[i] ? t[i + 1] - t[i] : best[i];
  }
  double sum = best[0] + best[1] + best[2] + best[3] + best[4];
  printf("head %d->%d->10, %s, batch 64: forward %.1f + %.1f us, back %.1f us, gradients %.1f + %.1f us: %.0f "
         "samples/s\n",
         c, k, thaw_isa_name(isa), best[0] * 1e6, best[1] * 1e6, best[2] * 1e6, best[3] * 1e6, best[4] * 1e6,
         BATCH / sum);
  free(x), free(w1), free(h), free(w2), free(y), free(dh), free(scratch), free(s1), free(s2);
}

int main(int argc, char **argv) {
  const char *which = argc > 1 ? argv[1] : "all";
  int32_t n = argc > 2 ? (int32_t)strtol(argv[2], NULL, 10) : 8;
  int only = argc > 4 ? (int)strtol(argv[4], NULL, 10) : -1;
  const thaw_isa *isa;
  if (thaw_isa_select(argc > 3 ? argv[3] : NULL, &isa) != THAW_OK) {
    fprintf(stderr, "%s\n", thaw_message());
    return 1;
  }
  for (int i = 0; i < COUNT(networks); i++)
    if (strcmp(which, "all") == 0 || strcmp(which, networks[i].name) == 0)
      time_network(isa, &networks[i], n < 1 ? 1 : n, only);
  if (strcmp(which, "all") == 0 || strcmp(which, "head") == 0) {
    time_head(isa, 512, 128);
    time_head(isa, 512, 1024);
    time_head(isa, 2048, 1024);
  }
  if (strcmp(which, "all") == 0 || strcmp(which, "gemm") == 0) time_gemm(isa);
  if (strcmp(which, "all") == 0 || strcmp(which, "gradient") == 0) time_gradient(isa);
}
