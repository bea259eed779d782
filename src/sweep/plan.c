/* From a sweep file to its candidates: every job is made and checked before anything runs. */
#include "sweep/sweep_private.h"
#include "thaw/digest.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_CANDIDATES = 10000, MOST_PARAMETERS = 64, MOST_FOLDS = 100, DEFAULT_TRIALS = 20 };

typedef struct planner {
  thaw_sweep *sweep;
  thaw_yaml *root;          /* the job's tree, without the section `sweep` */
  const thaw_yaml *section; /* NULL: none */
  const thaw_sweep_request *request;
  sweep_parameter parameter[MOST_PARAMETERS];
  int32_t parameters, trials;
  uint64_t seed;
  const thaw_yaml **value; /* [candidates][parameters] */
} planner;

/* ------------------------------------------------------------------ the section's own keys */

static const struct own_key {
  const char *name, *help;
} own_keys[] = {
    {"search",
     "grid (default): every combination; random: `trials` draws; halving: successive halving of the draws, or "
     "of the grid without trials"},
    {"trials", "candidates that are drawn by random and halving; default of random: 20"},
    {"search_seed", "of the draws; default: 0"},
    {"monitor", "what ranks candidates; default: as training.checkpoint.monitor, val_loss"},
    {"mode", "auto, min, max: whether small or large is good"},
    {"factor", "of halving: after each rung the best 1/factor go on with factor times the epochs; default: 3"},
    {"first_epochs", "of halving: epochs of the first rung; default: 1"},
    {"folds", "of cross-validation: each candidate is trained so many times, as with data.folds"},
};
enum { OWN_KEYS = sizeof own_keys / sizeof *own_keys };

static bool is_own(const char *key) {
  for (size_t i = 0; i < OWN_KEYS; i++)
    if (strcmp(own_keys[i].name, key) == 0) return true;
  return false;
}

void thaw_sweep_help(thaw_text *out) {
  thaw_text_add(
      out, "The section `sweep` of a job file. What is varied, each a list of values or a range {low, high, log: true, "
           "steps: 5}:\n");
  sweep_help_keys(out);
  thaw_text_add(out, "  any other key of the job by its path: training.class_weights, head[1].units, "
                     "training.phases[0].epochs\nand how:\n");
  for (size_t i = 0; i < OWN_KEYS; i++) thaw_text_add(out, "  %s: %s\n", own_keys[i].name, own_keys[i].help);
}

static thaw_status read_integer(const planner *p, const char *key, int64_t low, int64_t high, int64_t *value) {
  const thaw_yaml *node = thaw_yaml_get(p->section, key);
  if (!node) return THAW_OK;
  int64_t found;
  if (node->kind == THAW_YAML_SCALAR && thaw_parse_int(node->value, &found) == THAW_OK && found >= low &&
      found <= high) {
    *value = found;
    return THAW_OK;
  }
  return sweep_fail(p->sweep->path, node->line, key, "expected an integer from %lld to %lld", (long long)low,
                    (long long)high);
}

static thaw_status read_search(const planner *p) {
  static const char *const words[] = {"grid", "random", "halving"};
  const thaw_yaml *node = thaw_yaml_get(p->section, "search");
  if (!node) return THAW_OK;
  for (int i = 0; node->kind == THAW_YAML_SCALAR && i < 3; i++)
    if (strcmp(node->value, words[i]) == 0) {
      p->sweep->search = (thaw_search)i;
      return THAW_OK;
    }
  const char *near = node->kind == THAW_YAML_SCALAR ? thaw_nearest(node->value, words, 3) : NULL;
  return sweep_fail(p->sweep->path, node->line, "search", "expected grid, random or halving%s%s%s",
                    near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static thaw_status read_own(planner *p) {
  thaw_sweep *s = p->sweep;
  int64_t trials = 0, seed = 0, factor = 3, first = 1, folds = 0;
  if (p->section) {
    THAW_TRY(read_search(p));
    THAW_TRY(read_integer(p, "trials", 1, MOST_CANDIDATES, &trials));
    THAW_TRY(read_integer(p, "search_seed", 0, 1000000000000000, &seed));
    THAW_TRY(read_integer(p, "factor", 2, 100, &factor));
    THAW_TRY(read_integer(p, "first_epochs", 1, 1000000, &first));
    THAW_TRY(read_integer(p, "folds", 2, MOST_FOLDS, &folds));
  }
  if (s->search == THAW_SEARCH_RANDOM && trials == 0) trials = DEFAULT_TRIALS;
  if (s->search == THAW_SEARCH_GRID && trials > 0)
    return sweep_fail(s->path, thaw_yaml_get(p->section, "trials")->line, "trials", "is for search: random or halving");
  p->trials = p->request->trials && s->search != THAW_SEARCH_GRID ? p->request->trials : (int32_t)trials;
  p->seed = (uint64_t)seed;
  s->factor = (int32_t)factor;
  s->first_epochs = (int32_t)first;
  s->folds = p->request->folds ? p->request->folds : (int32_t)folds;
  return THAW_OK;
}

/* ------------------------------------------------------------------ candidates */

static thaw_status read_parameters(planner *p) {
  thaw_sweep *s = p->sweep;
  for (const thaw_yaml *node = p->section ? p->section->child : NULL; node; node = node->next) {
    if (is_own(node->key)) continue;
    if (p->parameters == MOST_PARAMETERS)
      return sweep_fail(s->path, node->line, "", "more than %d parameters", (int)MOST_PARAMETERS);
    THAW_TRY(sweep_parameter_read(s->path, node, s->arena, &p->parameter[p->parameters]));
    if (p->parameter[p->parameters].count == 0 && p->trials == 0)
      return sweep_fail(s->path, node->line, node->key, "a grid needs a list, or a range with 'steps'");
    THAW_TRY(thaw_strings_add(&s->parameter, node->key));
    p->parameters++;
  }
  if (p->parameters || s->folds) return THAW_OK;
  return sweep_fail(s->path, p->section ? p->section->line : 1, "",
                    "names nothing to try (such as learning_rate: "
                    "[0.001, 0.0001])");
}

static thaw_status make_room(planner *p, int64_t candidates) {
  thaw_sweep *s = p->sweep;
  if (candidates > MOST_CANDIDATES)
    return thaw_fail(THAW_ERR_USAGE, "%s: sweep: %lld candidates, at most %d are possible (search: random draws)",
                     s->path, (long long)candidates, (int)MOST_CANDIDATES);
  p->value = thaw_arena_new(s->arena, (size_t)candidates * (size_t)(p->parameters + 1), sizeof *p->value);
  s->candidate = thaw_arena_new(s->arena, (size_t)candidates, sizeof *s->candidate);
  s->order = thaw_arena_new(s->arena, (size_t)candidates, sizeof *s->order);
  return p->value && s->candidate && s->order ? THAW_OK : THAW_ERR_MEMORY;
}

/* The last parameter varies fastest. */
static thaw_status make_grid(planner *p) {
  int64_t count = 1;
  for (int32_t i = 0; i < p->parameters; i++) {
    count *= p->parameter[i].count;
    if (count > MOST_CANDIDATES) break;
  }
  THAW_TRY(make_room(p, count));
  for (int64_t c = 0; c < count; c++) {
    int64_t left = c;
    for (int32_t i = p->parameters - 1; i >= 0; i--) {
      p->value[c * p->parameters + i] = p->parameter[i].value[left % p->parameter[i].count];
      left /= p->parameter[i].count;
    }
  }
  p->sweep->candidates = (int32_t)count;
  return THAW_OK;
}

static bool same_value(const thaw_yaml *a, const thaw_yaml *b) {
  bool scalars = a->kind == THAW_YAML_SCALAR && b->kind == THAW_YAML_SCALAR;
  return a == b || (scalars && strcmp(a->value, b->value) == 0);
}

static bool drawn_before(const planner *p, int64_t candidate) {
  const thaw_yaml **own = &p->value[candidate * p->parameters];
  for (int64_t c = 0; c < candidate; c++) {
    int32_t i = 0;
    while (i < p->parameters && same_value(p->value[c * p->parameters + i], own[i])) i++;
    if (i == p->parameters) return true;
  }
  return false;
}

/* Draws that repeat an earlier one are drawn again, for a while: a small space has fewer candidates than trials. */
static thaw_status make_draws(planner *p) {
  enum { TRIES = 20 };
  thaw_sweep *s = p->sweep;
  THAW_TRY(make_room(p, p->trials));
  for (int32_t trial = 0; s->candidates < p->trials && trial < TRIES * p->trials; trial++) {
    for (int32_t i = 0; i < p->parameters; i++) {
      const thaw_yaml *value = sweep_parameter_draw(&p->parameter[i], p->seed, trial, i, s->arena);
      if (!value) return THAW_ERR_MEMORY;
      p->value[(int64_t)s->candidates * p->parameters + i] = value;
    }
    s->candidates += !drawn_before(p, s->candidates);
  }
  return THAW_OK;
}

/* ------------------------------------------------------------------ jobs */

/* sweep.monitor and sweep.mode choose each run's best.h5, too. */
static thaw_status put_monitor(const planner *p, thaw_yaml *job) {
  static const char *const keys[] = {"monitor", "mode"};
  for (int i = 0; i < 2; i++) {
    const thaw_yaml *node = thaw_yaml_get(p->section, keys[i]);
    char key[48];
    snprintf(key, sizeof key, "training.checkpoint.%s", keys[i]);
    const char *copy = node ? thaw_arena_text(p->sweep->arena, key) : NULL;
    if (node && !copy) return THAW_ERR_MEMORY;
    const sweep_parameter parameter = {.key = copy, .line = node ? node->line : 0};
    if (node) THAW_TRY(sweep_apply(p->sweep->path, &parameter, node, job, p->sweep->arena));
  }
  return THAW_OK;
}

static thaw_status put_number(const planner *p, const char *key, int32_t value, thaw_yaml *job) {
  char text[16];
  snprintf(text, sizeof text, "%d", value);
  const char *copy = thaw_arena_text(p->sweep->arena, text);
  const thaw_yaml *node = copy ? sweep_scalar(copy, p->section ? p->section->line : 1, p->sweep->arena) : NULL;
  if (!node) return THAW_ERR_MEMORY;
  const sweep_parameter parameter = {.key = key, .line = node->line};
  return sweep_apply(p->sweep->path, &parameter, node, job, p->sweep->arena);
}

/* Heads first, then optimizers, then what goes into them. */
static thaw_status put_values(const planner *p, int32_t candidate, thaw_yaml *job) {
  for (int32_t order = 0; order < 3; order++)
    for (int32_t i = 0; i < p->parameters; i++)
      if (sweep_order_of(p->parameter[i].key) == order)
        THAW_TRY(sweep_apply(p->sweep->path, &p->parameter[i], p->value[(int64_t)candidate * p->parameters + i], job,
                             p->sweep->arena));
  return THAW_OK;
}

static thaw_status name_run(const planner *p, int32_t candidate, int32_t fold, thaw_job *job) {
  thaw_sweep *s = p->sweep;
  char place[48], end[24] = "";
  if (s->folds) snprintf(end, sizeof end, "/fold-%d", fold + 1);
  snprintf(place, sizeof place, "%03d%s", candidate + 1, end);
  if (!s->name) {
    s->name = thaw_arena_text(s->arena, job->name);
    s->output = thaw_arena_text(s->arena, p->request->output ? p->request->output : job->output);
    if (!s->name || !s->output) return THAW_ERR_MEMORY;
  }
  char *path = thaw_path_join(s->output, place);
  job->output = path ? thaw_arena_text(job->arena, path) : NULL;
  thaw_free(path);
  return job->output ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status make_run(const planner *p, int32_t candidate, int32_t fold, thaw_sweep_run *run) {
  thaw_sweep *s = p->sweep;
  thaw_yaml *job = sweep_clone(p->root, s->arena);
  if (!job) return THAW_ERR_MEMORY;
  THAW_TRY(put_values(p, candidate, job));
  THAW_TRY(put_monitor(p, job));
  if (s->folds) THAW_TRY(put_number(p, "data.folds", s->folds, job));
  if (s->folds) THAW_TRY(put_number(p, "data.fold", fold + 1, job));
  THAW_TRY(thaw_job_parse_tree(s->path, job, s->schemas, &run->job));
  int64_t epochs = 0;
  for (int32_t i = 0; i < run->job->training.phase_count; i++) epochs += run->job->training.phases[i].epochs;
  if (epochs > s->epochs) s->epochs = epochs;
  return name_run(p, candidate, fold, run->job);
}

static thaw_status make_candidate(const planner *p, int32_t index) {
  thaw_sweep *s = p->sweep;
  thaw_sweep_candidate *c = &s->candidate[index];
  c->score = NAN;
  c->value = thaw_arena_new(s->arena, (size_t)p->parameters + 1, sizeof *c->value);
  c->number = thaw_arena_new(s->arena, (size_t)p->parameters + 1, sizeof *c->number);
  c->run = thaw_arena_new(s->arena, (size_t)sweep_runs(s), sizeof *c->run);
  if (!c->value || !c->number || !c->run) return THAW_ERR_MEMORY;
  for (int32_t i = 0; i < p->parameters; i++) {
    const thaw_yaml *value = p->value[(int64_t)index * p->parameters + i];
    c->value[i] = sweep_value_text(&p->parameter[i], value, &c->number[i], s->arena);
    if (!c->value[i]) return THAW_ERR_MEMORY;
  }
  for (int32_t fold = 0; fold < sweep_runs(s); fold++) THAW_TRY(make_run(p, index, fold, &c->run[fold]));
  return THAW_OK;
}

/* ------------------------------------------------------------------ all together */

static thaw_status check_section(planner *p) {
  const char *path = p->sweep->path;
  if (p->root->kind != THAW_YAML_MAP) return thaw_fail(THAW_ERR_USAGE, "%s: is no job file", path);
  p->section = thaw_yaml_get(p->root, "sweep");
  sweep_remove(p->root, "sweep");
  if (!p->section && p->request->folds) return THAW_OK;
  if (!p->section)
    return thaw_fail(THAW_ERR_USAGE, "%s: has no section 'sweep' (and no --folds is given): nothing to try", path);
  if (p->section->kind == THAW_YAML_MAP) return THAW_OK;
  return sweep_fail(path, p->section->line, "", "expected a map of what to try");
}

static thaw_status plan(planner *p, const char *text, size_t size) {
  thaw_sweep *s = p->sweep;
  THAW_TRY(thaw_yaml_parse(s->path, text, size, s->arena, &p->root));
  THAW_TRY(check_section(p));
  THAW_TRY(read_own(p));
  THAW_TRY(read_parameters(p));
  THAW_TRY(p->trials && p->parameters ? make_draws(p) : make_grid(p));
  for (int32_t c = 0; c < s->candidates; c++) {
    thaw_status status = make_candidate(p, c);
    if (status != THAW_OK) return status;
    s->order[c] = c;
  }
  return THAW_OK;
}

thaw_status thaw_sweep_plan(const char *path, const char *text, size_t size, const thaw_job_schemas *schemas,
                            const thaw_sweep_request *request, thaw_sweep **out) {
  thaw_sweep *s = thaw_new(1, sizeof *s);
  planner *p = thaw_new(1, sizeof *p);
  thaw_status status = s && p ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK) {
    s->schemas = schemas;
    s->monitor = -1;
    s->arena = thaw_arena_create();
    s->path = s->arena ? thaw_arena_text(s->arena, path) : NULL;
    p->sweep = s;
    p->request = request;
    status = s->path ? plan(p, text, size) : THAW_ERR_MEMORY;
  }
  thaw_free(p);
  if (status == THAW_OK)
    *out = s;
  else
    thaw_sweep_destroy(s);
  return status;
}

int32_t sweep_runs(const thaw_sweep *s) {
  return s->folds ? s->folds : 1;
}

void thaw_sweep_destroy(thaw_sweep *s) {
  if (!s) return;
  for (int32_t c = 0; c < s->candidates; c++)
    for (int32_t r = 0; s->candidate[c].run && r < sweep_runs(s); r++) {
      thaw_job_destroy(s->candidate[c].run[r].job);
      thaw_train_result_clear(&s->candidate[c].run[r].result);
    }
  thaw_strings_clear(&s->parameter);
  thaw_strings_clear(&s->column);
  thaw_arena_destroy(s->arena);
  thaw_free(s);
}
