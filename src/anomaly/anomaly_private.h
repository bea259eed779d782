/* anomaly_private.h: a model of what is normal, and how its parts work together. Private to src/anomaly. */
#ifndef THAW_ANOMALY_PRIVATE_H
#define THAW_ANOMALY_PRIVATE_H

#include "thaw/anomaly.h"
#include "thaw/loader.h"
#include "thaw/memory.h"

enum { ANOMALY_BATCH = 8, ANOMALY_FIRST = 8 }; /* windows per run of the network; images that tell magnitudes */

typedef struct anomaly_layer {
  int32_t h, w, c;
  size_t offset; /* of its tensor in a row of features */
  int32_t first; /* of its channels among those of all layers */
  float scale;   /* a power of two */
} anomaly_layer;

struct thaw_anomaly {
  thaw_anomaly_config config; /* its texts are owned here */
  char *architecture, *weights;
  thaw_strings names; /* of the layers */
  char digest[65];    /* of the weights */
  thaw_comm *comm;
  const thaw_isa *isa;
  /* the network */
  thaw_graph *graph;
  thaw_plan *plan;
  thaw_shared *packed;
  thaw_input input;
  anomaly_layer layer[THAW_ANOMALY_MAX_LAYERS];
  int32_t h, w, channels, width; /* positions; channels of all layers; of an embedding */
  size_t floats;                 /* of a row of features */
  int32_t *channel;              /* [width] drawn, rising; PaDiM */
  float *x, *feature;            /* [ANOMALY_BATCH] inputs and rows */
  float *embedding;              /* [h w][width] */
  float *work, *enlarged;        /* PatchCore: one layer averaged, and enlarged */
  /* what is normal */
  int64_t images, held_out, windows;
  thaw_shared *gauss; /* PaDiM: per position mean [width], then columns of the Cholesky factor, doubles */
  float *bank;        /* PatchCore [bank_count][width] */
  float *bank_square; /* [bank_count] squared lengths */
  int64_t bank_count;
  float *product; /* [h w][bank_count] */
  void *gemm_scratch;
  double image_threshold, pixel_threshold;
};

/* [local] A model without network; config's texts are copied. On failure *out is destroyed by the caller. */
thaw_status anomaly_create(thaw_comm *comm, const thaw_anomaly_config *config, const thaw_isa *isa,
                           thaw_anomaly **out) THAW_CHECKED;

/* ------------------------------------------------------------------ network.c */
/* [collective] From config: graph, weights, plan, buffers; digest, names and layers are set. */
thaw_status anomaly_network_open(thaw_anomaly *m, thaw_log *log) THAW_CHECKED;
void anomaly_network_close(thaw_anomaly *m); /* [collective] */

/* ------------------------------------------------------------------ embed.c; [local] */
static inline size_t anomaly_positions(const thaw_anomaly *m) {
  return (size_t)m->h * (size_t)m->w;
}
/* Chooses PaDiM's channels and makes the buffers. */
thaw_status anomaly_embed_prepare(thaw_anomaly *m) THAW_CHECKED;
/* A row of features -> embedding [h w][width]. */
thaw_status anomaly_embed(thaw_anomaly *m, const float *feature, float *embedding) THAW_CHECKED;

/* ------------------------------------------------------------------ windows.c; [local] */
typedef thaw_status (*anomaly_visit)(void *context, thaw_anomaly *m, int64_t image, const float *feature);
/* Visits the windows of images index[first .. end-1] in order; `image` is the index's own position. */
thaw_status anomaly_each_window(thaw_anomaly *m, const thaw_anomaly_source *source, const int64_t *index, int64_t first,
                                int64_t end, thaw_log *log, anomaly_visit visit, void *context) THAW_CHECKED;
/* The windows of one picture: number, and place of each. */
int32_t anomaly_window_count(const thaw_anomaly *m, int32_t h, int32_t w);
void anomaly_window_place(const thaw_anomaly *m, int32_t h, int32_t w, int32_t window, int32_t place[4]);
/* One window as the network takes it. */
thaw_status anomaly_window_input(thaw_anomaly *m, const thaw_image *picture, double value_max, const int32_t place[4],
                                 float *x) THAW_CHECKED;
/* Sum of windows of index[first .. end-1]; reads the images only where there are tiles. */
thaw_status anomaly_count_windows(const thaw_anomaly *m, const thaw_anomaly_source *source, const int64_t *index,
                                  int64_t first, int64_t end, int64_t *out) THAW_CHECKED;

/* The images learnt from. */
typedef struct anomaly_data {
  const thaw_anomaly_source *source;
  int64_t *index, count; /* positions in the source */
  int64_t first, end;    /* of this rank */
  thaw_log *log;
} anomaly_data;

/* ------------------------------------------------------------------ padim.c */
thaw_status padim_fit(thaw_anomaly *m, const anomaly_data *data) THAW_CHECKED; /* [collective] */
size_t padim_doubles(const thaw_anomaly *m);                                   /* [local] of one position */
/* [local] embedding -> map [h w]. work [width]. */
void padim_score(const thaw_anomaly *m, const float *embedding, double *work, float *map);

/* ------------------------------------------------------------------ patchcore.c, coreset.c */
thaw_status patchcore_fit(thaw_anomaly *m, const anomaly_data *data) THAW_CHECKED; /* [collective] */
thaw_status patchcore_prepare(thaw_anomaly *m) THAW_CHECKED;                       /* [local] the bank is there */
/* [local] embedding -> map [h w]; *score: that of the worst patch, re-weighted; its plain distance is in *worst. */
thaw_status patchcore_score(thaw_anomaly *m, const float *embedding, float *map, double *worst,
                            double *score) THAW_CHECKED;

/* Points of this rank, the first of which is number `first` of all. */
typedef struct coreset_points {
  int32_t width; /* a multiple of 8 */
  int64_t count, first, total;
  const float *point; /* [count][width] */
} coreset_points;
/* [collective] Greedy k-center: begins with a random point, then takes the one farthest from those taken; of equals the
 * first. chosen [keep] in rising order; *count_out is less than `keep` when all others are copies. */
thaw_status coreset_choose(thaw_comm *comm, const coreset_points *points, int64_t keep, uint64_t seed, thaw_log *log,
                           int64_t *chosen, int64_t *count_out) THAW_CHECKED;

#endif
