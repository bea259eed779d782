/* fault.c: a library for LD_PRELOAD that makes one rank's file fail at a chosen moment. THAW_FAULT is
 *
 *     RANK CALL PATTERN NTH ACTION       e.g. "1 write /cache/ 3 kill"
 *
 * CALL: read, write, fsync or rename; PATTERN: part of the file's path; ACTION: kill (SIGKILL), stop (SIGSTOP), usr1
 * (SIGUSR1), enospc, eio, flip (one bit of what was read), or a number of microseconds to wait. From the NTH such call
 * on, it happens each time (flip, usr1: only then). RANK is a number or "all". */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

typedef struct fault {
  int read, armed; /* 1: THAW_FAULT was read; 1: it is for this rank */
  char call[16], pattern[128], action[32];
  long nth;
} fault;
static fault wanted;

/* The functions are here for the linker only, so they have no header. */
ssize_t read(int file, void *data, size_t size);
ssize_t pread(int file, void *data, size_t size, off_t offset);
ssize_t write(int file, const void *data, size_t size);
ssize_t pwrite(int file, const void *data, size_t size, off_t offset);

static void prepare(void) {
  if (wanted.read) return;
  wanted.read = 1;
  const char *text = getenv("THAW_FAULT"), *rank = getenv("OMPI_COMM_WORLD_RANK");
  char who[16];
  if (!text) return;
  if (sscanf(text, "%15s %15s %127s %ld %31s", who, wanted.call, wanted.pattern, &wanted.nth, wanted.action) != 5)
    return;
  wanted.armed = !strcmp(who, "all") || (rank && !strcmp(who, rank));
}

static bool concerns(int file, const char *path) {
  char link[64], target[PATH_MAX];
  if (path) return strstr(path, wanted.pattern) != NULL;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, target, sizeof target - 1);
  if (length < 0) return false;
  target[length] = 0;
  return strstr(target, wanted.pattern) != NULL;
}

/* Returns 0 or the errno the call shall fail with; *flip_out: damage the data that was read. */
static int strike(const char *call, int file, const char *path, bool *flip_out) {
  static long seen;
  prepare();
  if (!wanted.armed || strcmp(call, wanted.call) != 0 || !concerns(file, path)) return 0;
  long count = __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED);
  if (count < wanted.nth) return 0;
  if (!strcmp(wanted.action, "kill")) kill(getpid(), SIGKILL);
  if (!strcmp(wanted.action, "stop")) kill(getpid(), SIGSTOP);
  if (!strcmp(wanted.action, "usr1") && count == wanted.nth) kill(getpid(), SIGUSR1);
  if (!strcmp(wanted.action, "enospc")) return ENOSPC;
  if (!strcmp(wanted.action, "eio")) return EIO;
  if (!strcmp(wanted.action, "flip") && flip_out) *flip_out = count == wanted.nth;
  long wait = strtol(wanted.action, NULL, 10);
  if (wait > 0) usleep((useconds_t)wait);
  return 0;
}

/* The C library's own function; a union, because ISO C knows no cast from object to function pointers. */
#define NEXT(name, type)                                                                                               \
  union {                                                                                                              \
    void *object;                                                                                                      \
    type function;                                                                                                     \
  } next = {dlsym(RTLD_NEXT, name)}
typedef ssize_t (*read_function)(int, void *, size_t);
typedef ssize_t (*pread_function)(int, void *, size_t, off_t);
typedef ssize_t (*write_function)(int, const void *, size_t);
typedef ssize_t (*pwrite_function)(int, const void *, size_t, off_t);
typedef int (*fsync_function)(int);
typedef int (*rename_function)(const char *, const char *);

static ssize_t damage(void *data, ssize_t got, bool flip) {
  if (flip && got > 0) ((unsigned char *)data)[got / 2] ^= 0x10;
  return got;
}
static ssize_t failed(int code) {
  errno = code;
  return -1;
}

ssize_t read(int file, void *data, size_t size) {
  NEXT("read", read_function);
  bool flip = false;
  int code = strike("read", file, NULL, &flip);
  return code ? failed(code) : damage(data, next.function(file, data, size), flip);
}
ssize_t pread(int file, void *data, size_t size, off_t offset) {
  NEXT("pread", pread_function);
  bool flip = false;
  int code = strike("read", file, NULL, &flip);
  return code ? failed(code) : damage(data, next.function(file, data, size, offset), flip);
}
ssize_t write(int file, const void *data, size_t size) {
  NEXT("write", write_function);
  int code = strike("write", file, NULL, NULL);
  return code ? failed(code) : next.function(file, data, size);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t offset) {
  NEXT("pwrite", pwrite_function);
  int code = strike("write", file, NULL, NULL);
  return code ? failed(code) : next.function(file, data, size, offset);
}
int fsync(int file) {
  NEXT("fsync", fsync_function);
  int code = strike("fsync", file, NULL, NULL);
  return code ? (int)failed(code) : next.function(file);
}
int rename(const char *from, const char *to) {
  NEXT("rename", rename_function);
  int code = strike("rename", -1, to, NULL);
  return code ? (int)failed(code) : next.function(from, to);
}
