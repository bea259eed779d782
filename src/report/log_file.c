/* log.jsonl: one event per line. JSON is a part of YAML, so the job file's reader serves. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

enum { FILE_LIMIT = 256 << 20 };

void report_log_clear(report_log *log) {
  thaw_arena_destroy(log->arena);
  thaw_free(log->event);
  *log = (report_log){0};
}

const char *report_text_of(const thaw_yaml *map, const char *key) {
  const thaw_yaml *node = thaw_yaml_get(map, key);
  return node && node->kind == THAW_YAML_SCALAR ? node->value : NULL;
}

double report_number_of(const thaw_yaml *map, const char *key) {
  const char *text = report_text_of(map, key);
  double value = NAN;
  return text && thaw_parse_double(text, &value) == THAW_OK ? value : NAN;
}

/* The last line of a running job may be half written: what cannot be read is passed over. */
static thaw_status add_line(const char *name, const char *line, size_t size, report_log *log, size_t *capacity) {
  thaw_yaml *map;
  thaw_status status = thaw_yaml_parse(name, line, size, log->arena, &map);
  if (status == THAW_ERR_MEMORY) return status;
  const char *kind = status == THAW_OK && map && map->kind == THAW_YAML_MAP ? report_text_of(map, "event") : NULL;
  if (!kind) return THAW_OK;
  void *events = log->event;
  if (thaw_grow(&events, (size_t)log->count, capacity, sizeof *log->event) != 0) return THAW_ERR_MEMORY;
  log->event = events;
  const char *time = report_text_of(map, "time");
  log->event[log->count++] = (report_event){.kind = kind, .time = time ? time : "", .map = map};
  return THAW_OK;
}

thaw_status report_log_read(const char *path, report_log *out) {
  char *text;
  size_t size, capacity = 0;
  *out = (report_log){0};
  THAW_TRY(thaw_file_read(path, FILE_LIMIT, &text, &size));
  out->arena = thaw_arena_create();
  thaw_status status = out->arena ? THAW_OK : THAW_ERR_MEMORY;
  for (char *line = text; status == THAW_OK && *line;) {
    size_t length = strcspn(line, "\n");
    if (length) status = add_line(path, line, length, out, &capacity);
    line += length + (line[length] != 0);
  }
  thaw_free(text);
  if (status != THAW_OK) report_log_clear(out);
  return status;
}
