/* thaw bench --head: training a head from features in memory. */
#include "cli/bench.h"

#include "thaw/log.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

#include <string.h>

enum { FEATURES = 512, HIDDEN = 128, CLASSES = 10, SAMPLES = 4096 };

typedef struct head {
  cli_bench_step step;
  thaw_arena *arena;
  float *features, *labels; /* [SAMPLES][FEATURES], [SAMPLES][CLASSES] */
} head;

static thaw_status build_graph(thaw_graph **out) {
  thaw_dense_config hidden = {.units = HIDDEN, .activation = THAW_RELU, .use_bias = true};
  thaw_dense_config output = {.units = CLASSES, .activation = THAW_SOFTMAX, .use_bias = true};
  int32_t last = 0;
  THAW_TRY(thaw_graph_create((thaw_shape){.rank = 1, .h = 1, .w = 1, .c = FEATURES}, out));
  THAW_TRY(thaw_graph_add(*out, "dense", &hidden, NULL, &last, 1, &last));
  THAW_TRY(thaw_graph_add(*out, "dropout", &(thaw_dropout_config){.rate = 0.5}, NULL, &last, 1, &last));
  THAW_TRY(thaw_graph_add(*out, "dense", &output, NULL, &last, 1, &last));
  thaw_graph_mark_head(*out, 1);
  THAW_TRY(thaw_graph_bind(*out));
  thaw_graph_initialize(*out, 1, false);
  return THAW_OK;
}

static thaw_status make_data(head *h) {
  h->features = thaw_arena_new(h->arena, (size_t)SAMPLES * FEATURES, sizeof(float));
  h->labels = thaw_arena_new(h->arena, (size_t)SAMPLES * CLASSES, sizeof(float));
  if (!h->features || !h->labels) return THAW_ERR_MEMORY;
  thaw_draw position = {.seed = 1, .purpose = THAW_RNG_TEST};
  thaw_random_uniform(&position, h->features, (uint32_t)SAMPLES * FEATURES);
  for (uint32_t i = 0; i < SAMPLES; i++) {
    uint32_t word[4];
    position.sample = i + 1;
    thaw_random4(&position, 0, word);
    h->labels[i * CLASSES + word[0] % CLASSES] = 1;
  }
  return THAW_OK;
}

static thaw_status prepare(head *h, const cli_bench_options *options) {
  if (!(h->arena = thaw_arena_create())) return THAW_ERR_MEMORY;
  THAW_TRY(build_graph(&h->step.graph));
  THAW_TRY(make_data(h));
  return cli_bench_step_create(&h->step, options, SAMPLES);
}

static void fetch(void *context, cli_bench_step *step) {
  head *h = context;
  for (int32_t i = 0; i < step->share.samples; i++) {
    size_t sample = (size_t)step->share.sample[i];
    memcpy(step->features + (size_t)i * FEATURES, h->features + sample * FEATURES, FEATURES * sizeof(float));
    memcpy(step->labels + (size_t)i * CLASSES, h->labels + sample * CLASSES, CLASSES * sizeof(float));
  }
}

/* Epochs until the time is up, at least three after a first one; rank 0's clock decides for all. */
static thaw_status measure(head *h, const cli_bench_options *options, double *best_out) {
  double start = thaw_seconds();
  int64_t again = 1;
  *best_out = 1e30;
  for (uint32_t epoch = 0; again; epoch++) {
    double begin = thaw_seconds();
    h->step.epoch.epoch = epoch;
    for (int64_t i = 0; i < thaw_epoch_steps(&h->step.epoch); i++) THAW_TRY(cli_bench_step_run(&h->step, i, fetch, h));
    double seconds = thaw_seconds() - begin;
    if (epoch > 0 && seconds < *best_out) *best_out = seconds;
    again = epoch < 3 || thaw_seconds() - start < options->seconds;
    THAW_TRY(thaw_comm_broadcast(h->step.comm, 0, &again, sizeof again));
  }
  return THAW_OK;
}

thaw_status cli_bench_head(cli_context *cli, const cli_bench_options *options) {
  head h = {.step = {.comm = cli->comm}};
  double best = 0;
  thaw_status status = thaw_agree(cli->comm, prepare(&h, options));
  if (status == THAW_OK) status = measure(&h, options, &best);
  if (status == THAW_OK) {
    cli_print(cli, "head %d -> %d -> %d, batch %d in slices of %d, %d rank%s, %zu bytes reduced per step\n", FEATURES,
              HIDDEN, CLASSES, options->batch, options->slice, thaw_comm_size(cli->comm),
              thaw_comm_size(cli->comm) == 1 ? "" : "s", thaw_exact_bytes(h.step.exact));
    cli_print(cli, "total %.2f us per step, %.0f samples/s\n", best / (double)thaw_epoch_steps(&h.step.epoch) * 1e6,
              SAMPLES / best);
  }
  cli_bench_step_clear(&h.step);
  thaw_arena_destroy(h.arena);
  return status;
}
