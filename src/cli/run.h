/* run.h: a run folder opened for use: its job, network, weights and checkpoint. Private to src/cli. */
#ifndef THAW_CLI_RUN_H
#define THAW_CLI_RUN_H

#include "cli/cli.h"
#include "thaw/import.h"
#include "thaw/train.h"

typedef struct cli_run {
  char *folder;     /* the run folder */
  char *checkpoint; /* the checkpoint in use */
  thaw_job *job;
  thaw_session *session;
} cli_run;

/* [collective] Opens RUN/job.yaml, builds its session and loads `checkpoint` (NULL: best.h5, else the newest). */
thaw_status cli_run_open(cli_context *cli, const char *folder, const char *checkpoint,
                         const thaw_session_options *options, cli_run *out) THAW_CHECKED;
void cli_run_close(cli_run *run); /* [collective] */

/* [collective] The samples of image files, made as those that the run was trained on: RUN/import.yaml, else the one
 * beside the training data. */
thaw_status cli_run_images(cli_context *cli, const cli_run *run, const thaw_strings *files,
                           thaw_import_reader **out) THAW_CHECKED;

/* [local] THAW_ERR_USAGE where the run has several heads, which `what` does not go with. */
thaw_status cli_run_one_head(const cli_run *run, const char *what) THAW_CHECKED;

/* [collective] The network's outputs, as they leave it, of all these samples. */
thaw_status cli_run_predict(cli_context *cli, const cli_run *run, thaw_import_reader *images,
                            thaw_predictions *out) THAW_CHECKED;

/* [local] Options that several verbs offer: the file to write, the instruction set, and the checkpoint of a run. */
cli_option cli_output_option(const char **target, const char *fallback, const char *help);
cli_option cli_isa_option(const char **target);
cli_option cli_checkpoint_option(const char **target);

/* [local] Shards (a catalog.yaml, its folder, a shard) are told from images by name and content of the folder. */
bool cli_is_catalog(const char *source);

#endif
