/* contact_sheet.h: samples of a data set in one PNG. Private to src/cli. */
#ifndef THAW_CLI_CONTACT_SHEET_H
#define THAW_CLI_CONTACT_SHEET_H

#include "thaw/shard.h"

/* [local] One row per class (the first 40), twelve samples each; without classes a grid of 96 samples. of_class:
 * samples per class. */
thaw_status cli_contact_sheet(thaw_catalog *catalog, const int64_t *of_class, const char *path) THAW_CHECKED;

#endif
