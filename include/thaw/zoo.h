/* zoo.h: pre-trained architectures as graph builders, with keras.applications' layer names. All [local]. */
#ifndef THAW_ZOO_H
#define THAW_ZOO_H

#include "thaw/graph.h"

typedef enum thaw_preprocessing {
  THAW_PREPROCESS_RAW,   /* 0..255 as is */
  THAW_PREPROCESS_CAFFE, /* RGB -> BGR, minus (103.939, 116.779, 123.68) */
  THAW_PREPROCESS_TF,    /* x/127.5 - 1 */
  THAW_PREPROCESS_TORCH  /* (x/255 - mean) / std */
} thaw_preprocessing;
extern const char *const thaw_preprocessing_names[]; /* "raw", "caffe", "tf", "torch", NULL */

typedef struct thaw_architecture {
  const char *name;  /* "vgg16", "mobilenetv2_0.35" */
  const char *title; /* "VGG16" */
  thaw_preprocessing preprocessing;
  int32_t default_size, minimum_size;
  int64_t parameters;      /* without the top, with 3 channels: keras.applications' count */
  const char *weights_url; /* file name of the official Keras weights, for messages */
  /* Adds the backbone's layers after node 0; *last_out is its output. */
  thaw_status (*build)(const struct thaw_architecture *self, thaw_graph *graph, int32_t *last_out);
  int32_t depth[5];          /* blocks of each stage, for families that differ in them */
  double width, depth_scale; /* factors of channels and blocks, for families that have them */
} thaw_architecture;
extern const thaw_architecture *const thaw_architectures[]; /* NULL-terminated */
/* NULL when unknown; "MobileNetV2", "mobilenet_v2" and "mobilenetv2_0.50" are found, too. */
const thaw_architecture *thaw_architecture_find(const char *name);
/* THAW_ERR_USAGE with the nearest name when unknown, or when the input is too small. cut NULL: the whole backbone. */
thaw_status thaw_zoo_build(const char *name, thaw_shape input, const char *cut, thaw_graph **out,
                           int32_t *last_out) THAW_CHECKED;

#endif
