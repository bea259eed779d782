/* Comma-separated values, RFC 4180. */
#include "thaw/csv.h"
#include "thaw/text.h"

#include <string.h>

thaw_csv *thaw_csv_open(const char *name, const char *text, size_t size, thaw_arena *arena) {
  thaw_csv *csv = thaw_arena_new(arena, 1, sizeof *csv);
  if (!csv) return NULL;
  *csv = (thaw_csv){.name = name, .at = text, .end = text + size, .next_line = 1, .arena = arena};
  if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) csv->at += 3;
  return csv;
}

int32_t thaw_csv_column(const thaw_csv *csv, const char *name) {
  for (int32_t i = 0; i < csv->fields; i++)
    if (strcmp(csv->field[i], name) == 0) return i;
  return -1;
}

static thaw_status store_field(thaw_csv *r, const thaw_text *text) {
  if (text->failed) return THAW_ERR_MEMORY;
  if (r->fields == THAW_CSV_COLUMNS)
    return thaw_fail(THAW_ERR_DATA, "%s:%lld: more than %d columns", r->name, (long long)r->line, THAW_CSV_COLUMNS);
  r->field[r->fields] = thaw_arena_text(r->arena, text->data ? text->data : "");
  return r->field[r->fields++] ? THAW_OK : THAW_ERR_MEMORY;
}

/* After the opening quote; "" is a quote. */
static thaw_status read_quoted(thaw_csv *r, thaw_text *text) {
  for (; r->at < r->end; r->at++) {
    if (*r->at == '"' && r->at + 1 < r->end && r->at[1] == '"') {
      r->at++;
    } else if (*r->at == '"') {
      r->at++;
      if (r->at < r->end && *r->at != ',' && *r->at != '\n' && *r->at != '\r')
        return thaw_fail(THAW_ERR_DATA, "%s:%lld: text after a closing quote", r->name, (long long)r->line);
      return THAW_OK;
    }
    if (*r->at == '\n') r->next_line++;
    thaw_text_add_bytes(text, r->at, 1);
  }
  return thaw_fail(THAW_ERR_DATA, "%s:%lld: a quoted field is never closed", r->name, (long long)r->line);
}

static thaw_status read_field(thaw_csv *r, thaw_text *text) {
  if (r->at < r->end && *r->at == '"') {
    r->at++;
    return read_quoted(r, text);
  }
  const char *start = r->at;
  while (r->at < r->end && *r->at != ',' && *r->at != '\n' && *r->at != '\r') r->at++;
  if (memchr(start, 0, (size_t)(r->at - start)))
    return thaw_fail(THAW_ERR_DATA, "%s:%lld: a zero byte; not a CSV file", r->name, (long long)r->line);
  thaw_text_add_bytes(text, start, (size_t)(r->at - start));
  return THAW_OK;
}

thaw_status thaw_csv_row(thaw_csv *r, bool *more) {
  while (r->at < r->end && (*r->at == '\n' || *r->at == '\r')) r->next_line += *r->at++ == '\n';
  r->fields = 0;
  r->line = r->next_line;
  *more = r->at < r->end;
  while (*more) {
    thaw_text text = {0};
    thaw_status status = read_field(r, &text);
    if (status == THAW_OK) status = store_field(r, &text);
    thaw_text_clear(&text);
    THAW_TRY(status);
    if (r->at == r->end || *r->at != ',') break;
    r->at++;
  }
  return THAW_OK;
}

/* RFC 4180: a field with a comma, quote or line break is quoted, quotes are doubled. */
void thaw_csv_add(thaw_text *out, const char *field) {
  if (!strpbrk(field, ",\"\r\n")) {
    thaw_text_add_bytes(out, field, strlen(field));
    return;
  }
  thaw_text_add_bytes(out, "\"", 1);
  for (; *field; field++) {
    if (*field == '"') thaw_text_add_bytes(out, "\"", 1);
    thaw_text_add_bytes(out, field, 1);
  }
  thaw_text_add_bytes(out, "\"", 1);
}
