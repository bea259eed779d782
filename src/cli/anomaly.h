/* anomaly.h: the parts of thaw anomaly. Private to src/cli. */
#ifndef THAW_CLI_ANOMALY_H
#define THAW_CLI_ANOMALY_H

#include "cli/cli.h"
#include "thaw/anomaly.h"
#include "thaw/score.h"
#include "thaw/shard.h"

typedef struct anomaly_options {
  const char *weights, *architecture, *layers, *size, *normal, *masks, *threshold, *output, *isa;
  int32_t method, merge, dimensions, projection, neighbours, tile, stride, maps;
  int64_t limit, seed;
  double shrinkage, coreset, smooth, held_out, false_alarms, opacity;
  bool scale, strict;
} anomaly_options;

/* The images of a command: files, or samples of a catalogue; the same on every rank. */
typedef struct anomaly_images {
  thaw_catalog *catalog; /* NULL: files */
  int64_t count;
  int64_t *index;     /* [count] samples; NULL: files */
  thaw_strings names; /* [count] paths, or ids */
  thaw_strings kinds; /* [count] folder below the source, or class; "" unknown */
  uint8_t *truth;     /* [count] 1 anomalous, 0 normal, THAW_UNKNOWN */
  thaw_strings masks; /* [count] files, "" where there is none; empty: no masks */
  bool labelled;      /* some truth is known */
} anomaly_images;
/* [collective] SOURCE for learning (only normal ones of a catalogue are taken) or for scoring. */
thaw_status anomaly_images_open(cli_context *cli, const anomaly_options *o, const char *source, bool learn,
                                anomaly_images *out) THAW_CHECKED;
void anomaly_images_close(anomaly_images *images);
/* [local] For thaw_anomaly_source. */
thaw_status anomaly_images_read(void *context, int64_t index, thaw_image *out, double *value_max) THAW_CHECKED;
const char *anomaly_images_name(void *context, int64_t index);

/* What scoring found; complete on rank 0. */
typedef struct anomaly_result {
  double *score, *peak; /* [count] of the image; largest value of its map; -1: not read */
  thaw_strings error;   /* [count] "" or why it was not read */
  int64_t failed;
  thaw_pixels pixels;
  int64_t empty_masks; /* of anomalous images */
  double threshold;    /* of an image; NaN: none */
  const char *rule;    /* what chose it */
  double pixel_threshold;
} anomaly_result;

/* [collective] */
thaw_status anomaly_score_images(cli_context *cli, const anomaly_options *o, thaw_anomaly *model,
                                 anomaly_images *images, anomaly_result *out) THAW_CHECKED;
void anomaly_result_clear(anomaly_result *result);
/* [local] rank 0: the words, metrics.json and scores.csv in `folder`. */
thaw_status anomaly_write_scores(const anomaly_images *images, anomaly_result *result, const char *folder,
                                 thaw_text *words) THAW_CHECKED;
/* [collective] Heat maps of the images with the highest scores: maps/0001.png ... and sheet.png. */
thaw_status anomaly_write_maps(cli_context *cli, const anomaly_options *o, thaw_anomaly *model, anomaly_images *images,
                               const anomaly_result *result, const char *folder) THAW_CHECKED;

#endif
