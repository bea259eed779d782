/* 3x3 convolutions with stride 1 of the live part in Winograd's domain, F(4x4, 3x3) (Lavin and Gray, "Fast algorithms
 * for convolutional neural networks", 2015). With d a 6x6 tile of the input, g the kernel, Y a 4x4 tile of the output:
 *
 *     Y = A^T [(G g G^T) . (B^T d B)] A
 *
 * forward:         the frozen part's kernel, with weights packed once per step
 * input gradient:  a convolution too, of dY with the kernel turned by 180 degrees and its channels exchanged
 * kernel gradient: the adjoint, dg = G^T [sum over tiles of (B^T d B) . (A dY A^T)] G: 36 matrix products per slice
 *                  instead of one over all pixels, with a fourth of the multiplications */
#include "layer/conv_private.h"

#include <string.h>

enum { POINTS = 36, TILE = 4, FIELD = 6, LANES = 16, WANTED_TILES = 128, LEAST_CHANNELS = 16 };

struct thaw_conv_workspace {
  thaw_conv *forward, *input;
  void *forward_packed, *input_packed, *scratch;
  float *turned; /* the kernel, [kh][kw][k][c] */
};

bool thaw_winograd_serves(const thaw_layer *layer) {
  const thaw_conv2d_config *config = layer->config;
  return config->kernel_h == 3 && config->kernel_w == 3 && config->stride_h == 1 && config->stride_w == 1 &&
         layer->input[0].c >= LEAST_CHANNELS && layer->output.c >= LEAST_CHANNELS;
}

/* ------------------------------------------------------------------ forward and input gradient */

static thaw_conv_desc forward_desc(const thaw_layer *layer) {
  thaw_conv_desc desc = thaw_layer_conv_desc(layer);
  desc.activation = thaw_conv_fuses(layer) ? (thaw_activation)thaw_conv_config(layer)->activation : THAW_LINEAR;
  return desc;
}

static thaw_conv_desc input_desc(const thaw_layer *layer) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  thaw_conv_desc desc = {.h = layer->output.h, .w = layer->output.w, .c = d.k, .k = d.c, .kh = 3, .kw = 3};
  desc.stride_h = desc.stride_w = 1;
  desc.pad_top = 2 - d.pad_top;
  desc.pad_bottom = 2 - d.pad_bottom;
  desc.pad_left = 2 - d.pad_left;
  desc.pad_right = 2 - d.pad_right;
  return desc;
}

static thaw_status create_conv(const thaw_isa *isa, const thaw_conv_desc *desc, thaw_arena *arena, thaw_conv **conv,
                               void **packed, size_t *scratch) {
  THAW_TRY(thaw_conv_create(isa, desc, conv));
  *packed = thaw_arena_new(arena, thaw_conv_packed_bytes(*conv), 1);
  if (thaw_conv_scratch_bytes(*conv) > *scratch) *scratch = thaw_conv_scratch_bytes(*conv);
  return *packed ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status fill_workspace(thaw_conv_workspace *w, const thaw_layer *layer, const thaw_isa *isa,
                                  thaw_arena *arena, bool backward) {
  size_t scratch = 0;
  thaw_conv_desc desc = forward_desc(layer);
  THAW_TRY(create_conv(isa, &desc, arena, &w->forward, &w->forward_packed, &scratch));
  if (backward) {
    desc = input_desc(layer);
    THAW_TRY(create_conv(isa, &desc, arena, &w->input, &w->input_packed, &scratch));
    w->turned = thaw_arena_new(arena, thaw_param_count(&layer->param[0]), sizeof(float));
    if (!w->turned) return THAW_ERR_MEMORY;
  }
  w->scratch = thaw_arena_new(arena, scratch, 1);
  return w->scratch ? THAW_OK : THAW_ERR_MEMORY;
}

thaw_status thaw_winograd_create(const thaw_layer *layer, const thaw_isa *isa, thaw_arena *arena, bool backward,
                                 void **out) {
  *out = NULL;
  if (!thaw_winograd_serves(layer)) return THAW_OK;
  thaw_conv_workspace *w = thaw_arena_new(arena, 1, sizeof *w);
  if (!w) return THAW_ERR_MEMORY;
  thaw_status status = fill_workspace(w, layer, isa, arena, backward);
  if (status != THAW_OK) {
    thaw_winograd_destroy(w);
    return status;
  }
  *out = w;
  return THAW_OK;
}

void thaw_winograd_destroy(void *workspace) {
  thaw_conv_workspace *w = workspace;
  if (!w) return;
  thaw_conv_destroy(w->forward);
  thaw_conv_destroy(w->input);
}

/* turned[2 - i][2 - j][k][c] = kernel[i][j][c][k], in blocks that fit the cache. */
static void turn_kernel(const float *kernel, size_t c, size_t k, float *turned) {
  enum { BLOCK = 32 };
  for (size_t tap = 0; tap < 9; tap++) {
    const float *from = kernel + tap * c * k;
    float *to = turned + (8 - tap) * c * k;
    for (size_t i0 = 0; i0 < c; i0 += BLOCK)
      for (size_t j0 = 0; j0 < k; j0 += BLOCK)
        for (size_t i = i0; i < c && i < i0 + BLOCK; i++)
          for (size_t j = j0; j < k && j < j0 + BLOCK; j++) to[j * c + i] = from[i * k + j];
  }
}

void thaw_winograd_refresh(const thaw_layer *layer, void *workspace) {
  thaw_conv_workspace *w = workspace;
  if (!w) return;
  const float *kernel = layer->param[0].value;
  thaw_conv_pack(w->forward, kernel, thaw_layer_value(layer, "bias"), NULL, NULL, w->forward_packed);
  if (!w->input) return;
  turn_kernel(kernel, (size_t)layer->input[0].c, (size_t)layer->output.c, w->turned);
  thaw_conv_pack(w->input, w->turned, NULL, NULL, NULL, w->input_packed);
}

void thaw_winograd_forward(const thaw_layer *layer, const thaw_layer_io *io) {
  const thaw_conv_workspace *w = io->workspace;
  float *z = thaw_conv_keeps_logits(layer) && io->saved ? io->saved : io->y;
  thaw_conv_run(w->forward, w->forward_packed, io->x[0], io->n, NULL, z, w->scratch);
  if (!thaw_conv_fuses(layer))
    thaw_activate(io->isa, (thaw_activation)thaw_conv_config(layer)->activation, z,
                  (size_t)io->n * thaw_conv_pixels(layer), layer->output.c, io->y);
}

void thaw_winograd_input_gradient(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *dx) {
  const thaw_conv_workspace *w = io->workspace;
  (void)layer;
  thaw_conv_run(w->input, w->input_packed, dz, io->n, NULL, dx, w->scratch);
}

/* ------------------------------------------------------------------ kernel gradient */

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* One map seen as tiles: `field` pixels wide (6 of the input, 4 of the output), 4 apart, the first at -top, -left. */
typedef struct tiling {
  int32_t h, w, c, top, left, field, rows, columns; /* rows and columns of tiles */
} tiling;

static tiling tile_map(thaw_shape shape, thaw_shape output, int32_t top, int32_t left, int32_t field) {
  return (tiling){.h = shape.h,
                  .w = shape.w,
                  .c = shape.c,
                  .top = top,
                  .left = left,
                  .field = field,
                  .rows = (output.h + TILE - 1) / TILE,
                  .columns = (output.w + TILE - 1) / TILE};
}

/* Channels c0 .. c0 + lanes - 1 of a tile; zeros outside the map and beyond the last channel. */
ALWAYS_INLINE void load_tile(const tiling *t, const float *x, int32_t row, int32_t column, int32_t c0, int32_t lanes,
                             float tile[FIELD][FIELD][LANES]) {
  for (int32_t i = 0; i < t->field; i++)
    for (int32_t j = 0; j < t->field; j++) {
      int32_t h = row * TILE - t->top + i, w = column * TILE - t->left + j;
      float *to = tile[i][j];
      bool inside = h >= 0 && h < t->h && w >= 0 && w < t->w;
      if (!inside || lanes < LANES) memset(to, 0, LANES * sizeof *to);
      if (inside)
        memcpy(to, x + ((size_t)h * (size_t)t->w + (size_t)w) * (size_t)t->c + c0, (size_t)lanes * sizeof *to);
    }
}

/* out = B^T in, for six vectors of LANES floats that lie `stride` floats apart. */
ALWAYS_INLINE void input_line(const float *in, size_t from, float *out, size_t to) {
  for (int l = 0; l < LANES; l++) {
    float a = in[l], b = in[from + l], c = in[2 * from + l], d = in[3 * from + l], e = in[4 * from + l],
          f = in[5 * from + l];
    float even = e - 4 * c, odd = d - 4 * b, half_even = e - c, half_odd = 2 * (d - b);
    out[l] = 4 * a - 5 * c + e;
    out[to + l] = even + odd;
    out[2 * to + l] = even - odd;
    out[3 * to + l] = half_even + half_odd;
    out[4 * to + l] = half_even - half_odd;
    out[5 * to + l] = 4 * b - 5 * d + f;
  }
}

/* out = A in, for four vectors. */
ALWAYS_INLINE void output_line(const float *in, size_t from, float *out, size_t to) {
  for (int l = 0; l < LANES; l++) {
    float a = in[l], b = in[from + l], c = in[2 * from + l], d = in[3 * from + l];
    float even = a + c, odd = b + d, even2 = a + 4 * c, odd2 = 2 * b + 8 * d;
    out[l] = a;
    out[to + l] = even + odd;
    out[2 * to + l] = even - odd;
    out[3 * to + l] = even2 + odd2;
    out[4 * to + l] = even2 - odd2;
    out[5 * to + l] = d;
  }
}

/* All tiles of one image: planes [36][tiles][c] of `plane` floats, this image's tiles from `first` on. */
ALWAYS_INLINE void image_body(const tiling *t, const float *x, size_t first, size_t plane, float *planes) {
  float tile[FIELD][FIELD][LANES], half[FIELD][FIELD][LANES], whole[FIELD][FIELD][LANES];
  const size_t row = FIELD * LANES;
  for (int32_t r = 0; r < t->rows; r++)
    for (int32_t q = 0; q < t->columns; q++, first++)
      for (int32_t c0 = 0; c0 < t->c; c0 += LANES) {
        int32_t lanes = t->c - c0 < LANES ? t->c - c0 : LANES;
        load_tile(t, x, r, q, c0, lanes, tile);
        for (int32_t j = 0; j < t->field; j++) {
          if (t->field == FIELD)
            input_line(tile[0][j], row, half[0][j], row);
          else
            output_line(tile[0][j], row, half[0][j], row);
        }
        for (int32_t i = 0; i < FIELD; i++) {
          if (t->field == FIELD)
            input_line(half[i][0], LANES, whole[i][0], LANES);
          else
            output_line(half[i][0], LANES, whole[i][0], LANES);
        }
        for (int32_t p = 0; p < POINTS; p++)
          memcpy(planes + (size_t)p * plane + first * (size_t)t->c + c0, whole[p / FIELD][p % FIELD],
                 (size_t)lanes * sizeof(float));
      }
}

/* out = G^T in: three of six. */
ALWAYS_INLINE void kernel_line(const float *in, size_t from, float *out, size_t to) {
  for (int l = 0; l < LANES; l++) {
    float a = in[l], b = in[from + l], c = in[2 * from + l], d = in[3 * from + l], e = in[4 * from + l],
          f = in[5 * from + l];
    float near = (b + c) * (1.0f / 6), far = (d + e) * (1.0f / 24);
    out[l] = a * 0.25f - near + far;
    out[to + l] = (c - b) * (1.0f / 6) + (d - e) * (1.0f / 12);
    out[2 * to + l] = 4 * far - near + f;
  }
}

/* gradient [3][3][count] = G^T planes [36][count] G. */
ALWAYS_INLINE void kernel_body(const float *planes, size_t count, float *gradient) {
  float tile[FIELD][FIELD][LANES], half[3][FIELD][LANES], whole[3][3][LANES];
  for (size_t at = 0; at < count; at += LANES) {
    size_t lanes = count - at < LANES ? count - at : LANES;
    for (size_t p = 0; p < POINTS; p++) {
      if (lanes < LANES) memset(tile[p / FIELD][p % FIELD], 0, LANES * sizeof(float));
      memcpy(tile[p / FIELD][p % FIELD], planes + p * count + at, lanes * sizeof(float));
    }
    for (size_t j = 0; j < FIELD; j++) kernel_line(tile[0][j], FIELD * LANES, half[0][j], FIELD * LANES);
    for (size_t i = 0; i < 3; i++) kernel_line(half[i][0], LANES, whole[i][0], LANES);
    for (size_t p = 0; p < 9; p++) memcpy(gradient + p * count + at, whole[p / 3][p % 3], lanes * sizeof(float));
  }
}

/* The same source for the two vector widths; without contraction both give the same bits. */
__attribute__((target("avx2"))) static void image_avx2(const tiling *t, const float *x, size_t first, size_t plane,
                                                       float *planes) {
  image_body(t, x, first, plane, planes);
}

__attribute__((target("avx512f"))) static void image_avx512(const tiling *t, const float *x, size_t first, size_t plane,
                                                            float *planes) {
  image_body(t, x, first, plane, planes);
}

__attribute__((target("avx2"))) static void kernel_avx2(const float *planes, size_t count, float *gradient) {
  kernel_body(planes, count, gradient);
}

__attribute__((target("avx512f"))) static void kernel_avx512(const float *planes, size_t count, float *gradient) {
  kernel_body(planes, count, gradient);
}

static bool is_wide(const thaw_isa *isa) {
  return strcmp(thaw_isa_name(isa), "avx512") == 0;
}

typedef struct gradient_work {
  tiling input, output;
  size_t tiles;  /* of one image */
  int32_t group; /* images per matrix product */
  float *v, *m;  /* [36][group * tiles][c] and [k] */
  float *u;      /* [36][c][k] */
  void *gemm;
} gradient_work;

static thaw_gemm_desc point_gemm(const thaw_layer *layer, size_t tiles, bool accumulate) {
  int32_t c = layer->input[0].c, k = layer->output.c;
  return (thaw_gemm_desc){
      .m = c, .n = k, .k = (int32_t)tiles, .transpose_a = true, .accumulate = accumulate, .lda = c, .ldb = k, .ldc = k};
}

static gradient_work carve(const thaw_layer *layer, const thaw_isa *isa, int32_t n, thaw_carver *carver) {
  thaw_conv_desc d = thaw_layer_conv_desc(layer);
  gradient_work w = {.input = tile_map(layer->input[0], layer->output, d.pad_top, d.pad_left, FIELD),
                     .output = tile_map(layer->output, layer->output, 0, 0, TILE)};
  w.tiles = (size_t)w.input.rows * (size_t)w.input.columns;
  w.group = (int32_t)((WANTED_TILES + w.tiles - 1) / w.tiles);
  if (w.group > n) w.group = n;
  size_t most = (size_t)w.group * w.tiles;
  thaw_gemm_desc gemm = point_gemm(layer, most, true);
  w.v = thaw_carve(carver, POINTS * most * (size_t)d.c * sizeof(float));
  w.m = thaw_carve(carver, POINTS * most * (size_t)d.k * sizeof(float));
  w.u = thaw_carve(carver, POINTS * (size_t)d.c * (size_t)d.k * sizeof(float));
  w.gemm = thaw_carve(carver, thaw_gemm_scratch_bytes(isa, &gemm));
  return w;
}

size_t thaw_winograd_scratch_bytes(const thaw_layer *layer, const thaw_isa *isa, int32_t n) {
  thaw_carver carver = {0};
  carve(layer, isa, n, &carver);
  return carver.used;
}

void thaw_winograd_kernel_gradient(const thaw_layer *layer, const thaw_layer_io *io, const float *dz, float *gradient,
                                   void *scratch) {
  thaw_carver carver = {.base = scratch};
  gradient_work w = carve(layer, io->isa, io->n, &carver);
  size_t in = thaw_shape_count(layer->input[0]), out = thaw_shape_count(layer->output);
  size_t c = (size_t)layer->input[0].c, k = (size_t)layer->output.c;
  bool wide = is_wide(io->isa);
  void (*transform)(const tiling *, const float *, size_t, size_t, float *) = wide ? image_avx512 : image_avx2;
  for (int32_t first = 0; first < io->n; first += w.group) {
    int32_t images = io->n - first < w.group ? io->n - first : w.group;
    size_t tiles = (size_t)images * w.tiles;
    for (int32_t i = 0; i < images; i++) {
      transform(&w.input, io->x[0] + (size_t)(first + i) * in, (size_t)i * w.tiles, tiles * c, w.v);
      transform(&w.output, dz + (size_t)(first + i) * out, (size_t)i * w.tiles, tiles * k, w.m);
    }
    thaw_gemm_desc desc = point_gemm(layer, tiles, first > 0);
    for (size_t p = 0; p < POINTS; p++)
      thaw_gemm(io->isa, &desc, w.v + p * tiles * c, w.m + p * tiles * k, w.u + p * c * k, w.gemm);
  }
  (wide ? kernel_avx512 : kernel_avx2)(w.u, c * k, gradient);
}
