/* leaks.h: data sets that should have nothing in common. Private to src/cli. */
#ifndef THAW_CLI_LEAKS_H
#define THAW_CLI_LEAKS_H

#include "cli/cli.h"
#include "thaw/shard.h"

typedef struct cli_leaks_options {
  int32_t distance; /* bits of the perceptual hash that may differ */
  const char *list; /* CSV file for all of them; NULL: none */
} cli_leaks_options;
/* [collective] `thaw inspect --leaks`: the data sets of the paths, or of one job file. THAW_ERR_DATA where there is a
 * leak. */
thaw_status cli_leaks_inspect(cli_context *cli, const char *const *path, int32_t count,
                              const cli_leaks_options *options) THAW_CHECKED;
/* [collective] Before an evaluation: warns when `evaluated` has something of the training data, where that is there. */
thaw_status cli_leaks_evaluate(cli_context *cli, const thaw_job *job, thaw_catalog *evaluated) THAW_CHECKED;

#endif
