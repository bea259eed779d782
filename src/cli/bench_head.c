/* thaw bench --head: training a head from features in memory. */
#include "cli/bench.h"

#include "thaw/log.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

#include <string.h>

enum { FEATURES = 512, HIDDEN = 128, CLASSES = 10, SAMPLES = 16384 };

typedef struct head {
  cli_bench_step step;
  thaw_shared *data; /* once per node, as the mapped files of a feature cache are */
  int64_t samples;
  float *features, *labels;         /* [samples][FEATURES], [samples][CLASSES] */
  double seconds[CLI_BENCH_STAGES]; /* of all steps */
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

/* [collective] */
static thaw_status make_data(head *h) {
  size_t samples = (size_t)h->samples, floats = samples * (FEATURES + CLASSES);
  THAW_TRY(thaw_shared_create(h->step.comm, floats * sizeof *h->features, &h->data));
  h->features = thaw_shared_data(h->data);
  h->labels = h->features + samples * FEATURES;
  if (thaw_shared_must_fill(h->data)) {
    memset(h->labels, 0, samples * CLASSES * sizeof *h->labels);
    for (uint32_t i = 0; i < samples; i++) {
      thaw_draw position = {.seed = 1, .purpose = THAW_RNG_TEST, .sample = i + 1};
      uint32_t word[4];
      thaw_random4(&position, 0, word);
      h->labels[i * CLASSES + word[0] % CLASSES] = 1;
      position.lane = 1;
      thaw_random_uniform(&position, h->features + (size_t)i * FEATURES, FEATURES);
    }
  }
  return thaw_shared_publish(h->data);
}

/* [collective] */
static thaw_status prepare(head *h, const cli_bench_options *options) {
  h->samples = options->batch > SAMPLES ? options->batch : SAMPLES; /* the same for any number of ranks */
  THAW_TRY(make_data(h));
  thaw_status status = build_graph(&h->step.graph);
  if (status == THAW_OK) status = cli_bench_step_create(&h->step, options, h->samples);
  THAW_TRY(thaw_agree(h->step.comm, status));
  return thaw_exact_connect(h->step.exact, h->step.comm);
}

/* As from the feature cache: the rows lie anywhere. */
static void announce_row(const head *h, uint64_t sample) {
  enum { LINE = 64 / sizeof(float) };
  for (size_t at = 0; at < FEATURES; at += LINE) __builtin_prefetch(h->features + sample * FEATURES + at);
}

static void fetch(void *context, cli_bench_step *step) {
  enum { AHEAD = 2 };
  head *h = context;
  for (int32_t i = 0; i < step->share.samples; i++) {
    if (i + AHEAD < step->share.samples) announce_row(h, step->share.sample[i + AHEAD]);
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
    for (int64_t i = 0; i < thaw_epoch_steps(&h->step.epoch); i++) {
      THAW_TRY(cli_bench_step_run(&h->step, i, fetch, h));
      for (int s = 0; s < CLI_BENCH_STAGES; s++) h->seconds[s] += h->step.seconds[s];
    }
    double seconds = thaw_seconds() - begin;
    if (epoch > 0 && seconds < *best_out) *best_out = seconds;
    again = epoch < 3 || thaw_seconds() - start < options->seconds;
    THAW_TRY(thaw_comm_broadcast(h->step.comm, 0, &again, sizeof again));
  }
  return THAW_OK;
}

/* The total is that of the fastest epoch. */
static void show(cli_context *cli, const head *h, double best) {
  double each = 1e6 / (double)h->step.steps, sum = 0;
  const double *seconds = h->seconds;
  for (int s = 0; s < CLI_BENCH_STAGES; s++) sum += seconds[s];
  cli_print(cli, "features %.1f, forward %.1f, backward %.1f, reduction %.1f, update %.1f us\n",
            seconds[CLI_BENCH_FEATURES] * each, seconds[CLI_BENCH_FORWARD] * each, seconds[CLI_BENCH_BACKWARD] * each,
            seconds[CLI_BENCH_REDUCE] * each, seconds[CLI_BENCH_UPDATE] * each);
  cli_print(cli, "mean of %lld steps %.2f us\n", (long long)h->step.steps, sum * each);
  cli_print(cli, "total %.2f us per step, %.0f samples/s\n", best / (double)thaw_epoch_steps(&h->step.epoch) * 1e6,
            (double)h->samples / best);
}

thaw_status cli_bench_head(cli_context *cli, const cli_bench_options *options) {
  head h = {.step = {.comm = cli->comm}};
  double best = 0;
  thaw_status status = prepare(&h, options);
  if (status == THAW_OK) status = measure(&h, options, &best);
  if (status == THAW_OK) {
    cli_print(cli, "head %d -> %d -> %d, batch %d in slices of %d, %d rank%s, %zu bytes reduced per step\n", FEATURES,
              HIDDEN, CLASSES, options->batch, options->slice, thaw_comm_size(cli->comm),
              thaw_comm_size(cli->comm) == 1 ? "" : "s", thaw_exact_bytes(h.step.exact));
    show(cli, &h, best);
  }
  cli_bench_step_clear(&h.step);
  thaw_shared_destroy(h.data);
  return status;
}
