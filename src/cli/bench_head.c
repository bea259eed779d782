/* thaw bench --head and --unfreeze: training from features in memory, through the parts of a real step. */
#include "cli/bench.h"

#include "thaw/loader.h"
#include "thaw/log.h"
#include "thaw/loss.h"
#include "thaw/memory.h"
#include "thaw/optim.h"
#include "thaw/rng.h"

#include <string.h>

enum { FEATURES = 512, HIDDEN = 128, CLASSES = 10, SAMPLES = 4096 };

typedef struct head {
  thaw_comm *comm;
  thaw_arena *arena;
  thaw_graph *graph;
  thaw_cut cut;
  thaw_live *live;
  thaw_exact *exact;
  thaw_epoch epoch;
  thaw_step_share share;
  int32_t samples;                  /* of an epoch */
  float *all_features, *all_labels; /* [samples][cut floats], [samples][CLASSES] */
  float *features, *labels, *dy, *gradient, *(*slot)[THAW_MAX_SLOTS];
  double *value;
  const thaw_loss_ops *loss;
  const thaw_optim_ops *optimizer;
  void *loss_config, *optimizer_config;
  int64_t steps;
} head;

static thaw_status add_dense(head *h, int32_t *last) {
  thaw_dense_config hidden = {.units = HIDDEN, .activation = THAW_RELU, .use_bias = true};
  thaw_dense_config output = {.units = CLASSES, .activation = THAW_SOFTMAX, .use_bias = true};
  THAW_TRY(thaw_graph_add(h->graph, "dense", &hidden, NULL, last, 1, last));
  THAW_TRY(thaw_graph_add(h->graph, "dropout", &(thaw_dropout_config){.rate = 0.5}, NULL, last, 1, last));
  return thaw_graph_add(h->graph, "dense", &output, NULL, last, 1, last);
}

/* The head by itself on a vector, or on top of a network with some layers live. */
static thaw_status build_graph(head *h, const cli_bench_options *options) {
  int32_t last = 0, first = 1;
  if (options->unfreeze) {
    const thaw_architecture *architecture = thaw_architecture_find(options->network);
    int32_t size = options->size ? options->size : architecture ? architecture->default_size : 224;
    thaw_shape shape = {.rank = 3, .h = size, .w = size, .c = 3};
    THAW_TRY(thaw_zoo_build(options->network, shape, options->cut, &h->graph, &last));
    THAW_TRY(thaw_graph_add(h->graph, "global_average_pooling", NULL, NULL, &last, 1, &last));
    first = last;
  } else {
    THAW_TRY(thaw_graph_create((thaw_shape){.rank = 1, .h = 1, .w = 1, .c = FEATURES}, &h->graph));
  }
  THAW_TRY(add_dense(h, &last));
  thaw_graph_mark_head(h->graph, first);
  if (options->unfreeze) THAW_TRY(thaw_graph_unfreeze(h->graph, &options->unfreeze, 1, false));
  THAW_TRY(thaw_graph_bind(h->graph));
  thaw_graph_initialize(h->graph, 1, false);
  return thaw_graph_cut(h->graph, &h->cut);
}

static thaw_status make_data(head *h) {
  h->all_features = thaw_arena_new(h->arena, (size_t)h->samples * h->cut.floats, sizeof(float));
  h->all_labels = thaw_arena_new(h->arena, (size_t)h->samples * CLASSES, sizeof(float));
  if (!h->all_features || !h->all_labels) return THAW_ERR_MEMORY;
  thaw_draw position = {.seed = 1, .purpose = THAW_RNG_TEST};
  for (int32_t i = 0; i < h->samples; i++) {
    uint32_t word[4];
    position.sample = (uint64_t)i;
    thaw_random_uniform(&position, h->all_features + (size_t)i * h->cut.floats, (uint32_t)h->cut.floats);
    thaw_random4(&position, 0, word);
    h->all_labels[(size_t)i * CLASSES + word[0] % CLASSES] = 1;
  }
  return THAW_OK;
}

static thaw_status bind_step(head *h, const cli_bench_options *options) {
  size_t rows = (size_t)options->batch, largest = 0;
  h->epoch =
      (thaw_epoch){.seed = 1, .samples = h->samples, .batch = options->batch, .slice = options->slice, .shuffle = true};
  THAW_TRY(thaw_step_share_create(&h->epoch, thaw_comm_size(h->comm), &h->share));
  THAW_TRY(thaw_live_create(h->graph, &h->cut, options->isa, options->batch, options->slice, &h->live));
  h->loss = thaw_loss_find("categorical_crossentropy");
  h->optimizer = thaw_optim_find("adam");
  if (!h->loss || !h->optimizer) return thaw_fail(THAW_ERR_INTERNAL, "no such loss or optimiser");
  h->loss_config = thaw_schema_defaults(h->loss->schema, h->arena);
  h->optimizer_config = thaw_schema_defaults(h->optimizer->schema, h->arena);
  if (!h->loss_config || !h->optimizer_config) return THAW_ERR_MEMORY;
  size_t tensors = (size_t)thaw_live_tensors(h->live), *size = thaw_arena_new(h->arena, tensors, sizeof *size);
  h->slot = thaw_arena_new(h->arena, tensors, sizeof *h->slot);
  if (!size || !h->slot) return THAW_ERR_MEMORY;
  for (int32_t t = 0; t < thaw_live_tensors(h->live); t++) {
    size[t] = thaw_param_count(thaw_live_tensor(h->live, t, NULL));
    if (size[t] > largest) largest = size[t];
    for (int32_t s = 0; s < h->optimizer->slots(h->optimizer_config); s++)
      if (!(h->slot[t][s] = thaw_arena_new(h->arena, size[t], sizeof(float)))) return THAW_ERR_MEMORY;
  }
  THAW_TRY(thaw_exact_create(size, tensors, &h->exact));
  h->features = thaw_arena_new(h->arena, rows * h->cut.floats, sizeof(float));
  h->labels = thaw_arena_new(h->arena, rows * CLASSES, sizeof(float));
  h->dy = thaw_arena_new(h->arena, rows * CLASSES, sizeof(float));
  h->value = thaw_arena_new(h->arena, rows, sizeof(double));
  h->gradient = thaw_arena_new(h->arena, largest, sizeof(float));
  return h->features && h->labels && h->dy && h->value && h->gradient ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status prepare(head *h, const cli_bench_options *options) {
  if (!(h->arena = thaw_arena_create())) return THAW_ERR_MEMORY;
  h->samples = options->unfreeze ? options->batch : SAMPLES;
  THAW_TRY(build_graph(h, options));
  THAW_TRY(make_data(h));
  return bind_step(h, options);
}

static void clear(head *h) {
  thaw_exact_destroy(h->exact);
  thaw_live_destroy(h->live);
  thaw_step_share_clear(&h->share);
  thaw_cut_clear(&h->cut);
  thaw_graph_destroy(h->graph);
  thaw_arena_destroy(h->arena);
}

static void fetch(head *h) {
  for (int32_t i = 0; i < h->share.samples; i++) {
    size_t sample = (size_t)h->share.sample[i];
    memcpy(h->features + (size_t)i * h->cut.floats, h->all_features + sample * h->cut.floats,
           h->cut.floats * sizeof(float));
    memcpy(h->labels + (size_t)i * CLASSES, h->all_labels + sample * CLASSES, CLASSES * sizeof(float));
  }
}

static void take_gradient(void *context, int32_t tensor, const float *value, int64_t slice) {
  thaw_exact_add(((head *)context)->exact, (size_t)tensor, value, slice);
}

static thaw_status forward_backward(head *h) {
  thaw_share share = {.features = h->features,
                      .sample = h->share.sample,
                      .samples = h->share.samples,
                      .slices = h->share.slices,
                      .slice_start = h->share.slice_start,
                      .slice = h->share.slice,
                      .batch = h->share.batch,
                      .seed = h->epoch.seed,
                      .epoch = h->epoch.epoch,
                      .training = true};
  thaw_live_hooks hooks = {.context = h, .gradient = take_gradient};
  const float *y;
  THAW_TRY(thaw_live_forward(h->live, &share, &hooks, &y));
  h->loss->evaluate(h->loss_config, h->labels, y, thaw_live_logits(h->live), true, h->share.samples, CLASSES,
                    1.0 / (double)h->share.batch, h->value, h->dy);
  return thaw_live_backward(h->live, &share, &hooks, h->dy, true);
}

static void update(head *h) {
  h->steps++;
  for (int32_t t = 0; t < thaw_live_tensors(h->live); t++) {
    thaw_param *param = thaw_live_tensor(h->live, t, NULL);
    thaw_exact_get(h->exact, (size_t)t, 1, h->gradient);
    h->optimizer->update(h->optimizer_config, 1e-4, h->steps, param->value, h->gradient, h->slot[t],
                         thaw_param_count(param));
  }
}

static thaw_status run_step(head *h, int64_t index) {
  thaw_step_share_plan(&h->epoch, index, thaw_comm_rank(h->comm), thaw_comm_size(h->comm), &h->share);
  fetch(h);
  thaw_verdict verdict = THAW_EXACT_AGAIN;
  while (verdict == THAW_EXACT_AGAIN) {
    int64_t flags[THAW_EXACT_FLAGS] = {0}, slice;
    size_t tensor;
    thaw_exact_begin(h->exact, h->share.slices_global);
    THAW_TRY(forward_backward(h));
    THAW_TRY(thaw_exact_reduce(h->exact, h->comm, flags, &verdict, &tensor, &slice));
  }
  if (verdict != THAW_EXACT_DONE) return thaw_fail(THAW_ERR_INTERNAL, "a gradient is not finite");
  update(h);
  return THAW_OK;
}

/* Epochs until the time is up, at least three after a first one; rank 0's clock decides for all. */
static thaw_status measure(head *h, const cli_bench_options *options, double *best_out) {
  double start = thaw_seconds();
  int64_t again = 1;
  *best_out = 1e30;
  for (uint32_t epoch = 0; again; epoch++) {
    double begin = thaw_seconds();
    h->epoch.epoch = epoch;
    for (int64_t step = 0; step < thaw_epoch_steps(&h->epoch); step++) THAW_TRY(run_step(h, step));
    double seconds = thaw_seconds() - begin;
    if (epoch > 0 && seconds < *best_out) *best_out = seconds;
    again = epoch < 3 || thaw_seconds() - start < options->seconds;
    THAW_TRY(thaw_comm_broadcast(h->comm, 0, &again, sizeof again));
  }
  return THAW_OK;
}

thaw_status cli_bench_head(cli_context *cli, const cli_bench_options *options) {
  head h = {.comm = cli->comm};
  double best = 0;
  thaw_status status = thaw_agree(cli->comm, prepare(&h, options));
  if (status == THAW_OK) status = measure(&h, options, &best);
  if (status == THAW_OK) {
    char live[32];
    if (options->unfreeze)
      cli_print(cli, "%s with %s live and a head, from features at the cut", options->network, options->unfreeze);
    else
      cli_print(cli, "head %d -> %d -> %d", FEATURES, HIDDEN, CLASSES);
    cli_print(cli, ", batch %d in slices of %d, %d rank%s, %zu bytes reduced per step, live part %s\n", options->batch,
              options->slice, thaw_comm_size(cli->comm), thaw_comm_size(cli->comm) == 1 ? "" : "s",
              thaw_exact_bytes(h.exact), thaw_format_bytes((double)thaw_live_bytes(h.live), live));
    cli_print(cli, "total %.2f us per step, %.*f samples/s\n", best / (double)thaw_epoch_steps(&h.epoch) * 1e6,
              options->unfreeze ? 2 : 0, h.samples / best);
  }
  clear(&h);
  return status;
}
