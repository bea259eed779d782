/* header.c: the fields of nifti1.h and nifti2.h that say what the voxels are and which way they lie. */
#include "nifti/nifti_private.h"

#include <math.h>
#include <string.h>

/* Where the fields are. */
typedef struct layout {
  bool wide; /* NIfTI-2: 64-bit dimensions, doubles */
  int dim, datatype, pixdim, offset, slope, intercept, most, least, qform, sform, quaternion, shift, rows;
} layout;
static const layout nifti1 = {false, 40, 70, 76, 108, 112, 116, 124, 128, 252, 254, 256, 268, 280};
static const layout nifti2 = {true, 16, 12, 104, 168, 176, 184, 192, 200, 344, 348, 352, 376, 400};

typedef struct header {
  const char *path;
  const unsigned char *at;
  bool swapped;
  layout l;
} header;

static uint64_t unsigned_at(const header *h, int at, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; i++) value |= (uint64_t)h->at[at + (h->swapped ? bytes - 1 - i : i)] << (8 * i);
  return value;
}

static int64_t short_at(const header *h, int at) {
  return (int16_t)unsigned_at(h, at, 2);
}

/* Number `i` of an array of floats, or of doubles in NIfTI-2. */
static double real_at(const header *h, int at, int i) {
  double wide;
  float narrow;
  const uint64_t eight = h->l.wide ? unsigned_at(h, at + 8 * i, 8) : 0;
  const uint32_t four = h->l.wide ? 0 : (uint32_t)unsigned_at(h, at + 4 * i, 4);
  memcpy(&wide, &eight, sizeof wide);
  memcpy(&narrow, &four, sizeof narrow);
  return h->l.wide ? wide : (double)narrow;
}

static int64_t dim_at(const header *h, int i) {
  return h->l.wide ? (int64_t)unsigned_at(h, h->l.dim + 8 * i, 8) : short_at(h, h->l.dim + 2 * i);
}

static int64_t code_at(const header *h, int at) {
  return h->l.wide ? (int32_t)unsigned_at(h, at, 4) : short_at(h, at);
}

/* ------------------------------------------------------------------ what file it is */

static thaw_status find_layout(header *h, size_t size) {
  for (int swapped = 0; swapped < 2 && size >= 348; swapped++) {
    h->swapped = swapped;
    const uint64_t bytes = unsigned_at(h, 0, 4);
    if (bytes != 348 && bytes != 540) continue;
    const char *magic = (const char *)h->at + (bytes == 348 ? 344 : 4);
    if (bytes == 540 && size < 540) break;
    h->l = bytes == 348 ? nifti1 : nifti2;
    if (memcmp(magic, "ni1", 4) == 0 || memcmp(magic, "ni2", 4) == 0)
      return thaw_fail(THAW_ERR_DATA, "%s: the voxels are in another file (.img): store both as one .nii", h->path);
    if (memcmp(magic, bytes == 348 ? "n+1" : "n+2", 4) == 0) return THAW_OK;
    return thaw_fail(THAW_ERR_DATA, "%s: not NIfTI: the magic is not n+1 or n+2", h->path);
  }
  return thaw_fail(THAW_ERR_DATA, "%s: not NIfTI: %s", h->path,
                   size < 348 ? "shorter than a header" : "the header's size is not 348 or 540");
}

static int32_t bytes_of(int64_t datatype) {
  static const struct {
    int16_t type, bytes;
  } known[] = {{NIFTI_UINT8, 1},   {NIFTI_INT8, 1},    {NIFTI_INT16, 2}, {NIFTI_UINT16, 2},
               {NIFTI_INT32, 4},   {NIFTI_UINT32, 4},  {NIFTI_INT64, 8}, {NIFTI_UINT64, 8},
               {NIFTI_FLOAT32, 4}, {NIFTI_FLOAT64, 8}, {NIFTI_RGB24, 3}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].type == datatype) return known[i].bytes;
  return 0;
}

static thaw_status read_shape(const header *h, thaw_nifti *out) {
  const int64_t rank = dim_at(h, 0), type = short_at(h, h->l.datatype);
  int64_t volumes = 1;
  if (rank < 2 || rank > 7)
    return thaw_fail(THAW_ERR_DATA, "%s: dim[0] is %lld: 2 to 7 dimensions", h->path, (long long)rank);
  for (int i = 1; i <= rank; i++) {
    const int64_t size = dim_at(h, i), most = i == 4 ? 100000 : i < 4 ? 65500 : 1;
    if (size < 1 || size > most)
      return thaw_fail(THAW_ERR_DATA, "%s: dim[%d] is %lld: 1 to %lld", h->path, i, (long long)size, (long long)most);
  }
  for (int i = 0; i < 3; i++) out->dim[i] = i < rank ? dim_at(h, i + 1) : 1;
  if (rank >= 4) volumes = dim_at(h, 4);
  out->info.volumes = (int32_t)volumes;
  out->info.datatype = (int32_t)type;
  out->bytes = bytes_of(type);
  out->info.c = type == NIFTI_RGB24 ? 3 : 1;
  if (!out->bytes)
    return thaw_fail(THAW_ERR_DATA, "%s: datatype %lld: integers, real numbers and RGB24 can be imported", h->path,
                     (long long)type);
  const double voxels = (double)out->dim[0] * (double)out->dim[1] * (double)out->dim[2] * (double)volumes;
  if (voxels * out->bytes > 16e9)
    return thaw_fail(THAW_ERR_DATA, "%s: %.0f voxels of %d bytes, more than 16 GB", h->path, voxels, out->bytes);
  return THAW_OK;
}

static thaw_status read_values(const header *h, thaw_nifti *out) {
  const double offset = h->l.wide ? (double)(int64_t)unsigned_at(h, h->l.offset, 8) : real_at(h, h->l.offset, 0);
  const double slope = real_at(h, h->l.slope, 0), intercept = real_at(h, h->l.intercept, 0);
  if (!(offset >= (h->l.wide ? 540 : 348) && offset < 1e9 && offset == floor(offset)))
    return thaw_fail(THAW_ERR_DATA, "%s: vox_offset is %g", h->path, offset);
  out->offset = (int64_t)offset;
  out->info.slope = 1;
  if (isfinite(slope) && slope != 0 && out->info.c == 1) {
    if (!isfinite(intercept)) return thaw_fail(THAW_ERR_DATA, "%s: scl_inter is %g", h->path, intercept);
    out->info.slope = slope;
    out->info.intercept = intercept;
  }
  out->info.low = real_at(h, h->l.least, 0);
  out->info.high = real_at(h, h->l.most, 0);
  out->info.has_window = isfinite(out->info.low) && isfinite(out->info.high) && out->info.low < out->info.high;
  return THAW_OK;
}

/* ------------------------------------------------------------------ which way it lies */

/* nifti1.h, method 2: a rotation by a quaternion, times the voxel's size. */
static void rotation(const header *h, double out[3][3]) {
  const double b = real_at(h, h->l.quaternion, 0), c = real_at(h, h->l.quaternion, 1),
               d = real_at(h, h->l.quaternion, 2);
  const double a = sqrt(fmax(0, 1 - b * b - c * c - d * d)), side = real_at(h, h->l.pixdim, 0) < 0 ? -1 : 1;
  const double r[3][3] = {{a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
                          {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
                          {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b}};
  for (int i = 0; i < 3; i++)
    for (int k = 0; k < 3; k++) out[i][k] = r[i][k] * (k == 2 ? side : 1);
}

/* Directions of the voxel axes (columns) in the patient's: right, anterior, superior. */
static void directions(const header *h, double out[3][3]) {
  memset(out, 0, 9 * sizeof out[0][0]);
  if (code_at(h, h->l.sform) > 0) {
    for (int i = 0; i < 3; i++)
      for (int k = 0; k < 3; k++) out[i][k] = real_at(h, h->l.rows, 4 * i + k);
  } else if (code_at(h, h->l.qform) > 0) {
    rotation(h, out);
  } else {
    out[0][0] = -1, out[1][1] = 1, out[2][2] = 1;
  }
  for (int k = 0; k < 3; k++) {
    const double length = sqrt(out[0][k] * out[0][k] + out[1][k] * out[1][k] + out[2][k] * out[2][k]);
    for (int i = 0; i < 3; i++) out[i][k] = length > 0 && isfinite(length) ? out[i][k] / length : i == k;
  }
}

/* The best pair of patient's and voxel's axis first. */
static void orient(const header *h, thaw_nifti *out) {
  double r[3][3];
  bool taken[3] = {false}, used[3] = {false};
  directions(h, r);
  for (int step = 0; step < 3; step++) {
    int world = -1, axis = -1;
    for (int i = 0; i < 3; i++)
      for (int k = 0; k < 3; k++)
        if (!taken[i] && !used[k] && (world < 0 || fabs(r[i][k]) > fabs(r[world][axis]))) world = i, axis = k;
    taken[world] = used[axis] = true;
    out->stored[world] = axis;
    /* Ours run to the left, to the back and up; right, front and up are positive here. */
    out->backward[world] = world == 2 ? r[world][axis] < 0 : r[world][axis] > 0;
    out->info.size[world] = (int32_t)out->dim[axis];
  }
}

thaw_status nifti_parse(const char *path, const unsigned char *bytes, size_t size, thaw_nifti *out) {
  header h = {.path = path, .at = bytes};
  THAW_TRY(find_layout(&h, size));
  out->swapped = h.swapped;
  THAW_TRY(read_shape(&h, out));
  THAW_TRY(read_values(&h, out));
  orient(&h, out);
  return THAW_OK;
}
