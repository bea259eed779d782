/* medical_image.c: frames of DICOM and NIfTI files. A file of many frames is read once, not once per frame: its samples
 * follow each other, and the last files stay open. */
#include "import/import_private.h"

#include <string.h>

enum { OPEN_FILES = 3 /* a slice and its neighbours */ };

typedef struct open_file {
  const char *path; /* of the source */
  thaw_dicom *dicom;
  thaw_nifti *nifti;
  uint64_t used;
} open_file;

struct import_open {
  open_file file[OPEN_FILES];
  uint64_t clock;
};

static void close_file(open_file *file) {
  thaw_dicom_close(file->dicom);
  thaw_nifti_close(file->nifti);
  *file = (open_file){0};
}

thaw_status thaw_import__open_files(import_source *source) {
  source->open = thaw_new(1, sizeof *source->open);
  return source->open ? THAW_OK : THAW_ERR_MEMORY;
}

void thaw_import__close_files(import_source *source) {
  for (int i = 0; source->open && i < OPEN_FILES; i++) close_file(&source->open->file[i]);
  thaw_free(source->open);
  source->open = NULL;
}

/* The least recently used file makes room. */
static thaw_status open_path(struct import_open *open, const char *path, open_file **out) {
  open_file *slot = &open->file[0];
  for (int i = 0; i < OPEN_FILES; i++) {
    open_file *file = &open->file[i];
    if (file->path && strcmp(file->path, path) == 0) slot = file;
    if (slot->path && strcmp(slot->path, path) == 0) break;
    if (file->used < slot->used) slot = file;
  }
  *out = slot;
  slot->used = ++open->clock;
  if (slot->path && strcmp(slot->path, path) == 0) return THAW_OK;
  close_file(slot);
  THAW_TRY(thaw_nifti_recognize(path) ? thaw_nifti_open(path, false, &slot->nifti)
                                      : thaw_dicom_open(path, &slot->dicom));
  slot->path = path;
  slot->used = open->clock;
  return THAW_OK;
}

static thaw_status render(const import_source *source, int64_t i, bool stack, thaw_image *out) {
  open_file *file;
  thaw_dicom_view view = source->view;
  view.stack = stack;
  THAW_TRY(open_path(source->open, source->path[i], &file));
  if (file->nifti) return thaw_nifti_render(file->nifti, &view, source->axis, source->frame[i], out);
  return thaw_dicom_render(file->dicom, &view, source->frame[i], out);
}

static void copy_channel(const thaw_image *from, int channel, thaw_image *to) {
  for (size_t i = 0; i < (size_t)to->h * (size_t)to->w; i++)
    ((uint16_t *)to->pixels)[3 * i + (size_t)channel] = ((const uint16_t *)from->pixels)[i];
}

/* One channel of a stack: the slice before, itself, the slice behind. A neighbour that is broken makes the stack
 * broken; its path may name a person, so its id stands for it. */
static thaw_status add_neighbour(const import_source *source, int64_t i, int channel, thaw_image *out) {
  const int64_t from = channel == 1 ? i : source->neighbour[i][channel / 2];
  thaw_image one;
  thaw_status status = render(source, from, false, &one);
  if (status == THAW_ERR_DATA && from != i)
    return thaw_fail(THAW_ERR_DATA, "%s: its neighbour %s in the series cannot be read", source->path[i],
                     source->id[from]);
  THAW_TRY(status);
  if (one.c != 1 || one.bits != 16 || one.h != out->h || one.w != out->w)
    status = thaw_fail(THAW_ERR_DATA, "%s: its neighbour %s in the series is %dx%dx%d, itself %dx%d grey",
                       source->path[i], source->id[from], one.h, one.w, one.c, out->h, out->w);
  else
    copy_channel(&one, channel, out);
  thaw_image_clear(&one);
  return status;
}

static thaw_status stack_files(const import_source *source, int64_t i, thaw_image *out) {
  open_file *file;
  THAW_TRY(open_path(source->open, source->path[i], &file));
  const thaw_dicom_info *info = thaw_dicom_about(file->dicom);
  if (source->view.windows == 3)
    return thaw_fail(THAW_ERR_USAGE, "three windows and neighbouring slices both want the three channels");
  *out = (thaw_image){.h = info->h, .w = info->w, .c = 3, .bits = 16};
  out->pixels = thaw_new((size_t)info->h * (size_t)info->w, 3 * sizeof(uint16_t));
  thaw_status status = out->pixels ? THAW_OK : THAW_ERR_MEMORY;
  for (int channel = 0; status == THAW_OK && channel < 3; channel++) status = add_neighbour(source, i, channel, out);
  if (status != THAW_OK) thaw_image_clear(out);
  return status;
}

thaw_status thaw_import__medical_image(const import_source *source, int64_t i, thaw_image *out) {
  const int64_t *neighbour = source->neighbour ? source->neighbour[i] : NULL;
  if (neighbour && (neighbour[0] != i || neighbour[1] != i)) return stack_files(source, i, out);
  return render(source, i, source->view.stack, out);
}
