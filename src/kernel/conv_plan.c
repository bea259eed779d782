/* conv_plan.c: block sizes from the sizes of the caches. They decide speed only, never a bit of the result. */
#include "kernel/conv_plan.h"
#include <unistd.h>

enum { WINOGRAD_POINTS = 36, KIB = 1024 };

/* One core's second-level cache in floats; some virtual machines report 0. */
static size_t cache_floats(void) {
  long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes < 256 * KIB) bytes = 512 * KIB;
  if (bytes > 4096 * KIB) bytes = 4096 * KIB;
  return (size_t)bytes / sizeof(float);
}

size_t thaw_winograd_row(int32_t channels) {
  size_t lines = thaw_round_up((size_t)channels, THAW_ALIGN_FLOATS) / THAW_ALIGN_FLOATS;
  return (lines | 1) * THAW_ALIGN_FLOATS;
}

size_t thaw_winograd_plane(int32_t tiles, size_t row) {
  return ((size_t)tiles * (row / THAW_ALIGN_FLOATS) | 1) * THAW_ALIGN_FLOATS;
}

/* The weights stream through the cache once per block, fetched ahead, so a block needs only enough tiles to hide that:
 * 24. More help a little while the work space is no more than twice the second-level cache. */
void thaw_plan_winograd(thaw_conv *conv) {
  enum { FEWEST_TILES = 24, MOST_TILES = 48 };
  const thaw_conv_desc *d = &conv->desc;
  int32_t rows = conv->isa->rows;
  conv->k_block = (int32_t)thaw_round_up((size_t)d->k, 2 * (size_t)conv->isa->lanes);
  size_t v_row = thaw_winograd_row(d->c), m_row = thaw_winograd_row(conv->k_block);
  size_t block = 2 * cache_floats() / (WINOGRAD_POINTS * (v_row + m_row));
  block = block < FEWEST_TILES ? FEWEST_TILES : block > MOST_TILES ? MOST_TILES : block;
  conv->block = (int32_t)block / rows * rows;
  conv->conv_scratch =
      WINOGRAD_POINTS * (thaw_winograd_plane(conv->block, v_row) + thaw_winograd_plane(conv->block, m_row));
}

int32_t thaw_conv_gradient_block(const thaw_conv_desc *d, int32_t n) {
  enum { MOST_FLOATS = 1 << 19, FEWEST_TILES = 64 };
  int64_t h = d->h + d->pad_top + d->pad_bottom - 2, w = d->w + d->pad_left + d->pad_right - 2;
  int64_t tiles = (h + 3) / 4 * ((w + 3) / 4) * (n > 0 ? n : 1);
  int64_t most = MOST_FLOATS / (int64_t)(WINOGRAD_POINTS * thaw_winograd_row(d->c));
  if (most < FEWEST_TILES) most = FEWEST_TILES;
  if (tiles <= THAW_EXACT_TILES) most = tiles; /* as thaw_conv_gradient_exact */
  return (int32_t)(tiles < most ? tiles : most);
}

/* Half the cache for the input that all panels of weights go over and for the output; at least so many pixels that
 * weights streaming through (fetched ahead) are no bottleneck. */
void thaw_plan_gemm(thaw_conv *conv) {
  enum { FEWEST_PIXELS = 192 };
  const thaw_conv_desc *d = &conv->desc;
  size_t room = cache_floats() / 2;
  if (thaw_conv_flat(d)) {
    size_t block = room / ((size_t)d->c + (size_t)d->k * (d->residual ? 2 : 1)), rows = (size_t)conv->isa->rows;
    conv->block = (int32_t)(block < FEWEST_PIXELS ? FEWEST_PIXELS : block / rows * rows);
    conv->conv_scratch = d->prologue ? (size_t)conv->block * (size_t)d->c : 0;
    return;
  }
  size_t row = (size_t)thaw_strip_width(d) * (size_t)d->c;
  int32_t block = 1;
  while (block < conv->h_conv && (size_t)thaw_strip_height(d, block + 1) * row <= room) block++;
  conv->block = block;
  conv->conv_scratch = thaw_conv_pointwise(d) && !d->prologue ? 0 : (size_t)thaw_strip_height(d, block) * row;
}

/* A third of the cache; not so few that weights streaming through would be a bottleneck. */
int32_t thaw_separable_pixels(const thaw_conv_desc *depthwise) {
  enum { FEWEST_PIXELS = 96 };
  size_t pixels = cache_floats() / 3 / (size_t)thaw_separable_stride(depthwise->c);
  return pixels < FEWEST_PIXELS ? FEWEST_PIXELS : (int32_t)pixels;
}
