/* Features from pixels: a reading thread makes the inputs, this thread runs the constant part. */
#include "feature/feature_private.h"
#include "thaw/graph.h"
#include "thaw/memory.h"

#include <string.h>

/* The ring of inputs made ahead is as long as four runs of the plan, within this many bytes. */
static const size_t ring_limit = (size_t)64 << 20;

static int32_t ring_depth(const thaw_features *f) {
  int32_t depth = 4 * f->batch;
  while (depth > 2 && (size_t)depth * f->input_floats * sizeof(float) > ring_limit) depth /= 2;
  return depth;
}

void thaw_feature_stop_reading(thaw_features *f) {
  if (f->prefetch) f->stats.stall_seconds += thaw_prefetch_statistics(f->prefetch).stall_seconds;
  thaw_prefetch_destroy(f->prefetch);
  f->prefetch = NULL;
  for (size_t i = 0; i < f->expectations; i++) thaw_free(f->expected[i].sample);
  f->expectations = 0;
}

bool thaw_feature_stop_wanted(const thaw_features *f) {
  return f->stop && f->stop(f->stop_context);
}

static thaw_status prepare(thaw_features *f) {
  if (!f->pixels && f->plan) {
    f->pixels = thaw_new((size_t)f->batch, f->input_floats * sizeof *f->pixels);
    if (!f->pixels) return THAW_ERR_MEMORY;
  }
  if (!f->wide && f->plan_floats > f->floats) {
    f->wide = thaw_new((size_t)f->batch, f->plan_floats * sizeof *f->wide);
    if (!f->wide) return THAW_ERR_MEMORY;
  }
  return f->prefetch ? THAW_OK : thaw_prefetch_create(f->catalog, &f->input, ring_depth(f), &f->prefetch);
}

thaw_status thaw_feature_announce(thaw_features *f, const uint64_t *sample, int32_t count, int32_t view) {
  THAW_TRY(prepare(f));
  if (thaw_grow((void **)&f->expected, f->expectations, &f->expected_capacity, sizeof *f->expected) != 0)
    return THAW_ERR_MEMORY;
  thaw_expected list = {.sample = thaw_new((size_t)count, sizeof *sample), .count = count, .view = view};
  if (!list.sample) return THAW_ERR_MEMORY;
  memcpy(list.sample, sample, (size_t)count * sizeof *sample);
  thaw_status status = thaw_prefetch_want(f->prefetch, sample, count, view);
  if (status == THAW_OK)
    f->expected[f->expectations++] = list;
  else
    thaw_free(list.sample);
  return status;
}

static bool is_next(const thaw_features *f, const uint64_t *sample, int32_t count, int32_t view) {
  if (!f->expectations) return false;
  const thaw_expected *next = &f->expected[0];
  return next->count == count && next->view == view &&
         memcmp(next->sample, sample, (size_t)count * sizeof *sample) == 0;
}

static void forget_first(thaw_features *f) {
  thaw_free(f->expected[0].sample);
  memmove(f->expected, f->expected + 1, --f->expectations * sizeof *f->expected);
}

/* A large image takes many seconds: a wish to stop is heard between two runs of the plan. */
static thaw_status run_plan(thaw_features *f, int32_t count, float *out) {
  for (int32_t at = 0; at < count; at += f->batch) {
    if (thaw_feature_stop_wanted(f)) return thaw_fail(THAW_STOPPED, "stopped while features were computed");
    int32_t n = count - at < f->batch ? count - at : f->batch;
    THAW_TRY(thaw_prefetch_take(f->prefetch, n, f->pixels));
    double started = thaw_seconds();
    float *own = out + (size_t)at * f->floats;
    thaw_plan_run(f->plan, f->pixels, n, f->wide ? f->wide : own);
    if (f->wide) thaw_later_deliver(f, n, own);
    f->stats.compute_seconds += thaw_seconds() - started;
  }
  return THAW_OK;
}

thaw_status thaw_feature_compute(thaw_features *f, const uint64_t *sample, int32_t count, int32_t view, float *out) {
  if (count == 0) return THAW_OK;
  if (!is_next(f, sample, count, view)) {
    if (f->expectations) thaw_feature_stop_reading(f); /* announced something else: start over */
    THAW_TRY(thaw_feature_announce(f, sample, count, view));
  }
  thaw_status status = f->plan ? run_plan(f, count, out) : thaw_prefetch_take(f->prefetch, count, out);
  if (status != THAW_OK) {
    thaw_feature_stop_reading(f);
    return status;
  }
  forget_first(f);
  f->stats.computed += count;
  return THAW_OK;
}
