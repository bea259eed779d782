/* metrics.csv: one header line, numbers, empty cells where a value is absent. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 256 << 20, MAX_COLUMNS = 64 };

void report_metrics_clear(report_metrics *metrics) {
  thaw_strings_clear(&metrics->columns);
  thaw_free(metrics->value);
  *metrics = (report_metrics){0};
}

int32_t report_metrics_column(const report_metrics *metrics, const char *name) {
  for (size_t i = 0; i < metrics->columns.count; i++)
    if (!strcmp(metrics->columns.item[i], name)) return (int32_t)i;
  return -1;
}

double report_metrics_at(const report_metrics *metrics, int32_t row, int32_t column) {
  return metrics->value[(size_t)row * metrics->columns.count + (size_t)column];
}

/* Ends the cell at `*at` with a zero and moves behind it; returns the cell. The line has no newline. */
static char *next_cell(char **at) {
  char *cell = *at, *comma = strchr(cell, ',');
  *at = comma ? comma + 1 : NULL;
  if (comma) *comma = 0;
  return cell;
}

/* Ends the line at `*at` with a zero and moves behind it; NULL after the last. */
static char *next_line(char **at) {
  char *line = *at;
  if (!line || !*line) return NULL;
  char *end = strchr(line, '\n');
  *at = end ? end + 1 : NULL;
  if (end) *end = 0;
  size_t length = strlen(line);
  if (length && line[length - 1] == '\r') line[length - 1] = 0;
  return line;
}

static thaw_status read_header(const char *path, char *line, thaw_strings *columns) {
  while (line && columns->count < MAX_COLUMNS) THAW_TRY(thaw_strings_add(columns, next_cell(&line)));
  if (line) return thaw_fail(THAW_ERR_DATA, "%s:1: more than %d columns", path, (int)MAX_COLUMNS);
  return THAW_OK;
}

static thaw_status read_row(const char *path, int32_t row, char *line, report_metrics *out) {
  size_t columns = out->columns.count;
  for (size_t i = 0; i < columns; i++) {
    double *value = &out->value[(size_t)row * columns + i];
    if (!line) return thaw_fail(THAW_ERR_DATA, "%s:%d: %zu cells, expected %zu", path, row + 2, i, columns);
    char *cell = next_cell(&line), *end;
    *value = *cell ? strtod(cell, &end) : NAN;
    if (*cell && (*end || end == cell))
      return thaw_fail(THAW_ERR_DATA, "%s:%d: column '%s' holds '%.40s', expected a number", path, row + 2,
                       out->columns.item[i], cell);
  }
  if (line) return thaw_fail(THAW_ERR_DATA, "%s:%d: more than the %zu cells of the header", path, row + 2, columns);
  return THAW_OK;
}

static thaw_status read_rows(const char *path, char *text, report_metrics *out) {
  size_t lines = 1;
  for (const char *at = text; at && *at; at++) lines += *at == '\n';
  char *line = next_line(&text);
  if (!line || !*line) return thaw_fail(THAW_ERR_DATA, "%s: the file is empty", path);
  THAW_TRY(read_header(path, line, &out->columns));
  out->value = thaw_new(lines * out->columns.count, sizeof *out->value);
  if (!out->value) return THAW_ERR_MEMORY;
  while ((line = next_line(&text))) {
    if (!*line) continue;
    THAW_TRY(read_row(path, out->rows, line, out));
    out->rows++;
  }
  return THAW_OK;
}

thaw_status report_metrics_read(const char *path, report_metrics *out) {
  char *text;
  size_t size;
  *out = (report_metrics){0};
  THAW_TRY(thaw_file_read(path, FILE_LIMIT, &text, &size));
  thaw_status status = read_rows(path, text, out);
  thaw_free(text);
  if (status != THAW_OK) report_metrics_clear(out);
  return status;
}
