#include "thaw/log.h"
#include "thaw/file.h"
#include "thaw/memory.h"
#include "thaw/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TITLE_SIZE = 96, NOTE_SIZE = 160 };

/* Seconds between two drawings: often enough to look alive, seldom enough for a batch log. */
static const double terminal_interval = 0.2, batch_interval = 20, mirror_interval = 2;

struct thaw_log {
  FILE *stream;
  thaw_level level;
  bool terminal;
  bool drawing; /* a progress line without newline is on the screen */
  char title[TITLE_SIZE], unit[32], note[NOTE_SIZE];
  int64_t total, done;
  double started, drawn;
  char *mirror, *mirror_temporary; /* NULL: none */
  double mirrored;
};

double thaw_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* mpirun gives its ranks a pseudo-terminal even when its own output goes to a file; on the node of mpirun, its output
 * is what counts. */
static bool is_terminal(FILE *stream) {
  if (isatty(fileno(stream)) != 1) return false;
  if (!getenv("OMPI_COMM_WORLD_SIZE")) return true;
  char link[64], target[64] = {0};
  snprintf(link, sizeof link, "/proc/%ld/fd/%d", (long)getppid(), fileno(stream));
  ssize_t length = readlink(link, target, sizeof target - 1);
  return length > 0 && (strncmp(target, "/dev/pts/", 9) == 0 || strncmp(target, "/dev/tty", 8) == 0);
}

thaw_status thaw_log_create(FILE *stream, thaw_level level, thaw_log **out) {
  thaw_log *log = thaw_new(1, sizeof *log);
  if (!log) return THAW_ERR_MEMORY;
  log->stream = stream;
  log->level = level;
  log->terminal = is_terminal(stream);
  *out = log;
  return THAW_OK;
}

/* In one write: a process that is stopped or killed leaves no half line, in which another rank's message would hide. */
static void put_line(FILE *stream, const char *prefix, const char *format, va_list arguments) THAW_PRINTF(3, 0);
static void put_line(FILE *stream, const char *prefix, const char *format, va_list arguments) {
  char line[4096];
  const size_t head = strlen(prefix), room = sizeof line - head - 1;
  va_list again;
  va_copy(again, arguments);
  memcpy(line, prefix, head);
  int length = vsnprintf(line + head, room, format, arguments);
  if (length >= 0 && (size_t)length < room) {
    line[head + (size_t)length] = '\n';
    fwrite(line, 1, head + (size_t)length + 1, stream);
  } else {
    fputs(prefix, stream);
    vfprintf(stream, format, again);
    fputc('\n', stream);
  }
  va_end(again);
}

static void end_line(thaw_log *log) {
  if (!log->drawing) return;
  fputc('\n', log->stream);
  log->drawing = false;
}

void thaw_log_destroy(thaw_log *log) {
  if (!log) return;
  end_line(log);
  fflush(log->stream);
  thaw_free(log->mirror);
  thaw_free(log->mirror_temporary);
  thaw_free(log);
}

thaw_level thaw_log_level(const thaw_log *log) {
  return log ? log->level : THAW_QUIET;
}

static void print(thaw_log *log, thaw_level level, const char *format, va_list arguments) THAW_PRINTF(3, 0);
static void print(thaw_log *log, thaw_level level, const char *format, va_list arguments) {
  if (!log || log->level < level) return;
  end_line(log);
  put_line(log->stream, "", format, arguments);
  fflush(log->stream);
}

void thaw_info(thaw_log *log, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print(log, THAW_NORMAL, format, arguments);
  va_end(arguments);
}

void thaw_verbose(thaw_log *log, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print(log, THAW_VERBOSE, format, arguments);
  va_end(arguments);
}

void thaw_debug(thaw_log *log, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print(log, THAW_DEBUG, format, arguments);
  va_end(arguments);
}

void thaw_warn(thaw_log *log, const char *format, ...) {
  if (!log) return;
  end_line(log);
  fflush(log->stream);
  va_list arguments;
  va_start(arguments, format);
  put_line(stderr, "warning: ", format, arguments);
  va_end(arguments);
}

/* No fsync: the file is for the moment, and a slow disk must not hold up the work. */
static void write_mirror(thaw_log *log) {
  char host[256] = "";
  struct timespec now;
  thaw_text json = {0};
  log->mirrored = thaw_seconds();
  clock_gettime(CLOCK_REALTIME, &now);
  if (gethostname(host, sizeof host - 1) != 0) host[0] = 0;
  thaw_text_add(&json, "{\"time\": %lld.%03ld, \"host\": ", (long long)now.tv_sec, now.tv_nsec / 1000000);
  thaw_text_add_json(&json, host);
  thaw_text_add(&json, ", \"pid\": %ld, \"title\": ", (long)getpid());
  thaw_text_add_json(&json, log->title);
  thaw_text_add(&json, ", \"unit\": ");
  thaw_text_add_json(&json, log->unit);
  thaw_text_add(&json, ", \"done\": %lld, \"total\": %lld, \"elapsed\": %.3f, \"note\": ", (long long)log->done,
                (long long)log->total, log->mirrored - log->started);
  thaw_text_add_json(&json, log->note);
  thaw_text_add(&json, "}\n");
  FILE *file = json.failed ? NULL : fopen(log->mirror_temporary, "we");
  if (file) {
    bool written = fwrite(json.data, 1, json.length, file) == json.length;
    written = fclose(file) == 0 && written;
    if (!written || rename(log->mirror_temporary, log->mirror) != 0) unlink(log->mirror_temporary);
  }
  thaw_text_clear(&json);
}

thaw_status thaw_log_mirror(thaw_log *log, const char *path) {
  if (!log) return THAW_OK;
  if (log->mirror) unlink(log->mirror);
  thaw_free(log->mirror);
  thaw_free(log->mirror_temporary);
  log->mirror = path ? thaw_copy_text(path) : NULL;
  log->mirror_temporary = path ? thaw_file_temporary(path) : NULL;
  if (!path) return THAW_OK;
  if (log->mirror && log->mirror_temporary) {
    write_mirror(log);
    return THAW_OK;
  }
  thaw_free(log->mirror);
  thaw_free(log->mirror_temporary);
  log->mirror = log->mirror_temporary = NULL;
  return THAW_ERR_MEMORY;
}

static void draw(thaw_log *log) {
  double elapsed = thaw_seconds() - log->started, rate = elapsed > 0 ? (double)log->done / elapsed : 0;
  char done[32], total[32], left[32];
  thaw_format_count(log->done, done);
  thaw_format_count(log->total, total);
  bool more = rate > 0 && log->done < log->total;
  fprintf(log->stream, "%s%s: %s/%s %s, %.*f/s%s%s%s%s%s%s", log->terminal ? "\r\033[K" : "", log->title, done, total,
          log->unit, rate < 10 ? 2 : 0, rate, more ? ", " : "",
          more ? thaw_format_seconds((double)(log->total - log->done) / rate, left) : "", more ? " left" : "",
          log->note[0] ? ", " : "", log->note, log->terminal ? "" : "\n");
  log->drawing = log->terminal;
  log->drawn = thaw_seconds();
  fflush(log->stream);
}

void thaw_progress_begin(thaw_log *log, const char *title, const char *unit, int64_t total) {
  if (!log) return;
  end_line(log);
  snprintf(log->title, sizeof log->title, "%s", title);
  snprintf(log->unit, sizeof log->unit, "%s", unit);
  log->note[0] = 0;
  log->total = total;
  log->done = 0;
  log->started = log->drawn = thaw_seconds();
  if (log->mirror && log->started - log->mirrored >= mirror_interval) write_mirror(log);
}

void thaw_progress_update(thaw_log *log, int64_t done, const char *note) {
  if (!log) return;
  log->done = done;
  if (note) snprintf(log->note, sizeof log->note, "%s", note);
  double now = thaw_seconds();
  if (log->mirror && now - log->mirrored >= mirror_interval) write_mirror(log);
  double interval = log->terminal ? terminal_interval : batch_interval;
  if (log->level >= THAW_NORMAL && now - log->drawn >= interval) draw(log);
}

void thaw_progress_end(thaw_log *log, const char *note) {
  if (log && log->mirror && thaw_seconds() - log->mirrored >= mirror_interval) write_mirror(log);
  if (!log || log->level < THAW_NORMAL) return;
  double elapsed = thaw_seconds() - log->started, rate = elapsed > 0 ? (double)log->done / elapsed : 0;
  char done[32], took[32];
  if (log->drawing) fputs("\r\033[K", log->stream);
  log->drawing = false;
  fprintf(log->stream, "%s: %s %s in %s (%.*f/s)%s%s\n", log->title, thaw_format_count(log->done, done), log->unit,
          thaw_format_seconds(elapsed, took), rate < 10 ? 2 : 0, rate, note && *note ? ", " : "", note ? note : "");
  fflush(log->stream);
}
