/* inspect.h: the parts of `thaw inspect`, one per kind of file. Private to src/cli. */
#ifndef THAW_CLI_INSPECT_H
#define THAW_CLI_INSPECT_H

#include "cli/cli.h"

typedef struct cli_inspect_options {
  const char *sheet; /* contact sheet PNG; NULL: none */
  bool augment;      /* the file is a job, the sheet shows its augmentation */
  bool verify;       /* the file is one of weights or a model: run it */
  bool digest;       /* read everything and compare with the digests */
} cli_inspect_options;

/* [local] A catalogue, a folder with one, or an HDF5 file of images. */
bool cli_is_data(const char *path);
/* [collective] Counts, shapes, classes, digests of a catalogue or shard. */
thaw_status cli_inspect_data(cli_context *cli, const char *path, const cli_inspect_options *options) THAW_CHECKED;

/* [collective] Layers, shapes, digests and architecture of a weight or model file (thaw_weights_recognize). */
thaw_status cli_inspect_weights(cli_context *cli, const char *path) THAW_CHECKED;

/* [collective] Runs the file's network on a built-in image: THAW_ERR_DATA when the features are not finite or, for
 * known weights, not Keras'. */
thaw_status cli_inspect_verify(cli_context *cli, const char *path) THAW_CHECKED;

/* [collective] The table of a checkpoint or a run folder. */
thaw_status cli_inspect_run(cli_context *cli, const char *path) THAW_CHECKED;

/* [local] A folder with entries of a feature cache. */
bool cli_is_cache(const char *path);
/* [collective] One line per entry: what it holds, its size, when it was last used. */
thaw_status cli_inspect_cache(cli_context *cli, const char *path) THAW_CHECKED;
/* [collective] Samples of the job's training data before and after augmentation, written to `sheet_path`. */
thaw_status cli_inspect_augment(cli_context *cli, const char *job_path, const char *sheet_path) THAW_CHECKED;

/* [collective] A job file: per phase the model summary and what it costs; nothing is computed. */
thaw_status cli_inspect_job(cli_context *cli, const char *path) THAW_CHECKED;

#endif
