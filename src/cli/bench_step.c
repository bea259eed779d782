/* One training step through the parts of a real one: slices forward and backward, exact sums, reduction over all ranks,
 * update by Adam. */
#include "cli/bench.h"

#include "thaw/log.h"
#include "thaw/memory.h"

#include <string.h>

static thaw_status choose(cli_bench_step *s) {
  s->loss = thaw_loss_find("categorical_crossentropy");
  s->optimizer = thaw_optim_find("adam");
  if (!s->loss || !s->optimizer) return thaw_fail(THAW_ERR_INTERNAL, "no such loss or optimiser");
  s->loss_config = thaw_schema_defaults(s->loss->schema, s->arena);
  s->optimizer_config = thaw_schema_defaults(s->optimizer->schema, s->arena);
  return s->loss_config && s->optimizer_config ? THAW_OK : THAW_ERR_MEMORY;
}

/* Exact sums and optimiser slots of every live tensor. */
static thaw_status bind_tensors(cli_bench_step *s, size_t *largest_out) {
  int32_t tensors = thaw_live_tensors(s->live), slots = s->optimizer->slots(s->optimizer_config);
  size_t *size = thaw_arena_new(s->arena, (size_t)tensors, sizeof *size);
  s->slot = thaw_arena_new(s->arena, (size_t)tensors, sizeof *s->slot);
  if (!size || !s->slot) return THAW_ERR_MEMORY;
  for (int32_t t = 0; t < tensors; t++) {
    size[t] = thaw_param_count(thaw_live_tensor(s->live, t, NULL));
    if (size[t] > *largest_out) *largest_out = size[t];
    for (int32_t i = 0; i < slots; i++)
      if (!(s->slot[t][i] = thaw_arena_new(s->arena, size[t], sizeof(float)))) return THAW_ERR_MEMORY;
  }
  return thaw_exact_create(size, (size_t)tensors, &s->exact);
}

/* The largest share that a rank is dealt. */
static int32_t most_samples(const cli_bench_step *s, const cli_bench_options *options) {
  int32_t ranks = thaw_comm_size(s->comm), slices = (options->batch + options->slice - 1) / options->slice;
  int32_t most = (slices + ranks - 1) / ranks * options->slice;
  return most < options->batch ? most : options->batch;
}

thaw_status cli_bench_step_create(cli_bench_step *s, const cli_bench_options *options, int64_t samples) {
  size_t rows = (size_t)options->batch, largest = 0;
  if (!(s->arena = thaw_arena_create())) return THAW_ERR_MEMORY;
  s->epoch =
      (thaw_epoch){.seed = 1, .samples = samples, .batch = options->batch, .slice = options->slice, .shuffle = true};
  s->classes = (size_t)thaw_graph_view(s->graph, thaw_graph_count(s->graph) - 1)->layer.output.c;
  THAW_TRY(thaw_step_share_create(&s->epoch, thaw_comm_size(s->comm), &s->share));
  THAW_TRY(thaw_graph_cut(s->graph, &s->cut));
  thaw_live_options live = {.max_samples = most_samples(s, options),
                            .slice = options->slice,
                            .limit = THAW_LIVE_LIMIT,
                            .fuse = true,
                            .recompute = options->recompute};
  THAW_TRY(thaw_live_create_within(s->graph, &s->cut, options->isa, &live, &s->live));
  THAW_TRY(choose(s));
  THAW_TRY(bind_tensors(s, &largest));
  s->features = thaw_arena_new(s->arena, rows * s->cut.floats, sizeof(float));
  s->labels = thaw_arena_new(s->arena, rows * s->classes, sizeof(float));
  s->dy = thaw_arena_new(s->arena, rows * s->classes, sizeof(float));
  s->value = thaw_arena_new(s->arena, rows, sizeof(double));
  s->piece_start = thaw_arena_new(s->arena, rows + 1, sizeof *s->piece_start);
  s->gradient = thaw_arena_new(s->arena, largest, sizeof(float));
  return s->features && s->labels && s->dy && s->value && s->gradient && s->piece_start ? THAW_OK : THAW_ERR_MEMORY;
}

void cli_bench_step_clear(cli_bench_step *s) {
  thaw_exact_destroy(s->exact);
  thaw_live_destroy(s->live);
  thaw_step_share_clear(&s->share);
  thaw_cut_clear(&s->cut);
  thaw_graph_destroy(s->graph);
  thaw_arena_destroy(s->arena);
}

static void take_gradient(void *context, int32_t tensor, const float *value, int64_t slice) {
  thaw_exact_add(((cli_bench_step *)context)->exact, (size_t)tensor, value, slice);
}

static int64_t *sums_of(void *context, int32_t tensor, double *factor_out, bool *fresh_out) {
  return thaw_exact_sums(((cli_bench_step *)context)->exact, (size_t)tensor, factor_out, fresh_out);
}

static void note_slice(void *context, int32_t tensor, int64_t slice, uint32_t largest) {
  thaw_exact_note(((cli_bench_step *)context)->exact, (size_t)tensor, slice, largest);
}

static void finish_gradients(void *context, int32_t tensor) {
  cli_bench_step *s = context;
  thaw_exact_final(s->exact, s->comm, (size_t)tensor);
}

/* Adds the time since *since to a stage. */
static void count(cli_bench_step *s, cli_bench_stage stage, double *since) {
  double now = thaw_seconds();
  s->seconds[stage] += now - *since;
  *since = now;
}

/* The share's slices from `first` on, as many as the live part has room for. */
static thaw_status run_piece(cli_bench_step *s, int32_t first, int32_t slices, double *since) {
  size_t start = (size_t)s->share.slice_start[first];
  for (int32_t i = 0; i <= slices; i++) s->piece_start[i] = s->share.slice_start[first + i] - (int32_t)start;
  thaw_share share = {.features = s->features + start * s->cut.floats,
                      .sample = s->share.sample + start,
                      .samples = s->piece_start[slices],
                      .slices = slices,
                      .slice_start = s->piece_start,
                      .slice = s->share.slice + first,
                      .batch = s->share.batch,
                      .seed = s->epoch.seed,
                      .epoch = s->epoch.epoch,
                      .training = true};
  thaw_live_hooks hooks = {
      .context = s, .gradient = take_gradient, .sums = sums_of, .note = note_slice, .final = finish_gradients};
  const float *y;
  THAW_TRY(thaw_live_forward(s->live, &share, &hooks, &y));
  s->loss->evaluate(s->loss_config, s->labels + start * s->classes, y, thaw_live_logits(s->live), true, share.samples,
                    (int32_t)s->classes, 1.0 / (double)s->share.batch, s->value, s->dy);
  count(s, CLI_BENCH_FORWARD, since);
  THAW_TRY(thaw_live_backward(s->live, &share, &hooks, s->dy, true));
  count(s, CLI_BENCH_BACKWARD, since);
  return THAW_OK;
}

static thaw_status forward_backward(cli_bench_step *s, double *since) {
  int32_t most = thaw_live_samples(s->live) / s->epoch.slice, first = 0;
  do {
    int32_t left = s->share.slices - first, slices = left < most ? left : most;
    THAW_TRY(run_piece(s, first, slices, since));
    first += slices;
  } while (first < s->share.slices);
  return THAW_OK;
}

static void update(cli_bench_step *s) {
  s->steps++;
  for (int32_t t = 0; t < thaw_live_tensors(s->live); t++) {
    thaw_param *param = thaw_live_tensor(s->live, t, NULL);
    const float *gradient = thaw_exact_view(s->exact, (size_t)t, s->gradient);
    s->optimizer->update(s->optimizer_config, 1e-4, s->steps, param->value, gradient, s->slot[t],
                         thaw_param_count(param));
  }
}

thaw_status cli_bench_step_run(cli_bench_step *s, int64_t index, cli_bench_fetch fetch, void *context) {
  double since = thaw_seconds();
  memset(s->seconds, 0, sizeof s->seconds);
  thaw_step_share_plan(&s->epoch, index, thaw_comm_rank(s->comm), thaw_comm_size(s->comm), &s->share);
  fetch(context, s);
  count(s, CLI_BENCH_FEATURES, &since);
  thaw_verdict verdict = THAW_EXACT_AGAIN;
  while (verdict == THAW_EXACT_AGAIN) {
    int64_t flags[THAW_EXACT_FLAGS] = {0}, slice;
    size_t tensor;
    thaw_exact_begin(s->exact, s->share.slices_global);
    count(s, CLI_BENCH_REDUCE, &since);
    THAW_TRY(forward_backward(s, &since));
    THAW_TRY(thaw_exact_reduce(s->exact, s->comm, flags, &verdict, &tensor, &slice));
    count(s, CLI_BENCH_REDUCE, &since);
  }
  if (verdict != THAW_EXACT_DONE) return thaw_fail(THAW_ERR_INTERNAL, "a gradient is not finite");
  update(s);
  count(s, CLI_BENCH_UPDATE, &since);
  return THAW_OK;
}
