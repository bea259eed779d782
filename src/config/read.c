/* YAML nodes -> config structs, by option tables. */
#include "config/config_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAMES = 64, FEW_NAMES = 12, SHOWN_VALUE = 60 };

thaw_status config_fail(const config_source *source, int32_t line, const char *place, const char *format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  bool has_place = place && *place;
  return thaw_fail(THAW_ERR_USAGE, "%s:%d: %s%s%s", source->file, line, has_place ? place : "", has_place ? ": " : "",
                   text);
}

/* A name that begins like the word ("rotation_range" for "rotation") is meant, however far the edit distance. */
static const char *nearest(const char *word, const char *const *names, size_t count) {
  const char *near = thaw_nearest(word, names, count);
  for (size_t i = 0; i < count && !near; i++) {
    size_t length = strlen(names[i]);
    if (length > 3 && !strncmp(word, names[i], length)) near = names[i];
    if (strlen(word) > 3 && !strncmp(word, names[i], strlen(word))) near = names[i];
  }
  return near;
}

thaw_status config_fail_unknown(const config_source *source, int32_t line, const char *place, const char *what,
                                const char *word, const char *const *names, size_t count) {
  const char *near = nearest(word, names, count);
  if (near)
    return config_fail(source, line, place, "unknown %s '%.*s' (did you mean '%s'?)", what, (int)SHOWN_VALUE, word,
                       near);
  thaw_text list = {0};
  for (size_t i = 0; i < count && count <= FEW_NAMES; i++) thaw_text_add(&list, "%s%s", i ? ", " : "", names[i]);
  thaw_status status = config_fail(source, line, place, "unknown %s '%.*s'%s%s%s", what, (int)SHOWN_VALUE, word,
                                   list.data ? " (known: " : "", list.data ? list.data : "", list.data ? ")" : "");
  thaw_text_clear(&list);
  return status;
}

const char *config_place(char out[CONFIG_PLACE_SIZE], const char *place, const char *key) {
  snprintf(out, CONFIG_PLACE_SIZE, "%s%s%s", place, *place ? "." : "", key);
  return out;
}

bool config_is_null(const thaw_yaml *node) {
  if (!node) return true;
  if (node->kind != THAW_YAML_SCALAR || node->quoted) return false;
  const char *value = node->value;
  return !*value || !strcmp(value, "~") || !strcmp(value, "null") || !strcmp(value, "Null") || !strcmp(value, "NULL");
}

bool config_read_bool(const thaw_yaml *node, bool *out) {
  static const char *const words[2][9] = {{"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"},
                                          {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}};
  if (node->kind != THAW_YAML_SCALAR || node->quoted) return false;
  for (int value = 0; value < 2; value++)
    for (int i = 0; i < 9; i++)
      if (!strcmp(node->value, words[value][i])) {
        *out = value == 1;
        return true;
      }
  return false;
}

static const char *found(const thaw_yaml *node, char out[SHOWN_VALUE + 16]) {
  if (node->kind == THAW_YAML_MAP) return "a map";
  if (node->kind == THAW_YAML_LIST) return "a list";
  if (config_is_null(node)) return "nothing";
  snprintf(out, SHOWN_VALUE + 16, "%s'%.*s'", node->quoted ? "the text " : "", (int)SHOWN_VALUE, node->value);
  return out;
}

static thaw_status wrong_type(const config_source *source, const thaw_yaml *node, const char *place,
                              const char *expected) {
  char text[SHOWN_VALUE + 16];
  return config_fail(source, node->line, place, "expected %s, found %s", expected, found(node, text));
}

static thaw_status check_range(const config_source *source, const thaw_field *field, const thaw_yaml *node,
                               const char *place, double value) {
  if (field->low == 0 && field->high == 0) return THAW_OK;
  bool low_enough = value <= field->high, high_enough = field->open_low ? value > field->low : value >= field->low;
  if (low_enough && high_enough) return THAW_OK;
  if (field->open_low)
    return config_fail(source, node->line, place, "%.15g is out of range: above %.15g, at most %.15g", value,
                       field->low, field->high);
  return config_fail(source, node->line, place, "%.15g is out of range %.15g .. %.15g", value, field->low, field->high);
}

static thaw_status read_int(const config_source *source, const thaw_field *field, const thaw_yaml *node,
                            const char *place, int64_t *out) {
  bool number = node->kind == THAW_YAML_SCALAR && !node->quoted && thaw_parse_int(node->value, out) == THAW_OK;
  if (!number) return wrong_type(source, node, place, "a whole number");
  THAW_TRY(check_range(source, field, node, place, (double)*out));
  if (field->kind == THAW_FIELD_INT && (*out > INT32_MAX || *out < INT32_MIN))
    return config_fail(source, node->line, place, "%s is too large", node->value);
  return THAW_OK;
}

/* strtod knows hexadecimal and names of infinities; YAML numbers are decimal. */
static bool is_decimal(const char *text) {
  return strspn(text, "0123456789+-.eE") == strlen(text);
}

thaw_status config_read_number(const config_source *source, const thaw_field *field, const thaw_yaml *node,
                               const char *place, double *out) {
  bool number = node->kind == THAW_YAML_SCALAR && !node->quoted && is_decimal(node->value) &&
                thaw_parse_double(node->value, out) == THAW_OK;
  if (!number) return wrong_type(source, node, place, "a number");
  return check_range(source, field, node, place, *out);
}

static thaw_status read_range(const config_source *source, const thaw_field *field, const thaw_yaml *node,
                              const char *place, double out[2]) {
  if (node->kind == THAW_YAML_MAP || (node->kind == THAW_YAML_LIST && node->count != 2))
    return wrong_type(source, node, place, "a number or a list of two numbers");
  if (node->kind == THAW_YAML_SCALAR) {
    double value = 0;
    THAW_TRY(config_read_number(source, field, node, place, &value));
    out[1] = value < 0 ? -value : value;
    out[0] = -out[1];
    THAW_TRY(check_range(source, field, node, place, out[0]));
    return check_range(source, field, node, place, out[1]);
  }
  THAW_TRY(config_read_number(source, field, node->child, place, &out[0]));
  THAW_TRY(config_read_number(source, field, node->child->next, place, &out[1]));
  if (out[0] > out[1])
    return config_fail(source, node->line, place, "the first of [%.15g, %.15g] is larger than the second", out[0],
                       out[1]);
  return THAW_OK;
}

static thaw_status read_word(const config_source *source, const thaw_field *field, const thaw_yaml *node,
                             const char *place, int32_t *out) {
  if (node->kind != THAW_YAML_SCALAR) return wrong_type(source, node, place, "a word");
  size_t count = 0;
  for (; field->choices[count]; count++) {
    if (strcmp(field->choices[count], node->value)) continue;
    *out = (int32_t)count;
    return THAW_OK;
  }
  return config_fail_unknown(source, node->line, place, "value", node->value, field->choices, count);
}

static thaw_status read_text(const config_source *source, const thaw_field *field, const thaw_yaml *node,
                             const char *place, const char **out) {
  int32_t ignored;
  if (node->kind != THAW_YAML_SCALAR) return wrong_type(source, node, place, "text");
  if (field->choices) THAW_TRY(read_word(source, field, node, place, &ignored));
  if (!*node->value) return wrong_type(source, node, place, "text");
  *out = thaw_arena_text(source->arena, node->value);
  return *out ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status read_texts(const config_source *source, const thaw_field *field, const thaw_yaml *node,
                              const char *place, thaw_text_list *out) {
  if (node->kind == THAW_YAML_MAP) return wrong_type(source, node, place, "text or a list of texts");
  bool list = node->kind == THAW_YAML_LIST;
  int32_t count = list ? node->count : 1, i = 0;
  *out = (thaw_text_list){.item = thaw_arena_new(source->arena, (size_t)count, sizeof *out->item), .count = count};
  if (!out->item) return THAW_ERR_MEMORY;
  for (const thaw_yaml *item = list ? node->child : node; i < count; item = item->next)
    THAW_TRY(read_text(source, field, item, place, &out->item[i++]));
  return THAW_OK;
}

static thaw_status read_numbers(const config_source *source, const thaw_field *field, const thaw_yaml *node,
                                const char *place, thaw_number_list *out) {
  if (node->kind == THAW_YAML_MAP) return wrong_type(source, node, place, "a number or a list of numbers");
  bool list = node->kind == THAW_YAML_LIST;
  int32_t count = list ? node->count : 1, i = 0;
  *out = (thaw_number_list){.item = thaw_arena_new(source->arena, (size_t)count, sizeof *out->item), .count = count};
  if (!out->item) return THAW_ERR_MEMORY;
  for (const thaw_yaml *item = list ? node->child : node; i < count; item = item->next)
    THAW_TRY(config_read_number(source, field, item, place, &out->item[i++]));
  return THAW_OK;
}

static thaw_status read_field(const config_source *source, const thaw_field *field, const thaw_yaml *node,
                              const char *place, void *target) {
  int64_t whole = 0;
  switch (field->kind) {
  case THAW_FIELD_BOOL:
    return config_read_bool(node, target) ? THAW_OK : wrong_type(source, node, place, "true or false");
  case THAW_FIELD_INT:
    THAW_TRY(read_int(source, field, node, place, &whole));
    *(int32_t *)target = (int32_t)whole;
    return THAW_OK;
  case THAW_FIELD_INT64:
    return read_int(source, field, node, place, target);
  case THAW_FIELD_FLOAT:
    return config_read_number(source, field, node, place, target);
  case THAW_FIELD_CHOICE:
    return read_word(source, field, node, place, target);
  case THAW_FIELD_TEXT:
    return read_text(source, field, node, place, target);
  case THAW_FIELD_TEXTS:
    return read_texts(source, field, node, place, target);
  case THAW_FIELD_NUMBERS:
    return read_numbers(source, field, node, place, target);
  case THAW_FIELD_RANGE:
    return read_range(source, field, node, place, target);
  }
  return THAW_ERR_INTERNAL;
}

static thaw_status check_keys(const config_source *source, const thaw_schema *schema, const thaw_yaml *map,
                              const char *place, const char *const *also) {
  const char *names[MAX_NAMES];
  size_t count = 0;
  for (; also && also[count] && count < MAX_NAMES; count++) names[count] = also[count];
  for (int32_t i = 0; i < schema->count && count < MAX_NAMES; i++) names[count++] = schema->fields[i].name;
  for (const thaw_yaml *node = map->child; node; node = node->next) {
    size_t i = 0;
    while (i < count && strcmp(names[i], node->key)) i++;
    if (i == count) return config_fail_unknown(source, node->line, place, "key", node->key, names, count);
  }
  return THAW_OK;
}

thaw_status config_read_fields(const config_source *source, const thaw_schema *schema, const thaw_yaml *map,
                               const char *place, const char *const *also, void *config) {
  if (map->kind != THAW_YAML_MAP) return wrong_type(source, map, place, "a map of keys and values");
  THAW_TRY(check_keys(source, schema, map, place, also));
  for (int32_t i = 0; i < schema->count; i++) {
    const thaw_field *field = &schema->fields[i];
    const thaw_yaml *node = thaw_yaml_get(map, field->name);
    char inner[CONFIG_PLACE_SIZE];
    if (config_is_null(node)) {
      if (field->required)
        return config_fail(source, node ? node->line : map->line, place, "'%s' is missing", field->name);
      continue;
    }
    THAW_TRY(read_field(source, field, node, config_place(inner, place, field->name), (char *)config + field->offset));
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ choices */

static thaw_status unknown_choice(const config_source *source, const thaw_schema_list *list, const thaw_yaml *node,
                                  const char *place) {
  const char *names[MAX_NAMES];
  size_t count = 0;
  for (const thaw_schema *const *schema = list->schemas; *schema && count < MAX_NAMES; schema++)
    names[count++] = (*schema)->name;
  return config_fail_unknown(source, node->line, place, list->what, node->value, names, count);
}

thaw_status config_read_choice(const config_source *source, const thaw_schema_list *list, const thaw_yaml *node,
                               const char *place, thaw_choice *out) {
  bool map = node->kind == THAW_YAML_MAP, labelled = strcmp(list->key, "name") != 0;
  const thaw_yaml *name = map ? thaw_yaml_get(node, list->key) : node;
  char expected[96];
  snprintf(expected, sizeof expected, "the name of the %s, or {%s: ..., ...}", list->what, list->key);
  if (map && config_is_null(name)) return config_fail(source, node->line, place, "'%s' is missing", list->key);
  if (name->kind != THAW_YAML_SCALAR || config_is_null(name)) return wrong_type(source, name, place, expected);
  *out = (thaw_choice){.schema = thaw_schema_find(list, name->value), .line = node->line};
  if (!out->schema) return unknown_choice(source, list, name, place);
  out->config = thaw_schema_defaults(out->schema, source->arena);
  if (!out->config) return THAW_ERR_MEMORY;
  const thaw_yaml empty = {.kind = THAW_YAML_MAP, .line = node->line};
  const char *const also[] = {list->key, labelled ? "name" : NULL, NULL};
  THAW_TRY(config_read_fields(source, out->schema, map ? node : &empty, place, also, out->config));
  const thaw_yaml *label = map && labelled ? thaw_yaml_get(node, "name") : NULL;
  if (config_is_null(label)) return THAW_OK;
  if (label->kind != THAW_YAML_SCALAR || !*label->value) return wrong_type(source, label, place, "a name");
  out->label = thaw_arena_text(source->arena, label->value);
  return out->label ? THAW_OK : THAW_ERR_MEMORY;
}
