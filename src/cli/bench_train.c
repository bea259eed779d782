/* thaw bench --unfreeze: training steps of a network with thawed layers and a dense head. */
#include "cli/bench.h"

#include "thaw/log.h"
#include "thaw/memory.h"
#include "thaw/rng.h"
#include "thaw/zoo.h"

#include <string.h>
#include <sys/resource.h>

enum { HIDDEN = 128, CLASSES = 10, IMAGES_IN_FLIGHT = 8, MOST_WORDS = 32 };

typedef struct training {
  cli_bench_step step;
  thaw_arena *arena;
  thaw_plan *plan; /* NULL: every layer is live */
  void *packed;
  float *image, *feature, *label; /* of every sample */
  float *chunk;                   /* images on their way through the plan */
  size_t pixels;
  bool cached;
} training;

/* One measured mode: the fastest step and its stages, and all steps but the first. */
typedef struct timing {
  double step, stage[CLI_BENCH_STAGES], total;
  int32_t steps;
} timing;

static thaw_status add_head(thaw_graph *graph, int32_t last) {
  thaw_dense_config hidden = {.units = HIDDEN, .activation = THAW_RELU, .use_bias = true};
  thaw_dense_config output = {.units = CLASSES, .activation = THAW_SOFTMAX, .use_bias = true};
  int32_t first = thaw_graph_count(graph);
  THAW_TRY(thaw_graph_add(graph, "global_average_pooling", NULL, NULL, &last, 1, &last));
  THAW_TRY(thaw_graph_add(graph, "dense", &hidden, NULL, &last, 1, &last));
  THAW_TRY(thaw_graph_add(graph, "dropout", &(thaw_dropout_config){.rate = 0.5}, NULL, &last, 1, &last));
  THAW_TRY(thaw_graph_add(graph, "dense", &output, NULL, &last, 1, &last));
  thaw_graph_mark_head(graph, first);
  return THAW_OK;
}

/* Splits options->unfreeze at commas; "none" leaves only the head live. */
static thaw_status unfreeze(training *t, const char *text) {
  const char *word[MOST_WORDS];
  int32_t words = 0;
  size_t length = strlen(text) + 1;
  char *copy = thaw_arena_new(t->arena, length, 1);
  if (!copy) return THAW_ERR_MEMORY;
  memcpy(copy, text, length);
  for (char *at = copy, *comma; at; at = comma ? comma + 1 : NULL) {
    if ((comma = strchr(at, ','))) *comma = 0;
    if (words == MOST_WORDS) return thaw_fail(THAW_ERR_USAGE, "--unfreeze: at most %d names", MOST_WORDS);
    word[words++] = at;
  }
  thaw_status status = thaw_graph_unfreeze(t->step.graph, word, words, false);
  return status == THAW_OK ? status : thaw_fail_in(status, "--unfreeze: ");
}

static thaw_status build_graph(training *t, const cli_bench_options *options) {
  const thaw_architecture *architecture = thaw_architecture_find(options->network);
  int32_t last, size = options->size ? options->size : architecture ? architecture->default_size : 224;
  thaw_shape shape = {.rank = 3, .h = size, .w = size, .c = 3};
  t->pixels = thaw_shape_count(shape);
  THAW_TRY(thaw_zoo_build(options->network, shape, options->cut, &t->step.graph, &last));
  THAW_TRY(add_head(t->step.graph, last));
  THAW_TRY(thaw_graph_bind(t->step.graph));
  thaw_graph_initialize(t->step.graph, 1, false);
  return unfreeze(t, options->unfreeze);
}

static thaw_status make_plan(training *t, const cli_bench_options *options) {
  const thaw_cut *cut = &t->step.cut;
  if (cut->count == 1 && cut->node[0] == 0) return THAW_OK;
  thaw_plan_options plan = {.batch = IMAGES_IN_FLIGHT, .threads = options->threads};
  THAW_TRY(thaw_plan_create(t->step.graph, cut->node, cut->count, options->isa, &plan, &t->plan));
  t->packed = thaw_new(thaw_plan_packed_bytes(t->plan), 1);
  if (!t->packed) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_plan_pack(t->plan, t->packed));
  thaw_plan_use(t->plan, t->packed);
  thaw_graph_release_constant(t->step.graph, cut->constant);
  return THAW_OK;
}

static thaw_status make_data(training *t, const cli_bench_options *options) {
  size_t n = (size_t)options->batch;
  t->image = thaw_arena_new(t->arena, n * t->pixels, sizeof(float));
  t->chunk = thaw_arena_new(t->arena, IMAGES_IN_FLIGHT * t->pixels, sizeof(float));
  t->feature = t->plan ? thaw_arena_new(t->arena, n * t->step.cut.floats, sizeof(float)) : t->image;
  t->label = thaw_arena_new(t->arena, n * CLASSES, sizeof(float));
  if (!t->image || !t->chunk || !t->feature || !t->label) return THAW_ERR_MEMORY;
  thaw_draw position = {.seed = 1, .purpose = THAW_RNG_TEST};
  for (size_t i = 0; i < n; i++, position.sample++) {
    uint32_t word[4];
    thaw_random_uniform(&position, t->image + i * t->pixels, (uint32_t)t->pixels);
    thaw_random4(&position, UINT32_MAX, word);
    t->label[i * CLASSES + word[0] % CLASSES] = 1;
  }
  for (size_t i = 0; t->plan && i < n; i += IMAGES_IN_FLIGHT)
    thaw_plan_run(t->plan, t->image + i * t->pixels, (int32_t)(n - i < IMAGES_IN_FLIGHT ? n - i : IMAGES_IN_FLIGHT),
                  t->feature + i * t->step.cut.floats);
  return THAW_OK;
}

static thaw_status prepare(training *t, const cli_bench_options *options) {
  if (!(t->arena = thaw_arena_create())) return THAW_ERR_MEMORY;
  THAW_TRY(build_graph(t, options));
  THAW_TRY(cli_bench_step_create(&t->step, options, options->batch));
  THAW_TRY(make_plan(t, options));
  return make_data(t, options);
}

static void clear(training *t) {
  cli_bench_step_clear(&t->step);
  thaw_plan_destroy(t->plan);
  thaw_free(t->packed);
  thaw_arena_destroy(t->arena);
}

/* Rows of `width` floats of the share's samples first .. first + n - 1, side by side. */
static void gather(const thaw_step_share *share, int32_t first, int32_t n, const float *from, size_t width, float *to) {
  for (int32_t i = 0; i < n; i++)
    memcpy(to + (size_t)i * width, from + (size_t)share->sample[first + i] * width, width * sizeof *to);
}

static void fetch(void *context, cli_bench_step *step) {
  training *t = context;
  const thaw_step_share *share = &step->share;
  gather(share, 0, share->samples, t->label, CLASSES, step->labels);
  if (t->cached || !t->plan) {
    gather(share, 0, share->samples, t->feature, step->cut.floats, step->features);
    return;
  }
  for (int32_t i = 0, n; i < share->samples; i += n) {
    n = share->samples - i < IMAGES_IN_FLIGHT ? share->samples - i : IMAGES_IN_FLIGHT;
    gather(share, i, n, t->image, t->pixels, t->chunk);
    thaw_plan_run(t->plan, t->chunk, n, step->features + (size_t)i * step->cut.floats);
  }
}

/* Steps until the time is up, at least three after a first one; rank 0's clock decides for all. */
static thaw_status measure(training *t, const cli_bench_options *options, bool cached, timing *out) {
  double start = thaw_seconds();
  int64_t again = 1;
  *out = (timing){.step = 1e30};
  t->cached = cached;
  for (uint32_t step = 0; again; step++) {
    double begin = thaw_seconds();
    t->step.epoch.epoch = step;
    THAW_TRY(cli_bench_step_run(&t->step, 0, fetch, t));
    double seconds = thaw_seconds() - begin;
    out->total += step > 0 ? seconds : 0;
    out->steps += step > 0;
    if (step > 0 && seconds < out->step) {
      out->step = seconds;
      memcpy(out->stage, t->step.seconds, sizeof out->stage);
    }
    again = step < 3 || thaw_seconds() - start < options->seconds;
    THAW_TRY(thaw_comm_broadcast(t->step.comm, 0, &again, sizeof again));
  }
  return THAW_OK;
}

static void show(cli_context *cli, const char *title, const cli_bench_options *options, const timing *time) {
  const double *stage = time->stage;
  cli_print(cli, "%s: features %.1f, forward %.1f, backward %.1f, reduction %.1f, update %.1f ms\n", title,
            stage[CLI_BENCH_FEATURES] * 1e3, stage[CLI_BENCH_FORWARD] * 1e3, stage[CLI_BENCH_BACKWARD] * 1e3,
            stage[CLI_BENCH_REDUCE] * 1e3, stage[CLI_BENCH_UPDATE] * 1e3);
  cli_print(cli, "%s: total %.1f ms per step, %.2f images/s\n", title, time->step * 1e3, options->batch / time->step);
  cli_print(cli, "%s: mean of %d steps %.1f ms, %.2f images/s\n", title, time->steps, time->total / time->steps * 1e3,
            options->batch * time->steps / time->total);
}

static void describe(cli_context *cli, const training *t, const cli_bench_options *options) {
  char live[32], reduced[32];
  cli_print(cli, "%s, %s live (%lld parameters), batch %d in slices of %d, %d rank%s, %d thread%s\n", options->network,
            options->unfreeze, (long long)thaw_graph_param_count(t->step.graph, true), options->batch, options->slice,
            thaw_comm_size(cli->comm), thaw_comm_size(cli->comm) == 1 ? "" : "s", options->threads,
            options->threads == 1 ? "" : "s");
  cli_print(cli, "live memory %s for %d images at a time%s, %s reduced per step\n",
            thaw_format_bytes((double)thaw_live_bytes(t->step.live), live), thaw_live_samples(t->step.live),
            options->recompute ? ", recomputing" : "",
            thaw_format_bytes((double)thaw_exact_bytes(t->step.exact), reduced));
}

thaw_status cli_bench_train(cli_context *cli, const cli_bench_options *options) {
  training t = {.step = {.comm = cli->comm}};
  timing images, features;
  thaw_status status = thaw_agree(cli->comm, prepare(&t, options));
  if (status == THAW_OK) status = thaw_exact_connect(t.step.exact, t.step.comm);
  if (status == THAW_OK) {
    describe(cli, &t, options);
    status = measure(&t, options, false, &images);
  }
  if (status == THAW_OK) show(cli, "from images", options, &images);
  if (status == THAW_OK && t.plan) {
    status = measure(&t, options, true, &features);
    if (status == THAW_OK) show(cli, "from cached features", options, &features);
  }
  struct rusage usage = {0};
  char peak[32];
  getrusage(RUSAGE_SELF, &usage);
  if (status == THAW_OK)
    cli_print(cli, "memory: whole process at most %s\n", thaw_format_bytes(1024.0 * (double)usage.ru_maxrss, peak));
  clear(&t);
  return status;
}
