/* What the files of src/loader share. */
#ifndef THAW_LOADER_PRIVATE_H
#define THAW_LOADER_PRIVATE_H

#include "thaw/loader.h"

/* Values of one pixel channel lie in 0 .. THAW_PIXEL_MAX from scaling to preprocessing. */
#define THAW_PIXEL_MAX 255.0f

enum { THAW_AUGMENT_CHANNELS = 64 }; /* most channels of an augmented image */

/* The random choices for one (seed, view, sample). A point (x, y) of the result, from the image's centre, is taken from
 * (map[0] x + map[1] y + map[2], map[3] x + map[4] y + map[5]), from the centre, of the image. */
typedef struct thaw_augment_draw {
  double map[6];
  bool moves; /* the map is not the identity */
  float brightness, contrast;
} thaw_augment_draw;
void thaw_augment_choose(const thaw_augment_config *config, uint64_t seed, int32_t view, int64_t sample, int32_t h,
                         int32_t w, thaw_augment_draw *out);
/* out[h][w][c] = x sampled through the map, bilinear; fill_mode as in thaw_augment_config. */
void thaw_augment_move(const double map[6], int32_t fill_mode, const float *x, int32_t h, int32_t w, int32_t c,
                       float *out);
/* Brightness, contrast and noise in place, clipped to 0 .. THAW_PIXEL_MAX. */
void thaw_augment_values(const thaw_augment_config *config, const thaw_augment_draw *draw, uint64_t seed, int32_t view,
                         int64_t sample, float *x, int32_t h, int32_t w, int32_t c);

#endif
