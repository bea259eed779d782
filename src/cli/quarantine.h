/* quarantine.h: files of unknown origin, first read by a process of its own.
 *
 * HDF5 1.10 crashes or loops on some damaged or hostile files, and no check from outside can foresee it: the library
 * would have to be written anew. So rank 0 starts this program once more, which reads all that the file holds, under
 * limits of time and memory, and may die alone. Only then do the ranks read it. They read what the process has read,
 * with the same library; a file that makes it do something else is not kept out, so this is a guard against crashes and
 * hangs, not a sandbox.
 *
 * posix_spawn, not fork: the copy of a process that holds memory registered with a network card may corrupt the
 * original's. The process does not start MPI. */
#ifndef THAW_CLI_QUARANTINE_H
#define THAW_CLI_QUARANTINE_H

#include "cli/cli.h"

/* [collective] THAW_ERR_DATA when the process did not survive the file. Files that are neither HDF5 nor archives that
 * hold one, folders and missing files pass; so does everything with THAW_QUARANTINE=0 in rank 0's environment. */
thaw_status cli_quarantine(cli_context *cli, const char *path) THAW_CHECKED;
/* [collective] The weights or the model file that a job names. */
thaw_status cli_quarantine_job(cli_context *cli, const thaw_job *job) THAW_CHECKED;

/* The process: true when the command line asks for it; then *code_out is the exit code. */
bool cli_is_quarantine(int argc, char **argv, int *code_out);

/* [local] True when an HDF5 file's mark is in the file. */
bool cli_is_hdf5(const char *path);

#endif
