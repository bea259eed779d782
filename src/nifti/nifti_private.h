/* nifti_private.h: what the files of src/nifti share. */
#ifndef THAW_NIFTI_PRIVATE_H
#define THAW_NIFTI_PRIVATE_H

#include "thaw/nifti.h"

enum { NIFTI_HEADER_BYTES = 540 /* of NIfTI-2, the longer one */ };

/* NIfTI's codes of the types that can be images. */
enum {
  NIFTI_UINT8 = 2,
  NIFTI_INT16 = 4,
  NIFTI_INT32 = 8,
  NIFTI_FLOAT32 = 16,
  NIFTI_FLOAT64 = 64,
  NIFTI_RGB24 = 128,
  NIFTI_INT8 = 256,
  NIFTI_UINT16 = 512,
  NIFTI_UINT32 = 768,
  NIFTI_INT64 = 1024,
  NIFTI_UINT64 = 1280
};

struct thaw_nifti {
  thaw_nifti_info info;
  bool swapped;      /* the file has the other byte order */
  int32_t bytes;     /* of a voxel */
  int64_t offset;    /* of the voxels in the file */
  int64_t dim[3];    /* as stored, fastest first */
  int32_t stored[3]; /* the stored axis that runs right-left, anterior-posterior, inferior-superior */
  bool backward[3];  /* it runs left to right, posterior to anterior, superior to inferior */
  unsigned char *voxel;
  double least, most; /* smallest and largest finite scaled value; of wide types and "volume" */
};

/* header.c: everything but `voxel`, `least` and `most`. */
thaw_status nifti_parse(const char *path, const unsigned char *header, size_t size, thaw_nifti *out) THAW_CHECKED;
/* nifti.c: one stored value, before scaling. */
double nifti_value(const thaw_nifti *nifti, int64_t voxel);

#endif
