/* Where a sweep's values go: short names for what is tuned most, and paths into the job for everything else. The job's
 * own parser checks the outcome, so nothing is accepted here that a job file could not say. */
#include "sweep/sweep_private.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum place { AT_PATH, OPTIMIZER, OPTIMIZERS, PHASES, HIDDEN, DENSE, DROPOUT } place;
static const struct short_name {
  const char *name;
  place place;
  const char *key; /* a path, or the key that is set */
  const char *help;
} names[] = {
    {"learning_rate", OPTIMIZERS, "learning_rate", "of every optimizer of the job"},
    {"weight_decay", OPTIMIZERS, "weight_decay", "of every optimizer"},
    {"momentum", OPTIMIZERS, "momentum", "of every optimizer"},
    {"optimizer", OPTIMIZER, "", "names; learning rates stay, other options do not"},
    {"batch_size", AT_PATH, "training.batch_size", "samples per step"},
    {"epochs", PHASES, "epochs", "of every phase"},
    {"loss", AT_PATH, "training.loss", "names"},
    {"mixup", AT_PATH, "training.mixup", "alpha"},
    {"seed", AT_PATH, "seed", "of the job"},
    {"head", AT_PATH, "head", "whole heads: lists of layers"},
    {"units", HIDDEN, "units", "of every dense layer of the head but the last"},
    {"activation", HIDDEN, "activation", "of the same layers"},
    {"dropout", DROPOUT, "rate", "of every dropout layer of the head"},
    {"l1", DENSE, "kernel_l1", "of every dense layer of the head"},
    {"l2", DENSE, "kernel_l2", "of every dense layer of the head"},
};
enum { NAMES = sizeof names / sizeof *names };
static const char *const sections[] = {"backbone", "data", "training", "cache", "head", "heads"};

static const struct short_name *find_name(const char *key) {
  for (size_t i = 0; i < NAMES; i++)
    if (strcmp(names[i].name, key) == 0) return &names[i];
  return NULL;
}

void sweep_help_keys(thaw_text *out) {
  for (size_t i = 0; i < NAMES; i++) thaw_text_add(out, "  %s: %s\n", names[i].name, names[i].help);
}

int32_t sweep_order_of(const char *key) {
  if (strcmp(key, "head") == 0) return 0;
  return strcmp(key, "optimizer") == 0 ? 1 : 2;
}

/* A path begins with a section of the job and goes on: "training.mixup", "head[1].units". */
static bool is_path(const char *key) {
  for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
    size_t length = strlen(sections[i]);
    if (strncmp(key, sections[i], length) == 0 && (key[length] == '.' || key[length] == '[')) return true;
  }
  return false;
}

thaw_status sweep_check_key(const char *path, const sweep_parameter *p) {
  const char *list[NAMES + 7];
  static const char *const own[] = {"search", "trials", "search_seed", "monitor", "mode", "factor", "first_epochs"};
  if (find_name(p->key) || is_path(p->key)) return THAW_OK;
  for (size_t i = 0; i < NAMES; i++) list[i] = names[i].name;
  for (size_t i = 0; i < 7; i++) list[NAMES + i] = own[i];
  const char *near = thaw_nearest(p->key, list, NAMES + 7);
  if (near) return sweep_fail(path, p->line, "", "unknown key '%s' (did you mean '%s'?)", p->key, near);
  thaw_text all = {0};
  for (size_t i = 0; i < NAMES; i++) thaw_text_add(&all, "%s%s", i ? ", " : "", names[i].name);
  thaw_status status = sweep_fail(path, p->line, "", "unknown key '%s' (known: %s; or a path such as training.mixup)",
                                  p->key, all.data ? all.data : "");
  thaw_text_clear(&all);
  return status;
}

/* ------------------------------------------------------------------ the tree */

thaw_yaml *sweep_clone(const thaw_yaml *node, thaw_arena *arena) {
  thaw_yaml *copy = thaw_arena_new(arena, 1, sizeof *copy), **end;
  if (!copy) return NULL;
  *copy = *node;
  copy->next = copy->child = NULL;
  end = &copy->child;
  for (const thaw_yaml *child = node->child; child; child = child->next, end = &(*end)->next)
    if (!(*end = sweep_clone(child, arena))) return NULL;
  return copy;
}

thaw_yaml *sweep_scalar(const char *value, int32_t line, thaw_arena *arena) {
  thaw_yaml *node = thaw_arena_new(arena, 1, sizeof *node);
  if (node) *node = (thaw_yaml){.kind = THAW_YAML_SCALAR, .line = line, .value = value};
  return node;
}

static thaw_yaml **slot_of(thaw_yaml *map, const char *key) {
  thaw_yaml **at = &map->child;
  while (*at && !((*at)->key && strcmp((*at)->key, key) == 0)) at = &(*at)->next;
  return at;
}

void sweep_remove(thaw_yaml *map, const char *key) {
  thaw_yaml **at = slot_of(map, key);
  if (!*at) return;
  *at = (*at)->next;
  map->count--;
}

/* A copy of `value` under `key`, in the place of what is there. */
static thaw_status put(thaw_yaml *map, const char *key, const thaw_yaml *value, thaw_arena *arena) {
  thaw_yaml **at = slot_of(map, key), *copy = sweep_clone(value, arena);
  if (!copy) return THAW_ERR_MEMORY;
  copy->key = key;
  copy->next = *at ? (*at)->next : NULL;
  if (!*at) map->count++;
  *at = copy;
  return THAW_OK;
}

static thaw_yaml *child_of(thaw_yaml *map, const char *key) {
  return map && map->kind == THAW_YAML_MAP ? *slot_of(map, key) : NULL;
}

/* `name` becomes `{word: name}`, so that options can be added. */
static thaw_status open_up(thaw_yaml *node, const char *word, thaw_arena *arena) {
  if (node->kind != THAW_YAML_SCALAR) return THAW_OK;
  thaw_yaml *inner = sweep_scalar(node->value, node->line, arena);
  if (!inner) return THAW_ERR_MEMORY;
  inner->key = word;
  node->kind = THAW_YAML_MAP;
  node->value = NULL;
  node->child = inner;
  node->count = 1;
  return THAW_OK;
}

/* ------------------------------------------------------------------ paths */

typedef struct walk {
  const char *path; /* of the file */
  const sweep_parameter *parameter;
  thaw_arena *arena;
  thaw_yaml *at;
} walk;

static thaw_status refuse(const walk *w, const char *why) {
  return sweep_fail(w->path, w->parameter->line, w->parameter->key, "%s", why);
}

/* "[2]" */
static thaw_status step_index(walk *w, const char **text, thaw_yaml ***slot) {
  char *end;
  long index = strtol(*text + 1, &end, 10);
  if (end == *text + 1 || *end != ']' || index < 0) return refuse(w, "expected [0], [1], ... in the path");
  *text = end + 1;
  thaw_yaml **at = &w->at->child;
  if (w->at->kind != THAW_YAML_LIST) return refuse(w, "the job has no list there");
  for (; *at && index > 0; index--) at = &(*at)->next;
  if (!*at) return refuse(w, "the job's list is shorter than that");
  *slot = at;
  return THAW_OK;
}

/* ".name"; a map that is not there is made. */
static thaw_status step_key(walk *w, const char **text, char **key) {
  size_t length = strcspn(*text, ".[");
  *key = length ? thaw_arena_new(w->arena, length + 1, 1) : NULL;
  if (!length) return refuse(w, "expected a name in the path");
  if (!*key) return THAW_ERR_MEMORY;
  memcpy(*key, *text, length);
  *text += length;
  if (w->at->kind == THAW_YAML_LIST) return refuse(w, "the job has a list there: say which of it, as in head[1]");
  if (w->at->kind != THAW_YAML_MAP)
    return open_up(w->at, w->at->key && strcmp(w->at->key, "backbone") == 0 ? "architecture" : "name", w->arena);
  return THAW_OK;
}

static thaw_status set_path(walk *w, const char *text, const thaw_yaml *value) {
  static const thaw_yaml map = {.kind = THAW_YAML_MAP};
  while (*text) {
    char *key;
    thaw_yaml **slot = NULL;
    if (*text == '[') {
      THAW_TRY(step_index(w, &text, &slot));
      if (!*text) {
        thaw_yaml *copy = sweep_clone(value, w->arena);
        if (!copy) return THAW_ERR_MEMORY;
        copy->next = (*slot)->next;
        *slot = copy;
        return THAW_OK;
      }
      w->at = *slot;
    } else {
      THAW_TRY(step_key(w, &text, &key));
      if (!*text) return put(w->at, key, value, w->arena);
      if (!child_of(w->at, key)) THAW_TRY(put(w->at, key, &map, w->arena));
      w->at = child_of(w->at, key);
      w->at->line = w->at->line ? w->at->line : w->parameter->line;
    }
    if (*text == '.') text++;
  }
  return refuse(w, "the path names no key");
}

/* ------------------------------------------------------------------ optimizers, phases, layers */

typedef thaw_status (*setter)(const walk *w, thaw_yaml *node, const char *key, const thaw_yaml *value);

static thaw_status set_option(const walk *w, thaw_yaml *node, const char *key, const thaw_yaml *value) {
  THAW_TRY(open_up(node, "name", w->arena));
  return put(node, key, value, w->arena);
}

/* Another optimizer: of the options of the one before only the learning rate has a meaning for it. */
static thaw_status set_optimizer(const walk *w, thaw_yaml *node, const char *key, const thaw_yaml *value) {
  (void)key;
  const thaw_yaml *rate = child_of(node, "learning_rate");
  thaw_yaml *fresh = sweep_clone(value, w->arena);
  if (!fresh) return THAW_ERR_MEMORY;
  THAW_TRY(open_up(fresh, "name", w->arena));
  if (rate && !child_of(fresh, "learning_rate")) THAW_TRY(put(fresh, "learning_rate", rate, w->arena));
  node->kind = fresh->kind;
  node->child = fresh->child;
  node->count = fresh->count;
  node->value = NULL;
  node->line = w->parameter->line;
  return THAW_OK;
}

/* training.optimizer and those of the phases. */
static thaw_status each_optimizer(const walk *w, const char *key, const thaw_yaml *value, setter set) {
  thaw_yaml *training = child_of(w->at, "training"), *phases = child_of(training, "phases");
  thaw_yaml *own = child_of(training, "optimizer");
  bool any = own != NULL;
  if (own) THAW_TRY(set(w, own, key, value));
  for (thaw_yaml *phase = phases && phases->kind == THAW_YAML_LIST ? phases->child : NULL; phase; phase = phase->next) {
    thaw_yaml *optimizer = child_of(phase, "optimizer");
    if (optimizer) THAW_TRY(set(w, optimizer, key, value));
    any |= optimizer != NULL;
  }
  return any ? THAW_OK : refuse(w, "the job has no optimizer");
}

static thaw_status each_phase(const walk *w, const char *key, const thaw_yaml *value) {
  thaw_yaml *training = child_of(w->at, "training"), *phases = child_of(training, "phases");
  if (!training) return refuse(w, "the job has no section training");
  if (!phases || phases->kind != THAW_YAML_LIST) return put(training, key, value, w->arena);
  for (thaw_yaml *phase = phases->child; phase; phase = phase->next)
    if (phase->kind == THAW_YAML_MAP) THAW_TRY(put(phase, key, value, w->arena));
  return THAW_OK;
}

static bool is_layer(const thaw_yaml *item, const char *type) {
  const thaw_yaml *name = item->kind == THAW_YAML_MAP ? thaw_yaml_get(item, "layer") : NULL;
  return name && name->kind == THAW_YAML_SCALAR && strcasecmp(name->value, type) == 0;
}

/* Every layer of a type, or every one but the last. */
static thaw_status each_layer(const walk *w, const char *type, bool spare_last, const char *key,
                              const thaw_yaml *value) {
  thaw_yaml *head = child_of(w->at, "head");
  int32_t count = 0, seen = 0;
  for (const thaw_yaml *item = head ? head->child : NULL; item; item = item->next) count += is_layer(item, type);
  for (thaw_yaml *item = head ? head->child : NULL; item; item = item->next) {
    if (!is_layer(item, type) || (spare_last && ++seen == count)) continue;
    THAW_TRY(put(item, key, value, w->arena));
  }
  if (count > (spare_last ? 1 : 0)) return THAW_OK;
  return refuse(w, spare_last              ? "the head has no dense layer before the last one"
                   : strcmp(type, "dense") ? "the head has no dropout layer"
                                           : "the head has no dense layer");
}

thaw_status sweep_apply(const char *path, const sweep_parameter *p, const thaw_yaml *value, thaw_yaml *job,
                        thaw_arena *arena) {
  walk w = {.path = path, .parameter = p, .arena = arena, .at = job};
  const struct short_name *name = find_name(p->key);
  if (!name) return set_path(&w, p->key, value);
  switch (name->place) {
  case OPTIMIZER:
    return each_optimizer(&w, name->key, value, set_optimizer);
  case OPTIMIZERS:
    return each_optimizer(&w, name->key, value, set_option);
  case PHASES:
    return each_phase(&w, name->key, value);
  case HIDDEN:
    return each_layer(&w, "dense", true, name->key, value);
  case DENSE:
    return each_layer(&w, "dense", false, name->key, value);
  case DROPOUT:
    return each_layer(&w, "dropout", false, name->key, value);
  case AT_PATH:
    break;
  }
  return set_path(&w, name->key, value);
}
