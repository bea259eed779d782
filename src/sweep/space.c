/* What a sweep varies: lists of values, and ranges that are drawn from or divided into steps. */
#include "sweep/sweep_private.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_VALUES = 10000 };

thaw_status sweep_fail(const char *path, int32_t line, const char *key, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return thaw_fail(THAW_ERR_USAGE, "%s:%d: sweep%s%s: %s", path, line, *key ? "." : "", key, text);
}

static thaw_status read_list(const char *path, const thaw_yaml *node, thaw_arena *arena, sweep_parameter *out) {
  if (node->count == 0) return sweep_fail(path, node->line, node->key, "the list is empty: nothing to try");
  if (node->count > MOST_VALUES)
    return sweep_fail(path, node->line, node->key, "more than %d values", (int)MOST_VALUES);
  out->value = thaw_arena_new(arena, (size_t)node->count, sizeof *out->value);
  if (!out->value) return THAW_ERR_MEMORY;
  for (const thaw_yaml *item = node->child; item; item = item->next) out->value[out->count++] = item;
  return THAW_OK;
}

static thaw_status read_number(const char *path, const thaw_yaml *map, const char *key, double *out, bool *whole) {
  const thaw_yaml *node = thaw_yaml_get(map, key);
  int64_t integer;
  if (!node) return sweep_fail(path, map->line, map->key, "a range needs '%s'", key);
  if (node->kind != THAW_YAML_SCALAR || thaw_parse_double(node->value, out) != THAW_OK)
    return sweep_fail(path, node->line, map->key, "'%s' must be a number", key);
  *whole &= thaw_parse_int(node->value, &integer) == THAW_OK;
  return THAW_OK;
}

/* 0 .. 1 -> low .. high. */
static double between(double low, double high, bool logarithmic, double share) {
  return logarithmic ? exp(log(low) + share * (log(high) - log(low))) : low + share * (high - low);
}

/* As text of four digits, so that what is shown is what is trained with. */
static const thaw_yaml *make_value(const sweep_parameter *p, double value, thaw_arena *arena) {
  char text[40];
  snprintf(text, sizeof text, p->whole ? "%.0f" : "%.4g", value);
  const char *copy = thaw_arena_text(arena, text);
  return copy ? sweep_scalar(copy, p->line, arena) : NULL;
}

/* Evenly spaced, both ends included. */
static thaw_status make_steps(sweep_parameter *p, int32_t steps, thaw_arena *arena) {
  p->value = thaw_arena_new(arena, (size_t)steps, sizeof *p->value);
  if (!p->value) return THAW_ERR_MEMORY;
  for (int32_t i = 0; i < steps; i++) {
    double value = between(p->low, p->high, p->log, (double)i / (steps - 1));
    p->value[p->count] = make_value(p, p->whole ? round(value) : value, arena);
    if (!p->value[p->count++]) return THAW_ERR_MEMORY;
  }
  return THAW_OK;
}

static thaw_status read_range(const char *path, const thaw_yaml *map, thaw_arena *arena, sweep_parameter *out) {
  static const char *const keys[] = {"low", "high", "log", "steps"};
  for (const thaw_yaml *node = map->child; node; node = node->next) {
    size_t i = 0;
    while (i < 4 && strcmp(keys[i], node->key) != 0) i++;
    const char *near = i == 4 ? thaw_nearest(node->key, keys, 4) : NULL;
    if (i == 4)
      return sweep_fail(path, node->line, map->key, "unknown key '%s' of a range (%s%s)", node->key,
                        near ? "did you mean " : "low, high, log, steps", near ? near : "");
  }
  out->range = out->whole = true;
  THAW_TRY(read_number(path, map, "low", &out->low, &out->whole));
  THAW_TRY(read_number(path, map, "high", &out->high, &out->whole));
  const thaw_yaml *log_node = thaw_yaml_get(map, "log"), *steps = thaw_yaml_get(map, "steps");
  out->log = log_node && log_node->kind == THAW_YAML_SCALAR && strcmp(log_node->value, "true") == 0;
  if (!(out->high > out->low)) return sweep_fail(path, map->line, map->key, "'high' must be above 'low'");
  if (out->log && !(out->low > 0)) return sweep_fail(path, map->line, map->key, "a logarithmic range begins above 0");
  int64_t count = 0;
  if (!steps) return THAW_OK;
  if (steps->kind != THAW_YAML_SCALAR || thaw_parse_int(steps->value, &count) != THAW_OK || count < 2 ||
      count > MOST_VALUES)
    return sweep_fail(path, steps->line, map->key, "'steps' must be an integer from 2 to %d", (int)MOST_VALUES);
  return make_steps(out, (int32_t)count, arena);
}

thaw_status sweep_parameter_read(const char *path, const thaw_yaml *node, thaw_arena *arena, sweep_parameter *out) {
  *out = (sweep_parameter){.key = node->key, .line = node->line};
  THAW_TRY(sweep_check_key(path, out));
  if (node->kind == THAW_YAML_LIST) return read_list(path, node, arena, out);
  if (node->kind == THAW_YAML_MAP && node->count) return read_range(path, node, arena, out);
  return sweep_fail(path, node->line, node->key, "expected a list of values, or a range {low: ..., high: ...}");
}

const thaw_yaml *sweep_parameter_draw(const sweep_parameter *p, uint64_t seed, int32_t trial, int32_t index,
                                      thaw_arena *arena) {
  thaw_draw at = {.seed = seed, .purpose = THAW_RNG_SWEEP, .sample = (uint64_t)trial, .lane = (uint32_t)index};
  uint32_t word[4];
  thaw_random4(&at, 0, word);
  if (p->count) return p->value[(uint64_t)word[0] * (uint64_t)p->count >> 32];
  /* Whole numbers: each has its share, so the range ends one above the last. */
  double value = between(p->low, p->high + (p->whole ? 1 : 0), p->log, (double)word[0] * 0x1p-32);
  return make_value(p, p->whole ? fmin(floor(value), p->high) : value, arena);
}

const char *sweep_value_text(const sweep_parameter *p, const thaw_yaml *value, double *number, thaw_arena *arena) {
  char text[24];
  int32_t place = 0;
  *number = NAN;
  if (value->kind == THAW_YAML_SCALAR) {
    if (value->quoted || thaw_parse_double(value->value, number) != THAW_OK) *number = NAN;
    return value->value;
  }
  const thaw_yaml *name = value->kind == THAW_YAML_MAP ? thaw_yaml_get(value, "name") : NULL;
  while (place < p->count && p->value[place] != value) place++;
  if (name && name->kind == THAW_YAML_SCALAR)
    snprintf(text, sizeof text, "%.12s#%d", name->value, place + 1);
  else
    snprintf(text, sizeof text, "#%d", place + 1);
  return thaw_arena_text(arena, text);
}
