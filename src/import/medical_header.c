/* medical_header.c: what the headers of DICOM and NIfTI files say, as zero-terminated words. */
#include "import/import_private.h"
#include "thaw/text.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static bool is_dicom(const char *path) {
  const char *dot = strrchr(thaw_path_name(path), '.');
  return (dot && (strcasecmp(dot, ".dcm") == 0 || strcasecmp(dot, ".dicom") == 0)) || thaw_dicom_recognize(path);
}

static void add_string(thaw_text *out, const thaw_text *text) {
  thaw_text_add_bytes(out, text->data ? text->data : "", text->length);
  thaw_text_add_bytes(out, "", 1);
}

static void add_word(thaw_text *out, const char *text) {
  thaw_text_add_bytes(out, text, strlen(text) + 1);
}

/* ------------------------------------------------------------------ DICOM */

/* Up to `count` numbers between backslashes; false where there are fewer. */
static bool read_numbers(thaw_dicom *dicom, const char *keyword, double *out, int count) {
  char *text = NULL;
  if (thaw_dicom_text(dicom, keyword, &text) != THAW_OK) return false;
  int found = 0;
  for (char *at = text, *end; found < count && at && *at; found++, at = end ? end + 1 : NULL) {
    end = strchr(at, '\\');
    if (end) *end = 0;
    if (thaw_parse_double(at + strspn(at, " "), &out[found]) != THAW_OK) break;
  }
  thaw_free(text);
  return found == count;
}

/* Series, position along the normal of the image's plane (PS3.3 C.7.6.2.1.1), number in the series. */
static thaw_status add_place(thaw_dicom *dicom, thaw_text *out) {
  double at[3], plane[6], number;
  char *series = NULL;
  THAW_TRY(thaw_dicom_text(dicom, "SeriesInstanceUID", &series));
  add_word(out, series);
  thaw_free(series);
  if (read_numbers(dicom, "ImagePositionPatient", at, 3) && read_numbers(dicom, "ImageOrientationPatient", plane, 6)) {
    const double *r = plane, *c = plane + 3;
    thaw_text_add(out, "%.17g",
                  at[0] * (r[1] * c[2] - r[2] * c[1]) + at[1] * (r[2] * c[0] - r[0] * c[2]) +
                      at[2] * (r[0] * c[1] - r[1] * c[0]));
  }
  add_word(out, "");
  if (read_numbers(dicom, "InstanceNumber", &number, 1)) thaw_text_add(out, "%.0f", number);
  add_word(out, "");
  return THAW_OK;
}

static thaw_status add_attributes(thaw_dicom *dicom, const thaw_strings *attributes, thaw_text *out) {
  for (size_t k = 0; k < attributes->count; k++) {
    char *value;
    THAW_TRY(thaw_dicom_text(dicom, attributes->item[k], &value));
    add_word(out, value);
    thaw_free(value);
  }
  return THAW_OK;
}

static thaw_status describe(thaw_dicom *dicom, const char *fallback_id, const import_key *key,
                            const thaw_strings *attributes, thaw_text *out) {
  const thaw_dicom_info *info = thaw_dicom_about(dicom);
  char *instance = NULL, *patient = NULL, *study = NULL;
  thaw_text id = {0}, group = {0};
  thaw_status status = thaw_dicom_text(dicom, "SOPInstanceUID", &instance);
  if (status == THAW_OK) status = thaw_dicom_text(dicom, "PatientID", &patient);
  if (status == THAW_OK) status = thaw_dicom_text(dicom, "StudyInstanceUID", &study);
  if (status == THAW_OK)
    status = thaw_import__keyed(key, "image", key->bytes && *instance ? instance : fallback_id, &id);
  if (status == THAW_OK && *patient) status = thaw_import__keyed(key, "patient", patient, &group);
  if (status == THAW_OK && !*patient && *study) status = thaw_import__keyed(key, "study", study, &group);
  thaw_text_add(out, "d%c%d%c%c%c", 0, info->frames, 0, info->c == 3 ? 'c' : 'g', 0);
  add_string(out, &id);
  add_string(out, &group);
  add_word(out, status == THAW_OK && *patient ? "p" : "s");
  if (status == THAW_OK) status = add_place(dicom, out);
  if (status == THAW_OK) status = add_attributes(dicom, attributes, out);
  thaw_free(instance), thaw_free(patient), thaw_free(study);
  thaw_text_clear(&id), thaw_text_clear(&group);
  return status;
}

static thaw_status describe_dicom(const import_source *source, int64_t i, const import_key *key,
                                  const thaw_strings *attributes, thaw_text *out) {
  thaw_dicom *dicom;
  THAW_TRY(thaw_dicom_open(source->path[i], &dicom));
  thaw_status status = describe(dicom, source->id[i], key, attributes, out);
  thaw_dicom_close(dicom);
  return status;
}

/* ------------------------------------------------------------------ NIfTI */

/* The patient of "sub-07/anat/sub-07_T1w.nii.gz" (BIDS) is sub-07; else of "class/patient/t1.nii" the folder, where it
 * is none that names the class or holds everything; else the file is the patient: a new string. */
static char *patient_of(const import_source *source, const char *id) {
  const char *part = strncmp(id, "sub-", 4) == 0 ? id : strstr(id, "/sub-"), *name = thaw_path_name(id);
  if (part) {
    part += *part == '/';
    return thaw_format("%.*s", (int)strcspn(part, "/_."), part);
  }
  const char *slash = strchr(id, '/');
  const bool inside = source->in_folders && slash && strchr(slash + 1, '/');
  if (inside) return thaw_format("%.*s", (int)(name - 1 - id), id);
  return thaw_format("%.*s", (int)(name - id + (ptrdiff_t)strcspn(name, ".")), id);
}

static thaw_status describe_nifti(const import_source *source, int64_t i, const import_key *key,
                                  const thaw_strings *attributes, thaw_text *out) {
  thaw_nifti *nifti;
  thaw_text id = {0}, group = {0};
  THAW_TRY(thaw_nifti_open(source->path[i], true, &nifti));
  char *patient = patient_of(source, source->id[i]);
  thaw_status status = patient ? thaw_import__keyed(key, "image", source->id[i], &id) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_import__keyed(key, "patient", patient, &group);
  thaw_text_add(out, "d%c%d%c%c%c", 0, thaw_nifti_frames(nifti, source->axis), 0,
                thaw_nifti_about(nifti)->c == 3 ? 'c' : 'g', 0);
  add_string(out, &id);
  add_string(out, &group);
  add_word(out, "p");
  for (int k = 0; k < 3; k++) add_word(out, ""); /* the file is its own series */
  for (size_t k = 0; k < attributes->count; k++) add_word(out, "");
  thaw_text_clear(&id), thaw_text_clear(&group);
  thaw_free(patient);
  thaw_nifti_close(nifti);
  return status;
}

/* ------------------------------------------------------------------ any file */

bool thaw_import__is_medical(const char *path) {
  return thaw_nifti_recognize(path) || is_dicom(path);
}

/* A broken file is a sample that the survey will put into quarantine. */
thaw_status thaw_import__header(const import_source *source, int64_t i, const import_key *key,
                                const thaw_strings *attributes, thaw_text *out) {
  thaw_text id = {0};
  const bool nifti = thaw_nifti_recognize(source->path[i]);
  if (!nifti && !is_dicom(source->path[i])) {
    add_word(out, "n");
    return THAW_OK;
  }
  const size_t before = out->length;
  thaw_status status =
      nifti ? describe_nifti(source, i, key, attributes, out) : describe_dicom(source, i, key, attributes, out);
  if (status != THAW_ERR_DATA) return status;
  out->length = before;
  add_word(out, "b");
  status = thaw_import__keyed(key, "image", source->id[i], &id);
  add_string(out, &id);
  thaw_text_clear(&id);
  return status;
}
