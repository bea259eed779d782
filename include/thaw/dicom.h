/* dicom.h: DICOM files (DCMTK; JPEG 2000 by OpenJPEG). A build without DCMTK has these functions, too: opening then
 * fails with THAW_ERR_USAGE. All functions are [local] and thread-safe. */
#ifndef THAW_DICOM_H
#define THAW_DICOM_H

#include "thaw/image.h"
#include <stdbool.h>

typedef struct thaw_dicom thaw_dicom;

typedef struct thaw_dicom_info {
  int32_t frames, h, w, c; /* c 1: grey, 3: RGB */
  int32_t bits;            /* stored: 1 .. 16 */
  bool is_signed;          /* two's complement */
  bool inverted;           /* MONOCHROME1: the smallest value is white */
  double slope, intercept; /* of the modality: output = slope * stored + intercept (Hounsfield units of a CT) */
  bool has_window;         /* the file presets a window */
  double centre, width;
  char photometric[17], syntax[65]; /* as the file has them; syntax: the transfer syntax's UID */
} thaw_dicom_info;

bool thaw_dicom_available(void);
/* Whether the file looks like DICOM: "DICM" at byte 128. */
bool thaw_dicom_recognize(const char *path);
/* Reads the file. What cannot be an image here (no pixels, a palette, more than 16 bits, a compression without a codec)
 * and what is broken is THAW_ERR_DATA that names the tag or the transfer syntax. */
thaw_status thaw_dicom_open(const char *path, thaw_dicom **out) THAW_CHECKED;
void thaw_dicom_close(thaw_dicom *dicom); /* accepts NULL */
const thaw_dicom_info *thaw_dicom_about(const thaw_dicom *dicom);
/* The value of the element with this keyword ("PatientID", "PatientSex"), several joined by '\\'; "" where it is
 * absent; thaw_free it. THAW_ERR_USAGE for a word that is no keyword. */
thaw_status thaw_dicom_text(thaw_dicom *dicom, const char *keyword, char **out) THAW_CHECKED;
/* Stored values of one frame, [h][w][c]. */
thaw_status thaw_dicom_values(thaw_dicom *dicom, int32_t frame, int32_t *out) THAW_CHECKED;

/* ------------------------------------------------------------------ what the network sees */
typedef struct thaw_dicom_window {
  double centre, width; /* in units of the modality */
} thaw_dicom_window;
typedef struct thaw_dicom_view {
  bool preset;     /* the file's own window, where it has one */
  bool volume;     /* of NIfTI: the smallest to the largest value of the file */
  int32_t windows; /* 0: all that the stored bits can hold; else 1 or 3, a channel each */
  thaw_dicom_window window[3];
  bool stack; /* the frames before and behind as channels 1 and 3 (2.5-D) */
} thaw_dicom_view;
/* "full", "file", "volume", or up to three of lung, mediastinum, abdomen, liver, bone, brain, subdural, stroke and
 * CENTRE/WIDTH, separated by commas. */
thaw_status thaw_dicom_view_parse(const char *text, thaw_dicom_view *out) THAW_CHECKED;
/* A value onto 0 .. 1 by the LINEAR function of PS3.3 C.11.2.1.2.1. */
double thaw_dicom_window_shade(thaw_dicom_window window, double value);
/* One frame as 16 bits, 0 .. 65535; 8-bit colour as 8 bits. */
thaw_status thaw_dicom_render(thaw_dicom *dicom, const thaw_dicom_view *view, int32_t frame,
                              thaw_image *out) THAW_CHECKED;

#endif
