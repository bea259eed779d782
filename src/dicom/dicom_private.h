/* dicom_private.h: the seam between C and the C++ of DCMTK. */
#ifndef THAW_DICOM_PRIVATE_H
#define THAW_DICOM_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One JPEG 2000 code stream -> samples [h][w][c]; NULL, or what is wrong with it (static). */
const char *dicom_jpeg2000(const unsigned char *data, size_t size, int32_t h, int32_t w, int32_t c, int32_t *out);

#ifdef __cplusplus
}
#endif

#endif
