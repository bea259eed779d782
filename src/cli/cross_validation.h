/* cross_validation.h: the folds of a sweep's best candidate put together. Private to src/cli. */
#ifndef THAW_CLI_CROSS_VALIDATION_H
#define THAW_CLI_CROSS_VALIDATION_H

#include "cli/cli.h"
#include "thaw/sweep.h"

/* [collective] Every sample is predicted once, by the run that did not train on its group: writes the predictions and
 * their figures to OUTPUT/cross_validation and prints them. */
thaw_status cli_cross_validate(cli_context *cli, const thaw_sweep *sweep, const char *isa,
                               int32_t replicates) THAW_CHECKED;

#endif
