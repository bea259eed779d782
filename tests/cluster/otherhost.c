/* otherhost.c: a library for LD_PRELOAD that gives some ranks the view of another host:
 *
 *     THAW_LATE   "RANKS PATTERN SECONDS"   files and folders with PATTERN in their path that came into being less than
 * SECONDS ago, by another process, are not there yet, as with NFS' caches THAW_CLOCK  "RANKS SECONDS"           the
 * wall clock is fast by SECONDS
 *
 * RANKS is a number, "all", or "others" for all but rank 0. Making a folder asks the server, and shows it from then on.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Own files: a set of path hashes; more than fit are simply seen late. */
enum { OWN_MOST = 4096 };
static struct {
  bool read, late, skewed;
  char pattern[128];
  double seconds;
  long skew;
  uint64_t own[OWN_MOST];
  int owned;
} host;

static bool is_for_me(const char *ranks) {
  const char *rank = getenv("OMPI_COMM_WORLD_RANK");
  if (!strcmp(ranks, "all")) return true;
  if (!rank) return false;
  return !strcmp(ranks, "others") ? strcmp(rank, "0") != 0 : !strcmp(ranks, rank);
}

static void prepare(void) {
  if (host.read) return;
  host.read = true;
  char ranks[16];
  const char *late = getenv("THAW_LATE"), *clock = getenv("THAW_CLOCK");
  if (late && sscanf(late, "%15s %127s %lf", ranks, host.pattern, &host.seconds) == 3) host.late = is_for_me(ranks);
  if (clock && sscanf(clock, "%15s %ld", ranks, &host.skew) == 2) host.skewed = is_for_me(ranks);
}

/* FNV-1a over the path without doubled slashes. */
static uint64_t hash_path(const char *path) {
  uint64_t hash = 14695981039346656037u;
  for (const char *at = path; *at; at++)
    if (!(at[0] == '/' && (at[1] == '/' || !at[1]))) hash = (hash ^ (unsigned char)*at) * 1099511628211u;
  return hash;
}

static void own(const char *path) {
  prepare();
  if (!host.late || !strstr(path, host.pattern)) return;
  int at = __atomic_fetch_add(&host.owned, 1, __ATOMIC_RELAXED);
  if (at < OWN_MOST) host.own[at] = hash_path(path);
}

static bool owns(const char *path) {
  uint64_t hash = hash_path(path);
  for (int i = 0; i < host.owned && i < OWN_MOST; i++)
    if (host.own[i] == hash) return true;
  return false;
}

static bool is_young(const char *path) {
  struct stat found;
  struct timespec now;
  if (syscall(SYS_newfstatat, AT_FDCWD, path, &found, 0) != 0) return false;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  double age = (double)(now.tv_sec - found.st_ctim.tv_sec) + (double)(now.tv_nsec - found.st_ctim.tv_nsec) * 1e-9;
  return age < host.seconds;
}

/* Not there yet, for this process. */
static bool hidden(const char *path) {
  prepare();
  if (!host.late || !path || !strstr(path, host.pattern) || owns(path)) return false;
  return is_young(path);
}

#define NEXT(name, type)                                                                                               \
  union {                                                                                                              \
    void *object;                                                                                                      \
    type function;                                                                                                     \
  } next = {dlsym(RTLD_NEXT, name)}

static int not_there(void) {
  errno = ENOENT;
  return -1;
}

static bool parent_hidden(const char *path) {
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (!slash || slash == folder) return false;
  *slash = 0;
  struct stat found;
  return syscall(SYS_newfstatat, AT_FDCWD, folder, &found, 0) == 0 && S_ISDIR(found.st_mode) && hidden(folder);
}

typedef int (*open_function)(const char *, int, ...);
static int open_as(const char *name, const char *path, int flags, mode_t mode) {
  NEXT(name, open_function);
  if (flags & O_CREAT) {
    if (parent_hidden(path)) return not_there();
    struct stat found;
    if (syscall(SYS_newfstatat, AT_FDCWD, path, &found, 0) != 0) own(path);
  }
  return hidden(path) ? not_there() : next.function(path, flags, mode);
}
int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_as("open", path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_as("open64", path, flags, mode);
}
typedef FILE *(*fopen_function)(const char *, const char *);
FILE *fopen(const char *path, const char *mode) {
  NEXT("fopen", fopen_function);
  if (!hidden(path)) return next.function(path, mode);
  errno = ENOENT;
  return NULL;
}
typedef int (*stat_function)(const char *, struct stat *);
int stat(const char *path, struct stat *out) {
  NEXT("stat", stat_function);
  return hidden(path) ? not_there() : next.function(path, out);
}
int lstat(const char *path, struct stat *out) {
  NEXT("lstat", stat_function);
  return hidden(path) ? not_there() : next.function(path, out);
}
typedef int (*access_function)(const char *, int);
int access(const char *path, int mode) {
  NEXT("access", access_function);
  return hidden(path) ? not_there() : next.function(path, mode);
}
typedef DIR *(*opendir_function)(const char *);
DIR *opendir(const char *path) {
  NEXT("opendir", opendir_function);
  if (!hidden(path)) return next.function(path);
  errno = ENOENT;
  return NULL;
}
typedef int (*mkdir_function)(const char *, mode_t);
int mkdir(const char *path, mode_t mode) {
  NEXT("mkdir", mkdir_function);
  int result = next.function(path, mode), code = errno;
  own(path);
  errno = code;
  return result;
}
typedef int (*rename_function)(const char *, const char *);
int rename(const char *from, const char *to) {
  NEXT("rename", rename_function);
  own(to);
  return next.function(from, to);
}

/* ------------------------------------------------------------------ the wall clock */
typedef int (*clock_function)(clockid_t, struct timespec *);
int clock_gettime(clockid_t clock, struct timespec *out) {
  NEXT("clock_gettime", clock_function);
  int result = next.function(clock, out);
  prepare();
  if (host.skewed && clock == CLOCK_REALTIME) out->tv_sec += host.skew;
  return result;
}
int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  *out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return 0;
}
time_t time(time_t *out) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
