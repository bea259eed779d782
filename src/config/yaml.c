/* A YAML tree from libyaml's events: the part of YAML that a person writes by hand, with line numbers. Aliases (whose
 * expansion can grow without bound), tags, merge keys and several documents in one file are refused. */
#include "config/config_private.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MAX_DEPTH = 32, MAX_NODES = 2000000 };

typedef struct builder {
  config_source source;
  thaw_yaml *open[MAX_DEPTH]; /* the collections that are being read, outermost first */
  thaw_yaml *last[MAX_DEPTH]; /* the newest child of each */
  const char *key[MAX_DEPTH]; /* the key read and still without a value */
  int32_t key_line[MAX_DEPTH];
  int32_t depth;
  int32_t nodes;
  thaw_yaml *root;
  bool finished; /* the document has ended */
} builder;

static int32_t line_of(const yaml_event_t *event) {
  return (int32_t)event->start_mark.line + 1;
}

static thaw_status no_memory(void) {
  return THAW_ERR_MEMORY; /* recorded by the allocation */
}

static char *copy_text(thaw_arena *arena, const char *text, size_t size) {
  char *copy = thaw_arena_new(arena, size + 1, 1);
  if (copy) memcpy(copy, text, size);
  return copy;
}

/* Hangs `node` into the open collection, or makes it the root. */
static thaw_status attach(builder *b, thaw_yaml *node) {
  if (++b->nodes > MAX_NODES) return config_fail(&b->source, node->line, "", "more than %d values", (int)MAX_NODES);
  if (!b->depth) {
    b->root = node;
    return THAW_OK;
  }
  int32_t top = b->depth - 1;
  thaw_yaml *parent = b->open[top];
  if (parent->kind == THAW_YAML_MAP) {
    node->key = b->key[top];
    node->line = b->key_line[top];
    b->key[top] = NULL;
  }
  if (b->last[top])
    b->last[top]->next = node;
  else
    parent->child = node;
  b->last[top] = node;
  parent->count++;
  return THAW_OK;
}

/* True when the next node is a key of the open map. */
static bool wants_key(const builder *b) {
  return b->depth && b->open[b->depth - 1]->kind == THAW_YAML_MAP && !b->key[b->depth - 1];
}

static thaw_status add_scalar(builder *b, const yaml_event_t *event) {
  const char *value = (const char *)event->data.scalar.value;
  size_t length = event->data.scalar.length;
  int32_t line = line_of(event);
  if (event->data.scalar.tag) return config_fail(&b->source, line, "", "tags ('!...') are not supported");
  if (event->data.scalar.anchor) return config_fail(&b->source, line, "", "anchors ('&...') are not supported");
  if (memchr(value, 0, length)) return config_fail(&b->source, line, "", "a zero byte in a value");
  char *copy = copy_text(b->source.arena, value, length);
  if (!copy) return no_memory();
  if (wants_key(b)) {
    b->key[b->depth - 1] = copy;
    b->key_line[b->depth - 1] = line;
    return THAW_OK;
  }
  thaw_yaml *node = thaw_arena_new(b->source.arena, 1, sizeof *node);
  if (!node) return no_memory();
  node->kind = THAW_YAML_SCALAR;
  node->line = line;
  node->value = copy;
  node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  return attach(b, node);
}

static thaw_status open_collection(builder *b, const yaml_event_t *event, thaw_yaml_kind kind, bool tag, bool anchor) {
  int32_t line = line_of(event);
  if (tag) return config_fail(&b->source, line, "", "tags ('!...') are not supported");
  if (anchor) return config_fail(&b->source, line, "", "anchors ('&...') are not supported");
  if (wants_key(b)) return config_fail(&b->source, line, "", "a key must be a word, not a list or a map");
  if (b->depth == MAX_DEPTH) return config_fail(&b->source, line, "", "nested deeper than %d levels", (int)MAX_DEPTH);
  thaw_yaml *node = thaw_arena_new(b->source.arena, 1, sizeof *node);
  if (!node) return no_memory();
  node->kind = kind;
  node->line = line;
  THAW_TRY(attach(b, node));
  b->open[b->depth] = node;
  b->last[b->depth] = NULL;
  b->key[b->depth] = NULL;
  b->depth++;
  return THAW_OK;
}

static int compare_keys(const void *a, const void *b) {
  const thaw_yaml *x = *(const thaw_yaml *const *)a, *y = *(const thaw_yaml *const *)b;
  int order = strcmp(x->key, y->key);
  return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* Duplicate keys are found by sorting, so that a hostile map cannot cost quadratic time. */
static thaw_status check_keys(const builder *b, const thaw_yaml *map) {
  if (map->kind != THAW_YAML_MAP || map->count < 2) return THAW_OK;
  const thaw_yaml **sorted = thaw_new((size_t)map->count, sizeof *sorted);
  if (!sorted) return no_memory();
  size_t count = 0;
  for (const thaw_yaml *node = map->child; node; node = node->next) sorted[count++] = node;
  qsort(sorted, count, sizeof *sorted, compare_keys);
  thaw_status status = THAW_OK;
  for (size_t i = 1; i < count && status == THAW_OK; i++)
    if (!strcmp(sorted[i - 1]->key, sorted[i]->key))
      status = config_fail(&b->source, sorted[i]->line, "", "duplicate key '%s' (first on line %d)", sorted[i]->key,
                           sorted[i - 1]->line);
  thaw_free(sorted);
  return status;
}

static thaw_status take_event(builder *b, const yaml_event_t *event) {
  switch (event->type) {
  case YAML_ALIAS_EVENT:
    return config_fail(&b->source, line_of(event), "", "aliases ('*%s') are not supported",
                       (const char *)event->data.alias.anchor);
  case YAML_SCALAR_EVENT:
    return add_scalar(b, event);
  case YAML_SEQUENCE_START_EVENT:
    return open_collection(b, event, THAW_YAML_LIST, event->data.sequence_start.tag, event->data.sequence_start.anchor);
  case YAML_MAPPING_START_EVENT:
    return open_collection(b, event, THAW_YAML_MAP, event->data.mapping_start.tag, event->data.mapping_start.anchor);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT:
    b->depth--;
    return check_keys(b, b->open[b->depth]);
  case YAML_DOCUMENT_START_EVENT:
    if (b->finished) return config_fail(&b->source, line_of(event), "", "more than one document in the file");
    return THAW_OK;
  case YAML_DOCUMENT_END_EVENT:
    b->finished = true;
    return THAW_OK;
  default:
    return THAW_OK;
  }
}

/* libyaml's own words, with a line: its reader reports bytes, its scanner marks. */
static thaw_status syntax_error(const builder *b, const yaml_parser_t *parser, const char *text, size_t size) {
  const char *problem = parser->problem ? parser->problem : "not YAML";
  if (parser->error == YAML_MEMORY_ERROR) return thaw_fail(THAW_ERR_MEMORY, "%s: out of memory", b->source.file);
  if (parser->error == YAML_READER_ERROR) {
    int32_t line = 1;
    for (size_t i = 0; i < parser->problem_offset && i < size; i++) line += text[i] == '\n';
    return config_fail(&b->source, line, "", "not YAML: %s", problem);
  }
  int32_t line = (int32_t)parser->problem_mark.line + 1;
  if (parser->context && parser->context_mark.line < parser->problem_mark.line)
    return config_fail(&b->source, line, "", "not YAML: %s (%s that began on line %d)", problem, parser->context,
                       (int)parser->context_mark.line + 1);
  return config_fail(&b->source, line, "", "not YAML: %s", problem);
}

static thaw_status read_events(builder *b, yaml_parser_t *parser, const char *text, size_t size) {
  for (bool more = true; more;) {
    yaml_event_t event;
    if (!yaml_parser_parse(parser, &event)) return syntax_error(b, parser, text, size);
    thaw_status status = take_event(b, &event);
    more = event.type != YAML_STREAM_END_EVENT;
    yaml_event_delete(&event);
    THAW_TRY(status);
  }
  return THAW_OK;
}

thaw_status thaw_yaml_parse(const char *name, const char *text, size_t size, thaw_arena *arena, thaw_yaml **out) {
  builder b = {.source = {.file = name, .arena = arena}};
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) return thaw_fail(THAW_ERR_MEMORY, "%s: out of memory", name);
  yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&parser, (const unsigned char *)(text ? text : ""), size);
  thaw_status status = read_events(&b, &parser, text, size);
  yaml_parser_delete(&parser);
  THAW_TRY(status);
  if (!b.root) return thaw_fail(THAW_ERR_USAGE, "%s: the file is empty", name);
  *out = b.root;
  return THAW_OK;
}

const thaw_yaml *thaw_yaml_get(const thaw_yaml *map, const char *key) {
  if (!map || map->kind != THAW_YAML_MAP) return NULL;
  for (const thaw_yaml *node = map->child; node; node = node->next)
    if (!strcmp(node->key, key)) return node;
  return NULL;
}
