/* report_data.h: the data sheet of a run folder. Private to src/cli. */
#ifndef THAW_CLI_REPORT_DATA_H
#define THAW_CLI_REPORT_DATA_H

#include "thaw/job.h"
#include "thaw/status.h"

/* [local] Writes data/data.json into the run folder: of training, validation and test data counts, shapes, digests, a
 * histogram of classes or targets; and, where `samples`, one strip of pictures per class (at most 24), else removes the
 * strips. Reads all labels and up to eight pictures per class. Data that cannot be opened is left out; with none the
 * folder stays as it is. */
thaw_status cli_report_data(const char *run_folder, const thaw_job *job, bool samples) THAW_CHECKED;

#endif
