/* The cuts of later phases. When more is thawed the cut moves towards the images, and the frozen network passes by it
 * on the way to the present one: its features are kept along, so that the network runs once per image for the whole
 * job. */
#include "thaw/digest.h"
#include "thaw/memory.h"
#include "thaw/train.h"
#include "train/train_private.h"

#include <string.h>

typedef struct finder {
  thaw_session *s;
  int32_t phase;      /* the present one */
  bool *constant;     /* [graph count] in every phase from the present one on */
  thaw_plan **single; /* [cuts] each cut's own plan: present, then later ones */
  thaw_cut *found;    /* [later_count] */
} finder;

void train_later_clear(thaw_session *s) {
  for (int32_t i = 0; i < s->later_count; i++) {
    thaw_free((char *)s->later[i].cut_name);
    thaw_free((char *)s->later[i].weights_digest);
  }
  thaw_free(s->later);
  thaw_free(s->output);
  s->later = NULL;
  s->output = NULL;
  s->later_count = s->outputs_of_plan = 0;
}

static bool same_cut(const thaw_cut *a, const thaw_cut *b) {
  return a->count == b->count && memcmp(a->node, b->node, (size_t)a->count * sizeof *a->node) == 0;
}

/* Layers that are thawed and frozen again have other parameters by then. */
static bool stays_constant(const finder *f, const thaw_cut *cut) {
  for (int32_t n = 0; n < thaw_graph_count(f->s->graph); n++)
    if (cut->constant[n] && !f->constant[n]) return false;
  return true;
}

/* The views that epochs of phase `phase` use; all of them where its first epoch is not known. */
static void find_views(const thaw_session *s, int32_t phase, thaw_features_later *out) {
  const thaw_training_config *training = &s->job->training;
  int32_t views = s->job->data.augment.views > 0 ? s->job->data.augment.views : 1;
  int64_t first = 0;
  bool known = !training->early_stopping.enabled;
  for (int32_t p = 0; p < phase; p++) {
    first += training->phases[p].epochs;
    known &= !thaw_phase_is_auto(&training->phases[p]);
  }
  out->first_view = known ? (int32_t)(first % views) : 0;
  out->views = known && training->phases[phase].epochs < views ? training->phases[phase].epochs : views;
}

/* Does one plan make all cuts with the bits that each one's own plan gives? */
static thaw_status check_plan(const finder *f, int32_t cuts, bool *good_out) {
  const thaw_session *s = f->s;
  thaw_plan *plan;
  THAW_TRY(train_compile(s, s->output, s->outputs_of_plan, &plan));
  *good_out = true;
  for (int32_t i = 0; i < cuts; i++) *good_out &= thaw_plan_contains(plan, f->single[i]);
  thaw_plan_destroy(plan);
  return THAW_OK;
}

static void append_outputs(thaw_session *s, const thaw_cut *cut) {
  memcpy(s->output + s->outputs_of_plan, cut->node, (size_t)cut->count * sizeof *cut->node);
  s->outputs_of_plan += cut->count;
}

static thaw_status describe(thaw_session *s, int32_t phase, const thaw_cut *cut, thaw_features_later *out) {
  thaw_text name = {0};
  char digest[THAW_DIGEST_TEXT];
  *out = (thaw_features_later){.floats = cut->floats};
  find_views(s, phase, out);
  thaw_status status = train_name_cut(s, cut, &name);
  if (status == THAW_OK) status = train_digest_constant(s, cut, digest);
  if (status == THAW_OK) {
    out->cut_name = thaw_copy_text(name.data);
    out->weights_digest = thaw_copy_text(digest);
    if (!out->cut_name || !out->weights_digest) status = THAW_ERR_MEMORY;
  }
  thaw_text_clear(&name);
  return status;
}

/* Takes the cut over when it can be made along. */
static thaw_status try_cut(finder *f, int32_t phase, thaw_cut *cut) {
  thaw_session *s = f->s;
  int32_t before = s->outputs_of_plan, count = s->later_count;
  bool good;
  THAW_TRY(train_compile(s, cut->node, cut->count, &f->single[count + 1]));
  append_outputs(s, cut);
  THAW_TRY(check_plan(f, count + 2, &good));
  if (!good) {
    s->outputs_of_plan = before;
    thaw_plan_destroy(f->single[count + 1]);
    f->single[count + 1] = NULL;
    return THAW_OK;
  }
  s->later_count++;
  THAW_TRY(describe(s, phase, cut, &s->later[count]));
  f->found[count] = *cut;
  *cut = (thaw_cut){0};
  return THAW_OK;
}

static thaw_status look_at_phase(finder *f, int32_t phase) {
  thaw_session *s = f->s;
  thaw_cut cut = {0};
  THAW_TRY(train_mark_live(s, phase));
  THAW_TRY(thaw_graph_cut(s->graph, &cut));
  bool wanted = !train_cut_is_input(&cut) && !same_cut(&cut, &s->cut) && stays_constant(f, &cut);
  for (int32_t i = 0; i < s->later_count && wanted; i++)
    if (same_cut(&cut, &f->found[i])) {
      s->later[i].first_view = 0; /* two phases read it: all views */
      s->later[i].views = s->job->data.augment.views > 0 ? s->job->data.augment.views : 1;
      wanted = false;
    }
  for (int32_t n = 0; n < thaw_graph_count(s->graph); n++) f->constant[n] &= cut.constant[n];
  thaw_status status = wanted ? try_cut(f, phase, &cut) : THAW_OK;
  thaw_cut_clear(&cut);
  return status;
}

static thaw_status allocate(finder *f, size_t phases) {
  thaw_session *s = f->s;
  size_t nodes = (size_t)thaw_graph_count(s->graph);
  f->constant = thaw_new(nodes, sizeof *f->constant);
  f->single = thaw_new(phases + 1, sizeof *f->single);
  f->found = thaw_new(phases, sizeof *f->found);
  s->later = thaw_new(phases, sizeof *s->later);
  s->output = thaw_new(nodes * phases, sizeof *s->output);
  if (!f->constant || !f->single || !f->found || !s->later || !s->output) return THAW_ERR_MEMORY;
  memcpy(f->constant, s->cut.constant, nodes * sizeof *f->constant);
  return THAW_OK;
}

/* Phases that thaw by themselves end what can be known. */
static thaw_status find_all(finder *f) {
  thaw_session *s = f->s;
  const thaw_training_config *training = &s->job->training;
  int32_t first = f->phase + 1;
  append_outputs(s, &s->cut);
  bool known = s->ahead && s->job->cache.enabled && s->job->cache.ahead && first < training->phase_count &&
               !thaw_phase_is_auto(&training->phases[f->phase]);
  if (!known) return THAW_OK;
  THAW_TRY(train_compile(s, s->cut.node, s->cut.count, &f->single[0]));
  thaw_status status = THAW_OK;
  for (int32_t p = first; p < training->phase_count && status == THAW_OK; p++) {
    if (thaw_phase_is_auto(&training->phases[p])) break;
    status = look_at_phase(f, p);
  }
  thaw_status back = train_mark_live(s, f->phase);
  return status == THAW_OK ? back : status;
}

thaw_status train_later_find(thaw_session *s, int32_t phase) {
  finder f = {.s = s, .phase = phase};
  size_t phases = (size_t)s->job->training.phase_count + 1;
  thaw_status status = allocate(&f, phases);
  if (status == THAW_OK) status = find_all(&f);
  for (size_t i = 0; f.single && i <= phases; i++) thaw_plan_destroy(f.single[i]);
  for (size_t i = 0; f.found && i < phases; i++) thaw_cut_clear(&f.found[i]);
  thaw_free(f.single);
  thaw_free(f.found);
  thaw_free(f.constant);
  return status;
}
