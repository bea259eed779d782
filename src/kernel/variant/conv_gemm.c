/* conv_gemm.c: convolution as a packed matrix product: y [pixels][k] = windows [pixels][kh*kw*c] * weights
 * [kh*kw*c][k].
 *
 * The windows are never written out. Row i of a window is kw*c consecutive floats of input row i, and the windows of
 * neighbouring outputs start stride_w*c floats apart, so the microkernel reads them where they lie: in x itself for 1x1
 * convolutions, else in a strip of input rows copied with their zero padding (and mapped by the prologue).
 * Weights are packed as [k / PANEL][kh*kw*c][PANEL].
 */
#include "kernel/variant/rows.h"
#include "kernel/variant/tile.h"
#include "kernel/variant/variant.h"
#include "kernel/variant/vector_math.h"
#include <string.h>

/* Some output rows: windows start at a + row*row_step + column*a_step, their rows lie `segment_step` apart. */
typedef struct strip {
  const float *a;
  size_t row_step, a_step, segment_step;
  int segments, length; /* kh, kw*c */
  int rows, width;      /* outputs */
  const float *residual;
  float *y;
} strip;

typedef struct epilogue {
  const float *bias;
  const float *residual;
  size_t residual_step, y_step;
  thaw_activation activation;
  int count;  /* channels to write, at most PANEL */
  ahead soon; /* the part of the next panel that this block fetches */
} epilogue;

ALWAYS_INLINE void finish(const int rows, const int vectors, vec s[ROWS][2], const epilogue *e, float *y) {
#pragma GCC unroll 2
  for (int j = 0; j < vectors; j++) {
    vec bias = load(e->bias + j * LANES);
    int count = e->count - j * LANES;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) s[i][j] = s[i][j] + bias;
    if (e->residual)
#pragma GCC unroll 16
      for (int i = 0; i < rows; i++)
        s[i][j] = s[i][j] + load_some(e->residual + (size_t)i * e->residual_step + j * LANES, count);
    if (e->activation == THAW_RELU) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; i++) s[i][j] = max_of(zero(), s[i][j]);
    } else if (e->activation == THAW_RELU6) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; i++) s[i][j] = max_of(zero(), min_of(broadcast(6.f), s[i][j]));
    } else if (e->activation == THAW_SWISH) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; i++) s[i][j] = swish_of(s[i][j]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) store_some(y + (size_t)i * e->y_step + j * LANES, s[i][j], count);
  }
}

/* Asks for the lines of some rows that the end of a block will touch, so that they arrive while it multiplies. */
ALWAYS_INLINE void fetch(const int vectors, const float *p, size_t step, int first, int end) {
  for (int i = first; i < end; i++)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++) __builtin_prefetch(p + (size_t)i * step + j * LANES, 1);
}

/* A processor has room for a dozen or two of lines on their way. Asked for all at once they would hold up the loads of
 * the product, so the sum over p goes in parts and each asks for a part of the rows. */
ALWAYS_INLINE void block(const int rows, const int vectors, const float *a, const strip *t, const float *b,
                         const epilogue *e, float *y) {
  enum { SHORT = 192, SHORT_WITH_RESIDUAL = 64 }; /* there, parts cost more than they bring */
  const int parts = rows < 4 || t->length < (e->residual ? SHORT_WITH_RESIDUAL : SHORT) ? 1 : 4;
  vec s[ROWS][2];
  tile_clear(rows, s);
  ahead soon = e->soon;
  for (int i = 0; i < t->segments; i++, a += t->segment_step)
    for (int part = 0; part < parts; part++) {
      if (i == 0) {
        int first = rows * part / parts, end = rows * (part + 1) / parts;
        if (e->residual) fetch(vectors, e->residual, e->residual_step, first, end);
        fetch(vectors, y, e->y_step, first, end);
      }
      int from = t->length * part / parts, length = t->length * (part + 1) / parts - from;
      tile_multiply(rows, vectors, a + from, t->a_step, 1, b, PANEL, length, soon, s);
      b += (size_t)length * PANEL;
      soon.next += soon.step * (size_t)length;
    }
  finish(rows, vectors, s, e, y);
}

static void block_wide(int rows, const float *a, const strip *t, const float *b, const epilogue *e, float *y) {
#define CALL(R) block(R, 2, a, t, b, e, y)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

static void block_narrow(int rows, const float *a, const strip *t, const float *b, const epilogue *e, float *y) {
#define CALL(R) block(R, 1, a, t, b, e, y)
  THAW_FOR_ROWS(rows, CALL)
#undef CALL
}

static void multiply_strip(const thaw_conv *conv, const float *packed, const strip *t) {
  const thaw_conv_desc *d = &conv->desc;
  int groups = tile_groups(t->width);
  size_t depth = (size_t)t->segments * (size_t)t->length, step = PANEL * sizeof(float) / (size_t)(groups * t->rows);
  epilogue e = {.residual_step = (size_t)d->k, .y_step = (size_t)d->y_stride, .activation = d->activation};
  for (int32_t k = 0; k < d->k; k += PANEL) {
    const float *b = packed + (size_t)k * depth;
    e.bias = packed + conv->bias_at + k;
    e.count = d->k - k;
    for (int row = 0; row < t->rows; row++)
      for (int g = 0; g < groups; g++) {
        int column = t->width * g / groups, rows = t->width * (g + 1) / groups - column;
        size_t pixel = (size_t)row * (size_t)t->width + (size_t)column;
        const float *a = t->a + (size_t)row * t->row_step + (size_t)column * t->a_step;
        e.soon.next = (const char *)(b + depth * PANEL) + step * depth * (size_t)(row * groups + g);
        e.soon.step = step;
        e.residual = t->residual ? t->residual + pixel * (size_t)d->k + k : NULL;
        (e.count <= LANES ? block_narrow : block_wide)(rows, a, t, b, &e, t->y + pixel * (size_t)d->y_stride + k);
      }
  }
}

/* to[c] = relu(from[c] * scale[c] + shift[c]), or from[c] without a prologue. */
ALWAYS_INLINE void map_pixel(const bool prologue, const float *from, const float *scale, const float *shift, int32_t c,
                             float *to) {
  int32_t i = 0;
  for (; i + LANES <= c; i += LANES) {
    vec a = load(from + i);
    if (prologue) a = max_of(zero(), fma_of(a, load(scale + i), load(shift + i)));
    store(to + i, a);
  }
  if (i == c) return;
  vec a = load_some(from + i, c - i);
  if (prologue) a = max_of(zero(), fma_of(a, load(scale + i), load(shift + i)));
  store_some(to + i, a, c - i);
}

/* `pixels` pixels, mapped by the prologue, packed densely. */
static void copy_pixels(const thaw_conv *conv, const float *packed, const float *from, int32_t pixels, float *to) {
  const thaw_conv_desc *d = &conv->desc;
  const float *scale = packed + conv->scale_at, *shift = packed + conv->shift_at;
  if (!d->prologue && d->x_stride == d->c) {
    memcpy(to, from, (size_t)pixels * (size_t)d->c * sizeof *to);
  } else if (d->prologue) {
    for (int32_t i = 0; i < pixels; i++, from += d->x_stride, to += d->c) map_pixel(true, from, scale, shift, d->c, to);
  } else {
    for (int32_t i = 0; i < pixels; i++, from += d->x_stride, to += d->c) map_pixel(false, from, NULL, NULL, d->c, to);
  }
}

/* Copies input rows first .. first + rows (some may lie in the padding) of one image with zeros around. */
static void copy_rows(const thaw_conv *conv, const float *packed, const float *image, int32_t first, int32_t rows,
                      float *to) {
  const thaw_conv_desc *d = &conv->desc;
  size_t width = (size_t)thaw_strip_width(d) * (size_t)d->c;
  size_t left = (size_t)d->pad_left * (size_t)d->c, right = (size_t)d->pad_right * (size_t)d->c;
  for (int32_t i = 0; i < rows; i++, to += width) {
    int32_t y = first + i;
    if (y < 0 || y >= d->h) {
      memset(to, 0, width * sizeof *to);
      continue;
    }
    memset(to, 0, left * sizeof *to);
    copy_pixels(conv, packed, image + (size_t)y * (size_t)d->w * (size_t)d->x_stride, d->w, to + left);
    memset(to + width - right, 0, right * sizeof *to);
  }
}

/* Stride-1 pointwise: the pixels of all images are one long row. */
void THAW_VARIANT(thaw_pointwise)(const thaw_conv *conv, const float *packed, const float *x, int64_t pixels,
                                  const float *residual, float *y, float *scratch) {
  const thaw_conv_desc *d = &conv->desc;
  int64_t blocks = (pixels + conv->block - 1) / conv->block;
  for (int64_t b = 0; b < blocks; b++) {
    int64_t first = pixels * b / blocks;
    strip t = {.segments = 1, .length = d->c, .rows = 1, .width = (int)(pixels * (b + 1) / blocks - first)};
    t.a = x + first * d->x_stride, t.a_step = (size_t)d->x_stride;
    if (d->prologue) {
      copy_pixels(conv, packed, t.a, t.width, scratch);
      t.a = scratch, t.a_step = (size_t)d->c;
    }
    t.residual = residual ? residual + first * d->k : NULL;
    t.y = y + first * d->y_stride;
    multiply_strip(conv, packed, &t);
  }
}

void THAW_VARIANT(thaw_conv_gemm)(const thaw_conv *conv, const float *packed, const float *x, int32_t n,
                                  const float *residual, float *y, float *scratch) {
  const thaw_conv_desc *d = &conv->desc;
  if (thaw_conv_flat(d)) {
    THAW_VARIANT(thaw_pointwise)(conv, packed, x, (int64_t)n * d->h * d->w, residual, y, scratch);
    return;
  }
  bool in_place = thaw_conv_pointwise(d) && !d->prologue;
  size_t pixel = in_place ? (size_t)d->x_stride : (size_t)d->c;
  size_t row = in_place ? (size_t)d->w * pixel : (size_t)thaw_strip_width(d) * pixel;
  strip t = {.segments = d->kh, .length = d->kw * d->c, .width = conv->w_conv};
  t.a_step = (size_t)d->stride_w * pixel, t.row_step = (size_t)d->stride_h * row, t.segment_step = row;
  for (int32_t i = 0; i < n; i++) {
    const float *image = x + (size_t)i * (size_t)d->h * (size_t)d->w * (size_t)d->x_stride;
    for (int32_t first = 0; first < conv->h_conv; first += t.rows) {
      t.rows = conv->h_conv - first < conv->block ? conv->h_conv - first : conv->block;
      if (in_place) {
        t.a = image + (size_t)first * t.row_step;
      } else {
        copy_rows(conv, packed, image, first * d->stride_h - d->pad_top, thaw_strip_height(d, t.rows), scratch);
        t.a = scratch;
      }
      size_t at = ((size_t)i * (size_t)conv->h_conv + (size_t)first) * (size_t)conv->w_conv;
      t.residual = residual ? residual + at * (size_t)d->k : NULL;
      t.y = y + at * (size_t)d->y_stride;
      multiply_strip(conv, packed, &t);
    }
  }
}
