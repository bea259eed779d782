/* image.h: images in and out (libpng, libjpeg-turbo), resampling. All functions are [local] and thread-safe. */
#ifndef THAW_IMAGE_H
#define THAW_IMAGE_H

#include "thaw/status.h"
#include <stddef.h>
#include <stdint.h>

/* Interleaved samples, [h][w][c], c = 1 grey, 3 RGB (alpha is composited on black and dropped, palettes expanded). */
typedef struct thaw_image {
  int32_t h, w, c;
  int32_t bits; /* 8: uint8_t, 16: uint16_t */
  void *pixels; /* owned; thaw_image_clear */
} thaw_image;
void thaw_image_clear(thaw_image *image);

/* Largest side 65,500 pixels, at most 400 megapixels; a truncated or broken file is THAW_ERR_DATA with the reason. The
 * format is told from the content. 1-, 2-, 4-bit grey becomes 8 bits. */
thaw_status thaw_image_read(const char *path, thaw_image *out) THAW_CHECKED;
thaw_status thaw_image_decode(const char *name, const void *bytes, size_t size, thaw_image *out) THAW_CHECKED;
/* 8-bit grey or RGB PNG, written atomically. */
thaw_status thaw_image_write_png(const char *path, const thaw_image *image) THAW_CHECKED;

/* To `channels` 1 or 3: RGB -> grey by ITU-R 601 luma, grey -> RGB by repetition. */
thaw_status thaw_image_channels(const thaw_image *in, int32_t channels, thaw_image *out) THAW_CHECKED;

/* Antialiased bilinear (triangle filter widened by the scale when shrinking), half-pixel centres: what
 * tf.image.resize(antialias=True) and PIL's BILINEAR do. Result rounded to nearest in the same bits. */
thaw_status thaw_image_resize(const thaw_image *in, int32_t h, int32_t w, thaw_image *out) THAW_CHECKED;
/* The same on float [h][w][c] -> [h2][w2][c]; scratch-free for the caller. */
thaw_status thaw_resize_float(const float *in, int32_t h, int32_t w, int32_t c, int32_t h2, int32_t w2,
                              float *out) THAW_CHECKED;
/* How to make h x w out of another shape. */
typedef enum thaw_fit { THAW_FIT_STRETCH, THAW_FIT_CROP, THAW_FIT_PAD } thaw_fit;
thaw_status thaw_image_fit(const thaw_image *in, thaw_fit fit, int32_t h, int32_t w, thaw_image *out) THAW_CHECKED;

/* ------------------------------------------------------------------ images that look alike
 * "pHash" of 64 bits (Zauner 2010; as the Python package imagehash has it): grey, 32 x 32 antialiased, a
 * two-dimensional DCT-II, and a bit for each of the 8 x 8 lowest frequencies: whether it is above their median. Bit 63
 * is the mean, row by row. It hardly changes with size, compression, brightness and contrast. Values [h][w][c] of
 * `bits` 8 or 16; three channels are mixed by ITU-R 601, others averaged. 0: an image without detail, which is like no
 * other. */
thaw_status thaw_image_hash(const thaw_image *image, uint64_t *out) THAW_CHECKED;
/* Bits in which two hashes differ: 0 the same picture, up to about 8 much alike, 32 unrelated. */
static inline int32_t thaw_hash_distance(uint64_t a, uint64_t b) {
  return __builtin_popcountll(a ^ b);
}

/* ------------------------------------------------------------------ windows of large images
 * Windows of `size` begin every `stride` (1 .. size) from 0 on; one more ends at the edge where the last would not
 * reach it. A length below `size` is one window of that length. */
int32_t thaw_tile_count(int32_t length, int32_t size, int32_t stride);
int32_t thaw_tile_start(int32_t length, int32_t size, int32_t stride, int32_t index);
/* A copy of the part of h x w from (top, left) on, which must lie inside. */
thaw_status thaw_image_crop(const thaw_image *in, int32_t top, int32_t left, int32_t h, int32_t w,
                            thaw_image *out) THAW_CHECKED;

#endif
