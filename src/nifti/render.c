/* render.c: slices as the network sees them. */
#include "nifti/nifti_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

/* Of each way of slicing: the patient's axes (0 right-left, 1 anterior-posterior, 2 inferior-superior) of slices, rows
 * and columns; rows that follow the last one run downwards. */
static const struct {
  int slice, row, column;
} plane[] = {[THAW_AXIAL] = {2, 1, 0}, [THAW_CORONAL] = {1, 2, 0}, [THAW_SAGITTAL] = {0, 2, 1}};

static int32_t slices(const thaw_nifti *n, thaw_axis axis) {
  return n->info.size[plane[axis].slice];
}

int32_t thaw_nifti_frames(const thaw_nifti *nifti, thaw_axis axis) {
  return slices(nifti, axis) * nifti->info.volumes;
}

/* A voxel's steps along one of the patient's axes: where it starts and how far the next is. */
typedef struct walk {
  int64_t first, step;
} walk;

static walk walk_along(const thaw_nifti *n, int world, bool reversed) {
  int64_t stride = 1;
  for (int i = 0; i < n->stored[world]; i++) stride *= n->dim[i];
  const bool backward = n->backward[world] != reversed;
  return (walk){backward ? (n->info.size[world] - 1) * stride : 0, backward ? -stride : stride};
}

/* The voxels of one slice, row by row, calling for each its number. */
typedef struct slice_walk {
  int64_t base;
  walk row, column;
  int32_t h, w;
} slice_walk;

static slice_walk walk_slice(const thaw_nifti *n, thaw_axis axis, int32_t frame) {
  const int32_t volume = frame / slices(n, axis), s = frame % slices(n, axis);
  const walk along = walk_along(n, plane[axis].slice, false);
  return (slice_walk){.base = volume * n->dim[0] * n->dim[1] * n->dim[2] + along.first + s * along.step,
                      .row = walk_along(n, plane[axis].row, plane[axis].row == 2),
                      .column = walk_along(n, plane[axis].column, false),
                      .h = n->info.size[plane[axis].row],
                      .w = n->info.size[plane[axis].column]};
}

static int64_t voxel_at(const slice_walk *at, int64_t y, int64_t x) {
  return at->base + at->row.first + y * at->row.step + at->column.first + x * at->column.step;
}

/* ------------------------------------------------------------------ values onto 0 .. 1 */
typedef struct tone {
  const thaw_dicom_window *window; /* NULL: by range */
  double low, high;                /* of scaled values, or of stored ones where `stored` */
  bool stored;
} tone;

static tone full_range(const thaw_nifti *n) {
  switch (n->info.datatype) {
  case NIFTI_UINT8:
    return (tone){.low = 0, .high = 255, .stored = true};
  case NIFTI_INT8:
    return (tone){.low = -128, .high = 127, .stored = true};
  case NIFTI_UINT16:
    return (tone){.low = 0, .high = 65535, .stored = true};
  case NIFTI_INT16:
    return (tone){.low = -32768, .high = 32767, .stored = true};
  default:
    return (tone){.low = n->least, .high = n->most};
  }
}

static tone choose_tone(const thaw_nifti *n, const thaw_dicom_view *view, int32_t channel) {
  if (view->windows) return (tone){.window = &view->window[view->windows == 3 ? channel : 0]};
  if (view->volume) return (tone){.low = n->least, .high = n->most};
  if (view->preset && n->info.has_window) return (tone){.low = n->info.low, .high = n->info.high};
  return full_range(n);
}

static double shade(const thaw_nifti *n, const tone *t, int64_t voxel) {
  const double stored = nifti_value(n, voxel), value = n->info.slope * stored + n->info.intercept;
  if (t->window) return isfinite(value) ? thaw_dicom_window_shade(*t->window, value) : 0;
  const double share = t->high > t->low ? ((t->stored ? stored : value) - t->low) / (t->high - t->low) : 0;
  return share > 0 ? fmin(share, 1) : 0; /* not a number: 0 */
}

/* ------------------------------------------------------------------ pictures */

static void paint(const thaw_nifti *n, const tone *t, const slice_walk *at, int32_t channel, thaw_image *out) {
  for (int64_t y = 0; y < at->h; y++)
    for (int64_t x = 0; x < at->w; x++) {
      const double value = shade(n, t, voxel_at(at, y, x));
      const int64_t to = (y * at->w + x) * out->c + channel;
      if (out->bits == 8)
        ((uint8_t *)out->pixels)[to] = (uint8_t)lrint(value * 255);
      else
        ((uint16_t *)out->pixels)[to] = (uint16_t)lrint(value * 65535);
    }
}

static void paint_colour(const thaw_nifti *n, const slice_walk *at, thaw_image *out) {
  for (int64_t y = 0; y < at->h; y++)
    for (int64_t x = 0; x < at->w; x++)
      memcpy((uint8_t *)out->pixels + (y * at->w + x) * 3, n->voxel + voxel_at(at, y, x) * 3, 3);
}

/* The slices before and behind as channels stay inside the volume; its ends repeat themselves. */
static void paint_grey(const thaw_nifti *n, const thaw_dicom_view *view, thaw_axis axis, int32_t frame,
                       thaw_image *out) {
  const int32_t first = frame / slices(n, axis) * slices(n, axis), last = first + slices(n, axis) - 1;
  for (int32_t c = 0; c < out->c; c++) {
    int32_t from = view->stack ? frame + c - 1 : frame;
    from = from < first ? first : from > last ? last : from;
    const tone t = choose_tone(n, view, c);
    const slice_walk at = walk_slice(n, axis, from);
    paint(n, &t, &at, c, out);
  }
}

thaw_status thaw_nifti_render(const thaw_nifti *nifti, const thaw_dicom_view *view, thaw_axis axis, int32_t frame,
                              thaw_image *out) {
  const bool colour = nifti->info.c == 3, plain = !view->windows && !view->volume && !view->preset;
  *out = (thaw_image){0};
  if (!nifti->voxel) return thaw_fail(THAW_ERR_INTERNAL, "a NIfTI file of which only the header was read");
  if (frame < 0 || frame >= thaw_nifti_frames(nifti, axis))
    return thaw_fail(THAW_ERR_DATA, "slice %d of %d", (int)frame, (int)thaw_nifti_frames(nifti, axis));
  if (view->stack && view->windows == 3)
    return thaw_fail(THAW_ERR_USAGE, "three windows and neighbouring slices both want the three channels");
  const slice_walk at = walk_slice(nifti, axis, frame);
  *out = (thaw_image){.h = at.h,
                      .w = at.w,
                      .c = colour || view->windows == 3 || view->stack ? 3 : 1,
                      .bits = colour || (plain && nifti->info.datatype == NIFTI_UINT8) ? 8 : 16};
  out->pixels = thaw_new((size_t)at.h * (size_t)at.w * (size_t)out->c, (size_t)out->bits / 8);
  if (!out->pixels) return THAW_ERR_MEMORY;
  if (colour)
    paint_colour(nifti, &at, out);
  else
    paint_grey(nifti, view, axis, frame, out);
  return THAW_OK;
}
