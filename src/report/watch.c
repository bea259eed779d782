/* A run as it can be seen from its folder: by another process, on another node. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Seconds. Signs of life come every two seconds while something is counted, and travel for up to a minute under NFS. */
enum { FRESH = 10, SILENT = 150, FILE_LIMIT = 16 << 20, LABEL = 18, SHOWN_RANKS = 16, LAST_EPOCHS = 5 };

typedef struct watch {
  const char *folder;
  const thaw_watch_options *options;
  thaw_arena *arena;
  thaw_yaml *job, *progress; /* NULL: absent, or being written */
  report_log log;
  report_metrics metrics;
  thaw_run_state state;
  double sign; /* of life, seconds since 1970; NaN: none */
} watch;

const char *thaw_run_state_name(thaw_run_state state) {
  static const char *const name[] = {"not started", "running", "silent", "killed", "stopped", "failed", "finished"};
  return name[state];
}

static void watch_clear(watch *w) {
  thaw_arena_destroy(w->arena);
  report_log_clear(&w->log);
  report_metrics_clear(&w->metrics);
}

/* ------------------------------------------------------------------ reading */

/* A file that is not there, or being replaced, is absent this time. */
static thaw_yaml *read_map(const watch *w, const char *name) {
  char *path = thaw_path_join(w->folder, name), *text = NULL;
  size_t size;
  thaw_yaml *root = NULL;
  if (path && thaw_file_exists(path) && thaw_file_read(path, FILE_LIMIT, &text, &size) == THAW_OK &&
      (thaw_yaml_parse(name, text, size, w->arena, &root) != THAW_OK || root->kind != THAW_YAML_MAP))
    root = NULL;
  thaw_free(text);
  thaw_free(path);
  return root;
}

static thaw_status read_files(watch *w) {
  w->arena = thaw_arena_create();
  if (!w->arena) return THAW_ERR_MEMORY;
  w->job = read_map(w, "job.yaml");
  w->progress = read_map(w, "progress.json");
  char *log = thaw_path_join(w->folder, "log.jsonl"), *metrics = thaw_path_join(w->folder, "metrics.csv");
  thaw_status status = log && metrics ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && thaw_file_exists(log)) status = report_log_read(log, &w->log);
  if (status == THAW_OK && thaw_file_exists(metrics) && report_metrics_read(metrics, &w->metrics) == THAW_ERR_MEMORY)
    status = THAW_ERR_MEMORY;
  thaw_free(log);
  thaw_free(metrics);
  return status;
}

/* ------------------------------------------------------------------ what state it is in */

static double seconds_of(const char *time) {
  struct tm when = {0};
  int year, month, day, hour, minute, second;
  if (sscanf(time, "%4d-%2d-%2dT%2d:%2d:%2dZ", &year, &month, &day, &hour, &minute, &second) != 6) return NAN;
  when.tm_year = year - 1900, when.tm_mon = month - 1, when.tm_mday = day;
  when.tm_hour = hour, when.tm_min = minute, when.tm_sec = second;
  return (double)timegm(&when);
}

/* Whether the process that wrote progress.json is gone; only its own host can know. */
static bool process_is_gone(const watch *w) {
  char host[256] = "";
  const char *there = w->progress ? report_text_of(w->progress, "host") : NULL;
  double pid = report_number_of(w->progress, "pid");
  if (!there || !(pid > 1 && pid < INT32_MAX) || gethostname(host, sizeof host - 1) != 0 || strcmp(host, there) != 0)
    return false;
  return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static bool is_kind(const report_event *event, const char *kind) {
  return strcmp(event->kind, kind) == 0;
}

/* The last event that begins or ends a run; NULL: none. */
static const report_event *last_turn(const watch *w) {
  static const char *const turn[] = {"start", "resume", "stop", "fail", "end"};
  for (int32_t i = w->log.count - 1; i >= 0; i--)
    for (size_t k = 0; k < sizeof turn / sizeof *turn; k++)
      if (is_kind(&w->log.event[i], turn[k])) return &w->log.event[i];
  return NULL;
}

static void find_state(watch *w) {
  const report_event *turn = last_turn(w);
  w->sign = w->log.count ? seconds_of(w->log.event[w->log.count - 1].time) : NAN;
  w->sign = fmax(w->sign, report_number_of(w->progress, "time"));
  double silence = w->options->now - w->sign;
  if (!turn)
    w->state = THAW_RUN_NONE;
  else if (is_kind(turn, "end"))
    w->state = THAW_RUN_COMPLETE;
  else if (is_kind(turn, "stop"))
    w->state = THAW_RUN_STOPPED;
  else if (is_kind(turn, "fail"))
    w->state = THAW_RUN_FAILED;
  else if (silence > FRESH && process_is_gone(w))
    w->state = THAW_RUN_KILLED;
  else
    w->state = silence > SILENT ? THAW_RUN_SILENT : THAW_RUN_ACTIVE;
}

/* ------------------------------------------------------------------ what is said */

static const char *ago(const watch *w, double time, char out[48]) {
  char text[32];
  double seconds = w->options->now - time;
  snprintf(out, 48, "%s ago", thaw_format_seconds(seconds > 0 ? seconds : 0, text));
  return out;
}

static void add_title(const watch *w, thaw_text *out) {
  const char *name = w->job ? report_text_of(w->job, "name") : NULL;
  char clean[128], when[48];
  int32_t resumed = 0;
  const char *since = NULL, *message = NULL, *ranks = NULL;
  for (int32_t i = 0; i < w->log.count; i++) {
    const report_event *event = &w->log.event[i];
    bool resume = is_kind(event, "resume");
    resumed += resume;
    if (resume || is_kind(event, "start")) since = event->time, ranks = report_text_of(event->map, "ranks");
    if (is_kind(event, "fail")) message = report_text_of(event->map, "message");
  }
  thaw_text_add(out, "%s: %s", report_clean(name ? name : thaw_path_name(w->folder), clean, sizeof clean),
                thaw_run_state_name(w->state));
  if (ranks) thaw_text_add(out, ", ranks %s", ranks);
  if (since && *since) thaw_text_add(out, ", since %s", since);
  if (resumed) thaw_text_add(out, ", resumed %d time%s", resumed, resumed == 1 ? "" : "s");
  if (isfinite(w->sign) && w->state != THAW_RUN_NONE)
    thaw_text_add(out, ", last sign of life %s", ago(w, w->sign, when));
  thaw_text_add(out, "\n");
  if (w->state == THAW_RUN_FAILED && message) {
    char *text = thaw_copy_text(message);
    thaw_text_add(out, "error: %s\n", text ? report_clean(message, text, strlen(message) + 1) : "");
    thaw_free(text);
  }
  if (w->state == THAW_RUN_STOPPED || w->state == THAW_RUN_KILLED)
    thaw_text_add(out, "thaw train JOB --resume goes on from the last checkpoint\n");
}

static void add_label(thaw_text *out, const char *label) {
  thaw_text_add(out, "%-*.*s ", LABEL, LABEL, label);
}

/* "epoch 3/30 [####....] 3,200/6,000 samples, 1,024/s, 2 s left, loss 0.41": what is under way. */
static void add_stretch(const watch *w, thaw_text *out) {
  double done = report_number_of(w->progress, "done"), total = report_number_of(w->progress, "total");
  double elapsed = report_number_of(w->progress, "elapsed");
  const char *title = w->progress ? report_text_of(w->progress, "title") : NULL;
  char label[64], unit[64], note[128], a[32], b[32];
  if (w->state != THAW_RUN_ACTIVE || !title || !*title || !(total > 0) || !(done >= 0)) return;
  add_label(out, report_clean(title, label, sizeof label));
  report_add_bar(out, done / total, 24);
  const char *text = report_text_of(w->progress, "unit");
  thaw_text_add(out, " %s/%s %s", thaw_format_count((int64_t)done, a), thaw_format_count((int64_t)total, b),
                report_clean(text ? text : "", unit, sizeof unit));
  double rate = elapsed > 0 ? done / elapsed : 0;
  if (rate > 0)
    thaw_text_add(out, ", %.*f/s, %s left", rate < 10 ? 2 : 0, rate, thaw_format_seconds((total - done) / rate, a));
  text = report_text_of(w->progress, "note");
  if (text && *text) thaw_text_add(out, ", %s", report_clean(text, note, sizeof note));
  thaw_text_add(out, "\n");
}

/* Epochs of all phases; early stopping may make it fewer. 0: not known. */
static double all_epochs(const watch *w, int32_t *phases) {
  const thaw_yaml *list = thaw_yaml_get(thaw_yaml_get(w->job, "training"), "phases");
  double sum = 0;
  *phases = 0;
  for (const thaw_yaml *phase = list ? list->child : NULL; phase; phase = phase->next, ++*phases) {
    double epochs = report_number_of(phase, "epochs");
    if (isfinite(epochs)) sum += epochs;
  }
  return sum;
}

static double recent_seconds(const report_metrics *m) {
  int32_t column = report_metrics_column(m, "seconds"), phase = report_metrics_column(m, "phase"), count = 0;
  double sum = 0;
  for (int32_t row = m->rows - 1; row >= 0 && column >= 0 && count < LAST_EPOCHS; row--, count++) {
    if (phase >= 0 && report_metrics_at(m, row, phase) != report_metrics_at(m, m->rows - 1, phase)) break;
    sum += report_metrics_at(m, row, column);
  }
  return count ? sum / count : NAN;
}

static void add_whole(const watch *w, thaw_text *out) {
  int32_t phases, phase_column = report_metrics_column(&w->metrics, "phase"), rows = w->metrics.rows;
  double all = all_epochs(w, &phases), seconds = recent_seconds(&w->metrics);
  char text[32];
  if (w->state == THAW_RUN_NONE || !(all > 0)) return;
  add_label(out, "all epochs");
  report_add_bar(out, rows / all, 24);
  thaw_text_add(out, " %d/%.0f", rows, all);
  if (phases > 1 && rows && phase_column >= 0)
    thaw_text_add(out, ", phase %.0f of %d", report_metrics_at(&w->metrics, rows - 1, phase_column), phases);
  if (isfinite(seconds)) thaw_text_add(out, ", %s each", thaw_format_seconds(seconds, text));
  if (isfinite(seconds) && w->state == THAW_RUN_ACTIVE && rows < all)
    thaw_text_add(out, ", at most %s left", thaw_format_seconds(seconds * (all - rows), text));
  thaw_text_add(out, "\n");
}

/* How long ranks waited for others in the last epoch that told so: the one that waited least is the slowest. */
static void add_waiting(const watch *w, thaw_text *out) {
  const thaw_yaml *event = NULL;
  for (int32_t i = 0; i < w->log.count; i++) {
    if (is_kind(&w->log.event[i], "waiting")) event = w->log.event[i].map;
    if (is_kind(&w->log.event[i], "resume")) event = NULL; /* its ranks may be others */
  }
  const thaw_yaml *list = thaw_yaml_get(event, "waited");
  if (!event || !list || list->kind != THAW_YAML_LIST) return;
  double seconds = report_number_of(event, "seconds"), value[1024];
  int32_t ranks = 0;
  for (const thaw_yaml *item = list->child; item && ranks < 1024; item = item->next)
    if (item->kind == THAW_YAML_SCALAR && thaw_parse_double(item->value, &value[ranks]) == THAW_OK) ranks++;
  if (!ranks) return;
  const char *slowest = report_text_of(event, "slowest"), *host = report_text_of(event, "slowest_host");
  char clean[128];
  add_label(out, "waiting");
  report_add_sparkline(out, value, ranks, 60, w->options->ascii);
  thaw_text_add(out, " epoch %.0f: ranks 0 to %d waited", report_number_of(event, "epoch"), ranks - 1);
  for (int32_t i = 0; i < ranks && i < SHOWN_RANKS; i++)
    thaw_text_add(out, " %.0f%%", seconds > 0 ? 100 * value[i] / seconds : 0);
  thaw_text_add(out, "%s of %.2f s; slowest: %s (%s)\n", ranks > SHOWN_RANKS ? " ..." : "", seconds,
                slowest ? slowest : "?", report_clean(host ? host : "?", clean, sizeof clean));
}

static void add_checkpoint(const watch *w, thaw_text *out) {
  for (int32_t best = 0; best < 2; best++) {
    const report_event *last = NULL;
    for (int32_t i = 0; i < w->log.count; i++) {
      const char *file = is_kind(&w->log.event[i], "checkpoint") ? report_text_of(w->log.event[i].map, "file") : NULL;
      if (file && (strcmp(file, "best.h5") == 0) == best) last = &w->log.event[i];
    }
    if (!last) continue;
    char clean[128], when[48];
    const char *steps = report_text_of(last->map, "steps");
    add_label(out, best ? "best" : "checkpoint");
    thaw_text_add(out, "%s, step %s, %s\n", report_clean(report_text_of(last->map, "file"), clean, sizeof clean),
                  steps ? steps : "?", ago(w, seconds_of(last->time), when));
  }
}

thaw_status thaw_run_watch(const char *run_folder, const thaw_watch_options *options, thaw_text *out,
                           thaw_run_state *state) {
  watch w = {.folder = run_folder, .options = options};
  thaw_status status = read_files(&w);
  if (status == THAW_OK) {
    find_state(&w);
    add_title(&w, out);
    add_stretch(&w, out);
    add_whole(&w, out);
    report_add_curves(out, &w.metrics, options->columns, options->ascii);
    add_waiting(&w, out);
    add_checkpoint(&w, out);
    *state = w.state;
    if (out->failed) status = THAW_ERR_MEMORY;
  }
  watch_clear(&w);
  return status;
}
