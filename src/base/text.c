#include "thaw/text.h"
#include "thaw/memory.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `extra` more bytes and the terminating zero. */
static bool reserve(thaw_text *text, size_t extra) {
  if (text->failed) return false;
  size_t needed = text->length + extra + 1;
  if (needed <= text->capacity) return true;
  size_t capacity = text->capacity ? text->capacity : 128;
  while (capacity < needed) capacity *= 2;
  char *data = thaw_new(capacity, 1);
  if (!data) {
    text->failed = true;
    return false;
  }
  if (text->length) memcpy(data, text->data, text->length);
  thaw_free(text->data);
  text->data = data;
  text->capacity = capacity;
  return true;
}

void thaw_text_add_bytes(thaw_text *text, const char *data, size_t size) {
  if (!reserve(text, size)) return;
  memcpy(text->data + text->length, data, size);
  text->length += size;
  text->data[text->length] = 0;
}

void thaw_text_add(thaw_text *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  if (length < 0 || !reserve(text, (size_t)length)) {
    text->failed = true;
    return;
  }
  va_start(arguments, format);
  vsnprintf(text->data + text->length, (size_t)length + 1, format, arguments);
  va_end(arguments);
  text->length += (size_t)length;
}

/* The character at `at` where YAML readers refuse to see it itself, as JSON readers do not: DEL, U+0080 to U+009F,
 * the byte order mark, U+FFFE, U+FFFF (YAML 1.1, 5.1); else 0. `*bytes`: of its UTF-8 form. */
static unsigned unprintable(const char *at, int *bytes) {
  const unsigned char *c = (const unsigned char *)at;
  *bytes = c[0] == 0x7f ? 1 : c[0] == 0xc2 ? 2 : 3;
  if (c[0] == 0x7f) return 0x7f;
  if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f) return c[1];
  if (c[0] == 0xef && c[1] == 0xbb && c[2] == 0xbf) return 0xfeff;
  if (c[0] == 0xef && c[1] == 0xbf && (c[2] == 0xbe || c[2] == 0xbf)) return 0xff40u + c[2];
  return 0;
}

void thaw_text_add_json(thaw_text *text, const char *value) {
  thaw_text_add_bytes(text, "\"", 1);
  for (const char *at = value; *at; at++) {
    unsigned char c = (unsigned char)*at;
    int bytes;
    unsigned hidden = unprintable(at, &bytes);
    if (hidden) {
      thaw_text_add(text, "\\u%04x", hidden);
      at += bytes - 1;
      continue;
    }
    if (c == '"' || c == '\\')
      thaw_text_add(text, "\\%c", c);
    else if (c < 0x20)
      thaw_text_add(text, "\\u%04x", c);
    else
      thaw_text_add_bytes(text, at, 1);
  }
  thaw_text_add_bytes(text, "\"", 1);
}

static const char *html_escape(char c) {
  switch (c) {
  case '<':
    return "&lt;";
  case '>':
    return "&gt;";
  case '&':
    return "&amp;";
  case '"':
    return "&quot;";
  case '\'':
    return "&#39;";
  default:
    return NULL;
  }
}

void thaw_text_add_html(thaw_text *text, const char *value) {
  for (; *value; value++) {
    const char *escape = html_escape(*value);
    thaw_text_add_bytes(text, escape ? escape : value, escape ? strlen(escape) : 1);
  }
}

int32_t thaw_text_add_missing(thaw_text *text, const char *things, char *const *name, size_t names,
                              const int64_t *count, int32_t width) {
  enum { SHOWN = 5 };
  int32_t missing = 0, shown = 0;
  for (int32_t i = 0; i < width; i++) missing += count[i] == 0;
  if (!missing) return 0;
  thaw_text_add(text, "%d of %d %s: ", missing, width, things);
  for (int32_t i = 0; i < width && shown < SHOWN; i++) {
    if (count[i]) continue;
    thaw_text_add(text, "%s", shown++ ? ", " : "");
    if ((size_t)i < names)
      thaw_text_add(text, "'%s'", name[i]);
    else
      thaw_text_add(text, "%d", i);
  }
  if (missing > shown) thaw_text_add(text, " and %d more", missing - shown);
  return missing;
}

void thaw_text_clear(thaw_text *text) {
  thaw_free(text->data);
  *text = (thaw_text){0};
}

thaw_status thaw_parse_int(const char *text, int64_t *out) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (end == text || *end || *text == ' ' || errno)
    return thaw_fail(THAW_ERR_USAGE, "'%s' is not a whole number", text);
  *out = value;
  return THAW_OK;
}

thaw_status thaw_parse_double(const char *text, double *out) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end || *text == ' ' || !isfinite(value))
    return thaw_fail(THAW_ERR_USAGE, "'%s' is not a number", text);
  *out = value;
  return THAW_OK;
}

static size_t name_length(const char *text) {
  size_t length = 0;
  while (isalnum((unsigned char)text[length]) || text[length] == '_') length++;
  return length > 0 && isdigit((unsigned char)text[0]) ? 0 : length;
}

/* *at stands behind the $ and is moved behind the name. */
static thaw_status add_variable(const char **at, thaw_text *text) {
  bool braces = **at == '{';
  const char *name = *at + braces;
  size_t length = name_length(name);
  char copy[128];
  if (length == 0 || length >= sizeof copy || (braces && name[length] != '}'))
    return thaw_fail(THAW_ERR_USAGE, "'$%.20s' names no environment variable", *at);
  memcpy(copy, name, length);
  copy[length] = 0;
  const char *value = getenv(copy);
  if (!value || !*value) return thaw_fail(THAW_ERR_USAGE, "the environment variable %s is not set", copy);
  thaw_text_add(text, "%s", value);
  *at = name + length + braces;
  return THAW_OK;
}

thaw_status thaw_expand_environment(const char *text, char **out) {
  thaw_text result = {0};
  thaw_status status = THAW_OK;
  thaw_text_add(&result, "%s", "");
  while (*text && status == THAW_OK) {
    size_t plain = strcspn(text, "$");
    thaw_text_add_bytes(&result, text, plain);
    text += plain;
    if (!*text) break;
    text++;
    status = add_variable(&text, &result);
  }
  if (status == THAW_OK && result.failed) status = THAW_ERR_MEMORY;
  if (status == THAW_OK)
    *out = result.data;
  else
    thaw_text_clear(&result);
  return status;
}

enum { NEAREST_LIMIT = 64 };

/* Levenshtein distance by the classic row recurrence; words longer than the limit are not compared. */
static size_t edit_distance(const char *a, const char *b) {
  size_t la = strlen(a), lb = strlen(b), row[NEAREST_LIMIT + 1];
  if (la > NEAREST_LIMIT || lb > NEAREST_LIMIT) return SIZE_MAX;
  for (size_t j = 0; j <= lb; j++) row[j] = j;
  for (size_t i = 1; i <= la; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= lb; j++) {
      size_t change = diagonal + (a[i - 1] != b[j - 1]), best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
      diagonal = row[j];
      row[j] = change < best ? change : best;
    }
  }
  return row[lb];
}

const char *thaw_nearest(const char *word, const char *const *candidate, size_t count) {
  size_t limit = strlen(word) / 3, best = SIZE_MAX;
  const char *nearest = NULL;
  if (limit < 2) limit = 2;
  for (size_t i = 0; i < count; i++) {
    size_t distance = edit_distance(word, candidate[i]);
    if (distance < best) best = distance, nearest = candidate[i];
  }
  return best <= limit ? nearest : NULL;
}

const char *thaw_format_bytes(double bytes, char out[32]) {
  static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  int u = 0;
  while (bytes >= 999.5 && u < 5) bytes /= 1000, u++;
  snprintf(out, 32, u && bytes < 99.5 ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
  return out;
}

const char *thaw_format_seconds(double seconds, char out[32]) {
  if (seconds < 60) {
    snprintf(out, 32, seconds < 9.95 ? "%.1f s" : "%.0f s", seconds);
    return out;
  }
  int64_t whole = (int64_t)(seconds + 0.5);
  if (whole < 3600)
    snprintf(out, 32, "%d min %02d s", (int)(whole / 60), (int)(whole % 60));
  else
    snprintf(out, 32, "%lld h %02d min", (long long)(whole / 3600), (int)(whole / 60 % 60));
  return out;
}

const char *thaw_format_count(int64_t value, char out[32]) {
  char digits[24];
  int length = snprintf(digits, sizeof digits, "%lld", (long long)(value < 0 ? -value : value)), at = 0;
  if (value < 0) out[at++] = '-';
  for (int i = 0; i < length; i++) {
    if (i && (length - i) % 3 == 0) out[at++] = ',';
    out[at++] = digits[i];
  }
  out[at] = 0;
  return out;
}
