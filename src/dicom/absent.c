/* In place of DCMTK in a build without it. */
#include "thaw/dicom.h"

bool thaw_dicom_available(void) {
  return false;
}

thaw_status thaw_dicom_open(const char *path, thaw_dicom **out) {
  *out = NULL;
  return thaw_fail(THAW_ERR_USAGE, "%s: DICOM, which this build of thaw cannot read (it was made without DCMTK)", path);
}

void thaw_dicom_close(thaw_dicom *dicom) {
  (void)dicom;
}

const thaw_dicom_info *thaw_dicom_about(const thaw_dicom *dicom) {
  static const thaw_dicom_info none;
  (void)dicom;
  return &none;
}

thaw_status thaw_dicom_text(thaw_dicom *dicom, const char *keyword, char **out) {
  (void)dicom;
  *out = NULL;
  return thaw_fail(THAW_ERR_USAGE, "%s: this build of thaw cannot read DICOM", keyword);
}

thaw_status thaw_dicom_values(thaw_dicom *dicom, int32_t frame, int32_t *out) {
  (void)dicom, (void)frame, (void)out;
  return thaw_fail(THAW_ERR_USAGE, "this build of thaw cannot read DICOM");
}
