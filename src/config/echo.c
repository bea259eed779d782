/* Config structs -> YAML text that reads back to the same values. */
#include "config/config_private.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Words that YAML readers of any version take for something else than text. */
static bool is_special(const char *value) {
  static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf"};
  char lower[8] = "";
  size_t length = strlen(value);
  if (length >= sizeof lower) return false;
  for (size_t i = 0; i < length; i++) lower[i] = (char)tolower((unsigned char)value[i]);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (!strcmp(lower, words[i])) return true;
  return false;
}

static bool is_plain(const char *value) {
  if (!isalpha((unsigned char)*value) && *value != '/') return false;
  for (const char *at = value; *at; at++)
    if (!isalnum((unsigned char)*at) && !strchr("_./-", *at)) return false;
  return !is_special(value);
}

void config_echo_text(const char *value, thaw_text *out) {
  if (is_plain(value)) {
    thaw_text_add(out, "%s", value);
    return;
  }
  thaw_text_add(out, "\"");
  for (const char *at = value; *at; at++) {
    unsigned char c = (unsigned char)*at;
    if (c == '"' || c == '\\')
      thaw_text_add(out, "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
      thaw_text_add(out, "\\x%02x", c);
    else
      thaw_text_add_bytes(out, at, 1);
  }
  thaw_text_add(out, "\"");
}

void config_echo_number(double value, thaw_text *out) {
  char text[40];
  for (int digits = 6; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  thaw_text_add(out, "%s", text);
}

static void echo_list(const thaw_text_list *list, thaw_text *out) {
  thaw_text_add(out, "[");
  for (int32_t i = 0; i < list->count; i++) {
    if (i) thaw_text_add(out, ", ");
    config_echo_text(list->item[i], out);
  }
  thaw_text_add(out, "]");
}

static void echo_numbers(const thaw_number_list *list, thaw_text *out) {
  thaw_text_add(out, "[");
  for (int32_t i = 0; i < list->count; i++) {
    if (i) thaw_text_add(out, ", ");
    config_echo_number(list->item[i], out);
  }
  thaw_text_add(out, "]");
}

static void echo_value(const thaw_field *field, const void *target, thaw_text *out) {
  switch (field->kind) {
  case THAW_FIELD_BOOL:
    thaw_text_add(out, "%s", *(const bool *)target ? "true" : "false");
    break;
  case THAW_FIELD_INT:
    thaw_text_add(out, "%d", *(const int32_t *)target);
    break;
  case THAW_FIELD_INT64:
    thaw_text_add(out, "%lld", (long long)*(const int64_t *)target);
    break;
  case THAW_FIELD_FLOAT:
    config_echo_number(*(const double *)target, out);
    break;
  case THAW_FIELD_CHOICE:
    thaw_text_add(out, "%s", field->choices[*(const int32_t *)target]);
    break;
  case THAW_FIELD_TEXT:
    config_echo_text(*(char *const *)target, out);
    break;
  case THAW_FIELD_TEXTS:
    echo_list(target, out);
    break;
  case THAW_FIELD_NUMBERS:
    echo_numbers(target, out);
    break;
  case THAW_FIELD_RANGE:
    thaw_text_add(out, "[");
    config_echo_number(((const double *)target)[0], out);
    thaw_text_add(out, ", ");
    config_echo_number(((const double *)target)[1], out);
    thaw_text_add(out, "]");
    break;
  }
}

/* Absent texts and lists have no YAML form: they are left out and read back as absent; quiet fields are left out where
 * they have their default, so that a new option does not change the digest of a job that does not use it. */
static bool has_value(const thaw_field *field, const void *target) {
  if (field->kind == THAW_FIELD_TEXT) return *(char *const *)target != NULL;
  if (field->quiet && field->kind == THAW_FIELD_BOOL) return *(const bool *)target != (field->fallback != 0);
  if (field->quiet && (field->kind == THAW_FIELD_INT || field->kind == THAW_FIELD_CHOICE))
    return *(const int32_t *)target != (int32_t)field->fallback;
  if (field->quiet && field->kind == THAW_FIELD_FLOAT) return *(const double *)target != field->fallback;
  if (field->kind == THAW_FIELD_NUMBERS) return ((const thaw_number_list *)target)->count > 0;
  if (field->kind == THAW_FIELD_TEXTS) return ((const thaw_text_list *)target)->count > 0 || field->fallback_text;
  return true;
}

static bool is_skipped(const char *name, const char *const *skip) {
  for (; skip && *skip; skip++)
    if (!strcmp(name, *skip)) return true;
  return false;
}

int32_t config_echo_fields(const thaw_schema *schema, const void *config, const char *const *skip,
                           const char *separator, thaw_text *out) {
  int32_t written = 0;
  for (int32_t i = 0; i < schema->count; i++) {
    const thaw_field *field = &schema->fields[i];
    const void *target = (const char *)config + field->offset;
    if (is_skipped(field->name, skip) || !has_value(field, target)) continue;
    thaw_text_add(out, "%s%s: ", written++ ? separator : "", field->name);
    echo_value(field, target, out);
  }
  return written;
}

void thaw_schema_echo(const thaw_schema *schema, const void *config, thaw_text *out) {
  thaw_text_add(out, "{");
  config_echo_fields(schema, config, NULL, ", ", out);
  thaw_text_add(out, "}");
}
