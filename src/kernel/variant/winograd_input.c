/* winograd_input.c: B^T d B of 6x6 windows. */
#include "kernel/variant/winograd.h"

/* B^T d of six values; o may be d. */
ALWAYS_INLINE void input_1d(const vec d[WINDOW], vec o[WINDOW]) {
  const vec four = broadcast(4.f), minus_five = broadcast(-5.f), two = broadcast(2.f), minus_two = broadcast(-2.f);
  const vec minus_four = broadcast(-4.f);
  vec first = fma_of(four, d[0], fma_of(minus_five, d[2], d[4])),
      last = fma_of(four, d[1], fma_of(minus_five, d[3], d[5]));
  vec a = fma_of(minus_four, d[2], d[4]), b = fma_of(minus_four, d[1], d[3]), e = d[4] - d[2], f = d[3] - d[1];
  o[0] = first;
  o[1] = a + b;
  o[2] = a - b;
  o[3] = fma_of(two, f, e);
  o[4] = fma_of(minus_two, f, e);
  o[5] = last;
}

/* B^T d B of the 6x6 window d (column by column) into 36 planes. */
ALWAYS_INLINE void input_2d(vec d[WINDOW][WINDOW], float *v, size_t plane) {
#pragma GCC unroll 6
  for (int j = 0; j < WINDOW; j++) input_1d(d[j], d[j]);
#pragma GCC unroll 6
  for (int i = 0; i < WINDOW; i++) {
    vec across[WINDOW] = {d[0][i], d[1][i], d[2][i], d[3][i], d[4][i], d[5][i]}, o[WINDOW];
    input_1d(across, o);
#pragma GCC unroll 6
    for (int j = 0; j < WINDOW; j++) store(v + (size_t)(i * WINDOW + j) * plane, o[j]);
  }
}

/* A window inside the image, channels a multiple of LANES, no prologue. */
static void input_inside(const winograd_run *r, const float *x, float *v) {
  const thaw_conv_desc *d = &r->conv->desc;
  size_t pixel = (size_t)d->x_stride, row = pixel * (size_t)d->w;
  for (int32_t c = 0; c < d->c; c += LANES) {
    vec window[WINDOW][WINDOW];
#pragma GCC unroll 6
    for (int j = 0; j < WINDOW; j++)
#pragma GCC unroll 6
      for (int i = 0; i < WINDOW; i++) {
        const float *p = x + (size_t)i * row + (size_t)j * pixel + c;
        window[j][i] = load(p);
        if (j > 1) __builtin_prefetch(p + TILE * pixel); /* the next tile */
      }
    input_2d(window, v + c, r->v_plane);
  }
}

/* Which of the window's pixels lie inside the image: bit j * WINDOW + i for row i, column j. */
static uint64_t inside_bits(const thaw_conv_desc *d, int32_t top, int32_t left) {
  uint64_t bits = 0;
  for (int j = 0; j < WINDOW; j++)
    for (int i = 0; i < WINDOW; i++)
      if (top + i >= 0 && left + j >= 0 && top + i < d->h && left + j < d->w) bits |= (uint64_t)1 << (j * WINDOW + i);
  return bits;
}

/* A window of which only the pixels in `bits` are inside; `corner`, the place of its first pixel, may lie outside. */
static void input_edge(const winograd_run *r, const float *image, ptrdiff_t corner, uint64_t bits, float *v) {
  const thaw_conv_desc *d = &r->conv->desc;
  ptrdiff_t pixel = d->x_stride, row = pixel * d->w;
  for (int32_t c = 0; c < d->c; c += LANES) {
    vec window[WINDOW][WINDOW];
#pragma GCC unroll 6
    for (int j = 0; j < WINDOW; j++)
#pragma GCC unroll 6
      for (int i = 0; i < WINDOW; i++) {
        window[j][i] = zero();
        if (bits >> (j * WINDOW + i) & 1) window[j][i] = load(image + (corner + i * row + j * pixel + c));
      }
    input_2d(window, v + c, r->v_plane);
  }
}

/* As input_edge, for any number of channels and with a prologue. */
static void input_general(const winograd_run *r, const float *image, ptrdiff_t corner, uint64_t bits, float *v) {
  const thaw_conv_desc *d = &r->conv->desc;
  ptrdiff_t pixel = d->x_stride, row = pixel * d->w;
  for (int32_t c = 0; c < d->c; c += LANES) {
    vec window[WINDOW][WINDOW];
    int count = d->c - c;
    vec scale = d->prologue ? load(r->scale + c) : zero(), shift = d->prologue ? load(r->shift + c) : zero();
    for (int j = 0; j < WINDOW; j++)
      for (int i = 0; i < WINDOW; i++) {
        window[j][i] = zero();
        if (!(bits >> (j * WINDOW + i) & 1)) continue;
        vec a = load_some(image + (corner + i * row + j * pixel + c), count);
        if (d->prologue) a = max_of(zero(), fma_of(a, scale, shift));
        window[j][i] = a;
      }
    input_2d(window, v + c, r->v_plane);
  }
}

void THAW_VARIANT(thaw_winograd_input)(const winograd_run *r, int64_t first, int count) {
  const thaw_conv_desc *d = &r->conv->desc;
  bool plain = !d->prologue && d->c % LANES == 0;
  for (int q = 0; q < count; q++) {
    int64_t image = (first + q) / (r->rows * r->columns);
    int32_t tile = (int32_t)((first + q) % (r->rows * r->columns));
    int32_t top = tile / r->columns * TILE - d->pad_top, left = tile % r->columns * TILE - d->pad_left;
    const float *x = r->x + (size_t)image * (size_t)d->h * (size_t)d->w * (size_t)d->x_stride;
    float *v = r->v + (size_t)q * r->v_row;
    ptrdiff_t corner = ((ptrdiff_t)top * d->w + left) * d->x_stride;
    if (plain && top >= 0 && left >= 0 && top + WINDOW <= d->h && left + WINDOW <= d->w) {
      input_inside(r, x + corner, v);
    } else if (plain) {
      input_edge(r, x, corner, inside_bits(d, top, left), v);
    } else {
      input_general(r, x, corner, inside_bits(d, top, left), v);
    }
  }
}
