/* pictures.h: samples as people look at them. Private to src/cli. All [local]. */
#ifndef THAW_CLI_PICTURES_H
#define THAW_CLI_PICTURES_H

#include "thaw/image.h"
#include "thaw/import.h"
#include "thaw/shard.h"

/* A sample as an 8-bit RGB picture of h x w, its values scaled so that value_max is 255; channels beyond RGB are left
 * out. */
thaw_status cli_catalog_picture(thaw_catalog *catalog, int64_t sample, int32_t h, int32_t w,
                                thaw_image *out) THAW_CHECKED;
/* The same of an image file. */
thaw_status cli_file_picture(const char *path, int32_t h, int32_t w, thaw_image *out) THAW_CHECKED;
/* The same of a sample of image files. */
thaw_status cli_image_picture(thaw_import_reader *images, int64_t sample, int32_t h, int32_t w,
                              thaw_image *out) THAW_CHECKED;

#endif
