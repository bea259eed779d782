#include "cli/quarantine.h"
#include "thaw/file.h"
#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/zip.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char word[] = "--read-alone";
static const int64_t most_bytes = (int64_t)4 << 30; /* read of one file; larger ones are data sets */
enum { SECONDS = 10, BYTES_PER_SECOND = 20 << 20, SURVIVED = 0, STARVED = 99 };

/* ------------------------------------------------------------------ the process */

static void set_limit(int what, rlim_t value) {
  const struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
  setrlimit(what, &limit); /* where it fails the process is the less limited */
}

/* Sanitizers reserve address space by the terabyte. */
static void set_limits(int64_t size) {
  set_limit(RLIMIT_CORE, 0);
  set_limit(RLIMIT_CPU, (rlim_t)(SECONDS + size / BYTES_PER_SECOND));
#ifndef THAW_ADDRESS_SANITIZER
  set_limit(RLIMIT_AS, (rlim_t)(4 * size + ((int64_t)2 << 30)));
#endif
}

/* The member of a .keras archive that is an HDF5 file. */
static thaw_status open_archive(const char *path, thaw_h5 **out) {
  thaw_zip *zip;
  char *data = NULL;
  size_t size;
  THAW_TRY(thaw_zip_open(path, &zip));
  thaw_status status = thaw_zip_read(zip, "model.weights.h5", (uint64_t)1 << 34, &data, &size);
  thaw_zip_close(zip);
  if (status == THAW_OK) status = thaw_h5_open_image(path, data, size, out);
  thaw_free(data);
  return status;
}

/* What a reader will say of the file is the reader's affair: here only surviving counts, and how much memory is asked
 * for: the library would take, and touch, the gigabytes that a few bytes of a damaged file announce. */
static int read_alone(const char *path) {
  thaw_h5 *file;
  set_limits(thaw_file_size(path));
  thaw_status status = thaw_zip_recognize(path) ? open_archive(path, &file) : thaw_h5_open(path, &file);
  if (status != THAW_OK) return SURVIVED;
  status = thaw_h5_walk(file, most_bytes);
  thaw_h5_close(file);
  return status == THAW_ERR_MEMORY ? STARVED : SURVIVED;
}

bool cli_is_quarantine(int argc, char **argv, int *code_out) {
  if (argc != 3 || strcmp(argv[1], word) != 0) return false;
  *code_out = read_alone(argv[2]);
  return true;
}

/* ------------------------------------------------------------------ starting it */

bool cli_is_hdf5(const char *path) {
  static const unsigned char mark[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  unsigned char begin[8] = {0};
  FILE *file = fopen(path, "rb");
  /* A user block may come before the mark, at a power of two. */
  bool found = false;
  for (long at = 0; file && !found && fseek(file, at, SEEK_SET) == 0 && fread(begin, 8, 1, file) == 1;
       at = at ? 2 * at : 512)
    found = memcmp(begin, mark, 8) == 0;
  if (file) fclose(file);
  return found;
}

/* Output of a dying C library is nobody's business. */
static int start(const char *path, pid_t *process) {
  char name[] = "thaw", option[sizeof word], *argv[] = {name, option, (char *)(uintptr_t)path, NULL};
  memcpy(option, word, sizeof word);
  posix_spawn_file_actions_t actions;
  if (posix_spawn_file_actions_init(&actions) != 0) return ENOMEM;
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  int error = posix_spawn(process, "/proc/self/exe", &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

static thaw_status judge(const char *path, int state) {
  if (WIFEXITED(state) && WEXITSTATUS(state) == SURVIVED) return THAW_OK;
  if (WIFEXITED(state) && WEXITSTATUS(state) == STARVED)
    return thaw_fail(THAW_ERR_DATA,
                     "%s: the HDF5 library asks for far more memory than the file is long: it is damaged or hostile",
                     path);
  bool killed = WIFSIGNALED(state);
  if (killed && (WTERMSIG(state) == SIGXCPU || WTERMSIG(state) == SIGKILL))
    return thaw_fail(THAW_ERR_DATA,
                     "%s: the HDF5 library does not come to an end with this file: it is damaged or hostile", path);
  return thaw_fail(THAW_ERR_DATA, "%s: the HDF5 library crashes on this file (%s): it is damaged or hostile", path,
                   killed ? strsignal(WTERMSIG(state)) : "it ended the process that tried");
}

static thaw_status read_apart(const char *path) {
  const char *wish = getenv("THAW_QUARANTINE");
  if (wish && strcmp(wish, "0") == 0) return THAW_OK;
  if (thaw_folder_exists(path) || !thaw_file_exists(path)) return THAW_OK;
  if (!thaw_zip_recognize(path) && !cli_is_hdf5(path)) return THAW_OK;
  pid_t process;
  int state, error = start(path, &process);
  /* Where no process can be started (a limit of the batch system) the file is read as it is. */
  if (error != 0) return THAW_OK;
  while (waitpid(process, &state, 0) < 0)
    if (errno != EINTR) return THAW_OK;
  return judge(path, state);
}

thaw_status cli_quarantine(cli_context *cli, const char *path) {
  return cli_share_status(cli, cli_is_root(cli) ? read_apart(path) : THAW_OK);
}

thaw_status cli_quarantine_job(cli_context *cli, const thaw_job *job) {
  const char *path = job->backbone.weights ? job->backbone.weights : job->backbone.file;
  return path ? cli_quarantine(cli, path) : THAW_OK;
}
