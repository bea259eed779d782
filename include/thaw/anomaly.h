/* anomaly.h: what is normal is learnt from normal images alone; what differs is found and shown.
 *
 * The features of a frozen network's layers are taken patch by patch, one per position of the finest layer.
 *
 *   PaDiM      (Defard et al., "PaDiM: a Patch Distribution Modeling Framework", 2020): one Gaussian per position, over
 *              `dimensions` channels drawn from all layers; covariance with N - 1, plus `shrinkage` times the identity;
 *              a patch's score is its Mahalanobis distance. Coarser layers are repeated to the size of the finest.
 *   PatchCore  (Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022): features are averaged
 *              over 3 x 3 neighbours (those inside the image), coarser layers enlarged bilinearly; of all patches a
 *              share is kept by greedy k-center selection in a random projection; a patch's score is its distance to
 *              the nearest one kept, an image's that of its worst patch, re-weighted by the neighbourhood (their eq.
 * 7).
 *
 * Each layer is first multiplied by a power of two that brings the root mean square of the first images' features
 * near 1, unless `scale` is off (as in the papers). Sums over images are exact and patches are numbered over all
 * images, so a model and its scores have the same bits on any number of ranks.
 *
 * Large images are taken as windows (`tile`, `stride`), whose maps are merged.
 */
#ifndef THAW_ANOMALY_H
#define THAW_ANOMALY_H

#include "thaw/comm.h"
#include "thaw/file.h"
#include "thaw/graph.h"
#include "thaw/image.h"
#include "thaw/log.h"
#include "thaw/text.h"

typedef enum thaw_anomaly_method { THAW_ANOMALY_PADIM, THAW_ANOMALY_PATCHCORE } thaw_anomaly_method;
extern const char *const thaw_anomaly_methods[]; /* "padim", "patchcore", NULL */
typedef enum thaw_anomaly_merge { THAW_ANOMALY_MEAN, THAW_ANOMALY_MAX } thaw_anomaly_merge;
extern const char *const thaw_anomaly_merges[]; /* "mean", "max", NULL */

enum { THAW_ANOMALY_MAX_LAYERS = 8, THAW_ANOMALY_FEWEST = 4 };

typedef struct thaw_anomaly_config {
  thaw_anomaly_method method;
  const char *architecture, *weights; /* of the zoo; NULL: told from the weights. weights NULL: random (for tests) */
  const char *layer[THAW_ANOMALY_MAX_LAYERS];
  int32_t layers;       /* 0: the last layers of strides 4, 8, 16 (PaDiM), 8 and 16 (PatchCore) */
  int32_t h, w;         /* input of the network; 0: the architecture's own */
  bool scale;           /* layers to a like magnitude */
  int32_t dimensions;   /* PaDiM: channels drawn; 0: all */
  double shrinkage;     /* PaDiM */
  double coreset;       /* PatchCore: share of the patches that is kept, above 0 up to 1 */
  int32_t projection;   /* PatchCore: dimensions for the selection; 0: no projection */
  int32_t neighbours;   /* PatchCore: b of the re-weighting, at least 1; 1: none */
  double smooth;        /* standard deviation of the Gaussian over a map, pixels of the map; 0: none */
  int32_t tile, stride; /* windows of the image, pixels; tile 0: the whole image, whose map has the network's size */
  thaw_anomaly_merge merge;
  double held_out;     /* share of the normal images on which thresholds are chosen, below 1 */
  double false_alarms; /* share of normal images that may lie above the threshold */
  uint64_t seed;
} thaw_anomaly_config;
/* [local] padim, 100 dimensions, 0.01; coreset 0.01, projection 128, 9 neighbours; smooth 4, held out 0.1. */
thaw_anomaly_config thaw_anomaly_defaults(void);

/* Pictures by number. `image` gives one of 1 or 3 channels (thaw_image_clear by the caller) and the value that stands
 * for 255; `name` what messages call it, borrowed until the next call. */
typedef struct thaw_anomaly_source {
  int64_t count;
  void *context;
  thaw_status (*image)(void *context, int64_t index, thaw_image *out, double *value_max);
  const char *(*name)(void *context, int64_t index);
} thaw_anomaly_source;

typedef struct thaw_anomaly thaw_anomaly;
/* [collective] Learns from normal images: THAW_ERR_DATA where fewer than THAW_ANOMALY_FEWEST are left after holding
 * out, or where a feature is not finite. Ranks take contiguous runs of images. */
thaw_status thaw_anomaly_fit(thaw_comm *comm, const thaw_anomaly_config *config, const thaw_isa *isa,
                             const thaw_anomaly_source *normal, thaw_log *log, thaw_anomaly **out) THAW_CHECKED;
void thaw_anomaly_destroy(thaw_anomaly *model); /* [collective] accepts NULL */

/* [local] The model file (HDF5), written by one rank; it names the weights by path and digest. */
thaw_status thaw_anomaly_save(const thaw_anomaly *model, const char *path) THAW_CHECKED;
/* [collective] weights NULL: the file that the model names. THAW_ERR_DATA when the weights are not those of the model.
 */
thaw_status thaw_anomaly_load(thaw_comm *comm, const char *path, const char *weights, const thaw_isa *isa,
                              thaw_log *log, thaw_anomaly **out) THAW_CHECKED;
/* [local] */
const thaw_anomaly_config *thaw_anomaly_config_of(const thaw_anomaly *model);
/* [local] Positive from these scores on, of an image and of a pixel; NaN where nothing was held out. */
void thaw_anomaly_thresholds(const thaw_anomaly *model, double *image, double *pixel);
void thaw_anomaly_describe(const thaw_anomaly *model, thaw_text *out); /* [local] a few lines */

typedef struct thaw_anomaly_map {
  int32_t h, w;
  float *value; /* [h][w], at least 0; thaw_free */
  double score; /* of the image */
} thaw_anomaly_map;
/* [local] The map of one picture: of the network's input size, or, with tiles, of the picture's own. */
thaw_status thaw_anomaly_score(thaw_anomaly *model, const thaw_image *picture, double value_max,
                               thaw_anomaly_map *out) THAW_CHECKED;

/* ------------------------------------------------------------------ how well maps find defects; all [local]
 * What is added is kept as 4 bytes per pixel, the marked ones apart; so it can be sent and joined. */
typedef struct thaw_pixels {
  float *plain, *marked; /* scores of pixels outside and inside of defects */
  int32_t *region;       /* [marked_count] number of the connected region, over all images added */
  int64_t plain_count, marked_count, regions, *region_size; /* [regions] */
  size_t plain_capacity, marked_capacity, region_capacity, size_capacity;
} thaw_pixels;
/* mask [h][w]: anything but 0 is defect; NULL: none. Regions are 8-connected. A score that is negative or not finite is
 * THAW_ERR_DATA. */
thaw_status thaw_pixels_add(thaw_pixels *pixels, const float *map, const uint8_t *mask, int32_t h,
                            int32_t w) THAW_CHECKED;
/* Appends `other`'s. */
thaw_status thaw_pixels_join(thaw_pixels *pixels, const thaw_pixels *other) THAW_CHECKED;
/* As bytes and back: for another process of the same machine type. */
thaw_status thaw_pixels_pack(const thaw_pixels *pixels, thaw_text *out) THAW_CHECKED;
thaw_status thaw_pixels_unpack(const char *data, size_t size, thaw_pixels *add_to, size_t *used) THAW_CHECKED;
void thaw_pixels_clear(thaw_pixels *pixels);
/* Area under the ROC curve over pixels, ties count half; NaN without pixels of one kind. */
thaw_status thaw_pixels_auroc(const thaw_pixels *pixels, double *out) THAW_CHECKED;
/* Area under the per-region-overlap curve (Bergmann et al., "Uninformed Students", CVPR 2020): mean over regions of the
 * share found, against the share of plain pixels found, up to `limit` (usually 0.3), divided by it. */
thaw_status thaw_pixels_aupro(const thaw_pixels *pixels, double limit, double *out) THAW_CHECKED;

/* [local] Convolution with a Gaussian, in place: as scipy.ndimage.gaussian_filter(sigma, truncate=4, mode="reflect").
 */
thaw_status thaw_map_smooth(float *map, int32_t h, int32_t w, double sigma) THAW_CHECKED;

#endif
