/* image_private.h: what the files of src/image share. */
#ifndef THAW_IMAGE_PRIVATE_H
#define THAW_IMAGE_PRIVATE_H

#include "thaw/image.h"

#include <stdbool.h>

enum { IMAGE_SIDE_LIMIT = 65500, IMAGE_PIXEL_LIMIT = 400000000 };

/* Bytes of one row of `image`. */
size_t thaw_image__row(const thaw_image *image);
/* Checks the limits and allocates zeroed pixels; `name` is for messages. */
thaw_status thaw_image__create(const char *name, int64_t h, int64_t w, int32_t c, int32_t bits,
                               thaw_image *out) THAW_CHECKED;

thaw_status thaw_png__decode(const char *name, const unsigned char *bytes, size_t size, thaw_image *out) THAW_CHECKED;
thaw_status thaw_jpeg__decode(const char *name, const unsigned char *bytes, size_t size, thaw_image *out) THAW_CHECKED;
/* EXIF orientation 1..8 of an APP1 marker's content, 1 where it tells none. */
int thaw_exif__orientation(const unsigned char *bytes, size_t size);
/* Turns the image so that orientation 1 is right; `image` is replaced. */
thaw_status thaw_exif__turn(int orientation, thaw_image *image) THAW_CHECKED;

#endif
