/* nifti.c: a volume in memory. */
#include "nifti/nifti_private.h"
#include "thaw/file.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool thaw_nifti_recognize(const char *path) {
  const size_t length = strlen(path);
  return (length > 4 && strcasecmp(path + length - 4, ".nii") == 0) ||
         (length > 7 && strcasecmp(path + length - 7, ".nii.gz") == 0);
}

static int64_t voxels_of(const thaw_nifti *n) {
  return n->dim[0] * n->dim[1] * n->dim[2] * n->info.volumes;
}

/* To this machine's byte order. */
static void swap(unsigned char *data, int64_t count, int32_t bytes) {
  for (int64_t i = 0; i < count; i++, data += bytes)
    for (int32_t k = 0; k < bytes / 2; k++) {
      const unsigned char c = data[k];
      data[k] = data[bytes - 1 - k];
      data[bytes - 1 - k] = c;
    }
}

#define VALUE(type)                                                                                                    \
  do {                                                                                                                 \
    type value;                                                                                                        \
    memcpy(&value, at, sizeof value);                                                                                  \
    return (double)value;                                                                                              \
  } while (0)

double nifti_value(const thaw_nifti *n, int64_t voxel) {
  const unsigned char *at = n->voxel + voxel * n->bytes;
  switch (n->info.datatype) {
  case NIFTI_INT8:
    return (int8_t)*at;
  case NIFTI_INT16:
    VALUE(int16_t);
  case NIFTI_UINT16:
    VALUE(uint16_t);
  case NIFTI_INT32:
    VALUE(int32_t);
  case NIFTI_UINT32:
    VALUE(uint32_t);
  case NIFTI_INT64:
    VALUE(int64_t);
  case NIFTI_UINT64:
    VALUE(uint64_t);
  case NIFTI_FLOAT32:
    VALUE(float);
  case NIFTI_FLOAT64:
    VALUE(double);
  default:
    return *at;
  }
}

static void find_range(thaw_nifti *n) {
  bool any = false;
  for (int64_t i = 0; n->info.c == 1 && i < voxels_of(n); i++) {
    const double value = n->info.slope * nifti_value(n, i) + n->info.intercept;
    if (!isfinite(value)) continue;
    if (!any || value < n->least) n->least = value;
    if (!any || value > n->most) n->most = value;
    any = true;
  }
}

static bool is_gzip(const char *path) {
  FILE *file = fopen(path, "rb");
  const bool gzip = file && fgetc(file) == 0x1f && fgetc(file) == 0x8b;
  if (file) fclose(file);
  return gzip;
}

/* Deflate does not shrink by more than 1032 : 1, so a small file cannot hold a large volume. */
static thaw_status check_size(const char *path, const thaw_nifti *n) {
  const int64_t file = thaw_file_size(path), wanted = n->offset + voxels_of(n) * n->bytes;
  if (file < 0 || wanted <= file || (file > 0 && wanted / file <= 1032 && is_gzip(path))) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: the header tells %lld bytes of voxels, the file has %lld", path,
                   (long long)(wanted - n->offset), (long long)file);
}

static thaw_status open_into(const char *path, bool header_only, thaw_nifti *n) {
  unsigned char header[NIFTI_HEADER_BYTES];
  size_t size = 0;
  THAW_TRY(thaw_file_read_inflated(path, 0, sizeof header, header, &size));
  THAW_TRY(nifti_parse(path, header, size, n));
  THAW_TRY(check_size(path, n));
  if (header_only) return THAW_OK;
  const size_t wanted = (size_t)(voxels_of(n) * n->bytes);
  n->voxel = thaw_new(wanted, 1);
  if (!n->voxel) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_file_read_inflated(path, (size_t)n->offset, wanted, n->voxel, &size));
  if (size != wanted)
    return thaw_fail(THAW_ERR_DATA, "%s: the voxels end early: %zu bytes, expected %zu", path, size, wanted);
  if (n->swapped && n->info.c == 1) swap(n->voxel, voxels_of(n), n->bytes);
  find_range(n);
  return THAW_OK;
}

thaw_status thaw_nifti_open(const char *path, bool header_only, thaw_nifti **out) {
  thaw_nifti *n = thaw_new(1, sizeof *n);
  *out = NULL;
  if (!n) return THAW_ERR_MEMORY;
  thaw_status status = open_into(path, header_only, n);
  if (status == THAW_OK)
    *out = n;
  else
    thaw_nifti_close(n);
  return status;
}

void thaw_nifti_close(thaw_nifti *nifti) {
  if (!nifti) return;
  thaw_free(nifti->voxel);
  thaw_free(nifti);
}

const thaw_nifti_info *thaw_nifti_about(const thaw_nifti *nifti) {
  return &nifti->info;
}
