/* predict_tiles.h: predictions for large images, window by window. Private to src/cli. */
#ifndef THAW_CLI_PREDICT_TILES_H
#define THAW_CLI_PREDICT_TILES_H

#include "cli/cli.h"
#include "thaw/train.h"

enum { PREDICT_MERGE_MEAN, PREDICT_MERGE_MAX };
typedef struct predict_tiles {
  int32_t tile, stride, merge;
  const char *maps;  /* folder of heat maps; NULL: none */
  const char *class; /* whose output they show */
  double opacity;
} predict_tiles;

/* [collective] As thaw_predict_files: rank 0 gets the outputs of each image, merged over its windows. */
thaw_status cli_predict_tiles(cli_context *cli, thaw_session *session, const predict_tiles *tiles,
                              const thaw_strings *files, thaw_predictions *out) THAW_CHECKED;

#endif
