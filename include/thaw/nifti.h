/* nifti.h: NIfTI-1 and NIfTI-2 volumes in one file (.nii, .nii.gz) as slices. All functions are [local] and
 * thread-safe. */
#ifndef THAW_NIFTI_H
#define THAW_NIFTI_H

#include "thaw/dicom.h"

typedef struct thaw_nifti thaw_nifti;

/* Which way slices lie. Volumes are turned so that all files look alike, whatever way they are stored: the voxel axes
 * nearest to the patient's, by sform, else qform, else (as nibabel has it) an unrotated grid with x flipped. Rows go
 * from anterior to posterior (AXIAL) or from superior to inferior, columns from right to left, or from anterior to
 * posterior (SAGITTAL): the way DICOM images are shown. */
typedef enum thaw_axis { THAW_AXIAL, THAW_CORONAL, THAW_SAGITTAL } thaw_axis;

typedef struct thaw_nifti_info {
  int32_t size[3];         /* voxels right to left, anterior to posterior, inferior to superior */
  int32_t volumes;         /* the fourth dimension */
  int32_t c;               /* 1; 3: RGB24 */
  int32_t datatype;        /* NIfTI's code */
  double slope, intercept; /* value = slope * stored + intercept; 1 and 0 where the file has none */
  bool has_window;         /* cal_min, cal_max: what is to be shown */
  double low, high;        /* of that */
} thaw_nifti_info;

/* By the name: .nii or .nii.gz, in any case of letters. */
bool thaw_nifti_recognize(const char *path);
/* Reads header and voxels. What is no single-file NIfTI, truncated, of absurd dimensions or of a type that is no image
 * (complex, 128 bits) is THAW_ERR_DATA that names the field. `header_only`: voxels cannot be rendered. */
thaw_status thaw_nifti_open(const char *path, bool header_only, thaw_nifti **out) THAW_CHECKED;
void thaw_nifti_close(thaw_nifti *nifti); /* accepts NULL */
const thaw_nifti_info *thaw_nifti_about(const thaw_nifti *nifti);
/* Slices of all volumes; slice s of volume v is frame v * slices per volume + s. Slices go from inferior to superior,
 * from anterior to posterior, from right to left. */
int32_t thaw_nifti_frames(const thaw_nifti *nifti, thaw_axis axis);
/* One slice as 16 bits; uint8 in full and RGB24 as 8 bits. "full": all that integers of up to 16 bits can hold (so 16
 * bits stay 16 bits), and of wider and floating types, as with "volume", the smallest to the largest finite value of
 * the file; "file": cal_min to cal_max where the file has them; windows as in thaw_dicom_render, by scaled values. */
thaw_status thaw_nifti_render(const thaw_nifti *nifti, const thaw_dicom_view *view, thaw_axis axis, int32_t frame,
                              thaw_image *out) THAW_CHECKED;

#endif
