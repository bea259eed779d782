/* resize.c: antialiased bilinear resampling.
 *
 * Output pixel o of n2 looks at input position x = (o + 0.5) * n / n2 (half-pixel centres). Input pixel i gets the
 * weight max(0, 1 - |i + 0.5 - x| / s), s = max(1, n / n2), and weights are normalised over the pixels that exist. This
 * is the triangle filter of tf.image.resize(antialias=True) (ScaleAndTranslate) and of PIL's BILINEAR. Rows first, then
 * columns.
 */
#include "image/image_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

/* For each output position: `count` weights from input `first` on, at weight[start]. */
typedef struct span {
  int32_t first, count;
  size_t start;
} span;

typedef struct filter {
  span *spans;
  float *weight;
} filter;

static void clear_filter(filter *f) {
  thaw_free(f->spans);
  thaw_free(f->weight);
}

static void fill_span(int32_t n, double scale, double support, int32_t o, float *weight, span *out) {
  const double center = (o + 0.5) * scale;
  int32_t first = (int32_t)ceil(center - support - 0.5), last = (int32_t)floor(center + support - 0.5);
  double sum = 0;
  if (first < 0) first = 0;
  if (last > n - 1) last = n - 1;
  for (int32_t i = first; i <= last; i++) {
    const double distance = fabs(i + 0.5 - center) / support;
    sum += distance < 1 ? 1 - distance : 0;
  }
  for (int32_t i = first; i <= last; i++) {
    const double distance = fabs(i + 0.5 - center) / support;
    weight[i - first] = (float)((distance < 1 ? 1 - distance : 0) / sum);
  }
  out->first = first;
  out->count = last - first + 1;
}

static thaw_status make_filter(int32_t n, int32_t n2, filter *out) {
  const double scale = (double)n / n2, support = scale > 1 ? scale : 1;
  const size_t widest = (size_t)ceil(2 * support) + 2;
  out->spans = thaw_new((size_t)n2, sizeof *out->spans);
  out->weight = thaw_new((size_t)n2 * widest, sizeof *out->weight);
  if (!out->spans || !out->weight) {
    clear_filter(out);
    return THAW_ERR_MEMORY;
  }
  for (int32_t o = 0; o < n2; o++) {
    out->spans[o].start = (size_t)o * widest;
    fill_span(n, scale, support, o, out->weight + out->spans[o].start, &out->spans[o]);
  }
  return THAW_OK;
}

/* One row [w][3] -> [w2][3]: three sums at a time. */
static void resize_row_rgb(const filter *f, const float *in, int32_t w2, float *out) {
  for (int32_t x = 0; x < w2; x++) {
    const span *s = &f->spans[x];
    const float *weight = f->weight + s->start, *pixel = in + 3 * (size_t)s->first;
    float r = 0, g = 0, b = 0;
    for (int32_t i = 0; i < s->count; i++, pixel += 3) {
      r += weight[i] * pixel[0];
      g += weight[i] * pixel[1];
      b += weight[i] * pixel[2];
    }
    out[3 * (size_t)x] = r;
    out[3 * (size_t)x + 1] = g;
    out[3 * (size_t)x + 2] = b;
  }
}

/* One row [w][c] -> [w2][c]. */
static void resize_row(const filter *f, const float *in, int32_t c, int32_t w2, float *out) {
  for (int32_t x = 0; x < w2; x++) {
    const span *s = &f->spans[x];
    const float *weight = f->weight + s->start, *pixel = in + (size_t)s->first * (size_t)c;
    for (int32_t k = 0; k < c; k++) {
      float sum = 0;
      for (int32_t i = 0; i < s->count; i++) sum += weight[i] * pixel[(size_t)i * (size_t)c + (size_t)k];
      out[(size_t)x * (size_t)c + (size_t)k] = sum;
    }
  }
}

/* One output row as the weighted sum of rows of length `width`. */
static void blend_rows(const filter *f, const float *rows, size_t width, int32_t y, float *out) {
  const span *s = &f->spans[y];
  const float *weight = f->weight + s->start;
  memset(out, 0, width * sizeof *out);
  for (int32_t i = 0; i < s->count; i++) {
    const float *row = rows + (size_t)(s->first + i) * width;
    for (size_t x = 0; x < width; x++) out[x] += weight[i] * row[x];
  }
}

/* The source and target of one resize: bits 8, 16 or 32 (float). */
typedef struct plane {
  const void *in;
  void *out;
  int32_t h, w, c, h2, w2, bits;
} plane;

static void load_row(const plane *p, int32_t y, float *row) {
  const size_t width = (size_t)p->w * (size_t)p->c, start = (size_t)y * width;
  if (p->bits == 32) {
    memcpy(row, (const float *)p->in + start, width * sizeof *row);
    return;
  }
  const uint8_t *byte = (const uint8_t *)p->in + start;
  const uint16_t *word = (const uint16_t *)p->in + start;
  for (size_t x = 0; x < width; x++) row[x] = p->bits == 16 ? word[x] : byte[x];
}

/* Weights are positive and sum to 1, so a value leaves the range by rounding error at most. */
static void store_row(const plane *p, int32_t y, const float *row) {
  const size_t width = (size_t)p->w2 * (size_t)p->c, start = (size_t)y * width;
  const float top = p->bits == 16 ? 65535.0f : 255.0f;
  if (p->bits == 32) {
    memcpy((float *)p->out + start, row, width * sizeof *row);
    return;
  }
  for (size_t x = 0; x < width; x++) {
    const float value = floorf(row[x] + 0.5f) < top ? floorf(row[x] + 0.5f) : top;
    if (p->bits == 16)
      ((uint16_t *)p->out)[start + x] = (uint16_t)value;
    else
      ((uint8_t *)p->out)[start + x] = (uint8_t)value;
  }
}

static void run(const plane *p, const filter *across, const filter *down, float *row, float *rows) {
  const size_t width = (size_t)p->w2 * (size_t)p->c;
  for (int32_t y = 0; y < p->h; y++) {
    load_row(p, y, row);
    if (p->c == 3)
      resize_row_rgb(across, row, p->w2, rows + (size_t)y * width);
    else
      resize_row(across, row, p->c, p->w2, rows + (size_t)y * width);
  }
  for (int32_t y = 0; y < p->h2; y++) {
    blend_rows(down, rows, width, y, row);
    store_row(p, y, row);
  }
}

static thaw_status resize_plane(const plane *p) {
  filter across = {0}, down = {0};
  const size_t widest = (size_t)(p->w > p->w2 ? p->w : p->w2) * (size_t)p->c;
  thaw_status status = make_filter(p->w, p->w2, &across);
  if (status == THAW_OK) status = make_filter(p->h, p->h2, &down);
  float *row = status == THAW_OK ? thaw_new(widest, sizeof *row) : NULL;
  float *rows = row ? thaw_new((size_t)p->h * (size_t)p->w2, (size_t)p->c * sizeof *rows) : NULL;
  if (rows)
    run(p, &across, &down, row, rows);
  else
    status = THAW_ERR_MEMORY;
  thaw_free(rows);
  thaw_free(row);
  clear_filter(&down);
  clear_filter(&across);
  return status;
}

static thaw_status check_sizes(int32_t h, int32_t w, int32_t c, int32_t h2, int32_t w2) {
  if (h < 1 || w < 1 || c < 1 || h2 < 1 || w2 < 1 || h > IMAGE_SIDE_LIMIT || w > IMAGE_SIDE_LIMIT ||
      h2 > IMAGE_SIDE_LIMIT || w2 > IMAGE_SIDE_LIMIT)
    return thaw_fail(THAW_ERR_USAGE, "cannot resize %dx%dx%d to %dx%d", (int)h, (int)w, (int)c, (int)h2, (int)w2);
  return THAW_OK;
}

thaw_status thaw_resize_float(const float *in, int32_t h, int32_t w, int32_t c, int32_t h2, int32_t w2, float *out) {
  THAW_TRY(check_sizes(h, w, c, h2, w2));
  if (h == h2 && w == w2) {
    memcpy(out, in, (size_t)h * (size_t)w * (size_t)c * sizeof *out);
    return THAW_OK;
  }
  return resize_plane(&(plane){.in = in, .out = out, .h = h, .w = w, .c = c, .h2 = h2, .w2 = w2, .bits = 32});
}

thaw_status thaw_image_resize(const thaw_image *in, int32_t h, int32_t w, thaw_image *out) {
  *out = (thaw_image){0};
  THAW_TRY(check_sizes(in->h, in->w, in->c, h, w));
  THAW_TRY(thaw_image__create("image", h, w, in->c, in->bits, out));
  if (in->h == h && in->w == w) {
    memcpy(out->pixels, in->pixels, (size_t)h * thaw_image__row(in));
    return THAW_OK;
  }
  const plane p = {in->pixels, out->pixels, in->h, in->w, in->c, h, w, in->bits};
  thaw_status status = resize_plane(&p);
  if (status != THAW_OK) thaw_image_clear(out);
  return status;
}
