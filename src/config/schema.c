/* Option tables: defaults, lookup, help. Reading is in read.c, writing in echo.c. */
#include "config/config_private.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static size_t choice_count(const thaw_field *field) {
  size_t count = 0;
  while (field->choices && field->choices[count]) count++;
  return count;
}

static thaw_status set_default(const thaw_field *field, void *target, thaw_arena *arena) {
  double value = field->required ? 0 : field->fallback;
  switch (field->kind) {
  case THAW_FIELD_BOOL:
    *(bool *)target = value != 0;
    break;
  case THAW_FIELD_INT:
  case THAW_FIELD_CHOICE:
    *(int32_t *)target = (int32_t)value;
    break;
  case THAW_FIELD_INT64:
    *(int64_t *)target = (int64_t)value;
    break;
  case THAW_FIELD_FLOAT:
    *(double *)target = value;
    break;
  case THAW_FIELD_RANGE:
    ((double *)target)[0] = ((double *)target)[1] = value;
    break;
  case THAW_FIELD_TEXT:
    *(char **)target = NULL;
    if (field->fallback_text && !(*(char **)target = thaw_arena_text(arena, field->fallback_text)))
      return THAW_ERR_MEMORY;
    break;
  case THAW_FIELD_TEXTS: {
    thaw_text_list *list = target;
    *list = (thaw_text_list){0};
    if (!field->fallback_text) break;
    list->item = thaw_arena_new(arena, 1, sizeof *list->item);
    if (!list->item || !(list->item[0] = thaw_arena_text(arena, field->fallback_text))) return THAW_ERR_MEMORY;
    list->count = 1;
    break;
  }
  case THAW_FIELD_NUMBERS:
    *(thaw_number_list *)target = (thaw_number_list){0};
    break;
  }
  return THAW_OK;
}

thaw_status config_defaults(const thaw_schema *schema, void *config, thaw_arena *arena) {
  for (int32_t i = 0; i < schema->count; i++)
    THAW_TRY(set_default(&schema->fields[i], (char *)config + schema->fields[i].offset, arena));
  return THAW_OK;
}

void *thaw_schema_defaults(const thaw_schema *schema, thaw_arena *arena) {
  void *config = thaw_arena_new(arena, 1, schema->size ? schema->size : 1);
  return config && config_defaults(schema, config, arena) == THAW_OK ? config : NULL;
}

/* Compares names as people write them: "GlobalAveragePooling2D", "global_average_pooling_2d" and
 * "global_average_pooling" are the same; a job file knows images only, so "2d" says nothing. */
static bool same_name(const char *a, const char *b) {
  char folded[2][64];
  const char *const name[2] = {a, b};
  for (int side = 0; side < 2; side++) {
    size_t length = 0;
    for (const char *at = name[side]; *at && length < sizeof folded[0] - 1; at++)
      if (*at != '_' && *at != ' ') folded[side][length++] = (char)tolower((unsigned char)*at);
    if (length > 2 && folded[side][length - 2] == '2' && folded[side][length - 1] == 'd') length -= 2;
    folded[side][length] = 0;
  }
  return !strcmp(folded[0], folded[1]);
}

/* Keras' short spellings. */
static const char *long_name(const char *name) {
  static const char *const spelling[][2] = {
      {"mse", "mean_squared_error"},  {"mae", "mean_absolute_error"}, {"bce", "binary_crossentropy"},
      {"BCE", "binary_crossentropy"}, {"MSE", "mean_squared_error"},  {"MAE", "mean_absolute_error"},
  };
  for (size_t i = 0; i < sizeof spelling / sizeof *spelling; i++)
    if (!strcmp(name, spelling[i][0])) return spelling[i][1];
  return name;
}

const thaw_schema *thaw_schema_find(const thaw_schema_list *list, const char *name) {
  const char *wanted = long_name(name);
  for (const thaw_schema *const *schema = list->schemas; *schema; schema++)
    if (!strcmp((*schema)->name, wanted)) return *schema;
  for (const thaw_schema *const *schema = list->schemas; *schema; schema++)
    if (same_name((*schema)->name, wanted)) return *schema;
  return NULL;
}

/* ------------------------------------------------------------------ help */

static void add_number(double value, thaw_text *out) {
  thaw_text_add(out, "%.10g", value);
}

static const char *kind_name(const thaw_field *field) {
  switch (field->kind) {
  case THAW_FIELD_BOOL:
    return "true or false";
  case THAW_FIELD_INT:
  case THAW_FIELD_INT64:
    return "integer";
  case THAW_FIELD_FLOAT:
    return "number";
  case THAW_FIELD_CHOICE:
    return "one of";
  case THAW_FIELD_TEXT:
    return field->choices ? "one of" : "text";
  case THAW_FIELD_TEXTS:
    return "text or list of texts";
  case THAW_FIELD_NUMBERS:
    return "number or list of numbers";
  case THAW_FIELD_RANGE:
    return "number x for [-x, x], or [low, high]";
  }
  return "";
}

static void add_kind(const thaw_field *field, thaw_text *out) {
  thaw_text_add(out, "%s", kind_name(field));
  for (size_t i = 0; i < choice_count(field); i++) thaw_text_add(out, "%s%s", i ? " | " : " ", field->choices[i]);
  if (field->low == 0 && field->high == 0) return;
  thaw_text_add(out, field->open_low ? " above " : " ");
  add_number(field->low, out);
  thaw_text_add(out, field->open_low ? " to " : "..");
  add_number(field->high, out);
}

static void add_fallback(const thaw_field *field, thaw_text *out) {
  if (field->required) {
    thaw_text_add(out, ", required");
    return;
  }
  switch (field->kind) {
  case THAW_FIELD_BOOL:
    thaw_text_add(out, ", default %s", field->fallback != 0 ? "true" : "false");
    break;
  case THAW_FIELD_CHOICE:
    thaw_text_add(out, ", default %s", field->choices[(int32_t)field->fallback]);
    break;
  case THAW_FIELD_TEXT:
  case THAW_FIELD_TEXTS:
    if (field->fallback_text) thaw_text_add(out, ", default %s", field->fallback_text);
    break;
  case THAW_FIELD_NUMBERS:
    break;
  default:
    thaw_text_add(out, ", default ");
    add_number(field->fallback, out);
  }
}

void thaw_schema_help(const thaw_schema *schema, thaw_text *out) {
  for (int32_t i = 0; i < schema->count; i++) {
    const thaw_field *field = &schema->fields[i];
    thaw_text_add(out, "  %s (", field->name);
    add_kind(field, out);
    add_fallback(field, out);
    thaw_text_add(out, "): %s\n", field->help ? field->help : "");
  }
}
